/* test_verify.c: a results folder as tare wrote it has no findings; one byte changed in any kind of
 * file is found and named, and so is every bit and every line of samples.jsonl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/record.h"
#include "small_set.h"
#include "tare/report.h"
#include "tare/summary.h"
#include "temporary.h"

#define MAX_FOUND 64

static struct tare_dataset set;
static char *dir, *results; /* results: a small experiment, whole */

static enum tare_status write_reports(const char *folder) {
    struct tare_summary summary = {0};
    char *samples = tare_path_join(folder, "samples.jsonl");
    enum tare_status status = tare_summary_read(&summary, samples, NULL);
    if (status == TARE_OK)
        status = tare_report_write_all(folder, &summary, NULL);
    tare_summary_free(&summary);
    free(samples);
    return status;
}

static int set_up(void **state) {
    (void)state;
    dir = temporary_make();
    results = tare_path_join(dir, "results");
    char *cache = tare_path_join(dir, "cache"), *prepared = NULL;
    setenv("XDG_CACHE_HOME", cache, 1);
    setenv("TARE_PYTHON_RUNTIMES", dir, 1); /* no runtimes, so that the same jobs run everywhere */
    free(cache);
    static struct tare_plan plan;
    struct tare_machine machine;
    struct tare_err err = {0};
    tare_plan_defaults(&plan);
    plan.runs = 1;
    plan.epochs = 1;
    tare_machine_describe(&machine);
    struct tare_campaign campaign = {
        .plan = &plan, .dataset = &set, .machine = &machine, .dir = results};
    enum tare_status status = tare_plan_add(&plan, "native", NULL, &err);
    if (small_set_make(&set, 8, 4) != 0)
        return -1;
    if (status == TARE_OK)
        status = tare_plan_model(&plan, NULL, &set, &err);
    if (status == TARE_OK)
        status = tare_dataset_prepare(&prepared, &set, &err);
    campaign.prepared = prepared;
    if (status == TARE_OK)
        status = tare_results_open(results, 1000, &err);
    if (status == TARE_OK)
        status = tare_campaign_run(&campaign, &err);
    if (status == TARE_OK)
        status = write_reports(results);
    free(prepared);
    if (status != TARE_OK)
        tare_err_print(stderr, &err);
    return status == TARE_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    tare_dataset_free(&set);
    free(results);
    temporary_remove(dir);
    return 0;
}

/* ---- what verify finds -------------------------------------------------------------------------
 */

struct found {
    size_t count;
    struct {
        enum tare_finding finding;
        char path[200];
    } items[MAX_FOUND];
};

static void remember(void *context, enum tare_finding finding, const char *path, const char *why) {
    struct found *found = context;
    assert_non_null(why);
    assert_true(found->count < MAX_FOUND);
    found->items[found->count].finding = finding;
    snprintf(found->items[found->count++].path, sizeof found->items[0].path, "%s", path);
}

static void verify(struct found *found, const char *folder) {
    struct tare_err err = {0};
    *found = (struct found){0};
    struct tare_verify v = {.dir = folder, .found = remember, .context = found};
    enum tare_status status = tare_verify_folder(&v, &err);
    if (status == TARE_OK)
        status = tare_report_verify(&v, &err);
    if (status != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
    size_t faults = 0;
    for (size_t i = 0; i < found->count; i++)
        faults += found->items[i].finding == TARE_FINDING_CHANGED ||
                  found->items[i].finding == TARE_FINDING_MISSING;
    assert_int_equal(tare_verify_faults(&v), faults);
}

static bool has(const struct found *found, enum tare_finding finding, const char *path) {
    for (size_t i = 0; i < found->count; i++)
        if (found->items[i].finding == finding && strcmp(found->items[i].path, path) == 0)
            return true;
    return false;
}

static void assert_only(const struct found *found, enum tare_finding finding, const char *path) {
    if (found->count != 1 || !has(found, finding, path))
        fail_msg("%zu findings, the first \"%s %s\", and not only \"%s %s\"", found->count,
                 found->count > 0 ? tare_finding_name(found->items[0].finding) : "",
                 found->count > 0 ? found->items[0].path : "", tare_finding_name(finding), path);
}

/* Changes the byte in the middle of a file of the results folder; again puts it back. */
static void flip(const char *path) {
    char *whole = tare_path_join(results, path);
    int fd = open(whole, O_RDWR);
    struct stat info;
    char byte = 0;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_true(info.st_size > 0);
    assert_int_equal(pread(fd, &byte, 1, info.st_size / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, info.st_size / 2), 1);
    close(fd);
    free(whole);
}

/* Everything a small experiment leaves, but samples.jsonl and the logs, which are empty. */
static const char *const files[] = {
    "runs/0/init.safetensors",
    "runs/0/one_image.npy",
    "runs/0/order.npy",
    "jobs/0000-native-controlled/job.json",
    "jobs/0001-native-controlled-r0/job.json",
    "jobs/0001-native-controlled-r0/logits.npy",
    "jobs/0001-native-controlled-r0/weights.safetensors",
    "jobs/0001-native-controlled-r0/tare/model.onnx",
    "jobs/0001-native-controlled-r0/tare/model.tflite",
    "jobs/0004-null-harness-r0/job.json",
    "jobs/0004-null-harness-r0/logits.npy",
    "jobs/0004-null-harness-r0/weights.safetensors",
    "report.md",
    "report.json",
    "report.csv",
};
#define FILE_COUNT (sizeof files / sizeof *files)
static const char log_path[] = "jobs/0001-native-controlled-r0/stderr.log";

static void what_tare_wrote_is_sound(void **state) {
    (void)state;
    struct found found;
    verify(&found, results);
    if (found.count > 0)
        fail_msg("%s %s", tare_finding_name(found.items[0].finding), found.items[0].path);
}

static void one_byte_in_any_file_is_found(void **state) {
    (void)state;
    struct found found;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        flip(files[i]);
        verify(&found, results);
        assert_only(&found, TARE_FINDING_CHANGED, files[i]);
        flip(files[i]);
    }
    what_tare_wrote_is_sound(state);
}

