/* sweep.c: measures a step's time at every width and batch, in several engines. Every point is
 * visited by all engines, in a seeded random order, and then again as long as there is time; a job
 * is run_job.c's, its record journal.c's, its length sweep_steps.c's; what came of it is read back
 * by sweep_summary.c.
 */
#include "tare/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "lab/campaign.h"
#include "lab/inputs.h"
#include "lab/provenance.h"
#include "lab/sweep_steps.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/rng.h"

/* A void job is no measurement, and a busy machine can make any void: it is run again so often. */
#define VOID_TRIES 1
/* An engine that failed so often isn't tried any more. */
#define MOST_FAILURES 2
#define PROBE_FLOPS 1e8 /* of the first look at an engine: a tenth of a second at 1 GFLOP/s */
#define PROBE_STEPS                                                                                \
    200 /* at most, and then once more ten times as many where that is too short                   \
         */
#define PROBE_S 5e-3
#define MOST_STEPS 1000000
#define MOST_EPOCHS 1000              /* each is an event of the job */
#define MOST_ORDER ((size_t)16 << 20) /* images in a job's order */
#define LEAST_TIMEOUT_S 10.0          /* some frameworks take that to start on a busy machine */
#define TIMEOUT_SHARE 20.0            /* of the budget, one job */

struct sweeping {
    struct tare_sweep *sweep;
    struct tare_plan plan; /* of the current point */
    struct tare_campaign campaign;
    struct tare_campaign_state state;
    struct tare_sweep_grid grid;
    struct tare_sweep_length length;
    char template[TARE_MAX_SPEC];
    struct engine {
        struct tare_sweep_times times;
        double other_s; /* of its last process, beside the timed steps */
        size_t failures;
        bool out_of_time; /* at this point, the smallest so far */
        size_t out_width, out_batch;
        bool measured[TARE_MAX_SWEEP_POINTS];
    } engines[TARE_MAX_CELLS];
    size_t points, order[TARE_MAX_SWEEP_POINTS];
    size_t round, at; /* the current point is order[at] */
    int64_t start_ns;
    double timeout_s;
};

static size_t width_of(const struct sweeping *w, size_t point) {
    return point / w->grid.batch_count;
}

static size_t batch_of(const struct sweeping *w, size_t point) {
    return point % w->grid.batch_count;
}

static double elapsed_s(const struct sweeping *w) {
    return (double)(tare_now_ns() - w->start_ns) * 1e-9;
}

static double left_s(const struct sweeping *w) {
    return w->sweep->budget_s - elapsed_s(w);
}

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, "sweep", NULL, "no memory for it");
}

/* ---- what is asked for -------------------------------------------------------------------------
 */

void tare_sweep_defaults(struct tare_sweep *sweep) {
    *sweep = (struct tare_sweep){.widths = {16, 64, 256, 1024, 4096},
                                 .width_count = 5,
                                 .batches = {1, 4, 16, 64, 256, 1024, 4096},
                                 .batch_count = 7,
                                 .runs = TARE_SWEEP_RUNS,
                                 .budget_s = TARE_SWEEP_MINUTES * 60};
}

#define WIDTH "WIDTH"

void tare_sweep_template(char *out, const struct tare_dataset *set) {
    const struct tare_array *images = &set->train_images;
    snprintf(out, TARE_MAX_SPEC, "%zu dense:" WIDTH ":relu dense:%zu",
             tare_array_count(images) / images->shape[0], set->classes);
}

void tare_sweep_model(char *out, const char *template, size_t width) {
    const char *at = strstr(template, WIDTH);
    if (at)
        snprintf(out, TARE_MAX_SPEC, "%.*s%zu%s", (int)(at - template), template, width,
                 at + strlen(WIDTH));
    else
        snprintf(out, TARE_MAX_SPEC, "%s", template);
}

