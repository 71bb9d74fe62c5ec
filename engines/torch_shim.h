/* torch_shim.h: what libtorch.c asks of LibTorch, and all it knows about it. torch_shim.cc fills
 * the table: every entry makes calls and nothing else; what to ask for is decided in libtorch.c.
 *
 * The shim is a shared object beside the engine, opened while the engine runs: so the engine builds
 * on a machine without LibTorch, loading it is timed as the import, and a LibTorch that has gone
 * costs one cell, with its reason. Entries return NULL, or LibTorch's message about what failed; it
 * is valid until the next call.
 */
#ifndef TORCH_SHIM_H
#define TORCH_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TORCH_SHIM_ABI 1
#define TORCH_SHIM_TABLE "tare_torch_shim" /* the symbol: a function that returns the table */

struct torch_layer {            /* relu, unless weight is given */
    const float *weight, *bias; /* (n_in, n_out), (n_out) */
    int64_t n_in, n_out;
};

struct torch_net {
    const struct torch_layer *layers;
    size_t layer_count;
};

struct torch_examples {
    const float *images;   /* (n, n_in) */
    const int32_t *labels; /* (n) */
    const int32_t *order;  /* (steps, batch): rows of images */
    int64_t n, n_in, steps, batch;
};

struct torch_optimizer {
    int is_adam; /* Kingma & Ba's Algorithm 1; else SGD, with momentum unless that is 0 */
    double lr, momentum, beta1, beta2, epsilon;
};

struct torch_shim {
    int abi;             /* TORCH_SHIM_ABI */
    const char *version; /* of the LibTorch that the shim was compiled for */

    /* threads: within an operation; 1 between operations. Denormals flushed to 0, TF32
     * off. has_cuda: is a GPU there? */
    const char *(*start)(int threads, int *has_cuda);

    /* A net on the device, 0 the CPU, 1 the GPU; copies what it is given. */
    const char *(*make)(void **model, const struct torch_net *net, int on_cuda);
    void (*drop)(void *model);

    /* Puts the examples on the device and sets the optimiser to step 0. */
    const char *(*prepare)(void *model, const struct torch_examples *examples,
                           const struct torch_optimizer *optimizer);

    /* Steps [first, first + count) of the order; losses[i]: the batch's mean before the update. */
    const char *(*train)(void *model, size_t first, size_t count, float *losses);

    /* All weights and biases as make was given them, one after the other. */
    const char *(*params)(void *model, float *params);

    /* logits: (n, n_out)  x: (n, n_in) */
    const char *(*infer)(void *model, float *logits, const float *x, size_t n);
};

const struct torch_shim *tare_torch_shim(void);

#ifdef __cplusplus
}
#endif

#endif
