/* sweep_json.c: a sweep for programs, tare-sweep-report/1 (doc/formats.md), and the files of its
 * folder. */
#include <math.h>
#include <stdlib.h>

#include "report/json.h"
#include "tare/report.h"
#include "tare/sweep.h"

static void put_about(struct tare_json *json, const struct tare_sweep_summary *s) {
    const struct tare_experiment *x = s->experiment;
    tare_json_text(json, "tare", x->tare_version);
    tare_json_text(json, "created", x->created);
    tare_json_flag(json, "complete", s->complete);
    tare_json_text(json, "command", x->command);
    tare_json_text(json, "model", x->plan.model);
    tare_json_open(json, "dataset", '{');
    tare_json_text(json, "name", x->dataset.name);
    tare_json_text(json, "title", x->dataset.title);
    tare_json_text(json, "sha256", x->dataset.sha256);
    tare_json_count(json, "train", x->dataset.train);
    tare_json_close(json, '}');
    tare_json_open(json, "machine", '{');
    tare_json_text(json, "cpu", x->machine.cpu);
    tare_json_count(json, "cpus", x->machine.cpus);
    tare_json_flag(json, "busy", x->machine.busy);
    tare_json_close(json, '}');
    tare_json_count(json, "threads", x->plan.threads);
    tare_json_count(json, "seed", x->plan.seed);
    tare_json_count(json, "runs", x->plan.runs);
    tare_json_number(json, "budget_s", s->budget_s);
    tare_json_number(json, "wall_s", s->wall_s);
    tare_json_number(json, "others", s->others);
    tare_json_number(json, "most_others", s->most_others);
    tare_json_number(json, "alike", TARE_SWEEP_ALIKE);
    tare_json_number(json, "alike_from_flops", tare_sweep_alike_flops(s));
    tare_json_count(json, "misfits", s->misfit_count);
}

static void put_cell(struct tare_json *json, const struct tare_sweep_summary *s,
                     const struct tare_sweep_cell *cell, size_t at) {
    tare_json_open(json, NULL, '{');
    tare_json_count(json, "width", s->widths[at / s->batch_count]);
    tare_json_count(json, "batch", s->batches[at % s->batch_count]);
    tare_json_text(json, "gap", tare_sweep_gap_text(cell->gap));
    tare_json_text(json, "reason", cell->reason);
    tare_json_stat(json, "step_s", cell->step_s);
    tare_json_stat(json, "first_step_s", cell->first_step_s);
    tare_json_number(json, "images_per_s",
                     (double)s->batches[at % s->batch_count] / cell->step_s.median);
    tare_json_number(json, "flops_per_s", cell->flops_per_s);
    tare_json_count(json, "fewest_steps", cell->fewest_steps);
    tare_json_count(json, "most_steps", cell->most_steps);
    tare_json_number(json, "shortest_s", cell->shortest_s);
    tare_json_close(json, '}');
}

static void put_engine(struct tare_json *json, const struct tare_sweep_summary *s,
                       const struct tare_sweep_engine *engine) {
    tare_json_open(json, NULL, '{');
    tare_json_text(json, "engine", engine->engine);
    tare_json_text(json, "variant", engine->variant);
    tare_json_text(json, "device", engine->device);
    tare_json_text(json, "version", engine->version);
    tare_json_count(json, "threads", engine->threads);
    tare_json_flag(json, "competes", tare_sweep_competes(engine));
    tare_json_text(json, "certificate", engine->certificate);
    tare_json_text(json, "reason", engine->reason);
    tare_json_text(json, "fix", engine->fix);
    tare_json_count(json, "processes", engine->processes);
    tare_json_number(json, "wall_s", engine->wall_s);
    tare_json_stat(json, "startup_s", engine->startup_s);
    tare_json_stat(json, "load_s", engine->load_s);
    tare_json_stat(json, "build_s", engine->build_s);
    tare_json_stat(json, "first_step_s", engine->first_step_s);
    tare_json_number(json, "longest_build_s", engine->longest_build_s);
    tare_json_number(json, "longest_first_step_s", engine->longest_first_step_s);
    tare_json_open(json, "cells", '[');
    for (size_t i = 0; i < s->width_count * s->batch_count; i++)
        put_cell(json, s, &engine->cells[i], i);
    tare_json_close(json, ']');
    tare_json_close(json, '}');
}

static void put_point(struct tare_json *json, const struct tare_sweep_summary *s, size_t at) {
    const struct tare_sweep_point *point = &s->points[at];
    bool compared = !isnan(point->ratio);
    tare_json_open(json, NULL, '{');
    tare_json_count(json, "width", s->widths[at / s->batch_count]);
    tare_json_count(json, "batch", s->batches[at % s->batch_count]);
    tare_json_number(json, "flops", point->step_flops);
    tare_json_number(json, "fastest", compared ? (double)point->fastest : NAN);
    tare_json_number(json, "slowest", compared ? (double)point->slowest : NAN);
    tare_json_number(json, "ratio", point->ratio);
    tare_json_flag(json, "whole", point->whole);
    tare_json_flag(json, "alike", point->alike);
    tare_json_flag(json, "unlike", point->unlike);
    tare_json_close(json, '}');
}

void tare_report_sweep_json(struct tare_buf *buf, const struct tare_sweep_summary *summary) {
    struct tare_json json = {.out = buf};
    tare_json_open(&json, NULL, '{');
    tare_json_text(&json, "format", "tare-sweep-report/1");
    put_about(&json, summary);
    tare_json_open(&json, "points", '[');
    for (size_t i = 0; i < summary->width_count * summary->batch_count; i++)
        put_point(&json, summary, i);
    tare_json_close(&json, ']');
    tare_json_open(&json, "engines", '[');
    for (size_t e = 0; e < summary->engine_count; e++)
        put_engine(&json, summary, &summary->engines[e]);
    tare_json_close(&json, ']');
    tare_json_close(&json, '}');
}
