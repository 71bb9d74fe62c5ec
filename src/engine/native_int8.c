/* native_int8.c: a dense net in 8-bit integers, quantised after training from its float32
 * parameters and some example images; the arithmetic is in kernel/int8.h. The first layer goes
 * through the groups of pixels that aren't dark, or through all, as this very image has it.
 *
 * With real values x ≈ s·q, q an integer:  Σ w·x + b ≈ s_x·s_w·(Σ q_w·q_x + q_b), and what a layer
 * gives to the next is q = that sum times s_x·s_w/s_y, rounded. */
#define TARE_REAL_F32 /* of the pass that finds the activations' range */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/native.h"
#include "engine/pass.h"
#include "kernel/int8.h"

/* Above this part of lit groups, going through all of them takes no longer. Measured:
 * bench/int8.c. */
#define SPARSE_BELOW 0.85
#define PANEL (TARE_INT8_VECTORS * TARE_INT8_LANES)
#define CALIBRATION_BATCH 64
#define LARGEST_WEIGHT 127 /* symmetric: −128 isn't used */
#define LARGEST_BYTE 255

struct int8_layer {
    size_t n_in, n_out;
    size_t groups, columns; /* of inputs; outputs up to a whole vector */
    bool relu;
    int8_t *w;     /* panels of kernel/int8.h, one behind the other */
    int32_t *bias; /* (columns) */
    float *scale;  /* (columns): of sums, to the next layer's bytes or to logits */
};

struct tare_native_int8 {
    const struct tare_int8_kernels *kernels;
    int layer_count;
    struct int8_layer layers[TARE_MAX_LAYERS];
    size_t sparse_below; /* so many lit groups of an image */
    uint8_t *image;      /* with zeros behind it */
    uint32_t *group;     /* its lit groups */
    int32_t *sums;       /* of the widest layer */
    uint8_t *bytes;      /* between two layers */
    struct native_memory memory;
};

/* ---- calibration -------------------------------------------------------------------------------
 */

/* step[l]: what one unit of layer l's input bytes is worth: 1/255 of the largest value seen. */
static enum tare_status find_steps(double *step, const struct native_layer *layers, int count,
                                   const struct tare_net *net, const float *params,
                                   const struct tare_bytes *examples, struct tare_err *err) {
    struct tare_pass_f32 pass;
    float largest[TARE_MAX_LAYERS] = {1}; /* an image's: 255/255 */
    enum tare_status status = tare_pass_make_f32(&pass, net, CALIBRATION_BATCH, err);
    for (size_t e = 0; e < examples->n && status == TARE_OK; e += CALIBRATION_BATCH) {
        size_t rows = examples->n - e < CALIBRATION_BATCH ? examples->n - e : CALIBRATION_BATCH;
        for (size_t i = 0; i < rows * net->n_in; i++)
            pass.values[0][i] = (float)examples->images[e * net->n_in + i] / 255.0F;
        tare_forward_f32(&pass, params, rows);
        for (int l = 1, at = 0; l < count; l++) {
            at += 2; /* dense and relu */
            for (size_t i = 0; i < rows * layers[l].n_in; i++)
                if (pass.values[at][i] > largest[l]) /* a NaN has an infinity before it */
                    largest[l] = pass.values[at][i];
        }
    }
    tare_pass_free_f32(&pass);
    for (int l = 0; l < count && status == TARE_OK; l++) {
        if (!isfinite(largest[l]))
            status = tare_fail(err, TARE_DATA, "params", "train with a smaller learning rate",
                               "activations before dense layer %d are too large for float32", l);
        /* Dark in all examples: nothing is known of it. */
        step[l] = (largest[l] > 0 ? (double)largest[l] : 1) / LARGEST_BYTE;
    }
    return status;
}

/* ---- quantisation ------------------------------------------------------------------------------
 */

/* Where weight (i, j) lies. */
static size_t place(const struct int8_layer *layer, size_t i, size_t j) {
    size_t first = j / PANEL * PANEL, left = layer->columns - first;
    size_t columns = left < PANEL ? left : PANEL;
    return (first * layer->groups + i / TARE_INT8_GROUP * columns + j - first) * TARE_INT8_GROUP +
           i % TARE_INT8_GROUP;
}

