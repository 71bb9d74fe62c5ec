/* test_conformance.c: what every engine must keep, in C or Python (doc/protocol.md). Engines are
 * named on the command line; without names, the ones that need no framework are tested.
 *
 *     TARE_ENGINE_PATH=build build/san/test_conformance keras pytorch
 *
 * Run from the root of the checkout: the runtimes get models out of tests/vectors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "small_set.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/latency.h"
#include "tare/safetensors.h"
#include "temporary.h"

#define SIDE 8
#define CLASSES 4
#define TEST_IMAGES 100

static struct tare_dataset set;
static struct tare_plan plan;
static char *dir, *prepared, *program;
static const char *engine;
static bool trains; /* not a pure inference engine */
static const char *track;

static void in_dir(char out[TARE_MAX_PATH], const char *base, const char *file) {
    assert_true(snprintf(out, TARE_MAX_PATH, "%s/%s", base, file) < TARE_MAX_PATH);
}

static void fresh_job(struct tare_job *job, const char *task) {
    tare_job_defaults(job);
    snprintf(job->task, sizeof job->task, "%s", task);
    snprintf(job->track, sizeof job->track, "%s", track);
    snprintf(job->model, sizeof job->model, "%s", plan.model);
    job->epochs = plan.epochs;
    job->batch = plan.batch;
    job->threads = 1;
    job->seed = 1;
    job->infer_loops = 2;
    in_dir(job->images, prepared, "train_images.npy");
    in_dir(job->labels, prepared, "train_labels.npy");
    in_dir(job->test_images, prepared, "test_images.npy");
    in_dir(job->init, dir, "init.safetensors");
    in_dir(job->order, dir, "order.npy");
    in_dir(job->out, dir, "weights.safetensors");
    in_dir(job->logits, dir, "logits.npy");
    snprintf(job->data_dir, TARE_MAX_PATH, "%s", prepared);
    unlink(job->out);
    unlink(job->logits);
}

static void launch_once(struct tare_outcome *outcome, const struct tare_job *job,
                        const char *raw_line) {
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    in_dir(job_path, dir, "job.json");
    in_dir(log_path, dir, "stderr.log");
    struct tare_launch how = {.program = program,
                              .engine = engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = 1,
                              .timeout_s = 300};
    struct tare_err err = {0};
    if (raw_line) {
        assert_int_equal(tare_file_write(job_path, raw_line, strlen(raw_line), &err), TARE_OK);
        assert_int_equal(tare_supervise(outcome, &how, &err), TARE_OK);
    } else
        assert_int_equal(tare_launch_job(outcome, &how, job, &err), TARE_OK);
}

/* An engine whose clocks lie is void every time; an honest one can be, once, on a busy machine. */
static void launch(struct tare_outcome *outcome, const struct tare_job *job, const char *raw_line) {
    launch_once(outcome, job, raw_line);
    for (int again = 0; again < 2 && outcome->state == TARE_STATE_VOID; again++) {
        print_message("%s: %s; once more\n", engine, outcome->reason);
        tare_outcome_free(outcome);
        launch_once(outcome, job, raw_line);
    }
}

static void must_be_ok(const struct tare_outcome *outcome) {
    if (outcome->state != TARE_STATE_OK)
        fail_msg("%s: %s: %s", engine, tare_state_name(outcome->state), outcome->reason);
}

static bool has_phase(const struct tare_outcome *outcome, const char *name) {
    return tare_outcome_phase_ns(outcome, name) > 0;
}

static void warming_up_imports_and_leaves(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_outcome outcome;
    fresh_job(&job, "warmup");
    launch(&outcome, &job, NULL);
    must_be_ok(&outcome);
    assert_true(has_phase(&outcome, "import"));
    assert_false(has_phase(&outcome, "train"));
    assert_true(outcome.version[0] != '\0');
    tare_outcome_free(&outcome);
}

/* The whole job: events in order, phases that add up (the supervisor judges that), weights and
 * logits of the right shape, finite, and better than guessing. */
