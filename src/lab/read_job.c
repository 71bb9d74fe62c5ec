/* read_job.c: one job record of samples.jsonl, and the measures of a report that follow from it.
 *
 * A measure that the job doesn't give stays NaN and counts in no statistic; no measure is ever
 * guessed from another one. read_samples.c calls this per line; summary.c takes medians over runs.
 */
#include <math.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#include "lab/read_samples.h"

#define NS_PER_S 1e9

static const char *const state_names[] = {
#define X(id, name) name,
    TARE_STATE_LIST(X)
#undef X
};

enum tare_cell_state tare_read_state(struct tare_reader *reader, const json_t *object,
                                     const char *key) {
    const char *text = tare_read_lent(reader, object, key, NULL);
    for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++)
        if (strcmp(text, state_names[i]) == 0)
            return (enum tare_cell_state)i;
    tare_read_fail(reader, key, "a state (ok, failed, skipped, void, not-same-work)");
    return TARE_STATE_FAILED;
}

/* Seconds under a key in nanoseconds; required, because a time that is not there is not 0. */
static double read_seconds(struct tare_reader *reader, const json_t *json) {
    double wall_ns = tare_read_number(reader, json, "wall_ns", NAN);
    if (isnan(wall_ns))
        tare_read_fail(reader, "wall_ns", "there");
    return wall_ns / NS_PER_S;
}

static void read_phases(struct tare_reader *reader, struct tare_job_record *job,
                        struct tare_memory *memory, const json_t *json) {
    const json_t *list = tare_read_nested(reader, json, "phases", JSON_ARRAY);
    job->phases = tare_memory_take(memory, json_array_size(list), sizeof *job->phases);
    for (size_t i = 0; job->phases != NULL && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = tare_read_lent(reader, item, "name", NULL);
        size_t at = 0;
        while (at < job->phase_count && strcmp(job->phases[at].name, name) != 0)
            at++;
        if (at == job->phase_count)
            job->phases[job->phase_count++].name = tare_memory_text(memory, name);
        job->phases[at].value += read_seconds(reader, item);
    }
}

/* Seconds of a phase; NaN when the job has none of that name. */
static double phase_s(const struct tare_job_record *job, const char *name) {
    for (size_t i = 0; i < job->phase_count; i++)
        if (strcmp(job->phases[i].name, name) == 0)
            return job->phases[i].value;
    return NAN;
}

/* a + b, where either may be missing but not both. */
static double sum_of_present(double a, double b) {
    return isnan(a) ? b : isnan(b) ? a : a + b;
}

/* One sample of a job, and where it stood; or a group of them, and where its first stood. */
struct timed {
    struct tare_call_value call; /* its text is the JSON's */
    size_t at;
};

static int compare_calls(const struct tare_call_value *x, const struct tare_call_value *y) {
    int calls = strcmp(x->call, y->call);
    if (calls != 0)
        return calls;
    if (x->batch != y->batch)
        return x->batch < y->batch ? -1 : 1;
    return x->first - y->first;
}

static int by_call_and_time(const void *a, const void *b) {
    const struct timed *x = a, *y = b;
    int calls = compare_calls(&x->call, &y->call);
    return calls != 0 ? calls
                      : (x->call.seconds > y->call.seconds) - (x->call.seconds < y->call.seconds);
}

