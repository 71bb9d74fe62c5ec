/* disagree.h: pairs of rows that were right on different images. Internal to lab. */
#ifndef TARE_LAB_DISAGREE_H
#define TARE_LAB_DISAGREE_H

#include "lab/read_samples.h"

/* Fills the disagreements of a summary whose rows are complete. by_run[i · runs + r] is row i's job
 * of run r, or NULL. */
void tare_disagree_rows(struct tare_summary *summary, const struct tare_job_record *const *by_run,
                        struct tare_memory *memory);

#endif
