/* int8.c: int8 inference beside float32, one thread: single images, the worst image, many images,
 * and what it costs in accuracy.
 *
 *     build/tare train -o mnist.safetensors
 *     build/bench_int8 CACHE/tare/prepared/FOLDER mnist.safetensors [--json]
 *
 * What is in the clock: one call of the infer function, from an image as it lies in memory (bytes
 * for int8; floats, prepared before, for float32) to its logits. All figures are of the best of
 * REPEATS rounds in which everything had its turn, because other work on a machine only ever makes
 * it slower; percentiles are of the round with the lowest median.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/int8.h"
#include "tare/array.h"
#include "tare/clock.h"
#include "tare/native.h"
#include "tare/stats.h"

#define REPEATS 100
#define NEAR 1000     /* images that stay in the second cache, as bytes */
#define EXAMPLES 1000 /* for calibration, from the training images */
#define MAX_IMAGES 10000
#define MAX_CLASSES 64
#define WORST_CALLS 1000

struct bench {
    struct tare_net net;
    float *params, *x, *worst_x, *logits;
    uint8_t *images, *worst;
    const int32_t *labels;
    size_t n;
    struct tare_native_int8 *int8;
    struct tare_native_model *model;
};

struct row { /* ns */
    const char *name;
    void (*infer)(struct bench *b, size_t first, size_t n); /* of the test images */
    void (*worst)(struct bench *b);
    double p50, p90, p99; /* of one call with the clock's two readings */
    double near, far;     /* a call per image, per image: of NEAR images, and of all */
    double many;          /* all in one call, per image */
    double all_lit;       /* every pixel 255 */
};

static void must(enum tare_status status, const struct tare_err *err) {
    if (status == TARE_OK)
        return;
    tare_err_print(stderr, err);
    exit(tare_exit_code(status));
}

static void least(double *best, double value) {
    if (value < *best)
        *best = value;
}

/* ---- what is measured --------------------------------------------------------------------------
 */

static void infer_int8(struct bench *b, size_t first, size_t n) {
    tare_native_int8_infer(b->int8, b->logits, b->images + first * b->net.n_in, n);
}

static void worst_int8(struct bench *b) {
    tare_native_int8_infer(b->int8, b->logits, b->worst, 1);
}

static void infer_float(struct bench *b, size_t first, size_t n) {
    tare_native_model_infer(b->model, b->logits, b->x + first * b->net.n_in, n);
}

static void worst_float(struct bench *b) {
    tare_native_model_infer(b->model, b->logits, b->worst_x, 1);
}

static void infer_nothing(struct bench *b, size_t first, size_t n) {
    (void)b, (void)first, (void)n;
}

static void worst_nothing(struct bench *b) {
    (void)b;
}

/* GHz by a chain of additions, one a cycle; they run at the clock that what came before left. */
static double clock_ghz(void) {
    uint64_t x = 0;
    int64_t start_ns = tare_now_ns();
    for (int i = 0; i < 1000; i++) {
        x += (uint64_t)i;
#define ADD                                                                                        \
    __asm__ volatile("" : "+r"(x));                                                                \
    x += 1;
#define ADD_8 ADD ADD ADD ADD ADD ADD ADD ADD
        ADD_8 ADD_8
    }
    return 17000.0 / (double)(tare_now_ns() - start_ns);
}

/* ---- rounds ------------------------------------------------------------------------------------
 */

static double each(struct bench *b, const struct row *row, size_t n) {
    int64_t start_ns = tare_now_ns();
    for (size_t i = 0; i < n; i++)
        row->infer(b, i, 1);
    return (double)(tare_now_ns() - start_ns) / (double)n;
}

static void one_round(struct bench *b, struct row *row) {
    static double single_ns[NEAR];
    size_t near = b->n < NEAR ? b->n : NEAR;
    each(b, row, near); /* into the caches */
    least(&row->near, each(b, row, near));
    for (size_t i = 0; i < near; i++) {
        int64_t start_ns = tare_now_ns();
        row->infer(b, i, 1);
        single_ns[i] = (double)(tare_now_ns() - start_ns);
    }
    double p50 = tare_quantile(single_ns, near, 0.5);
    if (p50 < row->p50) {
        row->p50 = p50;
        row->p90 = tare_quantile(single_ns, near, 0.9);
        row->p99 = tare_quantile(single_ns, near, 0.99);
    }
    least(&row->far, each(b, row, b->n));
    int64_t start_ns = tare_now_ns();
    row->infer(b, 0, b->n);
    least(&row->many, (double)(tare_now_ns() - start_ns) / (double)b->n);
    start_ns = tare_now_ns();
    for (int i = 0; i < WORST_CALLS; i++)
        row->worst(b);
    least(&row->all_lit, (double)(tare_now_ns() - start_ns) / WORST_CALLS);
}

