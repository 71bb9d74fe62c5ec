/* sweep_summary.c: a sweep.jsonl becomes cells, one per engine and point, and what follows from
 * them: who is fastest where, and from where on it hardly matters. Shown by src/report/sweep.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/read_samples.h"
#include "lab/record.h"
#include "tare/buf.h"
#include "tare/sweep.h"

struct tare_sweep_memory { /* behind summary->memory */
    struct tare_samples samples;
};

static const char *const gap_texts[] = {
#define X(id, text) text,
    TARE_SWEEP_GAP_LIST(X)
#undef X
};

const char *tare_sweep_gap_text(enum tare_sweep_gap gap) {
    return gap_texts[gap];
}

/* ---- the jobs of an engine ---------------------------------------------------------------------
 */

static bool is_of(const struct tare_sweep_engine *engine, const struct tare_sample_cell *cell) {
    return strcmp(cell->engine, engine->engine) == 0 &&
           strcmp(cell->variant, engine->variant) == 0 &&
           strcmp(cell->device, engine->device) == 0 && cell->threads == engine->threads;
}

/* A job that was carried out to its end, and kept the rules. */
static bool is_good(const struct tare_job_record *job) {
    return job->state == TARE_STATE_OK && job->steps > 1;
}

/* Seconds of the steps after the first, and how many they are; an engine that doesn't time its
 * first step apart has it among them. */
static double steady_s(const struct tare_job_record *job, size_t *steps) {
    bool apart = !isnan(job->values[TARE_STEADY_S]);
    *steps = apart ? job->steps - 1 : job->steps;
    return apart ? job->values[TARE_STEADY_S] : job->values[TARE_TRAIN_S];
}

static double phase_s(const struct tare_job_record *job, const char *name) {
    for (size_t i = 0; i < job->phase_count; i++)
        if (strcmp(job->phases[i].name, name) == 0)
            return job->phases[i].value;
    return NAN;
}

/* The median of the values that are there. */
static struct tare_stat stat_of(const double *values, size_t count, double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (!isnan(values[i]))
            scratch[n++] = values[i];
    return tare_median_interval(scratch, n);
}

struct scratch { /* room for a value per job */
    double *a, *b, *c, *d, *sorted;
};

static double longest(const double *values, size_t count) {
    double most = NAN;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, values[i]);
    return most;
}

/* A job was ended before it had the time that a job may take: the sweep's own was over. */
static bool was_cut(const struct tare_job_record *job, const struct tare_samples *samples) {
    return job->values[TARE_PROCESS_S] < 0.95 * samples->experiment.plan.timeout_s;
}

static const char *reason_of(const struct tare_job_record *job, struct tare_samples *samples) {
    const char *reason = job->reason;
    if (job->timed_out && !job->left_out[0])
        reason = tare_memory_printf(&samples->memory, "ended after %.0f s, %s",
                                    job->values[TARE_PROCESS_S],
                                    was_cut(job, samples) ? "when the sweep's time was over"
                                                          : "which is all that a job may take");
    return reason ? reason : "";
}

/* What its processes took beside the steps that are compared. */
static void sum_up(struct tare_sweep_engine *engine, struct tare_samples *samples,
                   const struct scratch *s) {
    size_t n = 0;
    engine->reason = engine->fix = engine->version = "";
    for (size_t i = 0; i < samples->job_count; i++) {
        const struct tare_job_record *job = &samples->jobs[i];
        if (!is_of(engine, &job->cell) || job->left_out[0])
            continue;
        engine->processes++;
        engine->wall_s += isnan(job->values[TARE_PROCESS_S]) ? 0 : job->values[TARE_PROCESS_S];
        if (job->version[0])
            engine->version = job->version;
        if (job->state != TARE_STATE_OK && !engine->reason[0]) {
            engine->reason = reason_of(job, samples);
            engine->fix = job->fix;
        }
        if (!is_good(job))
            continue;
        s->a[n] = job->values[TARE_STARTUP_S];
        s->b[n] = phase_s(job, "load");
        s->c[n] = phase_s(job, "build");
        s->d[n++] = job->values[TARE_FIRST_STEP_S];
    }
    engine->startup_s = stat_of(s->a, n, s->sorted);
    engine->load_s = stat_of(s->b, n, s->sorted);
    engine->build_s = stat_of(s->c, n, s->sorted);
    engine->first_step_s = stat_of(s->d, n, s->sorted);
    engine->longest_build_s = longest(s->c, n);
    engine->longest_first_step_s = longest(s->d, n);
}

