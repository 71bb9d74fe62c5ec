/* model_io.h: does a deployed model take our images and give logits, and how many at a time?
 *
 *     struct tare_model_tensor input = {.rank = 3, .dims = {-1, 28, 28}}; // as the runtime says
 *     struct tare_model_tensor output = {.rank = 2, .dims = {-1, 10}};
 *     struct tare_model_plan plan;
 *     if (tare_model_plan(&plan, &input, &output, 784, path, &err) != TARE_OK) …
 *     // plan.batch == 0: any number of images a call; plan.n_out == 10
 *     tare_model_infer(&plan, my_call, my_state, logits, x, n, &err);     // as many calls as
 * needed tare_model_plan_free(&plan);
 *
 * Shared by the engines that run a model file through somebody else's runtime.
 */
#ifndef TARE_MODEL_IO_H
#define TARE_MODEL_IO_H

#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

#define TARE_MODEL_MAX_RANK 8
#define TARE_MODEL_SHAPE_TEXT 128 /* characters tare_model_shape_text may need, with the NUL */

struct tare_model_tensor {
    int rank;
    int64_t dims[TARE_MODEL_MAX_RANK]; /* outermost first; negative: free, chosen by the caller */
};

struct tare_model_plan {
    size_t batch;                /* images in every call; 0: as many as the caller likes */
    size_t n_in, n_out;          /* values and logits per image */
    float *spare_in, *spare_out; /* a whole fixed batch, for the images that do not fill one */
};

/* Checks input (batch, …) against n_in values per image and output (batch, …); both shapes are
 * named in the message when they do not fit. On failure there is nothing to free. */
enum tare_status tare_model_plan(struct tare_model_plan *plan,
                                 const struct tare_model_tensor *input,
                                 const struct tare_model_tensor *output, size_t n_in,
                                 const char *model_file, struct tare_err *err);
void tare_model_plan_free(struct tare_model_plan *plan);

/* Runs the model once: logits: (n, n_out) of x: (n, n_in); n is plan.batch unless that is 0. */
typedef enum tare_status tare_model_call(void *state, float *logits, const float *x, size_t n,
                                         struct tare_err *err);

/* Any n through the fewest calls: one where the batch is free, else whole batches and, for what is
 * left, one more whose other rows are zeros and whose other logits are dropped. */
enum tare_status tare_model_infer(const struct tare_model_plan *plan, tare_model_call *call,
                                  void *state, float *logits, const float *x, size_t n,
                                  struct tare_err *err);

/* The pixels that x: (count) was made of by u8 / 255.0f, exactly, for a model that takes them. */
void tare_model_pixels(uint8_t *pixels, const float *x, size_t count);

/* "(?, 28, 28)" */
void tare_model_shape_text(char out[TARE_MODEL_SHAPE_TEXT], const struct tare_model_tensor *tensor);

/* A regular file with something in it; runtimes say less about a folder or an empty file. */
enum tare_status tare_model_file_check(const char *path, struct tare_err *err);

#endif
