/* sweep_job.c: one engine at one point of a sweep: whether it is tried, its job, what that says of
 * the next; and the certificates (sweeping.h). The job itself is run_job.c's. */
#include <math.h>
#include <string.h>

#include "lab/inputs.h"
#include "lab/provenance.h"
#include "lab/sweeping.h"
#include "tare/buf.h"
#include "tare/clock.h"

/* A void job is no measurement, and a busy machine can make any void: it is run again so often. */
#define VOID_TRIES 1

size_t tare_sweeping_width(const struct tare_sweeping *w, size_t point) {
    return point / w->grid.batch_count;
}

size_t tare_sweeping_batch(const struct tare_sweeping *w, size_t point) {
    return point % w->grid.batch_count;
}

double tare_sweeping_elapsed_s(const struct tare_sweeping *w) {
    return (double)(tare_now_ns() - w->start_ns) * 1e-9;
}

double tare_sweeping_left_s(const struct tare_sweeping *w) {
    return w->sweep->budget_s - tare_sweeping_elapsed_s(w);
}

enum tare_status tare_sweeping_append(struct tare_sweeping *w, json_t *record,
                                      struct tare_err *err) {
    return record ? tare_journal_append(w->state.journal, record, w->sweep->machine, err)
                  : tare_fail(err, TARE_MEMORY, TARE_SWEEP_FILE, NULL, "no memory for a record");
}

/* ---- what is left to do ------------------------------------------------------------------------
 */

/* Seconds of a job of that engine, so long as it must be at least. */
double tare_sweeping_job_s(const struct tare_sweeping *w, size_t engine, size_t point) {
    const struct tare_sweeping_engine *e = &w->engines[engine];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    return e->other_s + fmax(w->length.target_s, TARE_SWEEP_LEAST_STEPS * step_s);
}

/* Too slow: a job of four steps wouldn't end in its time, or one at a smaller point didn't. */
static bool is_slow(const struct tare_sweeping *w, size_t engine, size_t point) {
    const struct tare_sweeping_engine *e = &w->engines[engine];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    bool beyond = e->out_of_time && tare_sweeping_width(w, point) >= e->out_width &&
                  tare_sweeping_batch(w, point) >= e->out_batch;
    return beyond || e->other_s + (TARE_SWEEP_LEAST_STEPS + 1) * step_s > w->timeout_s;
}

static double planned_s(const struct tare_sweeping *w) {
    double seconds = 0;
    for (size_t round = w->round; round < w->sweep->runs; round++)
        for (size_t i = round == w->round ? w->at : 0; i < w->points; i++)
            for (size_t e = 0; e < w->plan.cell_count; e++)
                if (w->engines[e].failures < TARE_SWEEP_MOST_FAILURES &&
                    !is_slow(w, e, w->order[i]))
                    seconds += tare_sweeping_job_s(w, e, w->order[i]);
    return seconds;
}

/* For the progress shown: when what is planned will be done, or the budget is spent. */
static void estimate(struct tare_sweeping *w) {
    double left = fmin(planned_s(w), fmax(tare_sweeping_left_s(w), 0));
    w->state.end_ns = tare_now_ns() + (int64_t)(left * 1e9);
}

/* ---- one job -----------------------------------------------------------------------------------
 */

/* What it says about the next ones. */
static void learn(struct tare_sweeping *w, size_t engine, size_t point,
                  const struct tare_job_result *result) {
    const struct tare_outcome *o = &result->outcome;
    struct tare_sweeping_engine *e = &w->engines[engine];
    double train_s = (double)tare_outcome_phase_ns(o, "train") * 1e-9;
    double wall_s = (double)(o->end_ns - o->exec_ns) * 1e-9;
    if (o->state != TARE_STATE_OK)
        return;
    e->other_s = fmax(wall_s - train_s, 0);
    e->times.step_s[point] = fmax(train_s, 1e-9) / (double)(result->steps - 1);
    if (result->run >= 0)
        e->steps[point] = result->steps - 1;
    e->measured[point] = e->measured[point] || result->run >= 0;
}

