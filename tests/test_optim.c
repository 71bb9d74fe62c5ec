/* test_optim.c: loss and optimisers: ten steps of each against PyTorch's frozen answers, the
 * properties of softmax cross-entropy at its edges, and the checks of an optimiser's constants.
 * Run from the root of the checkout: vectors are read from tests/vectors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TARE_REAL_F64
#include "engine/pass.h"
#include "tare/train.h"

enum { N = 12, N_IN = 6, N_OUT = 3, BATCH = 4, STEPS = 10, PARAMS = 6 * 5 + 5 + 5 * 3 + 3 };

/* Two float64 programs that add in different orders differ by a few units of 2⁻⁵² per operation;
 * ten steps of some 200 operations each stay below 10⁴ units even if every error had one sign. */
#define TOLERANCE (1e4 * 0x1p-52)

struct run {
    double losses[STEPS], params[PARAMS];
};
static struct {
    float x[N * N_IN];
    int32_t labels[N], order[STEPS * BATCH];
    double start[PARAMS], grads[PARAMS], logits[N * N_OUT];
    struct run sgd, momentum, adam, adam_large_epsilon, momentum_linear, adam_linear;
} oracle;

static void read_vector(FILE *file, const char *name, double *values, size_t count) {
    char found[64];
    size_t found_count;
    assert_int_equal(fscanf(file, "%63s %zu", found, &found_count), 2);
    assert_string_equal(found, name);
    assert_int_equal(found_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fscanf(file, "%lf", &values[i]), 1);
}

static void read_run(FILE *file, const char *name, struct run *run) {
    char line[64];
    snprintf(line, sizeof line, "%s.losses", name);
    read_vector(file, line, run->losses, STEPS);
    snprintf(line, sizeof line, "%s.params", name);
    read_vector(file, line, run->params, PARAMS);
}

static int read_oracle(void **state) {
    (void)state;
    double values[N * N_IN];
    FILE *file = fopen("tests/vectors/train.txt", "r");
    if (!file)
        fail_msg("tests/vectors/train.txt cannot be opened; run from the root of the checkout");
    read_vector(file, "x", values, N * N_IN);
    for (size_t i = 0; i < N * N_IN; i++)
        oracle.x[i] = (float)values[i];
    read_vector(file, "labels", values, N);
    for (size_t i = 0; i < N; i++)
        oracle.labels[i] = (int32_t)values[i];
    read_vector(file, "order", values, STEPS * BATCH);
    for (size_t i = 0; i < STEPS * BATCH; i++)
        oracle.order[i] = (int32_t)values[i];
    read_vector(file, "start", oracle.start, PARAMS);
    read_vector(file, "grads", oracle.grads, PARAMS);
    read_run(file, "sgd", &oracle.sgd);
    read_run(file, "momentum", &oracle.momentum);
    read_run(file, "adam", &oracle.adam);
    read_run(file, "adam_large_epsilon", &oracle.adam_large_epsilon);
    read_run(file, "momentum_linear", &oracle.momentum_linear);
    read_run(file, "adam_linear", &oracle.adam_linear);
    read_vector(file, "logits", oracle.logits, N * N_OUT);
    fclose(file);
    return 0;
}

/* The largest difference, relative to the larger of 1 and the wanted value. */
static double difference(const double *got, const double *want, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(got[i] - want[i]) / fmax(1, fabs(want[i])));
    return largest;
}

static struct tare_trainer_f64 *make_trainer(const struct tare_optimizer *optimizer) {
    struct tare_net net;
    struct tare_trainer_f64 *trainer;
    assert_int_equal(tare_net_parse(&net, "6 dense:5:relu dense:3", NULL), TARE_OK);
    assert_int_equal(net.param_count, PARAMS);
    assert_int_equal(tare_trainer_create_f64(&trainer, &net, optimizer, BATCH, NULL), TARE_OK);
    tare_trainer_set_params_f64(trainer, oracle.start);
    return trainer;
}

