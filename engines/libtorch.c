/* libtorch.c: training and inference with LibTorch: autograd, fused optimisers, one step at a time.
 * What is asked of it is decided here; the calls themselves are C++ and stand in torch_shim.cc, a
 * shared object beside this program that is opened at import (torch_shim.h says why). The library
 * comes out of the environment `torch` (tare/environment.h); clock, files and protocol:
 * engine_main.c.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tare/engine.h"
#include "tare/environment.h"
#include "tare/supervise.h"
#include "tare/train.h"
#include "torch_shim.h"

static const struct torch_shim *torch; /* set by import; lasts as long as the process */

static enum tare_status check(const char *message, const char *doing, struct tare_err *err) {
    if (!message)
        return TARE_OK;
    return tare_fail(err, TARE_FAILED, doing, NULL, "%s", message);
}

static const char *version(void) {
    return torch->version;
}

/* ---- import ------------------------------------------------------------------------------------
 */

/* The libraries by their paths in the environment, so that the shim finds them open already and
 * needs no path of its own; the CUDA half, which takes longer, when a GPU is asked for. */
static enum tare_status open_libraries(struct tare_environment *environment, bool with_cuda,
                                       struct tare_err *err) {
    struct tare_err missing = {0};
    void *library = NULL;
    if (tare_environment_open(&library, "torch", "torch/lib/libtorch_cpu.so", environment,
                              &missing) != TARE_OK)
        return tare_engine_skip(err, missing.hint, "%s: %s", missing.where, missing.what);
    if (with_cuda && tare_environment_open(&library, "torch", "torch/lib/libtorch_cuda.so",
                                           environment, &missing) != TARE_OK)
        return tare_engine_skip(err, "--device cpu", "this LibTorch cannot use CUDA: %s: %s",
                                missing.where, missing.what);
    return TARE_OK;
}

static enum tare_status open_shim(const struct tare_environment *environment,
                                  struct tare_err *err) {
    char *shim = NULL;
    if (tare_helper_find(&shim, "tare-torch-shim.so", NULL) != TARE_OK)
        return tare_engine_skip(err, "make engines",
                                "LibTorch's C++ half has not been built: no "
                                "tare-torch-shim.so beside this program");
    void *library = dlopen(shim, RTLD_NOW | RTLD_LOCAL);
    free(shim);
    if (!library)
        return tare_engine_skip(err, "make engines", "LibTorch's C++ half cannot be opened: %s",
                                dlerror());
    const struct torch_shim *(*table)(void) = NULL;
    *(void **)&table = dlsym(library, TORCH_SHIM_TABLE);
    if (!table || table()->abi != TORCH_SHIM_ABI)
        return tare_engine_skip(err, "make engines", "LibTorch's C++ half is of another version");
    torch = table();
    /* C++ has no stable ABI: the headers the shim saw must be the library's own. */
    char pattern[64], path[TARE_ENVIRONMENT_PATH];
    snprintf(pattern, sizeof pattern, "torch-%s[+.-]*dist-info", torch->version);
    if (tare_environment_file(path, environment, pattern, NULL) != TARE_OK)
        return tare_engine_skip(err, "make engines",
                                "built for LibTorch %s, and the environment has another one",
                                torch->version);
    return TARE_OK;
}

static enum tare_status check_job(const struct tare_job *job, struct tare_err *err) {
    if (strcmp(job->precision, "float32") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use float32", "precision \"%s\" is not known",
                         job->precision);
    if (strcmp(job->device, "cpu") != 0 && strcmp(job->device, "cuda") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use cpu or cuda", "device \"%s\" is not known",
                         job->device);
    if (job->variant[0])
        return tare_fail(err, TARE_USAGE, "job", "leave variant empty",
                         "there is no variant \"%s\"", job->variant);
    return TARE_OK;
}

static enum tare_status import(struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    bool on_cuda = strcmp(job->device, "cuda") == 0;
    struct tare_environment environment;
    enum tare_status status = check_job(job, err);
    if (status == TARE_OK)
        status = open_libraries(&environment, on_cuda, err);
    if (status == TARE_OK)
        status = open_shim(&environment, err);
    if (status != TARE_OK)
        return status;
    int has_cuda = 0, threads = job->threads > 0 ? job->threads : 1;
    status = check(torch->start(threads, &has_cuda), "starting LibTorch", err);
    if (status == TARE_OK && on_cuda && !has_cuda)
        return tare_engine_skip(err, "--device cpu, or a GPU and the driver it needs",
                                "no CUDA device");
    char number[16];
    snprintf(number, sizeof number, "%d", threads);
    tare_engine_setting("num_threads", number);
    tare_engine_setting("num_interop_threads", "1");
    tare_engine_setting("flush_denormal", "on");
    tare_engine_setting("device", job->device);
    if (on_cuda)
        tare_engine_setting("tf32", "off");
    return status;
}

