/* model_io.c: the shapes of a deployed model against the images it is to be given. Plain arithmetic
 * on what a runtime reports, kept apart from the runtimes (engines/onnxruntime.c, engines/litert.c)
 * so that one set of tests covers both.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tare/model_io.h"

/* Of one tensor of one call: 4 GiB of float32, the limit of every array in tare. */
#define MAX_VALUES ((size_t)1 << 30)

void tare_model_shape_text(char out[TARE_MODEL_SHAPE_TEXT],
                           const struct tare_model_tensor *tensor) {
    size_t at = (size_t)snprintf(out, TARE_MODEL_SHAPE_TEXT, "(");
    int rank = tensor->rank < TARE_MODEL_MAX_RANK ? tensor->rank : TARE_MODEL_MAX_RANK;
    for (int i = 0; i < rank && at < TARE_MODEL_SHAPE_TEXT; i++) {
        const char *comma = i == 0 ? "" : ", ";
        size_t left = TARE_MODEL_SHAPE_TEXT - at;
        int size = tensor->dims[i] < 0
                       ? snprintf(out + at, left, "%s?", comma)
                       : snprintf(out + at, left, "%s%lld", comma, (long long)tensor->dims[i]);
        at += (size_t)size;
    }
    if (at < TARE_MODEL_SHAPE_TEXT) {
        snprintf(out + at, TARE_MODEL_SHAPE_TEXT - at, ")");
    }
}

/* The product of all dimensions but the batch; 0 when one of them is free, zero or too large. */
static size_t values_per_image(const struct tare_model_tensor *tensor) {
    if (tensor->rank < 2 || tensor->rank > TARE_MODEL_MAX_RANK) {
        return 0;
    }
    size_t values = 1;
    for (int i = 1; i < tensor->rank; i++) {
        if (tensor->dims[i] < 1 ||
            __builtin_mul_overflow(values, (size_t)tensor->dims[i], &values)) {
            return 0;
        }
    }
    return values;
}

enum tare_status tare_model_plan(struct tare_model_plan *plan,
                                 const struct tare_model_tensor *input,
                                 const struct tare_model_tensor *output, size_t n_in,
                                 const char *model_file, struct tare_err *err) {
    char in_text[TARE_MODEL_SHAPE_TEXT], out_text[TARE_MODEL_SHAPE_TEXT];
    tare_model_shape_text(in_text, input);
    tare_model_shape_text(out_text, output);
    size_t takes = values_per_image(input), gives = values_per_image(output);
    if (takes == 0 || input->dims[0] == 0) {
        return tare_fail(err, TARE_DATA, model_file, "export it as (batch, sizes of one image)",
                         "the model's input %s is not a batch of images of a fixed size", in_text);
    }
    if (takes != n_in) {
        return tare_fail(err, TARE_DATA, model_file, "a model made for this data set",
                         "the model's input %s takes %zu values per image, the test images have "
                         "%zu",
                         in_text, takes, n_in);
    }
    bool same_batch =
        input->dims[0] < 0 || output->dims[0] < 0 || input->dims[0] == output->dims[0];
    if (gives == 0 || !same_batch) {
        return tare_fail(err, TARE_DATA, model_file, "export it with one row of logits per image",
                         "the model's output %s is not one row of logits per image of its input "
                         "%s",
                         out_text, in_text);
    }
    size_t batch = input->dims[0] < 0 ? 0 : (size_t)input->dims[0];
    if (batch > MAX_VALUES / takes || batch > MAX_VALUES / gives) {
        return tare_fail(err, TARE_DATA, model_file, "export it with a smaller or a free batch",
                         "the model's input %s is too large for one call", in_text);
    }
    *plan = (struct tare_model_plan){.batch = batch, .n_in = takes, .n_out = gives};
    if (batch > 0) {
        plan->spare_in = calloc(batch * takes, sizeof *plan->spare_in);
        plan->spare_out = calloc(batch * gives, sizeof *plan->spare_out);
        if (plan->spare_in == NULL || plan->spare_out == NULL) {
            tare_model_plan_free(plan);
            return tare_fail(err, TARE_MEMORY, model_file, NULL,
                             "no memory for a batch of %zu images", batch);
        }
    }
    return TARE_OK;
}

void tare_model_plan_free(struct tare_model_plan *plan) {
    free(plan->spare_in);
    free(plan->spare_out);
    *plan = (struct tare_model_plan){0};
}

enum tare_status tare_model_infer(const struct tare_model_plan *plan, tare_model_call *call,
                                  void *state, float *logits, const float *x, size_t n,
                                  struct tare_err *err) {
    size_t batch = plan->batch > 0 ? plan->batch : n, n_in = plan->n_in, n_out = plan->n_out;
    enum tare_status status = TARE_OK;
    size_t done = 0;
    for (; status == TARE_OK && done < n && n - done >= batch; done += batch) {
        status = call(state, logits + done * n_out, x + done * n_in, batch, err);
    }
    if (status == TARE_OK && done < n) {
        size_t left = n - done;
        memcpy(plan->spare_in, x + done * n_in, left * n_in * sizeof *x);
        memset(plan->spare_in + left * n_in, 0, (batch - left) * n_in * sizeof *x);
        status = call(state, plan->spare_out, plan->spare_in, batch, err);
        if (status == TARE_OK) {
            memcpy(logits + done * n_out, plan->spare_out, left * n_out * sizeof *logits);
        }
    }
    return status;
}

/* x · 255 is within a rounding or two of the pixel, which is the nearest whole number. */
void tare_model_pixels(uint8_t *pixels, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        pixels[i] = (uint8_t)(int)(x[i] * 255.0f + 0.5f);
    }
}

enum tare_status tare_model_file_check(const char *path, struct tare_err *err) {
    struct stat info;
    if (stat(path, &info) != 0) {
        return tare_fail_errno(err, path, "the path of an exported model", "cannot open the model");
    }
    if (!S_ISREG(info.st_mode) || info.st_size == 0) {
        return tare_fail(err, TARE_DATA, path, "the path of an exported model",
                         S_ISREG(info.st_mode) ? "the model is empty" : "the model is not a file");
    }
    return TARE_OK;
}
