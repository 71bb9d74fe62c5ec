/* test_kernel.c: the kernels of every instruction set this machine has against the plain ones, at
 * every small size with its tails. What moves numbers about must agree in every bit; what sums
 * them, within the rounding of sums of that length; a planted fault must be seen. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/kernel.h"
#include "tare/rng.h"

#define MAX_BATCH 48 /* padded */
#define MAX_INPUTS 160
#define MAX_COLUMNS 64

static struct tare_rng rng;
static const struct tare_kernels *const plain = &tare_kernels_reference;

static size_t between(size_t lo, size_t hi) {
    return lo + (size_t)tare_rng_below(&rng, hi - lo + 1);
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* Floats on a cache line, uniform in ±1, a part of them 0. */
static float *numbers(size_t n, double zeros) {
    float *x = aligned_alloc(64, round_up(n * sizeof *x + 1, 64));
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = tare_rng_uniform(&rng, 0, 1) < (float)zeros ? 0 : tare_rng_uniform(&rng, -1, 1);
    return x;
}

static float *copy_of(const float *x, size_t n) {
    float *copy = aligned_alloc(64, round_up(n * sizeof *x + 1, 64));
    assert_non_null(copy);
    return memcpy(copy, x, n * sizeof *x);
}

/* Largest difference over what rounding allows: `terms` products of about 1 were summed, in another
 * order or with fewer roundings. NaN and infinity must be in the same places. */
static double distance(const float *a, const float *b, size_t n, size_t terms) {
    double worst = 0, allowed = (double)(terms + 8) * 0x1p-23;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)a[i] - (double)b[i]);
        if (isnan(a[i]) != isnan(b[i]))
            return INFINITY;
        double scale = fmax(1, fmax(fabs((double)a[i]), fabs((double)b[i])));
        if (difference / scale / allowed > worst)
            worst = difference / scale / allowed;
    }
    return worst;
}

static void assert_close(const struct tare_kernels *k, const char *what, float *a, const float *b,
                         size_t n, size_t terms) {
    double worst = distance(a, b, n, terms);
    if (!(worst <= 1))
        fail_msg("%s %s: %.2g times what rounding explains", k->name, what, worst);
    size_t at = between(0, n - 1); /* and a fault would have been seen */
    float right = a[at];
    a[at] += 1e-3F * fmaxf(1, fabsf(right));
    if (!isnan(right))
        assert_true(distance(a, b, n, terms) > 1);
    a[at] = right;
}

/* Calls test for each instruction set of this machine, with panels of one vector and of two;
 * skipped where there is none but the plain one. */
static void for_each(void (*test)(const struct tare_kernels *k, int vectors)) {
    int found = 0;
    tare_rng_seed(&rng, 7, TARE_STREAM_TEST);
    for (size_t i = 0; tare_kernels_at(i); i++) {
        const struct tare_kernels *k = tare_kernels_at(i);
        if (k == plain || !k->available())
            continue;
        found++;
        test(k, 1);
        test(k, 2);
    }
    if (found == 0) {
        print_message("this processor has no AVX2\n");
        skip();
    }
}

