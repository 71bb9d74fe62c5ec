/* cmd_sweep.c: tare sweep: how does a training step grow with the net and the batch, and from where
 * on does the choice of framework stop mattering? The measuring is src/lab/sweep.c's, the tables
 * are src/report/sweep.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/report.h"
#include "tare/supervise.h"
#include "tare/sweep.h"

struct options {
    const char *engines, *widths, *batches, *data, *out, *report;
    size_t runs, seed, threads;
    double minutes;
    bool certify, json, markdown, no_download;
};

/* ---- the plan ----------------------------------------------------------------------------------
 */

/* Engines that nobody asked for by name are left out where they aren't installed, and that is said.
 */
static enum tare_status keep_installed(struct tare_plan *plan, struct tare_err *err) {
    size_t kept = 0;
    for (size_t i = 0; i < plan->cell_count; i++) {
        char *program = NULL;
        struct tare_err missing = {0};
        enum tare_status status = tare_engine_find(&program, plan->cells[i].engine, &missing);
        free(program);
        if (status == TARE_OK)
            plan->cells[kept++] = plan->cells[i];
        else if (i == 0 || strcmp(plan->cells[i].engine, plan->cells[i - 1].engine) != 0)
            fprintf(stderr, "tare: without %s: %s\n  try: %s\n", plan->cells[i].engine,
                    missing.what, missing.hint);
    }
    plan->cell_count = kept;
    return kept > 0 ? TARE_OK
                    : tare_fail(err, TARE_USAGE, "--engines", "make, or make engines",
                                "no engine is installed");
}

static enum tare_status make_plan(struct tare_plan *plan, const struct options *o, int argc,
                                  char **argv, struct tare_err *err) {
    struct tare_choice choice = {.track = "controlled"};
    tare_plan_defaults(plan);
    plan->seed = o->seed;
    plan->threads = (int)o->threads;
    enum tare_status status = cli_plan_command(plan, argc, argv, err);
    if (status == TARE_OK)
        status = cli_plan_engines(plan, o->engines, &choice, err);
    return status == TARE_OK && !o->engines ? keep_installed(plan, err) : status;
}

static enum tare_status read_options(struct tare_sweep *sweep, const struct options *o,
                                     struct tare_err *err) {
    if (o->runs < 1 || o->runs > TARE_MAX_RUNS)
        return tare_fail(err, TARE_USAGE, "--runs", "3, or 6 for intervals", "must be 1 to %d",
                         TARE_MAX_RUNS);
    if (o->threads < 1 || o->threads > (size_t)cli_cpus())
        return tare_fail(err, TARE_USAGE, "--threads", NULL, "must be 1 to %d", cli_cpus());
    if (o->minutes > 10080)
        return tare_fail(err, TARE_USAGE, "--minutes", "15", "must be a week at most");
    enum tare_status status = TARE_OK;
    sweep->runs = o->runs;
    sweep->budget_s = o->minutes * 60;
    sweep->certify = o->certify;
    if (o->widths)
        status = cli_read_counts(sweep->widths, &sweep->width_count, TARE_MAX_SWEEP_COUNTS,
                                 TARE_MAX_WIDTH, o->widths, "--widths", err);
    if (o->batches && status == TARE_OK)
        status = cli_read_counts(sweep->batches, &sweep->batch_count, TARE_MAX_SWEEP_COUNTS,
                                 TARE_MAX_BATCH, o->batches, "--batches", err);
    return status;
}

/* ---- carrying it out ---------------------------------------------------------------------------
 */

/* The same text whether it was measured just now or long ago. */
static enum tare_status print_report(const char *dir, const struct options *o, bool write,
                                     struct tare_err *err) {
    struct tare_report_options how = {.width = (size_t)cli_width(), .colour = cli_colour()};
    struct tare_sweep_summary summary = {0};
    struct tare_buf text = {0};
    enum tare_status status = tare_sweep_read(&summary, dir, err);
    if (status == TARE_OK && write)
        status = tare_report_sweep_write(dir, &summary, err);
    if (status == TARE_OK && o->json)
        tare_report_sweep_json(&text, &summary);
    else if (status == TARE_OK && o->markdown)
        tare_report_sweep_markdown(&text, &summary);
    else if (status == TARE_OK)
        tare_report_sweep(&text, &summary, &how);
    if (status == TARE_OK && text.failed)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for the tables");
    cli_progress_end();
    if (status == TARE_OK)
        fwrite(text.data, 1, text.size, stdout);
    if (status == TARE_OK && write) {
        fflush(stdout);
        fprintf(stderr, "everything is in %s: sweep.md, sweep.json, sweep.jsonl\n", dir);
    }
    tare_buf_free(&text);
    tare_sweep_free(&summary);
    return status;
}

static enum tare_status carry_out(struct tare_sweep *sweep, const struct options *o,
                                  struct tare_err *err) {
    enum tare_status status = tare_sweep_run(sweep, err);
    if (status != TARE_OK && status != TARE_FAILED && status != TARE_INTERRUPTED)
        return status;
    struct tare_err report_err = {0};
    enum tare_status reported = print_report(sweep->dir, o, true, &report_err);
    if (reported != TARE_OK) {
        *err = report_err;
        return reported;
    }
    if (status == TARE_INTERRUPTED) {
        char again[sizeof err->hint];
        snprintf(again, sizeof again, "tare sweep --report %s", sweep->dir);
        return tare_fail(err, TARE_INTERRUPTED, NULL, again,
                         "interrupted; what was measured is kept");
    }
    return status;
}

