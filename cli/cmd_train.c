/* cmd_train.c: tare train: one training run by one engine, to a .safetensors that explains itself.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/optimizer.h"
#include "tare/safetensors.h"

struct options {
    const char *out, *engine, *model, *data, *schedule;
    size_t epochs, batch, seed, threads;
    double lr, timeout_s;
    bool json, no_download;
};

struct training { /* of one job, in a temporary folder */
    const struct options *options;
    const struct tare_plan *plan;
    const struct tare_dataset *set;
    char *prepared, *dir;
    struct tare_job job;
    struct tare_outcome outcome;
    struct tare_grade grade;
};

static enum tare_status fill_job(struct training *t, struct tare_err *err) {
    const struct options *o = t->options;
    struct tare_job *job = &t->job;
    tare_job_defaults(job);
    snprintf(job->track, sizeof job->track, "%s", t->plan->cells[0].track);
    snprintf(job->variant, sizeof job->variant, "%s", t->plan->cells[0].variant);
    snprintf(job->model, sizeof job->model, "%s", t->plan->model);
    snprintf(job->schedule, sizeof job->schedule, "%s", o->schedule);
    job->lr = o->lr;
    job->batch = o->batch;
    job->epochs = o->epochs;
    job->seed = o->seed;
    job->threads = (int)o->threads;
    bool good = tare_job_path(job->images, t->prepared, "train_images.npy") &&
                tare_job_path(job->labels, t->prepared, "train_labels.npy") &&
                tare_job_path(job->test_images, t->prepared, "test_images.npy") &&
                tare_job_path(job->init, t->dir, "init.safetensors") &&
                tare_job_path(job->order, t->dir, "order.npy") &&
                tare_job_path(job->out, t->dir, "weights.safetensors") &&
                tare_job_path(job->logits, t->dir, "logits.npy") &&
                snprintf(job->scratch, sizeof job->scratch, "%s", t->dir) < TARE_MAX_PATH &&
                snprintf(job->data_dir, sizeof job->data_dir, "%s", t->prepared) < TARE_MAX_PATH;
    if (!good)
        return tare_fail(err, TARE_USAGE, t->dir, "set TMPDIR to a shorter one", "path too long");
    return tare_plan_write_run(job->init, job->order, t->plan, 0, t->set->train_images.shape[0],
                               err);
}

static void show_event(void *context, const struct tare_event *event) {
    const struct training *t = context;
    char text[160];
    if (event->kind == TARE_EVENT_EPOCH) {
        snprintf(text, sizeof text, "epoch %zu/%zu: loss %.4f, %.2f s", event->index + 1,
                 t->options->epochs, event->value, (double)event->wall_ns * 1e-9);
        cli_progress(text);
    }
}

/* An engine that passes over what it doesn't know would have trained something else. */
static bool kept_schedule(const struct training *t) {
    const char *said = tare_outcome_setting(&t->outcome, "schedule");
    return strcmp(said ? said : "constant", t->job.schedule) == 0;
}

static enum tare_status run_engine(struct training *t, struct tare_err *err) {
    char *program = NULL, job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    enum tare_status status = tare_engine_find(&program, t->plan->cells[0].engine, err);
    if (status != TARE_OK || !tare_job_path(job_path, t->dir, "job.json") ||
        !tare_job_path(log_path, t->dir, "stderr.log"))
        return status;
    struct tare_launch how = {.program = program,
                              .engine = t->plan->cells[0].engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = (int)t->options->threads,
                              .timeout_s = t->options->timeout_s,
                              .stop = cli_catch_signals(),
                              .progress = show_event,
                              .context = t};
    status = tare_launch_job(&t->outcome, &how, &t->job, err);
    free(program);
    cli_progress_end();
    if (status == TARE_OK && t->outcome.interrupted)
        return tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted; nothing was written");
    bool trained = t->outcome.state == TARE_STATE_OK || t->outcome.state == TARE_STATE_VOID;
    if (status == TARE_OK && !trained)
        return tare_fail(err, TARE_FAILED, t->options->engine, t->outcome.fix, "%s",
                         t->outcome.reason);
    if (status == TARE_OK && !kept_schedule(t))
        return tare_fail(err, TARE_FAILED, t->options->engine, "--schedule constant",
                         "the engine doesn't say that it trained with the schedule \"%s\"",
                         t->job.schedule);
    return status;
}

