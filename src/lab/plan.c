/* plan.c: what is to be compared: engines, model, constants, and the seeded orders. Nothing
 * here runs anything; campaign.c does. */
#include <stdlib.h>
#include <string.h>

#include "tare/lab.h"
#include "tare/rng.h"
#include "tare/safetensors.h"

/* The table of engines tare knows by name. Costs: see struct tare_known_engine. */
static const struct tare_known_engine known_engines[] = {
    {"keras", "tutorial", "", true, false, 10.0, 85.0, "tensorflow"},
    {"keras", "controlled", "", true, false, 7.5, 7.5, "tensorflow"},
    {"pytorch", "tutorial", "", true, false, 12.0, 165.0, "torch"},
    {"pytorch", "controlled", "indexed", true, false, 5.0, 38.0, "torch"},
    {"pytorch", "controlled", "compile", true, true, 75.0, 15.0, "torch"},
    {"tensorflow", "controlled", "xla-epoch", true, false, 2.5, 7.0, "tensorflow"},
    {"tensorflow", "controlled", "step", true, false, 1.2, 16.0, "tensorflow"},
    {"libtorch", "controlled", "", true, false, 1.0, 15.0, "torch"},
    {"jax", "controlled", "", true, false, 4.0, 7.5, "jax"},
    {"native", "controlled", "", true, false, 0.5, 2.5, NULL},
    {"native", "controlled", "reference", true, true, 1.6, 42.0, NULL},
    {"native", "controlled", "avx2", true, true, 0.5, 5.0, NULL},
    {"native", "controlled", "avx512", true, true, 0.5, 2.5, NULL},
    {"null", "controlled", "", false, false, 0.6, 0.1, NULL},
    {"litert", "deployment", "", false, false, 0.5, 0.0, "runtimes"},
    {"onnxruntime", "deployment", "", false, false, 0.5, 0.0, "runtimes"},
};
#define KNOWN_COUNT (sizeof known_engines / sizeof known_engines[0])

const struct tare_known_engine *tare_known_engines(size_t *count) {
    *count = KNOWN_COUNT;
    return known_engines;
}

const struct tare_known_engine *tare_known_engine(const char *name) {
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known_engines[i].name, name) == 0)
            return &known_engines[i];
    return NULL;
}

/* The row of a cell; NULL for an engine or a variant that tare doesn't know. */
static const struct tare_known_engine *known_cell(const struct tare_cell *cell) {
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known_engines[i].name, cell->engine) == 0 &&
            strcmp(known_engines[i].track, cell->track) == 0 &&
            strcmp(known_engines[i].variant, cell->variant) == 0)
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

static bool same_cell(const struct tare_cell *a, const struct tare_cell *b) {
    return strcmp(a->engine, b->engine) == 0 && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->track, b->track) == 0 && strcmp(a->device, b->device) == 0 &&
           a->threads == b->threads;
}

/* Adds one cell, once per number of threads; twice where everything is. */
static enum tare_status add_cell(struct tare_plan *x, const struct tare_cell *wanted,
                                 const struct tare_choice *choice, struct tare_err *err) {
    size_t counts = choice && choice->threads ? choice->thread_counts : 1;
    for (size_t t = 0; t < counts; t++) {
        struct tare_cell cell = *wanted;
        bool tutorial = strcmp(cell.track, "tutorial") == 0;
        cell.threads = choice && choice->threads ? choice->threads[t] : x->threads;
        snprintf(cell.device, sizeof cell.device, "%s",
                 choice && choice->device && !tutorial ? choice->device : "cpu");
        for (size_t i = 0; i < x->cell_count; i++)
            if (same_cell(&x->cells[i], &cell))
                return tare_fail(err, TARE_USAGE, cell.engine, NULL, "is named twice");
        for (int copies = choice && choice->twice ? 2 : 1; copies > 0; copies--) {
            if (x->cell_count == TARE_MAX_CELLS)
                return tare_fail(err, TARE_USAGE, cell.engine, NULL, "at most %d cells",
                                 TARE_MAX_CELLS);
            x->cells[x->cell_count++] = cell;
            cell.again = true;
        }
    }
    return TARE_OK;
}

