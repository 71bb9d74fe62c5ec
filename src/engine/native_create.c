/* native_create.c: a native trainer made from a net: which layers, how wide their panels, sparse or
 * dense; its memory; parameters between the net's layout and panels. Nothing is allocated later. */
#include <stdlib.h>
#include <string.h>

#include "engine/native.h"
#include "net/op.h"

/* Above this density the dense kernels are faster: with all of a group's four inputs the sparse
 * ones do the same multiplications, one sample at a time. Measured: ARCHITECTURE.md. */
#define SPARSE_BELOW 0.6
#define DENSITY_EXAMPLES 1000
#define SAMPLE_PADDING 16 /* rows of a batch: as many as the longest vector has lanes */

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

bool tare_native_can_train(const struct tare_net *net) {
    bool may_relu = false;
    for (int l = 0; l < net->layer_count; l++) {
        bool dense = net->layers[l].op == &tare_op_dense;
        if (!dense && !(may_relu && net->layers[l].op == &tare_op_relu))
            return false;
        may_relu = dense;
    }
    return net->layer_count > 0;
}

/* Floats, on their own cache lines, all 0; NULL without memory. Kept for tare_native_free. */
static void *block(struct tare_native *n, size_t count, size_t size) {
    size_t bytes = round_up(count * size + 1, TARE_LINE_BYTES);
    void **more = realloc(n->blocks, (n->block_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    n->blocks = more;
    void *memory = aligned_alloc(TARE_LINE_BYTES, bytes);
    if (memory)
        n->blocks[n->block_count++] = memset(memory, 0, bytes);
    return memory;
}

static bool make_state(struct tare_native *n, struct tare_state *state, size_t count) {
    bool two = n->optimizer.kind == TARE_OPTIMIZER_ADAM;
    bool one = two || n->optimizer.kind == TARE_OPTIMIZER_MOMENTUM;
    return (state->p = block(n, count, sizeof(float))) &&
           (!two || (state->m = block(n, count, sizeof(float)))) &&
           (!one || (state->v = block(n, count, sizeof(float))));
}

/* Panels of two vectors where that leaves one for each thread, else of one. */
static void choose_panels(struct native_layer *layer, int lanes, int threads) {
    size_t wide = 2 * (size_t)lanes;
    layer->vectors =
        layer->n_out > (size_t)lanes && round_up(layer->n_out, wide) / wide >= (size_t)threads ? 2
                                                                                               : 1;
    layer->width = (size_t)layer->vectors * (size_t)lanes;
    layer->panels = round_up(layer->n_out, layer->width) / layer->width;
}

static bool make_layers(struct tare_native *n) {
    size_t x_width = TARE_MAX_PANEL;
    for (int l = 0; l < n->net.layer_count; l++) {
        const struct tare_layer *from = &n->net.layers[l];
        if (from->op == &tare_op_relu) {
            n->layers[n->layer_count - 1].relu = true;
            continue;
        }
        struct native_layer *layer = &n->layers[n->layer_count++];
        *layer = (struct native_layer){.n_in = from->n_in,
                                       .n_out = from->n_out,
                                       .offset = from->param_offset,
                                       .x_width = x_width,
                                       .rows = round_up(from->n_in, x_width)};
        choose_panels(layer, n->kernels->lanes, tare_team_size(n->team));
        x_width = layer->width;
        size_t outputs = layer->panels * layer->width;
        if (!make_state(n, &layer->w, outputs * layer->rows) ||
            !make_state(n, &layer->b, outputs) ||
            !(layer->y = block(n, outputs * n->padded, sizeof(float))) ||
            !(layer->dy = block(n, outputs * n->padded, sizeof(float))))
            return false;
    }
    return true;
}

static bool make_inputs(struct tare_native *n) {
    const struct native_layer *first = &n->layers[0];
    for (int i = 0; i < 2; i++) {
        struct native_inputs *in = &n->inputs[i];
        struct tare_lists *lists = &in->lists;
        size_t entries = n->groups * n->padded;
        if (!n->sparse) {
            if (!(in->x = block(n, first->rows * n->padded, sizeof(float))))
                return false;
            continue;
        }
        lists->batch = n->padded;
        if (!(lists->count = block(n, n->groups, sizeof *lists->count)) ||
            !(lists->row = block(n, entries, sizeof *lists->row)) ||
            !(lists->value = block(n, entries * TARE_GROUP, sizeof *lists->value)))
            return false;
    }
    return (n->seen = block(n, first->panels * n->groups, 1)) != NULL;
}

static bool make_scratch(struct tare_native *n) {
    int threads = tare_team_size(n->team);
    size_t widest = 0;
    for (int l = 1; l < n->layer_count; l++)
        if (n->layers[l].n_out > widest)
            widest = n->layers[l].n_out;
    if (!(n->labels = block(n, n->padded, sizeof *n->labels)) ||
        !(n->sample_losses = block(n, n->padded, sizeof *n->sample_losses)) ||
        !(n->scratch = block(n, (size_t)threads, sizeof *n->scratch)))
        return false;
    for (int t = 0; t < threads; t++)
        if (!(n->scratch[t].images = block(n, n->padded, sizeof(uint8_t *))) ||
            !(n->scratch[t].transposed = block(n, widest * TARE_MAX_PANEL, sizeof(float))))
            return false;
    return true;
}

/* Of groups of inputs, how many aren't all zero. */
static double measure_density(const struct tare_bytes *examples, size_t n_in) {
    size_t step = examples->n / DENSITY_EXAMPLES + 1, lit = 0, all = 0;
    for (size_t e = 0; e < examples->n; e += step)
        for (size_t i = 0; i < n_in; i += TARE_GROUP, all++) {
            uint8_t any = 0;
            for (size_t k = i; k < n_in && k < i + TARE_GROUP; k++)
                any |= examples->images[e * n_in + k];
            lit += any != 0;
        }
    return (double)lit / (double)all;
}

static enum tare_status check(const struct tare_native_setup *setup, struct tare_err *err) {
    enum tare_status status = tare_optimizer_check(&setup->optimizer, err);
    if (status != TARE_OK)
        return status;
    if (!tare_native_can_train(setup->net))
        return tare_fail(err, TARE_USAGE, "model", "variant reference trains any net",
                         "the native engine trains dense layers, with or without relu");
    if (setup->batch == 0 || setup->batch > TARE_MAX_BATCH)
        return tare_fail(err, TARE_USAGE, "batch", "use 1 to 65536", "a batch of %zu samples",
                         setup->batch);
    if (setup->examples.n == 0)
        return tare_fail(err, TARE_DATA, "examples", NULL, "there are none");
    for (size_t i = 0; i < setup->examples.n; i++)
        if (setup->examples.labels[i] < 0 || (size_t)setup->examples.labels[i] >= setup->net->n_out)
            return tare_fail(err, TARE_DATA, "labels",
                             "the last layer needs as many units as there are classes",
                             "image %zu has label %d, but the net has %zu outputs", i,
                             (int)setup->examples.labels[i], setup->net->n_out);
    return TARE_OK;
}

enum tare_status tare_native_create(struct tare_native **native,
                                    const struct tare_native_setup *setup, struct tare_err *err) {
    *native = NULL;
    enum tare_status status = check(setup, err);
    if (status != TARE_OK)
        return status;
    const struct tare_kernels *kernels =
        setup->kernels ? tare_kernels_find(setup->kernels) : tare_kernels_best();
    if (!kernels)
        return tare_fail(err, TARE_USAGE, "kernels", "leave them out",
                         "this machine has no kernels \"%.40s\"", setup->kernels);
    struct tare_native *n = calloc(1, sizeof *n);
    if (!n)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory");
    n->net = *setup->net;
    n->optimizer = setup->optimizer;
    n->kernels = kernels;
    n->examples = setup->examples;
    n->batch = setup->batch;
    n->padded = round_up(setup->batch, SAMPLE_PADDING);
    n->groups = round_up(n->net.n_in, TARE_GROUP) / TARE_GROUP;
    n->density = measure_density(&n->examples, n->net.n_in);
    n->sparse = n->density < SPARSE_BELOW;
    status = tare_team_make(&n->team, setup->threads, err);
    if (status == TARE_OK && !(make_layers(n) && make_inputs(n) && make_scratch(n)))
        status = tare_fail(err, TARE_MEMORY, "native", "use a smaller batch or net",
                           "no memory for %zu parameters at batch %zu", n->net.param_count,
                           setup->batch);
    if (status == TARE_OK)
        *native = n;
    else
        tare_native_free(n);
    return status;
}

void tare_native_free(struct tare_native *native) {
    if (!native)
        return;
    tare_team_free(native->team);
    for (size_t i = 0; i < native->block_count; i++)
        free(native->blocks[i]);
    free(native->blocks);
    free(native);
}

/* A layer's weight (n_in, n_out) and bias (n_out) in the net's block, and in panels. */
static float *in_panels(const struct native_layer *layer, size_t i, size_t j) {
    return layer->w.p + (j / layer->width * layer->rows + i) * layer->width + j % layer->width;
}

void tare_native_set_params(struct tare_native *native, const float *params) {
    for (int l = 0; l < native->layer_count; l++) {
        const struct native_layer *layer = &native->layers[l];
        const float *from = params + layer->offset;
        for (size_t i = 0; i < layer->n_in; i++)
            for (size_t j = 0; j < layer->n_out; j++)
                *in_panels(layer, i, j) = *from++;
        memcpy(layer->b.p, from, layer->n_out * sizeof *from);
    }
}

void tare_native_params(float *params, const struct tare_native *native) {
    for (int l = 0; l < native->layer_count; l++) {
        const struct native_layer *layer = &native->layers[l];
        float *to = params + layer->offset;
        for (size_t i = 0; i < layer->n_in; i++)
            for (size_t j = 0; j < layer->n_out; j++)
                *to++ = *in_panels(layer, i, j);
        memcpy(to, layer->b.p, layer->n_out * sizeof *to);
    }
}

struct tare_native_facts tare_native_facts(const struct tare_native *native) {
    return (struct tare_native_facts){native->kernels->name, native->density, native->sparse};
}
