/* load.c: how long data take: from MNIST's four .gz files to arrays, with and without the checksum,
 * from the cache read and mapped, and from the exec of `tare train` to an engine's first step. Each
 * number is the median of many fresh processes; files are in the page cache.
 *
 *     bench_load BUILD DIR      BUILD/tare; DIR holds the .gz files
 */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "data/parts.h"
#include "tare/buf.h"
#include "tare/clock.h"

#define RUNS 15

extern char **environ;

static void must(bool good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(2);
}

static char *path_of(const char *dir, const char *name, const char *suffix) {
    struct tare_buf path = {0};
    tare_buf_printf(&path, "%s/%s%s", dir, name, suffix);
    must(!path.failed, name);
    return path.data;
}

/* ---- in a process of its own -------------------------------------------------------------------
 */

static void decode(const char *dir) {
    for (size_t i = 0; i < TARE_SET_FILES; i++) {
        struct tare_array array;
        char *path = path_of(dir, tare_known_sets[0].files[i].name, ".gz");
        must((i % 2 ? tare_labels_read : tare_images_read)(&array, path, NULL) == TARE_OK, path);
        free(path);
    }
}

/* The same by zlib, in the pieces that its documentation recommends, kept in memory. */
static void decode_by_zlib(const char *dir) {
    for (size_t i = 0; i < TARE_SET_FILES; i++) {
        const size_t bytes = tare_known_sets[0].files[i].bytes;
        char *path = path_of(dir, tare_known_sets[0].files[i].name, ".gz"), *out = malloc(bytes);
        gzFile file = gzopen(path, "rb");
        must(file != NULL && out != NULL && gzbuffer(file, 131072) == 0, path);
        must(gzread(file, out, (unsigned)bytes) == (int)bytes, path);
        gzclose(file);
        free(path);
    }
}

static void load(const char *dir, enum tare_data_cache cache) {
    struct tare_dataset set;
    const struct tare_data_options options = {.name = "mnist", .dir = dir, .cache = cache};
    must(tare_dataset_load(&set, &options, NULL) == TARE_OK, dir);
    must(set.mapped == (cache == TARE_CACHE_MAPPED), "the cache");
}

static void prepare(const char *dir) {
    struct tare_dataset set;
    const struct tare_data_options options = {
        .name = "mnist", .dir = dir, .cache = TARE_CACHE_READ};
    char *folder;
    must(tare_dataset_load(&set, &options, NULL) == TARE_OK &&
             tare_dataset_prepare(&folder, &set, NULL) == TARE_OK,
         dir);
}

static int measure(const char *what, const char *dir) {
    const int64_t start_ns = tare_now_ns();
    if (strcmp(what, "decode") == 0)
        decode(dir);
    else if (strcmp(what, "zlib") == 0)
        decode_by_zlib(dir);
    else
        load(dir, strcmp(what, "check") == 0  ? TARE_CACHE_UNUSED
                  : strcmp(what, "read") == 0 ? TARE_CACHE_READ
                                              : TARE_CACHE_MAPPED);
    printf("%" PRId64 "\n", tare_now_ns() - start_ns);
    return 0;
}

/* ---- the table ---------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void put_row(const char *what, double ms[RUNS]) {
    qsort(ms, RUNS, sizeof *ms, compare);
    printf("  %-58s %8.2f %8.2f %8.2f\n", what, ms[RUNS / 2], ms[0], ms[RUNS - 1]);
    fflush(stdout);
}

static void run_self(const char *label, const char *what, const char *dir) {
    double ms[RUNS];
    struct tare_buf command = {0};
    char self[4096];
    const ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    must(size > 0, "/proc/self/exe");
    self[size] = '\0';
    tare_buf_shell_word(&command, self);
    tare_buf_printf(&command, " measure %s ", what);
    tare_buf_shell_word(&command, dir);
    for (int i = 0; i < RUNS; i++) {
        FILE *pipe = popen(command.data, "r");
        int64_t ns = 0;
        must(pipe != NULL && fscanf(pipe, "%" SCNd64, &ns) == 1 && pclose(pipe) == 0, what);
        ms[i] = (double)ns * 1e-6;
    }
    tare_buf_free(&command);
    put_row(label, ms);
}

/* One `tare train`, of 5 epochs where they cost nothing: ms to the engine's main, and to its first
 * step. */
