/* native_step.c: training steps by a team of threads. Each thread has its own panels of every
 * layer, so weights never leave their core; activations and their gradients are what is exchanged,
 * behind a barrier.
 *
 * One turn of the loop updates the first layer for the batch before and takes the next one through
 * it, because a thread needs nobody for either:
 *
 *     turn    updates of the second layer; the first layer's update and its forward with the next
 *             batch ── barrier
 *     ahead   the layers behind, and the loss; the gradient of the first layer's outputs; the batch
 *             after the next is prepared ── barrier
 *     back    gradients and updates of the layers from the last to the third, a barrier behind each
 *
 * The two turns at the ends of a call do half of it. The first layer is shared by panels where it
 * is dense. Where it is sparse, it is shared by slices of its inputs and then by panels, so that a
 * thread needs the entries of its slices only and takes many columns for each; an output is then
 * the sum of its slices' parts. All sums run in an order that depends on no thread: over inputs of
 * a slice, slices, and samples ascending. */
#include <string.h>

#include "engine/native.h"
#include "tare/clock.h"

#define NOTHING (-1) /* in place of one of the two places for inputs */

struct run {
    struct tare_native *native;
    float *losses;
    const int32_t *order;
    size_t steps;
};

/* What one thread needs to know at one step. */
struct part {
    struct tare_native *n;
    const struct tare_kernels *k;
    int index, threads;
    struct tare_update update; /* of the batch before */
    struct laps *laps;
};

/* ---- where the time goes -----------------------------------------------------------------------
 */

struct laps {
    struct tare_phases *phases; /* of this thread; NULL: nobody asks */
    int64_t last_ns;
};

const char *tare_phase_name(enum tare_phase phase) {
    static const char *const names[] = {
#define X(id, name) name,
        TARE_PHASE_LIST(X)
#undef X
    };
    return names[phase];
}

/* What was done since the last lap was `phase`. */
static void lap(const struct part *p, enum tare_phase phase) {
    struct laps *laps = p->laps;
    if (!laps->phases)
        return;
    int64_t now_ns = tare_now_ns();
    laps->phases->ns[phase] += now_ns - laps->last_ns;
    laps->last_ns = now_ns;
}

static void barrier(const struct part *p) {
    tare_team_barrier(p->n->team);
    lap(p, TARE_PHASE_WAIT);
}

static void share(const struct part *p, size_t *first, size_t *end, size_t count) {
    tare_team_share(first, end, count, p->threads, p->index);
}

/* Rows of a batch, whole tiles of them. */
static void share_rows(const struct part *p, size_t *first, size_t *end) {
    share(p, first, end, p->n->padded / TARE_ROWS);
    *first *= TARE_ROWS;
    *end *= TARE_ROWS;
}

static struct tare_state state_at(const struct tare_state *state, size_t at) {
    return (struct tare_state){state->p + at, state->m ? state->m + at : NULL,
                               state->v ? state->v + at : NULL};
}

/* What a thread does of a sparse first layer: of (slice, panel), slices outermost, a stretch. */
struct units {
    size_t panels, first, end;
};

