/* test_native.c: the native trainer against the plain one in float64, over random nets, batches,
 * densities, optimisers, kernels and threads; and the promise that neither threads nor the way a
 * run is cut into calls change a bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/kernel.h"
#include "tare/native.h"
#include "tare/rng.h"
#include "tare/train.h"

#define STEPS 6
#define MOST_THREADS 4

static struct tare_rng rng;

static size_t between(size_t lo, size_t hi) {
    return lo + (size_t)tare_rng_below(&rng, hi - lo + 1);
}

/* A net, its data, and what the plain trainer makes of them. */
struct problem {
    struct tare_net net;
    struct tare_optimizer optimizer;
    size_t batch, n;
    float *params, *x;
    uint8_t *bytes;
    int32_t *labels, order[STEPS * 64];
};

static void make_problem(struct problem *p, const char *spec, size_t batch, size_t n, double zeros,
                         struct tare_optimizer optimizer) {
    *p = (struct problem){.optimizer = optimizer, .batch = batch, .n = n};
    assert_int_equal(tare_net_parse(&p->net, spec, NULL), TARE_OK);
    p->params = calloc(p->net.param_count, sizeof *p->params);
    p->x = calloc(n * p->net.n_in, sizeof *p->x);
    p->bytes = calloc(n * p->net.n_in, 1);
    p->labels = calloc(n, sizeof *p->labels);
    tare_net_init(p->params, &p->net, tare_rng_next(&rng));
    for (size_t i = 0; i < n * p->net.n_in; i++) {
        if (tare_rng_uniform(&rng, 0, 1) >= (float)zeros)
            p->bytes[i] = (uint8_t)between(0, 255);
        p->x[i] = (float)p->bytes[i] / 255.0F;
    }
    for (size_t i = 0; i < n; i++)
        p->labels[i] = (int32_t)between(0, p->net.n_out - 1);
    for (size_t i = 0; i < STEPS * batch; i++)
        p->order[i] = (int32_t)between(0, n - 1);
}

static void free_problem(struct problem *p) {
    free(p->params);
    free(p->x);
    free(p->bytes);
    free(p->labels);
}

static struct tare_native *start(const struct problem *p, int threads, const char *kernels) {
    struct tare_native *native;
    struct tare_err err;
    struct tare_native_setup setup = {
        &p->net, p->optimizer, p->batch, threads, kernels, {p->bytes, p->labels, p->n}, NULL};
    if (tare_native_create(&native, &setup, &err) != TARE_OK)
        fail_msg("%s", err.what);
    tare_native_set_params(native, p->params);
    return native;
}

static void finish(float *params, struct tare_native *native) {
    tare_native_params(params, native);
    tare_native_free(native);
}

/* ‖a − b‖₂ and ‖b‖₂ of a block. */
static double norm(const float *a, const double *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (a ? (double)a[i] - b[i] : b[i]) * (a ? (double)a[i] - b[i] : b[i]);
    return sqrt(sum);
}

struct truth {
    double *wide, losses[STEPS], distance; /* of float32's plain trainer */
};

static struct truth find_truth(const struct problem *p) {
    size_t n = p->net.param_count;
    struct truth truth = {.wide = calloc(n, sizeof(double))};
    float *narrow = calloc(n, sizeof *narrow), losses[STEPS];
    struct tare_examples set = {p->x, p->labels, p->n};
    struct tare_trainer_f32 *f32;
    struct tare_trainer_f64 *f64;
    assert_int_equal(tare_trainer_create_f32(&f32, &p->net, &p->optimizer, p->batch, NULL), 0);
    assert_int_equal(tare_trainer_create_f64(&f64, &p->net, &p->optimizer, p->batch, NULL), 0);
    for (size_t i = 0; i < n; i++)
        truth.wide[i] = (double)p->params[i];
    tare_trainer_set_params_f32(f32, p->params);
    tare_trainer_set_params_f64(f64, truth.wide);
    assert_int_equal(tare_trainer_run_f32(f32, losses, &set, p->order, STEPS, NULL), 0);
    assert_int_equal(tare_trainer_run_f64(f64, truth.losses, &set, p->order, STEPS, NULL), 0);
    tare_trainer_params_f32(narrow, f32);
    tare_trainer_params_f64(truth.wide, f64);
    truth.distance = norm(narrow, truth.wide, n);
    tare_trainer_free_f32(f32);
    tare_trainer_free_f64(f64);
    free(narrow);
    return truth;
}

/* How far from the truth, in units of what float32 explains; 0: no longer one run with it. */
static double ratio(const float *params, const struct truth *truth, size_t n) {
    double allowed = fmax(truth->distance, 0x1p-22 * norm(NULL, truth->wide, n));
    return norm(params, truth->wide, n) / allowed;
}

