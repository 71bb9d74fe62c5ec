/* native.h: the native engine as its files know it: native_layers.c lays out layers, for training
 * (native_create.c, native_step.c, and native_update.c, an optimiser's constants at one step) and
 * for inference (native_infer.c, native_int8.c). The arithmetic is in src/kernel. */
#ifndef TARE_ENGINE_NATIVE_H
#define TARE_ENGINE_NATIVE_H

#include "base/team.h"
#include "kernel/kernel.h"
#include "tare/native.h"

/* Above this density the dense kernels are faster: with all of a group's four inputs the sparse
 * ones do the same multiplications, one sample at a time. Measured: ARCHITECTURE.md. */
#define NATIVE_SPARSE_BELOW 0.6

/* The groups of a sparse first layer's inputs are cut into slices: slice s is groups bound[s] …
 * bound[s + 1] − 1. A sum over all inputs is the sum of its slices' sums, whoever took which. */
#define NATIVE_SLICES 2
struct native_slices {
    size_t bound[NATIVE_SLICES + 1];
};

/* Memory that is freed together. A block is all 0 and lies on cache lines of its own; what is never
 * touched costs nothing. NULL: there is none. */
struct native_memory {
    void **chunks;
    size_t count, left; /* bytes of the last chunk from `at` on */
    char *at;
};
void *native_allocate(struct native_memory *memory, size_t count, size_t size);
void native_release(struct native_memory *memory);

/* A dense layer, in panels (kernel/kernel.h). What is a row of w is a column of the activations
 * before it. */
struct native_layer {
    size_t n_in, n_out, offset; /* offset: of its weight in the net's block */
    bool relu;
    int vectors;
    size_t width, panels; /* of its output: panels · width ≥ n_out */
    size_t x_width, rows; /* panels of its input are so wide; rows of w: a multiple of that */
    struct tare_state w;  /* (panels, rows, width) */
    struct tare_state b;  /* (panels, width) */
    float *y, *dy;        /* (panels, batch, width) */
};

struct native_scratch {       /* a thread's own */
    const uint8_t **images;   /* (batch), dense: of the step that is prepared */
    const uint32_t **records; /* (batch), sparse: the same */
    size_t unpacked;          /* sparse: the first of its examples that may have no record yet */
    uint32_t *room;           /* for its next record */
    float *transposed;        /* of the widest layer: (n_out, TARE_MAX_PANEL) */
    struct tare_lists
        lists[2]; /* sparse: of this step's inputs and of those before or after, in turn */
};

struct tare_native {
    struct tare_net net;
    struct tare_optimizer optimizer;
    const struct tare_kernels *kernels;
    struct tare_bytes examples;
    size_t batch, padded; /* samples of a step; as rows */
    uint64_t steps_done;
    bool sparse;
    double density;
    size_t groups; /* of inputs */
    struct native_slices slices;
    uint8_t *seen;            /* (panels of the first layer, groups) */
    const uint32_t **records; /* sparse: (examples); NULL: it has none yet */
    size_t record_bytes;      /* of one of them, on average */
    int layer_count;
    struct native_layer layers[TARE_MAX_LAYERS];
    float *x[2];                 /* dense: (panels, batch, x_width), as the lists */
    float *parts[NATIVE_SLICES]; /* sparse: of the first layer's y, before relu: what each slice
                                    adds */
    int32_t *labels;             /* (padded) */
    float *sample_losses;        /* (padded) */
    struct tare_team *team;
    struct native_scratch *scratch; /* (threads) */
    struct tare_phases *phases;     /* (threads), or NULL */
    struct native_memory memory;    /* of all of this */
};

/* The layers of a net that tare_native_can_train, without their memory: panels of two vectors where
 * that leaves one for each of `parts` threads (first_parts: of the first layer), else of one.
 * Returns how many. */
int native_layers_of(struct native_layer layers[TARE_MAX_LAYERS], const struct tare_net *net,
                     int lanes, int first_parts, int parts);
/* A layer's weight and bias from the net's block into panels. */
void native_layer_set(const struct native_layer *layer, const float *params);

/* Which kernels were asked for; NULL with err filled when this machine hasn't them. */
const struct tare_kernels *native_kernels(const char *name, struct tare_err *err);
enum tare_status native_check_net(const struct tare_net *net, struct tare_err *err);

size_t native_round_up(size_t n, size_t to);

/* At step t ≥ 1, in double and rounded once. */
void native_update_at(struct tare_update *update, const struct tare_optimizer *optimizer,
                      uint64_t t);

#endif
