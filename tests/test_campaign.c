/* test_campaign.c: plans, orders, grading, and whole campaigns with the null, the native and bad
 * engines: one bad engine costs one cell, everything measured is in samples.jsonl. The runtimes of
 * exported files are scripts here, so that the tests know what they answer; the real ones:
 * tests/frameworks/quick_compare.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "small_campaign.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/parity.h"
#include "tare/summary.h"
#include "tare/verify.h"

static void the_default_model_fits_the_data(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_err err = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 1);
    assert_string_equal(plan.model, "64 dense:64:relu dense:4");
    assert_int_equal(tare_plan_model(&plan, "8x8x1 dense:5:relu dense:4", &set, &err), TARE_OK);
    assert_int_equal(tare_plan_model(&plan, "784 dense:4", &set, &err), TARE_USAGE);
    assert_non_null(strstr(err.what, "64"));
    assert_int_equal(tare_plan_model(&plan, "64 dense:3", &set, &err), TARE_USAGE);
    assert_non_null(strstr(err.what, "4 classes"));
}

static void impossible_engines_are_refused(void **state) {
    (void)state;
    struct tare_plan plan;
    tare_plan_defaults(&plan);
    assert_int_equal(tare_plan_add(&plan, "native", NULL, NULL), TARE_OK);
    assert_int_equal(tare_plan_add(&plan, "native", NULL, NULL), TARE_USAGE);
    assert_int_equal(tare_plan_add(&plan, "litert", NULL, NULL), TARE_USAGE);
    assert_int_equal(tare_plan_add(&plan, "", NULL, NULL), TARE_USAGE);
    assert_int_equal(plan.cell_count, 1);
}

static void orders_are_permutations_that_repeat(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_array a = {0}, b = {0}, c = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 1);
    plan.epochs = 3;
    plan.batch = 9; /* 101 images: 11 steps, two images are left out of each epoch */
    assert_int_equal(tare_plan_batches(&a, &plan, 0, 101, NULL), TARE_OK);
    assert_int_equal(tare_plan_batches(&b, &plan, 0, 101, NULL), TARE_OK);
    assert_int_equal(tare_plan_batches(&c, &plan, 1, 101, NULL), TARE_OK);
    assert_int_equal(a.shape[0], 3);
    assert_int_equal(a.shape[1], 11);
    assert_int_equal(a.shape[2], 9);
    assert_memory_equal(a.data, b.data, tare_array_bytes(&a));
    assert_memory_not_equal(a.data, c.data, tare_array_bytes(&a));
    assert_memory_not_equal(a.data, (int32_t *)a.data + 99, 99 * sizeof(int32_t));
    for (int epoch = 0; epoch < 3; epoch++) {
        char seen[101] = {0};
        for (int i = 0; i < 99; i++) {
            int32_t image = ((int32_t *)a.data)[epoch * 99 + i];
            assert_in_range(image, 0, 100);
            assert_int_equal(seen[image]++, 0);
        }
    }
    tare_array_free(&a);
    tare_array_free(&b);
    tare_array_free(&c);
    plan.batch = 200;
    assert_int_equal(tare_plan_batches(&a, &plan, 0, 101, NULL), TARE_USAGE);
}

static struct tare_array floats(size_t rows, size_t columns, const float *values) {
    struct tare_array array = {0};
    assert_int_equal(tare_array_make(&array, TARE_F32, 2, (size_t[]){rows, columns}, NULL),
                     TARE_OK);
    memcpy(array.data, values, rows * columns * sizeof *values);
    return array;
}

