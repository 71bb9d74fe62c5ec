/* test_parity.c: honest float32 logits pass, whatever the order of their sums; one wrong weight,
 * half the precision, a NaN or an answer that moved don't. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tare/parity.h"
#include "tare/rng.h"
#include "tare/train.h"

enum { N = 601, IN = 64, HIDDEN = 32, OUT = 10, W0 = IN * HIDDEN, W1 = W0 + HIDDEN }; /* 3 chunks */

static struct tare_net net;
static float images[N * IN], params[W1 + HIDDEN * OUT + OUT], logits[N * OUT];
static struct tare_parity_reference reference;

/* The same net, written down again: every sum from the last term to the first. */
static void forward_backwards(float *out, const float *p) {
    for (size_t i = 0; i < N; i++) {
        float hidden[HIDDEN];
        for (size_t h = 0; h < HIDDEN; h++) {
            float sum = 0;
            for (size_t k = IN; k-- > 0;)
                sum += images[i * IN + k] * p[k * HIDDEN + h];
            sum += p[W0 + h];
            hidden[h] = sum > 0 ? sum : 0;
        }
        for (size_t c = 0; c < OUT; c++) {
            float sum = 0;
            for (size_t h = HIDDEN; h-- > 0;)
                sum += hidden[h] * p[W1 + h * OUT + c];
            out[i * OUT + c] = sum + p[W1 + HIDDEN * OUT + c];
        }
    }
}

static void infer(float *out, const float *p) {
    struct tare_optimizer unused = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    struct tare_trainer_f32 *trainer;
    assert_int_equal(tare_trainer_create_f32(&trainer, &net, &unused, 7, NULL), TARE_OK);
    tare_trainer_set_params_f32(trainer, p);
    tare_trainer_infer_f32(out, trainer, images, N);
    tare_trainer_free_f32(trainer);
}

static int set_up(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 5, TARE_STREAM_TEST);
    if (tare_net_parse(&net, "8x8x1 dense:32:relu dense:10", NULL) != TARE_OK)
        return -1;
    for (size_t i = 0; i < N * IN; i++)
        images[i] = (float)tare_rng_below(&rng, 256) / 255.0f;
    tare_net_init(params, &net, 3);
    return tare_parity_reference_make(&reference, &net, params, images, N, NULL, NULL) == TARE_OK
               ? 0
               : -1;
}

static int tear_down(void **state) {
    (void)state;
    tare_parity_reference_free(&reference);
    return 0;
}

static void honest_logits_agree(void **state) {
    (void)state;
    infer(logits, params);
    struct tare_parity same = tare_parity_of(&reference, logits);
    assert_true(same.ratio > 0 && same.ratio <= 1); /* the plain order is one of the references */
    assert_true(same.max_abs_diff > 0 && same.max_abs_diff < 1e-5);
    assert_int_equal(same.changed_answers, 0);
    forward_backwards(logits, params);
    struct tare_parity other = tare_parity_of(&reference, logits);
    assert_true(other.ratio > 0.1 && other.ratio < 3);
    assert_int_equal(other.changed_answers, 0);
}

static void the_truth_itself_is_nearer_than_any(void **state) {
    (void)state;
    for (size_t i = 0; i < N * OUT; i++)
        logits[i] = (float)reference.logits[i];
    struct tare_parity parity = tare_parity_of(&reference, logits);
    assert_true(parity.ratio < 0.9);
    assert_int_equal(parity.changed_answers, 0);
}

static void a_wrong_weight_is_seen(void **state) {
    (void)state;
    float wrong[sizeof params / sizeof *params];
    const size_t which[] = {0, 17 * HIDDEN + 5, W0 + 3, W1 + 40, W1 + HIDDEN * OUT};
    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        memcpy(wrong, params, sizeof params);
        wrong[which[i]] += 1e-3f;
        infer(logits, wrong);
        assert_true(tare_parity_of(&reference, logits).ratio > 2 * TARE_PARITY_LIMIT);
    }
}

static void half_the_precision_is_seen(void **state) {
    (void)state;
    float rounded[sizeof params / sizeof *params];
    for (size_t k = 0; k < sizeof params / sizeof *params; k++) {
        uint32_t bits; /* bfloat16: the upper half, rounded to the nearest */
        memcpy(&bits, &params[k], sizeof bits);
        bits = (bits + 0x8000u) & 0xffff0000u;
        memcpy(&rounded[k], &bits, sizeof bits);
    }
    infer(logits, rounded);
    assert_true(tare_parity_of(&reference, logits).ratio > 100 * TARE_PARITY_LIMIT);
}

static void what_is_no_number_is_infinitely_far(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        infer(logits, params);
        logits[0] = bad[i];
        logits[N * OUT - 1] = bad[i];
        struct tare_parity parity = tare_parity_of(&reference, logits);
        assert_true(isinf(parity.ratio) && isinf(parity.max_abs_diff));
        assert_int_equal(parity.changed_answers, 2);
    }
}

