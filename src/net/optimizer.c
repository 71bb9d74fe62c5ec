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
static const char *const schedules[] = {
#define X(id, name) name,
    TARE_SCHEDULE_LIST(X)
#undef X
};
enum {
    KIND_COUNT = sizeof names / sizeof names[0],
    SCHEDULE_COUNT = sizeof schedules / sizeof schedules[0]
};

const char *tare_optimizer_name(enum tare_optimizer_kind kind) {
    return names[kind];
}

/* Which of the names it is; `all_of_them` is the advice where none is near. */
static enum tare_status find_name(size_t *at, const char *const *known, size_t count,
                                  const char *key, const char *all_of_them, const char *name,
                                  struct tare_err *err) {
    for (*at = 0; *at < count; ++*at)
        if (strcmp(name, known[*at]) == 0)
            return TARE_OK;
    char hint[80];
    const char *nearest = tare_nearest_word(name, known, count);
    if (nearest)
        snprintf(hint, sizeof hint, "did you mean \"%s\"?", nearest);
    else
        snprintf(hint, sizeof hint, "%s", all_of_them);
    return tare_fail(err, TARE_USAGE, key, hint, "there is no %s \"%s\"", key, name);
}

enum tare_status tare_optimizer_find(enum tare_optimizer_kind *kind, const char *name,
                                     struct tare_err *err) {
    size_t at;
    enum tare_status status = find_name(&at, names, KIND_COUNT, "optimizer",
                                        "there are sgd, momentum and adam", name, err);
    if (status == TARE_OK)
        *kind = (enum tare_optimizer_kind)at;
    return status;
}

enum tare_status tare_schedule_find(enum tare_schedule *schedule, const char *name,
                                    struct tare_err *err) {
    size_t at;
    enum tare_status status = find_name(&at, schedules, SCHEDULE_COUNT, "schedule",
                                        "there are constant and linear", name, err);
    if (status == TARE_OK)
        *schedule = (enum tare_schedule)at;
    return status;
}

double tare_optimizer_rate(const struct tare_optimizer *optimizer, uint64_t t) {
    const double rise = 0.2;
    if (optimizer->schedule == TARE_SCHEDULE_CONSTANT)
        return optimizer->lr;
    if (t > optimizer->steps)
        return 0;
    double u = ((double)t - 0.5) / (double)optimizer->steps;
    return optimizer->lr * (u < rise ? u / rise : (1 - u) / (1 - rise));
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
    if (o->schedule != TARE_SCHEDULE_CONSTANT && o->steps == 0)
        return out_of_range(err, "steps", 0, "a schedule needs the number of steps");
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
