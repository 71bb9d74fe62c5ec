/* reference_epoch.c: the mean loss of a run's first epoch by the float64 reference. A timed run is
 * too long to be compared weight by weight (float32 trajectories part ways); its mean loss is not.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lab/envelope.h"
#include "tare/buf.h"
#include "tare/safetensors.h"

static bool read_cached(double *mean_loss, const char *path, const char *key) {
    struct tare_tensors file = {0};
    if (!tare_path_exists(path) || tare_safetensors_read(&file, path, NULL) != TARE_OK)
        return false;
    const char *of = tare_tensors_metadata(&file, "of");
    const struct tare_tensor *tensor = tare_tensors_find(&file, "mean_loss");
    bool good = of && strcmp(of, key) == 0 && tensor && tensor->array.dtype == TARE_F64 &&
                tare_array_count(&tensor->array) == 1;
    if (good)
        *mean_loss = *(const double *)tensor->array.data;
    tare_tensors_free(&file);
    return good;
}

static enum tare_status write_cached(double mean_loss, const char *path, const char *key,
                                     struct tare_err *err) {
    struct tare_tensors file = {0};
    struct tare_array array = {.dtype = TARE_F64, .rank = 1, .shape = {1}, .data = &mean_loss};
    enum tare_status status = tare_tensors_set_metadata(&file, "of", key, err);
    if (status == TARE_OK)
        status = tare_tensors_add(&file, "mean_loss", &array, err);
    if (status == TARE_OK)
        status = tare_safetensors_write(path, &file, err);
    tare_tensors_free(&file);
    return status;
}

static enum tare_status train(double *mean_loss, const struct tare_problem *problem,
                              const volatile sig_atomic_t *stop, struct tare_err *err) {
    struct tare_view view;
    double *losses = calloc(problem->steps, sizeof *losses), sum = 0;
    if (!losses)
        return tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory for the losses");
    enum tare_status status = tare_view_make(&view, problem, NULL, err);
    if (status == TARE_OK) {
        struct tare_reference reference = tare_view_reference(&view, problem, TARE_CONSTANTS_EXACT);
        reference.losses = losses;
        reference.stop = stop;
        status = tare_reference_run_f64(&reference, err);
        tare_view_free(&view);
    }
    for (size_t s = 0; s < problem->steps; s++)
        sum += losses[s];
    *mean_loss = sum / (double)problem->steps;
    free(losses);
    return status;
}

enum tare_status tare_reference_epoch(double *mean_loss, const struct tare_plan *plan, size_t run,
                                      const struct tare_dataset *dataset,
                                      const volatile sig_atomic_t *stop, struct tare_err *err) {
    struct tare_problem problem;
    struct tare_buf key = {0};
    char *path = NULL;
    size_t steps = dataset->train_images.shape[0] / plan->batch;
    enum tare_status status = tare_problem_make(&problem, plan, run, dataset, steps, 0, err);
    if (status != TARE_OK)
        return status;
    status = tare_reference_key(&path, &key, "epoch", &problem, plan->seed + run, err);
    if (status == TARE_OK && !read_cached(mean_loss, path, key.data)) {
        status = train(mean_loss, &problem, stop, err);
        if (status == TARE_OK)
            status = write_cached(*mean_loss, path, key.data, err);
    }
    tare_buf_free(&key);
    free(path);
    tare_problem_free(&problem);
    return status;
}
