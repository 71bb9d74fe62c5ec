/* test_stats.c: the statistics at their edges, against SciPy's frozen answers, and by property.
 * Run from the root of the checkout: vectors are read from tests/vectors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tare/rng.h"
#include "tare/stats.h"

#define MAX_VALUES 256

static void assert_close(double got, double want, double tolerance) {
    if (isnan(want)) {
        assert_true(isnan(got));
        return;
    }
    if (!(fabs(got - want) <= tolerance * fmax(fabs(want), fabs(got))))
        fail_msg("got %.17g, want %.17g", got, want);
}

static void test_quantile_edges(void **state) {
    (void)state;
    const double one[] = {4}, two[] = {3, 1}, same[] = {7, 7, 7, 7, 7, 7};
    assert_true(isnan(tare_quantile(one, 0, 0.5)));
    for (double p = 0; p <= 1; p += 0.25) {
        assert_true(tare_quantile(one, 1, p) == 4);
        assert_true(tare_quantile(same, 6, p) == 7);
    }
    assert_true(tare_quantile(two, 2, 0) == 1);
    assert_true(tare_quantile(two, 2, 0.5) == 2);
    assert_true(tare_quantile(two, 2, 1) == 3); /* rank n+1 would read past the end */
    assert_true(isnan(tare_quantile(two, 2, -0.001)));
    assert_true(isnan(tare_quantile(two, 2, 1.001)));
    assert_true(isnan(tare_quantile(two, 2, NAN)));
    assert_true(two[0] == 3 && two[1] == 1); /* inputs stay as they are */
    const double endless[] = {INFINITY, 1, 2};
    assert_true(tare_quantile(endless, 3, 0.5) == 2);
    assert_true(tare_quantile(endless, 3, 1) == INFINITY);
}

static void test_nan_gives_nan(void **state) {
    (void)state;
    for (size_t bad = 0; bad < 6; bad++) {
        double values[] = {1, 2, 3, 4, 5, 6}, ones[] = {1, 1, 1, 1, 1, 1};
        values[bad] = NAN;
        assert_true(isnan(tare_quantile(values, 6, 0)));
        assert_true(isnan(tare_quantile(values, 6, 1)));
        struct tare_stat s = tare_median_interval(values, 6);
        assert_true(isnan(s.median) && isnan(s.lo) && isnan(s.hi));
        s = tare_ratio_interval(ones, values, 6);
        assert_true(isnan(s.median) && isnan(s.lo) && isnan(s.hi));
    }
    const double zeros[] = {0, 0}; /* 0/0 */
    assert_true(isnan(tare_ratio_interval(zeros, zeros, 2).median));
}

static void test_interval_needs_six(void **state) {
    (void)state;
    const double values[] = {5, 3, 1, 6, 2, 4, 7, 8, 9};
    struct tare_stat s = tare_median_interval(values, 0);
    assert_true(s.n == 0 && isnan(s.median) && !s.has_interval);
    for (size_t n = 1; n < 6; n++) {
        s = tare_median_interval(values, n);
        assert_false(s.has_interval);
        assert_int_equal(s.n, n);
        assert_true(s.lo == tare_quantile(values, n, 0) && s.hi == tare_quantile(values, n, 1));
    }
    s = tare_median_interval(values, 6); /* ranks 1 and 6 cover 96.9 % */
    assert_true(s.has_interval && s.lo == 1 && s.hi == 6 && s.median == 3.5);
    s = tare_median_interval(values, 9); /* ranks 2 and 8 cover 96.1 %, 3 and 7 only 82.0 % */
    assert_true(s.has_interval && s.lo == 2 && s.hi == 8 && s.median == 5);
    const double same[] = {2, 2, 2, 2, 2, 2};
    s = tare_median_interval(same, 6);
    assert_true(s.has_interval && s.lo == 2 && s.median == 2 && s.hi == 2);
    const double a[] = {2, 4, 6, 8, 10, 12}, b[] = {1, 2, 3, 4, 5, 6};
    s = tare_ratio_interval(a, b, 6); /* a drift of six times, and every pair says 2 */
    assert_true(s.has_interval && s.lo == 2 && s.median == 2 && s.hi == 2);
}

