/* bench.c: what `tare bench` shows: one document of three small tables, because one wide one fits
 * no terminal, and the same as JSON. The figures are src/lab/bench.c's; rendering is text.c's.
 */
#include "tare/bench.h"

#include <math.h>
#include <string.h>

#include "report/document.h"
#include "report/json.h"
#include "tare/report.h"

static bool is_measured(const struct tare_bench_row *row) {
    return row->state == TARE_STATE_OK || row->state == TARE_STATE_VOID;
}

static void cell_engine(struct tare_document *document, const struct tare_bench_row *row) {
    struct tare_buf *out = tare_document_cell(document);
    tare_buf_puts(out, tare_engine_title(row->engine));
    if (row->variant[0] != '\0')
        tare_buf_printf(out, "/%s", row->variant);
}

static void cell_seconds(struct tare_document *document, double seconds) {
    struct tare_buf *out = tare_document_cell(document);
    if (isinf(seconds))
        tare_buf_puts(out, "over 2.1 s"); /* what 32 bits of nanoseconds hold */
    else
        tare_put_seconds(out, seconds);
}

/* ---- the terminal ------------------------------------------------------------------------------
 */

static void fill_title(struct tare_document *document, const struct tare_bench *bench) {
    const char *name = strrchr(bench->model_path, '/');
    tare_document_say(document, TARE_BLOCK_TITLE, "%s on %s",
                      name != NULL ? name + 1 : bench->model_path, bench->dataset->title);
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_put_bytes(out, (double)bench->model_bytes);
    tare_buf_printf(out, " in %zu file%s; %d thread%s, %s.", bench->model_files,
                    bench->model_files == 1 ? "" : "s", bench->threads,
                    bench->threads == 1 ? "" : "s", bench->machine->cpu);
    if (bench->machine->busy)
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "The machine was busy with other work (%.1f CPUs) when this began: the "
                          "times are too long.",
                          bench->machine->others);
}

static void fill_latency(struct tare_document *document, const struct tare_bench *bench) {
    tare_document_say(document, TARE_BLOCK_HEADING, "One image a call");
    tare_document_table(document, "engine|p50|p90|p99|p99.9|longest", "lrrrrr");
    for (size_t i = 0; i < bench->row_count; i++) {
        const struct tare_bench_row *row = &bench->rows[i];
        cell_engine(document, row);
        for (size_t q = 0; q < TARE_QUANTILE_COUNT; q++) {
            const struct tare_quantile *quantile = &row->latency.quantile[q];
            if (quantile->known || !is_measured(row)) {
                cell_seconds(document, quantile->seconds);
                continue;
            }
            struct tare_buf *out = tare_document_cell(document);
            tare_buf_puts(out, "needs ");
            tare_put_count(out, quantile->needs);
        }
        cell_seconds(document, row->latency.max_s);
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_put_count(out, bench->queries);
    tare_buf_puts(out, " queries, each timed by itself after a warm-up. A percentile is the bound "
                       "that holds with 99 % confidence; \"needs\" says how many queries bear it.");
}

static void fill_throughput(struct tare_document *document, const struct tare_bench *bench) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Images per second");
    tare_document_counts(document, "images per call:", bench->batches, bench->batch_count);
    for (size_t i = 0; i < bench->row_count; i++) {
        const struct tare_bench_row *row = &bench->rows[i];
        cell_engine(document, row);
        for (size_t b = 0; b < bench->batch_count; b++)
            if (isnan(row->images_per_s[b]))
                tare_buf_puts(tare_document_cell(document), "–");
            else
                tare_put_count(tare_document_cell(document), (size_t)row->images_per_s[b]);
    }
}

static void cell_ships(struct tare_document *document, const struct tare_bench_row *row) {
    struct tare_buf *out = tare_document_cell(document);
    if (row->ships_bytes > 0)
        tare_put_bytes(out, (double)row->ships_bytes);
    else
        tare_put_bytes(out, row->environment_bytes);
    if (row->ships_bytes == 0 && !isnan(row->environment_bytes))
        tare_buf_puts(out, " (Python)");
}