static void train_once(double *to_main, double *to_step, const char *build, const char *engine,
                       const char *stamps, const char *out) {
    char *tare = path_of(build, "tare", "");
    char *epochs = strcmp(engine, "null") == 0 ? (char[]){"5"} : (char[]){"1"};
    char *argv[] = {tare,        (char[]){"train"},    (char[]){"--epochs"}, epochs, (char[]){"-o"},
                    strdup(out), (char[]){"--engine"}, strdup(engine),       NULL};
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child;
    int status = -1;
    int64_t main_ns = 0, step_ns = 0;
    const int64_t start_ns = tare_now_ns();
    must(posix_spawn(&child, tare, &quiet, NULL, argv, environ) == 0, tare);
    must(waitpid(child, &status, 0) == child && status == 0, "tare train");
    FILE *file = fopen(stamps, "r");
    must(file && fscanf(file, "%" SCNd64 " %" SCNd64, &main_ns, &step_ns) == 2, stamps);
    fclose(file);
    *to_main = (double)(main_ns - start_ns) * 1e-6;
    *to_step = (double)(step_ns - start_ns) * 1e-6;
    posix_spawn_file_actions_destroy(&quiet);
    free(argv[5]);
    free(argv[7]);
    free(tare);
}

static void run_training(const char *build, const char *engine, bool bytes, const char *dir) {
    double to_main[RUNS], to_step[RUNS];
    char label[96], stamps[64], out[64];
    snprintf(stamps, sizeof stamps, "/tmp/tare-stamps-%ld", (long)getpid());
    snprintf(out, sizeof out, "/tmp/tare-stamps-%ld.safetensors", (long)getpid());
    setenv("TARE_DATA", dir, 1);
    setenv("TARE_STAMPS", stamps, 1);
    if (bytes)
        setenv("TARE_STAMP_BYTES", "1", 1);
    else
        unsetenv("TARE_STAMP_BYTES");
    for (int i = -1; i < RUNS; i++) /* the first fills the cache */
        train_once(&to_main[i < 0 ? 0 : i], &to_step[i < 0 ? 0 : i], build, engine, stamps, out);
    snprintf(label, sizeof label, "exec of tare train -> main of engine %s", engine);
    put_row(label, to_main);
    snprintf(label, sizeof label, "exec of tare train -> its first step, %s",
             bytes ? "images as bytes" : "images as float32");
    put_row(label, to_step);
    unlink(stamps);
    unlink(out);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv[3]);
    if (argc != 3)
        return 2;
    const char *build = argv[1], *dir = argv[2];
    struct tare_buf path = {0};
    tare_buf_printf(&path, "%s/bench_engines", build);
    setenv("TARE_ENGINE_PATH", path.data, 1);
    printf("MNIST, %d fresh processes each; milliseconds\n\n  %-58s %8s %8s %8s\n", RUNS, "",
           "median", "least", "most");
    run_self("four .gz files to arrays, by zlib (bytes only, unchecked)", "zlib", dir);
    run_self("four .gz files to arrays", "decode", dir);
    run_self("the same, recognised by their SHA-256", "check", dir);
    prepare(dir);
    run_self("from the cache, read", "read", dir);
    run_self("from the cache, mapped", "mapped", dir);
    run_training(build, "null", false, dir);
    run_training(build, "null", true, dir);
    run_training(build, "native", true, dir); /* as it takes them anyway */
    tare_buf_free(&path);
    return 0;
}