static enum tare_sweep_gap gap_of(const struct tare_job_record *job,
                                  const struct tare_samples *samples) {
    if (strcmp(job->left_out, "slow") == 0)
        return TARE_SWEEP_GAP_SLOW;
    if (strcmp(job->left_out, "budget") == 0)
        return TARE_SWEEP_GAP_BUDGET;
    if (job->left_out[0])
        return TARE_SWEEP_GAP_FAILED;
    if (job->timed_out)
        return was_cut(job, samples) ? TARE_SWEEP_GAP_BUDGET : TARE_SWEEP_GAP_SLOW;
    switch (job->state) {
    case TARE_STATE_OK:
        return TARE_SWEEP_GAP_NONE;
    case TARE_STATE_VOID:
        return TARE_SWEEP_GAP_VOID;
    case TARE_STATE_SKIPPED:
        return TARE_SWEEP_GAP_SKIPPED;
    case TARE_STATE_NOT_SAME_WORK:
    case TARE_STATE_FAILED:
        return TARE_SWEEP_GAP_FAILED;
    }
    return TARE_SWEEP_GAP_FAILED;
}

static void fill_cell(struct tare_sweep_cell *cell, const struct tare_sweep_engine *engine,
                      struct tare_samples *samples, size_t width, size_t batch, double flops,
                      const struct scratch *s) {
    size_t n = 0;
    *cell = (struct tare_sweep_cell){
        .gap = TARE_SWEEP_GAP_ABSENT, .reason = "", .shortest_s = NAN, .flops_per_s = NAN};
    for (size_t i = 0; i < samples->job_count; i++) {
        const struct tare_job_record *job = &samples->jobs[i];
        size_t steps = 0;
        if (job->width != width || job->batch != batch || strcmp(job->task, "train") != 0 ||
            !is_of(engine, &job->cell))
            continue;
        double seconds = is_good(job) ? steady_s(job, &steps) : NAN;
        if (!(seconds > 0)) { /* the last word on what isn't measured */
            cell->gap = n > 0 ? TARE_SWEEP_GAP_NONE : gap_of(job, samples);
            cell->reason = reason_of(job, samples);
            continue;
        }
        cell->gap = TARE_SWEEP_GAP_NONE;
        cell->fewest_steps = n > 0 && cell->fewest_steps < steps ? cell->fewest_steps : steps;
        cell->most_steps = cell->most_steps > steps ? cell->most_steps : steps;
        cell->shortest_s = fmin(cell->shortest_s, seconds);
        s->a[n] = seconds / (double)steps;
        s->b[n++] = job->values[TARE_FIRST_STEP_S];
    }
    cell->step_s = tare_median_interval(s->a, n);
    cell->spread = (tare_quantile(s->a, n, 1) - tare_quantile(s->a, n, 0)) / cell->step_s.median;
    cell->first_step_s = stat_of(s->b, n, s->sorted);
    cell->flops_per_s = flops / cell->step_s.median;
    if (cell->gap == TARE_SWEEP_GAP_NONE && n == 0) /* a good job that says it took no time */
        cell->gap = TARE_SWEEP_GAP_VOID;
}

/* ---- the points --------------------------------------------------------------------------------
 */

bool tare_sweep_competes(const struct tare_sweep_engine *engine) {
    bool other_work = strcmp(engine->certificate, "not-same-work") == 0;
    return engine->origin != TARE_ORIGIN_HARNESS && engine->measured > 0 && !other_work;
}

static void fill_point(struct tare_sweep_point *point, const struct tare_sweep_summary *summary,
                       size_t at) {
    size_t here = 0;
    bool slow = false;
    for (size_t e = 0; e < summary->engine_count; e++) {
        const struct tare_sweep_engine *engines = summary->engines;
        double step_s = engines[e].cells[at].step_s.median;
        slow = slow || (tare_sweep_competes(&engines[e]) &&
                        engines[e].cells[at].gap == TARE_SWEEP_GAP_SLOW);
        if (!tare_sweep_competes(&engines[e]) || engines[e].cells[at].gap != TARE_SWEEP_GAP_NONE)
            continue;
        if (here == 0 || step_s < engines[point->fastest].cells[at].step_s.median)
            point->fastest = e;
        if (here == 0 || step_s >= engines[point->slowest].cells[at].step_s.median)
            point->slowest = e;
        here++;
    }
    point->ratio = here < 2 ? NAN
                            : summary->engines[point->slowest].cells[at].step_s.median /
                                  summary->engines[point->fastest].cells[at].step_s.median;
    point->whole = here > 0 && here == summary->competing;
    point->alike = point->whole && point->ratio <= TARE_SWEEP_ALIKE;
    point->unlike = point->ratio > TARE_SWEEP_ALIKE || (slow && here > 0);
}

