/* stats.c: order statistics, their intervals, and Wilson's interval of a proportion.
 *
 * Nothing here allocates, so nothing here can fail: an order statistic is found by counting, O(n²),
 * which at the few dozen runs of an experiment costs microseconds. The summary (summary.c) calls
 * these per row; doc/statistics.md derives them; tests/vectors/stats.txt holds SciPy's answers.
 */
#include "tare/stats.h"

#include <math.h>

#define Z_95 1.959963984540054 /* the normal distribution's 97.5 % point */

/* The i-th value, or the i-th paired ratio when there is a divisor. */
static double value_at(const double *a, const double *divisor, size_t i) {
    return divisor == NULL ? a[i] : a[i] / divisor[i];
}

/* The k-th smallest (from 0) of n values: the one with at most k below it and more than k up to
 * it. NaN when any value is NaN, because it compares false with everything. */
static double order_statistic(const double *a, const double *divisor, size_t n, size_t k) {
    double found = NAN;
    for (size_t i = 0; i < n; i++) {
        double candidate = value_at(a, divisor, i);
        if (isnan(candidate))
            return NAN;
        size_t below = 0, up_to = 0;
        for (size_t j = 0; j < n; j++) {
            double other = value_at(a, divisor, j);
            below += other < candidate;
            up_to += other <= candidate;
        }
        if (below <= k && k < up_to)
            found = candidate;
    }
    return found;
}

static double quantile(const double *a, const double *divisor, size_t n, double p) {
    if (n == 0 || !(p >= 0 && p <= 1))
        return NAN;
    double position = p * (double)(n - 1);
    size_t k = (size_t)position;
    double weight = position - (double)k;
    double lo = order_statistic(a, divisor, n, k);
    if (weight <= 0) /* exactly on a value; also keeps 0 · ∞ out of the line below */
        return lo;
    double hi = order_statistic(a, divisor, n, k + 1);
    return lo >= hi ? lo : lo + (hi - lo) * weight;
}

double tare_quantile(const double *values, size_t n, double p) {
    return quantile(values, NULL, n, p);
}

/* The largest k (from 1) with P(Binomial(n, ½) < k) ≤ 2.5 %: the pair (k, n+1−k) covers the median
 * with at least 95 %. Summed from the logarithm of 2⁻ⁿ, which no n underflows. 0 when n < 6. */
static size_t interval_rank(size_t n) {
    double log_term = -(double)n * log(2), tail = 0;
    for (size_t k = 0; k < n; k++) {
        tail += exp(log_term);
        if (tail > 0.025)
            return k;
        log_term += log((double)(n - k)) - log((double)(k + 1));
    }
    return 0;
}

static struct tare_stat median_interval(const double *a, const double *divisor, size_t n) {
    struct tare_stat stat = {.median = NAN, .lo = NAN, .hi = NAN, .n = n};
    if (n == 0)
        return stat;
    size_t k = n < TARE_MIN_RUNS_FOR_INTERVAL ? 0 : interval_rank(n);
    stat.has_interval = k > 0;
    size_t lowest = k > 0 ? k - 1 : 0; /* without an interval: the range */
    stat.median = quantile(a, divisor, n, 0.5);
    stat.lo = order_statistic(a, divisor, n, lowest);
    stat.hi = order_statistic(a, divisor, n, n - 1 - lowest);
    return stat;
}

struct tare_stat tare_median_interval(const double *values, size_t n) {
    return median_interval(values, NULL, n);
}

struct tare_stat tare_ratio_interval(const double *a, const double *b, size_t n) {
    return median_interval(a, b, n);
}

void tare_wilson(double *lo, double *hi, size_t successes, size_t total) {
    *lo = *hi = NAN;
    if (total == 0 || successes > total)
        return;
    double n = (double)total, p = (double)successes / n, z2 = Z_95 * Z_95;
    double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    double half = Z_95 / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    /* The formula gives exactly 0 and 1 at the ends; rounding must not leave 1e-18 there. */
    *lo = successes == 0 ? 0 : centre - half;
    *hi = successes == total ? 1 : centre + half;
}
