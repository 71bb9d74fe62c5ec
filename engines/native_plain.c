/* native_plain.c: the plain reference (tare/train.h) as an engine: one core, float32; with
 * precision "float64" the truth that others are measured against. Exactly one of the two trainers
 * exists in a state. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native_parts.h"
#include "tare/train.h"

#define INFER_BATCH 32 /* images in the cache at once when the job is not about training */

struct plain {
    const struct tare_work *work;
    float *images; /* (n, n_in) = u8 / 255.0f */
    struct tare_trainer_f32 *f32;
    struct tare_trainer_f64 *f64;
    double *wide; /* float64 only: room for the parameters, or for INFER_BATCH rows of logits */
};

void native_plain_close(void *state) {
    struct plain *plain = state;
    tare_trainer_free_f32(plain->f32);
    tare_trainer_free_f64(plain->f64);
    free(plain->images);
    free(plain->wide);
    free(plain);
}

static enum tare_status make_f64(struct plain *plain, const struct tare_work *work,
                                 const struct tare_optimizer *optimizer, size_t batch,
                                 struct tare_err *err) {
    const struct tare_net *net = &work->net;
    size_t logits = INFER_BATCH * net->n_out;
    size_t room = net->param_count > logits ? net->param_count : logits;
    plain->wide = calloc(room, sizeof *plain->wide);
    if (!plain->wide)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory for %zu values", room);
    enum tare_status status = tare_trainer_create_f64(&plain->f64, net, optimizer, batch, err);
    if (status != TARE_OK)
        return status;
    for (size_t i = 0; i < net->param_count; i++)
        plain->wide[i] = (double)work->params[i];
    tare_trainer_set_params_f64(plain->f64, plain->wide);
    return TARE_OK;
}

static enum tare_status make_f32(struct plain *plain, const struct tare_work *work,
                                 const struct tare_optimizer *optimizer, size_t batch,
                                 struct tare_err *err) {
    enum tare_status status =
        tare_trainer_create_f32(&plain->f32, &work->net, optimizer, batch, err);
    if (status == TARE_OK)
        tare_trainer_set_params_f32(plain->f32, work->params);
    return status;
}

/* The reference takes floats; a byte has one of 256 quotients. */
static enum tare_status divide_images(struct plain *plain, struct tare_err *err) {
    const struct tare_work *work = plain->work;
    size_t count = work->n * work->net.n_in;
    float quotient[256];
    for (int value = 0; value < 256; value++)
        quotient[value] = (float)value / 255.0F;
    plain->images = malloc(count * sizeof *plain->images);
    if (!plain->images)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory for %zu pixels", count);
    for (size_t i = 0; i < count; i++)
        plain->images[i] = quotient[work->image_bytes[i]];
    return TARE_OK;
}

enum tare_status native_plain_build(void **state, struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    struct tare_optimizer optimizer;
    bool training = work->image_bytes != NULL;
    enum tare_status status = native_job_optimizer(&optimizer, work, err);
    if (status != TARE_OK)
        return status;
    struct plain *plain = calloc(1, sizeof *plain);
    if (!plain)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory");
    plain->work = work;
    size_t batch = training ? job->batch : INFER_BATCH;
    status = strcmp(job->precision, "float64") == 0 ? make_f64(plain, work, &optimizer, batch, err)
                                                    : make_f32(plain, work, &optimizer, batch, err);
    if (status == TARE_OK && training)
        status = divide_images(plain, err);
    if (status != TARE_OK) {
        native_plain_close(plain);
        return status;
    }
    tare_engine_setting("kernels", "none: the plain reference");
    tare_engine_setting("threads_used", "1");
    tare_engine_infer_call("tare_trainer_infer");
    *state = plain;
    return TARE_OK;
}

enum tare_status native_plain_train(void *state, size_t first, size_t count, float *losses,
                                    struct tare_err *err) {
    const struct plain *plain = state;
    const struct tare_work *work = plain->work;
    const struct tare_examples examples = {plain->images, work->labels, work->n};
    const int32_t *order = work->order + first * work->job.batch;
    if (plain->f32)
        return tare_trainer_run_f32(plain->f32, losses, &examples, order, count, err);
    for (size_t s = 0; s < count; s++) {
        double loss = 0;
        enum tare_status status =
            tare_trainer_run_f64(plain->f64, &loss, &examples, order + s * work->job.batch, 1, err);
        if (status != TARE_OK)
            return status;
        losses[s] = (float)loss;
    }
    return TARE_OK;
}

enum tare_status native_plain_weights(void *state, float *params, struct tare_err *err) {
    (void)err;
    const struct plain *plain = state;
    if (plain->f32) {
        tare_trainer_params_f32(params, plain->f32);
        return TARE_OK;
    }
    tare_trainer_params_f64(plain->wide, plain->f64);
    for (size_t i = 0; i < plain->work->net.param_count; i++)
        params[i] = (float)plain->wide[i];
    return TARE_OK;
}

/* logits: (n, n_out)  x: (n, n_in) */
enum tare_status native_plain_infer(void *state, float *logits, const float *x, size_t n,
                                    struct tare_err *err) {
    (void)err;
    const struct plain *plain = state;
    size_t n_in = plain->work->net.n_in, n_out = plain->work->net.n_out;
    if (plain->f32) {
        tare_trainer_infer_f32(logits, plain->f32, x, n);
        return TARE_OK;
    }
    for (size_t first = 0; first < n; first += INFER_BATCH) {
        size_t count = n - first < INFER_BATCH ? n - first : INFER_BATCH;
        tare_trainer_infer_f64(plain->wide, plain->f64, x + first * n_in, count);
        for (size_t i = 0; i < count * n_out; i++)
            logits[first * n_out + i] = (float)plain->wide[i];
    }
    return TARE_OK;
}
