/* tables.c: the tables of a report, and what stands right under each; that of exported models is
 * deployment.c. Sentences: content.c. */
#include <math.h>
#include <string.h>

#include "report/content.h"
#include "report/quoted.h"

void tare_cell_text(struct tare_document *document, const char *text) {
    tare_buf_puts(tare_document_cell(document), text);
}

void tare_cell_seconds(struct tare_document *document, struct tare_stat stat) {
    tare_put_seconds_stat(tare_document_cell(document), stat);
}

void tare_cell_engine(struct tare_document *document, const struct tare_row *row) {
    tare_put_engine(tare_document_cell(document), row);
}

/* "1.31 (1.25 … 1.38)" for a row that was compared with its track's fastest; "1" for that one. */
static void cell_ratio(struct tare_document *document, const struct tare_summary *summary,
                       size_t row) {
    struct tare_buf *out = tare_document_cell(document);
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct tare_comparison *c = &summary->comparisons[i];
        if (c->kind != TARE_COMPARE_FASTEST || c->measure != TARE_TRAIN_S || c->slow != row)
            continue;
        tare_put_times(out, c->ratio.median);
        tare_buf_puts(out, " (");
        tare_put_times(out, c->ratio.lo);
        tare_buf_puts(out, "…");
        tare_put_times(out, c->ratio.hi);
        tare_buf_puts(out, ")");
        return;
    }
    tare_buf_puts(out, summary->rows[row].rank == 1 ? "1" : "–");
}

static void cell_state(struct tare_document *document, const struct tare_row *row) {
    tare_cell_text(document, row->state == TARE_STATE_OK && !row->complete
                                 ? "incomplete"
                                 : tare_state_name(row->state));
}

/* "ok, 2.3": the largest ratio to the spread of float32 references, of which 10 is the limit; or
 * the row's state, when that isn't ok. */
static void cell_certificate(struct tare_document *document, const struct tare_row *row) {
    if (row->state != TARE_STATE_OK || !row->complete) {
        cell_state(document, row);
        return;
    }
    struct tare_buf *out = tare_document_cell(document);
    tare_buf_puts(out, row->certificate);
    if (!isnan(row->certificate_ratio)) {
        tare_buf_puts(out, ", ");
        tare_put_number(out, 'g', 2, row->certificate_ratio);
    }
}

static bool is_best_of_several(const struct tare_summary *summary, size_t row) {
    const struct tare_row *rows = summary->rows;
    for (size_t i = 0; rows[row].best && i < summary->row_count; i++)
        if (i != row && rows[i].track == rows[row].track &&
            tare_same_framework(&rows[i], &rows[row]))
            return true;
    return false;
}

static void training_row(struct tare_document *document, const struct tare_summary *summary,
                         size_t i) {
    const struct tare_row *row = &summary->rows[i];
    if (row->rank > 0)
        tare_buf_printf(tare_document_cell(document), "%zu", row->rank);
    else
        tare_cell_text(document, "–");
    struct tare_buf *engine = tare_document_cell(document);
    tare_put_engine(engine, row);
    tare_buf_printf(engine, "%s%s", row->version[0] != '\0' ? " " : "", row->version);
    bool controlled = row->track == TARE_TRACK_CONTROLLED;
    if (controlled && is_best_of_several(summary, i))
        tare_buf_printf(engine, ", %s's best", tare_engine_framework(row->engine));
    if (controlled) {
        cell_certificate(document, row);
    } else {
        tare_cell_text(document, tare_origin_name(row->origin));
        cell_state(document, row);
    }
    tare_cell_seconds(document, row->stats[TARE_TRAIN_S]);
    if (controlled) {
        tare_cell_seconds(document, row->stats[TARE_STEADY_S]);
        tare_put_seconds(tare_document_cell(document), row->stats[TARE_FIRST_STEP_S].median);
    }
    cell_ratio(document, summary, i);
    tare_put_percent_stat(tare_document_cell(document), row->stats[TARE_ACCURACY]);
    if (controlled)
        return;
    struct tare_buf *wilson = tare_document_cell(document);
    tare_put_number(wilson, 'f', 2, row->wilson_lo * 100);
    if (row->total > 0) {
        tare_buf_puts(wilson, "…");
        tare_put_number(wilson, 'f', 2, row->wilson_hi * 100);
    }
}

