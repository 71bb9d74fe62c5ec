/* latency.h: percentiles of many queries, each only when the queries bear it.
 *
 *     struct tare_latency latency;
 *     tare_latency_of(&latency, query_ns, 1000);
 *     if (latency.quantile[TARE_P99].known) printf("%g s\n", latency.quantile[TARE_P99].seconds);
 *     else printf("needs %zu\n", latency.quantile[TARE_P99].needs);
 *
 * A percentile is printed as an upper bound that 99 % confidence bears, in the manner of MLPerf
 * LoadGen's early stopping: of n queries, the k-th largest is at or above the percentile p with
 * that confidence for the largest k with P(Binomial(n, 1 − p) ≤ k) ≤ 1 %. doc/statistics.md derives
 * it.
 */
#ifndef TARE_LATENCY_H
#define TARE_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARE_LATENCY_CONFIDENCE 0.99

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
    double seconds; /* NaN when not known */
    size_t needs;   /* queries that would bear it (64 for p90, 662 for p99, 6,636 for p99.9) */
};

struct tare_latency {
    size_t n;
    double min_s, max_s; /* NaN when n is 0 */
    struct tare_quantile quantile[TARE_QUANTILE_COUNT];
};

/* The fewest queries that bear quantile p with `over` of them above it. */
size_t tare_quantile_needs(double p, size_t over);

/* query_ns: (n), in any order; it is sorted in place. */
void tare_latency_of(struct tare_latency *latency, int32_t *query_ns, size_t n);

const char *tare_quantile_name(enum tare_quantile_id id);
double tare_quantile_p(enum tare_quantile_id id);

#endif