static void count_failure(struct tare_sweeping *w, size_t engine, size_t point,
                          const struct tare_job_result *result) {
    struct tare_sweeping_engine *e = &w->engines[engine];
    const struct tare_outcome *o = &result->outcome;
    if (o->state == TARE_STATE_OK)
        return;
    if (o->timed_out && result->run >= 0 && w->plan.timeout_s < w->timeout_s)
        return; /* the sweep's time was over: nothing is known of the engine */
    if (o->timed_out && result->run >= 0) { /* a finding, not a failure */
        e->out_of_time = true;
        e->out_width = tare_sweeping_width(w, point);
        e->out_batch = tare_sweeping_batch(w, point);
        return;
    }
    w->sweep->failed_jobs++;
    if (o->state != TARE_STATE_VOID) /* which says more of the machine than of the engine */
        e->failures += result->run < 0 ? TARE_SWEEP_MOST_FAILURES : 1;
}

/* Runs one engine at the current point; once more where a busy machine made it void. */
enum tare_status tare_sweeping_run(struct tare_sweeping *w, size_t engine, size_t steps,
                                   bool is_probe, struct tare_err *err) {
    size_t point = w->order[w->at];
    char doing[64];
    snprintf(doing, sizeof doing, "%swidth %zu, batch %zu", is_probe ? "first look: " : "",
             w->sweep->widths[tare_sweeping_width(w, point)], w->plan.batch);
    for (int again = 0;; again++) {
        struct tare_job_result result = {.run = is_probe ? -1 : (int)w->round,
                                         .task = is_probe ? "probe" : "train",
                                         .cell = w->plan.cells[engine],
                                         .batch = w->plan.batch,
                                         .width = w->sweep->widths[tare_sweeping_width(w, point)],
                                         .steps = steps + 1,
                                         .others = w->others};
        estimate(w);
        w->plan.timeout_s =
            fmin(w->timeout_s, fmax(tare_sweeping_left_s(w), TARE_SWEEP_LEAST_TIMEOUT_S));
        enum tare_status status = tare_job_run(&w->state, &result, doing, err);
        if (status == TARE_OK)
            learn(w, engine, point, &result);
        bool is_void = result.outcome.state == TARE_STATE_VOID;
        if (status == TARE_OK && (!is_void || again == VOID_TRIES))
            count_failure(w, engine, point, &result);
        tare_job_finish(&result);
        if (status != TARE_OK || !is_void || again == VOID_TRIES)
            return status;
        w->state.done -= is_probe ? 0 : 1; /* it is counted when it is done */
    }
}

/* A cell that isn't measured, and why. */
enum tare_status tare_sweeping_leave_out(struct tare_sweeping *w, size_t engine, const char *why,
                                         const char *reason, struct tare_err *err) {
    struct tare_job_result result = {.index = w->state.next_index++,
                                     .run = (int)w->round,
                                     .task = "train",
                                     .cell = w->plan.cells[engine],
                                     .batch = w->plan.batch,
                                     .width =
                                         w->sweep->widths[tare_sweeping_width(w, w->order[w->at])],
                                     .steps = TARE_SWEEP_LEAST_STEPS + 1,
                                     .others = w->others,
                                     .left_out = why};
    result.outcome.state = TARE_STATE_SKIPPED;
    snprintf(result.outcome.reason, sizeof result.outcome.reason, "%s", reason);
    w->state.done++;
    return tare_sweeping_append(w, tare_record_job(&result, w->state.dir), err);
}

/* ---- whether it is tried ------------------------------------------------------------------------
 */