static void test_large_n(void **state) {
    (void)state;
    static double values[3000]; /* 2⁻³⁰⁰⁰ underflows a double: the sum must be in logarithms */
    for (size_t i = 0; i < 3000; i++)
        values[i] = (double)((i * 1117) % 3000);
    struct tare_stat s = tare_median_interval(values, 3000);
    /* SciPy: ppf(0.025) and isf(0.025) of Binomial(3000, ½) are 1446 and 1554. */
    assert_true(s.has_interval && s.lo == 1445 && s.hi == 1554);
}

static void test_wilson_edges(void **state) {
    (void)state;
    double lo = 0, hi = 0;
    tare_wilson(&lo, &hi, 0, 0);
    assert_true(isnan(lo) && isnan(hi));
    tare_wilson(&lo, &hi, 3, 2);
    assert_true(isnan(lo) && isnan(hi));
    tare_wilson(&lo, &hi, 0, 10000);
    assert_true(lo == 0 && hi > 0);
    tare_wilson(&lo, &hi, 10000, 10000);
    assert_true(lo < 1 && hi == 1);
}

static void test_mcnemar_edges(void **state) {
    (void)state;
    assert_true(tare_mcnemar(0, 0) == 1); /* the same answers: nothing to tell */
    assert_true(tare_mcnemar(1, 1) == 1);
    assert_true(tare_mcnemar(0, 1) == 1);
    assert_close(tare_mcnemar(0, 5), 2.0 / 32, 1e-14); /* five tosses alike never reach 5 % */
    assert_close(tare_mcnemar(0, 6), 2.0 / 64, 1e-14);
    assert_close(tare_mcnemar(1, 4), 2 * 6.0 / 32, 1e-14);
    for (size_t a = 0; a < 60; a++)
        for (size_t b = 0; b < 60; b++) {
            double p = tare_mcnemar(a, b);
            assert_true(p > 0 && p <= 1 && p == tare_mcnemar(b, a));
            assert_true(a >= b || p < tare_mcnemar(a + 1, b) || p == 1);
        }
    assert_true(tare_mcnemar(0, 100000) == 0); /* 2⁻⁹⁹⁹⁹⁹ is no double */
}

/* Reads count hexadecimal floats from *cursor. */
static void read_doubles(double *values, size_t count, char **cursor) {
    for (size_t i = 0; i < count; i++) {
        char *end = *cursor;
        values[i] = strtod(*cursor, &end);
        assert_true(end != *cursor);
        *cursor = end;
    }
}

static size_t read_count(char **cursor, size_t most) {
    size_t count = (size_t)strtoull(*cursor, cursor, 10);
    assert_true(count <= most);
    return count;
}

static void check_interval(struct tare_stat got, const double *want) {
    assert_close(got.median, want[0], 4e-16);
    assert_int_equal(got.has_interval, !isnan(want[1]));
    if (got.has_interval) {
        assert_close(got.lo, want[1], 2e-16); /* a quotient may differ in its last bit */
        assert_close(got.hi, want[2], 2e-16);
    }
}

