/* tflite.c: a net as a TensorFlow Lite model: which operators on which tensors. How they lie in the
 * file is tflite_file.c's; what goes in was checked by export.c. */
#include <stdio.h>
#include <string.h>

#include "export/tflite_graph.h"

static int add_tensor(struct tflite_graph *g, const struct tflite_tensor *tensor,
                      const char *name) {
    struct tflite_tensor *added = &g->tensors[g->tensor_count];
    *added = *tensor;
    snprintf(added->name, sizeof added->name, "%s", name);
    return g->tensor_count++;
}

/* What a node gives: (batch, n). */
static int add_computed(struct tflite_graph *g, const char *name, enum tflite_type type,
                        size_t batch, size_t n) {
    return add_tensor(g, &(struct tflite_tensor){.type = type, .rank = 2, .shape = {batch, n}},
                      name);
}

static struct tflite_node *add_node(struct tflite_graph *g, enum tflite_operator operator, int in,
                                    int out) {
    struct tflite_node *node = &g->nodes[g->node_count++];
    *node =
        (struct tflite_node){.operator= operator, .inputs = {in}, .input_count = 1, .output = out};
    return node;
}

static void add_input(struct tflite_node *node, int tensor) {
    node->inputs[node->input_count++] = tensor;
}

/* ---- one row per op ----------------------------------------------------------------------------
 */

/* FULLY_CONNECTED takes weights (n_out, n_in), the transpose of ours. */
static void dense_node(struct tflite_graph *g, const struct tare_export_source *source, int layer,
                       int in, int out, enum tflite_activation activation) {
    const struct tare_net_tensor *weight =
                                     source->net->tensors + source->net->layers[layer].first_tensor,
                                 *bias = weight + 1;
    struct tflite_node *node = add_node(g, TFLITE_FULLY_CONNECTED, in, out);
    node->options[0] = (struct tare_fb_field)TARE_FB_BYTE(activation);
    add_input(node,
              add_tensor(g,
                         &(struct tflite_tensor){.rank = 2,
                                                 .shape = {weight->shape[1], weight->shape[0]},
                                                 .values = source->params + weight->offset,
                                                 .transposed = true},
                         weight->name));
    add_input(node, add_tensor(g,
                               &(struct tflite_tensor){.rank = 1,
                                                       .shape = {bias->shape[0]},
                                                       .values = source->params + bias->offset},
                               bias->name));
}

static void relu_node(struct tflite_graph *g, const struct tare_export_source *source, int layer,
                      int in, int out, enum tflite_activation activation) {
    (void)source, (void)layer, (void)activation;
    add_node(g, TFLITE_RELU, in, out);
}

static const struct row {
    const char *op;
    bool fuses; /* its operator takes a following relu along */
    void (*node)(struct tflite_graph *g, const struct tare_export_source *source, int layer, int in,
                 int out, enum tflite_activation activation);
} rows[] = {{"dense", true, dense_node}, {"relu", false, relu_node}};

static const struct row *find_row(const struct tare_layer *layer) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, tare_layer_op_name(layer)) == 0)
            return &rows[i];
    return NULL;
}

/* ---- the graph ---------------------------------------------------------------------------------
 */

/* uint8 pixels to x = pixel / 255, a division as in u8 / 255.0f, so that x has the same bits. */
static int normalise_nodes(struct tflite_graph *g, size_t batch, size_t n_in) {
    static const float divisor = 255.0F;
    int pixels = add_computed(g, "pixels", TFLITE_FLOAT32, batch, n_in);
    struct tflite_node *cast = add_node(g, TFLITE_CAST, g->input, pixels);
    cast->options[0] = (struct tare_fb_field)TARE_FB_BYTE(TFLITE_UINT8);
    cast->options[1] = (struct tare_fb_field)TARE_FB_BYTE(TFLITE_FLOAT32);
    int x = add_computed(g, "x", TFLITE_FLOAT32, batch, n_in);
    struct tflite_node *div = add_node(g, TFLITE_DIV, pixels, x);
    div->options[0] = (struct tare_fb_field)TARE_FB_BYTE(TFLITE_NO_ACTIVATION);
    add_input(
        div,
        add_tensor(g, &(struct tflite_tensor){.rank = 1, .shape = {1}, .values = &divisor}, "255"));
    return x;
}

static int softmax_node(struct tflite_graph *g, size_t batch, size_t n_out, int logits) {
    const float beta = 1; /* of exp(beta · logit) */
    uint32_t bits;
    memcpy(&bits, &beta, sizeof bits);
    int out = add_computed(g, TARE_EXPORT_PROBABILITIES, TFLITE_FLOAT32, batch, n_out);
    add_node(g, TFLITE_SOFTMAX, logits, out)->options[0] = (struct tare_fb_field)TARE_FB_INT(bits);
    return out;
}

static enum tare_status make_graph(struct tflite_graph *g, const struct tare_export_source *source,
                                   struct tare_err *err) {
    const struct tare_net *net = source->net;
    const struct tare_export_options *o = source->options;
    g->input = add_computed(g, TARE_EXPORT_INPUT, o->normalise ? TFLITE_UINT8 : TFLITE_FLOAT32,
                            o->batch, net->n_in);
    int last = o->normalise ? normalise_nodes(g, o->batch, net->n_in) : g->input;
    for (int i = 0; i < net->layer_count; i++) {
        const struct row *row = find_row(&net->layers[i]);
        if (!row)
            return tare_export_no_row(net, i, TARE_EXPORT_TFLITE, err);
        bool fused = row->fuses && i + 1 < net->layer_count &&
                     strcmp(tare_layer_op_name(&net->layers[i + 1]), "relu") == 0;
        int layer = i;
        i += fused; /* what is named and measured is what the relu gives */
        char name[TARE_EXPORT_NAME];
        tare_export_result_name(name, net, i);
        int out = add_computed(g, name, TFLITE_FLOAT32, o->batch, net->layers[i].n_out);
        row->node(g, source, layer, last, out, fused ? TFLITE_FUSED_RELU : TFLITE_NO_ACTIVATION);
        last = out;
    }
    g->output = o->softmax ? softmax_node(g, o->batch, net->n_out, last) : last;
    return TARE_OK;
}

enum tare_status tare_tflite_bytes(struct tare_buf *out, const struct tare_export_source *source,
                                   struct tare_err *err) {
    struct tflite_graph graph = {0};
    enum tare_status status = make_graph(&graph, source, err);
    return status == TARE_OK ? tflite_write(out, &graph, source, err) : status;
}
