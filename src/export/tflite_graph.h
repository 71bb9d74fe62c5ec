/* tflite_graph.h: a TensorFlow Lite graph as plain data, between the two halves of its writer:
 * tflite.c makes it from a net, tflite_file.c writes it. Internal to export.
 *
 * Every number of the schema is here or in tflite_file.c; they are those of
 * tensorflow/lite/schema/schema.fbs (version 3) of TensorFlow 2.21.
 */
#ifndef TARE_EXPORT_TFLITE_GRAPH_H
#define TARE_EXPORT_TFLITE_GRAPH_H

#include <stdint.h>

#include "export/flatbuffer.h"
#include "export/parts.h"

/* Operators: id, BuiltinOperator, its BuiltinOptions (0: none), and since which TensorFlow Lite
 * (1000 × major + minor) the operator is there in version 1, which is the one written here: float32
 * needs no later one. From tensorflow/lite/tools/versioning/{op,runtime}_version.cc. */
#define TFLITE_OPERATOR_LIST(X)                                                                    \
    X(FULLY_CONNECTED, 9, 8, 1005)                                                                 \
    X(RELU, 19, 0, 1005)                                                                           \
    X(SOFTMAX, 25, 9, 1005)                                                                        \
    X(DIV, 42, 29, 1006)                                                                           \
    X(CAST, 53, 37, 1005)
enum tflite_operator {
#define X(id, number, options, since) TFLITE_##id,
    TFLITE_OPERATOR_LIST(X)
#undef X
        TFLITE_OPERATOR_COUNT
};

enum tflite_type { TFLITE_FLOAT32 = 0, TFLITE_UINT8 = 3 };
enum tflite_activation { TFLITE_NO_ACTIVATION = 0, TFLITE_FUSED_RELU = 1 };

#define TFLITE_MAX_TENSORS (TARE_MAX_NET_TENSORS + TARE_MAX_LAYERS + 5)
#define TFLITE_MAX_NODES (TARE_MAX_LAYERS + 3)
#define TFLITE_MAX_OPTIONS 2
#define TFLITE_MAX_INPUTS 3

struct tflite_tensor {
    char name[TARE_EXPORT_NAME];
    enum tflite_type type;
    int rank;
    size_t shape[2];     /* of a computed one: (batch, n), batch 0 where it is free */
    const float *values; /* of a constant: as tare keeps them; NULL: computed */
    bool transposed;     /* values are (shape[1], shape[0]), and are turned when written */
};

struct tflite_node {
    enum tflite_operator operator;
    int inputs[TFLITE_MAX_INPUTS], input_count; /* indices of tensors */
    int output;
    struct tare_fb_field options[TFLITE_MAX_OPTIONS];
};

struct tflite_graph {
    struct tflite_tensor tensors[TFLITE_MAX_TENSORS];
    int tensor_count;
    struct tflite_node nodes[TFLITE_MAX_NODES];
    int node_count;
    int input, output; /* indices of tensors */
};

/* Appends the file. TARE_MEMORY: none for a row of weights; the rest as out->failed. */
enum tare_status tflite_write(struct tare_buf *out, const struct tflite_graph *graph,
                              const struct tare_export_source *source, struct tare_err *err);

#endif
