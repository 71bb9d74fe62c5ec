/* reference.c: what every kernel computes, in plain C: a loop per sum, in the order that kernel.h
 * promises. Vectors are 16 floats wide in its layouts, and one at a time in its arithmetic. */
#include <math.h>
#include <string.h>

#include "kernel/kernel.h"

#define LANES 8
#define NAMED(name) name##_reference

static void update_one(const struct tare_state *w, size_t i, float g, const struct tare_update *u) {
    switch (u->kind) {
    case TARE_OPTIMIZER_SGD:
        w->p[i] -= u->lr * g;
        return;
    case TARE_OPTIMIZER_MOMENTUM:
        w->v[i] = u->momentum * w->v[i] + g;
        w->p[i] -= u->lr * w->v[i];
        return;
    case TARE_OPTIMIZER_ADAM:
        w->m[i] = u->beta1 * w->m[i] + g;
        w->v[i] = u->beta2 * w->v[i] + g * g;
        w->p[i] -= u->rate * w->m[i] / (sqrtf(w->v[i]) + u->epsilon);
        return;
    }
}

static size_t NAMED(pack)(uint32_t *record, const uint8_t *image, size_t n_in) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP, words = (groups + 31) / 32;
    memset(record, 0, words * sizeof *record);
    for (size_t g = 0; g < groups; g++) {
        uint32_t word = 0;
        size_t start = g * TARE_GROUP, left = n_in - start;
        memcpy(&word, image + start, left < TARE_GROUP ? left : TARE_GROUP);
        if (word != 0) {
            record[g / 32] |= 1U << g % 32;
            record[words++] = word;
        }
    }
    return words;
}

static void NAMED(gather_lists)(struct tare_lists *lists, const uint32_t *const *records,
                                size_t count, size_t n_in, size_t first, size_t end) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP;
    memset(lists->count + first, 0, (end - first) * sizeof *lists->count);
    for (size_t b = 0; b < count; b++) {
        const uint32_t *word = records[b] + (groups + 31) / 32;
        for (size_t g = 0; g < end; g++) {
            if (!(records[b][g / 32] >> g % 32 & 1))
                continue;
            size_t at = g * lists->batch + lists->count[g];
            uint8_t bytes[TARE_GROUP];
            memcpy(bytes, word++, sizeof bytes);
            if (g < first)
                continue;
            lists->count[g]++;
            lists->row[at] = (uint32_t)b;
            for (size_t i = 0; i < TARE_GROUP; i++)
                lists->value[at * TARE_GROUP + i] = (float)bytes[i] / 255.0F;
        }
    }
}

static size_t NAMED(find_lit)(uint64_t *lit, const float *x, size_t count, size_t n_in) {
    size_t bits = 0;
    for (size_t g = 0; g * TARE_GROUP < n_in; g++) {
        lit[g] = 0;
        for (size_t b = 0; b < count; b++) {
            bool any = false;
            for (size_t i = g * TARE_GROUP; i < (g + 1) * TARE_GROUP && i < n_in; i++)
                any = any || x[b * n_in + i] != 0;
            lit[g] |= (uint64_t)any << b;
            bits += any;
        }
    }
    return bits;
}

static size_t NAMED(find_nonzero)(uint32_t *index, const float *x, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] != 0)
            index[count++] = (uint32_t)i;
    return count;
}

static void NAMED(forward_row)(float *y, const float *x, const uint32_t *index, size_t count,
                               const float *w, size_t rows, int vectors, size_t panels) {
    size_t width = (size_t)vectors * LANES;
    for (size_t j = 0; j < panels * width; j++) {
        const float *column = w + j / width * rows * width + j % width;
        float even = y[j], odd = 0;
        for (size_t e = 0; e < count; e++)
            *(e % 2 ? &odd : &even) += x[index[e]] * column[index[e] * width];
        y[j] = even + odd;
    }
}

static void NAMED(gather_dense)(float *x, const uint8_t *const *images, size_t count, size_t n_in,
                                size_t batch, size_t width, size_t first, size_t end) {
    size_t panels = (n_in + width - 1) / width;
    for (size_t b = first; b < end; b++)
        for (size_t i = 0; i < panels * width; i++)
            x[(i / width * batch + b) * width + i % width] =
                b < count && i < n_in ? (float)images[b][i] / 255.0F : 0;
}

static void add_gradient(float *g, const struct tare_lists *lists, size_t group, size_t i,
                         const float *dy, size_t width) {
    memset(g, 0, width * sizeof *g);
    for (size_t e = 0; e < lists->count[group]; e++) {
        size_t at = group * lists->batch + e;
        for (size_t j = 0; j < width; j++)
            g[j] += lists->value[at * TARE_GROUP + i] * dy[lists->row[at] * width + j];
    }
}

static void NAMED(sparse_update)(const struct tare_sparse *s, const struct tare_state *w,
                                 uint8_t *seen, const float *dy, const struct tare_update *update,
                                 const struct tare_soon *soon) {
    (void)soon;
    size_t width = (size_t)s->vectors * LANES;
    for (size_t panel = 0; panel < s->panels; panel++)
        for (size_t g = s->first; g < s->end; g++) {
            if (!seen[panel * s->groups + g] && s->lists->count[g] == 0)
                continue;
            seen[panel * s->groups + g] = 1;
            for (size_t i = 0; i < TARE_GROUP; i++) {
                float gradient[TARE_MAX_PANEL];
                add_gradient(gradient, s->lists, g, i, dy + panel * s->batch * width, width);
                for (size_t j = 0; j < width; j++)
                    update_one(w, (panel * s->rows + g * TARE_GROUP + i) * width + j, gradient[j],
                               update);
            }
        }
}

