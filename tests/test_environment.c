/* test_environment.c: environments found by variable and by list, and what is said when they are
 * not. The list is looked for beside the running program, so for that this program copies itself
 * into a folder and runs the copy: `test_environment find NAME` prints what it finds. */
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

#include "tare/buf.h"
#include "tare/environment.h"

static char folder[64]; /* made for each test */

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tare-environment-XXXXXX");
    unsetenv("TARE_PYTHON_RUNTIMES");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t size, mode_t mode) {
    char *path = strdup(in_folder(name)), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(tare_make_dirs(path, NULL), TARE_OK);
    *slash = '/';
    assert_int_equal(tare_file_write(path, data, size, NULL), TARE_OK);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static enum tare_status parse(struct tare_environment *found, const char *name, const char *text,
                              struct tare_err *err) {
    return tare_environment_parse(found, name, text, strlen(text), "list", err);
}

static void test_parse(void **state) {
    (void)state;
    static const char list[] = "torch /e/torch/bin/python /e/torch/site 5400\n"
                               "tensorflow /a b/bin/python /a b/lib/site 1200.5\n"
                               "runtimes /r/python /r/site 0";
    struct tare_environment found;
    assert_int_equal(parse(&found, "torch", list, NULL), TARE_OK);
    assert_string_equal(found.python, "/e/torch/bin/python");
    assert_string_equal(found.site_packages, "/e/torch/site");
    assert_true(found.megabytes == 5400);
    assert_int_equal(parse(&found, "tensorflow", list, NULL), TARE_OK);
    assert_string_equal(found.python, "/a b/bin/python");
    assert_string_equal(found.site_packages, "/a b/lib/site");
    assert_true(found.megabytes == 1200.5);
    assert_int_equal(parse(&found, "runtimes", list, NULL), TARE_OK); /* without a last newline */
    assert_string_equal(found.site_packages, "/r/site");
    struct tare_err err = {0};
    assert_int_equal(parse(&found, "tor", list, &err), TARE_DATA); /* not a prefix */
    assert_non_null(strstr(err.what, "'tor'"));
    assert_string_equal(err.hint, "make engines");
}

static void test_parse_hostile(void **state) {
    (void)state;
    static const char *const lines[] = {
        "",           "\n\n\n",        "x",
        "x ",         "x \n",          "x /p",
        "x /p 1",     "x /p /s",       "x /p /s ",
        "x p /s 1",   "x /p s 1",      "x  /p /s 1",
        "x /p /s -1", "x /p /s nan",   "x /p /s inf",
        "x /p /s 1x", "x /p /s 1e300", "x /p /s 99999999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct tare_environment found;
        struct tare_err err = {0};
        if (parse(&found, "x", lines[i], &err) != TARE_DATA)
            fail_msg("accepted '%s'", lines[i]);
        assert_string_equal(err.where, "list");
        assert_true(err.what[0] != '\0');
    }
    struct tare_environment found;
    assert_int_equal(tare_environment_parse(&found, "x", "x /p\0 /s 1", 11, "list", NULL),
                     TARE_DATA);
    assert_int_equal(tare_environment_parse(&found, "x", NULL, 0, "list", NULL), TARE_DATA);
}

static void test_parse_long_path(void **state) {
    (void)state;
    struct tare_environment found;
    for (size_t size = TARE_ENVIRONMENT_PATH - 2; size < TARE_ENVIRONMENT_PATH + 2; size++) {
        char line[2 * TARE_ENVIRONMENT_PATH] = "x /";
        memset(line + 3, 'a', size - 1);
        strcat(line, " /s 1");
        enum tare_status want = size < TARE_ENVIRONMENT_PATH ? TARE_OK : TARE_DATA;
        assert_int_equal(parse(&found, "x", line, NULL), want);
    }
}

/* Every cut of a good line, in memory of exactly its size, so that a read past it is seen. */
static void test_parse_truncated(void **state) {
    (void)state;
    static const char line[] = "x /python /site 12";
    for (size_t size = 0; size < sizeof line - 1; size++) {
        char *text = malloc(size + 1);
        memcpy(text, line, size);
        char *exact = realloc(text, size > 0 ? size : 1);
        struct tare_environment found;
        enum tare_status got = tare_environment_parse(&found, "x", exact, size, "list", NULL);
        assert_int_equal(got, size == sizeof line - 2 ? TARE_OK : TARE_DATA); /* "… 1" is a line */
        free(exact);
    }
}

static void test_variable(void **state) {
    (void)state;
    write_file("env/bin/python", "#!", 2, 0755);
    write_file("env/lib/python3.11/site-packages/pkg/libx.so.1.2", "x", 1, 0644);
    setenv("TARE_PYTHON_RUNTIMES", in_folder("env/bin/python"), 1);
    struct tare_environment found;
    struct tare_err err = {0};
    assert_int_equal(tare_environment_find("runtimes", &found, &err), TARE_OK);
    assert_string_equal(found.python, in_folder("env/bin/python"));
    assert_true(found.megabytes == 0);
    char path[TARE_ENVIRONMENT_PATH];
    assert_int_equal(tare_environment_file(path, &found, "pkg/libx.so.*", &err), TARE_OK);
    assert_true(tare_path_exists(path));
    assert_int_equal(tare_environment_file(path, &found, "pkg/liby.so.*", &err), TARE_DATA);
    assert_string_equal(err.hint, "make engines");
    void *library = NULL; /* found, but one letter is no library */
    assert_int_equal(tare_environment_open(&library, "runtimes", "pkg/libx.so.*", &found, &err),
                     TARE_DATA);
    assert_null(library);
    assert_non_null(strstr(err.where, "libx.so.1.2"));
}

static void test_variable_wrong(void **state) {
    (void)state;
    write_file("bare/bin/python", "#!", 2, 0755); /* no ../lib */
    write_file("dull/bin/python", "#!", 2, 0644); /* not executable */
    char long_path[TARE_ENVIRONMENT_PATH + 2];
    memset(long_path, '/', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    char *bare = strdup(in_folder("bare/bin/python")), *dull = strdup(in_folder("dull/bin/python"));
    const char *const wrong[] = {bare, dull, "/no/such/python", "python", long_path};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("TARE_PYTHON_RUNTIMES", wrong[i], 1);
        struct tare_environment found;
        struct tare_err err = {0};
        assert_int_equal(tare_environment_find("runtimes", &found, &err), TARE_DATA);
        assert_string_equal(err.where, "TARE_PYTHON_RUNTIMES");
    }
    free(bare);
    free(dull);
}

/* What the copy of this program at `program` finds under NAME; its line in out. */
static void find_from(char out[512], const char *program, const char *name) {
    char command[600];
    snprintf(command, sizeof command, "'%s' find %s", in_folder(program), name);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    out[0] = '\0';
    assert_non_null(fgets(out, 512, pipe));
    pclose(pipe);
}

static void test_list(void **state) {
    (void)state;
    struct tare_buf self = {0};
    assert_int_equal(tare_file_read(&self, "/proc/self/exe", (size_t)1 << 28, NULL), TARE_OK);
    write_file("build/prog", self.data, self.size, 0755);
    write_file("build/san/prog", self.data, self.size, 0755);
    tare_buf_free(&self);
    char out[512], line[512];
    find_from(out, "build/san/prog", "my-env");
    assert_non_null(strstr(out, "make engines")); /* no list anywhere */
    assert_non_null(strstr(out, "TARE_PYTHON_MY_ENV"));
    write_file("site/x", "x", 1, 0644);
    snprintf(line, sizeof line, "my-env /p %s 7\ngone /p /no/such/site 7\n", in_folder("site"));
    write_file("build/environments", line, strlen(line), 0644);
    find_from(out, "build/prog", "my-env"); /* beside the program */
    assert_string_equal(out, "/p 7\n");
    find_from(out, "build/san/prog", "my-env"); /* one folder above it */
    assert_string_equal(out, "/p 7\n");
    find_from(out, "build/prog", "gone");
    assert_non_null(strstr(out, "/no/such/site"));
    char *large = calloc(1, TARE_MAX_ENVIRONMENTS_BYTES + 1);
    write_file("build/environments", large, TARE_MAX_ENVIRONMENTS_BYTES + 1, 0644);
    free(large);
    find_from(out, "build/prog", "my-env");
    assert_null(strstr(out, "/p 7"));
}

static int print_find(const char *name) {
    struct tare_environment found;
    struct tare_err err = {0};
    if (tare_environment_find(name, &found, &err) == TARE_OK)
        printf("%s %g\n", found.python, found.megabytes);
    else
        printf("%s: %s; %s\n", err.where, err.what, err.hint);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "find") == 0)
        return print_find(argv[2]);
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_parse),
        TEST(test_parse_hostile),
        TEST(test_parse_long_path),
        TEST(test_parse_truncated),
        TEST(test_variable),
        TEST(test_variable_wrong),
        TEST(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