static double accuracy(struct bench *b, const struct row *row) {
    size_t right = 0, classes = b->net.n_out;
    row->infer(b, 0, b->n);
    for (size_t i = 0; i < b->n; i++) {
        const float *logits = b->logits + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            best = logits[k] > logits[best] ? k : best;
        right += (int32_t)best == b->labels[i];
    }
    return 100 * (double)right / (double)b->n;
}

/* The first layer's sums with `lit` of its groups, through the list and through all: where the
 * engine should go from one to the other. */
static void compare_sums(size_t groups, int vectors) {
    const struct tare_int8_kernels *k = tare_int8_kernels_find(NULL);
    size_t row = (size_t)vectors * 64, bytes = (groups + 1) * row;
    int8_t *w = aligned_alloc(64, bytes);
    int32_t *y = aligned_alloc(64, row), *bias = aligned_alloc(64, row);
    uint8_t *x = aligned_alloc(64, (groups * 4 + 127) / 64 * 64);
    uint32_t *group = calloc(groups + TARE_INT8_BLOCK, sizeof *group);
    if (!w || !y || !bias || !x || !group)
        exit(3);
    memset(w, 1, bytes);
    memset(bias, 0, row);
    memset(x, 255, groups * 4);
    printf("\nsums of %d outputs from %zu groups, ns:   through the list   through all\n",
           vectors * 16, groups);
    for (size_t tenths = 6; tenths <= 10; tenths++) {
        double list_ns = 1e9, all_ns = 1e9;
        size_t count = 0;
        for (size_t g = 0; g < groups; g++)
            if (g * 7 % 10 < tenths)
                group[count++] = (uint32_t)g;
        memset(group + count, 0, TARE_INT8_STEP * sizeof *group);
        for (int r = 0; r < REPEATS; r++) {
            int64_t start_ns = tare_now_ns();
            for (int i = 0; i < 100; i++)
                k->sum_found(y, bias, x, group, count, w, vectors);
            int64_t middle_ns = tare_now_ns();
            for (int i = 0; i < 100; i++)
                k->sum_all(y, bias, x, groups, w, vectors);
            least(&list_ns, (double)(middle_ns - start_ns) / 100);
            least(&all_ns, (double)(tare_now_ns() - middle_ns) / 100);
        }
        printf("  %3zu %% lit %45.1f %13.1f\n", tenths * 10, list_ns, all_ns);
    }
    free(w), free(y), free(bias), free(x), free(group);
}

/* ---- set-up ------------------------------------------------------------------------------------
 */

static void read_array(struct tare_array *array, const char *folder, const char *name,
                       enum tare_dtype dtype, size_t per_row) {
    struct tare_err err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    must(tare_npy_read(array, path, &err), &err);
    if (array->dtype != dtype || array->rank < 1 || array->shape[0] == 0 ||
        tare_array_count(array) != array->shape[0] * per_row)
        must(tare_fail(&err, TARE_DATA, path, NULL, "not what the net takes"), &err);
}

static float *floats_of(const uint8_t *bytes, size_t n) {
    float *x = calloc(n, sizeof *x);
    if (!x)
        exit(3);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)bytes[i] / 255.0F;
    return x;
}

static void set_up(struct bench *b, const char *folder, const char *weights) {
    static struct tare_array train, images, labels; /* until the end */
    struct tare_err err = {0};
    must(tare_net_read(&b->net, &b->params, weights, &err), &err);
    read_array(&train, folder, "train_images", TARE_U8, b->net.n_in);
    read_array(&images, folder, "test_images", TARE_U8, b->net.n_in);
    read_array(&labels, folder, "test_labels", TARE_I32, 1);
    if (labels.shape[0] != images.shape[0])
        must(tare_fail(&err, TARE_DATA, folder, NULL, "as many labels as images, please"), &err);
    b->n = images.shape[0] < MAX_IMAGES ? images.shape[0] : MAX_IMAGES;
    b->images = images.data;
    b->labels = labels.data;
    b->x = floats_of(b->images, b->n * b->net.n_in);
    b->logits = calloc(b->n * b->net.n_out, sizeof *b->logits);
    b->worst = malloc(b->net.n_in);
    if (!b->logits || !b->worst)
        exit(3);
    memset(b->worst, 255, b->net.n_in);
    b->worst_x = floats_of(b->worst, b->net.n_in);
    struct tare_bytes examples = {train.data, NULL,
                                  train.shape[0] < EXAMPLES ? train.shape[0] : EXAMPLES};
    must(tare_native_int8_create(&b->int8, &b->net, b->params, &examples, NULL, &err), &err);
    must(tare_native_model_create(&b->model, &b->net, b->params, 1, NULL, &err), &err);
}

