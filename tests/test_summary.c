/* test_summary.c: from the lines of samples.jsonl to rows, ranks and comparisons; and what happens
 * to lines that are torn, shuffled, hostile or wrong. Vectors: tests/oracle/samples_vectors.py. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tare/buf.h"
#include "tare/rng.h"
#include "tare/summary.h"

static void read_vector(struct tare_buf *text, const char *name) {
    char path[256];
    struct tare_err err = {0};
    snprintf(path, sizeof path, "tests/vectors/samples-%s.jsonl", name);
    if (tare_file_read(text, path, TARE_MAX_SAMPLES_BYTES, &err) != TARE_OK)
        fail_msg("%s: %s (run from the root of the checkout)", path, err.what);
}

static void summarise(struct tare_summary *summary, const char *name) {
    struct tare_buf text = {0};
    struct tare_err err = {0};
    read_vector(&text, name);
    if (tare_summary_parse(summary, text.data, text.size, name, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    tare_buf_free(&text);
}

static void assert_stat(struct tare_stat s, double median, double lo, double hi, size_t n) {
    assert_int_equal(s.n, n);
    assert_int_equal(s.has_interval, n >= 6);
    if (fabs(s.median - median) > 1e-9 * fabs(median) || fabs(s.lo - lo) > 1e-9 * fabs(lo) ||
        fabs(s.hi - hi) > 1e-9 * fabs(hi))
        fail_msg("%.12g (%.12g … %.12g), want %.12g (%.12g … %.12g)", s.median, s.lo, s.hi, median,
                 lo, hi);
}

static void test_complete(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "complete");
    assert_int_equal(s.row_count, 3);
    assert_int_equal(s.harness_count, 1);
    assert_true(s.complete);
    assert_int_equal(s.torn_line, 0);
    assert_int_equal(tare_summary_failures(&s), 0);
    const struct tare_row *keras = &s.rows[0], *native = &s.rows[2];
    assert_string_equal(keras->engine, "keras");
    assert_int_equal(keras->track, TARE_TRACK_TUTORIAL);
    assert_string_equal(keras->version, "3.15.0");
    assert_string_equal(keras->dir, "jobs/0002-keras-tutorial-r0");
    /* 21.2 s slowed by 0, 3, 1, 4, 2, 5 %: the median lies between 2 and 3 % */
    assert_stat(keras->stats[TARE_TRAIN_S], 21.2 * 1.025, 21.2, 21.2 * 1.05, 6);
    assert_int_equal(keras->stats[TARE_FIRST_STEP_S].n, 0); /* not timed apart: not guessed */
    assert_int_equal(keras->stats[TARE_STEADY_S].n, 0);
    assert_stat(keras->stats[TARE_IMPORT_S], 3.9 * 1.025, 3.9, 3.9 * 1.05, 6);
    assert_stat(keras->stats[TARE_STARTUP_S], 0.02 + 3.9 * 1.025, 3.92, 0.02 + 3.9 * 1.05, 6);
    assert_stat(keras->stats[TARE_INFER_10000_S], 0.34, 0.34, 0.34, 6); /* predict, not model(x) */
    assert_stat(keras->stats[TARE_INFER_ONE_S], 0.057, 0.057, 0.057, 6);
    assert_stat(keras->stats[TARE_INFER_FIRST_S], 0.5, 0.5, 0.5, 6);
    assert_string_equal(keras->infer_call, "predict");
    assert_int_equal(keras->call_count, 6);
    assert_string_equal(keras->calls[3].call, "model(x)");
    assert_stat(keras->stats[TARE_ACCURACY], 0.97325, 0.973, 0.9735, 6);
    assert_int_equal(keras->correct, 9733); /* 9732.5, rounded */
    assert_true(keras->wilson_lo < 0.9732 && 0.9732 < keras->wilson_hi);
    assert_stat(keras->stats[TARE_LAST_LOSS], 0.0525, 0.05, 0.055, 6);
    assert_stat(keras->stats[TARE_PEAK_RSS_BYTES], 600 << 20, 600 << 20, 600 << 20, 6);
    assert_int_equal(keras->phase_count, 8);
    assert_string_equal(keras->metrics[0].name, "evaluate_accuracy");
    assert_int_equal(keras->setting_count, 3);
    assert_int_equal(keras->code[1].statements, 3);
    assert_stat(native->stats[TARE_TRAIN_S], 6.9035, 6.901, 6.906, 6);
    assert_stat(native->stats[TARE_STEADY_S], 6.9025, 6.9, 6.905, 6);
    assert_int_equal(native->origin, TARE_ORIGIN_NATIVE);
    assert_ptr_equal(s.harness, &s.rows[3]);
    assert_stat(s.harness_step_s, 0.5e-6 * 4688 / 4687.5, 0.5e-6 * 4688 / 4687.5,
                0.5e-6 * 4688 / 4687.5, 6);
    tare_summary_free(&s);
}

