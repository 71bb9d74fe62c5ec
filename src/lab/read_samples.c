/* read_samples.c: the lines of samples.jsonl, and the experiment record.
 *
 * The file is append-only and may end in the middle of a line where a machine lost power: that last
 * line is left out and reported. Anything else that isn't what doc/formats.md says is an error with
 * the line's number: half-understood samples would be a wrong report. Salvaging leaves out the
 * lines that don't fit the chain. Jobs: read_job.c. Rows: summary.c.
 */
#include "lab/read_samples.h"

#include "lab/provenance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* What a file must say it is, and how to get one. */
static const struct tare_samples_kind {
    const char *format, *what, *again;
} campaign = {"tare-samples/1", "the samples.jsonl of a results folder that tare compare made",
              "run tare compare again"},
  sweep = {"tare-sweep/1", "the folder of a sweep that tare sweep made", "run tare sweep again"};

static const char *const track_names[] = {
#define X(id, name) name,
    TARE_TRACK_LIST(X)
#undef X
};

const char *tare_track_name(enum tare_track track) {
    return track_names[track];
}

void tare_read_fail(struct tare_reader *reader, const char *key, const char *expected) {
    if (reader->status != TARE_OK)
        return; /* the first error is the one to tell */
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", reader->name, reader->line);
    reader->status = tare_fail(reader->err, TARE_DATA, where,
                               "the file was changed or is of another version; run tare compare "
                               "again",
                               "\"%s\" is not %s", key, expected);
}

const char *tare_read_text(struct tare_reader *reader, const json_t *object, const char *key,
                           const char *missing) {
    const char *text = tare_read_lent(reader, object, key, missing);
    return text == missing ? text : tare_memory_text(reader->memory, text);
}

const char *tare_read_lent(struct tare_reader *reader, const json_t *object, const char *key,
                           const char *missing) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        return json_string_value(value);
    if (value != NULL || missing == NULL)
        tare_read_fail(reader, key, "a text");
    return missing == NULL ? "" : missing;
}

double tare_read_number(struct tare_reader *reader, const json_t *object, const char *key,
                        double missing) {
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value) && json_number_value(value) >= 0)
        return json_number_value(value);
    if (value != NULL && !json_is_null(value))
        tare_read_fail(reader, key, "a number that isn't negative");
    return missing;
}

size_t tare_read_count(struct tare_reader *reader, const json_t *object, const char *key,
                       size_t missing) {
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        return (size_t)json_integer_value(value);
    if (value != NULL || missing == TARE_COUNT_REQUIRED)
        tare_read_fail(reader, key, "a whole number that isn't negative");
    return missing;
}

bool tare_read_flag(struct tare_reader *reader, const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (value != NULL && !json_is_boolean(value))
        tare_read_fail(reader, key, "true or false");
    return json_is_true(value);
}

const json_t *tare_read_nested(struct tare_reader *reader, const json_t *object, const char *key,
                               json_type type) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL)
        return NULL;
    if (json_typeof(value) != type)
        tare_read_fail(reader, key, type == JSON_ARRAY ? "a list" : "an object");
    else if (json_array_size(value) + json_object_size(value) > TARE_MAX_EVENTS)
        tare_read_fail(reader, key, "short enough: at most 8192 items");
    else
        return value;
    return NULL;
}

enum tare_track tare_read_track(struct tare_reader *reader, const json_t *object) {
    const char *text = tare_read_lent(reader, object, "track", NULL);
    for (size_t i = 0; i < sizeof track_names / sizeof *track_names; i++)
        if (strcmp(text, track_names[i]) == 0)
            return (enum tare_track)i;
    tare_read_fail(reader, "track", "a track");
    return TARE_TRACK_TUTORIAL;
}