static double density(const struct bench *b, size_t *groups) {
    size_t lit = 0;
    *groups = (b->net.n_in + 3) / 4;
    for (size_t i = 0; i < b->n; i++)
        for (size_t at = 0; at < b->net.n_in; at += 4) {
            uint8_t any = 0;
            for (size_t k = at; k < at + 4 && k < b->net.n_in; k++)
                any |= b->images[i * b->net.n_in + k];
            lit += any != 0;
        }
    return (double)lit / (double)b->n;
}

/* A line each; times in ns. */
static void print_json(struct bench *b, const struct row *rows, size_t count) {
    for (size_t r = 0; r < count; r++)
        printf("{\"name\":\"%s\",\"p50\":%.1f,\"p99\":%.1f,\"loop\":%.1f,\"many\":%.1f,"
               "\"all_lit\":%.1f,\"accuracy\":%.2f}\n",
               rows[r].name, rows[r].p50, rows[r].p99, rows[r].near, rows[r].many, rows[r].all_lit,
               r == 0 ? 0 : accuracy(b, &rows[r]));
}

int main(int argc, char **argv) {
    static struct bench b;
    static struct row rows[] = {
        {.name = "the clock alone", .infer = infer_nothing, .worst = worst_nothing},
        {.name = "int8", .infer = infer_int8, .worst = worst_int8},
        {.name = "float32", .infer = infer_float, .worst = worst_float},
    };
    const size_t count = sizeof rows / sizeof rows[0];
    char net[TARE_MAX_SPEC];
    size_t groups;
    static double rest_ghz[REPEATS], busy_ghz[REPEATS];
    bool as_json = argc == 4 && strcmp(argv[3], "--json") == 0;
    if (argc != 3 && !as_json) {
        fprintf(stderr, "usage: %s FOLDER_OF_PREPARED_DATA WEIGHTS.safetensors [--json]\n",
                argv[0]);
        return 2;
    }
    set_up(&b, argv[1], argv[2]);
    for (size_t i = 0; i < REPEATS; i++)
        rest_ghz[i] = clock_ghz();
    for (size_t r = 0; r < count; r++)
        rows[r].p50 = rows[r].near = rows[r].far = rows[r].many = rows[r].all_lit = 1e18;
    for (int i = 0; i < REPEATS; i++)
        for (size_t r = 0; r < count; r++) {
            one_round(&b, &rows[r]);
            if (r == 1)
                busy_ghz[i] = clock_ghz();
        }
    tare_net_text(net, &b.net);
    if (as_json) {
        print_json(&b, rows, count);
        return 0;
    }
    printf("%s, int8 kernels %s, one thread; best of %d rounds\n", net,
           tare_native_int8_kernels(b.int8), REPEATS);
    printf("processor at %.2f GHz before, %.2f right after int8's vectors (medians)\n",
           tare_quantile(rest_ghz, REPEATS, 0.5), tare_quantile(busy_ghz, REPEATS, 0.5));
    double lit = density(&b, &groups);
    printf("of %zu groups of four pixels, %.1f are lit (%.1f %%) in %zu images\n\n", groups, lit,
           100 * lit / (double)groups, b.n);
    printf("ns per image      one call, with the clock    calls in a loop   one call   all    "
           "accuracy\n");
    printf("                      p50    p90    p99    %5d imgs %6zu     of %6zu  255s\n", NEAR,
           b.n, b.n);
    for (size_t r = 0; r < count; r++) {
        const struct row *row = &rows[r];
        printf("%-18s %6.0f %6.0f %6.0f %12.1f %8.1f %11.1f %7.1f", row->name, row->p50, row->p90,
               row->p99, row->near, row->far, row->many, row->all_lit);
        printf(r == 0 ? "\n" : "  %6.2f %%\n", accuracy(&b, row));
    }
    compare_sums(groups, TARE_INT8_VECTORS);
    tare_native_int8_free(b.int8);
    tare_native_model_free(b.model);
    return 0;
}
