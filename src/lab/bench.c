/* bench.c: measures how a model runs in one engine or several: for each a process that answers the
 * whole test set, single queries and batches, and afterwards, round by round, processes that answer
 * one image and leave: cold starts. Engines are run as everywhere, by supervise.c; percentiles are
 * latency.c's; src/report/bench.c shows what came of it.
 */
#include "tare/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tare/buf.h"
#include "tare/environment.h"
#include "tare/model_io.h"

/* A void process is no measurement, and a busy machine can make any void: it is started anew so
 * often. An engine whose clocks lie is void each time. */
#define VOID_TRIES 2

static const struct {
    const char *suffix, *engine;
    bool has_weights; /* a .safetensors, which every engine that trains can take as its init */
} formats[] = {{".safetensors", "native", true},
               {".onnx", "onnxruntime", false},
               {".tflite", "litert", false}};
#define FORMAT_COUNT (sizeof formats / sizeof formats[0])

/* FORMAT_COUNT when there is none. */
static size_t format_of(const char *path) {
    const char *suffix = strrchr(path, '.');
    size_t i = 0;
    while (i < FORMAT_COUNT && (!suffix || strcmp(suffix, formats[i].suffix) != 0))
        i++;
    return i;
}

enum tare_status tare_model_engine(const char **engine, const char *path, struct tare_err *err) {
    size_t format = format_of(path);
    if (format == FORMAT_COUNT)
        return tare_fail(err, TARE_USAGE, path, ".safetensors, .onnx or .tflite",
                         "is not a model's name");
    *engine = formats[format].engine;
    return TARE_OK;
}

void tare_bench_defaults(struct tare_bench *bench) {
    *bench = (struct tare_bench){.threads = 1,
                                 .queries = TARE_BENCH_QUERIES,
                                 .batches = {1, 8, 64, 512},
                                 .batch_count = 4,
                                 .cold_runs = TARE_BENCH_COLD_RUNS,
                                 .timeout_s = TARE_DEFAULT_TIMEOUT_S};
}

/* A row that failed has no figures, whatever it had measured before. */
static void clear_figures(struct tare_bench_row *row) {
    tare_latency_of(&row->latency, NULL, 0);
    row->cold_s = row->cold_rss_bytes = tare_median_interval(NULL, 0);
    row->grade = (struct tare_grade){0};
    row->ships_bytes = 0;
    row->environment_bytes = NAN;
    for (size_t i = 0; i < TARE_MAX_BATCHES; i++)
        row->images_per_s[i] = NAN;
}

enum tare_status tare_bench_add(struct tare_bench *bench, const char *engine, const char *variant,
                                struct tare_err *err) {
    const char *usual = NULL;
    enum tare_status status = tare_model_engine(&usual, bench->model_path, err);
    if (status != TARE_OK)
        return status;
    if (!engine)
        engine = usual;
    const struct tare_known_engine *known = tare_known_engine(engine);
    bool is_runtime = known && strcmp(known->track, "deployment") == 0;
    bool has_weights = formats[format_of(bench->model_path)].has_weights;
    if (known && (has_weights ? is_runtime : strcmp(engine, usual) != 0))
        return tare_fail(err, TARE_USAGE, engine,
                         has_weights ? "native, or an engine that trains; tare export makes a file "
                                       "for the runtimes"
                                     : usual,
                         "doesn't run %s files", strrchr(bench->model_path, '.'));
    for (size_t i = 0; i < bench->row_count; i++)
        if (strcmp(bench->rows[i].engine, engine) == 0 &&
            strcmp(bench->rows[i].variant, variant) == 0)
            return tare_fail(err, TARE_USAGE, engine, NULL, "is named twice");
    if (bench->row_count == TARE_MAX_BENCH_ROWS)
        return tare_fail(err, TARE_USAGE, engine, NULL, "at most %d engines", TARE_MAX_BENCH_ROWS);
    struct tare_bench_row *row = &bench->rows[bench->row_count++];
    *row = (struct tare_bench_row){.call = ""};
    clear_figures(row);
    snprintf(row->engine, sizeof row->engine, "%s", engine);
    snprintf(row->variant, sizeof row->variant, "%s", variant);
    return TARE_OK;
}

void tare_bench_free(struct tare_bench *bench) {
    for (size_t i = 0; i < bench->row_count; i++)
        tare_outcome_free(&bench->rows[i].outcome);
    bench->row_count = 0;
}

/* ---- the job that every engine gets ------------------------------------------------------------
 */

static void add_file(struct tare_bench *bench, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0)
        return;
    bench->model_files++;
    bench->model_bytes += (size_t)info.st_size;
}

