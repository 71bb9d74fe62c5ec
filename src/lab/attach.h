/* attach.h: what a row is made of besides its measures: statistics over a set of runs, named lists,
 * and exports joined with the runtimes that ran them. Internal to lab. */
#ifndef TARE_LAB_ATTACH_H
#define TARE_LAB_ATTACH_H

#include "lab/read_samples.h"

/* Jobs in order of their run, all of them measured. */
struct tare_job_set {
    const struct tare_job_record **jobs;
    size_t count;
};

/* ok, void and not-same-work have numbers worth showing; skipped and failed don't. */
bool tare_state_is_measured(enum tare_cell_state state);

struct tare_stat tare_set_stat(const struct tare_job_set *set, enum tare_measure measure,
                               struct tare_memory *memory);

/* Wilson's interval of the median accuracy over the images of one test set; NaN and 0 when no run
 * was graded. *correct is the median accuracy in images, rounded. */
void tare_set_wilson(const struct tare_job_set *set, double accuracy, double *lo, double *hi,
                     size_t *correct, size_t *total);

/* phases, metrics, calls, settings and code of row. */
void tare_attach_lists(struct tare_row *row, const struct tare_job_set *set,
                       struct tare_memory *memory);

/* exports of row, from its jobs (by_run[r], or NULL) and from the infer jobs that name them. */
void tare_attach_exports(struct tare_row *row, const struct tare_job_record *const *by_run,
                         const struct tare_samples *samples, struct tare_memory *memory);

#endif