size_t tare_sweep_alike_from(const struct tare_sweep_summary *summary, size_t width) {
    const struct tare_sweep_point *points = summary->points + width * summary->batch_count;
    size_t from = summary->batch_count;
    for (size_t b = summary->batch_count; b > 0 && !points[b - 1].unlike; b--)
        from = points[b - 1].alike ? b - 1 : from;
    return from;
}

double tare_sweep_alike_flops(const struct tare_sweep_summary *summary) {
    size_t count = summary->width_count * summary->batch_count;
    double unlike = 0, least = NAN; /* the most work of a point that is unlike */
    for (size_t i = 0; i < count; i++)
        if (summary->points[i].unlike)
            unlike = fmax(unlike, summary->points[i].step_flops);
    for (size_t i = 0; i < count; i++)
        if (summary->points[i].alike && summary->points[i].step_flops > unlike)
            least = fmin(least, summary->points[i].step_flops);
    return least;
}

/* Over the points that were visited: every job has what was seen at its own. */
static void find_others(struct tare_sweep_summary *summary, const struct tare_samples *samples) {
    double sum = 0;
    size_t n = 0;
    summary->most_others = NAN;
    for (size_t i = 0; i < samples->job_count; i++) {
        const struct tare_job_record *job = &samples->jobs[i];
        if (isnan(job->others) || job->left_out[0])
            continue;
        summary->most_others = fmax(summary->most_others, job->others);
        sum += job->others;
        n++;
    }
    summary->others = n > 0 ? sum / (double)n : NAN;
}

