/* run_job.c: one job of a campaign, from its folder to its record: the job is written, the engine
 * launched, what it wrote graded, and one line appended to samples.jsonl. Which jobs there are is
 * campaign.c's and deploy.c's business. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/campaign.h"
#include "lab/inputs.h"
#include "lab/provenance.h"
#include "tare/buf.h"
#include "tare/clock.h"

#define INFER_LOOPS 5 /* timed calls on the whole test set, after the first */

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for a job");
}

/* What a runtime is asked for: the test set's logits and the time of single images; or, for a cold
 * start, nothing but the answer to one image. */
static bool fill_deployment(struct tare_job *job, const struct tare_campaign_state *s,
                            const struct tare_job_result *result, const char *job_dir) {
    job->model[0] = '\0'; /* the model file knows */
    bool good = tare_job_path(job->model_file, s->dir, result->path);
    if (strcmp(result->task, "cold") == 0) {
        snprintf(job->task, sizeof job->task, "infer");
        memcpy(job->test_images, s->one_image, sizeof job->test_images);
        job->infer_loops = 0;
        return good;
    }
    job->queries = TARE_DEPLOY_QUERIES;
    return good && tare_job_path(job->test_images, s->campaign->prepared, "test_images.npy") &&
           tare_job_path(job->logits, job_dir, "logits.npy") &&
           tare_job_path(job->latencies, job_dir, "latencies.npy");
}

/* What all engines of a job's round are given: the weights and the order of which run. A sweep's
 * repetitions train one net in one order. */
static int inputs_run(const struct tare_job_result *result) {
    return result->steps > 0 ? 0 : result->run;
}

/* A sweep's job trains and leaves: there is nothing to be graded or exported. */
static bool is_timed_only(const struct tare_job_result *result) {
    return result->steps > 0;
}

static bool fill_job(struct tare_job *job, const struct tare_campaign_state *s,
                     const struct tare_job_result *result, const char *job_dir) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_plan *x = c->plan;
    tare_job_defaults(job);
    snprintf(job->task, sizeof job->task, "%s", is_timed_only(result) ? "train" : result->task);
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
    job->seed = x->seed + (size_t)(inputs_run(result) < 0 ? 0 : inputs_run(result));
    job->steps = result->steps;
    job->infer_loops = INFER_LOOPS;
    if (result->of)
        return fill_deployment(job, s, result, job_dir);
    bool good = tare_job_path(job->images, c->prepared, "train_images.npy") &&
                tare_job_path(job->labels, c->prepared, "train_labels.npy");
    if (!is_timed_only(result))
        good = good && tare_job_path(job->test_images, c->prepared, "test_images.npy") &&
               tare_job_path(job->logits, job_dir, "logits.npy");
    if (strcmp(result->task, "warmup") == 0)
        return good;
    good = good && snprintf(job->init, sizeof job->init, "%s", s->init) < TARE_MAX_PATH &&
           snprintf(job->order, sizeof job->order, "%s", s->order) < TARE_MAX_PATH;
    if (!is_timed_only(result))
        good = good && tare_job_path(job->out, job_dir, "weights.safetensors");
    if (strcmp(job->track, "tutorial") == 0)
        good = good && snprintf(job->data_dir, TARE_MAX_PATH, "%s", c->prepared) < TARE_MAX_PATH &&
               snprintf(job->export_dir, TARE_MAX_PATH, "%s", job_dir) < TARE_MAX_PATH;
    return good;
}

void tare_job_spoil(struct tare_job_result *result, const char *reason) {
    result->outcome.state = TARE_STATE_FAILED;
    snprintf(result->outcome.reason, sizeof result->outcome.reason, "%s", reason);
}

/* Which images were answered right, and what a deployed model is worth besides. */
static enum tare_status look_closer(const struct tare_campaign_state *s,
                                    struct tare_job_result *result, const struct tare_array *logits,
                                    const char *job_dir, struct tare_err *err) {
    if (result->of)
        return tare_deploy_judge(s, result, logits, job_dir, err);
    if (result->grade.total > TARE_MAX_RIGHT)
        return TARE_OK;
    result->right = malloc(TARE_RIGHT_BYTES(result->grade.total));
    if (!result->right)
        return no_memory(err);
    tare_grade_right(result->right, logits, &s->campaign->dataset->test_labels);
    return TARE_OK;
}

