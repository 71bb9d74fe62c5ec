/* null.c: the engine that does nothing, so that its rows show what the harness itself costs: the
 * price of a process, of loading the data, and of one call of the training hook. It is never
 * ranked. */
#include <string.h>

#include "tare/engine.h"

static const char *version(void) {
    return "1";
}

static enum tare_status build(void **state, struct tare_work *work, struct tare_err *err) {
    (void)err;
    *state = work;
    return TARE_OK;
}

static enum tare_status train(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    (void)state, (void)first, (void)err;
    memset(losses, 0, count * sizeof *losses);
    return TARE_OK;
}

static enum tare_status weights(void *state, float *params, struct tare_err *err) {
    (void)state, (void)params, (void)err; /* params still hold the initial weights */
    return TARE_OK;
}

static enum tare_status infer(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err) {
    (void)x, (void)err;
    const struct tare_work *work = state;
    memset(logits, 0, n * work->n_out * sizeof *logits);
    return TARE_OK;
}

static const struct tare_engine_ops ops = {.abi = TARE_ABI,
                                           .name = "null",
                                           .version = version,
                                           .build = build,
                                           .train = train,
                                           .weights = weights,
                                           .infer = infer};

int main(int argc, char **argv) {
    return tare_engine_main(argc, argv, &ops);
}