/* The plain kernels' number of vectors in the same width. */
static int plain_vectors(const struct tare_kernels *k, int vectors) {
    return vectors * k->lanes / plain->lanes;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

struct images {
    uint8_t *bytes;
    const uint8_t *rows[MAX_BATCH];
    size_t count, n_in;
};

static void make_images(struct images *images, size_t count, size_t n_in, double zeros) {
    *images = (struct images){.count = count, .n_in = n_in, .bytes = malloc(count * n_in)};
    assert_non_null(images->bytes); /* exactly so many: reading one more is an error of ASan's */
    for (size_t i = 0; i < count * n_in; i++)
        images->bytes[i] =
            tare_rng_uniform(&rng, 0, 1) < (float)zeros ? 0 : (uint8_t)tare_rng_below(&rng, 256);
    for (size_t b = 0; b < count; b++)
        images->rows[b] = images->bytes + b * n_in;
}

/* The images' records by k, which must be the plain ones; rows: (count). */
static uint32_t *make_records(const uint32_t **rows, const struct tare_kernels *k,
                              const struct images *images) {
    size_t most = tare_record_words(images->n_in), at = 0;
    uint32_t *records = malloc(images->count * most * sizeof *records);
    uint32_t *one = malloc(most * sizeof *one);
    assert_non_null(records);
    assert_non_null(one);
    for (size_t b = 0; b < images->count; b++) {
        rows[b] = records + at;
        size_t words = k->pack(records + at, images->rows[b], images->n_in);
        assert_int_equal(words, plain->pack(one, images->rows[b], images->n_in));
        assert_memory_equal(records + at, one, words * sizeof *one);
        at += words;
    }
    free(one);
    return records;
}

static struct tare_lists make_lists(size_t groups, size_t batch) {
    struct tare_lists lists = {.batch = batch};
    lists.count = calloc(groups, sizeof *lists.count);
    lists.row = aligned_alloc(64, round_up(groups * batch * sizeof *lists.row, 64));
    lists.value = numbers(groups * batch * TARE_GROUP, 0);
    lists.entry = calloc(groups * (batch + TARE_ENTRY_SPARE), sizeof *lists.entry);
    lists.front = calloc(groups, sizeof *lists.front);
    assert_non_null(lists.count);
    assert_non_null(lists.row);
    assert_non_null(lists.entry);
    assert_non_null(lists.front);
    return lists;
}

static void free_lists(struct tare_lists *lists) {
    free(lists->count);
    free(lists->row);
    free(lists->value);
    free(lists->entry);
    free(lists->front);
}

static void assert_same_lists(const struct tare_lists *a, const struct tare_lists *b, size_t first,
                              size_t groups) {
    for (size_t g = first; g < groups; g++) {
        size_t at = g * a->batch, count = a->count[g];
        assert_int_equal(count, b->count[g]);
        assert_memory_equal(a->row + at, b->row + at, count * sizeof *a->row);
        assert_memory_equal(a->value + at * TARE_GROUP, b->value + at * TARE_GROUP,
                            count * TARE_GROUP * sizeof *a->value);
    }
}

static void lists_of(const struct tare_kernels *k, int vectors) {
    (void)vectors;
    for (int trial = 0; trial < 300; trial++) {
        size_t n_in = between(1, MAX_INPUTS), groups = round_up(n_in, 4) / 4;
        size_t count = between(1, MAX_BATCH - 16), batch = round_up(count, 16);
        struct images images;
        make_images(&images, count, n_in, (double)(trial % 4) / 3);
        struct tare_lists a = make_lists(groups, batch), b = make_lists(groups, batch);
        const uint32_t *rows[MAX_BATCH];
        uint32_t *records = make_records(rows, k, &images);
        size_t end = between(1, groups), first = between(0, end);
        k->gather_lists(&a, rows, count, n_in, first, end);
        plain->gather_lists(&b, rows, count, n_in, first, end);
        assert_same_lists(&a, &b, first, end);
        free(records);
        float *x = numbers(count * n_in, (double)(trial % 4) / 3);
        if (trial % 5 == 0)
            x[between(0, count * n_in - 1)] = NAN;
        uint32_t *i = calloc(n_in + 16, sizeof *i), *j = calloc(n_in + 16, sizeof *j);
        size_t found = k->find_nonzero(i, x, n_in);
        assert_int_equal(found, plain->find_nonzero(j, x, n_in));
        assert_memory_equal(i, j, found * sizeof *i);
        free(i);
        free(j);
        free(x);
        free(images.bytes);
        free_lists(&a);
        free_lists(&b);
    }
}

static void test_lists(void **state) {
    (void)state;
    for_each(lists_of);
}

static void dense_of(const struct tare_kernels *k, int vectors) {
    (void)vectors;
    for (int trial = 0; trial < 100; trial++) {
        size_t n_in = between(1, MAX_INPUTS), count = between(1, 32), batch = round_up(count, 16);
        size_t columns = round_up(n_in, TARE_MAX_PANEL);
        struct images images;
        make_images(&images, count, n_in, 0.1);
        float *a = numbers(columns * batch, 0), *b = numbers(columns * batch, 0);
        k->gather_dense(a, images.rows, count, n_in, batch, TARE_MAX_PANEL, 0, batch);
        plain->gather_dense(b, images.rows, count, n_in, batch, TARE_MAX_PANEL, 0, batch);
        assert_memory_equal(a, b, columns * batch * sizeof *a);
        free(a);
        free(b);
        free(images.bytes);
    }
}

/* 0 … 255 over 255, every one of them rounded as a division is. */
static void quotients_of(const struct tare_kernels *k, int vectors) {
    (void)vectors;
    uint8_t bytes[256];
    const uint8_t *row = bytes;
    _Alignas(64) float x[8 * 256];
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    k->gather_dense(x, &row, 1, 256, 8, TARE_MAX_PANEL, 0, 8);
    for (size_t i = 0; i < 256; i++) {
        float right = (float)i / 255.0F;
        assert_memory_equal(&x[i / TARE_MAX_PANEL * 8 * TARE_MAX_PANEL + i % TARE_MAX_PANEL],
                            &right, sizeof right);
    }
}

static void test_dense_inputs(void **state) {
    (void)state;
    for_each(dense_of);
    for_each(quotients_of);
}

/* ---- sums --------------------------------------------------------------------------------------
 */

static const enum tare_optimizer_kind kinds[] = {TARE_OPTIMIZER_SGD, TARE_OPTIMIZER_MOMENTUM,
                                                 TARE_OPTIMIZER_ADAM};

static struct tare_update update_of(int trial) {
    return (struct tare_update){
        .kind = kinds[trial % 3],
        .lr = 0.1F,
        .momentum = 0.9F,
        .beta1 = 0.9F,
        .beta2 = 0.99F,
        .rate = 0.05F,
        /* A quotient by √v of a v that is nearly 0 would only measure v's rounding. */
        .epsilon = 0.1F};
}

/* Two equal states, of which one is given to each side. v is not negative. */
struct states {
    struct tare_state fast, plain;
};

static struct states make_states(size_t n) {
    struct states s = {.fast = {numbers(n, 0), numbers(n, 0), numbers(n, 0)}};
    for (size_t i = 0; i < n; i++)
        s.fast.v[i] = i % 7 == 0 ? 0 : fabsf(s.fast.v[i]);
    s.plain = (struct tare_state){copy_of(s.fast.p, n), copy_of(s.fast.m, n), copy_of(s.fast.v, n)};
    return s;
}

static void free_states(struct states *s) {
    struct tare_state *both[] = {&s->fast, &s->plain};
    for (size_t i = 0; i < 2; i++) {
        free(both[i]->p);
        free(both[i]->m);
        free(both[i]->v);
    }
}

static void assert_close_states(const struct tare_kernels *k, const char *what, struct states *s,
                                size_t n, size_t terms) {
    assert_close(k, what, s->fast.p, s->plain.p, n, terms);
    assert_close(k, what, s->fast.m, s->plain.m, n, terms);
    assert_close(k, what, s->fast.v, s->plain.v, n, terms);
}

static void sparse_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 200; trial++) {
        size_t n_in = between(1, 60), groups = round_up(n_in, 4) / 4, count = between(1, 20);
        size_t batch = round_up(count, 16), panels = between(1, 3), rows = groups * 4 + 4;
        size_t n = panels * rows * width, outputs = panels * batch * width;
        struct images images;
        make_images(&images, count, n_in, 0.6);
        struct tare_lists lists = make_lists(groups, batch);
        const uint32_t *records[MAX_BATCH];
        uint32_t *packed = make_records(records, k, &images);
        plain->gather_lists(&lists, records, count, n_in, 0, groups);
        float *dy = numbers(outputs, 0.3), *y = numbers(outputs, 0);
        float *plain_y = copy_of(y, outputs);
        uint8_t seen[64] = {0}, plain_seen[64] = {0};
        for (size_t panel = 0; panel < panels; panel++)
            seen[panel * groups] = plain_seen[panel * groups] = 1;
        struct states s = make_states(n);
        struct tare_update update = update_of(trial);
        struct tare_soon soon = {records, trial % 2 ? count : 0, n_in};
        size_t end = between(1, groups);
        struct tare_sparse sparse = {.groups = groups,
                                     .first = between(0, end - 1),
                                     .end = end,
                                     .vectors = vectors,
                                     .panels = panels,
                                     .rows = rows,
                                     .batch = batch,
                                     .lists = &lists};
        k->sparse_update(&sparse, &s.fast, seen, dy, &update, &soon);
        k->sparse_forward(&sparse, y, s.fast.p);
        sparse.vectors = plain_vectors(k, vectors);
        plain->sparse_update(&sparse, &s.plain, plain_seen, dy, &update, &soon);
        plain->sparse_forward(&sparse, plain_y, s.plain.p);
        assert_close_states(k, "sparse_update", &s, n, count);
        assert_close(k, "sparse_forward", y, plain_y, outputs, n_in + count);
        assert_memory_equal(seen, plain_seen, sizeof seen);
        free_states(&s);
        free(dy);
        free(y);
        free(plain_y);
        free_lists(&lists);
        free(packed);
        free(images.bytes);
    }
}

