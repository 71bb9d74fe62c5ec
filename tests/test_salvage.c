/* test_salvage.c: what is read of samples.jsonl when lines of it don't fit their checksums: all
 * that can be, and told; or, salvaged, all but those. What verify finds of such files:
 * test_verify.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lab/provenance.h"
#include "lab/read_samples.h"
#include "tare/buf.h"
#include "tare/report.h"
#include "tare/summary.h"

/* A line of its own: without its newline in `text`, which the chain is put into. */
static void add_line(struct tare_buf *file, char link[TARE_LINK_BYTES + 1], const char *text,
                     size_t size) {
    char next[TARE_LINK_BYTES + 1];
    assert_true(text[size - 1] == '}');
    assert_true(tare_link(next, link, text, size - 1));
    tare_buf_append(file, text, size - 1);
    tare_buf_printf(file, TARE_LINK_KEY "%s" TARE_LINK_END "\n", next);
    memcpy(link, next, sizeof next);
}

/* Six runs of three rows that rank, as a chain. */
static void make_chained(struct tare_buf *file) {
    struct tare_buf text = {0};
    char link[TARE_LINK_BYTES + 1] = "";
    assert_int_equal(
        tare_file_read(&text, "tests/vectors/samples-complete.jsonl", TARE_MAX_SAMPLES_BYTES, NULL),
        TARE_OK);
    for (char *at = text.data, *end; (end = strchr(at, '\n')); at = end + 1)
        add_line(file, link, at, (size_t)(end - at));
    tare_buf_free(&text);
}

/* The first line, from 1, that holds both texts; *where points to the second. */
static size_t find_line(const struct tare_buf *file, const char *a, const char *b, char **where) {
    size_t line = 1;
    for (char *at = file->data, *end; (end = strchr(at, '\n')); at = end + 1, line++) {
        char *first = strstr(at, a), *second = strstr(at, b);
        if (first && first < end && second && second < end) {
            if (where)
                *where = second;
            return line;
        }
    }
    fail_msg("no line has %s and %s", a, b);
    return 0;
}

static void remove_line(struct tare_buf *file, size_t line) {
    char *at = file->data;
    while (--line > 0)
        at = strchr(at, '\n') + 1;
    char *end = strchr(at, '\n') + 1;
    file->size -= (size_t)(end - at);
    memmove(at, end, file->size - (size_t)(at - file->data) + 1);
}

static const struct tare_row *row_of(const struct tare_summary *s, const char *engine) {
    for (size_t i = 0; i < s->row_count; i++)
        if (strcmp(s->rows[i].engine, engine) == 0)
            return &s->rows[i];
    fail_msg("there is no row of %s", engine);
    return NULL;
}

static enum tare_status salvage(struct tare_summary *s, const struct tare_buf *file,
                                struct tare_err *err) {
    *err = (struct tare_err){0};
    return tare_summary_parse_sound(s, file->data, file->size, "s.jsonl", err);
}

static void a_sound_file_is_the_same_either_way(void **state) {
    (void)state;
    struct tare_buf file = {0}, all = {0}, sound = {0};
    struct tare_summary s;
    struct tare_err err;
    make_chained(&file);
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", &err), TARE_OK);
    assert_int_equal(s.misfit_count, 0);
    assert_false(s.salvaged);
    assert_int_equal(row_of(&s, "keras")->rank, 1);
    tare_report_json(&all, &s);
    tare_summary_free(&s);
    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    assert_true(s.salvaged && s.complete && s.misfit_count == 0);
    tare_report_json(&sound, &s);
    assert_string_equal(all.data, sound.data);
    tare_summary_free(&s);
    tare_buf_free(&all);
    tare_buf_free(&sound);
    tare_buf_free(&file);
}

