/* parity.c: how far an exported model's logits are from what its weights say. The truth is the
 * float64 reference; float32 references, renumbered so that each takes every sum in another order
 * (shuffle.h, as envelope.c does for the certificate), show how far honest arithmetic strays from
 * it. deploy.c asks after every training job, `tare export` after every export. The statistic is
 * derived in doc/certificate.md. */
#include "tare/parity.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lab/shuffle.h"
#include "tare/train.h"

/* Images at a time: a renumbered copy of them all would be as big as they are. */
#define CHUNK 250

/* Storing the exact result in float32 moves it by up to this times its size (doc/certificate.md).
 */
#define ROUNDING 0x1p-24

static enum tare_status no_memory(struct tare_err *err, size_t n) {
    return tare_fail(err, TARE_MEMORY, "parity", "use a smaller net",
                     "no memory for the references of %zu images", n);
}

static enum tare_status go_on(const volatile sig_atomic_t *stop, struct tare_err *err) {
    return stop && *stop ? tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted") : TARE_OK;
}

/* ---- the reference ------------------------------------------------------------------------------
 */

static enum tare_status find_truth(struct tare_parity_reference *r, const struct tare_net *net,
                                   const float *params, const float *images,
                                   const volatile sig_atomic_t *stop, struct tare_err *err) {
    const struct tare_optimizer unused = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    struct tare_trainer_f64 *trainer = NULL;
    double *wide = calloc(net->param_count + 1, sizeof *wide);
    if (!wide)
        return no_memory(err, r->n);
    for (size_t k = 0; k < net->param_count; k++)
        wide[k] = (double)params[k];
    enum tare_status status = tare_trainer_create_f64(&trainer, net, &unused, CHUNK, err);
    if (status == TARE_OK) {
        double sum = 0;
        tare_trainer_set_params_f64(trainer, wide);
        for (size_t first = 0; first < r->n && status == TARE_OK; first += CHUNK) {
            size_t count = r->n - first < CHUNK ? r->n - first : CHUNK;
            tare_trainer_infer_f64(r->logits + first * r->n_out, trainer,
                                   images + first * net->n_in, count);
            status = go_on(stop, err);
        }
        for (size_t i = 0; i < r->n * r->n_out; i++)
            sum += r->logits[i] * r->logits[i];
        r->norm = sqrt(sum);
    }
    tare_trainer_free_f64(trainer);
    free(wide);
    return status;
}

/* One float32 reference: the net renumbered, and room for a chunk of images and answers. */
struct view {
    struct tare_shuffle shuffle;
    struct tare_trainer_f32 *trainer;
    float *params; /* (param_count), renumbered */
    float *x, *y;  /* (CHUNK, n_in), (CHUNK, n_out), renumbered */
};

static enum tare_status view_make(struct view *v, const struct tare_net *net, const float *params,
                                  uint64_t order, struct tare_err *err) {
    const struct tare_optimizer unused = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    struct tare_rng rng;
    tare_rng_seed(&rng, order, TARE_STREAM_REFERENCE);
    *v = (struct view){.params = calloc(net->param_count + 1, sizeof *v->params),
                       .x = calloc(CHUNK * net->n_in, sizeof *v->x),
                       .y = calloc(CHUNK * net->n_out, sizeof *v->y)};
    if (!v->params || !v->x || !v->y)
        return no_memory(err, CHUNK);
    enum tare_status status = tare_shuffle_make(&v->shuffle, net, order ? &rng : NULL, err);
    if (status == TARE_OK)
        status = tare_trainer_create_f32(&v->trainer, net, &unused, CHUNK, err);
    if (status != TARE_OK)
        return status;
    for (size_t k = 0; k < net->param_count; k++)
        v->params[k] = params[v->shuffle.params[k]];
    tare_trainer_set_params_f32(v->trainer, v->params);
    return TARE_OK;
}

static void view_free(struct view *v) {
    tare_trainer_free_f32(v->trainer);
    tare_shuffle_free(&v->shuffle);
    free(v->params);
    free(v->x);
    free(v->y);
}

/* Squared distance to the truth of `count` images from `first` on, whose answers are in v->y; notes
 * how far each strays. */
