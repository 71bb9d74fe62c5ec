/* process.c: virtual engines: what one prints, and when, is written down when it is started, by
 * what it is up to; listening moves the virtual clock to the next thing that happens (world.h). */
#include "lab/process.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tare/array.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/net.h"
#include "tare/parity.h"
#include "tare/safetensors.h"
#include "world.h"

#define MAX_CHUNKS 256
#define FLOOD_CHUNKS 40
#define FLOOD_BYTES 32768 /* of a chunk: together over TARE_MAX_LOG_BYTES */

/* What an engine is up to, one time in so many, and what must become of its job. */
#define BEHAVIOURS(X)                                                                              \
    X(good, 0, OK)                                                                                 \
    X(crash_at_start, 60, FAILED)                                                                  \
    X(crash, 40, FAILED)                                                                           \
    X(crash_at_end, 60, FAILED)                                                                    \
    X(hang_at_start, 60, FAILED)                                                                   \
    X(hang, 40, FAILED)                                                                            \
    X(stubborn, 60, FAILED) /* hangs, and its launcher can't end it */                             \
    X(launcher_killed, 60, FAILED)                                                                 \
    X(rubbish, 60, FAILED)                                                                         \
    X(rubbish_and_hang, 80, FAILED)                                                                \
    X(endless_line, 120, FAILED)                                                                   \
    X(cut_line, 60, FAILED)                                                                        \
    X(early, 60, FAILED)                                                                           \
    X(twice, 60, FAILED)                                                                           \
    X(chatty, 60, FAILED)                                                                          \
    X(impostor, 60, FAILED)                                                                        \
    X(skips, 60, SKIPPED)                                                                          \
    X(fails, 60, FAILED)                                                                           \
    X(exits_with_3, 60, FAILED)                                                                    \
    X(silent, 60, FAILED)                                                                          \
    X(flood, 400, OK)                                                                              \
    X(orphan, 40, OK) /* a pipe stays open, out of reach */                                        \
    X(liar, 40, VOID)                                                                              \
    X(boaster, 40, VOID)                                                                           \
    X(greedy, 40, VOID)                                                                            \
    X(suspended, 40, VOID)                                                                         \
    X(nan_loss, 60, FAILED)                                                                        \
    X(nan_logits, 60, FAILED)                                                                      \
    X(few_logits, 60, FAILED)                                                                      \
    X(no_logits, 60, FAILED)
enum behaviour {
#define X(name, odds, state) DO_##name,
    BEHAVIOURS(X)
#undef X
        BEHAVIOUR_COUNT
};
static const struct {
    const char *name;
    uint64_t odds;
    enum tare_cell_state state;
} behaviours[] = {
#define X(name, odds, state) {#name, odds, TARE_STATE_##state},
    BEHAVIOURS(X)
#undef X
};

struct chunk {
    int64_t at_ns;
    enum tare_process_stream stream;
    size_t offset, size; /* of text; 0: the stream ends */
    bool saves;          /* the files are there from now on */
};

struct tare_process {
    const struct tare_launch *launch;
    struct tare_job job;
    char key[96]; /* its job's name, from which all follows */
    enum behaviour what;
    struct chunk chunks[MAX_CHUNKS];
    size_t count, next;
    char text[1 << 17];
    size_t text_size;
    bool open[TARE_STREAM_COUNT];
    bool alive;
    int64_t start_ns, suspended_ns, clock_ns, lap_ns; /* clock_ns: while it is written down */
    size_t suspend_before;                            /* chunk */
};

static struct tare_process process; /* there is one at a time */

/* ---- what must become of its job ----------------------------------------------------------------
 */

static struct expected {
    char dir[96];
    enum tare_cell_state state;
} expected[512];
static size_t expected_count;

enum tare_cell_state sim_expected(const char *dir, bool *known) {
    for (size_t i = expected_count; i > 0; i--) /* the last try is the one that counts */
        if (strcmp(expected[i - 1].dir, dir) == 0) {
            *known = true;
            return expected[i - 1].state;
        }
    *known = false;
    return TARE_STATE_OK;
}

void sim_forget_expected(void) {
    expected_count = 0;
}

