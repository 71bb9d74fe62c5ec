/* stats.h: the statistics of the report, each exact or distribution-free. Formulas:
 * doc/statistics.md.
 *
 *     struct tare_stat s = tare_median_interval(seconds, n);
 *     if (s.has_interval) printf("%.2f s (%.2f … %.2f)\n", s.median, s.lo, s.hi);
 *
 * All functions leave their inputs as they are. NaN anywhere gives NaN.
 */
#ifndef TARE_STATS_H
#define TARE_STATS_H

#include <stdbool.h>
#include <stddef.h>

#define TARE_MIN_RUNS_FOR_INTERVAL 6 /* below, P(all six on one side) = 2/2⁵ is over 5 % */

struct tare_stat {
    double median, lo, hi; /* lo, hi: the interval, or the range when has_interval is false */
    size_t n;
    bool has_interval; /* n ≥ 6: a 95 % interval of the median by order statistics */
};

/* Quantile by linear interpolation (Hyndman & Fan type 7), 0 ≤ p ≤ 1; n = 0 gives NaN. */
double tare_quantile(const double *values, size_t n, double p);

/* Median, and its interval from order statistics: the narrowest symmetric pair (k, n+1−k) whose
 * binomial coverage is ≥ 95 %. */
struct tare_stat tare_median_interval(const double *values, size_t n);

/* Median of the paired ratios a[i]/b[i] with the same interval. Pairs are runs of one round, so
 * that a drift of the machine cancels. */
struct tare_stat tare_ratio_interval(const double *a, const double *b, size_t n);

/* Wilson's score interval of a proportion, 95 %: successes out of total. total = 0 gives NaN. */
void tare_wilson(double *lo, double *hi, size_t successes, size_t total);

/* McNemar's exact test of two models on one test set, two-sided: the probability that images which
 * only one of them got right split at least as unevenly as only_a to only_b, were both models
 * equally good. 1 when nothing tells them apart. */
double tare_mcnemar(size_t only_a, size_t only_b);
#define TARE_MCNEMAR_LEVEL 0.05 /* below, the accuracies are told apart */

#endif