static int ascending(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static enum tare_status check_counts(size_t *counts, size_t count, const char *option,
                                     struct tare_err *err) {
    qsort(counts, count, sizeof *counts, ascending);
    for (size_t i = 1; i < count; i++)
        if (counts[i] == counts[i - 1])
            return tare_fail(err, TARE_USAGE, option, NULL, "%zu is named twice", counts[i]);
    return TARE_OK;
}

enum tare_status tare_sweep_check(struct tare_sweep *sweep, struct tare_err *err) {
    static struct tare_net net;
    char template[TARE_MAX_SPEC], model[TARE_MAX_SPEC];
    size_t images = sweep->dataset->train_images.shape[0];
    enum tare_status status = check_counts(sweep->widths, sweep->width_count, "--widths", err);
    if (status == TARE_OK)
        status = check_counts(sweep->batches, sweep->batch_count, "--batches", err);
    tare_sweep_template(template, sweep->dataset);
    for (size_t i = 0; i < sweep->width_count && status == TARE_OK; i++) {
        tare_sweep_model(model, template, sweep->widths[i]);
        status = tare_net_parse(&net, model, err);
    }
    if (status != TARE_OK)
        return status;
    if (sweep->batches[sweep->batch_count - 1] > images)
        return tare_fail(err, TARE_USAGE, "--batches", "smaller batches",
                         "%zu images don't fill one batch of %zu", images,
                         sweep->batches[sweep->batch_count - 1]);
    size_t jobs = sweep->width_count * sweep->batch_count * sweep->plan->cell_count * sweep->runs;
    if (jobs > TARE_MAX_JOBS / 2) /* some are run again */
        return tare_fail(err, TARE_USAGE, "--runs", "fewer points, engines or runs",
                         "%zu measurements are too many: at most %d", jobs, TARE_MAX_JOBS / 2);
    return TARE_OK;
}

size_t tare_sweep_bytes(const struct tare_sweep *sweep) {
    const struct tare_array *images = &sweep->dataset->train_images;
    size_t inputs = tare_array_count(images) / images->shape[0], bytes = 0;
    for (size_t i = 0; i < sweep->width_count; i++)
        bytes += sweep->batch_count * sweep->widths[i] * (inputs + sweep->dataset->classes + 2) *
                 sizeof(float);
    size_t points = sweep->width_count * sweep->batch_count;
    return bytes + points * 8 * images->shape[0] * sizeof(int32_t) +
           points * sweep->plan->cell_count * sweep->runs * 32768;
}

/* ---- records -----------------------------------------------------------------------------------
 */

static json_t *counts_json(const size_t *counts, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer((json_int_t)counts[i]));
    return list;
}

/* An experiment's line, with what a sweep has in place of one net, batch and number of epochs. */
static json_t *experiment_record(const struct sweeping *w, struct tare_err *err) {
    static const char *const others[] = {"params", "epochs", "batch", "quick", "timeout_s"};
    json_t *record = tare_record_experiment(&w->campaign, err);
    if (!record)
        return NULL;
    const size_t lost = tare_json_lost();
    json_t *plan = json_object_get(record, "plan"), *cells = json_object_get(plan, "cells");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        json_object_del(plan, others[i]);
    while (json_array_size(cells) > w->plan.cell_count) /* the harness, which no sweep runs */
        json_array_remove(cells, json_array_size(cells) - 1);
    bool good = json_object_set_new(record, "format", json_string("tare-sweep/1")) == 0 &&
                json_object_set_new(plan, "widths",
                                    counts_json(w->sweep->widths, w->sweep->width_count)) == 0 &&
                json_object_set_new(plan, "batches",
                                    counts_json(w->sweep->batches, w->sweep->batch_count)) == 0 &&
                json_object_set_new(plan, "budget_s", json_real(w->sweep->budget_s)) == 0 &&
                json_object_set_new(plan, "timeout_s", json_real(w->timeout_s)) == 0;
    if (!good) {
        json_decref(record);
        record = NULL;
    }
    record = tare_json_whole(record, lost);
    if (!record)
        no_memory(err);
    return record;
}

static enum tare_status append(struct sweeping *w, json_t *record, struct tare_err *err) {
    return record ? tare_journal_append(w->state.journal, record, w->sweep->machine, err)
                  : no_memory(err);
}

/* The last line, which says that nothing is missing after it. An interrupt stays one. */
static enum tare_status end(struct sweeping *w, enum tare_status status, struct tare_err *err) {
    struct tare_err end_err = {0};
    json_t *record = tare_record_end(status == TARE_OK);
    if (record && json_object_set_new(record, "wall_s", json_real(elapsed_s(w))) != 0) {
        json_decref(record);
        record = NULL;
    }
    enum tare_status ended = append(w, record, &end_err);
    if (ended != TARE_OK && err)
        *err = end_err;
    return ended != TARE_OK ? ended : status;
}