static void read_dataset(struct tare_reader *reader, struct tare_experiment *to,
                         const json_t *json) {
    to->dataset.name = tare_read_text(reader, json, "name", NULL);
    to->dataset.title = tare_read_text(reader, json, "title", NULL);
    to->dataset.sha256 = tare_read_text(reader, json, "sha256", "");
    to->dataset.licence = tare_read_text(reader, json, "licence", "");
    to->dataset.source = tare_read_text(reader, json, "source", "");
    to->dataset.standin = tare_read_flag(reader, json, "standin");
    to->dataset.train = tare_read_count(reader, json, "train", TARE_COUNT_REQUIRED);
    to->dataset.test = tare_read_count(reader, json, "test", TARE_COUNT_REQUIRED);
    to->dataset.classes = tare_read_count(reader, json, "classes", 0);
}

static void read_machine(struct tare_reader *reader, struct tare_experiment *to,
                         const json_t *json) {
    to->machine.cpu = tare_read_text(reader, json, "cpu", "");
    to->machine.flags = tare_read_text(reader, json, "flags", "");
    to->machine.kernel = tare_read_text(reader, json, "kernel", "");
    to->machine.os = tare_read_text(reader, json, "os", "");
    to->machine.governor = tare_read_text(reader, json, "governor", "");
    to->machine.cpus = tare_read_count(reader, json, "cpus", 0);
    to->machine.memory_bytes = tare_read_count(reader, json, "memory_bytes", 0);
    to->machine.load1 = tare_read_number(reader, json, "load1", NAN);
    to->machine.busy = tare_read_flag(reader, json, "busy");
}

struct tare_sample_cell tare_read_cell(struct tare_reader *reader,
                                       const struct tare_samples *samples, const json_t *json) {
    return (struct tare_sample_cell){
        .engine = tare_read_text(reader, json, "engine", NULL),
        .variant = tare_read_text(reader, json, "variant", ""),
        .device = tare_read_text(reader, json, "device", "cpu"),
        .track = TARE_TRACK_CONTROLLED,
        .threads = tare_read_count(reader, json, "threads", samples->experiment.plan.threads),
        .again = tare_read_flag(reader, json, "again"),
    };
}

static void read_environments(struct tare_reader *reader, struct tare_samples *samples,
                              const json_t *experiment) {
    struct tare_experiment *to = &samples->experiment;
    const json_t *list = tare_read_nested(reader, experiment, "environments", JSON_ARRAY);
    to->environments =
        tare_memory_take(&samples->memory, json_array_size(list), sizeof *to->environments);
    for (size_t i = 0; to->environments != NULL && i < json_array_size(list); i++) {
        const json_t *json = json_array_get(list, i);
        to->environments[to->environment_count++] = (struct tare_installed){
            .name = tare_read_text(reader, json, "name", NULL),
            .megabytes = tare_read_number(reader, json, "megabytes", NAN),
        };
    }
}

static void read_cells(struct tare_reader *reader, struct tare_samples *samples,
                       const json_t *plan) {
    const json_t *cells = tare_read_nested(reader, plan, "cells", JSON_ARRAY);
    if (json_array_size(cells) > TARE_MAX_SAMPLE_CELLS) {
        tare_read_fail(reader, "cells", "short enough: at most 64 of them");
        return;
    }
    samples->cells =
        tare_memory_take(&samples->memory, json_array_size(cells), sizeof *samples->cells);
    if (samples->cells == NULL)
        return;
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *json = json_array_get(cells, i);
        samples->cells[samples->cell_count++] = tare_read_cell(reader, samples, json);
        samples->cells[samples->cell_count - 1].track = tare_read_track(reader, json);
    }
}

