/* harness.c: what tare itself costs, from the null engine, which does nothing: nanoseconds per call
 * of the training hook (ranges of one step), and milliseconds of a process from exec to bye.
 *
 *     make bench-harness
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/small_set.h"
#include "../tests/temporary.h"
#include "tare/lab.h"
#include "tare/stats.h"

#define REPEATS 21
#define EPOCHS 500 /* of 40 steps: 20,000 calls of the hook */

struct bench {
    struct tare_plan plan;
    struct tare_dataset set;
    char *dir, *prepared, *program;
    struct tare_job job;
};

static void stop_with(const struct tare_err *err) {
    tare_err_print(stderr, err);
    exit(tare_exit_code(err->status));
}

static void prepare(struct bench *b) {
    struct tare_err err = {0};
    tare_plan_defaults(&b->plan);
    b->plan.epochs = EPOCHS;
    b->plan.batch = 16;
    b->dir = temporary_make();
    setenv("XDG_CACHE_HOME", b->dir, 1);
    tare_job_defaults(&b->job);
    b->job.epochs = b->plan.epochs;
    b->job.batch = b->plan.batch;
    b->job.range = 1;
    snprintf(b->job.init, TARE_MAX_PATH, "%s/init.safetensors", b->dir);
    snprintf(b->job.order, TARE_MAX_PATH, "%s/order.npy", b->dir);
    if (small_set_make(&b->set, 28, 10) != 0 ||
        tare_engine_find(&b->program, "null", &err) != TARE_OK ||
        tare_dataset_prepare(&b->prepared, &b->set, &err) != TARE_OK ||
        tare_plan_model(&b->plan, NULL, &b->set, &err) != TARE_OK ||
        tare_plan_write_run(b->job.init, b->job.order, &b->plan, 0, 640, &err) != TARE_OK)
        stop_with(&err);
    snprintf(b->job.model, sizeof b->job.model, "%s", b->plan.model);
    snprintf(b->job.images, TARE_MAX_PATH, "%s/train_images.npy", b->prepared);
    snprintf(b->job.labels, TARE_MAX_PATH, "%s/train_labels.npy", b->prepared);
}

static void run(struct tare_outcome *outcome, struct bench *b, const char *task) {
    struct tare_err err = {0};
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    snprintf(job_path, sizeof job_path, "%s/job.json", b->dir);
    snprintf(log_path, sizeof log_path, "%s/log", b->dir);
    snprintf(b->job.task, sizeof b->job.task, "%s", task);
    struct tare_launch how = {.program = b->program,
                              .engine = "null",
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = 1,
                              .timeout_s = 60};
    enum tare_status status = tare_launch_job(outcome, &how, &b->job, &err);
    if (status == TARE_OK && outcome->state != TARE_STATE_OK)
        tare_fail(&err, TARE_FAILED, "null", NULL, "%s", outcome->reason);
    if (status != TARE_OK || outcome->state != TARE_STATE_OK)
        stop_with(&err);
}

static void print(const char *what, const double *values, const char *unit) {
    struct tare_stat s = tare_median_interval(values, REPEATS);
    printf("%-52s %9.3f %s  (%.3f … %.3f)\n", what, s.median, unit, s.lo, s.hi);
}

int main(void) {
    static struct bench b;
    static double call_us[REPEATS], process_ms[REPEATS], start_ms[REPEATS];
    prepare(&b);
    for (int i = 0; i < REPEATS; i++) {
        struct tare_outcome o;
        run(&o, &b, "train");
        int64_t train_ns =
            tare_outcome_phase_ns(&o, "first_step") + tare_outcome_phase_ns(&o, "train");
        call_us[i] = (double)train_ns * 1e-3 / (EPOCHS * 40);
        tare_outcome_free(&o);
        run(&o, &b, "warmup");
        process_ms[i] = (double)(o.bye_ns - o.exec_ns) * 1e-6;
        start_ms[i] = (double)tare_outcome_phase_ns(&o, "start") * 1e-6;
        tare_outcome_free(&o);
    }
    printf("null engine, %d repeats: median and 95 %% interval\n", REPEATS);
    print("one call of the training hook, ranges of one step", call_us, "us");
    print("a process, exec to bye, without data", process_ms, "ms");
    print("of that: exec to hello", start_ms, "ms");
    tare_dataset_free(&b.set);
    free(b.prepared);
    free(b.program);
    temporary_remove(b.dir);
    return 0;
}
