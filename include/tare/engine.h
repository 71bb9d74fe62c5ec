/* engine.h: how to write an engine in C. Copy engines/null.c, which has every hook in its shortest
 * form.
 *
 *     static const struct tare_engine_ops ops = {
 *         .abi = TARE_ABI, .name = "mine", .version = my_version, .build = my_build,
 *         .train = my_train, .weights = my_weights, .infer = my_infer, .close = my_close,
 *     };
 *     int main(int argc, char **argv) { return tare_engine_main(argc, argv, &ops); }
 *
 * engines/engine_main.c owns the stopwatch, the protocol and the files: it reads the job, loads the
 * data, calls the hooks in the order below, and writes events, weights and logits. A hook returns
 * TARE_OK or fills err; TARE_FAILED with a hint becomes a `fail` event. Use tare_engine_skip for
 * "this machine lacks something". Anything a framework prints on stdout goes to stderr.
 */
#ifndef TARE_ENGINE_H
#define TARE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/array.h"
#include "tare/err.h"
#include "tare/net.h"
#include "tare/protocol.h"

/* What engine_main has loaded before build: all of it stays valid until close. Of the test images
 * only the size is known before they are needed: infer gets them. */
struct tare_work {
    struct tare_job job;
    struct tare_net net; /* task train, and task infer when the job has a model */
    float *params;       /* net.param_count floats: initial, later trained; NULL for infer */
    float *images; /* (n, n_in) = u8 / 255.0f, correctly rounded; NULL for infer, or else … */
    const uint8_t *image_bytes; /* … (n, n_in), mapped, for an engine that wants `bytes` */
    int32_t *labels;            /* (n) */
    size_t n;                   /* training images */
    int32_t *order;             /* (epochs · steps_per_epoch, batch), already checked against n */
    size_t steps, steps_per_epoch;
    float *test_images;         /* (n_test, n_in), while infer is called; NULL before */
    size_t n_test, n_in, n_out; /* n_out: logits per image; an infer engine sets it in build */
};

struct tare_engine_ops {
    int abi;          /* Required: TARE_ABI */
    const char *name; /* Required */
    bool bytes;       /* Optional: wants the training images as uint8, a quarter of the memory */

    bool schedules; /* Optional: knows job.schedule; others get "constant" only */

    /* Required: the framework's version, in static storage or in *state's. Called after import. */
    const char *(*version)(void);

    /* Optional: initialise or dlopen the framework. Timed as phase import. */
    enum tare_status (*import)(struct tare_work *work, struct tare_err *err);

    /* Required: make *state from work: the net with work->params, ready to train or infer. Phase
     * build. */
    enum tare_status (*build)(void **state, struct tare_work *work, struct tare_err *err);

    /* Required for task train: run steps [first, first + count), and store each step's loss (batch
     * mean before the update, nats) in losses[0 … count−1]. Returns when the work is done, not when
     * it is queued. */
    enum tare_status (*train)(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err);

    /* Required for task train: copy the current parameters into params (net layout). */
    enum tare_status (*weights)(void *state, float *params, struct tare_err *err);

    /* Optional: logits: (n, n_out) of x: (n, n_in), both host float32. */
    enum tare_status (*infer)(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err);

    /* Optional: free state. */
    void (*close)(void *state);
};

/* Runs one job from stdin; returns the exit code of main. `--help` says what the program is. */
int tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops);

/* Reports a setting that was made, so that the table can show it: ("intra_op_threads", "2"). */
void tare_engine_setting(const char *name, const char *value);

/* Returned from a hook when the machine lacks something: the cell is skipped, with reason and fix.
 */
enum tare_status tare_engine_skip(struct tare_err *err, const char *fix, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* An engine that keeps what it needs of work->image_bytes in a form of its own lets their pages go:
 * 47 MB of MNIST. Who reads them all the same gets them anew from the file. */
void tare_engine_images_done(void);

/* Names the call that infer makes ("SessionRun", "LiteRtRunCompiledModel"); default "infer". */
void tare_engine_infer_call(const char *name);

#endif
