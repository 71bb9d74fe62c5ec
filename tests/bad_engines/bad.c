/* bad.c: engines that misbehave, for the tests of the supervisor and of compare. One program: what
 * it does depends on the name it is called by (tare-engine-crash crashes). Each must cost one cell.
 * The list of them is in bad.h; what they do with processes is in processes.c, with files in
 * files.c.
 */
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bad.h"
#include "tare/array.h"
#include "tare/clock.h"

static const char *const names[] = {
#define X(name, does) #name,
    BEHAVIOURS(X)
#undef X
};

struct tare_job job;
static int64_t lap_ns;

void say(const char *line) {
    printf("%s\n", line);
    fflush(stdout);
}

static void hello(const char *name, int abi) {
    printf(
        "{\"event\":\"hello\",\"abi\":%d,\"engine\":\"%s\",\"version\":\"1\",\"clock_ns\":%lld}\n",
        abi, name, (long long)lap_ns);
    fflush(stdout);
}

static void phase(const char *name, double factor) {
    int64_t now_ns = tare_now_ns();
    printf("{\"event\":\"phase\",\"name\":\"%s\",\"wall_ns\":%lld}\n", name,
           (long long)((double)(now_ns - lap_ns) * factor));
    fflush(stdout);
    lap_ns = now_ns;
}

/* The last number of the model's text; 10 where there is none. */
size_t classes(void) {
    const char *last = strrchr(job.model, ' ');
    last = last ? strchr(last, ':') : NULL;
    return last && atol(last + 1) > 0 ? (size_t)atol(last + 1) : 10;
}

static void write_array(enum tare_dtype dtype, size_t images, size_t columns, float value) {
    struct tare_array logits = {0};
    if (tare_array_make(&logits, dtype, 2, (size_t[]){images, columns}, NULL) != TARE_OK)
        exit(9);
    for (size_t i = 0; i < images * columns && dtype == TARE_F32; i++)
        ((float *)logits.data)[i] = i % columns == 3 % columns ? value : 0.0f;
    if (tare_npy_write(job.logits, &logits, NULL) != TARE_OK)
        exit(9);
    tare_array_free(&logits);
}

size_t test_image_count(void) {
    struct tare_array images = {0};
    if (tare_npy_read(&images, job.test_images, NULL) != TARE_OK)
        exit(9);
    size_t count = images.shape[0];
    tare_array_free(&images);
    return count;
}

static double cpu_s(void) {
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Until the process has clearly had more than one CPU; on a busy machine that takes longer. */
static void *spin(void *start_ns) {
    for (;;) {
        double wall_s = (double)(tare_now_ns() - *(int64_t *)start_ns) * 1e-9;
        if (wall_s > 8 || (wall_s > 0.4 && cpu_s() > 1.4 * (wall_s + 0.2)))
            return NULL;
    }
}

static void be_greedy(void) {
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
    int64_t start_ns = tare_now_ns();
    pthread_t other;
    if (pthread_create(&other, NULL, spin, &start_ns) != 0)
        exit(9);
    spin(&start_ns);
    pthread_join(other, NULL);
}

/* size bytes of text again and again; a text that ends in a newline is whole lines. */
static void flood(int fd, const char *text) {
    static char block[65536];
    size_t length = strlen(text), filled = 0;
    const char *megabytes = getenv("TEST_FLOOD_MB");
    size_t blocks = (megabytes ? (size_t)atol(megabytes) : 16) * 16;
    for (; filled + length <= sizeof block; filled += length)
        memcpy(block + filled, text, length);
    for (size_t i = 0; i < blocks; i++)
        for (size_t done = 0; done < filled;) {
            ssize_t put = write(fd, block + done, filled - done);
            if (put < 0)
                exit(9);
            done += (size_t)put;
        }
}

/* Dies or hangs when it is called so: crash_load, hang_load. */
static void pass(enum behaviour what, const char *stage) {
    const char *end = strchr(names[what], '_');
    if (!end || strcmp(end + 1, stage) != 0)
        return;
    if (strncmp(names[what], "crash_", 6) == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitiser would turn it into an exit code */
        raise(SIGSEGV);
    }
    while (strncmp(names[what], "hang_", 5) == 0)
        pause();
}

static void steer(void) {
    say("{\"event\":\"setting\",\"name\":\"version\",\"value\":\"\\u001b[2J\\u009b31m1\"}");
    say("{\"event\":\"setting\",\"name\":\"\\u001b]0;title\\u0007\",\"value\":"
        "\"\\u202eolleh\\r\"}");
    say("{\"event\":\"metric\",\"name\":\"\\u001b[1A\",\"value\":1}");
    say("{\"event\":\"fail\",\"code\":\"\\u001b[H\",\"message\":\"\\u001b["
        "2J\\u009b31m\\u0085gone\"}");
    exit(1);
}

/* What happens instead of, or in the middle of, the work. Returns when the job goes on. */
static void misbehave(enum behaviour what) {
    static const char endless[] =
        "{\"event\":\"setting\",\"value\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    if (misbehave_with_processes(what))
        return;
    switch (what) {
    case DO_crash:
        signal(SIGSEGV, SIG_DFL); /* a sanitiser would turn it into an exit code */
        raise(SIGSEGV);
        return;
    case DO_hang:
        for (;;)
            pause();
    case DO_rubbish:
        say("Epoch 1/5 ━━━━━━━━━━ loss: 0.31");
        return;
    case DO_notutf:
        say("{\"event\":\"setting\",\"name\":\"\xff\xfe\",\"value\":\"\"}");
        return;
    case DO_twice:
        hello("twice", TARE_ABI);
        return;
    case DO_cut:
        fputs("{\"event\":\"pha", stdout);
        exit(0);
    case DO_endless:
        for (int i = 0; i < 100000; i++)
            fputs(endless, stdout);
        exit(0);
    case DO_flood:
        flood(STDERR_FILENO, "x");
        return;
    case DO_flood_events:
        flood(STDOUT_FILENO, "{\"event\":\"setting\",\"name\":\"a\",\"value\":\"b\"}\n");
        return;
    case DO_flood_rubbish:
        flood(STDOUT_FILENO, "all work and no play\n");
        return;
    case DO_flood_line:
        flood(STDOUT_FILENO, "x");
        return;
    case DO_nul:
        fwrite("{\"event\":\"\0\"}\n", 1, 14, stdout);
        fflush(stdout);
        return;
    case DO_escapes:
        steer();
        return;
    case DO_wrongepoch:
        say("{\"event\":\"epoch\",\"i\":7,\"loss\":0.5,\"wall_ns\":1}");
        return;
    case DO_minus:
        say("{\"event\":\"phase\",\"name\":\"load\",\"wall_ns\":-1}");
        return;
    case DO_greedy:
        be_greedy();
        return;
    case DO_skipper:
        say("{\"event\":\"skip\",\"reason\":\"no such device\",\"fix\":\"buy one\"}");
        exit(1);
    case DO_failer:
        say("{\"event\":\"fail\",\"code\":\"SHAPE\",\"message\":\"shapes differ\"}");
        exit(1);
    case DO_nanloss:
        say("{\"event\":\"epoch\",\"i\":0,\"loss\":null,\"wall_ns\":1}");
        return;
    default: /* something else of it is bad */
        return;
    }
}

void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        exit(9);
}

