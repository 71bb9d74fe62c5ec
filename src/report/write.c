/* write.c: the three files of a results folder that are made from its samples. */
#include <stdlib.h>

#include "tare/report.h"

static const struct {
    const char *file;
    void (*render)(struct tare_buf *buf, const struct tare_summary *summary);
} reports[] = {
    {"report.md", tare_report_markdown},
    {"report.json", tare_report_json},
    {"report.csv", tare_report_csv},
};

enum tare_status tare_report_write_all(const char *dir, const struct tare_summary *summary,
                                       struct tare_err *err) {
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < sizeof reports / sizeof *reports && status == TARE_OK; i++) {
        struct tare_buf text = {0};
        char *path = tare_path_join(dir, reports[i].file);
        reports[i].render(&text, summary);
        if (path == NULL || text.failed)
            status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for %s", reports[i].file);
        else
            status = tare_file_write(path, text.data, text.size, err);
        free(path);
        tare_buf_free(&text);
    }
    return status;
}
