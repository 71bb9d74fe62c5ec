/* content.c: what a report says around its tables: the answers first, then what to know about them.
 * Tables: tables.c. How it looks: text.c, markdown.c. */
#include "report/content.h"

#include <math.h>
#include <string.h>

static bool left_out(const struct tare_summary *summary) {
    return summary->salvaged && summary->misfit_count > 0;
}

static const char *track_phrase(enum tare_track track) {
    switch (track) {
    case TARE_TRACK_TUTORIAL:
        return "As taught";
    case TARE_TRACK_CONTROLLED:
        return "Doing the same work";
    case TARE_TRACK_HARNESS:
    case TARE_TRACK_DEPLOYMENT:
        break;
    }
    return "Measured";
}

static void put_ratio(struct tare_buf *out, struct tare_stat ratio) {
    tare_buf_puts(out, "95 % interval ");
    tare_put_times(out, ratio.lo);
    tare_buf_puts(out, " … ");
    tare_put_times(out, ratio.hi);
    tare_buf_printf(out, ", %zu paired runs", ratio.n);
}

/* A row, or of a framework at its best: "PyTorch's best (LibTorch)". */
static void put_speaker(struct tare_buf *out, const struct tare_comparison *c,
                        const struct tare_row *row) {
    const char *framework = tare_engine_framework(row->engine);
    bool best = c->kind == TARE_COMPARE_BEST && row->origin == TARE_ORIGIN_LIVE &&
                strcmp(framework, tare_engine_title(row->engine)) != 0;
    if (best)
        tare_buf_printf(out, "%s's best (", framework);
    tare_put_engine(out, row);
    tare_buf_puts(out, best ? ")" : "");
}

/* What was compared: after "X was 1.3 times faster than Y " or "X and Y can't be told apart ". */
static void put_subject(struct tare_buf *out, const struct tare_comparison *c,
                        const struct tare_summary *summary) {
    const struct tare_row *fast = &summary->rows[c->fast], *slow = &summary->rows[c->slow];
    if (c->measure == TARE_TRAIN_S) {
        tare_buf_puts(out, "in training");
        return;
    }
    if (c->measure == TARE_INFER_10000_S) {
        tare_buf_puts(out, "at inference of ");
        tare_put_count(out, summary->experiment.dataset.test);
        tare_buf_puts(out, " images at once");
    } else {
        tare_buf_puts(out, "at inference of one image");
    }
    tare_buf_printf(out, " (%s against %s)", fast->infer_call, slow->infer_call);
}

/* Two rows of a track: which was faster. */
static void answer_comparison(struct tare_document *document, const struct tare_comparison *c,
                              const struct tare_summary *summary) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    const struct tare_row *fast = &summary->rows[c->fast], *slow = &summary->rows[c->slow];
    tare_buf_printf(out, "%s, ", track_phrase(c->track));
    put_speaker(out, c, fast);
    if (!c->apart) {
        tare_buf_puts(out, " and ");
        put_speaker(out, c, slow);
        tare_buf_puts(out, " can't be told apart ");
        put_subject(out, c, summary);
        tare_buf_puts(out, ": the ratio of their times is ");
        tare_put_times(out, c->ratio.median);
        tare_buf_puts(out, " (");
    } else {
        tare_buf_puts(out, c->measure == TARE_TRAIN_S ? " trained " : " was ");
        tare_put_times(out, c->ratio.median);
        tare_buf_puts(out, " times faster than ");
        put_speaker(out, c, slow);
        if (c->measure != TARE_TRAIN_S) {
            tare_buf_puts(out, " ");
            put_subject(out, c, summary);
        }
        tare_buf_puts(out, " (");
    }
    put_ratio(out, c->ratio);
    tare_buf_puts(out, ").");
}

