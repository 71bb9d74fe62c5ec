/* summary.c: the jobs of an experiment become rows, one per cell of the plan.
 *
 * Jobs are put in the order of their index first, so that the order of lines in the file changes
 * nothing. Statistics are taken over the runs that measured something: a void run is shown (its row
 * is void and ranks nowhere), a failed one is not a measurement. read_samples.c reads the text,
 * attach.c joins exports with the runtimes that ran them, rank.c and disagree.c compare,
 * src/report/ shows.
 */
#include "tare/summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/attach.h"
#include "lab/best.h"
#include "lab/disagree.h"
#include "lab/rank.h"
#include "tare/buf.h"

#define INTERRUPTED_FIX "run it again; what was measured stays in samples.jsonl"
#define LEFT_OUT_FIX "restore samples.jsonl from a copy, or run it again"

static const char *const measure_names[] = {
#define X(id, name) name,
    TARE_MEASURE_LIST(X)
#undef X
};

static const char *const comparison_kind_names[] = {
#define X(id, name) name,
    TARE_COMPARISON_KIND_LIST(X)
#undef X
};

const char *tare_comparison_kind_name(enum tare_comparison_kind kind) {
    return comparison_kind_names[kind];
}

const char *tare_measure_name(enum tare_measure measure) {
    return measure_names[measure];
}

static int by_index(const void *a, const void *b) {
    const struct tare_job_record *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

static bool same_cell(const struct tare_sample_cell *a, const struct tare_sample_cell *b) {
    return a->track == b->track && a->threads == b->threads && a->again == b->again &&
           strcmp(a->engine, b->engine) == 0 && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->device, b->device) == 0;
}

static enum tare_status record_error(const char *name, const struct tare_job_record *job,
                                     struct tare_err *err, const char *what) {
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", name, job->line);
    return tare_fail(err, TARE_DATA, where, "the file was changed; run tare compare again", "%s",
                     what);
}

/* Rows in the report's order: by track, then as planned. cells[i] is the cell behind rows[i]. */
static void make_rows(struct tare_summary *summary, const struct tare_samples *samples,
                      const struct tare_sample_cell **cells) {
    const enum tare_track order[] = {TARE_TRACK_TUTORIAL, TARE_TRACK_CONTROLLED,
                                     TARE_TRACK_HARNESS};
    size_t count = 0;
    for (size_t t = 0; t < sizeof order / sizeof *order; t++)
        for (size_t i = 0; i < samples->cell_count; i++) {
            const struct tare_sample_cell *cell = &samples->cells[i];
            if (cell->track != order[t])
                continue;
            cells[count] = cell;
            summary->rows[count++] = (struct tare_row){
                .engine = cell->engine,
                .variant = cell->variant,
                .device = cell->device,
                .again = cell->again,
                .track = cell->track,
                .origin = tare_engine_origin(cell->engine),
                .threads = cell->threads,
                .batch = samples->experiment.plan.batch,
            };
            summary->harness_count += cell->track == TARE_TRACK_HARNESS;
        }
    summary->row_count = count - summary->harness_count;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            struct tare_sample_cell other = *cells[j];
            other.threads = cells[i]->threads;
            if (cells[j]->threads != cells[i]->threads && same_cell(cells[i], &other))
                summary->rows[i].same_but_threads = true;
        }
}

/* Puts every training job at its row and run. */
static enum tare_status place_jobs(const struct tare_job_record **by_run,
                                   const struct tare_summary *summary,
                                   const struct tare_sample_cell *const *cells,
                                   const struct tare_samples *samples, const char *name,
                                   struct tare_err *err) {
    size_t row_count = summary->row_count + summary->harness_count;
    size_t runs = summary->experiment.plan.runs;
    for (size_t i = 0; i < row_count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_cell(cells[i], cells[j]))
                return tare_fail(err, TARE_DATA, name, "run tare compare again",
                                 "the plan names the cell of engine %s twice", cells[i]->engine);
    for (size_t i = 0; i < samples->job_count; i++) {
        const struct tare_job_record *job = &samples->jobs[i];
        if (strcmp(job->task, "train") != 0)
            continue;
        size_t row = 0;
        while (row < row_count && !same_cell(cells[row], &job->cell))
            row++;
        if (row == row_count)
            return record_error(name, job, err, "the job's cell is not in the plan");
        if (by_run[row * runs + job->run] != NULL)
            return record_error(name, job, err, "the job's cell and run were there before");
        by_run[row * runs + job->run] = job;
    }
    return TARE_OK;
}

