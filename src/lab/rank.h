/* rank.h: which rows may be compared, and how they come out. Internal to lab; method:
 * doc/statistics.md. */
#ifndef TARE_LAB_RANK_H
#define TARE_LAB_RANK_H

#include "lab/pairs.h"

/* Fills rank, unranked and the comparisons of a summary whose best rows are marked. */
void tare_rank_rows(const struct tare_pairs *pairs, struct tare_memory *memory);

#endif
