/* test_sweep.c: tare sweep without its command line: how long jobs become, small sweeps with the
 * native, the null and bad engines (tests/bad_engines/bad.h) and a script whose time grows, sweeps
 * that are cut short, and files that were changed. What is printed: tests/cli/sweep.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "lab/sweep_steps.h"
#include "small_campaign.h"
#include "tare/clock.h"
#include "tare/report.h"
#include "tare/sweep.h"

/* ---- how long jobs become ----------------------------------------------------------------------
 */

static struct tare_sweep_grid grid = {.width_count = 2, .batch_count = 4};
static struct tare_sweep_times times;

/* The work of a step is 100 · 10^batch, and ten times that in the second row. */
static void lay_out_grid(void) {
    for (size_t i = 0; i < TARE_MAX_SWEEP_POINTS; i++)
        times.step_s[i] = NAN;
    for (size_t w = 0; w < 2; w++)
        for (size_t b = 0; b < 4; b++)
            grid.flops[w * 4 + b] = 100 * pow(10, (double)(w + b));
}

static void near(double a, double b) {
    if (!(fabs(a - b) <= 1e-9 * fabs(b)))
        fail_msg("%g is not %g", a, b);
}

static void guesses_go_on_as_the_last_points_did(void **state) {
    (void)state;
    lay_out_grid();
    assert_true(isnan(tare_sweep_guess(&times, &grid, 0)));
    times.step_s[0] = 2;
    near(tare_sweep_guess(&times, &grid, 0), 2);
    near(tare_sweep_guess(&times, &grid, 1), 2 * sqrt(10)); /* one point: half of the slope */
    times.step_s[1] = 2;
    near(tare_sweep_guess(&times, &grid, 2), 2); /* flat so far */
    times.step_s[1] = 20;
    near(tare_sweep_guess(&times, &grid, 2), 200); /* in proportion to the work */
    near(tare_sweep_guess(&times, &grid, 3), 2000);
    times.step_s[1] = 2000;
    near(tare_sweep_guess(&times, &grid, 2), 20000); /* never more than in proportion */
    times.step_s[1] = 1;
    near(tare_sweep_guess(&times, &grid, 2), 1); /* nor less than before */
}

static void the_worse_of_two_guesses_counts(void **state) {
    (void)state;
    lay_out_grid();
    times.step_s[0] = 1;
    times.step_s[1] = 1;
    times.step_s[4] = 10; /* the second width: in proportion */
    double by_width = 1 * sqrt(10), by_batch = 10 * sqrt(10);
    assert_true(by_batch > by_width);
    near(tare_sweep_guess(&times, &grid, 5), by_batch);
}

static void jobs_share_their_steps_where_they_can(void **state) {
    (void)state;
    const struct tare_sweep_length length = {.target_s = 1, .affordable_s = 4, .most = 1000};
    size_t steps[3];
    assert_true(tare_sweep_lengths(steps, (double[]){0.1, 0.3, NAN}, 3, &length));
    assert_int_equal(steps[0], 10);
    assert_int_equal(steps[1], 10);
    assert_int_equal(steps[2], 0);
    assert_false(tare_sweep_lengths(steps, (double[]){0.01, 0.3, 9}, 3, &length));
    assert_int_equal(steps[0], 100);
    assert_int_equal(steps[1], 14); /* as many as are affordable */
    assert_int_equal(steps[2], TARE_SWEEP_LEAST_STEPS);
    tare_sweep_lengths(steps, (double[]){0, 1e-9, 1e300}, 3, &length);
    assert_int_equal(steps[0], 1000);
    assert_int_equal(steps[1], 1000);
    assert_int_equal(steps[2], TARE_SWEEP_LEAST_STEPS);
}

/* ---- small sweeps ------------------------------------------------------------------------------
 */

static struct tare_plan plan;
static struct tare_sweep sweep;
static struct tare_sweep_summary summary;

