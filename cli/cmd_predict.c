/* cmd_predict.c: tare predict: what does a model say to an image? The model runs in the engine of
 * its format: native for .safetensors, onnxruntime for .onnx, litert for .tflite. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "infer.h"
#include "tare/bench.h"
#include "tare/buf.h"
#include "tare/digit.h"
#include "tare/lab.h"
#include "tare/safetensors.h"

struct prediction {
    const char *model_path, *engine;
    char **images;
    size_t image_count, height, width;
    struct tare_job job;
    struct tare_array logits; /* (image_count, classes) */
};

/* A .safetensors says in its metadata which net it is; the image gets that size. */
static enum tare_status read_net(struct prediction *p, struct tare_err *err) {
    if (strcmp(p->engine, "native") != 0)
        return TARE_OK;
    struct tare_tensors tensors = {0};
    struct tare_net net;
    enum tare_status status = tare_safetensors_read(&tensors, p->model_path, err);
    const char *model = status == TARE_OK ? tare_tensors_metadata(&tensors, "model") : NULL;
    if (status == TARE_OK && !model)
        status = tare_fail(err, TARE_DATA, p->model_path, "train it with tare train",
                           "doesn't say which net it is (metadata \"model\")");
    struct tare_err bad_model = {0};
    if (status == TARE_OK && tare_net_parse(&net, model, &bad_model) != TARE_OK)
        status = tare_fail(err, TARE_DATA, p->model_path, "train it with tare train",
                           "its metadata \"model\" is damaged: %s", bad_model.what);
    if (status == TARE_OK && net.in.rank == 3) {
        p->height = net.in.dim[0];
        p->width = net.in.dim[1];
    }
    if (status == TARE_OK && net.n_in != p->height * p->width)
        status = tare_fail(err, TARE_DATA, p->model_path, "--size HEIGHTxWIDTH",
                           "takes %zu values, an image of %zux%zu has %zu", net.n_in, p->height,
                           p->width, p->height * p->width);
    if (status == TARE_OK)
        snprintf(p->job.model, sizeof p->job.model, "%s", model);
    tare_tensors_free(&tensors);
    return status;
}

static enum tare_status write_images(const struct prediction *p, struct tare_err *err) {
    struct tare_array array = {0};
    enum tare_status status =
        tare_array_make(&array, TARE_U8, 3, (size_t[]){p->image_count, p->height, p->width}, err);
    for (size_t i = 0; i < p->image_count && status == TARE_OK; i++)
        status = tare_digit_read((uint8_t *)array.data + i * p->height * p->width, p->height,
                                 p->width, p->images[i], err);
    if (status == TARE_OK)
        status = tare_npy_write(p->job.test_images, &array, err);
    tare_array_free(&array);
    return status;
}

static enum tare_status run_engine(struct prediction *p, const char *dir, struct tare_err *err) {
    struct cli_inference answer = {.engine = p->engine, .dir = dir, .timeout_s = 60};
    enum tare_status status = cli_infer(&answer, &p->job, err);
    if (status == TARE_OK && !answer.logits.data)
        status = tare_fail(err, TARE_DATA, p->model_path, answer.outcome.fix, "%s",
                           answer.outcome.reason);
    if (status == TARE_OK && answer.logits.shape[0] != p->image_count)
        status =
            tare_fail(err, TARE_DATA, p->model_path, NULL, "gave logits of %zu images, not %zu",
                      answer.logits.shape[0], p->image_count);
    if (status == TARE_OK) {
        p->logits = answer.logits;
        answer.logits.data = NULL;
    }
    cli_inference_free(&answer);
    return status;
}

/* Whether the model ends in a softmax itself: every row is a distribution. Logits of several images
 * that are all positive and add up to 1 are not to be expected. */
static bool gives_probabilities(const float *rows, size_t count, size_t classes) {
    for (size_t i = 0; i < count; i++) {
        double sum = 0;
        for (size_t c = 0; c < classes; c++) {
            if (!(rows[i * classes + c] >= 0))
                return false;
            sum += (double)rows[i * classes + c];
        }
        if (fabs(sum - 1) > 1e-5)
            return false;
    }
    return true;
}

