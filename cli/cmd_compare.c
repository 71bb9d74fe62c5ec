/* cmd_compare.c: tare compare: plans the experiment, checks that it can be carried out, runs it and
 * prints the report. The work itself is in src/lab and src/report. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/report.h"
#include "tare/summary.h"

#define MAX_THREAD_COUNTS 8

struct options {
    bool twice;
    const char *engines, *model, *data, *out, *track, *variants, *device, *threads, *resume;
    int counts[MAX_THREAD_COUNTS]; /* from --threads */
    size_t thread_counts;
    size_t runs, epochs, batch, seed;
    double lr, timeout_s;
    bool quick, dry_run, explain_setup, json, no_download;
};

/* ---- the plan ----------------------------------------------------------------------------------
 */

static enum tare_status check_counts(const struct options *o, struct tare_err *err) {
    if (o->runs < 1 || o->runs > TARE_MAX_RUNS)
        return tare_fail(err, TARE_USAGE, "--runs", "6, which carries a 95 % interval",
                         "must be 1 to %d", TARE_MAX_RUNS);
    enum tare_status status = cli_check_training(o->epochs, o->batch, err);
    if (status != TARE_OK)
        return status;
    if (o->track && strcmp(o->track, "tutorial") != 0 && strcmp(o->track, "controlled") != 0)
        return tare_fail(err, TARE_USAGE, "--track", "tutorial or controlled", "no such track");
    if (o->variants && strcmp(o->variants, "all") != 0)
        return tare_fail(err, TARE_USAGE, "--variants", "all, or --engines pytorch/compile",
                         "\"%.40s\" is not known", o->variants);
    if (o->device && strcmp(o->device, "cpu") != 0 && strcmp(o->device, "cuda") != 0)
        return tare_fail(err, TARE_USAGE, "--device", "cpu or cuda", "no such device");
    return TARE_OK;
}

/* Every count is a row of its own. */
static enum tare_status read_threads(struct options *o, struct tare_err *err) {
    size_t counts[MAX_THREAD_COUNTS];
    o->counts[0] = cli_cpus();
    o->thread_counts = 1;
    if (!o->threads)
        return TARE_OK;
    enum tare_status status = cli_read_counts(counts, &o->thread_counts, MAX_THREAD_COUNTS,
                                              (size_t)cli_cpus(), o->threads, "--threads", err);
    for (size_t i = 0; i < o->thread_counts && status == TARE_OK; i++)
        o->counts[i] = (int)counts[i];
    return status;
}

static enum tare_status make_plan(struct tare_plan *plan, const struct options *o, int argc,
                                  char **argv, struct tare_err *err) {
    tare_plan_defaults(plan);
    plan->runs = o->runs;
    plan->epochs = o->epochs;
    plan->batch = o->batch;
    plan->seed = o->seed;
    plan->threads = o->counts[0];
    plan->certify = true;
    plan->lr = o->lr;
    plan->timeout_s = o->timeout_s;
    plan->quick = o->quick;
    enum tare_status status = cli_plan_command(plan, argc, argv, err);
    if (status == TARE_OK)
        status = check_counts(o, err);
    struct tare_choice choice = {.track = o->track,
                                 .all_variants = o->variants != NULL,
                                 .device = o->device,
                                 .twice = o->twice,
                                 .threads = o->counts,
                                 .thread_counts = o->thread_counts};
    return status == TARE_OK ? cli_plan_engines(plan, o->engines, &choice, err) : status;
}

static void print_cell(const char *before, const struct tare_cell *cell) {
    printf("%s%s%s%s (%s)%s", before, cell->engine, cell->variant[0] ? "/" : "", cell->variant,
           cell->track, cell->again ? " again" : "");
}

