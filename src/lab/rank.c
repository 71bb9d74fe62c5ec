/* rank.c: who was faster, and whether that can be told.
 *
 * Rows are compared within a track only, and only rows that are ok, complete and have at least six
 * runs. doc/statistics.md explains.
 */
#include "lab/rank.h"

#include "lab/best.h"

static const enum tare_measure compared[] = {TARE_TRAIN_S, TARE_INFER_10000_S, TARE_INFER_ONE_S};
#define COMPARED_COUNT (sizeof compared / sizeof *compared)

/* Rankable rows of a track that have the measure, by median, the plan's order breaking ties. */
static size_t sort_rows(size_t *order, const struct tare_summary *summary, enum tare_track track,
                        enum tare_measure measure) {
    size_t count = 0;
    const struct tare_row *rows = summary->rows;
    for (size_t i = 0; i < summary->row_count; i++) {
        if (rows[i].track != track || rows[i].again || tare_why_incomparable(&rows[i]) != NULL ||
            rows[i].stats[measure].n < TARE_MIN_RUNS_FOR_INTERVAL)
            continue;
        size_t at = count++;
        while (at > 0 &&
               rows[order[at - 1]].stats[measure].median > rows[i].stats[measure].median) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    return count;
}

/* A row's rank is one more than the number of rows that were faster, as far as can be told. */
static void assign_ranks(const struct tare_pairs *pairs, const size_t *order, size_t count) {
    struct tare_row *rows = pairs->summary->rows;
    if (count == 1)
        rows[order[0]].unranked = "no other row of this track to compare with";
    for (size_t i = 0; count > 1 && i < count; i++) {
        rows[order[i]].rank = 1;
        rows[order[i]].unranked = "";
        for (size_t j = 0; j < i; j++) {
            struct tare_stat ratio = tare_paired_ratio(pairs, order[i], order[j], TARE_TRAIN_S);
            rows[order[i]].rank += ratio.has_interval && ratio.lo > 1;
        }
    }
}

void tare_rank_rows(const struct tare_pairs *pairs, struct tare_memory *memory) {
    struct tare_summary *summary = pairs->summary;
    size_t *order = tare_memory_take(memory, summary->row_count, sizeof *order);
    /* With the fastest: rows x measures; as taught: rows; at their best: pairs of rows. */
    summary->comparisons =
        tare_memory_take(memory, summary->row_count * (COMPARED_COUNT + 1 + summary->row_count),
                         sizeof *summary->comparisons);
    if (memory->failed)
        return;
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++) {
        const char *why = tare_why_incomparable(&summary->rows[i]);
        if (why == NULL && summary->rows[i].again)
            why = "the row before it a second time";
        summary->rows[i].unranked = why != NULL ? why : "";
    }
    const enum tare_track tracks[] = {TARE_TRACK_TUTORIAL, TARE_TRACK_CONTROLLED};
    for (size_t k = 0; k < sizeof tracks / sizeof *tracks; k++)
        for (size_t m = 0; m < COMPARED_COUNT; m++) {
            size_t count = sort_rows(order, summary, tracks[k], compared[m]);
            if (compared[m] == TARE_TRAIN_S)
                assign_ranks(pairs, order, count);
            for (size_t i = 1; i < count; i++)
                tare_add_comparison(pairs, TARE_COMPARE_FASTEST, compared[m], order[0], order[i]);
        }
    tare_compare_best(pairs);
}
