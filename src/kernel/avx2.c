/* avx2.c: the kernels for AVX2 with FMA and BMI2 (Haswell, Zen and later), compiled with those
 * flags and called only where the processor has them. */
#include <immintrin.h>

#include "kernel/kernel.h"

#define LANES 8
#define NAMED(name) name##_avx2
typedef __m256 V;
typedef __m256i I;

#define v_zero() _mm256_setzero_ps()
#define v_one(x) _mm256_set1_ps(x)
#define v_load(p) _mm256_load_ps(p)
#define v_store(p, x) _mm256_store_ps(p, x)
#define v_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define v_fnma(a, b, c) _mm256_fnmadd_ps(a, b, c)
#define v_max(a, b) _mm256_max_ps(a, b)
#define v_positive(y, d) _mm256_and_ps(_mm256_cmp_ps(y, _mm256_setzero_ps(), _CMP_GT_OQ), d)
#define v_round(x) _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define PANELS_AT_ONCE 1
#define TOGETHER 2

static inline I numbers(void) {
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}

static inline V v_keep(V x, size_t n) {
    I mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(n < LANES ? (int)n : LANES), numbers());
    return _mm256_and_ps(x, _mm256_castsi256_ps(mask));
}

/* NaN becomes some power; what it is multiplied with is NaN then too. */
static inline V v_power2(V x) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127)), 23));
}

static inline V v_exponent(V x) {
    I bits = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(bits, _mm256_set1_epi32(127)));
}

static inline V v_mantissa(V x) {
    I bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffff));
    V m = _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3f800000)));
    return _mm256_blendv_ps(m, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)); /* NaN stays */
}

/* Root and quotient are exact here: the approximations have 12 bits only. */
static inline __attribute__((always_inline)) void v_steps(V *step, const V *m, const V *v,
                                                          V epsilon, const int K) {
    for (int k = 0; k < K; k++)
        step[k] = m[k] / (_mm256_sqrt_ps(v[k]) + epsilon);
}

static inline I i_load(const uint8_t *p, size_t bytes) {
    if (bytes >= 32)
        return _mm256_loadu_si256((const I *)(const void *)p);
    uint8_t copy[32] = {0};
    for (size_t i = 0; i < bytes; i++)
        copy[i] = p[i];
    return _mm256_loadu_si256((const I *)(const void *)copy);
}

static inline void i_store(float *p, I x) {
    _mm256_storeu_si256((I *)(void *)p, x);
}

/* Pairs, then fours, then halves of a vector change places. */
static inline void i_transpose(I x[LANES]) {
    I t[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        x[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        x[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        x[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        x[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2x128_si256(x[i], x[i + 4], 0x20);
        t[i + 4] = _mm256_permute2x128_si256(x[i], x[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        x[i] = t[i];
}

/* The numbers of the mask's bits that are set, next to each other: one byte each, then one lane. */
static inline I set_lanes(uint32_t bits) {
    uint64_t bytes = _pdep_u64(bits, 0x0101010101010101U) * 0xffU;
    return _mm256_cvtepu8_epi32(
        _mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100U, bytes)));
}

static inline size_t i_compress(uint32_t *to, uint32_t bits, int32_t first) {
    I lanes = set_lanes(bits);
    _mm256_storeu_si256((I *)(void *)to, _mm256_add_epi32(lanes, _mm256_set1_epi32(first)));
    return (size_t)__builtin_popcount(bits);
}

static inline size_t i_pack(int32_t *to, uint32_t *bits, I x) {
    I zero = _mm256_cmpeq_epi32(x, _mm256_setzero_si256());
    *bits = ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(zero)) & 0xffU;
    _mm256_storeu_si256((I *)(void *)to, _mm256_permutevar8x32_epi32(x, set_lanes(*bits)));
    return (size_t)__builtin_popcount(*bits);
}

/* Each lane takes the word whose number is the count of set bits below it. */
static inline void i_halves(uint32_t *low, uint32_t *high, const uint64_t *p) {
    V a = _mm256_loadu_ps((const float *)(const void *)p);
    V b = _mm256_loadu_ps((const float *)(const void *)(p + 4));
    I l = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    I h = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
    _mm256_store_si256((I *)(void *)low, _mm256_permute4x64_epi64(l, 0xd8));
    _mm256_store_si256((I *)(void *)high, _mm256_permute4x64_epi64(h, 0xd8));
}

static inline uint32_t v_lit(const float *p) {
    V lit = _mm256_cmp_ps(_mm256_loadu_ps(p), _mm256_setzero_ps(), _CMP_NEQ_UQ);
    return (uint32_t)_mm256_movemask_ps(lit);
}

/* byte / 255.0f, correctly rounded: the quotient by the reciprocal, then what is left over. */
static inline V v_bytes(const uint8_t *p) {
    V x =
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
    V q = x * _mm256_set1_ps(1.0F / 255);
    return v_fma(v_fnma(q, _mm256_set1_ps(255.0F), x), _mm256_set1_ps(1.0F / 255), q);
}

#include "kernel/panel.inc.h"

static bool available(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

#define KERNELS tare_kernels_avx2
#define KERNELS_NAME "avx2"
#include "kernel/table.inc.h"