static void expect(enum tare_cell_state state) {
    if (expected_count == sizeof expected / sizeof *expected)
        sim_fault("the world remembers too few jobs");
    else {
        snprintf(expected[expected_count].dir, sizeof expected->dir, "%s", process.key);
        expected[expected_count++].state = state;
    }
}

/* ---- writing down what happens ------------------------------------------------------------------
 */

static void add(enum tare_process_stream stream, const char *text, size_t size, bool saves) {
    if (process.count == MAX_CHUNKS || process.text_size + size > sizeof process.text) {
        sim_fault("the world writes down too little");
        return;
    }
    process.chunks[process.count++] =
        (struct chunk){process.clock_ns, stream, process.text_size, size, saves};
    memcpy(process.text + process.text_size, text, size);
    process.text_size += size;
}

/* A line of events, now and then in two pieces. */
static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...) {
    char line[1024];
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    line[size] = '\n';
    size_t whole = (size_t)size + 1, first = whole;
    char nth[32]; /* by its place, not its text: that holds times */
    snprintf(nth, sizeof nth, "line %zu", process.count);
    if (sim_chance(process.key, nth, 5))
        first = 1 + sim_hash(process.key, nth) / 5 % (whole - 1);
    add(TARE_STREAM_EVENTS, line, first, false);
    if (first < whole)
        add(TARE_STREAM_EVENTS, line + first, whole - first, false);
}

static void pass(const char *what, int64_t least_ms, int64_t most_ms) {
    int64_t span = (most_ms - least_ms) * 1000 + 1;
    process.clock_ns +=
        (least_ms * 1000 + (int64_t)(sim_hash(process.key, what) % (uint64_t)span)) * 1000;
}

static void phase(const char *name, int64_t least_ms, int64_t most_ms) {
    pass(name, least_ms, most_ms);
    double factor = process.what == DO_liar ? 0.1 : process.what == DO_boaster ? 3 : 1;
    say("{\"event\":\"phase\",\"name\":\"%s\",\"wall_ns\":%lld}", name,
        (long long)((double)(process.clock_ns - process.lap_ns) * factor));
    process.lap_ns = process.clock_ns;
}

static void end_streams(void) {
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        if (process.what != DO_orphan || i != TARE_STREAM_LOG)
            process.chunks[process.count++] =
                (struct chunk){process.clock_ns, (enum tare_process_stream)i, 0, 0, false};
}

/* The launcher's last word, and the end of all streams. */
static void leave(int wait_status) {
    char line[160];
    int64_t wall_ns = process.clock_ns - process.start_ns;
    double cpus = process.what == DO_greedy ? 1.5 * process.launch->threads : 0.9;
    int size = snprintf(
        line, sizeof line, "exit %d %lld %d %lld %d %d\n", wait_status, (long long)process.clock_ns,
        40000, (long long)((double)wall_ns * cpus * 1e-3), 0, process.what == DO_orphan ? 1 : 0);
    if (process.what != DO_launcher_killed)
        add(TARE_STREAM_STATUS, line, (size_t)size, false);
    end_streams();
}

#define CRASHED 11
#define EXITED(code) ((code) << 8)

static void train_and_infer(void) {
    const struct tare_job *job = &process.job;
    bool is_train = strcmp(job->task, "train") == 0, is_warmup = strcmp(job->task, "warmup") == 0;
    if (is_train) {
        phase("load", 1, 30);
        phase("first_step", 1, 40);
        pass("train", 200, 30000);
        for (size_t i = 0; i < job->epochs; i++) {
            if (process.what == DO_nan_loss && i == 0)
                say("{\"event\":\"epoch\",\"i\":0,\"loss\":null,\"wall_ns\":1000000}");
            else
                say("{\"event\":\"epoch\",\"i\":%zu,\"loss\":%g,\"wall_ns\":1000000}", i,
                    0.55 / (double)(i + 1));
        }
        phase("train", 0, 1);
    } else
        phase("load", 1, 300);
    if (!is_warmup) {
        int64_t one_ns = 1000 + (int64_t)(sim_hash(process.key, "one") % 100000);
        say("{\"event\":\"sample\",\"task\":\"infer\",\"call\":\"call\",\"batch\":1,\"loops\":1,"
            "\"wall_ns\":%lld,\"first\":true}",
            (long long)one_ns * 9);
        say("{\"event\":\"sample\",\"task\":\"infer\",\"call\":\"call\",\"batch\":%zu,\"loops\":5,"
            "\"wall_ns\":%lld,\"first\":false}",
            sim.set->test_images.shape[0], (long long)one_ns * 20);
        phase("infer", 30, 900);
    }
    if (process.what == DO_crash_at_end) {
        leave(CRASHED);
        return;
    }
    pass("save", 0, 20);
    process.chunks[process.count] =
        (struct chunk){process.clock_ns, TARE_STREAM_LOG, process.text_size, 1, true};
    process.text[process.text_size++] = '.';
    process.count++;
    phase("save", 0, 3);
    say("{\"event\":\"bye\"}");
    if (process.what == DO_chatty)
        phase("afterthought", 1, 2);
    pass("exit", 0, 30);
    leave(process.what == DO_exits_with_3 ? EXITED(3) : 0);
}