static void test_ranking(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "complete");
    assert_int_equal(s.rows[0].rank, 1);
    assert_int_equal(s.rows[1].rank, 2);
    assert_int_equal(s.rows[2].rank, 0); /* alone on its track: a track is never compared */
    assert_non_null(strstr(s.rows[2].unranked, "no other row"));
    assert_int_equal(s.comparison_count, 3);
    const struct tare_comparison *train = &s.comparisons[0];
    assert_int_equal(train->measure, TARE_TRAIN_S);
    assert_true(train->fast == 0 && train->slow == 1 && train->apart);
    /* The drift of 5 % is in both engines of a run: paired, the interval is 0.5 % wide. */
    assert_stat(train->ratio, 1.31 * 1.0025, 1.31, 1.31 * 1.005, 6);
    for (size_t i = 1; i < 3; i++) /* inference: PyTorch is the faster one */
        assert_true(s.comparisons[i].fast == 1 && s.comparisons[i].slow == 0);
    tare_summary_free(&s);

    summarise(&s, "close"); /* factors 0.998 … 1.003: the interval holds 1 */
    assert_int_equal(s.rows[0].rank, 1);
    assert_int_equal(s.rows[1].rank, 1);
    assert_false(s.comparisons[0].apart);
    tare_summary_free(&s);

    summarise(&s, "quick"); /* one run: numbers, but nothing is claimed */
    assert_int_equal(s.rows[0].rank, 0);
    assert_string_equal(s.rows[0].unranked, "fewer than 6 runs");
    assert_int_equal(s.comparison_count, 0);
    assert_stat(s.rows[0].stats[TARE_TRAIN_S], 21.2, 21.2, 21.2, 1);
    tare_summary_free(&s);
}

static void test_exports(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "close"); /* by a tare that measured less of them */
    assert_int_equal(s.rows[1].export_count, 1);
    const struct tare_export *e = &s.rows[1].exports[0];
    assert_string_equal(e->format, "onnx");
    assert_string_equal(e->exporter, "pytorch");
    assert_string_equal(e->path, "jobs/0004-pytorch-tutorial-r0/model.onnx");
    assert_true(e->files == 2 && e->bytes == 207500);
    assert_stat(e->seconds, 4, 4, 4, 6);
    assert_true(isnan(e->environment_bytes));
    assert_int_equal(e->check_count, 1);
    assert_string_equal(e->checks[0].runtime, "onnxruntime");
    assert_string_equal(e->checks[0].version, "1.32.0");
    assert_stat(e->checks[0].accuracy, 0.96875, 0.9685, 0.969, 6);
    assert_stat(e->checks[0].infer_all_s, 0.007, 0.007, 0.007, 6);
    assert_true(e->checks[0].max_abs_diff == 4.2e-6 && e->checks[0].changed_answers == 0);
    assert_true(isnan(e->checks[0].parity_ratio) && isnan(e->checks[0].ships_bytes));
    assert_int_equal(e->checks[0].cold_start_s.n, 0);
    assert_int_equal(e->checks[0].query_s[TARE_P50].n, 0);
    assert_int_equal(s.rows[2].export_count, 0);
    tare_summary_free(&s);
}

/* Each model in both formats by tare, beside what its framework exported itself. */
static void test_deployment(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "complete");
    const struct {
        size_t row;
        const char *format, *exporter;
        double environment_bytes;
    } want[] = {{0, "tflite", "keras", 1542.0 * 1048576},
                {0, "onnx", "tare", 402000},
                {0, "tflite", "tare", 402000},
                {1, "onnx", "pytorch", 5400.0 * 1048576},
                {1, "onnx", "tare", 402000},
                {1, "tflite", "tare", 402000},
                {2, "onnx", "tare", 402000},
                {2, "tflite", "tare", 402000}};
    size_t at = 0;
    for (size_t r = 0; r < s.row_count; r++)
        for (size_t i = 0; i < s.rows[r].export_count; i++, at++) {
            const struct tare_export *e = &s.rows[r].exports[i];
            assert_true(at < sizeof want / sizeof *want);
            assert_int_equal(r, want[at].row);
            assert_string_equal(e->format, want[at].format);
            assert_string_equal(e->exporter, want[at].exporter);
            assert_true(e->environment_bytes == want[at].environment_bytes);
            assert_int_equal(e->check_count, 1); /* its two jobs a run are one check */
            const struct tare_check *c = &e->checks[0];
            assert_int_equal(c->accuracy.n, 6);
            assert_true(fabs(c->parity_ratio - 0.95) < 1e-9); /* the worst run's */
            assert_true(c->parity_changed == 0);
            assert_int_equal(c->queries, 1000);
            assert_stat(c->query_s[TARE_P50], 3125e-9, 3100e-9, 3150e-9, 6);
            assert_int_equal(c->query_s[TARE_P999].n, 0); /* 1,000 queries don't bear it */
            /* start, import, load, build and the first answer */
            assert_stat(c->cold_start_s, 0.0385, 0.036, 0.041, 6);
            assert_stat(c->cold_rss_bytes, 41 << 20, 41 << 20, 41 << 20, 6);
            assert_true(c->ships_bytes == (strcmp(e->format, "onnx") == 0 ? 28e6 : 12.3e6));
        }
    assert_int_equal(at, sizeof want / sizeof *want);
    tare_summary_free(&s);
}