/* Without the bytes that alignment added, so that it is seen who reads past the end; x is freed. */
static float *exactly(float *x, size_t n) {
    float *copy = malloc(n * sizeof *x);
    assert_non_null(copy);
    memcpy(copy, x, n * sizeof *x);
    free(x);
    return copy;
}

static void lit_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 200; trial++) {
        size_t n_in = between(1, 600), groups = round_up(n_in, TARE_GROUP) / TARE_GROUP;
        size_t count = between(1, TARE_LIT_SAMPLES), batch = TARE_LIT_SAMPLES + 8 * between(0, 2);
        size_t panels = between(1, 3), rows = groups * TARE_GROUP + 4;
        size_t outputs = panels * batch * width;
        float *x = exactly(numbers(count * n_in, 0.3 * (double)(trial % 4)), count * n_in);
        float *w = numbers(panels * rows * width, 0), *y = numbers(outputs, 0);
        float *plain_y = copy_of(y, outputs);
        uint64_t lit[192], plain_lit[192];
        assert_int_equal(k->find_lit(lit, x, count, n_in),
                         plain->find_lit(plain_lit, x, count, n_in));
        assert_memory_equal(lit, plain_lit, groups * sizeof *lit);
        struct tare_sparse sparse = {.groups = groups,
                                     .end = groups,
                                     .vectors = vectors,
                                     .panels = panels,
                                     .rows = rows,
                                     .batch = batch};
        k->lit_forward(&sparse, y, w, x, n_in, lit);
        sparse.vectors = plain_vectors(k, vectors);
        plain->lit_forward(&sparse, plain_y, w, x, n_in, plain_lit);
        assert_close(k, "lit_forward", y, plain_y, outputs, n_in);
        x[between(0, count * n_in - 1)] = NAN; /* isn't zero */
        assert_int_equal(k->find_lit(lit, x, count, n_in),
                         plain->find_lit(plain_lit, x, count, n_in));
        assert_memory_equal(lit, plain_lit, groups * sizeof *lit);
        free(x);
        free(w);
        free(y);
        free(plain_y);
    }
}

