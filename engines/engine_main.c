/* engine_main.c: the half of a C engine that all of them share: the protocol, the stopwatch, the
 * files out; the files in are engine_load.c, how inference is measured is engine_infer.c. The other
 * half is a struct tare_engine_ops (include/tare/engine.h); engines/tare_engine.py is the same in
 * Python and passes the same conformance test.
 *
 * The stopwatch laps: each phase ends where the next begins, so that no time can fall between two.
 */
#include "tare/engine.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine_parts.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/safetensors.h"

static int event_fd = STDOUT_FILENO; /* the real stdout; fd 1 itself becomes stderr */
static int64_t lap_start_ns;
static const char *infer_call = "infer";
static bool skipping; /* tare_engine_skip was called: the failure is a missing piece, not a fault */

/* ---- events ------------------------------------------------------------------------------------
 */

static void emit(json_t *event) {
    char *text = event ? json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(event);
    size_t size = text ? strlen(text) : 0;
    if (text)
        text[size++] = '\n'; /* in place of the NUL: write() doesn't need it */
    for (size_t done = 0; done < size;) {
        ssize_t put = write(event_fd, text + done, size - done);
        if (put < 0 && errno != EINTR)
            exit(1); /* nobody listens any more */
        if (put > 0)
            done += (size_t)put;
    }
    free(text);
}

static void lap(const char *phase) {
    int64_t now_ns = tare_now_ns();
    emit(json_pack("{s:s,s:s,s:I}", "event", "phase", "name", phase, "wall_ns",
                   (json_int_t)(now_ns - lap_start_ns)));
    lap_start_ns = now_ns;
}

void engine_emit_sample(size_t batch, size_t loops, int64_t wall_ns, bool first) {
    emit(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "event", "sample", "task", "infer", "call",
                   infer_call, "batch", (json_int_t)batch, "loops", (json_int_t)loops, "wall_ns",
                   (json_int_t)wall_ns, "first", (int)first));
}

void tare_engine_setting(const char *name, const char *value) {
    emit(json_pack("{s:s,s:s,s:s}", "event", "setting", "name", name, "value", value));
}

void tare_engine_infer_call(const char *name) {
    infer_call = name;
}

