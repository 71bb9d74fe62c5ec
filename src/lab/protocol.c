/* protocol.c: jobs and events between their C form and their line of JSON. The engine side
 * (engines/engine_main.c) and the supervisor side (supervise.c) both go through here; the text form
 * is doc/protocol.md. */
#include "tare/protocol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char *const event_names[] = {
#define X(id, name) name,
    TARE_EVENT_LIST(X)
#undef X
};

const char *tare_event_name(enum tare_event_kind kind) {
    return event_names[kind];
}

static enum tare_event_kind kind_of(const char *name) {
    for (int kind = 0; kind < TARE_EVENT_UNKNOWN; kind++)
        if (strcmp(name, event_names[kind]) == 0)
            return (enum tare_event_kind)kind;
    return TARE_EVENT_UNKNOWN;
}

/* ---- reading keys: each returns false when the key is there with a wrong value ----------------
 */

static bool get_text(char *out, size_t out_size, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    snprintf(out, out_size, "%s", json_string_value(value));
    return true;
}

/* A text that must not be cut: a path. */
static bool get_whole_text(char *out, size_t out_size, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value) && json_string_length(value) >= out_size)
        return false;
    return get_text(out, out_size, object, key);
}

static bool get_count(size_t *out, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool get_int(int *out, const json_t *object, const char *key) {
    size_t value = (size_t)*out;
    if (!get_count(&value, object, key) || value > 1000000)
        return false;
    *out = (int)value;
    return true;
}

static bool get_ns(int64_t *out, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > TARE_MAX_WALL_NS)
        return false;
    *out = json_integer_value(value);
    return true;
}

/* NaN cannot be written in JSON: Python's json module prints the bare word, which is not JSON, so
 * engines send null for a number that is not finite. */
static bool get_number(double *out, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (json_is_null(value)) {
        *out = NAN;
        return true;
    }
    if (!json_is_number(value))
        return value == NULL;
    *out = json_number_value(value);
    return true;
}

/* Parses one line into an object, or says at which byte it stops being JSON. */
static enum tare_status parse_object(json_t **object, const char *line, size_t size,
                                     const char *what, struct tare_err *err) {
    *object = NULL;
    if (size > TARE_MAX_LINE_BYTES)
        return tare_fail(err, TARE_DATA, what, NULL, "a line of %zu bytes; at most %d are allowed",
                         size, TARE_MAX_LINE_BYTES);
    json_error_t where;
    enum tare_status status = TARE_OK;
    *object = tare_json_load(line, size, &where, &status);
    if (status == TARE_MEMORY)
        return tare_fail(err, TARE_MEMORY, what, NULL, "no memory to read it");
    if (status != TARE_OK)
        return tare_fail(err, TARE_DATA, what, NULL, "not a line of JSON: %s (byte %d)", where.text,
                         where.position);
    if (json_is_object(*object))
        return TARE_OK;
    json_decref(*object);
    return tare_fail(err, TARE_DATA, what, NULL, "a JSON value that is not an object");
}

/* ---- events ------------------------------------------------------------------------------------
 */

static bool read_event(struct tare_event *e, const json_t *o) {
    switch (e->kind) {
    case TARE_EVENT_HELLO:
        if (json_is_integer(json_object_get(o, "clock_ns")))
            e->wall_ns = json_integer_value(json_object_get(o, "clock_ns"));
        return get_int(&e->abi, o, "abi") && get_text(e->name, sizeof e->name, o, "engine") &&
               get_text(e->text, sizeof e->text, o, "version") &&
               get_text(e->extra, sizeof e->extra, o, "variant");
    case TARE_EVENT_PHASE:
        return get_text(e->name, sizeof e->name, o, "name") && e->name[0] &&
               get_ns(&e->wall_ns, o, "wall_ns");
    case TARE_EVENT_EPOCH:
        return get_count(&e->index, o, "i") && get_number(&e->value, o, "loss") &&
               get_ns(&e->wall_ns, o, "wall_ns");
    case TARE_EVENT_SAMPLE:
        e->first = json_is_true(json_object_get(o, "first"));
        return get_text(e->extra, sizeof e->extra, o, "call") && get_count(&e->batch, o, "batch") &&
               get_count(&e->loops, o, "loops") && e->batch > 0 && e->loops > 0 &&
               get_ns(&e->wall_ns, o, "wall_ns");
    case TARE_EVENT_METRIC:
        return get_text(e->name, sizeof e->name, o, "name") && e->name[0] &&
               get_number(&e->value, o, "value");
    case TARE_EVENT_SETTING:
        return get_text(e->name, sizeof e->name, o, "name") && e->name[0] &&
               get_text(e->text, sizeof e->text, o, "value");
    case TARE_EVENT_EXPORT:
        return get_text(e->name, sizeof e->name, o, "format") && e->name[0] &&
               get_text(e->text, sizeof e->text, o, "exporter") &&
               get_whole_text(e->extra, sizeof e->extra, o, "path") && e->extra[0] &&
               get_ns(&e->wall_ns, o, "wall_ns");
    case TARE_EVENT_USER_CODE:
        return get_text(e->name, sizeof e->name, o, "name") && e->name[0] &&
               get_count(&e->lines, o, "lines") && get_count(&e->statements, o, "statements");
    case TARE_EVENT_SKIP:
        return get_text(e->text, sizeof e->text, o, "reason") &&
               get_text(e->extra, sizeof e->extra, o, "fix");
    case TARE_EVENT_FAIL:
        return get_text(e->name, sizeof e->name, o, "code") &&
               get_text(e->text, sizeof e->text, o, "message");
    case TARE_EVENT_BYE:
    case TARE_EVENT_UNKNOWN:
        return true;
    }
    return false;
}

