/* reference.c: runs a trainer step by step and writes down what it sees, in double. The trainer is
 * trainer.c, as it is: a reference computes exactly what the native engine does. */
#include "engine/reference.h"

#include <stdlib.h>

#include "engine/pass.h"

static void widen(double *out, const tare_real *in, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = (double)in[i];
}

/* Logits of all probes; room holds (probe_count, n_out). */
static void look(const struct tare_reference *r, struct TARE_T(tare_trainer) * trainer,
                 tare_real *room) {
    TARE_T(tare_trainer_infer)(room, trainer, r->probes, r->probe_count);
    widen(r->logits, room, r->probe_count * r->net->n_out);
}

static enum tare_status train(const struct tare_reference *r, struct TARE_T(tare_trainer) * trainer,
                              tare_real *room, struct tare_err *err) {
    size_t n = r->net->param_count, dumped = 0;
    for (size_t step = 0; step < r->steps; step++) {
        tare_real loss = 0;
        if (r->stop && *r->stop)
            return tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
        enum tare_status status = TARE_T(tare_trainer_run)(trainer, &loss, &r->examples,
                                                           r->order + step * r->batch, 1, err);
        if (status != TARE_OK)
            return status;
        r->losses[step] = (double)loss;
        if (dumped < r->dump_count && r->dump_at[dumped] == step + 1) {
            TARE_T(tare_trainer_params)(room, trainer);
            widen(r->dumps + dumped++ * n, room, n);
        }
    }
    return TARE_OK;
}

enum tare_status TARE_T(tare_reference_run)(const struct tare_reference *r, struct tare_err *err) {
    size_t n = r->net->param_count, logits = r->probe_count * r->net->n_out;
    tare_real *room = calloc((n > logits ? n : logits) + 1, sizeof *room);
    struct TARE_T(tare_trainer) *trainer = NULL;
    enum tare_status status = TARE_OK;
    if (!room)
        status = tare_fail(err, TARE_MEMORY, "reference", NULL, "no memory for %zu values", n);
    if (status == TARE_OK)
        status = TARE_T(tare_trainer_create)(&trainer, r->net, &r->optimizer, r->batch, err);
    if (status == TARE_OK) {
        for (size_t i = 0; i < n; i++)
            room[i] = (tare_real)r->params[i];
        TARE_T(tare_trainer_set_params)(trainer, room);
        look(r, trainer, room);
        status = train(r, trainer, room, err);
    }
    TARE_T(tare_trainer_free)(trainer);
    free(room);
    return status;
}
