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

#include "native.h"
#include "tare/clock.h"
#include "tare/native.h"
#include "tare/rng.h"
#include "tare/stats.h"

#define MAX_CELLS 64
#define MAX_ROUNDS 100
#define MAX_THREADS 64
#define MAX_STEPS 100000

struct bench {
    struct tare_net net;
    int rounds;
    double ms; /* of a round of a cell, about */
    size_t fixed_steps;
    float *params, *losses;
    int32_t *order; /* (MAX_STEPS, the largest batch): of the round that is run */
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

/* ---- cells -------------------------------------------------------------------------------------
 */

static void parse_cell(struct cell *cell, const struct bench *b, const char *text) {
    char data[16], phases[16] = "";
    int fields = sscanf(text, "%15[^,],%zu,%15[^,],%d,%15s", data, &cell->batch, cell->kernels,
                        &cell->threads, phases);
    cell->with_phases = strcmp(phases, "phases") == 0;
    if (fields < 4 || cell->batch == 0 || cell->batch > TARE_MAX_BATCH || cell->threads < 1 ||
        cell->threads > MAX_THREADS || (fields == 5 && !cell->with_phases))
        bench_usage(text);
    cell->images = bench_images(data, b->net.n_in);
}

static void make_trainer(struct cell *cell, const struct bench *b) {
    struct tare_err err = {0};
    struct tare_optimizer adam = tare_optimizer_defaults(TARE_OPTIMIZER_ADAM);
    if (strcmp(cell->kernels, "plain") == 0) {
        bench_divide(cell->images, b->net.n_in);
        if (tare_trainer_create_f32(&cell->plain, &b->net, &adam, cell->batch, &err) != TARE_OK)
            bench_stop_with(&err);
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
        bench_stop_with(&err);
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
        bench_stop_with(&err);
    return took_ns;
}

/* Epoch after epoch, each in an order of its own. */
static void draw_order(int32_t *order, size_t count, size_t n) {
    static struct tare_rng rng;
    if (rng.state[0] == 0)
        tare_rng_seed(&rng, 1, TARE_STREAM_ORDER);
    int32_t *epoch = bench_room(n, sizeof *epoch);
    for (size_t i = 0; i < n; i++)
        epoch[i] = (int32_t)i;
    for (size_t at = 0; at < count; at += n) {
        tare_rng_shuffle(&rng, epoch, n);
        memcpy(order + at, epoch, (count - at < n ? count - at : n) * sizeof *epoch);
    }
    free(epoch);
}

/* How many steps a round takes: from as many as last a tenth of it. */
static void choose_steps(struct cell *cell, const struct bench *b) {
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

static void run_round(struct cell *cell, const struct bench *b, int round) {
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
            bench_usage(argv[at]);
    }
    int count = argc - at;
    if (count < 1 || count > MAX_CELLS || b.rounds < 1 || b.rounds > MAX_ROUNDS || b.ms < 1 ||
        b.fixed_steps > MAX_STEPS)
        bench_usage("cells");
    if (tare_net_parse(&b.net, model, &err) != TARE_OK)
        bench_stop_with(&err);
    b.params = bench_room(b.net.param_count, sizeof *b.params);
    b.losses = bench_room(MAX_STEPS, sizeof *b.losses);
    tare_net_init(b.params, &b.net, 1);
    size_t largest = 1;
    for (int c = 0; c < count; c++) {
        parse_cell(&all[c], &b, argv[at + c]);
        largest = all[c].batch > largest ? all[c].batch : largest;
    }
    b.order = bench_room(MAX_STEPS * largest, sizeof *b.order);
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
    } else if (strcmp(what, "machine") == 0 && argc == 3 && atoi(argv[2]) >= 1) {
        if (bench_machine(atoi(argv[2]), &err) != TARE_OK)
            bench_stop_with(&err);
    } else if (strcmp(what, "random") == 0 && argc == 5)
        bench_write_random(argv[2], (size_t)atoll(argv[3]), (size_t)atoll(argv[4]));
    else if (strcmp(what, "split") == 0 && argc == 3)
        bench_write_split(argv[2]);
    else
        bench_usage(what[0] ? what : "no command");
    return 0;
}
