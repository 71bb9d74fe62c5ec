/* int8_vnni.c: the int8 kernels for AVX-512 with VNNI (Cascade Lake, Zen 4 and later), compiled
 * with those flags and called only where the processor has them. vpdpbusd adds four products of an
 * unsigned and a signed byte to each of 16 sums, in 32 bits throughout: exact. */
#include <immintrin.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef __m512i I;

struct found {
    I numbers; /* of the next sixteen groups */
    size_t count;
};

/* Sixteen groups. The store of their numbers goes past those that count, and the next one begins
 * where they end. */
INLINE void find_16(struct found *found, uint8_t *copy, uint32_t *group, I bytes) {
    __mmask16 lit = _mm512_test_epi32_mask(bytes, bytes);
    _mm512_store_si512(copy, bytes);
    _mm512_storeu_si512(group + found->count, _mm512_maskz_compress_epi32(lit, found->numbers));
    found->count += (size_t)_mm_popcnt_u32(lit);
    found->numbers = _mm512_add_epi32(found->numbers, _mm512_set1_epi32(16));
}

static size_t find_groups(uint8_t *copy, uint32_t *group, const uint8_t *x, size_t n) {
    struct found found = {_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                          0};
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        find_16(&found, copy + i, group, _mm512_loadu_si512(x + i));
    __mmask64 left = ((__mmask64)1 << (n - i)) - 1;
    find_16(&found, copy + i, group, _mm512_maskz_loadu_epi8(left, x + i));
    const size_t groups = (n + 3) / 4;
    memset(copy + groups * 4, 0, 4); /* it may lie behind the last block */
    _mm_storeu_si128((__m128i *)(void *)(group + found.count), _mm_set1_epi32((int32_t)groups));
    return found.count;
}

/* Several sets of sums, because an instruction's result is ready five cycles after it began, and
 * two begin in each: eight sums or more are under way, and added up at the end. */
#define MAX_SETS 4
#define SETS(vectors) ((vectors) > 2 ? 2 : MAX_SETS)

/* The compiler mustn't know that it is zero: it would make a loop's first turn another one than the
 * rest, and copy all sums between two sets of registers in each. */
INLINE void start(I sum[MAX_SETS][TARE_INT8_VECTORS], const int32_t *bias, const int vectors) {
    I zero = _mm512_setzero_si512();
    __asm__("" : "+v"(zero));
    UNROLL for (int v = 0; v < vectors; v++) {
        sum[0][v] = _mm512_load_si512(bias + v * TARE_INT8_LANES);
        UNROLL for (int s = 1; s < MAX_SETS; s++) sum[s][v] = zero;
    }
}

/* One group into the sums: its four bytes at x, its weights at row. */
INLINE void add(I sum[TARE_INT8_VECTORS], const uint8_t *x, const int8_t *row, const int vectors) {
    int32_t four;
    memcpy(&four, x, sizeof four);
    UNROLL for (int v = 0; v < vectors; v++) sum[v] =
        _mm512_dpbusd_epi32(sum[v], _mm512_set1_epi32(four), _mm512_load_si512(row + v * 64));
}

/* Group g of x. The row's address is kept from being taken apart again: an instruction with three
 * operands of which one has an index is two. */
INLINE void add_at(I sum[TARE_INT8_VECTORS], const uint8_t *x, const int8_t *w, size_t g,
                   const int vectors) {
    const int8_t *row = w + g * (size_t)(vectors * 64);
    __asm__("" : "+r"(row));
    add(sum, x + g * TARE_INT8_GROUP, row, vectors);
}

INLINE void finish(int32_t *y, I sum[MAX_SETS][TARE_INT8_VECTORS], const int vectors) {
    UNROLL for (int v = 0; v < vectors; v++) {
        I all = _mm512_add_epi32(sum[0][v], sum[1][v]);
        if (SETS(vectors) > 2)
            all = _mm512_add_epi32(all, _mm512_add_epi32(sum[2][v], sum[3][v]));
        _mm512_store_si512(y + v * TARE_INT8_LANES, all);
    }
}