/* ---- what is left to do ------------------------------------------------------------------------
 */

/* Seconds of a job of that engine, so long as it must be at least. */
static double job_s(const struct sweeping *w, size_t engine, size_t point) {
    const struct engine *e = &w->engines[engine];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    return e->other_s + fmax(w->length.target_s, TARE_SWEEP_LEAST_STEPS * step_s);
}

/* Too slow: a job of four steps wouldn't end in its time, or one at a smaller point didn't. */
static bool is_slow(const struct sweeping *w, size_t engine, size_t point) {
    const struct engine *e = &w->engines[engine];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    bool beyond =
        e->out_of_time && width_of(w, point) >= e->out_width && batch_of(w, point) >= e->out_batch;
    return beyond || e->other_s + (TARE_SWEEP_LEAST_STEPS + 1) * step_s > w->timeout_s;
}

static double planned_s(const struct sweeping *w) {
    double seconds = 0;
    for (size_t round = w->round; round < w->sweep->runs; round++)
        for (size_t i = round == w->round ? w->at : 0; i < w->points; i++)
            for (size_t e = 0; e < w->plan.cell_count; e++)
                if (w->engines[e].failures < MOST_FAILURES && !is_slow(w, e, w->order[i]))
                    seconds += job_s(w, e, w->order[i]);
    return seconds;
}

/* For the progress shown: what is planned, or what the budget leaves of it. */
static void estimate(struct sweeping *w) {
    double left = fmin(planned_s(w), fmax(left_s(w), 0));
    w->state.start_ns = w->start_ns;
    w->state.spent_s = elapsed_s(w);
    w->state.planned_s = w->state.spent_s + left;
}

/* ---- one job -----------------------------------------------------------------------------------
 */

/* What it says about the next ones. */
static void learn(struct sweeping *w, size_t engine, size_t point,
                  const struct tare_job_result *result) {
    const struct tare_outcome *o = &result->outcome;
    struct engine *e = &w->engines[engine];
    double train_s = (double)tare_outcome_phase_ns(o, "train") * 1e-9;
    double wall_s = (double)(o->end_ns - o->exec_ns) * 1e-9;
    if (o->state != TARE_STATE_OK)
        return;
    e->other_s = fmax(wall_s - train_s, 0);
    e->times.step_s[point] = fmax(train_s, 1e-9) / (double)(result->steps - 1);
    e->measured[point] = e->measured[point] || result->run >= 0;
}

static void count_failure(struct sweeping *w, size_t engine, size_t point,
                          const struct tare_job_result *result) {
    struct engine *e = &w->engines[engine];
    const struct tare_outcome *o = &result->outcome;
    if (o->state == TARE_STATE_OK)
        return;
    if (o->timed_out && result->run >= 0) { /* a finding, not a failure */
        e->out_of_time = true;
        e->out_width = width_of(w, point);
        e->out_batch = batch_of(w, point);
        return;
    }
    w->sweep->failed_jobs++;
    e->failures += result->run < 0 && o->state != TARE_STATE_VOID ? MOST_FAILURES : 1;
}

/* Runs one engine at the current point; once more where a busy machine made it void. */
static enum tare_status run_job(struct sweeping *w, size_t engine, size_t steps, const char *task,
                                struct tare_err *err) {
    size_t point = w->order[w->at];
    char doing[64];
    snprintf(doing, sizeof doing, "%swidth %zu, batch %zu", *task == 'p' ? "first look: " : "",
             w->sweep->widths[width_of(w, point)], w->plan.batch);
    for (int again = 0;; again++) {
        struct tare_job_result result = {.run = *task == 'p' ? -1 : (int)w->round,
                                         .task = task,
                                         .cell = w->plan.cells[engine],
                                         .batch = w->plan.batch,
                                         .width = w->sweep->widths[width_of(w, point)],
                                         .steps = steps + 1};
        estimate(w);
        w->plan.timeout_s = fmin(w->timeout_s, fmax(left_s(w), LEAST_TIMEOUT_S));
        enum tare_status status = tare_job_run(&w->state, &result, doing, err);
        if (status == TARE_OK)
            learn(w, engine, point, &result);
        bool is_void = result.outcome.state == TARE_STATE_VOID;
        if (status == TARE_OK && (!is_void || again == VOID_TRIES))
            count_failure(w, engine, point, &result);
        tare_job_finish(&result);
        if (status != TARE_OK || !is_void || again == VOID_TRIES)
            return status;
    }
}

