/* json.c: report.json, format tare-report/1 (doc/formats.md): everything a summary holds, in full
 * precision, keys in a fixed order. How JSON is written: json_write.c. */
#include "report/json.h"

#include <math.h>

#include "report/quoted.h"
#include "tare/report.h"

static void put_dataset(struct tare_json *json, const struct tare_experiment *e) {
    tare_json_open(json, "dataset", '{');
    tare_json_text(json, "name", e->dataset.name);
    tare_json_text(json, "title", e->dataset.title);
    tare_json_text(json, "sha256", e->dataset.sha256);
    tare_json_text(json, "licence", e->dataset.licence);
    tare_json_text(json, "source", e->dataset.source);
    tare_json_flag(json, "standin", e->dataset.standin);
    tare_json_count(json, "train", e->dataset.train);
    tare_json_count(json, "test", e->dataset.test);
    tare_json_count(json, "classes", e->dataset.classes);
    tare_json_close(json, '}');
}

static void put_machine(struct tare_json *json, const struct tare_experiment *e) {
    tare_json_open(json, "machine", '{');
    tare_json_text(json, "cpu", e->machine.cpu);
    tare_json_count(json, "cpus", e->machine.cpus);
    tare_json_text(json, "flags", e->machine.flags);
    tare_json_count(json, "memory_bytes", e->machine.memory_bytes);
    tare_json_text(json, "kernel", e->machine.kernel);
    tare_json_text(json, "os", e->machine.os);
    tare_json_text(json, "governor", e->machine.governor);
    tare_json_number(json, "load1", e->machine.load1);
    tare_json_flag(json, "busy", e->machine.busy);
    tare_json_close(json, '}');
}

static void put_plan(struct tare_json *json, const struct tare_experiment *e) {
    tare_json_open(json, "plan", '{');
    tare_json_text(json, "command", e->command);
    tare_json_text(json, "model", e->plan.model);
    tare_json_count(json, "params", e->plan.params);
    tare_json_text(json, "optimizer", e->plan.optimizer);
    tare_json_number(json, "lr", e->plan.lr);
    tare_json_count(json, "epochs", e->plan.epochs);
    tare_json_count(json, "batch", e->plan.batch);
    tare_json_count(json, "runs", e->plan.runs);
    tare_json_count(json, "seed", e->plan.seed);
    tare_json_count(json, "threads", e->plan.threads);
    tare_json_number(json, "timeout_s", e->plan.timeout_s);
    tare_json_flag(json, "quick", e->plan.quick);
    tare_json_close(json, '}');
}

