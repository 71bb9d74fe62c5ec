/* cmd_bench.c: tare bench: what does a model cost to run? Latency, throughput, cold start, memory
 * and what must ship, in the engine of its format or in several. The measuring is
 * src/lab/bench.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/bench.h"
#include "tare/buf.h"
#include "tare/model_io.h"
#include "tare/report.h"

struct options {
    const char *engines, *batches, *data;
    size_t threads, queries, runs;
    double timeout_s;
    bool json, no_download;
};

static enum tare_status read_engines(struct tare_bench *bench, const char *list,
                                     struct tare_err *err) {
    if (!list)
        return tare_bench_add(bench, NULL, "", err);
    enum tare_status status = TARE_OK;
    while (list && status == TARE_OK) {
        char engine[64], variant[32];
        status = cli_next_engine(engine, variant, &list, "--engine", err);
        if (status == TARE_OK)
            status = tare_bench_add(bench, engine, variant, err);
    }
    return status;
}

static enum tare_status read_options(struct tare_bench *bench, const struct options *o,
                                     const struct cli_args *args, struct tare_err *err) {
    if (args->count != 1)
        return tare_fail(err, TARE_USAGE, NULL, "tare bench digits.onnx", "name one model");
    if (o->queries < 1 || o->queries > TARE_MAX_QUERIES)
        return tare_fail(err, TARE_USAGE, "--queries", "7000, enough for p99.9", "must be 1 to %d",
                         TARE_MAX_QUERIES);
    if (o->runs < 1 || o->runs > 1000)
        return tare_fail(err, TARE_USAGE, "--runs", "3", "must be 1 to 1000");
    if (o->threads < 1 || o->threads > (size_t)cli_cpus())
        return tare_fail(err, TARE_USAGE, "--threads", "1, as deployed models mostly run",
                         "must be 1 to %d", cli_cpus());
    bench->model_path = args->words[0];
    bench->queries = o->queries;
    bench->cold_runs = o->runs;
    bench->threads = (int)o->threads;
    bench->timeout_s = o->timeout_s;
    enum tare_status status =
        o->batches ? cli_read_counts(bench->batches, &bench->batch_count, TARE_MAX_BATCHES,
                                     TARE_MAX_BATCH, o->batches, "--batches", err)
                   : TARE_OK;
    return status == TARE_OK ? read_engines(bench, o->engines, err) : status;
}

static enum tare_status print_report(const struct tare_bench *bench, bool json,
                                     struct tare_err *err) {
    struct tare_report_options how = {.width = (size_t)cli_width(), .colour = cli_colour()};
    struct tare_buf text = {0};
    if (json)
        tare_report_bench_json(&text, bench);
    else
        tare_report_bench(&text, bench, &how);
    enum tare_status status = TARE_OK;
    if (text.failed)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the table");
    else
        fputs(text.data, stdout);
    tare_buf_free(&text);
    return status;
}

static enum tare_status measure(struct tare_bench *bench, const struct options *o,
                                struct tare_err *err) {
    static struct tare_machine machine;
    struct tare_dataset set = {0};
    char *prepared = NULL, *dir = NULL;
    bench->stop = cli_catch_signals(); /* before there is a temporary folder to clean up */
    enum tare_status status = tare_model_file_check(bench->model_path, err);
    if (status == TARE_OK)
        status =
            cli_load_data(&set, o->data, TARE_CACHE_READ, o->no_download, o->data == NULL, err);
    if (status == TARE_OK)
        status = tare_dataset_prepare(&prepared, &set, err);
    if (status == TARE_OK && !(dir = cli_temporary_dir(err)))
        status = err->status;
    if (status == TARE_OK) {
        tare_machine_describe(&machine);
        bench->dataset = &set;
        bench->prepared = prepared;
        bench->dir = dir;
        bench->machine = &machine;
        bench->progress = cli_progress_of;
        status = tare_bench_run(bench, err);
        cli_progress_end();
    }
    struct tare_err unprinted = {0};
    if ((status == TARE_OK || status == TARE_FAILED) &&
        print_report(bench, o->json, &unprinted) != TARE_OK) {
        *err = unprinted;
        status = unprinted.status;
    }
    if (dir)
        cli_remove_dir(dir);
    free(dir);
    free(prepared);
    tare_dataset_free(&set);
    return status;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    static struct tare_bench bench;
    struct options o = {.threads = 1,
                        .queries = TARE_BENCH_QUERIES,
                        .runs = TARE_BENCH_COLD_RUNS,
                        .timeout_s = TARE_DEFAULT_TIMEOUT_S};
    const struct cli_option options[] = {
        {"engine", CLI_TEXT, &o.engines, "LIST", "NAME or NAME/VARIANT, several with commas", 0},
        {"threads", CLI_COUNT, &o.threads, "N", "CPUs every engine may use (1)", 0},
        {"queries", CLI_COUNT, &o.queries, "N", "single images, each timed by itself (7000)", 0},
        {"batches", CLI_TEXT, &o.batches, "LIST", "images per call for throughput (1,8,64,512)", 0},
        {"runs", CLI_COUNT, &o.runs, "N", "cold starts (3)", 0},
        {"data", CLI_TEXT, &o.data, "DIR", "your own data instead of MNIST", 0},
        {"timeout", CLI_NUMBER, &o.timeout_s, "S", "seconds one process may take (600)", 0},
        {"json", CLI_FLAG, &o.json, NULL, "print one JSON object, tare-bench/1", 0},
        {"no-download", CLI_FLAG, &o.no_download, NULL, "use only data that is on this machine", 0},
    };
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof options[0], &err);
    if (helped)
        return 0;
    tare_bench_defaults(&bench);
    if (status == TARE_OK)
        status = read_options(&bench, &o, &args, &err);
    if (status == TARE_OK)
        status = measure(&bench, &o, &err);
    tare_bench_free(&bench);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_bench = {
    "bench", "what does a model cost to run: latency, throughput, cold start, memory, bytes",
    "bench MODEL [OPTION]...",
    "  tare bench digits.safetensors                    the native engine\n"
    "  tare bench digits.safetensors --engine native,pytorch,tensorflow\n"
    "  tare bench digits.onnx                           ONNX Runtime\n"
    "  tare bench digits.tflite --engine litert,litert/builtin --batches 1,32\n",
    run};