/* A cell that isn't measured, and why. */
static enum tare_status leave_out(struct sweeping *w, size_t engine, const char *why,
                                  const char *reason, struct tare_err *err) {
    struct tare_job_result result = {.index = w->state.next_index++,
                                     .run = (int)w->round,
                                     .task = "train",
                                     .cell = w->plan.cells[engine],
                                     .batch = w->plan.batch,
                                     .width = w->sweep->widths[width_of(w, w->order[w->at])],
                                     .steps = TARE_SWEEP_LEAST_STEPS + 1,
                                     .left_out = why};
    result.outcome.state = TARE_STATE_SKIPPED;
    snprintf(result.outcome.reason, sizeof result.outcome.reason, "%s", reason);
    w->state.done++;
    return append(w, tare_record_job(&result, w->state.dir), err);
}

/* ---- one point ---------------------------------------------------------------------------------
 */

/* The plan of a point, and where its inputs are. */
static enum tare_status begin_point(struct sweeping *w, struct tare_err *err) {
    size_t point = w->order[w->at];
    char model[TARE_MAX_SPEC];
    struct tare_buf dir = {0};
    tare_sweep_model(model, w->template, w->sweep->widths[width_of(w, point)]);
    w->plan.batch = w->sweep->batches[batch_of(w, point)];
    enum tare_status status = tare_plan_model(&w->plan, model, w->sweep->dataset, err);
    tare_buf_printf(&dir, "%s/runs/w%zu-b%zu", w->state.dir, w->sweep->widths[width_of(w, point)],
                    w->plan.batch);
    if (status == TARE_OK && dir.failed)
        status = no_memory(err);
    if (status == TARE_OK)
        status = tare_make_dirs(dir.data, err);
    free(w->state.init);
    free(w->state.order);
    w->state.init = status == TARE_OK ? tare_path_join(dir.data, "init.safetensors") : NULL;
    w->state.order = status == TARE_OK ? tare_path_join(dir.data, "order.npy") : NULL;
    if (status == TARE_OK && (!w->state.init || !w->state.order))
        status = no_memory(err);
    tare_buf_free(&dir);
    return status;
}

/* Weights, and an order of at least so many steps: whole epochs, as a training has them. */
static enum tare_status write_inputs(struct sweeping *w, size_t steps, struct tare_err *err) {
    size_t images = w->sweep->dataset->train_images.shape[0], per_epoch = images / w->plan.batch;
    w->plan.epochs = (steps + per_epoch - 1) / per_epoch;
    return tare_plan_write_run(w->state.init, w->state.order, &w->plan, 0, images, err);
}

/* Steps that the order of the current batch can hold. */
static size_t most_steps(const struct sweeping *w) {
    size_t per_epoch = w->sweep->dataset->train_images.shape[0] / w->plan.batch;
    size_t most = MOST_EPOCHS * per_epoch - 1, held = MOST_ORDER / w->plan.batch;
    most = most < MOST_STEPS ? most : MOST_STEPS;
    most = held < most ? held : most;
    return most > TARE_SWEEP_LEAST_STEPS ? most : TARE_SWEEP_LEAST_STEPS;
}

/* Why an engine isn't tried at the current point; NULL: it is. */
static const char *reason_against(const struct sweeping *w, size_t engine, const char **why,
                                  char text[TARE_MAX_TEXT]) {
    const struct engine *e = &w->engines[engine];
    size_t point = w->order[w->at];
    double step_s = tare_sweep_guess(&e->times, &w->grid, point);
    text[0] = '\0';
    if (e->failures >= MOST_FAILURES) {
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
    } else if (job_s(w, engine, point) > left_s(w)) {
        *why = "budget";
        snprintf(text, TARE_MAX_TEXT, "not tried: the sweep's %.3g minutes were over",
                 w->sweep->budget_s / 60);
    }
    return text[0] ? text : NULL;
}

