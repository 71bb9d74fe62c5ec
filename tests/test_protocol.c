/* test_protocol.c: jobs and events as lines of JSON: round trips, hostile lines, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tare/protocol.h"

static enum tare_status parse(struct tare_event *event, const char *line) {
    return tare_event_parse(event, line, strlen(line), NULL);
}

static void every_event_is_read(void **state) {
    (void)state;
    struct tare_event e;
    assert_int_equal(parse(&e,
                           "{\"event\":\"hello\",\"abi\":1,\"engine\":\"x\",\"version\":\"2.1\","
                           "\"variant\":\"v\",\"tasks\":[\"train\"],\"new\":{}}"),
                     TARE_OK);
    assert_int_equal(e.kind, TARE_EVENT_HELLO);
    assert_int_equal(e.abi, 1);
    assert_string_equal(e.name, "x");
    assert_string_equal(e.text, "2.1");
    assert_string_equal(e.extra, "v");
    assert_int_equal(parse(&e, "{\"event\":\"phase\",\"name\":\"train\",\"wall_ns\":123}"),
                     TARE_OK);
    assert_int_equal(e.wall_ns, 123);
    assert_int_equal(parse(&e, "{\"event\":\"epoch\",\"i\":4,\"loss\":0.25,\"wall_ns\":9}"),
                     TARE_OK);
    assert_int_equal(e.index, 4);
    assert_true(e.value == 0.25);
    assert_int_equal(parse(&e, "{\"event\":\"epoch\",\"i\":4,\"loss\":null,\"wall_ns\":9}"),
                     TARE_OK);
    assert_true(isnan(e.value));
    assert_int_equal(parse(&e, "{\"event\":\"sample\",\"call\":\"f(x)\",\"batch\":10,\"loops\":2,"
                               "\"wall_ns\":5,\"first\":true}"),
                     TARE_OK);
    assert_true(e.first);
    assert_int_equal(e.batch, 10);
    assert_int_equal(e.loops, 2);
    assert_int_equal(parse(&e, "{\"event\":\"skip\",\"reason\":\"no\",\"fix\":\"do\"}"), TARE_OK);
    assert_string_equal(e.extra, "do");
    assert_int_equal(
        parse(&e, "{\"event\":\"export\",\"format\":\"onnx\",\"path\":\"/m\",\"wall_ns\":1}"),
        TARE_OK);
    assert_string_equal(e.text, ""); /* the engine itself */
    assert_int_equal(
        parse(&e, "{\"event\":\"export\",\"format\":\"onnx\",\"path\":\"/m\",\"wall_ns\":1,"
                  "\"exporter\":\"mine\"}"),
        TARE_OK);
    assert_string_equal(e.text, "mine");
    assert_int_equal(parse(&e, "{\"event\":\"bye\"}"), TARE_OK);
    assert_int_equal(parse(&e, "{\"event\":\"of another version\"}"), TARE_OK);
    assert_int_equal(e.kind, TARE_EVENT_UNKNOWN);
}

static void wrong_events_are_refused(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",
        " ",
        "{",
        "[]",
        "null",
        "1",
        "\"hello\"",
        "{}",
        "{\"event\":1}",
        "{\"event\":null}",
        "{\"event\":\"phase\"}",
        "{\"event\":\"phase\",\"name\":\"\",\"wall_ns\":1}",
        "{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":-1}",
        "{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":1.5}",
        "{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":\"1\"}",
        "{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":99999999999999999999}",
        "{\"event\":\"phase\",\"name\":7,\"wall_ns\":1}",
        "{\"event\":\"epoch\",\"i\":0,\"loss\":NaN,\"wall_ns\":1}",
        "{\"event\":\"sample\",\"batch\":0,\"loops\":1,\"wall_ns\":1}",
        "{\"event\":\"sample\",\"batch\":1,\"wall_ns\":1}",
        "{\"event\":\"hello\",\"abi\":\"1\"}",
        "{\"event\":\"bye\"} trailing",
        "{\"event\":\"bye\",\"event\":\"bye\"}",
        "{\"event\":\"b\\u0000ye\"}",
        "{\"event\":\"setting\",\"name\":\"\xc3\x28\",\"value\":\"\"}"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct tare_event e;
        struct tare_err err = {0};
        if (tare_event_parse(&e, lines[i], strlen(lines[i]), &err) != TARE_DATA || !err.what[0])
            fail_msg("accepted: %s", lines[i]);
    }
}

static void lines_have_a_limit(void **state) {
    (void)state;
    size_t size = TARE_MAX_LINE_BYTES;
    char *line = malloc(size + 2);
    struct tare_event e;
    assert_non_null(line);
    memset(line, ' ', size + 1);
    memcpy(line, "{\"event\":\"bye\"}", 15);
    assert_int_equal(tare_event_parse(&e, line, size, NULL), TARE_OK);
    assert_int_equal(tare_event_parse(&e, line, size + 1, NULL), TARE_DATA);
    free(line);
    char *deep = malloc(60000);
    assert_non_null(deep);
    memset(deep, '[', 60000);
    assert_int_equal(tare_event_parse(&e, deep, 60000, NULL), TARE_DATA);
    free(deep);
}