/* ---- build -------------------------------------------------------------------------------------
 */

/* layers: TARE_MAX_LAYERS of them. */
static enum tare_status describe_net(struct torch_layer *layers, const struct tare_work *work,
                                     struct tare_err *err) {
    const struct tare_net *net = &work->net;
    for (int i = 0; i < net->layer_count; i++) {
        const struct tare_layer *layer = &net->layers[i];
        const char *op = tare_layer_op_name(layer);
        layers[i] =
            (struct torch_layer){.n_in = (int64_t)layer->n_in, .n_out = (int64_t)layer->n_out};
        if (strcmp(op, "dense") == 0) {
            const struct tare_net_tensor *tensor = &net->tensors[layer->first_tensor];
            layers[i].weight = work->params + tensor[0].offset;
            layers[i].bias = work->params + tensor[1].offset;
        } else if (strcmp(op, "relu") != 0)
            return tare_engine_skip(err, "a net of dense and relu",
                                    "this engine has no layer \"%s\"", op);
    }
    return TARE_OK;
}

static enum tare_status prepare(void *model, const struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    struct tare_optimizer given = {.lr = job->lr,
                                   .momentum = job->momentum,
                                   .beta1 = job->beta1,
                                   .beta2 = job->beta2,
                                   .epsilon = job->epsilon};
    enum tare_status status = tare_optimizer_find(&given.kind, job->optimizer, err);
    if (status == TARE_OK)
        status = tare_optimizer_check(&given, err);
    if (status != TARE_OK)
        return status;
    bool has_momentum = given.kind == TARE_OPTIMIZER_MOMENTUM;
    struct torch_optimizer optimizer = {.is_adam = given.kind == TARE_OPTIMIZER_ADAM,
                                        .lr = given.lr,
                                        .momentum = has_momentum ? given.momentum : 0,
                                        .beta1 = given.beta1,
                                        .beta2 = given.beta2,
                                        .epsilon = given.epsilon};
    struct torch_examples examples = {.images = work->images,
                                      .labels = work->labels,
                                      .order = work->order,
                                      .n = (int64_t)work->n,
                                      .n_in = (int64_t)work->net.n_in,
                                      .steps = (int64_t)work->steps,
                                      .batch = (int64_t)job->batch};
    tare_engine_setting("optimizer", optimizer.is_adam ? "_fused_adam_" : "_fused_sgd_");
    return check(torch->prepare(model, &examples, &optimizer), "preparing the data", err);
}

static enum tare_status build(void **state, struct tare_work *work, struct tare_err *err) {
    if (!work->params)
        return tare_fail(err, TARE_USAGE, "job", "give model and init",
                         "there are no weights to start from");
    struct torch_layer layers[TARE_MAX_LAYERS];
    struct torch_net net = {layers, (size_t)work->net.layer_count};
    enum tare_status status = describe_net(layers, work, err);
    if (status != TARE_OK)
        return status;
    void *model = NULL;
    bool on_cuda = strcmp(work->job.device, "cuda") == 0;
    status = check(torch->make(&model, &net, on_cuda), "making the net", err);
    if (status == TARE_OK && strcmp(work->job.task, "train") == 0)
        status = prepare(model, work, err);
    if (status != TARE_OK) {
        torch->drop(model);
        return status;
    }
    tare_engine_infer_call("forward");
    *state = model;
    return TARE_OK;
}

/* ---- the other hooks ---------------------------------------------------------------------------
 */

static enum tare_status train(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    return check(torch->train(state, first, count, losses), "training", err);
}

static enum tare_status weights(void *state, float *params, struct tare_err *err) {
    return check(torch->params(state, params), "reading the weights", err);
}

static enum tare_status infer(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err) {
    return check(torch->infer(state, logits, x, n), "inference", err);
}

static void close_model(void *state) {
    torch->drop(state);
}

static const struct tare_engine_ops ops = {.abi = TARE_ABI,
                                           .name = "libtorch",
                                           .version = version,
                                           .import = import,
                                           .build = build,
                                           .train = train,
                                           .weights = weights,
                                           .infer = infer,
                                           .close = close_model};

int main(int argc, char **argv) {
    return tare_engine_main(argc, argv, &ops);
}