/* Environments are told in megabytes; 0 is not known, and so is what isn't there. */
static void test_environments(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "controlled");
    assert_int_equal(s.experiment.environment_count, 2);
    assert_string_equal(s.experiment.environments[1].name, "torch");
    assert_true(s.experiment.tare_bytes == 402000);
    tare_summary_free(&s);
    summarise(&s, "quick");
    assert_int_equal(s.experiment.environment_count, 0);
    assert_true(isnan(s.experiment.tare_bytes));
    for (size_t i = 0; i < s.rows[0].export_count; i++)
        assert_true(isnan(s.rows[0].exports[i].environment_bytes));
    tare_summary_free(&s);
}

static void test_troubles(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "troubles");
    const struct tare_row *keras = &s.rows[0], *torch = &s.rows[1], *native = &s.rows[2];
    assert_int_equal(keras->state, TARE_STATE_SKIPPED); /* its warm-up says why */
    assert_string_equal(keras->reason, "No module named 'tensorflow'");
    assert_string_equal(keras->fix, "make engines");
    assert_int_equal(keras->runs_done, 0);
    assert_int_equal(torch->state, TARE_STATE_FAILED);
    assert_string_equal(torch->reason, "2 of 6 runs failed: ended by signal 7");
    assert_int_equal(torch->stats[TARE_TRAIN_S].n, 4);
    assert_int_equal(torch->rank, 0);
    assert_int_equal(torch->exports[0].checks[0].state, TARE_STATE_FAILED);
    assert_int_equal(torch->exports[0].checks[0].accuracy.n, 3); /* the failed one doesn't count */
    assert_int_equal(native->state, TARE_STATE_VOID);
    assert_int_equal(native->stats[TARE_TRAIN_S].n, 6); /* shown, */
    assert_int_equal(native->rank, 0);                  /* never ranked */
    assert_int_equal(s.comparison_count, 0);
    /* what a failed comparison found is told, though it counts in no statistic */
    assert_int_equal(native->export_count, 2);
    assert_int_equal(native->exports[0].checks[0].state, TARE_STATE_FAILED);
    assert_true(native->exports[0].checks[0].parity_ratio == 1234.5);
    assert_true(native->exports[0].checks[0].parity_changed == 3);
    assert_int_equal(native->exports[0].checks[0].query_s[TARE_P50].n, 0);
    assert_int_equal(native->exports[0].checks[0].cold_start_s.n, 1);
    /* a runtime that isn't here is no failure */
    assert_int_equal(native->exports[1].checks[0].state, TARE_STATE_SKIPPED);
    assert_int_equal(tare_summary_failures(&s), 5);
    assert_true(s.complete); /* nothing was interrupted: this is all there was to come */
    tare_summary_free(&s);
}

static void test_interrupted(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "interrupted");
    assert_int_equal(s.torn_line, 23);
    assert_false(s.complete);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.rows[i].state, TARE_STATE_OK);
        assert_int_equal(s.rows[i].runs_done, 3);
        assert_false(s.rows[i].complete);
        assert_string_equal(s.rows[i].reason, "interrupted: 3 of 6 runs are there");
        assert_int_equal(s.rows[i].rank, 0);
    }
    assert_int_equal(tare_summary_failures(&s), 4);
    tare_summary_free(&s);
}

/* ---- lines built here -------------------------------------------------------------------------
 */

#define HEAD                                                                                       \
    "{\"record\":\"experiment\",\"format\":\"tare-samples/1\","                                    \
    "\"dataset\":{\"name\":\"mnist\",\"title\":\"MNIST\",\"train\":60000,\"test\":10000},"         \
    "\"plan\":{\"model\":\"784 dense:10\",\"epochs\":1,\"batch\":32,\"runs\":2,\"threads\":2,"     \
    "\"cells\":[{\"engine\":\"a\",\"track\":\"controlled\"}]}}\n"
