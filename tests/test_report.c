/* test_report.c: the four renderers against golden files, and what must hold whatever the samples
 * say: the same bytes each time, valid CSV and JSON, nothing that steers a terminal or a page.
 *
 * TARE_UPDATE_GOLDEN=1 build/test_report rewrites tests/vectors/report-*; read the difference
 * before committing it. Run from the root of the checkout. */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tare/report.h"

static const char *const vectors[] = {"complete", "close",       "quick",      "troubles",
                                      "standin",  "interrupted", "controlled", "hostile"};
#define VECTOR_COUNT (sizeof vectors / sizeof *vectors)

static void text_100(struct tare_buf *buf, const struct tare_summary *summary) {
    tare_report_text(buf, summary, NULL);
}

static void text_60_colour(struct tare_buf *buf, const struct tare_summary *summary) {
    tare_report_text(buf, summary, &(struct tare_report_options){.width = 60, .colour = true});
}

static const struct {
    const char *extension;
    void (*render)(struct tare_buf *buf, const struct tare_summary *summary);
} formats[] = {
    {"txt", text_100},
    {"md", tare_report_markdown},
    {"csv", tare_report_csv},
    {"json", tare_report_json},
};
#define FORMAT_COUNT (sizeof formats / sizeof *formats)

static void summarise(struct tare_summary *summary, const char *name) {
    char path[256];
    struct tare_err err = {0};
    snprintf(path, sizeof path, "tests/vectors/samples-%s.jsonl", name);
    if (tare_summary_read(summary, path, &err) != TARE_OK)
        fail_msg("%s: %s (run from the root of the checkout)", err.where, err.what);
}

static struct tare_buf render(const char *name,
                              void (*how)(struct tare_buf *, const struct tare_summary *)) {
    struct tare_summary summary;
    struct tare_buf text = {0};
    summarise(&summary, name);
    how(&text, &summary);
    assert_false(text.failed);
    assert_non_null(text.data);
    tare_summary_free(&summary);
    return text;
}

/* Where two texts first differ, told by line. */
static void assert_same_text(const char *path, const struct tare_buf *got,
                             const struct tare_buf *want) {
    size_t at = 0, line = 1;
    while (at < got->size && at < want->size && got->data[at] == want->data[at])
        line += got->data[at++] == '\n';
    if (at < got->size || at < want->size)
        fail_msg("%s:%zu differs: got \"%.60s\", want \"%.60s\"", path, line,
                 at < got->size ? got->data + at : "", at < want->size ? want->data + at : "");
}

static void test_golden(void **state) {
    (void)state;
    bool update = getenv("TARE_UPDATE_GOLDEN") != NULL;
    for (size_t v = 0; v < VECTOR_COUNT; v++)
        for (size_t f = 0; f < FORMAT_COUNT; f++) {
            char path[256];
            struct tare_err err = {0};
            struct tare_buf want = {0}, got = render(vectors[v], formats[f].render);
            snprintf(path, sizeof path, "tests/vectors/report-%s.%s", vectors[v],
                     formats[f].extension);
            if (update)
                assert_int_equal(tare_file_write(path, got.data, got.size, &err), TARE_OK);
            if (tare_file_read(&want, path, 1 << 20, &err) != TARE_OK)
                fail_msg("%s: %s", path, err.what);
            assert_same_text(path, &got, &want);
            tare_buf_free(&want);
            tare_buf_free(&got);
        }
    if (update)
        fail_msg("golden files were rewritten: run again without TARE_UPDATE_GOLDEN");
}

static void assert_says(const char *name, const char *sentence) {
    struct tare_buf text = render(name, text_100);
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\n' && i + 1 < text.size && text.data[i + 1] != '\n')
            text.data[i] = ' '; /* sentences may be wrapped */
    if (strstr(text.data, sentence) == NULL)
        fail_msg("%s doesn't say: %s", name, sentence);
    tare_buf_free(&text);
}

static void test_answers(void **state) {
    (void)state;
    assert_says("complete",
                "As taught, Keras trained 1.31 times faster than PyTorch (95 % interval "
                "1.31 … 1.32, 6 paired runs).");
    assert_says("close", "can't be told apart in training: the ratio of their times is 1.00 (95 % "
                         "interval 1.00 … 1.00, 6 paired runs).");
    /* wrong: Keras 0 … 269, PyTorch 210 … 519, or 20 … 329 */
    assert_says("complete", "differed on 460 of 10,000 test images: 250 only Keras got right, 210");
    assert_says("complete", "p = 0.069, so this test set can't tell these two");
    assert_says("close", "differed on 80 of 10,000 test images: 60 only Keras got right, 20");
    assert_says("close", "p < 0.0001, so these two models' accuracies differ.");
    assert_says("quick",
                "1 run: no interval and no ranking, because which was faster can't be known "
                "from so few; use --runs 6.");
    assert_says("standin", "Fashion-MNIST (stand-in: MNIST not found): 784 dense:64:relu dense:10");
    assert_says("troubles", "5 cells did not work");
    assert_says("troubles", "ONNX Runtime running the .onnx that tare wrote of tare (native)");
    assert_says("complete",
                "Exporting Keras's weights as .tflite: its own exporter took 2.40 s and "
                "needs 1.62 GB installed; tare wrote the same model in 410 µs; both "
                "agree with the float64 reference within 0.95 times float32's own "
                "spread.");
    assert_says("complete", "(1) Keras to .onnx: its model.export");
    assert_says("controlled", "LibTorch has no exporter in its C++ API");
    assert_says("troubles", "The machine was busy when the experiment began (load 3.50)");
    assert_says("interrupted", "This experiment is not complete");
    assert_says("interrupted", "Line 23 of samples.jsonl ends in the middle");
    assert_says("complete", "TensorFlow  quoted   24.97 s        97.53 %     3.23 s");
}

