/* optim.c: the optimisers, each one loop over the parameter block. Constants, powers of β among
 * them, are computed in double and rounded once to the precision of the build. */
#include "engine/pass.h"

/* p -= lr·g */
static void sgd(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                const tare_real *restrict g, size_t n) {
    tare_real lr = (tare_real)optim->config.lr;
    for (size_t i = 0; i < n; i++)
        p[i] -= lr * g[i];
}

/* v = momentum·v + g;  p -= lr·v   (PyTorch's form: the learning rate outside the velocity) */
static void momentum(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                     const tare_real *restrict g, size_t n) {
    tare_real lr = (tare_real)optim->config.lr, mu = (tare_real)optim->config.momentum;
    tare_real *restrict v = optim->v;
    for (size_t i = 0; i < n; i++) {
        v[i] = mu * v[i] + g[i];
        p[i] -= lr * v[i];
    }
}

/* Kingma & Ba 2015, Algorithm 1, at step t ≥ 1:
 *     m = β₁·m + (1 − β₁)·g      m̂ = m / (1 − β₁ᵗ)
 *     v = β₂·v + (1 − β₂)·g²     v̂ = v / (1 − β₂ᵗ)      p -= lr·m̂ / (√v̂ + ε) */
static void adam(const struct TARE_T(tare_optim) * optim, tare_real *restrict p,
                 const tare_real *restrict g, size_t n) {
    const struct tare_optimizer *c = &optim->config;
    double t = (double)(optim->steps_done + 1);
    tare_real lr = (tare_real)c->lr, epsilon = (tare_real)c->epsilon;
    tare_real beta1 = (tare_real)c->beta1, rest1 = (tare_real)(1.0 - c->beta1);
    tare_real beta2 = (tare_real)c->beta2, rest2 = (tare_real)(1.0 - c->beta2);
    tare_real bias1 = (tare_real)(1.0 - pow(c->beta1, t));
    tare_real bias2 = (tare_real)(1.0 - pow(c->beta2, t));
    tare_real *restrict m = optim->m, *restrict v = optim->v;
    for (size_t i = 0; i < n; i++) {
        m[i] = beta1 * m[i] + rest1 * g[i];
        v[i] = beta2 * v[i] + rest2 * (g[i] * g[i]);
        p[i] -= lr * (m[i] / bias1) / (TARE_SQRT(v[i] / bias2) + epsilon);
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
