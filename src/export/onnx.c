/* onnx.c: a net as an ONNX model. Fields and numbers: onnx/onnx.proto of ONNX 1.23; operators:
 * onnx.ai/onnx/operators. The wire format is protobuf.c's; what goes in was checked by export.c.
 *
 * Opset 13 is the oldest in which Softmax runs along one axis only, and the operators used here
 * have not changed their meaning for these types since: every runtime and converter of 2021 or
 * later takes it, ONNX Runtime 1.32 and Netron among them. IR version 7 is the one that came with
 * it. */
#include <string.h>

#include "export/parts.h"
#include "export/protobuf.h"
#include "tare/version.h"

enum { IR_VERSION = 7, OPSET = 13 };

enum model_field {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER_NAME = 2,
    MODEL_PRODUCER_VERSION = 3,
    MODEL_DOC_STRING = 6,
    MODEL_GRAPH = 7,
    MODEL_OPSET_IMPORT = 8,
    MODEL_METADATA_PROPS = 14
};
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum graph_field {
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_DOC_STRING = 10,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    GRAPH_VALUE_INFO = 13
};
enum node_field {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP_TYPE = 4,
    NODE_ATTRIBUTE = 5
};
enum attribute_field { ATTRIBUTE_NAME = 1, ATTRIBUTE_I = 3, ATTRIBUTE_TYPE = 20 };
enum { ATTRIBUTE_IS_INT = 2 };
enum tensor_field { TENSOR_DIMS = 1, TENSOR_DATA_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW_DATA = 9 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, VALUE_DOC_STRING = 3 };
enum { TYPE_TENSOR = 1, TENSOR_TYPE_ELEMENT = 1, TENSOR_TYPE_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2 };
enum element { ELEMENT_FLOAT = 1, ELEMENT_UINT8 = 2 };

#define BATCH "batch" /* the name of a free number of images */
#define DIVISOR "255"

/* ---- pieces of a graph -------------------------------------------------------------------------
 */

/* A node is left open, so that attributes can follow; inputs end with a NULL. */
static size_t open_node(struct tare_buf *out, const char *op_type, const char *name,
                        const char *const *inputs, const char *output) {
    size_t node = tare_pb_open(out, GRAPH_NODE);
    for (; *inputs; inputs++)
        tare_pb_text(out, NODE_INPUT, *inputs);
    tare_pb_text(out, NODE_OUTPUT, output);
    tare_pb_text(out, NODE_NAME, name);
    tare_pb_text(out, NODE_OP_TYPE, op_type);
    return node;
}

static void add_node(struct tare_buf *out, const char *op_type, const char *name,
                     const char *const *inputs, const char *output) {
    tare_pb_close(out, open_node(out, op_type, name, inputs, output));
}

/* values: rank sizes' product of them; rank 0 is a single value. */
static void add_initializer(struct tare_buf *out, const char *name, int rank, const size_t *shape,
                            const float *values) {
    size_t tensor = tare_pb_open(out, GRAPH_INITIALIZER), count = 1;
    for (int i = 0; i < rank; i++) {
        tare_pb_number(out, TENSOR_DIMS, shape[i]);
        count *= shape[i];
    }
    tare_pb_number(out, TENSOR_DATA_TYPE, ELEMENT_FLOAT);
    tare_pb_text(out, TENSOR_NAME, name);
    tare_pb_bytes(out, TENSOR_RAW_DATA, values, count * sizeof *values);
    tare_pb_close(out, tensor);
}

/* What lies between nodes: (batch, n). doc may be NULL. */
static void add_value(struct tare_buf *out, enum graph_field field, const char *name,
                      enum element element, size_t batch, size_t n, const char *doc) {
    size_t value = tare_pb_open(out, field);
    tare_pb_text(out, VALUE_NAME, name);
    size_t type = tare_pb_open(out, VALUE_TYPE), tensor = tare_pb_open(out, TYPE_TENSOR);
    tare_pb_number(out, TENSOR_TYPE_ELEMENT, element);
    size_t shape = tare_pb_open(out, TENSOR_TYPE_SHAPE), dim = tare_pb_open(out, SHAPE_DIM);
    if (batch == 0)
        tare_pb_text(out, DIM_PARAM, BATCH);
    else
        tare_pb_number(out, DIM_VALUE, batch);
    tare_pb_close(out, dim);
    dim = tare_pb_open(out, SHAPE_DIM);
    tare_pb_number(out, DIM_VALUE, n);
    tare_pb_close(out, dim);
    tare_pb_close(out, shape);
    tare_pb_close(out, tensor);
    tare_pb_close(out, type);
    if (doc)
        tare_pb_text(out, VALUE_DOC_STRING, doc);
    tare_pb_close(out, value);
}

/* ---- one row per op ----------------------------------------------------------------------------
 */

/* Gemm computes in · weight + bias with weight: (n_in, n_out), which is how tare keeps it. */
static void dense_node(struct tare_buf *out, const struct tare_net *net, int layer,
                       const char *name, const char *in, const char *result) {
    const struct tare_net_tensor *tensors = net->tensors + net->layers[layer].first_tensor;
    add_node(out, "Gemm", name, (const char *[]){in, tensors[0].name, tensors[1].name, NULL},
             result);
}

static void relu_node(struct tare_buf *out, const struct tare_net *net, int layer, const char *name,
                      const char *in, const char *result) {
    (void)net, (void)layer;
    add_node(out, "Relu", name, (const char *[]){in, NULL}, result);
}

static const struct row {
    const char *op;
    void (*node)(struct tare_buf *out, const struct tare_net *net, int layer, const char *name,
                 const char *in, const char *result);
} rows[] = {{"dense", dense_node}, {"relu", relu_node}};

