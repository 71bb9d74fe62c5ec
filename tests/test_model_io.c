/* test_model_io.c: which shapes of a model fit the images, and how images are dealt out to a model
 * whose batch is fixed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tare/model_io.h"

#define N_IN 6
#define N_OUT 2
#define MAX_IMAGES 11

struct row {
    struct tare_model_tensor input, output;
    bool fits;
    size_t batch;
};

static const struct row rows[] = {
    {{3, {-1, 2, 3}}, {2, {-1, 2}}, true, 0},
    {{4, {-1, 1, 2, 3}}, {2, {-1, 2}}, true, 0},
    {{2, {-1, 6}}, {4, {-1, 1, 1, 2}}, true, 0},
    {{2, {1, 6}}, {2, {1, 2}}, true, 1},
    {{2, {4, 6}}, {2, {-1, 2}}, true, 4}, /* the batch of the output left open */
    {{2, {-1, 6}}, {2, {1, 2}}, true, 0}, /* an exporter that forgot it; the run will tell */
    {{2, {4, 6}}, {2, {3, 2}}, false, 0},
    {{1, {6}}, {1, {2}}, false, 0}, /* no batch */
    {{0, {0}}, {2, {-1, 2}}, false, 0},
    {{9, {0}}, {2, {-1, 2}}, false, 0},
    {{2, {-1, 7}}, {2, {-1, 2}}, false, 0},
    {{2, {0, 6}}, {2, {0, 2}}, false, 0},
    {{3, {-1, -1, 6}}, {2, {-1, 2}}, false, 0},
    {{3, {-1, 0, 6}}, {2, {-1, 2}}, false, 0},
    {{2, {-1, 6}}, {2, {-1, -1}}, false, 0},
    {{2, {-1, 6}}, {2, {-1, 0}}, false, 0},
    {{2, {-1, 6}}, {1, {-1}}, false, 0},
    {{3, {-1, INT64_MAX, INT64_MAX}}, {2, {-1, 2}}, false, 0},
    {{2, {INT64_MAX, 6}}, {2, {-1, 2}}, false, 0},
    {{2, {(int64_t)1 << 28, 6}}, {2, {-1, 2}}, false, 0}, /* over 4 GiB a call */
};

static void test_plan(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tare_model_plan plan = {0};
        struct tare_err err = {0};
        enum tare_status status =
            tare_model_plan(&plan, &rows[i].input, &rows[i].output, N_IN, "m.onnx", &err);
        if (status != (rows[i].fits ? TARE_OK : TARE_DATA))
            fail_msg("row %zu: %s", i, err.what);
        if (!rows[i].fits) {
            assert_string_equal(err.where, "m.onnx");
            continue;
        }
        assert_int_equal(plan.batch, rows[i].batch);
        assert_int_equal(plan.n_in, N_IN);
        assert_int_equal(plan.n_out, N_OUT);
        tare_model_plan_free(&plan);
    }
}

static void test_message_names_both_sizes(void **state) {
    (void)state;
    const struct tare_model_tensor input = {3, {-1, 28, 28}}, output = {2, {-1, 10}};
    struct tare_model_plan plan;
    struct tare_err err = {0};
    assert_int_equal(tare_model_plan(&plan, &input, &output, 1024, "m", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "(?, 28, 28)"));
    assert_non_null(strstr(err.what, "784"));
    assert_non_null(strstr(err.what, "1024"));
}

static void test_shape_text(void **state) {
    (void)state;
    char text[TARE_MODEL_SHAPE_TEXT];
    tare_model_shape_text(text, &(struct tare_model_tensor){0});
    assert_string_equal(text, "()");
    tare_model_shape_text(text, &(struct tare_model_tensor){3, {-5, 1, 28}});
    assert_string_equal(text, "(?, 1, 28)");
    struct tare_model_tensor widest = {.rank = TARE_MODEL_MAX_RANK};
    for (int i = 0; i < widest.rank; i++)
        widest.dims[i] = INT64_MAX;
    tare_model_shape_text(text, &widest);
    assert_true(strlen(text) < TARE_MODEL_SHAPE_TEXT);
}

