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

#define TARE_MAX_BATCH 65536

/* id, name, formula */
#define TARE_OPTIMIZER_LIST(X)                                                                     \
    X(SGD, "sgd")           /* p -= lr·g */                                                       \
    X(MOMENTUM, "momentum") /* v = momentum·v + g; p -= lr·v */                                  \
    X(ADAM, "adam")         /* Kingma & Ba 2015, Algorithm 1: ε outside √v̂ */

enum tare_optimizer_kind {
#define X(id, name) TARE_OPTIMIZER_##id,
    TARE_OPTIMIZER_LIST(X)
#undef X
};

/* In which precision Adam's 1 − β and 1 − βᵗ are computed: frameworks differ, and none is wrong.
 * References are trained with each of them (lab/reference.h); everything else uses EXACT. */
#define TARE_CONSTANTS_LIST(X)                                                                     \
    X(EXACT)  /* in double, rounded once */                                                        \
    X(POWERS) /* βᵗ by powf, 1 − βᵗ in float32; 1 − β as above */                       \
    X(SINGLE) /* everything in float32, βᵗ by multiplying once a step */

enum tare_constants {
#define X(id) TARE_CONSTANTS_##id,
    TARE_CONSTANTS_LIST(X)
#undef X
        TARE_CONSTANTS_COUNT
};

struct tare_optimizer {
    enum tare_optimizer_kind kind;
    double lr;                     /* > 0 */
    double momentum;               /* momentum only: 0 ≤ … < 1 */
    double beta1, beta2, epsilon;  /* adam only: 0 ≤ β < 1, ε > 0 */
    enum tare_constants constants; /* adam only */
};

const char *tare_optimizer_name(enum tare_optimizer_kind kind);

/* TARE_USAGE with the nearest name when there is no such optimiser. */
enum tare_status tare_optimizer_find(enum tare_optimizer_kind *kind, const char *name,
                                     struct tare_err *err);

/* lr 0.001 (adam) or 0.01, momentum 0.9, β₁ 0.9, β₂ 0.999, ε 1e-8. */
struct tare_optimizer tare_optimizer_defaults(enum tare_optimizer_kind kind);

/* TARE_USAGE when a constant that the optimiser uses is out of its range, or NaN. */
enum tare_status tare_optimizer_check(const struct tare_optimizer *optimizer, struct tare_err *err);

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
