/* test_bench.c: tare bench without its command line: the native engine for real, engines that
 * misbehave (tests/bad_engines/bad.c), models that are none, and what the report says of them. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "small_set.h"
#include "tare/bench.h"
#include "tare/report.h"

#define SIDE 8
#define CLASSES 10
#define TEST_IMAGES 100

static struct tare_dataset set;
static struct tare_machine machine = {.cpu = "a test", .cpus = 1};
static struct tare_bench bench;
static char *prepared;
static const char *weights; /* of a net that nobody trained */

static int set_up(void **state) {
    scratch_setup(state);
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    static struct tare_net net;
    static float params[SIDE * SIDE * CLASSES + CLASSES];
    static char path[TARE_MAX_PATH], dir[TARE_MAX_PATH];
    snprintf(path, sizeof path, "%s", scratch_path("digits.safetensors"));
    snprintf(dir, sizeof dir, "%s", scratch_path("jobs"));
    weights = path;
    struct tare_err err = {0};
    if (small_set_make(&set, SIDE, CLASSES) != 0 ||
        tare_dataset_prepare(&prepared, &set, &err) != TARE_OK ||
        tare_net_parse(&net, "64 dense:10", &err) != TARE_OK ||
        tare_make_dirs(dir, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        return -1;
    }
    tare_net_init(params, &net, 1);
    return tare_net_write(weights, &net, params, "u8/255", "nobody", &err) != TARE_OK;
}

static int tear_down(void **state) {
    tare_dataset_free(&set);
    free(prepared);
    return scratch_teardown(state);
}

static void begin(const char *model) {
    static char dir[TARE_MAX_PATH];
    snprintf(dir, sizeof dir, "%s", scratch_path("jobs"));
    tare_bench_defaults(&bench);
    bench.model_path = model;
    bench.dataset = &set;
    bench.prepared = prepared;
    bench.dir = dir;
    bench.machine = &machine;
    bench.queries = 70;
    bench.batches[0] = 1;
    bench.batches[1] = 150; /* more than there are test images */
    bench.batch_count = 2;
    bench.cold_runs = 2;
    bench.timeout_s = 20;
}

static void add(const char *engine) {
    struct tare_err err = {0};
    if (tare_bench_add(&bench, engine, "", &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static void the_suffix_names_the_engine(void **state) {
    (void)state;
    const char *engine = NULL;
    assert_int_equal(tare_model_engine(&engine, "/a.b/digits.onnx", NULL), TARE_OK);
    assert_string_equal(engine, "onnxruntime");
    assert_int_equal(tare_model_engine(&engine, "x.tflite", NULL), TARE_OK);
    assert_string_equal(engine, "litert");
    assert_int_equal(tare_model_engine(&engine, "x.safetensors", NULL), TARE_OK);
    assert_string_equal(engine, "native");
    static const char *const none[] = {"",       "x", "x.",   "onnx", "x.onnx.data",
                                       "x.ONNX", ".", "a.b/x"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(tare_model_engine(&engine, none[i], NULL), TARE_USAGE);
}

static void engines_must_be_able_to_run_it(void **state) {
    (void)state;
    begin("x.onnx");
    assert_int_equal(tare_bench_add(&bench, "native", "", NULL), TARE_USAGE);
    assert_int_equal(tare_bench_add(&bench, "litert", "", NULL), TARE_USAGE);
    assert_int_equal(tare_bench_add(&bench, "onnxruntime", "", NULL), TARE_OK);
    assert_int_equal(tare_bench_add(&bench, NULL, "", NULL), TARE_USAGE); /* the same again */
    assert_int_equal(tare_bench_add(&bench, "somebodys", "", NULL), TARE_OK);
    begin("x.tflite");
    assert_int_equal(tare_bench_add(&bench, "litert", "", NULL), TARE_OK);
    assert_int_equal(tare_bench_add(&bench, "litert", "builtin", NULL), TARE_OK);
    begin(weights);
    assert_int_equal(tare_bench_add(&bench, "litert", "", NULL), TARE_USAGE);
    assert_int_equal(tare_bench_add(&bench, "jax", "", NULL), TARE_OK);
    for (int i = 1; i < TARE_MAX_BENCH_ROWS; i++) {
        char name[32];
        snprintf(name, sizeof name, "engine%d", i);
        add(name);
    }
    assert_int_equal(tare_bench_add(&bench, "engine0", "", NULL), TARE_USAGE);
    tare_bench_free(&bench);
}

static void the_native_engine_is_measured(void **state) {
    (void)state;
    struct tare_err err = {0};
    begin(weights);
    add(NULL);
    enum tare_status status = tare_bench_run(&bench, &err);
    const struct tare_bench_row *row = &bench.rows[0];
    if (status != TARE_OK && row->state != TARE_STATE_VOID) /* void: a busy machine */
        fail_msg("%s: %s", err.where, err.what);
    assert_int_equal(row->latency.n, 70);
    assert_true(row->latency.min_s > 0 && row->latency.min_s <= row->latency.quantile[0].seconds);
    assert_true(row->latency.quantile[TARE_P90].known && !row->latency.quantile[TARE_P99].known);
    assert_true(row->images_per_s[0] > 0 && row->images_per_s[1] > 0);
    assert_true(row->cold_s.n == 2 && row->cold_s.lo > 0 && row->cold_s.hi < 20);
    assert_true(row->cold_rss_bytes.median > 1e5);
    assert_true(row->ships_bytes > 10000 && isnan(row->environment_bytes));
    assert_int_equal(row->grade.total, TEST_IMAGES);
    assert_true(row->call[0] && row->outcome.version[0]);
    assert_int_equal(bench.model_files, 1);
    struct tare_buf file = {0};
    assert_int_equal(tare_file_read(&file, weights, 1 << 20, NULL), TARE_OK);
    assert_int_equal(bench.model_bytes, file.size);
    tare_buf_free(&file);
    tare_bench_free(&bench);
}

static const struct {
    const char *engine;
    enum tare_cell_state state;
    const char *says; /* part of the reason */
} bad[] = {
    {"deployed", TARE_STATE_OK, ""},
    {"good", TARE_STATE_FAILED, "wrote no latencies"}, /* where trains and doesn't time */
    {"fewqueries", TARE_STATE_FAILED, "must be int32 (70)"},
    {"backwards", TARE_STATE_FAILED, "query 0 took -1 ns"},
    {"nobatches", TARE_STATE_FAILED, "timed no batches"},
    {"noanswer", TARE_STATE_FAILED, "gave no first answer"},
    {"nologits", TARE_STATE_FAILED, "wrote no logits"},
    {"badlogits", TARE_STATE_FAILED, ""},
    {"wrongshape", TARE_STATE_FAILED, "50 rows for 100 test images"},
    {"nanlogits", TARE_STATE_FAILED, "not numbers"},
    {"crash", TARE_STATE_FAILED, "signal 11"},
    {"skipper", TARE_STATE_SKIPPED, "no such device"},
    {"nowhere", TARE_STATE_SKIPPED, "not installed"},
};
#define BAD_COUNT (sizeof bad / sizeof bad[0])

static void check_text(const char *text) {
    assert_non_null(strstr(text, "digits.safetensors on bands of light"));
    assert_non_null(strstr(text, "needs 662"));
    assert_null(strstr(text, "nan "));
    for (const char *at = text; *at;) { /* columns: bytes that begin a character */
        size_t size = strcspn(at, "\n"), columns = 0;
        for (size_t i = 0; i < size; i++)
            columns += ((unsigned char)at[i] & 0xc0) != 0x80;
        if (columns > TARE_REPORT_WIDTH)
            fail_msg("%zu columns: %.*s", columns, (int)size, at);
        at += size + (at[size] == '\n');
    }
}

static void check_json(const char *text) {
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d: %s", error.line, error.text);
    assert_string_equal(json_string_value(json_object_get(root, "format")), "tare-bench/1");
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), BAD_COUNT);
    for (size_t i = 0; i < BAD_COUNT; i++) {
        const json_t *row = json_array_get(rows, i), *latency = json_object_get(row, "latency");
        assert_string_equal(json_string_value(json_object_get(row, "state")),
                            tare_state_name(bad[i].state));
        bool ok = bad[i].state == TARE_STATE_OK;
        assert_int_equal(json_is_number(json_object_get(row, "accuracy")), ok);
        assert_int_equal(json_is_number(json_object_get(latency, "p90_s")), ok);
        assert_true(json_is_null(json_object_get(latency, "p99_s")));
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(latency, "needs"), "p999")), 6636);
        if (ok) /* 3 calls of 150 images in 3 ms */
            assert_true(
                fabs(json_number_value(json_object_get(
                         json_array_get(json_object_get(row, "throughput"), 1), "images_per_s")) -
                     150e3) < 1e-6);
    }
    json_decref(root);
}

