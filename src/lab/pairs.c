/* pairs.c: whether two rows can be told apart. */
#include "lab/pairs.h"

#include <math.h>
#include <string.h>

static bool is_certified(const struct tare_row *row) {
    return row->track != TARE_TRACK_CONTROLLED || strcmp(row->certificate, "ok") == 0;
}

bool tare_did_the_work(const struct tare_row *row) {
    return row->origin != TARE_ORIGIN_HARNESS && row->state == TARE_STATE_OK && is_certified(row);
}

const char *tare_why_incomparable(const struct tare_row *row) {
    if (row->origin == TARE_ORIGIN_HARNESS)
        return "the null engine does no work";
    if (row->state != TARE_STATE_OK)
        return "its state is not ok";
    if (!is_certified(row))
        return "no certificate that it does the same work";
    if (!row->complete)
        return "not all planned runs are there";
    if (row->stats[TARE_TRAIN_S].n < TARE_MIN_RUNS_FOR_INTERVAL)
        return "fewer than 6 runs";
    return NULL;
}

struct tare_stat tare_paired_ratio(const struct tare_pairs *pairs, size_t slow, size_t fast,
                                   enum tare_measure measure) {
    size_t n = 0;
    for (size_t r = 0; r < pairs->runs; r++) {
        const struct tare_job_record *s = pairs->by_run[slow * pairs->runs + r];
        const struct tare_job_record *f = pairs->by_run[fast * pairs->runs + r];
        if (s == NULL || f == NULL || isnan(s->values[measure]) || isnan(f->values[measure]))
            continue;
        pairs->a[n] = s->values[measure];
        pairs->b[n++] = f->values[measure];
    }
    return tare_ratio_interval(pairs->a, pairs->b, n);
}

bool tare_is_apart(struct tare_stat ratio) {
    return ratio.has_interval && (ratio.lo > 1 || ratio.hi < 1);
}

void tare_add_comparison(const struct tare_pairs *pairs, enum tare_comparison_kind kind,
                         enum tare_measure measure, size_t fast, size_t slow) {
    struct tare_summary *summary = pairs->summary;
    struct tare_stat ratio = tare_paired_ratio(pairs, slow, fast, measure);
    summary->comparisons[summary->comparison_count++] =
        (struct tare_comparison){.kind = kind,
                                 .measure = measure,
                                 .track = summary->rows[slow].track,
                                 .fast = fast,
                                 .slow = slow,
                                 .ratio = ratio,
                                 .apart = tare_is_apart(ratio)};
}
