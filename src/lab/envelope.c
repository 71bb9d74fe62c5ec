/* envelope.c: trains the references of the certificate and keeps what they showed. One float64 run
 * is the truth; float32 runs, renumbered (shuffle.h) and with Adam's constants in every precision
 * that frameworks use, show how far honest arithmetic strays from it. */
#include "lab/envelope.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tare/buf.h"
#include "tare/safetensors.h"

const size_t tare_trace_dump_at[TARE_TRACE_DUMPS] = {1, 10, TARE_CERTIFY_STEPS};

/* ---- traces ------------------------------------------------------------------------------------
 */

static void add_item(struct tare_layout *l, enum tare_checkpoint checkpoint, const char *tensor,
                     size_t offset, size_t count) {
    struct tare_item *item = &l->items[l->item_count++];
    *item = (struct tare_item){.checkpoint = checkpoint, .offset = offset, .count = count};
    snprintf(item->tensor, sizeof item->tensor, "%s", tensor);
}

static void add_tensors(struct tare_layout *l, enum tare_checkpoint checkpoint,
                        const struct tare_net *net, size_t offset) {
    for (int i = 0; i < net->tensor_count; i++)
        add_item(l, checkpoint, net->tensors[i].name, offset + net->tensors[i].offset,
                 net->tensors[i].count);
}

void tare_layout_make(struct tare_layout *l, const struct tare_net *net, size_t probes) {
    *l = (struct tare_layout){0};
    l->gradient = probes * net->n_out;
    l->losses = l->gradient + net->param_count;
    for (size_t i = 0; i < TARE_TRACE_DUMPS; i++)
        l->weights[i] = l->losses + TARE_CERTIFY_STEPS + i * net->param_count;
    l->total = l->weights[TARE_TRACE_DUMPS - 1] + net->param_count;
    add_item(l, TARE_CHECKPOINT_LOGITS, "", l->logits, probes * net->n_out);
    add_tensors(l, TARE_CHECKPOINT_GRADIENT, net, l->gradient);
    add_item(l, TARE_CHECKPOINT_LOSS_1, "", l->losses, 1);
    add_tensors(l, TARE_CHECKPOINT_WEIGHTS_1, net, l->weights[0]);
    add_item(l, TARE_CHECKPOINT_LOSS_10, "", l->losses + 1, 9);
    add_tensors(l, TARE_CHECKPOINT_WEIGHTS_10, net, l->weights[1]);
    add_item(l, TARE_CHECKPOINT_LOSS_100, "", l->losses + 10, TARE_CERTIFY_STEPS - 10);
    add_tensors(l, TARE_CHECKPOINT_WEIGHTS_100, net, l->weights[2]);
}

double tare_item_distance(const struct tare_item *item, const double *trace, const double *truth) {
    double sum = 0;
    for (size_t i = item->offset; i < item->offset + item->count; i++)
        sum += (trace[i] - truth[i]) * (trace[i] - truth[i]);
    return sqrt(sum);
}

/* ---- references --------------------------------------------------------------------------------
 */

struct flavour {          /* of a reference */
    struct tare_rng *rng; /* draws the numbering; NULL: as it is */
    enum tare_constants constants;
    bool is_f64;
};

static enum tare_status run(const struct tare_reference *reference, const struct flavour *flavour,
                            struct tare_err *err) {
    return flavour->is_f64 ? tare_reference_run_f64(reference, err)
                           : tare_reference_run_f32(reference, err);
}

/* What a view's reference left behind, with the old numbers, into the trace. */
static void unshuffle(double *trace, const struct tare_layout *l, const struct tare_view *v,
                      const struct tare_problem *p, const double *logits, const double *dumps) {
    size_t n_out = p->plan->net.n_out, n = p->plan->net.param_count;
    for (size_t i = 0; i < p->probes * n_out; i++)
        trace[l->logits + i / n_out * n_out + (size_t)v->shuffle.output[i % n_out]] = logits[i];
    for (size_t d = 0; d < TARE_TRACE_DUMPS; d++)
        for (size_t k = 0; k < n; k++)
            trace[l->weights[d] + (size_t)v->shuffle.params[k]] = dumps[d * n + k];
}

