/* tensorflow_step.c: the engine "tensorflow", variant "step": a graph with variables, made in C,
 * and one TF_SessionRun a step. C gathers the batch into a tensor that every run is fed with again.
 *
 * TensorFlow's C interface has no gradient for the cross-entropy; but the op that computes it
 * gives, as its second output, its gradient by the logits. So the logits are what is
 * differentiated, and that output, over the batch, is where the chain starts.
 */
#include <stdlib.h>
#include <string.h>

#include "tensorflow_parts.h"

enum { FEED_X, FEED_LABELS, FEED_ALPHA, FEED_EPSILON, FEED_COUNT };

struct step {
    TF_Output feeds[FEED_COUNT];
    TF_Tensor *fed[FEED_COUNT];
    TF_Output loss; /* the batch's mean, before the update */
    const TF_Operation *updates[TARE_MAX_NET_TENSORS];
    TF_Output initial[TENSORFLOW_MAX_STATE]; /* placeholders, for the one run that sets variables */
    const TF_Operation *assigns[TENSORFLOW_MAX_STATE];
    TF_Output variables[TENSORFLOW_MAX_STATE]; /* the net's tensors, then their moments */
    int variable_count;
};

/* ---- build -------------------------------------------------------------------------------------
 */

static void make_variables(struct tensorflow *engine) {
    static const char *const kinds[] = {"value", "m", "v"};
    struct step *step = engine->training;
    const struct tare_net *net = &engine->work->net;
    step->variable_count = engine->is_adam ? 3 * net->tensor_count : net->tensor_count;
    for (int i = 0; i < step->variable_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i % net->tensor_count];
        const char *kind = kinds[i / net->tensor_count];
        int64_t dims[4];
        int rank = tensorflow_shape(dims, tensor);
        char name[80];
        snprintf(name, sizeof name, "%s/%s", kind, tensor->name);
        step->variables[i] = tensorflow_variable(engine, name, rank, dims);
        snprintf(name, sizeof name, "%s/%s/initial", kind, tensor->name);
        step->initial[i] = tensorflow_placeholder(engine, name, TF_FLOAT, rank, dims);
        snprintf(name, sizeof name, "%s/%s/assign", kind, tensor->name);
        step->assigns[i] = tensorflow_node(engine, "AssignVariableOp", name,
                                           (TF_Output[]){step->variables[i], step->initial[i]}, 2)
                               .oper;
        snprintf(name, sizeof name, "%s/%s/read", kind, tensor->name);
        if (i < net->tensor_count)
            engine->values[i] = tensorflow_read(engine, name, step->variables[i]);
    }
}

/* Adds the loss and, in gradients, what the mean loss gives by each of the net's tensors. */
static void make_gradients(struct tensorflow *engine, TF_Output *gradients) {
    struct step *step = engine->training;
    const struct tare_net *net = &engine->work->net;
    int64_t batch = (int64_t)engine->work->job.batch;
    float share = 1.0f / (float)batch;
    TF_Output labels = tensorflow_placeholder(engine, "labels", TF_INT32, 1, &batch);
    TF_Output entropy = tensorflow_node(engine, "SparseSoftmaxCrossEntropyWithLogits", "entropy",
                                        (TF_Output[]){engine->logits, labels}, 2);
    TF_Output by_logits = {.oper = entropy.oper, .index = 1};
    TF_Output axis = tensorflow_constant(engine, "axis", TF_INT32, &(int32_t){0});
    step->loss = tensorflow_node(engine, "Mean", "loss", (TF_Output[]){entropy, axis}, 2);
    TF_Output scale = tensorflow_constant(engine, "share", TF_FLOAT, &share);
    TF_Output start =
        tensorflow_node(engine, "Mul", "by_logits", (TF_Output[]){by_logits, scale}, 2);
    step->feeds[FEED_X] = engine->x;
    step->feeds[FEED_LABELS] = labels;
    if (engine->broken)
        return;
    tf.AddGradients(engine->graph, &engine->logits, 1, engine->values, net->tensor_count, &start,
                    engine->status, gradients);
    engine->broken = tf.GetCode(engine->status) != TF_OK;
}

static void make_updates(struct tensorflow *engine, const TF_Output *gradients) {
    struct step *step = engine->training;
    const struct tare_job *job = &engine->work->job;
    int n = engine->work->net.tensor_count;
    TF_Output alpha = tensorflow_placeholder(engine, "alpha", TF_FLOAT, 0, NULL);
    TF_Output epsilon = tensorflow_placeholder(engine, "epsilon", TF_FLOAT, 0, NULL);
    TF_Output beta1 = tensorflow_constant(engine, "beta1", TF_FLOAT, &(float){(float)job->beta1});
    TF_Output beta2 = tensorflow_constant(engine, "beta2", TF_FLOAT, &(float){(float)job->beta2});
    /* The op's own bias correction is lr·√(1 − power₂)/(1 − power₁), in float32, and it knows only
     * ε̂. Powers of 0 make it lr; alpha and epsilon carry the corrections, computed in double. */
    TF_Output power = tensorflow_constant(engine, "power", TF_FLOAT, &(float){0.0f});
    step->feeds[FEED_ALPHA] = alpha;
    step->feeds[FEED_EPSILON] = epsilon;
    for (int i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "update/%s", engine->work->net.tensors[i].name);
        const TF_Output *variables = step->variables + i;
        TF_Output adam[] = {variables[0], variables[n], variables[2 * n], power,       power, alpha,
                            beta1,        beta2,        epsilon,          gradients[i]};
        TF_Output sgd[] = {variables[0], alpha, gradients[i]};
        TF_Output update =
            engine->is_adam ? tensorflow_node(engine, "ResourceApplyAdam", name, adam, 10)
                            : tensorflow_node(engine, "ResourceApplyGradientDescent", name, sgd, 3);
        step->updates[i] = update.oper;
    }
}