/* A changed number is read, and told; salvaged, its run is missing and its row ranks nowhere. */
static void a_changed_line_is_told_or_left_out(void **state) {
    (void)state;
    struct tare_buf file = {0}, json = {0};
    struct tare_summary s;
    struct tare_err err;
    char *at = NULL;
    make_chained(&file);
    size_t line = find_line(&file, "\"dir\":\"jobs/0002-keras-tutorial-r0\"", "\"wall_ns\":", &at);
    at += strlen("\"wall_ns\":");
    *at = *at == '9' ? '8' : (char)(*at + 1);
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", &err), TARE_OK);
    assert_int_equal(s.misfit_count, 1);
    assert_int_equal(s.misfits[0], line);
    assert_int_equal(row_of(&s, "keras")->runs_done, 6);
    tare_summary_free(&s);

    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    assert_int_equal(s.misfit_count, 1);
    assert_int_equal(s.misfits[0], line);
    assert_false(s.complete);
    const struct tare_row *keras = row_of(&s, "keras"), *pytorch = row_of(&s, "pytorch");
    assert_int_equal(keras->runs_done, 5);
    assert_false(keras->complete);
    assert_int_equal(keras->rank, 0);
    assert_string_equal(keras->reason, "lines were left out: 5 of 6 runs are there");
    assert_non_null(strstr(keras->fix, "from a copy"));
    assert_int_equal(pytorch->runs_done, 6);
    assert_true(pytorch->complete && pytorch->rank == 0); /* alone now: nothing to compare with */
    assert_int_equal(s.comparison_count, 0);
    tare_report_json(&json, &s);
    assert_non_null(strstr(json.data, "\"salvaged\""));
    assert_non_null(strstr(json.data, "\"misfits\""));
    tare_summary_free(&s);
    tare_buf_free(&json);
    tare_buf_free(&file);
}

/* Without the line, the next one doesn't fit: both are missing. */
static void a_missing_line_costs_the_next(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_err err;
    make_chained(&file);
    size_t line = find_line(&file, "\"dir\":\"jobs/0002-keras-tutorial-r0\"", "wall_ns", NULL);
    remove_line(&file, line);
    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    assert_int_equal(s.misfit_count, 1);
    assert_int_equal(s.misfits[0], line);
    assert_int_equal(row_of(&s, "keras")->runs_done, 5);
    assert_false(s.complete);
    tare_summary_free(&s);
    tare_buf_free(&file);
}

/* A row all of whose runs are left out wasn't interrupted, as far as anyone knows. */
static void a_row_without_a_line_says_so(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_err err;
    make_chained(&file);
    for (char *at = file.data; (at = strstr(at, "\"engine\":\"keras\"")); at++) {
        const char *begin = at;
        while (begin > file.data && begin[-1] != '\n')
            begin--;
        if (strncmp(begin, "{\"record\":\"job\"", 15) == 0)
            at[11] = 'x'; /* now it is "xeras", which the plan doesn't have */
    }
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "not in the plan"));
    assert_non_null(strstr(err.hint, "tare report --salvage"));
    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    const struct tare_row *keras = row_of(&s, "keras");
    assert_int_equal(keras->state, TARE_STATE_FAILED);
    assert_int_equal(keras->runs_done, 0);
    assert_non_null(strstr(keras->reason, "left out"));
    tare_summary_free(&s);
    tare_buf_free(&file);
}

static void a_damaged_line_is_an_error_with_a_way_out(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_err err = {0};
    char where[40], *at = NULL;
    make_chained(&file);
    size_t line =
        find_line(&file, "\"dir\":\"jobs/0002-keras-tutorial-r0\"", "\"record\":\"job\"", &at);
    at[8] = ';';
    snprintf(where, sizeof where, "s.jsonl:%zu", line);
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", &err), TARE_DATA);
    assert_string_equal(err.where, where);
    assert_non_null(strstr(err.hint, "tare report --salvage"));
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", NULL), TARE_DATA);
    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    assert_int_equal(s.misfits[0], line);
    tare_summary_free(&s);
    tare_buf_free(&file);
}

static void nothing_is_salvaged_without_the_first_line(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_err err;
    make_chained(&file);
    char *epochs = strstr(file.data, "\"epochs\":5");
    assert_non_null(epochs);
    epochs[strlen("\"epochs\":")] = '6'; /* it can be read, and is not what was planned */
    assert_int_equal(salvage(&s, &file, &err), TARE_DATA);
    assert_string_equal(err.where, "s.jsonl:1");
    assert_non_null(strstr(err.what, "can't be known"));
    assert_true(err.hint[0] != '\0');
    assert_null(s.memory);
    remove_line(&file, 1);
    assert_int_equal(salvage(&s, &file, &err), TARE_DATA);
    assert_string_equal(err.where, "s.jsonl:1");
    tare_buf_free(&file);
}

