/* test_phases.c: the phases of a training step (tare/native.h): asking for them changes no bit of
 * the weights, and what they say adds up to no more than the clock saw, thread by thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tare/clock.h"
#include "tare/native.h"
#include "tare/rng.h"

#define BATCH 40
#define EXAMPLES 100
#define STEPS 30
#define MOST_THREADS 3

struct problem {
    struct tare_net net;
    uint8_t *bytes;
    int32_t labels[EXAMPLES], order[STEPS * BATCH];
    float *params;
};

/* `lit` of 256 pixels aren't 0. Three layers, so that every barrier of a step is passed. */
static void make_problem(struct problem *p, uint64_t lit) {
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    assert_int_equal(tare_net_parse(&p->net, "99 dense:70:relu dense:33:relu dense:5", NULL),
                     TARE_OK);
    p->bytes = calloc(EXAMPLES, p->net.n_in);
    for (size_t i = 0; i < EXAMPLES * p->net.n_in; i++)
        p->bytes[i] = (uint8_t)(tare_rng_below(&rng, 256) < lit ? tare_rng_below(&rng, 256) : 0);
    for (size_t i = 0; i < EXAMPLES; i++)
        p->labels[i] = (int32_t)tare_rng_below(&rng, 5);
    for (size_t i = 0; i < STEPS * BATCH; i++)
        p->order[i] = (int32_t)tare_rng_below(&rng, EXAMPLES);
    p->params = calloc(p->net.param_count, sizeof *p->params);
    tare_net_init(p->params, &p->net, 1);
}

static struct tare_native *make_trainer(const struct problem *p, int threads,
                                        struct tare_phases *phases) {
    struct tare_native *native;
    struct tare_err err;
    struct tare_native_setup setup = {
        .net = &p->net,
        .optimizer = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM),
        .batch = BATCH,
        .threads = threads,
        .examples = {p->bytes, p->labels, EXAMPLES},
        .phases = phases,
    };
    if (tare_native_create(&native, &setup, &err) != TARE_OK)
        fail_msg("%s", err.what);
    tare_native_set_params(native, p->params);
    return native;
}

static int64_t run(struct tare_native *native, const struct problem *p) {
    float losses[STEPS];
    struct tare_err err;
    int64_t start_ns = tare_now_ns();
    assert_int_equal(tare_native_run(native, losses, p->order, STEPS, &err), TARE_OK);
    return tare_now_ns() - start_ns;
}

static int64_t sum(const struct tare_phases *phases) {
    int64_t ns = 0;
    for (int f = 0; f < TARE_PHASE_COUNT; f++)
        ns += phases->ns[f];
    return ns;
}

static void check(uint64_t lit, int threads) {
    static struct problem p;
    struct tare_phases phases[MOST_THREADS + 1] = {0}, once[MOST_THREADS + 1];
    make_problem(&p, lit);
    size_t bytes = p.net.param_count * sizeof(float);
    float *asked = malloc(bytes), *not_asked = malloc(bytes);
    struct tare_native *with = make_trainer(&p, threads, phases);
    struct tare_native *without = make_trainer(&p, threads, NULL);
    int64_t wall_ns = run(with, &p);
    memcpy(once, phases, sizeof once);
    for (int t = 0; t < threads; t++) {
        assert_true(sum(&phases[t]) <= wall_ns);
        for (int f = 0; f < TARE_PHASE_COUNT; f++)
            assert_true(phases[t].ns[f] > 0);
    }
    assert_int_equal(sum(&phases[threads]), 0);
    wall_ns += run(with, &p);
    for (int t = 0; t < threads; t++) {
        assert_true(sum(&phases[t]) > sum(&once[t]));
        assert_true(sum(&phases[t]) <= wall_ns);
    }
    run(without, &p);
    run(without, &p);
    tare_native_params(asked, with);
    tare_native_params(not_asked, without);
    assert_memory_equal(asked, not_asked, bytes);
    tare_native_free(with);
    tare_native_free(without);
    free(asked);
    free(not_asked);
    free(p.bytes);
    free(p.params);
}

static void test_sparse(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        check(20, threads);
}

static void test_dense(void **state) {
    (void)state;
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        check(256, threads);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(tare_phase_name(TARE_PHASE_FIRST), "first");
    assert_string_equal(tare_phase_name(TARE_PHASE_WAIT), "wait");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
