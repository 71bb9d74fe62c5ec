/* kernel.h: the arithmetic of dense nets in float32, once per instruction set.
 *
 *     const struct tare_kernels *k = tare_kernels_best();         // or tare_kernels_find("avx2")
 *     k->forward(y, x, w, …);
 *
 * reference.c is plain C and says what each kernel computes; avx2.c and avx512.c are panel.inc.h
 * compiled for their vectors, and are tested against it (tests/test_kernel.c). Every sum is taken
 * in one fixed order, whatever the caller splits among threads: see "order" at each kernel.
 *
 * Panels. Weights and activations lie in panels of `width` = vectors · lanes columns (vectors 1 or
 * 2), so that whatever a kernel walks through is contiguous, and no column count has a tail:
 *     activations  x: (panels, batch, width)      weights  w: (panels, n_in, width)
 * Rows are padded to TARE_ROWS, columns to a panel; padding is zero and stays zero.
 */
#ifndef TARE_KERNEL_KERNEL_H
#define TARE_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/optimizer.h"

#define TARE_ROWS 8         /* samples or weight rows that a kernel takes at a time */
#define TARE_GROUP 4        /* inputs that are zero, or not, together */
#define TARE_LIT_SAMPLES 64 /* as many as a word has bits */
#define TARE_MAX_PANEL 32   /* floats of the widest panel */
#define TARE_LINE_BYTES 64  /* alignment of everything here */

/* An optimiser's constants at one step; native_update_at makes them.
 *
 *     sgd        p −= lr·g
 *     momentum   v = momentum·v + g;  p −= lr·v
 *     adam       m = β₁·m + g;  v = β₂·v + g²;  p −= rate·m / (√v + epsilon)
 *
 * Adam's moments lack their factors 1 − β₁ and 1 − β₂, which are in rate and epsilon with the bias
 * corrections: with m' = (1 − β₁)·m and v' = (1 − β₂)·v, Algorithm 1's
 * lr·(m'/(1 − β₁ᵗ)) / (√(v'/(1 − β₂ᵗ)) + ε) is rate·m / (√v + epsilon) with
 *     epsilon = ε·√((1 − β₂ᵗ)/(1 − β₂)),  rate = lr·(1 − β₁)/(1 − β₁ᵗ)·√((1 − β₂ᵗ)/(1 − β₂)). */
struct tare_update {
    enum tare_optimizer_kind kind;
    float lr, momentum, beta1, beta2, rate, epsilon;
};

/* Parameters with an optimiser's memory: three blocks of the same layout. */
struct tare_state {
    float *p, *m, *v;
};

/* A batch's non-zero inputs by group of TARE_GROUP neighbouring ones, of some groups. Group g has
 * count[g] entries, in ascending order of sample, at g·batch: sample row[e], values (4). */
struct tare_lists {
    size_t batch;     /* padded: room for as many entries per group */
    uint32_t *count;  /* (groups) */
    uint32_t *row;    /* (groups, batch) */
    float *value;     /* (groups, batch, TARE_GROUP) */
    uint64_t *entry;  /* (groups, batch + TARE_ENTRY_SPARE): only gather_lists' own */
    uint64_t **front; /* (groups), the same */
};
/* Makes a group's room an odd number of cache lines: the groups' fronts, which are all written at
 * once, then lie in different sets of the cache. */
#define TARE_ENTRY_SPARE 8

/* A sparse image is kept as a record: a bit for each of its groups that isn't all zero, in words of
 * 32, then the four bytes of each of these groups. It is read often and at random: the record of an
 * MNIST image is 250 bytes. So many words it can take, with what is written behind it: */
#define TARE_RECORD_SPARE 16
size_t tare_record_words(size_t n_in);

/* Groups first … end−1 of a sparse first layer's inputs, in some panels: what is said of w, seen,
 * dy and y is the first of the panels. */
struct tare_sparse {
    size_t groups, first, end; /* groups: of the layer */
    int vectors;
    size_t panels;
    size_t rows;  /* of w in a panel: groups · 4 at least */
    size_t batch; /* rows of dy and y in a panel */
    const struct tare_lists *lists;
};

/* Records that will be read soon, and are asked for meanwhile: so many, of about so many bytes. */
struct tare_soon {
    const uint32_t *const *records;
    size_t count, bytes;
};

struct tare_kernels {
    const char *name;
    int lanes; /* floats in a vector */
    bool (*available)(void);

    /* An image of n_in bytes as a record, and a batch's lists from count records: groups first …
     * end−1. The record has room for tare_record_words(n_in); returns how many words it takes. */
    size_t (*pack)(uint32_t *record, const uint8_t *image, size_t n_in);
    void (*gather_lists)(struct tare_lists *lists, const uint32_t *const *records, size_t count,
                         size_t n_in, size_t first, size_t end);

    /* From images: (count) pointers to n_in bytes, x = byte / 255.0f: x: (panels, batch, width), of
     * samples first … end−1. */
    void (*gather_dense)(float *x, const uint8_t *const *images, size_t count, size_t n_in,
                         size_t batch, size_t width, size_t first, size_t end);

