/* engine_load.c: the files that a job names, as a C engine gets them in struct tare_work. What can
 * be mapped is mapped. The pixels of the test images come after everything else, when they are
 * about to be needed, so that training doesn't carry them. Part of engine_main.c's half of an
 * engine.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine_parts.h"
#include "tare/safetensors.h"

/* Of the images: a framework whose vector code wants its tensors aligned copies what isn't. */
#define ALIGNMENT ((size_t)2 << 20)

/* What struct tare_work points into: a process does one job. */
static struct tare_array images, labels, order, test_images;

static enum tare_status map_images(struct tare_array *array, size_t *n, size_t *n_in,
                                   const char *path, struct tare_err *err) {
    enum tare_status status = tare_npy_map(array, path, err);
    if (status != TARE_OK)
        return status;
    if (array->dtype != TARE_U8 || array->rank < 2 || array->shape[0] == 0)
        return tare_fail(err, TARE_DATA, path, NULL, "images must be uint8 (n, …)");
    *n = array->shape[0];
    *n_in = tare_array_count(array) / array->shape[0];
    return TARE_OK;
}

/* x = u8 / 255.0f for every pixel, through a table: the same correctly rounded quotients. The
 * pixels themselves are let go. */
static enum tare_status divide_pixels(float **x, struct tare_array *array, const char *path,
                                      struct tare_err *err) {
    size_t count = tare_array_count(array);
    *x = aligned_alloc(ALIGNMENT, (count * sizeof **x / ALIGNMENT + 1) * ALIGNMENT);
    if (!*x)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory for %zu pixels", count);
    madvise(*x, count * sizeof **x, MADV_HUGEPAGE); /* a wish: fewer pages to be made */
    float quotient[256];
    for (int value = 0; value < 256; value++)
        quotient[value] = (float)value / 255.0f;
    const uint8_t *pixels = array->data;
    for (size_t i = 0; i < count; i++)
        (*x)[i] = quotient[pixels[i]];
    tare_array_free(array);
    return TARE_OK;
}

static enum tare_status map_integers(int32_t **values, struct tare_array *array, const char *path,
                                     int rank, struct tare_err *err) {
    enum tare_status status = tare_npy_map(array, path, err);
    if (status != TARE_OK)
        return status;
    if (array->dtype != TARE_I32 || array->rank != rank)
        return tare_fail(err, TARE_DATA, path, NULL, "must be int32 with %d axes", rank);
    *values = array->data;
    return TARE_OK;
}

static enum tare_status check_range(const int32_t *values, size_t count, size_t limit,
                                    const char *path, const char *what, struct tare_err *err) {
    for (size_t i = 0; i < count; i++)
        if (values[i] < 0 || (size_t)values[i] >= limit)
            return tare_fail(err, TARE_DATA, path, NULL, "%s %d at position %zu is not in 0 … %zu",
                             what, (int)values[i], i, limit - 1);
    return TARE_OK;
}

/* The images as the engine wants them: bytes or quotients. */
static enum tare_status load_images(struct tare_work *work, bool bytes, struct tare_err *err) {
    const char *path = work->job.images;
    size_t n_in = 0;
    enum tare_status status = map_images(&images, &work->n, &n_in, path, err);
    if (status != TARE_OK)
        return status;
    if (n_in != work->net.n_in)
        return tare_fail(err, TARE_DATA, path, "start --model with the image's size",
                         "an image has %zu values, the model takes %zu", n_in, work->net.n_in);
    if (!bytes)
        return divide_pixels(&work->images, &images, path, err);
    work->image_bytes = images.data;
    return TARE_OK;
}

void tare_engine_images_done(void) {
    if (images.map)
        madvise(images.map, images.map_bytes, MADV_DONTNEED);
}

static enum tare_status load_training(struct tare_work *work, bool bytes, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    enum tare_status status = load_images(work, bytes, err);
    if (status == TARE_OK)
        status = map_integers(&work->labels, &labels, job->labels, 1, err);
    if (status == TARE_OK && labels.shape[0] != work->n)
        status = tare_fail(err, TARE_DATA, job->labels, NULL, "%zu labels for %zu images",
                           labels.shape[0], work->n);
    if (status == TARE_OK)
        status = check_range(work->labels, work->n, work->net.n_out, job->labels, "label", err);
    if (status == TARE_OK)
        status = map_integers(&work->order, &order, job->order, 3, err);
    if (status != TARE_OK)
        return status;
    size_t all_steps = order.shape[0] * order.shape[1];
    if (order.shape[2] != job->batch || all_steps == 0 || job->steps > all_steps)
        return tare_fail(err, TARE_DATA, job->order, NULL,
                         "(%zu, %zu, %zu) does not hold %zu steps of batch %zu", order.shape[0],
                         order.shape[1], order.shape[2], job->steps, job->batch);
    work->steps_per_epoch = order.shape[1];
    work->steps = job->steps ? job->steps : all_steps;
    return check_range(work->order, all_steps * job->batch, work->n, job->order, "index", err);
}

static enum tare_status load_weights(struct tare_work *work, struct tare_err *err) {
    struct tare_tensors tensors = {0};
    work->params = calloc(work->net.param_count + 1, sizeof *work->params);
    if (!work->params)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the parameters");
    enum tare_status status = tare_safetensors_read(&tensors, work->job.init, err);
    if (status == TARE_OK)
        status = tare_net_from_tensors(work->params, &work->net, &tensors, work->job.init, err);
    tare_tensors_free(&tensors);
    return status;
}

enum tare_status engine_load(struct tare_work *work, bool bytes, struct tare_err *err) {
    const struct tare_job *job = &work->job;
    enum tare_status status = TARE_OK;
    if (job->model[0]) {
        status = tare_net_parse(&work->net, job->model, err);
        work->n_in = work->net.n_in;
        work->n_out = work->net.n_out;
    }
    if (status == TARE_OK && job->init[0])
        status = load_weights(work, err);
    if (status == TARE_OK && strcmp(job->task, "train") == 0)
        status = load_training(work, bytes, err);
    if (status == TARE_OK && job->test_images[0]) {
        size_t n_in = 0;
        status = map_images(&test_images, &work->n_test, &n_in, job->test_images, err);
        if (status == TARE_OK && work->n_in && work->n_in != n_in)
            status = tare_fail(err, TARE_DATA, job->test_images, NULL,
                               "an image has %zu values, the model takes %zu", n_in, work->n_in);
        work->n_in = n_in;
    }
    return status;
}

enum tare_status engine_load_test_images(struct tare_work *work, struct tare_err *err) {
    return divide_pixels(&work->test_images, &test_images, work->job.test_images, err);
}

void engine_unload(struct tare_work *work) {
    free(work->params);
    free(work->images);
    free(work->test_images);
    tare_array_free(&images);
    tare_array_free(&labels);
    tare_array_free(&order);
    tare_array_free(&test_images);
}