/* How many steps each engine trains here, 0 where it isn't tried; the first time it is said why. */
static enum tare_status plan_point(struct sweeping *w, size_t *steps, struct tare_err *err) {
    double guess_s[TARE_MAX_CELLS];
    char text[TARE_MAX_TEXT];
    const char *why = NULL;
    enum tare_status status = TARE_OK;
    for (size_t e = 0; e < w->plan.cell_count && status == TARE_OK; e++) {
        size_t point = w->order[w->at];
        const char *reason = reason_against(w, e, &why, text);
        bool again = w->round > 0 && !w->engines[e].measured[point];
        guess_s[e] =
            reason || again ? NAN : tare_sweep_guess(&w->engines[e].times, &w->grid, point);
        if (reason && w->round == 0)
            status = leave_out(w, e, why, reason, err);
    }
    w->length.most = most_steps(w);
    tare_sweep_lengths(steps, guess_s, w->plan.cell_count, &w->length);
    return status;
}

/* After the first round a point is visited by all of its engines or by none. */
static bool has_time(const struct sweeping *w) {
    double seconds = 0;
    for (size_t e = 0; e < w->plan.cell_count; e++)
        if (w->engines[e].measured[w->order[w->at]])
            seconds += job_s(w, e, w->order[w->at]);
    return w->round == 0 || (seconds > 0 && seconds <= left_s(w));
}