/* Two widths, two batches, two runs. */
static void begin(const char *const *engines) {
    plan_with(&plan, engines, 1);
    tare_sweep_defaults(&sweep);
    sweep.plan = &plan;
    sweep.dataset = &set;
    sweep.machine = &machine;
    sweep.prepared = prepared;
    sweep.widths[0] = 4;
    sweep.widths[1] = 16;
    sweep.batches[0] = 1;
    sweep.batches[1] = 32;
    sweep.width_count = sweep.batch_count = 2;
    sweep.runs = 2;
    sweep.budget_s = 60;
    sweep.timeout_s = 20;
}

static enum tare_status run_in(const char *name) {
    static char path[TARE_MAX_PATH];
    struct tare_err err = {0};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(tare_results_open(path, 1000, NULL), TARE_OK);
    sweep.dir = path;
    enum tare_status status = tare_sweep_run(&sweep, &err);
    if (status != TARE_OK && status != TARE_FAILED && status != TARE_INTERRUPTED)
        fail_msg("%s: %s", err.where, err.what);
    if (tare_sweep_read(&summary, path, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    return status;
}

static size_t count_gaps(const struct tare_sweep_engine *engine, enum tare_sweep_gap gap) {
    size_t count = 0;
    for (size_t i = 0; i < summary.width_count * summary.batch_count; i++)
        count += engine->cells[i].gap == gap;
    return count;
}

static char whole[32]; /* the folder of a sweep in which nothing is missing */

static void every_point_is_measured_by_every_engine(void **state) {
    (void)state;
    enum tare_status status = TARE_FAILED;
    for (int i = 0; i < 3 && status != TARE_OK; i++) { /* a busy machine can make any job void */
        tare_sweep_free(&summary);
        begin((const char *[]){"native", "good", "null", NULL});
        snprintf(whole, sizeof whole, "whole-%d", i);
        status = run_in(whole);
    }
    assert_int_equal(status, TARE_OK);
    assert_true(summary.complete);
    assert_int_equal(summary.engine_count, 3);
    assert_int_equal(summary.competing, 2); /* the null engine does nothing, very fast */
    assert_int_equal(summary.fewest_runs, 2);
    assert_int_equal(summary.misfit_count, 0);
    for (size_t i = 0; i < 4; i++) {
        const struct tare_sweep_point *point = &summary.points[i];
        assert_true(point->whole);
        assert_int_not_equal(point->fastest, 2);
        assert_int_equal(point->alike, point->ratio <= TARE_SWEEP_ALIKE);
        assert_int_equal(point->unlike, !point->alike);
        for (size_t e = 0; e < 3; e++)
            assert_true(summary.engines[e].cells[i].step_s.median > 0);
    }
    near(summary.points[0].step_flops, 3 * (2 * (64 * 4 + 4 * 4) + 4 + 4 + 4));
    near(summary.points[3].step_flops, 32 * 3 * (2 * (64 * 16 + 16 * 4) + 16 + 16 + 4));
    /* "good" takes 150 ms, however many steps that is. */
    const struct tare_sweep_cell *cell = &summary.engines[1].cells[0];
    assert_true(cell->shortest_s > 0.14 && cell->fewest_steps > TARE_SWEEP_LEAST_STEPS);
    assert_true(cell->step_s.median * (double)cell->most_steps > 0.14);
    assert_false(cell->step_s.has_interval);
    tare_sweep_free(&summary);
}

static void a_report_is_a_function_of_the_file(void **state) {
    (void)state;
    struct tare_buf first[3] = {{0}}, again = {0};
    char path[TARE_MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", dir, whole);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tare_sweep_read(&summary, path, NULL), TARE_OK);
        struct tare_buf *out = i == 0 ? first : &again;
        tare_report_sweep(out, &summary, NULL);
        assert_false(out->failed);
        tare_sweep_free(&summary);
    }
    assert_string_equal(first[0].data, again.data);
    assert_int_equal(tare_sweep_read(&summary, path, NULL), TARE_OK);
    tare_report_sweep_json(&first[1], &summary);
    json_t *json = json_loads(first[1].data, 0, NULL);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "points")), 4);
    assert_int_equal(json_array_size(json_object_get(json, "engines")), 3);
    json_decref(json);
    tare_report_sweep_markdown(&first[2], &summary);
    assert_non_null(strstr(first[2].data, "| batch: | 1 | 32 |"));
    tare_sweep_free(&summary);
    for (int i = 0; i < 3; i++)
        tare_buf_free(&first[i]);
    tare_buf_free(&again);
}

