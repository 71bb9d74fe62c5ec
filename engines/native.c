/* native.c: tare's own trainer at the machine's limit (tare/native.h) as an engine. Variants:
 * "avx2", "avx512" take those kernels in place of the fastest; "reference" is the plain one in
 * native_plain.c, which also does what this one can't: float64, and nets that aren't dense. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "native_parts.h"
#include "tare/native.h"
#include "tare/version.h"

struct native {
    const struct tare_work *work;
    const char *kernels;             /* NULL: the fastest */
    struct tare_native *trainer;     /* NULL for task infer */
    bool packed;                     /* the trainer doesn't read the images any more */
    struct tare_native_model *model; /* of the current parameters; NULL: there were others since */
    void *plain;                     /* the reference in place of all of the above */
};

static const char *version(void) {
    return TARE_VERSION;
}

static void close_native(void *state) {
    struct native *native = state;
    if (native->plain)
        native_plain_close(native->plain);
    tare_native_free(native->trainer);
    tare_native_model_free(native->model);
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
    if (work->job.test_images[0] && work->net.n_in != work->n_in)
        return tare_fail(err, TARE_DATA, path, "give images of the size the model was trained on",
                         "the model takes %zu values, an image has %zu", work->net.n_in,
                         work->n_in);
    work->n_out = work->net.n_out;
    return TARE_OK;
}

enum tare_status native_job_optimizer(struct tare_optimizer *optimizer,
                                      const struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    *optimizer = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    if (strcmp(job->task, "train") != 0)
        return TARE_OK;
    *optimizer = (struct tare_optimizer){.lr = job->lr,
                                         .momentum = job->momentum,
                                         .beta1 = job->beta1,
                                         .beta2 = job->beta2,
                                         .epsilon = job->epsilon,
                                         .steps = work->steps};
    enum tare_status status = tare_optimizer_find(&optimizer->kind, job->optimizer, err);
    if (status == TARE_OK)
        status = tare_schedule_find(&optimizer->schedule, job->schedule, err);
    if (status == TARE_OK && optimizer->schedule != TARE_SCHEDULE_CONSTANT)
        tare_engine_setting("schedule", job->schedule);
    return status;
}

static enum tare_status check_job(const struct tare_job *job, struct tare_err *err) {
    static const char *const variants[] = {"", "reference", "avx2", "avx512"};
    if (strcmp(job->device, "cpu") != 0)
        return tare_engine_skip(err, "--device cpu", "this engine runs on the CPU only");
    if (strcmp(job->precision, "float32") != 0 && strcmp(job->precision, "float64") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use float32 or float64",
                         "precision \"%s\" is not known", job->precision);
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
        if (strcmp(job->variant, variants[i]) == 0)
            return TARE_OK;
    return tare_fail(err, TARE_USAGE, "job", "reference, avx2, avx512, or leave variant empty",
                     "there is no variant \"%s\"", job->variant);
}

static enum tare_status make_model(struct native *native, const float *params,
                                   struct tare_err *err) {
    return tare_native_model_create(&native->model, &native->work->net, params,
                                    native->work->job.threads, native->kernels, err);
}

static enum tare_status make_trainer(struct native *native, struct tare_err *err) {
    const struct tare_work *work = native->work;
    struct tare_native_setup setup = {
        .net = &work->net,
        .batch = work->job.batch,
        .threads = work->job.threads,
        .kernels = native->kernels,
        .examples = {work->image_bytes, work->labels, work->n},
    };
    char density[32];
    enum tare_status status = native_job_optimizer(&setup.optimizer, work, err);
    if (status == TARE_OK)
        status = tare_native_create(&native->trainer, &setup, err);
    if (status != TARE_OK)
        return status;
    tare_native_set_params(native->trainer, work->params);
    struct tare_native_facts facts = tare_native_facts(native->trainer);
    snprintf(density, sizeof density, "%.3f", facts.density);
    tare_engine_setting("density", density);
    tare_engine_setting("first_layer", facts.sparse ? "sparse" : "dense");
    return TARE_OK;
}

static enum tare_status build(void **state, struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    bool training = strcmp(job->task, "train") == 0;
    enum tare_status status = check_job(job, err);
    if (status == TARE_OK && !work->params)
        status = training ? tare_fail(err, TARE_USAGE, "job", "give init", "no initial weights")
                          : read_model(work, err);
    if (status != TARE_OK)
        return status;
    struct native *native = calloc(1, sizeof *native);
    if (!native)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory");
    native->work = work;
    tare_engine_setting("precision", job->precision);
    if (strcmp(job->variant, "reference") == 0 || strcmp(job->precision, "float64") == 0 ||
        !tare_native_can_train(&work->net))
        status = native_plain_build(&native->plain, work, err);
    else {
        native->kernels = job->variant[0] ? job->variant : NULL;
        if (native->kernels && !tare_native_has_kernels(native->kernels))
            status = tare_engine_skip(err, "a machine that has", "this processor has no %s",
                                      native->kernels);
        else
            status = training ? make_trainer(native, err) : make_model(native, work->params, err);
        tare_engine_setting("kernels", tare_native_kernels(native->kernels));
        tare_engine_infer_call("tare_native_model_infer");
    }
    if (status == TARE_OK)
        *state = native;
    else
        close_native(native);
    return status;
}

static enum tare_status train(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    struct native *native = state;
    if (native->plain)
        return native_plain_train(native->plain, first, count, losses, err);
    tare_native_model_free(native->model);
    native->model = NULL;
    enum tare_status status = tare_native_run(
        native->trainer, losses, native->work->order + first * native->work->job.batch, count, err);
    if (!native->packed && (native->packed = tare_native_facts(native->trainer).packed))
        tare_engine_images_done();
    return status;
}

static enum tare_status weights(void *state, float *params, struct tare_err *err) {
    const struct native *native = state;
    if (native->plain)
        return native_plain_weights(native->plain, params, err);
    tare_native_params(params, native->trainer);
    return TARE_OK;
}

/* The model of what has been trained so far. */
static enum tare_status freeze(struct native *native, struct tare_err *err) {
    float *params = malloc((native->work->net.param_count + 1) * sizeof *params);
    if (!params)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory for the parameters");
    tare_native_params(params, native->trainer);
    enum tare_status status = make_model(native, params, err);
    free(params);
    return status;
}

/* logits: (n, n_out)  x: (n, n_in) */
static enum tare_status infer(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err) {
    struct native *native = state;
    if (native->plain)
        return native_plain_infer(native->plain, logits, x, n, err);
    enum tare_status status = native->model ? TARE_OK : freeze(native, err);
    if (status == TARE_OK)
        tare_native_model_infer(native->model, logits, x, n);
    return status;
}

static const struct tare_engine_ops ops = {.abi = TARE_ABI,
                                           .bytes = true,
                                           .schedules = true,
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