static void test_lit(void **state) {
    (void)state;
    for_each(lit_of);
}

static void test_sparse(void **state) {
    (void)state;
    for_each(sparse_of);
}

static void forward_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 200; trial++) {
        size_t n_in = between(1, 300), x_width = (size_t)k->lanes * between(1, 2);
        size_t batch = 16 * between(1, 3), first = 8 * between(0, 1),
               end = batch - 8 * between(0, 1);
        if (first >= end)
            first = 0;
        float *x = numbers(round_up(n_in, x_width) * batch, 0.2), *w = numbers(n_in * width, 0);
        float *a = numbers(batch * width, 0), *b = copy_of(a, batch * width);
        k->forward(a, x, w, n_in, x_width, batch, vectors, first, end);
        plain->forward(b, x, w, n_in, x_width, batch, plain_vectors(k, vectors), first, end);
        assert_close(k, "forward", a, b, batch * width, n_in);

        uint32_t *index = calloc(n_in + 16, sizeof *index);
        size_t found = plain->find_nonzero(index, x, n_in);
        size_t panels = between(1, 5), columns = panels * width;
        float *wide = numbers(panels * n_in * width, 0);
        float *row = numbers(columns, 0), *plain_row = copy_of(row, columns);
        k->forward_row(row, x, index, found, wide, n_in, vectors, panels);
        plain->forward_row(plain_row, x, index, found, wide, n_in, plain_vectors(k, vectors),
                           panels);
        assert_close(k, "forward_row", row, plain_row, columns, n_in);
        free(wide);
        free(row);
        free(plain_row);
        free(index);
        free(x);
        free(w);
        free(a);
        free(b);
    }
}

