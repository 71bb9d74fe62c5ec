/* test_int8.c: int8 inference. Every instruction set's kernels against the plain ones, bit by bit,
 * at every small size and at the ends of the numbers' range; the rounding; a whole net against
 * integers computed here, in every bit, and against real numbers within a bound that follows from
 * the steps of quantisation; what is refused. */
#define TARE_REAL_F32
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/pass.h"
#include "kernel/int8.h"
#include "tare/native.h"
#include "tare/rng.h"

/* Under AddressSanitizer an allocation beyond all memory returns NULL, as it does without. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

#define LINE 64

static struct tare_rng rng;

static size_t between(size_t lo, size_t hi) {
    return lo + (size_t)tare_rng_below(&rng, hi - lo + 1);
}

static void *on_a_line(size_t bytes) {
    void *p = aligned_alloc(LINE, (bytes + LINE) / LINE * LINE);
    assert_non_null(p);
    return p;
}

/* ---- kernels -----------------------------------------------------------------------------------
 */

static void test_rounding(void **state) {
    (void)state;
    static const struct {
        double x;
        int32_t to;
    } rows[] = {{0, 0},         {0.5, 0},       {1.5, 2},        {2.5, 2},       {-0.5, 0},
                {-1.5, -2},     {254.5, 254},   {255.5, 255},    {1e300, 255},   {-1e300, -127},
                {-127.5, -127}, {-126.5, -126}, {0.49999999, 0}, {INFINITY, 255}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(tare_int8_round(rows[i].x, -127, 255), rows[i].to);
    assert_int_equal(tare_int8_round(1e300, INT32_MIN, INT32_MAX), INT32_MAX);
}

/* One call of every kernel, all that it wrote; `fill` chooses what goes in. */
struct trial {
    size_t n, groups;
    int vectors;
    uint8_t *x; /* exactly n bytes: reading one more is an error of ASan's */
    int8_t *w;
    int32_t *bias, *y[2];
    float *scale, *floats;
    uint8_t *copy, *bytes;
    uint32_t *group;
    size_t count;
};

enum fill { DARK, SPARSE, FULL, MOST, LEAST, FILLS }; /* MOST, LEAST: all 255 times all ±127 */

static void make_trial(struct trial *t, size_t n, int vectors, enum fill fill) {
    size_t groups = (n + 3) / 4, columns = (size_t)vectors * TARE_INT8_LANES;
    *t = (struct trial){.n = n, .groups = groups, .vectors = vectors, .x = malloc(n)};
    assert_non_null(t->x);
    t->w = on_a_line((groups + 1) * columns * 4);
    t->bias = on_a_line(columns * 4);
    t->scale = on_a_line(columns * 4);
    t->floats = malloc(columns * 4);
    assert_non_null(t->floats);
    t->y[0] = on_a_line(columns * 4);
    t->y[1] = on_a_line(columns * 4);
    t->copy = on_a_line(n + TARE_INT8_BLOCK);
    t->bytes = on_a_line(columns);
    t->group = on_a_line((groups + TARE_INT8_BLOCK) * 4);
    for (size_t i = 0; i < n; i++)
        t->x[i] = fill == DARK                                 ? 0
                  : fill == MOST || fill == LEAST              ? 255
                  : fill == SPARSE && tare_rng_below(&rng, 10) ? 0
                                                               : (uint8_t)between(0, 255);
    for (size_t i = 0; i < (groups + 1) * columns * 4; i++)
        t->w[i] = (int8_t)(fill == MOST ? 127 : fill == LEAST ? -127 : (int)between(0, 254) - 127);
    for (size_t j = 0; j < columns; j++) {
        t->bias[j] = (int32_t)between(0, 200000) - 100000;
        /* sums from 0 to far beyond 255, some beyond int32, some on a tie */
        t->scale[j] = j % 5 == 0 ? 1e6F : j % 5 == 1 ? 0.5F : tare_rng_uniform(&rng, 0, 1e-3);
    }
}

static void free_trial(struct trial *t) {
    void *all[] = {t->x,     t->w,      t->bias, t->y[0],  t->y[1],
                   t->scale, t->floats, t->copy, t->bytes, t->group};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run_trial(struct trial *t, const struct tare_int8_kernels *k, size_t columns) {
    t->count = k->find_groups(t->copy, t->group, t->x, t->n);
    k->sum_found(t->y[0], t->bias, t->copy, t->group, t->count, t->w, t->vectors);
    k->sum_all(t->y[1], t->bias, t->copy, t->groups, t->w, t->vectors);
    k->to_bytes(t->bytes, t->y[0], t->scale, columns);
    memset(t->floats, 0x55, columns * 4);
    k->to_floats(t->floats, t->y[0], t->scale, columns - t->n % TARE_INT8_LANES);
}

/* What the kernels are, said a third way: in 64 bits, from the definition. */
static void check_sums(const struct trial *t, size_t columns) {
    for (size_t j = 0; j < columns; j++) {
        int64_t sum = t->bias[j];
        for (size_t i = 0; i < t->n; i++)
            sum += (int64_t)t->x[i] * t->w[(i / 4 * columns + j) * 4 + i % 4];
        assert_int_equal(t->y[0][j], sum);
        assert_int_equal(t->y[1][j], sum);
    }
}

static void check_kernels(const struct tare_int8_kernels *k, size_t n, int vectors,
                          enum fill fill) {
    size_t columns = (size_t)vectors * TARE_INT8_LANES;
    struct trial a;
    make_trial(&a, n, vectors, fill);
    struct trial b = a; /* the same inputs */
    b.copy = on_a_line(n + TARE_INT8_BLOCK);
    b.group = on_a_line((a.groups + TARE_INT8_BLOCK) * 4);
    b.y[0] = on_a_line(columns * 4);
    b.y[1] = on_a_line(columns * 4);
    b.bytes = on_a_line(columns);
    b.floats = malloc(columns * 4);
    assert_non_null(b.floats);
    run_trial(&a, &tare_int8_reference, columns);
    check_sums(&a, columns);
    run_trial(&b, k, columns);
    size_t listed = (a.count + TARE_INT8_STEP - 1) / TARE_INT8_STEP * TARE_INT8_STEP;
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.group, b.group, listed * 4);
    assert_memory_equal(a.copy, b.copy, (a.groups + 1) * 4);
    assert_memory_equal(a.y[0], b.y[0], columns * 4);
    assert_memory_equal(a.y[1], b.y[1], columns * 4);
    assert_memory_equal(a.bytes, b.bytes, columns);
    assert_memory_equal(a.floats, b.floats, columns * 4);
    free(b.copy), free(b.group), free(b.y[0]), free(b.y[1]), free(b.bytes), free(b.floats);
    free_trial(&a);
}

static void test_kernels(void **state) {
    (void)state;
    tare_rng_seed(&rng, 8, TARE_STREAM_TEST);
    for (size_t i = 0; tare_int8_kernels_at(i); i++) {
        const struct tare_int8_kernels *k = tare_int8_kernels_at(i);
        if (!k->available()) {
            print_message("this processor has no %s\n", k->name);
            continue;
        }
        for (int vectors = 1; vectors <= TARE_INT8_VECTORS; vectors++)
            for (int fill = 0; fill < FILLS; fill++) {
                for (size_t n = 1; n <= 140; n++)
                    check_kernels(k, n, vectors, (enum fill)fill);
                check_kernels(k, 784, vectors, (enum fill)fill);
            }
        check_kernels(k, 65536, 1, MOST); /* as many as a layer can have: 2¹² below the overflow */
        check_kernels(k, 65536, 1, LEAST);
    }
    assert_null(tare_int8_kernels_find("vnni2"));
    assert_ptr_equal(tare_int8_kernels_find("reference"), &tare_int8_reference);
}

/* ---- whole nets --------------------------------------------------------------------------------
 */

enum { EXAMPLES = 40, IMAGES = 25 };

struct problem {
    struct tare_net net;
    float *params;
    uint8_t *examples, *images;
};

/* Layers as they are in every net here: dense, a relu behind all but the last. */
struct dense {
    size_t n_in, n_out;
    const float *w, *b;
    bool relu;
};

static int layers_of(struct dense *layers, const struct problem *p) {
    int count = 0;
    for (int l = 0; l < p->net.layer_count; l++) {
        const struct tare_layer *from = &p->net.layers[l];
        const float *w = p->params + from->param_offset;
        if (from->tensor_count == 0)
            layers[count - 1].relu = true;
        else
            layers[count++] =
                (struct dense){from->n_in, from->n_out, w, w + from->n_in * from->n_out, false};
    }
    return count;
}

static void make_problem(struct problem *p, const char *spec, uint64_t seed) {
    assert_int_equal(tare_net_parse(&p->net, spec, NULL), TARE_OK);
    p->params = calloc(p->net.param_count, sizeof *p->params);
    p->examples = calloc(EXAMPLES, p->net.n_in);
    p->images = calloc(IMAGES, p->net.n_in);
    assert_true(p->params && p->examples && p->images);
    tare_net_init(p->params, &p->net, seed);
    tare_rng_seed(&rng, seed, TARE_STREAM_TEST);
    for (size_t i = 0; i < p->net.param_count; i++)
        if (p->params[i] == 0) /* biases */
            p->params[i] = tare_rng_uniform(&rng, -0.1, 0.1);
    for (size_t e = 0; e < EXAMPLES + IMAGES; e++) {
        uint8_t *x =
            e < EXAMPLES ? p->examples + e * p->net.n_in : p->images + (e - EXAMPLES) * p->net.n_in;
        uint64_t dark_of_8 = tare_rng_below(&rng, 9); /* from full to all dark */
        for (size_t i = 0; i < p->net.n_in; i++)
            x[i] = tare_rng_below(&rng, 8) < dark_of_8 ? 0 : (uint8_t)between(0, 255);
    }
}

static void free_problem(struct problem *p) {
    free(p->params);
    free(p->examples);
    free(p->images);
}

/* A layer in double; z: (n_out). */
static void float_layer(double *z, const struct dense *d, const double *x) {
    for (size_t j = 0; j < d->n_out; j++) {
        z[j] = (double)d->b[j];
        for (size_t i = 0; i < d->n_in; i++)
            z[j] += x[i] * (double)d->w[i * d->n_out + j];
        if (d->relu && z[j] < 0)
            z[j] = 0;
    }
}

#define WIDEST 1024

/* step[l]: of layer l's inputs, from the largest float32 of the examples. */
static void find_steps(double *step, int count, const struct problem *p) {
    struct tare_pass_f32 pass;
    float largest[TARE_MAX_LAYERS] = {1};
    assert_int_equal(tare_pass_make_f32(&pass, &p->net, EXAMPLES, NULL), TARE_OK);
    for (size_t i = 0; i < EXAMPLES * p->net.n_in; i++)
        pass.values[0][i] = (float)p->examples[i] / 255.0F;
    tare_forward_f32(&pass, p->params, EXAMPLES);
    for (int l = 0, dense = 0; l < p->net.layer_count; l++)
        if (p->net.layers[l].tensor_count == 0 && ++dense < count)
            for (size_t i = 0; i < EXAMPLES * p->net.layers[l].n_out; i++)
                largest[dense] = fmaxf(largest[dense], pass.values[l + 1][i]);
    tare_pass_free_f32(&pass);
    for (int l = 0; l < count; l++)
        step[l] = (largest[l] > 0 ? (double)largest[l] : 1) / 255;
}

static double weight_step(const struct dense *d, size_t j) {
    double largest = 0;
    for (size_t i = 0; i < d->n_in; i++)
        largest = fmax(largest, fabs((double)d->w[i * d->n_out + j]));
    return largest / 127;
}

/* Logits in double, and how far int8 may be from them: a weight is off by half its step at most, an
 * activation by what its sum was off, and half its own step, and what lies beyond the largest byte.
 * Products of float32 add 2⁻²² of what is summed. */
static void bound(double *logits, double *error, const struct problem *p, const uint8_t *image) {
    static double x[WIDEST], z[WIDEST], e[WIDEST], f[WIDEST], step[TARE_MAX_LAYERS];
    struct dense layers[TARE_MAX_LAYERS];
    int count = layers_of(layers, p);
    find_steps(step, count, p);
    for (size_t i = 0; i < p->net.n_in; i++)
        x[i] = image[i] / 255.0, e[i] = 0;
    for (int l = 0; l < count; l++) {
        const struct dense *d = &layers[l];
        float_layer(z, d, x);
        for (size_t j = 0; j < d->n_out; j++) {
            double w_step = weight_step(d, j), size = fabs((double)d->b[j]);
            f[j] = w_step * step[l] / 2; /* the bias */
            for (size_t i = 0; i < d->n_in; i++) {
                double w = fabs((double)d->w[i * d->n_out + j]);
                f[j] += w * e[i] + (x[i] + e[i]) * w_step / 2;
                size += w * (x[i] + e[i]);
            }
            f[j] += size * 0x1p-22;
        }
        for (size_t j = 0; j < d->n_out; j++) {
            x[j] = z[j];
            e[j] = f[j];
            if (l + 1 < count)
                e[j] += step[l + 1] / 2 + fmax(0, z[j] - 255 * step[l + 1]);
        }
    }
    memcpy(logits, x, p->net.n_out * sizeof *logits);
    memcpy(error, e, p->net.n_out * sizeof *error);
}

/* Of all images' logits, the largest distance over its bound. */
static double worst_of(const float *logits, const struct problem *p) {
    double right[WIDEST], error[WIDEST], worst = 0;
    for (size_t i = 0; i < IMAGES; i++) {
        bound(right, error, p, p->images + i * p->net.n_in);
        for (size_t j = 0; j < p->net.n_out; j++)
            worst = fmax(worst, fabs((double)logits[i * p->net.n_out + j] - right[j]) / error[j]);
    }
    return worst;
}

static struct tare_native_int8 *create(const struct problem *p, const char *kernels) {
    struct tare_native_int8 *model;
    struct tare_err err = {0};
    const struct tare_bytes examples = {p->examples, NULL, EXAMPLES};
    if (tare_native_int8_create(&model, &p->net, p->params, &examples, kernels, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    return model;
}

static void infer(float *logits, const struct problem *p, const char *kernels) {
    struct tare_native_int8 *model = create(p, kernels);
    tare_native_int8_infer(model, logits, p->images, IMAGES);
    tare_native_int8_free(model);
}

static const char *const specs[] = {
    "784 dense:64:relu dense:10",      "7 dense:3",
    "1 dense:1:relu dense:1",          "9x9x1 dense:17:relu dense:33:relu dense:5",
    "66 dense:130:relu dense:70:relu", "64 dense:64:relu dense:65",
};
#define SPECS (sizeof specs / sizeof specs[0])

/* The definition in tare/native.h, an output at a time in 64 bits. */
static void exact(float *logits, const struct problem *p, const uint8_t *image) {
    static int64_t x[WIDEST], y[WIDEST];
    double step[TARE_MAX_LAYERS];
    struct dense layers[TARE_MAX_LAYERS];
    int count = layers_of(layers, p);
    find_steps(step, count, p);
    for (size_t i = 0; i < p->net.n_in; i++)
        x[i] = image[i];
    for (int l = 0; l < count; l++) {
        const struct dense *d = &layers[l];
        bool last = l + 1 == count;
        for (size_t j = 0; j < d->n_out; j++) {
            double w_step = weight_step(d, j);
            int64_t sum = llrint((double)d->b[j] / (step[l] * w_step));
            for (size_t i = 0; i < d->n_in; i++)
                sum += x[i] * llrint((double)d->w[i * d->n_out + j] / w_step);
            float to = (float)sum * (float)(step[l] * w_step / (last ? 1 : step[l + 1]));
            if (last)
                logits[j] = d->relu && !(to > 0) ? 0 : to;
            else
                y[j] = to <= 0 ? 0 : to >= 255 ? 255 : lrintf(to);
        }
        memcpy(x, y, sizeof x);
    }
}

static void test_every_bit(void **state) {
    (void)state;
    static float logits[IMAGES * WIDEST], right[WIDEST];
    for (size_t s = 0; s < SPECS; s++) {
        struct problem p;
        make_problem(&p, specs[s], 60 + s);
        infer(logits, &p, NULL);
        for (size_t i = 0; i < IMAGES; i++) {
            exact(right, &p, p.images + i * p.net.n_in);
            assert_memory_equal(logits + i * p.net.n_out, right, p.net.n_out * sizeof *right);
        }
        free_problem(&p);
    }
}

static void test_against_float(void **state) {
    (void)state;
    static float logits[IMAGES * WIDEST];
    for (size_t s = 0; s < SPECS; s++) {
        struct problem p;
        make_problem(&p, specs[s], 3 + s);
        infer(logits, &p, NULL);
        double worst = worst_of(logits, &p);
        if (!(worst <= 1))
            fail_msg("%s: %.3g times what quantisation explains", specs[s], worst);
        /* and a fault is seen: one weight of the last layer is worth more than the bound */
        const struct tare_layer *last = &p.net.layers[p.net.layer_count - 1];
        if (last->tensor_count != 0) {
            float *b = p.params + last->param_offset + last->n_in * last->n_out;
            b[0] += 3;
            assert_true(worst_of(logits, &p) > 1);
        }
        free_problem(&p);
    }
}

static void test_all_kernels_agree(void **state) {
    (void)state;
    static float plain[IMAGES * WIDEST], logits[IMAGES * WIDEST];
    for (size_t s = 0; s < SPECS; s++) {
        struct problem p;
        make_problem(&p, specs[s], 30 + s);
        infer(plain, &p, "reference");
        for (size_t i = 1; tare_int8_kernels_at(i); i++) {
            const struct tare_int8_kernels *k = tare_int8_kernels_at(i);
            if (!k->available())
                continue;
            infer(logits, &p, k->name);
            assert_memory_equal(plain, logits, IMAGES * p.net.n_out * sizeof *plain);
        }
        /* one by one, in any order */
        struct tare_native_int8 *model = create(&p, NULL);
        for (size_t i = IMAGES; i-- > 0;)
            tare_native_int8_infer(model, logits + i * p.net.n_out, p.images + i * p.net.n_in, 1);
        assert_memory_equal(plain, logits, IMAGES * p.net.n_out * sizeof *plain);
        tare_native_int8_free(model);
        free_problem(&p);
    }
}

/* Biases far larger than the weights, outputs without weights, layers that stay dark: nothing
 * overflows, and what is left to know is right. */
static void test_odd_params(void **state) {
    (void)state;
    static float logits[IMAGES * WIDEST];
    struct problem p;
    make_problem(&p, "12 dense:4", 5);
    float *b = p.params + 12 * 4;
    b[0] = 1e30F, b[1] = -1e30F, b[2] = 7;
    for (size_t i = 0; i < 12; i++)
        p.params[i * 4 + 2] = 0;
    infer(logits, &p, NULL);
    for (size_t i = 0; i < IMAGES; i++) {
        assert_true(fabs((double)logits[i * 4] / 1e30 - 1) < 1e-6);
        assert_true(fabs((double)logits[i * 4 + 1] / -1e30 - 1) < 1e-6);
        assert_true(fabs((double)logits[i * 4 + 2] / 7 - 1) < 1e-6);
    }
    free_problem(&p);
    make_problem(&p, "12 dense:4:relu dense:3", 6);
    memset(p.params, 0, p.net.param_count * sizeof *p.params);
    infer(logits, &p, NULL);
    for (size_t i = 0; i < IMAGES * 3; i++)
        assert_true(logits[i] == 0);
    free_problem(&p);
}

static void assert_refused(const struct problem *p, size_t n, const char *kernels,
                           enum tare_status status, const char *word) {
    struct tare_native_int8 *model = (void *)&rng;
    struct tare_err err = {0};
    const struct tare_bytes examples = {p->examples, NULL, n};
    assert_int_equal(tare_native_int8_create(&model, &p->net, p->params, &examples, kernels, &err),
                     status);
    assert_null(model);
    if (!strstr(err.what, word))
        fail_msg("\"%s\" doesn't speak of \"%s\"", err.what, word);
}

static void test_refused(void **state) {
    (void)state;
    struct problem p;
    make_problem(&p, "12 dense:4:relu dense:3", 7);
    assert_refused(&p, 0, NULL, TARE_DATA, "none");
    assert_refused(&p, EXAMPLES, "neon", TARE_USAGE, "neon");
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t at = 0; at < p.net.param_count; at += 13) {
            float right = p.params[at];
            p.params[at] = bad[i];
            assert_refused(&p, EXAMPLES, NULL, TARE_DATA, "");
            p.params[at] = right;
        }
    for (size_t i = 0; i < 12 * 4; i++) /* finite, but not what they add up to */
        p.params[i] = 3e38F;
    assert_refused(&p, EXAMPLES, NULL, TARE_DATA, "too large");
    free_problem(&p);
    make_problem(&p, "12 dense:4 dense:3", 7);
    assert_refused(&p, EXAMPLES, NULL, TARE_USAGE, "relu");
    free_problem(&p);
    make_problem(&p, "12 relu dense:3", 7);
    assert_refused(&p, EXAMPLES, NULL, TARE_USAGE, "dense");
    free_problem(&p);
    tare_native_int8_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),          cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_every_bit),         cmocka_unit_test(test_against_float),
        cmocka_unit_test(test_all_kernels_agree), cmocka_unit_test(test_odd_params),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
