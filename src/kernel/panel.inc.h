/* panel.inc.h: the kernels of kernel.h for one instruction set, included by avx2.c and avx512.c
 * after they have said what a vector is:
 *
 *     LANES, V, I                      floats in a vector; a vector of float, of int32
 *     v_zero v_one(x) v_load v_store   from and to memory that is aligned to a vector
 *     v_fma(a, b, c)  v_fnma(a, b, c)  a·b + c, c − a·b, rounded once
 *     v_max v_positive(y, d)           the larger, b where either is NaN; d where y > 0, else 0
 *     v_steps(step, m, v, ê, K)        m / (√v + ê) of K vectors; 0 where m is 0
 *     v_round v_power2(x)              to the nearest integer; 2ˣ of an integral x of −126 … 127
 *     v_exponent v_mantissa            x = mantissa · 2^exponent, 1 ≤ mantissa < 2, normal x > 0
 *     v_keep(x, n)                     the first n lanes of x, 0 in the rest
 *     v_lit(p)                         a bit for each of LANES floats, anywhere, that isn't 0
 *     v_bytes(p)                       LANES bytes as floats, over 255
 *     i_load(p, bytes) i_store(p, x)   LANES · 4 bytes, 0 from `bytes` on; to anywhere
 *     i_transpose(I[LANES])            LANES by LANES int32
 *     i_compress(to, bits, first)      first + the numbers of the bits that are set; up to LANES
 *                                      words are written; returns how many count
 *     i_pack(to, bits, x)              the lanes of x that aren't 0, and a bit for each; up to
 *                                      LANES words are written; returns how many count
 *     i_halves(low, high, p)           of LANES words of 64 bits, low and high to aligned places
 *     TOGETHER                         vectors of parameters that an update takes through its
 *                                      steps side by side: at most 8, as many as registers hold
 *     PANELS_AT_ONCE                   panels of two vectors whose sums fit into the registers,
 *                                      four rows of each
 *
 * Loops over vectors and rows of a tile have constant bounds and are unrolled whole, so that a tile
 * stays in registers; N, the vectors of a panel, is a constant by the time a function is compiled.
 */
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* ---- updates -----------------------------------------------------------------------------------
 */

/* A tare_update in registers. */
struct NAMED(constants) {
    V lr, momentum, beta1, beta2, rate, epsilon;
};

INLINE struct NAMED(constants) constants_of(const struct tare_update *u) {
    return (struct NAMED(constants)){v_one(u->lr),    v_one(u->momentum), v_one(u->beta1),
                                     v_one(u->beta2), v_one(u->rate),     v_one(u->epsilon)};
}

/* K neighbouring vectors of parameters from w.p + at on; g: their gradient, then what they have
 * become. They take each step together, so that none waits for itself. */
INLINE void update_some(const struct tare_state w, size_t at, V *g, const struct NAMED(constants) c,
                        const int K, const enum tare_optimizer_kind kind) {
    V m[TOGETHER], v[TOGETHER];
    UNROLL for (int k = 0; k < K; k++) {
        size_t k_at = at + (size_t)(k * LANES);
        if (kind == TARE_OPTIMIZER_ADAM) {
            m[k] = v_fma(c.beta1, v_load(w.m + k_at), g[k]);
            v[k] = v_fma(g[k], g[k], c.beta2 * v_load(w.v + k_at));
            v_store(w.m + k_at, m[k]);
            v_store(w.v + k_at, v[k]);
        } else if (kind == TARE_OPTIMIZER_MOMENTUM) {
            g[k] = v_fma(c.momentum, v_load(w.v + k_at), g[k]);
            v_store(w.v + k_at, g[k]);
        }
    }
    if (kind == TARE_OPTIMIZER_ADAM)
        v_steps(g, m, v, c.epsilon, K);
    UNROLL for (int k = 0; k < K; k++) {
        size_t k_at = at + (size_t)(k * LANES);
        g[k] = v_fnma(kind == TARE_OPTIMIZER_ADAM ? c.rate : c.lr, g[k], v_load(w.p + k_at));
        v_store(w.p + k_at, g[k]);
    }
}

/* A switch over the optimisers around a call whose last argument is a constant then. */
#define FOR_KIND(kind, call, ...)                                                                  \
    switch (kind) {                                                                                \
    case TARE_OPTIMIZER_SGD:                                                                       \
        call(__VA_ARGS__, TARE_OPTIMIZER_SGD);                                                     \
        break;                                                                                     \
    case TARE_OPTIMIZER_MOMENTUM:                                                                  \
        call(__VA_ARGS__, TARE_OPTIMIZER_MOMENTUM);                                                \
        break;                                                                                     \
    case TARE_OPTIMIZER_ADAM:                                                                      \
        call(__VA_ARGS__, TARE_OPTIMIZER_ADAM);                                                    \
        break;                                                                                     \
    }