static void flood(void) {
    static char block[FLOOD_BYTES];
    memset(block, 'x', sizeof block);
    size_t offset = process.text_size;
    add(TARE_STREAM_LOG, block, sizeof block, false);
    for (int i = 1; i < FLOOD_CHUNKS; i++)
        process.chunks[process.count++] =
            (struct chunk){process.clock_ns, TARE_STREAM_LOG, offset, sizeof block, false};
}

static void hang(void) { /* only being killed ends it */
}

static void write_down(void) {
    const char *name = process.what == DO_impostor ? "somebody" : process.launch->engine;
    char line[64];
    process.clock_ns = process.start_ns = sim.now_ns;
    int size = snprintf(line, sizeof line, "exec %lld\n", (long long)process.start_ns);
    add(TARE_STREAM_STATUS, line, (size_t)size, false);
    pass("exec", 1, 30);
    switch (process.what) {
    case DO_crash_at_start:
        leave(CRASHED);
        return;
    case DO_silent:
        leave(0);
        return;
    case DO_hang_at_start:
        hang();
        return;
    case DO_early:
        say("{\"event\":\"phase\",\"name\":\"import\",\"wall_ns\":1}");
        break;
    default:
        break;
    }
    process.lap_ns = process.clock_ns;
    say("{\"event\":\"hello\",\"abi\":1,\"engine\":\"%s\",\"version\":\"1.%d\",\"clock_ns\":%lld}",
        name, (int)(sim.seed % 7), (long long)process.clock_ns);
    phase("import", 30, 4000);
    switch (process.what) {
    case DO_hang:
    case DO_stubborn:
        hang();
        return;
    case DO_crash:
    case DO_launcher_killed:
        leave(CRASHED);
        return;
    case DO_rubbish:
        say("Epoch 1/5 loss: 0.31");
        break;
    case DO_rubbish_and_hang:
        say("{\"event\":\"phase\",\"name\":\"x\",\"wall_ns\":-1}");
        hang();
        return;
    case DO_endless_line:
        for (int i = 0; i < 3; i++) {
            char block[32000];
            memset(block, 'y', sizeof block);
            add(TARE_STREAM_EVENTS, block, sizeof block, false);
        }
        break;
    case DO_cut_line:
        add(TARE_STREAM_EVENTS, "{\"event\":\"pha", 13, false);
        leave(0);
        return;
    case DO_twice:
        say("{\"event\":\"hello\",\"abi\":1,\"engine\":\"%s\",\"version\":\"1\"}", name);
        break;
    case DO_skips:
        say("{\"event\":\"skip\",\"reason\":\"no such device\",\"fix\":\"buy one\"}");
        leave(EXITED(1));
        return;
    case DO_fails:
        say("{\"event\":\"fail\",\"code\":\"SHAPE\",\"message\":\"shapes differ\"}");
        leave(EXITED(1));
        return;
    case DO_flood:
        flood();
        break;
    default:
        break;
    }
    train_and_infer();
}

/* ---- files --------------------------------------------------------------------------------------
 */

static bool runs_a_model(void) {
    return process.job.model_file[0] != '\0';
}

