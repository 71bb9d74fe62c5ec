/* test_runtimes.c: the engines onnxruntime and litert as programs, on the tiny models of
 * tests/vectors/ (made by tests/oracle/make_tiny_models.py with the real frameworks): the logits
 * the frameworks gave, batches free and fixed, and models that are wrong in many ways. Needs the
 * environment `runtimes`, except for the tests of its absence. Run from the root of the checkout.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tare/array.h"
#include "tare/buf.h"
#include "tare/environment.h"
#include "tare/protocol.h"
#include "tare/rng.h"
#include "tare/supervise.h"

#define IMAGES 7
#define CLASSES 3
/* 18 additions of values around 1, each rounded to 2⁻²⁴: 1.1e-6. Seen: 1.8e-7. */
#define TOLERANCE 1.1e-6
#define TIMEOUT_S 60

static const struct engine {
    const char *name, *ending, *library, *answers, *call;
} engines[] = {
    {"onnxruntime", ".onnx", "onnxruntime/capi/libonnxruntime.so.1",
     "tests/vectors/tiny_pytorch_logits.npy", "Run"},
    {"litert", ".tflite", "ai_edge_litert/libLiteRt.so", "tests/vectors/tiny_keras_logits.npy",
     "LiteRtRunCompiledModel"},
};
#define EACH_ENGINE(e)                                                                             \
    for (const struct engine *e = engines; e < engines + sizeof engines / sizeof engines[0]; e++)

static char folder[64], root[TARE_MAX_PATH]; /* a folder for each test; the checkout */

/* What a job came to. */
struct result {
    int exit_code;
    struct tare_event last;
    char version[TARE_MAX_TEXT], call[TARE_MAX_TEXT];
    size_t batches[2]; /* of the first two samples */
    size_t samples;
};

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tare-runtimes-XXXXXX");
    return mkdtemp(folder) == NULL || getcwd(root, sizeof root - 64) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void need_runtimes(void) {
    struct tare_environment runtimes;
    struct tare_err err = {0};
    if (tare_environment_find("runtimes", &runtimes, &err) != TARE_OK) {
        print_message("skipped: %s: %s; try: %s\n", err.where, err.what, err.hint);
        skip();
    }
}

static char *vector_path(const char *name, const char *ending) {
    char *path = NULL;
    assert_true(asprintf(&path, "%s/tests/vectors/%s%s", root, name, ending) > 0);
    return path;
}

static char *folder_path(const char *name, const char *ending) {
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s%s", folder, name, ending) > 0);
    return path;
}

/* Runs program with stdin, stdout and stderr as the folder's files; its wait status. */
static int run_program(const char *program) {
    char *in = folder_path("job", ".json"), *out = folder_path("events", ".jsonl");
    char *log = folder_path("stderr", ".log");
    pid_t child = fork();
    if (child == 0) {
        alarm(TIMEOUT_S); /* a hang ends as a signal, and that fails the test */
        if (dup2(open(in, O_RDONLY), 0) == 0 &&
            dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1) == 1 &&
            dup2(open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2) == 2)
            execl(program, program, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    free(in);
    free(out);
    free(log);
    return status;
}

static void read_events(struct result *result) {
    char *path = folder_path("events", ".jsonl");
    struct tare_buf text = {0};
    assert_int_equal(tare_file_read(&text, path, (size_t)1 << 20, NULL), TARE_OK);
    for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        struct tare_event *event = &result->last;
        assert_int_equal(tare_event_parse(event, line, (size_t)(end - line), NULL), TARE_OK);
        if (event->kind == TARE_EVENT_SETTING && strcmp(event->name, "version") == 0)
            memcpy(result->version, event->text, sizeof result->version);
        if (event->kind == TARE_EVENT_SAMPLE) {
            memcpy(result->call, event->extra, sizeof result->call);
            if (result->samples < 2)
                result->batches[result->samples] = event->batch;
            result->samples++;
        }
    }
    tare_buf_free(&text);
    free(path);
}