/* ---- the sparse first layer --------------------------------------------------------------------
 */

static size_t NAMED(pack)(uint32_t *record, const uint8_t *image, size_t n_in) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP, words = (groups + 31) / 32;
    memset(record, 0, words * sizeof *record);
    for (size_t block = 0; block < groups; block += LANES) {
        size_t start = block * TARE_GROUP;
        uint32_t bits;
        words += i_pack((int32_t *)record + words, &bits, i_load(image + start, n_in - start));
        record[block / 32] |= bits << block % 32;
    }
    return words;
}

/* Bits of a record from `word` · 64 on, those of groups first … end−1. */
INLINE uint64_t record_bits(const uint32_t *record, size_t word, size_t first, size_t end) {
    uint64_t bits;
    memcpy(&bits, record + 2 * word, sizeof bits);
    if (first > word * 64)
        bits &= UINT64_MAX << (first - word * 64);
    if (end < word * 64 + 64)
        bits &= ((uint64_t)1 << (end - word * 64)) - 1;
    return bits;
}

/* Entries go to their groups one by one, the sample's number beside the bytes; then each group's
 * are taken apart, a vector at a time: what lies behind the last is nobody's. */
static void NAMED(gather_lists)(struct tare_lists *lists, const uint32_t *const *records,
                                size_t count, size_t n_in, size_t first, size_t end) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP;
    size_t room = lists->batch, stride = room + TARE_ENTRY_SPARE;
    uint64_t **front = lists->front;
    for (size_t g = first; g < end; g++)
        front[g] = lists->entry + g * stride;
    for (size_t b = 0; b < count; b++) {
        const uint32_t *bytes = records[b] + (groups + 31) / 32;
        for (size_t word = 0; word * 64 < first; word++)
            bytes += __builtin_popcountll(record_bits(records[b], word, 0, first));
        for (size_t word = first / 64; word * 64 < end; word++) {
            uint64_t bits = record_bits(records[b], word, first, end);
            for (; bits != 0; bits &= bits - 1) {
                size_t g = word * 64 + (size_t)__builtin_ctzll(bits);
                *front[g]++ = (uint64_t)*bytes++ << 32 | b;
            }
        }
    }
    for (size_t g = first; g < end; g++) {
        const uint64_t *from = lists->entry + g * stride;
        size_t left = (size_t)(front[g] - from);
        uint32_t *row = lists->row + g * room;
        float *value = lists->value + g * room * TARE_GROUP;
        lists->count[g] = (uint32_t)left;
        for (size_t e = 0; e < left; e += LANES) {
            _Alignas(64) uint8_t bytes[LANES * TARE_GROUP];
            i_halves(row + e, (uint32_t *)(void *)bytes, from + e);
            UNROLL for (size_t i = 0; i < LANES * TARE_GROUP; i += LANES)
                v_store(value + e * TARE_GROUP + i, v_bytes(bytes + i));
        }
    }
}

/* Bit i: whether x[i] isn't 0, for up to 64 values. */
INLINE uint64_t lit_values(const float *x, size_t n) {
    uint64_t bits = 0;
    size_t i = 0;
    for (; i + LANES <= n && i < 64; i += LANES)
        bits |= (uint64_t)v_lit(x + i) << i;
    for (; i < n && i < 64; i++)
        bits |= (uint64_t)(x[i] != 0) << i;
    return bits;
}

/* Bits on their side: what was bit g of word b is bit b of word g. Squares of half the size change
 * places, and inside each again (Warren, Hacker's Delight, 7-3). */
INLINE void turn_bits(uint64_t bits[64]) {
    uint64_t mask = 0x00000000FFFFFFFFU;
    for (size_t half = 32; half > 0; half /= 2, mask ^= mask << half)
        for (size_t k = 0; k < 64; k = ((k | half) + 1) & ~half) {
            uint64_t differ = ((bits[k] >> half) ^ bits[k | half]) & mask;
            bits[k] ^= differ << half;
            bits[k | half] ^= differ;
        }
}

/* Groups are found 16 at a time, sample by sample; then the bits are turned. */
static size_t NAMED(find_lit)(uint64_t *lit, const float *x, size_t count, size_t n_in) {
    const size_t floats = 64 * TARE_GROUP, squares = (n_in + floats - 1) / floats;
    size_t found = 0;
    memset(lit, 0, squares * 64 * sizeof *lit);
    for (size_t b = 0; b < count; b++, x += n_in)
        for (size_t start = 0; start < n_in; start += 64) {
            uint64_t bits = lit_values(x + start, n_in - start);
            bits |= bits >> 1;
            bits |= bits >> 2;
            bits = _pext_u64(bits, 0x1111111111111111U);
            lit[start / floats * 64 + b] |= bits << start / TARE_GROUP % 64;
            found += (size_t)__builtin_popcountll(bits);
        }
    for (size_t s = 0; s < squares; s++)
        turn_bits(lit + 64 * s);
    return found;
}

