/* native.c: tare's own trainer (tare/train.h) as an engine: the plain reference, one core. A job
 * with precision "float64" trains the same net in double: the truth that others are measured
 * against. Exactly one of the two trainers exists in a state. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tare/engine.h"
#include "tare/train.h"
#include "tare/version.h"

#define INFER_BATCH 32 /* images in the cache at once when the job is not about training */

struct native {
    const struct tare_work *work;
    struct tare_trainer_f32 *f32;
    struct tare_trainer_f64 *f64;
    double *wide; /* float64 only: room for the parameters, or for INFER_BATCH rows of logits */
};

static const char *version(void) {
    return TARE_VERSION;
}

static void close_native(void *state) {
    struct native *native = state;
    tare_trainer_free_f32(native->f32);
    tare_trainer_free_f64(native->f64);
    free(native->wide);
    free(native);
}

/* Task infer may come with a .safetensors file in place of a model and its weights. */
static enum tare_status read_model(struct tare_work *work, struct tare_err *err) {
    const char *path = work->job.model_file;
    if (!path[0])
        return tare_fail(err, TARE_USAGE, "job", "give model and init, or model_file",
                         "there is no model to run");
    enum tare_status status = tare_net_read(&work->net, &work->params, path, err);
    if (status != TARE_OK)
        return status;
    if (work->n_test > 0 && work->net.n_in != work->n_in)
        return tare_fail(err, TARE_DATA, path, "give images of the size the model was trained on",
                         "the model takes %zu values, an image has %zu", work->net.n_in,
                         work->n_in);
    work->n_out = work->net.n_out;
    return TARE_OK;
}

static enum tare_status job_optimizer(struct tare_optimizer *optimizer, const struct tare_job *job,
                                      struct tare_err *err) {
    *optimizer = (struct tare_optimizer){.lr = job->lr,
                                         .momentum = job->momentum,
                                         .beta1 = job->beta1,
                                         .beta2 = job->beta2,
                                         .epsilon = job->epsilon};
    return tare_optimizer_find(&optimizer->kind, job->optimizer, err);
}

static enum tare_status make_f64(struct native *native, const struct tare_work *work,
                                 const struct tare_optimizer *optimizer, size_t batch,
                                 struct tare_err *err) {
    const struct tare_net *net = &work->net;
    size_t logits = INFER_BATCH * net->n_out;
    size_t room = net->param_count > logits ? net->param_count : logits;
    native->wide = calloc(room, sizeof *native->wide);
    if (!native->wide)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory for %zu values", room);
    enum tare_status status = tare_trainer_create_f64(&native->f64, net, optimizer, batch, err);
    if (status != TARE_OK)
        return status;
    for (size_t i = 0; i < net->param_count; i++)
        native->wide[i] = (double)work->params[i];
    tare_trainer_set_params_f64(native->f64, native->wide);
    return TARE_OK;
}

static enum tare_status build(void **state, struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    struct tare_optimizer optimizer = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    bool training = strcmp(job->task, "train") == 0;
    bool is_f64 = strcmp(job->precision, "float64") == 0;
    enum tare_status status = TARE_OK;
    if (strcmp(job->device, "cpu") != 0)
        return tare_engine_skip(err, "--device cpu", "this engine runs on the CPU only");
    if (job->variant[0])
        return tare_fail(err, TARE_USAGE, "job", "leave variant empty",
                         "there is no variant \"%s\"", job->variant);
    if (!is_f64 && strcmp(job->precision, "float32") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use float32 or float64",
                         "precision \"%s\" is not known", job->precision);
    if (!work->params)
        status = training ? tare_fail(err, TARE_USAGE, "job", "give init", "no initial weights")
                          : read_model(work, err);
    if (status == TARE_OK && training)
        status = job_optimizer(&optimizer, job, err);
    if (status != TARE_OK)
        return status;
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory");
    native->work = work;
    size_t batch = training ? job->batch : INFER_BATCH;
    if (is_f64)
        status = make_f64(native, work, &optimizer, batch, err);
    else
        status = tare_trainer_create_f32(&native->f32, &work->net, &optimizer, batch, err);
    if (status != TARE_OK) {
        close_native(native);
        return status;
    }
    if (native->f32)
        tare_trainer_set_params_f32(native->f32, work->params);
    tare_engine_setting("precision", job->precision);
    tare_engine_setting("threads_used", "1");
    tare_engine_infer_call("tare_trainer_infer");
    *state = native;
    return TARE_OK;
}

static enum tare_status train(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    const struct native *native = state;
    const struct tare_work *work = native->work;
    const struct tare_examples examples = {work->images, work->labels, work->n};
    const int32_t *order = work->order + first * work->job.batch;
    if (native->f32)
        return tare_trainer_run_f32(native->f32, losses, &examples, order, count, err);
    for (size_t s = 0; s < count; s++) {
        double loss = 0;
        enum tare_status status = tare_trainer_run_f64(native->f64, &loss, &examples,
                                                       order + s * work->job.batch, 1, err);
        if (status != TARE_OK)
            return status;
        losses[s] = (float)loss;
    }
    return TARE_OK;
}

static enum tare_status weights(void *state, float *params, struct tare_err *err) {
    (void)err;
    const struct native *native = state;
    if (native->f32) {
        tare_trainer_params_f32(params, native->f32);
        return TARE_OK;
    }
    tare_trainer_params_f64(native->wide, native->f64);
    for (size_t i = 0; i < native->work->net.param_count; i++)
        params[i] = (float)native->wide[i];
    return TARE_OK;
}

/* logits: (n, n_out)  x: (n, n_in) */
static enum tare_status infer(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err) {
    (void)err;
    const struct native *native = state;
    size_t n_in = native->work->net.n_in, n_out = native->work->net.n_out;
    if (native->f32) {
        tare_trainer_infer_f32(logits, native->f32, x, n);
        return TARE_OK;
    }
    for (size_t first = 0; first < n; first += INFER_BATCH) {
        size_t count = n - first < INFER_BATCH ? n - first : INFER_BATCH;
        tare_trainer_infer_f64(native->wide, native->f64, x + first * n_in, count);
        for (size_t i = 0; i < count * n_out; i++)
            logits[first * n_out + i] = (float)native->wide[i];
    }
    return TARE_OK;
}

static const struct tare_engine_ops ops = {.abi = TARE_ABI,
                                           .name = "native",
                                           .version = version,
                                           .build = build,
                                           .train = train,
                                           .weights = weights,
                                           .infer = infer,
                                           .close = close_native};

int main(int argc, char **argv) {
    return tare_engine_main(argc, argv, &ops);
}
