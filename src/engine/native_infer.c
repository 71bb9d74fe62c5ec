/* native_infer.c: inference. A few inputs go one by one, through the rows of weights that belong to
 * inputs that aren't zero; many go in blocks, shared among threads: sparse or dense as the first
 * layer of training, as the block's own density has it. */
#include <stdlib.h>
#include <string.h>

#include "engine/native.h"

#define BLOCK TARE_LIT_SAMPLES /* inputs at a time */
#define FEW 4                  /* up to so many inputs one by one */
#define INDEX_SPARE 16         /* find_nonzero writes whole vectors */

struct room {         /* of one thread */
    float *values[2]; /* outputs of a layer and of the one behind it: (panels, BLOCK, width) */
    uint32_t *index;
    float *row[2]; /* the same of a single input */
    uint64_t *lit; /* (groups, up to a multiple of 64) */
    float *x;      /* (panels, BLOCK, x_width) */
};

struct tare_native_model {
    const struct tare_kernels *kernels;
    int layer_count;
    struct native_layer layers[TARE_MAX_LAYERS];
    size_t groups;
    struct tare_team *team;
    struct room *rooms; /* (threads) */
    struct native_memory memory;
};

static bool make_room(struct tare_native_model *m, struct room *room) {
    struct native_memory *memory = &m->memory;
    size_t widest = 0, longest = m->layers[0].n_in;
    for (int l = 0; l < m->layer_count; l++) {
        size_t outputs = m->layers[l].panels * m->layers[l].width;
        widest = outputs > widest ? outputs : widest;
    }
    longest = widest > longest ? widest : longest;
    for (int i = 0; i < 2; i++)
        if (!(room->values[i] = native_allocate(memory, widest * BLOCK, sizeof(float))) ||
            !(room->row[i] = native_allocate(memory, widest, sizeof(float))))
            return false;
    return (room->index = native_allocate(memory, longest + INDEX_SPARE, sizeof(uint32_t))) &&
           (room->lit =
                native_allocate(memory, native_round_up(m->groups, 64), sizeof(uint64_t))) &&
           (room->x = native_allocate(memory, m->layers[0].rows * BLOCK, sizeof(float)));
}

static bool make_weights(struct tare_native_model *m, const float *params) {
    for (int l = 0; l < m->layer_count; l++) {
        struct native_layer *layer = &m->layers[l];
        size_t outputs = layer->panels * layer->width;
        layer->w.p = native_allocate(&m->memory, outputs * layer->rows, sizeof(float));
        layer->b.p = native_allocate(&m->memory, outputs, sizeof(float));
        if (!layer->w.p || !layer->b.p)
            return false;
        native_layer_set(layer, params);
    }
    return true;
}

enum tare_status tare_native_model_create(struct tare_native_model **model,
                                          const struct tare_net *net, const float *params,
                                          int threads, const char *kernels, struct tare_err *err) {
    *model = NULL;
    enum tare_status status = native_check_net(net, err);
    if (status != TARE_OK)
        return status;
    struct tare_native_model *m = calloc(1, sizeof *m);
    if (!m)
        return tare_fail(err, TARE_MEMORY, "model", NULL, "no memory");
    if (!(m->kernels = native_kernels(kernels, err)))
        status = TARE_USAGE;
    if (status == TARE_OK)
        status = tare_team_make(&m->team, threads, err);
    if (status == TARE_OK) {
        /* Threads share inputs, not panels. */
        m->layer_count = native_layers_of(m->layers, net, m->kernels->lanes, 1, 1);
        m->groups = native_round_up(net->n_in, TARE_GROUP) / TARE_GROUP;
        m->rooms = native_allocate(&m->memory, (size_t)threads, sizeof *m->rooms);
        bool good = m->rooms && make_weights(m, params);
        for (int i = 0; i < threads && good; i++)
            good = make_room(m, &m->rooms[i]);
        if (!good)
            status =
                tare_fail(err, TARE_MEMORY, "model", "fewer threads",
                          "no memory for %zu parameters and %d threads", net->param_count, threads);
    }
    if (status == TARE_OK)
        *model = m;
    else
        tare_native_model_free(m);
    return status;
}

void tare_native_model_free(struct tare_native_model *model) {
    if (!model)
        return;
    tare_team_free(model->team);
    native_release(&model->memory);
    free(model);
}

/* ---- one input ---------------------------------------------------------------------------------
 */

static void infer_one(const struct tare_native_model *m, struct room *room, float *logits,
                      const float *x) {
    const struct tare_kernels *k = m->kernels;
    for (int l = 0; l < m->layer_count; l++) {
        const struct native_layer *layer = &m->layers[l];
        float *y = room->row[l % 2];
        size_t columns = layer->panels * layer->width;
        size_t count = k->find_nonzero(room->index, x, layer->n_in);
        memcpy(y, layer->b.p, columns * sizeof *y);
        k->forward_row(y, x, room->index, count, layer->w.p, layer->rows, layer->vectors,
                       layer->panels);
        if (layer->relu)
            k->relu(y, columns);
        x = y;
    }
    memcpy(logits, x, m->layers[m->layer_count - 1].n_out * sizeof *logits);
}