static void print_plan(const struct tare_plan *plan, const struct tare_dataset *set,
                       const char *out) {
    double seconds = tare_plan_seconds(plan, set->train_images.shape[0]);
    printf("data       %s: %zu training and %zu test images, from %s\n", set->title,
           set->train_images.shape[0], set->test_images.shape[0], set->source);
    printf("model      %s (%zu parameters)\n", plan->model, plan->net.param_count);
    printf("training   Adam, learning rate %g, batch %zu, %zu epochs, %d threads\n", plan->lr,
           plan->batch, plan->epochs, plan->threads);
    printf("results    %s\n", out);
    printf("first      a discarded warm-up import of every tutorial, a certificate of every other "
           "engine\n"
           "after each its weights are exported to .onnx and .tflite, and run by onnxruntime and "
           "litert; each run ends with null\n");
    for (size_t run = 0; run < plan->runs; run++) {
        int32_t visit[TARE_MAX_CELLS];
        tare_plan_order(visit, plan, run);
        printf("run %zu/%zu ", run + 1, plan->runs);
        for (size_t i = 0; i < plan->cell_count; i++)
            print_cell(i ? ", " : "    ", &plan->cells[visit[i]]);
        printf("\n");
    }
    printf("estimate   %d:%02d minutes (rough: from two 2.5 GHz cores), %.0f MB on disk\n",
           (int)seconds / 60, (int)seconds % 60, (double)tare_plan_bytes(plan, set) * 1e-6);
}

/* ---- carrying it out ---------------------------------------------------------------------------
 */

static enum tare_status print_report(const char *dir, bool json, struct tare_err *err) {
    struct tare_summary summary = {0};
    struct tare_buf text = {0};
    char *path = tare_path_join(dir, "samples.jsonl");
    enum tare_status status = path ? tare_summary_read(&summary, path, err)
                                   : tare_fail(err, TARE_MEMORY, dir, NULL, "no memory");
    if (status == TARE_OK)
        status = tare_report_write_all(dir, &summary, err);
    if (status == TARE_OK && json)
        tare_report_json(&text, &summary);
    else if (status == TARE_OK)
        tare_report_text(
            &text, &summary,
            &(struct tare_report_options){.width = (size_t)cli_width(), .colour = cli_colour()});
    if (status == TARE_OK && text.failed)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for the report");
    cli_progress_end();
    if (status == TARE_OK) {
        fwrite(text.data, 1, text.size, stdout);
        fflush(stdout);
        fprintf(stderr, "everything is in %s: report.md, report.json, report.csv, samples.jsonl\n",
                dir);
    }
    tare_buf_free(&text);
    tare_summary_free(&summary);
    free(path);
    return status;
}

/* Runs a plan in its folder, a new one when journal is NULL, and prints the report of whatever came
 * of it. */
static enum tare_status carry_out(const struct tare_plan *plan, struct tare_journal *journal,
                                  const struct tare_dataset *set,
                                  const struct tare_machine *machine, const char *dir, bool json,
                                  struct tare_err *err) {
    const volatile sig_atomic_t *stop = cli_catch_signals();
    char *prepared = NULL;
    enum tare_status status = tare_dataset_prepare(&prepared, set, err);
    if (status != TARE_OK) {
        free(prepared);
        return status;
    }
    if (machine->busy)
        fprintf(stderr,
                "tare: warning: other programs use %.1f CPUs; measurements will suffer\n"
                "  try: close them and run this again\n",
                machine->others);
    struct tare_campaign campaign = {.plan = plan,
                                     .dataset = set,
                                     .machine = machine,
                                     .prepared = prepared,
                                     .dir = dir,
                                     .journal = journal,
                                     .stop = stop,
                                     .progress = cli_show_progress};
    status = tare_campaign_run(&campaign, err);
    if (status == TARE_OK || status == TARE_FAILED || status == TARE_INTERRUPTED) {
        struct tare_err report_err = {0};
        enum tare_status report_status = print_report(dir, json, &report_err);
        if (report_status != TARE_OK) {
            *err = report_err;
            status = report_status;
        }
    }
    if (status == TARE_INTERRUPTED) {
        char again[sizeof err->hint];
        snprintf(again, sizeof again, "tare compare --resume %s", dir);
        tare_fail(err, TARE_INTERRUPTED, NULL, again, "interrupted; what was measured is kept");
    }
    free(prepared);
    return status;
}