static void a_bad_engine_costs_its_own_cells(void **state) {
    (void)state;
    begin((const char *[]){"crash", "good", "hang", "liar", "nosuch", NULL});
    sweep.timeout_s = 1;
    sweep.runs = 1;
    assert_int_equal(run_in("bad"), TARE_FAILED);
    assert_true(summary.complete);
    assert_int_equal(count_gaps(&summary.engines[1], TARE_SWEEP_GAP_NONE), 4);
    assert_int_equal(summary.competing, 1);
    for (size_t e = 0; e < 5; e++) {
        if (e == 1)
            continue;
        assert_int_equal(summary.engines[e].measured, 0);
        assert_true(summary.engines[e].reason[0] != '\0');
        assert_int_equal(count_gaps(&summary.engines[e], TARE_SWEEP_GAP_FAILED), 4);
    }
    assert_int_equal(summary.engines[0].processes, 1); /* one look is enough */
    assert_int_equal(summary.engines[3].processes, 2); /* void: once more */
    assert_true(isnan(summary.points[0].ratio));
    tare_sweep_free(&summary);
}

/* A step takes as many milliseconds as GROW says, and from the width on that HANG says for ever. */
static void make_growing(void) {
    static const char growing[] =
        "#!/bin/sh\n"
        "read -r job\n"
        "steps=$(printf '%s' \"$job\" | sed 's/.*\"steps\":\\([0-9]*\\).*/\\1/')\n"
        "width=$(printf '%s' \"$job\" | sed 's/.*dense:\\([0-9]*\\):relu.*/\\1/')\n"
        "start=$(date +%s%N)\n"
        "echo '{\"event\":\"hello\",\"abi\":1,\"engine\":\"growing\",\"version\":\"1\"}'\n"
        "[ \"$width\" -lt \"$HANG\" ] || sleep 100\n"
        "sleep \"$(echo \"$steps $GROW\" | awk '{print $1 * $2 / 1000}')\"\n"
        "echo '{\"event\":\"phase\",\"name\":\"train\",\"wall_ns\":'$(($(date +%s%N) - start))'}'\n"
        "echo '{\"event\":\"bye\"}'\n";
    char path[TARE_MAX_PATH];
    snprintf(path, sizeof path, "%s/runtimes/tare-engine-growing", dir);
    assert_int_equal(tare_file_write(path, growing, sizeof growing - 1, NULL), TARE_OK);
    assert_int_equal(chmod(path, 0777), 0);
}

static void larger_points_than_one_out_of_time_are_not_tried(void **state) {
    (void)state;
    make_growing();
    setenv("GROW", "0.1", 1);
    setenv("HANG", "16", 1);
    begin((const char *[]){"growing", "good", NULL});
    sweep.runs = 2;
    sweep.timeout_s = 1;
    assert_int_equal(run_in("growing"), TARE_OK); /* being slow is a finding */
    const struct tare_sweep_engine *growing = &summary.engines[0];
    assert_int_equal(count_gaps(growing, TARE_SWEEP_GAP_NONE), 2);
    assert_int_equal(growing->cells[2].gap, TARE_SWEEP_GAP_SLOW);
    assert_int_equal(growing->cells[3].gap, TARE_SWEEP_GAP_SLOW);
    assert_non_null(strstr(growing->cells[2].reason, "1"));
    assert_string_equal(growing->cells[3].reason, "not tried: it ran out of time at width 16, "
                                                  "batch 1");
    assert_true(summary.points[3].unlike); /* all that is known of it is that it is slow */
    assert_int_equal(tare_sweep_alike_from(&summary, 1), 2);
    assert_true(isnan(tare_sweep_alike_flops(&summary)));
    assert_int_equal(count_gaps(&summary.engines[1], TARE_SWEEP_GAP_NONE), 4);
    tare_sweep_free(&summary);
}