#define JOB(more)                                                                                  \
    "{\"record\":\"job\",\"index\":1,\"run\":0,\"task\":\"train\",\"engine\":\"a\","               \
    "\"track\":\"controlled\",\"state\":\"ok\"" more "}\n"

static enum tare_status parse(struct tare_summary *s, const char *text, struct tare_err *err) {
    /* a copy of the exact size, so that reading past the end is seen */
    size_t size = strlen(text);
    char *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    *err = (struct tare_err){0};
    enum tare_status status = tare_summary_parse(s, copy, size, "s.jsonl", err);
    free(copy);
    return status;
}

static void assert_refused(const char *text, const char *where, const char *what) {
    struct tare_summary s;
    struct tare_err err;
    assert_int_equal(parse(&s, text, &err), TARE_DATA);
    if (strcmp(err.where, where) != 0 || strstr(err.what, what) == NULL)
        fail_msg("got %s: %s; want %s: %s", err.where, err.what, where, what);
    assert_true(err.hint[0] != '\0');
    assert_null(s.memory);
    tare_summary_free(&s); /* a refused summary is empty, and freeing it is harmless */
}

static void test_wrong_lines(void **state) {
    (void)state;
    assert_refused("", "s.jsonl", "empty");
    assert_refused("{}\n", "s.jsonl", "experiment record");
    assert_refused("{\"record\":\"experiment\",\"format\":\"tare-samples/2\"}\n", "s.jsonl",
                   "tare-samples/1");
    assert_refused("{\"record\":\"experiment\"", "s.jsonl:1", "no newline");
    assert_refused(HEAD "rubbish\n" JOB(""), "s.jsonl:2", "not a JSON object");
    assert_refused(HEAD "\n" JOB(""), "s.jsonl:2", "not a JSON object");
    assert_refused(HEAD JOB("") "[1]\n", "s.jsonl:3", "\"record\"");
    assert_refused(HEAD JOB("") JOB(""), "s.jsonl:3", "\"index\"");
    assert_refused(HEAD JOB(",\"run\":1") JOB(""), "s.jsonl:2", "duplicate");
    assert_refused(HEAD JOB(",\"phases\":[{\"name\":\"train\"}]"), "s.jsonl:2", "\"wall_ns\"");
    assert_refused(HEAD JOB(",\"phases\":[{\"name\":\"train\",\"wall_ns\":-1}]"), "s.jsonl:2",
                   "\"wall_ns\"");
    assert_refused(HEAD JOB(",\"phases\":{}"), "s.jsonl:2", "\"phases\" is not a list");
    assert_refused(HEAD JOB(",\"phases\":[7]"), "s.jsonl:2", "\"name\"");
    assert_refused(HEAD JOB(",\"samples\":[{\"batch\":1,\"loops\":0,\"wall_ns\":1}]"), "s.jsonl:2",
                   "\"loops\"");
    assert_refused(HEAD JOB(",\"accuracy\":{\"correct\":11,\"total\":10}"), "s.jsonl:2",
                   "\"correct\"");
    assert_refused(HEAD JOB(",\"accuracy\":{\"correct\":0,\"total\":0}"), "s.jsonl:2",
                   "\"correct\"");
#define GRADED ",\"accuracy\":{\"correct\":1,\"total\":4}"
    assert_refused(HEAD JOB(GRADED ",\"right\":\"Aw==\""), "s.jsonl:2", "\"right\""); /* 2 ones */
    assert_refused(HEAD JOB(GRADED ",\"right\":\"AgA=\""), "s.jsonl:2", "\"right\""); /* 16 bits */
    assert_refused(HEAD JOB(GRADED ",\"right\":\"EA==\""), "s.jsonl:2", "\"right\""); /* image 5 */
    assert_refused(HEAD JOB(GRADED ",\"right\":\"!\""), "s.jsonl:2", "\"right\"");
    assert_refused(HEAD JOB(",\"right\":\"AA==\""), "s.jsonl:2", "\"right\"");
    assert_refused(HEAD JOB(",\"metrics\":{\"m\":\"x\"}"), "s.jsonl:2", "\"m\"");
    assert_refused(HEAD JOB(",\"settings\":{\"m\":1}"), "s.jsonl:2", "\"m\"");
    assert_refused(HEAD JOB(",\"reason\":5"), "s.jsonl:2", "\"reason\" is not a text");
    assert_refused(HEAD JOB(",\"threads\":3"), "s.jsonl:2", "not in the plan");
    assert_refused(HEAD "{\"record\":\"job\",\"index\":1,\"run\":2,\"task\":\"train\","
                        "\"engine\":\"a\",\"track\":\"controlled\",\"state\":\"ok\"}\n",
                   "s.jsonl:2", "\"run\"");
    assert_refused(HEAD "{\"record\":\"job\",\"index\":1,\"run\":0,\"task\":\"train\","
                        "\"engine\":\"a\",\"track\":\"controlled\",\"state\":\"fine\"}\n",
                   "s.jsonl:2", "\"state\"");
    assert_refused(HEAD JOB("") "{\"record\":\"job\",\"index\":2,\"run\":0,\"task\":\"train\","
                                "\"engine\":\"a\",\"track\":\"controlled\",\"state\":\"ok\"}\n",
                   "s.jsonl:3", "before");
}

