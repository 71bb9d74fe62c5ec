/* op_dense.c: the fully connected layer, out = in · weight + bias. Whatever shape it is given, it
 * sees one row of n_in values. Its loops run along contiguous rows of n_out values, so that the
 * compiler may vectorise them without reordering any sum. Row: tare_op_dense; see op.h. */
#include <string.h>

#include "net/op.h"
#include "net/real.h"

/* out: (batch, n_out)  in: (batch, n_in)  weight: (n_in, n_out)  bias: (n_out)
 * out[b][j] = bias[j] + in[b][0]·weight[0][j] + in[b][1]·weight[1][j] + …, added in this order.
 * The row of weights is the outer loop: it is read once and stays in cache for the whole batch. */
static void forward(tare_real *restrict out, const tare_real *restrict in,
                    const tare_real *restrict params, const struct tare_layer *layer,
                    size_t batch) {
    size_t n_in = layer->n_in, n_out = layer->n_out;
    const tare_real *bias = params + n_in * n_out;
    for (size_t b = 0; b < batch; b++)
        memcpy(out + b * n_out, bias, n_out * sizeof *out);
    for (size_t i = 0; i < n_in; i++) {
        const tare_real *w = params + i * n_out;
        for (size_t b = 0; b < batch; b++) {
            tare_real x = in[b * n_in + i];
            for (size_t j = 0; j < n_out; j++)
                out[b * n_out + j] += x * w[j];
        }
    }
}

/* grad_weight: (n_in, n_out)  grad_bias: (n_out)  grad_in: (batch, n_in)  grad_out: (batch, n_out)
 * grad_weight[i][j] = Σ_b in[b][i]·grad_out[b][j]     grad_bias[j] = Σ_b grad_out[b][j]
 * grad_in[b][i] = Σ_j grad_out[b][j]·weight[i][j] */
static void backward(tare_real *restrict grad_in, tare_real *restrict grad_params,
                     const tare_real *restrict grad_out, const tare_real *restrict in,
                     const tare_real *restrict out, const tare_real *restrict params,
                     const struct tare_layer *layer, size_t batch) {
    (void)out;
    size_t n_in = layer->n_in, n_out = layer->n_out;
    tare_real *grad_bias = grad_params + n_in * n_out;
    memset(grad_params, 0, (n_in + 1) * n_out * sizeof *grad_params);
    for (size_t i = 0; i < n_in; i++) {
        tare_real *grad_w = grad_params + i * n_out;
        for (size_t b = 0; b < batch; b++) {
            tare_real x = in[b * n_in + i];
            for (size_t j = 0; j < n_out; j++)
                grad_w[j] += x * grad_out[b * n_out + j];
        }
    }
    for (size_t b = 0; b < batch; b++)
        for (size_t j = 0; j < n_out; j++)
            grad_bias[j] += grad_out[b * n_out + j];
    if (!grad_in)
        return;
    for (size_t b = 0; b < batch; b++)
        for (size_t i = 0; i < n_in; i++) {
            tare_real sum = 0;
            for (size_t j = 0; j < n_out; j++)
                sum += grad_out[b * n_out + j] * params[i * n_out + j];
            grad_in[b * n_in + i] = sum;
        }
}

const struct TARE_T(tare_op) TARE_T(tare_op_dense) = {forward, backward};

#ifdef TARE_REAL_F32 /* what there is one of, whatever the precision */
static enum tare_status shape(struct tare_net *net, struct tare_layer *layer,
                              struct tare_err *err) {
    size_t units = layer->arg[0];
    layer->out = (struct tare_shape){.rank = 1, .dim = {units}};
    size_t weight[2] = {layer->n_in, units};
    enum tare_status status =
        tare_net_add_tensor(net, layer, "weight", 2, weight, layer->n_in, units, err);
    if (status != TARE_OK)
        return status;
    return tare_net_add_tensor(net, layer, "bias", 1, &units, 0, 0, err);
}

static double forward_flops(const struct tare_layer *layer) {
    return (2.0 * (double)layer->n_in + 1.0) * (double)layer->n_out;
}

const struct tare_op tare_op_dense = {
    .name = "dense",
    .args = "UNITS",
    .arg_count = 1,
    .shape = shape,
    .forward_flops = forward_flops,
    .f32 = &tare_op_dense_f32,
    .f64 = &tare_op_dense_f64,
};
#endif