static void a_longer_file_is_found(void **state) {
    (void)state;
    struct found found;
    char *whole = tare_path_join(results, log_path);
    assert_int_equal(truncate(whole, 1), 0);
    verify(&found, results);
    assert_only(&found, TARE_FINDING_CHANGED, log_path);
    assert_int_equal(truncate(whole, 0), 0);
    free(whole);
}

static void a_missing_file_is_found(void **state) {
    (void)state;
    struct found found;
    char *aside = tare_path_join(dir, "aside");
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char *whole = tare_path_join(results, files[i]);
        assert_int_equal(rename(whole, aside), 0);
        verify(&found, results);
        assert_only(&found, TARE_FINDING_MISSING, files[i]);
        assert_int_equal(mkdir(whole, 0777), 0); /* a folder in its place is no file */
        verify(&found, results);
        assert_true(found.count == 1 && strcmp(found.items[0].path, files[i]) == 0);
        assert_int_equal(rmdir(whole), 0);
        assert_int_equal(rename(aside, whole), 0);
        free(whole);
    }
    free(aside);
}

static void an_extra_file_is_a_warning(void **state) {
    (void)state;
    struct found found;
    const char *const extra[] = {"jobs/more", "runs/0/more", "jobs/0001-native-controlled-r0/more"};
    for (size_t i = 0; i < 3; i++) {
        char *whole = tare_path_join(results, extra[i]);
        assert_int_equal(tare_file_write(whole, "x", 1, NULL), TARE_OK);
        verify(&found, results);
        assert_only(&found, TARE_FINDING_EXTRA, extra[i]);
        assert_int_equal(unlink(whole), 0);
        assert_int_equal(symlink("/etc/passwd", whole), 0); /* is not followed */
        verify(&found, results);
        assert_only(&found, TARE_FINDING_EXTRA, extra[i]);
        assert_int_equal(unlink(whole), 0);
        free(whole);
    }
}

/* A changed line accuses no file: what it says of them can't be trusted. */
static void a_changed_line_is_named_alone(void **state) {
    (void)state;
    struct found found;
    struct tare_buf text = {0}, changed = {0};
    char *samples = tare_path_join(results, "samples.jsonl");
    assert_int_equal(tare_file_read(&text, samples, 1 << 20, NULL), TARE_OK);
    tare_buf_append(&changed, text.data, text.size);
    char *sum = strstr(changed.data, "weights.safetensors\":\"");
    assert_non_null(sum);
    sum += strlen("weights.safetensors\":\"");
    *sum = *sum == '0' ? '1' : '0';
    assert_int_equal(tare_file_write(samples, changed.data, changed.size, NULL), TARE_OK);
    verify(&found, results);
    size_t faults = 0;
    for (size_t i = 0; i < found.count; i++)
        faults += found.items[i].finding != TARE_FINDING_UNCHECKED;
    assert_int_equal(faults, 1);
    assert_true(has(&found, TARE_FINDING_CHANGED, "samples.jsonl:4"));
    assert_true(has(&found, TARE_FINDING_UNCHECKED, files[5]));
    assert_int_equal(tare_file_write(samples, text.data, text.size, NULL), TARE_OK);
    what_tare_wrote_is_sound(state);
    tare_buf_free(&text);
    tare_buf_free(&changed);
    free(samples);
}

