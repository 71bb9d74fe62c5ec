/* record.c: what happened, as JSON: the experiment's line and one line per job. */
#include "lab/record.h"

#include <math.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "lab/provenance.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/environment.h"
#include "tare/version.h"

/* A failure leaves a gap, which tare_json_whole finds when the record is done. */
static void set(json_t *object, const char *key, json_t *value) {
    json_object_set_new(object, key, value);
}

static json_t *count(size_t value) {
    return json_integer((json_int_t)value);
}

/* Engines may say anything, also bytes that are no UTF-8; those were refused when parsed, but a
 * text cut to its field can end inside a character: the rest of that character goes. */
static json_t *text(const char *value) {
    size_t size = strlen(value);
    for (json_t *string; size > 0; size--)
        if ((string = json_stringn(value, size)))
            return string;
    return json_string("");
}

static size_t file_bytes(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
}

/* ---- the experiment ----------------------------------------------------------------------------
 */

static json_t *dataset_record(const struct tare_dataset *set) {
    return json_pack("{s:o,s:o,s:s,s:o,s:b,s:o,s:I,s:I,s:I}", "name", text(set->name), "title",
                     text(set->title), "sha256", set->sha256, "licence", text(set->licence),
                     "standin", (int)set->standin, "source", text(set->source), "train",
                     (json_int_t)set->train_images.shape[0], "test",
                     (json_int_t)set->test_images.shape[0], "classes", (json_int_t)set->classes);
}

static json_t *machine_record(const struct tare_machine *m) {
    return json_pack("{s:o,s:i,s:s,s:I,s:o,s:o,s:s,s:f,s:f,s:b}", "cpu", text(m->cpu), "cpus",
                     m->cpus, "flags", m->flags, "memory_bytes", (json_int_t)m->memory_bytes,
                     "kernel", text(m->kernel), "os", text(m->os), "governor", m->governor, "load1",
                     m->load1, "others", m->others, "busy", (int)m->busy);
}

static json_t *cell_record(const struct tare_cell *cell) {
    json_t *record =
        json_pack("{s:s,s:s,s:s,s:s,s:i}", "engine", cell->engine, "variant", cell->variant,
                  "track", cell->track, "device", cell->device, "threads", cell->threads);
    if (cell->again)
        set(record, "again", json_true());
    return record;
}

static json_t *plan_record(const struct tare_plan *x) {
    json_t *cells = json_array();
    for (size_t i = 0; i < x->cell_count; i++)
        json_array_append_new(cells, cell_record(&x->cells[i]));
    struct tare_cell harness;
    if (tare_plan_harness(&harness, x))
        json_array_append_new(cells, cell_record(&harness));
    json_t *optimizer = json_pack("{s:s,s:f,s:f,s:f,s:f}", "name", "adam", "lr", x->lr, "beta1",
                                  0.9, "beta2", 0.999, "epsilon", 1e-8);
    return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:i,s:b,s:b,s:f,s:o,s:o,s:o}", "model", x->model,
                     "params", (json_int_t)x->net.param_count, "epochs", (json_int_t)x->epochs,
                     "batch", (json_int_t)x->batch, "runs", (json_int_t)x->runs, "seed",
                     (json_int_t)x->seed, "threads", x->threads, "quick", (int)x->quick, "certify",
                     (int)x->certify, "timeout_s", x->timeout_s, "optimizer", optimizer, "command",
                     text(x->command), "cells", cells);
}

/* What each framework takes on the disk, of those that are here. NULL when nobody can say. */
static json_t *environments_record(struct tare_err *err) {
    json_t *environments = json_array();
    size_t count_known = 0;
    const struct tare_known_engine *known = tare_known_engines(&count_known);
    for (size_t i = 0; i < count_known; i++) {
        struct tare_environment environment;
        bool seen = false;
        for (size_t j = 0; j < i && known[i].environment; j++)
            seen = seen || (known[j].environment &&
                            strcmp(known[j].environment, known[i].environment) == 0);
        if (!known[i].environment || seen)
            continue;
        struct tare_err why = {0};
        tare_environment_find(known[i].environment, &environment, &why);
        if (why.status == TARE_OK)
            json_array_append_new(environments, json_pack("{s:s,s:f}", "name", known[i].environment,
                                                          "megabytes", environment.megabytes));
        else if (why.status != TARE_DATA) { /* that is: it isn't here */
            *err = why;
            json_decref(environments);
            return NULL;
        }
    }
    return environments;
}