static void test_forward(void **state) {
    (void)state;
    for_each(forward_of);
}

static void updates_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 200; trial++) {
        size_t x_width = 8 * between(1, 4), batch = 8 * between(1, 5);
        size_t first = 8 * between(0, x_width / 8 - 1), end = x_width;
        float *x = numbers(batch * x_width, 0.2), *dy = numbers(batch * width, 0.2);
        struct states s = make_states(x_width * width);
        struct tare_update update = update_of(trial);
        k->weight_update(&s.fast, x, dy, batch, x_width, vectors, &update, first, end);
        plain->weight_update(&s.plain, x, dy, batch, x_width, plain_vectors(k, vectors), &update,
                             first, end);
        assert_close_states(k, "weight_update", &s, x_width * width, batch);
        k->bias_update(&s.fast, dy, batch, vectors, &update);
        plain->bias_update(&s.plain, dy, batch, plain_vectors(k, vectors), &update);
        assert_close_states(k, "bias_update", &s, width, 2 * batch);
        free_states(&s);
        free(x);
        free(dy);
    }
}

static void test_updates(void **state) {
    (void)state;
    for_each(updates_of);
}

/* Adam where its quotient is delicate: v at 0, at the smallest normal number, huge; m at 0. */
static void delicate_of(const struct tare_kernels *k, int vectors) {
    static const float v[] = {0, 0x1p-126F, 1e-30F, 1e-16F, 1e-8F, 1, 1e8F, 1e30F};
    size_t width = (size_t)(vectors * k->lanes);
    _Alignas(64) float dy[8 * 32] = {0}, x[8 * 8] = {0};
    for (size_t e = 0; e < 3; e++) {
        struct tare_update update = update_of(2);
        struct states s = make_states(8 * width);
        update.epsilon = (float[]){3e-10F, 1e-8F, 1e-3F}[e];
        for (size_t i = 0; i < 8 * width; i++) {
            s.fast.v[i] = s.plain.v[i] = v[i % 8];
            s.fast.m[i] = s.plain.m[i] = i % 3 == 0 ? 0 : sqrtf(v[i % 8]) * s.fast.m[i];
            s.fast.p[i] = s.plain.p[i] = 0;
        }
        k->weight_update(&s.fast, x, dy, 8, 8, vectors, &update, 0, 8);
        plain->weight_update(&s.plain, x, dy, 8, 8, plain_vectors(k, vectors), &update, 0, 8);
        for (size_t i = 0; i < 8 * width; i++)
            if (fabsf(s.fast.p[i] - s.plain.p[i]) > 4e-7F * fabsf(s.plain.p[i]))
                fail_msg("%s: v = %g, epsilon %g: a step of %.9g, not %.9g", k->name,
                         (double)v[i % 8], (double)update.epsilon, (double)s.fast.p[i],
                         (double)s.plain.p[i]);
        free_states(&s);
    }
}