static void test_accepted_lines(void **state) {
    (void)state;
    struct tare_summary s;
    struct tare_err err;
    assert_int_equal(
        parse(&s, HEAD "{\"record\":\"weather\",\"sun\":1}\n" JOB(",\"later\":[]"), &err),
        TARE_OK); /* unknown records and keys are a newer tare's */
    assert_int_equal(s.rows[0].runs_done, 1);
    assert_int_equal(s.rows[0].stats[TARE_TRAIN_S].n, 0); /* no phases: no time, not 0 s */
    assert_true(isnan(s.rows[0].stats[TARE_TRAIN_S].median));
    tare_summary_free(&s);

    assert_int_equal(parse(&s,
                           HEAD JOB(",\"metrics\":{\"a\":null,\"b\":-2},"
                                    "\"epochs\":[{\"loss\":null,\"wall_ns\":1}],"
                                    "\"phases\":[{\"name\":\"train\",\"wall_ns\":1000000000},"
                                    "{\"name\":\"train\",\"wall_ns\":500000000}]"),
                           &err),
                     TARE_OK);
    assert_int_equal(s.rows[0].metric_count, 1); /* null stands for NaN: not a number to show */
    assert_true(s.rows[0].metrics[0].stat.median == -2);
    assert_true(s.rows[0].stats[TARE_TRAIN_S].median == 1.5); /* phases of one name add up */
    tare_summary_free(&s);

    assert_int_equal(parse(&s, HEAD JOB("") "{\"record\":\"job\",\"ind\n", &err), TARE_OK);
    assert_int_equal(s.torn_line, 3); /* cut short, and a newline after it */
    tare_summary_free(&s);
    assert_int_equal(parse(&s, HEAD, &err), TARE_OK); /* interrupted before the first job */
    assert_int_equal(s.rows[0].state, TARE_STATE_FAILED);
    assert_non_null(strstr(s.rows[0].reason, "not run"));
    assert_false(s.complete);
    tare_summary_free(&s);
}

/* ---- right on the same images? ----------------------------------------------------------------
 */

/* A training job that took `seconds` and got those of 12 images right: 12 bits in base64. */
static void add_job(struct tare_buf *text, size_t index, int run, const char *engine,
                    const char *track, int seconds, int correct, const char *right) {
    tare_buf_printf(text,
                    "{\"record\":\"job\",\"index\":%zu,\"run\":%d,\"task\":\"train\",\"engine\":"
                    "\"%s\",\"track\":\"%s\",\"state\":\"ok\",\"phases\":[{\"name\":\"train\","
                    "\"wall_ns\":%d000000000}],\"accuracy\":{\"correct\":%d,\"total\":12}%s%s%s}\n",
                    index, run, engine, track, seconds, correct, right ? ",\"right\":\"" : "",
                    right ? right : "", right ? "\"" : "");
}

static void add_certificate(struct tare_buf *text, const char *engine) {
    tare_buf_printf(text,
                    "{\"record\":\"certificate\",\"engine\":\"%s\",\"state\":\"ok\","
                    "\"max_ratio\":1.5}\n",
                    engine);
}

static void assert_disagreement(const struct tare_summary *s, size_t i,
                                const struct tare_disagreement *want) {
    const struct tare_disagreement *got = &s->disagreements[i];
    assert_true(got->a == want->a && got->b == want->b && got->run == want->run);
    assert_int_equal(got->total, 12);
    assert_true(got->only_a == want->only_a && got->only_b == want->only_b);
    assert_true(fabs(got->p - want->p) < 1e-12);
    assert_int_equal(got->apart, want->apart);
    assert_int_equal(got->of_frameworks, want->of_frameworks);
}

