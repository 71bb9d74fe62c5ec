/* test_bad_engines.c: whole campaigns of the native engine and bad ones (tests/bad_engines): each
 * bad engine costs one cell, with the reason, and nothing else: the native row is as good as ever,
 * and what engines are given is as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "small_set.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/report.h"
#include "tare/summary.h"
#include "temporary.h"

static struct tare_dataset set;
static char *dir, *prepared;
static struct tare_machine machine;

static int set_up(void **state) {
    (void)state;
    dir = temporary_make();
    char *cache = tare_path_join(dir, "cache"), *none = tare_path_join(dir, "no-runtimes");
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("TARE_PYTHON_RUNTIMES", none, 1); /* exported models are run nowhere */
    free(cache);
    free(none);
    struct tare_err err = {0};
    if (small_set_make(&set, 8, 4) != 0 || tare_dataset_prepare(&prepared, &set, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        return -1;
    }
    tare_machine_describe(&machine);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tare_dataset_free(&set);
    free(prepared);
    temporary_remove(dir);
    return 0;
}

struct verdict {
    const char *name;
    enum tare_cell_state state;
    const char *reason; /* a part of it */
};

#define MAX_ENGINES (TARE_MAX_CELLS - 1)
#define ATTEMPTS 5

/* A busy machine can make honest times look wrong, or too long: that is the machine's, not the
 * engine's, and the campaign is done again. */
static bool is_busy(const struct tare_row *row) {
    return (row->state == TARE_STATE_VOID && strstr(row->reason, "add up")) ||
           (row->state == TARE_STATE_FAILED && strstr(row->reason, "not done within"));
}

static bool is_right(const struct tare_row *row, const struct verdict *verdict) {
    return row->state == verdict->state && strstr(row->reason, verdict->reason);
}

/* native is unharmed, and the others' verdicts are these; false on a busy machine. */
static bool check(const struct tare_summary *summary, const struct verdict *verdicts, size_t count,
                  size_t runs, bool certify) {
    static const struct verdict fine = {"native", TARE_STATE_OK, ""};
    for (size_t i = 0; i <= count; i++) {
        const struct tare_row *row = &summary->rows[i];
        if (is_right(row, i ? &verdicts[i - 1] : &fine))
            continue;
        if (is_busy(row))
            return false;
        fail_msg("%s: %s: %s", row->engine, tare_state_name(row->state), row->reason);
    }
    const struct tare_row *native = &summary->rows[0];
    assert_int_equal(native->stats[TARE_TRAIN_S].n, runs);
    assert_true(native->stats[TARE_ACCURACY].median > 0.9);
    if (certify)
        assert_string_equal(native->certificate, "ok");
    return true;
}

static void carry_out(const struct tare_plan *plan, const char *out) {
    struct tare_err err = {0};
    assert_int_equal(tare_remove_tree(out, &err), TARE_OK);
    assert_int_equal(tare_results_open(out, 1000, &err), TARE_OK);
    struct tare_campaign campaign = {
        .plan = plan, .dataset = &set, .machine = &machine, .prepared = prepared, .dir = out};
    enum tare_status status = tare_campaign_run(&campaign, &err);
    if (status != TARE_FAILED && status != TARE_OK)
        tare_err_print(stderr, &err);
    assert_true(status == TARE_FAILED || status == TARE_OK);
}

