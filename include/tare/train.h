/* train.h: tare's own trainer: the plain reference, on one core, in float32 and in float64.
 *
 *     struct tare_trainer_f32 *trainer;
 *     struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
 *     struct tare_examples set = {images, labels, n};
 *     tare_trainer_create_f32(&trainer, &net, &adam, 32, &err);
 *     tare_trainer_set_params_f32(trainer, params);
 *     tare_trainer_run_f32(trainer, losses, &set, order, steps, &err);  // order: (steps, 32)
 *     tare_trainer_params_f32(params, trainer);
 *     tare_trainer_infer_f32(logits, trainer, test_images, n_test);
 *     tare_trainer_free_f32(trainer);
 *
 * The float64 functions are the same source; images are float32 in both, because x = u8/255.0f is
 * part of what is compared. Every sum is taken in plain sequential order: the same inputs give the
 * same bits (on one machine: exp and log are libc's). Formulas: src/engine/{loss,optim}.c.
 */
#ifndef TARE_TRAIN_H
#define TARE_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"
#include "tare/net.h"
#include "tare/optimizer.h"

#define TARE_MAX_BATCH 65536

struct tare_examples {
    const float *images;   /* (n, n_in) */
    const int32_t *labels; /* (n), each 0 … n_out−1 */
    size_t n;
};

/* create   an optimiser at step 0, parameters all zero; *trainer is NULL after a failure.
 *          TARE_USAGE: a batch of 0 or over TARE_MAX_BATCH, constants out of their range.
 * set_params, params   copy the block in and out: net.param_count values. Setting parameters leaves
 *          the optimiser's step and moments as they are.
 * run      trains `steps` steps; row s of order: (steps, batch) says which examples step s takes.
 *          losses[s]: the batch's mean loss before its update, nats; NaN when the run diverged.
 *          TARE_DATA: an index or label out of range; the steps before it are done.
 * gradient loss and gradient at one batch, no update: grads: param_count values; rows: (batch).
 * infer    logits: (n, n_out) of x: (n, n_in), any n. */
#define TARE_TRAINER_API(suffix, real)                                                             \
    struct tare_trainer_##suffix;                                                                  \
    enum tare_status tare_trainer_create_##suffix(                                                 \
        struct tare_trainer_##suffix **trainer, const struct tare_net *net,                        \
        const struct tare_optimizer *optimizer, size_t batch, struct tare_err *err);               \
    void tare_trainer_free_##suffix(struct tare_trainer_##suffix *trainer);                        \
    void tare_trainer_set_params_##suffix(struct tare_trainer_##suffix *trainer,                   \
                                          const real *params);                                     \
    void tare_trainer_params_##suffix(real *params, const struct tare_trainer_##suffix *trainer);  \
    enum tare_status tare_trainer_run_##suffix(                                                    \
        struct tare_trainer_##suffix *trainer, real *losses, const struct tare_examples *examples, \
        const int32_t *order, size_t steps, struct tare_err *err);                                 \
    enum tare_status tare_trainer_gradient_##suffix(                                               \
        struct tare_trainer_##suffix *trainer, real *loss, real *grads,                            \
        const struct tare_examples *examples, const int32_t *rows, struct tare_err *err);          \
    void tare_trainer_infer_##suffix(real *logits, struct tare_trainer_##suffix *trainer,          \
                                     const float *x, size_t n);

TARE_TRAINER_API(f32, float)
TARE_TRAINER_API(f64, double)
#undef TARE_TRAINER_API

#endif