static size_t *read_counts(struct tare_reader *reader, size_t *count, const json_t *plan,
                           const char *key) {
    const json_t *list = tare_read_nested(reader, plan, key, JSON_ARRAY);
    size_t *counts = tare_memory_take(reader->memory, json_array_size(list), sizeof *counts);
    bool good = json_array_size(list) > 0 && json_array_size(list) <= TARE_MAX_SWEEP_COUNTS;
    for (size_t i = 0; good && counts && i < json_array_size(list); i++) {
        const json_int_t value = json_integer_value(json_array_get(list, i));
        good = value > 0 && (i == 0 || (size_t)value > counts[i - 1]);
        counts[(*count)++] = (size_t)value;
    }
    if (!good)
        tare_read_fail(reader, key, "a list of 1 to 16 numbers that ascend");
    return counts;
}

/* What a sweep's plan holds beside an experiment's. */
static void read_sweep(struct tare_reader *reader, struct tare_samples *samples,
                       const json_t *plan) {
    struct tare_sweep_record *to = &samples->sweep;
    to->widths = read_counts(reader, &to->width_count, plan, "widths");
    to->batches = read_counts(reader, &to->batch_count, plan, "batches");
    to->budget_s = tare_read_number(reader, plan, "budget_s", NAN);
}

static void read_plan(struct tare_reader *reader, struct tare_samples *samples,
                      const json_t *json) {
    struct tare_experiment *to = &samples->experiment;
    const json_t *optimizer = tare_read_nested(reader, json, "optimizer", JSON_OBJECT);
    to->command = tare_read_text(reader, json, "command", "");
    to->plan.model = tare_read_text(reader, json, "model", NULL);
    to->plan.optimizer = tare_read_text(reader, optimizer, "name", "");
    to->plan.lr = tare_read_number(reader, optimizer, "lr", NAN);
    to->plan.params = tare_read_count(reader, json, "params", 0);
    const size_t missing = samples->kind == &sweep ? 0 : TARE_COUNT_REQUIRED;
    to->plan.epochs = tare_read_count(reader, json, "epochs", missing);
    to->plan.batch = tare_read_count(reader, json, "batch", missing);
    to->plan.runs = tare_read_count(reader, json, "runs", TARE_COUNT_REQUIRED);
    to->plan.threads = tare_read_count(reader, json, "threads", TARE_COUNT_REQUIRED);
    to->plan.seed = tare_read_count(reader, json, "seed", 0);
    to->plan.timeout_s = tare_read_number(reader, json, "timeout_s", NAN);
    to->plan.quick = tare_read_flag(reader, json, "quick");
    if (to->plan.runs < 1 || to->plan.runs > TARE_MAX_RUNS)
        tare_read_fail(reader, "runs", "between 1 and 1000");
    read_cells(reader, samples, json);
    if (samples->kind == &sweep)
        read_sweep(reader, samples, json);
}

static enum tare_status read_experiment(struct tare_samples *samples, const json_t *json,
                                        const char *name, struct tare_err *err) {
    struct tare_reader reader = {.memory = &samples->memory, .name = name, .line = 1, .err = err};
    struct tare_experiment *to = &samples->experiment;
    const char *record = json_string_value(json_object_get(json, "record"));
    const char *format = json_string_value(json_object_get(json, "format"));
    if (record == NULL || strcmp(record, "experiment") != 0 || format == NULL ||
        strcmp(format, samples->kind->format) != 0) {
        char hint[128];
        snprintf(hint, sizeof hint, "give %s", samples->kind->what);
        return tare_fail(err, TARE_DATA, name, hint,
                         "the first line is not an experiment record of format %s",
                         samples->kind->format);
    }
    to->created = tare_read_text(&reader, json, "created", "");
    const json_t *tare = tare_read_nested(&reader, json, "tare", JSON_OBJECT);
    to->tare_version = tare_read_text(&reader, tare, "version", "");
    to->tare_bytes = tare_read_number(&reader, tare, "bytes", NAN);
    read_dataset(&reader, to, tare_read_nested(&reader, json, "dataset", JSON_OBJECT));
    read_machine(&reader, to, tare_read_nested(&reader, json, "machine", JSON_OBJECT));
    read_plan(&reader, samples, tare_read_nested(&reader, json, "plan", JSON_OBJECT));
    read_environments(&reader, samples, json);
    return reader.status;
}

