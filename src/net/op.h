/* op.h: what a layer can be. An op is one file, src/net/op_NAME.c, and one word in TARE_OP_LIST; it
 * holds the op's shape rule, its reference mathematics in both precisions and its row,
 * tare_op_NAME.
 *
 *     const struct tare_op *op = layer->op;
 *     op->f32->forward(out, in, params + layer->param_offset, layer, batch);
 *
 * Nothing outside an op's file knows what the op does: the parser, the passes and the trainer see
 * shapes, tensors and these hooks only.
 */
#ifndef TARE_NET_OP_H
#define TARE_NET_OP_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/net.h"

#define TARE_OP_LIST(X)                                                                            \
    X(dense)                                                                                       \
    X(relu)

/* The mathematics of an op in one precision. `params` points at the layer's own parameters, in the
 * order in which its shape rule added them; grad_params has the same layout.
 *
 * forward   out: (batch, n_out)      in: (batch, n_in)
 * backward  grad_in: (batch, n_in), or NULL when nobody wants it (the first layer)
 *           grad_params is overwritten, not added to
 *           grad_out: (batch, n_out); in and out as forward had them
 *
 * Arrays never overlap. Sums are taken in plain sequential order: the same inputs give the same
 * bits. */
#define TARE_OP_MATH(suffix, real)                                                                 \
    struct tare_op_##suffix {                                                                      \
        void (*forward)(real *restrict out, const real *restrict in, const real *restrict params,  \
                        const struct tare_layer *layer, size_t batch);                             \
        void (*backward)(real *restrict grad_in, real *restrict grad_params,                       \
                         const real *restrict grad_out, const real *restrict in,                   \
                         const real *restrict out, const real *restrict params,                    \
                         const struct tare_layer *layer, size_t batch);                            \
    };
TARE_OP_MATH(f32, float)
TARE_OP_MATH(f64, double)
#undef TARE_OP_MATH

struct tare_op {
    const char *name; /* as in a net's text */
    const char *args; /* what its numbers are, for messages: "UNITS" in dense:UNITS */
    int arg_count;    /* of those numbers; each is 1 … TARE_MAX_WIDTH */
    bool activation;  /* may be written behind another layer: dense:64:relu */

    /* Sets layer->out from layer->in and layer->arg, and adds the layer's tensors through
     * tare_net_add_tensor. Sizes are checked by the caller. */
    enum tare_status (*shape)(struct tare_net *net, struct tare_layer *layer, struct tare_err *err);

    double (*forward_flops)(const struct tare_layer *layer); /* of one sample */

    const struct tare_op_f32 *f32;
    const struct tare_op_f64 *f64;
};

#define X(name)                                                                                    \
    extern const struct tare_op tare_op_##name;                                                    \
    extern const struct tare_op_f32 tare_op_##name##_f32;                                          \
    extern const struct tare_op_f64 tare_op_##name##_f64;
TARE_OP_LIST(X)
#undef X

size_t tare_shape_values(const struct tare_shape *shape);

/* Appends a parameter tensor of the layer that is being made. fan_in and fan_out are for Glorot's
 * limit; both 0: the tensor starts at zero. Fails over TARE_MAX_PARAMS or TARE_MAX_NET_TENSORS. */
enum tare_status tare_net_add_tensor(struct tare_net *net, struct tare_layer *layer,
                                     const char *role, int rank, const size_t *shape, size_t fan_in,
                                     size_t fan_out, struct tare_err *err);

#endif
