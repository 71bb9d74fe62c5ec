/* cmd_report.c: tare report: the report of a results folder, from its samples alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/report.h"
#include "tare/summary.h"
#include "tare/words.h"

static const char *const formats[] = {"text", "markdown", "csv", "json"};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

static enum tare_status check_format(const char *format, struct tare_err *err) {
    for (size_t i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(format, formats[i]) == 0)
            return TARE_OK;
    const char *near = tare_nearest_word(format, formats, FORMAT_COUNT);
    return tare_fail(err, TARE_USAGE, "--format", near ? near : "text, markdown, csv or json",
                     "there is no format \"%.40s\"", format);
}

static void render(struct tare_buf *out, const struct tare_summary *summary, const char *format) {
    struct tare_report_options options = {.width = (size_t)cli_width(), .colour = cli_colour()};
    if (strcmp(format, "markdown") == 0)
        tare_report_markdown(out, summary);
    else if (strcmp(format, "csv") == 0)
        tare_report_csv(out, summary);
    else if (strcmp(format, "json") == 0)
        tare_report_json(out, summary);
    else
        tare_report_text(out, summary, &options);
}

/* A header that never changes has no room for what a CSV should say first. */
static void warn_of_misfits(const struct tare_summary *summary, const char *format) {
    if (summary->misfit_count > 0 && format && strcmp(format, "csv") == 0)
        fprintf(stderr,
                "tare: warning: %zu line%s of samples.jsonl %s fit %s: %s; --format text names "
                "%s\n",
                summary->misfit_count, summary->misfit_count == 1 ? "" : "s",
                summary->misfit_count == 1 ? "doesn't" : "don't",
                summary->misfit_count == 1 ? "its checksum" : "their checksums",
                summary->salvaged ? "left out" : "read all the same",
                summary->misfit_count == 1 ? "it" : "them");
}

/* The three files again. A report of samples that were changed replaces none; and somebody else's
 * folder, or one on a read-only disk, can be looked at all the same. */
static enum tare_status renew(const char *dir, const struct tare_summary *summary,
                              struct tare_err *err) {
    bool changed = summary->misfit_count > 0;
    enum tare_status status = changed
                                  ? tare_fail(err, TARE_DATA, "samples.jsonl", NULL, "was changed")
                                  : tare_report_write_all(dir, summary, err);
    if (status == TARE_OK || (!changed && access(dir, W_OK) == 0))
        return status;
    fprintf(stderr, "tare: warning: report.md, .json and .csv were not renewed: %s: %s\n",
            err->where, err->what);
    return TARE_OK;
}

static enum tare_status report(const char *dir, const char *format, bool salvage,
                               struct tare_err *err) {
    struct tare_summary summary = {0};
    struct tare_buf out = {0};
    char *path = tare_path_join(dir, "samples.jsonl");
    enum tare_status status = TARE_OK;
    if (!path)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory");
    else
        status = salvage ? tare_summary_salvage(&summary, path, err)
                         : tare_summary_read(&summary, path, err);
    if (status == TARE_OK)
        render(&out, &summary, format ? format : "text");
    if (status == TARE_OK && out.failed)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for the report");
    if (status == TARE_OK) {
        fwrite(out.data, 1, out.size, stdout);
        warn_of_misfits(&summary, format);
    }
    if (status == TARE_OK && !format && !salvage) /* without --format the files are made again */
        status = renew(dir, &summary, err);
    tare_buf_free(&out);
    tare_summary_free(&summary);
    free(path);
    return status;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    const char *format = NULL;
    bool json = false, salvage = false;
    const struct cli_option options[] = {
        {"format", CLI_TEXT, &format, "NAME",
         "text, markdown, csv or json on stdout only; no file is written", 0},
        {"json", CLI_FLAG, &json, NULL, "the same as --format json", 0},
        {"salvage", CLI_FLAG, &salvage, NULL,
         "leaves out damaged lines of samples.jsonl; no file is written", 0}};
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof *options, &err);
    if (helped)
        return 0;
    if (status == TARE_OK && args.count != 1)
        status = tare_fail(&err, TARE_USAGE, NULL, "tare report results/2026-01-31T12-00-00Z",
                           "name one results folder");
    if (status == TARE_OK && format)
        status = check_format(format, &err);
    if (status == TARE_OK)
        status = report(args.words[0], json ? "json" : format, salvage, &err);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_report = {
    "report", "prints the report of a results folder, from its samples alone",
    "report DIR [OPTION]...",
    "  tare report results/2026-01-31T12-00-00Z        the table; report.md, .json, .csv made "
    "again\n"
    "  tare report DIR --format csv > rows.csv         one format, on stdout, nothing written\n"
    "  tare report DIR --salvage                       what is left of a damaged samples.jsonl\n",
    run};