static enum tare_status visit(struct sweeping *w, struct tare_err *err) {
    size_t steps[TARE_MAX_CELLS] = {0}, most = 0;
    int32_t order[TARE_MAX_CELLS];
    if (!has_time(w))
        return TARE_OK;
    enum tare_status status = begin_point(w, err);
    if (status == TARE_OK)
        status = plan_point(w, steps, err);
    for (size_t e = 0; e < w->plan.cell_count; e++)
        most = steps[e] > most ? steps[e] : most;
    if (status == TARE_OK && most > 0)
        status = write_inputs(w, most + 1, err);
    tare_plan_order(order, &w->plan, 1 + w->round * w->points + w->order[w->at]);
    for (size_t i = 0; i < w->plan.cell_count && status == TARE_OK; i++)
        if (steps[order[i]] > 0)
            status = run_job(w, (size_t)order[i], steps[order[i]], "train", err);
    return status;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

/* Points by their work: what is known of smaller ones says how long a larger one will take. */
static void order_by_work(struct sweeping *w) {
    for (size_t i = 0; i < w->points; i++) {
        size_t at = i;
        for (; at > 0 && w->grid.flops[w->order[at - 1]] > w->grid.flops[i]; at--)
            w->order[at] = w->order[at - 1];
        w->order[at] = i;
    }
}

static void order_by_chance(struct sweeping *w) {
    struct tare_rng rng;
    int32_t order[TARE_MAX_SWEEP_POINTS];
    for (size_t i = 0; i < w->points; i++)
        order[i] = (int32_t)i;
    tare_rng_seed(&rng, w->plan.seed + w->round, TARE_STREAM_PLAN);
    tare_rng_shuffle(&rng, order, w->points);
    for (size_t i = 0; i < w->points; i++)
        w->order[i] = (size_t)order[i];
}

/* A first look at every engine, at the smallest point: what a process of it takes, and a step
 * about.
 */
static enum tare_status probe(struct sweeping *w, struct tare_err *err) {
    int32_t order[TARE_MAX_CELLS];
    enum tare_status status = begin_point(w, err);
    size_t point = w->order[w->at], most = most_steps(w);
    size_t few =
        (size_t)fmin(fmax(PROBE_FLOPS / w->grid.flops[point], TARE_SWEEP_LEAST_STEPS), PROBE_STEPS);
    few = few < most ? few : most;
    size_t many = 10 * few < most ? 10 * few : most;
    if (status == TARE_OK)
        status = write_inputs(w, many + 1, err);
    tare_plan_order(order, &w->plan, 0);
    for (size_t i = 0; i < w->plan.cell_count && status == TARE_OK; i++) {
        size_t e = (size_t)order[i];
        status = run_job(w, e, few, "probe", err);
        double step_s = w->engines[e].times.step_s[point];
        if (status == TARE_OK && (double)few * step_s < PROBE_S && many > few)
            status = run_job(w, e, many, "probe", err);
        if (status == TARE_OK && isnan(w->engines[e].times.step_s[point]))
            w->engines[e].failures = MOST_FAILURES; /* there is nothing to go on from */
    }
    w->state.done = 0;
    return status;
}

static enum tare_status certify(struct sweeping *w, size_t cell, struct tare_err *err) {
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
    return append(w, record, err);
}

/* The study's net, at the batch that compare takes. */
static enum tare_status certify_all(struct sweeping *w, struct tare_err *err) {
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

static enum tare_status go_through(struct sweeping *w, struct tare_err *err) {
    enum tare_status status = w->sweep->certify ? certify_all(w, err) : TARE_OK;
    order_by_work(w);
    if (status == TARE_OK)
        status = probe(w, err);
    for (; w->round < w->sweep->runs && status == TARE_OK; w->round++) {
        if (w->round > 0)
            order_by_chance(w);
        for (w->at = 0; w->at < w->points && status == TARE_OK; w->at++)
            status = visit(w, err);
    }
    return status == TARE_OK || status == TARE_INTERRUPTED ? end(w, status, err) : status;
}

/* The work of every point, and how the budget is shared out. */
static enum tare_status lay_out(struct sweeping *w, struct tare_err *err) {
    const struct tare_sweep *sweep = w->sweep;
    static struct tare_net net;
    char model[TARE_MAX_SPEC];
    enum tare_status status = TARE_OK;
    tare_sweep_template(w->template, sweep->dataset);
    snprintf(w->plan.model, sizeof w->plan.model, "%s", w->template);
    w->grid.width_count = sweep->width_count;
    w->grid.batch_count = sweep->batch_count;
    w->points = sweep->width_count * sweep->batch_count;
    for (size_t i = 0; i < w->points && status == TARE_OK; i++) {
        tare_sweep_model(model, w->template, sweep->widths[width_of(w, i)]);
        status = tare_net_parse(&net, model, err);
        if (status == TARE_OK)
            w->grid.flops[i] =
                3 * tare_net_forward_flops(&net) * (double)sweep->batches[batch_of(w, i)];
    }
    for (size_t e = 0; e < TARE_MAX_CELLS; e++)
        for (size_t i = 0; i < TARE_MAX_SWEEP_POINTS; i++)
            w->engines[e].times.step_s[i] = NAN;
    w->state.total = w->points * w->plan.cell_count * sweep->runs;
    double share_s = sweep->budget_s / (double)(w->state.total + 1);
    w->length.target_s = fmin(fmax(share_s / 4, 0.05), 0.5);
    w->length.affordable_s = fmin(fmax(share_s / 2, w->length.target_s), 2);
    w->timeout_s =
        sweep->timeout_s > 0
            ? sweep->timeout_s
            : fmin(fmax(sweep->budget_s / TIMEOUT_SHARE, LEAST_TIMEOUT_S), TARE_DEFAULT_TIMEOUT_S);
    return status;
}

enum tare_status tare_sweep_run(struct tare_sweep *sweep, struct tare_err *err) {
    sweep->failed_jobs = 0;
    struct sweeping *w = calloc(1, sizeof *w);
    if (!w)
        return no_memory(err);
    w->sweep = sweep;
    w->plan = *sweep->plan;
    w->plan.runs = sweep->runs;
    w->campaign = (struct tare_campaign){.plan = &w->plan,
                                         .dataset = sweep->dataset,
                                         .machine = sweep->machine,
                                         .prepared = sweep->prepared,
                                         .dir = sweep->dir,
                                         .stop = sweep->stop,
                                         .progress = sweep->progress,
                                         .context = sweep->context};
    w->state.campaign = &w->campaign;
    w->start_ns = tare_now_ns();
    enum tare_status status = tare_sweep_check(sweep, err);
    if (status == TARE_OK)
        status = lay_out(w, err);
    if (status == TARE_OK)
        status = tare_journal_begin(&w->state.journal, sweep->dir, TARE_SWEEP_FILE,
                                    experiment_record(w, err), err);
    if (status == TARE_OK) {
        w->state.dir = w->state.journal->dir;
        status = go_through(w, err);
    }
    tare_journal_free(w->state.journal);
    free(w->state.init);
    free(w->state.order);
    free(w);
    if (status == TARE_OK && sweep->failed_jobs > 0)
        status = tare_fail(err, TARE_FAILED, NULL, NULL, "%zu job%s not ok", sweep->failed_jobs,
                           sweep->failed_jobs == 1 ? " was" : "s were");
    return status;
}