/* The weights' own word on which net they are, checked against the images. */
static enum tare_status read_weights(struct tare_job *job, const struct tare_bench *bench,
                                     size_t n_in, struct tare_err *err) {
    static struct tare_net net;
    float *params = NULL;
    enum tare_status status = tare_net_read(&net, &params, bench->model_path, err);
    free(params);
    if (status == TARE_OK && net.n_in != n_in)
        status = tare_fail(err, TARE_DATA, bench->model_path, "--data with images of its size",
                           "takes %zu values, an image of %s has %zu", net.n_in,
                           bench->dataset->title, n_in);
    if (status == TARE_OK)
        tare_net_text(job->model, &net);
    return status;
}

/* The model's part of a job. Its paths are absolute: engines run anywhere. */
static enum tare_status open_model(struct tare_job *job, struct tare_bench *bench,
                                   struct tare_err *err) {
    const struct tare_array *images = &bench->dataset->test_images;
    bool has_weights = formats[format_of(bench->model_path)].has_weights;
    enum tare_status status = tare_model_file_check(bench->model_path, err);
    if (status == TARE_OK && has_weights)
        status = read_weights(job, bench, tare_array_count(images) / images->shape[0], err);
    char *path = status == TARE_OK ? realpath(bench->model_path, NULL) : NULL;
    if (status == TARE_OK && !path)
        status = tare_fail_errno(err, bench->model_path, "check the path", "cannot be read");
    if (status != TARE_OK)
        return status;
    char data[TARE_MAX_PATH + 8];
    snprintf(data, sizeof data, "%s.data", path); /* where torch's exporter puts the weights */
    bench->model_files = bench->model_bytes = 0;
    add_file(bench, path);
    if (!has_weights)
        add_file(bench, data);
    if (snprintf(has_weights ? job->init : job->model_file, TARE_MAX_PATH, "%s", path) >=
        TARE_MAX_PATH)
        status = tare_fail(err, TARE_USAGE, path, "a shorter path", "the path is too long");
    free(path);
    return status;
}

/* The first test image alone, for the cold starts. */
static enum tare_status write_one_image(const struct tare_bench *bench, struct tare_err *err) {
    struct tare_array one = bench->dataset->test_images; /* borrows the pixels */
    char path[TARE_MAX_PATH];
    one.shape[0] = 1;
    if (!tare_job_path(path, bench->dir, "one_image.npy"))
        return tare_fail(err, TARE_USAGE, bench->dir, "a shorter TMPDIR", "the path is too long");
    return tare_npy_write(path, &one, err);
}

static enum tare_status fill_job(struct tare_job *job, struct tare_bench *bench,
                                 struct tare_err *err) {
    tare_job_defaults(job);
    snprintf(job->task, sizeof job->task, "infer");
    job->threads = bench->threads;
    enum tare_status status = open_model(job, bench, err);
    return status == TARE_OK ? write_one_image(bench, err) : status;
}

/* Everything, or for a cold start one image and no more. */
static bool ask_for(struct tare_job *job, const struct tare_bench *bench, bool cold) {
    job->queries = cold ? 0 : bench->queries;
    job->batch_count = cold ? 0 : bench->batch_count;
    memcpy(job->batches, bench->batches, sizeof job->batches);
    if (cold) {
        job->logits[0] = job->latencies[0] = '\0';
        return tare_job_path(job->test_images, bench->dir, "one_image.npy");
    }
    return tare_job_path(job->logits, bench->dir, "logits.npy") &&
           tare_job_path(job->latencies, bench->dir, "latencies.npy") &&
           tare_job_path(job->test_images, bench->prepared, "test_images.npy");
}

/* ---- one process -------------------------------------------------------------------------------
 */

/* A row is as good as its worst process. */
static void worsen(struct tare_bench_row *row, enum tare_cell_state state, const char *reason,
                   const char *fix) {
    if (state <= row->state)
        return;
    row->state = state;
    snprintf(row->reason, sizeof row->reason, "%s", reason);
    snprintf(row->fix, sizeof row->fix, "%s", fix);
}

static bool is_measured(const struct tare_bench_row *row) {
    return row->state == TARE_STATE_OK || row->state == TARE_STATE_VOID;
}