static void check_line(char *line) {
    char *cursor = line + strcspn(line, " ");
    double want[3], a[MAX_VALUES], b[MAX_VALUES];
    if (strncmp(line, "quantile ", 9) == 0) {
        read_doubles(want, 2, &cursor);
        size_t n = read_count(&cursor, MAX_VALUES);
        read_doubles(a, n, &cursor);
        assert_close(tare_quantile(a, n, want[0]), want[1], 4e-16);
    } else if (strncmp(line, "median ", 7) == 0) {
        read_doubles(want, 3, &cursor);
        size_t n = read_count(&cursor, MAX_VALUES);
        read_doubles(a, n, &cursor);
        check_interval(tare_median_interval(a, n), want);
    } else if (strncmp(line, "ratio ", 6) == 0) {
        read_doubles(want, 3, &cursor);
        size_t n = read_count(&cursor, MAX_VALUES);
        read_doubles(a, n, &cursor);
        read_doubles(b, n, &cursor);
        check_interval(tare_ratio_interval(a, b, n), want);
    } else if (strncmp(line, "mcnemar ", 8) == 0) {
        read_doubles(want, 1, &cursor);
        size_t only_a = read_count(&cursor, SIZE_MAX), only_b = read_count(&cursor, SIZE_MAX);
        assert_close(tare_mcnemar(only_a, only_b), want[0], 1e-9);
    } else {
        assert_int_equal(strncmp(line, "wilson ", 7), 0);
        read_doubles(want, 2, &cursor);
        size_t successes = read_count(&cursor, SIZE_MAX), total = read_count(&cursor, SIZE_MAX);
        tare_wilson(&a[0], &b[0], successes, total);
        assert_close(a[0], want[0], 1e-11); /* centre − half cancels: 12 of 16 digits at 1/10⁶ */
        assert_close(b[0], want[1], 1e-14);
    }
}

static void test_scipy_vectors(void **state) {
    (void)state;
    FILE *file = fopen("tests/vectors/stats.txt", "r");
    if (file == NULL)
        fail_msg("tests/vectors/stats.txt cannot be opened; run from the root of the checkout");
    static char line[16384];
    size_t cases = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        assert_non_null(strchr(line, '\n'));
        if (line[0] == '#')
            continue;
        check_line(line);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 175);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against a sorted copy, for random values with many ties; and in whatever order they come. */
static void test_order_does_not_matter(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 3, TARE_STREAM_TEST);
    for (int round = 0; round < 300; round++) {
        double values[40], sorted[40];
        size_t n = 1 + (size_t)tare_rng_below(&rng, 40);
        for (size_t i = 0; i < n; i++)
            sorted[i] = values[i] = (double)tare_rng_below(&rng, 12) - 5;
        qsort(sorted, n, sizeof *sorted, ascending);
        struct tare_stat a = tare_median_interval(values, n);
        struct tare_stat b = tare_median_interval(sorted, n);
        assert_true(a.median == b.median && a.lo == b.lo && a.hi == b.hi);
        assert_true(a.median == (sorted[(n - 1) / 2] + sorted[n / 2]) / 2);
        assert_true(a.lo <= a.median && a.median <= a.hi);
        assert_true(tare_quantile(values, n, 0) == sorted[0]);
        assert_true(tare_quantile(values, n, 1) == sorted[n - 1]);
    }
}

/* What "95 %" promises: of intervals from a known median at least 95 % hold it. */
static void test_interval_covers(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 11, TARE_STREAM_TEST);
    const size_t sizes[] = {6, 7, 12, 20};
    for (size_t s = 0; s < 4; s++) {
        int covered = 0;
        for (int round = 0; round < 4000; round++) {
            double values[20];
            for (size_t i = 0; i < sizes[s]; i++)
                values[i] = (double)tare_rng_uniform(&rng, -1, 1);
            struct tare_stat stat = tare_median_interval(values, sizes[s]);
            covered += stat.lo <= 0 && 0 <= stat.hi;
        }
        /* 4000 draws at 95 %: standard deviation 0.34 %; three of them below. */
        assert_true(covered >= 3760);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantile_edges),        cmocka_unit_test(test_nan_gives_nan),
        cmocka_unit_test(test_interval_needs_six),    cmocka_unit_test(test_large_n),
        cmocka_unit_test(test_wilson_edges),          cmocka_unit_test(test_scipy_vectors),
        cmocka_unit_test(test_order_does_not_matter), cmocka_unit_test(test_mcnemar_edges),
        cmocka_unit_test(test_interval_covers),
    };
    return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