/* What `tare export` puts into the files it makes. */
static enum tare_status say_where_from(struct tare_tensors *tensors, const struct training *t,
                                       struct tare_err *err) {
    char trained_by[TARE_MAX_TEXT + 64];
    snprintf(trained_by, sizeof trained_by, "%s %s", t->plan->cells[0].engine, t->outcome.version);
    const char *const pairs[][2] = {{"trained_by", trained_by},
                                    {"dataset", t->set->title},
                                    {"dataset_sha256", t->set->sha256},
                                    {"dataset_licence", t->set->licence}};
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0] && status == TARE_OK; i++)
        status = tare_tensors_set_metadata(tensors, pairs[i][0], pairs[i][1], err);
    return status;
}

/* Checks what the engine wrote by reading it as tare reads any model, adds where it comes from, and
 * only then puts it in place. */
static enum tare_status keep_weights(struct training *t, struct tare_err *err) {
    struct tare_tensors tensors = {0};
    struct tare_array logits = {0};
    float *params = calloc(t->plan->net.param_count + 1, sizeof *params);
    enum tare_status status =
        params ? tare_safetensors_read(&tensors, t->job.out, err)
               : tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the weights");
    if (status == TARE_OK)
        status = tare_net_from_tensors(params, &t->plan->net, &tensors, t->job.out, err);
    if (status == TARE_OK)
        status = tare_npy_read(&logits, t->job.logits, err);
    if (status == TARE_OK)
        status = tare_grade_logits(&t->grade, &logits, &t->set->test_labels, err);
    if (status == TARE_OK && !t->grade.finite)
        status = tare_fail(err, TARE_FAILED, t->options->engine, "a smaller --lr",
                           "the training diverged: logits are not numbers");
    if (status == TARE_OK)
        status = say_where_from(&tensors, t, err);
    if (status == TARE_OK)
        status = tare_safetensors_write(t->options->out, &tensors, err);
    tare_array_free(&logits);
    tare_tensors_free(&tensors);
    free(params);
    return status;
}

static enum tare_status print_result(const struct training *t, struct tare_err *err) {
    double train_s = (double)(tare_outcome_phase_ns(&t->outcome, "first_step") +
                              tare_outcome_phase_ns(&t->outcome, "train")) *
                     1e-9;
    char accuracy[64];
    cli_percent(accuracy, t->grade.correct, t->grade.total);
    if (t->options->json)
        return cli_print_json(json_pack("{s:s,s:s,s:f,s:I,s:I,s:s}", "engine", t->options->engine,
                                        "dataset", t->set->name, "train_s", train_s, "correct",
                                        (json_int_t)t->grade.correct, "total",
                                        (json_int_t)t->grade.total, "out", t->options->out),
                              err);
    printf("%s, %s: %zu epoch%s in %.2f s; accuracy %s of %zu test images, 95 %% interval\n"
           "written to %s\n",
           t->set->title, t->options->engine, t->options->epochs,
           t->options->epochs == 1 ? "" : "s", train_s, accuracy, t->grade.total, t->options->out);
    if (t->outcome.state == TARE_STATE_VOID)
        fprintf(stderr, "tare: warning: the time is void: %s\n", t->outcome.reason);
    return TARE_OK;
}

static enum tare_status train(const struct options *o, struct tare_err *err) {
    static struct tare_plan plan;
    static struct training t;
    struct tare_dataset set = {0};
    t = (struct training){.options = o, .plan = &plan, .set = &set};
    tare_plan_defaults(&plan);
    plan.epochs = o->epochs;
    plan.batch = o->batch;
    plan.seed = o->seed;
    plan.lr = o->lr;
    char *program =
        NULL; /* looked for first: a wrong name should not cost the loading of the data */
    enum tare_status status = tare_plan_add(&plan, o->engine, NULL, err);
    if (status == TARE_OK)
        status = tare_engine_find(&program, plan.cells[0].engine, err);
    free(program);
    if (status == TARE_OK)
        status =
            cli_load_data(&set, o->data, TARE_CACHE_MAPPED, o->no_download, o->data == NULL, err);
    if (status == TARE_OK)
        status = tare_plan_model(&plan, o->model, &set, err);
    if (status == TARE_OK)
        status = tare_dataset_prepare(&t.prepared, &set, err);
    if (status == TARE_OK && !(t.dir = cli_temporary_dir(err)))
        status = err->status;
    if (status == TARE_OK)
        status = fill_job(&t, err);
    if (status == TARE_OK)
        status = run_engine(&t, err);
    if (status == TARE_OK)
        status = keep_weights(&t, err);
    if (status == TARE_OK)
        status = print_result(&t, err);
    if (t.dir)
        cli_remove_dir(t.dir);
    tare_outcome_free(&t.outcome);
    tare_dataset_free(&set);
    free(t.dir);
    free(t.prepared);
    return status;
}