/* The machine is looked at, and the folder made, when all that was asked for is known to be
 * possible. */
static enum tare_status measure(struct tare_sweep *sweep, const struct options *o,
                                struct tare_err *err) {
    static struct tare_machine machine;
    char *prepared = NULL;
    enum tare_status status = tare_sweep_check(sweep, err);
    if (status == TARE_OK)
        status = tare_results_open(sweep->dir, tare_sweep_bytes(sweep), err);
    if (status != TARE_OK)
        return status;
    tare_machine_describe(&machine);
    sweep->machine = &machine;
    sweep->stop = cli_catch_signals();
    sweep->progress = cli_show_progress;
    if (machine.busy)
        fprintf(stderr,
                "tare: warning: other programs use %.1f CPUs; measurements will suffer\n"
                "  try: close them and run this again\n",
                machine.others);
    status = tare_dataset_prepare(&prepared, sweep->dataset, err);
    if (status == TARE_OK) {
        sweep->prepared = prepared;
        status = carry_out(sweep, o, err);
    }
    free(prepared);
    return status;
}

static enum tare_status run_sweep(const struct options *o, int argc, char **argv,
                                  struct tare_err *err) {
    static struct tare_sweep sweep;
    static struct tare_plan plan;
    struct tare_dataset set = {0};
    char *dir = cli_results_folder(o->out);
    tare_sweep_defaults(&sweep);
    enum tare_status status = read_options(&sweep, o, err);
    if (status == TARE_OK && !dir)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    if (status == TARE_OK)
        status = make_plan(&plan, o, argc, argv, err);
    if (status == TARE_OK)
        status =
            cli_load_data(&set, o->data, TARE_CACHE_READ, o->no_download, o->data == NULL, err);
    if (status == TARE_OK) {
        sweep.plan = &plan;
        sweep.dataset = &set;
        sweep.dir = dir;
        status = measure(&sweep, o, err);
    }
    tare_dataset_free(&set);
    free(dir);
    return status;
}

/* The folder holds everything else. */
static enum tare_status check(const struct cli_args *args, const struct cli_option *options,
                              size_t count, const struct options *o, struct tare_err *err) {
    static const char *const fitting[] = {"report", "json", "markdown"};
    if (args->count > 0)
        return tare_fail(err, TARE_USAGE, args->words[0], "tare sweep --help",
                         "sweep takes options only");
    for (size_t i = 0; o->report && i < count; i++) {
        bool fits = !(args->given >> i & 1);
        for (size_t f = 0; f < sizeof fitting / sizeof *fitting; f++)
            fits = fits || strcmp(options[i].name, fitting[f]) == 0;
        if (!fits)
            return tare_fail(err, TARE_USAGE, "--report", "leave it out",
                             "prints what a folder holds: --%s has no place there",
                             options[i].name);
    }
    return TARE_OK;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct options o = {.runs = TARE_SWEEP_RUNS,
                        .seed = 1,
                        .threads = (size_t)cli_cpus(),
                        .minutes = TARE_SWEEP_MINUTES};
    const struct cli_option options[] = {
        {"engines", CLI_TEXT, &o.engines, "LIST",
         "NAME or NAME/VARIANT, with commas (all controlled ones that are installed)", 0},
        {"widths", CLI_TEXT, &o.widths, "LIST", "of the hidden layer (16,64,256,1024,4096)", 0},
        {"batches", CLI_TEXT, &o.batches, "LIST", "images per step (1,4,16,64,256,1024,4096)", 0},
        {"minutes", CLI_NUMBER, &o.minutes, "M", "all of it may take (15)", 0},
        {"runs", CLI_COUNT, &o.runs, "N", "of every point, where there is time (3)", 0},
        {"threads", CLI_COUNT, &o.threads, "N", "CPUs every engine may use (all)", 0},
        {"seed", CLI_COUNT, &o.seed, "N", "of weights and orders (1)", 0},
        {"certify", CLI_FLAG, &o.certify, NULL,
         "first look whether the engines do the same work, for the study's net", 0},
        {"data", CLI_TEXT, &o.data, "DIR", "your own data instead of MNIST", 0},
        {"out", CLI_TEXT, &o.out, "DIR", "results folder, new or empty (results/<time>)", 0},
        {"report", CLI_TEXT, &o.report, "DIR", "print the tables of a folder again", 0},
        {"json", CLI_FLAG, &o.json, NULL, "print one JSON object, tare-sweep-report/1", 0},
        {"markdown", CLI_FLAG, &o.markdown, NULL, "print Markdown, with every range", 0},
        {"no-download", CLI_FLAG, &o.no_download, NULL, "use only data that is on this machine", 0},
    };
    const size_t count = sizeof options / sizeof options[0];
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options, count, &err);
    if (helped)
        return 0;
    if (status == TARE_OK)
        status = check(&args, options, count, &o, &err);
    if (status == TARE_OK && o.report)
        status = print_report(o.report, &o, false, &err);
    else if (status == TARE_OK)
        status = run_sweep(&o, argc, argv, &err);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_sweep = {
    "sweep", "how a training step grows with net and batch, and where the choice stops mattering",
    "sweep [OPTION]...",
    "  tare sweep                                       5 widths, 7 batches, 15 minutes\n"
    "  tare sweep --engines native,libtorch --widths 64,1024 --batches 1,32,1024\n"
    "  tare sweep --minutes 60 --runs 6 --out results/grown\n"
    "  tare sweep --report results/grown --markdown     the same tables again\n",
    run};