/* A reader must not take stand-in data for MNIST: the bare name stands nowhere as the data's. */
static void test_standin_is_never_called_mnist(void **state) {
    (void)state;
    for (size_t f = 0; f < FORMAT_COUNT; f++) {
        struct tare_buf text = render("standin", formats[f].render);
        for (const char *at = text.data; (at = strstr(at, "MNIST")) != NULL; at += 5) {
            bool whole = at - text.data >= 8 && strncmp(at - 8, "Fashion-", 8) == 0;
            bool markdown = at - text.data >= 8 && strncmp(at - 8, "stand-in", 8) == 0;
            bool note = strncmp(at, "MNIST not found", 15) == 0;
            assert_true(whole || markdown || note);
        }
        tare_buf_free(&text);
    }
}

/* Only tare's own colours may contain an escape; nothing else that a terminal acts on is left. */
static void test_terminal_is_not_steered(void **state) {
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++)
        for (int colour = 0; colour < 2; colour++) {
            struct tare_buf text = render(vectors[v], colour ? text_60_colour : text_100);
            size_t escapes = 0;
            for (size_t i = 0; i < text.size; i++) {
                unsigned char c = (unsigned char)text.data[i];
                if (c == 0x1b) {
                    escapes++;
                    const char *rest = text.data + i;
                    assert_true(strncmp(rest, "\033[1m", 4) == 0 ||
                                strncmp(rest, "\033[0m", 4) == 0 ||
                                strncmp(rest, "\033[3", 3) == 0);
                } else {
                    assert_true(c >= 0x20 || c == '\n');
                    assert_true(c != 0x7f);
                }
            }
            assert_true(colour ? escapes > 0 : escapes == 0);
            assert_null(strstr(text.data, "\xe2\x80\xae"));
            assert_null(strstr(text.data, "\xc2\x85"));
            tare_buf_free(&text);
        }
}

static void test_width_is_kept(void **state) {
    (void)state;
    for (size_t v = 0; v + 1 < VECTOR_COUNT; v++) { /* all but the hostile one */
        struct tare_buf text = render(vectors[v], text_100);
        size_t width = 0;
        bool code = false;
        for (size_t i = 0; i < text.size; i++) {
            if (text.data[i] == '\n') {
                width = 0;
                code = strncmp(text.data + i + 1, "    ", 4) == 0; /* commands are never wrapped */
                continue;
            }
            width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
            if (width > 100 && !code)
                fail_msg("%s: a line is wider than 100 columns: %.60s", vectors[v],
                         text.data + i - 60);
        }
        tare_buf_free(&text);
    }
}

/* Every unescaped '|' of a table row is a column's edge: each row has as many as its header. */
static void test_markdown_tables(void **state) {
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        struct tare_buf text = render(vectors[v], tare_report_markdown);
        size_t edges = 0, before = 0;
        bool table = false, code = false; /* an indented line of code shows whatever it holds */
        for (size_t i = 0; i < text.size; i++) {
            if (i == 0 || text.data[i - 1] == '\n') {
                code = strncmp(text.data + i, "      ", 6) == 0;
                before = table ? edges : 0;
                table = text.data[i] == '|';
                edges = 0;
            }
            if (text.data[i] == '\\') {
                i++;
                continue;
            }
            edges += table && text.data[i] == '|';
            if (text.data[i] == '\n' && table && before > 0)
                assert_int_equal(edges, before);
            assert_true(code || text.data[i] != '<'); /* no HTML */
        }
        tare_buf_free(&text);
    }
}

/* A small RFC 4180 reader: counts the fields of each record, and dies on a stray quote. */
static void test_csv_records(void **state) {
    (void)state;
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        struct tare_buf text = render(vectors[v], tare_report_csv);
        size_t fields = 1, header = 0, records = 0;
        bool quoted = false;
        for (size_t i = 0; i < text.size; i++) {
            char c = text.data[i];
            if (c == '"' && quoted && text.data[i + 1] == '"') {
                i++;
            } else if (c == '"') {
                assert_true(quoted || text.data[i - 1] == ',' || text.data[i - 1] == '\n');
                quoted = !quoted;
            } else if (!quoted && c == ',') {
                fields++;
                assert_null(strchr("=+@", text.data[i + 1] != '\0' ? text.data[i + 1] : ' '));
            } else if (c == '\n') {
                assert_true(!quoted && text.data[i - 1] == '\r');
                header = records == 0 ? fields : header;
                assert_int_equal(fields, header);
                fields = 1;
                records++;
            }
        }
        assert_false(quoted);
        assert_true(records >= 2);
        tare_buf_free(&text);
    }
}