static void test_disagreements(void **state) {
    (void)state;
    static const char all[] = "/w8=", six[] = "Dww=", other_six[] = "8AM=", eleven[] = "/ws=";
    struct tare_buf text = {0};
    struct tare_summary s;
    struct tare_err err;
    tare_buf_puts(&text, "{\"record\":\"experiment\",\"format\":\"tare-samples/1\","
                         "\"dataset\":{\"name\":\"x\",\"title\":\"X\",\"train\":9,\"test\":12},"
                         "\"plan\":{\"model\":\"784 dense:10\",\"epochs\":1,\"batch\":3,\"runs\":2,"
                         "\"threads\":2,\"cells\":[");
    const char *const engines[] = {"libtorch", "pytorch", "tensorflow", "native"};
    for (size_t i = 0; i < 4; i++)
        tare_buf_printf(&text, "{\"engine\":\"%s\",\"track\":\"controlled\"},", engines[i]);
    tare_buf_puts(&text, "{\"engine\":\"keras\",\"track\":\"tutorial\"}]}}\n");
    add_job(&text, 0, 0, "libtorch", "controlled", 1, 6, NULL);
    add_job(&text, 1, 0, "pytorch", "controlled", 2, 6, six);
    add_job(&text, 2, 0, "tensorflow", "controlled", 3, 12, all);
    add_job(&text, 3, 0, "native", "controlled", 4, 12, all);
    add_job(&text, 4, 0, "keras", "tutorial", 5, 12, all);
    add_job(&text, 5, 1, "libtorch", "controlled", 1, 6, other_six);
    add_job(&text, 6, 1, "tensorflow", "controlled", 3, 11, eleven);
    for (size_t i = 0; i < 4; i++)
        add_certificate(&text, engines[i]);
    if (parse(&s, text.data, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    /* Keras, row 0, is alone on its track; LibTorch has bits in run 1 only, native in run 0. */
    assert_int_equal(s.disagreement_count, 4);
    assert_disagreement(&s, 0, &(struct tare_disagreement){1, 3, 1, 12, 0, 5, 0.0625, false, true});
    assert_disagreement(&s, 1,
                        &(struct tare_disagreement){2, 3, 0, 12, 0, 6, 0.03125, true, false});
    assert_disagreement(&s, 2,
                        &(struct tare_disagreement){2, 4, 0, 12, 0, 6, 0.03125, true, false});
    assert_disagreement(&s, 3, &(struct tare_disagreement){3, 4, 0, 12, 0, 0, 1, false, false});
    tare_summary_free(&s);
    tare_buf_free(&text);
}

/* ---- properties -------------------------------------------------------------------------------
 */

static void assert_same_stat(struct tare_stat a, struct tare_stat b) {
    assert_int_equal(a.n, b.n);
    if (a.n > 0)
        assert_true(a.median == b.median && a.lo == b.lo && a.hi == b.hi);
}

static void assert_same_summary(const struct tare_summary *a, const struct tare_summary *b) {
    assert_int_equal(a->row_count, b->row_count);
    for (size_t i = 0; i < a->row_count + a->harness_count; i++) {
        const struct tare_row *x = &a->rows[i], *y = &b->rows[i];
        assert_string_equal(x->engine, y->engine);
        assert_string_equal(x->reason, y->reason);
        assert_string_equal(x->dir, y->dir);
        assert_int_equal(x->rank, y->rank);
        assert_int_equal(x->correct, y->correct);
        for (size_t m = 0; m < TARE_MEASURE_COUNT; m++)
            assert_same_stat(x->stats[m], y->stats[m]);
        assert_int_equal(x->export_count, y->export_count);
        for (size_t e = 0; e < x->export_count; e++) {
            assert_string_equal(x->exports[e].path, y->exports[e].path);
            assert_int_equal(x->exports[e].check_count, y->exports[e].check_count);
            for (size_t c = 0; c < x->exports[e].check_count; c++)
                assert_same_stat(x->exports[e].checks[c].accuracy,
                                 y->exports[e].checks[c].accuracy);
        }
    }
    assert_int_equal(a->comparison_count, b->comparison_count);
    for (size_t i = 0; i < a->comparison_count; i++)
        assert_same_stat(a->comparisons[i].ratio, b->comparisons[i].ratio);
}

#define MAX_LINES 256

/* Whatever order the job lines stand in, the summary is the same. */
static void test_shuffled(void **state) {
    (void)state;
    const char *vectors[] = {"complete", "troubles"};
    for (size_t v = 0; v < 2; v++) {
        struct tare_buf text = {0};
        struct tare_summary straight;
        const char *lines[MAX_LINES];
        size_t sizes[MAX_LINES], count = 0;
        read_vector(&text, vectors[v]);
        summarise(&straight, vectors[v]);
        for (size_t at = 0; at < text.size; count++) {
            assert_true(count < MAX_LINES);
            lines[count] = text.data + at;
            sizes[count] = strcspn(text.data + at, "\n") + 1;
            at += sizes[count];
        }
        struct tare_rng rng;
        tare_rng_seed(&rng, 5, TARE_STREAM_TEST);
        for (int round = 0; round < 20; round++) {
            int32_t order[MAX_LINES];
            struct tare_buf shuffled = {0};
            struct tare_summary other;
            for (size_t i = 0; i < count; i++)
                order[i] = (int32_t)i;
            tare_rng_shuffle(&rng, order + 1, count - 1); /* the experiment stays first */
            for (size_t i = 0; i < count; i++)
                tare_buf_append(&shuffled, lines[order[i]], sizes[order[i]]);
            assert_int_equal(
                tare_summary_parse(&other, shuffled.data, shuffled.size, "shuffled", NULL),
                TARE_OK);
            assert_same_summary(&straight, &other);
            tare_summary_free(&other);
            tare_buf_free(&shuffled);
        }
        tare_summary_free(&straight);
        tare_buf_free(&text);
    }
}

/* Cut anywhere, or with any byte changed: a summary or an error, never a crash (ASan, UBSan). */
static void test_mutilated(void **state) {
    (void)state;
    struct tare_buf text = {0};
    struct tare_summary s;
    read_vector(&text, "quick");
    size_t accepted = 0;
    for (size_t size = 0; size < text.size; size += 7) {
        char *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, text.data, size);
        accepted += tare_summary_parse(&s, copy, size, "cut", NULL) == TARE_OK;
        tare_summary_free(&s);
        free(copy);
    }
    assert_true(accepted > text.size / 7 / 2); /* every cut after the first line is a torn line */
    struct tare_rng rng;
    tare_rng_seed(&rng, 9, TARE_STREAM_TEST);
    for (int round = 0; round < 3000; round++) {
        size_t at = (size_t)tare_rng_below(&rng, text.size);
        char old = text.data[at];
        text.data[at] = (char)tare_rng_below(&rng, 256);
        (void)tare_summary_parse(&s, text.data, text.size, "changed", NULL);
        tare_summary_free(&s);
        text.data[at] = old;
    }
    tare_buf_free(&text);
}

static void test_read_file(void **state) {
    (void)state;
    struct tare_summary s;
    struct tare_err err = {0};
    assert_int_equal(tare_summary_read(&s, "tests/vectors/samples-complete.jsonl", &err), TARE_OK);
    assert_int_equal(s.row_count, 3);
    tare_summary_free(&s);
    assert_int_equal(tare_summary_read(&s, "tests/vectors/no-such-file", &err), TARE_IO);
    tare_summary_free(&s);
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(tare_engine_title("keras"), "Keras");
    assert_string_equal(tare_engine_title("pytorch"), "PyTorch");
    assert_string_equal(tare_engine_title("native"), "tare (native)");
    assert_string_equal(tare_engine_title("mine"), "mine");
    assert_string_equal(tare_engine_framework("keras"), "TensorFlow");
    assert_string_equal(tare_engine_framework("mine"), "mine");
    assert_int_equal(tare_engine_origin("mine"), TARE_ORIGIN_LIVE);
    assert_int_equal(tare_engine_origin("null"), TARE_ORIGIN_HARNESS);
    assert_string_equal(tare_origin_name(TARE_ORIGIN_QUOTED), "quoted");
    assert_string_equal(tare_track_name(TARE_TRACK_DEPLOYMENT), "deployment");
    assert_string_equal(tare_measure_name(TARE_INFER_10000_S), "infer_10000_s");
}

static void assert_comparison(const struct tare_comparison *c, enum tare_comparison_kind kind,
                              size_t fast, size_t slow, double ratio) {
    assert_int_equal(c->kind, kind);
    assert_int_equal(c->measure, TARE_TRAIN_S);
    assert_true(c->fast == fast && c->slow == slow && c->apart);
    assert_true(fabs(c->ratio.median - ratio) < 0.01);
}

/* Each framework speaks by the certified row that trained fastest: TensorFlow by xla-epoch, PyTorch
 * by LibTorch; not by JAX and tare's engine, which weren't the same work. */
static void test_best(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "controlled");
    const bool best[] = {true, true, true, false, true, false, false, false};
    for (size_t i = 0; i < s.row_count; i++) {
        if (s.rows[i].best != best[i])
            fail_msg("row %zu, %s", i, s.rows[i].engine);
        assert_false(s.rows[i].same_but_threads);
    }
    const struct tare_comparison *last = &s.comparisons[s.comparison_count - 3];
    assert_comparison(&last[0], TARE_COMPARE_TAUGHT, 2, 0, 12.80); /* 21.2 s of fit, 1.1 + 0.57 s */
    assert_comparison(&last[1], TARE_COMPARE_TAUGHT, 4, 1, 11.07);
    assert_comparison(&last[2], TARE_COMPARE_BEST, 2, 4, 1.52);
    for (size_t i = 0; i + 3 < s.comparison_count; i++)
        assert_int_equal(s.comparisons[i].kind, TARE_COMPARE_FASTEST);
    tare_summary_free(&s);
}

