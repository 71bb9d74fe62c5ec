/* cmd_verify.c: tare verify: is a results folder still what tare wrote? */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "tare/report.h"

struct findings {
    bool first_line, lines; /* of samples.jsonl that were changed: the first, others */
    bool lost;              /* for want of memory */
};

static void print_finding(void *context, enum tare_finding finding, const char *path,
                          const char *why) {
    static const char line_of[] = "samples.jsonl:";
    struct findings *findings = context;
    struct tare_buf line = {0};
    if (strncmp(path, line_of, sizeof line_of - 1) == 0) {
        bool first = strcmp(path + sizeof line_of - 1, "1") == 0;
        findings->first_line = findings->first_line || first;
        findings->lines = findings->lines || !first;
    }
    tare_report_finding(&line, finding, path, why);
    findings->lost = findings->lost || line.failed;
    if (!line.failed)
        puts(line.data);
    tare_buf_free(&line);
}

static enum tare_status verify_folder(const char *dir, struct tare_err *err) {
    struct findings findings = {0};
    struct tare_verify verify = {.dir = dir, .found = print_finding, .context = &findings};
    enum tare_status status = tare_verify_folder(&verify, err);
    if (status == TARE_OK)
        status = tare_report_verify(&verify, err);
    if (status == TARE_OK && findings.lost)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to say what was found");
    if (status != TARE_OK)
        return status;
    const size_t *counts = verify.counts;
    printf("%zu files and %zu lines of samples: %zu changed, %zu missing", verify.files,
           verify.lines, counts[TARE_FINDING_CHANGED], counts[TARE_FINDING_MISSING]);
    if (counts[TARE_FINDING_UNCHECKED] > 0)
        printf(", %zu unchecked", counts[TARE_FINDING_UNCHECKED]);
    if (counts[TARE_FINDING_EXTRA] > 0)
        printf("; %zu that nobody recorded", counts[TARE_FINDING_EXTRA]);
    printf("\n");
    bool salvageable = findings.lines && !findings.first_line;
    if (tare_verify_faults(&verify) > 0)
        return tare_fail(err, TARE_FAILED, dir,
                         salvageable ? "restore it from a copy; tare report --salvage reports "
                                       "what the other lines say"
                                     : "restore it from a copy, or measure again",
                         "isn't what tare wrote");
    return TARE_OK;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, NULL, 0, &err);
    if (helped)
        return 0;
    if (status == TARE_OK && args.count != 1)
        status = tare_fail(&err, TARE_USAGE, NULL, "tare verify results/2026-01-31T12-00-00Z",
                           "name one results folder");
    if (status == TARE_OK)
        status = verify_folder(args.words[0], &err);
    fflush(stdout);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_verify = {
    "verify", "says whether a results folder is still what tare wrote", "verify DIR",
    "  tare verify results/2026-01-31T12-00-00Z\n"
    "Computes every checksum in samples.jsonl again, and makes the reports again.\n"
    "Exit code 0: all is as recorded; 1: something changed or is missing; 3: can't be read.\n",
    run};