static void a_point_that_would_take_too_long_is_not_tried(void **state) {
    (void)state;
    make_growing();
    setenv("GROW", "2", 1);
    setenv("HANG", "99999", 1);
    begin((const char *[]){"growing", NULL});
    sweep.widths[1] = 50000; /* half of the slope: a hundred times as long at least */
    sweep.batch_count = 1;
    sweep.runs = 1;
    sweep.timeout_s = 0.8;
    assert_int_equal(run_in("foreseen"), TARE_OK);
    assert_int_equal(summary.engines[0].cells[0].gap, TARE_SWEEP_GAP_NONE);
    assert_int_equal(summary.engines[0].cells[1].gap, TARE_SWEEP_GAP_SLOW);
    assert_non_null(strstr(summary.engines[0].cells[1].reason, "4 steps would take about"));
    tare_sweep_free(&summary);
}

static void what_the_budget_does_not_reach_is_said(void **state) {
    (void)state;
    begin((const char *[]){"good", NULL});
    sweep.budget_s = 0.01;
    assert_int_equal(run_in("budget"), TARE_OK);
    assert_int_equal(count_gaps(&summary.engines[0], TARE_SWEEP_GAP_BUDGET), 4);
    assert_int_equal(summary.most_runs, 0);
    struct tare_buf text = {0};
    tare_report_sweep(&text, &summary, NULL);
    assert_non_null(strstr(text.data, "Nothing was measured."));
    tare_buf_free(&text);
    tare_sweep_free(&summary);
}

/* ---- cut short ---------------------------------------------------------------------------------
 */

static volatile sig_atomic_t stop;
static size_t jobs_before_stop;
static int64_t stopped_ns;

static void stop_after(void *context, const struct tare_progress *progress) {
    (void)context;
    if (progress->outcome)
        jobs_before_stop -= jobs_before_stop > 0 ? 1U : 0;
    else if (jobs_before_stop == 0 && !stop) {
        stop = 1; /* the job that begins now is ended */
        stopped_ns = tare_now_ns();
    }
}

static void an_interrupt_keeps_what_was_measured(void **state) {
    (void)state;
    begin((const char *[]){"good", "hesitant", NULL});
    stop = 0;
    jobs_before_stop = 5; /* two looks, and three jobs */
    sweep.stop = &stop;
    sweep.progress = stop_after;
    assert_int_equal(run_in("interrupted"), TARE_INTERRUPTED);
    assert_true(tare_now_ns() - stopped_ns < 5000000000);
    assert_false(summary.complete);
    assert_true(summary.wall_s > 0);
    assert_int_equal(count_gaps(&summary.engines[0], TARE_SWEEP_GAP_NONE) +
                         count_gaps(&summary.engines[1], TARE_SWEEP_GAP_NONE),
                     3);
    assert_true(count_gaps(&summary.engines[0], TARE_SWEEP_GAP_ABSENT) >= 2);
    tare_sweep_free(&summary);
}

static void wrong_plans_are_refused(void **state) {
    (void)state;
    struct tare_err err = {0};
    begin((const char *[]){"good", NULL});
    sweep.widths[0] = 16;
    assert_int_equal(tare_sweep_check(&sweep, &err), TARE_USAGE);
    assert_string_equal(err.where, "--widths");
    sweep.widths[0] = 900;
    assert_int_equal(tare_sweep_check(&sweep, &err), TARE_OK);
    assert_int_equal(sweep.widths[0], 16); /* sorted */
    sweep.batches[1] = 641;
    assert_int_equal(tare_sweep_check(&sweep, &err), TARE_USAGE);
    assert_string_equal(err.where, "--batches");
    sweep.batches[1] = 640;
    assert_int_equal(tare_sweep_check(&sweep, &err), TARE_OK);
    sweep.runs = 5000;
    assert_int_equal(tare_sweep_check(&sweep, &err), TARE_USAGE);
}

