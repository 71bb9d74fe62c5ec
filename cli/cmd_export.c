/* cmd_export.c: tare export: trained weights as .onnx or .tflite (src/export), and a look whether
 * the file computes what they say: it is run over the test images in its own runtime, and compared
 * with the float64 reference (tare/parity.h). */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "infer.h"
#include "lab/problem.h"
#include "tare/bench.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/export.h"
#include "tare/parity.h"
#include "tare/safetensors.h"
#include "tare/words.h"

#define RUNTIME_TIMEOUT_S 600

struct export {
    const char *model_path, *out, *data;
    struct tare_export_options how;
    bool no_check, json;
    enum tare_export_format format;
    struct tare_tensors tensors; /* the texts of `how` are borrowed from their metadata */
    struct tare_net net;
    float *params;
    size_t bytes;
    double seconds;

    /* Parity. checked is false when something was missing, and unchecked says what and what to do.
     */
    bool checked;
    struct tare_err unchecked;
    struct tare_dataset set;
    struct cli_inference answer;
    struct tare_parity parity;
};

static enum tare_status read_model(struct export *x, struct tare_err *err) {
    enum tare_status status = tare_safetensors_read(&x->tensors, x->model_path, err);
    if (status == TARE_OK)
        status = tare_net_of_tensors(&x->net, &x->params, &x->tensors, x->model_path, err);
    x->how.trained_by = tare_tensors_metadata(&x->tensors, "trained_by");
    x->how.dataset = tare_tensors_metadata(&x->tensors, "dataset");
    x->how.dataset_sha256 = tare_tensors_metadata(&x->tensors, "dataset_sha256");
    x->how.licence = tare_tensors_metadata(&x->tensors, "dataset_licence");
    return status;
}

static enum tare_status write_file(struct export *x, struct tare_err *err) {
    struct stat info;
    int64_t start_ns = tare_now_ns();
    enum tare_status status =
        tare_export_write(x->out, x->format, &x->net, x->params, &x->how, err);
    x->seconds = (double)(tare_now_ns() - start_ns) * 1e-9;
    if (status == TARE_OK && stat(x->out, &info) != 0)
        status = tare_fail_errno(err, x->out, NULL, "is gone again");
    if (status == TARE_OK)
        x->bytes = (size_t)info.st_size;
    return status;
}

/* ---- parity ------------------------------------------------------------------------------------
 */

/* Probabilities in place of the logits. Softmax brings no two rows further apart, and by at most
 * half as far as they were (in the Euclidean norm, and value by value): that is how far float32
 * references stray now. */
static void apply_softmax(struct tare_parity_reference *r) {
    double sum_of_squares = 0;
    for (size_t i = 0; i < r->n; i++) {
        double *row = r->logits + i * r->n_out, largest = row[0], sum = 0;
        for (size_t c = 1; c < r->n_out; c++)
            largest = fmax(largest, row[c]);
        for (size_t c = 0; c < r->n_out; c++)
            sum += row[c] = exp(row[c] - largest);
        for (size_t c = 0; c < r->n_out; c++) {
            row[c] /= sum;
            sum_of_squares += row[c] * row[c];
        }
        r->stray[i] /= 2;
    }
    r->norm = sqrt(sum_of_squares);
    r->reach /= 2;
}

static enum tare_status compare(struct export *x, struct tare_err *err) {
    const struct tare_array *images = &x->set.test_images, *logits = &x->answer.logits;
    struct tare_parity_reference reference;
    size_t n = images->shape[0];
    if (logits->shape[0] != n || logits->shape[1] != x->net.n_out)
        return tare_fail(err, TARE_FAILED, x->out, NULL, "gives (%zu, %zu) values, not (%zu, %zu)",
                         logits->shape[0], logits->shape[1], n, x->net.n_out);
    float *pixels = calloc(n * x->net.n_in, sizeof *pixels);
    if (!pixels)
        return tare_fail(err, TARE_MEMORY, x->out, "--no-check", "no memory for the test images");
    tare_read_pixels(pixels, images, NULL, n, NULL, x->net.n_in);
    enum tare_status status = tare_parity_reference_make(&reference, &x->net, x->params, pixels, n,
                                                         cli_catch_signals(), err);
    free(pixels);
    if (status != TARE_OK)
        return status;
    if (x->how.softmax)
        apply_softmax(&reference);
    x->parity = tare_parity_of(&reference, logits->data);
    tare_parity_reference_free(&reference);
    x->checked = true;
    return TARE_OK;
}

