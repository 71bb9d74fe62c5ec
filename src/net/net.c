/* net.c: a net as plain data: its shapes, its table of tensors, its canonical text, and the loops
 * over them. Nets are made from text in spec.c; their values are params.c's. What a layer does is
 * in op_*.c only. */
#include "tare/net.h"

#include <stdio.h>

#include "net/op.h"

size_t tare_shape_values(const struct tare_shape *shape) {
    size_t values = 1;
    for (int i = 0; i < shape->rank; i++)
        values *= shape->dim[i];
    return values;
}

const char *tare_layer_op_name(const struct tare_layer *layer) {
    return layer->op->name;
}

double tare_net_forward_flops(const struct tare_net *net) {
    double flops = 0;
    for (int i = 0; i < net->layer_count; i++)
        flops += net->layers[i].op->forward_flops(&net->layers[i]);
    return flops;
}

/* How many of the layers made so far have parameters; tensors are numbered by it. */
static int layers_with_parameters(const struct tare_net *net) {
    int count = 0;
    for (int i = 0; i < net->layer_count; i++)
        count += net->layers[i].tensor_count > 0;
    return count;
}

enum tare_status tare_net_add_tensor(struct tare_net *net, struct tare_layer *layer,
                                     const char *role, int rank, const size_t *shape, size_t fan_in,
                                     size_t fan_out, struct tare_err *err) {
    if (net->tensor_count == TARE_MAX_NET_TENSORS)
        return tare_fail(err, TARE_USAGE, NULL, "use fewer layers",
                         "the net has more than %d parameter tensors", TARE_MAX_NET_TENSORS);
    struct tare_net_tensor *tensor = &net->tensors[net->tensor_count];
    *tensor = (struct tare_net_tensor){
        .rank = rank, .offset = net->param_count, .count = 1, .fan_in = fan_in, .fan_out = fan_out};
    for (int i = 0; i < rank; i++) {
        tensor->shape[i] = shape[i];
        if (shape[i] > (TARE_MAX_PARAMS - net->param_count) / tensor->count)
            return tare_fail(err, TARE_USAGE, NULL, "use smaller layers",
                             "the net has more than %d parameters", TARE_MAX_PARAMS);
        tensor->count *= shape[i];
    }
    /* The layer itself is not in net->layers yet, so the count of the others is its number. */
    snprintf(tensor->name, sizeof tensor->name, "%d.%s", layers_with_parameters(net), role);
    if (layer->tensor_count == 0) {
        layer->first_tensor = net->tensor_count;
        layer->param_offset = net->param_count;
    }
    layer->tensor_count++;
    net->tensor_count++;
    net->param_count += tensor->count;
    return TARE_OK;
}

/* Appends to out[*used …]; what does not fit is cut. */
static void append(char *out, size_t *used, const char *separator, const char *word) {
    int n = snprintf(out + *used, TARE_MAX_SPEC - *used, "%s%s", separator, word);
    if (n > 0)
        *used += (size_t)n;
    if (*used >= TARE_MAX_SPEC)
        *used = TARE_MAX_SPEC - 1;
}

static void append_number(char *out, size_t *used, const char *separator, size_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%zu", number);
    append(out, used, separator, digits);
}

void tare_net_text(char *out, const struct tare_net *net) {
    size_t used = 0;
    for (int i = 0; i < net->in.rank; i++)
        append_number(out, &used, i ? "x" : "", net->in.dim[i]);
    for (int i = 0; i < net->layer_count; i++) {
        const struct tare_layer *layer = &net->layers[i];
        /* An activation is written behind the layer it belongs to, where there is one. */
        int suffix = layer->op->activation && i > 0 && !net->layers[i - 1].op->activation;
        append(out, &used, suffix ? ":" : " ", layer->op->name);
        for (int a = 0; a < layer->op->arg_count; a++)
            append_number(out, &used, ":", layer->arg[a]);
    }
}