static size_t NAMED(find_nonzero)(uint32_t *index, const float *x, size_t n) {
    size_t count = 0, i = 0;
    for (; i + LANES <= n; i += LANES)
        count += i_compress(index + count, v_lit(x + i), (int32_t)i);
    for (; i < n; i++) {
        index[count] = (uint32_t)i;
        count += x[i] != 0;
    }
    return count;
}

/* Vectors are numbered through the P panels of N that are taken at once: vector q is vector q % N
 * of panel q / N. */
#define MOST_VECTORS (2 * PANELS_AT_ONCE)

/* A row of w for vector q; panel: floats from a panel of w to the next. */
INLINE V row_vector(const float *row, size_t panel, int q, const int N) {
    return v_load(row + (size_t)(q / N) * panel + (size_t)(q % N * LANES));
}

INLINE void forward_row_n(float *y, const float *x, const uint32_t *index, size_t count,
                          const float *w, size_t panel, const int N, const int P) {
    V even[MOST_VECTORS], odd[MOST_VECTORS];
    size_t width = (size_t)(N * LANES), e = 0;
    UNROLL for (int q = 0; q < N * P; q++) even[q] = v_load(y + q * LANES), odd[q] = v_zero();
    for (; e + 1 < count; e += 2) {
        const float *w0 = w + index[e] * width, *w1 = w + index[e + 1] * width;
        V x0 = v_one(x[index[e]]), x1 = v_one(x[index[e + 1]]);
        UNROLL for (int q = 0; q < N * P; q++) {
            even[q] = v_fma(x0, row_vector(w0, panel, q, N), even[q]);
            odd[q] = v_fma(x1, row_vector(w1, panel, q, N), odd[q]);
        }
    }
    if (e < count) {
        const float *w0 = w + index[e] * width;
        V x0 = v_one(x[index[e]]);
        UNROLL for (int q = 0; q < N * P; q++) even[q] =
            v_fma(x0, row_vector(w0, panel, q, N), even[q]);
    }
    UNROLL for (int q = 0; q < N * P; q++) v_store(y + q * LANES, even[q] + odd[q]);
}

static void NAMED(forward_row)(float *y, const float *x, const uint32_t *index, size_t count,
                               const float *w, size_t rows, int vectors, size_t panels) {
    size_t width = (size_t)(vectors * LANES), panel = 0;
    for (; vectors == 2 && panel + PANELS_AT_ONCE <= panels; panel += PANELS_AT_ONCE)
        forward_row_n(y + panel * width, x, index, count, w + panel * rows * width, rows * width, 2,
                      PANELS_AT_ONCE);
    for (; panel < panels; panel++)
        vectors == 1
            ? forward_row_n(y + panel * width, x, index, count, w + panel * rows * width, 0, 1, 1)
            : forward_row_n(y + panel * width, x, index, count, w + panel * rows * width, 0, 2, 1);
}

/* acc: gradient of a group's rows; entries in order. panel: floats from a panel of dy to the next
 */
INLINE void group_gradient(V acc[TARE_GROUP][MOST_VECTORS], const struct tare_lists *lists,
                           size_t g, const float *dy, size_t panel, const int N, const int P) {
    const uint32_t *row = lists->row + g * lists->batch, *end = row + lists->count[g];
    const float *x = lists->value + g * lists->batch * TARE_GROUP;
    UNROLL for (int i = 0; i < TARE_GROUP; i++) UNROLL for (int q = 0; q < N * P; q++) acc[i][q] =
        v_zero();
    for (; row < end; row++, x += TARE_GROUP) {
        const float *from = dy + (size_t)*row * (size_t)(N * LANES);
        V d[MOST_VECTORS];
        UNROLL for (int q = 0; q < N * P; q++) d[q] =
            v_load(from + (size_t)(q / N) * panel + (size_t)(q % N * LANES));
        UNROLL for (int i = 0; i < TARE_GROUP; i++) {
            V xi = v_one(x[i]);
            UNROLL for (int q = 0; q < N * P; q++) acc[i][q] = v_fma(xi, d[q], acc[i][q]);
        }
    }
}

/* y of E neighbouring entries' samples += x·w, the group's inputs in order. No two of them are of
 * the same sample, so that their sums needn't wait for each other. */
