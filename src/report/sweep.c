/* sweep.c: what `tare sweep` shows: answers, which are sweep_answers.c's, and then the figures. One
 * document for the terminal and for Markdown; sweep_json.c has the same for programs. What follows
 * from the figures is computed in src/lab/sweep_summary.c.
 */
#include "tare/sweep.h"

#include <math.h>
#include <string.h>

#include "report/document.h"
#include "report/sweep.h"
#include "tare/machine.h"
#include "tare/report.h"

static const struct tare_sweep_cell *cell_at(const struct tare_sweep_engine *engine,
                                             const struct tare_sweep_summary *s, size_t width,
                                             size_t batch) {
    return &engine->cells[width * s->batch_count + batch];
}

void tare_sweep_put_name(struct tare_buf *out, const struct tare_sweep_engine *engine) {
    tare_buf_puts(out, tare_engine_title(engine->engine));
    if (engine->variant[0] != '\0')
        tare_buf_printf(out, "/%s", engine->variant);
    if (strcmp(engine->device, "cpu") != 0)
        tare_buf_printf(out, " on %s", engine->device);
}

const struct tare_sweep_point *tare_sweep_point_at(const struct tare_sweep_summary *s, size_t width,
                                                   size_t batch) {
    return &s->points[width * s->batch_count + batch];
}

bool tare_sweep_has_figure(const struct tare_sweep_cell *cell) {
    return cell->gap == TARE_SWEEP_GAP_NONE;
}

/* ---- what was done -----------------------------------------------------------------------------
 */

static void fill_title(struct tare_document *document, const struct tare_sweep_summary *s) {
    const struct tare_experiment *x = s->experiment;
    tare_document_say(document, TARE_BLOCK_TITLE, "How a training step grows: %s, %s",
                      x->plan.model, x->dataset.title);
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_printf(
        out, "%zu width%s, %zu batch%s, %zu engine%s; Adam, %zu thread%s; %s; tare %s, ",
        s->width_count, s->width_count == 1 ? "" : "s", s->batch_count,
        s->batch_count == 1 ? "" : "es", s->engine_count, s->engine_count == 1 ? "" : "s",
        x->plan.threads, x->plan.threads == 1 ? "" : "s", x->machine.cpu, x->tare_version);
    tare_buf_printf(out, "%s; ", x->created);
    if (isnan(s->wall_s))
        tare_buf_puts(out, "cut short.");
    else {
        tare_put_number(out, 'f', 1, s->wall_s / 60);
        tare_buf_puts(out, s->complete ? " minutes" : " minutes, then interrupted");
        tare_buf_puts(out, " of ");
        tare_put_number(out, 'g', 3, s->budget_s / 60);
        tare_buf_puts(out, ".");
    }
    if (s->others > TARE_BUSY_CPUS || s->most_others > 1) {
        out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
        tare_buf_puts(out, "The machine was busy: other programs used ");
        tare_put_number(out, 'f', 1, s->others);
        tare_buf_puts(out, " of its CPUs on average, and at most ");
        tare_put_number(out, 'f', 1, s->most_others);
        tare_buf_puts(out, ". The times are too long, those of engines whose threads wait for each "
                           "other much too long, and who is fastest may be another.");
    }
    if (s->misfit_count > 0)
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "%zu line%s of sweep.jsonl (the first is %zu) do%s fit the checksum: the "
                          "file was changed after it was written.",
                          s->misfit_count, s->misfit_count == 1 ? "" : "s", s->misfits[0],
                          s->misfit_count == 1 ? "esn't" : "n't");
    if (s->torn_line > 0)
        tare_document_say(
            document, TARE_BLOCK_PARAGRAPH,
            "Line %zu of sweep.jsonl, the last, is cut off, as a crash leaves it, and "
            "was left out.",
            s->torn_line);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

