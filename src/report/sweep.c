/* sweep.c: what `tare sweep` shows: which engine is fastest where, and from where on that hardly
 * matters; then the figures. One document for the terminal and for Markdown; sweep_json.c has the
 * same for programs. What follows from the figures is computed in src/lab/sweep_summary.c.
 */
#include "tare/sweep.h"

#include <math.h>
#include <string.h>

#include "report/document.h"
#include "tare/report.h"

static void put_name(struct tare_buf *out, const struct tare_sweep_engine *engine) {
    tare_buf_puts(out, tare_engine_title(engine->engine));
    if (engine->variant[0] != '\0')
        tare_buf_printf(out, "/%s", engine->variant);
    if (strcmp(engine->device, "cpu") != 0)
        tare_buf_printf(out, " on %s", engine->device);
}

static const struct tare_sweep_cell *cell_at(const struct tare_sweep_engine *engine,
                                             const struct tare_sweep_summary *s, size_t width,
                                             size_t batch) {
    return &engine->cells[width * s->batch_count + batch];
}

static const struct tare_sweep_point *point_at(const struct tare_sweep_summary *s, size_t width,
                                               size_t batch) {
    return &s->points[width * s->batch_count + batch];
}

static bool has_figure(const struct tare_sweep_cell *cell) {
    return cell->gap == TARE_SWEEP_GAP_NONE;
}

static void put_flops(struct tare_buf *out, double flops, const char *unit) {
    static const struct {
        double at_least;
        const char *prefix;
    } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {0, "k"}};
    size_t i = 0;
    while (flops < units[i].at_least)
        i++;
    double scaled = flops / (units[i].at_least > 0 ? units[i].at_least : 1e3);
    tare_put_number(out, 'f', scaled < 10 ? 2 : scaled < 100 ? 1 : 0, scaled);
    tare_buf_printf(out, " %s%s", units[i].prefix, unit);
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
    if (x->machine.busy)
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "The machine was busy with other work when this began: the times are too "
                          "long.");
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

/* ---- answers -----------------------------------------------------------------------------------
 */

/* "batch 1 to 64", "batch 256": a run of batches with one fastest engine. */
static size_t same_fastest(const struct tare_sweep_summary *s, size_t width, size_t batch) {
    size_t end = batch + 1;
    while (end < s->batch_count && !isnan(point_at(s, width, end)->ratio) &&
           point_at(s, width, end)->fastest == point_at(s, width, batch)->fastest)
        end++;
    return end;
}

static void put_fastest(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width) {
    const char *between = "";
    for (size_t b = 0; b < s->batch_count;) {
        if (isnan(point_at(s, width, b)->ratio)) {
            b++;
            continue;
        }
        size_t end = same_fastest(s, width, b);
        tare_buf_puts(out, between);
        put_name(out, &s->engines[point_at(s, width, b)->fastest]);
        tare_buf_puts(out, " at batch ");
        tare_put_count(out, s->batches[b]);
        if (end > b + 1) {
            tare_buf_puts(out, " to ");
            tare_put_count(out, s->batches[end - 1]);
        }
        between = ", ";
        b = end;
    }
    tare_buf_puts(out,
                  between[0] ? " had the lowest median" : "fewer than two engines have figures");
}

/* The last batch of a width at which the engines are known to differ; batch_count: none is. */
static size_t last_unlike(const struct tare_sweep_summary *s, size_t width) {
    for (size_t b = s->batch_count; b > 0; b--)
        if (point_at(s, width, b - 1)->unlike)
            return b - 1;
    return s->batch_count;
}

static void put_matters(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width) {
    size_t last = last_unlike(s, width);
    if (last == s->batch_count) {
        tare_buf_puts(out, "Whether the choice matters can't be told: in no point is every engine "
                           "known.");
        return;
    }
    const struct tare_sweep_point *point = point_at(s, width, last);
    tare_buf_puts(out, "The choice never stops mattering: at batch ");
    tare_put_count(out, s->batches[last]);
    if (isnan(point->ratio))
        tare_buf_puts(out, " all engines but one were too slow to be timed.");
    else {
        tare_buf_puts(out, " the slowest still took ");
        tare_put_times(out, point->ratio);
        tare_buf_puts(out, " times as long as the fastest");
        tare_buf_puts(out, point->whole ? "." : ", and not every engine has a figure there.");
    }
}

