/* best.h: each framework at its best: the row of a track that trained fastest. Internal to lab;
 * method: doc/statistics.md. */
#ifndef TARE_LAB_BEST_H
#define TARE_LAB_BEST_H

#include "lab/pairs.h"

/* Marks each framework's best row of each track. Of the controlled track only rows with a
 * certificate can be it; of equals it is the first. */
void tare_mark_best(struct tare_summary *summary);

/* Whether a report speaks about these two: the best of two frameworks on one track; of tare's own
 * engine only beside the fastest framework. */
bool tare_speaks_for(const struct tare_summary *summary, size_t a, size_t b);

/* Adds the comparisons of rows with themselves, of the frameworks at their best on the controlled
 * track, and of each framework's tutorial with its best. */
void tare_compare_best(const struct tare_pairs *pairs);

#endif
