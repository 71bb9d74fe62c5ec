/* tensorflow.c: TensorFlow through its C interface, without Python, in two variants: `step`, one
 * TF_SessionRun a step on a graph made in C (tensorflow_step.c), and `xla-epoch`, an epoch in one
 * call that XLA has compiled (tensorflow_epoch.c). Here: the hooks of engine_main.c, what both
 * variants share, and inference. The graph's nodes: tensorflow_graph.c.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tare/environment.h"
#include "tensorflow_parts.h"

static const char *engine_version(void) {
    return tf.Version();
}

static enum tare_status engine_import(struct tare_work *work, struct tare_err *err) {
    (void)work;
    struct tare_environment environment;
    struct tare_err missing = {0};
    void *library = NULL;
    /* warnings and errors, no chatter; a level that the user has set stays */
    if (setenv("TF_CPP_MIN_LOG_LEVEL", "1", 0) != 0)
        return tare_fail_errno(err, "TF_CPP_MIN_LOG_LEVEL", NULL, "cannot set the variable");
    if (tare_environment_open(&library, "tensorflow", "tensorflow/libtensorflow_cc.so.*",
                              &environment, &missing) != TARE_OK)
        return tare_engine_skip(err, missing.hint, "%s: %s", missing.where, missing.what);
#define X(name)                                                                                    \
    *(void **)&tf.name = dlsym(library, "TF_" #name);                                              \
    if (!tf.name)                                                                                  \
        return tare_engine_skip(err, "make engines", "the TensorFlow of %s has no TF_" #name,      \
                                environment.python);
    TENSORFLOW_API(X)
#undef X
    return TARE_OK;
}

/* ---- build -------------------------------------------------------------------------------------
 */

/* An engine that quietly did something else than it was asked for would be worse than none. */
static enum tare_status check_job(struct tensorflow *engine, struct tare_err *err) {
    static const struct tensorflow_variant *const variants[] = {&tensorflow_epoch,
                                                                &tensorflow_step};
    const struct tare_job *job = &engine->work->job;
    if (!engine->work->params)
        return tare_fail(err, TARE_USAGE, "job", "give model and init", "no initial weights");
    if (strcmp(job->device, "cpu") != 0)
        return tare_engine_skip(err, "--device cpu", "this engine runs on the CPU only");
    if (strcmp(job->precision, "float32") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use float32", "precision \"%s\" is not known",
                         job->precision);
    const struct tensorflow_variant *variant = job->variant[0] ? NULL : variants[0];
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++)
        if (strcmp(job->variant, variants[i]->name) == 0)
            variant = variants[i];
    if (!variant)
        return tare_fail(err, TARE_USAGE, "job", "use xla-epoch or step",
                         "there is no variant \"%s\"", job->variant);
    if (strcmp(job->task, "train") != 0)
        return TARE_OK; /* they train in two ways and infer in one */
    engine->variant = variant;
    engine->is_adam = strcmp(job->optimizer, "adam") == 0;
    if (!engine->is_adam && strcmp(job->optimizer, "sgd") != 0)
        return tare_fail(err, TARE_USAGE, "job", "use adam or sgd",
                         "the optimiser \"%s\" is not known", job->optimizer);
    return TARE_OK;
}

static void report_settings(const struct tensorflow *engine) {
    char text[32];
    snprintf(text, sizeof text, "%d", engine->work->job.threads);
    tare_engine_setting("intra_op_threads", text);
    tare_engine_setting("inter_op_threads", "1");
    tare_engine_setting("run_in_caller_thread", "yes");
    const char *one_dnn = getenv("TF_ENABLE_ONEDNN_OPTS");
    tare_engine_setting("TF_ENABLE_ONEDNN_OPTS", one_dnn ? one_dnn : "default");
    tare_engine_infer_call("SessionRun");
}

enum tare_status tensorflow_feed_values(struct tensorflow *engine, struct tare_err *err) {
    const struct tare_net *net = &engine->work->net;
    for (int i = 0; i < net->tensor_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i];
        int64_t dims[4];
        int rank = tensorflow_shape(dims, tensor);
        char name[sizeof tensor->name + 8];
        snprintf(name, sizeof name, "values/%s", tensor->name);
        engine->values[i] = tensorflow_placeholder(engine, name, TF_FLOAT, rank, dims);
        engine->state[i] =
            tensorflow_tensor(TF_FLOAT, rank, dims, engine->work->params + tensor->offset);
        if (!engine->state[i])
            return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the weights");
    }
    engine->values_are_fed = true;
    return tensorflow_forward(engine, err);
}

