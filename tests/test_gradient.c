/* test_gradient.c: the backward passes against signed central differences in float64, over random
 * nets; and planted faults that the same check must catch. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TARE_REAL_F64
#include "engine/pass.h"
#include "net/op.h"
#include "tare/rng.h"

enum { NETS = 200, CHECKS_PER_TENSOR = 12, MAX_BATCH = 9 };

/* (L(p + h) − L(p − h)) / 2h has two errors. Rounding: a loss of about 1 carries some 100 units of
 * 2⁻⁵³ from its sums, so 1e-14 / h = 1e-9. Truncation: h²/6 times the third derivative, which is
 * below 1e2 for these nets (the logits' share ≤ 0.1, times the cube of a slope ≤ 10), so 2e-9. The
 * tolerance is ten times their sum, against gradients of 1e-3 … 1; the worst seen is 2e-10. */
#define STEP 1e-5
#define TOLERANCE 3e-8

struct problem {
    struct tare_net net;
    struct TARE_T(tare_pass) pass;
    double *params, *grads;
    int32_t labels[MAX_BATCH];
    size_t batch;
};

static size_t between(struct tare_rng *rng, size_t lo, size_t hi) {
    return lo + (size_t)tare_rng_below(rng, hi - lo + 1);
}

/* 1 to 4 dense layers of 1 to 20 units, most with a relu; flat or image-like input. */
static void random_spec(char *spec, size_t size, struct tare_rng *rng) {
    size_t used;
    if (between(rng, 0, 2) == 0)
        used = (size_t)snprintf(spec, size, "%zux%zux%zu", between(rng, 1, 4), between(rng, 1, 4),
                                between(rng, 1, 3));
    else
        used = (size_t)snprintf(spec, size, "%zu", between(rng, 1, 20));
    if (between(rng, 0, 5) == 0) /* an activation before any parameters */
        used += (size_t)snprintf(spec + used, size - used, " relu");
    size_t layers = between(rng, 1, 4);
    for (size_t i = 0; i < layers; i++)
        used += (size_t)snprintf(spec + used, size - used, " dense:%zu%s", between(rng, 1, 20),
                                 i + 1 < layers && between(rng, 0, 3) > 0 ? ":relu" : "");
}

static void make_problem(struct problem *p, const char *spec, size_t batch, struct tare_rng *rng) {
    assert_int_equal(tare_net_parse(&p->net, spec, NULL), TARE_OK);
    p->batch = batch;
    p->params = calloc(p->net.param_count, sizeof *p->params);
    p->grads = calloc(p->net.param_count, sizeof *p->grads);
    assert_true(p->params && p->grads);
    assert_int_equal(TARE_T(tare_pass_make)(&p->pass, &p->net, batch, NULL), TARE_OK);
    /* Biases too are random: at zero, a fault in their gradient could hide. */
    for (size_t i = 0; i < p->net.param_count; i++)
        p->params[i] = (double)tare_rng_uniform(rng, -0.7, 0.7);
    for (size_t i = 0; i < batch * p->net.n_in; i++)
        p->pass.values[0][i] = (double)tare_rng_uniform(rng, -1, 1);
    for (size_t b = 0; b < batch; b++)
        p->labels[b] = (int32_t)tare_rng_below(rng, p->net.n_out);
}

static void free_problem(struct problem *p) {
    TARE_T(tare_pass_free)(&p->pass);
    free(p->params);
    free(p->grads);
}

static double loss(struct problem *p) {
    const double *logits = TARE_T(tare_forward)(&p->pass, p->params, p->batch);
    return TARE_T(tare_softmax_loss)(p->pass.grads[0], logits, p->labels, p->batch, p->net.n_out);
}

/* A number that changes when any value behind an activation becomes positive or stops being so:
 * between two such states the loss has a kink, and no derivative to compare with. */
static uint64_t active_units(const struct problem *p) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int l = 0; l < p->net.layer_count; l++)
        for (size_t i = 0; p->net.layers[l].op->activation && i < p->batch * p->net.layers[l].n_out;
             i++)
            hash = (hash ^ (p->pass.values[l + 1][i] > 0)) * UINT64_C(0x100000001b3);
    return hash;
}

/* The derivative by parameter i, or NaN where there is a kink. */
static double central_difference(struct problem *p, size_t i) {
    double at = p->params[i];
    p->params[i] = at + STEP;
    double above = loss(p);
    uint64_t active_above = active_units(p);
    p->params[i] = at - STEP;
    double below = loss(p);
    uint64_t active_below = active_units(p);
    p->params[i] = at;
    return active_above == active_below ? (above - below) / (2 * STEP) : NAN;
}

struct verdict {
    size_t checked, kinks;
    double worst; /* the largest difference; infinite when a gradient was NaN */
};

/* Backward against differences, at a few random parameters of every tensor. */
static void check_gradient(struct verdict *verdict, struct problem *p, struct tare_rng *rng) {
    loss(p);
    TARE_T(tare_backward)(&p->pass, p->grads, p->params, p->batch);
    for (int t = 0; t < p->net.tensor_count; t++) {
        const struct tare_net_tensor *tensor = &p->net.tensors[t];
        for (int k = 0; k < CHECKS_PER_TENSOR; k++) {
            size_t i = tensor->offset + (size_t)tare_rng_below(rng, tensor->count);
            double want = central_difference(p, i);
            if (isnan(want)) {
                verdict->kinks++;
                continue;
            }
            verdict->checked++;
            double off = fabs(p->grads[i] - want); /* of signed values */
            verdict->worst = isnan(off) ? INFINITY : fmax(verdict->worst, off);
        }
    }
}

