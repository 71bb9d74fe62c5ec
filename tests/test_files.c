/* test_files.c: folders listed and removed, reads that are interrupted or come in pieces, and JSON
 * that is whole or not there. What happens when one of their calls fails is
 * tests/torture/faults.sh's business. */
#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/listing.h"
#include "base/stream.h"

#define MANY 300 /* names that don't fit one call of the kernel's */

static void make_many(const char *folder) {
    for (int i = 0; i < MANY; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s/a-file-with-a-long-name-%d", folder, i);
        scratch_write(name, "x", 1);
    }
}

static void a_listing_has_every_name(void **state) {
    (void)state;
    make_many("listed");
    assert_int_equal(tare_make_dirs(scratch_path("listed/folder"), NULL), TARE_OK);
    bool seen[MANY] = {false};
    int count = 0, number = 0;
    struct tare_listing list = tare_listing_open(scratch_path("listed"));
    for (const char *name; (name = tare_listing_next(&list)); count++)
        if (sscanf(name, "a-file-with-a-long-name-%d", &number) == 1)
            seen[number] = true;
    assert_true(tare_listing_close(&list));
    assert_int_equal(count, MANY + 1);
    for (int i = 0; i < MANY; i++)
        assert_true(seen[i]);

    list = tare_listing_open(scratch_path("not there"));
    assert_null(tare_listing_next(&list));
    assert_false(tare_listing_close(&list));
}

static void a_tree_goes_with_everything_in_it(void **state) {
    (void)state;
    make_many("tree/a/b");
    scratch_write("kept/file", "x", 1);
    assert_int_equal(symlink(scratch_path("kept"), scratch_path("tree/link")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("tree/a/dangling")), 0);
    assert_int_equal(tare_remove_tree(scratch_path("tree"), NULL), TARE_OK);
    assert_false(tare_path_exists(scratch_path("tree")));
    assert_true(tare_path_exists(scratch_path("kept/file"))); /* links aren't followed */
    assert_int_equal(tare_remove_tree(scratch_path("tree"), NULL), TARE_OK);
    scratch_write("file", "x", 1);
    assert_int_equal(tare_remove_tree(scratch_path("file"), NULL), TARE_OK);
    assert_false(tare_path_exists(scratch_path("file")));
}

static void ignore(int number) {
    (void)number;
}

/* A pipe whose writer sends a byte, waits, and sends another, while signals come in. */
static int interrupted_pipe(pid_t *writer) {
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *writer = fork();
    if (*writer == 0) {
        bool sent = write(ends[1], "a", 1) == 1;
        usleep(30000);
        _exit(sent && write(ends[1], "b", 1) == 1 ? 0 : 1);
    }
    close(ends[1]);
    struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART: reads end with EINTR */
    struct itimerval often = {{0, 1000}, {0, 1000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    return ends[0];
}

static void end_pipe(pid_t writer) {
    int status = 1;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    while (waitpid(writer, &status, 0) < 0 && errno == EINTR)
        continue;
    assert_int_equal(status, 0);
}

static void an_interrupted_read_is_taken_up_again(void **state) {
    (void)state;
    pid_t writer;
    char bytes[3] = "";
    int fd = interrupted_pipe(&writer);
    ssize_t got = tare_read_full(fd, bytes, sizeof bytes);
    end_pipe(writer);
    close(fd);
    assert_int_equal(got, 2); /* in pieces, up to the end */
    assert_memory_equal(bytes, "ab", 2);

    FILE *stream = tare_stream_of(interrupted_pipe(&writer));
    assert_non_null(stream);
    size_t read = fread(bytes, 1, sizeof bytes, stream);
    end_pipe(writer);
    assert_int_equal(read, 2);
    assert_false(ferror(stream));
    assert_int_equal(fclose(stream), 0);
}

static void json_is_whole_or_not_there(void **state) {
    (void)state;
    const size_t lost = tare_json_lost();
    json_t *value = tare_json_whole(json_pack("{s:i}", "a", 1), lost);
    assert_non_null(value);
    char *text = tare_json_dump(value, JSON_COMPACT);
    assert_string_equal(text, "{\"a\":1}");
    free(text);
    assert_null(tare_json_whole(value, lost + 1)); /* as if one had been refused; it is released */
    assert_null(tare_json_whole(NULL, lost));
    assert_null(tare_json_dump(NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listing_has_every_name),
        cmocka_unit_test(a_tree_goes_with_everything_in_it),
        cmocka_unit_test(an_interrupted_read_is_taken_up_again),
        cmocka_unit_test(json_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