static enum tare_status prepare(struct tensorflow *engine, struct tare_err *err) {
    TRY(check_job(engine, err));
    /* RunOptions, field 3, inter_op_thread_pool = −1: a run stays in the thread that calls it, and
     * no other has to be woken for it. */
    static const uint8_t in_caller[] = {0x18, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0x01};
    engine->status = tf.NewStatus();
    engine->graph = tf.NewGraph();
    engine->run_options = tf.NewBufferFromString(in_caller, sizeof in_caller);
    if (!engine->status || !engine->graph || !engine->run_options)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a graph");
    report_settings(engine);
    if (engine->variant)
        return engine->variant->build(engine, err);
    TRY(tensorflow_feed_values(engine, err));
    return tensorflow_open(engine, NULL, err);
}

static void engine_close(void *state) {
    struct tensorflow *engine = state;
    if (engine->training)
        engine->variant->close(engine);
    for (int i = 0; i < TENSORFLOW_MAX_STATE; i++)
        tf.DeleteTensor(engine->state[i]); /* takes NULL */
    if (engine->session) {
        tf.CloseSession(engine->session, engine->status);
        tf.DeleteSession(engine->session, engine->status);
    }
    tf.DeleteBuffer(engine->run_options);
    if (engine->graph)
        tf.DeleteGraph(engine->graph);
    tf.DeleteStatus(engine->status);
    free(engine);
}

static enum tare_status engine_build(void **state, struct tare_work *work, struct tare_err *err) {
    struct tensorflow *engine = calloc(1, sizeof *engine);
    if (!engine)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the engine");
    engine->work = work;
    enum tare_status status = prepare(engine, err);
    if (status == TARE_OK)
        *state = engine;
    else
        engine_close(engine);
    return status;
}

/* ---- the other hooks ---------------------------------------------------------------------------
 */

static enum tare_status engine_train(void *state, size_t first, size_t count, float *losses,
                                     struct tare_err *err) {
    struct tensorflow *engine = state;
    return engine->variant->train(engine, first, count, losses, err);
}

static enum tare_status engine_weights(void *state, float *params, struct tare_err *err) {
    struct tensorflow *engine = state;
    const struct tare_net *net = &engine->work->net;
    if (!engine->values_are_fed)
        return engine->variant->weights(engine, params, err);
    for (int i = 0; i < net->tensor_count; i++)
        memcpy(params + net->tensors[i].offset, tf.TensorData(engine->state[i]),
               net->tensors[i].count * sizeof *params);
    return TARE_OK;
}

/* logits: (n, n_out) of x: (n, n_in), in one SessionRun. */
static enum tare_status engine_infer(void *state, float *logits, const float *x, size_t n,
                                     struct tare_err *err) {
    struct tensorflow *engine = state;
    const struct tare_net *net = &engine->work->net;
    TF_Output feeds[1 + TARE_MAX_NET_TENSORS] = {engine->x};
    TF_Tensor *fed[1 + TARE_MAX_NET_TENSORS], *output = NULL;
    int64_t dims[] = {(int64_t)n, (int64_t)net->n_in};
    fed[0] = tensorflow_borrow(TF_FLOAT, 2, dims, x);
    if (!fed[0])
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for %zu images", n);
    int feed_count = 1;
    for (int i = 0; engine->values_are_fed && i < net->tensor_count; i++) {
        feeds[feed_count] = engine->values[i];
        fed[feed_count++] = engine->state[i];
    }
    enum tare_status status = tensorflow_run(engine, feeds, fed, feed_count, &engine->logits,
                                             &output, 1, NULL, 0, "inference", err);
    if (status == TARE_OK && tf.TensorByteSize(output) != n * net->n_out * sizeof *logits)
        status = tare_fail(err, TARE_FAILED, "tensorflow", NULL, "%zu bytes of logits came back",
                           tf.TensorByteSize(output));
    if (status == TARE_OK)
        memcpy(logits, tf.TensorData(output), n * net->n_out * sizeof *logits);
    tf.DeleteTensor(output);
    tf.DeleteTensor(fed[0]);
    return status;
}

int main(int argc, char **argv) {
    static const struct tare_engine_ops ops = {
        .abi = TARE_ABI,
        .name = "tensorflow",
        .version = engine_version,
        .import = engine_import,
        .build = engine_build,
        .train = engine_train,
        .weights = engine_weights,
        .infer = engine_infer,
        .close = engine_close,
    };
    return tare_engine_main(argc, argv, &ops);
}