/* One run that gives the variables their values: the job's weights, and moments of zero. */
static enum tare_status set_variables(struct tensorflow *engine, struct tare_err *err) {
    struct step *step = engine->training;
    const struct tare_net *net = &engine->work->net;
    for (int i = 0; i < step->variable_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i % net->tensor_count];
        int64_t dims[4];
        int rank = tensorflow_shape(dims, tensor);
        const float *values = i < net->tensor_count ? engine->work->params + tensor->offset : NULL;
        engine->state[i] = tensorflow_tensor(TF_FLOAT, rank, dims, values);
        if (!engine->state[i])
            return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the weights");
    }
    TRY(tensorflow_run(engine, step->initial, engine->state, step->variable_count, NULL, NULL, 0,
                       step->assigns, step->variable_count, "cannot set the variables", err));
    for (int i = 0; i < step->variable_count; i++) {
        tf.DeleteTensor(engine->state[i]); /* else a variable shares it, and copies it to update */
        engine->state[i] = NULL;
    }
    return TARE_OK;
}

static enum tare_status build(struct tensorflow *engine, struct tare_err *err) {
    struct step *step = engine->training = calloc(1, sizeof *step);
    if (!step)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a graph");
    int64_t dims[] = {(int64_t)engine->work->job.batch, (int64_t)engine->work->net.n_in};
    step->fed[FEED_X] = tensorflow_tensor(TF_FLOAT, 2, dims, NULL);
    step->fed[FEED_LABELS] = tensorflow_tensor(TF_INT32, 1, dims, NULL);
    step->fed[FEED_ALPHA] = tensorflow_tensor(TF_FLOAT, 0, NULL, NULL);
    step->fed[FEED_EPSILON] = tensorflow_tensor(TF_FLOAT, 0, NULL, NULL);
    for (int i = 0; i < FEED_COUNT; i++)
        if (!step->fed[i])
            return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a batch");
    TF_Output gradients[TARE_MAX_NET_TENSORS] = {{0}};
    make_variables(engine);
    TRY(tensorflow_forward(engine, err));
    make_gradients(engine, gradients);
    make_updates(engine, gradients);
    TRY(tensorflow_check(engine, "cannot make the graph", err));
    TRY(tensorflow_open(engine, NULL, err));
    return set_variables(engine, err);
}

static void close_step(struct tensorflow *engine) {
    struct step *step = engine->training;
    for (int i = 0; i < FEED_COUNT; i++)
        tf.DeleteTensor(step->fed[i]); /* takes NULL */
    free(step);
}

/* ---- train -------------------------------------------------------------------------------------
 */

static void gather(const struct tensorflow *engine, size_t at) {
    const struct step *step = engine->training;
    const struct tare_work *work = engine->work;
    size_t batch = work->job.batch, n_in = work->net.n_in;
    const int32_t *rows = work->order + at * batch;
    float *x = tf.TensorData(step->fed[FEED_X]);
    int32_t *labels = tf.TensorData(step->fed[FEED_LABELS]);
    for (size_t i = 0; i < batch; i++) {
        memcpy(x + i * n_in, work->images + (size_t)rows[i] * n_in, n_in * sizeof *x);
        labels[i] = work->labels[rows[i]];
    }
}

static enum tare_status train(struct tensorflow *engine, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    struct step *step = engine->training;
    /* sgd has no use for an epsilon, and a feed that reaches nothing is still one to pass on */
    int feed_count = engine->is_adam ? FEED_COUNT : FEED_EPSILON;
    for (size_t i = 0; i < count; i++) {
        TF_Tensor *loss = NULL;
        gather(engine, first + i);
        tensorflow_rates(engine, tf.TensorData(step->fed[FEED_ALPHA]),
                         tf.TensorData(step->fed[FEED_EPSILON]), first + i, 1);
        TRY(tensorflow_run(engine, step->feeds, step->fed, feed_count, &step->loss, &loss, 1,
                           step->updates, engine->work->net.tensor_count, "training", err));
        losses[i] = *(const float *)tf.TensorData(loss);
        tf.DeleteTensor(loss);
    }
    return TARE_OK;
}

static enum tare_status weights(struct tensorflow *engine, float *params, struct tare_err *err) {
    const struct tare_net *net = &engine->work->net;
    TF_Tensor *values[TARE_MAX_NET_TENSORS] = {0};
    enum tare_status status = tensorflow_run(engine, NULL, NULL, 0, engine->values, values,
                                             net->tensor_count, NULL, 0, "weights", err);
    for (int i = 0; i < net->tensor_count; i++) {
        if (status == TARE_OK)
            memcpy(params + net->tensors[i].offset, tf.TensorData(values[i]),
                   net->tensors[i].count * sizeof *params);
        tf.DeleteTensor(values[i]);
    }
    return status;
}

const struct tensorflow_variant tensorflow_step = {
    .name = "step", .build = build, .train = train, .weights = weights, .close = close_step};
