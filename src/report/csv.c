/* csv.c: one row per cell of the plan, full precision, the same columns always; RFC 4180. What a
 * cell has several of (exports, calls) is in report.json; here stand the first and their number. */
#include <math.h>
#include <string.h>

#include "report/document.h"
#include "tare/report.h"

struct csv {
    struct tare_buf *out;
    bool begun; /* the current line has a field */
};

static void separate(struct csv *csv) {
    tare_buf_puts(csv->out, csv->begun ? "," : "");
    csv->begun = true;
}

static void end_line(struct csv *csv) {
    tare_buf_puts(csv->out, "\r\n");
    csv->begun = false;
}

static void text(struct csv *csv, const char *value) {
    struct tare_buf clean = {0};
    separate(csv);
    tare_put_clean(&clean, value);
    bool quote = clean.size > 0 && strpbrk(clean.data, ",\"") != NULL;
    tare_buf_puts(csv->out, quote ? "\"" : "");
    if (clean.size > 0 && strchr("=+-@", clean.data[0]) != NULL)
        tare_buf_puts(csv->out, "'"); /* or a spreadsheet would run it */
    for (size_t i = 0; i < clean.size; i++)
        tare_buf_append(csv->out, clean.data[i] == '"' ? "\"\"" : &clean.data[i],
                        clean.data[i] == '"' ? 2 : 1);
    tare_buf_puts(csv->out, quote ? "\"" : "");
    csv->out->failed = csv->out->failed || clean.failed;
    tare_buf_free(&clean);
}

/* Empty for NaN: not measured is not 0. */
static void number(struct csv *csv, double value) {
    separate(csv);
    if (!isnan(value))
        tare_put_exact(csv->out, value);
}

static void count(struct csv *csv, size_t value) {
    separate(csv);
    tare_buf_printf(csv->out, "%zu", value);
}

static void stat(struct csv *csv, struct tare_stat value) {
    number(csv, value.median);
    number(csv, value.lo);
    number(csv, value.hi);
    count(csv, value.n);
}

static void stat_header(struct csv *csv, const char *name) {
    const char *const parts[] = {"median", "lo", "hi", "n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        separate(csv);
        tare_buf_printf(csv->out, "%s_%s", name, parts[i]);
    }
}

static void header(struct csv *csv) {
    const char *const before[] = {"dataset", "engine",  "variant", "track",     "source",
                                  "state",   "reason",  "fix",     "reproduce", "version",
                                  "device",  "threads", "batch",   "runs_done", "runs_planned",
                                  "rank",    "unranked"};
    const char *const after[] = {
        "correct",    "total",         "wilson_lo",        "wilson_hi",    "infer_images",
        "infer_call", "train_lines",   "train_statements", "export_lines", "export_statements",
        "exports",    "export_format", "export_path",      "export_files", "export_bytes"};
    const char *const checked[] = {
        "runtime",      "runtime_version",        "runtime_state", "runtime_accuracy",
        "max_abs_diff", "changed_answers",        "exporter",      "environment_bytes",
        "parity_ratio", "parity_changed_answers", "query_p50_s",   "query_p99_s",
        "cold_start_s", "cold_rss_bytes",         "ships_bytes",   "dir"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        text(csv, before[i]);
    for (size_t m = 0; m < TARE_MEASURE_COUNT; m++)
        stat_header(csv, tare_measure_name((enum tare_measure)m));
    stat_header(csv, "times_fastest");
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        text(csv, after[i]);
    stat_header(csv, "export_s");
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++)
        text(csv, checked[i]);
    end_line(csv);
}

static struct tare_stat ratio_of(const struct tare_summary *summary, size_t row) {
    for (size_t i = 0; i < summary->comparison_count; i++)
        if (summary->comparisons[i].kind == TARE_COMPARE_FASTEST &&
            summary->comparisons[i].measure == TARE_TRAIN_S && summary->comparisons[i].slow == row)
            return summary->comparisons[i].ratio;
    return tare_median_interval(NULL, 0);
}

static void user_code(struct csv *csv, const struct tare_row *row, const char *name) {
    for (size_t i = 0; i < row->code_count; i++)
        if (strcmp(row->code[i].name, name) == 0) {
            count(csv, row->code[i].lines);
            count(csv, row->code[i].statements);
            return;
        }
    text(csv, "");
    text(csv, "");
}

static void first_export(struct csv *csv, const struct tare_row *row) {
    static const struct tare_export no_export = {.format = "",
                                                 .exporter = "",
                                                 .path = "",
                                                 .environment_bytes = NAN,
                                                 .seconds = {.median = NAN, .lo = NAN, .hi = NAN}};
    static const struct tare_check no_check = {
        .runtime = "",
        .version = "",
        .max_abs_diff = NAN,
        .changed_answers = NAN,
        .accuracy = {.median = NAN},
        .parity_ratio = NAN,
        .parity_changed = NAN,
        .query_s = {[TARE_P50] = {.median = NAN}, [TARE_P99] = {.median = NAN}},
        .cold_start_s = {.median = NAN},
        .cold_rss_bytes = {.median = NAN},
        .ships_bytes = NAN};
    const struct tare_export *e = row->export_count > 0 ? &row->exports[0] : &no_export;
    const struct tare_check *c = e->check_count > 0 ? &e->checks[0] : &no_check;
    count(csv, row->export_count);
    text(csv, e->format);
    text(csv, e->path);
    count(csv, e->files);
    count(csv, e->bytes);
    stat(csv, e->seconds);
    text(csv, c->runtime);
    text(csv, c->version);
    text(csv, c == &no_check ? "" : tare_state_name(c->state));
    number(csv, c->accuracy.median);
    number(csv, c->max_abs_diff);
    number(csv, c->changed_answers);
    text(csv, e->exporter);
    number(csv, e->environment_bytes);
    number(csv, c->parity_ratio);
    number(csv, c->parity_changed);
    number(csv, c->query_s[TARE_P50].median);
    number(csv, c->query_s[TARE_P99].median);
    number(csv, c->cold_start_s.median);
    number(csv, c->cold_rss_bytes.median);
    number(csv, c->ships_bytes);
}

static void put_row(struct csv *csv, const struct tare_summary *summary, size_t i) {
    const struct tare_row *row = &summary->rows[i];
    text(csv, summary->experiment.dataset.title);
    text(csv, row->engine);
    text(csv, row->variant);
    text(csv, tare_track_name(row->track));
    text(csv, tare_origin_name(row->origin));
    text(csv, tare_state_name(row->state));
    text(csv, row->reason);
    text(csv, row->fix);
    text(csv, row->reproduce);
    text(csv, row->version);
    text(csv, row->device);
    count(csv, row->threads);
    count(csv, row->batch);
    count(csv, row->runs_done);
    count(csv, summary->experiment.plan.runs);
    count(csv, row->rank);
    text(csv, row->unranked);
    for (size_t m = 0; m < TARE_MEASURE_COUNT; m++)
        stat(csv, row->stats[m]);
    stat(csv, ratio_of(summary, i));
    count(csv, row->correct);
    count(csv, row->total);
    number(csv, row->wilson_lo);
    number(csv, row->wilson_hi);
    count(csv, summary->experiment.dataset.test);
    text(csv, row->infer_call);
    user_code(csv, row, "train");
    user_code(csv, row, "export");
    first_export(csv, row);
    text(csv, row->dir);
    end_line(csv);
}

void tare_report_csv(struct tare_buf *buf, const struct tare_summary *summary) {
    struct csv csv = {.out = buf};
    header(&csv);
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++)
        put_row(&csv, summary, i);
}
