/* campaign.c: carries out an experiment: a discarded warm-up per engine, then round after round in
 * a seeded order, each finished job graded and recorded before the next begins. The models that
 * tutorials export are run over the test set by the C engines litert and onnxruntime at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/provenance.h"
#include "lab/record.h"
#include "tare/buf.h"
#include "tare/certify.h"
#include "tare/clock.h"

#define INFER_LOOPS 5 /* timed calls on the whole test set, after the first */

/* What a campaign knows while it runs. Paths in jobs are absolute: engines run anywhere. */
struct state {
    struct tare_campaign *campaign;
    char *dir;          /* absolute */
    char *init, *order; /* of the current run */
    size_t next_index;
    /* cells that failed to start or to certify, or ran out of time: not tried again */
    bool given_up[TARE_MAX_CELLS + 1];
    bool litert_given_up, onnxruntime_given_up;
    struct tare_certificate *certificates; /* TARE_MAX_CELLS */
    size_t done, total;
    int64_t start_ns;
    double spent_s, planned_s; /* estimated seconds of the jobs that are done, and of all */
};

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for a job");
}

/* ---- files that all engines of a run share ------------------------------------------------------
 */

static enum tare_status begin_run(struct state *s, size_t run, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    struct tare_buf folder = {0};
    tare_buf_printf(&folder, "%s/runs/%zu", s->dir, run);
    free(s->init);
    free(s->order);
    s->init = folder.failed ? NULL : tare_path_join(folder.data, "init.safetensors");
    s->order = folder.failed ? NULL : tare_path_join(folder.data, "order.npy");
    enum tare_status status =
        s->init && s->order ? tare_make_dirs(folder.data, err) : no_memory(err);
    tare_buf_free(&folder);
    if (status == TARE_OK)
        status = tare_plan_write_run(s->init, s->order, x, run,
                                     s->campaign->dataset->train_images.shape[0], err);
    return status == TARE_OK ? tare_samples_append(s->dir, tare_record_run(run, s->dir), err)
                             : status;
}

/* ---- one job ------------------------------------------------------------------------------------
 */

/* Joins into a job's path; false when it doesn't fit. */
static bool put_path(char out[TARE_MAX_PATH], const char *dir, const char *file) {
    int size = snprintf(out, TARE_MAX_PATH, "%s/%s", dir, file);
    return size > 0 && size < TARE_MAX_PATH;
}

static bool fill_job(struct tare_job *job, const struct state *s,
                     const struct tare_job_result *result, const char *job_dir) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_plan *x = c->plan;
    tare_job_defaults(job);
    snprintf(job->task, sizeof job->task, "%s", result->task);
    bool harness = strcmp(result->cell.track, "harness") == 0;
    snprintf(job->track, sizeof job->track, "%s", harness ? "controlled" : result->cell.track);
    snprintf(job->variant, sizeof job->variant, "%s", result->cell.variant);
    snprintf(job->model, sizeof job->model, "%s", x->model);
    job->lr = x->lr;
    job->batch = x->batch;
    job->epochs = x->epochs;
    job->range = harness ? 1 : 0; /* one step a call: that is the price the harness line states */
    job->threads = result->cell.threads;
    snprintf(job->device, sizeof job->device, "%s", result->cell.device);
    job->seed = x->seed + (size_t)(result->run < 0 ? 0 : result->run);
    job->infer_loops = INFER_LOOPS;
    bool good = put_path(job->images, c->prepared, "train_images.npy") &&
                put_path(job->labels, c->prepared, "train_labels.npy") &&
                put_path(job->test_images, c->prepared, "test_images.npy") &&
                put_path(job->logits, job_dir, "logits.npy");
    if (strcmp(result->task, "infer") == 0) {
        job->model[0] = '\0'; /* the model file knows */
        return good && put_path(job->model_file, s->dir, result->path);
    }
    if (strcmp(result->task, "warmup") == 0)
        return good;
    good = good && put_path(job->out, job_dir, "weights.safetensors") &&
           snprintf(job->init, sizeof job->init, "%s", s->init) < TARE_MAX_PATH &&
           snprintf(job->order, sizeof job->order, "%s", s->order) < TARE_MAX_PATH;
    if (strcmp(job->track, "tutorial") == 0)
        good = good && snprintf(job->data_dir, TARE_MAX_PATH, "%s", c->prepared) < TARE_MAX_PATH &&
               snprintf(job->export_dir, TARE_MAX_PATH, "%s", job_dir) < TARE_MAX_PATH;
    return good;
}