static const struct row *find_row(const struct tare_layer *layer) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, tare_layer_op_name(layer)) == 0)
            return &rows[i];
    return NULL;
}

/* ---- the graph ---------------------------------------------------------------------------------
 */

/* uint8 pixels to x = pixel / 255, a division as in u8 / 255.0f, so that x has the same bits. */
static void normalise_nodes(struct tare_buf *out) {
    size_t cast =
        open_node(out, "Cast", "to_float", (const char *[]){TARE_EXPORT_INPUT, NULL}, "pixels");
    size_t attribute = tare_pb_open(out, NODE_ATTRIBUTE);
    tare_pb_text(out, ATTRIBUTE_NAME, "to");
    tare_pb_number(out, ATTRIBUTE_I, ELEMENT_FLOAT);
    tare_pb_number(out, ATTRIBUTE_TYPE, ATTRIBUTE_IS_INT);
    tare_pb_close(out, attribute);
    tare_pb_close(out, cast);
    add_node(out, "Div", "normalise", (const char *[]){"pixels", DIVISOR, NULL}, "x");
}

static enum tare_status add_nodes(struct tare_buf *out, const struct tare_export_source *source,
                                  struct tare_err *err) {
    const struct tare_net *net = source->net;
    char in[TARE_EXPORT_NAME] = TARE_EXPORT_INPUT;
    if (source->options->normalise) {
        normalise_nodes(out);
        memcpy(in, "x", sizeof "x");
    }
    for (int i = 0; i < net->layer_count; i++) {
        char name[TARE_EXPORT_NAME], result[TARE_EXPORT_NAME];
        const struct row *row = find_row(&net->layers[i]);
        if (!row)
            return tare_export_no_row(net, i, TARE_EXPORT_ONNX, err);
        tare_export_layer_name(name, net, i);
        tare_export_result_name(result, net, i);
        row->node(out, net, i, name, in, result);
        memcpy(in, result, sizeof in);
    }
    if (source->options->softmax) /* along the last axis, which is its default */
        add_node(out, "Softmax", "softmax", (const char *[]){in, NULL}, TARE_EXPORT_PROBABILITIES);
    return TARE_OK;
}

static void add_initializers(struct tare_buf *out, const struct tare_export_source *source) {
    const struct tare_net *net = source->net;
    static const float divisor = 255.0F;
    for (int i = 0; i < net->tensor_count; i++)
        add_initializer(out, net->tensors[i].name, net->tensors[i].rank, net->tensors[i].shape,
                        source->params + net->tensors[i].offset);
    if (source->options->normalise)
        add_initializer(out, DIVISOR, 0, NULL, &divisor);
}

static void add_values(struct tare_buf *out, const struct tare_export_source *source) {
    const struct tare_net *net = source->net;
    const struct tare_export_options *o = source->options;
    const char *ends_in = o->softmax ? TARE_EXPORT_PROBABILITIES : TARE_EXPORT_LOGITS;
    add_value(out, GRAPH_INPUT, TARE_EXPORT_INPUT, o->normalise ? ELEMENT_UINT8 : ELEMENT_FLOAT,
              o->batch, net->n_in, o->normalise ? "pixels, 0 to 255" : "pixels / 255, 0 to 1");
    add_value(out, GRAPH_OUTPUT, ends_in, ELEMENT_FLOAT, o->batch, net->n_out,
              "one row per image, one value per class");
    if (o->normalise) {
        add_value(out, GRAPH_VALUE_INFO, "pixels", ELEMENT_FLOAT, o->batch, net->n_in, NULL);
        add_value(out, GRAPH_VALUE_INFO, "x", ELEMENT_FLOAT, o->batch, net->n_in, NULL);
    }
    for (int i = 0; i < net->layer_count; i++) {
        char name[TARE_EXPORT_NAME];
        tare_export_result_name(name, net, i);
        if (strcmp(name, ends_in) != 0)
            add_value(out, GRAPH_VALUE_INFO, name, ELEMENT_FLOAT, o->batch, net->layers[i].n_out,
                      NULL);
    }
}

enum tare_status tare_onnx_bytes(struct tare_buf *out, const struct tare_export_source *source,
                                 struct tare_err *err) {
    tare_pb_number(out, MODEL_IR_VERSION, IR_VERSION);
    tare_pb_text(out, MODEL_PRODUCER_NAME, "tare");
    tare_pb_text(out, MODEL_PRODUCER_VERSION, TARE_VERSION);
    tare_pb_text(out, MODEL_DOC_STRING, source->description);
    size_t graph = tare_pb_open(out, MODEL_GRAPH);
    enum tare_status status = add_nodes(out, source, err);
    if (status != TARE_OK)
        return status;
    tare_pb_text(out, GRAPH_NAME, "tare");
    add_initializers(out, source);
    tare_pb_text(out, GRAPH_DOC_STRING, source->description);
    add_values(out, source);
    tare_pb_close(out, graph);
    size_t opset = tare_pb_open(out, MODEL_OPSET_IMPORT);
    tare_pb_text(out, OPSET_DOMAIN, ""); /* ONNX's own operators */
    tare_pb_number(out, OPSET_VERSION, OPSET);
    tare_pb_close(out, opset);
    for (size_t i = 0; i < source->note_count; i++) {
        size_t entry = tare_pb_open(out, MODEL_METADATA_PROPS);
        tare_pb_text(out, ENTRY_KEY, source->notes[i].key);
        tare_pb_text(out, ENTRY_VALUE, source->notes[i].text);
        tare_pb_close(out, entry);
    }
    return TARE_OK;
}