/* One line per engine: the medians that a reader asks for first. */
static void overview(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "At a glance");
    tare_document_table(document,
                        "engine|track|training|test accuracy (95 %)|all test images|one image|"
                        "start-up|peak memory",
                        "llrrrrrr");
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        tare_cell_engine(document, row);
        tare_cell_text(document, tare_track_name(row->track));
        if (row->state == TARE_STATE_OK || row->stats[TARE_TRAIN_S].n > 0)
            tare_put_seconds(tare_document_cell(document), row->stats[TARE_TRAIN_S].median);
        else
            tare_cell_text(document, tare_state_name(row->state));
        struct tare_buf *accuracy = tare_document_cell(document);
        tare_put_percent_stat(accuracy,
                              (struct tare_stat){.median = row->stats[TARE_ACCURACY].median});
        if (row->total > 0) {
            tare_buf_puts(accuracy, " (");
            tare_put_number(accuracy, 'f', 1, row->wilson_lo * 100);
            tare_buf_puts(accuracy, "…");
            tare_put_number(accuracy, 'f', 1, row->wilson_hi * 100);
            tare_buf_puts(accuracy, ")");
        }
        tare_put_seconds(tare_document_cell(document), row->stats[TARE_INFER_10000_S].median);
        tare_put_seconds(tare_document_cell(document), row->stats[TARE_INFER_ONE_S].median);
        tare_put_seconds(tare_document_cell(document), row->stats[TARE_STARTUP_S].median);
        tare_put_bytes(tare_document_cell(document), row->stats[TARE_PEAK_RSS_BYTES].median);
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                      "Medians of %zu run%s. Intervals and ranks follow.",
                      summary->experiment.plan.runs, summary->experiment.plan.runs == 1 ? "" : "s");
}

/* Why the unranked rows of a track are unranked, each reason once. */
static void say_unranked(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_track track) {
    struct tare_buf *out = NULL;
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        if (row->track != track || row->rank > 0)
            continue;
        if (out == NULL) {
            out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
            tare_buf_puts(out, "Not ranked: ");
        } else {
            tare_buf_puts(out, "; ");
        }
        tare_put_engine(out, row);
        tare_buf_printf(out, " (%s)", row->unranked);
    }
    if (out != NULL)
        tare_buf_puts(out, ".");
}

static bool has_track(const struct tare_summary *summary, enum tare_track track) {
    for (size_t i = 0; i < summary->row_count; i++)
        if (summary->rows[i].track == track)
            return true;
    return false;
}

static void training(struct tare_document *document, const struct tare_summary *summary) {
    const struct {
        enum tare_track track;
        const char *heading, *columns, *align;
    } tracks[] = {
        {TARE_TRACK_TUTORIAL, "Training and accuracy, as each framework teaches it (tutorial)",
         "rank|engine|source|state|training|times the fastest|test accuracy|"
         "Wilson's 95 % interval, %",
         "rlllrrrr"},
        {TARE_TRACK_CONTROLLED, "Training and accuracy, doing the same work (controlled)",
         "rank|engine|same work|training|steady|first step|times the fastest|test accuracy",
         "rllrrrrr"},
    };
    for (size_t t = 0; t < sizeof tracks / sizeof *tracks; t++) {
        if (!has_track(summary, tracks[t].track))
            continue;
        tare_document_say(document, TARE_BLOCK_HEADING, "%s", tracks[t].heading);
        tare_document_table(document, tracks[t].columns, tracks[t].align);
        for (size_t i = 0; i < summary->row_count; i++)
            if (summary->rows[i].track == tracks[t].track)
                training_row(document, summary, i);
        say_unranked(document, summary, tracks[t].track);
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                      "Each number is the median over the runs: with its 95 %% interval in (…), or "
                      "with the range of fewer than 6 runs in […]. Training is first step to final "
                      "weights. Wilson's interval is that of the median accuracy over the test "
                      "images.");
}

/* A call that isn't the table's own; the first call of each is told apart. */
static void inference_row(struct tare_document *document, const struct tare_row *row,
                          const char *call, size_t test_images) {
    struct tare_stat none = tare_median_interval(NULL, 0), all = none, one = none, first = none;
    for (size_t i = row->call_count; i-- > 0;) { /* the first listed wins */
        const struct tare_call *c = &row->calls[i];
        if (strcmp(c->call, call) != 0)
            continue;
        if (c->first)
            first = c->seconds;
        else if (c->batch == test_images)
            all = c->seconds;
        else if (c->batch == 1)
            one = c->seconds;
    }
    tare_cell_engine(document, row);
    tare_cell_text(document, tare_track_name(row->track));
    tare_cell_text(document, call);
    tare_cell_seconds(document, all);
    tare_cell_seconds(document, one);
    tare_cell_seconds(document, first);
}

static void inference(struct tare_document *document, const struct tare_summary *summary) {
    size_t test = summary->experiment.dataset.test;
    tare_document_say(document, TARE_BLOCK_HEADING, "Inference");
    tare_document_table(document, "engine|track|call|whole test set|one image|first call",
                        "lllrrr");
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        for (size_t c = 0; c < row->call_count; c++) {
            size_t earlier = 0;
            while (strcmp(row->calls[earlier].call, row->calls[c].call) != 0)
                earlier++;
            if (earlier == c)
                inference_row(document, row, row->calls[c].call, test);
        }
    }
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_puts(out, "The whole test set is ");
    tare_put_count(out, test);
    tare_buf_puts(out, " images, in one call; from host memory to host memory, the first call "
                       "apart. The first call listed of an engine is the one compared.");
}