/* The file over all test images. A runtime that isn't there leaves it unchecked. */
static enum tare_status run_file(struct export *x, const char *dir, const char *prepared,
                                 struct tare_err *err) {
    struct tare_job job;
    tare_job_defaults(&job);
    char *path = realpath(x->out, NULL);
    if (!path)
        return tare_fail_errno(err, x->out, NULL, "is gone again");
    bool fits =
        snprintf(job.model_file, TARE_MAX_PATH, "%s", path) < TARE_MAX_PATH &&
        snprintf(job.test_images, TARE_MAX_PATH, "%s/test_images.npy", prepared) < TARE_MAX_PATH;
    free(path);
    if (!fits)
        return tare_fail(err, TARE_IO, x->out, "a shorter path, or --no-check", "path too long");
    x->answer.dir = dir;
    x->answer.timeout_s = RUNTIME_TIMEOUT_S;
    enum tare_status status = cli_infer(&x->answer, &job, err);
    const struct tare_outcome *outcome = &x->answer.outcome;
    if (status != TARE_OK || x->answer.logits.data)
        return status;
    if (outcome->state == TARE_STATE_SKIPPED) {
        tare_fail(&x->unchecked, TARE_DATA, x->answer.engine, outcome->fix, "%s", outcome->reason);
        return TARE_OK;
    }
    return tare_fail(err, TARE_FAILED, x->out, outcome->fix, "does not run in %s: %s",
                     x->answer.engine, outcome->reason);
}

/* Data, engine and size of the images: what the check needs. Without one of them it is left out,
 * unless the user named the data. */
static enum tare_status find_needs(struct export *x, struct tare_err *err) {
    char *program = NULL;
    enum tare_status status = tare_model_engine(&x->answer.engine, x->out, err);
    if (status != TARE_OK)
        return status;
    if (tare_engine_find(&program, x->answer.engine, &x->unchecked) != TARE_OK)
        return TARE_OK;
    free(program);
    status = cli_load_data(&x->set, x->data, TARE_CACHE_READ, true, x->data == NULL,
                           x->data ? err : &x->unchecked);
    if (status != TARE_OK)
        return x->data ? status : TARE_OK;
    const struct tare_array *images = &x->set.test_images;
    size_t n_in = tare_array_count(images) / images->shape[0];
    if (n_in != x->net.n_in)
        tare_fail(&x->unchecked, TARE_DATA, x->set.title, "--data DIR with the images it is for",
                  "an image has %zu values, the net takes %zu", n_in, x->net.n_in);
    return TARE_OK;
}

static enum tare_status check_parity(struct export *x, struct tare_err *err) {
    char *prepared = NULL, *dir = NULL;
    enum tare_status status = find_needs(x, err);
    if (status == TARE_OK && x->unchecked.status == TARE_MEMORY) { /* lacks nothing but memory */
        *err = x->unchecked;
        return TARE_MEMORY;
    }
    if (status != TARE_OK || x->unchecked.status != TARE_OK)
        return status;
    /* Before there is a folder to remove. */
    const volatile sig_atomic_t *stop = cli_catch_signals();
    status = tare_dataset_prepare(&prepared, &x->set, err);
    if (status == TARE_OK && !(dir = cli_temporary_dir(err)))
        status = err->status;
    if (status == TARE_OK)
        status = run_file(x, dir, prepared, err);
    if (dir)
        cli_remove_dir(dir);
    free(dir);
    free(prepared);
    if (status == TARE_OK && x->answer.logits.data)
        status = compare(x, err);
    if (status == TARE_OK && *stop)
        status = tare_fail(err, TARE_INTERRUPTED, x->out, NULL, "interrupted; the file is written");
    return status;
}

/* ---- what it says ------------------------------------------------------------------------------
 */

static bool is_same(const struct export *x) {
    return x->parity.ratio <= TARE_PARITY_LIMIT && x->parity.changed_answers == 0;
}

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *parity_json(const struct export *x) {
    if (x->no_check)
        return json_pack("{s:s}", "state", "not asked for");
    if (!x->checked)
        return json_pack("{s:s,s:s,s:s}", "state", "unchecked", "reason", x->unchecked.what, "fix",
                         x->unchecked.hint);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:o,s:f,s:o,s:I}", "state", is_same(x) ? "ok" : "over",
                     "engine", x->answer.engine, "version", x->answer.outcome.version, "dataset",
                     x->set.name, "images", (json_int_t)x->set.test_images.shape[0], "ratio",
                     number(x->parity.ratio), "limit", TARE_PARITY_LIMIT, "max_abs_diff",
                     number(x->parity.max_abs_diff), "changed_answers",
                     (json_int_t)x->parity.changed_answers);
}

