/* reference.h: a training run watched from outside: losses, weights on the way, logits before. What
 * the equality certificate compares engines with (lab/envelope.c). Compiled in both precisions;
 * results are doubles in both, so that one can be subtracted from the other. */
#ifndef TARE_ENGINE_REFERENCE_H
#define TARE_ENGINE_REFERENCE_H

#include <signal.h>

#include "tare/net.h"
#include "tare/train.h"

struct tare_reference {
    const struct tare_net *net;
    struct tare_optimizer optimizer;
    const float *params; /* (param_count): the initial weights */
    struct tare_examples examples;
    const int32_t *order; /* (steps, batch) */
    size_t batch, steps;
    const float *probes; /* (probe_count, n_in): images for the logits before training */
    size_t probe_count;
    const size_t *dump_at; /* dump_count numbers of steps, ascending */
    size_t dump_count;
    const volatile sig_atomic_t *stop; /* may be NULL; non-zero: TARE_INTERRUPTED after this step */

    /* Out; the caller's memory. */
    double *logits; /* (probe_count, n_out) */
    double *losses; /* (steps) */
    double *dumps;  /* (dump_count, param_count): the weights after dump_at[i] steps */
};

enum tare_status tare_reference_run_f32(const struct tare_reference *reference,
                                        struct tare_err *err);
enum tare_status tare_reference_run_f64(const struct tare_reference *reference,
                                        struct tare_err *err);

#endif
