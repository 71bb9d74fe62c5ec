/* test_base.c: errors, buffers, files, random numbers, the machine's description, nearest words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/machine.h"
#include "tare/rng.h"
#include "tare/words.h"
#include "temporary.h"

static void errors_are_cut_and_never_overrun(void **state) {
    (void)state;
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = '\0';
    struct tare_err err;
    assert_int_equal(tare_fail(&err, TARE_DATA, long_text, long_text, "%s", long_text), TARE_DATA);
    assert_int_equal(strlen(err.what), sizeof err.what - 1);
    assert_int_equal(strlen(err.where), sizeof err.where - 1);
    assert_int_equal(tare_fail(NULL, TARE_IO, "a", "b", "c"), TARE_IO);
    errno = ENOENT;
    assert_int_equal(tare_fail_errno(&err, "f", NULL, "cannot"), TARE_IO);
    assert_string_equal(err.what, "cannot: No such file or directory");
    assert_int_equal(tare_exit_code(TARE_INTERRUPTED), 130);
    assert_string_equal(tare_status_name(TARE_DATA), "data");
}

static void buffers_grow(void **state) {
    (void)state;
    struct tare_buf buf = {0};
    for (int i = 0; i < 10000; i++)
        tare_buf_printf(&buf, "%d,", i);
    assert_false(buf.failed);
    assert_int_equal(buf.size, 10 * 2 + 90 * 3 + 900 * 4 + 9000 * 5);
    assert_int_equal(strlen(buf.data), buf.size);
    tare_buf_append(&buf, NULL, 0);
    tare_buf_append(&buf, "x", SIZE_MAX / 2); /* impossible: it fails, it doesn't crash */
    assert_true(buf.failed);
    tare_buf_free(&buf);
}

static void a_file_is_old_or_new(void **state) {
    (void)state;
    char *dir = temporary_make();
    char *path = tare_path_join(dir, "file");
    struct tare_buf buf = {0};
    assert_int_equal(tare_file_write(path, "old", 3, NULL), TARE_OK);
    assert_int_equal(tare_file_write(path, "newer", 5, NULL), TARE_OK);
    assert_int_equal(tare_file_read(&buf, path, 5, NULL), TARE_OK);
    assert_string_equal(buf.data, "newer");
    tare_buf_free(&buf);
    assert_int_equal(tare_file_read(&buf, path, 4, NULL), TARE_DATA);
    tare_buf_free(&buf);
    struct tare_err err = {0};
    char *deep = tare_path_join(dir, "no/such/folder/file");
    assert_int_equal(tare_file_write(deep, "x", 1, &err), TARE_IO);
    assert_string_equal(err.where, deep);
    assert_int_equal(tare_file_read(&buf, dir, 10, &err), TARE_IO); /* a folder is no file */
    tare_buf_free(&buf);
    free(deep);
    free(path);
    temporary_remove(dir);
}

static void folders_are_made_and_kept(void **state) {
    (void)state;
    char *dir = temporary_make();
    char *deep = tare_path_join(dir, "a/b/c");
    char *file = tare_path_join(dir, "a/file");
    char *below = tare_path_join(dir, "a/file/d");
    struct tare_err err = {0};
    assert_int_equal(tare_make_dirs(deep, NULL), TARE_OK);
    assert_int_equal(tare_make_dirs(deep, NULL), TARE_OK);
    assert_int_equal(tare_file_write(file, "", 0, NULL), TARE_OK);
    assert_int_equal(tare_make_dirs(below, &err), TARE_IO);
    assert_string_equal(err.where, file);
    free(deep);
    free(file);
    free(below);
    temporary_remove(dir);
}

static void paths_join(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *joined = tare_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(joined, cases[i][2]);
        free(joined);
    }
}

static void sha256_is_the_standard_one(void **state) {
    (void)state;
    char hex[65];
    tare_sha256_hex(hex, "abc", 3); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void random_numbers_repeat_and_differ(void **state) {
    (void)state;
    struct tare_rng a, b, c;
    tare_rng_seed(&a, 1, TARE_STREAM_INIT);
    tare_rng_seed(&b, 1, TARE_STREAM_INIT);
    tare_rng_seed(&c, 1, TARE_STREAM_ORDER);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = tare_rng_next(&a);
        assert_int_equal(x, tare_rng_next(&b));
        same += x == tare_rng_next(&c);
    }
    assert_int_equal(same, 0);
}