/* A model: logit j of an image is the sum of its values times j + 1. */
struct model {
    size_t fixed, calls, fail_at;
};

static enum tare_status run_model(void *state, float *logits, const float *x, size_t n,
                                  struct tare_err *err) {
    struct model *model = state;
    if (model->fixed > 0)
        assert_int_equal(n, model->fixed);
    if (++model->calls == model->fail_at)
        return tare_fail(err, TARE_FAILED, "model", NULL, "as told");
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t j = 0; j < N_IN; j++)
            sum += x[i * N_IN + j];
        for (size_t j = 0; j < N_OUT; j++)
            logits[i * N_OUT + j] = sum * (float)(j + 1);
    }
    return TARE_OK;
}

static void infer(size_t fixed, size_t n, size_t fail_at) {
    struct tare_model_tensor input = {2, {fixed > 0 ? (int64_t)fixed : -1, N_IN}};
    struct tare_model_tensor output = {2, {-1, N_OUT}};
    struct tare_model_plan plan;
    assert_int_equal(tare_model_plan(&plan, &input, &output, N_IN, "m", NULL), TARE_OK);
    struct model model = {.fixed = fixed, .fail_at = fail_at};
    float *x = calloc(n * N_IN + 1, sizeof *x), *logits = calloc(n * N_OUT + 1, sizeof *logits);
    for (size_t i = 0; i < n * N_IN; i++)
        x[i] = (float)(i % 17);
    struct tare_err err = {0};
    enum tare_status status = tare_model_infer(&plan, run_model, &model, logits, x, n, &err);
    size_t calls = fixed > 0 ? (n + fixed - 1) / fixed : n > 0;
    if (fail_at > 0 && fail_at <= calls) {
        assert_int_equal(status, TARE_FAILED);
        assert_string_equal(err.what, "as told");
        calls = fail_at;
    } else {
        assert_int_equal(status, TARE_OK);
        for (size_t i = 0; i < n; i++) {
            float sum = 0;
            for (size_t j = 0; j < N_IN; j++)
                sum += x[i * N_IN + j];
            assert_true(logits[i * N_OUT] == sum && logits[i * N_OUT + 1] == 2 * sum);
        }
    }
    assert_int_equal(model.calls, calls);
    free(x);
    free(logits);
    tare_model_plan_free(&plan);
}

static void test_infer_any_number(void **state) {
    (void)state;
    for (size_t fixed = 0; fixed <= MAX_IMAGES + 1; fixed++)
        for (size_t n = 0; n <= MAX_IMAGES; n++)
            for (size_t fail_at = 0; fail_at <= 3; fail_at++)
                infer(fixed, n, fail_at);
}

/* Every pixel there is comes back. */
static void test_pixels(void **state) {
    (void)state;
    float x[256];
    uint8_t pixels[256];
    for (int value = 0; value < 256; value++)
        x[value] = (float)value / 255.0F;
    tare_model_pixels(pixels, x, 256);
    for (int value = 0; value < 256; value++)
        assert_int_equal(pixels[value], value);
}

static void test_file_check(void **state) {
    (void)state;
    struct tare_err err = {0};
    assert_int_equal(tare_model_file_check("/proc/self/exe", &err), TARE_OK);
    assert_int_equal(tare_model_file_check("/", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "not a file"));
    assert_int_equal(tare_model_file_check("/dev/null", &err), TARE_DATA);
    assert_int_equal(tare_model_file_check("/no/such/model.onnx", &err), TARE_IO);
    assert_string_equal(err.where, "/no/such/model.onnx");
    assert_int_equal(tare_model_file_check("", &err), TARE_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),       cmocka_unit_test(test_message_names_both_sizes),
        cmocka_unit_test(test_shape_text), cmocka_unit_test(test_infer_any_number),
        cmocka_unit_test(test_pixels),     cmocka_unit_test(test_file_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
