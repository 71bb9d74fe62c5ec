/* native_data.c: images for build/bench_native: found, made, measured, and written to folders. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "native.h"
#include "tare/array.h"
#include "tare/data.h"
#include "tare/rng.h"

#define MADE_IMAGES 60000 /* of dense and full: as many as MNIST has */
#define CLASSES 10
#define HELD_OUT 10000

static struct images all_images[] = {{.name = "mnist"}, {.name = "dense"}, {.name = "full"}};

void bench_stop_with(const struct tare_err *err) {
    tare_err_print(stderr, err);
    exit(tare_exit_code(err->status));
}

void *bench_room(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) {
        struct tare_err err = {0};
        tare_fail(&err, TARE_MEMORY, "bench", NULL, "no memory for %zu values", count);
        bench_stop_with(&err);
    }
    return p;
}

void bench_usage(const char *what) {
    struct tare_err err = {0};
    tare_fail(&err, TARE_USAGE, what, "bench/native.c says what there is", "is not understood");
    bench_stop_with(&err);
}

/* ---- data --------------------------------------------------------------------------------------
 */

static void load_mnist(struct tare_dataset *set) {
    struct tare_data_options where = {.name = "mnist", .allow_download = true};
    struct tare_err err = {0};
    if (tare_dataset_load(set, &where, &err) != TARE_OK)
        bench_stop_with(&err);
}

static void fill_random(uint8_t *images, int32_t *labels, size_t n, size_t n_in) {
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (size_t i = 0; i < n * n_in; i++)
        images[i] = (uint8_t)(1 + tare_rng_next(&rng) % 255); /* never 0: dense */
    for (size_t i = 0; i < n; i++)
        labels[i] = (int32_t)tare_rng_below(&rng, CLASSES);
}

static void measure_density(struct images *images, size_t n_in) {
    size_t groups = (n_in + 3) / 4, lit = 0, lit_groups = 0, lit_ever = 0;
    uint8_t *ever = bench_room(groups, 1);
    for (size_t e = 0; e < images->bytes.n; e++)
        for (size_t g = 0; g < groups; g++) {
            const uint8_t *image = images->bytes.images + e * n_in;
            uint8_t any = 0;
            for (size_t i = g * 4; i < n_in && i < g * 4 + 4; i++) {
                any |= image[i];
                lit += image[i] != 0;
            }
            lit_groups += any != 0;
            ever[g] |= any;
        }
    for (size_t g = 0; g < groups; g++)
        lit_ever += ever[g] != 0;
    free(ever);
    images->pixels = (double)lit / (double)(images->bytes.n * n_in);
    images->groups = (double)lit_groups / (double)(images->bytes.n * groups);
    images->ever = (double)lit_ever / (double)groups;
}

struct images *bench_images(const char *name, size_t n_in) {
    static struct tare_dataset mnist;
    struct images *images = all_images;
    while (strcmp(images->name, name) != 0)
        if (++images == all_images + sizeof all_images / sizeof *all_images)
            bench_usage(name);
    if (images->bytes.images)
        return images;
    size_t n = MADE_IMAGES;
    if (strcmp(name, "mnist") == 0) {
        load_mnist(&mnist);
        n = mnist.train_images.shape[0];
        if (tare_array_count(&mnist.train_images) != n * n_in)
            bench_usage("mnist with a --model of other than 784 inputs");
        images->bytes = (struct tare_bytes){mnist.train_images.data, mnist.train_labels.data, n};
    } else {
        uint8_t *pixels = bench_room(n * n_in, 1);
        int32_t *labels = bench_room(n, sizeof *labels);
        fill_random(pixels, labels, n, n_in);
        if (strcmp(name, "full") == 0)
            memset(pixels, 255, n * n_in);
        images->bytes = (struct tare_bytes){pixels, labels, n};
    }
    measure_density(images, n_in);
    return images;
}

void bench_divide(struct images *images, size_t n_in) {
    size_t count = images->bytes.n * n_in;
    if (images->floats)
        return;
    images->floats = bench_room(count, sizeof *images->floats);
    for (size_t i = 0; i < count; i++)
        images->floats[i] = (float)images->bytes.images[i] / 255.0F;
}

/* ---- folders of data ---------------------------------------------------------------------------
 */

static void write_array(const char *dir, const char *name, enum tare_dtype dtype, size_t n,
                        size_t n_in, const void *data) {
    char path[4096];
    struct tare_err err = {0};
    struct tare_array array = {.dtype = dtype, .rank = 1, .shape = {n}, .data = (void *)data};
    if (n_in > 0) {
        array.rank = 3;
        array.shape[1] = n_in;
        array.shape[2] = 1;
    }
    snprintf(path, sizeof path, "%s/%s.npy", dir, name);
    if (tare_npy_write(path, &array, &err) != TARE_OK)
        bench_stop_with(&err);
}

/* The last n_test of n images are for testing. */
static void write_set(const char *dir, const struct tare_bytes *all, size_t n_in, size_t n_test) {
    size_t n = all->n - n_test;
    mkdir(dir, 0777);
    write_array(dir, "train_images", TARE_U8, n, n_in, all->images);
    write_array(dir, "train_labels", TARE_I32, n, 0, all->labels);
    write_array(dir, "test_images", TARE_U8, n_test, n_in, all->images + n * n_in);
    write_array(dir, "test_labels", TARE_I32, n_test, 0, all->labels + n);
}

void bench_write_random(const char *dir, size_t n_in, size_t n) {
    uint8_t *images = bench_room(n * n_in, 1);
    int32_t *labels = bench_room(n, sizeof *labels);
    if (n < 2)
        bench_usage("random");
    fill_random(images, labels, n, n_in);
    write_set(dir, &(struct tare_bytes){images, labels, n}, n_in, n / 2 < 1000 ? n / 2 : 1000);
    free(images);
    free(labels);
}

void bench_write_split(const char *dir) {
    static struct tare_dataset set;
    load_mnist(&set);
    size_t n = set.train_images.shape[0];
    write_set(dir, &(struct tare_bytes){set.train_images.data, set.train_labels.data, n},
              tare_array_count(&set.train_images) / n, HELD_OUT);
    tare_dataset_free(&set);
}