static void spoil(struct tare_job_result *result, const char *reason) {
    result->outcome.state = TARE_STATE_FAILED;
    snprintf(result->outcome.reason, sizeof result->outcome.reason, "%s", reason);
}

/* Reads the logits an engine wrote and grades them; a wrong file spoils the job, not the campaign.
 */
static void grade(const struct state *s, struct tare_job_result *result, const char *job_dir) {
    struct tare_err err = {0};
    struct tare_array logits = {0}, others = {0};
    char path[TARE_MAX_PATH], other_path[TARE_MAX_PATH];
    bool good = put_path(path, job_dir, "logits.npy") && tare_path_exists(path);
    if (!good) {
        spoil(result, "wrote no logits");
        return;
    }
    enum tare_status status = tare_npy_read(&logits, path, &err);
    if (status == TARE_OK)
        status =
            tare_grade_logits(&result->grade, &logits, &s->campaign->dataset->test_labels, &err);
    if (status == TARE_OK && !result->grade.finite)
        spoil(result, "returned logits that are not numbers (NaN or infinite)");
    else if (status == TARE_OK && result->of) {
        char other_dir[TARE_MAX_PATH];
        if (put_path(other_dir, s->dir, result->of->dir) &&
            put_path(other_path, other_dir, "logits.npy"))
            status = tare_npy_read(&others, other_path, &err);
        if (status == TARE_OK)
            status = tare_compare_logits(&result->max_abs_diff, &result->changed_answers, &logits,
                                         &others, &err);
        result->compared = status == TARE_OK;
    }
    if (status != TARE_OK)
        spoil(result, err.what);
    result->graded = result->outcome.state != TARE_STATE_FAILED;
    if (result->graded && !result->of && result->grade.total <= TARE_MAX_RIGHT &&
        (result->right = malloc(TARE_RIGHT_BYTES(result->grade.total))) != NULL)
        tare_grade_right(result->right, &logits, &s->campaign->dataset->test_labels);
    tare_array_free(&logits);
    tare_array_free(&others);
}

static void report_progress(struct state *s, const struct tare_job_result *result,
                            const char *doing, bool finished) {
    struct tare_campaign *c = s->campaign;
    if (!c->progress)
        return;
    double elapsed_s = (double)(tare_now_ns() - s->start_ns) * 1e-9;
    /* The plan's rough seconds, corrected by what they have proved to be so far. */
    double left_s = s->spent_s > 0 ? (s->planned_s - s->spent_s) * elapsed_s / s->spent_s : -1;
    struct tare_progress progress = {.done = s->done,
                                     .total = s->total,
                                     .run = result->run,
                                     .cell = &result->cell,
                                     .doing = doing,
                                     .outcome = finished ? &result->outcome : NULL,
                                     .left_s = left_s};
    c->progress(c->context, &progress);
}

/* Where the engine isn't installed: a skipped cell with the way to get it. */
static void not_installed(struct tare_job_result *result, const struct tare_err *err) {
    result->outcome.state = TARE_STATE_SKIPPED;
    snprintf(result->outcome.reason, sizeof result->outcome.reason, "%s", err->what);
    snprintf(result->outcome.fix, sizeof result->outcome.fix, "%s", err->hint);
    snprintf(result->reproduce, sizeof result->reproduce, "tare-engine-%s --help",
             result->cell.engine);
}

/* A path inside the current folder as seen from there: shorter to copy, and the same on every
 * machine. Others stay whole. */
static const char *from_here(const char *path) {
    char here[TARE_MAX_PATH];
    size_t size = getcwd(here, sizeof here) ? strlen(here) : 0;
    bool inside = size > 0 && strncmp(path, here, size) == 0 && path[size] == '/';
    return inside ? path + size + 1 : path;
}

