/* tensorflow_graph.c: nodes, tensors and sessions through TensorFlow's C interface, with our
 * errors. Used by the other files of the engine "tensorflow"; tensorflow_parts.h says what is
 * where.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensorflow_parts.h"

struct tensorflow_api tf;

enum tare_status tensorflow_check(const struct tensorflow *engine, const char *doing,
                                  struct tare_err *err) {
    if (tf.GetCode(engine->status) == TF_OK && !engine->broken)
        return TARE_OK;
    if (tf.GetCode(engine->status) == TF_OK)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "%s: no memory", doing);
    return tare_fail(err, TARE_FAILED, "tensorflow", "see what TensorFlow says on stderr", "%s: %s",
                     doing, tf.Message(engine->status));
}

/* ---- sessions ----------------------------------------------------------------------------------
 */

/* A field of a protocol buffer that is a number: its key, then seven bits a byte. */
static size_t put_number(uint8_t *out, uint8_t key, unsigned value) {
    size_t size = 0;
    out[size++] = key;
    for (; value >= 0x80; value >>= 7)
        out[size++] = (uint8_t)(value | 0x80);
    out[size++] = (uint8_t)value;
    return size;
}

enum tare_status tensorflow_open(struct tensorflow *engine, const char *saved_model,
                                 struct tare_err *err) {
    /* ConfigProto: intra_op_parallelism_threads is field 2, inter_op_parallelism_threads field 5.
     */
    enum { INTRA_OP = 0x10, INTER_OP = 0x28 };
    uint8_t config[16];
    int threads = engine->work->job.threads;
    size_t size = put_number(config, INTRA_OP, (unsigned)threads);
    size += put_number(config + size, INTER_OP, 1);
    TF_SessionOptions *options = tf.NewSessionOptions();
    if (!options)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a session");
    tf.SetConfig(options, config, size, engine->status);
    enum tare_status status = tensorflow_check(engine, "threads", err);
    if (status == TARE_OK && saved_model)
        engine->session =
            tf.LoadSessionFromSavedModel(options, NULL, saved_model, (const char *const[]){"train"},
                                         1, engine->graph, NULL, engine->status);
    else if (status == TARE_OK)
        engine->session = tf.NewSession(engine->graph, options, engine->status);
    tf.DeleteSessionOptions(options);
    return status == TARE_OK ? tensorflow_check(engine, "cannot make a session", err) : status;
}

enum tare_status tensorflow_run(struct tensorflow *engine, const TF_Output *feeds,
                                TF_Tensor *const *fed, int feed_count, const TF_Output *fetches,
                                TF_Tensor **fetched, int fetch_count,
                                const TF_Operation *const *targets, int target_count,
                                const char *doing, struct tare_err *err) {
    tf.SessionRun(engine->session, engine->run_options, feeds, fed, feed_count, fetches, fetched,
                  fetch_count, targets, target_count, NULL, engine->status);
    return tensorflow_check(engine, doing, err);
}

/* ---- tensors -----------------------------------------------------------------------------------
 */

static size_t tensor_bytes(int rank, const int64_t *dims) {
    size_t bytes = 4; /* float32 and int32 are all there is here */
    for (int i = 0; i < rank; i++)
        bytes *= (size_t)dims[i];
    return bytes;
}

TF_Tensor *tensorflow_tensor(TF_DataType type, int rank, const int64_t *dims, const void *data) {
    size_t bytes = tensor_bytes(rank, dims);
    TF_Tensor *tensor = tf.AllocateTensor(type, dims, rank, bytes);
    if (tensor && data)
        memcpy(tf.TensorData(tensor), data, bytes);
    else if (tensor)
        memset(tf.TensorData(tensor), 0, bytes);
    return tensor;
}

static void keep(void *data, size_t size, void *context) {
    (void)data;
    (void)size;
    (void)context;
}

TF_Tensor *tensorflow_borrow(TF_DataType type, int rank, const int64_t *dims, const void *data) {
    /* the tensor is only ever read, but one function makes all kinds, so it asks for void * */
    return tf.NewTensor(type, dims, rank, (void *)data, tensor_bytes(rank, dims), keep, NULL);
}

int tensorflow_shape(int64_t dims[4], const struct tare_net_tensor *tensor) {
    for (int i = 0; i < tensor->rank; i++)
        dims[i] = (int64_t)tensor->shape[i];
    return tensor->rank;
}

/* ---- nodes -------------------------------------------------------------------------------------
 */

static TF_OperationDescription *begin(struct tensorflow *engine, const char *type, const char *name,
                                      const TF_Output *inputs, int input_count) {
    if (engine->broken)
        return NULL;
    TF_OperationDescription *node = tf.NewOperation(engine->graph, type, name);
    for (int i = 0; i < input_count; i++)
        tf.AddInput(node, inputs[i]);
    return node;
}

