/* native_create.c: a native trainer made from a net: which layers, how wide their panels, sparse or
 * dense; its memory; parameters between the net's layout and panels. Nothing is allocated later. */
#include <stdlib.h>
#include <string.h>

#include "engine/native.h"

/* Density is measured on so many examples, from everywhere: stretches of neighbours, because
 * reaching the page of a mapped file takes longer than reading all of it. */
#define DENSITY_EXAMPLES 1000
#define DENSITY_NEIGHBOURS 25
#define SAMPLE_PADDING 16 /* rows of a batch: as many as the longest vector has lanes */

static bool make_state(struct tare_native *n, struct tare_state *state, size_t count) {
    bool two = n->optimizer.kind == TARE_OPTIMIZER_ADAM;
    bool one = two || n->optimizer.kind == TARE_OPTIMIZER_MOMENTUM;
    return (state->p = native_allocate(&n->memory, count, sizeof(float))) &&
           (!two || (state->m = native_allocate(&n->memory, count, sizeof(float)))) &&
           (!one || (state->v = native_allocate(&n->memory, count, sizeof(float))));
}

static bool make_layers(struct tare_native *n) {
    int threads = tare_team_size(n->team);
    n->layer_count = native_layers_of(
        n->layers, &n->net, n->kernels->lanes,
        n->sparse ? (threads + NATIVE_SLICES - 1) / NATIVE_SLICES : threads, threads);
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

/* Two of one thread: what gather_lists writes down in between is over when it returns. */
static bool make_lists(struct tare_native *n, struct tare_lists lists[2]) {
    size_t room = n->groups * n->padded, spare = n->groups * TARE_ENTRY_SPARE;
    for (int i = 0; i < 2; i++) {
        lists[i].batch = n->padded;
        if (!(lists[i].count = native_allocate(&n->memory, n->groups, sizeof *lists->count)) ||
            !(lists[i].row = native_allocate(&n->memory, room, sizeof *lists->row)) ||
            !(lists[i].value = native_allocate(&n->memory, room * TARE_GROUP, sizeof(float))))
            return false;
    }
    if (!(lists[0].entry = native_allocate(&n->memory, room + spare, sizeof *lists->entry)) ||
        !(lists[0].front = native_allocate(&n->memory, n->groups, sizeof *lists->front)))
        return false;
    lists[1].entry = lists[0].entry;
    lists[1].front = lists[0].front;
    return true;
}

static bool make_inputs(struct tare_native *n) {
    const struct native_layer *first = &n->layers[0];
    size_t outputs = first->panels * first->width;
    for (int i = 0; i < 2 && !n->sparse; i++)
        if (!(n->x[i] = native_allocate(&n->memory, first->rows * n->padded, sizeof(float))))
            return false;
    for (int t = 0; n->sparse && t < tare_team_size(n->team); t++)
        if (!make_lists(n, n->scratch[t].lists))
            return false;
    for (int s = 0; s < NATIVE_SLICES && n->sparse; s++)
        if (!(n->parts[s] = native_allocate(&n->memory, outputs * n->padded, sizeof(float))))
            return false;
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
            !(n->scratch[t].records = native_allocate(&n->memory, n->padded, sizeof(uint32_t *))) ||
            !(n->scratch[t].transposed =
                  native_allocate(&n->memory, widest * TARE_MAX_PANEL, sizeof(float))))
            return false;
    return true;
}

/* Room for the records of each thread's share of the examples, of any density: pages that none of
 * them reaches are never touched. */
static bool make_records(struct tare_native *n) {
    size_t most = tare_record_words(n->net.n_in) - TARE_RECORD_SPARE;
    int threads = tare_team_size(n->team);
    if (!n->sparse)
        return true;
    n->records = native_allocate(&n->memory, n->examples.n, sizeof *n->records);
    uint32_t *room = native_allocate(
        &n->memory, n->examples.n * most + TARE_RECORD_SPARE * (size_t)threads, sizeof *room);
    if (!n->records || !room)
        return false;
    n->record_bytes = (size_t)(n->density * (double)(n->groups * TARE_GROUP)) + n->groups / 8;
    for (int t = 0; t < threads; t++) {
        size_t first, end;
        tare_team_share(&first, &end, n->examples.n, threads, t);
        n->scratch[t].unpacked = first;
        /* What is written behind its last record must not be the next share's first. */
        n->scratch[t].room = room + first * most + TARE_RECORD_SPARE * (size_t)t;
    }
    return true;
}

/* An update of a group's weights takes about as long as so many entries of its lists. */
#define UPDATE_ENTRIES 8

/* lit: (groups), 0: in how many images of a sample they aren't all zero. record: room for one.
 * Returns how many images that are. */
static size_t count_lit(uint32_t *lit, uint32_t *record, const struct tare_native *n) {
    size_t n_in = n->net.n_in, images = 0;
    size_t stride = (n->examples.n / DENSITY_EXAMPLES + 1) * DENSITY_NEIGHBOURS;
    for (size_t start = 0; start < n->examples.n; start += stride)
        for (size_t e = start; e < start + DENSITY_NEIGHBOURS && e < n->examples.n; e++, images++) {
            n->kernels->pack(record, n->examples.images + e * n_in, n_in);
            for (size_t g = 0; g < n->groups; g++)
                lit[g] += record[g / 32] >> g % 32 & 1;
        }
    return images;
}

/* Of a sample of the images: the share of groups that aren't all zero; and slices that take about
 * as long as each other. lit: (groups), 0; record: room for one */
static void measure_density(struct tare_native *n, uint32_t *lit, uint32_t *record) {
    size_t images = count_lit(lit, record, n), sum = 0;
    double all = 0, until = 0, entries = (double)n->batch / (double)images;
    for (size_t g = 0; g < n->groups; g++) {
        sum += lit[g];
        all += lit[g] > 0 ? UPDATE_ENTRIES + lit[g] * entries : 0;
    }
    n->density = (double)sum / (double)images / (double)n->groups;
    n->slices.bound[NATIVE_SLICES] = n->groups;
    for (size_t g = 0, s = 1; s < NATIVE_SLICES; g++) {
        if (g == n->groups || until >= all * (double)s / NATIVE_SLICES)
            n->slices.bound[s++] = g--;
        else
            until += lit[g] > 0 ? UPDATE_ENTRIES + lit[g] * entries : 0;
    }
}

static bool make_slices(struct tare_native *n) {
    n->groups = native_round_up(n->net.n_in, TARE_GROUP) / TARE_GROUP;
    uint32_t *lit = calloc(n->groups + tare_record_words(n->net.n_in), sizeof *lit);
    if (!lit)
        return false;
    measure_density(n, lit, lit + n->groups);
    free(lit);
    n->sparse = n->density < NATIVE_SPARSE_BELOW;
    return true;
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
    status = tare_team_make(&n->team, setup->threads, err);
    if (status == TARE_OK &&
        !(make_slices(n) && make_layers(n) && make_scratch(n) && make_inputs(n) && make_records(n)))
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
    struct tare_native_facts facts = {
        .density = native->density, .sparse = native->sparse, .packed = native->sparse};
    for (int t = 0; t < tare_team_size(native->team) && facts.packed; t++) {
        size_t first, end;
        tare_team_share(&first, &end, native->examples.n, tare_team_size(native->team), t);
        facts.packed = native->scratch[t].unpacked == end;
    }
    return facts;
}