static void long_texts_are_cut_and_paths_are_not(void **state) {
    (void)state;
    char line[4096], text[3000];
    struct tare_event e;
    memset(text, 'y', sizeof text);
    text[sizeof text - 1] = '\0';
    snprintf(line, sizeof line, "{\"event\":\"skip\",\"reason\":\"%s\"}", text);
    assert_int_equal(parse(&e, line), TARE_OK);
    assert_int_equal(strlen(e.text), TARE_MAX_TEXT - 1);
    snprintf(line, sizeof line,
             "{\"event\":\"export\",\"format\":\"onnx\",\"path\":\"%s\",\"wall_ns\":1}", text);
    assert_int_equal(parse(&e, line), TARE_DATA);
    struct tare_job job;
    snprintf(line, sizeof line, "{\"abi\":1,\"images\":\"%s\"}", text);
    assert_int_equal(tare_job_parse(&job, line, strlen(line), NULL), TARE_DATA);
}

static void a_job_survives_the_round_trip(void **state) {
    (void)state;
    static struct tare_job job, again;
    tare_job_defaults(&job);
    strcpy(job.model, "784 dense:64:relu dense:10");
    strcpy(job.images, "/a \"quoted\" path/\xc3\xa4.npy");
    strcpy(job.optimizer, "momentum");
    strcpy(job.schedule, "linear");
    job.lr = 0.1; /* not exact in binary: the text must carry all digits */
    job.epsilon = 1e-8;
    job.seed = 4711;
    job.batch = 77;
    job.threads = 3;
    job.steps = 9375;
    strcpy(job.latencies, "/queries.npy");
    strcpy(job.scratch, "/tmp/x");
    job.queries = TARE_MAX_QUERIES;
    job.batch_count = TARE_MAX_BATCHES;
    for (size_t i = 0; i < TARE_MAX_BATCHES; i++)
        job.batches[i] = i % 2 ? 1 : TARE_MAX_BATCH;
    char *line = NULL;
    assert_int_equal(tare_job_text(&line, &job, NULL), TARE_OK);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_null(memchr(line, '\n', strlen(line) - 1));
    assert_int_equal(tare_job_parse(&again, line, strlen(line), NULL), TARE_OK);
    assert_memory_equal(&job, &again, sizeof job);
    free(line);
}

static void wrong_jobs_are_refused(void **state) {
    (void)state;
    static const char *const lines[] = {"",
                                        "x",
                                        "[]",
                                        "{\"abi\":2}",
                                        "{\"abi\":1,\"batch\":0}",
                                        "{\"abi\":1,\"batch\":-1}",
                                        "{\"abi\":1,\"threads\":0}",
                                        "{\"abi\":1,\"optimizer\":3}",
                                        "{\"abi\":1,\"model\":[]}",
                                        "{\"abi\":1,\"optimizer\":{\"lr\":\"x\"}}",
                                        "{\"abi\":1,\"seed\":-4}",
                                        "{\"abi\":1,\"queries\":-1}",
                                        "{\"abi\":1,\"queries\":1000001}",
                                        "{\"abi\":1,\"queries\":\"7\"}",
                                        "{\"abi\":1,\"latencies\":7}",
                                        "{\"abi\":1,\"batches\":8}",
                                        "{\"abi\":1,\"batches\":{\"a\":8}}",
                                        "{\"abi\":1,\"batches\":[0]}",
                                        "{\"abi\":1,\"batches\":[-8]}",
                                        "{\"abi\":1,\"batches\":[8,1.5]}",
                                        "{\"abi\":1,\"batches\":[65537]}",
                                        "{\"abi\":1,\"batches\":[99999999999999999999]}",
                                        "{\"abi\":1,\"batches\":[1,2,3,4,5,6,7,8,9,10,11,12,"
                                        "13,14,15,16,17]}"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        static struct tare_job job;
        if (tare_job_parse(&job, lines[i], strlen(lines[i]), NULL) != TARE_DATA)
            fail_msg("accepted: %s", lines[i]);
    }
}

static void events_of_any_truncation_do_no_harm(void **state) {
    (void)state;
    static const char line[] = "{\"event\":\"sample\",\"call\":\"f\",\"batch\":10,\"loops\":2,"
                               "\"wall_ns\":5,\"first\":true}";
    for (size_t size = 0; size < sizeof line - 1; size++) {
        struct tare_event e;
        char *copy = malloc(size + 1); /* an exact allocation: reading past it is seen */
        assert_non_null(copy);
        memcpy(copy, line, size);
        assert_int_equal(tare_event_parse(&e, copy, size, NULL), TARE_DATA);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_read),
        cmocka_unit_test(wrong_events_are_refused),
        cmocka_unit_test(lines_have_a_limit),
        cmocka_unit_test(long_texts_are_cut_and_paths_are_not),
        cmocka_unit_test(a_job_survives_the_round_trip),
        cmocka_unit_test(wrong_jobs_are_refused),
        cmocka_unit_test(events_of_any_truncation_do_no_harm),
    };
    return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
