/* backward.c: the chain rule, last layer to first, over the values forward.c left behind. The two
 * gradient buffers take turns: what one layer writes, the layer before it reads. */
#include "engine/pass.h"
#include "net/op.h"

void TARE_T(tare_backward)(struct TARE_T(tare_pass) * pass, tare_real *grad_params,
                           const tare_real *params, size_t count) {
    const struct tare_net *net = pass->net;
    tare_real *grad_out = pass->grads[0], *grad_in = pass->grads[1];
    for (int l = net->layer_count - 1; l >= 0; l--) {
        const struct tare_layer *layer = &net->layers[l];
        const struct TARE_T(tare_op) *op = layer->op->TARE_MATH;
        op->backward(l > 0 ? grad_in : NULL, grad_params + layer->param_offset, grad_out,
                     pass->values[l], pass->values[l + 1], params + layer->param_offset, layer,
                     count);
        tare_real *swap = grad_out;
        grad_out = grad_in;
        grad_in = swap;
    }
}