/* What scripts may rely on: every key of the format, numbers that are the summary's own. */
static void test_json_is_the_summary(void **state) {
    (void)state;
    const char *const keys[] = {
        "engine",      "variant",   "track",          "state",       "reason",   "threads",
        "device",      "batch",     "train_s",        "steady_s",    "accuracy", "infer_10000_s",
        "infer_one_s", "startup_s", "peak_rss_bytes", "certificate", "exports"};
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        struct tare_summary summary;
        struct tare_buf text = render(vectors[v], tare_report_json);
        json_error_t error;
        json_t *json = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
        if (json == NULL)
            fail_msg("%s: line %d: %s", vectors[v], error.line, error.text);
        summarise(&summary, vectors[v]);
        assert_string_equal(json_string_value(json_object_get(json, "format")), "tare-report/1");
        const json_t *rows = json_object_get(json, "rows");
        assert_int_equal(json_array_size(rows), summary.row_count);
        for (size_t i = 0; i < summary.row_count; i++) {
            const json_t *row = json_array_get(rows, i);
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                if (json_object_get(row, keys[k]) == NULL)
                    fail_msg("%s: row %zu has no \"%s\"", vectors[v], i, keys[k]);
            assert_string_equal(json_string_value(json_object_get(row, "engine")),
                                summary.rows[i].engine); /* also the hostile one, unharmed */
            for (size_t m = 0; m < TARE_MEASURE_COUNT; m++) {
                struct tare_stat want = summary.rows[i].stats[m];
                const json_t *got = json_object_get(row, tare_measure_name((enum tare_measure)m));
                assert_int_equal(json_integer_value(json_object_get(got, "n")), want.n);
                if (want.n == 0)
                    assert_true(json_is_null(json_object_get(got, "median")));
                else /* to the last bit */
                    assert_true(json_number_value(json_object_get(got, "median")) == want.median &&
                                json_number_value(json_object_get(got, "lo")) == want.lo &&
                                json_number_value(json_object_get(got, "hi")) == want.hi);
            }
        }
        json_decref(json);
        tare_summary_free(&summary);
        tare_buf_free(&text);
    }
}

/* The same bytes whatever locale the program has chosen. */
static void test_locale_changes_nothing(void **state) {
    (void)state;
    const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    const char *set = NULL;
    struct tare_buf before[FORMAT_COUNT];
    for (size_t f = 0; f < FORMAT_COUNT; f++)
        before[f] = render("complete", formats[f].render);
    for (size_t i = 0; i < sizeof commas / sizeof *commas && set == NULL; i++)
        set = setlocale(LC_ALL, commas[i]);
    for (size_t f = 0; f < FORMAT_COUNT; f++) {
        struct tare_buf after = render("complete", formats[f].render);
        assert_same_text(formats[f].extension, &after, &before[f]);
        tare_buf_free(&after);
        tare_buf_free(&before[f]);
    }
    setlocale(LC_ALL, "C");
    if (set == NULL) {
        print_message("no locale with a decimal comma is installed (de_DE.UTF-8, fr_FR.UTF-8)\n");
        skip();
    }
}

static void test_write_all(void **state) {
    (void)state;
    char dir[] = "/tmp/tare-report-XXXXXX";
    const char *const names[] = {"report.md", "report.json", "report.csv"};
    void (*const how[])(struct tare_buf *, const struct tare_summary *) = {
        tare_report_markdown, tare_report_json, tare_report_csv};
    struct tare_summary summary;
    struct tare_err err = {0};
    assert_non_null(mkdtemp(dir));
    summarise(&summary, "complete");
    assert_int_equal(tare_report_write_all(dir, &summary, &err), TARE_OK);
    for (size_t i = 0; i < 3; i++) {
        struct tare_buf got = {0}, want = render("complete", how[i]);
        char *path = tare_path_join(dir, names[i]);
        assert_non_null(path);
        assert_int_equal(tare_file_read(&got, path, 1 << 20, &err), TARE_OK);
        assert_same_text(names[i], &got, &want);
        unlink(path);
        free(path);
        tare_buf_free(&got);
        tare_buf_free(&want);
    }
    assert_int_equal(rmdir(dir), 0); /* no temporary file is left */
    assert_int_equal(tare_report_write_all("/no/such/folder", &summary, &err), TARE_IO);
    assert_true(err.what[0] != '\0');
    tare_summary_free(&summary);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_standin_is_never_called_mnist),
        cmocka_unit_test(test_terminal_is_not_steered),
        cmocka_unit_test(test_width_is_kept),
        cmocka_unit_test(test_markdown_tables),
        cmocka_unit_test(test_csv_records),
        cmocka_unit_test(test_json_is_the_summary),
        cmocka_unit_test(test_locale_changes_nothing),
        cmocka_unit_test(test_write_all),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