static void answers_that_moved_are_counted(void **state) {
    (void)state;
    infer(logits, params);
    for (size_t i = 0; i < 7; i++) {
        float *row = logits + i * 80 * OUT;
        size_t best = 0;
        for (size_t c = 1; c < OUT; c++)
            best = row[c] > row[best] ? c : best;
        float answer = row[best];
        row[best] = row[(best + 1) % OUT];
        row[(best + 1) % OUT] = answer;
    }
    struct tare_parity parity = tare_parity_of(&reference, logits);
    assert_int_equal(parity.changed_answers, 7);
    assert_true(parity.ratio > TARE_PARITY_LIMIT);
}

/* Classes 0 and 1 have the same weights: whichever of the two rounds up is right, class 2 isn't. */
static void a_tie_has_two_right_answers(void **state) {
    (void)state;
    struct tare_net small;
    struct tare_parity_reference tied;
    const float weights[] = {0.3f, 0.3f, 0.1f, 0.7f, 0.7f, 0.2f, 0.1f, 0.1f, 0.05f};
    const float x[] = {0.2f, 0.9f, 0.4f, 0.4f};
    assert_int_equal(tare_net_parse(&small, "2 dense:3", NULL), TARE_OK);
    assert_int_equal(tare_parity_reference_make(&tied, &small, weights, x, 2, NULL, NULL), TARE_OK);
    float given[6];
    for (size_t i = 0; i < 6; i++)
        given[i] = (float)tied.logits[i];
    given[1] = nextafterf(given[1], 9);
    assert_int_equal(tare_parity_of(&tied, given).changed_answers, 0);
    given[5] = 9;
    assert_int_equal(tare_parity_of(&tied, given).changed_answers, 1);
    tare_parity_reference_free(&tied);
}

static void nothing_over_nothing_is_no_difference(void **state) {
    (void)state;
    struct tare_parity_reference zero;
    float none[sizeof params / sizeof *params] = {0};
    assert_int_equal(tare_parity_reference_make(&zero, &net, none, images, N, NULL, NULL), TARE_OK);
    memset(logits, 0, sizeof logits);
    struct tare_parity parity = tare_parity_of(&zero, logits);
    assert_true(parity.ratio == 0 && parity.max_abs_diff == 0 && parity.changed_answers == 0);
    logits[0] = 1e-30f;
    assert_true(isinf(tare_parity_of(&zero, logits).ratio));
    tare_parity_reference_free(&zero);
    assert_int_equal(tare_parity_reference_make(&zero, &net, params, images, 0, NULL, NULL),
                     TARE_OK);
    assert_true(tare_parity_of(&zero, logits).ratio == 0);
    tare_parity_reference_free(&zero);
}

static void weights_that_overflow_are_refused(void **state) {
    (void)state;
    struct tare_parity_reference none;
    struct tare_err err = {0};
    float huge[sizeof params / sizeof *params];
    for (size_t k = 0; k < sizeof params / sizeof *params; k++)
        huge[k] = 3e37f;
    assert_int_equal(tare_parity_reference_make(&none, &net, huge, images, N, NULL, &err),
                     TARE_DATA);
    assert_non_null(strstr(err.what, "not finite"));
    assert_null(none.logits);
}

/* An image's reference doesn't depend on where a chunk begins. */
static void chunks_leave_no_seam(void **state) {
    (void)state;
    const size_t counts[] = {1, 249, 250, 251, 500};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct tare_parity_reference part;
        assert_int_equal(
            tare_parity_reference_make(&part, &net, params, images, counts[i], NULL, NULL),
            TARE_OK);
        assert_memory_equal(part.logits, reference.logits, counts[i] * OUT * sizeof(double));
        assert_memory_equal(part.stray, reference.stray, counts[i] * sizeof(double));
        assert_true(part.reach > 0 && part.reach <= reference.reach);
        tare_parity_reference_free(&part);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(honest_logits_agree),
        cmocka_unit_test(the_truth_itself_is_nearer_than_any),
        cmocka_unit_test(a_wrong_weight_is_seen),
        cmocka_unit_test(half_the_precision_is_seen),
        cmocka_unit_test(what_is_no_number_is_infinitely_far),
        cmocka_unit_test(answers_that_moved_are_counted),
        cmocka_unit_test(a_tie_has_two_right_answers),
        cmocka_unit_test(nothing_over_nothing_is_no_difference),
        cmocka_unit_test(weights_that_overflow_are_refused),
        cmocka_unit_test(chunks_leave_no_seam),
    };
    return cmocka_run_group_tests_name("parity", tests, set_up, tear_down);
}