INLINE void entries_forward(float *y, size_t panel, const size_t row[], const float *const x[],
                            V w[TARE_GROUP][MOST_VECTORS], const int N, const int P, const int E) {
    float *to[2];
    V sum[2][MOST_VECTORS];
    UNROLL for (int e = 0; e < E; e++) {
        to[e] = y + row[e] * (size_t)(N * LANES);
        UNROLL for (int q = 0; q < N * P; q++) sum[e][q] =
            v_load(to[e] + (size_t)(q / N) * panel + (size_t)(q % N * LANES));
    }
    UNROLL for (int i = 0; i < TARE_GROUP; i++) UNROLL for (int e = 0; e < E; e++) {
        V xi = v_one(x[e][i]);
        UNROLL for (int q = 0; q < N * P; q++) sum[e][q] = v_fma(xi, w[i][q], sum[e][q]);
    }
    UNROLL for (int e = 0; e < E; e++) UNROLL for (int q = 0; q < N * P; q++)
        v_store(to[e] + (size_t)(q / N) * panel + (size_t)(q % N * LANES), sum[e][q]);
}

INLINE void group_forward(float *y, size_t panel, const struct tare_lists *lists, size_t g,
                          V w[TARE_GROUP][MOST_VECTORS], const int N, const int P) {
    const uint32_t *row = lists->row + g * lists->batch, *end = row + lists->count[g];
    const float *x = lists->value + g * lists->batch * TARE_GROUP;
    for (; row + 1 < end; row += 2, x += 2 * TARE_GROUP)
        entries_forward(y, panel, (size_t[]){row[0], row[1]}, (const float *[]){x, x + TARE_GROUP},
                        w, N, P, 2);
    if (row < end)
        entries_forward(y, panel, (size_t[]){*row}, (const float *[]){x}, w, N, P, 1);
}

/* The same of the samples with a bit in lit. x: of the group, (64, n_in); inputs: of it. soon:
 * what is read next; a line for each entry is asked for, about as many as there are. */
INLINE const float *group_lit_forward(float *y, size_t panel, uint64_t lit, const float *x,
                                      size_t n_in, const size_t inputs, const float *soon,
                                      V w[TARE_GROUP][MOST_VECTORS], const int N, const int P) {
    for (; lit != 0; lit &= lit - 1) {
        size_t row = (size_t)__builtin_ctzll(lit);
        const float *from = x + row * n_in;
        float whole[TARE_GROUP];
        if (inputs < TARE_GROUP) {
            for (size_t i = 0; i < TARE_GROUP; i++)
                whole[i] = i < inputs ? from[i] : 0;
            from = whole;
        }
        __builtin_prefetch(soon, 0, 2);
        soon += TARE_LINE_BYTES / sizeof *soon;
        entries_forward(y, panel, &row, &from, w, N, P, 1);
    }
    return soon;
}

/* Which lines of the records that will be read soon are asked for next: a few at each group. */
struct NAMED(ahead) {
    const uint32_t *const *record, *const *end;
    size_t at, bytes;
};

INLINE void ask_ahead(struct NAMED(ahead) * a, size_t lines) {
    for (; lines > 0 && a->record < a->end; lines--) {
        __builtin_prefetch((const char *)*a->record + a->at, 0, 2);
        a->at += TARE_LINE_BYTES;
        if (a->at >= a->bytes)
            a->at = 0, a->record++;
    }
}

/* A group's rows of P panels, the first of them at w.p + at, updated with their gradient; and as
 * they are. */
INLINE void group_update(V gradient[TARE_GROUP][MOST_VECTORS], const struct tare_state w, size_t at,
                         size_t panel, const struct NAMED(constants) c, const int N, const int P,
                         const enum tare_optimizer_kind kind) {
    UNROLL for (int p = 0; p < P; p++) {
        const int K = TARE_GROUP * N < TOGETHER ? TARE_GROUP * N : TOGETHER;
        UNROLL for (int k = 0; k < TARE_GROUP * N; k += K) {
            V g[TOGETHER];
            UNROLL for (int t = 0; t < K; t++) g[t] = gradient[(k + t) / N][p * N + (k + t) % N];
            update_some(w, at + (size_t)p * panel + (size_t)(k * LANES), g, c, K, kind);
        }
    }
}

INLINE void group_load(V row[TARE_GROUP][MOST_VECTORS], const float *w, size_t panel, const int N,
                       const int P) {
    UNROLL for (int k = 0; k < TARE_GROUP * N; k++) UNROLL for (int p = 0; p < P; p++)
        row[k / N][p * N + k % N] = v_load(w + (size_t)p * panel + (size_t)(k * LANES));
}

/* P panels from `panel` on. */
INLINE void sparse_update_n(const struct tare_sparse *s, const struct tare_state *all_w,
                            uint8_t *seen, const float *dy, const struct tare_update *update,
                            const struct tare_soon *soon, size_t panel, const int N, const int P,
                            const enum tare_optimizer_kind kind) {
    const size_t width = (size_t)(N * LANES), w_panel = s->rows * width;
    const size_t dy_panel = s->batch * width;
    const struct tare_state w = *all_w;
    const struct NAMED(constants) c = constants_of(update);
    struct NAMED(ahead)
        ahead = {soon->records, soon->records + (panel == 0 ? soon->count : 0), 0, soon->bytes};
    size_t lines = (soon->bytes / TARE_LINE_BYTES + 1) * soon->count / (s->end - s->first + 1) + 1;
    seen += panel * s->groups;
    for (size_t g = s->first; g < s->end; g++) {
        ask_ahead(&ahead, lines);
        if (!seen[g] && s->lists->count[g] == 0)
            continue;
        V row[TARE_GROUP][MOST_VECTORS];
        for (size_t p = 0; p < (size_t)P; p++)
            seen[p * s->groups + g] = 1;
        group_gradient(row, s->lists, g, dy + panel * dy_panel, dy_panel, N, P);
        group_update(row, w, panel * w_panel + g * TARE_GROUP * width, w_panel, c, N, P, kind);
    }
}