static void put_hardly(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width,
                       size_t from) {
    double most = 1;
    for (size_t b = from; b < s->batch_count; b++)
        most = fmax(most, point_at(s, width, b)->ratio); /* of those that are known */
    if (from == 0)
        tare_buf_puts(out, "The choice hardly matters at any batch");
    else {
        tare_buf_puts(out, "From batch ");
        tare_put_count(out, s->batches[from]);
        tare_buf_puts(out, " on the choice hardly matters");
    }
    tare_buf_puts(out, ": the slowest took at most ");
    tare_put_times(out, most);
    tare_buf_puts(out, " times as long as the fastest.");
}

static void answer_width(struct tare_document *document, const struct tare_sweep_summary *s,
                         size_t width) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    size_t from = tare_sweep_alike_from(s, width);
    tare_buf_puts(out, "Width ");
    tare_put_count(out, s->widths[width]);
    tare_buf_puts(out, ": ");
    put_fastest(out, s, width);
    tare_buf_puts(out, ". ");
    if (from < s->batch_count)
        put_hardly(out, s, width, from);
    else
        put_matters(out, s, width);
}

/* How often each engine was the fastest. */
static void answer_wins(struct tare_document *document, const struct tare_sweep_summary *s) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    size_t count = s->width_count * s->batch_count, compared = 0, alike = 0;
    const char *between = "";
    for (size_t i = 0; i < count; i++) {
        compared += isnan(s->points[i].ratio) ? 0 : 1;
        alike += s->points[i].alike ? 1 : 0;
    }
    tare_buf_puts(out, "The lowest median, of ");
    tare_put_count(out, compared);
    tare_buf_printf(out, " point%s: ", compared == 1 ? "" : "s");
    for (size_t e = 0; e < s->engine_count; e++) {
        size_t wins = 0;
        for (size_t i = 0; i < count; i++)
            wins += !isnan(s->points[i].ratio) && s->points[i].fastest == e ? 1 : 0;
        if (!tare_sweep_competes(&s->engines[e]))
            continue;
        tare_buf_puts(out, between);
        put_name(out, &s->engines[e]);
        tare_buf_printf(out, " %zu", wins);
        between = ", ";
    }
    tare_buf_printf(out, ". All %zu engines were within a factor of ", s->competing);
    tare_put_number(out, 'g', 3, TARE_SWEEP_ALIKE);
    if (alike == 0)
        tare_buf_puts(out, " of each other in no point.");
    else
        tare_buf_printf(out, " of each other in %zu point%s.", alike, alike == 1 ? "" : "s");
}

static void answer_overall(struct tare_document *document, const struct tare_sweep_summary *s) {
    double flops = tare_sweep_alike_flops(s);
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    if (isnan(flops)) {
        tare_buf_puts(out,
                      "There is no amount of work in a step from which on the choice of engine "
                      "stopped mattering: ");
        tare_buf_puts(out,
                      "in the largest points that are known they were not within a factor of ");
        tare_put_number(out, 'g', 3, TARE_SWEEP_ALIKE);
        tare_buf_puts(out, ".");
        return;
    }
    tare_buf_puts(out, "From ");
    put_flops(out, flops, "FLOP");
    tare_buf_puts(out,
                  " a step on the choice of engine stopped mattering: in every point from there "
                  "on all were within a factor of ");
    tare_put_number(out, 'g', 3, TARE_SWEEP_ALIKE);
    tare_buf_puts(out, ".");
}

