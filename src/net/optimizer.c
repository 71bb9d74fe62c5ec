/* optimizer.c: the optimisers' names, defaults and the ranges of their constants: what exists once,
 * whatever the precision. Their mathematics is in src/engine/optim.c and src/kernel. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tare/optimizer.h"
#include "tare/words.h"

static const char *const names[] = {
#define X(id, name) name,
    TARE_OPTIMIZER_LIST(X)
#undef X
};
enum { KIND_COUNT = sizeof names / sizeof names[0] };

const char *tare_optimizer_name(enum tare_optimizer_kind kind) {
    return names[kind];
}

enum tare_status tare_optimizer_find(enum tare_optimizer_kind *kind, const char *name,
                                     struct tare_err *err) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum tare_optimizer_kind)i;
            return TARE_OK;
        }
    char hint[80] = "there are sgd, momentum and adam";
    const char *nearest = tare_nearest_word(name, names, KIND_COUNT);
    if (nearest)
        snprintf(hint, sizeof hint, "did you mean \"%s\"?", nearest);
    return tare_fail(err, TARE_USAGE, "optimizer", hint, "there is no optimiser \"%s\"", name);
}

struct tare_optimizer tare_optimizer_defaults(enum tare_optimizer_kind kind) {
    return (struct tare_optimizer){
        .kind = kind,
        .lr = kind == TARE_OPTIMIZER_ADAM ? 0.001 : 0.01,
        .momentum = 0.9,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .epsilon = 1e-8,
    };
}

/* 0 ≤ value < 1; false for NaN. */
static bool is_decay(double value) {
    return value >= 0.0 && value < 1.0;
}

static enum tare_status out_of_range(struct tare_err *err, const char *name, double value,
                                     const char *range) {
    return tare_fail(err, TARE_USAGE, "optimizer", range, "%s is %g", name, value);
}

enum tare_status tare_optimizer_check(const struct tare_optimizer *optimizer,
                                      struct tare_err *err) {
    const struct tare_optimizer *o = optimizer;
    if (!(o->lr > 0.0 && isfinite(o->lr)))
        return out_of_range(err, "lr", o->lr, "a learning rate is above 0");
    switch (o->kind) {
    case TARE_OPTIMIZER_SGD:
        return TARE_OK;
    case TARE_OPTIMIZER_MOMENTUM:
        if (!is_decay(o->momentum))
            return out_of_range(err, "momentum", o->momentum, "it is at least 0 and below 1");
        return TARE_OK;
    case TARE_OPTIMIZER_ADAM:
        if (!is_decay(o->beta1))
            return out_of_range(err, "beta1", o->beta1, "it is at least 0 and below 1");
        if (!is_decay(o->beta2))
            return out_of_range(err, "beta2", o->beta2, "it is at least 0 and below 1");
        if (!(o->epsilon > 0.0 && isfinite(o->epsilon)))
            return out_of_range(err, "epsilon", o->epsilon, "it is above 0");
        return TARE_OK;
    }
    return out_of_range(err, "kind", (double)o->kind, "use a tare_optimizer_kind");
}