/* Rows: widths; columns: batches; cells by `put`. */
static void point_table(struct tare_document *document, const struct tare_sweep_summary *s,
                        void (*put)(struct tare_buf *out, const struct tare_sweep_summary *s,
                                    const struct tare_sweep_point *point)) {
    tare_document_counts(document, "width, batch:", s->batches, s->batch_count);
    for (size_t w = 0; w < s->width_count; w++) {
        tare_put_count(tare_document_cell(document), s->widths[w]);
        for (size_t b = 0; b < s->batch_count; b++)
            put(tare_document_cell(document), s, tare_sweep_point_at(s, w, b));
    }
}

static void put_winner(struct tare_buf *out, const struct tare_sweep_summary *s,
                       const struct tare_sweep_point *point) {
    if (isnan(point->ratio))
        tare_buf_puts(out, "–");
    else
        tare_sweep_put_name(out, &s->engines[point->fastest]);
}

static void put_ratio(struct tare_buf *out, const struct tare_sweep_summary *s,
                      const struct tare_sweep_point *point) {
    (void)s;
    tare_put_times(out, point->ratio);
    if (!isnan(point->ratio))
        tare_buf_puts(out, point->alike ? " =" : point->whole ? "" : " ?");
}

static void fill_points(struct tare_document *document, const struct tare_sweep_summary *s) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Fastest engine");
    point_table(document, s, put_winner);
    tare_document_say(document, TARE_BLOCK_HEADING, "Slowest over fastest");
    point_table(document, s, put_ratio);
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "=: all engines within a factor of ");
    tare_put_number(out, 'g', 3, TARE_SWEEP_ALIKE);
    tare_buf_puts(out, ". ?: some engine has no figure there, so the ratio is of the others.");
}

static void put_step(struct tare_buf *out, const struct tare_sweep_cell *cell, bool fastest,
                     enum tare_detail detail) {
    if (detail == TARE_DETAIL_FULL)
        tare_put_seconds_stat(out, cell->step_s);
    else
        tare_put_seconds(out, cell->step_s.median);
    tare_buf_puts(out, fastest ? " *" : "");
}

static void put_rate(struct tare_buf *out, const struct tare_sweep_cell *cell, bool fastest,
                     enum tare_detail detail) {
    (void)fastest, (void)detail;
    double rate = cell->flops_per_s * 1e-9;
    tare_put_number(out, 'f', rate < 10 ? 2 : rate < 100 ? 1 : 0, rate);
}

/* Rows: engines, which do work where work is shown; columns: batches. */
static void engine_rows(struct tare_document *document, const struct tare_sweep_summary *s,
                        size_t width,
                        void (*put)(struct tare_buf *out, const struct tare_sweep_cell *cell,
                                    bool fastest, enum tare_detail detail),
                        enum tare_detail detail) {
    tare_document_counts(document, "batch:", s->batches, s->batch_count);
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct tare_sweep_engine *engine = &s->engines[e];
        if (engine->measured == 0 || (put == put_rate && engine->origin == TARE_ORIGIN_HARNESS))
            continue;
        tare_sweep_put_name(tare_document_cell(document), engine);
        for (size_t b = 0; b < s->batch_count; b++) {
            const struct tare_sweep_point *point = tare_sweep_point_at(s, width, b);
            const struct tare_sweep_cell *cell = cell_at(engine, s, width, b);
            struct tare_buf *out = tare_document_cell(document);
            if (tare_sweep_has_figure(cell))
                put(out, cell, !isnan(point->ratio) && point->fastest == e, detail);
            else
                tare_buf_puts(out, tare_sweep_gap_text(cell->gap));
        }
    }
}

static void say_spread(struct tare_document *document, const struct tare_sweep_summary *s) {
    if (isnan(s->widest_spread))
        return;
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "From the fastest to the slowest run of a cell it is ");
    tare_put_number(out, 'f', 0, 100 * s->typical_spread);
    tare_buf_puts(out, " % of its median in half of the cells or less, and at most ");
    tare_put_number(out, 'f', 0, 100 * s->widest_spread);
    tare_buf_puts(out, " %; sweep.md has every range.");
}