/* A file may be anything: a line that fits nothing costs no memory of its own. */
static void lines_without_end_are_an_error(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_err err;
    make_chained(&file);
    for (size_t i = 0; i <= TARE_MAX_MISFITS; i++)
        tare_buf_puts(&file, "\n");
    assert_int_equal(salvage(&s, &file, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "more than 20000 lines"));
    tare_buf_free(&file);
}

static void files_without_a_chain_are_read_as_they_are(void **state) {
    (void)state;
    struct tare_buf text = {0};
    struct tare_summary s;
    struct tare_err err;
    assert_int_equal(
        tare_file_read(&text, "tests/vectors/samples-complete.jsonl", TARE_MAX_SAMPLES_BYTES, NULL),
        TARE_OK);
    assert_int_equal(salvage(&s, &text, &err), TARE_OK);
    assert_true(s.complete && s.misfit_count == 0);
    assert_int_equal(row_of(&s, "keras")->rank, 1);
    tare_summary_free(&s);
    char *at = NULL;
    find_line(&text, "\"record\":\"job\"", "\"record\"", &at);
    at[8] = ';';
    assert_int_equal(salvage(&s, &text, &err), TARE_DATA);
    assert_null(strstr(err.hint, "--salvage")); /* which wouldn't help */
    tare_buf_free(&text);
}

/* An experiment that was interrupted and taken up again has an end in its middle. */
static void an_end_in_the_middle_is_read_over(void **state) {
    (void)state;
    static const char *const records[] = {
        "{\"record\":\"experiment\",\"format\":\"tare-samples/1\",\"dataset\":{\"name\":\"a\","
        "\"title\":\"A\",\"train\":9,\"test\":9},\"plan\":{\"model\":\"4 dense:2\",\"epochs\":1,"
        "\"batch\":1,\"runs\":2,\"threads\":1,\"cells\":[{\"engine\":\"a\",\"track\":\"tutorial\"}"
        "]}}",
        "{\"record\":\"job\",\"index\":1,\"run\":0,\"task\":\"train\",\"engine\":\"a\","
        "\"track\":\"tutorial\",\"state\":\"ok\"}",
        "{\"record\":\"end\",\"complete\":false}",
        "{\"record\":\"resume\",\"created\":\"2026-02-01T12:00:00Z\",\"machine\":{\"cpu\":\"x\"}}",
        "{\"record\":\"job\",\"index\":2,\"run\":1,\"task\":\"train\",\"engine\":\"a\","
        "\"track\":\"tutorial\",\"state\":\"ok\"}",
        "{\"record\":\"end\",\"complete\":true}",
    };
    struct tare_buf file = {0};
    struct tare_summary s;
    struct tare_verify verify = {0};
    struct tare_err err;
    char link[TARE_LINK_BYTES + 1] = "";
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        add_line(&file, link, records[i], strlen(records[i]));
    assert_int_equal(tare_summary_parse(&s, file.data, file.size, "s.jsonl", &err), TARE_OK);
    assert_true(s.complete && s.misfit_count == 0 && s.rows[0].runs_done == 2);
    tare_summary_free(&s);
    assert_int_equal(salvage(&s, &file, &err), TARE_OK);
    assert_true(s.complete && s.rows[0].runs_done == 2);
    tare_summary_free(&s);
    assert_int_equal(tare_verify_lines(&verify, file.data, file.size, NULL), TARE_OK);
    assert_int_equal(tare_verify_faults(&verify), 0);
    remove_line(&file, 6); /* cut off behind the first end, and not just behind it */
    assert_int_equal(tare_verify_lines(&verify, file.data, file.size, NULL), TARE_OK);
    assert_int_equal(verify.counts[TARE_FINDING_MISSING], 1);
    tare_buf_free(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file_is_the_same_either_way),
        cmocka_unit_test(a_changed_line_is_told_or_left_out),
        cmocka_unit_test(a_missing_line_costs_the_next),
        cmocka_unit_test(a_row_without_a_line_says_so),
        cmocka_unit_test(a_damaged_line_is_an_error_with_a_way_out),
        cmocka_unit_test(nothing_is_salvaged_without_the_first_line),
        cmocka_unit_test(lines_without_end_are_an_error),
        cmocka_unit_test(files_without_a_chain_are_read_as_they_are),
        cmocka_unit_test(an_end_in_the_middle_is_read_over),
    };
    return cmocka_run_group_tests_name("salvage", tests, NULL, NULL);
}
