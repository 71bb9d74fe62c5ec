/* int8.h: the arithmetic of dense nets in 8-bit integers, once per instruction set.
 *
 *     const struct tare_int8_kernels *k = tare_int8_kernels_find(NULL);      // the fastest here
 *     size_t count = k->find_groups(copy, group, image, 784);
 *     k->sum_found(y, bias, copy, group, count, w, 4);                       // 64 outputs
 *     k->to_bytes(activations, y, scale, 64);
 *
 * Inputs and activations are unsigned bytes with zero point 0, weights signed bytes of −127 … 127,
 * sums int32: exact, so that all kernels give the same integers, and the same floats made of them.
 * int8_reference.c is plain C and says what each kernel computes; int8_avx2.c and int8_vnni.c are
 * tested against it (tests/test_int8.c).
 *
 * Four neighbouring inputs are a group: what vpdpbusd takes at once. Weights lie in panels of up to
 * TARE_INT8_VECTORS vectors of 16 outputs: w: (groups, vectors, 16, 4). Inputs and outputs that
 * don't exist have zero weights.
 */
#ifndef TARE_KERNEL_INT8_H
#define TARE_KERNEL_INT8_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARE_INT8_GROUP 4   /* inputs that are zero, or not, together */
#define TARE_INT8_LANES 16  /* outputs in a vector */
#define TARE_INT8_VECTORS 4 /* of the widest panel */
#define TARE_INT8_BLOCK 64  /* bytes that find_groups takes at a time */
#define TARE_INT8_STEP 4    /* sum_found takes so many entries at a time */

/* To the nearest integer, ties to even; what is outside comes to the nearer end. x isn't NaN.
 * Everything that is quantised here goes through it, or through its like in vectors. */
static inline int32_t tare_int8_round(double x, int32_t lowest, int32_t highest) {
    double inside = x < lowest ? lowest : x > highest ? highest : x;
    return (int32_t)lrint(inside); /* in the default rounding mode */
}

struct tare_int8_kernels {
    const char *name;
    bool (*available)(void);

    /* The numbers of the groups of x: (n) that aren't all zero, in ascending order; returns how
     * many. Up to a multiple of TARE_INT8_STEP the number of the first group behind x follows them.
     * copy: x, and zeros behind it: room for n + TARE_INT8_BLOCK bytes, on a cache line; group: for
     * a quarter as many numbers and TARE_INT8_BLOCK more. */
    size_t (*find_groups)(uint8_t *copy, uint32_t *group, const uint8_t *x, size_t n);

    /* y: (vectors · 16) = bias + x·w over the `count` groups in the list, or over all `groups` of
     * x, which is such a copy. A row behind w may be read, and counts nothing. All on cache lines.
     */
    void (*sum_found)(int32_t *y, const int32_t *bias, const uint8_t *x, const uint32_t *group,
                      size_t count, const int8_t *w, int vectors);
    void (*sum_all)(int32_t *y, const int32_t *bias, const uint8_t *x, size_t groups,
                    const int8_t *w, int vectors);

    /* With p = y[i]·scale[i] in float32, y[i] rounded to float32 first: p rounded to 0 … 255, or p
     * itself. n: for bytes a multiple of 16, and all on cache lines. 0 ≤ scale < ∞. */
    void (*to_bytes)(uint8_t *to, const int32_t *y, const float *scale, size_t n);
    void (*to_floats)(float *to, const int32_t *y, const float *scale, size_t n);
};

/* By name, or the fastest (NULL); NULL: there is none of that name, or not on this machine. */
const struct tare_int8_kernels *tare_int8_kernels_find(const char *name);
/* Of all that were built, in ascending order of speed; NULL behind the last. */
const struct tare_int8_kernels *tare_int8_kernels_at(size_t i);

extern const struct tare_int8_kernels tare_int8_reference, tare_int8_avx2, tare_int8_vnni;

#endif
