/* test_export_runtimes.c: 200 random nets as .onnx and as .tflite, run by the engines onnxruntime
 * and litert, against tare's own engine. Needs the environment `runtimes`, and the engines in
 * $TARE_ENGINE_PATH. $TARE_EXPORT_KEEP: a folder that gets every file, its images and the answers
 * expected, for tests/oracle/check_export.py. tests/frameworks/export.sh runs both. */
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

#include "scratch.h"
#include "tare/array.h"
#include "tare/environment.h"
#include "tare/export.h"
#include "tare/rng.h"
#include "tare/supervise.h"
#include "tare/train.h"

#define NETS 200
#define IMAGES 7 /* no multiple of the fixed batch */
#define FIXED 4
#define MAX_LAYERS 6
#define MAX_WIDTH 300
/* Relative L2 distance of two float32 engines. A sum of k terms of random sign, each rounded to
 * 2⁻²⁴, is off by about √k·2⁻²⁴ of its size: 1e-6 at k = 300, and six layers add up. A weight in
 * the wrong place is off by more than 1e-3. */
#define TOLERANCE 1e-5
#define TIMEOUT_S 60

static const char *const engines[] = {"onnxruntime", "litert"}; /* by enum tare_export_format */

struct net {
    struct tare_net net;
    struct tare_export_options options;
    float *params;
    struct tare_array images; /* uint8 (IMAGES, n_in) */
    float *x;                 /* (IMAGES, n_in) */
    float *wanted;            /* (IMAGES, n_out) */
};

static void random_spec(char *spec, struct tare_rng *rng) {
    size_t used = (size_t)snprintf(spec, TARE_MAX_SPEC, "%zu", 1 + tare_rng_below(rng, MAX_WIDTH));
    for (size_t layers = 1 + tare_rng_below(rng, MAX_LAYERS); layers > 0; layers--)
        used += (size_t)snprintf(spec + used, TARE_MAX_SPEC - used, " dense:%zu%s",
                                 1 + tare_rng_below(rng, MAX_WIDTH),
                                 tare_rng_below(rng, 2) ? ":relu" : "");
}

/* A dense layer always has a bias; of half the nets all are zero. */
static void random_params(struct net *n, bool with_bias, struct tare_rng *rng) {
    tare_net_init(n->params, &n->net, tare_rng_next(rng));
    for (int i = 0; with_bias && i < n->net.tensor_count; i++)
        for (size_t k = 0; n->net.tensors[i].rank == 1 && k < n->net.tensors[i].count; k++)
            n->params[n->net.tensors[i].offset + k] = tare_rng_uniform(rng, -0.5, 0.5);
}

static void softmax(float *row, size_t n) {
    double largest = (double)row[0], sum = 0;
    for (size_t c = 1; c < n; c++)
        largest = fmax(largest, (double)row[c]);
    for (size_t c = 0; c < n; c++)
        sum += exp((double)row[c] - largest);
    for (size_t c = 0; c < n; c++)
        row[c] = (float)(exp((double)row[c] - largest) / sum);
}

static void answer(struct net *n) {
    const struct tare_optimizer unused = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    struct tare_trainer_f32 *trainer = NULL;
    assert_int_equal(tare_trainer_create_f32(&trainer, &n->net, &unused, IMAGES, NULL), TARE_OK);
    tare_trainer_set_params_f32(trainer, n->params);
    tare_trainer_infer_f32(n->wanted, trainer, n->x, IMAGES);
    tare_trainer_free_f32(trainer);
    for (size_t i = 0; n->options.softmax && i < IMAGES; i++)
        softmax(n->wanted + i * n->net.n_out, n->net.n_out);
}

static void make_net(struct net *n, uint64_t seed) {
    struct tare_rng rng;
    char spec[TARE_MAX_SPEC];
    tare_rng_seed(&rng, seed, TARE_STREAM_TEST);
    random_spec(spec, &rng);
    *n = (struct net){.options = {.batch = seed % 3 == 0 ? FIXED : 0,
                                  .normalise = seed % 2 == 0,
                                  .softmax = seed % 5 == 0,
                                  .dataset = "random"}};
    assert_int_equal(tare_net_parse(&n->net, spec, NULL), TARE_OK);
    size_t n_in = n->net.n_in;
    n->params = calloc(n->net.param_count, sizeof *n->params);
    n->x = calloc(IMAGES * n_in, sizeof *n->x);
    n->wanted = calloc(IMAGES * n->net.n_out, sizeof *n->wanted);
    assert_true(n->params && n->x && n->wanted);
    random_params(n, seed % 4 < 2, &rng);
    assert_int_equal(tare_array_make(&n->images, TARE_U8, 2, (size_t[]){IMAGES, n_in}, NULL),
                     TARE_OK);
    for (size_t i = 0; i < IMAGES * n_in; i++) {
        uint8_t pixel = (uint8_t)tare_rng_below(&rng, 256);
        ((uint8_t *)n->images.data)[i] = pixel;
        n->x[i] = (float)pixel / 255.0F;
    }
    answer(n);
}

