/* bad.c: engines that misbehave, for the tests of the supervisor and of compare. One program: what
 * it does depends on the name it is called by (tare-engine-crash crashes). Each must cost one cell.
 * The list of them is in bad.h; what they do with processes is in processes.c.
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

static void write_logits(size_t images, float value) {
    struct tare_array logits = {0};
    if (tare_array_make(&logits, TARE_F32, 2, (size_t[]){images, 10}, NULL) != TARE_OK)
        exit(9);
    for (size_t i = 0; i < images * 10; i++)
        ((float *)logits.data)[i] = i % 10 == 3 ? value : 0.0f;
    if (tare_npy_write(job.logits, &logits, NULL) != TARE_OK)
        exit(9);
    tare_array_free(&logits);
}

static size_t test_image_count(void) {
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

static void flood(void) {
    static char block[65536];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 256; i++)
        if (write(STDERR_FILENO, block, sizeof block) < 0)
            exit(9);
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
        flood();
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

static void write_text(const char *path, const char *text) {
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
    size_t images = test_image_count();
    if (what == DO_nologits || !job.logits[0])
        return;
    if (what == DO_badlogits) {
        write_text(job.logits, "not an array");
        return;
    }
    if (what == DO_badweights)
        write_text(job.out, "not weights");
    write_logits(what == DO_wrongshape ? images / 2 : images, what == DO_nanlogits ? NAN : 1.0f);
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
    if (what == DO_early)
        phase("import", 1);
    hello(what == DO_impostor ? "pytorch" : name, what == DO_oldabi ? 99 : TARE_ABI);
    phase("import", 1);
    if (strcmp(job.task, "warmup") != 0) {
        misbehave((enum behaviour)what);
        usleep(150000);
        phase("train", what == DO_liar ? 0.01 : what == DO_boaster ? 3 : 1);
        answer((enum behaviour)what);
        save((enum behaviour)what);
        phase("save", 1);
    }
    say("{\"event\":\"bye\"}");
    if (what == DO_chatty)
        phase("afterthought", 1);
    return what == DO_exitcode ? 3 : 0;
}