enum tare_status tare_engine_skip(struct tare_err *err, const char *fix, const char *fmt, ...) {
    char text[TARE_MAX_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    skipping = true;
    return tare_fail(err, TARE_FAILED, NULL, fix, "%s", text);
}

/* ---- the three tasks ---------------------------------------------------------------------------
 */

/* Weights of now, as init is written, under name in the job's dump_dir. */
static enum tare_status dump_weights(const struct tare_engine_ops *ops, void *state,
                                     const struct tare_work *work, size_t step,
                                     struct tare_err *err) {
    struct tare_tensors tensors = {0};
    char path[TARE_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/weights-%zu.safetensors", work->job.dump_dir, step);
    enum tare_status status = ops->weights(state, work->params, err);
    if (status == TARE_OK)
        status =
            tare_net_to_tensors(&tensors, &work->net, work->params, work->job.norm, ops->name, err);
    if (status == TARE_OK)
        status = tare_safetensors_write(path, &tensors, err);
    tare_tensors_free(&tensors);
    return status;
}

/* How many steps the next call of the hook takes: to the end of the range, of the epoch, of the
 * job, or to the next dump, whichever comes first. The first step alone: compilation happens there.
 */
static size_t next_range(const struct tare_work *work, size_t step) {
    size_t range = work->job.range ? work->job.range : work->steps_per_epoch;
    size_t count = step == 0 && work->job.first_apart ? 1 : range;
    size_t ends[2 + TARE_MAX_DUMPS] = {step - step % work->steps_per_epoch + work->steps_per_epoch,
                                       work->steps};
    for (size_t i = 0; i < work->job.dump_count; i++)
        ends[2 + i] = work->job.dump_at[i];
    for (size_t i = 0; i < 2 + work->job.dump_count; i++)
        if (ends[i] > step && count > ends[i] - step)
            count = ends[i] - step;
    return count;
}

static bool is_dumped(const struct tare_job *job, size_t step) {
    for (size_t i = 0; i < job->dump_count; i++)
        if (job->dump_at[i] == step)
            return true;
    return false;
}

static void emit_epoch(size_t epoch, double mean_loss, int64_t wall_ns) {
    emit(json_pack("{s:s,s:I,s:o,s:I}", "event", "epoch", "i", (json_int_t)epoch, "loss",
                   isfinite(mean_loss) ? json_real(mean_loss) : json_null(), "wall_ns",
                   (json_int_t)wall_ns));
}

/* losses: one per step, kept whole for the job's `losses` file. */
static enum tare_status train(const struct tare_engine_ops *ops, void *state,
                              const struct tare_work *work, float *losses, struct tare_err *err) {
    enum tare_status status = TARE_OK;
    double epoch_loss = 0;
    int64_t epoch_start_ns = tare_now_ns();
    for (size_t step = 0; step < work->steps && status == TARE_OK;) {
        size_t count = next_range(work, step);
        status = ops->train(state, step, count, losses + step, err);
        for (size_t i = 0; i < count && status == TARE_OK; i++)
            epoch_loss += (double)losses[step + i];
        step += count;
        if (status == TARE_OK && step == 1)
            lap("first_step");
        if (status == TARE_OK && is_dumped(&work->job, step)) {
            lap("train");
            status = dump_weights(ops, state, work, step, err);
            lap("dump");
        }
        if (status != TARE_OK || step % work->steps_per_epoch != 0)
            continue;
        int64_t now_ns = tare_now_ns();
        emit_epoch(step / work->steps_per_epoch - 1, epoch_loss / (double)work->steps_per_epoch,
                   now_ns - epoch_start_ns);
        epoch_start_ns = now_ns;
        epoch_loss = 0;
    }
    if (status == TARE_OK)
        status = ops->weights(state, work->params, err);
    lap("train");
    return status;
}

static enum tare_status write_floats(const char *path, float *values, int rank, size_t rows,
                                     size_t columns, struct tare_err *err) {
    struct tare_array array = {
        .dtype = TARE_F32, .rank = rank, .shape = {rows, columns}, .data = values};
    return tare_npy_write(path, &array, err);
}

/* The pixels of the test images, if there are any, in a phase of their own. */
static enum tare_status need_test_images(struct tare_work *work, struct tare_err *err) {
    if (work->n_test == 0 || work->test_images)
        return TARE_OK;
    enum tare_status status = engine_load_test_images(work, err);
    lap("load");
    return status;
}

static enum tare_status tell_logits_before(const struct tare_engine_ops *ops, void *state,
                                           struct tare_work *work, struct tare_err *err) {
    enum tare_status status = need_test_images(work, err);
    float *logits = calloc(work->n_test * work->n_out + 1, sizeof *logits);
    if (status == TARE_OK && !logits)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the logits");
    if (status == TARE_OK)
        status = ops->infer(state, logits, work->test_images, work->n_test, err);
    if (status == TARE_OK)
        status = write_floats(work->job.logits_before, logits, 2, work->n_test, work->n_out, err);
    free(logits);
    lap("logits_before");
    return status;
}

/* Trains, and writes what the job wants to know about the training itself. */
static enum tare_status train_and_tell(const struct tare_engine_ops *ops, void *state,
                                       struct tare_work *work, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    float *losses = calloc(work->steps, sizeof *losses);
    enum tare_status status = TARE_OK;
    if (!losses)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the losses");
    if (status == TARE_OK && job->logits_before[0] && work->n_test > 0 && ops->infer)
        status = tell_logits_before(ops, state, work, err);
    if (status == TARE_OK)
        status = train(ops, state, work, losses, err);
    if (status == TARE_OK && job->losses[0]) {
        status = write_floats(job->losses, losses, 1, work->steps, 0, err);
        lap("save");
    }
    free(losses);
    return status;
}

static enum tare_status save(const struct tare_engine_ops *ops, const struct tare_work *work,
                             float *logits, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    enum tare_status status = TARE_OK;
    if (strcmp(job->task, "train") == 0 && job->out[0]) {
        struct tare_tensors tensors = {0};
        status = tare_net_to_tensors(&tensors, &work->net, work->params, job->norm, ops->name, err);
        if (status == TARE_OK)
            status = tare_safetensors_write(job->out, &tensors, err);
        tare_tensors_free(&tensors);
    }
    if (status == TARE_OK && job->logits[0] && logits) {
        struct tare_array array = {
            .dtype = TARE_F32, .rank = 2, .shape = {work->n_test, work->n_out}, .data = logits};
        status = tare_npy_write(job->logits, &array, err);
    }
    return status;
}

/* What the kernel says, after the launcher's sched_setaffinity. */
static void tell_cpus_allowed(void) {
    cpu_set_t allowed;
    char count[16];
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return; /* more CPUs than the set has room for: not told */
    snprintf(count, sizeof count, "%d", CPU_COUNT(&allowed));
    tare_engine_setting("cpus_allowed", count);
}

static enum tare_status run(const struct tare_engine_ops *ops, struct tare_work *work,
                            struct tare_err *err) {
    const struct tare_job *job = &work->job;
    bool training = strcmp(job->task, "train") == 0;
    if (!training && strcmp(job->task, "infer") != 0 && strcmp(job->task, "warmup") != 0)
        return tare_fail(err, TARE_USAGE, NULL, NULL, "unknown task \"%s\"", job->task);
    if (training && (!ops->train || !ops->weights))
        return tare_fail(err, TARE_USAGE, NULL, NULL, "this engine only infers");
    if (training && !ops->schedules && strcmp(job->schedule, "constant") != 0)
        return tare_fail(err, TARE_USAGE, NULL, "leave the schedule constant",
                         "this engine doesn't know the schedule \"%s\"", job->schedule);
    tell_cpus_allowed();
    enum tare_status status = ops->import ? ops->import(work, err) : TARE_OK;
    if (status != TARE_OK)
        return status;
    tare_engine_setting("version", ops->version());
    lap("import");
    if (strcmp(job->task, "warmup") == 0)
        return TARE_OK;
    void *state = NULL;
    float *logits = NULL;
    status = engine_load(work, ops->bytes, err);
    lap("load");
    if (status == TARE_OK)
        status = ops->build(&state, work, err);
    lap("build");
    if (status == TARE_OK && training)
        status = train_and_tell(ops, state, work, err);
    if (status == TARE_OK && work->n_test > 0 && ops->infer)
        status = need_test_images(work, err);
    if (status == TARE_OK && work->n_test > 0 && ops->infer) {
        logits = calloc(work->n_test * work->n_out + 1, sizeof *logits);
        status = logits ? engine_measure(ops, state, work, logits, err)
                        : tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the logits");
        lap("infer");
    }
    if (status == TARE_OK)
        status = save(ops, work, logits, err);
    if (status == TARE_OK && !training)
        engine_tell_ships(); /* after the first inference, which may open more libraries */
    free(logits);
    if (ops->close && state)
        ops->close(state);
    lap("save");
    return status;
}

/* ---- main --------------------------------------------------------------------------------------
 */

static enum tare_status read_job(struct tare_job *job, struct tare_err *err) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size = getline(&line, &capacity, stdin);
    enum tare_status status =
        size > 0
            ? tare_job_parse(job, line, (size_t)size, err)
            : tare_fail(err, TARE_USAGE, NULL, "give one job as a line of JSON on stdin", "no job");
    free(line);
    if (status == TARE_OK && job->scratch[0])
        tare_file_scratch(job->scratch);
    return status;
}

/* A message that was cut may end inside a character, and a library may say anything: what is not
 * ASCII becomes '?', so that the event is always valid JSON. */
static void make_ascii(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            *text = '?';
}

static int finish(enum tare_status status, struct tare_err *err) {
    make_ascii(err->what);
    make_ascii(err->where);
    make_ascii(err->hint);
    if (status == TARE_OK)
        emit(json_pack("{s:s}", "event", "bye"));
    else if (skipping)
        emit(json_pack("{s:s,s:s,s:s}", "event", "skip", "reason", err->what, "fix", err->hint));
    else {
        char message[sizeof err->what + sizeof err->where + sizeof err->hint + 16];
        snprintf(message, sizeof message, "%s%s%s%s%s", err->where, err->where[0] ? ": " : "",
                 err->what, err->hint[0] ? "; try: " : "", err->hint);
        emit(json_pack("{s:s,s:s,s:s}", "event", "fail", "code", tare_status_name(status),
                       "message", message));
    }
    return status == TARE_OK ? 0 : 1;
}

int tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops) {
    if (argc > 1) {
        printf("usage: %s < job.json\n"
               "The engine \"%s\" of tare: reads one job as a line of JSON, prints events as lines "
               "of JSON.\nThe protocol: doc/protocol.md. Every job of a results folder can be run "
               "again:\n    %s < results/.../job.json\n",
               argv[0], ops->name, argv[0]);
        return strcmp(argv[1], "--help") == 0 ? 0 : 2;
    }
    if (ops->abi != TARE_ABI || !ops->name || !ops->version || !ops->build) {
        fprintf(stderr, "%s: a required hook is missing, or the ABI is not %d\n", argv[0],
                TARE_ABI);
        return 2;
    }
    event_fd = dup(STDOUT_FILENO);
    if (event_fd < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return 1;
    lap_start_ns = tare_now_ns();
    static struct tare_work work; /* static: the job is some 20 kB */
    struct tare_err err = {0};
    enum tare_status status = read_job(&work.job, &err);
    emit(json_pack("{s:s,s:i,s:s,s:s,s:s,s:I,s:[s,s,s]}", "event", "hello", "abi", TARE_ABI,
                   "engine", ops->name, "version", "", "variant", work.job.variant, "clock_ns",
                   (json_int_t)lap_start_ns, "tasks", ops->train ? "train" : "infer", "infer",
                   "warmup"));
    if (status == TARE_OK)
        status = run(ops, &work, &err);
    int code = finish(status, &err);
    engine_unload(&work);
    return code;
}