/* A framework's tutorial, and its best on the controlled track. */
static void answer_taught(struct tare_document *document, const struct tare_comparison *c,
                          const struct tare_summary *summary) {
    const struct tare_row *fast = &summary->rows[c->fast], *slow = &summary->rows[c->slow];
    bool taught_is_slow = slow->track == TARE_TRACK_TUTORIAL;
    const struct tare_row *taught = taught_is_slow ? slow : fast;
    const struct tare_row *best = taught_is_slow ? fast : slow;
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_printf(out, "%s trained in ", tare_engine_framework(taught->engine));
    tare_put_seconds(out, taught->stats[TARE_TRAIN_S].median);
    tare_buf_puts(out, " as taught (");
    tare_put_engine(out, taught);
    tare_buf_puts(out, "), and in ");
    tare_put_seconds(out, best->stats[TARE_TRAIN_S].median);
    tare_buf_puts(out, " at its best (");
    tare_put_engine(out, best);
    tare_buf_puts(out, "; ");
    tare_put_seconds(out, best->stats[TARE_FIRST_STEP_S].median);
    tare_buf_puts(out, " of it the first step, compilation included): ");
    if (!c->apart)
        tare_buf_puts(out, "the two can't be told apart, ");
    tare_put_times(out, c->ratio.median);
    tare_buf_printf(out, " times as %s (", taught_is_slow ? "fast" : "slow");
    put_ratio(out, c->ratio);
    tare_buf_puts(out, ").");
}

/* The tutorials are few, and each is compared with the fastest, in training and inference. The
 * controlled track has many rows: here its frameworks speak, each by its best; its table has the
 * rest. */
static void answer_track(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_track track) {
    for (size_t i = 0; i < summary->comparison_count; i++) {
        const struct tare_comparison *c = &summary->comparisons[i];
        switch (c->kind) {
        case TARE_COMPARE_FASTEST:
            if (track == TARE_TRACK_TUTORIAL && c->track == track)
                answer_comparison(document, c, summary);
            break;
        case TARE_COMPARE_TAUGHT:
            if (track == TARE_TRACK_CONTROLLED)
                answer_taught(document, c, summary);
            break;
        case TARE_COMPARE_AGAIN:
        case TARE_COMPARE_BEST:
            if (c->track == track)
                answer_comparison(document, c, summary);
            break;
        }
    }
}

/* "As taught: Keras trained in 21.73 s to 97.32 %; …". Of the controlled track, each framework's
 * best. */
static void answer_plainly(struct tare_document *document, const struct tare_summary *summary,
                           enum tare_track track) {
    struct tare_buf *out = NULL;
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        if (row->track != track || row->stats[TARE_TRAIN_S].n == 0 ||
            (track == TARE_TRACK_CONTROLLED && !row->best))
            continue;
        if (out == NULL) {
            out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
            tare_buf_printf(out, "%s: ", track_phrase(track));
        } else {
            tare_buf_puts(out, "; ");
        }
        tare_put_engine(out, row);
        tare_buf_puts(out, " trained in ");
        tare_put_seconds(out, row->stats[TARE_TRAIN_S].median);
        tare_buf_puts(out, " to ");
        tare_put_percent_stat(out, (struct tare_stat){.median = row->stats[TARE_ACCURACY].median});
        if (row->state != TARE_STATE_OK)
            tare_buf_printf(out, " (%s)", tare_state_name(row->state));
    }
    if (out != NULL)
        tare_buf_puts(out, ".");
}

void tare_content_answers(struct tare_document *document, const struct tare_summary *summary) {
    const enum tare_track tracks[] = {TARE_TRACK_TUTORIAL, TARE_TRACK_CONTROLLED};
    for (size_t t = 0; t < sizeof tracks / sizeof *tracks; t++) {
        answer_track(document, summary, tracks[t]);
        answer_plainly(document, summary, tracks[t]);
    }
    tare_content_export_answers(document, summary);
    size_t runs = summary->experiment.plan.runs;
    if (runs < TARE_MIN_RUNS_FOR_INTERVAL)
        tare_document_say(
            document, TARE_BLOCK_PARAGRAPH,
            "%zu run%s: no interval and no ranking, because which was faster can't be "
            "known from so few; use --runs %d.",
            runs, runs == 1 ? "" : "s", TARE_MIN_RUNS_FOR_INTERVAL);
    size_t failures = tare_summary_failures(summary);
    if (failures > 0)
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "%zu cell%s did not work or %s incomplete: see \"What didn't work\".",
                          failures, failures == 1 ? "" : "s", failures == 1 ? "is" : "are");
    if (!summary->complete && !left_out(summary)) /* said at the top */
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "This experiment is not complete: what follows is what was measured "
                          "before it ended.");
}

/* ---- what went wrong ----------------------------------------------------------------------------
 */

