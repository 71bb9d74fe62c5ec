/* native.h: tare's own engine at the machine's limit: float32, vectors, threads; the same
 * mathematics as the plain reference in tare/train.h, against which it is tested.
 *
 *     struct tare_native *native;
 *     struct tare_native_setup setup = {&net, adam, 32, 2, NULL, {bytes, labels, n}, NULL};
 *     tare_native_create(&native, &setup, &err);
 *     tare_native_set_params(native, params);
 *     tare_native_run(native, losses, order, steps, &err);         // order: (steps, 32)
 *     tare_native_params(params, native);
 *     tare_native_free(native);
 *
 * On one set of kernels the same inputs give the same bits, whatever the number of threads and
 * however a run is cut into calls. How it works: ARCHITECTURE.md, "The native engine".
 */
#ifndef TARE_NATIVE_H
#define TARE_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"
#include "tare/net.h"
#include "tare/train.h"

struct tare_bytes {        /* what engines are given: x = byte / 255.0f */
    const uint8_t *images; /* (n, n_in) */
    const int32_t *labels; /* (n), each 0 … n_out−1 */
    size_t n;
};

/* Where a training step's time goes, as one thread saw it. Between two timestamps there is nothing,
 * so that a thread's phases add up to its time in tare_native_run. id, name */
#define TARE_PHASE_LIST(X)                                                                         \
    X(FIRST, "first")     /* first layer: gradient, update, and forward with the next batch */     \
    X(BEHIND, "behind")   /* the layers behind it, there and back, and the loss */                 \
    X(PREPARE, "prepare") /* inputs of the batches to come */                                      \
    X(WAIT, "wait")       /* at barriers, for the other threads */

enum tare_phase {
#define X(id, name) TARE_PHASE_##id,
    TARE_PHASE_LIST(X)
#undef X
        TARE_PHASE_COUNT
};
struct tare_phases {
    _Alignas(64) int64_t ns[TARE_PHASE_COUNT]; /* a cache line each: threads don't share one */
};
const char *tare_phase_name(enum tare_phase phase);

struct tare_native_setup {
    const struct tare_net *net;
    struct tare_optimizer optimizer; /* constants: TARE_CONSTANTS_EXACT */
    size_t batch;                    /* 1 … TARE_MAX_BATCH */
    int threads;                     /* 1 … 1024 */
    const char *kernels;             /* "reference", "avx2", "avx512"; NULL: the fastest here */
    struct tare_bytes examples;      /* must outlive the trainer; n > 0 */
    struct tare_phases *phases;      /* (threads), added to by every run; NULL: not measured */
};

struct tare_native;

/* Whether the net is one this engine trains: dense layers, each with or without a relu behind it.
 */
bool tare_native_can_train(const struct tare_net *net);

/* Whether this machine has kernels of that name, and the name of those that are used for it (NULL:
 * the fastest). */
bool tare_native_has_kernels(const char *name);
const char *tare_native_kernels(const char *name);

/* An optimiser at step 0, parameters all zero. *native is NULL after a failure. TARE_USAGE: a net,
 * batch or constant out of range, kernels this machine hasn't; TARE_DATA: a label out of range. */
enum tare_status tare_native_create(struct tare_native **native,
                                    const struct tare_native_setup *setup, struct tare_err *err);
void tare_native_free(struct tare_native *native); /* NULL is fine */

/* net.param_count floats in and out. Setting them leaves the optimiser as it is. */
void tare_native_set_params(struct tare_native *native, const float *params);
void tare_native_params(float *params, const struct tare_native *native);

/* Trains `steps` steps; losses[s]: the mean over the batch before its update, nats; NaN when the
 * run diverged. TARE_DATA: an index out of range; nothing is done then. */
enum tare_status tare_native_run(struct tare_native *native, float *losses, const int32_t *order,
                                 size_t steps, struct tare_err *err);

/* How it was set up. density: the part of groups of four neighbouring inputs that aren't all zero,
 * measured on up to 1,000 examples; sparse: the first layer skips those that are; packed: and the
 * engine has all images in a form of its own, so that those it was given aren't read any more. */
struct tare_native_facts {
    double density;
    bool sparse, packed;
};
struct tare_native_facts tare_native_facts(const struct tare_native *native);

/* ---- inference: the same arithmetic, of one input at the lowest latency or of many --------------
 *
 *     struct tare_native_model *model;
 *     tare_native_model_create(&model, &net, params, 2, NULL, &err);
 *     tare_native_model_infer(model, logits, x, n);
 *     tare_native_model_free(model);
 */
struct tare_native_model;

/* Nets as above; params: net.param_count floats, copied. One thread for few inputs, up to `threads`
 * for many. */
enum tare_status tare_native_model_create(struct tare_native_model **model,
                                          const struct tare_net *net, const float *params,
                                          int threads, const char *kernels, struct tare_err *err);
void tare_native_model_free(struct tare_native_model *model); /* NULL is fine */

/* logits: (n, n_out) of x: (n, n_in), any finite n. A row's logits depend on its neighbours only as
 * the kernels do: sums over non-zero inputs or over all, in an order of their own, chosen by the
 * measured density. */
void tare_native_model_infer(struct tare_native_model *model, float *logits, const float *x,
                             size_t n);

/* ---- inference in int8 --------------------------------------------------------------------------
 *
 *     struct tare_native_int8 *model;
 *     struct tare_bytes examples = {train_images, NULL, 1000};
 *     tare_native_int8_create(&model, &net, params, &examples, NULL, &err);
 *     tare_native_int8_infer(model, logits, images, n);
 *     tare_native_int8_free(model);
 *
 * Images as they are: bytes, x = byte / 255. Weights: signed bytes, symmetric, one step per output:
 * its largest weight / 127. Biases and sums: int32, exact, and none can overflow. Activations:
 * unsigned bytes, one step per layer: the largest one of the examples / 255; a layer that is dark
 * in all of them has the range 0 … 1. Everything is rounded to nearest, ties to even, and
 * saturates. Sums become activations by a multiplication in float32: the fixed-point multipliers
 * of TFLite's kernels aren't done here, so bits aren't those of a .tflite in int8.
 * All kernels give the same bits. One thread, and one call at a time on a model.
 */
struct tare_native_int8;

/* Nets as above, with a relu behind every dense layer but the last: TARE_USAGE otherwise, and for
 * kernels ("reference", "avx2", "vnni"; NULL: the fastest here) this machine hasn't. params and
 * examples are read here only; labels aren't. TARE_DATA: no examples; a parameter that is NaN or
 * infinite, or too large. *model is NULL after a failure. */
enum tare_status tare_native_int8_create(struct tare_native_int8 **model,
                                         const struct tare_net *net, const float *params,
                                         const struct tare_bytes *examples, const char *kernels,
                                         struct tare_err *err);
void tare_native_int8_free(struct tare_native_int8 *model); /* NULL is fine */
const char *tare_native_int8_kernels(const struct tare_native_int8 *model);

/* logits: (n, n_out) of images: (n, n_in). A row depends on nothing but its image. */
void tare_native_int8_infer(struct tare_native_int8 *model, float *logits, const uint8_t *images,
                            size_t n);

#endif