static TF_Output finish(struct tensorflow *engine, TF_OperationDescription *node) {
    TF_Output output = {.oper = tf.FinishOperation(node, engine->status), .index = 0};
    engine->broken = tf.GetCode(engine->status) != TF_OK;
    return output;
}

TF_Output tensorflow_node(struct tensorflow *engine, const char *type, const char *name,
                          const TF_Output *inputs, int input_count) {
    TF_OperationDescription *node = begin(engine, type, name, inputs, input_count);
    return node ? finish(engine, node) : (TF_Output){0};
}

TF_Output tensorflow_placeholder(struct tensorflow *engine, const char *name, TF_DataType type,
                                 int rank, const int64_t *dims) {
    TF_OperationDescription *node = begin(engine, "Placeholder", name, NULL, 0);
    if (!node)
        return (TF_Output){0};
    tf.SetAttrType(node, "dtype", type);
    tf.SetAttrShape(node, "shape", dims, rank);
    return finish(engine, node);
}

TF_Output tensorflow_constant(struct tensorflow *engine, const char *name, TF_DataType type,
                              const void *value) {
    TF_Tensor *tensor = tensorflow_tensor(type, 0, NULL, value);
    engine->broken = engine->broken || !tensor;
    TF_OperationDescription *node = begin(engine, "Const", name, NULL, 0);
    TF_Output output = {0};
    if (node) {
        tf.SetAttrType(node, "dtype", type);
        tf.SetAttrTensor(node, "value", tensor, engine->status);
        output = finish(engine, node);
    }
    tf.DeleteTensor(tensor); /* takes NULL */
    return output;
}

TF_Output tensorflow_variable(struct tensorflow *engine, const char *name, int rank,
                              const int64_t *dims) {
    TF_OperationDescription *node = begin(engine, "VarHandleOp", name, NULL, 0);
    if (!node)
        return (TF_Output){0};
    tf.SetAttrType(node, "dtype", TF_FLOAT);
    tf.SetAttrShape(node, "shape", dims, rank);
    tf.SetAttrString(node, "shared_name", name, strlen(name));
    return finish(engine, node);
}

TF_Output tensorflow_read(struct tensorflow *engine, const char *name, TF_Output variable) {
    TF_OperationDescription *node = begin(engine, "ReadVariableOp", name, &variable, 1);
    if (!node)
        return (TF_Output){0};
    tf.SetAttrType(node, "dtype", TF_FLOAT);
    return finish(engine, node);
}

enum tare_status tensorflow_forward(struct tensorflow *engine, struct tare_err *err) {
    const struct tare_net *net = &engine->work->net;
    int64_t dims[] = {-1, (int64_t)net->n_in};
    engine->x = tensorflow_placeholder(engine, "x", TF_FLOAT, 2, dims);
    TF_Output out = engine->x;
    for (int i = 0; i < net->layer_count; i++) {
        const struct tare_layer *layer = &net->layers[i];
        const TF_Output *values = engine->values + layer->first_tensor;
        const char *op = tare_layer_op_name(layer);
        char product[32], sum[32];
        snprintf(product, sizeof product, "layer_%d/product", i);
        snprintf(sum, sizeof sum, "layer_%d", i);
        if (strcmp(op, "relu") == 0) {
            out = tensorflow_node(engine, "Relu", sum, &out, 1);
        } else if (strcmp(op, "dense") == 0) {
            out = tensorflow_node(engine, "MatMul", product, (TF_Output[]){out, values[0]}, 2);
            out = tensorflow_node(engine, "BiasAdd", sum, (TF_Output[]){out, values[1]}, 2);
        } else
            return tare_fail(err, TARE_USAGE, "job", "use dense and relu",
                             "this engine has no layer \"%s\"", op);
    }
    engine->logits = out;
    return tensorflow_check(engine, "cannot make the net", err);
}

/* ---- the optimiser's constants -----------------------------------------------------------------
 */

void tensorflow_rates(const struct tensorflow *engine, float *alpha, float *epsilon, size_t first,
                      size_t count) {
    const struct tare_job *job = &engine->work->job;
    /* TensorFlow's β are float32 and its 1 − β are exact; corrections of the same β cancel them. */
    double beta1 = (double)(float)job->beta1, beta2 = (double)(float)job->beta2;
    for (size_t i = 0; i < count; i++) {
        double t = (double)(first + i + 1);
        double root = engine->is_adam ? sqrt(1 - pow(beta2, t)) : 1;
        alpha[i] = (float)(job->lr * root / (engine->is_adam ? 1 - pow(beta1, t) : 1));
        epsilon[i] = (float)(job->epsilon * root);
    }
}
