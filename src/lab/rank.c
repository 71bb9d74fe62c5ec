/* rank.c: who was faster, and whether that can be told.
 *
 * Rows are compared within a track only, and only rows that are ok, complete and have at least six
 * runs. Ratios are of paired runs: run r of one row over run r of the other, which the plan put
 * close together, so that a machine that slows down slows both. doc/statistics.md explains.
 */
#include "lab/rank.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const enum tare_measure compared[] = {TARE_TRAIN_S, TARE_INFER_10000_S, TARE_INFER_ONE_S};
#define COMPARED_COUNT (sizeof compared / sizeof *compared)

struct table {
    struct tare_summary *summary;
    const struct tare_job_record *const *by_run;
    size_t runs;
    double *a, *b; /* scratch: values of paired runs */
    size_t *order; /* scratch: rows by median */
};

/* NULL when the row may be ranked; otherwise why not. */
static const char *why_unranked(const struct tare_row *row) {
    if (row->origin == TARE_ORIGIN_HARNESS)
        return "the null engine does no work";
    if (row->state != TARE_STATE_OK)
        return "its state is not ok";
    if (row->track == TARE_TRACK_CONTROLLED && strcmp(row->certificate, "ok") != 0)
        return "no certificate that it does the same work";
    if (!row->complete)
        return "not all planned runs are there";
    if (row->stats[TARE_TRAIN_S].n < TARE_MIN_RUNS_FOR_INTERVAL)
        return "fewer than 6 runs";
    return NULL;
}

static struct tare_stat paired_ratio(const struct table *t, size_t slow, size_t fast,
                                     enum tare_measure measure) {
    size_t n = 0;
    for (size_t r = 0; r < t->runs; r++) {
        const struct tare_job_record *s = t->by_run[slow * t->runs + r];
        const struct tare_job_record *f = t->by_run[fast * t->runs + r];
        if (s == NULL || f == NULL || isnan(s->values[measure]) || isnan(f->values[measure]))
            continue;
        t->a[n] = s->values[measure];
        t->b[n++] = f->values[measure];
    }
    return tare_ratio_interval(t->a, t->b, n);
}

/* An interval that holds 1, or none at all, tells nobody apart. */
static bool is_apart(struct tare_stat ratio) {
    return ratio.has_interval && (ratio.lo > 1 || ratio.hi < 1);
}

/* Rankable rows of a track that have the measure, by median, the plan's order breaking ties. */
static size_t sort_rows(const struct table *t, enum tare_track track, enum tare_measure measure) {
    size_t count = 0;
    const struct tare_row *rows = t->summary->rows;
    for (size_t i = 0; i < t->summary->row_count; i++) {
        if (rows[i].track != track || why_unranked(&rows[i]) != NULL ||
            rows[i].stats[measure].n < TARE_MIN_RUNS_FOR_INTERVAL)
            continue;
        size_t at = count++;
        while (at > 0 &&
               rows[t->order[at - 1]].stats[measure].median > rows[i].stats[measure].median) {
            t->order[at] = t->order[at - 1];
            at--;
        }
        t->order[at] = i;
    }
    return count;
}

/* Ranks of the sorted rows: neighbours that can't be told apart share one. */
static void assign_ranks(const struct table *t, size_t count) {
    struct tare_row *rows = t->summary->rows;
    if (count == 1)
        rows[t->order[0]].unranked = "no other row of this track to compare with";
    for (size_t i = 0; count > 1 && i < count; i++) {
        struct tare_row *row = &rows[t->order[i]];
        row->rank = i + 1;
        row->unranked = "";
        if (i > 0 && !is_apart(paired_ratio(t, t->order[i], t->order[i - 1], TARE_TRAIN_S)))
            row->rank = rows[t->order[i - 1]].rank;
    }
}

void tare_rank_rows(struct tare_summary *summary, const struct tare_job_record *const *by_run,
                    struct tare_memory *memory) {
    size_t runs = summary->experiment.plan.runs;
    struct table t = {
        .summary = summary,
        .by_run = by_run,
        .runs = runs,
        .a = tare_memory_take(memory, runs, sizeof *t.a),
        .b = tare_memory_take(memory, runs, sizeof *t.b),
        .order = tare_memory_take(memory, summary->row_count, sizeof *t.order),
    };
    summary->comparisons =
        tare_memory_take(memory, summary->row_count * COMPARED_COUNT, sizeof *summary->comparisons);
    if (memory->failed)
        return;
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++) {
        const char *why = why_unranked(&summary->rows[i]);
        summary->rows[i].unranked = why != NULL ? why : "";
    }
    const enum tare_track tracks[] = {TARE_TRACK_TUTORIAL, TARE_TRACK_CONTROLLED};
    for (size_t k = 0; k < sizeof tracks / sizeof *tracks; k++)
        for (size_t m = 0; m < COMPARED_COUNT; m++) {
            size_t count = sort_rows(&t, tracks[k], compared[m]);
            if (compared[m] == TARE_TRAIN_S)
                assign_ranks(&t, count);
            for (size_t i = 1; i < count; i++) {
                struct tare_stat ratio = paired_ratio(&t, t.order[i], t.order[0], compared[m]);
                summary->comparisons[summary->comparison_count++] =
                    (struct tare_comparison){.measure = compared[m],
                                             .track = tracks[k],
                                             .fast = t.order[0],
                                             .slow = t.order[i],
                                             .ratio = ratio,
                                             .apart = is_apart(ratio)};
            }
        }
}