/* ---- a block of inputs -------------------------------------------------------------------------
 */

/* Into panels, the rows behind `count` untouched: nobody looks at what becomes of them. */
static void lay_out(float *to, const struct native_layer *layer, const float *x, size_t count) {
    size_t width = layer->x_width;
    for (size_t b = 0; b < count; b++)
        for (size_t i = 0; i < layer->n_in; i += width)
            memcpy(to + (i / width * BLOCK + b) * width, x + b * layer->n_in + i,
                   (layer->n_in - i < width ? layer->n_in - i : width) * sizeof *to);
}

static void dense_layer(const struct tare_native_model *m, const struct native_layer *layer,
                        float *values, const float *x, size_t rows) {
    for (size_t panel = 0; panel < layer->panels; panel++) {
        float *y = values + panel * BLOCK * layer->width;
        m->kernels->spread_bias(y, layer->b.p + panel * layer->width, rows, layer->vectors);
        m->kernels->forward(y, x, layer->w.p + panel * layer->rows * layer->width, layer->n_in,
                            layer->x_width, BLOCK, layer->vectors, 0, rows);
        if (layer->relu)
            m->kernels->relu(y, rows * layer->width);
    }
}

static void first_layer(const struct tare_native_model *m, struct room *room, const float *x,
                        size_t count, size_t rows) {
    const struct native_layer *layer = &m->layers[0];
    size_t lit = m->kernels->find_lit(room->lit, x, count, layer->n_in);
    if ((double)lit >= NATIVE_SPARSE_BELOW * (double)(m->groups * count)) {
        lay_out(room->x, layer, x, count);
        dense_layer(m, layer, room->values[0], room->x, rows);
        return;
    }
    for (size_t panel = 0; panel < layer->panels; panel++)
        m->kernels->spread_bias(room->values[0] + panel * BLOCK * layer->width,
                                layer->b.p + panel * layer->width, rows, layer->vectors);
    const struct tare_sparse sparse = {.groups = m->groups,
                                       .end = m->groups,
                                       .vectors = layer->vectors,
                                       .panels = layer->panels,
                                       .rows = layer->rows,
                                       .batch = BLOCK};
    m->kernels->lit_forward(&sparse, room->values[0], layer->w.p, x, layer->n_in, room->lit);
    for (size_t panel = 0; layer->relu && panel < layer->panels; panel++)
        m->kernels->relu(room->values[0] + panel * BLOCK * layer->width, rows * layer->width);
}

/* count: at most BLOCK */
static void infer_block(const struct tare_native_model *m, struct room *room, float *logits,
                        const float *x, size_t count) {
    const struct native_layer *last = &m->layers[m->layer_count - 1];
    size_t rows = native_round_up(count, TARE_ROWS);
    first_layer(m, room, x, count, rows);
    for (int l = 1; l < m->layer_count; l++)
        dense_layer(m, &m->layers[l], room->values[l % 2], room->values[(l + 1) % 2], rows);
    const float *y = room->values[(m->layer_count - 1) % 2];
    for (size_t b = 0; b < count; b++)
        for (size_t j = 0; j < last->n_out; j += last->width)
            memcpy(logits + b * last->n_out + j, y + (j / last->width * BLOCK + b) * last->width,
                   (last->n_out - j < last->width ? last->n_out - j : last->width) *
                       sizeof *logits);
}

struct call {
    struct tare_native_model *model;
    float *logits;
    const float *x;
    size_t n;
};

static void infer_part(void *context, int index) {
    const struct call *call = context;
    const struct tare_native_model *m = call->model;
    size_t n_in = m->layers[0].n_in, n_out = m->layers[m->layer_count - 1].n_out, first, end;
    unsigned before = tare_denormals_flush();
    tare_team_share(&first, &end, native_round_up(call->n, BLOCK) / BLOCK, tare_team_size(m->team),
                    index);
    for (size_t b = first * BLOCK; b < end * BLOCK && b < call->n; b += BLOCK)
        infer_block(m, &m->rooms[index], call->logits + b * n_out, call->x + b * n_in,
                    call->n - b < BLOCK ? call->n - b : BLOCK);
    tare_denormals_restore(before);
}

void tare_native_model_infer(struct tare_native_model *model, float *logits, const float *x,
                             size_t n) {
    size_t n_in = model->layers[0].n_in, n_out = model->layers[model->layer_count - 1].n_out;
    struct call call = {model, logits, x, n};
    if (n > BLOCK)
        tare_team_run(model->team, infer_part, &call);
    else if (n > FEW)
        infer_block(model, &model->rooms[0], logits, x, n);
    else
        for (size_t i = 0; i < n; i++)
            infer_one(model, &model->rooms[0], logits + i * n_out, x + i * n_in);
}
