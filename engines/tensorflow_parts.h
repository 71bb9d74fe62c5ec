/* tensorflow_parts.h: what the files of the engine "tensorflow" share. tensorflow.c has the hooks
 * that engine_main.c calls, and inference; tensorflow_graph.c makes nodes and sessions;
 * tensorflow_step.c and tensorflow_epoch.c are the two ways to train.
 *
 * The library is opened while the engine runs, so that its loading is timed as `import` and a
 * machine that has lost it gets a skipped cell. The declarations are those of the environment's own
 * headers: TF_Name is called as tf.Name.
 */
#ifndef TARE_TENSORFLOW_PARTS_H
#define TARE_TENSORFLOW_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tensorflow/c/c_api.h>

#include "tare/engine.h"

/* Leaves a function at its first failure; what was made so far is in the engine, for close. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum tare_status try_status = (call);                                                      \
        if (try_status != TARE_OK)                                                                 \
            return try_status;                                                                     \
    } while (0)

#define TENSORFLOW_API(X)                                                                          \
    X(Version)                                                                                     \
    X(NewStatus)                                                                                   \
    X(DeleteStatus)                                                                                \
    X(GetCode)                                                                                     \
    X(Message)                                                                                     \
    X(NewGraph)                                                                                    \
    X(DeleteGraph)                                                                                 \
    X(GraphOperationByName)                                                                        \
    X(AddGradients)                                                                                \
    X(NewOperation)                                                                                \
    X(FinishOperation)                                                                             \
    X(AddInput)                                                                                    \
    X(SetAttrType)                                                                                 \
    X(SetAttrShape)                                                                                \
    X(SetAttrString)                                                                               \
    X(SetAttrTensor)                                                                               \
    X(NewTensor)                                                                                   \
    X(AllocateTensor)                                                                              \
    X(DeleteTensor)                                                                                \
    X(TensorData)                                                                                  \
    X(TensorByteSize)                                                                              \
    X(NewBufferFromString)                                                                         \
    X(DeleteBuffer)                                                                                \
    X(NewSessionOptions)                                                                           \
    X(DeleteSessionOptions)                                                                        \
    X(SetConfig)                                                                                   \
    X(NewSession)                                                                                  \
    X(LoadSessionFromSavedModel)                                                                   \
    X(SessionRun)                                                                                  \
    X(CloseSession)                                                                                \
    X(DeleteSession)

struct tensorflow_api {
#define X(name) __typeof__(TF_##name) *name;
    TENSORFLOW_API(X)
#undef X
};
extern struct tensorflow_api tf;

/* A parameter tensor, and the optimiser's two moments of it. */
#define TENSORFLOW_MAX_STATE (3 * TARE_MAX_NET_TENSORS)

struct tensorflow {
    struct tare_work *work;
    const struct tensorflow_variant *variant; /* NULL: this job doesn't train */
    TF_Status *status;
    TF_Graph *graph;
    TF_Session *session;
    TF_Buffer *run_options;
    bool broken;      /* a node could not be made: status says why, and no more are tried */
    TF_Output x;      /* placeholder (n, n_in) */
    TF_Output logits; /* (n, n_out) of x and values */
    TF_Output values[TARE_MAX_NET_TENSORS]; /* the net's tensors in the graph */
    /* Values outside the graph: tensor i of the net in state[i], and after all of them the moments
     * of a variant that keeps them here. Unused where the graph has variables. */
    TF_Tensor *state[TENSORFLOW_MAX_STATE];
    bool values_are_fed; /* values are placeholders for state */
    bool is_adam;        /* else plain SGD */
    void *training;      /* the variant's own */
};

struct tensorflow_variant {
    const char *name;
    enum tare_status (*build)(struct tensorflow *engine, struct tare_err *err);
    enum tare_status (*train)(struct tensorflow *engine, size_t first, size_t count, float *losses,
                              struct tare_err *err);
    /* Copies the weights out of variables; NULL where they are in state. */
    enum tare_status (*weights)(struct tensorflow *engine, float *params, struct tare_err *err);
    void (*close)(struct tensorflow *engine);
};
extern const struct tensorflow_variant tensorflow_step, tensorflow_epoch;

/* tensorflow.c: adds the net to the graph with placeholders as its values, and puts those in state.
 */
enum tare_status tensorflow_feed_values(struct tensorflow *engine, struct tare_err *err);

/* ---- tensorflow_graph.c ------------------------------------------------------------------------
 */

/* TARE_OK, or what engine->status says. */
enum tare_status tensorflow_check(const struct tensorflow *engine, const char *doing,
                                  struct tare_err *err);

/* Opens the session with the job's threads: on the graph as it is and will be, or, given the folder
 * of a SavedModel, on an empty graph that gets the model. */
enum tare_status tensorflow_open(struct tensorflow *engine, const char *saved_model,
                                 struct tare_err *err);

/* Nodes. After a failure engine->broken is set, and what is returned may go into other calls. */
TF_Output tensorflow_node(struct tensorflow *engine, const char *type, const char *name,
                          const TF_Output *inputs, int input_count);
TF_Output tensorflow_placeholder(struct tensorflow *engine, const char *name, TF_DataType type,
                                 int rank, const int64_t *dims);
TF_Output tensorflow_constant(struct tensorflow *engine, const char *name, TF_DataType type,
                              const void *value); /* a scalar */
TF_Output tensorflow_variable(struct tensorflow *engine, const char *name, int rank,
                              const int64_t *dims);
TF_Output tensorflow_read(struct tensorflow *engine, const char *name, TF_Output variable);

/* The shape of a tensor of the net; returns its rank. */
int tensorflow_shape(int64_t dims[4], const struct tare_net_tensor *tensor);

/* Adds x and, from engine->values, logits: the net's forward pass. */
enum tare_status tensorflow_forward(struct tensorflow *engine, struct tare_err *err);

/* A new tensor with a copy of data, or zeros where data is NULL; NULL without memory. */
TF_Tensor *tensorflow_tensor(TF_DataType type, int rank, const int64_t *dims, const void *data);

/* A tensor that borrows data where TensorFlow's alignment allows it, else holds a copy. */
TF_Tensor *tensorflow_borrow(TF_DataType type, int rank, const int64_t *dims, const void *data);

enum tare_status tensorflow_run(struct tensorflow *engine, const TF_Output *feeds,
                                TF_Tensor *const *fed, int feed_count, const TF_Output *fetches,
                                TF_Tensor **fetched, int fetch_count,
                                const TF_Operation *const *targets, int target_count,
                                const char *doing, struct tare_err *err);

/* What step `first + 1` and those after it multiply and add: the parameter update is
 *     p -= alpha·m / (√v + epsilon)      (Adam)        p -= alpha·g      (SGD)
 * with the bias corrections of Kingma & Ba's Algorithm 1 inside alpha and epsilon, as at the end of
 * their section 2. Both: (count). */
void tensorflow_rates(const struct tensorflow *engine, float *alpha, float *epsilon, size_t first,
                      size_t count);

#endif