/* One output's weights and bias; x_step and y_step are the layer's. A weight's step is 1/127 of the
 * largest, or more where the bias would not fit beside the largest sum of products otherwise: so no
 * sum can overflow, and no bias saturates. */
static void quantise_output(struct int8_layer *layer, size_t j, const float *weight, double bias,
                            double x_step, double y_step) {
    const int32_t room =
        INT32_MAX - LARGEST_BYTE * LARGEST_WEIGHT * (int32_t)layer->n_in; /* > 0: TARE_MAX_WIDTH */
    double largest = 0;
    for (size_t i = 0; i < layer->n_in; i++)
        largest = fmax(largest, fabs((double)weight[i * layer->n_out + j]));
    double step = fmax(largest / LARGEST_WEIGHT, fabs(bias) / x_step / room);
    if (step == 0) /* nothing but zeros */
        step = 1;
    for (size_t i = 0; i < layer->n_in; i++)
        layer->w[place(layer, i, j)] = (int8_t)tare_int8_round(
            (double)weight[i * layer->n_out + j] / step, -LARGEST_WEIGHT, LARGEST_WEIGHT);
    layer->bias[j] = tare_int8_round(bias / (x_step * step), -room, room);
    layer->scale[j] = (float)(x_step * step / y_step);
}

static bool make_layer(struct tare_native_int8 *m, struct int8_layer *layer,
                       const struct native_layer *from) {
    layer->n_in = from->n_in;
    layer->n_out = from->n_out;
    layer->relu = from->relu;
    layer->groups = native_round_up(from->n_in, TARE_INT8_GROUP) / TARE_INT8_GROUP;
    layer->columns = native_round_up(from->n_out, TARE_INT8_LANES);
    size_t rows = layer->columns * (layer->groups + 1); /* the kernels may read one row more */
    return (layer->w = native_allocate(&m->memory, rows, TARE_INT8_GROUP)) &&
           (layer->bias = native_allocate(&m->memory, layer->columns, sizeof *layer->bias)) &&
           (layer->scale = native_allocate(&m->memory, layer->columns, sizeof *layer->scale));
}

static bool make_room(struct tare_native_int8 *m) {
    const struct int8_layer *first = &m->layers[0];
    size_t widest = 0;
    for (int l = 0; l < m->layer_count; l++)
        widest = m->layers[l].columns > widest ? m->layers[l].columns : widest;
    m->sparse_below = (size_t)(SPARSE_BELOW * (double)first->groups);
    return (m->image = native_allocate(&m->memory, first->n_in + TARE_INT8_BLOCK, 1)) &&
           (m->group =
                native_allocate(&m->memory, first->groups + TARE_INT8_BLOCK, sizeof *m->group)) &&
           (m->sums = native_allocate(&m->memory, widest, sizeof *m->sums)) &&
           (m->bytes = native_allocate(&m->memory, widest, 1));
}

static enum tare_status make_model(struct tare_native_int8 *m, const struct native_layer *layers,
                                   const double *step, const float *params, struct tare_err *err) {
    bool good = true;
    for (int l = 0; l < m->layer_count && good; l++)
        good = make_layer(m, &m->layers[l], &layers[l]);
    if (!good || !make_room(m))
        return tare_fail(err, TARE_MEMORY, "model", "a smaller net",
                         "no memory for %d layers in int8", m->layer_count);
    for (int l = 0; l < m->layer_count; l++) {
        struct int8_layer *layer = &m->layers[l];
        const float *weight = params + layers[l].offset,
                    *bias = weight + layer->n_in * layer->n_out;
        double y_step = l + 1 < m->layer_count ? step[l + 1] : 1;
        for (size_t j = 0; j < layer->n_out; j++) {
            quantise_output(layer, j, weight, (double)bias[j], step[l], y_step);
            if (!isfinite(layer->scale[j]))
                return tare_fail(err, TARE_DATA, "params", "train with a smaller learning rate",
                                 "weights of dense layer %d, output %zu, are too large", l, j);
        }
    }
    return TARE_OK;
}