/* One parsed line after the first. Records of other kinds are from a newer tare. */
static enum tare_status read_record(struct tare_samples *samples, const json_t *json, size_t line,
                                    const char *name, struct tare_err *err) {
    struct tare_reader reader = {
        .memory = &samples->memory, .name = name, .line = line, .err = err};
    const char *record = tare_read_lent(&reader, json, "record", NULL);
    if (reader.status == TARE_OK && strcmp(record, "certificate") == 0) {
        if (samples->certificate_count == TARE_MAX_CERTIFICATES)
            tare_read_fail(&reader, "record", "allowed: there are more than 128 certificates");
        else
            return tare_samples_read_certificate(
                samples, &samples->certificates[samples->certificate_count++], json, line, name,
                err);
    }
    if (reader.status == TARE_OK && samples->kind == &sweep && strcmp(record, "end") == 0) {
        samples->complete = tare_read_flag(&reader, json, "complete");
        samples->wall_s = tare_read_number(&reader, json, "wall_s", NAN);
    }
    if (reader.status != TARE_OK || strcmp(record, "job") != 0)
        return reader.status;
    struct tare_job_record *job = &samples->jobs[samples->job_count];
    enum tare_status status = tare_samples_read_job(samples, job, json, line, name, err);
    if (status != TARE_OK)
        return status;
    /* They ascend as tare writes them; only where they don't is there anything to look for. */
    bool ascends = samples->job_count == 0 || job->index > samples->top_index;
    for (size_t i = 0; i < samples->job_count && !ascends; i++)
        if (samples->jobs[i].index == job->index)
            tare_read_fail(&reader, "index", "unique: an earlier line has the same");
    samples->top_index = ascends ? job->index : samples->top_index;
    if (samples->job_count == TARE_MAX_JOBS)
        tare_read_fail(&reader, "record", "allowed: there are more than 20000 jobs");
    else
        samples->job_count++;
    return reader.status;
}

static enum tare_status bad_line(struct tare_err *err, const char *name, size_t line,
                                 const json_error_t *error) {
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", name, line);
    return tare_fail(err, TARE_DATA, where,
                     line == 1 ? "give the samples.jsonl of a results folder, or restore it from a "
                                 "copy"
                               : "restore the file, or delete from this line on to report what "
                                 "came before",
                     "not a JSON object: %s at byte %d of the line", error->text, error->position);
}

/* One line without its newline, where it has one. torn: it is what a crash leaves of a last one. */
static enum tare_status parse_line(struct tare_samples *samples, bool *torn, const char *text,
                                   size_t size, size_t line, bool newline, bool last,
                                   const char *name, struct tare_err *err) {
    json_error_t error = {.text = "it has no newline at its end", .position = (int)size};
    enum tare_status read = TARE_DATA;
    json_t *json = newline ? tare_json_load(text, size, &error, &read) : NULL;
    if (read == TARE_MEMORY)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory for line %zu", line);
    *torn = json == NULL && last && line > 1;
    if (json == NULL)
        return *torn ? TARE_OK : bad_line(err, name, line, &error);
    enum tare_status status = line == 1 ? read_experiment(samples, json, name, err)
                                        : read_record(samples, json, line, name, err);
    json_decref(json);
    return status;
}

/* Remembers a line that doesn't fit the chain. */
static enum tare_status take_misfit(struct tare_samples *samples, size_t line, const char *name,
                                    struct tare_err *err) {
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", name, line);
    if (samples->salvaged && line == 1)
        return tare_fail(err, TARE_DATA, where,
                         "restore this line from a copy of the folder; the reports in it, if they "
                         "are there, still say what was measured",
                         "the experiment's own line doesn't fit its checksum: what was planned, "
                         "with which data and on which machine, can't be known");
    if (samples->misfit_count == TARE_MAX_MISFITS)
        return tare_fail(err, TARE_DATA, where, "restore the file from a copy",
                         "more than %d lines don't fit their checksums", TARE_MAX_MISFITS);
    samples->misfits[samples->misfit_count++] = line;
    return TARE_OK;
}