/* State, reason, fix and the line that reproduces it, from the first job in the worst state. */
static void judge_row(struct tare_row *row, const struct tare_job_record *const *jobs, size_t runs,
                      bool left_out, struct tare_memory *memory) {
    const struct tare_job_record *worst = NULL;
    size_t in_state = 0;
    for (size_t r = 0; r < runs; r++) {
        if (jobs[r] == NULL)
            continue;
        row->runs_done++;
        if (worst == NULL || jobs[r]->state > worst->state) {
            worst = jobs[r];
            in_state = 0;
        }
        in_state += jobs[r]->state == worst->state;
    }
    if (worst == NULL)
        return;
    row->state = worst->state;
    row->fix = worst->fix;
    row->reproduce = worst->reproduce;
    row->reason = worst->reason;
    /* What is missing or timed out is not tried again, so one such job says it all. */
    row->complete = row->runs_done == runs || !tare_state_is_measured(row->state);
    if (row->state == TARE_STATE_OK && !row->complete) {
        row->fix = left_out ? LEFT_OUT_FIX : INTERRUPTED_FIX;
        row->reason = tare_memory_printf(memory, "%s: %zu of %zu runs are there",
                                         left_out ? "lines were left out" : "interrupted",
                                         row->runs_done, runs);
    } else if (row->state != TARE_STATE_OK && row->state != TARE_STATE_SKIPPED && runs > 1) {
        row->reason = tare_memory_printf(memory, "%zu of %zu runs %s: %s", in_state, runs,
                                         tare_state_name(row->state), worst->reason);
    }
}

/* A row without any job: its engine's warm-up may say why; otherwise nobody got that far. */
static void judge_absent_row(struct tare_row *row, const struct tare_samples *samples,
                             bool left_out) {
    for (size_t i = 0; i < samples->job_count; i++) {
        const struct tare_job_record *job = &samples->jobs[i];
        if (strcmp(job->task, "warmup") == 0 && job->state != TARE_STATE_OK &&
            strcmp(job->cell.engine, row->engine) == 0) {
            row->state = job->state;
            row->reason = job->reason;
            row->fix = job->fix;
            row->reproduce = job->reproduce;
            row->version = job->version;
            row->dir = job->dir;
            row->complete = true; /* what its first process can't do is not tried again */
            return;
        }
    }
    row->state = TARE_STATE_FAILED;
    row->reason = left_out ? "no run of it is there: its lines were left out, or it was not run"
                           : "not run: the experiment was interrupted before it";
    row->fix = left_out ? LEFT_OUT_FIX : INTERRUPTED_FIX;
}

/* The certificate of a row, the last of its cell, and what follows from one that isn't ok. */
static void apply_certificate(struct tare_row *row, const struct tare_sample_cell *cell,
                              const struct tare_samples *samples, struct tare_memory *memory) {
    const struct tare_certificate_record *found = NULL;
    struct tare_sample_cell once = *cell;
    once.again = false; /* the same program: one certificate holds for both */
    for (size_t i = 0; i < samples->certificate_count; i++)
        if (same_cell(&samples->certificates[i].cell, &once))
            found = &samples->certificates[i];
    if (found == NULL)
        return;
    row->certificate = found->state;
    row->certificate_ratio = found->max_ratio;
    row->certificate_where = found->where;
    if (row->version[0] == '\0')
        row->version = found->version;
    if (strcmp(found->state, "not-same-work") == 0) {
        row->state = TARE_STATE_NOT_SAME_WORK;
        row->reason = tare_memory_printf(memory, "not the same work: %s", found->reason);
    } else if (strcmp(found->state, "not-checked") == 0 && row->runs_done == 0) {
        row->state = found->job_state;
        row->reason = found->reason;
        row->fix = found->fix;
    } else
        return;
    row->complete = true; /* it is not tried again */
}