static void harness(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "What tare itself costs (harness)");
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    if (summary->harness == NULL || summary->harness->stats[TARE_PROCESS_S].n == 0) {
        tare_buf_puts(out, "Not measured: the null engine did not run.");
        return;
    }
    tare_buf_puts(out, "The null engine, which does nothing: ");
    if (summary->harness_step_s.n > 0) {
        tare_put_seconds_stat(out, summary->harness_step_s);
        tare_buf_puts(out, " a step, each in a call of its own, and ");
    }
    tare_put_seconds_stat(out, summary->harness->stats[TARE_PROCESS_S]);
    tare_buf_puts(out, " a process from exec to bye, loading the data included. None of it was "
                       "subtracted from any number here.");
}

static void quoted(struct tare_document *document) {
    tare_document_say(document, TARE_BLOCK_HEADING, "The study's figures (quoted)");
    tare_document_table(document, "framework|source|training|test accuracy|inference", "llrrr");
    for (size_t i = 0; i < tare_quoted_count; i++) {
        const struct tare_quoted *q = &tare_quoted[i];
        tare_cell_text(document, q->engine);
        tare_cell_text(document, tare_origin_name(TARE_ORIGIN_QUOTED));
        tare_put_seconds(tare_document_cell(document), q->train_s);
        tare_put_percent_stat(tare_document_cell(document),
                              (struct tare_stat){.median = q->accuracy});
        tare_put_seconds(tare_document_cell(document), q->infer_s);
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH, "%s", TARE_QUOTED_NOTE);
}

static void files(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Where every file went");
    tare_document_say(
        document, TARE_BLOCK_PARAGRAPH,
        "Inside the results folder: samples.jsonl (every measurement), report.md, "
        "report.json, report.csv, runs/ (initial weights and order of each run), jobs/ "
        "(one folder per job: job.json, stderr.log, logits.npy, weights, exports).");
    tare_document_table(document, "engine|files of its first run|exported", "lll");
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        tare_cell_engine(document, row);
        tare_cell_text(document, row->dir[0] != '\0' ? row->dir : "–");
        struct tare_buf *out = tare_document_cell(document);
        for (size_t e = 0; e < row->export_count; e++)
            tare_buf_printf(out, "%s%s", e > 0 ? ", " : "", row->exports[e].path);
    }
}

static void machine(struct tare_document *document, const struct tare_summary *summary) {
    const struct tare_experiment *e = &summary->experiment;
    tare_document_say(document, TARE_BLOCK_HEADING, "Machine, data and command");
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_printf(out, "%s, %zu CPU%s, ", e->machine.cpu[0] ? e->machine.cpu : "unknown CPU",
                    e->machine.cpus, e->machine.cpus == 1 ? "" : "s");
    tare_put_bytes(out, (double)e->machine.memory_bytes);
    tare_buf_printf(out, " of memory; %s, kernel %s; governor %s; load ", e->machine.os,
                    e->machine.kernel, e->machine.governor[0] ? e->machine.governor : "unknown");
    tare_put_number(out, 'f', 2, e->machine.load1);
    tare_buf_puts(out, " at the beginning.");
    out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_printf(out, "%s: ", e->dataset.title);
    tare_put_count(out, e->dataset.train);
    tare_buf_puts(out, " training and ");
    tare_put_count(out, e->dataset.test);
    tare_buf_printf(out, " test images from %s; SHA-256 %s; %s.",
                    e->dataset.source[0] ? e->dataset.source : "an unnamed folder",
                    e->dataset.sha256,
                    e->dataset.licence[0] ? e->dataset.licence : "licence unknown");
    out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_printf(out, "tare %s, begun %s, seed %zu, ", e->tare_version, e->created,
                    e->plan.seed);
    tare_put_count(out, e->plan.params);
    tare_buf_puts(out, " parameters. The command:");
    tare_document_say(document, TARE_BLOCK_CODE, "%s", e->command);
}

void tare_content_tables(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail) {
    bool full = detail == TARE_DETAIL_FULL;
    overview(document, summary);
    training(document, summary);
    tare_content_disagreements(document, summary, detail);
    if (full) {
        inference(document, summary);
        tare_content_resources(document, summary);
        tare_content_threads(document, summary);
    }
    tare_content_deployment(document, summary, detail);
    tare_content_user_code(document, summary);
    if (full) {
        tare_content_settings(document, summary);
        harness(document, summary);
    }
    quoted(document);
    if (full) {
        files(document, summary);
        machine(document, summary);
    }
}
