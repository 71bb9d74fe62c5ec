/* faulty.c: engines that train well, but not the same thing: each has one fault that real engines
 * have had, and the equality certificate must find it. One program: which fault depends on the name
 * it is called by (tare-engine-frozen_bias). The gradient is the native trainer's; the update is
 * written out here, so that it can be wrong. They take the images as bytes. Two of the names have
 * no fault.
 *
 * The list is read by the Makefile too, which makes one name per line of it.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tare/engine.h"
#include "tare/train.h"

/* clang-format off */
#define FAULTS(X) \
    X(sound, "none") \
    X(reversed, "none: sums over pixels run from the last to the first") \
    X(epsilon_inside, "Adam's epsilon inside the root") \
    X(epsilon_hat, "Adam's epsilon before bias correction") \
    X(epsilon_large, "Adam's epsilon is 1e-7, Keras's default") \
    X(frozen_bias, "biases are not trained") \
    X(label_first, "one wrong label at step 1") \
    X(label_middle, "one wrong label at step 50") \
    X(label_last, "one wrong label at step 100") \
    X(shifted_order, "every batch begins one image late") \
    X(rate_high, "learning rate 0.1 % too high") \
    X(rate_hair, "learning rate 0.01 % too high") \
    X(summed_loss, "the loss is summed over the batch") \
    X(scaled_gradient, "the gradient is 1 % too large") \
    X(divided_wrong, "pixels are divided by 256") \
    X(weight_decay, "weight decay 1e-5 in the gradient") \
    X(decoupled_decay, "weight decay 0.01 beside the gradient: AdamW's default") \
    X(half_precision, "the first layer in bfloat16") \
    X(long_ranges, "the last update of a range of more than ten steps is lost") \
    X(diverging, "weights become NaN at step 5") \
    X(forgetful, "says bye without having written its weights")
/* clang-format on */

enum fault {
#define X(name, does) DO_##name,
    FAULTS(X)
#undef X
        COUNT
};

static const char *const names[] = {
#define X(name, does) #name,
    FAULTS(X)
#undef X
};

static enum fault fault; /* what this process does */

struct faulty {
    const struct tare_work *work;
    float *images;                    /* (n, n_in), of the bytes that it is given */
    struct tare_trainer_f32 *trainer; /* for its gradient and its logits */
    float *params, *m, *v, *grads;    /* params is the start of the one allocation */
    float *seen;                      /* the weights as the trainer is given them */
    int32_t *rows;                    /* (batch) */
};

static const char *version(void) {
    return "1";
}

/* Keeps eight bits of the significand, rounded to nearest, ties to even. */
static float bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits += 0x7fffU + (bits >> 16 & 1U);
    bits &= 0xffff0000U;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Rows of matrix: (rows, columns), last first. */
static void reverse_rows(float *matrix, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows / 2; r++)
        for (size_t j = 0; j < columns; j++) {
            float *a = matrix + r * columns + j, *b = matrix + (rows - 1 - r) * columns + j;
            float swap = *a;
            *a = *b;
            *b = swap;
        }
}

static void spoil_images(float *x, size_t n, size_t n_in) {
    for (size_t i = 0; i < n * n_in; i++) {
        if (fault == DO_half_precision)
            x[i] = bfloat16(x[i]);
        if (fault == DO_divided_wrong)
            x[i] = x[i] * 255.0F / 256.0F;
    }
    for (size_t i = 0; i < n && fault == DO_reversed; i++)
        reverse_rows(x + i * n_in, n_in, 1);
}

static enum tare_status build(void **state, struct tare_work *work, struct tare_err *err) {
    struct tare_optimizer any = tare_optimizer_defaults(TARE_OPTIMIZER_SGD);
    struct faulty *f = calloc(1, sizeof *f);
    size_t n = work->net.param_count;
    if (!f)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    *state = f;
    f->work = work;
    f->params = calloc(5 * n, sizeof *f->params);
    f->rows = calloc(work->job.batch, sizeof *f->rows);
    if (!f->params || !f->rows)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    f->m = f->params + n;
    f->v = f->params + 2 * n;
    f->grads = f->params + 3 * n;
    f->seen = f->params + 4 * n;
    memcpy(f->params, work->params, n * sizeof *f->params);
    if (fault == DO_forgetful)
        work->job.out[0] = '\0';
    size_t pixels = work->n * work->net.n_in;
    f->images = calloc(pixels + 1, sizeof *f->images);
    if (!f->images)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    for (size_t i = 0; i < pixels; i++)
        f->images[i] = (float)work->image_bytes[i] / 255.0F;
    spoil_images(f->images, work->n, work->net.n_in);
    return tare_trainer_create_f32(&f->trainer, &work->net, &any, work->job.batch, err);
}

/* The first layer's weights as the fault has them. */
static void show_weights(struct faulty *f) {
    const struct tare_net_tensor *first = &f->work->net.tensors[0];
    memcpy(f->seen, f->params, f->work->net.param_count * sizeof *f->seen);
    if (fault == DO_reversed)
        reverse_rows(f->seen + first->offset, first->shape[0], first->shape[1]);
    for (size_t i = 0; i < first->count && fault == DO_half_precision; i++)
        f->seen[first->offset + i] = bfloat16(f->seen[first->offset + i]);
    tare_trainer_set_params_f32(f->trainer, f->seen);
}

/* step counts from 1. */
static bool label_is_wrong_at(size_t step) {
    return (fault == DO_label_first && step == 1) || (fault == DO_label_middle && step == 50) ||
           (fault == DO_label_last && step == 100);
}