/* Reads the logits an engine wrote and grades them; a wrong file spoils the job, not the campaign,
 * but tare's own want of memory is not the engine's fault. */
static enum tare_status grade(const struct tare_campaign_state *s, struct tare_job_result *result,
                              const char *job_dir, struct tare_err *why) {
    struct tare_err err = {0};
    struct tare_array logits = {0}, others = {0};
    char path[TARE_MAX_PATH], other_path[TARE_MAX_PATH];
    bool good = tare_job_path(path, job_dir, "logits.npy") && tare_path_exists(path);
    if (!good) {
        tare_job_spoil(result, "wrote no logits");
        return TARE_OK;
    }
    enum tare_status status = tare_npy_read(&logits, path, &err);
    if (status == TARE_OK)
        status =
            tare_grade_logits(&result->grade, &logits, &s->campaign->dataset->test_labels, &err);
    if (status == TARE_OK && !result->of && logits.shape[1] != s->campaign->plan->net.n_out)
        status =
            tare_fail(&err, TARE_DATA, path, NULL, "wrote %zu logits an image, its net has %zu",
                      logits.shape[1], s->campaign->plan->net.n_out);
    if (status == TARE_OK && !result->grade.finite)
        tare_job_spoil(result, "returned logits that are not numbers (NaN or infinite)");
    else if (status == TARE_OK && result->of) {
        char other_dir[TARE_MAX_PATH];
        if (tare_job_path(other_dir, s->dir, result->of->dir) &&
            tare_job_path(other_path, other_dir, "logits.npy"))
            status = tare_npy_read(&others, other_path, &err);
        if (status == TARE_OK)
            status = tare_compare_logits(&result->max_abs_diff, &result->changed_answers, &logits,
                                         &others, &err);
        result->compared = status == TARE_OK;
    }
    if (status != TARE_OK && status != TARE_MEMORY)
        tare_job_spoil(result, err.what);
    result->graded = status != TARE_MEMORY && result->outcome.state != TARE_STATE_FAILED;
    if (result->graded)
        status = look_closer(s, result, &logits, job_dir, &err);
    tare_array_free(&logits);
    tare_array_free(&others);
    if (status == TARE_MEMORY && why)
        *why = err;
    return status == TARE_MEMORY ? TARE_MEMORY : TARE_OK;
}