static void run_oracle(struct run *got, const struct tare_optimizer *optimizer) {
    const struct tare_examples examples = {oracle.x, oracle.labels, N};
    struct tare_trainer_f64 *trainer = make_trainer(optimizer);
    assert_int_equal(
        tare_trainer_run_f64(trainer, got->losses, &examples, oracle.order, STEPS, NULL), TARE_OK);
    tare_trainer_params_f64(got->params, trainer);
    tare_trainer_free_f64(trainer);
}

static void check_run(const struct tare_optimizer *optimizer, const struct run *want) {
    struct run got;
    run_oracle(&got, optimizer);
    assert_true(difference(got.losses, want->losses, STEPS) < TOLERANCE);
    assert_true(difference(got.params, want->params, PARAMS) < TOLERANCE);
}

static const struct tare_optimizer sgd = {.kind = TARE_OPTIMIZER_SGD, .lr = 0.1};
static const struct tare_optimizer momentum = {
    .kind = TARE_OPTIMIZER_MOMENTUM, .lr = 0.05, .momentum = 0.9};
static const struct tare_optimizer adam = {
    .kind = TARE_OPTIMIZER_ADAM, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
static const struct tare_optimizer adam_large_epsilon = {
    .kind = TARE_OPTIMIZER_ADAM, .lr = 0.1, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 0.05};

static struct tare_optimizer linear(const struct tare_optimizer *constant) {
    struct tare_optimizer optimizer = *constant;
    optimizer.schedule = TARE_SCHEDULE_LINEAR;
    optimizer.steps = STEPS;
    return optimizer;
}

static void test_optimizers_against_pytorch(void **state) {
    (void)state;
    check_run(&sgd, &oracle.sgd);
    check_run(&momentum, &oracle.momentum);
    check_run(&adam, &oracle.adam);
    check_run(&adam_large_epsilon, &oracle.adam_large_epsilon);
    const struct tare_optimizer falling[] = {linear(&momentum), linear(&adam)};
    check_run(&falling[0], &oracle.momentum_linear);
    check_run(&falling[1], &oracle.adam_linear);
}

/* The comparison above must be able to fail: constants off by 0.01 % are far outside it. */
static void test_wrong_constants_are_seen(void **state) {
    (void)state;
    struct run got;
    struct tare_optimizer wrong[] = {sgd, momentum, adam, adam_large_epsilon, linear(&adam)};
    const struct run *want[] = {&oracle.sgd, &oracle.momentum, &oracle.adam,
                                &oracle.adam_large_epsilon, &oracle.adam_linear};
    wrong[0].lr *= 1.0001;
    wrong[1].momentum *= 0.9999;
    wrong[2].beta2 *= 0.9999;
    wrong[3].epsilon *= 1.0001;
    wrong[4].steps++;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        run_oracle(&got, &wrong[i]);
        assert_true(difference(got.params, want[i]->params, PARAMS) > 100 * TOLERANCE);
    }
}

static void test_gradient_and_logits_against_pytorch(void **state) {
    (void)state;
    const struct tare_examples examples = {oracle.x, oracle.labels, N};
    struct tare_trainer_f64 *trainer = make_trainer(&sgd);
    double loss, grads[PARAMS], logits[N * N_OUT];
    assert_int_equal(
        tare_trainer_gradient_f64(trainer, &loss, grads, &examples, oracle.order, NULL), TARE_OK);
    assert_true(difference(grads, oracle.grads, PARAMS) < TOLERANCE);
    assert_true(difference(&loss, oracle.sgd.losses, 1) < TOLERANCE);
    tare_trainer_infer_f64(logits, trainer, oracle.x, N); /* 12 rows in batches of 4 */
    assert_true(difference(logits, oracle.logits, N * N_OUT) < TOLERANCE);
    tare_trainer_infer_f64(logits, trainer, oracle.x, 5); /* a full batch and a rest of one */
    assert_true(difference(logits, oracle.logits, (size_t)5 * N_OUT) < TOLERANCE);
    tare_trainer_free_f64(trainer);
}

