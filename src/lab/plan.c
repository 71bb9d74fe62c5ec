/* plan.c: what is to be compared: engines, model, constants, and the seeded orders. Nothing
 * here runs anything; campaign.c does. */
#include <stdlib.h>
#include <string.h>

#include "tare/lab.h"
#include "tare/rng.h"
#include "tare/safetensors.h"

/* The table of engines tare knows by name. Costs: see struct tare_known_engine. */
static const struct tare_known_engine known_engines[] = {
    {"keras", "tutorial", true, 10.0, 85.0, "tensorflow"},
    {"pytorch", "tutorial", true, 12.0, 165.0, "torch"},
    {"native", "controlled", true, 1.3, 33.0, NULL},
    {"null", "controlled", false, 0.6, 0.1, NULL},
    {"litert", "deployment", false, 0.5, 0.0, "runtimes"},
    {"onnxruntime", "deployment", false, 0.5, 0.0, "runtimes"},
};

const struct tare_known_engine *tare_known_engines(size_t *count) {
    *count = sizeof known_engines / sizeof known_engines[0];
    return known_engines;
}

const struct tare_known_engine *tare_known_engine(const char *name) {
    for (size_t i = 0; i < sizeof known_engines / sizeof known_engines[0]; i++)
        if (strcmp(known_engines[i].name, name) == 0)
            return &known_engines[i];
    return NULL;
}

void tare_plan_defaults(struct tare_plan *x) {
    *x = (struct tare_plan){.epochs = 5,
                            .batch = 32,
                            .runs = TARE_DEFAULT_RUNS,
                            .seed = 1,
                            .threads = 1,
                            .lr = 1e-3,
                            .timeout_s = TARE_DEFAULT_TIMEOUT_S};
}

enum tare_status tare_plan_add(struct tare_plan *x, const char *engine, struct tare_err *err) {
    const struct tare_known_engine *known = tare_known_engine(engine);
    const char *track = known ? known->track : "controlled";
    if (strcmp(track, "deployment") == 0)
        return tare_fail(err, TARE_USAGE, engine,
                         "name an engine that trains: keras, pytorch, native",
                         "only runs exported models; compare uses it by itself");
    if (x->cell_count == TARE_MAX_CELLS)
        return tare_fail(err, TARE_USAGE, engine, NULL, "at most %d engines", TARE_MAX_CELLS);
    for (size_t i = 0; i < x->cell_count; i++)
        if (strcmp(x->cells[i].engine, engine) == 0)
            return tare_fail(err, TARE_USAGE, engine, NULL, "is named twice");
    struct tare_cell *cell = &x->cells[x->cell_count];
    if (engine[0] == '\0' || strlen(engine) >= sizeof cell->engine)
        return tare_fail(err, TARE_USAGE, "--engines", "tare doctor lists the engines",
                         "\"%.80s\" is not an engine's name", engine);
    *cell = (struct tare_cell){0};
    snprintf(cell->engine, sizeof cell->engine, "%s", engine);
    snprintf(cell->track, sizeof cell->track, "%s", track);
    x->cell_count++;
    return TARE_OK;
}

enum tare_status tare_plan_model(struct tare_plan *x, const char *text,
                                 const struct tare_dataset *set, struct tare_err *err) {
    const struct tare_array *images = &set->train_images;
    size_t values = tare_array_count(images) / images->shape[0];
    char fitted[TARE_MAX_SPEC];
    snprintf(fitted, sizeof fitted, "%zu dense:64:relu dense:%zu", values, set->classes);
    enum tare_status status = tare_net_parse(&x->net, text ? text : fitted, err);
    if (status != TARE_OK)
        return status;
    if (x->net.n_in != values)
        return tare_fail(err, TARE_USAGE, "--model", "start the model with the size of an image",
                         "takes %zu values, an image of %s has %zu", x->net.n_in, set->title,
                         values);
    if (x->net.n_out < set->classes)
        return tare_fail(err, TARE_USAGE, "--model", "end the model with one output per class",
                         "has %zu outputs, %s has %zu classes", x->net.n_out, set->title,
                         set->classes);
    if (x->batch > images->shape[0])
        return tare_fail(err, TARE_USAGE, "--batch", "a smaller batch",
                         "%zu images don't fill one batch of %zu", images->shape[0], x->batch);
    tare_net_text(x->model, &x->net);
    return TARE_OK;
}