static enum tare_status launch(struct state *s, struct tare_job_result *result, const char *program,
                               const char *job_dir, struct tare_err *err) {
    struct tare_campaign *c = s->campaign;
    static struct tare_job job; /* 20 kB: off the stack */
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    if (!fill_job(&job, s, result, job_dir) || !put_path(job_path, job_dir, "job.json") ||
        !put_path(log_path, job_dir, "stderr.log"))
        return tare_fail(err, TARE_USAGE, job_dir, "choose a shorter --out",
                         "the path is too long");
    struct tare_buf reproduce = {0};
    tare_buf_shell_word(&reproduce, from_here(program));
    tare_buf_puts(&reproduce, " < ");
    tare_buf_shell_word(&reproduce, from_here(job_path));
    if (!reproduce.failed)
        snprintf(result->reproduce, sizeof result->reproduce, "%s", reproduce.data);
    tare_buf_free(&reproduce);
    tare_provenance_program(result->program_sha256, program);
    struct tare_launch how = {.program = program,
                              .engine = result->cell.engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = result->cell.threads,
                              .timeout_s = c->plan->timeout_s,
                              .stop = c->stop};
    return tare_launch_job(&result->outcome, &how, &job, err);
}

/* Runs one job from its folder to its record. result->dir is allocated here and freed by
 * finish_job. A job that fails is a result; the status speaks of tare itself. */
static enum tare_status run_job(struct state *s, struct tare_job_result *result, const char *doing,
                                struct tare_err *err) {
    result->index = s->next_index++;
    struct tare_buf dir = {0};
    tare_buf_printf(&dir, "jobs/%04zu-%s-%s", result->index, result->cell.engine,
                    result->cell.track);
    if (result->run >= 0)
        tare_buf_printf(&dir, "-r%d", result->run);
    result->dir = dir.data;
    char *job_dir = dir.failed ? NULL : tare_path_join(s->dir, dir.data);
    char *program = NULL;
    struct tare_err missing = {0};
    report_progress(s, result, doing, false);
    enum tare_status status = job_dir ? tare_make_dirs(job_dir, err) : no_memory(err);
    if (status == TARE_OK && tare_engine_find(&program, result->cell.engine, &missing) != TARE_OK)
        not_installed(result, &missing);
    else if (status == TARE_OK)
        status = launch(s, result, program, job_dir, err);
    bool measures = strcmp(result->task, "warmup") != 0;
    if (status == TARE_OK && measures &&
        (result->outcome.state == TARE_STATE_OK || result->outcome.state == TARE_STATE_VOID))
        grade(s, result, job_dir);
    if (status == TARE_OK && result->outcome.interrupted)
        status = tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
    else if (status == TARE_OK)
        status = tare_samples_append(s->dir, tare_record_job(result, s->dir), err);
    if (status == TARE_OK && result->outcome.state != TARE_STATE_OK)
        s->campaign->failed_jobs++;
    s->done += status == TARE_OK && strcmp(result->task, "train") == 0;
    if (status == TARE_OK)
        report_progress(s, result, doing, true);
    free(program);
    free(job_dir);
    return status;
}

static void finish_job(struct tare_job_result *result) {
    tare_outcome_free(&result->outcome);
    free(result->right);
    free((char *)result->dir); /* made by run_job */
}

/* ---- the parts of a campaign -------------------------------------------------------------------
 */

static double estimate_s(const struct state *s, const struct tare_cell *cell) {
    struct tare_plan one = *s->campaign->plan;
    one.cells[0] = *cell;
    one.cell_count = 1;
    one.runs = 1;
    return tare_plan_seconds(&one, s->campaign->dataset->train_images.shape[0]);
}

/* Runs what a training job exported, in the runtime of its format. */
static enum tare_status infer_export(struct state *s, const struct tare_job_result *of,
                                     const struct tare_event *event, struct tare_err *err) {
    const char *engine = strcmp(event->name, "tflite") == 0 ? "litert"
                         : strcmp(event->name, "onnx") == 0 ? "onnxruntime"
                                                            : NULL;
    if (!engine)
        return TARE_OK; /* a format no runtime here knows; the export itself is still shown */
    bool *given_up = engine[0] == 'l' ? &s->litert_given_up : &s->onnxruntime_given_up;
    if (*given_up)
        return TARE_OK;
    size_t prefix = strlen(s->dir);
    const char *path = event->extra;
    if (strncmp(path, s->dir, prefix) == 0 && path[prefix] == '/')
        path += prefix + 1;
    struct tare_job_result result = {.run = of->run,
                                     .task = "infer",
                                     .cell = {.track = "deployment", .device = "cpu", .threads = 1},
                                     .batch = s->campaign->plan->batch,
                                     .of = of,
                                     .format = event->name,
                                     .path = path};
    snprintf(result.cell.engine, sizeof result.cell.engine, "%s", engine);
    char doing[TARE_MAX_TEXT];
    snprintf(doing, sizeof doing, "run %s's model.%s", of->cell.engine, event->name);
    enum tare_status status = run_job(s, &result, doing, err);
    *given_up = result.outcome.timed_out || result.outcome.state == TARE_STATE_SKIPPED;
    finish_job(&result);
    return status;
}

