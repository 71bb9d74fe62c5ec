/* rng.h: seeded random numbers: xoshiro256** (Blackman & Vigna 2018) seeded through splitmix64.
 *
 *     struct tare_rng rng;
 *     tare_rng_seed(&rng, seed, TARE_STREAM_INIT);
 *     float w = tare_rng_uniform(&rng, -limit, limit);
 *
 * The same seed and stream give the same numbers on every machine. Streams keep the draws for
 * weights, order and scheduling apart, so that a change in one does not move the others.
 */
#ifndef TARE_RNG_H
#define TARE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct tare_rng {
    uint64_t state[4];
};

enum tare_stream {
    TARE_STREAM_INIT = 1,
    TARE_STREAM_ORDER = 2,
    TARE_STREAM_PLAN = 3,
    TARE_STREAM_TEST = 4,
    TARE_STREAM_REFERENCE = 5
};

void tare_rng_seed(struct tare_rng *rng, uint64_t seed, enum tare_stream stream);
uint64_t tare_rng_next(struct tare_rng *rng);

/* Uniform in [lo, hi): 24 random bits scaled in double, rounded once to float. */
float tare_rng_uniform(struct tare_rng *rng, double lo, double hi);

/* Uniform in 0 … n−1 without bias (rejection). n > 0. */
uint64_t tare_rng_below(struct tare_rng *rng, uint64_t n);

/* Fisher–Yates permutation of values[0 … n−1]. */
void tare_rng_shuffle(struct tare_rng *rng, int32_t *values, size_t n);

#endif
