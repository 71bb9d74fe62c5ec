/* best.c: what a framework does as taught, and at its best on provably the same work.
 *
 * The best is chosen by the median of the runs it is then compared by. With rows that can't be told
 * apart the choice is chance, and the intervals don't know of it: doc/statistics.md. */
#include "lab/best.h"

static double train_s(const struct tare_row *row) {
    return row->stats[TARE_TRAIN_S].median;
}

static bool may_be_best(const struct tare_row *row) {
    return tare_did_the_work(row) && !row->again && row->stats[TARE_TRAIN_S].n > 0;
}

void tare_mark_best(struct tare_summary *summary) {
    for (size_t i = 0; i < summary->row_count; i++) {
        struct tare_row *row = &summary->rows[i];
        row->best = may_be_best(row);
        for (size_t j = 0; j < summary->row_count && row->best; j++) {
            const struct tare_row *other = &summary->rows[j];
            if (j != i && other->track == row->track && tare_same_framework(other, row) &&
                may_be_best(other) &&
                (train_s(other) < train_s(row) || (j < i && train_s(other) == train_s(row))))
                row->best = false;
        }
    }
}

/* Whether no framework of its track has a faster best. */
static bool is_fastest_framework(const struct tare_summary *summary, const struct tare_row *row) {
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *other = &summary->rows[i];
        if (other->best && other->origin == TARE_ORIGIN_LIVE && other->track == row->track &&
            train_s(other) < train_s(row))
            return false;
    }
    return row->origin == TARE_ORIGIN_LIVE;
}

bool tare_speaks_for(const struct tare_summary *summary, size_t a, size_t b) {
    const struct tare_row *x = &summary->rows[a], *y = &summary->rows[b];
    if (!x->best || !y->best || x->track != y->track || tare_same_framework(x, y))
        return false;
    return (x->origin == TARE_ORIGIN_LIVE && y->origin == TARE_ORIGIN_LIVE) ||
           is_fastest_framework(summary, x) || is_fastest_framework(summary, y);
}

static void add(const struct tare_pairs *pairs, enum tare_comparison_kind kind, size_t a,
                size_t b) {
    const struct tare_row *rows = pairs->summary->rows;
    if (tare_why_incomparable(&rows[a]) != NULL || tare_why_incomparable(&rows[b]) != NULL)
        return;
    bool a_faster = train_s(&rows[a]) <= train_s(&rows[b]);
    tare_add_comparison(pairs, kind, TARE_TRAIN_S, a_faster ? a : b, a_faster ? b : a);
}

void tare_compare_best(const struct tare_pairs *pairs) {
    const struct tare_summary *summary = pairs->summary;
    for (size_t i = 1; i < summary->row_count; i++)
        if (summary->rows[i].again)
            add(pairs, TARE_COMPARE_AGAIN, i - 1, i);
    for (size_t i = 0; i < summary->row_count; i++)
        for (size_t j = 0; j < summary->row_count; j++) {
            const struct tare_row *a = &summary->rows[i], *b = &summary->rows[j];
            if (a->track == TARE_TRACK_TUTORIAL && a->best && b->best &&
                b->track == TARE_TRACK_CONTROLLED && tare_same_framework(a, b))
                add(pairs, TARE_COMPARE_TAUGHT, i, j);
        }
    for (size_t i = 0; i < summary->row_count; i++)
        for (size_t j = i + 1; j < summary->row_count; j++)
            if (summary->rows[i].track == TARE_TRACK_CONTROLLED && tare_speaks_for(summary, i, j))
                add(pairs, TARE_COMPARE_BEST, i, j);
}
