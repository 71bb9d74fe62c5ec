/* net.h: a model as plain data: a list of layers with shapes, and one block of parameters.
 *
 *     struct tare_net net;
 *     if (tare_net_parse(&net, "784 dense:64:relu dense:10", &err) != TARE_OK) …
 *     float *params = calloc(net.param_count, sizeof *params);
 *     tare_net_init(params, &net, seed);                  // Glorot-uniform weights, zero biases
 *     for (int i = 0; i < net.tensor_count; i++)
 *         printf("%s at %zu\n", net.tensors[i].name, net.tensors[i].offset);
 *
 * Grammar: INPUT LAYER…, separated by spaces. INPUT: 784, or 28x28x1 (height × width × channels).
 * LAYER: dense:UNITS or dense:UNITS:relu; relu alone. A dense layer flattens what it is given.
 * "dense:64:relu" and "dense:64 relu" are the same two layers: layers[0] dense, layers[1] relu.
 */
#ifndef TARE_NET_H
#define TARE_NET_H

#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

#define TARE_MAX_LAYERS 32
#define TARE_MAX_NET_TENSORS 64
#define TARE_MAX_WIDTH 65536      /* values of one layer's input or output, per sample */
#define TARE_MAX_PARAMS (1 << 28) /* floats: 1 GiB */
#define TARE_MAX_SPEC 1024        /* characters, with the NUL */
#define TARE_MAX_LAYER_ARGS 4     /* numbers in a layer's text: UNITS of dense:UNITS */

struct tare_shape { /* of one sample: (values), or (height, width, channels) */
    int rank;       /* 1 or 3 */
    size_t dim[3];
};

struct tare_layer {
    const struct tare_op *op;        /* src/net/op.h; its name through tare_layer_op_name */
    size_t arg[TARE_MAX_LAYER_ARGS]; /* the numbers of its text, in the order of the text */
    struct tare_shape in, out;
    size_t n_in, n_out; /* values per sample: products of in and out */
    int first_tensor;   /* index into tensors; −1 without parameters */
    int tensor_count;
    size_t param_offset; /* of the first tensor, in floats */
};

struct tare_net_tensor { /* one parameter tensor inside the block */
    char name[32];       /* "0.weight", "0.bias": numbered by layer with parameters */
    int rank;
    size_t shape[4]; /* dense: weight (n_in, n_out), bias (n_out) */
    size_t offset, count;
    size_t fan_in, fan_out; /* for Glorot; 0 for a bias */
};

struct tare_net {
    struct tare_shape in;
    size_t n_in, n_out;
    int layer_count, tensor_count;
    struct tare_layer layers[TARE_MAX_LAYERS];
    struct tare_net_tensor tensors[TARE_MAX_NET_TENSORS];
    size_t param_count; /* floats in the block */
};

/* TARE_USAGE when the text is no net; err names the character and, for a misspelt layer, the
 * nearest one that exists. *net is undefined then. */
enum tare_status tare_net_parse(struct tare_net *net, const char *spec, struct tare_err *err);

/* The canonical text of a net; parse(text) gives the same net. out holds TARE_MAX_SPEC. */
void tare_net_text(char *out, const struct tare_net *net);

const char *tare_layer_op_name(const struct tare_layer *layer);

/* Glorot & Bengio 2010: weights uniform in ±√(6 / (fan_in + fan_out)), biases 0.
 * params: net->param_count floats. The same seed gives the same bits. */
void tare_net_init(float *params, const struct tare_net *net, uint64_t seed);

/* Floating-point operations of a forward pass of one sample (a multiply-add counts two, a bias or a
 * relu one per value). */
double tare_net_forward_flops(const struct tare_net *net);

/* Between the block and safetensors. `trained_by` and `norm` ("u8/255") go into the metadata beside
 * `model`; either may be NULL. from_tensors wants exactly the net's tensors, float32 and finite,
 * and fails with TARE_DATA that names the tensor; `name` is the file, for messages only. */
struct tare_tensors;
enum tare_status tare_net_to_tensors(struct tare_tensors *out, const struct tare_net *net,
                                     const float *params, const char *norm, const char *trained_by,
                                     struct tare_err *err);
enum tare_status tare_net_from_tensors(float *params, const struct tare_net *net,
                                       const struct tare_tensors *tensors, const char *name,
                                       struct tare_err *err);

/* The net that the `model` metadata name, and its parameters in a new block (free *params).
 * TARE_DATA: no model there, or tensors that are not the model's. */
enum tare_status tare_net_of_tensors(struct tare_net *net, float **params,
                                     const struct tare_tensors *tensors, const char *name,
                                     struct tare_err *err);

/* TARE_DATA that names the tensor and the value when one is NaN or infinite. */
enum tare_status tare_net_check_params(const float *params, const struct tare_net *net,
                                       const char *name, struct tare_err *err);

/* The same with the file: read makes the net from the file's `model` metadata and its parameters in
 * a new block (free *params). TARE_DATA: no model in it, or tensors that are not the model's. */
enum tare_status tare_net_read(struct tare_net *net, float **params, const char *path,
                               struct tare_err *err);
enum tare_status tare_net_write(const char *path, const struct tare_net *net, const float *params,
                                const char *norm, const char *trained_by, struct tare_err *err);

#endif