static void training_gives_weights_and_logits(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_outcome outcome;
    struct tare_tensors tensors = {0};
    struct tare_array logits = {0};
    struct tare_grade grade;
    struct tare_err err = {0};
    fresh_job(&job, "train");
    launch(&outcome, &job, NULL);
    must_be_ok(&outcome);
    assert_true(has_phase(&outcome, "import") && has_phase(&outcome, "load") &&
                has_phase(&outcome, "build") && has_phase(&outcome, "train") &&
                has_phase(&outcome, "infer"));
    if (strcmp(track, "controlled") == 0)
        assert_true(has_phase(&outcome, "first_step"));
    assert_int_equal(outcome.events[0].kind, TARE_EVENT_HELLO);
    assert_int_equal(outcome.events[outcome.event_count - 1].kind, TARE_EVENT_BYE);
    float *params = calloc(plan.net.param_count, sizeof *params);
    assert_non_null(params);
    if (tare_safetensors_read(&tensors, job.out, &err) != TARE_OK ||
        tare_net_from_tensors(params, &plan.net, &tensors, job.out, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    if (strcmp(track, "controlled") == 0 || strcmp(engine, "null") == 0)
        assert_string_equal(tare_tensors_metadata(&tensors, "model"), plan.model);
    if (tare_npy_read(&logits, job.logits, &err) != TARE_OK ||
        tare_grade_logits(&grade, &logits, &set.test_labels, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    assert_int_equal(logits.shape[0], TEST_IMAGES);
    assert_int_equal(logits.shape[1], CLASSES);
    assert_true(grade.finite);
    if (strcmp(engine, "null") != 0)
        assert_true(grade.correct > 80); /* bands of light; guessing gets 25 */
    free(params);
    tare_array_free(&logits);
    tare_tensors_free(&tensors);
    tare_outcome_free(&outcome);
}

static void inference_is_timed_as_asked(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_outcome outcome;
    fresh_job(&job, "train");
    launch(&outcome, &job, NULL);
    must_be_ok(&outcome);
    bool first = false, all = false, one = false;
    for (size_t i = 0; i < outcome.event_count; i++) {
        const struct tare_event *e = &outcome.events[i];
        if (e->kind != TARE_EVENT_SAMPLE)
            continue;
        assert_true(e->wall_ns > 0 && e->extra[0]);
        first = first || e->first;
        all = all || (!e->first && e->batch == TEST_IMAGES);
        one = one || (!e->first && e->batch == 1);
    }
    assert_true(first && all && one);
    tare_outcome_free(&outcome);
}

/* A job that infers and doesn't train: from weights, or for a runtime from a model file. */
static void fresh_infer_job(struct tare_job *job) {
    fresh_job(job, "infer");
    snprintf(job->track, sizeof job->track, "controlled");
    job->infer_loops = 0;
    in_dir(job->latencies, dir, "latencies.npy");
    unlink(job->latencies);
    if (trains)
        return;
    char tests[TARE_MAX_PATH], model[64];
    job->model[0] = job->init[0] = '\0';
    assert_non_null(realpath("tests/vectors", tests));
    snprintf(model, sizeof model, "tiny.%s", strcmp(engine, "litert") == 0 ? "tflite" : "onnx");
    in_dir(job->model_file, tests, model);
    in_dir(job->test_images, tests, "tiny_images.npy");
}

static size_t image_count(const struct tare_job *job) {
    struct tare_array images;
    assert_int_equal(tare_npy_read(&images, job->test_images, NULL), TARE_OK);
    size_t count = images.shape[0];
    tare_array_free(&images);
    return count;
}

/* Samples of that many images a call; *loops: calls of the last. */
static size_t samples_of(const struct tare_outcome *outcome, size_t batch, bool first,
                         size_t *loops) {
    size_t count = 0;
    for (size_t i = 0; i < outcome->event_count; i++) {
        const struct tare_event *e = &outcome->events[i];
        if (e->kind != TARE_EVENT_SAMPLE || e->batch != batch || e->first != first)
            continue;
        assert_true(e->wall_ns > 0 && e->extra[0]);
        *loops = e->loops;
        count++;
    }
    return count;
}

static void queries_and_batches_are_timed(void **state) {
    (void)state;
    static const size_t batches[] = {1, 7, 32};
    static struct tare_job job;
    struct tare_outcome outcome;
    struct tare_array queries;
    struct tare_err err = {0};
    size_t loops = 0;
    fresh_infer_job(&job);
    job.queries = 50;
    job.batch_count = 3;
    memcpy(job.batches, batches, sizeof batches);
    launch(&outcome, &job, NULL);
    must_be_ok(&outcome);
    if (tare_latencies_read(&queries, job.latencies, 50, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    tare_array_free(&queries);
    assert_int_equal(samples_of(&outcome, image_count(&job), true, &loops), 1); /* the logits */
    assert_true(tare_path_exists(job.logits));
    assert_int_equal(samples_of(&outcome, 1, true, &loops), 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(samples_of(&outcome, batches[i], false, &loops), 1);
        assert_true(loops >= 3);
    }
    tare_outcome_free(&outcome);
}

/* Without logits nothing is inferred before the first query: its answer ends a cold start. */
static void without_logits_the_first_query_is_the_first(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_outcome outcome;
    size_t at = 0, loops = 0;
    fresh_infer_job(&job);
    job.logits[0] = '\0';
    job.queries = 1;
    launch(&outcome, &job, NULL);
    must_be_ok(&outcome);
    while (at < outcome.event_count && outcome.events[at].kind != TARE_EVENT_SAMPLE)
        at++;
    assert_true(at < outcome.event_count && outcome.events[at].first);
    assert_int_equal(outcome.events[at].batch, 1);
    assert_int_equal(samples_of(&outcome, 1, true, &loops), 1);
    assert_true(tare_path_exists(job.latencies));
    for (size_t i = 0; i < at; i++)
        assert_true(strcmp(outcome.events[i].name, "infer") != 0);
    tare_outcome_free(&outcome);
}

static void the_same_seed_gives_the_same_bits(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_buf weights[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct tare_outcome outcome;
        fresh_job(&job, "train");
        launch(&outcome, &job, NULL);
        must_be_ok(&outcome);
        assert_int_equal(tare_file_read(&weights[i], job.out, 1 << 20, NULL), TARE_OK);
        tare_outcome_free(&outcome);
    }
    assert_int_equal(weights[0].size, weights[1].size);
    assert_memory_equal(weights[0].data, weights[1].data, weights[0].size);
    tare_buf_free(&weights[0]);
    tare_buf_free(&weights[1]);
}

static void failures_are_said_aloud(const char *line) {
    struct tare_outcome outcome;
    launch(&outcome, NULL, line);
    if (outcome.state != TARE_STATE_FAILED || outcome.event_count < 2 ||
        outcome.events[outcome.event_count - 1].kind != TARE_EVENT_FAIL)
        fail_msg("%s, given \"%.60s\": %s: %s", engine, line, tare_state_name(outcome.state),
                 outcome.reason);
    tare_outcome_free(&outcome);
}

static void wrong_jobs_end_in_fail(void **state) {
    (void)state;
    failures_are_said_aloud("\n");
    failures_are_said_aloud("this is not a job\n");
    failures_are_said_aloud("{\"abi\":99,\"task\":\"warmup\"}\n");
    failures_are_said_aloud("{\"abi\":1,\"task\":\"dance\"}\n");
    failures_are_said_aloud("{\"abi\":1,\"task\":\"infer\",\"queries\":1000001}\n");
    failures_are_said_aloud("{\"abi\":1,\"task\":\"infer\",\"batches\":[8,0]}\n");
}

/* Whoever doesn't know a schedule must not train without it in silence. */
static void a_schedule_is_kept_or_refused(void **state) {
    (void)state;
    static struct tare_job job;
    struct tare_outcome outcome;
    fresh_job(&job, "train");
    snprintf(job.schedule, sizeof job.schedule, "linear");
    launch(&outcome, &job, NULL);
    const char *said = tare_outcome_setting(&outcome, "schedule");
    if (outcome.state == TARE_STATE_OK) {
        assert_non_null(said);
        assert_string_equal(said, "linear");
    } else
        assert_int_equal(outcome.events[outcome.event_count - 1].kind, TARE_EVENT_FAIL);
    tare_outcome_free(&outcome);
    char *line = NULL;
    snprintf(job.schedule, sizeof job.schedule, "sawtooth");
    assert_int_equal(tare_job_text(&line, &job, NULL), TARE_OK);
    failures_are_said_aloud(line);
    free(line);
}

static void missing_files_end_in_fail(void **state) {
    (void)state;
    static struct tare_job job;
    char *line = NULL;
    fresh_job(&job, trains ? "train" : "infer");
    in_dir(job.data_dir, dir, "nowhere");
    in_dir(job.images, dir, "nowhere.npy");
    in_dir(job.test_images, dir, "nowhere.npy");
    in_dir(job.model_file, dir, "nowhere.model");
    assert_int_equal(tare_job_text(&line, &job, NULL), TARE_OK);
    failures_are_said_aloud(line);
    free(line);
}

static void unknown_keys_are_ignored(void **state) {
    (void)state;
    struct tare_outcome outcome;
    launch(&outcome, NULL,
           "{\"abi\":1,\"task\":\"warmup\",\"threads\":1,\"batch\":1,"
           "\"from_the_future\":{\"a\":[1,2,3]}}\n");
    must_be_ok(&outcome);
    tare_outcome_free(&outcome);
}

static void help_is_given(void **state) {
    (void)state;
    struct tare_buf command = {0};
    tare_buf_printf(&command, "'%s' --help < /dev/null | grep '[Uu]sage' > /dev/null", program);
    assert_int_equal(system(command.data), 0);
    tare_buf_free(&command);
}

static int set_up(void **state) {
    (void)state;
    char init[TARE_MAX_PATH], order[TARE_MAX_PATH];
    struct tare_err err = {0};
    tare_plan_defaults(&plan);
    plan.epochs = 3;
    plan.batch = 16;
    in_dir(init, dir, "init.safetensors");
    in_dir(order, dir, "order.npy");
    if (tare_engine_find(&program, engine, &err) != TARE_OK ||
        tare_plan_model(&plan, NULL, &set, &err) != TARE_OK ||
        tare_plan_write_run(init, order, &plan, 0, 640, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        return -1;
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    free(program);
    program = NULL;
    return 0;
}

static int conform(const char *name) {
    const struct CMUnitTest every_engine[] = {
        cmocka_unit_test(warming_up_imports_and_leaves),
        cmocka_unit_test(wrong_jobs_end_in_fail),
        cmocka_unit_test(missing_files_end_in_fail),
        cmocka_unit_test(unknown_keys_are_ignored),
        cmocka_unit_test(help_is_given),
        cmocka_unit_test(queries_and_batches_are_timed),
        cmocka_unit_test(without_logits_the_first_query_is_the_first),
    };
    const struct CMUnitTest engines_that_train[] = {
        cmocka_unit_test(training_gives_weights_and_logits),
        cmocka_unit_test(inference_is_timed_as_asked),
        cmocka_unit_test(a_schedule_is_kept_or_refused),
        cmocka_unit_test(the_same_seed_gives_the_same_bits),
    };
    const struct tare_known_engine *known = tare_known_engine(name);
    engine = name;
    track = known && strcmp(known->track, "tutorial") == 0 ? "tutorial" : "controlled";
    trains = !known || strcmp(known->track, "deployment") != 0;
    int failed = cmocka_run_group_tests_name(name, every_engine, set_up, tear_down);
    if (trains)
        failed += cmocka_run_group_tests_name(name, engines_that_train, set_up, tear_down);
    return failed;
}

int main(int argc, char **argv) {
    struct tare_err err = {0};
    char *cache;
    int failed = 0;
    dir = temporary_make();
    cache = tare_path_join(dir, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    free(cache);
    if (small_set_make(&set, SIDE, CLASSES) != 0 ||
        tare_dataset_prepare(&prepared, &set, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        return 1;
    }
    for (int i = 1; i < argc; i++)
        failed += conform(argv[i]);
    if (argc < 2)
        failed = conform("null") + conform("native");
    tare_dataset_free(&set);
    free(prepared);
    temporary_remove(dir);
    return failed;
}