static enum tare_status compare(const struct options *o, int argc, char **argv,
                                struct tare_err *err) {
    struct tare_dataset set = {0};
    struct tare_machine machine;
    static struct tare_plan plan;
    char *dir = cli_results_folder(o->out);
    enum tare_status status = make_plan(&plan, o, argc, argv, err);
    if (status == TARE_OK && !dir)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    if (status == TARE_OK)
        status =
            cli_load_data(&set, o->data, TARE_CACHE_READ, o->no_download, o->data == NULL, err);
    if (status == TARE_OK)
        status = tare_plan_model(&plan, o->model, &set, err);
    if (status == TARE_OK && o->dry_run)
        print_plan(&plan, &set, dir);
    else if (status == TARE_OK) {
        status = tare_results_open(dir, tare_plan_bytes(&plan, &set), err);
        if (status == TARE_OK) {
            tare_machine_describe(&machine);
            status = carry_out(&plan, NULL, &set, &machine, dir, o->json, err);
        }
    }
    tare_dataset_free(&set);
    free(dir);
    return status;
}

/* ---- carrying on -------------------------------------------------------------------------------
 */

/* The data are looked for where they were, unless another folder is named. */
static enum tare_status carry_on(struct tare_resume *resume, const struct options *o,
                                 struct tare_err *err) {
    struct tare_dataset set = {0};
    struct tare_machine machine;
    const char *data = o->data                                 ? o->data
                       : tare_path_exists(resume->data_source) ? resume->data_source
                                                               : NULL;
    char model[TARE_MAX_SPEC];
    snprintf(model, sizeof model, "%s", resume->plan.model);
    enum tare_status status =
        cli_load_data(&set, data, TARE_CACHE_READ, o->no_download, data == NULL, err);
    if (status == TARE_OK) {
        tare_machine_describe(&machine);
        status = tare_resume_check(resume, &set, &machine, err);
    }
    if (status == TARE_OK)
        status = tare_plan_model(&resume->plan, model, &set, err);
    if (status == TARE_OK)
        status = carry_out(&resume->plan, resume->journal, &set, &machine, o->resume, o->json, err);
    tare_dataset_free(&set);
    return status;
}

static enum tare_status resume(const struct options *o, struct tare_err *err) {
    static struct tare_resume resumed; /* static: it holds a plan */
    enum tare_status status = tare_resume_open(&resumed, o->resume, err);
    if (status != TARE_OK)
        return status;
    if (resumed.cut)
        fprintf(stderr, "tare: the last line of samples.jsonl was cut off by a crash; its job is "
                        "measured again\n");
    status = tare_resume_is_complete(&resumed) ? print_report(o->resume, o->json, err)
                                               : carry_on(&resumed, o, err);
    tare_resume_close(&resumed);
    return status;
}

