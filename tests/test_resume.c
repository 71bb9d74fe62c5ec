/* test_resume.c: campaigns that were cut short and are carried on: what was measured is neither
 * lost nor measured again, what was cut off is, and nothing is carried on that isn't what it was.
 * Kills at every system call: tests/torture/kills.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "small_campaign.h"
#include "tare/verify.h"

static struct tare_resume resumed;

/* A finished campaign of native and null; every test works on copies of it. */
static int set_up_finished(void **state) {
    struct tare_plan plan;
    struct tare_summary summary = {0};
    if (set_up(state) != 0)
        return -1;
    plan_with(&plan, (const char *[]){"native", "null", NULL}, 2);
    plan.certify = true;
    snprintf(plan.command, sizeof plan.command, "tare compare");
    enum tare_status status = run(&plan, "whole", &summary, NULL);
    tare_summary_free(&summary);
    return status == TARE_OK || status == TARE_FAILED ? 0 : -1; /* a busy machine voids jobs */
}

static char *shell_path(const char *name) {
    char *path = tare_path_join(dir, name);
    assert_non_null(path);
    return path;
}

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...) {
    char command[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

/* A copy of the finished campaign with its first `lines` lines; free it. */
static char *cut_copy(const char *name, size_t lines) {
    char *whole = shell_path("whole"), *copy = shell_path(name);
    shell("rm -rf %s && cp -r %s %s && head -n %zu %s/samples.jsonl > %s/samples.jsonl", copy,
          whole, copy, lines, whole, copy);
    free(whole);
    return copy;
}

static size_t count_lines(const char *folder) {
    struct tare_buf text = {0};
    char *path = tare_path_join(folder, "samples.jsonl");
    assert_int_equal(tare_file_read(&text, path, 1 << 26, NULL), TARE_OK);
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    tare_buf_free(&text);
    free(path);
    return lines;
}

static enum tare_status carry_on(const char *folder, const volatile sig_atomic_t *stop,
                                 struct tare_err *err) {
    enum tare_status status = tare_resume_open(&resumed, folder, err);
    if (status != TARE_OK)
        return status;
    status = tare_resume_check(&resumed, &set, &machine, err);
    char model[TARE_MAX_SPEC];
    snprintf(model, sizeof model, "%s", resumed.plan.model);
    if (status == TARE_OK)
        status = tare_plan_model(&resumed.plan, model, &set, err);
    struct tare_campaign campaign = {.plan = &resumed.plan,
                                     .dataset = &set,
                                     .machine = &machine,
                                     .prepared = prepared,
                                     .journal = resumed.journal,
                                     .dir = folder,
                                     .stop = stop};
    if (status == TARE_OK)
        status = tare_campaign_run(&campaign, err);
    tare_resume_close(&resumed);
    return status;
}

static void assert_carried_on(const char *folder) {
    struct tare_err err = {0};
    enum tare_status status = carry_on(folder, NULL, &err);
    if (status != TARE_OK && status != TARE_FAILED) /* what failed, assert_sound says */
        fail_msg("%s: %s", err.where, err.what);
}

/* Every record of work, by what it is and not by what was measured, a line each; what a busy
 * machine made void was done all the same. Free it. */
static char *work_of(const char *folder) {
    struct tare_buf text = {0}, work = {0};
    char *path = tare_path_join(folder, "samples.jsonl");
    assert_int_equal(tare_file_read(&text, path, 1 << 26, NULL), TARE_OK);
    static const char *const keys[] = {"record",  "run",      "index", "task", "engine",
                                       "variant", "track",    "dir",   "of",   "max_ratio",
                                       "ratios",  "accuracy", "state", "right"};
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *record = json_loads(line, 0, NULL), *kept = json_object();
        assert_non_null(record);
        const char *kind = json_string_value(json_object_get(record, "record"));
        bool is_work = strcmp(kind, "resume") != 0 && strcmp(kind, "end") != 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (json_object_get(record, keys[i]))
                json_object_set(kept, keys[i], json_object_get(record, keys[i]));
        const char *state = json_string_value(json_object_get(kept, "state"));
        assert_false(state && strcmp(state, "failed") == 0);
        if (state && strcmp(state, "void") == 0)
            json_object_set_new(kept, "state", json_string("ok"));
        char *dumped = json_dumps(kept, JSON_COMPACT);
        if (is_work)
            tare_buf_printf(&work, "%s\n", dumped);
        free(dumped);
        json_decref(kept);
        json_decref(record);
    }
    tare_buf_free(&text);
    free(path);
    return work.data;
}

static void assert_sound(const char *folder) {
    struct tare_verify verify = {.dir = folder};
    struct tare_summary summary = {0};
    struct tare_err err = {0};
    char *samples = tare_path_join(folder, "samples.jsonl"), *whole = shell_path("whole");
    char *work = work_of(folder), *expected = work_of(whole);
    assert_int_equal(tare_verify_folder(&verify, &err), TARE_OK);
    assert_int_equal(tare_verify_faults(&verify), 0);
    assert_int_equal(verify.counts[TARE_FINDING_EXTRA], 0);
    assert_int_equal(tare_summary_read(&summary, samples, &err), TARE_OK);
    assert_true(summary.complete);
    assert_string_equal(work, expected);
    tare_summary_free(&summary);
    free(work);
    free(expected);
    free(samples);
    free(whole);
}

/* Cut after every line: the lines that were there stay as they were, the rest is measured, and in
 * the end the same work was done in the same order, each piece once. */
static void a_cut_anywhere_is_carried_on(void **state) {
    (void)state;
    char *whole = shell_path("whole");
    size_t lines = count_lines(whole);
    assert_true(lines > 15);
    for (size_t cut = 1; cut < lines; cut++) {
        char *copy = cut_copy("cut", cut);
        assert_carried_on(copy);
        assert_sound(copy);
        assert_int_equal(count_lines(copy), lines + 1); /* and the line that says so */
        shell("head -n %zu %s/samples.jsonl | cmp - %s/samples.jsonl -n $(head -n %zu "
              "%s/samples.jsonl | wc -c)",
              cut, whole, copy, cut, whole);
        free(copy);
    }
    free(whole);
}

static void what_is_finished_stays_as_it_is(void **state) {
    (void)state;
    struct tare_err err = {0};
    char *whole = shell_path("whole");
    assert_int_equal(tare_resume_open(&resumed, whole, &err), TARE_OK);
    assert_true(tare_resume_is_complete(&resumed));
    tare_resume_close(&resumed);
    char *copy = cut_copy("almost", count_lines(whole) - 1);
    assert_int_equal(tare_resume_open(&resumed, copy, &err), TARE_OK);
    assert_false(tare_resume_is_complete(&resumed)); /* its end is missing */
    tare_resume_close(&resumed);
    free(copy);
    free(whole);
}

static void a_torn_line_is_measured_again(void **state) {
    (void)state;
    char *copy = cut_copy("torn", 9);
    shell("printf '{\"record\":\"job\",\"index\":7,\"ru' >> %s/samples.jsonl", copy);
    shell("echo half > %s/report.md.tmp123", copy);
    assert_carried_on(copy);
    assert_sound(copy);
    shell("test ! -e %s/report.md.tmp123", copy);
    free(copy);
}

static void an_interrupt_can_be_carried_on_twice(void **state) {
    (void)state;
    struct tare_err err = {0};
    volatile sig_atomic_t stop = 1;
    char *copy = cut_copy("twice", 6);
    assert_int_equal(carry_on(copy, &stop, &err), TARE_INTERRUPTED);
    assert_int_equal(carry_on(copy, &stop, &err), TARE_INTERRUPTED);
    assert_carried_on(copy);
    assert_sound(copy);
    free(copy);
}

/* What an interrupted job left must not be taken for what its second try wrote. */
static void leftovers_are_removed(void **state) {
    (void)state;
    char *copy = cut_copy("leftovers", 5);
    shell("for d in %s/jobs/*; do echo stale > $d/stale.txt; ln -s / $d/link; done; "
          "mkdir -p %s/runs/1; echo stale > %s/runs/1/stale",
          copy, copy, copy);
    assert_carried_on(copy);
    shell("test -z \"$(find %s/runs -name 'stale*')\"", copy);
    shell("test $(find %s/jobs -name 'stale*' | wc -l) -eq $(head -n 5 %s/samples.jsonl | grep -c "
          "'\"record\":\"job\"')",
          copy, copy);
    free(copy);
}

static void assert_refused(const char *folder, const char *says) {
    struct tare_err err = {0};
    enum tare_status status = carry_on(folder, NULL, &err);
    if (status == TARE_OK || !strstr(err.what, says) || !err.hint[0])
        fail_msg("%s: \"%s\" (try: %s), and not \"%s\"", tare_status_name(status), err.what,
                 err.hint, says);
}

static void what_was_changed_is_refused(void **state) {
    (void)state;
    char *copy = cut_copy("changed", 12);
    size_t lines = count_lines(copy);
    shell("echo x >> %s/runs/0/order.npy", copy);
    assert_refused(copy, "can't be carried on: it is changed");
    assert_int_equal(count_lines(copy), lines);
    copy = (free(copy), cut_copy("changed", 12));
    shell("rm %s/runs/0/init.safetensors", copy);
    assert_refused(copy, "can't be carried on: it is missing");
    copy = (free(copy), cut_copy("changed", 12));
    shell("sed -i '7s/\"run\":0/\"run\":1/' %s/samples.jsonl", copy);
    assert_refused(copy, "can't be carried on: it is changed");
    copy = (free(copy), cut_copy("changed", 12));
    shell("sed -i 5d %s/samples.jsonl", copy);
    assert_refused(copy, "can't be carried on: it is changed");
    shell(": > %s/samples.jsonl", copy);
    assert_refused(copy, "nothing was measured");
    shell("printf '{\"rec' > %s/samples.jsonl", copy);
    assert_refused(copy, "nothing was measured");
    shell("rm %s/samples.jsonl", copy);
    assert_refused(copy, "cannot be opened");
    shell("mkfifo %s/samples.jsonl", copy);
    assert_refused(copy, "is not a file");
    free(copy);
}

static void another_world_is_refused(void **state) {
    (void)state;
    char *copy = cut_copy("world", 12);
    size_t lines = count_lines(copy);
    char kept[sizeof set.sha256];
    memcpy(kept, set.sha256, sizeof kept);
    set.sha256[0] = set.sha256[0] == '0' ? '1' : '0';
    assert_refused(copy, "is not the data of this experiment");
    memcpy(set.sha256, kept, sizeof kept);
    struct tare_machine here = machine;
    snprintf(machine.cpu, sizeof machine.cpu, "another");
    assert_refused(copy, "was measured on another machine");
    machine = here;
    char *engines = shell_path("other-engines");
    shell("mkdir %s && printf '#!/bin/sh\\n' > %s/tare-engine-null && chmod +x "
          "%s/tare-engine-null",
          engines, engines, engines);
    char *before = strdup(getenv("TARE_ENGINE_PATH"));
    struct tare_buf path = {0};
    tare_buf_printf(&path, "%s:%s", engines, before);
    setenv("TARE_ENGINE_PATH", path.data, 1);
    assert_refused(copy, "is another program than the one that was measured before");
    setenv("TARE_ENGINE_PATH", before, 1);
    assert_int_equal(count_lines(copy), lines); /* nothing was touched */
    tare_buf_free(&path);
    free(before);
    free(engines);
    free(copy);
}

/* Lines that are sound, of another experiment's order: a plan that doesn't make them. */
static void another_plan_is_refused(void **state) {
    (void)state;
    struct tare_err err = {0};
    char *copy = cut_copy("plan", 12);
    assert_int_equal(tare_resume_open(&resumed, copy, &err), TARE_OK);
    assert_int_equal(tare_plan_model(&resumed.plan, NULL, &set, &err), TARE_OK);
    resumed.plan.seed++;
    resumed.plan.cell_count = 1;
    struct tare_campaign campaign = {.plan = &resumed.plan,
                                     .dataset = &set,
                                     .machine = &machine,
                                     .prepared = prepared,
                                     .journal = resumed.journal,
                                     .dir = copy};
    assert_int_equal(tare_campaign_run(&campaign, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "is not what this plan does next"));
    tare_resume_close(&resumed);
    assert_int_equal(count_lines(copy), 12);
    free(copy);
}

static void one_tare_at_a_time(void **state) {
    (void)state;
    struct tare_err err = {0};
    static struct tare_resume second;
    char *copy = cut_copy("locked", 12);
    assert_int_equal(tare_resume_open(&resumed, copy, &err), TARE_OK);
    assert_int_equal(tare_resume_open(&second, copy, &err), TARE_USAGE);
    assert_non_null(strstr(err.what, "another tare is at work"));
    tare_resume_close(&resumed);
    assert_int_equal(tare_resume_open(&second, copy, &err), TARE_OK);
    tare_resume_close(&second);
    free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_anywhere_is_carried_on),
        cmocka_unit_test(what_is_finished_stays_as_it_is),
        cmocka_unit_test(a_torn_line_is_measured_again),
        cmocka_unit_test(an_interrupt_can_be_carried_on_twice),
        cmocka_unit_test(leftovers_are_removed),
        cmocka_unit_test(what_was_changed_is_refused),
        cmocka_unit_test(another_world_is_refused),
        cmocka_unit_test(another_plan_is_refused),
        cmocka_unit_test(one_tare_at_a_time),
    };
    return cmocka_run_group_tests_name("resume", tests, set_up_finished, tear_down);
}