INLINE void sparse_forward_n(const struct tare_sparse *s, float *y, const float *w, size_t panel,
                             const int N, const int P) {
    const size_t width = (size_t)(N * LANES), w_panel = s->rows * width;
    const size_t y_panel = s->batch * width;
    for (size_t g = s->first; g < s->end; g++) {
        if (s->lists->count[g] == 0)
            continue;
        V row[TARE_GROUP][MOST_VECTORS];
        group_load(row, w + panel * w_panel + g * TARE_GROUP * width, w_panel, N, P);
        group_forward(y + panel * y_panel, y_panel, s->lists, g, row, N, P);
    }
}

INLINE void lit_forward_n(const struct tare_sparse *s, float *y, const float *w, const float *x,
                          size_t n_in, const uint64_t *lit, size_t panel, const int N,
                          const int P) {
    const size_t width = (size_t)(N * LANES), w_panel = s->rows * width;
    const size_t y_panel = s->batch * width;
    const float *soon = x + TARE_LIT_SAMPLES * n_in;
    y += panel * y_panel;
    w += panel * w_panel;
    for (size_t i = 0; i < n_in; i += TARE_GROUP) {
        if (lit[i / TARE_GROUP] == 0)
            continue;
        V row[TARE_GROUP][MOST_VECTORS];
        group_load(row, w + i * width, w_panel, N, P);
        if (i + TARE_GROUP <= n_in)
            soon = group_lit_forward(y, y_panel, lit[i / TARE_GROUP], x + i, n_in, TARE_GROUP, soon,
                                     row, N, P);
        else
            group_lit_forward(y, y_panel, lit[i / TARE_GROUP], x + i, n_in, n_in - i, soon, row, N,
                              P);
    }
}

static void NAMED(sparse_update)(const struct tare_sparse *s, const struct tare_state *w,
                                 uint8_t *seen, const float *dy, const struct tare_update *u,
                                 const struct tare_soon *soon) {
    size_t panel = 0;
    for (; s->vectors == 2 && panel + PANELS_AT_ONCE <= s->panels; panel += PANELS_AT_ONCE)
        FOR_KIND(u->kind, sparse_update_n, s, w, seen, dy, u, soon, panel, 2, PANELS_AT_ONCE)
    for (; panel < s->panels; panel++)
        if (s->vectors == 1)
            FOR_KIND(u->kind, sparse_update_n, s, w, seen, dy, u, soon, panel, 1, 1)
        else
            FOR_KIND(u->kind, sparse_update_n, s, w, seen, dy, u, soon, panel, 2, 1)
}

static void NAMED(sparse_forward)(const struct tare_sparse *s, float *y, const float *w) {
    size_t panel = 0;
    for (; s->vectors == 2 && panel + PANELS_AT_ONCE <= s->panels; panel += PANELS_AT_ONCE)
        sparse_forward_n(s, y, w, panel, 2, PANELS_AT_ONCE);
    for (; panel < s->panels; panel++)
        s->vectors == 1 ? sparse_forward_n(s, y, w, panel, 1, 1)
                        : sparse_forward_n(s, y, w, panel, 2, 1);
}

static void NAMED(lit_forward)(const struct tare_sparse *s, float *y, const float *w,
                               const float *x, size_t n_in, const uint64_t *lit) {
    size_t panel = 0;
    for (; s->vectors == 2 && panel + PANELS_AT_ONCE <= s->panels; panel += PANELS_AT_ONCE)
        lit_forward_n(s, y, w, x, n_in, lit, panel, 2, PANELS_AT_ONCE);
    for (; panel < s->panels; panel++)
        s->vectors == 1 ? lit_forward_n(s, y, w, x, n_in, lit, panel, 1, 1)
                        : lit_forward_n(s, y, w, x, n_in, lit, panel, 2, 1);
}

/* ---- dense layers ------------------------------------------------------------------------------
 */

