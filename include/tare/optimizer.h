/* optimizer.h: the optimisers: their names, defaults and the ranges of their constants.
 *
 *     struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
 *     adam.lr = 0.002;
 *     if (tare_optimizer_check(&adam, &err) != TARE_OK) …
 *
 * Their mathematics: src/engine/optim.c (the reference), src/kernel (the fast one).
 */
#ifndef TARE_OPTIMIZER_H
#define TARE_OPTIMIZER_H

#include <stdint.h>

#include "tare/err.h"

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

/* How the learning rate goes over a training: id, name, what it does. */
#define TARE_SCHEDULE_LIST(X)                                                                      \
    X(CONSTANT, "constant") /* lr at every step */                                                 \
    X(LINEAR, "linear")     /* up to lr over the first fifth of the steps, then down to 0 */

enum tare_schedule {
#define X(id, name) TARE_SCHEDULE_##id,
    TARE_SCHEDULE_LIST(X)
#undef X
};

/* In which precision Adam's 1 − β and 1 − βᵗ are computed: frameworks differ, and none is wrong.
 * References are trained with each of them (src/lab/envelope.h); everything else uses EXACT. */
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
    enum tare_schedule schedule;
    uint64_t steps; /* of the whole training, > 0; schedule linear only */
};

const char *tare_optimizer_name(enum tare_optimizer_kind kind);

/* TARE_USAGE with the nearest name when there is no such optimiser. */
enum tare_status tare_optimizer_find(enum tare_optimizer_kind *kind, const char *name,
                                     struct tare_err *err);

/* lr 0.001 (adam) or 0.01, momentum 0.9, β₁ 0.9, β₂ 0.999, ε 1e-8. */
struct tare_optimizer tare_optimizer_defaults(enum tare_optimizer_kind kind);

/* TARE_USAGE with the nearest name when there is no such schedule. */
enum tare_status tare_schedule_find(enum tare_schedule *schedule, const char *name,
                                    struct tare_err *err);

/* The learning rate of step t = 1, 2, …; linear: with u = (t − ½) / steps, lr·u / ⅕ where u < ⅕,
 * lr·(1 − u) / ⅘ from there on, 0 behind the last step. (The slanted triangle of Howard & Ruder
 * 2018, section 3.2.) */
double tare_optimizer_rate(const struct tare_optimizer *optimizer, uint64_t t);

/* TARE_USAGE when a constant that the optimiser uses is out of its range, or NaN. */
enum tare_status tare_optimizer_check(const struct tare_optimizer *optimizer, struct tare_err *err);

#endif