static void fill_deployment(struct tare_document *document, const struct tare_bench *bench) {
    tare_document_say(document, TARE_BLOCK_HEADING, "To deploy");
    tare_document_table(document, "engine|cold start|peak memory|must ship|accuracy|state",
                        "lrrrrl");
    for (size_t i = 0; i < bench->row_count; i++) {
        const struct tare_bench_row *row = &bench->rows[i];
        cell_engine(document, row);
        tare_put_seconds_stat(tare_document_cell(document), row->cold_s);
        tare_put_bytes(tare_document_cell(document), row->cold_rss_bytes.median);
        cell_ships(document, row);
        struct tare_buf *out = tare_document_cell(document);
        double accuracy = (double)row->grade.correct / (double)row->grade.total; /* 0/0: NaN */
        tare_put_percent_stat(out, (struct tare_stat){.median = accuracy});
        tare_buf_puts(tare_document_cell(document), tare_state_name(row->state));
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_printf(out,
                    "Cold start: exec to the first answer, %zu process%s that answer%s one image, "
                    "their files read before; peak memory is theirs. Must ship: program and "
                    "libraries that no system brings along, or the Python environment; beside the "
                    "model. Accuracy on ",
                    bench->cold_runs, bench->cold_runs == 1 ? "" : "es",
                    bench->cold_runs == 1 ? "s" : "");
    tare_put_count(out, bench->dataset->test_images.shape[0]);
    tare_buf_puts(out, " test images.");
}

static void fill_notes(struct tare_document *document, const struct tare_bench *bench) {
    for (size_t i = 0; i < bench->row_count; i++) {
        const struct tare_bench_row *row = &bench->rows[i];
        const struct tare_outcome *outcome = &row->outcome;
        struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
        tare_buf_puts(out, tare_engine_title(row->engine));
        tare_buf_printf(out, "%s%s %s", row->variant[0] ? "/" : "", row->variant, outcome->version);
        if (row->state != TARE_STATE_OK)
            tare_buf_printf(out, ": %s: %s", tare_state_name(row->state), row->reason);
        if (row->fix[0] != '\0')
            tare_buf_printf(out, "; try: %s", row->fix);
        if (!is_measured(row))
            continue;
        tare_buf_printf(out, ": %s", row->call);
        for (size_t e = 0; e < outcome->event_count; e++)
            if (outcome->events[e].kind == TARE_EVENT_SETTING &&
                strncmp(outcome->events[e].name, "source:", 7) != 0 &&
                strcmp(outcome->events[e].name, "version") != 0 &&
                strcmp(outcome->events[e].name, "ships_bytes") != 0)
                tare_buf_printf(out, ", %s=%s", outcome->events[e].name, outcome->events[e].text);
    }
}

void tare_report_bench(struct tare_buf *buf, const struct tare_bench *bench,
                       const struct tare_report_options *options) {
    struct tare_document document = {0};
    fill_title(&document, bench);
    fill_latency(&document, bench);
    if (bench->batch_count > 0)
        fill_throughput(&document, bench);
    fill_deployment(&document, bench);
    fill_notes(&document, bench);
    tare_document_text(buf, &document, options);
    tare_document_free(&document);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void put_about(struct tare_json *json, const struct tare_bench *bench) {
    const struct tare_dataset *set = bench->dataset;
    tare_json_open(json, "model", '{');
    tare_json_text(json, "path", bench->model_path);
    tare_json_count(json, "files", bench->model_files);
    tare_json_count(json, "bytes", bench->model_bytes);
    tare_json_close(json, '}');
    tare_json_open(json, "dataset", '{');
    tare_json_text(json, "name", set->name);
    tare_json_text(json, "title", set->title);
    tare_json_text(json, "sha256", set->sha256);
    tare_json_count(json, "test", set->test_images.shape[0]);
    tare_json_close(json, '}');
    tare_json_open(json, "machine", '{');
    tare_json_text(json, "cpu", bench->machine->cpu);
    tare_json_count(json, "cpus", (size_t)bench->machine->cpus);
    tare_json_flag(json, "busy", bench->machine->busy);
    tare_json_close(json, '}');
    tare_json_count(json, "threads", (size_t)bench->threads);
    tare_json_count(json, "queries", bench->queries);
    tare_json_count(json, "cold_runs", bench->cold_runs);
}

static void put_latency(struct tare_json *json, const struct tare_latency *latency) {
    char key[16];
    tare_json_open(json, "latency", '{');
    tare_json_count(json, "n", latency->n);
    tare_json_number(json, "min_s", latency->min_s);
    tare_json_number(json, "max_s", latency->max_s);
    for (size_t q = 0; q < TARE_QUANTILE_COUNT; q++) {
        snprintf(key, sizeof key, "%s_s", tare_quantile_name((enum tare_quantile_id)q));
        tare_json_number(json, key, latency->quantile[q].seconds);
    }
    tare_json_open(json, "needs", '{');
    for (size_t q = 0; q < TARE_QUANTILE_COUNT; q++)
        tare_json_count(json, tare_quantile_name((enum tare_quantile_id)q),
                        latency->quantile[q].needs);
    tare_json_close(json, '}');
    tare_json_close(json, '}');
}

static void put_accuracy(struct tare_json *json, const struct tare_grade *grade) {
    double lo, hi;
    tare_wilson(&lo, &hi, grade->correct, grade->total);
    tare_json_number(json, "accuracy", (double)grade->correct / (double)grade->total);
    tare_json_number(json, "accuracy_lo", lo);
    tare_json_number(json, "accuracy_hi", hi);
    tare_json_count(json, "correct", grade->correct);
    tare_json_count(json, "total", grade->total);
}

static void put_row(struct tare_json *json, const struct tare_bench *bench,
                    const struct tare_bench_row *row) {
    tare_json_open(json, NULL, '{');
    tare_json_text(json, "engine", row->engine);
    tare_json_text(json, "variant", row->variant);
    tare_json_text(json, "version", row->outcome.version);
    tare_json_text(json, "state", tare_state_name(row->state));
    tare_json_text(json, "reason", row->reason);
    tare_json_text(json, "fix", row->fix);
    tare_json_text(json, "call", row->call);
    put_latency(json, &row->latency);
    tare_json_open(json, "throughput", '[');
    for (size_t b = 0; b < bench->batch_count; b++) {
        tare_json_open(json, NULL, '{');
        tare_json_count(json, "batch", bench->batches[b]);
        tare_json_number(json, "images_per_s", row->images_per_s[b]);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
    tare_json_stat(json, "cold_start_s", row->cold_s);
    tare_json_stat(json, "peak_rss_bytes", row->cold_rss_bytes);
    tare_json_number(json, "ships_bytes", row->ships_bytes > 0 ? (double)row->ships_bytes : NAN);
    tare_json_number(json, "environment_bytes", row->environment_bytes);
    put_accuracy(json, &row->grade);
    tare_json_open(json, "settings", '[');
    for (size_t e = 0; e < row->outcome.event_count; e++) {
        if (row->outcome.events[e].kind != TARE_EVENT_SETTING)
            continue;
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "name", row->outcome.events[e].name);
        tare_json_text(json, "value", row->outcome.events[e].text);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
    tare_json_close(json, '}');
}

void tare_report_bench_json(struct tare_buf *buf, const struct tare_bench *bench) {
    struct tare_json json = {.out = buf};
    tare_json_open(&json, NULL, '{');
    tare_json_text(&json, "format", "tare-bench/1");
    put_about(&json, bench);
    tare_json_open(&json, "rows", '[');
    for (size_t i = 0; i < bench->row_count; i++)
        put_row(&json, bench, &bench->rows[i]);
    tare_json_close(&json, ']');
    tare_json_close(&json, '}');
}