static void NAMED(gather_dense)(float *x, const uint8_t *const *images, size_t count, size_t n_in,
                                size_t batch, size_t width, size_t first, size_t end) {
    for (size_t b = first; b < end; b++)
        for (size_t start = 0; start < n_in; start += width) {
            float *to = x + (start / width * batch + b) * width;
            uint8_t bytes[TARE_MAX_PANEL] = {0};
            if (b < count)
                memcpy(bytes, images[b] + start, n_in - start < width ? n_in - start : width);
            for (size_t i = 0; i < width; i += LANES)
                v_store(to + i, v_bytes(bytes + i));
        }
}

/* y: TARE_ROWS rows of a panel. The tile's sums stay in registers over all inputs. */
INLINE void forward_tile(float *y, const float *x, const float *w, size_t n_in, size_t x_width,
                         size_t x_panel, const int N) {
    V acc[TARE_ROWS][2];
    size_t width = (size_t)(N * LANES);
    UNROLL for (int r = 0; r < TARE_ROWS; r++) UNROLL for (int n = 0; n < N; n++) acc[r][n] =
        v_load(y + (size_t)r * width + (size_t)(n * LANES));
    for (; n_in > 0; x += x_panel) {
        size_t count = n_in < x_width ? n_in : x_width;
        n_in -= count;
        for (size_t k = 0; k < count; k++, w += width) {
            V w0 = v_load(w), w1 = N > 1 ? v_load(w + LANES) : w0;
            UNROLL for (int r = 0; r < TARE_ROWS; r++) {
                V xr = v_one(x[(size_t)r * x_width + k]);
                acc[r][0] = v_fma(xr, w0, acc[r][0]);
                if (N > 1)
                    acc[r][1] = v_fma(xr, w1, acc[r][1]);
            }
        }
    }
    UNROLL for (int r = 0; r < TARE_ROWS; r++) UNROLL for (int n = 0; n < N; n++)
        v_store(y + (size_t)r * width + (size_t)(n * LANES), acc[r][n]);
}

/* Inputs are taken FORWARD_BLOCK at a time, so that their rows of w stay in the first-level cache
 * for all samples. */
#define FORWARD_BLOCK 128 /* · 128 bytes = 16 kB; a multiple of every panel's width */

INLINE void forward_n(float *y, const float *x, const float *w, size_t n_in, size_t x_width,
                      size_t batch, size_t first, size_t end, const int N) {
    size_t width = (size_t)(N * LANES);
    for (size_t k = 0; k < n_in; k += FORWARD_BLOCK)
        for (size_t b = first; b < end; b += TARE_ROWS)
            forward_tile(y + b * width, x + k * batch + b * x_width, w + k * width,
                         n_in - k < FORWARD_BLOCK ? n_in - k : FORWARD_BLOCK, x_width,
                         batch * x_width, N);
}

static void NAMED(forward)(float *y, const float *x, const float *w, size_t n_in, size_t x_width,
                           size_t batch, int vectors, size_t first, size_t end) {
    vectors == 1 ? forward_n(y, x, w, n_in, x_width, batch, first, end, 1)
                 : forward_n(y, x, w, n_in, x_width, batch, first, end, 2);
}

/* A square of LANES by LANES at a time. */
static void NAMED(transpose)(float *t, const float *w, size_t n_in, size_t n_out, size_t width,
                             size_t first, size_t x_width) {
    for (size_t j = 0; j < n_out; j += LANES)
        for (size_t i = 0; i < x_width; i += LANES) {
            const float *from = w + (j / width * n_in + first + i) * width + j % width;
            I square[LANES];
            UNROLL for (size_t r = 0; r < LANES; r++) square[r] =
                i_load((const uint8_t *)(from + r * width), sizeof(V));
            i_transpose(square);
            UNROLL for (size_t r = 0; r < LANES; r++) if (j + r < n_out)
                i_store(t + (j + r) * x_width + i, square[r]);
        }
}

/* Asks for a line of the state that will be updated next, from `at` on: `line` counts them through
 * a tile of each of its arrays. */
INLINE void ask_for(const struct tare_state w, size_t at, size_t line, const int N,
                    const enum tare_optimizer_kind kind) {
    const size_t floats = TARE_LINE_BYTES / sizeof(float);
    const size_t lines = (size_t)(TARE_ROWS * N * LANES) / floats;
    const float *arrays[] = {w.p, w.v, w.m};
    const size_t count = kind == TARE_OPTIMIZER_ADAM ? 3 : kind == TARE_OPTIMIZER_MOMENTUM ? 2 : 1;
    if (line < count * lines)
        __builtin_prefetch(arrays[line / lines] + at + line % lines * floats);
}

/* TARE_ROWS rows of w from x's column i on. Sums are as good as all of the time; the state of the
 * next rows comes meanwhile, a line with each sample. */
