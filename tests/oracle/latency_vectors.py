"""Freezes SciPy's answers for tests/test_latency.c.

    python tests/oracle/latency_vectors.py > tests/vectors/latency.txt

The version it was made with stands in the first line of its output. One case a line:
    needs P OVER N      the fewest queries with P(Binomial(N, 1 - P) <= OVER) <= 1 %
    over P N K          the most queries above the bound: the largest K with P(... <= K) <= 1 %,
                        -1 where there is none
P is a hexadecimal float.
"""
import scipy
from scipy.stats import binom

RISK = 1 - 0.99


def fits(k, n, p):
    return binom.cdf(k, n, 1 - p) <= RISK


def largest(low, high, good):
    """The largest number in [low, high) that is good; good ones come first."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def main():
    print(f"# scipy {scipy.__version__}")
    for p in (0.5, 0.9, 0.95, 0.97, 0.99, 0.999, 0.9999):
        for over in (0, 1, 2, 3, 10, 100, 1000):
            fewest = largest(over, 100 * int((over + 10) / (1 - p)), lambda n: not fits(over, n, p)) + 1
            print("needs", p.hex(), over, fewest)
    for p in (0.5, 0.9, 0.99, 0.999):
        for n in (1, 2, 6, 7, 10, 11, 43, 44, 63, 64, 65, 100, 458, 459, 661, 662, 1000, 4603, 6635, 6636,
                  7000, 10000, 65536, 99999, 100000):
            print("over", p.hex(), n, largest(-1, n, lambda k: fits(k, n, p)))


main()