static void check_one(const struct problem *p, const struct truth *truth, const char *spec,
                      int threads, const char *kernels) {
    float losses[STEPS], *params = calloc(p->net.param_count, sizeof *params);
    struct tare_native *native = start(p, threads, kernels);
    assert_int_equal(tare_native_run(native, losses, p->order, STEPS, NULL), TARE_OK);
    finish(params, native);
    double found = ratio(params, truth, p->net.param_count);
    if (!(found <= 10))
        fail_msg("%s %s batch %zu threads %d %s: %.3g times float32's own error", kernels, spec,
                 p->batch, threads, tare_optimizer_name(p->optimizer.kind), found);
    for (size_t s = 0; s < STEPS; s++)
        if (!(fabs((double)losses[s] - truth->losses[s]) <= 1e-4 * fmax(1, truth->losses[s])))
            fail_msg("%s %s: loss %.9g at step %zu, not %.9g", kernels, spec, (double)losses[s], s,
                     truth->losses[s]);
    /* A fault in one weight of the largest would be seen. */
    params[0] += 1e-3F;
    assert_true(ratio(params, truth, p->net.param_count) > 10);
    free(params);
}

static void random_spec(char *spec, size_t size) {
    size_t layers = between(1, 4), used = (size_t)snprintf(spec, size, "%zu", between(1, 90));
    for (size_t i = 0; i < layers; i++) {
        size_t units = i + 1 < layers ? between(1, 90) : between(1, between(0, 3) ? 12 : 40);
        used += (size_t)snprintf(spec + used, size - used, " dense:%zu%s", units,
                                 between(0, i + 1 < layers ? 3 : 9) > 0 && i + 1 < layers ? ":relu"
                                                                                          : "");
    }
}

static void test_random_nets(void **state) {
    (void)state;
    tare_rng_seed(&rng, 11, TARE_STREAM_TEST);
    for (int trial = 0; trial < 120; trial++) {
        struct problem p;
        char spec[200];
        random_spec(spec, sizeof spec);
        struct tare_optimizer optimizer =
            tare_optimizer_defaults((enum tare_optimizer_kind)(trial % 3));
        optimizer.schedule = trial % 4 == 1 ? TARE_SCHEDULE_LINEAR : TARE_SCHEDULE_CONSTANT;
        optimizer.steps = STEPS;
        optimizer.epsilon = 1e-4; /* else the sign of a gradient near 0 decides where Adam goes */
        make_problem(&p, spec, between(1, 50), between(1, 80), trial % 2 ? 0.85 : 0.1, optimizer);
        struct truth truth = find_truth(&p);
        for (size_t i = 0; tare_kernels_at(i); i++)
            if (tare_kernels_at(i)->available())
                check_one(&p, &truth, spec, (int)between(1, MOST_THREADS),
                          tare_kernels_at(i)->name);
        free(truth.wide);
        free_problem(&p);
    }
}

/* ---- the same bits -----------------------------------------------------------------------------
 */

static void same_bits(const struct problem *p, const char *kernels, int repeats) {
    size_t n = p->net.param_count;
    float *first = calloc(n, sizeof *first), *again = calloc(n, sizeof *again);
    float first_losses[STEPS], losses[STEPS];
    struct tare_native *native = start(p, 1, kernels);
    assert_int_equal(tare_native_run(native, first_losses, p->order, STEPS, NULL), TARE_OK);
    finish(first, native);
    for (int repeat = 0; repeat < repeats; repeat++)
        for (int threads = 1; threads <= MOST_THREADS; threads++) {
            native = start(p, threads, kernels);
            size_t cut = (size_t)repeat % STEPS;
            assert_int_equal(tare_native_run(native, losses, p->order, cut, NULL), TARE_OK);
            assert_int_equal(
                tare_native_run(native, losses + cut, p->order + cut * p->batch, STEPS - cut, NULL),
                TARE_OK);
            finish(again, native);
            assert_memory_equal(losses, first_losses, sizeof losses);
            assert_memory_equal(again, first, n * sizeof *first);
        }
    free(first);
    free(again);
}

/* 100 repeats, each cut in two at another step, with 1 to 4 threads, on all kernels there are. */
static void same_bits_of(const char *spec, size_t batch, double zeros, int repeats) {
    tare_rng_seed(&rng, 5, TARE_STREAM_TEST);
    struct problem p;
    make_problem(&p, spec, batch, 200, zeros, tare_optimizer_defaults(TARE_OPTIMIZER_ADAM));
    for (size_t i = 1; tare_kernels_at(i); i++)
        if (tare_kernels_at(i)->available())
            same_bits(&p, tare_kernels_at(i)->name, repeats);
    free_problem(&p);
}

static void test_same_bits_sparse(void **state) {
    (void)state;
    same_bits_of("784 dense:64:relu dense:10", 32, 0.85, 100);
}