static enum tare_status check(const struct tare_net *net, const float *params,
                              const struct tare_bytes *examples, struct tare_err *err) {
    enum tare_status status = native_check_net(net, err);
    for (int l = 0; l + 1 < net->layer_count && status == TARE_OK; l++)
        if (net->layers[l].first_tensor >= 0 && net->layers[l + 1].first_tensor >= 0)
            return tare_fail(err, TARE_USAGE, "model", "dense:UNITS:relu",
                             "in int8, every dense layer but the last needs a relu behind it: "
                             "activations are unsigned bytes");
    if (status == TARE_OK)
        status = tare_net_check_params(params, net, "params", err);
    if (status == TARE_OK && examples->n == 0)
        return tare_fail(err, TARE_DATA, "examples", "some hundred training images",
                         "there are none to find the activations' range from");
    return status;
}

enum tare_status tare_native_int8_create(struct tare_native_int8 **model,
                                         const struct tare_net *net, const float *params,
                                         const struct tare_bytes *examples, const char *kernels,
                                         struct tare_err *err) {
    struct native_layer layers[TARE_MAX_LAYERS];
    double step[TARE_MAX_LAYERS];
    *model = NULL;
    enum tare_status status = check(net, params, examples, err);
    if (status != TARE_OK)
        return status;
    const struct tare_int8_kernels *k = tare_int8_kernels_find(kernels);
    if (!k)
        return tare_fail(err, TARE_USAGE, "kernels", "leave them out",
                         "this machine has no int8 kernels \"%.40s\"", kernels);
    struct tare_native_int8 *m = calloc(1, sizeof *m);
    if (!m)
        return tare_fail(err, TARE_MEMORY, "model", NULL, "no memory");
    m->kernels = k;
    m->layer_count = native_layers_of(layers, net, TARE_INT8_LANES, 1, 1);
    status = find_steps(step, layers, m->layer_count, net, params, examples, err);
    if (status == TARE_OK)
        status = make_model(m, layers, step, params, err);
    if (status == TARE_OK)
        *model = m;
    else
        tare_native_int8_free(m);
    return status;
}

void tare_native_int8_free(struct tare_native_int8 *model) {
    if (!model)
        return;
    native_release(&model->memory);
    free(model);
}

const char *tare_native_int8_kernels(const struct tare_native_int8 *model) {
    return model->kernels->name;
}

/* ---- inference ---------------------------------------------------------------------------------
 */

/* group: the list of those to go through; NULL: all. */
static void sum_layer(const struct tare_native_int8 *m, const struct int8_layer *layer,
                      const uint8_t *x, const uint32_t *group, size_t count) {
    for (size_t j = 0; j < layer->columns; j += PANEL) {
        size_t columns = layer->columns - j < PANEL ? layer->columns - j : PANEL;
        int vectors = (int)(columns / TARE_INT8_LANES);
        const int8_t *w = layer->w + j * layer->groups * TARE_INT8_GROUP;
        if (group)
            m->kernels->sum_found(m->sums + j, layer->bias + j, x, group, count, w, vectors);
        else
            m->kernels->sum_all(m->sums + j, layer->bias + j, x, layer->groups, w, vectors);
    }
}

static void infer_one(const struct tare_native_int8 *m, float *logits, const uint8_t *image) {
    const struct tare_int8_kernels *k = m->kernels;
    const struct int8_layer *layer = &m->layers[0], *last = layer + m->layer_count - 1;
    size_t count = k->find_groups(m->image, m->group, image, layer->n_in);
    sum_layer(m, layer, m->image, count < m->sparse_below ? m->group : NULL, count);
    for (; layer < last; layer++) {
        k->to_bytes(m->bytes, m->sums, layer->scale, layer->columns); /* 0 where below: the relu */
        sum_layer(m, layer + 1, m->bytes, NULL, 0);
    }
    k->to_floats(logits, m->sums, last->scale, last->n_out);
    for (size_t j = 0; last->relu && j < last->n_out; j++)
        logits[j] = logits[j] > 0 ? logits[j] : 0;
}

void tare_native_int8_infer(struct tare_native_int8 *model, float *logits, const uint8_t *images,
                            size_t n) {
    size_t n_in = model->layers[0].n_in, n_out = model->layers[model->layer_count - 1].n_out;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *image = images + i * n_in, *next = image + n_in;
        for (size_t at = 0; i + 1 < n && at < n_in; at += TARE_LINE_BYTES)
            __builtin_prefetch(next + at); /* many images lie far away */
        infer_one(model, logits + i * n_out, image);
    }
}