/* Whether a cell must prove that it does the same work: not the tutorials, whose work differs by
 * design, and not the null engine, which does none. */
static bool is_certified(const struct tare_plan *plan, const struct tare_cell *cell) {
    return plan->certify && strcmp(cell->track, "controlled") == 0 &&
           strcmp(cell->engine, "null") != 0;
}

/* The first timed run is judged too: the mean loss of its first epoch. A certificate that this
 * overturns is recorded anew; the last record of a cell is the one that holds. */
static enum tare_status certify_epoch(struct state *s, const struct tare_job_result *result,
                                      struct tare_certificate *certificate, struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    double reference = 0;
    for (size_t i = 0; i < result->outcome.event_count; i++) {
        const struct tare_event *event = &result->outcome.events[i];
        if (event->kind != TARE_EVENT_EPOCH || event->index != 0)
            continue;
        enum tare_status status =
            tare_reference_epoch(&reference, c->plan, (size_t)result->run, c->dataset, err);
        if (status != TARE_OK)
            return status;
        tare_certificate_epoch(certificate, event->value, reference);
        if (certificate->state != TARE_CERTIFICATE_OK)
            s->campaign->failed_jobs++;
        return tare_samples_append(s->dir, tare_certificate_json(certificate), err);
    }
    return TARE_OK;
}

/* `which` is the cell's index in the plan, or TARE_MAX_CELLS for the harness. */
static enum tare_status run_cell(struct state *s, const struct tare_cell *cell, size_t run,
                                 size_t which, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    struct tare_job_result result = {
        .run = (int)run, .task = "train", .cell = *cell, .batch = x->batch};
    enum tare_status status = run_job(s, &result, "train", err);
    for (size_t i = 0; i < result.outcome.event_count && status == TARE_OK; i++)
        if (result.outcome.events[i].kind == TARE_EVENT_EXPORT &&
            result.outcome.state != TARE_STATE_FAILED)
            status = infer_export(s, &result, &result.outcome.events[i], err);
    if (status == TARE_OK && run == 0 && is_certified(x, cell) &&
        s->certificates[which].state == TARE_CERTIFICATE_OK)
        status = certify_epoch(s, &result, &s->certificates[which], err);
    s->given_up[which] = result.outcome.timed_out;
    finish_job(&result);
    s->spent_s += estimate_s(s, cell);
    return status;
}

/* Proves, before any timing, that a cell does the same work. */
static enum tare_status certify(struct state *s, size_t which, struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_cell *cell = &c->plan->cells[which];
    struct tare_certificate *certificate = &s->certificates[which];
    struct tare_job_result shown = {.run = -1, .cell = *cell};
    char dir[TARE_MAX_PATH];
    if (snprintf(dir, sizeof dir, "%s/certificates/%02zu-%s%s%s", s->dir, which, cell->engine,
                 cell->variant[0] ? "-" : "", cell->variant) >= TARE_MAX_PATH)
        return tare_fail(err, TARE_USAGE, s->dir, "choose a shorter --out", "the path is too long");
    struct tare_certify_request request = {.plan = c->plan,
                                           .dataset = c->dataset,
                                           .prepared = c->prepared,
                                           .engine = cell->engine,
                                           .variant = cell->variant,
                                           .device = cell->device,
                                           .threads = cell->threads,
                                           .dir = dir,
                                           .timeout_s = c->plan->timeout_s,
                                           .stop = c->stop};
    report_progress(s, &shown, "certificate", false);
    shown.outcome.exec_ns = tare_now_ns();
    enum tare_status status = tare_certify(certificate, &request, err);
    shown.outcome.end_ns = tare_now_ns();
    if (status == TARE_OK) {
        json_t *record = tare_certificate_json(certificate);
        json_object_set_new(record, "files",
                            tare_provenance_files(s->dir, dir + strlen(s->dir) + 1));
        status = tare_samples_append(s->dir, record, err);
    }
    s->given_up[which] = certificate->state != TARE_CERTIFICATE_OK;
    shown.outcome.state = certificate->state == TARE_CERTIFICATE_OK ? TARE_STATE_OK
                          : certificate->state == TARE_CERTIFICATE_NOT_SAME_WORK
                              ? TARE_STATE_NOT_SAME_WORK
                              : certificate->job_state;
    snprintf(shown.outcome.reason, sizeof shown.outcome.reason, "%s", certificate->reason);
    if (status == TARE_OK && s->given_up[which])
        s->campaign->failed_jobs++;
    if (status == TARE_OK)
        report_progress(s, &shown, "certificate", true);
    return status;
}