static struct units share_units(const struct part *p) {
    struct units units = {.panels = p->n->layers[0].panels};
    share(p, &units.first, &units.end, NATIVE_SLICES * units.panels);
    return units;
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

/* So many a step: some 300 µs of work. */
#define PACK_STRETCH 2000

static void pack_one(const struct part *p, size_t example) {
    const struct tare_native *n = p->n;
    uint32_t **room = &n->scratch[p->index].room;
    if (n->records[example])
        return;
    n->records[example] = *room;
    *room += p->k->pack(*room, n->examples.images + example * n->net.n_in, n->net.n_in);
}

/* Training doesn't wait until every example has its record: each thread makes those of its share
 * that the batch needs, and a stretch of the rest. Others may read them behind the next barrier. */
static void pack(const struct part *p, const int32_t *rows) {
    const struct tare_native *n = p->n;
    struct native_scratch *mine = &n->scratch[p->index];
    size_t first, end;
    share(p, &first, &end, n->examples.n);
    if (!n->sparse || mine->unpacked == end)
        return;
    for (size_t b = 0; b < n->batch; b++)
        if ((size_t)rows[b] >= mine->unpacked && (size_t)rows[b] < end)
            pack_one(p, (size_t)rows[b]);
    if (end - mine->unpacked > PACK_STRETCH)
        end = mine->unpacked + PACK_STRETCH;
    while (mine->unpacked < end)
        pack_one(p, mine->unpacked++);
}

static void point_at_records(const struct part *p, const int32_t *rows) {
    const struct tare_native *n = p->n;
    for (size_t b = 0; b < n->batch; b++)
        n->scratch[p->index].records[b] = n->records[rows[b]];
}

/* The batch's inputs, into one of the two places for them. Lists are each thread's own, of the
 * slices it has units of. */
static void gather(const struct part *p, int place, const int32_t *rows) {
    const struct tare_native *n = p->n;
    const struct native_scratch *mine = &n->scratch[p->index];
    if (n->sparse) {
        struct tare_lists lists = mine->lists[place];
        struct units units = share_units(p);
        point_at_records(p, rows);
        if (units.first < units.end)
            p->k->gather_lists(&lists, mine->records, n->batch, n->net.n_in,
                               n->slices.bound[units.first / units.panels],
                               n->slices.bound[(units.end - 1) / units.panels + 1]);
    } else {
        size_t first, end;
        for (size_t b = 0; b < n->batch; b++)
            mine->images[b] = n->examples.images + (size_t)rows[b] * n->net.n_in;
        share(p, &first, &end, n->padded);
        p->k->gather_dense(n->x[place], mine->images, n->batch, n->net.n_in, n->padded,
                           n->layers[0].x_width, first, end);
    }
}

/* ---- a layer -----------------------------------------------------------------------------------
 */

static float *panel_of(const struct tare_native *n, float *values, const struct native_layer *layer,
                       size_t panel) {
    return values + panel * n->padded * layer->width;
}

/* Gradient of one panel of the outputs of the layer before `layer`, samples first … end−1. */
static void input_gradient(const struct part *p, const struct native_layer *layer, size_t panel,
                           size_t first, size_t end) {
    const struct tare_native *n = p->n;
    const struct native_layer *before = layer - 1;
    float *x = panel_of(n, before->y, before, panel), *dx = panel_of(n, before->dy, before, panel);
    float *transposed = n->scratch[p->index].transposed;
    size_t start = first * before->width, count = (end - first) * before->width;
    p->k->transpose(transposed, layer->w.p, layer->rows, layer->n_out, layer->width,
                    panel * before->width, before->width);
    memset(dx + start, 0, count * sizeof *dx);
    p->k->forward(dx, layer->dy, transposed, layer->n_out, layer->width, n->padded, before->vectors,
                  first, end);
    if (before->relu)
        p->k->relu_back(dx + start, x + start, count);
}

/* Update of the rows of w that a panel of the layer before goes into. */
static void update_rows(const struct part *p, const struct native_layer *layer, size_t panel) {
    const struct tare_native *n = p->n;
    const struct native_layer *before = layer - 1;
    size_t row = panel * before->width;
    for (size_t q = 0; q < layer->panels; q++) {
        struct tare_state w = state_at(&layer->w, (q * layer->rows + row) * layer->width);
        p->k->weight_update(&w, panel_of(n, before->y, before, panel),
                            panel_of(n, layer->dy, layer, q), n->padded, before->width,
                            layer->vectors, &p->update, 0, before->width);
    }
}

static void update_bias(const struct part *p, const struct native_layer *layer, size_t panel) {
    struct tare_state b = state_at(&layer->b, panel * layer->width);
    p->k->bias_update(&b, panel_of(p->n, layer->dy, layer, panel), p->n->padded, layer->vectors,
                      &p->update);
}

static void update_biases(const struct part *p, const struct native_layer *layer) {
    size_t first, end;
    share(p, &first, &end, layer->panels);
    for (size_t panel = first; panel < end; panel++)
        update_bias(p, layer, panel);
}

/* Samples first … end−1 of one panel of the layer's outputs. */
static void forward_panel(const struct part *p, const struct native_layer *layer, const float *x,
                          size_t panel, size_t first, size_t end) {
    float *y = panel_of(p->n, layer->y, layer, panel);
    p->k->spread_bias(y + first * layer->width, layer->b.p + panel * layer->width, end - first,
                      layer->vectors);
    p->k->forward(y, x, layer->w.p + panel * layer->rows * layer->width, layer->n_in,
                  layer->x_width, p->n->padded, layer->vectors, first, end);
    if (layer->relu)
        p->k->relu(y + first * layer->width, (end - first) * layer->width);
}

/* ---- the first layer, there and back -----------------------------------------------------------
 */

/* Panels first … end−1 of a slice: the bias is in what the first one adds. Forward is a walk of its
 * own over the weights, because the gradients that updates take and the sums that it adds to rarely
 * fit into the nearest cache beside each other. */
static void turn_slice(const struct part *p, int slice, size_t first, size_t end, int back,
                       int next, const struct tare_soon *soon) {
    const struct tare_native *n = p->n;
    const struct native_layer *layer = &n->layers[0];
    const struct tare_state w = state_at(&layer->w, first * layer->rows * layer->width);
    struct tare_sparse sparse = {
        .groups = n->groups,
        .first = n->slices.bound[slice],
        .end = n->slices.bound[slice + 1],
        .vectors = layer->vectors,
        .panels = end - first,
        .rows = layer->rows,
        .batch = n->padded,
    };
    float *y = panel_of(n, n->parts[slice], layer, first);
    if (back != NOTHING) {
        sparse.lists = &n->scratch[p->index].lists[back];
        for (size_t panel = first; slice == 0 && panel < end; panel++)
            update_bias(p, layer, panel);
        p->k->sparse_update(&sparse, &w, n->seen + first * n->groups,
                            panel_of(n, layer->dy, layer, first), &p->update, soon);
    }
    if (next != NOTHING) {
        sparse.lists = &n->scratch[p->index].lists[next];
        for (size_t panel = first; slice == 0 && panel < end; panel++)
            p->k->spread_bias(panel_of(n, n->parts[0], layer, panel),
                              layer->b.p + panel * layer->width, n->padded, layer->vectors);
        if (slice > 0)
            memset(y, 0, sparse.panels * n->padded * layer->width * sizeof *y);
        p->k->sparse_forward(&sparse, y, w.p);
    }
}

/* soon: the indices of the batch after the next one, or NULL; its records are asked for. */
static void turn_sparse(const struct part *p, int back, int next, const int32_t *soon) {
    struct units units = share_units(p);
    struct tare_soon records = {p->n->scratch[p->index].records, soon ? p->n->batch : 0,
                                p->n->record_bytes};
    if (soon)
        point_at_records(p, soon);
    while (units.first < units.end) {
        size_t slice = units.first / units.panels, start = slice * units.panels;
        size_t end = units.end - start < units.panels ? units.end - start : units.panels;
        turn_slice(p, (int)slice, units.first - start, end, back, next, &records);
        units.first = start + end;
        records.count = 0; /* once is enough */
    }
}

static void turn_dense(const struct part *p, int back, int next) {
    const struct tare_native *n = p->n;
    const struct native_layer *layer = &n->layers[0];
    size_t first, end;
    share(p, &first, &end, layer->panels);
    for (size_t panel = first; panel < end; panel++) {
        if (back != NOTHING)
            update_bias(p, layer, panel);
        for (size_t row = 0; back != NOTHING && row < layer->rows; row += layer->x_width) {
            struct tare_state w = state_at(&layer->w, (panel * layer->rows + row) * layer->width);
            p->k->weight_update(&w, n->x[back] + row * n->padded,
                                panel_of(n, layer->dy, layer, panel), n->padded, layer->x_width,
                                layer->vectors, &p->update, 0, layer->x_width);
        }
        if (next != NOTHING)
            forward_panel(p, layer, n->x[next], panel, 0, n->padded);
    }
}

/* back: where the inputs of the batch that was are, next: of the batch that comes; soon: the
 * indices of the one after it, or NULL. */
static void turn(const struct part *p, int back, int next, const int32_t *soon) {
    const struct tare_native *n = p->n;
    if (back != NOTHING && n->layer_count > 1) {
        size_t first, end;
        share(p, &first, &end, n->layers[0].panels);
        for (size_t panel = first; panel < end; panel++)
            update_rows(p, &n->layers[1], panel);
        update_biases(p, &n->layers[1]);
    }
    lap(p, TARE_PHASE_BEHIND);
    if (n->sparse)
        turn_sparse(p, back, next, soon);
    else
        turn_dense(p, back, next);
    lap(p, TARE_PHASE_FIRST);
}

/* Samples first … end−1 of a sparse first layer's outputs from their parts. */
static void add_slices(const struct part *p, size_t first, size_t end) {
    const struct tare_native *n = p->n;
    const struct native_layer *layer = &n->layers[0];
    size_t start = first * layer->width, count = (end - first) * layer->width;
    for (size_t panel = 0; panel < layer->panels; panel++) {
        float *y = panel_of(n, layer->y, layer, panel) + start;
        p->k->add(y, panel_of(n, n->parts[0], layer, panel) + start,
                  panel_of(n, n->parts[1], layer, panel) + start, count);
        if (layer->relu)
            p->k->relu(y, count);
    }
}

/* Gradient of the first layer's outputs, samples first … end−1. */
static void first_gradient(const struct part *p, size_t first, size_t end) {
    for (size_t panel = 0; panel < p->n->layers[0].panels; panel++)
        input_gradient(p, &p->n->layers[1], panel, first, end);
}

/* ---- the layers behind it ----------------------------------------------------------------------
 */

/* All layers from the second on, and the loss. The last is shared by samples, so that its outputs
 * needn't be waited for. */
static void ahead(const struct part *p, const int32_t *rows) {
    const struct tare_native *n = p->n;
    size_t first, end, first_row, end_row;
    const struct native_layer *last = &n->layers[n->layer_count - 1];
    share_rows(p, &first_row, &end_row);
    if (n->sparse)
        add_slices(p, first_row, end_row);
    if (n->sparse && n->layer_count > 2) {
        lap(p, TARE_PHASE_BEHIND);
        barrier(p);
    }
    for (const struct native_layer *layer = &n->layers[1]; layer < last; layer++) {
        share(p, &first, &end, layer->panels);
        for (size_t panel = first; panel < end; panel++)
            forward_panel(p, layer, layer[-1].y, panel, 0, n->padded);
        lap(p, TARE_PHASE_BEHIND);
        barrier(p);
    }
    for (size_t panel = 0; n->layer_count > 1 && panel < last->panels; panel++)
        forward_panel(p, last, last[-1].y, panel, first_row, end_row);
    for (size_t b = first_row; b < end_row && b < n->batch; b++)
        n->labels[b] = n->examples.labels[rows[b]];
    p->k->softmax_loss(n->sample_losses, last->dy, last->y, n->labels, n->batch, last->n_out,
                       n->padded, last->width, first_row, end_row);
    for (size_t panel = 0; last->relu && panel < last->panels; panel++)
        p->k->relu_back(panel_of(n, last->dy, last, panel) + first_row * last->width,
                        panel_of(n, last->y, last, panel) + first_row * last->width,
                        (end_row - first_row) * last->width);
    if (n->layer_count == 2)
        first_gradient(p, first_row, end_row);
    lap(p, TARE_PHASE_BEHIND);
}

static void back(const struct part *p) {
    const struct tare_native *n = p->n;
    size_t first, end;
    for (int l = n->layer_count - 1; l > 1; l--) {
        share(p, &first, &end, n->layers[l - 1].panels);
        for (size_t panel = first; panel < end; panel++) {
            input_gradient(p, &n->layers[l], panel, 0, n->padded);
            update_rows(p, &n->layers[l], panel);
        }
        update_biases(p, &n->layers[l]);
        lap(p, TARE_PHASE_BEHIND);
        barrier(p);
    }
    if (n->layer_count > 2) {
        share_rows(p, &first, &end);
        first_gradient(p, first, end);
        lap(p, TARE_PHASE_BEHIND);
        barrier(p);
    }
}

static float mean_loss(const struct tare_native *n) {
    float sum = 0;
    for (size_t b = 0; b < n->batch; b++)
        sum += n->sample_losses[b];
    return sum / (float)n->batch;
}

static void run_steps(const struct run *run, int index) {
    struct tare_native *n = run->native;
    struct laps laps = {.phases = n->phases ? &n->phases[index] : NULL};
    struct part p = {
        .n = n, .k = n->kernels, .index = index, .threads = tare_team_size(n->team), .laps = &laps};
    if (laps.phases)
        laps.last_ns = tare_now_ns();
    pack(&p, run->order);
    lap(&p, TARE_PHASE_PREPARE);
    barrier(&p);
    gather(&p, 0, run->order);
    if (run->steps > 1)
        pack(&p, run->order + n->batch);
    lap(&p, TARE_PHASE_PREPARE);
    barrier(&p);
    for (size_t s = 0; s <= run->steps; s++) {
        const int32_t *rows = run->order + s * n->batch;
        bool more = s < run->steps, still_more = s + 1 < run->steps;
        int next = (int)(s % 2), other = 1 - next;
        if (s > 0 && index == 0)
            run->losses[s - 1] = mean_loss(n);
        turn(&p, s > 0 ? other : NOTHING, more ? next : NOTHING,
             still_more ? rows + n->batch : NULL);
        if (!more)
            return;
        barrier(&p);
        ahead(&p, rows);
        if (still_more)
            gather(&p, other, rows + n->batch);
        if (s + 2 < run->steps)
            pack(&p, rows + 2 * n->batch);
        lap(&p, TARE_PHASE_PREPARE);
        barrier(&p);
        native_update_at(&p.update, &n->optimizer, n->steps_done + s + 1);
        back(&p);
        lap(&p, TARE_PHASE_BEHIND);
    }
}

static void run_part(void *context, int index) {
    unsigned before = tare_denormals_flush();
    run_steps(context, index);
    tare_denormals_restore(before);
}

enum tare_status tare_native_run(struct tare_native *native, float *losses, const int32_t *order,
                                 size_t steps, struct tare_err *err) {
    for (size_t i = 0; i < steps * native->batch; i++)
        if (order[i] < 0 || (size_t)order[i] >= native->examples.n)
            return tare_fail(err, TARE_DATA, "order", "indices count the training images from 0",
                             "index %d, but there are %zu images", (int)order[i],
                             native->examples.n);
    if (steps == 0)
        return TARE_OK;
    struct run run = {native, losses, order, steps};
    tare_team_run(native->team, run_part, &run);
    native->steps_done += steps;
    return TARE_OK;
}
