/* native.c: steps of the native trainer, timed cell by cell in interleaved rounds, with its phases;
 * and the data that scripts/bench-native.sh wants. A line of JSON per result.
 *
 *     build/bench_native cells [--model SPEC] [--rounds N] [--ms N | --steps N] CELL...
 *     build/bench_native kernels             the sets of kernels of this machine, fastest first
 *     build/bench_native machine THREADS     the machine's own bounds
 *     build/bench_native random DIR N_IN N   a folder for --data: random images of N_IN × 1 pixels
 *     build/bench_native split DIR           MNIST's first 50,000 training images to train on, the
 *                                            other 10,000 to test on
 *
 * CELL is DATA,BATCH,KERNELS,THREADS[,phases]. DATA: mnist, dense (random bytes), full (all 255).
 * KERNELS: avx512, avx2, reference, best, or plain: the trainer of tare/train.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "native.h"
#include "tare/array.h"
#include "tare/clock.h"
#include "tare/data.h"
#include "tare/native.h"
#include "tare/rng.h"
#include "tare/stats.h"

#define MAX_CELLS 64
#define MAX_ROUNDS 100
#define MAX_THREADS 64
#define MAX_STEPS 100000
#define MADE_IMAGES 60000 /* of dense and full: as many as MNIST has */
#define CLASSES 10
#define HELD_OUT 10000

struct images {
    const char *name;
    struct tare_bytes bytes; /* .images NULL: not there yet */
    float *floats;           /* for the plain trainer; NULL until it wants them */
    double pixels;           /* the part that isn't 0 */
    double groups;           /* the part of groups of four that aren't all 0 */
    double ever;             /* the part of groups that aren't all 0 in every image */
};

struct bench {
    struct tare_net net;
    struct tare_dataset mnist;
    int rounds;
    double ms; /* of a round of a cell, about */
    size_t fixed_steps;
    float *params, *losses;
    int32_t *order; /* room for MAX_STEPS steps' worth of one batch size at a time */
};

struct cell {
    struct images *images;
    char kernels[16];
    size_t batch, steps;
    int threads;
    bool with_phases;
    struct tare_native *native;
    struct tare_trainer_f32 *plain;
    struct tare_phases phases[MAX_THREADS];
    double step_ns[MAX_ROUNDS];
    int64_t wall_ns; /* of all rounds */
};

static struct images all_images[] = {{.name = "mnist"}, {.name = "dense"}, {.name = "full"}};

static void stop_with(const struct tare_err *err) {
    tare_err_print(stderr, err);
    exit(tare_exit_code(err->status));
}

static void *room(size_t count, size_t size) {
    void *p = calloc(count ? count : 1, size);
    if (!p) {
        struct tare_err err = {0};
        tare_fail(&err, TARE_MEMORY, "bench", NULL, "no memory for %zu values", count);
        stop_with(&err);
    }
    return p;
}

static void usage(const char *what) {
    struct tare_err err = {0};
    tare_fail(&err, TARE_USAGE, what, "bench/native.c says what there is", "is not understood");
    stop_with(&err);
}

/* ---- data --------------------------------------------------------------------------------------
 */

