/* optim.c: the optimisers, each one loop over the parameter block. Constants, powers of β among
 * them, are computed in double and rounded once to the precision of the build, unless the optimiser
 * asks for Adam's in float32 (enum tare_constants). */
#include "engine/pass.h"

/* Of the step that is being taken. */
static tare_real rate_of(const struct TARE_T(tare_optim) * optim) {
    return (tare_real)tare_optimizer_rate(&optim->config, optim->steps_done + 1);
}

/* p -= lr·g */
static void sgd(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                const tare_real *restrict g, size_t n) {
    tare_real lr = rate_of(optim);
    for (size_t i = 0; i < n; i++)
        p[i] -= lr * g[i];
}

/* v = momentum·v + g;  p -= lr·v   (PyTorch's form: the learning rate outside the velocity) */
static void momentum(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                     const tare_real *restrict g, size_t n) {
    tare_real lr = rate_of(optim), mu = (tare_real)optim->config.momentum;
    tare_real *restrict v = optim->v;
    for (size_t i = 0; i < n; i++) {
        v[i] = mu * v[i] + g[i];
        p[i] -= lr * v[i];
    }
}

struct decay {
    tare_real beta, rest, bias; /* β, 1 − β, 1 − βᵗ */
};

static struct decay decay_at(double beta, uint64_t t, enum tare_constants constants) {
    struct decay d = {(tare_real)beta, (tare_real)(1.0 - beta),
                      (tare_real)(1.0 - pow(beta, (double)t))};
    float single = (float)beta, power = 1;
    switch (constants) {
    case TARE_CONSTANTS_EXACT:
    case TARE_CONSTANTS_COUNT:
        break;
    case TARE_CONSTANTS_POWERS:
        d.bias = (tare_real)(1.0F - powf(single, (float)t));
        break;
    case TARE_CONSTANTS_SINGLE:
        for (uint64_t i = 0; i < t; i++)
            power *= single;
        d.bias = (tare_real)(1.0F - power);
        d.rest = (tare_real)(1.0F - single);
        break;
    }
    return d;
}

/* Kingma & Ba 2015, Algorithm 1, at step t ≥ 1:
 *     m = β₁·m + (1 − β₁)·g      m̂ = m / (1 − β₁ᵗ)
 *     v = β₂·v + (1 − β₂)·g²     v̂ = v / (1 − β₂ᵗ)      p -= lr·m̂ / (√v̂ + ε) */
static void adam(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                 const tare_real *restrict g, size_t n) {
    const struct tare_optimizer *c = &optim->config;
    uint64_t t = optim->steps_done + 1;
    struct decay d1 = decay_at(c->beta1, t, c->constants);
    struct decay d2 = decay_at(c->beta2, t, c->constants);
    tare_real lr = rate_of(optim), epsilon = (tare_real)c->epsilon;
    tare_real *restrict m = optim->m, *restrict v = optim->v;
    for (size_t i = 0; i < n; i++) {
        m[i] = d1.beta * m[i] + d1.rest * g[i];
        v[i] = d2.beta * v[i] + d2.rest * (g[i] * g[i]);
        p[i] -= lr * (m[i] / d1.bias) / (TARE_SQRT(v[i] / d2.bias) + epsilon);
    }
}

void TARE_T(tare_optim_step)(struct TARE_T(tare_optim) * optim, tare_real *params,
                             const tare_real *grads, size_t n) {
    switch (optim->config.kind) {
    case TARE_OPTIMIZER_SGD:
        sgd(optim, params, grads, n);
        break;
    case TARE_OPTIMIZER_MOMENTUM:
        momentum(optim, params, grads, n);
        break;
    case TARE_OPTIMIZER_ADAM:
        adam(optim, params, grads, n);
        break;
    }
    optim->steps_done++;
}