static void test_same_bits_dense(void **state) {
    (void)state;
    same_bits_of("60 dense:64:relu dense:10", 32, 0, 100);
}

static void test_same_bits_of_other_nets(void **state) {
    (void)state;
    same_bits_of("50 dense:10", 20, 0.85, 10);
    same_bits_of("50 dense:100:relu dense:70:relu dense:37:relu dense:20", 7, 0.85, 10);
    same_bits_of("50 dense:100:relu dense:70 dense:20:relu", 64, 0, 10);
    same_bits_of("50 dense:16:relu dense:3", 1, 0.85, 10);
}

/* ---- records are made while training runs -------------------------------------------------------
 */

#define PATTERNS 25 /* as many as neighbours in a measurement of density: it finds the same */
#define COPIES 1000

/* Every image copies times, one after the other; the order takes any of them. */
static void repeat_images(struct problem *large, const struct problem *small) {
    size_t image_bytes = small->net.n_in, set_bytes = small->n * image_bytes;
    *large = *small;
    large->n = small->n * COPIES;
    large->bytes = calloc(COPIES, set_bytes);
    large->labels = calloc(large->n, sizeof *large->labels);
    for (size_t c = 0; c < COPIES; c++) {
        memcpy(large->bytes + c * set_bytes, small->bytes, set_bytes);
        memcpy(large->labels + c * small->n, small->labels, small->n * sizeof *small->labels);
    }
    for (size_t i = 0; i < STEPS * small->batch; i++)
        large->order[i] += (int32_t)(small->n * between(0, COPIES - 1));
}

static void test_large_sets(void **state) {
    (void)state;
    tare_rng_seed(&rng, 7, TARE_STREAM_TEST);
    struct problem small, large;
    make_problem(&small, "30 dense:16:relu dense:4", 20, PATTERNS, 0.85,
                 tare_optimizer_defaults(TARE_OPTIMIZER_ADAM));
    repeat_images(&large, &small);
    size_t n = small.net.param_count;
    float *few = calloc(n, sizeof *few), *many = calloc(n, sizeof *many);
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        struct tare_native *a = start(&small, threads, NULL), *b = start(&large, threads, NULL);
        float losses[STEPS], expected[STEPS];
        for (size_t run = 0; run < 4; run++) {
            assert_int_equal(tare_native_run(a, expected, small.order, STEPS, NULL), TARE_OK);
            assert_int_equal(tare_native_run(b, losses, large.order, 1, NULL), TARE_OK);
            if (run == 0)
                assert_false(tare_native_facts(b).packed);
            assert_int_equal(
                tare_native_run(b, losses + 1, large.order + large.batch, STEPS - 1, NULL),
                TARE_OK);
            assert_memory_equal(losses, expected, sizeof losses);
        }
        assert_true(tare_native_facts(b).packed);
        finish(few, a);
        finish(many, b);
        assert_memory_equal(many, few, n * sizeof *many);
    }
    free(few);
    free(many);
    free(large.bytes);
    free(large.labels);
    free_problem(&small);
}

/* ---- inference ---------------------------------------------------------------------------------
 */

static void infer_with(const struct problem *p, const char *spec, int threads,
                       const char *kernels) {
    static const size_t counts[] = {1, 3, 5, 17, 128, 300};
    size_t n_in = p->net.n_in, n_out = p->net.n_out;
    struct tare_native_model *model;
    struct tare_trainer_f64 *truth;
    struct tare_optimizer any = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    double *params = calloc(p->net.param_count, sizeof *params);
    for (size_t i = 0; i < p->net.param_count; i++)
        params[i] = (double)p->params[i];
    assert_int_equal(tare_trainer_create_f64(&truth, &p->net, &any, 8, NULL), TARE_OK);
    tare_trainer_set_params_f64(truth, params);
    assert_int_equal(tare_native_model_create(&model, &p->net, p->params, threads, kernels, NULL),
                     TARE_OK);
    for (size_t c = 0; c < sizeof counts / sizeof *counts && counts[c] <= p->n; c++) {
        float *logits = calloc(counts[c] * n_out, sizeof *logits);
        double *right = calloc(counts[c] * n_out, sizeof *right);
        /* On an address that suits no vector. */
        float *x = malloc((counts[c] * n_in + 1) * sizeof *x);
        memcpy(x + 1, p->x, counts[c] * n_in * sizeof *x);
        tare_native_model_infer(model, logits, x + 1, counts[c]);
        tare_trainer_infer_f64(right, truth, p->x, counts[c]);
        for (size_t i = 0; i < counts[c] * n_out; i++)
            if (!(fabs((double)logits[i] - right[i]) <= 2e-5 * fmax(1, fabs(right[i]))))
                fail_msg("%s %s, %zu inputs: logit %zu is %.9g, not %.9g", kernels, spec, counts[c],
                         i, (double)logits[i], right[i]);
        free(logits);
        free(right);
        free(x);
    }
    tare_native_model_free(model);
    tare_trainer_free_f64(truth);
    free(params);
}