/* Softmax of one row, in double; the maximum is taken from element 0 on. */
static void softmax(double *probability, const float *row, size_t classes) {
    double largest = row[0], sum = 0;
    for (size_t c = 1; c < classes; c++)
        largest = fmax(largest, row[c]);
    for (size_t c = 0; c < classes; c++)
        sum += probability[c] = exp(row[c] - largest);
    for (size_t c = 0; c < classes; c++)
        probability[c] /= sum;
}

static enum tare_status print_row(const char *image, const double *probability, size_t classes,
                                  bool json, struct tare_err *err) {
    size_t best = 0, second = classes > 1 ? 1 : 0;
    for (size_t c = 1; c < classes; c++)
        if (probability[c] > probability[best])
            best = c;
    if (best == second)
        second = 0;
    for (size_t c = 0; c < classes; c++)
        if (c != best && probability[c] > probability[second])
            second = c;
    if (json)
        return cli_print_json(json_pack("{s:s,s:I,s:f}", "image", image, "answer", (json_int_t)best,
                                        "probability", probability[best]),
                              err);
    printf("%s: %zu (%.1f %%)", image, best, 100 * probability[best]);
    if (probability[second] >= 0.01)
        printf(", or %zu (%.1f %%)", second, 100 * probability[second]);
    printf("\n");
    return TARE_OK;
}

static enum tare_status print_answers(const struct prediction *p, bool json, struct tare_err *err) {
    size_t classes = p->logits.shape[1];
    double *probability = calloc(classes, sizeof *probability);
    if (!probability)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the answers");
    const float *rows = p->logits.data;
    bool is_done = gives_probabilities(rows, p->image_count, classes);
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < p->image_count && status == TARE_OK; i++) {
        if (!is_done)
            softmax(probability, rows + i * classes, classes);
        for (size_t c = 0; is_done && c < classes; c++)
            probability[c] = (double)rows[i * classes + c];
        status = print_row(p->images[i], probability, classes, json, err);
    }
    free(probability);
    return status;
}

static enum tare_status predict(struct prediction *p, bool json, struct tare_err *err) {
    cli_catch_signals(); /* before there is a temporary folder to clean up */
    tare_job_defaults(&p->job);
    enum tare_status status = tare_model_engine(&p->engine, p->model_path, err);
    if (status == TARE_OK)
        status = read_net(p, err);
    char *model = status == TARE_OK ? realpath(p->model_path, NULL) : NULL;
    if (status == TARE_OK && !model)
        status = tare_fail_errno(err, p->model_path, "check the path", "cannot be read");
    char *dir = status == TARE_OK ? cli_temporary_dir(err) : NULL;
    if (status == TARE_OK && !dir)
        status = err->status;
    if (status == TARE_OK) {
        char *where = strcmp(p->engine, "native") == 0 ? p->job.init : p->job.model_file;
        snprintf(where, TARE_MAX_PATH, "%s", model);
        snprintf(p->job.test_images, TARE_MAX_PATH, "%s/images.npy", dir);
        status = write_images(p, err);
    }
    if (status == TARE_OK)
        status = run_engine(p, dir, err);
    if (status == TARE_OK)
        status = print_answers(p, json, err);
    if (dir)
        cli_remove_dir(dir);
    free(dir);
    free(model);
    tare_array_free(&p->logits);
    return status;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    static struct prediction p = {.height = 28, .width = 28};
    const char *size = NULL;
    bool json = false;
    const struct cli_option options[] = {
        {"size", CLI_TEXT, &size, "HxW", "of the images the model was trained on (28x28)", 0},
        {"json", CLI_FLAG, &json, NULL, "one line of JSON per image", 0}};
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options, 2, &err);
    if (helped)
        return 0;
    if (status == TARE_OK && size)
        status = cli_read_size(&p.height, &p.width, size, &err);
    if (status == TARE_OK && args.count < 2)
        status = tare_fail(&err, TARE_USAGE, NULL, "tare predict digits.safetensors seven.png",
                           "name a model and an image");
    if (status == TARE_OK) {
        p.model_path = args.words[0];
        p.images = args.words + 1;
        p.image_count = (size_t)args.count - 1;
        status = predict(&p, json, &err);
    }
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_predict = {
    "predict", "what does a model say to a picture of a digit?",
    "predict MODEL IMAGE.png... [OPTION]...",
    "  tare predict digits.safetensors seven.png       any size, dark on light or light on dark\n"
    "  tare predict results/DIR/jobs/*keras*r0/model.tflite a.png b.png\n",
    run};