static void grading_counts(void **state) {
    (void)state;
    struct tare_grade grade;
    int32_t answers[] = {1, 0, 2};
    struct tare_array labels = {.dtype = TARE_I32, .rank = 1, .shape = {3}, .data = answers};
    /* all negative; a tie, which the first wins; plainly wrong */
    struct tare_array a = floats(3, 3, (float[]){-9, -1, -5, 7, 7, 7, 5, 1, 2});
    struct tare_array b = floats(3, 3, (float[]){-9, -1, -5, 7, 7.5f, 7, 5, 1, 2});
    struct tare_array nan = floats(3, 3, (float[]){0, 1, 0, NAN, 0, 0, 0, 0, 1});
    struct tare_array fewer = floats(2, 3, (float[]){0, 1, 0, 0, 0, 0});
    assert_int_equal(tare_grade_logits(&grade, &a, &labels, NULL), TARE_OK);
    assert_int_equal(grade.correct, 2);
    assert_int_equal(grade.total, 3);
    assert_true(grade.finite);
    assert_int_equal(tare_grade_logits(&grade, &nan, &labels, NULL), TARE_OK);
    assert_false(grade.finite);
    assert_int_equal(tare_grade_logits(&grade, &fewer, &labels, NULL), TARE_DATA);
    double difference;
    size_t changed;
    assert_int_equal(tare_compare_logits(&difference, &changed, &a, &b, NULL), TARE_OK);
    assert_true(difference == 0.5);
    assert_int_equal(changed, 1);
    assert_int_equal(tare_compare_logits(&difference, &changed, &a, &fewer, NULL), TARE_DATA);
    tare_array_free(&a);
    tare_array_free(&b);
    tare_array_free(&nan);
    tare_array_free(&fewer);
}

static void results_folders_are_checked_first(void **state) {
    (void)state;
    struct tare_err err = {0};
    char *full = tare_path_join(dir, "full"), *file = tare_path_join(dir, "full/file");
    assert_int_equal(tare_results_open(full, 1000, &err), TARE_OK);
    assert_int_equal(tare_results_open(full, 1000, &err), TARE_OK); /* still empty */
    assert_int_equal(tare_results_open(full, (size_t)1 << 62, &err), TARE_IO);
    assert_non_null(strstr(err.what, "are free"));
    assert_int_equal(tare_file_write(file, "x", 1, &err), TARE_OK);
    assert_int_equal(tare_results_open(full, 1000, &err), TARE_USAGE);
    assert_int_equal(tare_results_open(file, 1000, &err), TARE_IO);
    free(full);
    free(file);
}

static void null_and_native_make_a_report(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 2);
    assert_int_equal(run(&plan, "native", &summary, NULL), TARE_OK);
    assert_true(summary.complete);
    assert_int_equal(summary.row_count, 1);
    assert_int_equal(summary.harness_count, 1);
    assert_int_equal(tare_summary_failures(&summary), 0);
    const struct tare_row *row = &summary.rows[0];
    assert_string_equal(row->engine, "native");
    assert_int_equal(row->stats[TARE_TRAIN_S].n, 2);
    assert_true(row->stats[TARE_ACCURACY].median > 0.9); /* bands of light are easy */
    assert_int_equal(row->total, 100);
    assert_int_equal(row->rank, 0); /* two runs carry no ranking */
    tare_summary_free(&summary);
}