static void load_mnist(struct tare_dataset *set) {
    struct tare_data_options where = {.name = "mnist", .allow_download = true};
    struct tare_err err = {0};
    if (tare_dataset_load(set, &where, &err) != TARE_OK)
        stop_with(&err);
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
    uint8_t *ever = room(groups, 1);
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

static struct images *find_images(struct bench *b, const char *name) {
    struct images *images = all_images;
    while (strcmp(images->name, name) != 0)
        if (++images == all_images + sizeof all_images / sizeof *all_images)
            usage(name);
    if (images->bytes.images)
        return images;
    size_t n = MADE_IMAGES, n_in = b->net.n_in;
    if (strcmp(name, "mnist") == 0) {
        load_mnist(&b->mnist);
        n = b->mnist.train_images.shape[0];
        if (tare_array_count(&b->mnist.train_images) != n * n_in)
            usage("mnist with a --model of other than 784 inputs");
        images->bytes =
            (struct tare_bytes){b->mnist.train_images.data, b->mnist.train_labels.data, n};
    } else {
        uint8_t *pixels = room(n * n_in, 1);
        int32_t *labels = room(n, sizeof *labels);
        fill_random(pixels, labels, n, n_in);
        if (strcmp(name, "full") == 0)
            memset(pixels, 255, n * n_in);
        images->bytes = (struct tare_bytes){pixels, labels, n};
    }
    measure_density(images, n_in);
    return images;
}

static void divide(struct images *images, size_t n_in) {
    size_t count = images->bytes.n * n_in;
    if (images->floats)
        return;
    images->floats = room(count, sizeof *images->floats);
    for (size_t i = 0; i < count; i++)
        images->floats[i] = (float)images->bytes.images[i] / 255.0F;
}

/* ---- cells -------------------------------------------------------------------------------------
 */

static void parse_cell(struct cell *cell, struct bench *b, const char *text) {
    char data[16], phases[16] = "";
    int fields = sscanf(text, "%15[^,],%zu,%15[^,],%d,%15s", data, &cell->batch, cell->kernels,
                        &cell->threads, phases);
    cell->with_phases = strcmp(phases, "phases") == 0;
    if (fields < 4 || cell->batch == 0 || cell->batch > TARE_MAX_BATCH || cell->threads < 1 ||
        cell->threads > MAX_THREADS || (fields == 5 && !cell->with_phases))
        usage(text);
    cell->images = find_images(b, data);
}

static void make_trainer(struct cell *cell, const struct bench *b) {
    struct tare_err err = {0};
    struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
    if (strcmp(cell->kernels, "plain") == 0) {
        divide(cell->images, b->net.n_in);
        if (tare_trainer_create_f32(&cell->plain, &b->net, &adam, cell->batch, &err) != TARE_OK)
            stop_with(&err);
        tare_trainer_set_params_f32(cell->plain, b->params);
        return;
    }
    struct tare_native_setup setup = {
        .net = &b->net,
        .optimizer = adam,
        .batch = cell->batch,
        .threads = cell->threads,
        .kernels = strcmp(cell->kernels, "best") == 0 ? NULL : cell->kernels,
        .examples = cell->images->bytes,
        .phases = cell->with_phases ? cell->phases : NULL,
    };
    if (tare_native_create(&cell->native, &setup, &err) != TARE_OK)
        stop_with(&err);
    tare_native_set_params(cell->native, b->params);
}

static int64_t run(struct cell *cell, const struct bench *b, size_t steps) {
    struct tare_err err = {0};
    const struct tare_bytes *bytes = &cell->images->bytes;
    struct tare_examples examples = {cell->images->floats, bytes->labels, bytes->n};
    int64_t start_ns = tare_now_ns();
    enum tare_status status =
        cell->plain ? tare_trainer_run_f32(cell->plain, b->losses, &examples, b->order, steps, &err)
                    : tare_native_run(cell->native, b->losses, b->order, steps, &err);
    int64_t took_ns = tare_now_ns() - start_ns;
    if (status != TARE_OK)
        stop_with(&err);
    return took_ns;
}

/* Epoch after epoch, each in an order of its own. */
static void draw_order(int32_t *order, size_t count, size_t n) {
    static struct tare_rng rng;
    if (rng.state[0] == 0)
        tare_rng_seed(&rng, 1, TARE_STREAM_ORDER);
    int32_t *epoch = room(n, sizeof *epoch);
    for (size_t i = 0; i < n; i++)
        epoch[i] = (int32_t)i;
    for (size_t at = 0; at < count; at += n) {
        tare_rng_shuffle(&rng, epoch, n);
        memcpy(order + at, epoch, (count - at < n ? count - at : n) * sizeof *epoch);
    }
    free(epoch);
}

/* How many steps a round takes: from as many as last a tenth of it. */
static void choose_steps(struct cell *cell, struct bench *b) {
    cell->steps = b->fixed_steps;
    if (cell->steps > 0)
        return;
    for (size_t steps = 10;; steps *= 2) {
        draw_order(b->order, steps * cell->batch, cell->images->bytes.n);
        double took_ms = (double)run(cell, b, steps) * 1e-6;
        if (took_ms < b->ms / 10 && steps * 2 <= MAX_STEPS)
            continue;
        double wanted = (double)steps * b->ms / took_ms;
        cell->steps = wanted < 1 ? 1 : wanted > MAX_STEPS ? MAX_STEPS : (size_t)wanted;
        memset(cell->phases, 0, sizeof cell->phases);
        return;
    }
}

static void run_round(struct cell *cell, struct bench *b, int round) {
    draw_order(b->order, cell->steps * cell->batch, cell->images->bytes.n);
    int64_t took_ns = run(cell, b, cell->steps);
    cell->wall_ns += took_ns;
    cell->step_ns[round] = (double)took_ns / (double)cell->steps;
}

/* Multiply-adds count two. Dense: what is skipped because it is 0 counts too. Forward, gradient of
 * the weights, gradient of the inputs except the first layer's; no optimiser, no loss. */
static double train_flops(const struct tare_net *net) {
    const struct tare_layer *first = &net->layers[0];
    return 3 * tare_net_forward_flops(net) - 2.0 * (double)(first->n_in * first->n_out);
}

/* What Adam reads and writes at a step: parameter and two moments; not the rows of inputs that are
 * 0 in every image, which the sparse first layer never touches. */
static double state_bytes(const struct tare_net *net, const struct images *images) {
    const struct tare_layer *first = &net->layers[0];
    double never = (1 - images->ever) * (double)(first->n_in * first->n_out);
    return 2 * 3 * sizeof(float) * ((double)net->param_count - never);
}

static void print_cell(const struct cell *cell, const struct bench *b) {
    const struct images *images = cell->images;
    const struct tare_layer *first = &b->net.layers[0];
    struct tare_stat s = tare_median_interval(cell->step_ns, (size_t)b->rounds);
    printf("{\"data\":\"%s\",\"batch\":%zu,\"kernels\":\"%s\",\"threads\":%d,\"pixels\":%.4f,"
           "\"groups\":%.4f,\"first_layer\":\"%s\",\"examples\":%zu,\"steps\":%zu,\"step_ns\":%.0f,"
           "\"lo\":%.0f,\"hi\":%.0f,\"step_flops\":%.0f,\"first_gemm_flops\":%.0f,"
           "\"state_bytes\":%.0f,\"state_total\":%zu",
           images->name, cell->batch, cell->kernels, cell->threads, images->pixels, images->groups,
           cell->native ? (tare_native_facts(cell->native).sparse ? "sparse" : "dense") : "plain",
           images->bytes.n, cell->steps, s.median, s.lo, s.hi,
           train_flops(&b->net) * (double)cell->batch,
           4.0 * (double)(first->n_in * first->n_out * cell->batch), state_bytes(&b->net, images),
           3 * sizeof(float) * b->net.param_count);
    if (cell->with_phases) {
        double steps = (double)cell->steps * b->rounds;
        printf(",\"wall_ns\":%.0f,\"phases\":[", (double)cell->wall_ns / steps);
        for (int t = 0; t < cell->threads; t++) {
            printf("%s{", t ? "," : "");
            for (int f = 0; f < TARE_PHASE_COUNT; f++)
                printf("%s\"%s\":%.1f", f ? "," : "", tare_phase_name((enum tare_phase)f),
                       (double)cell->phases[t].ns[f] / steps);
            printf("}");
        }
        printf("]");
    }
    printf("}\n");
}

static void cells(int argc, char **argv) {
    static struct bench b = {.rounds = 5, .ms = 200};
    static struct cell all[MAX_CELLS];
    const char *model = "784 dense:64:relu dense:10";
    struct tare_err err = {0};
    int at = 0;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        const char *value = argv[at + 1];
        if (strcmp(argv[at], "--model") == 0)
            model = value;
        else if (strcmp(argv[at], "--rounds") == 0)
            b.rounds = atoi(value);
        else if (strcmp(argv[at], "--ms") == 0)
            b.ms = atof(value);
        else if (strcmp(argv[at], "--steps") == 0)
            b.fixed_steps = (size_t)atoi(value);
        else
            usage(argv[at]);
    }
    int count = argc - at;
    if (count < 1 || count > MAX_CELLS || b.rounds < 1 || b.rounds > MAX_ROUNDS || b.ms < 1 ||
        b.fixed_steps > MAX_STEPS)
        usage("cells");
    if (tare_net_parse(&b.net, model, &err) != TARE_OK)
        stop_with(&err);
    b.params = room(b.net.param_count, sizeof *b.params);
    b.losses = room(MAX_STEPS, sizeof *b.losses);
    tare_net_init(b.params, &b.net, 1);
    size_t largest = 1;
    for (int c = 0; c < count; c++) {
        parse_cell(&all[c], &b, argv[at + c]);
        largest = all[c].batch > largest ? all[c].batch : largest;
    }
    b.order = room(MAX_STEPS * largest, sizeof *b.order);
    for (int c = 0; c < count; c++) {
        make_trainer(&all[c], &b);
        choose_steps(&all[c], &b);
    }
    for (int r = 0; r < b.rounds; r++)
        for (int c = 0; c < count; c++)
            run_round(&all[c], &b, r);
    for (int c = 0; c < count; c++)
        print_cell(&all[c], &b);
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
        stop_with(&err);
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

static void write_random(const char *dir, size_t n_in, size_t n) {
    uint8_t *images = room(n * n_in, 1);
    int32_t *labels = room(n, sizeof *labels);
    if (n < 2)
        usage("random");
    fill_random(images, labels, n, n_in);
    write_set(dir, &(struct tare_bytes){images, labels, n}, n_in, n / 2 < 1000 ? n / 2 : 1000);
    free(images);
    free(labels);
}

static void write_split(const char *dir) {
    static struct tare_dataset set;
    load_mnist(&set);
    size_t n = set.train_images.shape[0];
    write_set(dir, &(struct tare_bytes){set.train_images.data, set.train_labels.data, n},
              tare_array_count(&set.train_images) / n, HELD_OUT);
    tare_dataset_free(&set);
}

int main(int argc, char **argv) {
    struct tare_err err = {0};
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "cells") == 0)
        cells(argc - 2, argv + 2);
    else if (strcmp(what, "kernels") == 0) {
        static const char *const names[] = {"avx512", "avx2", "reference"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (tare_native_has_kernels(names[i]))
                printf("%s\n", names[i]);
    } else if (strcmp(what, "machine") == 0 && argc == 3) {
        if (bench_machine(atoi(argv[2]), &err) != TARE_OK)
            stop_with(&err);
    } else if (strcmp(what, "random") == 0 && argc == 5)
        write_random(argv[2], (size_t)atoll(argv[3]), (size_t)atoll(argv[4]));
    else if (strcmp(what, "split") == 0 && argc == 3)
        write_split(argv[2]);
    else
        usage(what[0] ? what : "no command");
    return 0;
}