static void say_runs(struct tare_document *document, const struct tare_sweep_summary *s) {
    const size_t planned = s->experiment->plan.runs;
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    if (s->most_runs == 0) {
        tare_buf_puts(out, "Nothing was measured.");
        return;
    }
    tare_buf_printf(out, "%zu", s->fewest_runs);
    if (s->most_runs > s->fewest_runs)
        tare_buf_printf(out, " to %zu", s->most_runs);
    tare_buf_printf(out, " run%s of a point", s->most_runs == 1 ? "" : "s");
    if (s->fewest_runs < planned)
        tare_buf_printf(out, ", of the %zu asked for: the time was too short for more", planned);
    tare_buf_puts(out, ". ");
    if (s->fewest_runs < TARE_MIN_RUNS_FOR_INTERVAL)
        tare_buf_printf(out,
                        "Fewer than %d carry no interval and no ranking: these are medians%s, and "
                        "an engine a few per cent ahead may not be.",
                        TARE_MIN_RUNS_FOR_INTERVAL,
                        s->most_runs > 1 ? " and ranges" : " of a single run");
}

static void fill_answers(struct tare_document *document, const struct tare_sweep_summary *s) {
    if (s->competing > 1) {
        answer_wins(document, s);
        for (size_t w = 0; w < s->width_count; w++)
            answer_width(document, s, w);
        answer_overall(document, s);
    }
    say_runs(document, s);
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
            put(tare_document_cell(document), s, point_at(s, w, b));
    }
}

static void put_winner(struct tare_buf *out, const struct tare_sweep_summary *s,
                       const struct tare_sweep_point *point) {
    if (isnan(point->ratio))
        tare_buf_puts(out, "–");
    else
        put_name(out, &s->engines[point->fastest]);
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

/* Rows: engines; columns: batches. */
static void engine_rows(struct tare_document *document, const struct tare_sweep_summary *s,
                        size_t width,
                        void (*put)(struct tare_buf *out, const struct tare_sweep_cell *cell,
                                    bool fastest, enum tare_detail detail),
                        enum tare_detail detail) {
    tare_document_counts(document, "batch:", s->batches, s->batch_count);
    for (size_t e = 0; e < s->engine_count; e++) {
        const struct tare_sweep_engine *engine = &s->engines[e];
        if (engine->measured == 0)
            continue;
        put_name(tare_document_cell(document), engine);
        for (size_t b = 0; b < s->batch_count; b++) {
            const struct tare_sweep_point *point = point_at(s, width, b);
            const struct tare_sweep_cell *cell = cell_at(engine, s, width, b);
            struct tare_buf *out = tare_document_cell(document);
            if (has_figure(cell))
                put(out, cell, !isnan(point->ratio) && point->fastest == e, detail);
            else
                tare_buf_puts(out, tare_sweep_gap_text(cell->gap));
        }
    }
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

static void fill_steps(struct tare_document *document, const struct tare_sweep_summary *s,
                       enum tare_detail detail) {
    for (size_t w = 0; w < s->width_count; w++) {
        tare_document_say(document, TARE_BLOCK_HEADING, "Width %zu: time of a step", s->widths[w]);
        engine_rows(document, s, w, put_step, detail);
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "Medians of the time of one step, forward, backward and Adam, after the "
                       "first step, which compiles and is shown apart. *: the lowest.");
    if (detail == TARE_DETAIL_BRIEF)
        say_spread(document, s);
    for (size_t w = 0; w < s->width_count; w++) {
        tare_document_say(document, TARE_BLOCK_HEADING, "Width %zu: GFLOP/s", s->widths[w]);
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
        put_name(tare_document_cell(document), engine);
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
            if (!has_figure(cell))
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
        put_name(out, engine);
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
        put_name(out, engine);
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
            put_name(out, engine);
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
        put_name(out, &s->engines[e]);
        tare_buf_printf(out, " %s", s->engines[e].version);
    }
}

static void fill_sweep(struct tare_document *document, const struct tare_sweep_summary *s,
                       enum tare_detail detail) {
    size_t measured = 0;
    for (size_t e = 0; e < s->engine_count; e++)
        measured += s->engines[e].measured;
    fill_title(document, s);
    fill_answers(document, s);
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