static void free_net(struct net *n) {
    tare_array_free(&n->images);
    free(n->params);
    free(n->x);
    free(n->wanted);
}

/* ---- running -----------------------------------------------------------------------------------
 */

/* Runs the model on the net's images; the logits are then in the scratch folder. */
static void launch(struct tare_outcome *outcome, const struct net *n,
                   enum tare_export_format format, const char *model) {
    static struct tare_job job;
    struct tare_err err = {0};
    char *program = NULL;
    tare_job_defaults(&job);
    job.threads = 1;
    snprintf(job.task, sizeof job.task, "infer");
    snprintf(job.model_file, sizeof job.model_file, "%s", model);
    snprintf(job.test_images, sizeof job.test_images, "%s", scratch_path("images.npy"));
    snprintf(job.logits, sizeof job.logits, "%s", scratch_path("logits.npy"));
    assert_int_equal(tare_npy_write(job.test_images, &n->images, NULL), TARE_OK);
    remove(job.logits);
    if (tare_engine_find(&program, engines[format], &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    const struct tare_launch how = {.program = program,
                                    .engine = engines[format],
                                    .job_path = scratch_path("job.json"),
                                    .log_path = scratch_path("log"),
                                    .threads = 1,
                                    .timeout_s = TIMEOUT_S};
    if (tare_launch_job(outcome, &how, &job, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    free(program);
}

/* What an engine answers to the net's images: (IMAGES, n_out); free its data. */
static struct tare_array run(const struct net *n, enum tare_export_format format,
                             const char *model) {
    struct tare_outcome outcome;
    struct tare_array logits = {0};
    struct tare_err err = {0};
    launch(&outcome, n, format, model);
    if (outcome.state != TARE_STATE_OK && outcome.state != TARE_STATE_VOID)
        fail_msg("%s: %s", engines[format], outcome.reason);
    if (tare_npy_read(&logits, scratch_path("logits.npy"), &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    assert_true(logits.dtype == TARE_F32 && logits.rank == 2);
    assert_true(logits.shape[0] == IMAGES && logits.shape[1] == n->net.n_out);
    tare_outcome_free(&outcome);
    return logits;
}

/* ‖is − wanted‖ / ‖wanted‖; nothing over nothing is no difference. */
static double distance(const struct net *n, const struct tare_array *logits) {
    double apart = 0, size = 0;
    for (size_t i = 0; i < IMAGES * n->net.n_out; i++) {
        double wanted = (double)n->wanted[i];
        double difference = (double)((const float *)logits->data)[i] - wanted;
        apart += difference * difference;
        size += wanted * wanted;
    }
    return apart > 0 || isnan(apart) ? sqrt(apart / size) : 0;
}

static void keep(const struct net *n, size_t index, enum tare_export_format format,
                 const struct tare_buf *file) {
    const char *folder = getenv("TARE_EXPORT_KEEP");
    char path[600];
    if (!folder)
        return;
    const struct tare_array wanted = {
        .dtype = TARE_F32, .rank = 2, .shape = {IMAGES, n->net.n_out}, .data = n->wanted};
    snprintf(path, sizeof path, "%s/%03zu.%s", folder, index, tare_export_format_name(format));
    assert_int_equal(tare_file_write(path, file->data, file->size, NULL), TARE_OK);
    snprintf(path, sizeof path, "%s/%03zu.images.npy", folder, index);
    assert_int_equal(tare_npy_write(path, &n->images, NULL), TARE_OK);
    snprintf(path, sizeof path, "%s/%03zu.wanted.npy", folder, index);
    assert_int_equal(tare_npy_write(path, &wanted, NULL), TARE_OK);
}

static struct tare_array export_and_run(const struct net *n, size_t index,
                                        enum tare_export_format format, bool is_kept) {
    struct tare_buf file = {0};
    struct tare_err err = {0};
    char name[32];
    if (tare_export_bytes(&file, format, &n->net, n->params, &n->options, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    snprintf(name, sizeof name, "model.%s", tare_export_format_name(format));
    const char *path = scratch_write(name, file.data, file.size);
    if (is_kept)
        keep(n, index, format, &file);
    tare_buf_free(&file);
    return run(n, format, path);
}

static void need_runtimes(void) {
    struct tare_environment runtimes;
    struct tare_err err = {0};
    if (tare_environment_find("runtimes", &runtimes, &err) != TARE_OK) {
        print_message("lacks: %s: %s; try: %s\n", err.where, err.what, err.hint);
        skip();
    }
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void random_nets(enum tare_export_format format) {
    double largest = 0;
    need_runtimes();
    for (size_t i = 0; i < NETS; i++) {
        struct net n;
        make_net(&n, i);
        struct tare_array logits = export_and_run(&n, i, format, true);
        double d = distance(&n, &logits);
        if (!(d <= TOLERANCE)) {
            char spec[TARE_MAX_SPEC];
            tare_net_text(spec, &n.net);
            fail_msg("net %zu, %s, in %s: %g away", i, spec, engines[format], d);
        }
        largest = fmax(largest, d);
        tare_array_free(&logits);
        free_net(&n);
    }
    print_message("%d nets in %s: within %.2g\n", NETS, engines[format], largest);
}

static void test_random_nets_in_onnxruntime(void **state) {
    (void)state;
    random_nets(TARE_EXPORT_ONNX);
}

static void test_random_nets_in_litert(void **state) {
    (void)state;
    random_nets(TARE_EXPORT_TFLITE);
}

/* The comparison must see two weights of the last layer that changed places. */
static void test_a_swap_is_seen(void **state) {
    (void)state;
    need_runtimes();
    for (enum tare_export_format format = 0; format < TARE_EXPORT_FORMAT_COUNT; format++) {
        struct net n;
        make_net(&n, 1);
        assert_false(n.options.softmax);
        float *w = n.params + n.net.tensors[n.net.tensor_count - 2].offset, first = w[0];
        w[0] = w[1];
        w[1] = first;
        struct tare_array logits = export_and_run(&n, 0, format, false);
        assert_true(distance(&n, &logits) > 10 * TOLERANCE);
        tare_array_free(&logits);
        free_net(&n);
    }
}

/* The division in the graph gives the bits of u8 / 255.0f: the logits are the same ones. */
static void test_normalise_is_exact(void **state) {
    (void)state;
    need_runtimes();
    for (enum tare_export_format format = 0; format < TARE_EXPORT_FORMAT_COUNT; format++)
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct net n;
            make_net(&n, seed);
            struct tare_array logits[2];
            for (int i = 0; i < 2; i++) {
                n.options.normalise = i == 1;
                logits[i] = export_and_run(&n, 0, format, false);
            }
            assert_memory_equal(logits[0].data, logits[1].data, tare_array_bytes(&logits[0]));
            tare_array_free(&logits[0]);
            tare_array_free(&logits[1]);
            free_net(&n);
        }
}

/* LiteRT's FlatBuffer verifier found nothing in all those files; here it has something to find: the
 * link to the list of subgraphs leads out of the file. */
static void test_the_verifier_looks(void **state) {
    (void)state;
    need_runtimes();
    struct net n;
    struct tare_buf file = {0};
    uint32_t root, vtable, far = 0x7fffff00;
    uint16_t field;
    make_net(&n, 1);
    assert_int_equal(
        tare_export_bytes(&file, TARE_EXPORT_TFLITE, &n.net, n.params, &n.options, NULL), TARE_OK);
    memcpy(&root, file.data, sizeof root);
    memcpy(&vtable, file.data + root, sizeof vtable);
    memcpy(&field, file.data + root - vtable + 4 + 2 * 2, sizeof field);
    memcpy(file.data + root + field, &far, sizeof far);
    struct tare_outcome outcome;
    launch(&outcome, &n, TARE_EXPORT_TFLITE, scratch_write("bad.tflite", file.data, file.size));
    assert_int_equal(outcome.state, TARE_STATE_FAILED);
    assert_non_null(strstr(outcome.reason, "cannot load the model"));
    tare_outcome_free(&outcome);
    tare_buf_free(&file);
    free_net(&n);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_random_nets_in_onnxruntime),
        TEST(test_random_nets_in_litert),
        TEST(test_a_swap_is_seen),
        TEST(test_normalise_is_exact),
        TEST(test_the_verifier_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