enum tare_status tare_event_parse(struct tare_event *event, const char *line, size_t size,
                                  struct tare_err *err) {
    *event = (struct tare_event){.kind = TARE_EVENT_UNKNOWN};
    json_t *object = NULL;
    enum tare_status status = parse_object(&object, line, size, "event", err);
    if (status != TARE_OK)
        return status;
    const char *name = json_string_value(json_object_get(object, "event"));
    if (!name)
        status = tare_fail(err, TARE_DATA, "event", NULL, "an object without an \"event\" name");
    else {
        event->kind = kind_of(name);
        if (!read_event(event, object))
            status = tare_fail(err, TARE_DATA, "event", "see doc/protocol.md",
                               "\"%.40s\" lacks a key, or one has the wrong type", name);
    }
    json_decref(object);
    return status;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

void tare_job_defaults(struct tare_job *job) {
    *job = (struct tare_job){.abi = TARE_ABI,
                             .task = "train",
                             .track = "controlled",
                             .norm = "u8/255",
                             .optimizer = "adam",
                             .schedule = "constant",
                             .lr = 1e-3,
                             .momentum = 0.9,
                             .beta1 = 0.9,
                             .beta2 = 0.999,
                             .epsilon = 1e-8,
                             .batch = 32,
                             .epochs = 1,
                             .threads = 1,
                             .precision = "float32",
                             .device = "cpu",
                             .first_apart = true};
}

/* The texts of a job, once: both directions walk this table. */
/* clang-format off */
#define JOB_TEXTS(X)                                                                               \
    X(task) X(track) X(variant) X(model) X(images) X(labels) X(test_images) X(data_dir) X(norm)    \
    X(init) X(order) X(precision) X(device) X(out) X(logits) X(export_dir) X(model_file)           \
    X(losses) X(logits_before) X(dump_dir) X(latencies) X(scratch)
/* clang-format on */
#define JOB_COUNTS(X) X(batch) X(epochs) X(steps) X(range) X(infer_loops) X(queries)

static json_t *list_of(const size_t *values, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_integer((json_int_t)values[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

enum tare_status tare_job_text(char **line, const struct tare_job *job, struct tare_err *err) {
    const size_t lost = tare_json_lost();
    json_t *object = json_object();
    json_t *optimizer = json_object();
    int bad = !object || !optimizer;
    bad |= json_object_set_new(object, "abi", json_integer(job->abi));
#define X(key) bad |= json_object_set_new(object, #key, json_string(job->key));
    JOB_TEXTS(X)
#undef X
    bad |= json_object_set_new(optimizer, "name", json_string(job->optimizer));
    bad |= json_object_set_new(optimizer, "schedule", json_string(job->schedule));
    bad |= json_object_set_new(optimizer, "lr", json_real(job->lr));
    bad |= json_object_set_new(optimizer, "momentum", json_real(job->momentum));
    bad |= json_object_set_new(optimizer, "beta1", json_real(job->beta1));
    bad |= json_object_set_new(optimizer, "beta2", json_real(job->beta2));
    bad |= json_object_set_new(optimizer, "epsilon", json_real(job->epsilon));
    bad |= json_object_set(object, "optimizer", optimizer);
#define X(key) bad |= json_object_set_new(object, #key, json_integer((json_int_t)job->key));
    JOB_COUNTS(X)
#undef X
    bad |= json_object_set_new(object, "threads", json_integer(job->threads));
    bad |= json_object_set_new(object, "seed", json_integer((json_int_t)job->seed));
    bad |= json_object_set_new(object, "first_apart", json_boolean(job->first_apart));
    bad |= json_object_set_new(object, "dump_at", list_of(job->dump_at, job->dump_count));
    bad |= json_object_set_new(object, "batches", list_of(job->batches, job->batch_count));
    char *text = bad ? NULL : tare_json_dump(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(optimizer);
    json_decref(object);
    const size_t size = text ? strlen(text) : 0;
    *line = text ? malloc(size + 2) : NULL;
    if (*line) {
        memcpy(*line, text, size);
        memcpy(*line + size, "\n", 2);
    }
    const bool no_memory = text || tare_json_lost() != lost;
    free(text);
    if (*line)
        return TARE_OK;
    if (no_memory)
        return tare_fail(err, TARE_MEMORY, "job", NULL, "no memory to write the job");
    return tare_fail(err, TARE_DATA, "job", "names and paths in UTF-8",
                     "the job cannot be written as JSON");
}

static bool read_dumps(struct tare_job *job, const json_t *o) {
    const json_t *list = json_object_get(o, "dump_at");
    const json_t *first_apart = json_object_get(o, "first_apart");
    job->first_apart = !json_is_false(first_apart);
    job->dump_count = json_array_size(list);
    if (job->dump_count > TARE_MAX_DUMPS)
        return false;
    for (size_t i = 0; i < job->dump_count; i++) {
        const json_t *step = json_array_get(list, i);
        size_t before = i > 0 ? job->dump_at[i - 1] : 0;
        if (!json_is_integer(step) || json_integer_value(step) <= (json_int_t)before)
            return false;
        job->dump_at[i] = (size_t)json_integer_value(step);
    }
    return true;
}

static bool read_batches(struct tare_job *job, const json_t *o) {
    const json_t *list = json_object_get(o, "batches");
    job->batch_count = json_array_size(list);
    if ((list && !json_is_array(list)) || job->batch_count > TARE_MAX_BATCHES)
        return false;
    for (size_t i = 0; i < job->batch_count; i++) {
        json_int_t batch = json_integer_value(json_array_get(list, i)); /* 0: not an integer */
        if (batch < 1 || batch > TARE_MAX_BATCH)
            return false;
        job->batches[i] = (size_t)batch;
    }
    return true;
}

static bool read_job(struct tare_job *job, const json_t *o) {
    const json_t *optimizer = json_object_get(o, "optimizer");
    size_t seed = 0;
    bool good = get_int(&job->abi, o, "abi");
#define X(key) good = good && get_whole_text(job->key, sizeof job->key, o, #key);
    JOB_TEXTS(X)
#undef X
#define X(key) good = good && get_count(&job->key, o, #key);
    JOB_COUNTS(X)
#undef X
    good = good && get_int(&job->threads, o, "threads") && get_count(&seed, o, "seed");
    job->seed = seed;
    good = good && read_dumps(job, o) && read_batches(job, o) && job->queries <= TARE_MAX_QUERIES;
    if (!optimizer)
        return good;
    return good && json_is_object(optimizer) &&
           get_whole_text(job->optimizer, sizeof job->optimizer, optimizer, "name") &&
           get_whole_text(job->schedule, sizeof job->schedule, optimizer, "schedule") &&
           get_number(&job->lr, optimizer, "lr") &&
           get_number(&job->momentum, optimizer, "momentum") &&
           get_number(&job->beta1, optimizer, "beta1") &&
           get_number(&job->beta2, optimizer, "beta2") &&
           get_number(&job->epsilon, optimizer, "epsilon");
}

enum tare_status tare_job_parse(struct tare_job *job, const char *line, size_t size,
                                struct tare_err *err) {
    tare_job_defaults(job);
    json_t *object = NULL;
    enum tare_status status = parse_object(&object, line, size, "job", err);
    if (status != TARE_OK)
        return status;
    if (!read_job(job, object))
        status = tare_fail(err, TARE_DATA, "job", "see doc/protocol.md",
                           "a key has the wrong type, or a text is too long");
    else if (job->abi != TARE_ABI)
        status = tare_fail(err, TARE_DATA, "job", "use a tare and an engine of the same version",
                           "speaks protocol %d; this engine speaks %d", job->abi, TARE_ABI);
    else if (job->batch == 0 || job->threads == 0)
        status = tare_fail(err, TARE_DATA, "job", NULL, "batch and threads must be at least 1");
    json_decref(object);
    return status;
}

bool tare_job_path(char out[TARE_MAX_PATH], const char *dir, const char *file) {
    int size = snprintf(out, TARE_MAX_PATH, "%s/%s", dir, file);
    return size > 0 && size < TARE_MAX_PATH;
}