static enum tare_status launch(struct tare_outcome *outcome, struct tare_bench_row *row,
                               const struct tare_bench *bench, struct tare_job *job,
                               struct tare_err *err) {
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    char *program = NULL;
    struct tare_err missing = {0};
    *outcome = (struct tare_outcome){0};
    snprintf(job->variant, sizeof job->variant, "%s", row->variant);
    if (!tare_job_path(job_path, bench->dir, "job.json") ||
        !tare_job_path(log_path, bench->dir, "stderr.log"))
        return tare_fail(err, TARE_USAGE, bench->dir, "a shorter TMPDIR", "the path is too long");
    enum tare_status status = tare_engine_find(&program, row->engine, &missing);
    if (status == TARE_USAGE) { /* no name that an engine can have */
        if (err)
            *err = missing;
        return status;
    }
    if (status != TARE_OK) {
        worsen(row, TARE_STATE_SKIPPED, missing.what, missing.hint);
        return TARE_OK;
    }
    struct tare_launch how = {.program = program,
                              .engine = row->engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = bench->threads,
                              .timeout_s = bench->timeout_s,
                              .stop = bench->stop};
    for (int again = 0;; again++) {
        status = tare_launch_job(outcome, &how, job, err);
        if (status != TARE_OK || outcome->state != TARE_STATE_VOID || again == VOID_TRIES)
            break;
        tare_outcome_free(outcome);
    }
    free(program);
    if (status == TARE_OK && outcome->interrupted)
        return tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
    if (status == TARE_OK)
        worsen(row, outcome->state, outcome->reason, outcome->fix);
    return status;
}

static void say(const struct tare_bench *bench, const struct tare_bench_row *row,
                const char *doing) {
    char text[192];
    snprintf(text, sizeof text, "%s%s%s: %s", row->engine, row->variant[0] ? "/" : "", row->variant,
             doing);
    if (bench->progress)
        bench->progress(bench->context, text);
}

/* ---- the measured process ----------------------------------------------------------------------
 */

/* A file that the engine should have written is missing, or isn't what it should be. */
static void spoil(struct tare_bench_row *row, const char *what, const char *path,
                  const struct tare_err *err) {
    char reason[TARE_MAX_TEXT];
    if (tare_path_exists(path))
        snprintf(reason, sizeof reason, "its %s: %s", what, err->what);
    else
        snprintf(reason, sizeof reason, "wrote no %s", what);
    worsen(row, TARE_STATE_FAILED, reason, "");
}

static void take_grade(struct tare_bench_row *row, const struct tare_bench *bench,
                       const char *path) {
    struct tare_err err = {0};
    struct tare_array logits = {0};
    enum tare_status status = tare_npy_read(&logits, path, &err);
    if (status == TARE_OK)
        status = tare_grade_logits(&row->grade, &logits, &bench->dataset->test_labels, &err);
    if (status == TARE_OK && !row->grade.finite)
        status = tare_fail(&err, TARE_FAILED, NULL, NULL, "are not numbers (NaN or infinite)");
    if (status != TARE_OK) {
        spoil(row, "logits", path, &err);
    }
    tare_array_free(&logits);
}

static void take_latencies(struct tare_bench_row *row, const struct tare_bench *bench,
                           const char *path) {
    struct tare_err err = {0};
    struct tare_array queries = {0};
    if (tare_latencies_read(&queries, path, bench->queries, &err) == TARE_OK)
        tare_latency_of(&row->latency, queries.data, bench->queries);
    else
        spoil(row, "latencies", path, &err);
    tare_array_free(&queries);
}

static void take_events(struct tare_bench_row *row, const struct tare_bench *bench) {
    const struct tare_outcome *outcome = &row->outcome;
    const char *ships = tare_outcome_setting(outcome, "ships_bytes");
    if (ships)
        row->ships_bytes = (size_t)strtoull(ships, NULL, 10);
    for (size_t i = 0; i < outcome->event_count; i++) {
        const struct tare_event *event = &outcome->events[i];
        if (event->kind != TARE_EVENT_SAMPLE)
            continue;
        row->call = event->extra;
        for (size_t b = 0; b < bench->batch_count && !event->first && event->wall_ns > 0; b++)
            if (event->batch == bench->batches[b])
                row->images_per_s[b] =
                    (double)event->batch * (double)event->loops / ((double)event->wall_ns * 1e-9);
    }
    for (size_t b = 0; b < bench->batch_count; b++)
        if (isnan(row->images_per_s[b]))
            worsen(row, TARE_STATE_FAILED, "timed no batches", "");
}

/* An engine that doesn't tell what must ship is in Python, as far as tare knows engines. */
static void take_environment(struct tare_bench_row *row) {
    const struct tare_known_engine *known = tare_known_engine(row->engine);
    struct tare_environment environment;
    if (row->ships_bytes == 0 && known && known->environment &&
        tare_environment_find(known->environment, &environment, NULL) == TARE_OK &&
        environment.megabytes > 0)
        row->environment_bytes = environment.megabytes * 1e6;
}