static enum tare_status parse_lines(struct tare_samples *samples, const char *text, size_t size,
                                    const char *name, struct tare_err *err) {
    bool chained = tare_is_chained(text, size);
    struct tare_chain chain = {0};
    size_t line = 1;
    for (size_t at = 0; at < size; line++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline == NULL ? size : (size_t)(newline - text);
        size_t next = newline == NULL ? size : end + 1;
        bool sound = true, torn = false;
        enum tare_status status = TARE_OK;
        if (chained && !tare_chain_take(&chain, &sound, text + at, end - at))
            return tare_fail(err, TARE_MEMORY, name, NULL, "no memory for line %zu", line);
        if (newline != NULL && !sound)
            status = take_misfit(samples, line, name, err);
        if (status == TARE_OK && (sound || newline == NULL || !samples->salvaged))
            status = parse_line(samples, &torn, text + at, end - at, line, newline != NULL,
                                next == size, name, err);
        if (torn) {
            samples->torn_line = line;
            samples->misfit_count -= newline != NULL && !sound; /* it is told as what it is */
        }
        if (status != TARE_OK)
            return status;
        at = next;
    }
    return line > 1 ? TARE_OK
                    : tare_fail(err, TARE_DATA, name, samples->kind->again,
                                "the file is empty: the experiment ended before it began");
}

void tare_samples_hint(const struct tare_samples *samples, struct tare_err *err) {
    if (err != NULL && !samples->salvaged && samples->misfit_count > 0 && samples->misfits[0] > 1)
        snprintf(err->hint, sizeof err->hint,
                 "restore the file from a copy, or leave out the lines that don't fit their "
                 "checksums: tare report --salvage DIR");
}

static enum tare_status parse(struct tare_samples *samples, const struct tare_samples_kind *kind,
                              bool salvage, const void *bytes, size_t size, const char *name,
                              struct tare_err *err) {
    *samples = (struct tare_samples){.kind = kind, .salvaged = salvage, .wall_s = NAN};
    /* No valid job is shorter than 64 bytes, and one slot is for a job that turns out invalid. */
    size_t most = size / 64 < TARE_MAX_JOBS ? size / 64 : TARE_MAX_JOBS;
    samples->jobs = tare_memory_take(&samples->memory, most + 1, sizeof *samples->jobs);
    samples->certificates =
        tare_memory_take(&samples->memory, TARE_MAX_CERTIFICATES, sizeof *samples->certificates);
    samples->misfits =
        tare_memory_take(&samples->memory, TARE_MAX_MISFITS, sizeof *samples->misfits);
    enum tare_status status = TARE_OK;
    if (!samples->memory.failed)
        status = parse_lines(samples, bytes, size, name, err);
    if (status == TARE_OK && samples->memory.failed)
        status = tare_fail(err, TARE_MEMORY, name, NULL, "no memory for the samples");
    if (status == TARE_DATA)
        tare_samples_hint(samples, err);
    if (status != TARE_OK)
        tare_memory_free(&samples->memory);
    return status;
}

enum tare_status tare_samples_parse(struct tare_samples *samples, const void *bytes, size_t size,
                                    const char *name, struct tare_err *err) {
    return parse(samples, &campaign, false, bytes, size, name, err);
}

enum tare_status tare_samples_parse_sweep(struct tare_samples *samples, const void *bytes,
                                          size_t size, const char *name, struct tare_err *err) {
    return parse(samples, &sweep, false, bytes, size, name, err);
}

enum tare_status tare_samples_salvage(struct tare_samples *samples, const void *bytes, size_t size,
                                      const char *name, struct tare_err *err) {
    return parse(samples, &campaign, true, bytes, size, name, err);
}
