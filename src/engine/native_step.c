/* native_step.c: training steps by a team of threads. Each thread has its own panels of every
 * layer, so weights never leave their core; activations and their gradients are what is exchanged,
 * behind a barrier.
 *
 * One turn of the loop updates the first layer for the batch before and takes the next one through
 * it, because both want the same rows of weights:
 *
 *     turn    each thread, its panels of the first layer: gradient of the layer's outputs; update
 * of the second layer's rows; update of the first layer and forward with the next batch ── barrier
 *     ahead   the layers behind, and the loss; the batch after the next is prepared
 *             ── barrier
 *     back    gradients and updates of the layers from the last to the third, a barrier behind each
 *
 * The two turns at the ends of a call do half of it. All sums run in an order that depends on no
 * thread: over inputs and samples ascending. */
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

/* ---- inputs ------------------------------------------------------------------------------------
 */

static void point_at_images(const struct part *p, const int32_t *rows) {
    const struct tare_native *n = p->n;
    for (size_t b = 0; b < n->batch; b++)
        n->scratch[p->index].images[b] = n->examples.images + (size_t)rows[b] * n->net.n_in;
}

/* The batch's inputs, into one of the two places for them. Lists are each thread's own: to make
 * them twice takes less time than to fetch half of them from another core. */
static void gather(const struct part *p, int place, const int32_t *rows) {
    const struct tare_native *n = p->n;
    const struct native_scratch *mine = &n->scratch[p->index];
    size_t first, end;
    point_at_images(p, rows);
    if (n->sparse) {
        struct tare_lists lists = mine->lists[place];
        p->k->gather_lists(&lists, mine->images, n->batch, n->net.n_in, 0, n->groups);
    } else {
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

/* Gradient of the outputs of the layer before `layer`, one panel of them, and the update of the
 * rows of w that these outputs go into. */
static void back_through(const struct part *p, const struct native_layer *layer, size_t panel) {
    const struct tare_native *n = p->n;
    const struct native_layer *before = layer - 1;
    float *x = panel_of(n, before->y, before, panel), *dx = panel_of(n, before->dy, before, panel);
    float *transposed = n->scratch[p->index].transposed;
    size_t row = panel * before->width;
    tare_transpose_panel(transposed, layer->w.p, layer->rows, layer->n_out, layer->width, row,
                         before->width);
    memset(dx, 0, n->padded * before->width * sizeof *dx);
    p->k->forward(dx, layer->dy, transposed, layer->n_out, layer->width, n->padded, before->vectors,
                  0, n->padded);
    if (before->relu)
        p->k->relu_back(dx, x, n->padded * before->width);
    for (size_t q = 0; q < layer->panels; q++) {
        struct tare_state w = state_at(&layer->w, (q * layer->rows + row) * layer->width);
        p->k->weight_update(&w, x, panel_of(n, layer->dy, layer, q), n->padded, before->width,
                            layer->vectors, &p->update, 0, before->width);
    }
}

static void update_biases(const struct part *p, const struct native_layer *layer) {
    size_t first, end;
    share(p, &first, &end, layer->panels);
    for (size_t q = first; q < end; q++) {
        struct tare_state b = state_at(&layer->b, q * layer->width);
        p->k->bias_update(&b, panel_of(p->n, layer->dy, layer, q), p->n->padded, layer->vectors,
                          &p->update);
    }
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

/* soon_count: of this thread's images, which are the next batch's, to be fetched meanwhile. */
static void turn_sparse(const struct part *p, size_t panel, int back, int next, size_t soon_count) {
    const struct tare_native *n = p->n;
    const struct native_scratch *mine = &n->scratch[p->index];
    const struct native_layer *layer = &n->layers[0];
    struct tare_sparse_pass pass = {
        .groups = n->groups,
        .vectors = layer->vectors,
        .w = state_at(&layer->w, panel * layer->rows * layer->width),
        .seen = n->seen + panel * n->groups,
        .back = back != NOTHING ? &mine->lists[back] : NULL,
        .dy = panel_of(n, layer->dy, layer, panel),
        .update = &p->update,
        .next = next != NOTHING ? &mine->lists[next] : NULL,
        .y = panel_of(n, layer->y, layer, panel),
        .soon = mine->images,
        .soon_count = soon_count,
        .soon_bytes = n->net.n_in,
    };
    if (pass.next)
        p->k->spread_bias(pass.y, layer->b.p + panel * layer->width, n->padded, layer->vectors);
    p->k->sparse_pass(&pass);
    if (pass.next && layer->relu)
        p->k->relu(pass.y, n->padded * layer->width);
}

static void turn_dense(const struct part *p, size_t panel, int back, int next) {
    const struct tare_native *n = p->n;
    const struct native_layer *layer = &n->layers[0];
    for (size_t row = 0; back != NOTHING && row < layer->rows; row += layer->x_width) {
        struct tare_state w = state_at(&layer->w, (panel * layer->rows + row) * layer->width);
        p->k->weight_update(&w, n->x[back] + row * n->padded, panel_of(n, layer->dy, layer, panel),
                            n->padded, layer->x_width, layer->vectors, &p->update, 0,
                            layer->x_width);
    }
    if (next != NOTHING)
        forward_panel(p, layer, n->x[next], panel, 0, n->padded);
}

/* back: where the inputs of the batch that was are, next: of the batch that comes; soon: the
 * indices of the one after it, or NULL. */
static void turn(const struct part *p, int back, int next, const int32_t *soon) {
    const struct tare_native *n = p->n;
    const struct native_layer *layer = &n->layers[0];
    size_t first, end, soon_count = 0;
    if (soon && n->sparse) {
        point_at_images(p, soon);
        soon_count = n->batch;
    }
    lap(p, TARE_PHASE_PREPARE);
    share(p, &first, &end, layer->panels);
    for (size_t panel = first; panel < end; panel++) {
        if (back != NOTHING && n->layer_count > 1)
            back_through(p, &n->layers[1], panel);
        lap(p, TARE_PHASE_BEHIND);
        if (back != NOTHING) {
            struct tare_state b = state_at(&layer->b, panel * layer->width);
            p->k->bias_update(&b, panel_of(n, layer->dy, layer, panel), n->padded, layer->vectors,
                              &p->update);
        }
        if (n->sparse)
            turn_sparse(p, panel, back, next, soon_count);
        else
            turn_dense(p, panel, back, next);
        soon_count = 0; /* once is enough */
        lap(p, TARE_PHASE_FIRST);
    }
    if (back != NOTHING && n->layer_count > 1)
        update_biases(p, &n->layers[1]);
    lap(p, TARE_PHASE_BEHIND);
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
    lap(p, TARE_PHASE_BEHIND);
}

static void back(const struct part *p) {
    const struct tare_native *n = p->n;
    for (int l = n->layer_count - 1; l > 1; l--) {
        size_t first, end;
        share(p, &first, &end, n->layers[l - 1].panels);
        for (size_t panel = first; panel < end; panel++)
            back_through(p, &n->layers[l], panel);
        update_biases(p, &n->layers[l]);
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
    gather(&p, 0, run->order);
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
