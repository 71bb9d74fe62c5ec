/* bench.h: what a deployed model costs to run: latency, throughput, cold start, memory, and what
 * must ship, in one engine or in several side by side.
 *
 *     static struct tare_bench bench;
 *     tare_bench_defaults(&bench);
 *     bench.model_path = "digits.onnx"; bench.dataset = &set; bench.prepared = folder; …
 *     if (tare_bench_add(&bench, NULL, "", &err) == TARE_OK)         // the engine of its format
 *         status = tare_bench_run(&bench, &err);
 *     printf("%s\n", tare_state_name(bench.rows[0].state));
 *     tare_bench_free(&bench);
 *
 * Shown by tare_report_bench (report.h).
 */
#ifndef TARE_BENCH_H
#define TARE_BENCH_H

#include <signal.h>
#include <stddef.h>

#include "tare/data.h"
#include "tare/lab.h"
#include "tare/latency.h"
#include "tare/machine.h"
#include "tare/stats.h"
#include "tare/supervise.h"

#define TARE_MAX_BENCH_ROWS 32
#define TARE_BENCH_QUERIES 7000 /* more than the 6,636 that p99.9 needs */
#define TARE_BENCH_COLD_RUNS 3

/* One engine; everything after the names is filled by tare_bench_run. */
struct tare_bench_row {
    char engine[64], variant[32];
    enum tare_cell_state state; /* the worst of its processes' */
    char reason[TARE_MAX_TEXT], fix[TARE_MAX_TEXT];
    struct tare_outcome outcome;           /* of the process that was measured: settings, version */
    const char *call;                      /* what it calls to infer; never NULL */
    struct tare_latency latency;           /* of one image */
    double images_per_s[TARE_MAX_BATCHES]; /* by bench->batches; NaN: not measured */
    struct tare_grade grade;               /* total 0: not graded */
    struct tare_stat cold_s;         /* exec to the first answer, of processes that get one image */
    struct tare_stat cold_rss_bytes; /* their peak memory */
    size_t ships_bytes;              /* program and libraries, as the engine tells; 0: it doesn't */
    double environment_bytes;        /* then: its Python environment, whole; NaN: not known */
};

struct tare_bench {
    const char *model_path; /* .safetensors, .onnx, .tflite */
    const struct tare_dataset *dataset;
    const char *prepared; /* the folder tare_dataset_prepare made */
    const char *dir;      /* an empty folder for jobs and logs */
    const struct tare_machine *machine;
    int threads;
    size_t queries;                   /* of one image each, timed singly */
    size_t batches[TARE_MAX_BATCHES]; /* images of one call, for throughput */
    size_t batch_count;
    size_t cold_runs;
    double timeout_s; /* of one process */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *context, const char *text); /* may be NULL */
    void *context;

    struct tare_bench_row rows[TARE_MAX_BENCH_ROWS];
    size_t row_count;
    size_t model_files, model_bytes; /* out: with the .data file that belongs to some .onnx */
};

void tare_bench_defaults(struct tare_bench *bench);

/* The engine that runs models of that name unless another is asked for: native, onnxruntime,
 * litert. TARE_USAGE names the suffixes there are. */
enum tare_status tare_model_engine(const char **engine, const char *path, struct tare_err *err);

/* Adds an engine; NULL: tare_model_engine's. TARE_USAGE: named twice, or it can't run such a file:
 * weights are for native and the engines that train, .onnx and .tflite for their runtimes. Engines
 * that tare doesn't know may try. */
enum tare_status tare_bench_add(struct tare_bench *bench, const char *engine, const char *variant,
                                struct tare_err *err);

/* Measures every row, then the cold starts, round by round. TARE_FAILED when a row isn't ok (the
 * others are), TARE_DATA for a model that isn't one, TARE_INTERRUPTED when *stop was set. */
enum tare_status tare_bench_run(struct tare_bench *bench, struct tare_err *err);
void tare_bench_free(struct tare_bench *bench);

#endif