INLINE void sum_found_of(int32_t *y, const int32_t *bias, const uint8_t *x, const uint32_t *group,
                         size_t count, const int8_t *w, const int vectors) {
    I sum[MAX_SETS][TARE_INT8_VECTORS];
    start(sum, bias, vectors);
    for (size_t e = 0; e < count; e += TARE_INT8_STEP)
        UNROLL for (int s = 0; s < TARE_INT8_STEP; s++)
            add_at(sum[s % SETS(vectors)], x, w, group[e + (size_t)s], vectors);
    finish(y, sum, vectors);
}

INLINE void sum_all_of(int32_t *y, const int32_t *bias, const uint8_t *x, size_t groups,
                       const int8_t *w, const int vectors) {
    const int row = vectors * 64;
    I sum[MAX_SETS][TARE_INT8_VECTORS];
    start(sum, bias, vectors);
    for (; groups >= MAX_SETS; groups -= MAX_SETS) {
        UNROLL for (int s = 0; s < MAX_SETS; s++)
            add(sum[s % SETS(vectors)], x + s * TARE_INT8_GROUP, w + s * row, vectors);
        x += MAX_SETS * TARE_INT8_GROUP;
        w += MAX_SETS * row;
    }
    for (; groups > 0; groups--, x += TARE_INT8_GROUP, w += row)
        add(sum[0], x, w, vectors);
    finish(y, sum, vectors);
}

/* The number of vectors as a constant, so that sums stay in registers. */
#define FOR_VECTORS(call, ...)                                                                     \
    switch (vectors) {                                                                             \
    case 1:                                                                                        \
        call(__VA_ARGS__, 1);                                                                      \
        return;                                                                                    \
    case 2:                                                                                        \
        call(__VA_ARGS__, 2);                                                                      \
        return;                                                                                    \
    case 3:                                                                                        \
        call(__VA_ARGS__, 3);                                                                      \
        return;                                                                                    \
    default:                                                                                       \
        call(__VA_ARGS__, 4);                                                                      \
    }

static void sum_found(int32_t *y, const int32_t *bias, const uint8_t *x, const uint32_t *group,
                      size_t count, const int8_t *w, int vectors) {
    FOR_VECTORS(sum_found_of, y, bias, x, group, count, w)
}

static void sum_all(int32_t *y, const int32_t *bias, const uint8_t *x, size_t groups,
                    const int8_t *w, int vectors) {
    FOR_VECTORS(sum_all_of, y, bias, x, groups, w)
}

/* The conversions to unsigned integers and bytes saturate: what is too large becomes 2³² − 1, then
 * 255. Only what is negative must go before. */
static void to_bytes(uint8_t *to, const int32_t *y, const float *scale, size_t n) {
    for (size_t i = 0; i < n; i += TARE_INT8_LANES) {
        I positive = _mm512_max_epi32(_mm512_load_si512(y + i), _mm512_setzero_si512());
        __m512 p = _mm512_cvtepi32_ps(positive) * _mm512_load_ps(scale + i);
        _mm_store_si128((__m128i *)(void *)(to + i), _mm512_cvtusepi32_epi8(_mm512_cvtps_epu32(p)));
    }
}

static void to_floats(float *to, const int32_t *y, const float *scale, size_t n) {
    for (size_t i = 0; i < n; i += TARE_INT8_LANES) {
        __mmask16 there = (__mmask16)(n - i >= 16 ? 0xffff : (1U << (n - i)) - 1);
        __m512 p = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(there, y + i)) *
                   _mm512_maskz_loadu_ps(there, scale + i);
        _mm512_mask_storeu_ps(to + i, there, p);
    }
}

static bool available(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("popcnt");
}

const struct tare_int8_kernels tare_int8_vnni = {
    "vnni", available, find_groups, sum_found, sum_all, to_bytes, to_floats,
};