static void fill_row(struct tare_row *row, const struct tare_job_record *const *jobs, size_t runs,
                     struct tare_memory *memory) {
    struct tare_job_set set = {.jobs = tare_memory_take(memory, runs, sizeof *set.jobs)};
    if (set.jobs == NULL)
        return;
    for (size_t r = 0; r < runs; r++)
        if (jobs[r] != NULL && tare_state_is_measured(jobs[r]->state))
            set.jobs[set.count++] = jobs[r];
    for (size_t m = 0; m < TARE_MEASURE_COUNT; m++)
        row->stats[m] = tare_set_stat(&set, (enum tare_measure)m, memory);
    tare_set_wilson(&set, row->stats[TARE_ACCURACY].median, &row->wilson_lo, &row->wilson_hi,
                    &row->correct, &row->total);
    if (set.count > 0)
        row->infer_call = set.jobs[0]->infer_call;
    for (size_t r = runs; r-- > 0;) /* the first run's wins */
        if (jobs[r] != NULL) {
            row->version = jobs[r]->version;
            row->dir = jobs[r]->dir;
            row->batch = jobs[r]->batch;
        }
    tare_attach_lists(row, &set, memory);
}

static void scale_stat(struct tare_stat *stat, double factor) {
    stat->median *= factor;
    stat->lo *= factor;
    stat->hi *= factor;
}

/* The null engine runs every step of the order; the remainder of an epoch is dropped. */
static void fill_harness(struct tare_summary *summary) {
    const struct tare_experiment *e = &summary->experiment;
    summary->harness_step_s = tare_median_interval(NULL, 0);
    size_t steps = e->plan.batch > 0 ? e->dataset.train / e->plan.batch * e->plan.epochs : 0;
    for (size_t i = summary->row_count + summary->harness_count; i-- > 0;)
        if (summary->rows[i].origin == TARE_ORIGIN_HARNESS)
            summary->harness = &summary->rows[i];
    /* Among the rows it trains in ranges of an epoch, as they do: no price of a step. */
    if (summary->harness == NULL || summary->harness->track != TARE_TRACK_HARNESS || steps == 0)
        return;
    summary->harness_step_s = summary->harness->stats[TARE_TRAIN_S];
    scale_stat(&summary->harness_step_s, 1 / (double)steps);
}

static enum tare_status build(struct tare_summary *summary, struct tare_samples *samples,
                              const char *name, struct tare_err *err) {
    struct tare_memory *memory = &samples->memory;
    size_t cells_most = samples->cell_count, runs = samples->experiment.plan.runs;
    const struct tare_sample_cell **cells = tare_memory_take(memory, cells_most, sizeof *cells);
    const struct tare_job_record **by_run =
        tare_memory_take(memory, cells_most * runs, sizeof *by_run);
    summary->rows = tare_memory_take(memory, cells_most, sizeof *summary->rows);
    if (cells == NULL || by_run == NULL || summary->rows == NULL)
        return TARE_OK; /* the caller sees memory->failed */
    summary->experiment = samples->experiment;
    summary->torn_line = samples->torn_line;
    summary->misfits = samples->misfits;
    summary->misfit_count = samples->misfit_count;
    summary->salvaged = samples->salvaged;
    bool left_out = samples->salvaged && samples->misfit_count > 0;
    summary->complete = samples->torn_line == 0 && !left_out;
    qsort(samples->jobs, samples->job_count, sizeof *samples->jobs, by_index);
    make_rows(summary, samples, cells);
    enum tare_status status = place_jobs(by_run, summary, cells, samples, name, err);
    if (status != TARE_OK)
        return status;
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++) {
        struct tare_row *row = &summary->rows[i];
        row->version = row->reason = row->fix = row->reproduce = row->dir = row->infer_call = "";
        row->certificate = "not-checked";
        row->certificate_where = "";
        row->certificate_ratio = NAN;
        judge_row(row, &by_run[i * runs], runs, left_out, memory);
        fill_row(row, &by_run[i * runs], runs, memory);
        if (row->runs_done == 0)
            judge_absent_row(row, samples, left_out);
        apply_certificate(row, cells[i], samples, memory);
        summary->complete = summary->complete && row->complete;
        tare_attach_exports(row, &by_run[i * runs], samples, memory);
    }
    fill_harness(summary);
    struct tare_pairs pairs = {.summary = summary,
                               .by_run = by_run,
                               .runs = runs,
                               .a = tare_memory_take(memory, runs, sizeof *pairs.a),
                               .b = tare_memory_take(memory, runs, sizeof *pairs.b)};
    tare_mark_best(summary);
    tare_rank_rows(&pairs, memory);
    tare_disagree_rows(summary, by_run, memory);
    return TARE_OK;
}