static void test_delicate_updates(void **state) {
    (void)state;
    for_each(delicate_of);
}

/* ---- value by value ----------------------------------------------------------------------------
 */

static void values_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes), n = 16 * 32;
    float *bias = numbers(width, 0), *y = numbers(n, 0.2), *dy = numbers(n, 0);
    y[3] = NAN, y[4] = INFINITY, y[5] = -INFINITY, y[6] = -0.0F, dy[7] = NAN;
    float *a = numbers(n, 0), *b = numbers(n, 0);
    k->spread_bias(a, bias, n / width, vectors);
    plain->spread_bias(b, bias, n / width, plain_vectors(k, vectors));
    assert_memory_equal(a, b, n * sizeof *a);
    memcpy(a, y, n * sizeof *y);
    memcpy(b, y, n * sizeof *y);
    k->relu(a, n);
    plain->relu(b, n);
    for (size_t i = 0; i < n; i++)
        assert_true(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])));
    k->add(a, y, dy, n);
    plain->add(b, y, dy, n);
    for (size_t i = 0; i < n; i++)
        assert_true(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])));
    memcpy(a, dy, n * sizeof *y);
    memcpy(b, dy, n * sizeof *y);
    k->relu_back(a, y, n);
    plain->relu_back(b, y, n);
    for (size_t i = 0; i < n; i++)
        assert_true(a[i] == b[i] || (isnan(a[i]) && isnan(b[i])));
    free(bias);
    free(y);
    free(dy);
    free(a);
    free(b);
}

static void test_values(void **state) {
    (void)state;
    for_each(values_of);
}

static void transpose_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 100; trial++) {
        size_t n_out = between(1, MAX_COLUMNS), x_width = (size_t)k->lanes * between(1, 2);
        size_t n_in = x_width * between(1, 3), first = between(0, n_in / x_width - 1) * x_width;
        float *w = numbers(round_up(n_out, width) * n_in, 0);
        float *a = numbers(n_out * x_width, 0), *b = numbers(n_out * x_width, 0);
        k->transpose(a, w, n_in, n_out, width, first, x_width);
        plain->transpose(b, w, n_in, n_out, width, first, x_width);
        assert_memory_equal(a, b, n_out * x_width * sizeof *a);
        free(w);
        free(a);
        free(b);
    }
}

static void test_transpose(void **state) {
    (void)state;
    for_each(transpose_of);
}

static void softmax_of(const struct tare_kernels *k, int vectors) {
    size_t width = (size_t)(vectors * k->lanes);
    for (int trial = 0; trial < 300; trial++) {
        size_t n_out = between(1, MAX_COLUMNS), count = between(1, 40), batch = round_up(count, 16);
        size_t n = round_up(n_out, width) * batch;
        float *z = numbers(n, 0), *a = numbers(n, 0), *b = numbers(n, 0);
        float *loss = numbers(batch, 0), *plain_loss = numbers(batch, 0);
        int32_t labels[MAX_BATCH];
        for (size_t i = 0; i < n; i++) /* all negative in some, far apart in others */
            z[i] = trial % 3 == 0 ? z[i] - 5 : z[i] * 30;
        if (trial % 7 == 0)
            z[between(0, n - 1)] = NAN;
        for (size_t i = 0; i < count; i++)
            labels[i] = (int32_t)between(0, n_out - 1);
        size_t middle = 8 * between(0, batch / 8);
        k->softmax_loss(loss, a, z, labels, count, n_out, batch, width, 0, middle);
        k->softmax_loss(loss, a, z, labels, count, n_out, batch, width, middle, batch);
        plain->softmax_loss(plain_loss, b, z, labels, count, n_out, batch, width, 0, batch);
        assert_close(k, "softmax_loss", a, b, n, 8);
        assert_close(k, "softmax_loss", loss, plain_loss, batch, 8);
        free(z);
        free(a);
        free(b);
        free(loss);
        free(plain_loss);
    }
}