json_t *tare_record_experiment(const struct tare_campaign *campaign, struct tare_err *err) {
    char created[21];
    const size_t lost = tare_json_lost();
    struct tare_err why = {0};
    json_t *environments = environments_record(&why);
    tare_utc_text(created);
    json_t *record =
        json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:o},s:o,s:o,s:o,s:o}", "record", "experiment", "format",
                  "tare-samples/1", "created", created, "tare", "version", TARE_VERSION, "sha256",
                  tare_provenance_self(), "bytes", count(file_bytes("/proc/self/exe")), "dataset",
                  dataset_record(campaign->dataset), "machine", machine_record(campaign->machine),
                  "environments", environments, "plan", plan_record(campaign->plan));
    record = tare_json_whole(record, lost);
    if (!record && why.status == TARE_OK)
        tare_fail(&why, TARE_MEMORY, "samples.jsonl", NULL, "no memory for a record");
    if (!record && err)
        *err = why;
    return record;
}

json_t *tare_record_run(size_t run, const char *results_dir) {
    char folder[40];
    const size_t lost = tare_json_lost();
    snprintf(folder, sizeof folder, "runs/%zu", run);
    json_t *record = json_pack("{s:s,s:o,s:o}", "record", "run", "run", count(run), "files",
                               tare_provenance_files(results_dir, folder));
    return tare_json_whole(record, lost);
}

json_t *tare_record_resume(const struct tare_machine *machine) {
    char created[21];
    const size_t lost = tare_json_lost();
    tare_utc_text(created);
    return tare_json_whole(json_pack("{s:s,s:s,s:o}", "record", "resume", "created", created,
                                     "machine", machine_record(machine)),
                           lost);
}

json_t *tare_record_end(bool complete) {
    return json_pack("{s:s,s:b}", "record", "end", "complete", (int)complete);
}

/* ---- a job -------------------------------------------------------------------------------------
 */

/* An exported model is the file named and, when there is one, <file>.data beside it. */
static json_t *export_record(const struct tare_event *event, const char *engine,
                             const char *results_dir) {
    char data_path[TARE_MAX_PATH + 8];
    snprintf(data_path, sizeof data_path, "%s.data", event->extra);
    size_t data_bytes = file_bytes(data_path);
    size_t prefix = strlen(results_dir);
    const char *path = event->extra;
    if (strncmp(path, results_dir, prefix) == 0 && path[prefix] == '/')
        path += prefix + 1;
    return json_pack("{s:o,s:o,s:o,s:i,s:I,s:I}", "format", text(event->name), "exporter",
                     text(event->text[0] ? event->text : engine), "path", text(path), "files",
                     data_bytes ? 2 : 1, "bytes",
                     (json_int_t)(file_bytes(event->extra) + data_bytes), "wall_ns",
                     (json_int_t)event->wall_ns);
}

