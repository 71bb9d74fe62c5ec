/* disagree.h: two models of one run on the same test images: which of them was right where the
 * other was wrong. Part of a summary (summary.h); method: doc/statistics.md.
 *
 *     const struct tare_disagreement *d = &summary.disagreements[0];
 *     printf("%zu to %zu, p = %g\n", d->only_a, d->only_b, d->p);
 */
#ifndef TARE_DISAGREE_H
#define TARE_DISAGREE_H

#include <stdbool.h>
#include <stddef.h>

/* Of two rows of one track that are ok, in the first run that graded both. */
struct tare_disagreement {
    size_t a, b;           /* indices into rows, a < b */
    size_t run;            /* from 0 */
    size_t total;          /* test images */
    size_t only_a, only_b; /* images that only this one got right */
    double p;              /* tare_mcnemar of the two */
    bool apart;            /* p < TARE_MCNEMAR_LEVEL */
    bool of_frameworks;    /* two frameworks, each by its best row: the pairs a report speaks about;
                              of tare's own engine only the one with the fastest framework */
};

#endif