static void width_heading(struct tare_document *document, size_t width, const char *what) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_HEADING);
    tare_buf_puts(out, "Width ");
    tare_put_count(out, width);
    tare_buf_printf(out, ": %s", what);
}

static void fill_steps(struct tare_document *document, const struct tare_sweep_summary *s,
                       enum tare_detail detail) {
    for (size_t w = 0; w < s->width_count; w++) {
        width_heading(document, s->widths[w], "time of a step");
        engine_rows(document, s, w, put_step, detail);
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "Medians of the time of one step, forward, backward and Adam, after the "
                       "first step, which compiles and is shown apart. *: the lowest.");
    if (detail == TARE_DETAIL_BRIEF)
        say_spread(document, s);
    for (size_t w = 0; w < s->width_count; w++) {
        width_heading(document, s->widths[w], "GFLOP/s");
        engine_rows(document, s, w, put_rate, detail);
    }
    out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "The work of a step is taken as three times that of its forward passes (one "
                       "forward, two backward), Adam not counted: where the batch is small, Adam "
                       "is most of what is done.");
}

/* What the time of a sweep went into beside the steps. */
static void fill_costs(struct tare_document *document, const struct tare_sweep_summary *s) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Beside the steps");
    tare_document_table(document,
                        "engine|processes|together|start and import|load|build|longest build|first "
                        "step|longest first step",
                        "lrrrrrrrr");
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct tare_sweep_engine *engine = &s->engines[e];
        if (engine->measured == 0)
            continue;
        tare_sweep_put_name(tare_document_cell(document), engine);
        tare_put_count(tare_document_cell(document), engine->processes);
        tare_put_seconds(tare_document_cell(document), engine->wall_s);
        tare_put_seconds(tare_document_cell(document), engine->startup_s.median);
        tare_put_seconds(tare_document_cell(document), engine->load_s.median);
        tare_put_seconds(tare_document_cell(document), engine->build_s.median);
        tare_put_seconds(tare_document_cell(document), engine->longest_build_s);
        tare_put_seconds(tare_document_cell(document), engine->first_step_s.median);
        tare_put_seconds(tare_document_cell(document), engine->longest_first_step_s);
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                      "Medians over an engine's processes. An engine that compiles for each shape "
                      "does so in the first step; one that has a model made for each net (a "
                      "SavedModel, by Python) has it made in its longest builds, the first time on "
                      "a machine.");
}

/* ---- notes -------------------------------------------------------------------------------------
 */

static void note_lengths(struct tare_document *document, const struct tare_sweep_summary *s) {
    size_t apart = 0, count = s->width_count * s->batch_count;
    double shortest = NAN;
    for (size_t i = 0; i < count; i++) {
        size_t fewest = 0, most = 0;
        for (size_t e = 0; e < s->engine_count; e++) {
            const struct tare_sweep_cell *cell = &s->engines[e].cells[i];
            if (!tare_sweep_has_figure(cell) || !tare_sweep_competes(&s->engines[e]))
                continue;
            fewest = fewest == 0 || cell->fewest_steps < fewest ? cell->fewest_steps : fewest;
            most = cell->most_steps > most ? cell->most_steps : most;
            shortest = fmin(shortest, cell->shortest_s);
        }
        apart += fewest != most;
    }
    if (isnan(shortest))
        return;
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_puts(out, "The shortest run that is part of a figure timed ");
    tare_put_seconds(out, shortest);
    tare_buf_printf(
        out,
        " of steps. In %zu of %zu points all runs took the same number of steps; in the "
        "others the slower engines took fewer, or a run showed that it needs more: "
        "sweep.json has them.",
        count - apart, count);
}