/* ---- files that were changed -------------------------------------------------------------------
 */

static void read_whole(struct tare_buf *text) {
    char path[TARE_MAX_PATH];
    snprintf(path, sizeof path, "%s/%s/sweep.jsonl", dir, whole);
    assert_int_equal(tare_file_read(text, path, TARE_MAX_SAMPLES_BYTES, NULL), TARE_OK);
}

static void a_changed_line_is_said(void **state) {
    (void)state;
    struct tare_buf text = {0}, out = {0};
    read_whole(&text);
    char *at = strstr(text.data, "\"name\":\"train\",\"wall_ns\":");
    assert_non_null(at);
    at += strlen("\"name\":\"train\",\"wall_ns\":");
    *at = *at == '9' ? '8' : (char)(*at + 1);
    assert_int_equal(tare_sweep_parse(&summary, text.data, text.size, "x", NULL), TARE_OK);
    assert_int_equal(summary.misfit_count, 1);
    tare_report_sweep(&out, &summary, NULL);
    assert_non_null(strstr(out.data, "fit the checksum"));
    tare_sweep_free(&summary);
    tare_buf_free(&out);
    tare_buf_free(&text);
}

static void a_cut_file_is_read_up_to_the_cut(void **state) {
    (void)state;
    struct tare_buf text = {0};
    read_whole(&text);
    struct tare_err err = {0};
    for (size_t size = 0; size < text.size; size += 4001) {
        bool first_line = memchr(text.data, '\n', size) == NULL;
        enum tare_status status = tare_sweep_parse(&summary, text.data, size, "x", &err);
        assert_int_equal(status, first_line ? TARE_DATA : TARE_OK);
        if (status != TARE_OK)
            continue;
        assert_false(summary.complete);
        struct tare_buf out = {0};
        tare_report_sweep_markdown(&out, &summary);
        assert_false(out.failed);
        tare_buf_free(&out);
        tare_sweep_free(&summary);
    }
    tare_buf_free(&text);
}

static void other_files_are_refused(void **state) {
    (void)state;
    struct tare_err err = {0};
    static const char campaign[] = "{\"record\":\"experiment\",\"format\":\"tare-samples/1\"}\n";
    static const char empty[] =
        "{\"record\":\"experiment\",\"format\":\"tare-sweep/1\",\"dataset\":{\"name\":\"\","
        "\"title\":\"\",\"train\":1,\"test\":1},\"plan\":{\"model\":\"WIDTH\",\"runs\":1,"
        "\"threads\":1,\"widths\":[],\"batches\":[1]}}\n";
    assert_int_equal(tare_sweep_parse(&summary, campaign, sizeof campaign - 1, "x", &err),
                     TARE_DATA);
    assert_non_null(strstr(err.what, "tare-sweep/1"));
    assert_int_equal(tare_sweep_parse(&summary, empty, sizeof empty - 1, "x", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "widths"));
    assert_int_equal(tare_sweep_read(&summary, "/nowhere", &err), TARE_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_go_on_as_the_last_points_did),
        cmocka_unit_test(the_worse_of_two_guesses_counts),
        cmocka_unit_test(jobs_share_their_steps_where_they_can),
        cmocka_unit_test(wrong_plans_are_refused),
        cmocka_unit_test(every_point_is_measured_by_every_engine),
        cmocka_unit_test(a_report_is_a_function_of_the_file),
        cmocka_unit_test(a_changed_line_is_said),
        cmocka_unit_test(a_cut_file_is_read_up_to_the_cut),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(a_bad_engine_costs_its_own_cells),
        cmocka_unit_test(larger_points_than_one_out_of_time_are_not_tried),
        cmocka_unit_test(a_point_that_would_take_too_long_is_not_tried),
        cmocka_unit_test(what_the_budget_does_not_reach_is_said),
        cmocka_unit_test(an_interrupt_keeps_what_was_measured),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
