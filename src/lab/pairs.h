/* pairs.h: the times of two rows, run by run. Internal to lab; method: doc/statistics.md.
 *
 * Ratios are of paired runs: run r of one row over run r of the other, which the plan put close
 * together, so that a machine that slows down slows both. */
#ifndef TARE_LAB_PAIRS_H
#define TARE_LAB_PAIRS_H

#include "lab/read_samples.h"

/* A summary whose rows are complete. by_run[i · runs + r] is row i's job of run r, or NULL. */
struct tare_pairs {
    struct tare_summary *summary;
    const struct tare_job_record *const *by_run;
    size_t runs;
    double *a, *b; /* scratch of `runs` each */
};

/* Whether a row is ok and, on the controlled track, certified: a report will say "the same work".
 */
bool tare_did_the_work(const struct tare_row *row);

/* NULL when a row's times may be compared with others'; otherwise why not. */
const char *tare_why_incomparable(const struct tare_row *row);

/* The ratio of slow's times to fast's. */
struct tare_stat tare_paired_ratio(const struct tare_pairs *pairs, size_t slow, size_t fast,
                                   enum tare_measure measure);

/* An interval that holds 1, or none at all, tells nobody apart. */
bool tare_is_apart(struct tare_stat ratio);

/* Adds a comparison to the summary, in which there is room. */
void tare_add_comparison(const struct tare_pairs *pairs, enum tare_comparison_kind kind,
                         enum tare_measure measure, size_t fast, size_t slow);

#endif