static void find_spread(struct tare_sweep_summary *summary, double *spreads) {
    size_t n = 0, points = summary->width_count * summary->batch_count;
    for (size_t e = 0; e < summary->engine_count; e++)
        for (size_t i = 0; i < points; i++) {
            if (summary->engines[e].cells[i].step_s.n > 1)
                spreads[n++] = summary->engines[e].cells[i].spread;
        }
    summary->typical_spread = tare_quantile(spreads, n, 0.5);
    summary->widest_spread = tare_quantile(spreads, n, 1);
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static int by_index(const void *a, const void *b) {
    const struct tare_job_record *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* The last certificate of a cell holds. */
static void attach_certificate(struct tare_sweep_engine *engine,
                               const struct tare_samples *samples) {
    engine->certificate = engine->certificate_reason = "";
    for (size_t i = 0; i < samples->certificate_count; i++)
        if (is_of(engine, &samples->certificates[i].cell)) {
            engine->certificate = samples->certificates[i].state;
            engine->certificate_reason = samples->certificates[i].reason;
        }
}

static void fill_engines(struct tare_sweep_summary *summary, struct tare_samples *samples,
                         const struct scratch *s) {
    for (size_t e = 0; e < samples->cell_count; e++) {
        const struct tare_sample_cell *cell = &samples->cells[e];
        struct tare_sweep_engine *engine = &summary->engines[summary->engine_count++];
        *engine = (struct tare_sweep_engine){.engine = cell->engine,
                                             .variant = cell->variant,
                                             .device = cell->device,
                                             .threads = cell->threads,
                                             .origin = tare_engine_origin(cell->engine)};
        engine->cells = tare_memory_take(
            &samples->memory, summary->width_count * summary->batch_count, sizeof *engine->cells);
        if (!engine->cells)
            return;
        attach_certificate(engine, samples);
        sum_up(engine, samples, s);
        for (size_t i = 0; i < summary->width_count * summary->batch_count; i++) {
            struct tare_sweep_cell *at = &engine->cells[i];
            fill_cell(at, engine, samples, summary->widths[i / summary->batch_count],
                      summary->batches[i % summary->batch_count], summary->points[i].step_flops, s);
            if (at->gap != TARE_SWEEP_GAP_NONE)
                continue;
            engine->measured++;
            size_t runs = at->step_s.n;
            bool first = summary->most_runs == 0;
            summary->fewest_runs =
                first || runs < summary->fewest_runs ? runs : summary->fewest_runs;
            summary->most_runs = runs > summary->most_runs ? runs : summary->most_runs;
        }
        summary->competing += tare_sweep_competes(engine);
    }
}

/* The work of each point, from the net that stands in the plan. */
static enum tare_status fill_flops(struct tare_sweep_summary *summary, const char *name,
                                   struct tare_err *err) {
    static struct tare_net net;
    char model[TARE_MAX_SPEC];
    for (size_t i = 0; i < summary->width_count * summary->batch_count; i++) {
        tare_sweep_model(model, summary->experiment->plan.model,
                         summary->widths[i / summary->batch_count]);
        if (tare_net_parse(&net, model, err) != TARE_OK)
            return tare_fail(err, TARE_DATA, name, "run tare sweep again",
                             "its plan has no net of width %zu",
                             summary->widths[i / summary->batch_count]);
        summary->points[i].step_flops =
            3 * tare_net_forward_flops(&net) * (double)summary->batches[i % summary->batch_count];
    }
    return TARE_OK;
}

static enum tare_status summarise(struct tare_sweep_summary *summary, struct tare_samples *samples,
                                  const char *name, struct tare_err *err) {
    size_t points = samples->sweep.width_count * samples->sweep.batch_count;
    size_t jobs = samples->job_count + 1;
    *summary = (struct tare_sweep_summary){.experiment = &samples->experiment,
                                           .widths = samples->sweep.widths,
                                           .batches = samples->sweep.batches,
                                           .width_count = samples->sweep.width_count,
                                           .batch_count = samples->sweep.batch_count,
                                           .budget_s = samples->sweep.budget_s,
                                           .wall_s = samples->wall_s,
                                           .complete = samples->complete,
                                           .torn_line = samples->torn_line,
                                           .misfits = samples->misfits,
                                           .misfit_count = samples->misfit_count,
                                           .memory = summary->memory};
    struct tare_memory *memory = &samples->memory;
    summary->points = tare_memory_take(memory, points, sizeof *summary->points);
    summary->engines = tare_memory_take(memory, samples->cell_count, sizeof *summary->engines);
    double *room = tare_memory_take(memory, 5 * jobs, sizeof *room);
    double *spreads = tare_memory_take(memory, points * (samples->cell_count + 1), sizeof *spreads);
    if (memory->failed)
        return TARE_MEMORY;
    struct scratch s = {room, room + jobs, room + 2 * jobs, room + 3 * jobs, room + 4 * jobs};
    qsort(samples->jobs, samples->job_count, sizeof *samples->jobs, by_index);
    enum tare_status status = fill_flops(summary, name, err);
    if (status != TARE_OK)
        return status;
    fill_engines(summary, samples, &s);
    find_others(summary, samples);
    if (!memory->failed)
        find_spread(summary, spreads);
    for (size_t i = 0; i < points && !memory->failed; i++)
        fill_point(&summary->points[i], summary, i);
    return memory->failed ? TARE_MEMORY : TARE_OK;
}

enum tare_status tare_sweep_parse(struct tare_sweep_summary *summary, const void *bytes,
                                  size_t size, const char *name, struct tare_err *err) {
    struct tare_sweep_memory *memory = calloc(1, sizeof *memory);
    *summary = (struct tare_sweep_summary){.memory = memory};
    if (!memory)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory for the sweep");
    enum tare_status status = tare_samples_parse_sweep(&memory->samples, bytes, size, name, err);
    if (status == TARE_OK)
        status = summarise(summary, &memory->samples, name, err);
    if (status == TARE_MEMORY)
        tare_fail(err, TARE_MEMORY, name, NULL, "no memory for the sweep");
    if (status != TARE_OK)
        tare_sweep_free(summary);
    return status;
}

enum tare_status tare_sweep_read(struct tare_sweep_summary *summary, const char *dir,
                                 struct tare_err *err) {
    struct tare_buf text = {0};
    *summary = (struct tare_sweep_summary){0};
    char *path = tare_path_join(dir, TARE_SWEEP_FILE);
    enum tare_status status = path ? tare_samples_text(&text, path, false, err)
                                   : tare_fail(err, TARE_MEMORY, dir, NULL, "no memory for a path");
    if (status == TARE_OK)
        status = tare_sweep_parse(summary, text.data ? text.data : "", text.size, path, err);
    tare_buf_free(&text);
    free(path);
    return status;
}

void tare_sweep_free(struct tare_sweep_summary *summary) {
    struct tare_sweep_memory *memory = summary->memory;
    if (memory)
        tare_memory_free(&memory->samples.memory);
    free(memory);
    *summary = (struct tare_sweep_summary){0};
}