/* Where the weights will go is checked before the training, not after it. */
static enum tare_status check_target(const char *out, struct tare_err *err) {
    struct stat info;
    if (stat(out, &info) == 0 && !S_ISREG(info.st_mode))
        return tare_fail(err, TARE_IO, out, "a file's name", "is there and is not a file");
    char *folder = strdup(out);
    if (!folder)
        return tare_fail(err, TARE_MEMORY, out, NULL, "no memory");
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    enum tare_status status = TARE_OK;
    if (!out[0] || access(slash ? folder : ".", W_OK) != 0)
        status = tare_fail_errno(err, out, "a file in a folder that can be written",
                                 "cannot be written");
    free(folder);
    return status;
}

static enum tare_status check(const struct options *o, const struct cli_args *args,
                              struct tare_err *err) {
    if (args->count > 0)
        return tare_fail(err, TARE_USAGE, args->words[0], "tare train --help",
                         "train takes options only");
    if (!o->out)
        return tare_fail(err, TARE_USAGE, "--output", "tare train -o digits.safetensors",
                         "where should the weights go?");
    if (o->threads < 1 || o->threads > (size_t)cli_cpus())
        return tare_fail(err, TARE_USAGE, "--threads", NULL, "must be 1 to %d, the CPUs allowed",
                         cli_cpus());
    enum tare_schedule schedule;
    enum tare_status status = cli_check_training(o->epochs, o->batch, err);
    if (status == TARE_OK)
        status = tare_schedule_find(&schedule, o->schedule, err);
    return status == TARE_OK ? check_target(o->out, err) : status;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct options o = {.engine = "native",
                        .epochs = 5,
                        .batch = 32,
                        .seed = 1,
                        .threads = (size_t)cli_cpus(),
                        .lr = 1e-3,
                        .schedule = "constant",
                        .timeout_s = TARE_DEFAULT_TIMEOUT_S};
    const struct cli_option options[] = {
        {"output", CLI_TEXT, &o.out, "FILE", "the trained weights, .safetensors", 'o'},
        {"engine", CLI_TEXT, &o.engine, "NAME", "native (default), keras, pytorch, or your own", 0},
        {"model", CLI_TEXT, &o.model, "SPEC", "another net: \"784 dense:128:relu dense:10\"", 0},
        {"data", CLI_TEXT, &o.data, "DIR", "your own data instead of MNIST", 0},
        {"epochs", CLI_COUNT, &o.epochs, "N", "passes over the training set (5)", 0},
        {"batch", CLI_COUNT, &o.batch, "N", "images per step (32)", 0},
        {"lr", CLI_NUMBER, &o.lr, "X", "Adam's learning rate (0.001)", 0},
        {"schedule", CLI_TEXT, &o.schedule, "NAME",
         "of the rate: constant (default), or linear: up, then to 0", 0},
        {"seed", CLI_COUNT, &o.seed, "N", "of weights and order (1)", 0},
        {"threads", CLI_COUNT, &o.threads, "N", "CPUs it may use (all that are allowed)", 0},
        {"timeout", CLI_NUMBER, &o.timeout_s, "S", "seconds it may take (600)", 0},
        {"json", CLI_FLAG, &o.json, NULL, "print the result as JSON", 0},
        {"no-download", CLI_FLAG, &o.no_download, NULL, "use only data that is on this machine", 0},
    };
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof options[0], &err);
    if (helped)
        return 0;
    if (status == TARE_OK)
        status = check(&o, &args, &err);
    if (status == TARE_OK)
        status = train(&o, &err);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_train = {
    "train", "trains once and writes the weights", "train -o FILE [OPTION]...",
    "  tare train -o digits.safetensors\n"
    "  tare train -o wide.safetensors --model \"784 dense:256:relu dense:10\" --epochs 3\n"
    "  tare train -o fast.safetensors --epochs 2 --batch 64 --lr 0.012 --schedule linear\n"
    "  tare train -o torch.safetensors --engine pytorch\n",
    run};