static void a_bad_engine_costs_its_row(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct tare_buf text = {0}, json = {0};
    begin(weights);
    bench.cold_runs = 1;
    for (size_t i = 0; i < BAD_COUNT; i++)
        add(bad[i].engine);
    assert_int_equal(tare_bench_run(&bench, &err), TARE_FAILED);
    for (size_t i = 0; i < BAD_COUNT; i++) {
        const struct tare_bench_row *row = &bench.rows[i];
        if (row->state != bad[i].state || !strstr(row->reason, bad[i].says))
            fail_msg("%s: %s: %s", row->engine, tare_state_name(row->state), row->reason);
    }
    tare_report_bench(&text, &bench, NULL);
    tare_report_bench_json(&json, &bench);
    assert_false(text.failed || json.failed);
    check_text(text.data);
    check_json(json.data);
    tare_buf_free(&text);
    tare_buf_free(&json);
    tare_bench_free(&bench);
}

/* Whose clocks lie: shown with its figures, and not ok. */
static void a_void_row_keeps_its_figures(void **state) {
    (void)state;
    struct tare_err err = {0};
    begin(weights);
    add("deployed");
    tare_bench_run(&bench, &err);
    bench.rows[0].state = TARE_STATE_VOID;
    struct tare_buf text = {0};
    tare_report_bench(&text, &bench, NULL);
    assert_non_null(strstr(text.data, "void"));
    assert_non_null(strstr(text.data, "1.00 µs"));
    tare_buf_free(&text);
    tare_bench_free(&bench);
}

