/* test_read_job.c: the samples of a job, grouped by call: against the obvious way, and as many as a
 * job may have. The rest of a record of a job: test_summary.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "lab/read_samples.h"
#include "tare/rng.h"
#include "tare/stats.h"

#define MOST 40

static const char *const calls[] = {"predict", "model(x)", "a"};

static json_t *job_with(json_t *samples) {
    return json_pack("{s:s,s:i,s:i,s:s,s:s,s:s,s:s,s:o}", "record", "job", "index", 1, "run", 0,
                     "task", "train", "engine", "e", "track", "tutorial", "state", "ok", "samples",
                     samples);
}

static void read_job(struct tare_samples *samples, struct tare_job_record *job, json_t *json) {
    struct tare_err err = {0};
    *samples = (struct tare_samples){.experiment.plan.runs = 1};
    if (tare_samples_read_job(samples, job, json, 1, "s", &err) != TARE_OK)
        fail_msg("%s", err.what);
    json_decref(json);
}

static void calls_are_grouped_as_they_come(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 3, TARE_STREAM_TEST);
    for (int round = 0; round < 300; round++) {
        struct {
            size_t call, batch;
            bool first, told;
            double seconds;
        } given[MOST];
        size_t count = (size_t)tare_rng_below(&rng, MOST + 1), groups = 0;
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++) {
            int ns = 1 + (int)tare_rng_below(&rng, 9);
            given[i].call = (size_t)tare_rng_below(&rng, 3);
            given[i].batch = 1 + (size_t)tare_rng_below(&rng, 2);
            given[i].first = tare_rng_below(&rng, 2) == 0;
            given[i].told = false;
            given[i].seconds = ns / 1e9;
            json_array_append_new(list, json_pack("{s:s,s:i,s:b,s:i}", "call", calls[given[i].call],
                                                  "batch", (int)given[i].batch, "first",
                                                  (int)given[i].first, "wall_ns", ns));
        }
        struct tare_samples samples;
        struct tare_job_record job;
        read_job(&samples, &job, job_with(list));
        for (size_t i = 0; i < count; i++) {
            double seconds[MOST];
            size_t n = 0;
            if (given[i].told)
                continue;
            for (size_t j = i; j < count; j++)
                if (given[j].call == given[i].call && given[j].batch == given[i].batch &&
                    given[j].first == given[i].first) {
                    given[j].told = true;
                    seconds[n++] = given[j].seconds;
                }
            assert_true(groups < job.call_count);
            const struct tare_call_value *call = &job.calls[groups++];
            assert_string_equal(call->call, calls[given[i].call]);
            assert_true(call->batch == given[i].batch && call->first == given[i].first);
            assert_true(call->seconds == tare_quantile(seconds, n, 0.5));
        }
        assert_int_equal(job.call_count, groups);
        tare_memory_free(&samples.memory);
    }
}

static void as_many_as_there_may_be_are_read(void **state) {
    (void)state;
    json_t *list = json_array();
    for (int i = 0; i < TARE_MAX_EVENTS; i++)
        json_array_append_new(list, json_pack("{s:i,s:i}", "batch", 1, "wall_ns", i));
    struct tare_samples samples;
    struct tare_job_record job;
    read_job(&samples, &job, job_with(list));
    assert_int_equal(job.call_count, 1);
    assert_true(job.calls[0].seconds > 0);
    tare_memory_free(&samples.memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_grouped_as_they_come),
        cmocka_unit_test(as_many_as_there_may_be_are_read),
    };
    return cmocka_run_group_tests_name("read_job", tests, NULL, NULL);
}
