/* sweep.c: measures a step's time at every width and batch, in several engines. Every point is
 * visited by all engines, in a seeded random order, and then again as long as there is time. Its
 * parts are in sweeping.h; what came of it is read back by sweep_summary.c.
 */
#include "tare/sweep.h"

#include <math.h>
#include <stdlib.h>

#include "lab/sweeping.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/rng.h"

#define PROBE_FLOPS 1e8 /* of the first look at an engine: a tenth of a second at 1 GFLOP/s */
#define PROBE_STEPS 200 /* at most; once more ten times as many where those take less than */
#define PROBE_S 5e-3
#define MOST_STEPS 1000000
#define MOST_EPOCHS 1000              /* each is an event of the job */
#define MOST_ORDER ((size_t)16 << 20) /* images in a job's order */

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, "sweep", NULL, "no memory for it");
}

/* ---- one point ---------------------------------------------------------------------------------
 */

/* The plan of a point, and where its inputs are. */
static enum tare_status begin_point(struct tare_sweeping *w, struct tare_err *err) {
    size_t point = w->order[w->at];
    char model[TARE_MAX_SPEC];
    struct tare_machine now;
    struct tare_buf dir = {0};
    tare_machine_describe(&now); /* a busy minute of a long sweep makes its points look slow */
    w->others = now.others;
    tare_sweep_model(model, w->template, w->sweep->widths[tare_sweeping_width(w, point)]);
    w->plan.batch = w->sweep->batches[tare_sweeping_batch(w, point)];
    enum tare_status status = tare_plan_model(&w->plan, model, w->sweep->dataset, err);
    tare_buf_printf(&dir, "%s/runs/w%zu-b%zu", w->state.dir,
                    w->sweep->widths[tare_sweeping_width(w, point)], w->plan.batch);
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

/* Weights, and an order of at least so many steps: whole epochs, as a training has them. What an
 * earlier job was given stays: an order only grows. */
static enum tare_status write_inputs(struct tare_sweeping *w, size_t steps, struct tare_err *err) {
    size_t images = w->sweep->dataset->train_images.shape[0], per_epoch = images / w->plan.batch;
    size_t epochs = (steps + per_epoch - 1) / per_epoch, *written = &w->epochs[w->order[w->at]];
    w->plan.epochs = epochs > *written ? epochs : *written;
    if (epochs <= *written)
        return TARE_OK;
    *written = epochs;
    return tare_plan_write_run(w->state.init, w->state.order, &w->plan, 0, images, err);
}

/* Steps that the order of the current batch can hold. */
static size_t most_steps(const struct tare_sweeping *w) {
    size_t per_epoch = w->sweep->dataset->train_images.shape[0] / w->plan.batch;
    size_t most = MOST_EPOCHS * per_epoch - 1, held = MOST_ORDER / w->plan.batch;
    most = most < MOST_STEPS ? most : MOST_STEPS;
    most = held < most ? held : most;
    return most > TARE_SWEEP_LEAST_STEPS ? most : TARE_SWEEP_LEAST_STEPS;
}

/* As many steps as the last time, where those lasted as long as they should: so that the runs of a
 * point are alike. */
static bool keep_lengths(const struct tare_sweeping *w, size_t *steps, const double *guess_s) {
    for (size_t e = 0; e < w->plan.cell_count; e++) {
        steps[e] = isnan(guess_s[e]) ? 0 : w->engines[e].steps[w->order[w->at]];
        double seconds = (double)steps[e] * guess_s[e];
        if (steps[e] > TARE_SWEEP_LEAST_STEPS &&
            (seconds < w->length.target_s / 2 || seconds > 2 * w->length.affordable_s))
            return false;
        if (!isnan(guess_s[e]) && steps[e] == 0)
            return false;
    }
    return true;
}

/* How many steps each engine trains here, 0 where it isn't tried; the first time it is said why. */
static enum tare_status plan_point(struct tare_sweeping *w, size_t *steps, struct tare_err *err) {
    double guess_s[TARE_MAX_CELLS];
    char text[TARE_MAX_TEXT];
    const char *why = NULL;
    enum tare_status status = TARE_OK;
    for (size_t e = 0; e < w->plan.cell_count && status == TARE_OK; e++) {
        size_t point = w->order[w->at];
        const char *reason = tare_sweeping_reason(w, e, &why, text);
        bool again = w->round > 0 && !w->engines[e].measured[point];
        guess_s[e] =
            reason || again ? NAN : tare_sweep_guess(&w->engines[e].times, &w->grid, point);
        if (reason && w->round == 0)
            status = tare_sweeping_leave_out(w, e, why, reason, err);
    }
    w->length.most = most_steps(w);
    if (!keep_lengths(w, steps, guess_s))
        tare_sweep_lengths(steps, guess_s, w->plan.cell_count, &w->length);
    return status;
}

/* After the first round a point is visited by all of its engines or by none. */
static bool has_time(const struct tare_sweeping *w) {
    double seconds = 0;
    for (size_t e = 0; e < w->plan.cell_count; e++)
        if (w->engines[e].measured[w->order[w->at]])
            seconds += tare_sweeping_job_s(w, e, w->order[w->at]);
    return w->round == 0 || (seconds > 0 && seconds <= tare_sweeping_left_s(w));
}

static enum tare_status visit(struct tare_sweeping *w, struct tare_err *err) {
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
            status = tare_sweeping_run(w, (size_t)order[i], steps[order[i]], false, err);
    return status;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

/* Every other width and batch, the largest too, comes first: where the time is too short for all
 * points, those that are missing lie between others, and not all at one end. */
static bool is_coarse(size_t index, size_t count) {
    return index % 2 == 0 || index + 1 == count;
}

static bool comes_before(const struct tare_sweeping *w, size_t a, size_t b) {
    bool coarse[2];
    const size_t points[] = {a, b};
    for (int i = 0; i < 2; i++)
        coarse[i] = is_coarse(tare_sweeping_width(w, points[i]), w->grid.width_count) &&
                    is_coarse(tare_sweeping_batch(w, points[i]), w->grid.batch_count);
    return coarse[0] != coarse[1] ? coarse[0] : w->grid.flops[a] < w->grid.flops[b];
}

/* Coarse ones first, each half by its work: what is known of smaller ones says how long a larger
 * one will take. */
static void order_by_work(struct tare_sweeping *w) {
    for (size_t i = 0; i < w->points; i++) {
        size_t at = i;
        for (; at > 0 && comes_before(w, i, w->order[at - 1]); at--)
            w->order[at] = w->order[at - 1];
        w->order[at] = i;
    }
}

static void order_by_chance(struct tare_sweeping *w) {
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
static enum tare_status probe(struct tare_sweeping *w, struct tare_err *err) {
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
        status = tare_sweeping_run(w, e, few, true, err);
        double step_s = w->engines[e].times.step_s[point];
        if (status == TARE_OK && (double)few * step_s < PROBE_S && many > few)
            status = tare_sweeping_run(w, e, many, true, err);
        if (status == TARE_OK && isnan(w->engines[e].times.step_s[point]))
            w->engines[e].failures = TARE_SWEEP_MOST_FAILURES; /* there is nothing to go on from */
    }
    w->state.done = 0;
    return status;
}

/* The last line, which says that nothing is missing after it. An interrupt stays one. */
static enum tare_status end(struct tare_sweeping *w, enum tare_status status,
                            struct tare_err *err) {
    struct tare_err end_err = {0};
    json_t *record = tare_record_end(status == TARE_OK);
    if (record &&
        json_object_set_new(record, "wall_s", json_real(tare_sweeping_elapsed_s(w))) != 0) {
        json_decref(record);
        record = NULL;
    }
    enum tare_status ended = tare_sweeping_append(w, record, &end_err);
    if (ended != TARE_OK && err)
        *err = end_err;
    return ended != TARE_OK ? ended : status;
}

static enum tare_status go_through(struct tare_sweeping *w, struct tare_err *err) {
    enum tare_status status = w->sweep->certify ? tare_sweeping_certify(w, err) : TARE_OK;
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

enum tare_status tare_sweep_run(struct tare_sweep *sweep, struct tare_err *err) {
    sweep->failed_jobs = 0;
    struct tare_sweeping *w = calloc(1, sizeof *w);
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
        status = tare_sweeping_lay_out(w, err);
    if (status == TARE_OK)
        status = tare_journal_begin(&w->state.journal, sweep->dir, TARE_SWEEP_FILE,
                                    tare_sweeping_record(w, err), err);
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
