/* loss.c: softmax cross-entropy and its gradient in one go, the only loss of the project.
 *
 *     loss = mean over b of log Σ_k exp(z[b][k]) − z[b][label]      (nats)
 *     ∂loss/∂z[b][k] = (softmax(z[b])[k] − (k == label)) / batch
 *
 * The row's maximum is taken out first, so that exp never overflows and the sum is at least 1. */
#include "engine/pass.h"

/* One row: returns its loss; grad: (classes), not yet divided by the batch. */
static tare_real row_loss(tare_real *restrict grad, const tare_real *restrict z, size_t label,
                          size_t classes) {
    tare_real max = z[0];
    for (size_t k = 1; k < classes; k++)
        if (z[k] > max)
            max = z[k];
    tare_real sum = 0;
    for (size_t k = 0; k < classes; k++) {
        grad[k] = TARE_EXP(z[k] - max);
        sum += grad[k];
    }
    for (size_t k = 0; k < classes; k++)
        grad[k] /= sum;
    grad[label] -= 1;
    return TARE_LOG(sum) - (z[label] - max);
}

tare_real TARE_T(tare_softmax_loss)(tare_real *grad_logits, const tare_real *logits,
                                    const int32_t *labels, size_t batch, size_t classes) {
    tare_real sum = 0;
    for (size_t b = 0; b < batch; b++)
        sum +=
            row_loss(grad_logits + b * classes, logits + b * classes, (size_t)labels[b], classes);
    for (size_t i = 0; i < batch * classes; i++)
        grad_logits[i] /= (tare_real)batch;
    return sum / (tare_real)batch;
}
