/* write.c: the three files of a results folder that are made from its samples: written, and
 * compared with what they should be. */
#include <stdlib.h>
#include <string.h>

#include "report/document.h"
#include "tare/report.h"

#define MAX_REPORT_BYTES ((size_t)256 << 20)

static const struct report {
    const char *file;
    void (*render)(struct tare_buf *buf, const struct tare_summary *summary);
} reports[] = {
    {"report.md", tare_report_markdown},
    {"report.json", tare_report_json},
    {"report.csv", tare_report_csv},
};

/* Frees text. */
static enum tare_status write_one(const char *dir, const char *file, struct tare_buf *text,
                                  struct tare_err *err) {
    char *path = tare_path_join(dir, file);
    enum tare_status status = path == NULL || text->failed
                                  ? tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for %s", file)
                                  : tare_file_write(path, text->data, text->size, err);
    free(path);
    tare_buf_free(text);
    return status;
}

enum tare_status tare_report_write_all(const char *dir, const struct tare_summary *summary,
                                       struct tare_err *err) {
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < sizeof reports / sizeof *reports && status == TARE_OK; i++) {
        struct tare_buf text = {0};
        reports[i].render(&text, summary);
        status = write_one(dir, reports[i].file, &text, err);
    }
    return status;
}

enum tare_status tare_report_sweep_write(const char *dir, const struct tare_sweep_summary *summary,
                                         struct tare_err *err) {
    struct tare_buf markdown = {0}, json = {0};
    tare_report_sweep_markdown(&markdown, summary);
    enum tare_status status = write_one(dir, "sweep.md", &markdown, err);
    if (status != TARE_OK)
        return status;
    tare_report_sweep_json(&json, summary);
    return write_one(dir, "sweep.json", &json, err);
}

static enum tare_status verify_one(struct tare_verify *verify, const struct report *report,
                                   const struct tare_summary *summary, struct tare_err *err) {
    struct tare_buf want = {0}, got = {0};
    char *path = NULL;
    enum tare_status status = tare_verify_file(verify, &path, report->file, err);
    report->render(&want, summary);
    if (path != NULL && want.failed)
        status = tare_fail(err, TARE_MEMORY, path, NULL, "no memory to make it again");
    else if (path != NULL)
        status = tare_file_read(&got, path, MAX_REPORT_BYTES, err);
    if (path != NULL && status == TARE_OK &&
        (got.size != want.size || memcmp(got.data, want.data, got.size) != 0))
        tare_verify_found(verify, TARE_FINDING_CHANGED, report->file,
                          "differs from what this tare makes of the samples; tare report makes it "
                          "again");
    free(path);
    tare_buf_free(&want);
    tare_buf_free(&got);
    return status;
}

enum tare_status tare_report_verify(struct tare_verify *verify, struct tare_err *err) {
    struct tare_summary summary = {0};
    struct tare_err unreadable = {0};
    char *path = tare_path_join(verify->dir, "samples.jsonl");
    enum tare_status status =
        path != NULL ? tare_summary_read(&summary, path, &unreadable)
                     : tare_fail(&unreadable, TARE_MEMORY, verify->dir, NULL, "no memory");
    /* What a changed line says is in no report; the line is found already. */
    bool comparable = status == TARE_OK && summary.misfit_count == 0;
    if (status == TARE_DATA && tare_verify_faults(verify) > 0)
        status = TARE_OK; /* that line is found already */
    else if (status != TARE_OK && err != NULL)
        *err = unreadable;
    for (size_t i = 0; i < sizeof reports / sizeof *reports && status == TARE_OK; i++)
        if (comparable)
            status = verify_one(verify, &reports[i], &summary, err);
        else
            tare_verify_found(verify, TARE_FINDING_UNCHECKED, reports[i].file,
                              "lines of samples.jsonl were changed");
    tare_summary_free(&summary);
    free(path);
    return status;
}

void tare_report_finding(struct tare_buf *buf, enum tare_finding finding, const char *path,
                         const char *why) {
    tare_buf_printf(buf, "%-9s ", tare_finding_name(finding));
    tare_put_clean(buf, path);
    if (why[0] != '\0')
        tare_buf_printf(buf, ": %s", why);
}