static enum tare_status run_model(const char *model) {
    struct tare_err err = {0};
    begin(model);
    add(NULL);
    enum tare_status status = tare_bench_run(&bench, &err);
    assert_true(err.what[0] && err.where[0]);
    tare_bench_free(&bench);
    return status;
}

static void what_is_no_model_is_said(void **state) {
    (void)state;
    struct tare_buf file = {0};
    static struct tare_net net;
    static float params[16 * CLASSES + CLASSES];
    assert_int_equal(run_model(scratch_path("missing.safetensors")), TARE_IO);
    assert_int_equal(run_model(scratch_write("empty.onnx", "", 0)), TARE_DATA);
    assert_int_equal(tare_make_dirs(scratch_path("folder.onnx"), NULL), TARE_OK);
    assert_int_equal(run_model(scratch_path("folder.onnx")), TARE_DATA);
    assert_int_equal(tare_file_read(&file, weights, 1 << 20, NULL), TARE_OK);
    for (size_t size = 1; size < file.size; size += file.size / 7)
        assert_int_equal(run_model(scratch_write("cut.safetensors", file.data, size)), TARE_DATA);
    tare_buf_free(&file);
    assert_int_equal(tare_net_parse(&net, "16 dense:10", NULL), TARE_OK);
    tare_net_init(params, &net, 1);
    assert_int_equal(
        tare_net_write(scratch_path("other.safetensors"), &net, params, NULL, NULL, NULL), TARE_OK);
    assert_int_equal(run_model(scratch_path("other.safetensors")), TARE_DATA);
}

static void it_stops_when_told_to(void **state) {
    (void)state;
    static volatile sig_atomic_t stop = 1;
    struct tare_err err = {0};
    begin(weights);
    bench.stop = &stop;
    add("hang");
    assert_int_equal(tare_bench_run(&bench, &err), TARE_INTERRUPTED);
    tare_bench_free(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_suffix_names_the_engine),
        cmocka_unit_test(engines_must_be_able_to_run_it),
        cmocka_unit_test(the_native_engine_is_measured),
        cmocka_unit_test(a_bad_engine_costs_its_row),
        cmocka_unit_test(a_void_row_keeps_its_figures),
        cmocka_unit_test(what_is_no_model_is_said),
        cmocka_unit_test(it_stops_when_told_to),
    };
    return cmocka_run_group_tests_name("bench", tests, set_up, tear_down);
}