static double add_up(struct tare_parity_reference *r, const struct view *v, size_t first,
                     size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double *truth = r->logits + (first + i) * r->n_out;
        for (size_t c = 0; c < r->n_out; c++) {
            double difference =
                (double)v->y[i * r->n_out + c] - truth[(size_t)v->shuffle.output[c]];
            sum += difference * difference;
            r->stray[first + i] = fmax(r->stray[first + i], fabs(difference));
        }
    }
    return sum;
}

static enum tare_status widen_reach(struct tare_parity_reference *r, const struct tare_net *net,
                                    const float *params, const float *images, uint64_t order,
                                    const volatile sig_atomic_t *stop, struct tare_err *err) {
    struct view v;
    double sum = 0;
    size_t n_in = net->n_in;
    enum tare_status status = view_make(&v, net, params, order, err);
    for (size_t first = 0; first < r->n && status == TARE_OK; first += CHUNK) {
        size_t count = r->n - first < CHUNK ? r->n - first : CHUNK;
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < n_in; k++)
                v.x[i * n_in + k] = images[(first + i) * n_in + (size_t)v.shuffle.input[k]];
        tare_trainer_infer_f32(v.y, v.trainer, v.x, count);
        sum += add_up(r, &v, first, count);
        status = go_on(stop, err);
    }
    view_free(&v);
    r->reach = isnan(sum) ? sum : fmax(r->reach, sqrt(sum));
    return status;
}

enum tare_status tare_parity_reference_make(struct tare_parity_reference *r,
                                            const struct tare_net *net, const float *params,
                                            const float *images, size_t n,
                                            const volatile sig_atomic_t *stop,
                                            struct tare_err *err) {
    *r = (struct tare_parity_reference){.n = n, .n_out = net->n_out};
    r->logits = calloc(n * net->n_out + 1, sizeof *r->logits);
    r->stray = calloc(n + 1, sizeof *r->stray);
    enum tare_status status =
        r->logits && r->stray ? find_truth(r, net, params, images, stop, err) : no_memory(err, n);
    for (uint64_t order = 0; order < TARE_PARITY_ORDERS && status == TARE_OK; order++) {
        status = widen_reach(r, net, params, images, order, stop, err);
        if (status == TARE_OK && !(isfinite(r->norm) && isfinite(r->reach)))
            status = tare_fail(err, TARE_DATA, "parity", "train again with a smaller learning rate",
                               "with these weights float32 gives logits that are not finite");
    }
    if (status != TARE_OK)
        tare_parity_reference_free(r);
    return status;
}

void tare_parity_reference_free(struct tare_parity_reference *r) {
    free(r->logits);
    free(r->stray);
    *r = (struct tare_parity_reference){0};
}

/* ---- the comparison -----------------------------------------------------------------------------
 */

/* Whether the largest of row: (n_out) is another's than in the truth. Where the truth itself has
 * the two closer than the limit lets honest float32 stray, either answer is right. */
static bool is_changed(const struct tare_parity_reference *r, size_t image, const float *row) {
    const double *truth = r->logits + image * r->n_out;
    size_t given = 0, right = 0;
    for (size_t c = 1; c < r->n_out; c++) {
        given = row[c] > row[given] ? c : given;
        right = truth[c] > truth[right] ? c : right;
    }
    double stray = fmax(r->stray[image], ROUNDING * fabs(truth[right]));
    return truth[right] - truth[given] > TARE_PARITY_LIMIT * stray;
}

struct tare_parity tare_parity_of(const struct tare_parity_reference *r, const float *logits) {
    struct tare_parity parity = {0};
    double sum = 0;
    for (size_t i = 0; i < r->n; i++) {
        const float *row = logits + i * r->n_out;
        bool is_finite = true;
        for (size_t c = 0; c < r->n_out; c++) {
            bool is_number = isfinite(row[c]);
            double difference =
                is_number ? fabs((double)row[c] - r->logits[i * r->n_out + c]) : INFINITY;
            sum += difference * difference;
            parity.max_abs_diff = fmax(parity.max_abs_diff, difference);
            is_finite = is_finite && is_number;
        }
        parity.changed_answers += !is_finite || is_changed(r, i, row);
    }
    double reach = fmax(r->reach, ROUNDING * r->norm);
    parity.ratio = sum > 0 ? sqrt(sum) / reach : 0; /* nothing over nothing is no difference */
    return parity;
}