/* The gradient of step 1 as an engine shows it: by one step of SGD. dumps: (param_count), room. */
static enum tare_status take_gradient(double *trace, const struct tare_layout *l,
                                      const struct tare_view *v, const struct tare_problem *p,
                                      const struct flavour *flavour, double *dumps,
                                      struct tare_err *err) {
    double loss;
    struct tare_reference sgd = tare_view_reference(v, p, flavour->constants);
    sgd.optimizer = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    sgd.optimizer.lr = TARE_GRADIENT_LR;
    sgd.steps = 1;
    sgd.probe_count = 0;
    sgd.dump_at = tare_trace_dump_at;
    sgd.dump_count = 1;
    sgd.losses = &loss;
    sgd.dumps = dumps;
    enum tare_status status = run(&sgd, flavour, err);
    for (size_t k = 0; k < p->plan->net.param_count && status == TARE_OK; k++)
        trace[l->gradient + (size_t)v->shuffle.params[k]] =
            ((double)v->params[k] - dumps[k]) / TARE_GRADIENT_LR;
    return status;
}

static enum tare_status take_trace(double *trace, const struct tare_layout *l,
                                   const struct tare_problem *p, const struct flavour *flavour,
                                   struct tare_err *err) {
    struct tare_view view;
    enum tare_status status = tare_view_make(&view, p, flavour->rng, err);
    if (status != TARE_OK)
        return status;
    size_t n = p->plan->net.param_count, logits = p->probes * p->plan->net.n_out;
    double *room = calloc(logits + TARE_TRACE_DUMPS * n + 1, sizeof *room);
    struct tare_reference adam = tare_view_reference(&view, p, flavour->constants);
    adam.dump_at = tare_trace_dump_at;
    adam.dump_count = TARE_TRACE_DUMPS;
    adam.logits = room;
    adam.losses = trace + l->losses;
    adam.dumps = room + logits;
    status = room ? run(&adam, flavour, err)
                  : tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory for a reference");
    if (status == TARE_OK) {
        unshuffle(trace, l, &view, p, adam.logits, adam.dumps);
        status = take_gradient(trace, l, &view, p, flavour, adam.dumps, err);
    }
    free(room);
    tare_view_free(&view);
    return status;
}

static void widen_reach(struct tare_envelope *e, const double *trace) {
    const struct tare_layout *l = &e->layout;
    for (size_t i = 0; i < l->item_count; i++)
        e->reach[i] = fmax(e->reach[i], tare_item_distance(&l->items[i], trace, e->truth));
    for (size_t s = 0; s < TARE_CERTIFY_STEPS; s++)
        e->step_reach[s] =
            fmax(e->step_reach[s], fabs(trace[l->losses + s] - e->truth[l->losses + s]));
}

static enum tare_status derive(struct tare_envelope *e, const struct tare_problem *p,
                               const volatile sig_atomic_t *stop, struct tare_err *err) {
    struct flavour truth = {.is_f64 = true};
    double *trace = calloc(e->layout.total, sizeof *trace);
    enum tare_status status =
        trace ? take_trace(e->truth, &e->layout, p, &truth, err)
              : tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory for a trace");
    for (uint64_t order = 0; order < TARE_REFERENCE_ORDERS; order++)
        for (int constants = 0; constants < TARE_CONSTANTS_COUNT && status == TARE_OK;
             constants++) {
            struct tare_rng rng;
            tare_rng_seed(&rng, order, TARE_STREAM_REFERENCE);
            struct flavour flavour = {.rng = order ? &rng : NULL,
                                      .constants = (enum tare_constants)constants};
            status = take_trace(trace, &e->layout, p, &flavour, err);
            if (status == TARE_OK)
                widen_reach(e, trace);
            if (status == TARE_OK && stop && *stop)
                status = tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
        }
    free(trace);
    return status;
}

/* ---- the cache ---------------------------------------------------------------------------------
 */

