/* op_relu.c: the rectifier, max(in, 0), value by value; any shape, no parameters. Its derivative at
 * exactly 0 is taken as 0, as TensorFlow and PyTorch do. Row: tare_op_relu; see op.h. */
#include "net/op.h"
#include "net/real.h"

/* out: (batch, n)  in: (batch, n). Written so that NaN stays NaN: a diverged run must show. */
static void forward(tare_real *restrict out, const tare_real *restrict in,
                    const tare_real *restrict params, const struct tare_layer *layer,
                    size_t batch) {
    (void)params;
    for (size_t i = 0; i < batch * layer->n_out; i++)
        out[i] = in[i] < 0 ? 0 : in[i];
}

/* grad_in: (batch, n)  grad_out: (batch, n)  out: (batch, n) */
static void backward(tare_real *restrict grad_in, tare_real *restrict grad_params,
                     const tare_real *restrict grad_out, const tare_real *restrict in,
                     const tare_real *restrict out, const tare_real *restrict params,
                     const struct tare_layer *layer, size_t batch) {
    (void)grad_params, (void)in, (void)params;
    if (!grad_in)
        return;
    for (size_t i = 0; i < batch * layer->n_out; i++)
        grad_in[i] = out[i] > 0 ? grad_out[i] : 0;
}

const struct TARE_T(tare_op) TARE_T(tare_op_relu) = {forward, backward};

#ifdef TARE_REAL_F32 /* what there is one of, whatever the precision */
static enum tare_status shape(struct tare_net *net, struct tare_layer *layer,
                              struct tare_err *err) {
    (void)net, (void)err;
    layer->out = layer->in;
    return TARE_OK;
}

static double forward_flops(const struct tare_layer *layer) {
    return (double)layer->n_out;
}

const struct tare_op tare_op_relu = {
    .name = "relu",
    .args = "",
    .activation = true,
    .shape = shape,
    .forward_flops = forward_flops,
    .f32 = &tare_op_relu_f32,
    .f64 = &tare_op_relu_f64,
};
#endif