static void test_random_nets(void **state) {
    (void)state;
    struct tare_rng rng;
    struct verdict all = {0};
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (int n = 0; n < NETS; n++) {
        char spec[128];
        struct problem p;
        struct verdict verdict = {0};
        random_spec(spec, sizeof spec, &rng);
        make_problem(&p, spec, between(&rng, 1, MAX_BATCH), &rng);
        check_gradient(&verdict, &p, &rng);
        if (!(verdict.worst < TOLERANCE))
            fail_msg("\"%s\", batch %zu: gradient off by %g", spec, p.batch, verdict.worst);
        all.checked += verdict.checked;
        all.kinks += verdict.kinks;
        free_problem(&p);
    }
    /* Few comparisons may be lost to kinks, or the test would be testing nothing. */
    assert_true(all.checked > 5000 && all.kinks * 50 < all.checked);
}

static void test_mnist_shaped_net(void **state) {
    (void)state;
    struct tare_rng rng;
    struct problem p;
    struct verdict verdict = {0};
    tare_rng_seed(&rng, 2, TARE_STREAM_TEST);
    make_problem(&p, "28x28x1 dense:64:relu dense:10", 4, &rng);
    for (size_t i = 0; i < p.net.param_count; i++)
        p.params[i] *= 0.1; /* 784 inputs: keep the slopes as small as in the other nets */
    check_gradient(&verdict, &p, &rng);
    assert_true(verdict.worst < TOLERANCE);
    free_problem(&p);
}

/* The first layer's input gradient has no reader in training; here it is asked for. */
static void test_input_gradient(void **state) {
    (void)state;
    struct tare_rng rng;
    struct problem p;
    double grad_in[3 * 7];
    tare_rng_seed(&rng, 3, TARE_STREAM_TEST);
    make_problem(&p, "7 dense:5", 3, &rng);
    loss(&p);
    p.net.layers[0].op->f64->backward(grad_in, p.grads, p.pass.grads[0], p.pass.values[0],
                                      p.pass.values[1], p.params, &p.net.layers[0], p.batch);
    for (size_t i = 0; i < 3 * 7; i++) {
        double at = p.pass.values[0][i];
        p.pass.values[0][i] = at + STEP;
        double above = loss(&p);
        p.pass.values[0][i] = at - STEP;
        double below = loss(&p);
        p.pass.values[0][i] = at;
        assert_true(fabs(grad_in[i] - (above - below) / (2 * STEP)) < TOLERANCE);
    }
    free_problem(&p);
}

/* ---- planted faults: an op that calls the true one and spoils what it wrote -------------------
 */

static double fault_factor;
static bool fault_in_params; /* spoil grad_params, or else grad_in */
static const struct tare_op *true_op;

static void spoilt_backward(double *restrict grad_in, double *restrict grad_params,
                            const double *restrict grad_out, const double *restrict in,
                            const double *restrict out, const double *restrict params,
                            const struct tare_layer *layer, size_t batch) {
    true_op->f64->backward(grad_in, grad_params, grad_out, in, out, params, layer, batch);
    for (size_t i = 0; fault_in_params && i < (layer->n_in + 1) * layer->n_out; i++)
        grad_params[i] *= fault_factor;
    for (size_t i = 0; !fault_in_params && i < batch * layer->n_in; i++)
        grad_in[i] *= fault_factor;
}

/* The worst difference found when one layer's gradient is multiplied by factor. */
static double worst_with_fault(int layer, bool in_params, double factor) {
    struct tare_rng rng;
    struct problem p;
    struct verdict verdict = {0};
    tare_rng_seed(&rng, 4, TARE_STREAM_TEST);
    make_problem(&p, "12 dense:9:relu dense:8:relu dense:4", 6, &rng);
    true_op = p.net.layers[layer].op;
    fault_factor = factor;
    fault_in_params = in_params;
    struct tare_op_f64 mathematics = {true_op->f64->forward, spoilt_backward};
    struct tare_op spoilt = *true_op;
    spoilt.f64 = &mathematics;
    p.net.layers[layer].op = &spoilt;
    check_gradient(&verdict, &p, &rng);
    free_problem(&p);
    return verdict.worst;
}

static void test_planted_faults_are_caught(void **state) {
    (void)state;
    static const struct {
        int layer; /* 0 dense, 1 relu, 2 dense, 3 relu, 4 dense */
        bool in_params;
    } places[] = {{0, true}, {2, true}, {4, true}, {1, false}, {2, false}, {3, false}, {4, false}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        assert_true(worst_with_fault(places[i].layer, places[i].in_params, 1.0) < TOLERANCE);
        /* A check of absolute values would pass the first of these. */
        assert_true(worst_with_fault(places[i].layer, places[i].in_params, -1.0) > TOLERANCE);
        assert_true(worst_with_fault(places[i].layer, places[i].in_params, 1.01) > TOLERANCE);
        assert_true(worst_with_fault(places[i].layer, places[i].in_params, 0.0) > TOLERANCE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_nets),
        cmocka_unit_test(test_mnist_shaped_net),
        cmocka_unit_test(test_input_gradient),
        cmocka_unit_test(test_planted_faults_are_caught),
    };
    return cmocka_run_group_tests_name("gradient", tests, NULL, NULL);
}
