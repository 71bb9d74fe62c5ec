/* sweep_answers.c: what a sweep says, in sentences: which engine is fastest where, from where on
 * that hardly matters, and how far that can be trusted. Computed from the points (sweep_summary.c).
 */
#include <math.h>

#include "report/sweep.h"

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

/* "batch 1 to 64", "batch 256": a run of batches with one fastest engine. */
static size_t same_fastest(const struct tare_sweep_summary *s, size_t width, size_t batch) {
    size_t end = batch + 1;
    while (end < s->batch_count && !isnan(tare_sweep_point_at(s, width, end)->ratio) &&
           tare_sweep_point_at(s, width, end)->fastest ==
               tare_sweep_point_at(s, width, batch)->fastest)
        end++;
    return end;
}

static void put_fastest(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width) {
    const char *between = "";
    for (size_t b = 0; b < s->batch_count;) {
        if (isnan(tare_sweep_point_at(s, width, b)->ratio)) {
            b++;
            continue;
        }
        size_t end = same_fastest(s, width, b);
        tare_buf_puts(out, between);
        tare_sweep_put_name(out, &s->engines[tare_sweep_point_at(s, width, b)->fastest]);
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
        if (tare_sweep_point_at(s, width, b - 1)->unlike)
            return b - 1;
    return s->batch_count;
}

static bool is_too_slow(const struct tare_sweep_summary *s, size_t engine, size_t at) {
    return s->engines[engine].cells[at].gap == TARE_SWEEP_GAP_SLOW;
}

/* Not far behind the fastest, and not the fastest itself. */
static bool is_near(const struct tare_sweep_summary *s, size_t engine, size_t at) {
    const struct tare_sweep_engine *fastest = &s->engines[s->points[at].fastest];
    const struct tare_sweep_cell *cell = &s->engines[engine].cells[at];
    return engine != s->points[at].fastest && tare_sweep_has_figure(cell) &&
           cell->step_s.median <= TARE_SWEEP_ALIKE * fastest->cells[at].step_s.median;
}

/* The competing engines of which that is true at a point, or `none`. */
static void put_those(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width,
                      size_t batch,
                      bool (*is_one)(const struct tare_sweep_summary *s, size_t engine, size_t at),
                      const char *before, const char *none) {
    const char *between = before;
    for (size_t e = 0; e < s->engine_count; e++) {
        if (!tare_sweep_competes(&s->engines[e]) || !is_one(s, e, width * s->batch_count + batch))
            continue;
        tare_buf_puts(out, between);
        tare_sweep_put_name(out, &s->engines[e]);
        between = ", ";
    }
    if (between == before)
        tare_buf_puts(out, none);
}

static void put_matters(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width) {
    size_t last = last_unlike(s, width);
    if (last == s->batch_count) {
        tare_buf_puts(out, "Whether the choice matters can't be told: in no point is every engine "
                           "known.");
        return;
    }
    const struct tare_sweep_point *point = tare_sweep_point_at(s, width, last);
    tare_buf_puts(out, "The choice never stops mattering: at batch ");
    tare_put_count(out, s->batches[last]);
    if (point->ratio > TARE_SWEEP_ALIKE) {
        tare_buf_puts(out, " the slowest still took ");
        tare_put_times(out, point->ratio);
        tare_buf_puts(out, " times as long as the fastest. ");
    } else {
        put_those(out, s, width, last, is_too_slow, " ", "");
        tare_buf_puts(out, " took too long to be timed at all. ");
    }
    tare_buf_puts(out, "Within a factor of ");
    tare_put_number(out, 'g', 3, TARE_SWEEP_ALIKE);
    tare_buf_puts(out, " of the fastest there:");
    put_those(out, s, width, last, is_near, " ", " no other");
    tare_buf_puts(out, ".");
}

static void put_hardly(struct tare_buf *out, const struct tare_sweep_summary *s, size_t width,
                       size_t from) {
    double most = 1;
    for (size_t b = from; b < s->batch_count; b++)
        most = fmax(most, tare_sweep_point_at(s, width, b)->ratio); /* of those that are known */
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
        tare_sweep_put_name(out, &s->engines[e]);
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

void tare_sweep_answers(struct tare_document *document, const struct tare_sweep_summary *s) {
    if (s->competing > 1) {
        answer_wins(document, s);
        for (size_t w = 0; w < s->width_count; w++)
            answer_width(document, s, w);
        answer_overall(document, s);
    }
    say_runs(document, s);
}
