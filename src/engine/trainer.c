/* trainer.c: the training loop: gather a batch, forward, loss, backward, update. The public face is
 * tare/train.h; the parts are forward.c, loss.c, backward.c and optim.c. Owns all memory of a run:
 * nothing is allocated once a trainer exists. */
#include <stdlib.h>
#include <string.h>

#include "engine/pass.h"

struct TARE_T(tare_trainer) {
    struct tare_net net; /* a copy: the caller's may go */
    struct TARE_T(tare_pass) pass;
    struct TARE_T(tare_optim) optim;
    tare_real *params, *grads; /* (param_count) each; params is the start of the one allocation */
    int32_t *labels;           /* (batch) of the step that runs */
};

enum tare_status TARE_T(tare_trainer_create)(struct TARE_T(tare_trainer) * *trainer,
                                             const struct tare_net *net,
                                             const struct tare_optimizer *optimizer, size_t batch,
                                             struct tare_err *err) {
    *trainer = NULL;
    enum tare_status status = tare_optimizer_check(optimizer, err);
    if (status != TARE_OK)
        return status;
    if (batch == 0 || batch > TARE_MAX_BATCH)
        return tare_fail(err, TARE_USAGE, "batch", "use 1 to 65536", "a batch of %zu samples",
                         batch);
    struct TARE_T(tare_trainer) *t = calloc(1, sizeof *t);
    if (!t)
        return tare_fail(err, TARE_MEMORY, "trainer", NULL, "no memory");
    t->net = *net;
    t->optim.config = *optimizer;
    size_t n = net->param_count;
    t->params = calloc(4 * n + 1, sizeof *t->params); /* + 1: a net may have no parameters */
    t->labels = calloc(batch, sizeof *t->labels);
    if (!t->params || !t->labels)
        status = tare_fail(err, TARE_MEMORY, "trainer", "use a smaller net",
                           "no memory for 4 times %zu parameters", n);
    else
        status = TARE_T(tare_pass_make)(&t->pass, &t->net, batch, err);
    if (status != TARE_OK) {
        TARE_T(tare_trainer_free)(t);
        return status;
    }
    t->grads = t->params + n;
    t->optim.m = t->params + 2 * n;
    t->optim.v = t->params + 3 * n;
    *trainer = t;
    return TARE_OK;
}

void TARE_T(tare_trainer_free)(struct TARE_T(tare_trainer) * trainer) {
    if (!trainer)
        return;
    TARE_T(tare_pass_free)(&trainer->pass);
    free(trainer->params);
    free(trainer->labels);
    free(trainer);
}

void TARE_T(tare_trainer_set_params)(struct TARE_T(tare_trainer) * trainer,
                                     const tare_real *params) {
    memcpy(trainer->params, params, trainer->net.param_count * sizeof *params);
}

void TARE_T(tare_trainer_params)(tare_real *params, const struct TARE_T(tare_trainer) * trainer) {
    memcpy(params, trainer->params, trainer->net.param_count * sizeof *params);
}

/* x: (n) into the pass's precision. */
static void copy_row(tare_real *restrict out, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = (tare_real)x[i];
}

/* The batch's rows and labels into the pass. rows: (batch), indices into examples. */
static enum tare_status gather(struct TARE_T(tare_trainer) * t,
                               const struct tare_examples *examples, const int32_t *rows,
                               struct tare_err *err) {
    size_t n_in = t->net.n_in;
    for (size_t b = 0; b < t->pass.batch; b++) {
        if (rows[b] < 0 || (size_t)rows[b] >= examples->n)
            return tare_fail(err, TARE_DATA, "order", "indices count the training images from 0",
                             "index %d, but there are %zu images", (int)rows[b], examples->n);
        size_t row = (size_t)rows[b];
        int32_t label = examples->labels[row];
        if (label < 0 || (size_t)label >= t->net.n_out)
            return tare_fail(err, TARE_DATA, "labels",
                             "the last layer needs as many units as there are classes",
                             "image %zu has label %d, but the net has %zu outputs", row, (int)label,
                             t->net.n_out);
        t->labels[b] = label;
        copy_row(t->pass.values[0] + b * n_in, examples->images + row * n_in, n_in);
    }
    return TARE_OK;
}

enum tare_status TARE_T(tare_trainer_gradient)(struct TARE_T(tare_trainer) * trainer,
                                               tare_real *loss, tare_real *grads,
                                               const struct tare_examples *examples,
                                               const int32_t *rows, struct tare_err *err) {
    struct TARE_T(tare_pass) *pass = &trainer->pass;
    enum tare_status status = gather(trainer, examples, rows, err);
    if (status != TARE_OK)
        return status;
    const tare_real *logits = TARE_T(tare_forward)(pass, trainer->params, pass->batch);
    *loss = TARE_T(tare_softmax_loss)(pass->grads[0], logits, trainer->labels, pass->batch,
                                      trainer->net.n_out);
    TARE_T(tare_backward)(pass, grads, trainer->params, pass->batch);
    return TARE_OK;
}

enum tare_status TARE_T(tare_trainer_run)(struct TARE_T(tare_trainer) * trainer, tare_real *losses,
                                          const struct tare_examples *examples,
                                          const int32_t *order, size_t steps,
                                          struct tare_err *err) {
    for (size_t s = 0; s < steps; s++) {
        enum tare_status status = TARE_T(tare_trainer_gradient)(
            trainer, &losses[s], trainer->grads, examples, order + s * trainer->pass.batch, err);
        if (status != TARE_OK)
            return status;
        TARE_T(tare_optim_step)
        (&trainer->optim, trainer->params, trainer->grads, trainer->net.param_count);
    }
    return TARE_OK;
}

void TARE_T(tare_trainer_infer)(tare_real *logits, struct TARE_T(tare_trainer) * trainer,
                                const float *x, size_t n) {
    size_t n_in = trainer->net.n_in, n_out = trainer->net.n_out;
    for (size_t first = 0; first < n; first += trainer->pass.batch) {
        size_t count = n - first < trainer->pass.batch ? n - first : trainer->pass.batch;
        copy_row(trainer->pass.values[0], x + first * n_in, count * n_in);
        memcpy(logits + first * n_out, TARE_T(tare_forward)(&trainer->pass, trainer->params, count),
               count * n_out * sizeof *logits);
    }
}
