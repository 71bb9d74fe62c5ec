/* rng.c: xoshiro256** and the few distributions tare draws from. */
#include "tare/rng.h"

/* Steele, Lea & Flood 2014: a 64-bit mixer that turns any seed into well-spread state words. */
static uint64_t splitmix64(uint64_t *x) {
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

void tare_rng_seed(struct tare_rng *rng, uint64_t seed, enum tare_stream stream) {
    /* The stream passes the mixer too, so that (seed 1, stream 2) is not (seed 2, stream 1). */
    uint64_t x = (uint64_t)stream;
    x = splitmix64(&x) ^ seed;
    for (int i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&x);
}

uint64_t tare_rng_next(struct tare_rng *rng) {
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

float tare_rng_uniform(struct tare_rng *rng, double lo, double hi) {
    double unit = (double)(tare_rng_next(rng) >> 40) * 0x1p-24;
    return (float)(lo + (hi - lo) * unit);
}

uint64_t tare_rng_below(struct tare_rng *rng, uint64_t n) {
    /* The last 2⁶⁴ mod n values would be favoured. Dividing costs more than all the rest, and
     * hardly any x is up there at all. */
    uint64_t x;
    do
        x = tare_rng_next(rng);
    while (x > UINT64_MAX - n && x > UINT64_MAX - (UINT64_MAX % n + 1) % n);
    return x % n;
}

void tare_rng_shuffle(struct tare_rng *rng, int32_t *values, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)tare_rng_below(rng, i);
        int32_t swap = values[i - 1];
        values[i - 1] = values[j];
        values[j] = swap;
    }
}