/* Adam's first step is lr in the gradient's direction, whatever its size: m̂ = g and √v̂ = |g|. */
static void test_adam_first_step(void **state) {
    (void)state;
    double p[3] = {1, 1, 1}, m[3] = {0}, v[3] = {0};
    const double g[3] = {1000, -0.001, 0};
    struct tare_optim_f64 optim = {.config = adam, .m = m, .v = v};
    tare_optim_step_f64(&optim, p, g, 3);
    assert_true(fabs(p[0] - (1 - 0.01)) < 1e-12);
    assert_true(fabs(p[1] - (1 + 0.01 * 0.001 / (0.001 + 1e-8))) < 1e-12);
    assert_true(p[2] == 1); /* 0 / (0 + ε): a parameter without gradient stays, and is no NaN */
    assert_int_equal(optim.steps_done, 1);
}

/* Equal logits: every class has probability 1/4, whatever their height. */
static void test_loss_equal_logits(void **state) {
    (void)state;
    const double heights[] = {0, -800, 800, -1e300, 1e300};
    const int32_t label = 2;
    for (size_t i = 0; i < sizeof heights / sizeof heights[0]; i++) {
        double z[4] = {heights[i], heights[i], heights[i], heights[i]}, grad[4];
        assert_true(fabs(tare_softmax_loss_f64(grad, z, &label, 1, 4) - log(4)) < 1e-15);
        for (size_t k = 0; k < 4; k++)
            assert_true(fabs(grad[k] - (k == 2 ? -0.75 : 0.25)) < 1e-15);
    }
}

/* All-negative logits have a negative maximum: one that started at 0 would underflow every exp. */
static void test_loss_all_negative_logits(void **state) {
    (void)state;
    const double z[3] = {-1000, -1001, -1002};
    const int32_t label = 1;
    double grad[3];
    double want = 1 + log(1 + exp(-1) + exp(-2));
    assert_true(fabs(tare_softmax_loss_f64(grad, z, &label, 1, 3) - want) < 1e-13);
    assert_true(fabs(grad[0] + grad[1] + grad[2]) < 1e-15);
}

static void test_loss_sure_and_wrong(void **state) {
    (void)state;
    const double z[2] = {0, 2000}; /* exp(2000) is beyond a double */
    const int32_t right = 1, wrong = 0;
    double grad[2];
    assert_true(tare_softmax_loss_f64(grad, z, &right, 1, 2) == 0);
    assert_true(grad[0] == 0 && grad[1] == 0);
    assert_true(tare_softmax_loss_f64(grad, z, &wrong, 1, 2) == 2000);
    assert_true(grad[0] == -1 && grad[1] == 1);
}

/* The mean over the batch, in the loss and in the gradient; and NaN stays visible. */
static void test_loss_is_a_mean(void **state) {
    (void)state;
    const double z[4] = {0.5, -0.25, 2, 1}, bad[2] = {NAN, 1};
    const int32_t labels[2] = {0, 1};
    double both[4], first[2], second[2];
    double loss = tare_softmax_loss_f64(both, z, labels, 2, 2);
    double loss0 = tare_softmax_loss_f64(first, z, labels, 1, 2);
    double loss1 = tare_softmax_loss_f64(second, z + 2, labels + 1, 1, 2);
    assert_true(loss == (loss0 + loss1) / 2);
    assert_true(both[0] == first[0] / 2 && both[3] == second[1] / 2);
    assert_true(isnan(tare_softmax_loss_f64(first, bad, labels, 1, 2)));
}

