/* train_mnist: tare as a library. One epoch of MNIST on tare's own trainer, then the accuracy.
 *
 *     make && build/examples/train_mnist [FOLDER WITH MNIST]
 *
 * About two seconds on one core, and about 95 % right. */
#include <stdio.h>
#include <stdlib.h>

#include "tare/data.h"
#include "tare/net.h"
#include "tare/rng.h"
#include "tare/train.h"

#define BATCH 32

/* x = u8/255.0f: (n, 784) */
static float *pixels(const struct tare_array *images) {
    size_t count = tare_array_count(images);
    const uint8_t *bytes = images->data;
    float *x = calloc(count, sizeof *x);
    for (size_t i = 0; x && i < count; i++)
        x[i] = (float)bytes[i] / 255.0f;
    return x;
}

/* The share of rows whose largest logit is the label's. logits: (n, classes) */
static double accuracy(const float *logits, const struct tare_array *labels, size_t classes) {
    const int32_t *label = labels->data;
    size_t n = labels->shape[0], right = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            if (row[k] > row[best])
                best = k;
        right += best == (size_t)label[i];
    }
    return (double)right / (double)n;
}

static enum tare_status work(const struct tare_dataset *set, struct tare_err *err) {
    static struct tare_net net;
    enum tare_status status = tare_net_parse(&net, "784 dense:64:relu dense:10", err);
    if (status != TARE_OK)
        return status;
    size_t n = set->train_labels.shape[0], n_test = set->test_labels.shape[0], steps = n / BATCH;
    float *params = calloc(net.param_count, sizeof *params);
    float *x = pixels(&set->train_images), *x_test = pixels(&set->test_images);
    float *logits = calloc(n_test * net.n_out, sizeof *logits);
    float *losses = calloc(steps, sizeof *losses);
    int32_t *order = calloc(n, sizeof *order);
    struct tare_trainer_f32 *trainer = NULL;
    struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
    if (!params || !x || !x_test || !logits || !losses || !order)
        status = tare_fail(err, TARE_MEMORY, "train_mnist", NULL, "no memory");
    else
        status = tare_trainer_create_f32(&trainer, &net, &adam, BATCH, err);
    if (status == TARE_OK) {
        struct tare_examples examples = {x, set->train_labels.data, n};
        struct tare_rng rng;
        tare_rng_seed(&rng, 1, TARE_STREAM_ORDER);
        for (size_t i = 0; i < n; i++)
            order[i] = (int32_t)i;
        tare_rng_shuffle(&rng, order, n);
        tare_net_init(params, &net, 1);
        tare_trainer_set_params_f32(trainer, params);
        status = tare_trainer_run_f32(trainer, losses, &examples, order, steps, err);
    }
    if (status == TARE_OK) {
        tare_trainer_infer_f32(logits, trainer, x_test, n_test);
        printf("%s: %zu steps, accuracy %.2f %%\n", set->title, steps,
               100 * accuracy(logits, &set->test_labels, net.n_out));
    }
    tare_trainer_free_f32(trainer);
    free(params), free(x), free(x_test), free(logits), free(losses), free(order);
    return status;
}

int main(int argc, char **argv) {
    struct tare_dataset set = {0};
    struct tare_err err = {0};
    struct tare_data_options where = {.name = "mnist", .dir = argc > 1 ? argv[1] : NULL};
    enum tare_status status = tare_dataset_load(&set, &where, &err);
    if (status == TARE_OK)
        status = work(&set, &err);
    tare_dataset_free(&set);
    if (status != TARE_OK)
        tare_err_print(stderr, &err);
    return tare_exit_code(status);
}