/* Why an engine isn't tried at the current point; NULL: it is. */
const char *tare_sweeping_reason(const struct tare_sweeping *w, size_t engine, const char **why,
                                 char text[TARE_MAX_TEXT]) {
    const struct tare_sweeping_engine *e = &w->engines[engine];
    size_t point = w->order[w->at];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    text[0] = '\0';
    if (e->failures >= TARE_SWEEP_MOST_FAILURES) {
        *why = "failed";
        snprintf(text, TARE_MAX_TEXT, "not tried: it had failed before");
    } else if (e->out_of_time && is_slow(w, engine, point)) {
        *why = "slow";
        snprintf(text, TARE_MAX_TEXT, "not tried: it ran out of time at width %zu, batch %zu",
                 w->sweep->widths[e->out_width], w->sweep->batches[e->out_batch]);
    } else if (is_slow(w, engine, point)) {
        *why = "slow";
        snprintf(text, TARE_MAX_TEXT,
                 "not tried: %d steps would take about %.0f s, and a job may take %.0f s",
                 TARE_SWEEP_LEAST_STEPS + 1, e->other_s + (TARE_SWEEP_LEAST_STEPS + 1) * step_s,
                 w->timeout_s);
    } else if (tare_sweeping_job_s(w, engine, point) > tare_sweeping_left_s(w)) {
        *why = "budget";
        snprintf(text, TARE_MAX_TEXT, "not tried: the sweep's %.3g minutes were over",
                 w->sweep->budget_s / 60);
    }
    return text[0] ? text : NULL;
}

/* ---- certificates -------------------------------------------------------------------------------
 */

static enum tare_status certify(struct tare_sweeping *w, size_t cell, struct tare_err *err) {
    const struct tare_cell *c = &w->plan.cells[cell];
    static struct tare_certificate certificate;
    char dir[TARE_MAX_PATH];
    if (tare_engine_origin(c->engine) == TARE_ORIGIN_HARNESS)
        return TARE_OK;
    if (snprintf(dir, sizeof dir, "%s/certificates/%02zu-%s%s%s", w->state.dir, cell, c->engine,
                 c->variant[0] ? "-" : "", c->variant) >= TARE_MAX_PATH)
        return tare_fail(err, TARE_USAGE, w->state.dir, "choose a shorter --out",
                         "the path is too long");
    struct tare_certify_request request = {.plan = &w->plan,
                                           .dataset = w->sweep->dataset,
                                           .prepared = w->sweep->prepared,
                                           .engine = c->engine,
                                           .variant = c->variant,
                                           .device = c->device,
                                           .threads = c->threads,
                                           .dir = dir,
                                           .timeout_s = w->timeout_s,
                                           .stop = w->sweep->stop};
    struct tare_job_result shown = {.run = -1, .cell = *c};
    tare_job_progress(&w->state, &shown, "certificate", false);
    enum tare_status status = tare_make_empty_dir(dir, err);
    if (status == TARE_OK)
        status = tare_inputs_certify(&certificate, &request, &w->state, err);
    if (status != TARE_OK)
        return status;
    w->sweep->failed_jobs += certificate.state != TARE_CERTIFICATE_OK;
    json_t *record = tare_certificate_json(&certificate);
    json_object_set_new(record, "files",
                        tare_provenance_files(w->state.dir, dir + strlen(w->state.dir) + 1));
    return tare_sweeping_append(w, record, err);
}

/* The study's net, at the batch that compare takes. */
enum tare_status tare_sweeping_certify(struct tare_sweeping *w, struct tare_err *err) {
    struct tare_plan usual;
    tare_plan_defaults(&usual);
    w->plan.batch = usual.batch;
    size_t images = w->sweep->dataset->train_images.shape[0];
    if (w->plan.batch > images)
        w->plan.batch = images;
    enum tare_status status = tare_plan_model(&w->plan, NULL, w->sweep->dataset, err);
    for (size_t i = 0; i < w->plan.cell_count && status == TARE_OK; i++)
        status = certify(w, i, err);
    return status;
}