/* What each framework takes on the disk; tare's own program beside them. */
static void put_environments(struct tare_json *json, const struct tare_experiment *e) {
    tare_json_number(json, "tare_bytes", e->tare_bytes);
    tare_json_open(json, "environments", '[');
    for (size_t i = 0; i < e->environment_count; i++) {
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "name", e->environments[i].name);
        tare_json_number(json, "megabytes", e->environments[i].megabytes);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_named(struct tare_json *json, const char *key, const struct tare_named_stat *list,
                      size_t count) {
    tare_json_open(json, key, '[');
    for (size_t i = 0; i < count; i++) {
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "name", list[i].name);
        tare_json_stat(json, "value", list[i].stat);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_calls(struct tare_json *json, const struct tare_row *row) {
    tare_json_open(json, "infer_calls", '[');
    for (size_t i = 0; i < row->call_count; i++) {
        const struct tare_call *call = &row->calls[i];
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "call", call->call);
        tare_json_count(json, "batch", call->batch);
        tare_json_flag(json, "first", call->first);
        tare_json_stat(json, "seconds", call->seconds);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_checks(struct tare_json *json, const struct tare_export *e) {
    tare_json_open(json, "runtimes", '[');
    for (size_t i = 0; i < e->check_count; i++) {
        const struct tare_check *check = &e->checks[i];
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "runtime", check->runtime);
        tare_json_text(json, "version", check->version);
        tare_json_text(json, "state", tare_state_name(check->state));
        tare_json_text(json, "reason", check->reason);
        tare_json_text(json, "fix", check->fix);
        tare_json_text(json, "reproduce", check->reproduce);
        tare_json_stat(json, "accuracy", check->accuracy);
        tare_json_number(json, "wilson_lo", check->wilson_lo);
        tare_json_number(json, "wilson_hi", check->wilson_hi);
        tare_json_stat(json, "infer_10000_s", check->infer_all_s);
        tare_json_number(json, "max_abs_diff", check->max_abs_diff);
        tare_json_number(json, "changed_answers", check->changed_answers);
        tare_json_number(json, "parity_ratio", check->parity_ratio);
        tare_json_number(json, "parity_changed_answers", check->parity_changed);
        tare_json_count(json, "queries", check->queries);
        tare_json_open(json, "query_s", '{');
        for (int q = 0; q < TARE_QUANTILE_COUNT; q++)
            tare_json_stat(json, tare_quantile_name((enum tare_quantile_id)q), check->query_s[q]);
        tare_json_close(json, '}');
        tare_json_stat(json, "cold_start_s", check->cold_start_s);
        tare_json_stat(json, "cold_rss_bytes", check->cold_rss_bytes);
        tare_json_number(json, "ships_bytes", check->ships_bytes);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

/* accuracy, max_abs_diff and parity_ratio of an export are its first runtime's; all of them follow
 * by name. */
static void put_exports(struct tare_json *json, const struct tare_row *row) {
    tare_json_open(json, "exports", '[');
    for (size_t i = 0; i < row->export_count; i++) {
        const struct tare_export *e = &row->exports[i];
        const struct tare_check *first = e->check_count > 0 ? &e->checks[0] : NULL;
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "path", e->path);
        tare_json_text(json, "format", e->format);
        tare_json_text(json, "exporter", e->exporter);
        tare_json_count(json, "files", e->files);
        tare_json_count(json, "bytes", e->bytes);
        tare_json_flag(json, "int8", false);
        tare_json_number(json, "seconds", e->seconds.median);
        tare_json_stat(json, "export_s", e->seconds);
        tare_json_number(json, "max_abs_diff", first != NULL ? first->max_abs_diff : NAN);
        tare_json_number(json, "accuracy", first != NULL ? first->accuracy.median : NAN);
        tare_json_number(json, "parity_ratio", first != NULL ? first->parity_ratio : NAN);
        tare_json_number(json, "environment_bytes", e->environment_bytes);
        put_checks(json, e);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_texts(struct tare_json *json, const struct tare_row *row) {
    tare_json_open(json, "settings", '{');
    for (size_t i = 0; i < row->setting_count; i++)
        tare_json_text(json, row->settings[i].name, row->settings[i].value);
    tare_json_close(json, '}');
    tare_json_open(json, "user_code", '{');
    for (size_t i = 0; i < row->code_count; i++) {
        tare_json_open(json, row->code[i].name, '{');
        tare_json_count(json, "lines", row->code[i].lines);
        tare_json_count(json, "statements", row->code[i].statements);
        tare_json_close(json, '}');
    }
    tare_json_close(json, '}');
}

static void put_row(struct tare_json *json, const struct tare_row *row) {
    tare_json_open(json, NULL, '{');
    tare_json_text(json, "engine", row->engine);
    tare_json_text(json, "title", tare_engine_title(row->engine));
    tare_json_text(json, "variant", row->variant);
    tare_json_flag(json, "again", row->again);
    tare_json_text(json, "track", tare_track_name(row->track));
    tare_json_text(json, "source", tare_origin_name(row->origin));
    tare_json_text(json, "state", tare_state_name(row->state));
    tare_json_text(json, "reason", row->reason);
    tare_json_text(json, "fix", row->fix);
    tare_json_text(json, "reproduce", row->reproduce);
    tare_json_text(json, "version", row->version);
    tare_json_count(json, "threads", row->threads);
    tare_json_text(json, "device", row->device);
    tare_json_count(json, "batch", row->batch);
    tare_json_count(json, "runs_done", row->runs_done);
    tare_json_flag(json, "complete", row->complete);
    tare_json_flag(json, "best", row->best);
    tare_json_count(json, "rank", row->rank);
    tare_json_text(json, "unranked", row->unranked);
    for (size_t m = 0; m < TARE_MEASURE_COUNT; m++)
        tare_json_stat(json, tare_measure_name((enum tare_measure)m), row->stats[m]);
    tare_json_open(json, "wilson", '{');
    tare_json_count(json, "correct", row->correct);
    tare_json_count(json, "total", row->total);
    tare_json_number(json, "lo", row->wilson_lo);
    tare_json_number(json, "hi", row->wilson_hi);
    tare_json_close(json, '}');
    tare_json_open(json, "certificate", '{');
    tare_json_text(json, "state", row->certificate);
    tare_json_number(json, "max_ratio", row->certificate_ratio);
    tare_json_text(json, "where", row->certificate_where);
    tare_json_close(json, '}');
    tare_json_text(json, "infer_call", row->infer_call);
    put_calls(json, row);
    put_named(json, "phases", row->phases, row->phase_count);
    put_named(json, "metrics", row->metrics, row->metric_count);
    put_texts(json, row);
    put_exports(json, row);
    tare_json_text(json, "dir", row->dir);
    tare_json_close(json, '}');
}

static void put_comparisons(struct tare_json *json, const struct tare_summary *summary) {
    tare_json_open(json, "comparisons", '[');
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct tare_comparison *c = &summary->comparisons[i];
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "kind", tare_comparison_kind_name(c->kind));
        tare_json_text(json, "track", tare_track_name(c->track));
        tare_json_text(json, "measure", tare_measure_name(c->measure));
        tare_json_text(json, "fast", summary->rows[c->fast].engine);
        tare_json_text(json, "slow", summary->rows[c->slow].engine);
        tare_json_count(json, "fast_row", c->fast);
        tare_json_count(json, "slow_row", c->slow);
        tare_json_stat(json, "ratio", c->ratio);
        tare_json_flag(json, "apart", c->apart);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_disagreements(struct tare_json *json, const struct tare_summary *summary) {
    tare_json_open(json, "disagreements", '[');
    for (size_t i = 0; i < summary->disagreement_count; i++) {
        const struct tare_disagreement *d = &summary->disagreements[i];
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "track", tare_track_name(summary->rows[d->a].track));
        tare_json_text(json, "a", summary->rows[d->a].engine);
        tare_json_text(json, "b", summary->rows[d->b].engine);
        tare_json_count(json, "a_row", d->a);
        tare_json_count(json, "b_row", d->b);
        tare_json_count(json, "run", d->run);
        tare_json_count(json, "total", d->total);
        tare_json_count(json, "only_a", d->only_a);
        tare_json_count(json, "only_b", d->only_b);
        tare_json_number(json, "p", d->p);
        tare_json_flag(json, "apart", d->apart);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

static void put_quoted(struct tare_json *json) {
    tare_json_open(json, "quoted", '[');
    for (size_t i = 0; i < tare_quoted_count; i++) {
        tare_json_open(json, NULL, '{');
        tare_json_text(json, "from", tare_quoted[i].source);
        tare_json_text(json, "engine", tare_quoted[i].engine);
        tare_json_text(json, "source", tare_origin_name(TARE_ORIGIN_QUOTED));
        tare_json_number(json, "train_s", tare_quoted[i].train_s);
        tare_json_number(json, "accuracy", tare_quoted[i].accuracy);
        tare_json_number(json, "infer_s", tare_quoted[i].infer_s);
        tare_json_text(json, "note", TARE_QUOTED_NOTE);
        tare_json_close(json, '}');
    }
    tare_json_close(json, ']');
}

/* Only where there are any: the report of a sound file says nothing of it. */
static void put_misfits(struct tare_json *json, const struct tare_summary *summary) {
    if (summary->misfit_count == 0)
        return;
    tare_json_flag(json, "salvaged", summary->salvaged);
    tare_json_open(json, "misfits", '[');
    for (size_t i = 0; i < summary->misfit_count; i++)
        tare_json_count(json, NULL, summary->misfits[i]);
    tare_json_close(json, ']');
}

void tare_report_json(struct tare_buf *buf, const struct tare_summary *summary) {
    struct tare_json json = {.out = buf};
    const struct tare_row *null_row = summary->harness;
    struct tare_stat none = tare_median_interval(NULL, 0);
    tare_json_open(&json, NULL, '{');
    tare_json_text(&json, "format", "tare-report/1");
    tare_json_text(&json, "tare", summary->experiment.tare_version);
    tare_json_text(&json, "created", summary->experiment.created);
    tare_json_flag(&json, "complete", summary->complete);
    put_misfits(&json, summary);
    put_dataset(&json, &summary->experiment);
    put_machine(&json, &summary->experiment);
    put_plan(&json, &summary->experiment);
    put_environments(&json, &summary->experiment);
    tare_json_open(&json, "rows", '[');
    for (size_t i = 0; i < summary->row_count; i++)
        put_row(&json, &summary->rows[i]);
    tare_json_close(&json, ']');
    put_comparisons(&json, summary);
    put_disagreements(&json, summary);
    tare_json_open(&json, "harness", '{');
    tare_json_text(&json, "state",
                   null_row != NULL ? tare_state_name(null_row->state) : "not-measured");
    tare_json_text(&json, "reason", null_row != NULL ? null_row->reason : "");
    tare_json_stat(&json, "step_s", summary->harness_step_s);
    tare_json_stat(&json, "process_s", null_row != NULL ? null_row->stats[TARE_PROCESS_S] : none);
    tare_json_stat(&json, "startup_s", null_row != NULL ? null_row->stats[TARE_STARTUP_S] : none);
    tare_json_close(&json, '}');
    put_quoted(&json);
    tare_json_close(&json, '}');
}