/* The reference of the weights beside the model that it runs; false: there are none. */
static bool reference_logits(float *logits, size_t images) {
    char path[TARE_MAX_PATH];
    struct tare_net net;
    float *params = NULL;
    struct tare_parity_reference reference = {0};
    snprintf(path, sizeof path, "%s", process.job.model_file);
    char *tail = strstr(path, "/tare/model.");
    if (!tail)
        return false;
    snprintf(tail, sizeof path - (size_t)(tail - path), "/weights.safetensors");
    if (tare_net_read(&net, &params, path, NULL) != TARE_OK)
        return false;
    size_t values = tare_array_count(&sim.set->test_images);
    float *x = calloc(values, sizeof *x);
    for (size_t i = 0; x && i < values; i++)
        x[i] = (float)((const uint8_t *)sim.set->test_images.data)[i] / 255.0f;
    bool made =
        x && tare_parity_reference_make(&reference, &net, params, x, images, NULL, NULL) == TARE_OK;
    for (size_t i = 0; made && i < images * net.n_out; i++)
        logits[i] = (float)reference.logits[i];
    tare_parity_reference_free(&reference);
    free(x);
    free(params);
    return made;
}

static void write_logits(void) {
    struct tare_array logits = {0};
    size_t images = sim.set->test_images.shape[0], classes = sim.set->classes;
    if (!process.job.logits[0] || process.what == DO_no_logits)
        return;
    size_t rows = process.what == DO_few_logits ? images / 2 : images;
    if (tare_array_make(&logits, TARE_F32, 2, (size_t[]){rows, classes}, NULL) != TARE_OK)
        abort();
    float *at = logits.data;
    for (size_t i = 0; i < rows; i++) {
        size_t label = (size_t)((const int32_t *)sim.set->test_labels.data)[i];
        char image[32];
        snprintf(image, sizeof image, "image %zu", i);
        bool right = !sim_chance(process.key, image, 5);
        for (size_t c = 0; c < classes; c++)
            at[i * classes + c] = (c == label) == right ? 2.0f : -1.0f;
    }
    if (runs_a_model() && rows == images)
        reference_logits(at, images);
    if (process.what == DO_nan_logits)
        at[0] = NAN;
    if (tare_npy_write(process.job.logits, &logits, NULL) != TARE_OK)
        abort();
    tare_array_free(&logits);
}

static void write_latencies(void) {
    struct tare_array ns = {0};
    if (!process.job.latencies[0])
        return;
    if (tare_array_make(&ns, TARE_I32, 1, (size_t[]){process.job.queries}, NULL) != TARE_OK)
        abort();
    for (size_t i = 0; i < process.job.queries; i++)
        ((int32_t *)ns.data)[i] = (int32_t)(1000 + (i * 7919 + sim.seed) % 1000);
    if (tare_npy_write(process.job.latencies, &ns, NULL) != TARE_OK)
        abort();
    tare_array_free(&ns);
}

/* Some engines leave weights, which are then exported and run: those they began with. */
static void write_weights(void) {
    struct tare_tensors tensors = {0};
    if (!process.job.out[0] || !sim_chance(process.key, "weights", 4) ||
        tare_safetensors_read(&tensors, process.job.init, NULL) != TARE_OK)
        return;
    if (tare_safetensors_write(process.job.out, &tensors, NULL) != TARE_OK)
        abort();
    tare_tensors_free(&tensors);
}

/* ---- process.h ----------------------------------------------------------------------------------
 */

static void choose_behaviour(void) {
    bool has_logits = process.job.logits[0] && strcmp(process.job.task, "warmup") != 0;
    process.what = DO_good;
    for (int i = DO_good + 1; i < BEHAVIOUR_COUNT && process.what == DO_good; i++)
        if (sim_chance(process.key, behaviours[i].name, behaviours[i].odds * (has_logits ? 1 : 3)))
            process.what = (enum behaviour)i;
    bool of_logits = process.what == DO_nan_logits || process.what == DO_few_logits ||
                     process.what == DO_no_logits;
    bool of_training = process.what == DO_nan_loss;
    if ((of_logits && !has_logits) || (of_training && strcmp(process.job.task, "train") != 0))
        process.what = DO_good;
}

