/* rank.h: which rows may be compared, and how they come out. Internal to lab; method:
 * doc/statistics.md. */
#ifndef TARE_LAB_RANK_H
#define TARE_LAB_RANK_H

#include "lab/read_samples.h"

/* Fills rank, unranked and the comparisons of a summary whose rows are complete. by_run[i · runs +
 * r] is row i's job of run r, or NULL. */
void tare_rank_rows(struct tare_summary *summary, const struct tare_job_record *const *by_run,
                    struct tare_memory *memory);

#endif