static void NAMED(sparse_forward)(const struct tare_sparse *s, float *y, const float *w) {
    size_t width = (size_t)s->vectors * LANES;
    for (size_t panel = 0; panel < s->panels; panel++)
        for (size_t g = s->first; g < s->end; g++)
            for (size_t e = 0; e < s->lists->count[g]; e++) {
                size_t at = g * s->lists->batch + e;
                float *to = y + (panel * s->batch + s->lists->row[at]) * width;
                for (size_t i = 0; i < TARE_GROUP; i++)
                    for (size_t j = 0; j < width; j++)
                        to[j] += s->lists->value[at * TARE_GROUP + i] *
                                 w[(panel * s->rows + g * TARE_GROUP + i) * width + j];
            }
}

static void NAMED(lit_forward)(const struct tare_sparse *s, float *y, const float *w,
                               const float *x, size_t n_in, const uint64_t *lit) {
    size_t width = (size_t)s->vectors * LANES;
    for (size_t panel = 0; panel < s->panels; panel++)
        for (size_t i = 0; i < n_in; i++)
            for (size_t b = 0; b < TARE_LIT_SAMPLES; b++)
                for (size_t j = 0; j < width && (lit[i / TARE_GROUP] >> b & 1); j++)
                    y[(panel * s->batch + b) * width + j] +=
                        x[b * n_in + i] * w[(panel * s->rows + i) * width + j];
}

static void NAMED(forward)(float *y, const float *x, const float *w, size_t n_in, size_t x_width,
                           size_t batch, int vectors, size_t first, size_t end) {
    size_t width = (size_t)vectors * LANES;
    for (size_t b = first; b < end; b++)
        for (size_t k = 0; k < n_in; k++)
            for (size_t j = 0; j < width; j++)
                y[b * width + j] +=
                    x[(k / x_width * batch + b) * x_width + k % x_width] * w[k * width + j];
}

static void NAMED(transpose)(float *t, const float *w, size_t n_in, size_t n_out, size_t width,
                             size_t first, size_t x_width) {
    for (size_t j = 0; j < n_out; j++)
        for (size_t i = 0; i < x_width; i++)
            t[j * x_width + i] = w[(j / width * n_in + first + i) * width + j % width];
}

static void NAMED(weight_update)(const struct tare_state *w, const float *x, const float *dy,
                                 size_t batch, size_t x_width, int vectors,
                                 const struct tare_update *u, size_t first, size_t end) {
    size_t width = (size_t)vectors * LANES;
    for (size_t i = first; i < end; i++)
        for (size_t j = 0; j < width; j++) {
            float g = 0;
            for (size_t b = 0; b < batch; b++)
                g += x[b * x_width + i] * dy[b * width + j];
            update_one(w, i * width + j, g, u);
        }
}

static void NAMED(bias_update)(const struct tare_state *bias, const float *dy, size_t batch,
                               int vectors, const struct tare_update *u) {
    size_t width = (size_t)vectors * LANES;
    for (size_t j = 0; j < width; j++) {
        float g = 0;
        for (size_t b = 0; b < batch; b++)
            g += dy[b * width + j];
        update_one(bias, j, g, u);
    }
}

static void NAMED(spread_bias)(float *y, const float *bias, size_t rows, int vectors) {
    size_t width = (size_t)vectors * LANES;
    for (size_t b = 0; b < rows; b++)
        memcpy(y + b * width, bias, width * sizeof *y);
}

static void NAMED(add)(float *y, const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void NAMED(relu)(float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] < 0 ? 0 : y[i];
}

static void NAMED(relu_back)(float *dy, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++)
        dy[i] = y[i] > 0 ? dy[i] : 0;
}

static void NAMED(exp)(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = expf(x[i]);
}

static void NAMED(log)(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = logf(x[i]);
}

static void NAMED(softmax_loss)(float *loss, float *dz, const float *z, const int32_t *labels,
                                size_t count, size_t n_out, size_t batch, size_t width,
                                size_t first, size_t end) {
    size_t columns = (n_out + width - 1) / width * width;
    for (size_t b = first; b < end; b++) {
        float max = -INFINITY, sum = 0, label = 0;
        for (size_t k = 0; b < count && k < n_out; k++) {
            float value = z[(k / width * batch + b) * width + k % width];
            max = value > max ? value : max;
            if (k == (size_t)labels[b])
                label = value;
        }
        for (size_t k = 0; b < count && k < n_out; k++)
            sum += expf(z[(k / width * batch + b) * width + k % width] - max);
        for (size_t k = 0; k < columns; k++) {
            size_t at = (k / width * batch + b) * width + k % width;
            dz[at] = 0;
            if (b < count && k < n_out)
                dz[at] = (expf(z[at] - max) / sum - (k == (size_t)labels[b])) / (float)count;
        }
        loss[b] = b < count ? logf(sum) - (label - max) : 0;
    }
}

static bool available(void) {
    return true;
}

#define KERNELS tare_kernels_reference
#define KERNELS_NAME "reference"
#include "kernel/table.inc.h"