/* ---- the chain, on a small file ----------------------------------------------------------------
 */

#define LINES 5

/* A samples.jsonl of five short records in a folder of its own: its text, and where lines begin. */
static char *make_chain(struct tare_buf *text, size_t begin[LINES + 1]) {
    char *folder = tare_path_join(dir, "chain"), *path = tare_path_join(dir, "chain/samples.jsonl");
    assert_int_equal(tare_make_dirs(folder, NULL), TARE_OK);
    for (int i = 0; i < LINES - 1; i++) {
        json_t *record = json_pack("{s:s,s:i}", "record", "x", "i", i);
        assert_int_equal(i ? tare_samples_append(folder, TARE_SAMPLES_FILE, record, NULL)
                           : tare_samples_begin(folder, TARE_SAMPLES_FILE, record, NULL),
                         TARE_OK);
    }
    assert_int_equal(tare_samples_append(folder, TARE_SAMPLES_FILE, tare_record_end(true), NULL),
                     TARE_OK);
    assert_int_equal(tare_file_read(text, path, 1 << 20, NULL), TARE_OK);
    begin[0] = 0;
    for (size_t i = 1; i <= LINES; i++)
        begin[i] = (size_t)(strchr(text->data + begin[i - 1], '\n') - text->data) + 1;
    assert_int_equal(begin[LINES], text->size);
    free(path);
    return folder;
}

/* Findings of the folder when its samples.jsonl holds these bytes; no fsync: there are thousands.
 */
static void verify_bytes(struct found *found, const char *folder, const char *bytes, size_t size) {
    char *path = tare_path_join(folder, "samples.jsonl");
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    *found = (struct found){0};
    struct tare_verify v = {.dir = folder, .found = remember, .context = found};
    assert_int_equal(tare_verify_folder(&v, NULL), TARE_OK);
    free(path);
}

/* In its line and in no other; a bit that makes a newline, in both halves of its line. */
static void every_bit_of_the_samples_is_found(void **state) {
    (void)state;
    struct tare_buf text = {0};
    size_t begin[LINES + 1], line = 0;
    char *folder = make_chain(&text, begin), name[40];
    struct found found;
    verify_bytes(&found, folder, text.data, text.size);
    assert_int_equal(found.count, 0);
    for (size_t i = 0; i < text.size; i++) {
        line += i == begin[line + 1];
        snprintf(name, sizeof name, "samples.jsonl:%zu", line + 1);
        for (int bit = 0; bit < 8; bit++) {
            text.data[i] ^= (char)(1 << bit);
            verify_bytes(&found, folder, text.data, text.size);
            if (!has(&found, TARE_FINDING_CHANGED, name) ||
                found.count != (text.data[i] == '\n' ? 2 : 1))
                fail_msg("bit %d of byte %zu, in line %zu: %zu findings", bit, i, line + 1,
                         found.count);
            text.data[i] ^= (char)(1 << bit);
        }
    }
    tare_buf_free(&text);
    free(folder);
}

static void every_line_is_missed_or_found_again(void **state) {
    (void)state;
    struct tare_buf text = {0};
    size_t begin[LINES + 1];
    char *folder = make_chain(&text, begin);
    struct found found;
    for (size_t i = 0; i < LINES; i++) {
        const char *line = text.data + begin[i], *after = text.data + begin[i + 1];
        size_t size = begin[i + 1] - begin[i], rest = text.size - begin[i + 1];
        struct tare_buf dropped = {0}, doubled = {0}, swapped = {0};
        tare_buf_append(&dropped, text.data, begin[i]);
        tare_buf_append(&dropped, after, rest);
        tare_buf_append(&doubled, text.data, begin[i + 1]);
        tare_buf_append(&doubled, line, text.size - begin[i]);
        char name[40];
        snprintf(name, sizeof name, "samples.jsonl:%zu", i + 1);
        verify_bytes(&found, folder, dropped.data, dropped.size);
        if (i + 1 < LINES) /* the next one in its place */
            assert_only(&found, TARE_FINDING_CHANGED, name);
        else
            assert_only(&found, TARE_FINDING_MISSING, "samples.jsonl");
        snprintf(name, sizeof name, "samples.jsonl:%zu", i + 2);
        verify_bytes(&found, folder, doubled.data, doubled.size);
        assert_only(&found, TARE_FINDING_CHANGED, name);
        if (i + 1 < LINES) {
            size_t next = begin[i + 2] - begin[i + 1];
            tare_buf_append(&swapped, text.data, begin[i]);
            tare_buf_append(&swapped, after, next);
            tare_buf_append(&swapped, line, size);
            tare_buf_append(&swapped, after + next, rest - next);
            assert_int_equal(swapped.size, text.size);
            verify_bytes(&found, folder, swapped.data, swapped.size);
            assert_true(has(&found, TARE_FINDING_CHANGED, name)); /* both, and what is behind */
            assert_int_equal(found.count, i + 2 < LINES ? 3 : 2);
        }
        /* cut off in the middle, as by a crash; of the first line nothing would be left to tell */
        verify_bytes(&found, folder, text.data, begin[i] + size / 2 + (i == 0 ? size : 0));
        assert_true(found.count > 0);
        tare_buf_free(&dropped);
        tare_buf_free(&doubled);
        tare_buf_free(&swapped);
    }
    tare_buf_free(&text);
    free(folder);
}