enum tare_status tare_reference_key(char **path, struct tare_buf *key, const char *what,
                                    const struct tare_problem *p, uint64_t seed,
                                    struct tare_err *err) {
    char hash[65], file[80];
    const struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
    tare_buf_printf(key,
                    "%s of references %d x %d, version %d\ndata %s, %zu images, %zu probes\n"
                    "model %s\nsteps %zu, batch %zu, seed %llu\nadam %.17g %.17g %.17g %.17g\n",
                    what, TARE_REFERENCE_ORDERS, (int)TARE_CONSTANTS_COUNT, TARE_REFERENCE_VERSION,
                    p->set->sha256, p->set->train_images.shape[0], p->probes, p->plan->model,
                    p->steps, p->plan->batch, (unsigned long long)seed, p->plan->lr, adam.beta1,
                    adam.beta2, adam.epsilon);
    *path = NULL;
    char *cache = tare_cache_dir();
    if (!cache)
        return tare_no_cache_dir(err, "references");
    char *dir = tare_path_join(cache, "envelopes");
    free(cache);
    enum tare_status status = TARE_OK;
    if (!dir || key->failed)
        status = tare_fail(err, TARE_MEMORY, "references", NULL, "no memory for a path");
    else {
        tare_sha256_hex(hash, key->data, key->size);
        snprintf(file, sizeof file, "%.32s.safetensors", hash);
        status = tare_make_dirs(dir, err);
        *path = tare_path_join(dir, file);
        if (status == TARE_OK && !*path)
            status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory");
    }
    free(dir);
    return status;
}

/* name, memory and length of each part of the cache file. */
struct part {
    const char *name;
    double *values;
    size_t count;
};

static void parts_of(struct part parts[3], struct tare_envelope *e) {
    parts[0] = (struct part){"truth", e->truth, e->layout.total};
    parts[1] = (struct part){"reach", e->reach, e->layout.item_count};
    parts[2] = (struct part){"step_reach", e->step_reach, TARE_CERTIFY_STEPS};
}

/* False when the file is missing, of something else, or damaged: it is derived again then. */
static bool read_cached(struct tare_envelope *e, const char *path, const char *key) {
    struct tare_tensors file = {0};
    struct part parts[3];
    if (!tare_path_exists(path) || tare_safetensors_read(&file, path, NULL) != TARE_OK)
        return false;
    const char *of = tare_tensors_metadata(&file, "of");
    bool good = of && strcmp(of, key) == 0;
    parts_of(parts, e);
    for (size_t i = 0; i < 3 && good; i++) {
        const struct tare_tensor *tensor = tare_tensors_find(&file, parts[i].name);
        good = tensor && tensor->array.dtype == TARE_F64 &&
               tare_array_count(&tensor->array) == parts[i].count;
        if (good)
            memcpy(parts[i].values, tensor->array.data, parts[i].count * sizeof(double));
    }
    tare_tensors_free(&file);
    return good;
}

static enum tare_status write_cached(struct tare_envelope *e, const char *path, const char *key,
                                     struct tare_err *err) {
    struct tare_tensors file = {0};
    struct part parts[3];
    enum tare_status status = tare_tensors_set_metadata(&file, "of", key, err);
    parts_of(parts, e);
    for (size_t i = 0; i < 3 && status == TARE_OK; i++) {
        struct tare_array array = {
            .dtype = TARE_F64, .rank = 1, .shape = {parts[i].count}, .data = parts[i].values};
        status = tare_tensors_add(&file, parts[i].name, &array, err);
    }
    if (status == TARE_OK)
        status = tare_safetensors_write(path, &file, err);
    tare_tensors_free(&file);
    return status;
}

enum tare_status tare_envelope_get(struct tare_envelope *e, const struct tare_problem *p,
                                   uint64_t seed, const volatile sig_atomic_t *stop,
                                   struct tare_err *err) {
    struct tare_buf key = {0};
    char *path = NULL;
    *e = (struct tare_envelope){0};
    tare_layout_make(&e->layout, &p->plan->net, p->probes);
    e->truth = calloc(e->layout.total, sizeof *e->truth);
    e->reach = calloc(e->layout.item_count, sizeof *e->reach);
    enum tare_status status = TARE_OK;
    if (!e->truth || !e->reach)
        status = tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory for the envelope");
    if (status == TARE_OK)
        status = tare_reference_key(&path, &key, "envelope", p, seed, err);
    if (status == TARE_OK && !read_cached(e, path, key.data)) {
        memset(e->reach, 0, e->layout.item_count * sizeof *e->reach);
        memset(e->step_reach, 0, sizeof e->step_reach);
        status = derive(e, p, stop, err);
        if (status == TARE_OK)
            status = write_cached(e, path, key.data, err);
    }
    tare_buf_free(&key);
    free(path);
    if (status != TARE_OK)
        tare_envelope_free(e);
    return status;
}

void tare_envelope_free(struct tare_envelope *e) {
    free(e->truth);
    free(e->reach);
    *e = (struct tare_envelope){0};
}
