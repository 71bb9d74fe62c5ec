/* pass.h: one batch through a net, there and back; and what happens at its end, loss and update.
 * Internal to src/engine (and to tests that look inside). Compiled in both precisions: real.h. */
#ifndef TARE_ENGINE_PASS_H
#define TARE_ENGINE_PASS_H

#include <stdint.h>

#include "net/real.h"
#include "tare/net.h"
#include "tare/train.h"

/* The workspace of a pass: every value the backward pass needs, for up to `batch` samples. */
struct TARE_T(tare_pass) {
    const struct tare_net *net;
    size_t batch;
    tare_real
        *values[TARE_MAX_LAYERS + 1]; /* [0]: the input; [l + 1]: layer l's output: (batch, n) */
    tare_real *grads[2]; /* of the loss by a layer's output and input, in turn: (batch, widest) */
};

/* Allocates for a batch ≤ TARE_MAX_BATCH; net must outlive the pass. Free it after a failure too.
 */
enum tare_status TARE_T(tare_pass_make)(struct TARE_T(tare_pass) * pass, const struct tare_net *net,
                                        size_t batch, struct tare_err *err);
void TARE_T(tare_pass_free)(struct TARE_T(tare_pass) * pass);

/* From values[0]: (count, n_in) to the logits, which are returned: (count, n_out). */
const tare_real *TARE_T(tare_forward)(struct TARE_T(tare_pass) * pass, const tare_real *params,
                                      size_t count);

/* grad_params: (param_count) of the loss whose gradient by the logits lies in pass->grads[0]. */
void TARE_T(tare_backward)(struct TARE_T(tare_pass) * pass, tare_real *grad_params,
                           const tare_real *params, size_t count);

/* Softmax cross-entropy: returns the mean over the batch, nats, and its gradient by the logits.
 * grad_logits, logits: (batch, classes); labels: (batch), each below classes. */
tare_real TARE_T(tare_softmax_loss)(tare_real *grad_logits, const tare_real *logits,
                                    const int32_t *labels, size_t batch, size_t classes);

/* An optimiser's memory: the step, and two moments per parameter (used by those that need them). */
struct TARE_T(tare_optim) {
    struct tare_optimizer config;
    uint64_t steps_done;
    tare_real *m, *v; /* (param_count), zero at the start */
};

/* One update of params: (n) by grads: (n). */
void TARE_T(tare_optim_step)(struct TARE_T(tare_optim) * optim, tare_real *params,
                             const tare_real *grads, size_t n);

#endif