double tare_plan_seconds(const struct tare_plan *x, size_t train_images) {
    double images = (double)train_images * (double)x->epochs;
    double run_s = 0.6, once_s = 0; /* 0.6 s: the null engine's process */
    for (size_t i = 0; i < x->cell_count; i++) {
        const struct tare_known_engine *known = tare_known_engine(x->cells[i].engine);
        double process_s = known ? known->process_s : 5;
        double step_us = known ? known->train_us : 50;
        run_s += process_s + images * step_us * 1e-6;
        once_s += process_s / 3; /* the discarded warm-up import */
    }
    return once_s + run_s * (double)x->runs;
}

size_t tare_plan_bytes(const struct tare_plan *x, const struct tare_dataset *set) {
    size_t order_bytes = x->epochs * set->train_images.shape[0] * sizeof(int32_t);
    size_t weights_bytes = x->net.param_count * sizeof(float) + 4096;
    size_t logits_bytes = set->test_images.shape[0] * x->net.n_out * sizeof(float);
    size_t job_bytes = 4 * weights_bytes + 3 * logits_bytes + 65536; /* two exports, their logits */
    return x->runs * (order_bytes + weights_bytes + (x->cell_count + 1) * job_bytes);
}

void tare_plan_order(int32_t *cells, const struct tare_plan *x, size_t run) {
    struct tare_rng rng;
    tare_rng_seed(&rng, x->seed + run, TARE_STREAM_PLAN);
    for (size_t i = 0; i < x->cell_count; i++)
        cells[i] = (int32_t)i;
    tare_rng_shuffle(&rng, cells, x->cell_count);
}

enum tare_status tare_plan_batches(struct tare_array *order, const struct tare_plan *x, size_t run,
                                   size_t train_images, struct tare_err *err) {
    size_t steps = train_images / x->batch;
    if (steps == 0)
        return tare_fail(err, TARE_USAGE, "--batch", "a smaller batch",
                         "%zu images don't fill one batch of %zu", train_images, x->batch);
    struct tare_array epoch = {0};
    enum tare_status status =
        tare_array_make(order, TARE_I32, 3, (size_t[]){x->epochs, steps, x->batch}, err);
    if (status == TARE_OK)
        status = tare_array_make(&epoch, TARE_I32, 1, &train_images, err);
    struct tare_rng rng;
    tare_rng_seed(&rng, x->seed + run, TARE_STREAM_ORDER);
    for (size_t e = 0; e < x->epochs && status == TARE_OK; e++) {
        int32_t *images = epoch.data;
        for (size_t i = 0; i < train_images; i++)
            images[i] = (int32_t)i;
        tare_rng_shuffle(&rng, images, train_images);
        memcpy((int32_t *)order->data + e * steps * x->batch, images,
               steps * x->batch * sizeof *images);
    }
    tare_array_free(&epoch);
    return status;
}

static enum tare_status write_init(const char *path, const struct tare_plan *x, size_t run,
                                   struct tare_err *err) {
    float *params = calloc(x->net.param_count + 1, sizeof *params);
    struct tare_tensors tensors = {0};
    if (!params)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory for the initial weights");
    tare_net_init(params, &x->net, x->seed + run);
    enum tare_status status =
        tare_net_to_tensors(&tensors, &x->net, params, "u8/255", "nothing yet", err);
    if (status == TARE_OK)
        status = tare_safetensors_write(path, &tensors, err);
    tare_tensors_free(&tensors);
    free(params);
    return status;
}

enum tare_status tare_plan_write_run(const char *init_path, const char *order_path,
                                     const struct tare_plan *x, size_t run, size_t train_images,
                                     struct tare_err *err) {
    struct tare_array order = {0};
    enum tare_status status = write_init(init_path, x, run, err);
    if (status == TARE_OK)
        status = tare_plan_batches(&order, x, run, train_images, err);
    if (status == TARE_OK)
        status = tare_npy_write(order_path, &order, err);
    tare_array_free(&order);
    return status;
}