INLINE void update_tile(const struct tare_state w, const float *x, const float *dy, size_t batch,
                        size_t x_width, size_t i, const struct NAMED(constants) c, const int N,
                        const enum tare_optimizer_kind kind) {
    V acc[TARE_ROWS][2];
    size_t width = (size_t)(N * LANES);
    UNROLL for (int r = 0; r < TARE_ROWS; r++) UNROLL for (int n = 0; n < N; n++) acc[r][n] =
        v_zero();
    for (size_t b = 0; b < batch; b++) {
        ask_for(w, (i + TARE_ROWS) * width, b, N, kind);
        const float *xb = x + b * x_width + i;
        V d0 = v_load(dy + b * width), d1 = N > 1 ? v_load(dy + b * width + LANES) : d0;
        UNROLL for (int r = 0; r < TARE_ROWS; r++) {
            V xr = v_one(xb[r]);
            acc[r][0] = v_fma(xr, d0, acc[r][0]);
            if (N > 1)
                acc[r][1] = v_fma(xr, d1, acc[r][1]);
        }
    }
    UNROLL for (int k = 0; k < TARE_ROWS * N; k += TOGETHER) {
        V g[TOGETHER];
        UNROLL for (int t = 0; t < TOGETHER; t++) g[t] = acc[(k + t) / N][(k + t) % N];
        update_some(w, i * width + (size_t)(k * LANES), g, c, TOGETHER, kind);
    }
}

INLINE void weight_update_n(const struct tare_state *w, const float *x, const float *dy,
                            size_t batch, size_t x_width, const struct tare_update *u, size_t first,
                            size_t end, const int N, const enum tare_optimizer_kind kind) {
    const struct tare_state state = *w;
    const struct NAMED(constants) c = constants_of(u);
    for (size_t i = first; i < end; i += TARE_ROWS)
        update_tile(state, x, dy, batch, x_width, i, c, N, kind);
}

static void NAMED(weight_update)(const struct tare_state *w, const float *x, const float *dy,
                                 size_t batch, size_t x_width, int vectors,
                                 const struct tare_update *u, size_t first, size_t end) {
    if (vectors == 1)
        FOR_KIND(u->kind, weight_update_n, w, x, dy, batch, x_width, u, first, end, 1)
    else
        FOR_KIND(u->kind, weight_update_n, w, x, dy, batch, x_width, u, first, end, 2)
}

INLINE void bias_update_n(const struct tare_state *b, const float *dy, size_t batch, size_t width,
                          const struct tare_update *u, const enum tare_optimizer_kind kind) {
    for (size_t at = 0; at < width; at += LANES) {
        V g = v_zero();
        for (size_t i = 0; i < batch; i++)
            g = g + v_load(dy + i * width + at);
        update_some(*b, at, &g, constants_of(u), 1, kind);
    }
}

static void NAMED(bias_update)(const struct tare_state *b, const float *dy, size_t batch,
                               int vectors, const struct tare_update *u) {
    FOR_KIND(u->kind, bias_update_n, b, dy, batch, (size_t)(vectors * LANES), u)
}

static void NAMED(spread_bias)(float *y, const float *bias, size_t rows, int vectors) {
    size_t width = (size_t)(vectors * LANES);
    for (size_t at = 0; at < width; at += LANES) {
        V value = v_load(bias + at);
        for (size_t i = 0; i < rows; i++)
            v_store(y + i * width + at, value);
    }
}

/* ---- relu, softmax and loss --------------------------------------------------------------------
 */

static void NAMED(add)(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        v_store(y + i, v_load(a + i) + v_load(b + i));
}

static void NAMED(relu)(float *y, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        v_store(y + i, v_max(v_zero(), v_load(y + i)));
}

static void NAMED(relu_back)(float *dy, const float *y, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        v_store(dy + i, v_positive(v_load(y + i), v_load(dy + i)));
}

/* eˣ for x ≤ 0: x = n·ln 2 + r with |r| ≤ ln 2 / 2, eʳ by Taylor's polynomial of degree 7, whose
 * remainder there is 5e-9. At most 1.07 units in the last place wrong (every float from −87
 * to 0: tests/test_kernel.c); below −87 it stays e⁻⁸⁷, which a sum that holds a 1 doesn't feel. */
INLINE V v_exp(V x) {
    x = v_max(v_one(-87.0F), x); /* NaN stays */
    V n = v_round(x * v_one(0x1.715476p+0F));
    V r = v_fnma(n, v_one(0x1.62e4p-1F), x); /* ln 2 in two parts: n times the first is exact */
    r = v_fma(n, v_one(-0x1.7f7d1cp-20F), r);
    V y = v_one(1.0F / 5040);
    y = v_fma(y, r, v_one(1.0F / 720));
    y = v_fma(y, r, v_one(1.0F / 120));
    y = v_fma(y, r, v_one(1.0F / 24));
    y = v_fma(y, r, v_one(1.0F / 6));
    y = v_fma(y, r, v_one(0.5F));
    y = v_fma(y * r, r, r) + v_one(1.0F);
    return y * v_power2(n);
}

