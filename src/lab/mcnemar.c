/* mcnemar.c: can two models be told apart by a test set that both answered?
 *
 * Images that both got right, or both wrong, say nothing. Of the n others each model got some right
 * alone; if they were equally good, which one it was would be the toss of a fair coin. So the exact
 * test is a binomial one. disagree.c counts; doc/statistics.md explains; tests/vectors/stats.txt
 * holds SciPy's answers. */
#include <math.h>

#include "tare/stats.h"

double tare_mcnemar(size_t only_a, size_t only_b) {
    size_t n = only_a + only_b, fewer = only_a < only_b ? only_a : only_b;
    if (only_a == only_b)
        return 1; /* also n = 0; the two tails below would count the middle twice */
    /* P(Binomial(n, ½) = fewer), from its logarithm, which no n underflows; the terms below it
     * follow by their ratio and soon stop mattering. */
    double term = exp(lgamma((double)n + 1) - lgamma((double)fewer + 1) -
                      lgamma((double)(n - fewer) + 1) - (double)n * log(2));
    double tail = term;
    for (size_t k = fewer; k > 0 && term > tail * 1e-17; k--) {
        term *= (double)k / (double)(n - k + 1);
        tail += term;
    }
    return fmin(1, 2 * tail);
}