/* Each cell once before the first run: the certificate's processes, or a discarded import. A cell
 * that fails here costs no further time. */
static enum tare_status warm_up(struct state *s, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < x->cell_count && status == TARE_OK; i++) {
        if (x->cells[i].again) { /* the same program: what is known of the cell before it */
            s->certificates[i] = s->certificates[i - 1];
            s->given_up[i] = s->given_up[i - 1];
            continue;
        }
        if (is_certified(x, &x->cells[i])) {
            status = certify(s, i, err);
            continue;
        }
        struct tare_job_result result = {
            .run = -1, .task = "warmup", .cell = x->cells[i], .batch = x->batch};
        status = run_job(s, &result, "warm-up", err);
        s->given_up[i] =
            result.outcome.state != TARE_STATE_OK && result.outcome.state != TARE_STATE_VOID;
        finish_job(&result);
    }
    return status;
}

/* One round: every cell once, in the run's own order, and the null engine last. */
static enum tare_status run_round(struct state *s, size_t run, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    int32_t visit[TARE_MAX_CELLS];
    enum tare_status status = begin_run(s, run, err);
    tare_plan_order(visit, x, run);
    for (size_t i = 0; i < x->cell_count && status == TARE_OK; i++) {
        size_t cell = (size_t)visit[i];
        if (s->given_up[cell]) {
            s->done++;
            continue;
        }
        status = run_cell(s, &x->cells[cell], run, cell, err);
    }
    struct tare_cell harness;
    return status == TARE_OK && tare_plan_harness(&harness, x)
               ? run_cell(s, &harness, run, TARE_MAX_CELLS, err)
               : status;
}

/* The last line, which says that nothing is missing after it. An interrupt stays one. */
static enum tare_status end(struct state *s, enum tare_status status, struct tare_err *err) {
    struct tare_err end_err = {0};
    enum tare_status ended =
        tare_samples_append(s->dir, tare_record_end(status == TARE_OK), &end_err);
    if (ended != TARE_OK && err)
        *err = end_err;
    return ended != TARE_OK ? ended : status;
}

enum tare_status tare_campaign_run(struct tare_campaign *campaign, struct tare_err *err) {
    const struct tare_plan *x = campaign->plan;
    struct state s = {.campaign = campaign,
                      .dir = realpath(campaign->dir, NULL),
                      .total = x->runs * x->cell_count,
                      .start_ns = tare_now_ns()};
    struct tare_cell harness;
    if (tare_plan_harness(&harness, x))
        s.total += x->runs;
    s.planned_s = tare_plan_seconds(x, campaign->dataset->train_images.shape[0]);
    campaign->failed_jobs = 0;
    s.certificates = calloc(TARE_MAX_CELLS, sizeof *s.certificates);
    if (!s.certificates)
        return no_memory(err);
    enum tare_status status =
        s.dir ? tare_samples_append(s.dir, tare_record_experiment(campaign), err)
              : tare_fail_errno(err, campaign->dir, NULL, "the results folder cannot be used");
    if (status == TARE_OK)
        status = warm_up(&s, err);
    for (size_t run = 0; run < x->runs && status == TARE_OK; run++)
        status = run_round(&s, run, err);
    if (status == TARE_OK || status == TARE_INTERRUPTED)
        status = end(&s, status, err);
    free(s.certificates);
    free(s.dir);
    free(s.init);
    free(s.order);
    if (status == TARE_OK && campaign->failed_jobs > 0)
        status =
            tare_fail(err, TARE_FAILED, NULL, NULL, "%zu jobs were not ok", campaign->failed_jobs);
    return status;
}
