/* panel.inc.h: the kernels of kernel.h for one instruction set, included by avx2.c and avx512.c
 * after they have said what a vector is:
 *
 *     LANES, V, I                      floats in a vector; a vector of float, of int32
 *     v_zero v_one(x) v_load v_store   from and to memory that is aligned to a vector
 *     v_fma(a, b, c)  v_fnma(a, b, c)  a·b + c, c − a·b, rounded once
 *     v_max v_positive(y, d)           the larger, b where either is NaN; d where y > 0, else 0
 *     v_keep(x, n, other)              the first n lanes of x, other in the rest
 *     v_lanes_sum v_lanes_max          over all lanes, as a float, always in the same order
 *     v_step(m, v, ê)                  m / (√v + ê); 0 where m is 0
 *     v_round v_power2(x)              to the nearest integer; 2ˣ of an integral x of −126 … 127
 *     v_exponent v_mantissa            x = mantissa · 2^exponent, 1 ≤ mantissa < 2, for normal x >
 * 0 i_load(p, bytes)                 LANES · 4 bytes, 0 from `bytes` on i_transpose(I[LANES]) of
 * LANES by LANES int32 i_pack(to, rows, x, first)       lanes of x that aren't 0 to `to`, first +
 * their numbers to `rows`; up to LANES words are written; returns how many count v_bytes(p) LANES
 * bytes as floats
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

/* One vector of parameters at w.p + at; returns what they have become. */
INLINE V update_one(const struct tare_state w, size_t at, V g, const struct NAMED(constants) c,
                    const enum tare_optimizer_kind kind) {
    V p = v_load(w.p + at);
    if (kind == TARE_OPTIMIZER_ADAM) {
        V m = v_fma(c.beta1, v_load(w.m + at), g);
        V v = v_fma(g, g, c.beta2 * v_load(w.v + at));
        v_store(w.m + at, m);
        v_store(w.v + at, v);
        p = v_fnma(c.rate, v_step(m, v, c.epsilon), p);
    } else if (kind == TARE_OPTIMIZER_MOMENTUM) {
        V v = v_fma(c.momentum, v_load(w.v + at), g);
        v_store(w.v + at, v);
        p = v_fnma(c.lr, v, p);
    } else
        p = v_fnma(c.lr, g, p);
    v_store(w.p + at, p);
    return p;
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

/* The bits of the LANES groups from `block` on, in a record. */
INLINE uint32_t record_bits(const uint32_t *record, size_t block) {
    return record[block / 32] >> block % 32 & (uint32_t)((1ULL << LANES) - 1);
}

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

/* A block of groups at a time, LANES samples at a time: a square of words that is turned on its
 * side, so that a group's words lie together. */
static void NAMED(gather_lists)(struct tare_lists *lists, const uint32_t *const *records,
                                size_t count, size_t n_in) {
    size_t room = lists->batch, groups = (n_in + TARE_GROUP - 1) / TARE_GROUP;
    memset(lists->count, 0, groups * sizeof *lists->count);
    for (size_t b = 0; b < count; b += LANES) {
        const uint32_t *word[LANES];
        for (size_t i = 0; i < LANES && b + i < count; i++)
            word[i] = records[b + i] + (groups + 31) / 32;
        for (size_t block = 0; block < groups; block += LANES) {
            I square[LANES];
            for (size_t i = 0; i < LANES; i++) {
                square[i] = i_zero();
                if (b + i < count) {
                    uint32_t bits = record_bits(records[b + i], block);
                    square[i] = i_expand(word[i], bits);
                    word[i] += __builtin_popcount(bits);
                }
            }
            i_transpose(square);
            for (size_t i = 0; i < LANES && block + i < groups; i++) {
                size_t g = block + i, had = lists->count[g], at = g * room + had;
                /* The words wait where their values will be. */
                uint32_t bits;
                lists->count[g] += (uint32_t)i_pack(
                    (int32_t *)lists->value + g * room * TARE_GROUP + had, &bits, square[i]);
                i_compress(lists->row + at, bits, (int32_t)b);
            }
        }
    }
    for (size_t g = 0; g < groups; g++) {
        /* From the last on, 16 entries at a time so that the end of the loop is foreseen: what lies
         * behind the last is nobody's. */
        float *value = lists->value + g * room * TARE_GROUP;
        for (size_t left = (lists->count[g] + 15) / 16 * 16 * TARE_GROUP; left > 0;)
            UNROLL for (int i = 0; i < 16 * TARE_GROUP; i += LANES) {
                left -= LANES;
                v_store(value + left, v_bytes((const uint8_t *)value + left));
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

/* A group a time of each sample; the groups that are lit are found 16 at a time. */
static size_t NAMED(gather_lists_floats)(struct tare_lists *lists, const float *x, size_t count,
                                         size_t n_in) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP, entries = 0;
    memset(lists->count, 0, groups * sizeof *lists->count);
    for (size_t b = 0; b < count; b++, x += n_in)
        for (size_t start = 0; start < n_in;) {
            uint64_t lit = 0;
            size_t first = start / TARE_GROUP;
            for (size_t quarter = 0; quarter < 64 && start < n_in; quarter += 16, start += 64) {
                uint64_t bits = lit_values(x + start, n_in - start);
                bits |= bits >> 1;
                bits |= bits >> 2;
                lit |= _pext_u64(bits, 0x1111111111111111U) << quarter;
            }
            entries += (size_t)__builtin_popcountll(lit);
            for (; lit != 0; lit &= lit - 1) {
                size_t g = first + (size_t)__builtin_ctzll(lit), i = g * TARE_GROUP;
                size_t at = g * lists->batch + lists->count[g]++;
                lists->row[at] = (uint32_t)b;
                if (i + TARE_GROUP <= n_in)
                    memcpy(lists->value + at * TARE_GROUP, x + i, TARE_GROUP * sizeof *x);
                else
                    for (size_t k = 0; k < TARE_GROUP; k++)
                        lists->value[at * TARE_GROUP + k] = i + k < n_in ? x[i + k] : 0;
            }
        }
    return entries;
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

INLINE void forward_row_n(float *y, const float *x, const uint32_t *index, size_t count,
                          const float *w, const int N) {
    V even[2], odd[2];
    size_t width = (size_t)(N * LANES), e = 0;
    UNROLL for (int n = 0; n < N; n++) even[n] = v_load(y + n * LANES), odd[n] = v_zero();
    for (; e + 1 < count; e += 2) {
        const float *w0 = w + index[e] * width, *w1 = w + index[e + 1] * width;
        V x0 = v_one(x[index[e]]), x1 = v_one(x[index[e + 1]]);
        UNROLL for (int n = 0; n < N; n++) {
            even[n] = v_fma(x0, v_load(w0 + n * LANES), even[n]);
            odd[n] = v_fma(x1, v_load(w1 + n * LANES), odd[n]);
        }
    }
    if (e < count) {
        V x0 = v_one(x[index[e]]);
        UNROLL for (int n = 0; n < N; n++) even[n] =
            v_fma(x0, v_load(w + index[e] * width + n * LANES), even[n]);
    }
    UNROLL for (int n = 0; n < N; n++) v_store(y + n * LANES, even[n] + odd[n]);
}

static void NAMED(forward_row)(float *y, const float *x, const uint32_t *index, size_t count,
                               const float *w, int vectors) {
    vectors == 1 ? forward_row_n(y, x, index, count, w, 1)
                 : forward_row_n(y, x, index, count, w, 2);
}

/* acc: gradient of a group's rows; entries in order. */
INLINE void group_gradient(V acc[TARE_GROUP][2], const struct tare_lists *lists, size_t g,
                           const float *dy, const int N) {
    const uint32_t *row = lists->row + g * lists->batch, *end = row + lists->count[g];
    const float *x = lists->value + g * lists->batch * TARE_GROUP;
    UNROLL for (int i = 0; i < TARE_GROUP; i++) UNROLL for (int n = 0; n < N; n++) acc[i][n] =
        v_zero();
    for (; row < end; row++, x += TARE_GROUP) {
        const float *d = dy + (size_t)*row * (size_t)(N * LANES);
        V d0 = v_load(d), d1 = N > 1 ? v_load(d + LANES) : d0;
        UNROLL for (int i = 0; i < TARE_GROUP; i++) {
            V xi = v_one(x[i]);
            acc[i][0] = v_fma(xi, d0, acc[i][0]);
            if (N > 1)
                acc[i][1] = v_fma(xi, d1, acc[i][1]);
        }
    }
}

/* y of each entry's sample += x·w, the group's inputs in order. */
INLINE void group_forward(float *y, const struct tare_lists *lists, size_t g, V w[TARE_GROUP][2],
                          const int N) {
    const uint32_t *row = lists->row + g * lists->batch, *end = row + lists->count[g];
    const float *x = lists->value + g * lists->batch * TARE_GROUP;
    for (; row < end; row++, x += TARE_GROUP) {
        float *to = y + (size_t)*row * (size_t)(N * LANES);
        V y0 = v_load(to), y1 = N > 1 ? v_load(to + LANES) : y0;
        UNROLL for (int i = 0; i < TARE_GROUP; i++) {
            V xi = v_one(x[i]);
            y0 = v_fma(xi, w[i][0], y0);
            if (N > 1)
                y1 = v_fma(xi, w[i][1], y1);
        }
        v_store(to, y0);
        if (N > 1)
            v_store(to + LANES, y1);
    }
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

INLINE void sparse_pass_n(const struct tare_sparse_pass *s, const int N,
                          const enum tare_optimizer_kind kind) {
    const struct tare_lists *back = s->back, *next = s->next;
    const struct tare_state w = s->w;
    const float *dy = s->dy;
    float *y = s->y;
    const struct NAMED(constants) c = constants_of(s->update);
    struct NAMED(ahead) ahead = {s->soon, s->soon + s->soon_count, 0, s->soon_bytes};
    size_t width = (size_t)(N * LANES), groups = s->groups;
    size_t lines = (s->soon_bytes / TARE_LINE_BYTES + 1) * s->soon_count / groups + 1;
    for (size_t g = 0; g < groups; g++) {
        size_t at = g * TARE_GROUP * width;
        V row[TARE_GROUP][2];
        bool lit = next && next->count[g] > 0;
        ask_ahead(&ahead, lines);
        if (back && (s->seen[g] || back->count[g] > 0)) {
            s->seen[g] = 1;
            group_gradient(row, back, g, dy, N);
            UNROLL for (int i = 0; i < TARE_GROUP; i++) UNROLL for (int n = 0; n < N; n++)
                row[i][n] =
                    update_one(w, at + (size_t)i * width + (size_t)(n * LANES), row[i][n], c, kind);
        } else if (lit)
            UNROLL for (int i = 0; i < TARE_GROUP; i++) UNROLL for (int n = 0; n < N; n++)
                row[i][n] = v_load(w.p + at + (size_t)i * width + (size_t)(n * LANES));
        if (lit)
            group_forward(y, next, g, row, N);
    }
}

static void NAMED(sparse_pass)(const struct tare_sparse_pass *s) {
    if (s->vectors == 1)
        FOR_KIND(s->update->kind, sparse_pass_n, s, 1)
    else
        FOR_KIND(s->update->kind, sparse_pass_n, s, 2)
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

/* TARE_ROWS rows of w from x's column i on. */
INLINE void update_tile(const struct tare_state w, const float *x, const float *dy, size_t batch,
                        size_t x_width, size_t i, const struct NAMED(constants) c, const int N,
                        const enum tare_optimizer_kind kind) {
    V acc[TARE_ROWS][2];
    size_t width = (size_t)(N * LANES);
    UNROLL for (int r = 0; r < TARE_ROWS; r++) UNROLL for (int n = 0; n < N; n++) acc[r][n] =
        v_zero();
    for (size_t b = 0; b < batch; b++) {
        const float *xb = x + b * x_width + i;
        V d0 = v_load(dy + b * width), d1 = N > 1 ? v_load(dy + b * width + LANES) : d0;
        UNROLL for (int r = 0; r < TARE_ROWS; r++) {
            V xr = v_one(xb[r]);
            acc[r][0] = v_fma(xr, d0, acc[r][0]);
            if (N > 1)
                acc[r][1] = v_fma(xr, d1, acc[r][1]);
        }
    }
    UNROLL for (int r = 0; r < TARE_ROWS; r++) UNROLL for (int n = 0; n < N; n++)
        update_one(w, (i + (size_t)r) * width + (size_t)(n * LANES), acc[r][n], c, kind);
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
        update_one(*b, at, g, constants_of(u), kind);
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

/* One row; *shifted is z[label] − max. Returns Σ exp(z − max). */
INLINE float softmax_row(float *shifted, float *dz, const float *z, size_t b, size_t label,
                         float scale, size_t n_out, size_t batch, size_t width) {
    V top = v_one(-INFINITY), total = v_zero();
    for (size_t c = 0; c < n_out; c += LANES) {
        V row = v_load(z + logits_at(b, c, batch, width));
        top = v_max(top, v_keep(row, n_out - c, v_one(-INFINITY)));
    }
    float max = v_lanes_max(top);
    *shifted = z[logits_at(b, label, batch, width)] - max;
    size_t columns = (n_out + width - 1) / width * width;
    for (size_t c = 0; c < columns; c += LANES) {
        size_t at = logits_at(b, c, batch, width), real = c < n_out ? n_out - c : 0;
        V e = v_keep(v_exp(v_load(z + at) - v_one(max)), real, v_zero());
        v_store(dz + at, e);
        total = total + e;
    }
    float sum = v_lanes_sum(total);
    V factor = v_one(scale / sum);
    for (size_t c = 0; c < n_out; c += LANES) {
        size_t at = logits_at(b, c, batch, width);
        v_store(dz + at, v_keep(v_load(dz + at) * factor, n_out - c, v_zero()));
    }
    dz[logits_at(b, label, batch, width)] -= scale;
    return sum;
}

static void NAMED(softmax_loss)(float *loss, float *dz, const float *z, const int32_t *labels,
                                size_t count, size_t n_out, size_t batch, size_t width,
                                size_t first, size_t end) {
    float scale = 1.0F / (float)count;
    for (size_t b = first; b < end; b += TARE_ROWS) {
        /* The logarithms of TARE_ROWS rows at once. */
        _Alignas(64) float sum[16], shifted[16];
        for (size_t i = 0; i < 16; i++)
            sum[i] = 1, shifted[i] = 0;
        for (size_t i = 0; i < TARE_ROWS; i++)
            if (b + i < count)
                sum[i] = softmax_row(&shifted[i], dz, z, b + i, (size_t)labels[b + i], scale, n_out,
                                     batch, width);
            else
                for (size_t c = 0; c < n_out; c += width)
                    memset(dz + logits_at(b + i, c, batch, width), 0, width * sizeof *dz);
        v_store(sum, v_log(v_load(sum)) - v_load(shifted));
        memcpy(loss + b, sum, TARE_ROWS * sizeof *loss);
    }
}