/* The weights of both runs in both formats, each run by its runtime and compared. */
static void exports_are_run_and_compared(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    struct tare_err err = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 2);
    assert_int_equal(run(&plan, "exports", &summary, NULL), TARE_OK);
    char *out = tare_path_join(dir, "exports");
    const struct tare_row *row = &summary.rows[0];
    assert_int_equal(row->export_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct tare_export *e = &row->exports[i];
        const char *format = i == 0 ? "onnx" : "tflite";
        char *path = tare_path_join(out, e->path);
        assert_string_equal(e->format, format);
        assert_string_equal(e->exporter, "tare");
        assert_non_null(strstr(e->path, "/tare/model."));
        assert_true(tare_path_exists(path) && e->bytes > 64 * 64 * 4);
        assert_true(e->seconds.n == 2 && e->environment_bytes > 10000);
        assert_int_equal(e->check_count, 1);
        const struct tare_check *c = &e->checks[0];
        assert_string_equal(c->runtime, i == 0 ? "onnxruntime" : "litert");
        assert_int_equal(c->state, TARE_STATE_OK);
        assert_int_equal(c->accuracy.n, 2);
        assert_true(c->parity_ratio > 0 && c->parity_ratio < 10 && c->parity_changed == 0);
        assert_true(c->max_abs_diff == 0);
        assert_true(c->queries == 1000 && c->query_s[TARE_P99].n == 2);
        assert_true(c->query_s[TARE_P99].median > 1900e-9 && c->query_s[TARE_P999].n == 0);
        assert_true(c->cold_start_s.n == 2 && c->cold_start_s.median > 5e-6);
        assert_true(c->cold_rss_bytes.n == 2 && c->ships_bytes == 12345);
        free(path);
    }
    assert_int_equal(summary.rows[1].export_count, 0); /* the null engine trained nothing */
    struct tare_verify verify = {.dir = out};
    assert_int_equal(tare_verify_folder(&verify, &err), TARE_OK);
    assert_int_equal(tare_verify_faults(&verify), 0);
    assert_int_equal(verify.counts[TARE_FINDING_EXTRA], 0);
    free(out);
    tare_summary_free(&summary);
}

static void a_wrong_answer_fails_the_export_alone(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 1);
    setenv("TEST_RUNTIME", "wrong", 1);
    assert_int_equal(run(&plan, "wrong", &summary, NULL), TARE_FAILED);
    unsetenv("TEST_RUNTIME");
    const struct tare_row *row = &summary.rows[0];
    assert_int_equal(row->state, TARE_STATE_OK);
    assert_int_equal(row->export_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct tare_check *c = &row->exports[i].checks[0];
        assert_int_equal(c->state, TARE_STATE_FAILED);
        assert_non_null(strstr(c->reason, "not what its weights compute"));
        assert_true(c->parity_ratio > TARE_PARITY_LIMIT);
    }
    assert_int_equal(tare_summary_failures(&summary), 2);
    tare_summary_free(&summary);
}

static void missing_runtimes_fail_nothing(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    plan_with(&plan, (const char *[]){"native", NULL}, 2);
    setenv("TEST_RUNTIME", "skip", 1);
    assert_int_equal(run(&plan, "alone", &summary, NULL), TARE_OK);
    unsetenv("TEST_RUNTIME");
    assert_int_equal(tare_summary_failures(&summary), 0);
    assert_true(summary.complete);
    for (size_t i = 0; i < 2; i++) { /* the files are there, and each runtime was tried once */
        const struct tare_export *e = &summary.rows[0].exports[i];
        assert_int_equal(e->seconds.n, 2);
        assert_int_equal(e->check_count, 1);
        assert_int_equal(e->checks[0].state, TARE_STATE_SKIPPED);
        assert_string_equal(e->checks[0].fix, "make engines");
        assert_true(isnan(e->checks[0].parity_ratio));
    }
    tare_summary_free(&summary);
}

static void without_weights_nothing_is_exported(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    plan_with(&plan, (const char *[]){"good", NULL}, 1);
    plan.certify = false;
    assert_int_equal(run(&plan, "weightless", &summary, NULL), TARE_OK);
    assert_int_equal(summary.rows[0].state, TARE_STATE_OK);
    assert_int_equal(summary.rows[0].export_count, 0);
    tare_summary_free(&summary);
}

/* What grading must see, beside what the supervisor sees (test_supervise.c). */
static const struct {
    const char *name, *reason;
} graded[] = {{"nanlogits", "not numbers"},
              {"wrongshape", "50 rows for 100 test images"},
              {"nologits", "wrote no logits"},
              {"badlogits", ""},
              {"badweights", "its weights can't be exported"},
              {"crash", "signal 11"},
              {"hang", "not done within"}};
#define GRADED (sizeof graded / sizeof graded[0])