static void test_softmax(void **state) {
    (void)state;
    for_each(softmax_of);
}

/* Units in the last place between y and the right value. */
static double ulps(float y, double right) {
    return fabs((double)y - right) / ldexp(1, ilogb(right) - 23);
}

/* Every `stride`-th float from `from` to `to`, both of one sign; the largest error in units. */
static double worst_error(void (*f)(float *y, const float *x, size_t n), double (*truth)(double),
                          float from, float to, uint32_t stride) {
    uint32_t at, end;
    _Alignas(64) float x[16], y[16];
    double worst = 0;
    memcpy(&at, &from, sizeof at);
    memcpy(&end, &to, sizeof end);
    for (; at <= end - 16 * stride; at += 16 * stride) {
        for (uint32_t i = 0; i < 16; i++) {
            uint32_t bits = at + i * stride;
            memcpy(&x[i], &bits, sizeof bits);
        }
        f(y, x, 16);
        for (size_t i = 0; i < 16; i++)
            worst = fmax(worst, ulps(y[i], truth((double)x[i])));
    }
    return worst;
}

/* The errors that panel.inc.h states; TARE_EVERY_FLOAT=1 leaves none out (minutes). */
static void functions_of(const struct tare_kernels *k, int vectors) {
    if (vectors == 2)
        return;
    bool all = getenv("TARE_EVERY_FLOAT") != NULL;
    double e = worst_error(k->exp, exp, -0.0F, -87.0F, all ? 1 : 1009);
    double l = worst_error(k->log, log, 1.0F + 0x1p-23F, 65536.0F, all ? 1 : 101);
    print_message("%s: exp within %.3f, log within %.3f units in the last place\n", k->name, e, l);
    assert_true(e < 1.1);
    assert_true(l < 1.1);
    _Alignas(64) float x[16] = {0, -0.0F, -87.5F, -1000, -INFINITY, NAN}, y[16];
    k->exp(y, x, 16);
    assert_true(y[0] == 1 && y[1] == 1 && y[2] < 2e-38F && y[3] < 2e-38F && y[4] < 2e-38F);
    assert_true(y[2] >= 0 && y[4] >= 0 && isnan(y[5]));
    for (size_t i = 0; i < 16; i++)
        x[i] = 1;
    x[1] = NAN;
    k->log(y, x, 16);
    assert_true(y[0] == 0 && isnan(y[1]));
}

static void test_functions(void **state) {
    (void)state;
    for_each(functions_of);
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static void test_dispatch(void **state) {
    (void)state;
    assert_ptr_equal(tare_kernels_find("reference"), plain);
    assert_null(tare_kernels_find("mmx"));
    assert_null(tare_kernels_find(""));
    const struct tare_kernels *best = tare_kernels_best();
    assert_true(best->available());
    assert_ptr_equal(tare_kernels_find(best->name), best);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),     cmocka_unit_test(test_lists),
        cmocka_unit_test(test_dense_inputs), cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_lit),          cmocka_unit_test(test_forward),
        cmocka_unit_test(test_updates),      cmocka_unit_test(test_delicate_updates),
        cmocka_unit_test(test_values),       cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_transpose),    cmocka_unit_test(test_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