/* Everything twice: the second is compared with the first and with nobody else, and has no rank. */
static void test_again(void **state) {
    (void)state;
    struct tare_buf text = {0};
    struct tare_summary s;
    struct tare_err err;
    tare_buf_puts(&text, "{\"record\":\"experiment\",\"format\":\"tare-samples/1\","
                         "\"dataset\":{\"name\":\"x\",\"title\":\"X\",\"train\":9,\"test\":12},"
                         "\"plan\":{\"model\":\"784 dense:10\",\"epochs\":1,\"batch\":3,\"runs\":6,"
                         "\"threads\":2,\"cells\":[{\"engine\":\"jax\",\"track\":\"controlled\"},"
                         "{\"engine\":\"jax\",\"track\":\"controlled\",\"again\":true}]}}\n");
    add_certificate(&text, "jax");
    for (size_t run = 0; run < 6; run++)
        for (size_t again = 0; again < 2; again++)
            tare_buf_printf(&text,
                            "{\"record\":\"job\",\"index\":%zu,\"run\":%zu,\"task\":\"train\","
                            "\"engine\":\"jax\",\"track\":\"controlled\",\"again\":%s,\"state\":"
                            "\"ok\",\"phases\":[{\"name\":\"train\",\"wall_ns\":%zu}]}\n",
                            2 * run + again, run, again ? "true" : "false",
                            1000 + (again ? (run + 3) % 6 : run));
    if (parse(&s, text.data, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    assert_int_equal(s.row_count, 2);
    assert_true(s.rows[0].best && !s.rows[1].best && s.rows[1].again);
    assert_string_equal(s.rows[1].certificate, "ok");
    assert_string_equal(s.rows[1].unranked, "the row before it a second time");
    assert_int_equal(s.comparison_count, 1);
    assert_int_equal(s.comparisons[0].kind, TARE_COMPARE_AGAIN);
    assert_false(s.comparisons[0].apart);
    tare_summary_free(&s);
    tare_buf_free(&text);
}

/* Who is certified may rank; who isn't is told why; the last certificate of a cell is the one that
 * holds. */
static void test_certificates(void **state) {
    (void)state;
    struct tare_summary s;
    summarise(&s, "controlled");
    assert_int_equal(s.row_count, 8); /* two tutorials first */
    assert_true(s.complete);
    const struct tare_row *epoch = &s.rows[2], *step = &s.rows[3], *libtorch = &s.rows[4];
    const struct tare_row *jax = &s.rows[5], *keras = &s.rows[6], *native = &s.rows[7];
    assert_string_equal(epoch->certificate, "ok");
    assert_true(epoch->certificate_ratio == 2.5);
    assert_string_equal(epoch->certificate_where, "weights after step 100");
    assert_int_equal(epoch->rank, 1);
    assert_int_equal(step->rank, 2);
    assert_int_equal(libtorch->rank, 2); /* can't be told from the step variant */
    assert_int_equal(jax->state, TARE_STATE_NOT_SAME_WORK);
    assert_non_null(strstr(jax->reason, "weights after step 1, 0.weight"));
    assert_int_equal(jax->rank, 0);
    assert_string_equal(keras->certificate, "not-checked");
    assert_int_equal(keras->state, TARE_STATE_SKIPPED);
    assert_string_equal(keras->fix, "make engines");
    assert_int_equal(native->state, TARE_STATE_NOT_SAME_WORK); /* measured, and overturned after */
    assert_int_equal(native->stats[TARE_TRAIN_S].n, 6);
    assert_int_equal(native->rank, 0);
    assert_int_equal(tare_summary_failures(&s), 3);
    tare_summary_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete),      cmocka_unit_test(test_ranking),
        cmocka_unit_test(test_exports),       cmocka_unit_test(test_deployment),
        cmocka_unit_test(test_environments),  cmocka_unit_test(test_troubles),
        cmocka_unit_test(test_interrupted),   cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_best),          cmocka_unit_test(test_again),
        cmocka_unit_test(test_wrong_lines),   cmocka_unit_test(test_accepted_lines),
        cmocka_unit_test(test_shuffled),      cmocka_unit_test(test_mutilated),
        cmocka_unit_test(test_read_file),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_disagreements),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