/* Whether a row belongs to what was asked for: its variant by name, or all the usual ones. */
static bool is_chosen(const struct tare_known_engine *row, const char *variant,
                      const struct tare_choice *choice) {
    if (choice && choice->track && strcmp(choice->track, row->track) != 0)
        return false;
    if (variant[0])
        return strcmp(variant, row->variant) == 0;
    return !row->when_asked || (choice && choice->all_variants);
}

enum tare_status tare_plan_add(struct tare_plan *x, const char *engine,
                               const struct tare_choice *choice, struct tare_err *err) {
    struct tare_cell cell = {.track = "controlled"};
    size_t name_size = strcspn(engine, "/");
    const char *variant = engine[name_size] ? engine + name_size + 1 : "";
    if (name_size == 0 || name_size >= sizeof cell.engine || strlen(variant) >= sizeof cell.variant)
        return tare_fail(err, TARE_USAGE, "--engines", "tare doctor lists the engines",
                         "\"%.80s\" is not an engine's name", engine);
    memcpy(cell.engine, engine, name_size);
    snprintf(cell.variant, sizeof cell.variant, "%s", variant);
    const struct tare_known_engine *known = tare_known_engine(cell.engine);
    if (!known)
        return add_cell(x, &cell, choice, err);
    if (strcmp(known->track, "deployment") == 0)
        return tare_fail(err, TARE_USAGE, engine,
                         "name an engine that trains: keras, pytorch, tensorflow, native",
                         "only runs exported models; compare uses it by itself");
    enum tare_status status = TARE_OK;
    size_t added = 0;
    for (; known < known_engines + KNOWN_COUNT && strcmp(known->name, cell.engine) == 0; known++) {
        if (status != TARE_OK || !is_chosen(known, variant, choice))
            continue;
        snprintf(cell.variant, sizeof cell.variant, "%s", known->variant);
        snprintf(cell.track, sizeof cell.track, "%s", known->track);
        status = add_cell(x, &cell, choice, err);
        added++;
    }
    if (added == 0)
        return tare_fail(err, TARE_USAGE, engine, "tare doctor lists the engines and variants",
                         "has no such variant or is not on that track");
    return status;
}

bool tare_plan_harness(struct tare_cell *cell, const struct tare_plan *x) {
    for (size_t i = 0; i < x->cell_count; i++)
        if (strcmp(x->cells[i].engine, "null") == 0)
            return false;
    *cell = (struct tare_cell){
        .engine = "null", .track = "harness", .device = "cpu", .threads = x->threads};
    return true;
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

/* Rough cost of what follows a training: the reference, and two processes for each of two files. */
#define DEPLOY_S 3.0

/* Of a process without its training; the null engine's is the same on every track. */
static double process_s(const struct tare_cell *cell) {
    const struct tare_known_engine *known = known_cell(cell);
    if (!known)
        known = tare_known_engine(cell->engine);
    return known ? known->process_s : 5;
}

double tare_plan_cell_seconds(const struct tare_cell *cell, const struct tare_plan *x,
                              size_t train_images) {
    const struct tare_known_engine *known = known_cell(cell);
    if (strcmp(cell->engine, "null") == 0)
        return process_s(cell);
    return process_s(cell) + DEPLOY_S +
           (double)train_images * (double)x->epochs * (known ? known->train_us : 50) * 1e-6;
}

double tare_plan_seconds(const struct tare_plan *x, size_t train_images) {
    struct tare_cell harness;
    double run_s = tare_plan_harness(&harness, x) ? process_s(&harness) : 0, once_s = 0;
    for (size_t i = 0; i < x->cell_count; i++) {
        bool tutorial = strcmp(x->cells[i].track, "tutorial") == 0;
        run_s += tare_plan_cell_seconds(&x->cells[i], x, train_images);
        /* the discarded import; the certificate */
        once_s += process_s(&x->cells[i]) * (tutorial ? 1.0 / 3 : 3);
    }
    return once_s + run_s * (double)x->runs;
}

size_t tare_plan_bytes(const struct tare_plan *x, const struct tare_dataset *set) {
    size_t order_bytes = x->epochs * set->train_images.shape[0] * sizeof(int32_t);
    size_t weights_bytes = x->net.param_count * sizeof(float) + 4096;
    size_t logits_bytes = set->test_images.shape[0] * x->net.n_out * sizeof(float);
    /* weights, three exports, and the logits and latencies of all of them */
    size_t job_bytes = 4 * weights_bytes + 4 * logits_bytes + 131072;
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