static enum tare_status print_json(const struct export *x, struct tare_err *err) {
    return cli_print_json(json_pack("{s:s,s:s,s:I,s:f,s:o}", "out", x->out, "format",
                                    tare_export_format_name(x->format), "bytes",
                                    (json_int_t)x->bytes, "export_s", x->seconds, "parity",
                                    parity_json(x)),
                          err);
}

static void print_parity(struct export *x) {
    char *said_by_others[] = {x->unchecked.what, x->unchecked.hint, x->answer.outcome.version};
    for (size_t i = 0; i < sizeof said_by_others / sizeof said_by_others[0]; i++)
        tare_make_plain(said_by_others[i]);
    if (!x->checked) {
        printf("parity not checked: %s%s%s\n", x->unchecked.where,
               x->unchecked.where[0] ? ": " : "", x->unchecked.what);
        if (x->unchecked.hint[0])
            printf("  try: %s\n", x->unchecked.hint);
        return;
    }
    printf("parity: all %zu test images of %s in %s %s, against the float64 reference:\n"
           "  %.2f times as far as float32 explains (limit %g), %zu answer%s changed,\n"
           "  largest difference of a %s %.2g\n",
           x->set.test_images.shape[0], x->set.title, x->answer.engine, x->answer.outcome.version,
           x->parity.ratio, TARE_PARITY_LIMIT, x->parity.changed_answers,
           x->parity.changed_answers == 1 ? "" : "s", x->how.softmax ? "probability" : "logit",
           x->parity.max_abs_diff);
}

/* A file is written, so that a failed check leaves it there to be looked at. */
static enum tare_status export(struct export *x, struct tare_err *err) {
    enum tare_status status = read_model(x, err);
    if (status == TARE_OK) status = write_file(x, err);
    if (status != TARE_OK) return status;
    if (!x->json) printf("%s: %zu bytes, written in %.2f ms\n", x->out, x->bytes, x->seconds * 1e3);
    fflush(stdout);
    if (!x->no_check) status = check_parity(x, err);
    if (status != TARE_OK) return status;
    if (x->json) status = print_json(x, err);
    else if (!x->no_check) print_parity(x);
    if (status != TARE_OK) return status;
    if (x->checked &&
        !is_same(x)) return tare_fail(err, TARE_FAILED, x->out, "a report of this is welcome",
                                      "does not compute what its weights say; the file is kept");
    return TARE_OK;
}

static enum tare_status check(struct export *x, const struct cli_args *args, struct tare_err *err) {
    static const char example[] = "tare export digits.safetensors -o digits.onnx";
    if (args->count != 1)
        return tare_fail(err, TARE_USAGE, NULL, example, "name one model, a .safetensors");
    if (!x->out)
        return tare_fail(err, TARE_USAGE, "--output", example, "where should the model go?");
    x->model_path = args->words[0];
    return tare_export_format_of(&x->format, x->out, err);
}

static int run(int argc, char **argv, const struct cli_command *command) {
    static struct export x;
    const struct cli_option options[] = {
        {"output", CLI_TEXT, &x.out, "FILE", "the model, .onnx or .tflite", 'o'},
        {"batch", CLI_COUNT, &x.how.batch, "N", "exactly N images in every call (any number)", 0},
        {"normalise", CLI_FLAG, &x.how.normalise, NULL, "take uint8 pixels, divide them by 255", 0},
        {"softmax", CLI_FLAG, &x.how.softmax, NULL, "give probabilities in place of logits", 0},
        {"data", CLI_TEXT, &x.data, "DIR", "test images other than MNIST's, for the check", 0},
        {"no-check", CLI_FLAG, &x.no_check, NULL, "don't run the file to see that it is right", 0},
        {"json", CLI_FLAG, &x.json, NULL, "print the result as JSON", 0},
    };
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof options[0], &err);
    if (helped)
        return 0;
    if (status == TARE_OK)
        status = check(&x, &args, &err);
    if (status == TARE_OK)
        status = export(&x, &err);
    tare_tensors_free(&x.tensors);
    tare_dataset_free(&x.set);
    cli_inference_free(&x.answer);
    free(x.params);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_export = {
    "export", "writes trained weights as .onnx or .tflite, and proves the file",
    "export MODEL.safetensors -o FILE [OPTION]...",
    "  tare export digits.safetensors -o digits.onnx\n"
    "  tare export digits.safetensors -o digits.tflite --normalise --softmax\n"
    "  tare export digits.safetensors -o one.onnx --batch 1\n",
    run};