static void sample(size_t batch, bool first) {
    printf("{\"event\":\"sample\",\"task\":\"infer\",\"call\":\"guess\",\"batch\":%zu,"
           "\"loops\":3,\"wall_ns\":3000000,\"first\":%s}\n",
           batch, first ? "true" : "false");
    fflush(stdout);
}

static void write_latencies(size_t queries, int32_t ns) {
    struct tare_array latencies = {0};
    if (tare_array_make(&latencies, TARE_I32, 1, &queries, NULL) != TARE_OK)
        exit(9);
    for (size_t i = 0; i < queries; i++)
        ((int32_t *)latencies.data)[i] = ns;
    if (tare_npy_write(job.latencies, &latencies, NULL) != TARE_OK)
        exit(9);
    tare_array_free(&latencies);
}

/* What a job asks for beside logits, from the engines that get that far. */
static void answer(enum behaviour what) {
    if (what < DO_deployed)
        return;
    if (what != DO_noanswer)
        sample(1, true);
    if (job.queries > 0)
        write_latencies(what == DO_fewqueries ? job.queries / 2 : job.queries,
                        what == DO_backwards ? -1 : 1000);
    for (size_t i = 0; i < job.batch_count && what != DO_nobatches; i++)
        sample(job.batches[i], false);
}

static void save(enum behaviour what) {
    if (what == DO_nologits || !job.logits[0])
        return;
    size_t images = test_image_count(), columns = classes();
    if (what == DO_badlogits)
        write_text(job.logits, "not an array");
    else if (what == DO_doubles)
        write_array(TARE_F64, images, columns, 0);
    else if (what == DO_wrongshape)
        write_array(TARE_F32, images / 2, columns, 1);
    else if (what == DO_manyrows)
        write_array(TARE_F32, images + 1, columns, 1);
    else if (what == DO_narrow)
        write_array(TARE_F32, images, 2, 1);
    else
        write_array(TARE_F32, images, columns,
                    what == DO_nanlogits   ? NAN
                    : what == DO_inflogits ? INFINITY
                    : what == DO_constant  ? 0
                                           : 1);
    misbehave_with_files(what);
}

static void work(enum behaviour what) {
    pass(what, "load");
    phase("load", 1);
    misbehave(what);
    usleep(what == DO_hesitant ? 1000000 : 150000);
    pass(what, "train");
    phase("train", what == DO_liar ? 0.01 : what == DO_boaster ? 3 : 1);
    answer(what);
    save(what);
    pass(what, "save");
    phase("save", 1);
}

int main(int argc, char **argv) {
    (void)argc;
    lap_ns = tare_now_ns();
    const char *name = strstr(argv[0], "tare-engine-");
    name = name ? name + strlen("tare-engine-") : "";
    int what = 0;
    while (what < COUNT && strcmp(name, names[what]) != 0)
        what++;
    static char line[TARE_MAX_LINE_BYTES];
    if (what == COUNT || !fgets(line, sizeof line, stdin) ||
        tare_job_parse(&job, line, strlen(line), NULL) != TARE_OK)
        return 9;
    if (what == DO_silent)
        return 0;
    pass((enum behaviour)what, "start");
    if (what == DO_early)
        phase("import", 1);
    if (what == DO_timetravel)
        lap_ns += (int64_t)86400 * 1000000000;
    hello(what == DO_impostor ? "pytorch" : name, what == DO_oldabi ? 99 : TARE_ABI);
    if (what == DO_timetravel)
        lap_ns -= (int64_t)86400 * 1000000000;
    pass((enum behaviour)what, "import");
    phase("import", 1);
    if (strcmp(job.task, "warmup") != 0)
        work((enum behaviour)what);
    say("{\"event\":\"bye\"}");
    pass((enum behaviour)what, "bye");
    if (what == DO_chatty)
        phase("afterthought", 1);
    return what == DO_exitcode ? 3 : 0;
}