enum tare_status tare_process_start(struct tare_process **out, const struct tare_launch *launch,
                                    struct tare_err *err) {
    struct tare_buf text = {0};
    sim_call();
    if (process.alive)
        sim_fault("%s was started while %s lived", launch->engine, process.key);
    size_t prefix = strlen(sim.dir);
    const char *name = launch->job_path + prefix + 1;
    memset(&process, 0, offsetof(struct tare_process, chunks));
    process.launch = launch;
    process.count = process.next = process.text_size = 0;
    process.suspended_ns = 0;
    snprintf(process.key, sizeof process.key, "%.*s", (int)(strrchr(name, '/') - name), name);
    enum tare_status status = tare_file_read(&text, launch->job_path, 1 << 20, err);
    if (status == TARE_OK)
        status = tare_job_parse(&process.job, text.data, text.size - 1, err);
    tare_buf_free(&text);
    if (status != TARE_OK)
        return status;
    choose_behaviour();
    write_down();
    process.suspend_before = process.what == DO_suspended
                                 ? 1 + sim_hash(process.key, "suspend") % (process.count - 2)
                                 : 0;
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        process.open[i] = true;
    process.alive = true;
    expect(behaviours[process.what].state);
    *out = &process;
    return TARE_OK;
}

bool tare_process_is_open(const struct tare_process *p, enum tare_process_stream stream) {
    return p->open[stream];
}

static void suspend(struct tare_process *p) {
    int64_t slept_ns = (int64_t)(1 + sim_hash(p->key, "slept") % 5000) * 1000 * SIM_NS_PER_MS;
    p->suspended_ns = slept_ns;
    p->suspend_before = 0;
    sim.now_ns += slept_ns;
    for (size_t i = p->next; i < p->count; i++)
        p->chunks[i].at_ns += slept_ns;
}

ssize_t tare_process_listen(struct tare_process *p, int64_t until_ns,
                            enum tare_process_stream *stream, const char **data) {
    sim_call();
    if (sim.stop && sim.calls == sim.stop_at)
        return -1;
    if (p->suspend_before > 0 && p->next == p->suspend_before) {
        suspend(p);
        return -1;
    }
    while (p->next < p->count && !p->open[p->chunks[p->next].stream])
        p->next++;
    if (p->next == p->count || p->chunks[p->next].at_ns > until_ns) {
        if (until_ns > sim.now_ns)
            sim.now_ns = until_ns;
        return -1;
    }
    const struct chunk *chunk = &p->chunks[p->next++];
    if (chunk->at_ns > sim.now_ns)
        sim.now_ns = chunk->at_ns;
    *stream = chunk->stream;
    *data = p->text + chunk->offset;
    if (chunk->saves) {
        write_logits();
        write_latencies();
        write_weights();
    }
    if (chunk->size == 0)
        p->open[chunk->stream] = false;
    if (chunk->size == 0 && chunk->stream == TARE_STREAM_STATUS)
        p->alive = false;
    return (ssize_t)chunk->size;
}

int64_t tare_process_suspended_ns(const struct tare_process *p) {
    return p->suspended_ns;
}

int tare_process_read_error(const struct tare_process *p) {
    (void)p;
    return 0;
}

/* Ended by the launcher at once, if that can; else nothing happens until the kill. */
void tare_process_end(struct tare_process *p) {
    sim_call();
    if (p->what == DO_stubborn || p->what == DO_launcher_killed || !p->alive)
        return;
    p->count = p->next;
    p->clock_ns = sim.now_ns + 2 * SIM_NS_PER_MS;
    leave(9);
}

static void check_deadline(const struct tare_process *p) {
    int64_t limit_ns =
        p->start_ns + (int64_t)(p->launch->timeout_s * 1e9) + p->suspended_ns + 100 * SIM_NS_PER_MS;
    if (p->alive && sim.now_ns > limit_ns)
        sim_fault("%s lived %.3f s after its deadline", p->key,
                  (double)(sim.now_ns - limit_ns) * 1e-9);
}

void tare_process_kill(struct tare_process *p) {
    sim_call();
    check_deadline(p);
    p->alive = false;
    size_t written = p->next; /* what is in the pipes by now can still be read */
    while (written < p->count && p->chunks[written].at_ns <= sim.now_ns)
        written++;
    p->count = written;
    p->clock_ns = sim.now_ns;
    end_streams();
}

void tare_process_close(struct tare_process *p) {
    sim_call();
    if (!p)
        return;
    check_deadline(p);
    p->alive = false;
}