/* log x for normal x > 0: x = 2ᵉ·m with √½ ≤ m < √2, s = (m − 1)/(m + 1),
 * log m = 2·(s + s³/3 + s⁵/5 + s⁷/7 + s⁹/9), remainder 4e-10. At most 0.89 units in the last place
 * wrong (every float from 1 to 65536). */
INLINE V v_log(V x) {
    V e = v_exponent(x), m = v_mantissa(x);
    V large = v_positive(m - v_one(0x1.6a09e6p+0F), v_one(1.0F)); /* 1 where m > √2 */
    e = e + large;
    m = v_fnma(v_one(0.5F) * large, m, m);
    V f = m - v_one(1.0F), s = f / (m + v_one(1.0F)), z = s * s;
    V t = v_one(2.0F / 9);
    t = v_fma(t, z, v_one(2.0F / 7));
    t = v_fma(t, z, v_one(2.0F / 5));
    t = v_fma(t, z, v_one(2.0F / 3)) * z;
    /* log m = 2s + s·t, and 2s = f − s·f: f is exact, so the rounding of s hardly counts. */
    V log_m = f - s * (f - t);
    return v_fma(e, v_one(0x1.62e4p-1F), v_fma(e, v_one(0x1.7f7d1cp-20F), log_m));
}

static void NAMED(exp)(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        v_store(y + i, v_exp(v_load(x + i)));
}

static void NAMED(log)(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += LANES)
        v_store(y + i, v_log(v_load(x + i)));
}

/* Where row b of the logits has its columns from c on, up to the end of a panel. */
INLINE size_t logits_at(size_t b, size_t c, size_t batch, size_t width) {
    return (c / width * batch + b) * width + c % width;
}

/* A square of the logits, samples b … end−1 and columns from c on, so that a vector is a column;
 * 0 behind the last sample. */
INLINE void logits_columns(V column[LANES], const float *z, size_t b, size_t end, size_t c,
                           size_t batch, size_t width) {
    I square[LANES];
    UNROLL for (size_t r = 0; r < LANES; r++) {
        const float *from = z + logits_at(b + r < end ? b + r : b, c, batch, width);
        square[r] = i_load((const uint8_t *)from, b + r < end ? sizeof(V) : 0);
    }
    i_transpose(square);
    UNROLL for (size_t i = 0; i < LANES; i++) column[i] = (V)square[i];
}

/* Samples b … end−1, at most LANES. dz: exp(z − max); max and sum of that: (LANES) */
INLINE void softmax_exponentials(float *max, float *sum, float *dz, const float *z, size_t b,
                                 size_t end, size_t n_out, size_t columns, size_t batch,
                                 size_t width) {
    V column[LANES], top = v_one(-INFINITY), total = v_zero();
    for (size_t c = 0; c < n_out; c += LANES) {
        logits_columns(column, z, b, end, c, batch, width);
        for (size_t i = 0; i < LANES && c + i < n_out; i++)
            top = v_max(top, column[i]);
    }
    for (size_t c = 0; c < columns; c += LANES) {
        logits_columns(column, z, b, end, c, batch, width);
        I square[LANES];
        for (size_t i = 0; i < LANES; i++) {
            V e = c + i < n_out ? v_exp(column[i] - top) : v_zero();
            total = total + e;
            square[i] = (I)e;
        }
        i_transpose(square);
        for (size_t r = 0; r < LANES && b + r < end; r++)
            i_store(dz + logits_at(b + r, c, batch, width), square[r]);
    }
    v_store(max, top);
    v_store(sum, total);
}

static void NAMED(softmax_loss)(float *loss, float *dz, const float *z, const int32_t *labels,
                                size_t count, size_t n_out, size_t batch, size_t width,
                                size_t first, size_t end) {
    float scale = 1.0F / (float)count;
    size_t columns = (n_out + width - 1) / width * width;
    for (size_t b = first; b < end; b += LANES) {
        _Alignas(64) float max[LANES], sum[LANES], shifted[LANES] = {0};
        size_t rows = end - b < LANES ? end - b : LANES;
        softmax_exponentials(max, sum, dz, z, b, b + rows, n_out, columns, batch, width);
        for (size_t r = 0; r < rows; r++) {
            bool real = b + r < count;
            V factor = v_one(scale / sum[r]);
            for (size_t c = 0; c < columns; c += LANES) {
                float *to = dz + logits_at(b + r, c, batch, width);
                size_t left = real && c < n_out ? n_out - c : 0;
                v_store(to, v_keep(v_load(to) * factor, left));
            }
            if (!real) {
                sum[r] = 1;
                continue;
            }
            size_t at = logits_at(b + r, (size_t)labels[b + r], batch, width);
            dz[at] -= scale;
            shifted[r] = z[at] - max[r];
        }
        v_store(sum, v_log(v_load(sum)) - v_load(shifted));
        memcpy(loss + b, sum, rows * sizeof *loss);
    }
}