static enum tare_status measure(struct tare_bench_row *row, const struct tare_bench *bench,
                                struct tare_job *job, struct tare_err *err) {
    say(bench, row, "latency and throughput");
    if (!ask_for(job, bench, false))
        return tare_fail(err, TARE_USAGE, bench->dir, "a shorter TMPDIR", "the path is too long");
    /* What the engine before left must not be taken for this one's. */
    enum tare_status status = tare_remove_tree(job->logits, err);
    if (status == TARE_OK)
        status = tare_remove_tree(job->latencies, err);
    if (status == TARE_OK)
        status = launch(&row->outcome, row, bench, job, err);
    if (status != TARE_OK || !is_measured(row))
        return status;
    take_grade(row, bench, job->logits);
    take_latencies(row, bench, job->latencies);
    take_events(row, bench);
    take_environment(row);
    return TARE_OK;
}

/* ---- cold starts -------------------------------------------------------------------------------
 */

/* Seconds from exec to the end of the first inference; NaN when there was none. */
static double first_answer_s(const struct tare_outcome *outcome) {
    int64_t sum_ns = tare_outcome_phase_ns(outcome, "start");
    for (size_t i = 0; i < outcome->event_count; i++) {
        const struct tare_event *event = &outcome->events[i];
        bool answered = event->kind == TARE_EVENT_SAMPLE && event->first;
        if (event->kind == TARE_EVENT_PHASE || answered)
            sum_ns += event->wall_ns;
        if (answered)
            return (double)sum_ns * 1e-9;
    }
    return NAN;
}

static enum tare_status start_cold(struct tare_bench_row *row, const struct tare_bench *bench,
                                   struct tare_job *job, double *seconds, double *rss_bytes,
                                   struct tare_err *err) {
    struct tare_outcome outcome;
    say(bench, row, "cold start");
    if (!ask_for(job, bench, true))
        return tare_fail(err, TARE_USAGE, bench->dir, "a shorter TMPDIR", "the path is too long");
    enum tare_status status = launch(&outcome, row, bench, job, err);
    *seconds = first_answer_s(&outcome);
    *rss_bytes = (double)outcome.peak_rss_bytes;
    if (status == TARE_OK && is_measured(row) && isnan(*seconds))
        worsen(row, TARE_STATE_FAILED, "gave no first answer", "");
    tare_outcome_free(&outcome);
    return status;
}

/* Cold is the process: the files it reads have been read before, by the measured one. */
static enum tare_status start_all_cold(struct tare_bench *bench, struct tare_job *job,
                                       struct tare_err *err) {
    size_t runs = bench->cold_runs;
    double *values = calloc(2 * runs * bench->row_count + 1, sizeof *values);
    enum tare_status status =
        values ? TARE_OK : tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for cold starts");
    for (size_t run = 0; run < runs && status == TARE_OK; run++)
        for (size_t i = 0; i < bench->row_count && status == TARE_OK; i++) {
            double *seconds = values + 2 * i * runs;
            if (is_measured(&bench->rows[i]))
                status = start_cold(&bench->rows[i], bench, job, seconds + run,
                                    seconds + runs + run, err);
        }
    for (size_t i = 0; i < bench->row_count && status == TARE_OK; i++) {
        const double *seconds = values + 2 * i * runs;
        if (!is_measured(&bench->rows[i]))
            continue;
        bench->rows[i].cold_s = tare_median_interval(seconds, runs);
        bench->rows[i].cold_rss_bytes = tare_median_interval(seconds + runs, runs);
    }
    free(values);
    return status;
}

enum tare_status tare_bench_run(struct tare_bench *bench, struct tare_err *err) {
    static struct tare_job job; /* 20 kB: off the stack */
    enum tare_status status = fill_job(&job, bench, err);
    for (size_t i = 0; i < bench->row_count && status == TARE_OK; i++)
        status = measure(&bench->rows[i], bench, &job, err);
    if (status == TARE_OK)
        status = start_all_cold(bench, &job, err);
    for (size_t i = 0; i < bench->row_count; i++)
        if (!is_measured(&bench->rows[i]))
            clear_figures(&bench->rows[i]);
    for (size_t i = 0; i < bench->row_count && status == TARE_OK; i++)
        if (bench->rows[i].state != TARE_STATE_OK)
            status = tare_fail(err, TARE_FAILED, bench->rows[i].engine, bench->rows[i].fix, "%s",
                               bench->rows[i].reason);
    return status;
}
