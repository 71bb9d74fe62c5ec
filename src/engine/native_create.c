/* native_create.c: a native trainer made from a net: which layers, how wide their panels, sparse or
 * dense; its memory; parameters between the net's layout and panels. Nothing is allocated later. */
#include <stdlib.h>
#include <string.h>

#include "engine/native.h"

#define DENSITY_EXAMPLES 1000
#define SAMPLE_PADDING 16 /* rows of a batch: as many as the longest vector has lanes */

static bool make_state(struct tare_native *n, struct tare_state *state, size_t count) {
    bool two = n->optimizer.kind == TARE_OPTIMIZER_ADAM;
    bool one = two || n->optimizer.kind == TARE_OPTIMIZER_MOMENTUM;
    return (state->p = native_allocate(&n->memory, count, sizeof(float))) &&
           (!two || (state->m = native_allocate(&n->memory, count, sizeof(float)))) &&
           (!one || (state->v = native_allocate(&n->memory, count, sizeof(float))));
}

static bool make_layers(struct tare_native *n) {
    n->layer_count =
        native_layers_of(n->layers, &n->net, n->kernels->lanes, tare_team_size(n->team));
    for (int l = 0; l < n->layer_count; l++) {
        struct native_layer *layer = &n->layers[l];
        size_t outputs = layer->panels * layer->width;
        if (!make_state(n, &layer->w, outputs * layer->rows) ||
            !make_state(n, &layer->b, outputs) ||
            !(layer->y = native_allocate(&n->memory, outputs * n->padded, sizeof(float))) ||
            !(layer->dy = native_allocate(&n->memory, outputs * n->padded, sizeof(float))))
            return false;
    }
    return true;
}

static bool make_lists(struct tare_native *n, struct tare_lists *lists) {
    size_t entries = n->groups * n->padded;
    lists->batch = n->padded;
    return (lists->count = native_allocate(&n->memory, n->groups, sizeof *lists->count)) &&
           (lists->row = native_allocate(&n->memory, entries, sizeof *lists->row)) &&
           (lists->value = native_allocate(&n->memory, entries * TARE_GROUP, sizeof *lists->value));
}

static bool make_inputs(struct tare_native *n) {
    const struct native_layer *first = &n->layers[0];
    for (int i = 0; i < 2; i++) {
        if (!n->sparse &&
            !(n->x[i] = native_allocate(&n->memory, first->rows * n->padded, sizeof(float))))
            return false;
        for (int t = 0; n->sparse && t < tare_team_size(n->team); t++)
            if (!make_lists(n, &n->scratch[t].lists[i]))
                return false;
    }
    return (n->seen = native_allocate(&n->memory, first->panels * n->groups, 1)) != NULL;
}

static bool make_scratch(struct tare_native *n) {
    int threads = tare_team_size(n->team);
    size_t widest = 0;
    for (int l = 1; l < n->layer_count; l++)
        if (n->layers[l].n_out > widest)
            widest = n->layers[l].n_out;
    if (!(n->labels = native_allocate(&n->memory, n->padded, sizeof *n->labels)) ||
        !(n->sample_losses = native_allocate(&n->memory, n->padded, sizeof *n->sample_losses)) ||
        !(n->scratch = native_allocate(&n->memory, (size_t)threads, sizeof *n->scratch)))
        return false;
    for (int t = 0; t < threads; t++)
        if (!(n->scratch[t].images = native_allocate(&n->memory, n->padded, sizeof(uint8_t *))) ||
            !(n->scratch[t].transposed =
                  native_allocate(&n->memory, widest * TARE_MAX_PANEL, sizeof(float))))
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
    if ((status = native_check_net(setup->net, err)) != TARE_OK)
        return status;
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
    const struct tare_kernels *kernels = native_kernels(setup->kernels, err);
    if (!kernels)
        return TARE_USAGE;
    struct tare_native *n = calloc(1, sizeof *n);
    if (!n)
        return tare_fail(err, TARE_MEMORY, "native", NULL, "no memory");
    n->net = *setup->net;
    n->optimizer = setup->optimizer;
    n->kernels = kernels;
    n->examples = setup->examples;
    n->phases = setup->phases;
    n->batch = setup->batch;
    n->padded = native_round_up(setup->batch, SAMPLE_PADDING);
    n->groups = native_round_up(n->net.n_in, TARE_GROUP) / TARE_GROUP;
    n->density = measure_density(&n->examples, n->net.n_in);
    n->sparse = n->density < NATIVE_SPARSE_BELOW;
    status = tare_team_make(&n->team, setup->threads, err);
    if (status == TARE_OK && !(make_layers(n) && make_scratch(n) && make_inputs(n)))
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
    native_release(&native->memory);
    free(native);
}

void tare_native_set_params(struct tare_native *native, const float *params) {
    for (int l = 0; l < native->layer_count; l++)
        native_layer_set(&native->layers[l], params);
}

void tare_native_params(float *params, const struct tare_native *native) {
    for (int l = 0; l < native->layer_count; l++) {
        const struct native_layer *layer = &native->layers[l];
        float *to = params + layer->offset;
        for (size_t i = 0; i < layer->n_in; i++)
            for (size_t j = 0; j < layer->n_out; j++)
                *to++ =
                    layer->w
                        .p[(j / layer->width * layer->rows + i) * layer->width + j % layer->width];
        memcpy(to, layer->b.p, layer->n_out * sizeof *to);
    }
}

struct tare_native_facts tare_native_facts(const struct tare_native *native) {
    return (struct tare_native_facts){native->density, native->sparse};
}
