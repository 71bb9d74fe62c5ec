/* stamp.c: linked around an engine (-Wl,--wrap=tare_engine_main) it writes down when the engine's
 * main began and when its first step did, into the file that $TARE_STAMPS names: for load.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tare/clock.h"
#include "tare/engine.h"

int __real_tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops);
int __wrap_tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops);

static struct tare_engine_ops stamped;
static enum tare_status (*train)(void *state, size_t first, size_t count, float *losses,
                                 struct tare_err *err);
static int64_t main_ns;

static enum tare_status stamp_and_train(void *state, size_t first, size_t count, float *losses,
                                        struct tare_err *err) {
    const char *path = first == 0 ? getenv("TARE_STAMPS") : NULL;
    const int64_t step_ns = tare_now_ns();
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%" PRId64 " %" PRId64 "\n", main_ns, step_ns);
        fclose(file);
    }
    return train(state, first, count, losses, err);
}

int __wrap_tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops) {
    main_ns = tare_now_ns();
    stamped = *ops;
    train = ops->train;
    stamped.train = stamp_and_train;
    /* As the engine in question, or as one that takes bytes. */
    stamped.bytes = ops->bytes || getenv("TARE_STAMP_BYTES") != NULL;
    return __real_tare_engine_main(argc, argv, &stamped);
}