static void note_certificates(struct tare_document *document, const struct tare_sweep_summary *s) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    const char *between = "";
    tare_buf_puts(out, "A sweep claims speed only. ");
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct tare_sweep_engine *engine = &s->engines[e];
        if (engine->certificate[0] == '\0')
            continue;
        if (between[0] == '\0')
            tare_buf_puts(out, "That they do the same work was looked at for the study's net, of "
                               "width 64, and not for every point: ");
        tare_buf_puts(out, between);
        tare_sweep_put_name(out, engine);
        tare_buf_printf(out, " %s", engine->certificate);
        if (engine->certificate_reason[0] != '\0')
            tare_buf_printf(out, " (%s)", engine->certificate_reason);
        between = ", ";
    }
    tare_buf_puts(out, between[0] ? "."
                                  : "Whether the engines do the same work was not looked at here: "
                                    "--certify does for the study's net, tare certify for any.");
}

/* The first reason of each kind of gap, and how many more there are. */
static void note_gaps(struct tare_document *document, const struct tare_sweep_summary *s,
                      const struct tare_sweep_engine *engine, enum tare_sweep_gap gap) {
    size_t more = 0;
    struct tare_buf *out = NULL;
    for (size_t i = 0; i < s->width_count * s->batch_count; i++) {
        const struct tare_sweep_cell *cell = &engine->cells[i];
        if (cell->gap != gap)
            continue;
        if (out != NULL) {
            more++;
            continue;
        }
        out = tare_document_add(document, TARE_BLOCK_BULLET);
        tare_sweep_put_name(out, engine);
        tare_buf_printf(out, ", width %zu, batch %zu: %s", s->widths[i / s->batch_count],
                        s->batches[i % s->batch_count], tare_sweep_gap_text(gap));
        if (cell->reason[0] != '\0')
            tare_buf_printf(out, ": %s", cell->reason);
    }
    if (more > 0)
        tare_buf_printf(out, "; and %zu more point%s", more, more == 1 ? "" : "s");
}

static void note_engines(struct tare_document *document, const struct tare_sweep_summary *s) {
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct tare_sweep_engine *engine = &s->engines[e];
        if (engine->measured == 0) {
            struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
            tare_sweep_put_name(out, engine);
            tare_buf_printf(out, ": no figures: %s",
                            engine->reason[0] ? engine->reason : "the sweep ended before");
            if (engine->fix[0] != '\0')
                tare_buf_printf(out, "; try: %s", engine->fix);
            continue;
        }
        for (int gap = TARE_SWEEP_GAP_NONE + 1; gap <= TARE_SWEEP_GAP_ABSENT; gap++)
            note_gaps(document, s, engine, (enum tare_sweep_gap)gap);
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_puts(out, "Versions:");
    for (size_t e = 0; e < s->engine_count; e++) {
        tare_buf_puts(out, e > 0 ? ", " : " ");
        tare_sweep_put_name(out, &s->engines[e]);
        tare_buf_printf(out, " %s", s->engines[e].version);
    }
}

static void fill_sweep(struct tare_document *document, const struct tare_sweep_summary *s,
                       enum tare_detail detail) {
    size_t measured = 0;
    for (size_t e = 0; e < s->engine_count; e++)
        measured += s->engines[e].measured;
    fill_title(document, s);
    tare_sweep_answers(document, s);
    if (s->competing > 1)
        fill_points(document, s);
    if (measured > 0) {
        fill_steps(document, s, detail);
        fill_costs(document, s);
    }
    tare_document_say(document, TARE_BLOCK_HEADING, "Notes");
    note_certificates(document, s);
    note_lengths(document, s);
    note_engines(document, s);
}

void tare_report_sweep(struct tare_buf *buf, const struct tare_sweep_summary *summary,
                       const struct tare_report_options *options) {
    struct tare_document document = {0};
    fill_sweep(&document, summary, TARE_DETAIL_BRIEF);
    tare_document_text(buf, &document, options);
    tare_document_free(&document);
}

void tare_report_sweep_markdown(struct tare_buf *buf, const struct tare_sweep_summary *summary) {
    struct tare_document document = {0};
    fill_sweep(&document, summary, TARE_DETAIL_FULL);
    tare_document_markdown(buf, &document);
    tare_document_free(&document);
}
