/* problem.c: lays out one run of a plan for the references. Only the images that the order names
 * are turned into floats: for 100 steps that is a twentieth of MNIST. */
#include "lab/problem.h"

#include <stdlib.h>
#include <string.h>

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, "certificate", "use a smaller batch",
                     "no memory for the references");
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The plan's order, cut after `steps` steps and laid out as one epoch. */
static enum tare_status make_order(struct tare_problem *p, size_t run, struct tare_err *err) {
    size_t n = p->set->train_images.shape[0];
    struct tare_plan longer = *p->plan;
    size_t per_epoch = n / longer.batch;
    longer.epochs = per_epoch ? (p->steps + per_epoch - 1) / per_epoch : 1;
    enum tare_status status = tare_plan_batches(&p->order, &longer, run, n, err);
    p->order.shape[0] = 1;
    p->order.shape[1] = p->steps;
    return status;
}

static enum tare_status find_rows(struct tare_problem *p, struct tare_err *err) {
    size_t n = p->set->train_images.shape[0], places = p->steps * p->plan->batch;
    const int32_t *order = p->order.data;
    int32_t *number = malloc(n * sizeof *number); /* of an image in rows; −1: not needed */
    p->rows = malloc(smaller(n, places) * sizeof *p->rows);
    p->order_rows = malloc(places * sizeof *p->order_rows);
    if (!number || !p->rows || !p->order_rows) {
        free(number);
        return no_memory(err);
    }
    memset(number, 0xff, n * sizeof *number);
    for (size_t i = 0; i < places; i++) {
        int32_t image = order[i];
        if (number[image] < 0) {
            number[image] = (int32_t)p->row_count;
            p->rows[p->row_count++] = image;
        }
        p->order_rows[i] = number[image];
    }
    free(number);
    return TARE_OK;
}

enum tare_status tare_problem_make(struct tare_problem *p, const struct tare_plan *plan, size_t run,
                                   const struct tare_dataset *set, size_t steps, size_t probes,
                                   struct tare_err *err) {
    *p = (struct tare_problem){.plan = plan, .set = set, .steps = steps};
    p->probes = smaller(probes, set->test_images.shape[0]);
    enum tare_status status = make_order(p, run, err);
    if (status == TARE_OK)
        status = find_rows(p, err);
    if (status == TARE_OK && !(p->params = calloc(plan->net.param_count + 1, sizeof *p->params)))
        status = no_memory(err);
    if (status == TARE_OK)
        tare_net_init(p->params, &plan->net, plan->seed + run);
    else
        tare_problem_free(p);
    return status;
}

void tare_problem_free(struct tare_problem *p) {
    tare_array_free(&p->order);
    free(p->params);
    free(p->rows);
    free(p->order_rows);
    *p = (struct tare_problem){0};
}

void tare_read_pixels(float *x, const struct tare_array *images, const int32_t *rows, size_t count,
                      const int32_t *map, size_t n_in) {
    float quotient[256];
    for (int value = 0; value < 256; value++)
        quotient[value] = (float)value / 255.0F;
    for (size_t r = 0; r < count; r++) {
        const uint8_t *image = (const uint8_t *)images->data + (rows ? (size_t)rows[r] : r) * n_in;
        for (size_t i = 0; i < n_in; i++)
            x[r * n_in + i] = quotient[image[map ? (size_t)map[i] : i]];
    }
}

static void fill(struct tare_view *v, const struct tare_problem *p, int32_t *new_class,
                 struct tare_rng *rng) {
    const struct tare_net *net = &p->plan->net;
    const int32_t *labels = p->set->train_labels.data;
    size_t batch = p->plan->batch;
    for (size_t k = 0; k < net->n_out; k++)
        new_class[v->shuffle.output[k]] = (int32_t)k;
    for (size_t r = 0; r < p->row_count; r++)
        v->labels[r] = new_class[labels[p->rows[r]]];
    for (size_t i = 0; i < net->param_count; i++)
        v->params[i] = p->params[v->shuffle.params[i]];
    tare_read_pixels(v->images, &p->set->train_images, p->rows, p->row_count, v->shuffle.input,
                     net->n_in);
    tare_read_pixels(v->probes, &p->set->test_images, NULL, p->probes, v->shuffle.input, net->n_in);
    memcpy(v->order, p->order_rows, p->steps * batch * sizeof *v->order);
    for (size_t step = 0; rng && step < p->steps; step++)
        tare_rng_shuffle(rng, v->order + step * batch, batch);
}

enum tare_status tare_view_make(struct tare_view *v, const struct tare_problem *p,
                                struct tare_rng *rng, struct tare_err *err) {
    const struct tare_net *net = &p->plan->net;
    *v = (struct tare_view){
        .params = calloc(net->param_count + 1, sizeof *v->params),
        .images = calloc(p->row_count * net->n_in, sizeof *v->images),
        .probes = calloc(p->probes * net->n_in + 1, sizeof *v->probes),
        .labels = calloc(p->row_count, sizeof *v->labels),
        .order = calloc(p->steps * p->plan->batch, sizeof *v->order),
    };
    int32_t *new_class = calloc(net->n_out, sizeof *new_class);
    enum tare_status status = tare_shuffle_make(&v->shuffle, net, rng, err);
    if (status == TARE_OK &&
        (!v->params || !v->images || !v->probes || !v->labels || !v->order || !new_class))
        status = no_memory(err);
    if (status == TARE_OK)
        fill(v, p, new_class, rng);
    else
        tare_view_free(v);
    free(new_class);
    return status;
}

void tare_view_free(struct tare_view *v) {
    tare_shuffle_free(&v->shuffle);
    free(v->params);
    free(v->images);
    free(v->probes);
    free(v->labels);
    free(v->order);
    *v = (struct tare_view){0};
}

struct tare_reference tare_view_reference(const struct tare_view *v, const struct tare_problem *p,
                                          enum tare_constants constants) {
    struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
    adam.lr = p->plan->lr;
    adam.constants = constants;
    return (struct tare_reference){.net = &p->plan->net,
                                   .optimizer = adam,
                                   .params = v->params,
                                   .examples = {v->images, v->labels, p->row_count},
                                   .order = v->order,
                                   .batch = p->plan->batch,
                                   .steps = p->steps,
                                   .probes = v->probes,
                                   .probe_count = p->probes};
}