/* Nothing in a folder may lead out of it, and no text may break the reader. */
static void hostile_records_are_findings(void **state) {
    (void)state;
    const char *const paths[] = {
        "/etc/passwd", "../results/report.md", "jobs/../../x", "", "..", "jobs/..", "\x1b[31mx"};
    char *folder = tare_path_join(dir, "hostile");
    struct found found;
    assert_int_equal(tare_make_dirs(folder, NULL), TARE_OK);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        json_t *record = json_pack("{s:s,s:{s:s}}", "record", "run", "files", paths[i], "00");
        assert_int_equal(tare_samples_begin(folder, TARE_SAMPLES_FILE, record, NULL), TARE_OK);
        assert_int_equal(
            tare_samples_append(folder, TARE_SAMPLES_FILE, tare_record_end(true), NULL), TARE_OK);
        found = (struct found){0};
        struct tare_verify v = {.dir = folder, .found = remember, .context = &found};
        assert_int_equal(tare_verify_folder(&v, NULL), TARE_OK);
        bool inside = paths[i][0] == '\x1b';
        assert_only(&found, inside ? TARE_FINDING_MISSING : TARE_FINDING_CHANGED, paths[i]);
    }
    const char *const odd[] = {"\"files\":3", "\"files\":[\"a\"]", "\"files\":{\"a\":3}",
                               "\"a\":1"};
    for (size_t i = 0; i < 4; i++) {
        char text[64];
        snprintf(text, sizeof text, "{%s}", odd[i]);
        assert_int_equal(
            tare_samples_begin(folder, TARE_SAMPLES_FILE, json_loads(text, 0, NULL), NULL),
            TARE_OK);
        assert_int_equal(
            tare_samples_append(folder, TARE_SAMPLES_FILE, tare_record_end(true), NULL), TARE_OK);
        struct tare_verify v = {.dir = folder};
        assert_int_equal(tare_verify_folder(&v, NULL), TARE_OK);
    }
    struct tare_buf line = {0};
    tare_report_finding(&line, TARE_FINDING_MISSING, "\x1b[31mx", "gone");
    assert_null(strchr(line.data, 0x1b));
    tare_buf_free(&line);
    free(folder);
}

static void folders_without_checksums_are_errors(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct tare_verify v = {.dir = "/nowhere/at/all"};
    assert_int_equal(tare_verify_folder(&v, &err), TARE_IO);
    char *folder = tare_path_join(dir, "old"), *path = tare_path_join(dir, "old/samples.jsonl");
    v.dir = folder;
    assert_int_equal(tare_make_dirs(folder, NULL), TARE_OK);
    assert_int_equal(tare_file_write(path, "", 0, NULL), TARE_OK);
    assert_int_equal(tare_verify_folder(&v, &err), TARE_DATA);
    static const char old[] = "{\"record\":\"experiment\"}\n{\"record\":\"job\"}\n";
    assert_int_equal(tare_file_write(path, old, sizeof old - 1, NULL), TARE_OK);
    assert_int_equal(tare_verify_folder(&v, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "no checksums"));
    /* and nothing of tare's is appended to a file that doesn't end in a record of tare's */
    assert_int_equal(tare_samples_append(folder, TARE_SAMPLES_FILE, tare_record_end(true), &err),
                     TARE_DATA);
    free(path);
    free(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_tare_wrote_is_sound),
        cmocka_unit_test(one_byte_in_any_file_is_found),
        cmocka_unit_test(a_longer_file_is_found),
        cmocka_unit_test(a_missing_file_is_found),
        cmocka_unit_test(an_extra_file_is_a_warning),
        cmocka_unit_test(a_changed_line_is_named_alone),
        cmocka_unit_test(every_bit_of_the_samples_is_found),
        cmocka_unit_test(every_line_is_missed_or_found_again),
        cmocka_unit_test(hostile_records_are_findings),
        cmocka_unit_test(folders_without_checksums_are_errors),
    };
    return cmocka_run_group_tests_name("verify", tests, set_up, tear_down);
}
