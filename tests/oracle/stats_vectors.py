"""Freezes SciPy's and NumPy's answers for tests/test_stats.c.

    python tests/oracle/stats_vectors.py > tests/vectors/stats.txt

The versions it was made with stand in the first line of its output.

One case a line; numbers are hexadecimal floats, so that nothing is lost:
    quantile P ANSWER N VALUES…
    median MEDIAN LO HI N VALUES…         LO and HI are nan where no 95 % interval exists
    ratio MEDIAN LO HI N A… B…
    wilson LO HI SUCCESSES TOTAL
    mcnemar P ONLY_A ONLY_B
"""
import warnings

import numpy as np
import scipy
from scipy import stats

warnings.simplefilter("ignore")


def line(kind, answers, values):
    print(kind, *[float(x).hex() for x in answers], len(values), *[float(x).hex() for x in values])


def interval(values):
    found = stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    return float(np.median(values)), found.low, found.high


def main():
    print(f"# scipy {scipy.__version__} numpy {np.__version__}")
    rng = np.random.default_rng(20)
    samples = [rng.lognormal(1, 0.1, n) for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 20, 30, 50, 101)]
    samples += [np.full(6, 3.5), np.array([1.0, 1, 2, 2, 2, 3, 3, 3]), np.array([-1.5, 0, 2, -7, 1e300, 1e-300])]
    for values in samples:
        for p in (0, 0.025, 0.25, 0.5, 0.9, 1):
            line("quantile", [p, np.quantile(values, p)], values)
        line("median", interval(values), values)
    for n in (1, 5, 6, 7, 12, 40):
        a, b = rng.lognormal(1, 0.05, n), rng.lognormal(0.8, 0.05, n)
        found = interval(a / b)
        print("ratio", *[float(x).hex() for x in found], n, *[float(x).hex() for x in (*a, *b)])
    for k, n in ((0, 1), (1, 1), (0, 10), (10, 10), (5, 10), (1, 3), (9731, 10000), (9999, 10000),
                 (0, 10000), (10000, 10000), (1, 1000000), (500000, 1000000)):
        found = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        print("wilson", float(found.low).hex(), float(found.high).hex(), k, n)
    for b, c in ((0, 1), (1, 0), (0, 5), (0, 6), (3, 3), (1, 2), (2, 9), (9, 2), (70, 53), (120, 80), (0, 40),
                 (500, 501), (5000, 5000), (4800, 5200), (49000, 51000), (30, 9970), (700, 0)):
        print("mcnemar", float(stats.binomtest(b, b + c, 0.5).pvalue).hex(), b, c)


main()