/* The plan is the folder's: options that would change it have no place beside --resume. */
static enum tare_status check_resume(const struct cli_option *options, size_t count, uint32_t given,
                                     struct tare_err *err) {
    static const char *const fitting[] = {"resume", "data", "json", "no-download"};
    for (size_t i = 0; i < count; i++) {
        bool fits = !(given >> i & 1);
        for (size_t f = 0; f < sizeof fitting / sizeof *fitting; f++)
            fits = fits || strcmp(options[i].name, fitting[f]) == 0;
        if (!fits)
            return tare_fail(err, TARE_USAGE, "--resume", "leave it out",
                             "carries on the plan that the folder holds: --%s has no place there",
                             options[i].name);
    }
    return TARE_OK;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct options o = {.runs = TARE_DEFAULT_RUNS,
                        .epochs = 5,
                        .batch = 32,
                        .seed = 1,

                        .lr = 1e-3,
                        .timeout_s = TARE_DEFAULT_TIMEOUT_S};
    size_t runs = SIZE_MAX, epochs = SIZE_MAX; /* not given: it depends on --quick */
    const struct cli_option options[] = {
        {"engines", CLI_TEXT, &o.engines, "LIST",
         "of these engines; NAME/VARIANT for one way (default: all but null)", 0},
        {"model", CLI_TEXT, &o.model, "SPEC", "another net: \"784 dense:128:relu dense:10\"", 0},
        {"data", CLI_TEXT, &o.data, "DIR",
         "your own data: IDX or .npy pairs, or a folder of images per class", 0},
        {"runs", CLI_COUNT, &runs, "N", "runs of every engine (6; fewer carry no interval)", 0},
        {"epochs", CLI_COUNT, &epochs, "N", "passes over the training set (5)", 0},
        {"batch", CLI_COUNT, &o.batch, "N", "images per step (32)", 0},
        {"lr", CLI_NUMBER, &o.lr, "X", "Adam's learning rate (0.001)", 0},
        {"seed", CLI_COUNT, &o.seed, "N", "of weights and orders; run r uses N + r (1)", 0},
        {"threads", CLI_TEXT, &o.threads, "LIST",
         "CPUs every engine may use (all); 1,2 makes rows of both", 0},
        {"track", CLI_TEXT, &o.track, "NAME", "tutorial or controlled only", 0},
        {"variants", CLI_TEXT, &o.variants, "all",
         "also the slow ones (torch.compile: a minute a run)", 0},
        {"device", CLI_TEXT, &o.device, "NAME", "of the controlled track: cpu (default) or cuda",
         0},
        {"twice", CLI_FLAG, &o.twice, NULL,
         "every engine beside itself: a difference between the two is chance", 0},
        {"timeout", CLI_NUMBER, &o.timeout_s, "S", "seconds one job may take (600)", 0},
        {"out", CLI_TEXT, &o.out, "DIR", "results folder, new or empty (results/<time>)", 0},
        {"resume", CLI_TEXT, &o.resume, "DIR",
         "carry on what was cut short there: only what is missing is run", 0},
        {"quick", CLI_FLAG, &o.quick, NULL, "1 run of 1 epoch: a first look, no statistics", 0},
        {"dry-run", CLI_FLAG, &o.dry_run, NULL,
         "print the plan, its estimated time and disk; run nothing", 0},
        {"explain-setup", CLI_FLAG, &o.explain_setup, NULL,
         "what was replaced in each tutorial, and why", 0},
        {"json", CLI_FLAG, &o.json, NULL, "print report.json instead of the table", 0},
        {"no-download", CLI_FLAG, &o.no_download, NULL, "use only data that is on this machine", 0},
    };
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof options[0], &err);
    if (helped)
        return 0;
    if (status == TARE_OK && args.count > 0)
        status = tare_fail(&err, TARE_USAGE, args.words[0], "tare compare --help",
                           "compare takes options only");
    if (status == TARE_OK && o.explain_setup) {
        cli_print_setup();
        return 0;
    }
    if (status == TARE_OK && o.resume) {
        status = check_resume(options, sizeof options / sizeof options[0], args.given, &err);
        if (status == TARE_OK)
            status = resume(&o, &err);
        return status == TARE_OK ? 0 : cli_fail(&err);
    }
    if (status == TARE_OK)
        status = read_threads(&o, &err);
    o.runs = runs != SIZE_MAX ? runs : o.quick ? 1 : o.runs;
    o.epochs = epochs != SIZE_MAX ? epochs : o.quick ? 1 : o.epochs;
    if (status == TARE_OK)
        status = compare(&o, argc, argv, &err);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_compare = {
    "compare", "trains the same net with every engine and prints what each cost",
    "compare [OPTION]...",
    "  tare compare                                      6 runs on MNIST: the whole comparison\n"
    "  tare compare --quick                              1 run of 1 epoch\n"
    "  tare compare --engines native,pytorch --runs 10\n"
    "  tare compare --model \"784 dense:128:relu dense:10\" --batch 64\n"
    "  tare compare --data my-images/ --out results/mine\n"
    "  tare compare --resume results/mine                carry on after Ctrl-C or a crash\n"
    "  tare compare --dry-run                            what would be run\n",
    run};