static void say_reason(struct tare_document *document, const char *who, enum tare_cell_state state,
                       const char *reason, const char *fix, const char *reproduce) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_printf(out, "%s: %s: %s", who,
                    state == TARE_STATE_OK ? "incomplete" : tare_state_name(state),
                    reason[0] != '\0' ? reason : "no reason given");
    if (fix[0] != '\0')
        tare_buf_printf(out, ". Try: %s", fix);
    if (reproduce[0] != '\0')
        tare_document_say(document, TARE_BLOCK_CODE, "%s", reproduce);
}

static void say_row_problems(struct tare_document *document, const struct tare_row *row) {
    struct tare_buf who = {0};
    tare_put_engine(&who, row);
    tare_buf_printf(&who, ", %s", tare_track_name(row->track));
    if (who.failed)
        document->failed = true;
    else if (row->state != TARE_STATE_OK || !row->complete)
        say_reason(document, who.data, row->state, row->reason, row->fix, row->reproduce);
    for (size_t e = 0; !who.failed && e < row->export_count; e++)
        for (size_t c = 0; c < row->exports[e].check_count; c++) {
            const struct tare_check *check = &row->exports[e].checks[c];
            if (!tare_check_failed(check))
                continue;
            struct tare_buf whose = {0};
            tare_buf_printf(&whose, "%s running the .%s that %s wrote of %s",
                            tare_engine_title(check->runtime), row->exports[e].format,
                            row->exports[e].exporter, who.data);
            if (!whose.failed)
                say_reason(document, whose.data, check->state, check->reason, check->fix,
                           check->reproduce);
            document->failed = document->failed || whose.failed;
            tare_buf_free(&whose);
        }
    tare_buf_free(&who);
}

void tare_content_problems(struct tare_document *document, const struct tare_summary *summary) {
    if (tare_summary_failures(summary) == 0)
        return;
    tare_document_say(document, TARE_BLOCK_HEADING, "What didn't work");
    for (size_t i = 0; i < summary->row_count + summary->harness_count; i++)
        say_row_problems(document, &summary->rows[i]);
}

/* ---- what to keep in mind -----------------------------------------------------------------------
 */

static void say_warnings(struct tare_document *document, const struct tare_summary *summary) {
    const struct tare_experiment *e = &summary->experiment;
    if (e->dataset.standin)
        tare_document_say(document, TARE_BLOCK_BULLET,
                          "The data are %s: a stand-in, so no accuracy here is one of the set that "
                          "was asked for. Give that set with --data DIR.",
                          e->dataset.title);
    if (e->machine.busy) {
        struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
        tare_buf_puts(out, "The machine was busy when the experiment began (load ");
        tare_put_number(out, 'f', 2, e->machine.load1);
        tare_buf_puts(out, "): times are too long and too scattered. Stop other programs and run "
                           "it again.");
    }
    if (e->plan.quick)
        tare_document_say(document, TARE_BLOCK_BULLET,
                          "A quick look (--quick): %zu run%s of %zu epoch%s, not a comparison.",
                          e->plan.runs, e->plan.runs == 1 ? "" : "s", e->plan.epochs,
                          e->plan.epochs == 1 ? "" : "s");
    if (summary->torn_line != 0)
        tare_document_say(document, TARE_BLOCK_BULLET,
                          "Line %zu of samples.jsonl ends in the middle, as a crash leaves it; it "
                          "was left out.",
                          summary->torn_line);
}