/* Runs native and the engines; their verdicts must be these. */
static void judge(const char *name, const struct verdict *verdicts, size_t count, size_t runs,
                  bool certify) {
    static struct tare_plan plan;
    struct tare_err err = {0};
    tare_plan_defaults(&plan);
    plan.runs = runs;
    plan.epochs = 2;
    plan.timeout_s = 1.5; /* plenty, for all but those that hang */
    plan.certify = certify;
    assert_true(count <= MAX_ENGINES);
    assert_int_equal(tare_plan_add(&plan, "native", NULL, &err), TARE_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(tare_plan_add(&plan, verdicts[i].name, NULL, &err), TARE_OK);
    assert_int_equal(tare_plan_model(&plan, NULL, &set, &err), TARE_OK);
    char *out = tare_path_join(dir, name), *samples = tare_path_join(out, "samples.jsonl");
    bool good = false;
    for (int attempt = 0; attempt < ATTEMPTS && !good; attempt++) {
        struct tare_summary summary = {0};
        carry_out(&plan, out);
        assert_int_equal(tare_summary_read(&summary, samples, &err), TARE_OK);
        assert_true(summary.complete);
        good = check(&summary, verdicts, count, runs, certify);
        tare_summary_free(&summary);
    }
    free(samples);
    free(out);
    if (!good)
        fail_msg("%s: %d times an honest engine was too slow, or its times wrong", name, ATTEMPTS);
}
#define JUDGE(name, verdicts, runs, certify)                                                       \
    judge(name, verdicts, sizeof verdicts / sizeof *verdicts, runs, certify)

static void at_every_phase(void **state) {
    static const struct verdict verdicts[] = {
        {"crash_start", TARE_STATE_FAILED, "signal 11"},
        {"crash_import", TARE_STATE_FAILED, "signal 11"},
        {"crash_load", TARE_STATE_FAILED, "signal 11"},
        {"crash", TARE_STATE_FAILED, "signal 11"},
        {"crash_train", TARE_STATE_FAILED, "signal 11"},
        {"crash_save", TARE_STATE_FAILED, "signal 11"},
        {"crash_bye", TARE_STATE_FAILED, "signal 11"},
        {"hang_start", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang_import", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang_load", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang_train", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang_save", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"hang_bye", TARE_STATE_FAILED, "not done within 1.5 s"},
    };
    (void)state;
    JUDGE("phases", verdicts, 1, false);
}

static void in_what_they_say(void **state) {
    static const struct verdict verdicts[] = {
        {"rubbish", TARE_STATE_FAILED, "not a line of JSON"},
        {"nul", TARE_STATE_FAILED, "not a line of JSON"},
        {"notutf", TARE_STATE_FAILED, "not a line of JSON"},
        {"silent", TARE_STATE_FAILED, "before it said bye"},
        {"early", TARE_STATE_FAILED, "before it said hello"},
        {"twice", TARE_STATE_FAILED, "hello twice"},
        {"chatty", TARE_STATE_FAILED, "after it said bye"},
        {"cut", TARE_STATE_FAILED, "cut off"},
        {"endless", TARE_STATE_FAILED, "more than 65536 bytes"},
        {"oldabi", TARE_STATE_FAILED, "speaks protocol 99"},
        {"impostor", TARE_STATE_FAILED, "says it is engine \"pytorch\""},
        {"exitcode", TARE_STATE_FAILED, "exit code 3"},
        {"skipper", TARE_STATE_SKIPPED, "no such device"},
        {"failer", TARE_STATE_FAILED, "shapes differ"},
        {"liar", TARE_STATE_VOID, "phases add up to"},
        {"boaster", TARE_STATE_VOID, "phases add up to"},
        {"minus", TARE_STATE_FAILED, "wrong type"},
        {"timetravel", TARE_STATE_FAILED, "began after it said so"},
        {"nanloss", TARE_STATE_FAILED, "loss of epoch 0 is not a number"},
        {"wrongepoch", TARE_STATE_FAILED, "epoch 7 where epoch 0 was next"},
        {"escapes", TARE_STATE_FAILED, "?[2J"},
        {"flood", TARE_STATE_OK, ""},
        {"flood_events", TARE_STATE_FAILED, "more events than a job can have"},
        {"flood_rubbish", TARE_STATE_FAILED, "not a line of JSON"},
        {"flood_line", TARE_STATE_FAILED, "more than 65536 bytes"},
    };
    (void)state;
    JUDGE("words", verdicts, 1, false);
}

static void in_what_they_answer(void **state) {
    static const struct verdict verdicts[] = {
        {"nologits", TARE_STATE_FAILED, "wrote no logits"},
        {"nanlogits", TARE_STATE_FAILED, "not numbers"},
        {"inflogits", TARE_STATE_FAILED, "not numbers"},
        {"constant", TARE_STATE_OK,
         ""}, /* graded as it is; without a certificate it ranks nowhere */
        {"narrow", TARE_STATE_FAILED, "2 logits an image"},
        {"doubles", TARE_STATE_FAILED, "float32"},
        {"wrongshape", TARE_STATE_FAILED, "50 rows for 100 test images"},
        {"manyrows", TARE_STATE_FAILED, "101 rows for 100 test images"},
        {"badlogits", TARE_STATE_FAILED, ""},
        {"badweights", TARE_STATE_FAILED, "its weights can't be exported"},
        {"shapeweights", TARE_STATE_FAILED, "its weights can't be exported"},
        {"nanweights", TARE_STATE_FAILED, "its weights can't be exported"},
        {"link_passwd", TARE_STATE_FAILED, "logits.npy is a link"},
        {"link_other", TARE_STATE_FAILED, "logits.npy is a link"},
        {"link_zero", TARE_STATE_FAILED, "logits.npy is a link"},
        {"link_folder", TARE_STATE_FAILED, "isn't as tare made it"},
        {"link_planted", TARE_STATE_FAILED, "isn't as tare made it"},
        {"no_folder", TARE_STATE_FAILED, "its folder is gone"},
        {"pipe_logits", TARE_STATE_FAILED, "logits.npy is a pipe"},
        {"pipe_weights", TARE_STATE_FAILED, "weights.safetensors is a pipe"},
        {"folder_logits", TARE_STATE_FAILED, "logits.npy is a folder"},
        {"export_passwd", TARE_STATE_FAILED, "isn't in its folder"},
    };
    (void)state;
    JUDGE("answers", verdicts, 1, false);
}

static void in_others_files(void **state) {
    static const struct verdict verdicts[] = {
        {"vandal_images", TARE_STATE_FAILED, "train_images.npy, which isn't its own"},
        {"vandal_labels", TARE_STATE_FAILED, "test_labels.npy, which isn't its own"},
        {"vandal_init", TARE_STATE_FAILED, "init.safetensors, which isn't its own"},
        {"vandal_order", TARE_STATE_FAILED, "order.npy, which isn't its own"},
    };
    static const struct verdict of_jobs[] = {
        {"good", TARE_STATE_OK, ""},
        {"vandal_jobs", TARE_STATE_FAILED, "logits.npy, which isn't its own"},
        {"link_hard", TARE_STATE_FAILED, "isn't its own"},
    };
    struct tare_array images = {0};
    (void)state;
    JUDGE("vandals", verdicts, 3, false);
    JUDGE("jobs", of_jobs, 3, false);
    char *path = tare_path_join(prepared, "train_images.npy");
    assert_int_equal(tare_npy_read(&images, path, NULL), TARE_OK);
    assert_memory_equal(images.data, set.train_images.data, tare_array_bytes(&images));
    tare_array_free(&images);
    struct stat info;
    for (size_t i = 0; tare_dataset_file(i); i++) {
        char *file = tare_path_join(prepared, tare_dataset_file(i));
        assert_int_equal(stat(file, &info), 0);
        assert_int_equal(info.st_mode & 0777, 0444);
        free(file);
    }
    free(path);
}

static void in_what_they_leave_behind(void **state) {
    static const struct verdict verdicts[] = {
        {"good", TARE_STATE_OK, ""},
        {"orphan", TARE_STATE_OK, ""},
        {"holder", TARE_STATE_OK, ""},
        {"crowd", TARE_STATE_OK, ""},
        {"runner", TARE_STATE_OK, ""},
        {"escapee", TARE_STATE_OK, ""},
        {"stubborn", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"sleeper", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"stopper", TARE_STATE_FAILED, "not done within 1.5 s"},
        {"killer", TARE_STATE_FAILED, "its launcher was killed"},
        {"fugitive", TARE_STATE_FAILED, "its launcher was killed"},
    };
    (void)state;
    JUDGE("processes", verdicts, 1, false);
}

/* Where a certificate is asked for, an answer without work costs the cell. */
static void before_they_are_timed(void **state) {
    static const struct verdict verdicts[] = {
        {"constant", TARE_STATE_FAILED, ""},
        {"vandal_images", TARE_STATE_FAILED, ""},
        {"link_planted", TARE_STATE_FAILED, ""},
        {"crash", TARE_STATE_FAILED, "signal 11"},
    };
    (void)state;
    JUDGE("certified", verdicts, 1, true);
}

/* Nothing that an engine says reaches a report as it is. */
static void no_report_steers_a_terminal(void **state) {
    struct tare_summary summary = {0};
    struct tare_buf text = {0};
    (void)state;
    char *samples = tare_path_join(dir, "words/samples.jsonl");
    assert_int_equal(tare_summary_read(&summary, samples, NULL), TARE_OK);
    tare_report_text(&text, &summary, &(struct tare_report_options){.width = 100});
    tare_report_markdown(&text, &summary);
    tare_report_csv(&text, &summary);
    tare_report_json(&text, &summary);
    assert_false(text.failed);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i], next = (unsigned char)text.data[i + 1];
        bool steers = (c < 0x20 && c != '\n' && !(c == '\r' && next == '\n')) || c == 0x7f ||
                      (c == 0xc2 && next < 0xa0);
        if (steers)
            fail_msg("byte %zu: %02x %02x in: %.60s", i, c, next,
                     text.data + (i > 30 ? i - 30 : 0));
    }
    tare_buf_free(&text);
    tare_summary_free(&summary);
    free(samples);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_every_phase),
        cmocka_unit_test(in_what_they_say),
        cmocka_unit_test(in_what_they_answer),
        cmocka_unit_test(in_others_files),
        cmocka_unit_test(in_what_they_leave_behind),
        cmocka_unit_test(before_they_are_timed),
        cmocka_unit_test(no_report_steers_a_terminal),
    };
    return cmocka_run_group_tests_name("bad engines", tests, set_up, tear_down);
}
