/* disagree.c: per image, which of two models was right. Jobs keep their right answers as bits
 * (record.c); here two sets of bits become two counts and a probability (mcnemar.c).
 *
 * One run is taken, the first that has both, because the images of the test set are the sample: the
 * same images again in another run are no new ones. */
#include "lab/disagree.h"

#include "lab/best.h"

static size_t bits_in(unsigned byte) {
    return (size_t)__builtin_popcount(byte);
}

static void count(struct tare_disagreement *d, const struct tare_job_record *a,
                  const struct tare_job_record *b) {
    d->total = a->total;
    for (size_t i = 0; i < TARE_RIGHT_BYTES(a->total); i++) {
        d->only_a += bits_in(a->right[i] & (unsigned)~b->right[i]);
        d->only_b += bits_in(b->right[i] & (unsigned)~a->right[i]);
    }
    d->p = tare_mcnemar(d->only_a, d->only_b);
    d->apart = d->p < TARE_MCNEMAR_LEVEL;
}

static bool may_be_compared(const struct tare_row *row) {
    return tare_did_the_work(row) && row->total > 0;
}

static void compare(struct tare_summary *summary, size_t a, size_t b,
                    const struct tare_job_record *const *by_run) {
    size_t runs = summary->experiment.plan.runs;
    for (size_t r = 0; r < runs; r++) {
        const struct tare_job_record *x = by_run[a * runs + r], *y = by_run[b * runs + r];
        if (x == NULL || y == NULL || x->right == NULL || y->right == NULL || x->total != y->total)
            continue;
        struct tare_disagreement *d = &summary->disagreements[summary->disagreement_count++];
        *d = (struct tare_disagreement){.a = a, .b = b, .run = r};
        count(d, x, y);
        d->of_frameworks = tare_speaks_for(summary, a, b);
        return;
    }
}

void tare_disagree_rows(struct tare_summary *summary, const struct tare_job_record *const *by_run,
                        struct tare_memory *memory) {
    size_t rows = summary->row_count;
    summary->disagreements =
        tare_memory_take(memory, rows * rows / 2, sizeof *summary->disagreements);
    if (summary->disagreements == NULL)
        return;
    for (size_t a = 0; a < rows; a++)
        for (size_t b = a + 1; b < rows; b++)
            if (summary->rows[a].track == summary->rows[b].track &&
                may_be_compared(&summary->rows[a]) && may_be_compared(&summary->rows[b]))
                compare(summary, a, b, by_run);
}