/* Phases of one name are one phase; the order of their first appearance is kept. */
static void add_phase(json_t *phases, const char *name, int64_t wall_ns) {
    size_t i;
    json_t *phase;
    json_array_foreach(phases, i, phase) {
        json_t *sum = json_object_get(phase, "wall_ns");
        if (strcmp(json_string_value(json_object_get(phase, "name")), name) == 0) {
            json_integer_set(sum, json_integer_value(sum) + wall_ns);
            return;
        }
    }
    json_array_append_new(
        phases, json_pack("{s:o,s:I}", "name", text(name), "wall_ns", (json_int_t)wall_ns));
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

struct lists {
    json_t *phases, *epochs, *samples, *metrics, *settings, *exports, *user_code, *sources;
};

#define SOURCE "source:" /* a setting that is the checksum of a file the engine ran */

static void sort_event(struct lists *l, const struct tare_event *e, const char *engine,
                       const char *results_dir) {
    switch (e->kind) {
    case TARE_EVENT_PHASE:
        add_phase(l->phases, e->name, e->wall_ns);
        return;
    case TARE_EVENT_EPOCH:
        json_array_append_new(l->epochs, json_pack("{s:o,s:I}", "loss", number(e->value), "wall_ns",
                                                   (json_int_t)e->wall_ns));
        return;
    case TARE_EVENT_SAMPLE:
        json_array_append_new(l->samples,
                              json_pack("{s:o,s:o,s:o,s:I,s:b}", "call", text(e->extra), "batch",
                                        count(e->batch), "loops", count(e->loops), "wall_ns",
                                        (json_int_t)e->wall_ns, "first", (int)e->first));
        return;
    case TARE_EVENT_METRIC:
        set(l->metrics, e->name, number(e->value));
        return;
    case TARE_EVENT_SETTING:
        if (strncmp(e->name, SOURCE, strlen(SOURCE)) == 0)
            set(l->sources, e->name + strlen(SOURCE), text(e->text));
        else if (strcmp(e->name, "version") != 0)
            set(l->settings, e->name, text(e->text));
        return;
    case TARE_EVENT_EXPORT:
        json_array_append_new(l->exports, export_record(e, engine, results_dir));
        return;
    case TARE_EVENT_USER_CODE:
        set(l->user_code, e->name,
            json_pack("{s:o,s:o}", "lines", count(e->lines), "statements", count(e->statements)));
        return;
    case TARE_EVENT_HELLO:
    case TARE_EVENT_SKIP:
    case TARE_EVENT_FAIL:
    case TARE_EVENT_BYE:
    case TARE_EVENT_UNKNOWN:
        return;
    }
}

static void set_unless_empty(json_t *record, const char *key, json_t *value) {
    if (json_array_size(value) > 0 || json_object_size(value) > 0)
        set(record, key, value);
    else
        json_decref(value);
}

static void add_events(json_t *record, const struct tare_job_result *result,
                       const char *results_dir) {
    const struct tare_outcome *o = &result->outcome;
    struct lists l = {json_array(),  json_array(), json_array(),  json_object(),
                      json_object(), json_array(), json_object(), json_object()};
    if (o->hello_ns)
        add_phase(l.phases, "start", o->hello_ns - o->exec_ns);
    for (size_t i = 0; i < o->event_count; i++)
        sort_event(&l, &o->events[i], result->cell.engine, results_dir);
    set_unless_empty(record, "phases", l.phases);
    set_unless_empty(record, "epochs", l.epochs);
    set_unless_empty(record, "samples", l.samples);
    set_unless_empty(record, "metrics", l.metrics);
    set_unless_empty(record, "settings", l.settings);
    set_unless_empty(record, "exports", l.exports);
    set_unless_empty(record, "user_code", l.user_code);
    set_unless_empty(record, "sources", l.sources);
}

/* A percentile that the queries don't bear, or that is off their scale, is null. */
static json_t *latency_record(const struct tare_latency *latency) {
    json_t *record = json_pack("{s:o}", "n", count(latency->n));
    for (int q = 0; q < TARE_QUANTILE_COUNT; q++) {
        const struct tare_quantile *quantile = &latency->quantile[q];
        char key[16];
        snprintf(key, sizeof key, "%s_ns", tare_quantile_name((enum tare_quantile_id)q));
        set(record, key,
            isfinite(quantile->seconds) ? json_integer(llround(quantile->seconds * 1e9))
                                        : json_null());
    }
    return record;
}

static void add_source(json_t *record, const struct tare_job_result *result) {
    const struct tare_job_result *of = result->of;
    set(record, "of",
        json_pack("{s:I,s:s,s:s,s:s,s:s,s:o,s:o}", "index", (json_int_t)of->index, "engine",
                  of->cell.engine, "variant", of->cell.variant, "track", of->cell.track, "format",
                  result->format, "exporter", text(result->exporter), "path", text(result->path)));
    if (result->compared) {
        set(record, "max_abs_diff", number(result->max_abs_diff));
        set(record, "changed_answers", count(result->changed_answers));
    }
    if (result->has_parity)
        set(record, "parity",
            json_pack("{s:o,s:o,s:o}", "ratio", number(result->parity.ratio), "max_abs_diff",
                      number(result->parity.max_abs_diff), "changed_answers",
                      count(result->parity.changed_answers)));
    if (result->has_latency)
        set(record, "latency", latency_record(&result->latency));
}

/* The images that were answered right, in base64: who disagrees with whom is computed from it. */
static json_t *right_record(const struct tare_job_result *result) {
    size_t bytes = TARE_RIGHT_BYTES(result->grade.total);
    char *base64 = malloc(BASE64_ENCODE_RAW_LENGTH(bytes));
    if (!base64)
        return NULL;
    base64_encode_raw(base64, bytes, result->right);
    json_t *record = json_stringn(base64, BASE64_ENCODE_RAW_LENGTH(bytes));
    free(base64);
    return record;
}

/* Where in a sweep it stands, and how far it trained. */
static void add_sweep(json_t *record, const struct tare_job_result *result) {
    set(record, "width", count(result->width));
    set(record, "steps", count(result->steps));
    set(record, "others", number(result->others));
    if (result->left_out)
        set(record, "left_out", text(result->left_out));
}

json_t *tare_record_job(const struct tare_job_result *result, const char *results_dir) {
    const struct tare_outcome *o = &result->outcome;
    const size_t lost = tare_json_lost();
    json_t *record = json_pack(
        "{s:s,s:I,s:i,s:s,s:s,s:s,s:s,s:s,s:i,s:I}", "record", "job", "index",
        (json_int_t)result->index, "run", result->run, "task", result->task, "engine",
        result->cell.engine, "variant", result->cell.variant, "track", result->cell.track, "device",
        result->cell.device, "threads", result->cell.threads, "batch", (json_int_t)result->batch);
    if (!record)
        return NULL;
    if (result->cell.again)
        set(record, "again", json_true());
    set(record, "version", text(o->version));
    set(record, "state", json_string(tare_state_name(o->state)));
    set(record, "reason", text(o->reason));
    set(record, "fix", text(o->fix));
    set(record, "reproduce", text(result->reproduce));
    set(record, "dir", text(result->dir ? result->dir : ""));
    if (o->exec_ns) {
        int64_t last_ns = o->bye_ns ? o->bye_ns : o->end_ns;
        set(record, "wall_ns", json_integer(last_ns - o->exec_ns));
        set(record, "process_ns", json_integer(o->end_ns - o->exec_ns));
        set(record, "cpu_ns", json_integer(o->cpu_ns));
        set(record, "peak_rss_bytes", count(o->peak_rss_bytes));
    }
    if (o->timed_out)
        set(record, "timed_out", json_true());
    if (o->log_bytes_dropped)
        set(record, "log_bytes_dropped", count(o->log_bytes_dropped));
    if (o->leftovers)
        set(record, "leftovers", json_integer(o->leftovers));
    add_events(record, result, results_dir);
    if (result->graded)
        set(record, "accuracy",
            json_pack("{s:o,s:o}", "correct", count(result->grade.correct), "total",
                      count(result->grade.total)));
    json_t *right = result->right ? right_record(result) : NULL;
    if (result->right && !right) {
        json_decref(record);
        return NULL;
    }
    if (right)
        set(record, "right", right);
    if (result->of)
        add_source(record, result);
    if (result->steps)
        add_sweep(record, result);
    set(record, "program_sha256", text(result->program_sha256));
    json_t *files = result->dir ? tare_provenance_files(results_dir, result->dir) : json_object();
    if (!files) {
        json_decref(record);
        return NULL;
    }
    set(record, "files", files);
    return tare_json_whole(record, lost);
}