static enum tare_status take_gradient(struct faulty *f, float *loss, size_t step,
                                      struct tare_err *err) {
    const struct tare_work *work = f->work;
    const struct tare_net *net = &work->net;
    const struct tare_net_tensor *first = &net->tensors[0];
    size_t batch = work->job.batch, all = work->steps_per_epoch * batch;
    struct tare_examples examples = {f->images, work->labels, work->n};
    for (size_t b = 0; b < batch; b++)
        f->rows[b] = work->order[((step - 1) * batch + b + (fault == DO_shifted_order)) % all];
    int32_t *label = &work->labels[f->rows[0]], right = *label;
    if (label_is_wrong_at(step))
        *label = (right + 1) % (int32_t)net->n_out;
    show_weights(f);
    enum tare_status status =
        tare_trainer_gradient_f32(f->trainer, loss, f->grads, &examples, f->rows, err);
    *label = right;
    if (fault == DO_reversed)
        reverse_rows(f->grads + first->offset, first->shape[0], first->shape[1]);
    float scale = fault == DO_scaled_gradient ? 1.01F : 1.0F;
    if (fault == DO_summed_loss) {
        scale = (float)batch;
        *loss *= scale;
    }
    for (size_t i = 0; i < net->param_count; i++) {
        f->grads[i] *= scale;
        if (fault == DO_weight_decay)
            f->grads[i] += 1e-5F * f->params[i];
    }
    for (int t = 0; t < net->tensor_count && fault == DO_frozen_bias; t++)
        if (net->tensors[t].rank == 1)
            memset(f->grads + net->tensors[t].offset, 0, net->tensors[t].count * sizeof *f->grads);
    return status;
}

static void update(struct faulty *f, size_t step) {
    const struct tare_job *job = &f->work->job;
    bool is_sgd = strcmp(job->optimizer, "sgd") == 0;
    double t = (double)step, rate = job->lr;
    if (!is_sgd && fault == DO_rate_high)
        rate *= 1.001;
    if (!is_sgd && fault == DO_rate_hair)
        rate *= 1.0001;
    float lr = (float)rate, epsilon = fault == DO_epsilon_large ? 1e-7F : (float)job->epsilon;
    float bias1 = (float)(1 - pow(job->beta1, t)), bias2 = (float)(1 - pow(job->beta2, t));
    for (size_t i = 0; i < f->work->net.param_count; i++) {
        float g = f->grads[i];
        if (is_sgd) {
            f->params[i] -= lr * g;
            continue;
        }
        f->m[i] = (float)job->beta1 * f->m[i] + (float)(1 - job->beta1) * g;
        f->v[i] = (float)job->beta2 * f->v[i] + (float)(1 - job->beta2) * (g * g);
        float mean = f->m[i] / bias1, square = f->v[i] / bias2;
        if (fault == DO_decoupled_decay)
            f->params[i] -= lr * 0.01F * f->params[i];
        if (fault == DO_epsilon_inside)
            f->params[i] -= lr * mean / sqrtf(square + epsilon);
        else if (fault == DO_epsilon_hat)
            f->params[i] -= lr * mean / (sqrtf(square) + epsilon / sqrtf(bias2));
        else
            f->params[i] -= lr * mean / (sqrtf(square) + epsilon);
    }
    if (fault == DO_diverging && step == 5)
        f->params[0] = NAN;
}

static enum tare_status train(void *state, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    struct faulty *f = state;
    enum tare_status status = TARE_OK;
    for (size_t s = 0; s < count && status == TARE_OK; s++) {
        status = take_gradient(f, &losses[s], first + s + 1, err);
        bool is_lost = fault == DO_long_ranges && count > 10 && s == count - 1;
        if (status == TARE_OK && !is_lost)
            update(f, first + s + 1);
    }
    return status;
}

static enum tare_status weights(void *state, float *params, struct tare_err *err) {
    (void)err;
    const struct faulty *f = state;
    memcpy(params, f->params, f->work->net.param_count * sizeof *params);
    return TARE_OK;
}

static enum tare_status infer(void *state, float *logits, const float *x, size_t n,
                              struct tare_err *err) {
    struct faulty *f = state;
    size_t n_in = f->work->net.n_in;
    float *seen = calloc(n * n_in, sizeof *seen);
    if (!seen)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
    memcpy(seen, x, n * n_in * sizeof *seen);
    spoil_images(seen, n, n_in);
    show_weights(f);
    tare_trainer_infer_f32(logits, f->trainer, seen, n);
    free(seen);
    return TARE_OK;
}

static void close_faulty(void *state) {
    struct faulty *f = state;
    tare_trainer_free_f32(f->trainer);
    free(f->images);
    free(f->params);
    free(f->rows);
    free(f);
}

int main(int argc, char **argv) {
    const char *name = strstr(argv[0], "tare-engine-");
    name = name ? name + strlen("tare-engine-") : "";
    while (fault < COUNT && strcmp(name, names[fault]) != 0)
        fault++;
    if (fault == COUNT)
        return 9;
    struct tare_engine_ops ops = {.abi = TARE_ABI,
                                  .name = names[fault],
                                  .bytes = true,
                                  .version = version,
                                  .build = build,
                                  .train = train,
                                  .weights = weights,
                                  .infer = infer,
                                  .close = close_faulty};
    return tare_engine_main(argc, argv, &ops);
}