/* Half a step up at the first of ten, the whole rate where the fifth ends, 0 behind the last. */
static void test_rates(void **state) {
    (void)state;
    const struct tare_optimizer o = linear(&sgd);
    assert_true(fabs(tare_optimizer_rate(&o, 1) - 0.1 * 0.25) < 1e-15);
    assert_true(fabs(tare_optimizer_rate(&o, 2) - 0.1 * 0.75) < 1e-15);
    assert_true(fabs(tare_optimizer_rate(&o, 3) - 0.1 * 0.9375) < 1e-15);
    assert_true(fabs(tare_optimizer_rate(&o, 10) - 0.1 * 0.0625) < 1e-15);
    assert_true(tare_optimizer_rate(&o, 11) == 0);
    assert_true(tare_optimizer_rate(&sgd, 11) == 0.1);
}

static void test_schedule_names(void **state) {
    (void)state;
    struct tare_err err = {0};
    enum tare_schedule schedule;
    assert_int_equal(tare_schedule_find(&schedule, "linear", &err), TARE_OK);
    assert_int_equal(schedule, TARE_SCHEDULE_LINEAR);
    assert_int_equal(tare_schedule_find(&schedule, "liner", &err), TARE_USAGE);
    assert_non_null(strstr(err.hint, "\"linear\""));
    assert_int_equal(tare_schedule_find(&schedule, "cosine", &err), TARE_USAGE);
    assert_non_null(strstr(err.hint, "constant and linear"));
}

static void test_optimizer_names(void **state) {
    (void)state;
    struct tare_err err = {0};
    enum tare_optimizer_kind kind;
    assert_int_equal(tare_optimizer_find(&kind, "momentum", &err), TARE_OK);
    assert_int_equal(kind, TARE_OPTIMIZER_MOMENTUM);
    assert_string_equal(tare_optimizer_name(TARE_OPTIMIZER_ADAM), "adam");
    assert_int_equal(tare_optimizer_find(&kind, "adan", &err), TARE_USAGE);
    assert_non_null(strstr(err.hint, "\"adam\""));
    assert_int_equal(tare_optimizer_find(&kind, "", &err), TARE_USAGE);
    assert_non_null(strstr(err.hint, "momentum"));
}

static void test_bad_constants_are_refused(void **state) {
    (void)state;
    struct tare_optimizer bad[] = {sgd,  sgd,  sgd,  momentum, momentum,    adam,
                                   adam, adam, adam, adam,     linear(&sgd)};
    const char *names[] = {"lr",    "lr",      "lr",      "momentum", "momentum", "beta1",
                           "beta2", "epsilon", "epsilon", "kind",     "steps"};
    bad[0].lr = 0;
    bad[1].lr = NAN;
    bad[2].lr = INFINITY;
    bad[3].momentum = 1;
    bad[4].momentum = -0.1;
    bad[5].beta1 = 1;
    bad[6].beta2 = NAN;
    bad[7].epsilon = 0;
    bad[8].epsilon = NAN;
    bad[9].kind = (enum tare_optimizer_kind)99;
    bad[10].steps = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tare_err err = {0};
        assert_int_equal(tare_optimizer_check(&bad[i], &err), TARE_USAGE);
        assert_true(strncmp(err.what, names[i], strlen(names[i])) == 0);
    }
    assert_int_equal(tare_optimizer_check(&sgd, NULL), TARE_OK); /* its ε of 0 is not used */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimizers_against_pytorch),
        cmocka_unit_test(test_wrong_constants_are_seen),
        cmocka_unit_test(test_gradient_and_logits_against_pytorch),
        cmocka_unit_test(test_adam_first_step),
        cmocka_unit_test(test_loss_equal_logits),
        cmocka_unit_test(test_loss_all_negative_logits),
        cmocka_unit_test(test_loss_sure_and_wrong),
        cmocka_unit_test(test_loss_is_a_mean),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_schedule_names),
        cmocka_unit_test(test_optimizer_names),
        cmocka_unit_test(test_bad_constants_are_refused),
    };
    return cmocka_run_group_tests_name("optim", tests, read_oracle, NULL);
}