static void test_inference(void **state) {
    (void)state;
    tare_rng_seed(&rng, 3, TARE_STREAM_TEST);
    for (int trial = 0; trial < 40; trial++) {
        struct problem p;
        char spec[200];
        random_spec(spec, sizeof spec);
        make_problem(&p, spec, 1, 300, trial % 2 ? 0.85 : 0.05,
                     tare_optimizer_defaults(TARE_OPTIMIZER_SGD));
        for (size_t i = 0; tare_kernels_at(i); i++)
            if (tare_kernels_at(i)->available())
                infer_with(&p, spec, 1 + trial % 3, tare_kernels_at(i)->name);
        free_problem(&p);
    }
}

/* ---- what is refused ---------------------------------------------------------------------------
 */

static enum tare_status refused(const struct problem *p, struct tare_native_setup setup,
                                struct tare_err *err) {
    struct tare_native *native = (void *)&setup; /* anything but NULL */
    if (!setup.net)
        setup.net = &p->net;
    if (!setup.examples.n)
        setup.examples = (struct tare_bytes){p->bytes, p->labels, p->n};
    enum tare_status status = tare_native_create(&native, &setup, err);
    assert_null(native);
    return status;
}

static void test_refused(void **state) {
    (void)state;
    struct tare_err err;
    struct problem p;
    struct tare_optimizer sgd = tare_optimizer_defaults(TARE_OPTIMIZER_SGD), bad = sgd;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    make_problem(&p, "9 dense:4:relu dense:3", 2, 5, 0, sgd);
    bad.lr = -1;
    assert_int_equal(refused(&p, (struct tare_native_setup){.optimizer = sgd, .threads = 1}, &err),
                     TARE_USAGE);
    assert_int_equal(
        refused(&p, (struct tare_native_setup){.optimizer = sgd, .batch = 70000, .threads = 1},
                &err),
        TARE_USAGE);
    assert_int_equal(
        refused(&p, (struct tare_native_setup){.optimizer = bad, .batch = 2, .threads = 1}, &err),
        TARE_USAGE);
    assert_int_equal(
        refused(&p, (struct tare_native_setup){.optimizer = sgd, .batch = 2, .threads = 0}, &err),
        TARE_USAGE);
    assert_int_equal(refused(&p,
                             (struct tare_native_setup){
                                 .optimizer = sgd, .batch = 2, .threads = 1, .kernels = "altivec"},
                             &err),
                     TARE_USAGE);
    struct tare_net relu_first;
    assert_int_equal(tare_net_parse(&relu_first, "9 relu dense:3", NULL), TARE_OK);
    assert_false(tare_native_can_train(&relu_first));
    assert_int_equal(refused(&p,
                             (struct tare_native_setup){
                                 .net = &relu_first, .optimizer = sgd, .batch = 2, .threads = 1},
                             &err),
                     TARE_USAGE);
    p.labels[3] = 3;
    assert_int_equal(
        refused(&p, (struct tare_native_setup){.optimizer = sgd, .batch = 2, .threads = 1}, &err),
        TARE_DATA);
    p.labels[3] = 0;

    /* An index out of range: nothing is done. */
    struct tare_native *native = start(&p, 2, NULL);
    float losses[STEPS], *params = calloc(p.net.param_count, sizeof *params);
    p.order[STEPS * 2 - 1] = 5;
    assert_int_equal(tare_native_run(native, losses, p.order, STEPS, &err), TARE_DATA);
    tare_native_params(params, native);
    assert_memory_equal(params, p.params, p.net.param_count * sizeof *params);
    assert_int_equal(tare_native_run(native, losses, p.order, 0, &err), TARE_OK);
    tare_native_free(native);
    free(params);
    free_problem(&p);
}

/* A run that diverges says so with NaN, and doesn't hang or crash. */
static void test_diverged(void **state) {
    (void)state;
    struct problem p;
    struct tare_optimizer wild = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    wild.lr = 1e30;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    make_problem(&p, "20 dense:40:relu dense:5", 8, 20, 0.5, wild);
    struct tare_native *native = start(&p, 2, NULL);
    float losses[STEPS];
    assert_int_equal(tare_native_run(native, losses, p.order, STEPS, NULL), TARE_OK);
    assert_true(isfinite(losses[0]));
    assert_true(isnan(losses[STEPS - 1]));
    tare_native_free(native);
    free_problem(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_nets),     cmocka_unit_test(test_same_bits_sparse),
        cmocka_unit_test(test_same_bits_dense), cmocka_unit_test(test_same_bits_of_other_nets),
        cmocka_unit_test(test_large_sets),      cmocka_unit_test(test_inference),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_diverged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
