/* latency.c: percentiles of many queries as upper bounds that 99 % confidence bears, from order
 * statistics and the exact binomial distribution; doc/statistics.md derives them. bench.c and the
 * campaign read what engines timed through here. tests/vectors/latency.txt holds SciPy's answers.
 */
#include "tare/latency.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    const char *name;
    double p;
} quantiles[TARE_QUANTILE_COUNT] = {
#define X(id, name, p) {name, p},
    TARE_QUANTILE_LIST(X)
#undef X
};

const char *tare_quantile_name(enum tare_quantile_id id) {
    return quantiles[id].name;
}

double tare_quantile_p(enum tare_quantile_id id) {
    return quantiles[id].p;
}

/* P(Binomial(n, q) ≤ k), 0 < q < 1, k at most about the mean n·q. The term at k from its logarithm,
 * those below it by their ratios: they fall at least geometrically, and those too small to matter
 * are left out. Never summed up from k = 0, where the first term underflows. */
static double binomial_cdf(size_t k, size_t n, double q) {
    double at = (double)k, all = (double)n;
    double log_term = lgamma(all + 1) - lgamma(at + 1) - lgamma(all - at + 1) + at * log(q) +
                      (all - at) * log1p(-q);
    double term = 1, sum = 1; /* in units of the term at k */
    for (; at > 0 && term > 1e-18 * sum; at--) {
        term *= at / (all - at + 1) * ((1 - q) / q);
        sum += term;
    }
    return exp(log_term + log(sum));
}

/* The largest k with P(Binomial(n, q) ≤ k) ≤ 1 %; false when even k = 0 is above. */
static bool most_over(size_t *k, size_t n, double q) {
    const double risk = 1 - TARE_LATENCY_CONFIDENCE;
    size_t lo = 0, hi = (size_t)ceil((double)n * q); /* the mean, rounded up: P is over a half */
    if (n == 0 || binomial_cdf(0, n, q) > risk)
        return false;
    while (hi - lo > 1) { /* lo is within the risk, hi is not */
        size_t middle = lo + (hi - lo) / 2;
        if (binomial_cdf(middle, n, q) <= risk)
            lo = middle;
        else
            hi = middle;
    }
    *k = lo;
    return true;
}

size_t tare_quantile_needs(double p, size_t over) {
    const double risk = 1 - TARE_LATENCY_CONFIDENCE;
    size_t lo = (size_t)((double)over / (1 - p)),
           hi = lo + 1; /* over is lo's mean: P over a half */
    while (binomial_cdf(over, hi, 1 - p) > risk) {
        lo = hi;
        hi *= 2;
    }
    while (hi - lo > 1) {
        size_t middle = lo + (hi - lo) / 2;
        if (binomial_cdf(over, middle, 1 - p) > risk)
            lo = middle;
        else
            hi = middle;
    }
    return hi;
}

static int by_size(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* A query that filled its 32 bits took that long or longer. */
static double seconds_of(int32_t query_ns) {
    return query_ns == INT32_MAX ? INFINITY : (double)query_ns * 1e-9;
}

void tare_latency_of(struct tare_latency *latency, int32_t *query_ns, size_t n) {
    *latency = (struct tare_latency){.n = n, .min_s = NAN, .max_s = NAN};
    if (n > 0) {
        qsort(query_ns, n, sizeof *query_ns, by_size);
        latency->min_s = seconds_of(query_ns[0]);
        latency->max_s = seconds_of(query_ns[n - 1]);
    }
    for (size_t i = 0; i < TARE_QUANTILE_COUNT; i++) {
        struct tare_quantile *quantile = &latency->quantile[i];
        size_t over = 0;
        quantile->needs = tare_quantile_needs(quantiles[i].p, TARE_LATENCY_OVER);
        quantile->known = most_over(&over, n, 1 - quantiles[i].p) && over >= TARE_LATENCY_OVER;
        quantile->seconds = quantile->known ? seconds_of(query_ns[n - 1 - over]) : NAN;
    }
}

enum tare_status tare_latencies_read(struct tare_array *query_ns, const char *path, size_t queries,
                                     struct tare_err *err) {
    enum tare_status status = tare_npy_read(query_ns, path, err);
    if (status != TARE_OK)
        return status;
    if (query_ns->dtype != TARE_I32 || query_ns->rank != 1 || query_ns->shape[0] != queries)
        status =
            tare_fail(err, TARE_DATA, path, NULL, "must be int32 (%zu): a time per query", queries);
    const int32_t *ns = query_ns->data;
    bool any = queries == 0; /* a file of zeros is one that nobody filled */
    for (size_t i = 0; status == TARE_OK && i < queries; i++) {
        any = any || ns[i] > 0;
        if (ns[i] < 0)
            status = tare_fail(err, TARE_DATA, path, NULL, "query %zu took %d ns", i, (int)ns[i]);
    }
    if (status == TARE_OK && !any)
        status = tare_fail(err, TARE_DATA, path, NULL, "all queries took 0 ns");
    if (status != TARE_OK)
        tare_array_free(query_ns);
    return status;
}
