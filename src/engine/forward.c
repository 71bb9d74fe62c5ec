/* forward.c: a batch through the layers, first to last, and the workspace in which it leaves every
 * layer's values for backward.c. What a layer computes is its op's affair (net/op.h). */
#include <stdlib.h>

#include "engine/pass.h"
#include "net/op.h"

enum tare_status TARE_T(tare_pass_make)(struct TARE_T(tare_pass) * pass, const struct tare_net *net,
                                        size_t batch, struct tare_err *err) {
    /* Widths are at most TARE_MAX_WIDTH and batches TARE_MAX_BATCH: the products fit a size_t. */
    size_t widest = net->n_in, total = net->n_in;
    for (int l = 0; l < net->layer_count; l++) {
        size_t n = net->layers[l].n_out;
        total += n;
        if (n > widest)
            widest = n;
    }
    *pass = (struct TARE_T(tare_pass)){.net = net, .batch = batch};
    /* One allocation, cut up: the input, each layer's output, two gradients. */
    tare_real *at = calloc((total + 2 * widest) * batch, sizeof *at);
    if (!at)
        return tare_fail(err, TARE_MEMORY, "trainer", "use a smaller batch or net",
                         "no memory for %zu values per sample at batch %zu", total + 2 * widest,
                         batch);
    pass->values[0] = at;
    at += batch * net->n_in;
    for (int l = 0; l < net->layer_count; l++) {
        pass->values[l + 1] = at;
        at += batch * net->layers[l].n_out;
    }
    pass->grads[0] = at;
    pass->grads[1] = at + batch * widest;
    return TARE_OK;
}

void TARE_T(tare_pass_free)(struct TARE_T(tare_pass) * pass) {
    free(pass->values[0]);
    *pass = (struct TARE_T(tare_pass)){0};
}

const tare_real *TARE_T(tare_forward)(struct TARE_T(tare_pass) * pass, const tare_real *params,
                                      size_t count) {
    const struct tare_net *net = pass->net;
    for (int l = 0; l < net->layer_count; l++) {
        const struct tare_layer *layer = &net->layers[l];
        const struct TARE_T(tare_op) *op = layer->op->TARE_MATH;
        op->forward(pass->values[l + 1], pass->values[l], params + layer->param_offset, layer,
                    count);
    }
    return pass->values[net->layer_count];
}