static int by_place(const void *a, const void *b) {
    const struct timed *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* Groups the samples by call, batch and first, in order of appearance; a group's value is the
 * median of its samples, which tare_quantile gives too, but in the square of their number: a file
 * may hold millions. */
static void group_calls(struct tare_job_record *job, struct tare_memory *memory,
                        struct timed *samples, size_t count) {
    size_t groups = 0;
    qsort(samples, count, sizeof *samples, by_call_and_time);
    for (size_t i = 0, end = 0; i < count; i = end) {
        struct timed group = samples[i];
        for (end = i; end < count && compare_calls(&samples[i].call, &samples[end].call) == 0;
             end++)
            group.at = samples[end].at < group.at ? samples[end].at : group.at;
        double lo = samples[i + (end - i - 1) / 2].call.seconds;
        double hi = samples[i + (end - i) / 2].call.seconds;
        group.call.seconds = lo >= hi ? lo : lo + (hi - lo) * 0.5;
        samples[groups++] = group; /* never past what was read */
    }
    qsort(samples, groups, sizeof *samples, by_place);
    job->calls = tare_memory_take(memory, groups, sizeof *job->calls);
    for (size_t i = 0; job->calls != NULL && i < groups; i++) {
        samples[i].call.call = tare_memory_text(memory, samples[i].call.call);
        job->calls[job->call_count++] = samples[i].call;
    }
}

static void read_calls(struct tare_reader *reader, struct tare_job_record *job,
                       struct tare_memory *memory, const json_t *json) {
    const json_t *list = tare_read_nested(reader, json, "samples", JSON_ARRAY);
    size_t count = json_array_size(list);
    struct timed *samples = calloc(count + 1, sizeof *samples);
    memory->failed = memory->failed || samples == NULL;
    for (size_t i = 0; samples != NULL && i < count; i++) {
        const json_t *item = json_array_get(list, i);
        size_t loops = tare_read_count(reader, item, "loops", 1);
        if (loops == 0)
            tare_read_fail(reader, "loops", "at least 1");
        samples[i].at = i;
        samples[i].call = (struct tare_call_value){
            .call = tare_read_lent(reader, item, "call", "infer"),
            .batch = tare_read_count(reader, item, "batch", TARE_COUNT_REQUIRED),
            .first = tare_read_flag(reader, item, "first"),
            .seconds = read_seconds(reader, item) / (double)(loops > 0 ? loops : 1),
        };
    }
    if (samples != NULL && reader->status == TARE_OK)
        group_calls(job, memory, samples, count);
    free(samples);
}

/* The first call listed is the one that stands in the tables; other calls are shown by name. */
static void choose_calls(struct tare_job_record *job, size_t test_images) {
    job->infer_call = job->call_count > 0 ? job->calls[0].call : "";
    for (size_t i = 0; i < job->call_count; i++) {
        const struct tare_call_value *call = &job->calls[i];
        if (strcmp(call->call, job->infer_call) != 0)
            continue;
        if (call->first && isnan(job->values[TARE_INFER_FIRST_S]))
            job->values[TARE_INFER_FIRST_S] = call->seconds;
        if (!call->first && call->batch == test_images)
            job->values[TARE_INFER_10000_S] = call->seconds;
        if (!call->first && call->batch == 1)
            job->values[TARE_INFER_ONE_S] = call->seconds;
    }
}

static void read_accuracy(struct tare_reader *reader, struct tare_job_record *job,
                          const json_t *json) {
    const json_t *graded = tare_read_nested(reader, json, "accuracy", JSON_OBJECT);
    if (graded == NULL)
        return;
    job->correct = tare_read_count(reader, graded, "correct", TARE_COUNT_REQUIRED);
    job->total = tare_read_count(reader, graded, "total", TARE_COUNT_REQUIRED);
    if (reader->status == TARE_OK && (job->total == 0 || job->correct > job->total))
        tare_read_fail(reader, "correct", "between 0 and total, and total above 0");
    else
        job->values[TARE_ACCURACY] = (double)job->correct / (double)job->total;
}

/* Which answers were right: as many bits as images, and as many ones as `correct`. */
static void read_right(struct tare_reader *reader, struct tare_job_record *job,
                       struct tare_memory *memory, const json_t *json) {
    const char *text = tare_read_lent(reader, json, "right", "");
    size_t size = strlen(text), bytes = 0, ones = 0;
    if (size == 0)
        return;
    uint8_t *right = tare_memory_take(memory, BASE64_DECODE_LENGTH(size), 1);
    struct base64_decode_ctx base64;
    if (right == NULL)
        return;
    base64_decode_init(&base64);
    bool good = base64_decode_update(&base64, &bytes, right, size, text) &&
                base64_decode_final(&base64) && bytes == TARE_RIGHT_BYTES(job->total);
    for (size_t i = 0; good && i < bytes; i++)
        ones += (size_t)__builtin_popcount(right[i]);
    if (good && job->total % 8 != 0)
        good = right[bytes - 1] >> job->total % 8 == 0;
    if (!good || ones != job->correct)
        tare_read_fail(reader, "right", "a bit per image, with as many ones as were correct");
    else
        job->right = right;
}

static void read_last_loss(struct tare_reader *reader, struct tare_job_record *job,
                           const json_t *json) {
    const json_t *epochs = tare_read_nested(reader, json, "epochs", JSON_ARRAY);
    if (json_array_size(epochs) == 0)
        return;
    const json_t *last = json_array_get(epochs, json_array_size(epochs) - 1);
    job->values[TARE_LAST_LOSS] = tare_read_number(reader, last, "loss", NAN);
}

static void read_exports(struct tare_reader *reader, struct tare_job_record *job,
                         struct tare_memory *memory, const json_t *json) {
    const json_t *list = tare_read_nested(reader, json, "exports", JSON_ARRAY);
    job->exports = tare_memory_take(memory, json_array_size(list), sizeof *job->exports);
    for (size_t i = 0; job->exports != NULL && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        job->exports[job->export_count++] = (struct tare_export_value){
            .format = tare_read_text(reader, item, "format", NULL),
            .exporter = tare_read_text(reader, item, "exporter", job->cell.engine),
            .path = tare_read_text(reader, item, "path", ""),
            .files = tare_read_count(reader, item, "files", 1),
            .bytes = tare_read_count(reader, item, "bytes", TARE_COUNT_REQUIRED),
            .seconds = read_seconds(reader, item),
        };
    }
}

/* settings, metrics and user_code are objects whose keys are names. */
static void read_maps(struct tare_reader *reader, struct tare_job_record *job,
                      struct tare_memory *memory, const json_t *json) {
    json_t *settings = (json_t *)tare_read_nested(reader, json, "settings", JSON_OBJECT);
    json_t *metrics = (json_t *)tare_read_nested(reader, json, "metrics", JSON_OBJECT);
    json_t *code = (json_t *)tare_read_nested(reader, json, "user_code", JSON_OBJECT);
    job->settings = tare_memory_take(memory, json_object_size(settings), sizeof *job->settings);
    job->metrics = tare_memory_take(memory, json_object_size(metrics), sizeof *job->metrics);
    job->code = tare_memory_take(memory, json_object_size(code), sizeof *job->code);
    if (job->settings == NULL || job->metrics == NULL || job->code == NULL)
        return;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(settings, key, value) {
        job->settings[job->setting_count++] = (struct tare_setting){
            tare_memory_text(memory, key), tare_read_text(reader, settings, key, NULL)};
    }
    json_object_foreach(metrics, key, value) {
        if (json_is_null(value)) /* NaN or infinite */
            continue;
        if (!json_is_number(value)) /* a metric may be negative, so not tare_read_number */
            tare_read_fail(reader, key, "a number");
        job->metrics[job->metric_count++] =
            (struct tare_named_value){tare_memory_text(memory, key), json_number_value(value)};
    }
    json_object_foreach(code, key, value) {
        job->code[job->code_count++] = (struct tare_user_code){
            tare_memory_text(memory, key),
            tare_read_count(reader, value, "lines", TARE_COUNT_REQUIRED),
            tare_read_count(reader, value, "statements", TARE_COUNT_REQUIRED)};
    }
}

static void read_of(struct tare_reader *reader, struct tare_job_record *job, const json_t *json) {
    const json_t *of = tare_read_nested(reader, json, "of", JSON_OBJECT);
    job->has_of = of != NULL;
    if (of == NULL)
        return;
    job->of_index = tare_read_count(reader, of, "index", TARE_COUNT_REQUIRED);
    job->of_format = tare_read_text(reader, of, "format", NULL);
    job->of_exporter = tare_read_text(reader, of, "exporter", "");
}

/* How an exported file did: its logits by the reference, and single images. */
static void read_deployment(struct tare_reader *reader, struct tare_job_record *job,
                            const json_t *json) {
    const json_t *parity = tare_read_nested(reader, json, "parity", JSON_OBJECT);
    const json_t *latency = tare_read_nested(reader, json, "latency", JSON_OBJECT);
    job->max_abs_diff = tare_read_number(reader, json, "max_abs_diff", NAN);
    job->changed_answers = tare_read_number(reader, json, "changed_answers", NAN);
    job->parity_ratio = tare_read_number(reader, parity, "ratio", NAN);
    job->parity_changed = tare_read_number(reader, parity, "changed_answers", NAN);
    job->queries = tare_read_count(reader, latency, "n", 0);
    for (int q = 0; q < TARE_QUANTILE_COUNT; q++) {
        char key[16];
        snprintf(key, sizeof key, "%s_ns", tare_quantile_name((enum tare_quantile_id)q));
        job->query_s[q] = tare_read_number(reader, latency, key, NAN) / NS_PER_S;
    }
}

/* From exec to the answer to the first image. */
static double cold_start_s(const struct tare_job_record *job) {
    const char *const phases[] = {"import", "load", "build"};
    double seconds = phase_s(job, "start") + job->values[TARE_INFER_FIRST_S];
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
        seconds = sum_of_present(phase_s(job, phases[i]), seconds);
    return seconds;
}

static void read_head(struct tare_reader *reader, struct tare_samples *samples,
                      struct tare_job_record *job, const json_t *json) {
    job->index = tare_read_count(reader, json, "index", TARE_COUNT_REQUIRED);
    job->task = tare_read_text(reader, json, "task", NULL);
    /* The run of a warm-up, and of a sweep's probe, is −1. */
    if (strcmp(job->task, "warmup") != 0 && strcmp(job->task, "probe") != 0) {
        job->run = tare_read_count(reader, json, "run", TARE_COUNT_REQUIRED);
        if (job->run >= samples->experiment.plan.runs)
            tare_read_fail(reader, "run", "one of the planned runs");
    }
    job->cell = tare_read_cell(reader, samples, json);
    job->cell.track = tare_read_track(reader, json);
    job->batch = tare_read_count(reader, json, "batch", samples->experiment.plan.batch);
    job->state = tare_read_state(reader, json, "state");
    job->version = tare_read_text(reader, json, "version", "");
    job->reason = tare_read_text(reader, json, "reason", "");
    job->fix = tare_read_text(reader, json, "fix", "");
    job->reproduce = tare_read_text(reader, json, "reproduce", "");
    job->dir = tare_read_text(reader, json, "dir", "");
    job->timed_out = tare_read_flag(reader, json, "timed_out");
    job->width = tare_read_count(reader, json, "width", 0);
    job->others = tare_read_number(reader, json, "others", NAN);
    job->steps = tare_read_count(reader, json, "steps", 0);
    job->left_out = tare_read_text(reader, json, "left_out", "");
}

static void derive_values(struct tare_reader *reader, struct tare_job_record *job,
                          const json_t *json) {
    double *v = job->values;
    double process_s = tare_read_number(reader, json, "wall_ns", NAN) / NS_PER_S;
    double cpu_s = tare_read_number(reader, json, "cpu_ns", NAN) / NS_PER_S;
    v[TARE_FIRST_STEP_S] = phase_s(job, "first_step");
    v[TARE_TRAIN_S] = sum_of_present(v[TARE_FIRST_STEP_S], phase_s(job, "train"));
    if (!isnan(v[TARE_FIRST_STEP_S]))
        v[TARE_STEADY_S] = v[TARE_TRAIN_S] - v[TARE_FIRST_STEP_S];
    v[TARE_IMPORT_S] = phase_s(job, "import");
    v[TARE_STARTUP_S] = sum_of_present(phase_s(job, "start"), v[TARE_IMPORT_S]);
    v[TARE_PROCESS_S] = process_s;
    /* CPU time includes the framework's shutdown after bye, so its wall time must too. */
    double until_end_s = tare_read_number(reader, json, "process_ns", NAN) / NS_PER_S;
    until_end_s = isnan(until_end_s) ? process_s : until_end_s;
    v[TARE_CPU_OVER_WALL] = until_end_s > 0 ? cpu_s / until_end_s : NAN;
    v[TARE_PEAK_RSS_BYTES] = tare_read_number(reader, json, "peak_rss_bytes", NAN);
}

enum tare_status tare_samples_read_job(struct tare_samples *samples, struct tare_job_record *job,
                                       const json_t *json, size_t line, const char *name,
                                       struct tare_err *err) {
    struct tare_reader reader = {
        .memory = &samples->memory, .name = name, .line = line, .err = err};
    *job = (struct tare_job_record){.line = line};
    for (size_t i = 0; i < TARE_MEASURE_COUNT; i++)
        job->values[i] = NAN;
    read_head(&reader, samples, job, json);
    read_phases(&reader, job, &samples->memory, json);
    read_calls(&reader, job, &samples->memory, json);
    read_exports(&reader, job, &samples->memory, json);
    read_maps(&reader, job, &samples->memory, json);
    read_accuracy(&reader, job, json);
    read_right(&reader, job, &samples->memory, json);
    read_last_loss(&reader, job, json);
    read_of(&reader, job, json);
    read_deployment(&reader, job, json);
    derive_values(&reader, job, json);
    choose_calls(job, samples->experiment.dataset.test);
    job->cold_start_s = strcmp(job->task, "cold") == 0 ? cold_start_s(job) : NAN;
    return reader.status;
}