static void a_bad_engine_costs_one_cell(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    const char *names[GRADED + 2] = {"native"};
    for (size_t i = 0; i < GRADED; i++)
        names[i + 1] = graded[i].name;
    plan_with(&plan, names, 2);
    assert_int_equal(run(&plan, "bad", &summary, NULL), TARE_FAILED);
    assert_int_equal(summary.row_count, GRADED + 1);
    assert_int_equal(summary.rows[0].state, TARE_STATE_OK);
    assert_int_equal(summary.rows[0].stats[TARE_TRAIN_S].n, 2);
    for (size_t i = 0; i < GRADED; i++) {
        const struct tare_row *row = &summary.rows[i + 1];
        if (row->state != TARE_STATE_FAILED || !strstr(row->reason, graded[i].reason) ||
            !strstr(row->reproduce, graded[i].name))
            fail_msg("%s: %s: %s (%s)", row->engine, tare_state_name(row->state), row->reason,
                     row->reproduce);
    }
    assert_int_equal(tare_summary_failures(&summary), GRADED);
    tare_summary_free(&summary);
}

static void what_is_not_installed_is_skipped(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    plan_with(&plan, (const char *[]){"nowhere", "native", NULL}, 1);
    assert_int_equal(run(&plan, "missing", &summary, NULL), TARE_FAILED);
    assert_int_equal(summary.rows[0].state, TARE_STATE_SKIPPED);
    assert_non_null(strstr(summary.rows[0].reason, "not installed"));
    assert_string_equal(summary.rows[0].fix, "make engines");
    assert_int_equal(summary.rows[1].state, TARE_STATE_OK);
    tare_summary_free(&summary);
}

static void an_interrupt_leaves_what_was_measured(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_summary summary = {0};
    volatile sig_atomic_t stop = 1;
    plan_with(&plan, (const char *[]){"native", NULL}, 2);
    assert_int_equal(run(&plan, "stopped", &summary, &stop), TARE_INTERRUPTED);
    assert_false(summary.complete);
    assert_int_equal(summary.rows[0].stats[TARE_TRAIN_S].n, 0);
    tare_summary_free(&summary);
}

static void the_same_seed_gives_the_same_weights(void **state) {
    (void)state;
    struct tare_plan plan;
    struct tare_buf files[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct tare_summary summary = {0};
        plan_with(&plan, (const char *[]){"native", NULL}, 1);
        assert_int_equal(run(&plan, i ? "seed-b" : "seed-a", &summary, NULL), TARE_OK);
        struct tare_buf path = {0};
        tare_buf_printf(&path, "%s/%s/%s/weights.safetensors", dir, i ? "seed-b" : "seed-a",
                        summary.rows[0].dir);
        assert_int_equal(tare_file_read(&files[i], path.data, 1 << 20, NULL), TARE_OK);
        tare_buf_free(&path);
        tare_summary_free(&summary);
    }
    assert_int_equal(files[0].size, files[1].size);
    assert_memory_equal(files[0].data, files[1].data, files[0].size);
    tare_buf_free(&files[0]);
    tare_buf_free(&files[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_model_fits_the_data),
        cmocka_unit_test(impossible_engines_are_refused),
        cmocka_unit_test(orders_are_permutations_that_repeat),
        cmocka_unit_test(grading_counts),
        cmocka_unit_test(results_folders_are_checked_first),
        cmocka_unit_test(null_and_native_make_a_report),
        cmocka_unit_test(exports_are_run_and_compared),
        cmocka_unit_test(a_wrong_answer_fails_the_export_alone),
        cmocka_unit_test(missing_runtimes_fail_nothing),
        cmocka_unit_test(without_weights_nothing_is_exported),
        cmocka_unit_test(a_bad_engine_costs_one_cell),
        cmocka_unit_test(what_is_not_installed_is_skipped),
        cmocka_unit_test(an_interrupt_leaves_what_was_measured),
        cmocka_unit_test(the_same_seed_gives_the_same_weights),
    };
    return cmocka_run_group_tests_name("campaign", tests, set_up, tear_down);
}