static struct result run_job(const struct engine *e, const char *model, const char *images,
                             size_t loops) {
    static struct tare_job job;
    tare_job_defaults(&job);
    snprintf(job.task, sizeof job.task, "infer");
    snprintf(job.model_file, sizeof job.model_file, "%s", model);
    snprintf(job.test_images, sizeof job.test_images, "%s", images);
    snprintf(job.logits, sizeof job.logits, "%s/logits.npy", folder);
    job.threads = 1;
    job.infer_loops = loops;
    char *line = NULL, *job_path = folder_path("job", ".json"), *program = NULL;
    struct tare_err err = {0};
    assert_int_equal(tare_job_text(&line, &job, &err), TARE_OK);
    assert_int_equal(tare_file_write(job_path, line, strlen(line), &err), TARE_OK);
    if (tare_engine_find(&program, e->name, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    int status = run_program(program);
    if (!WIFEXITED(status))
        fail_msg("%s on %s ended by signal %d", e->name, model, WTERMSIG(status));
    struct result result = {.exit_code = WEXITSTATUS(status)};
    read_events(&result);
    free(line);
    free(job_path);
    free(program);
    return result;
}

static struct result run_tiny(const struct engine *e, const char *model, size_t loops) {
    char *images = vector_path("tiny_images", ".npy");
    struct result result = run_job(e, model, images, loops);
    free(images);
    return result;
}

/* The largest distance of the logits just written from the framework's own. */
static double distance(const struct engine *e) {
    char *path = folder_path("logits", ".npy");
    struct tare_array got = {0}, want = {0};
    assert_int_equal(tare_npy_read(&got, path, NULL), TARE_OK);
    assert_int_equal(tare_npy_read(&want, e->answers, NULL), TARE_OK);
    assert_true(got.dtype == TARE_F32 && got.rank == 2);
    assert_true(got.shape[0] == IMAGES && got.shape[1] == CLASSES);
    double largest = 0;
    for (size_t i = 0; i < IMAGES * CLASSES; i++) {
        double d = fabs((double)((float *)got.data)[i] - (double)((float *)want.data)[i]);
        largest = d > largest || isnan(d) ? d : largest;
    }
    tare_array_free(&got);
    tare_array_free(&want);
    free(path);
    return largest;
}

static void expect_bye(const struct engine *e, const struct result *result) {
    if (result->exit_code != 0 || result->last.kind != TARE_EVENT_BYE)
        fail_msg("%s ended with %d, %s: %s", e->name, result->exit_code,
                 tare_event_name(result->last.kind), result->last.text);
}

/* A fail event that says something of the kind wanted. */
static void expect_fail(const struct engine *e, const char *model, const char *images,
                        const char *says) {
    struct result result = run_job(e, model, images, 0);
    if (result.exit_code != 1 || result.last.kind != TARE_EVENT_FAIL ||
        strstr(result.last.text, says) == NULL)
        fail_msg("%s on %s ended with %d, %s: \"%s\", wanted a fail that says \"%s\"", e->name,
                 model, result.exit_code, tare_event_name(result.last.kind), result.last.text,
                 says);
}

static void test_logits(void **state) {
    (void)state;
    need_runtimes();
    EACH_ENGINE(e) {
        static const char *const models[] = {"tiny", "tiny_batch2"};
        for (size_t i = 0; i < 2; i++) {
            char *model = vector_path(models[i], e->ending);
            struct result result = run_tiny(e, model, 1);
            expect_bye(e, &result);
            double d = distance(e);
            print_message("%s on %s%s: within %.2g\n", e->name, models[i], e->ending, d);
            assert_true(d <= TOLERANCE);
            assert_true(result.version[0] >= '0' && result.version[0] <= '9');
            assert_string_equal(result.call, e->call);
            assert_true(result.samples == 4); /* all: first, one loop; one image: first, many */
            assert_true(result.batches[0] == IMAGES && result.batches[1] == IMAGES);
            free(model);
        }
    }
}

/* Copies size bytes of a vector into the folder, with the byte at `flip` changed. */
static char *copy_model(const char *name, const char *ending, size_t size, size_t flip) {
    char *from = vector_path(name, ending), *to = folder_path(name, ending);
    struct tare_buf bytes = {0};
    assert_int_equal(tare_file_read(&bytes, from, (size_t)1 << 20, NULL), TARE_OK);
    if (flip < bytes.size)
        bytes.data[flip] = (char)(bytes.data[flip] ^ 0x80);
    size = size < bytes.size ? size : bytes.size;
    assert_int_equal(tare_file_write(to, bytes.data, size, NULL), TARE_OK);
    tare_buf_free(&bytes);
    free(from);
    return to;
}

/* The comparison above must see one wrong sign among the weights. */
static void test_a_wrong_weight_is_seen(void **state) {
    (void)state;
    need_runtimes();
    char *model = copy_model("tiny", ".onnx", SIZE_MAX, SIZE_MAX);
    char *data = copy_model("tiny", ".onnx.data", SIZE_MAX, 3); /* the first weight's sign */
    struct result result = run_tiny(&engines[0], model, 0);
    expect_bye(&engines[0], &result);
    assert_true(distance(&engines[0]) > 100 * TOLERANCE);
    free(model);
    free(data);
}

static void test_truncated(void **state) {
    (void)state;
    need_runtimes();
    char *images = vector_path("tiny_images", ".npy");
    EACH_ENGINE(e) {
        char *path = vector_path("tiny_batch2", e->ending);
        struct tare_buf whole = {0};
        assert_int_equal(tare_file_read(&whole, path, (size_t)1 << 20, NULL), TARE_OK);
        for (size_t eighth = 0; eighth < 8; eighth++) {
            char *model = copy_model("tiny_batch2", e->ending, whole.size * eighth / 8, SIZE_MAX);
            expect_fail(e, model, images, eighth == 0 ? "empty" : "cannot load the model");
            free(model);
        }
        tare_buf_free(&whole);
        free(path);
    }
    char *model = copy_model("tiny", ".onnx", SIZE_MAX, SIZE_MAX);
    expect_fail(&engines[0], model, images, "cannot load the model"); /* no .onnx.data */
    char *data = copy_model("tiny", ".onnx.data", 100, SIZE_MAX);
    expect_fail(&engines[0], model, images, "cannot load the model");
    free(data);
    free(model);
    free(images);
}

/* Changed bytes make another model, or none, but never a crash or a hang. */
static void test_damaged(void **state) {
    (void)state;
    need_runtimes();
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    EACH_ENGINE(e) {
        char *from = vector_path("tiny_batch2", e->ending), *to = folder_path("bad", e->ending);
        for (size_t round = 0; round < 16; round++) {
            struct tare_buf bytes = {0};
            assert_int_equal(tare_file_read(&bytes, from, (size_t)1 << 20, NULL), TARE_OK);
            for (size_t change = 0; change <= round % 4; change++)
                bytes.data[tare_rng_below(&rng, bytes.size)] = (char)tare_rng_below(&rng, 256);
            assert_int_equal(tare_file_write(to, bytes.data, bytes.size, NULL), TARE_OK);
            tare_buf_free(&bytes);
            struct result result = run_tiny(e, to, 0);
            enum tare_event_kind want = result.exit_code == 0 ? TARE_EVENT_BYE : TARE_EVENT_FAIL;
            assert_int_equal(result.last.kind, want);
        }
        free(from);
        free(to);
    }
}

static void test_wrong_models(void **state) {
    (void)state;
    need_runtimes();
    char *images = vector_path("tiny_images", ".npy"), *wide = folder_path("wide", ".npy");
    struct tare_array array = {0};
    assert_int_equal(tare_array_make(&array, TARE_U8, 2, (size_t[]){2, 13}, NULL), TARE_OK);
    assert_int_equal(tare_npy_write(wide, &array, NULL), TARE_OK);
    tare_array_free(&array);
    EACH_ENGINE(e) {
        char *tiny = vector_path("tiny", e->ending), *int8 = vector_path("tiny_int8", e->ending);
        expect_fail(e, int8, images, "not a float32 tensor");
        expect_fail(e, tiny, wide, "takes 12 values per image, the test images have 13");
        expect_fail(e, tiny, "", "the test images have 0");
        expect_fail(e, images, images, "cannot load the model"); /* another kind of file */
        expect_fail(e, "/no/such/model", images, "cannot open the model");
        expect_fail(e, folder, images, "not a file");
        expect_fail(e, "", images, "cannot open the model");
        free(tiny);
        free(int8);
    }
    free(wide);
    free(images);
}

static void expect_skip(const struct engine *e, const char *says) {
    char *model = vector_path("tiny", e->ending);
    struct result result = run_tiny(e, model, 0);
    assert_int_equal(result.exit_code, 1);
    assert_int_equal(result.last.kind, TARE_EVENT_SKIP);
    if (strstr(result.last.text, says) == NULL)
        fail_msg("%s skips with \"%s\", wanted \"%s\"", e->name, result.last.text, says);
    assert_true(result.last.extra[0] != '\0');
    free(model);
}

static void make_parent(const char *path) {
    char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(tare_make_dirs(parent, NULL), TARE_OK);
    free(parent);
}

/* No environment; one without the library; a library that is no library; one of something else. */
static void test_skips_without_runtime(void **state) {
    (void)state;
    const char *variable = getenv("TARE_PYTHON_RUNTIMES");
    char *before = variable ? strdup(variable) : NULL;
    char *python = folder_path("env/bin/python", "");
    Dl_info libc;
    assert_true(dladdr(stdout, &libc) != 0);
    EACH_ENGINE(e) {
        setenv("TARE_PYTHON_RUNTIMES", "/no/such/python", 1);
        expect_skip(e, "not an executable file");
        setenv("TARE_PYTHON_RUNTIMES", python, 1);
        char *library = folder_path("env/lib/python3.11/site-packages/", e->library);
        make_parent(library);
        make_parent(python);
        assert_int_equal(tare_file_write(python, "#!", 2, NULL), TARE_OK);
        assert_int_equal(chmod(python, 0755), 0);
        expect_skip(e, "there is no");
        assert_int_equal(tare_file_write(library, "ELF", 3, NULL), TARE_OK);
        expect_skip(e, "cannot open the library");
        assert_int_equal(unlink(library), 0);
        assert_int_equal(symlink(libc.dli_fname, library), 0);
        expect_skip(e, strcmp(e->name, "litert") == 0 ? "has no LiteRt" : "OrtGetApiBase");
        free(library);
    }
    if (before)
        setenv("TARE_PYTHON_RUNTIMES", before, 1);
    else
        unsetenv("TARE_PYTHON_RUNTIMES");
    free(before);
    free(python);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_logits),  TEST(test_a_wrong_weight_is_seen), TEST(test_truncated),
        TEST(test_damaged), TEST(test_wrong_models),           TEST(test_skips_without_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
