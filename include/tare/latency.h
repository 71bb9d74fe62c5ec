/* latency.h: percentiles of many queries, each only when the queries bear it.
 *
 *     struct tare_latency latency;
 *     tare_latency_of(&latency, query_ns, 1000);
 *     if (latency.quantile[TARE_P99].known) printf("%g s\n", latency.quantile[TARE_P99].seconds);
 *     else printf("needs %zu\n", latency.quantile[TARE_P99].needs);
 *
 * A percentile is shown as an upper bound that 99 % confidence bears, from order statistics: of n
 * queries, the one with exactly k longer than it (the k+1-th longest) is at or above the true
 * quantile p with that confidence when P(Binomial(n, 1 − p) ≤ k) ≤ 1 %. The largest such k gives
 * the lowest such bound; it must be at least TARE_LATENCY_OVER, so that no bound is the longest
 * query itself. MLPerf LoadGen's early stopping counts in the same way. doc/statistics.md derives
 * it.
 */
#ifndef TARE_LATENCY_H
#define TARE_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/array.h"
#include "tare/err.h"

#define TARE_LATENCY_CONFIDENCE 0.99
#define TARE_LATENCY_OVER 1 /* queries that must be longer than a bound that is shown */

/* id, key in JSON, quantile */
#define TARE_QUANTILE_LIST(X)                                                                      \
    X(P50, "p50", 0.5) X(P90, "p90", 0.9) X(P99, "p99", 0.99) X(P999, "p999", 0.999)
enum tare_quantile_id {
#define X(id, name, p) TARE_##id,
    TARE_QUANTILE_LIST(X)
#undef X
        TARE_QUANTILE_COUNT
};

struct tare_quantile {
    bool known;
    double seconds; /* NaN when not known; infinite when it was off the scale of 32 bits, 2.1 s */
    size_t needs;   /* queries that bear it: 11 for p50, 64 for p90, 662 for p99, 6,636 for p99.9 */
};

struct tare_latency {
    size_t n;
    double min_s, max_s; /* NaN when n is 0 */
    struct tare_quantile quantile[TARE_QUANTILE_COUNT];
};

/* The fewest queries n that bear quantile p (0 < p < 1) with `over` of them above the bound: the
 * smallest with P(Binomial(n, 1 − p) ≤ over) ≤ 1 %. */
size_t tare_quantile_needs(double p, size_t over);

/* query_ns: (n), in any order; it is sorted in place. INT32_MAX is "that long or longer". */
void tare_latency_of(struct tare_latency *latency, int32_t *query_ns, size_t n);

/* Reads what an engine wrote for the job's `latencies`: int32 (queries), no time below 0 and not
 * all of them 0, else TARE_DATA and nothing to free. */
enum tare_status tare_latencies_read(struct tare_array *query_ns, const char *path, size_t queries,
                                     struct tare_err *err);

const char *tare_quantile_name(enum tare_quantile_id id);
double tare_quantile_p(enum tare_quantile_id id);

#endif
