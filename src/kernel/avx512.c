/* avx512.c: the kernels for AVX-512 (F, BW, DQ, VL, and BMI2: every such processor but Knights
 * Landing), compiled with those flags and called only where the processor has them. */
#include <immintrin.h>

#include "kernel/kernel.h"

#define LANES 16
#define NAMED(name) name##_avx512
typedef __m512 V;
typedef __m512i I;

#define v_zero() _mm512_setzero_ps()
#define v_one(x) _mm512_set1_ps(x)
#define v_load(p) _mm512_load_ps(p)
#define v_store(p, x) _mm512_store_ps(p, x)
#define v_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define v_fnma(a, b, c) _mm512_fnmadd_ps(a, b, c)
#define v_max(a, b) _mm512_max_ps(a, b)
#define v_positive(y, d)                                                                           \
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_GT_OQ), d)
#define v_round(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define v_power2(x) _mm512_scalef_ps(_mm512_set1_ps(1.0F), x)
#define v_exponent(x) _mm512_getexp_ps(x)
#define v_mantissa(x) _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero)
#define PANELS_AT_ONCE 2
#define TOGETHER 8 /* as many as wait 4 cycles at 2 a cycle */

static inline V v_keep(V x, size_t n) {
    return n >= LANES ? x : _mm512_maskz_mov_ps((__mmask16)((1U << n) - 1), x);
}

/* The processor's approximations have 14 bits; one step of Newton's method makes that 27. √v is
 * v·(1/√v), and the smallest normal number stands in for a v of 0. An EACH is K instructions that
 * don't wait for each other; the empty asm has the compiler leave them side by side. */
#define EACH(x, value)                                                                             \
    _Pragma("GCC unroll 8") for (int k = 0; k < K; k++) {                                          \
        (x)[k] = value;                                                                            \
        __asm__("" : "+v"((x)[k]));                                                                \
    }
static inline __attribute__((always_inline)) void v_steps(V *step, const V *m, const V *v,
                                                          V epsilon, const int K) {
    V r[8], root[8], d[8];
    EACH(r, _mm512_rsqrt14_ps(_mm512_max_ps(v[k], _mm512_set1_ps(0x1p-126F))))
    EACH(root, v[k] * r[k]) /* √v·(1 + δ); √v ≈ root·(3/2 − root·r/2) */
    EACH(d, root[k] * r[k])
    EACH(d, v_fnma(_mm512_set1_ps(0.5F), d[k], _mm512_set1_ps(1.5F)))
    EACH(d, v_fma(root[k], d[k], epsilon))
    EACH(r, _mm512_rcp14_ps(d[k]))
    EACH(root, m[k] * r[k])
    EACH(d, v_fnma(d[k], r[k], _mm512_set1_ps(2.0F)))
    EACH(step, root[k] * d[k])
}

static inline I i_load(const uint8_t *p, size_t bytes) {
    return bytes >= 64 ? _mm512_loadu_si512(p)
                       : _mm512_maskz_loadu_epi8(((__mmask64)1 << bytes) - 1, p);
}

static inline void i_store(float *p, I x) {
    _mm512_storeu_si512(p, x);
}

/* Pairs, then fours, then quarters of a vector change places. */
static inline void i_transpose(I x[LANES]) {
    I t[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(x[i], x[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(x[i + 8], x[i + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        x[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        x[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        x[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        x[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

static inline size_t i_compress(uint32_t *to, uint32_t bits, int32_t first) {
    const I number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    I numbers = _mm512_add_epi32(number, _mm512_set1_epi32(first));
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)bits, numbers));
    return (size_t)__builtin_popcount(bits);
}

static inline size_t i_pack(int32_t *to, uint32_t *bits, I x) {
    *bits = _mm512_test_epi32_mask(x, x);
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32((__mmask16)*bits, x));
    return (size_t)__builtin_popcount(*bits);
}

static inline void i_halves(uint32_t *low, uint32_t *high, const uint64_t *p) {
    const I even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    I a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 8);
    _mm512_store_si512(low, _mm512_permutex2var_epi32(a, even, b));
    _mm512_store_si512(
        high, _mm512_permutex2var_epi32(a, _mm512_or_epi32(even, _mm512_set1_epi32(1)), b));
}

static inline uint32_t v_lit(const float *p) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_setzero_ps(), _CMP_NEQ_UQ);
}

/* byte / 255.0f, correctly rounded: the quotient by the reciprocal, then what is left over. */
static inline V v_bytes(const uint8_t *p) {
    V x =
        _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
    V q = x * _mm512_set1_ps(1.0F / 255);
    return v_fma(v_fnma(q, _mm512_set1_ps(255.0F), x), _mm512_set1_ps(1.0F / 255), q);
}

#include "kernel/panel.inc.h"

static bool available(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("bmi2");
}

#define KERNELS tare_kernels_avx512
#define KERNELS_NAME "avx512"
#include "kernel/table.inc.h"