/* What parses the lines: tare_samples_parse or tare_samples_salvage. */
typedef enum tare_status parser(struct tare_samples *samples, const void *bytes, size_t size,
                                const char *name, struct tare_err *err);

static enum tare_status summarise(struct tare_summary *summary, parser *parse, const void *bytes,
                                  size_t size, const char *name, struct tare_err *err) {
    *summary = (struct tare_summary){0};
    struct tare_samples samples;
    enum tare_status status = parse(&samples, bytes, size, name, err);
    if (status != TARE_OK)
        return status;
    status = build(summary, &samples, name, err);
    if (status == TARE_DATA)
        tare_samples_hint(&samples, err);
    struct tare_memory *memory = malloc(sizeof *memory);
    if (status == TARE_OK && (samples.memory.failed || memory == NULL))
        status = tare_fail(err, TARE_MEMORY, name, NULL, "no memory for the summary");
    if (status != TARE_OK) {
        free(memory);
        tare_memory_free(&samples.memory);
        *summary = (struct tare_summary){0};
        return status;
    }
    *memory = samples.memory;
    summary->memory = memory;
    return TARE_OK;
}

enum tare_status tare_summary_parse(struct tare_summary *summary, const void *bytes, size_t size,
                                    const char *name, struct tare_err *err) {
    return summarise(summary, tare_samples_parse, bytes, size, name, err);
}

enum tare_status tare_summary_parse_sound(struct tare_summary *summary, const void *bytes,
                                          size_t size, const char *name, struct tare_err *err) {
    return summarise(summary, tare_samples_salvage, bytes, size, name, err);
}

static enum tare_status read_file(struct tare_summary *summary, parser *parse, const char *path,
                                  struct tare_err *err) {
    *summary = (struct tare_summary){0};
    struct tare_buf text = {0};
    enum tare_status status = tare_samples_text(&text, path, parse == tare_samples_parse, err);
    if (status == TARE_OK)
        status = summarise(summary, parse, text.data, text.size, path, err);
    tare_buf_free(&text);
    return status;
}

enum tare_status tare_summary_read(struct tare_summary *summary, const char *path,
                                   struct tare_err *err) {
    return read_file(summary, tare_samples_parse, path, err);
}

enum tare_status tare_summary_salvage(struct tare_summary *summary, const char *path,
                                      struct tare_err *err) {
    return read_file(summary, tare_samples_salvage, path, err);
}

void tare_summary_free(struct tare_summary *summary) {
    if (summary->memory != NULL)
        tare_memory_free(summary->memory);
    free(summary->memory);
    *summary = (struct tare_summary){0};
}

bool tare_check_failed(const struct tare_check *check) {
    return check->state != TARE_STATE_OK && check->state != TARE_STATE_SKIPPED;
}

size_t tare_summary_failures(const struct tare_summary *summary) {
    size_t failures = 0;
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        failures += row->state != TARE_STATE_OK || !row->complete;
        for (size_t e = 0; e < row->export_count; e++)
            for (size_t c = 0; c < row->exports[e].check_count; c++)
                failures += tare_check_failed(&row->exports[e].checks[c]);
    }
    return failures;
}