void tare_job_progress(struct tare_campaign_state *s, const struct tare_job_result *result,
                       const char *doing, bool finished) {
    struct tare_campaign *c = s->campaign;
    if (!c->progress)
        return;
    double elapsed_s = (double)(tare_now_ns() - s->start_ns) * 1e-9;
    /* The plan's rough seconds, corrected by what they have proved to be so far. */
    double left_s = s->spent_s > 0 ? (s->planned_s - s->spent_s) * elapsed_s / s->spent_s : -1;
    if (s->end_ns > 0)
        left_s = fmax((double)(s->end_ns - tare_now_ns()) * 1e-9, 0);
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

static enum tare_status launch(struct tare_campaign_state *s, struct tare_job_result *result,
                               const char *program, const char *job_dir, struct tare_err *err) {
    struct tare_campaign *c = s->campaign;
    static struct tare_job job; /* 20 kB: off the stack */
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    if (!fill_job(&job, s, result, job_dir) || !tare_job_path(job_path, job_dir, "job.json") ||
        !tare_job_path(log_path, job_dir, "stderr.log"))
        return tare_fail(err, TARE_USAGE, job_dir, "choose a shorter --out",
                         "the path is too long");
    struct tare_buf reproduce = {0};
    tare_buf_shell_word(&reproduce, from_here(program));
    tare_buf_puts(&reproduce, " < ");
    tare_buf_shell_word(&reproduce, from_here(job_path));
    const bool kept = !reproduce.failed;
    if (kept)
        snprintf(result->reproduce, sizeof result->reproduce, "%s", reproduce.data);
    tare_buf_free(&reproduce);
    if (!kept)
        return no_memory(err);
    tare_provenance_program(result->program_sha256, program);
    struct tare_launch how = {.program = program,
                              .engine = result->cell.engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = result->cell.threads,
                              .timeout_s = c->plan->timeout_s,
                              .stop = c->stop};
    return tare_inputs_launch(&result->outcome, &how, &job, s, job_dir, inputs_run(result), err);
}

static bool is_done(const struct tare_job_result *result) {
    return result->outcome.state == TARE_STATE_OK || result->outcome.state == TARE_STATE_VOID;
}

/* What the job is, by which its record is known. */
static json_t *identity(const struct tare_job_result *r) {
    return json_pack("{s:s,s:I,s:i,s:s,s:s,s:s,s:s,s:s,s:i,s:s}", "record", "job", "index",
                     (json_int_t)r->index, "run", r->run, "task", r->task, "engine", r->cell.engine,
                     "variant", r->cell.variant, "track", r->cell.track, "device", r->cell.device,
                     "threads", r->cell.threads, "dir", r->dir);
}

/* The work itself, and its record; an interrupted job has none, and begins anew in a later session:
 * whatever it left is removed first. */
static enum tare_status carry_out(struct tare_campaign_state *s, struct tare_job_result *result,
                                  const char *job_dir, const char *doing, struct tare_err *err) {
    char *program = NULL;
    struct tare_err missing = {0};
    tare_job_progress(s, result, doing, false);
    enum tare_status status = tare_make_empty_dir(job_dir, err);
    if (status == TARE_OK)
        status = tare_engine_find(&program, result->cell.engine, &missing);
    if (program)
        status = launch(s, result, program, job_dir, err);
    else if (status == TARE_DATA && missing.status == TARE_DATA) {
        not_installed(result, &missing);
        status = TARE_OK;
    } else if (missing.status != TARE_OK && err)
        *err = missing;
    if (status == TARE_OK && is_done(result))
        tare_own_files(result, job_dir);
    bool trains = strcmp(result->task, "train") == 0 && !is_timed_only(result);
    bool answers = trains || strcmp(result->task, "infer") == 0;
    if (status == TARE_OK && answers && is_done(result))
        status = grade(s, result, job_dir, err);
    if (status == TARE_OK && trains && is_done(result))
        status = tare_deploy_export(s, result, job_dir, err);
    if (status == TARE_OK && result->outcome.interrupted)
        status = tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
    else if (status == TARE_OK)
        status = tare_journal_append(s->journal, tare_record_job(result, s->dir),
                                     s->campaign->machine, err);
    free(program);
    return status;
}

enum tare_status tare_job_run(struct tare_campaign_state *s, struct tare_job_result *result,
                              const char *doing, struct tare_err *err) {
    const json_t *record = NULL;
    result->index = s->next_index++;
    struct tare_buf dir = {0};
    tare_buf_printf(&dir, "jobs/%04zu-%s-%s", result->index, result->cell.engine,
                    result->cell.track);
    if (result->run >= 0)
        tare_buf_printf(&dir, "-r%d", result->run);
    result->dir = dir.data;
    char *job_dir = dir.failed ? NULL : tare_path_join(s->dir, dir.data);
    enum tare_status status =
        job_dir ? tare_journal_next(&record, s->journal, identity(result), err) : no_memory(err);
    if (status == TARE_OK)
        status = record ? tare_job_replay(result, record, s->dir, err)
                        : carry_out(s, result, job_dir, doing, err);
    /* A runtime that isn't here was never asked for by name: what it would have run is shown as not
     * run. */
    bool absent = result->of && result->outcome.state == TARE_STATE_SKIPPED;
    /* Of a warm-up nothing is measured, so that nothing of it can be void. */
    bool discarded = result->run < 0 && result->outcome.state == TARE_STATE_VOID;
    if (status == TARE_OK && result->outcome.state != TARE_STATE_OK && !absent && !discarded)
        s->campaign->failed_jobs++;
    s->done += status == TARE_OK && strcmp(result->task, "train") == 0;
    if (status == TARE_OK && !record)
        tare_job_progress(s, result, doing, true);
    free(job_dir);
    return status;
}

void tare_job_finish(struct tare_job_result *result) {
    tare_outcome_free(&result->outcome);
    free(result->right);
    free((char *)result->dir); /* made by tare_job_run */
}