void tare_content_limits(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail) {
    tare_document_say(document, TARE_BLOCK_HEADING, "What to keep in mind");
    say_warnings(document, summary);
    if (detail == TARE_DETAIL_BRIEF) {
        tare_document_say(document, TARE_BLOCK_BULLET,
                          "%s has the rest: inference call by call, phases, settings, where every "
                          "file went, and the limits of all this.",
                          left_out(summary) ? "tare report --salvage --format markdown"
                                            : "report.md in the results folder");
        return;
    }
    const char *const limits[] = {
        "One small net on one machine: nothing here says how a framework does on large ones, on "
        "other processors, or on a GPU.",
        "The tutorial track compares what beginners are taught, the framework's own data loading "
        "and constants included; the controlled track gives every engine the same work. Rows of "
        "the two tracks are never ranked together.",
        "Intervals describe the scatter between runs on this machine on that day; the Wilson "
        "interval is the one of a test set of this size, for one trained net.",
        "Inference is timed from host memory to host memory, warm, by the call that is named; "
        "another call of the same framework can be 100 times faster or slower.",
        "live: a real framework, measured here; native: tare's own engine, measured here; quoted: "
        "somebody else's figure.",
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        tare_document_say(document, TARE_BLOCK_BULLET, "%s", limits[i]);
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

/* ", 2 threads, ", or ", 1 and 2 threads, " where rows differ. */
static void put_threads(struct tare_buf *out, const struct tare_summary *summary) {
    size_t last = 0;
    const char *before = ", ";
    for (size_t i = 0; i < summary->row_count; i++) {
        size_t j = 0;
        while (summary->rows[j].threads != summary->rows[i].threads)
            j++;
        if (j < i)
            continue;
        last = summary->rows[i].threads;
        tare_buf_printf(out, "%s%zu", before, last);
        before = " and ";
    }
    tare_buf_printf(out, " thread%s, ", last == 1 ? "" : "s");
}

static void say_head(struct tare_document *document, const struct tare_summary *summary) {
    const struct tare_experiment *e = &summary->experiment;
    tare_document_say(document, TARE_BLOCK_TITLE, "%s: %s", e->dataset.title, e->plan.model);
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_printf(out, "%zu run%s of %zu epoch%s, batch %zu, %s", e->plan.runs,
                    e->plan.runs == 1 ? "" : "s", e->plan.epochs, e->plan.epochs == 1 ? "" : "s",
                    e->plan.batch, e->plan.optimizer);
    if (!isnan(e->plan.lr)) {
        tare_buf_puts(out, " with learning rate ");
        tare_put_number(out, 'g', 6, e->plan.lr);
    }
    put_threads(out, summary);
    tare_put_count(out, e->dataset.train);
    tare_buf_puts(out, " training and ");
    tare_put_count(out, e->dataset.test);
    tare_buf_puts(out, " test images.");
}

#define MAX_SPANS 12 /* of lines that are named; a file with more is told by their number */

/* The last of the misfits from `first` on whose lines follow one another. */
static size_t span_end(const struct tare_summary *summary, size_t first) {
    size_t last = first;
    while (last + 1 < summary->misfit_count &&
           summary->misfits[last + 1] == summary->misfits[last] + 1)
        last++;
    return last;
}

/* "Lines 4, 9 to 11 and 20 of samples.jsonl " */
static void put_misfits(struct tare_buf *out, const struct tare_summary *summary) {
    size_t count = summary->misfit_count, spans = 0;
    tare_buf_printf(out, "Line%s ", count == 1 ? "" : "s");
    for (size_t i = 0, last; i < count; i = last + 1) {
        last = span_end(summary, i);
        if (i > 0)
            tare_buf_puts(out, last + 1 == count || spans == MAX_SPANS ? " and " : ", ");
        if (spans++ == MAX_SPANS) {
            tare_buf_printf(out, "%zu more", count - i);
            break;
        }
        tare_buf_printf(out, "%zu", summary->misfits[i]);
        if (last > i)
            tare_buf_printf(out, " to %zu", summary->misfits[last]);
    }
    tare_buf_puts(out, " of samples.jsonl ");
}

/* Lines that aren't what was written: before any figure. */
static void say_misfits(struct tare_document *document, const struct tare_summary *summary) {
    bool one = summary->misfit_count == 1;
    if (summary->misfit_count == 0)
        return;
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    put_misfits(out, summary);
    if (summary->salvaged)
        tare_buf_printf(out,
                        "%s left out, because %s fit %s: what stood there is "
                        "missing below, so that a row may have fewer runs, or an exported file "
                        "fewer checks, than were measured.",
                        one ? "was" : "were", one ? "it doesn't" : "they don't",
                        one ? "its checksum" : "their checksums");
    else
        tare_buf_printf(out,
                        "%s fit %s: %s changed, or lines are missing, doubled or moved. What %s "
                        "say%s is part of this report all the same. %stare verify says what else "
                        "was changed.",
                        one ? "doesn't" : "don't", one ? "its checksum" : "their checksums",
                        one ? "it was" : "they were", one ? "it" : "they", one ? "s" : "",
                        summary->misfits[0] == 1 ? ""
                        : one                    ? "tare report --salvage leaves it out; "
                                                 : "tare report --salvage leaves them out; ");
}

void tare_document_fill(struct tare_document *document, const struct tare_summary *summary,
                        enum tare_detail detail) {
    say_head(document, summary);
    say_misfits(document, summary);
    tare_content_answers(document, summary);
    tare_content_tables(document, summary, detail);
    tare_content_problems(document, summary);
    tare_content_limits(document, summary, detail);
}