    /* Which groups of x: (count, n_in), at most TARE_LIT_SAMPLES, aren't all zero: bit b of lit[g]
     * says it of sample b. lit: (groups, up to a multiple of 64). Returns how many bits are set. */
    size_t (*find_lit)(uint64_t *lit, const float *x, size_t count, size_t n_in);

    /* One sample. index: (n + 16), the numbers of the values of x: (n) that aren't 0; returns how
     * many. y: (panels, width) += Σ x[i]·w[i] over these i; w: (panels, rows, width). order: those
     * at even places of index, those at odd, their sum */
    size_t (*find_nonzero)(uint32_t *index, const float *x, size_t n);
    void (*forward_row)(float *y, const float *x, const uint32_t *index, size_t count,
                        const float *w, size_t rows, int vectors, size_t panels);

    /* Gradient of the groups' rows of w: (panels, rows, width) from dy: (panels, batch, width), and
     * their update. seen: (panels, groups): a gradient has been here; before, all of m and v is 0,
     * and an update without a gradient is nothing. order: entries ascending */
    void (*sparse_update)(const struct tare_sparse *s, const struct tare_state *w, uint8_t *seen,
                          const float *dy, const struct tare_update *update,
                          const struct tare_soon *soon);
    /* y: (panels, batch, width) += x·w. order: y's start, then entries by group, inputs inside a
     * group ascending */
    void (*sparse_forward)(const struct tare_sparse *s, float *y, const float *w);
    /* The same, of all groups, with find_lit's bits in place of lists. */
    void (*lit_forward)(const struct tare_sparse *s, float *y, const float *w, const float *x,
                        size_t n_in, const uint64_t *lit);

    /* y: (batch, width) += x·w, for samples first … end−1 (multiples of TARE_ROWS). x: panels of
     * x_width, batch rows each; w: (n_in, width). order: y's start, then inputs ascending */
    void (*forward)(float *y, const float *x, const float *w, size_t n_in, size_t x_width,
                    size_t batch, int vectors, size_t first, size_t end);

    /* Rows first … first + x_width − 1 of w: (panels, n_in, width), turned on their side: t:
     * (n_out, x_width). The gradient of a layer's inputs is a `forward` with t. */
    void (*transpose)(float *t, const float *w, size_t n_in, size_t n_out, size_t width,
                      size_t first, size_t x_width);

    /* Gradient of rows first … end−1 of w and their update: g[i] = Σ_b x[b][i]·dy[b]. x: one panel
     * of x_width; rows count inside it. order: samples ascending from 0 */
    void (*weight_update)(const struct tare_state *w, const float *x, const float *dy, size_t batch,
                          size_t x_width, int vectors, const struct tare_update *update,
                          size_t first, size_t end);

    /* The same for a bias: g = Σ_b dy[b]; all pointers at one panel. */
    void (*bias_update)(const struct tare_state *b, const float *dy, size_t batch, int vectors,
                        const struct tare_update *update);

    /* y: (rows, width) = bias: (width) in each row */
    void (*spread_bias)(float *y, const float *bias, size_t rows, int vectors);
    /* y = a + b. n: multiple of 16 */
    void (*add)(float *y, const float *a, const float *b, size_t n);
    /* y = max(y, 0), NaN stays; and dy = 0 where y ≤ 0. n: multiple of 16 */
    void (*relu)(float *y, size_t n);
    void (*relu_back)(float *dy, const float *y, size_t n);

    /* y = eˣ for x ≤ 0, and the natural logarithm of x ≥ 1, with the errors that panel.inc.h
     * states; n: multiple of 16 */
    void (*exp)(float *y, const float *x, size_t n);
    void (*log)(float *y, const float *x, size_t n);

    /* Softmax and loss of samples first … end−1. z: (panels, batch, width) logits; dz: the gradient
     * of the mean loss by them: (softmax − (k == label)) / count; 0 in rows from count on and in
     * padding. loss: (batch), of each sample, nats. */
    void (*softmax_loss)(float *loss, float *dz, const float *z, const int32_t *labels,
                         size_t count, size_t n_out, size_t batch, size_t width, size_t first,
                         size_t end);
};

/* In the calling thread, from now on: numbers below 2⁻¹²⁶ are 0. Moments without a gradient decay
 * into them within a thousand steps, and a processor takes a hundred cycles for each. Returns what
 * to give to tare_denormals_restore. */
unsigned tare_denormals_flush(void);
void tare_denormals_restore(unsigned before);

/* The fastest this machine can run; by name (NULL: there is none of that name, or not here). */
const struct tare_kernels *tare_kernels_best(void);
const struct tare_kernels *tare_kernels_find(const char *name);
/* Of all that were built, in ascending order of speed; NULL behind the last. */
const struct tare_kernels *tare_kernels_at(size_t i);

extern const struct tare_kernels tare_kernels_reference, tare_kernels_avx2, tare_kernels_avx512;

#endif
