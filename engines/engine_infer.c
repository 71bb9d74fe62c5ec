/* engine_infer.c: how the inference of a C engine is measured: the whole test set, single queries,
 * batches. doc/protocol.md says what each part of a job asks for; tare_infer.py is the same in
 * Python. Part of engine_main.c's half of an engine.
 */
#include <stdlib.h>
#include <string.h>

#include "engine_parts.h"
#include "tare/array.h"
#include "tare/clock.h"

#define ONE_IMAGE_NS INT64_C(20000000) /* a measurement of single images lasts at least so long */
#define BATCH_NS INT64_C(50000000)     /* one of batches */
#define BATCH_CALLS 3                  /* and has as many calls */
#define WARM_UP_QUERIES 100

/* A model ready to run, and room for what it answers. */
struct meter {
    const struct tare_engine_ops *ops;
    void *state;
    const struct tare_work *work;
    float *scratch; /* logits that nobody reads, of the largest call */
};

/* x: (1, n_in) */
static const float *image_at(const struct tare_work *work, size_t i) {
    return work->test_images + i % work->n_test * work->n_in;
}

static enum tare_status one_image(const struct meter *m, const float *x, struct tare_err *err) {
    return m->ops->infer(m->state, m->scratch, x, 1, err);
}

static enum tare_status first_image(const struct meter *m, struct tare_err *err) {
    int64_t start_ns = tare_now_ns();
    enum tare_status status = one_image(m, m->work->test_images, err);
    if (status == TARE_OK)
        engine_emit_sample(1, 1, tare_now_ns() - start_ns, true);
    return status;
}

/* One image at a time: the number of calls doubles until they fill 20 ms, so that the clock's
 * resolution and cost don't matter, whatever the engine's speed. */
static enum tare_status time_one_image(const struct meter *m, struct tare_err *err) {
    enum tare_status status = first_image(m, err);
    for (size_t loops = 2; status == TARE_OK; loops *= 2) {
        int64_t start_ns = tare_now_ns();
        for (size_t i = 0; i < loops && status == TARE_OK; i++)
            status = one_image(m, image_at(m->work, i), err);
        int64_t wall_ns = tare_now_ns() - start_ns;
        if (status == TARE_OK && wall_ns >= ONE_IMAGE_NS) {
            engine_emit_sample(1, loops, wall_ns, false);
            break;
        }
    }
    return status;
}

/* logits by one call on all test images, and that call again as often as the job says. */
static enum tare_status time_all(const struct meter *m, float *logits, struct tare_err *err) {
    const struct tare_work *work = m->work;
    enum tare_status status = TARE_OK;
    for (size_t loop = 0; loop <= work->job.infer_loops && status == TARE_OK; loop++) {
        int64_t start_ns = tare_now_ns();
        status = m->ops->infer(m->state, loop == 0 ? logits : m->scratch, work->test_images,
                               work->n_test, err);
        if (status == TARE_OK)
            engine_emit_sample(work->n_test, 1, tare_now_ns() - start_ns, loop == 0);
    }
    if (status == TARE_OK && work->job.infer_loops > 0)
        status = time_one_image(m, err);
    return status;
}

/* Each query between two readings of the clock, which cost it some 50 ns. */
static enum tare_status time_queries(const struct meter *m, struct tare_err *err) {
    const struct tare_job *job = &m->work->job;
    size_t warm_up = job->queries < WARM_UP_QUERIES ? job->queries : WARM_UP_QUERIES;
    struct tare_array queries = {0};
    enum tare_status status = tare_array_make(&queries, TARE_I32, 1, &job->queries, err);
    int32_t *query_ns = queries.data;
    if (status == TARE_OK)
        status = first_image(m, err);
    for (size_t i = 0; i < warm_up && status == TARE_OK; i++)
        status = one_image(m, image_at(m->work, i), err);
    for (size_t i = 0; i < job->queries && status == TARE_OK; i++) {
        const float *x = image_at(m->work, i);
        int64_t start_ns = tare_now_ns();
        status = one_image(m, x, err);
        int64_t wall_ns = tare_now_ns() - start_ns;
        query_ns[i] = wall_ns < INT32_MAX ? (int32_t)wall_ns : INT32_MAX;
    }
    if (status == TARE_OK && job->latencies[0])
        status = tare_npy_write(job->latencies, &queries, err);
    tare_array_free(&queries);
    return status;
}

/* Images for calls of `batch`: the test set itself where it is large enough, else (*copy, to free)
 * the test set over and over. */
static const float *batch_images(float **copy, const struct tare_work *work, size_t batch) {
    size_t values = work->n_in;
    *copy = NULL;
    if (batch <= work->n_test)
        return work->test_images;
    *copy = malloc(batch * values * sizeof **copy);
    for (size_t i = 0; *copy && i < batch; i++)
        memcpy(*copy + i * values, work->test_images + i % work->n_test * values,
               values * sizeof **copy);
    return *copy;
}

/* Calls of one size, on one part of the images after the other. The first call, which may resize or
 * compile, isn't counted. */
static enum tare_status time_batch(const struct meter *m, size_t batch, struct tare_err *err) {
    const struct tare_work *work = m->work;
    float *copy;
    const float *images = batch_images(&copy, work, batch);
    if (!images)
        return tare_fail(err, TARE_MEMORY, NULL, "smaller batches", "no memory for %zu images",
                         batch);
    size_t parts = copy ? 1 : work->n_test / batch;
    enum tare_status status = m->ops->infer(m->state, m->scratch, images, batch, err);
    for (size_t loops = BATCH_CALLS; status == TARE_OK; loops *= 2) {
        int64_t start_ns = tare_now_ns();
        for (size_t i = 0; i < loops && status == TARE_OK; i++)
            status = m->ops->infer(m->state, m->scratch, images + i % parts * batch * work->n_in,
                                   batch, err);
        int64_t wall_ns = tare_now_ns() - start_ns;
        if (status == TARE_OK && wall_ns >= BATCH_NS) {
            engine_emit_sample(batch, loops, wall_ns, false);
            break;
        }
    }
    free(copy);
    return status;
}

/* Rows of logits in the largest call there will be whose answers are dropped. */
static size_t scratch_rows(const struct tare_work *work, bool all) {
    const struct tare_job *job = &work->job;
    size_t rows = all && job->infer_loops > 0 ? work->n_test : 1;
    for (size_t i = 0; i < job->batch_count; i++)
        rows = job->batches[i] > rows ? job->batches[i] : rows;
    return rows;
}

enum tare_status engine_measure(const struct tare_engine_ops *ops, void *state,
                                const struct tare_work *work, float *logits, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    /* Without logits to give, the first query is the process's first inference: a cold start. */
    bool all = job->logits[0] || (job->queries == 0 && job->batch_count == 0);
    struct meter m = {ops, state, work,
                      calloc(scratch_rows(work, all) * work->n_out + 1, sizeof(float))};
    if (!m.scratch)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the logits");
    enum tare_status status = all ? time_all(&m, logits, err) : TARE_OK;
    if (status == TARE_OK && job->queries > 0)
        status = time_queries(&m, err);
    for (size_t i = 0; i < job->batch_count && status == TARE_OK; i++)
        status = time_batch(&m, job->batches[i], err);
    free(m.scratch);
    return status;
}
