/* int8_avx2.c: the int8 kernels for AVX2, compiled with those flags and called only where the
 * processor has them. vpmaddubsw would multiply bytes as they are, but it adds two products in 16
 * bits, and 2 · 255 · 127 doesn't fit; so bytes are widened and go through vpmaddwd, which is
 * exact: |Σ of two products| < 2¹⁷. */
#include <immintrin.h>
#include <string.h>

#include "kernel/int8.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef __m256i I;

static size_t find_groups(uint8_t *copy, uint32_t *group, const uint8_t *x, size_t n) {
    const size_t groups = (n + 3) / 4;
    size_t count = 0;
    memcpy(copy, x, n);
    memset(copy + n, 0, TARE_INT8_BLOCK);
    for (size_t i = 0; i < n; i += 32) {
        I dark = _mm256_cmpeq_epi32(_mm256_load_si256((const I *)(const void *)(copy + i)),
                                    _mm256_setzero_si256());
        uint32_t lit = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(dark)) & 0xff;
        for (; lit != 0; lit &= lit - 1)
            group[count++] = (uint32_t)(i / 4) + (uint32_t)__builtin_ctz(lit);
    }
    _mm_storeu_si128((__m128i *)(void *)(group + count), _mm_set1_epi32((int32_t)groups));
    return count;
}

/* A vector of 16 outputs is four of these: (4 outputs, 2 halves of a group). */
#define PARTS 4

/* Group g of x into the sums of one vector of outputs. */
INLINE void add(I sum[PARTS], const uint8_t *x, const int8_t *w, size_t g, size_t row) {
    int32_t four;
    memcpy(&four, x + g * TARE_INT8_GROUP, sizeof four);
    const I bytes = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
    UNROLL for (int q = 0; q < PARTS; q++) {
        I wide = _mm256_cvtepi8_epi16(
            _mm_load_si128((const __m128i *)(const void *)(w + g * row + q * 16)));
        sum[q] = _mm256_add_epi32(sum[q], _mm256_madd_epi16(bytes, wide));
    }
}

/* The two halves together: vphaddd leaves outputs 0 1 4 5 | 2 3 6 7. */
INLINE void finish(int32_t *y, const int32_t *bias, const I sum[PARTS]) {
    UNROLL for (int q = 0; q < PARTS; q += 2) {
        I both = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[q], sum[q + 1]), 0xd8);
        both = _mm256_add_epi32(both, _mm256_load_si256((const I *)(const void *)(bias + q * 4)));
        _mm256_store_si256((I *)(void *)(y + q * 4), both);
    }
}

/* One vector of outputs at a time, over all groups: so many sums stay in registers. */
static void sum_found(int32_t *y, const int32_t *bias, const uint8_t *x, const uint32_t *group,
                      size_t count, const int8_t *w, int vectors) {
    const size_t row = (size_t)vectors * 64;
    for (int v = 0; v < vectors; v++, w += 64, y += TARE_INT8_LANES, bias += TARE_INT8_LANES) {
        I sum[2][PARTS] = {0};
        for (size_t e = 0; e < count; e += 2) {
            add(sum[0], x, w, group[e], row);
            add(sum[1], x, w, group[e + 1], row);
        }
        UNROLL for (int q = 0; q < PARTS; q++) sum[0][q] = _mm256_add_epi32(sum[0][q], sum[1][q]);
        finish(y, bias, sum[0]);
    }
}

static void sum_all(int32_t *y, const int32_t *bias, const uint8_t *x, size_t groups,
                    const int8_t *w, int vectors) {
    const size_t row = (size_t)vectors * 64;
    for (int v = 0; v < vectors; v++, w += 64, y += TARE_INT8_LANES, bias += TARE_INT8_LANES) {
        I sum[PARTS] = {0};
        for (size_t g = 0; g < groups; g++)
            add(sum, x, w, g, row);
        finish(y, bias, sum);
    }
}

/* Limited before it is rounded, where a large one would become −2³¹. */
INLINE I round_8(const int32_t *y, const float *scale) {
    __m256 p = _mm256_cvtepi32_ps(_mm256_load_si256((const I *)(const void *)y));
    p = _mm256_max_ps(p * _mm256_load_ps(scale), _mm256_setzero_ps());
    return _mm256_cvtps_epi32(_mm256_min_ps(p, _mm256_set1_ps(255.0F)));
}

static void to_bytes(uint8_t *to, const int32_t *y, const float *scale, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        I words = _mm256_packus_epi32(round_8(y + i, scale + i), round_8(y + i + 8, scale + i + 8));
        words = _mm256_permute4x64_epi64(words, 0xd8); /* the halves of both were interleaved */
        _mm_store_si128(
            (__m128i *)(void *)(to + i),
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    }
}

static void to_floats(float *to, const int32_t *y, const float *scale, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(to + i,
                         _mm256_cvtepi32_ps(_mm256_loadu_si256((const I *)(const void *)(y + i))) *
                             _mm256_loadu_ps(scale + i));
    for (; i < n; i++)
        to[i] = (float)y[i] * scale[i];
}

static bool available(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
}

const struct tare_int8_kernels tare_int8_avx2 = {
    "avx2", available, find_groups, sum_found, sum_all, to_bytes, to_floats,
};