/* The published first outputs of xoshiro256** from the state {1, 2, 3, 4}. */
static void the_generator_is_xoshiro(void **state) {
    (void)state;
    struct tare_rng rng = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(tare_rng_next(&rng), expected[i]);
}

static void draws_stay_in_range_and_are_even(void **state) {
    (void)state;
    struct tare_rng rng;
    int counts[7] = {0};
    double sum = 0;
    tare_rng_seed(&rng, 5, TARE_STREAM_TEST);
    for (int i = 0; i < 70000; i++) {
        uint64_t k = tare_rng_below(&rng, 7);
        assert_true(k < 7);
        counts[k]++;
        float x = tare_rng_uniform(&rng, -2, 3);
        assert_true(x >= -2 && x < 3);
        sum += (double)x;
    }
    for (int k = 0; k < 7; k++) /* 10,000 ± 6 standard deviations of a binomial */
        assert_in_range(counts[k], 10000 - 556, 10000 + 556);
    assert_true(sum / 70000 > 0.5 - 0.033 && sum / 70000 < 0.5 + 0.033); /* 6 standard errors */
    assert_int_equal(tare_rng_below(&rng, 1), 0);
}

static void a_shuffle_is_a_permutation(void **state) {
    (void)state;
    struct tare_rng rng;
    int32_t values[1000];
    char seen[1000] = {0};
    int moved = 0;
    tare_rng_seed(&rng, 9, TARE_STREAM_TEST);
    for (int32_t i = 0; i < 1000; i++)
        values[i] = i;
    tare_rng_shuffle(&rng, values, 1000);
    for (int32_t i = 0; i < 1000; i++) {
        assert_int_equal(seen[values[i]]++, 0);
        moved += values[i] != i;
    }
    assert_true(moved > 900);
    tare_rng_shuffle(&rng, values, 0); /* does nothing, harms nothing */
}

static void the_machine_is_described(void **state) {
    (void)state;
    struct tare_machine machine;
    tare_machine_describe(&machine);
    assert_true(machine.cpus >= 1);
    assert_true(machine.memory_bytes > (size_t)1 << 26);
    assert_true(machine.kernel[0] && machine.cpu[0] && machine.os[0] && machine.governor[0]);
}

static void the_nearest_word_is_found(void **state) {
    (void)state;
    static const char *const words[] = {"compare", "train", "report", "data"};
    assert_string_equal(tare_nearest_word("comapre", words, 4), "compare");
    assert_string_equal(tare_nearest_word("trian", words, 4), "train");
    assert_null(tare_nearest_word("xyzzy", words, 4));
    assert_null(tare_nearest_word("", words, 0));
}

static void the_clock_goes_forward(void **state) {
    (void)state;
    int64_t last_ns = tare_now_ns();
    for (int i = 0; i < 1000; i++) {
        int64_t now_ns = tare_now_ns();
        assert_true(now_ns >= last_ns);
        last_ns = now_ns;
    }
    char utc[21];
    tare_utc_text(utc);
    assert_int_equal(strlen(utc), 20);
    assert_int_equal(utc[19], 'Z');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_cut_and_never_overrun),
        cmocka_unit_test(buffers_grow),
        cmocka_unit_test(a_file_is_old_or_new),
        cmocka_unit_test(folders_are_made_and_kept),
        cmocka_unit_test(paths_join),
        cmocka_unit_test(sha256_is_the_standard_one),
        cmocka_unit_test(random_numbers_repeat_and_differ),
        cmocka_unit_test(the_generator_is_xoshiro),
        cmocka_unit_test(draws_stay_in_range_and_are_even),
        cmocka_unit_test(a_shuffle_is_a_permutation),
        cmocka_unit_test(the_machine_is_described),
        cmocka_unit_test(the_nearest_word_is_found),
        cmocka_unit_test(the_clock_goes_forward),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
