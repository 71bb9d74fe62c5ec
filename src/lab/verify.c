/* verify.c: a results folder against the checksums in its samples.jsonl: first the chain of its
 * lines over their raw bytes, then every file that a sound line names, then what nobody named.
 * provenance.c made the checksums. Nothing in the folder is trusted: lines may be anything, and
 * paths may point anywhere. */
#include "tare/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "lab/provenance.h"
#include "lab/read_samples.h"
#include "tare/buf.h"

static const char *const finding_names[] = {
#define X(id, name) name,
    TARE_FINDING_LIST(X)
#undef X
};

const char *tare_finding_name(enum tare_finding finding) {
    return finding_names[finding];
}

void tare_verify_found(struct tare_verify *verify, enum tare_finding finding, const char *path,
                       const char *why) {
    verify->counts[finding]++;
    if (verify->found)
        verify->found(verify->context, finding, path, why);
}

size_t tare_verify_faults(const struct tare_verify *verify) {
    return verify->counts[TARE_FINDING_CHANGED] + verify->counts[TARE_FINDING_MISSING];
}

/* What is known while the lines are read. */
struct state {
    struct tare_verify *verify;
    json_t *sums;            /* path → checksum, of lines that are sound; NULL: not asked for */
    json_t *named;           /* path → true, of the others */
    struct tare_chain chain; /* of the lines so far */
    bool ended;              /* the last line is the end record, or is a finding itself */
};

static enum tare_status no_memory(struct tare_err *err, const char *where) {
    return tare_fail(err, TARE_MEMORY, where, NULL, "no memory to verify the folder");
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* Remembers the files a line names, and whether it is the end. */
static enum tare_status take_record(struct state *s, bool sound, const char *line, size_t size,
                                    struct tare_err *err) {
    enum tare_status status = TARE_OK;
    json_t *record = tare_json_load(line, size, NULL, &status);
    if (status == TARE_MEMORY)
        return no_memory(err, "samples.jsonl");
    const char *kind = json_string_value(json_object_get(record, "record"));
    json_t *files = s->sums ? json_object_get(record, "files") : NULL, *sum = NULL;
    const char *path = NULL;
    s->ended = !sound || (kind && strcmp(kind, "end") == 0); /* one fault is found once */
    bool kept = true;
    json_object_foreach(files, path, sum) {
        kept = kept && json_object_set(sound ? s->sums : s->named, path, sum) == 0;
    }
    json_decref(record);
    return kept ? TARE_OK : no_memory(err, "samples.jsonl");
}

static void found_line(struct state *s, size_t line, const char *why) {
    char path[40];
    snprintf(path, sizeof path, "samples.jsonl:%zu", line);
    tare_verify_found(s->verify, TARE_FINDING_CHANGED, path, why);
}

static enum tare_status check_lines(struct state *s, const char *text, size_t size,
                                    struct tare_err *err) {
    enum tare_status status = TARE_OK;
    for (size_t at = 0; at < size && status == TARE_OK;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size;
        bool sound = false;
        s->verify->lines++;
        if (!tare_chain_take(&s->chain, &sound, text + at, end - at))
            return no_memory(err, "samples.jsonl");
        if (!newline)
            found_line(s, s->verify->lines, "ends in the middle, as a crash leaves it");
        else if (!sound)
            found_line(s, s->verify->lines,
                       "doesn't fit its checksum: it was changed, or a line is missing, doubled or "
                       "moved before it");
        if (s->sums || end + 1 >= size)
            status = take_record(s, sound && newline, text + at, end - at, err);
        at = end + 1;
    }
    if (status == TARE_OK && !s->ended)
        tare_verify_found(s->verify, TARE_FINDING_MISSING, "samples.jsonl",
                          "its end: the experiment broke off, or lines were cut off");
    return status;
}

static void reset(struct tare_verify *verify) {
    verify->lines = verify->files = 0;
    memset(verify->counts, 0, sizeof verify->counts);
}

enum tare_status tare_verify_lines(struct tare_verify *verify, const char *text, size_t size,
                                   struct tare_err *err) {
    struct state s = {.verify = verify};
    reset(verify);
    return check_lines(&s, text, size, err);
}

static enum tare_status check_samples(struct state *s, struct tare_err *err) {
    struct tare_buf text = {0};
    char *path = tare_path_join(s->verify->dir, "samples.jsonl");
    enum tare_status status =
        path ? tare_samples_text(&text, path, false, err) : no_memory(err, s->verify->dir);
    if (status == TARE_OK && text.size == 0)
        status = tare_fail(err, TARE_DATA, path, "run tare compare again",
                           "the file is empty: there is nothing to verify");
    if (status == TARE_OK && !tare_is_chained(text.data, text.size))
        status = tare_fail(err, TARE_DATA, path, "tare report still reads it",
                           "its lines carry no checksums: there is nothing to verify");
    if (status == TARE_OK)
        status = check_lines(s, text.data, text.size, err);
    tare_buf_free(&text);
    free(path);
    return status;
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* Relative, and never out of the folder. */
static bool is_inside(const char *path) {
    if (path[0] == '/' || path[0] == '\0')
        return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

enum tare_status tare_verify_file(struct tare_verify *verify, char **whole, const char *path,
                                  struct tare_err *err) {
    struct stat info;
    verify->files++;
    *whole = tare_path_join(verify->dir, path);
    if (!*whole)
        return no_memory(err, path);
    bool there = lstat(*whole, &info) == 0;
    if (there && S_ISREG(info.st_mode))
        return TARE_OK;
    enum tare_status status = TARE_OK;
    if (there)
        tare_verify_found(verify, TARE_FINDING_CHANGED, path, "is not a file any more");
    else if (errno == ENOENT || errno == ENOTDIR)
        tare_verify_found(verify, TARE_FINDING_MISSING, path, "");
    else
        status = tare_fail_errno(err, *whole, "check its permissions", "cannot be read");
    free(*whole);
    *whole = NULL;
    return status;
}

static enum tare_status check_file(struct tare_verify *verify, const char *path,
                                   const char *recorded, struct tare_err *err) {
    char sha256[65], *whole = NULL;
    if (!is_inside(path)) {
        tare_verify_found(verify, TARE_FINDING_CHANGED, path, "lies outside the results folder");
        return TARE_OK;
    }
    enum tare_status status = tare_verify_file(verify, &whole, path, err);
    if (whole)
        status = tare_sha256_file(sha256, whole, err);
    if (whole && status == TARE_OK && (!recorded || strcmp(sha256, recorded) != 0))
        tare_verify_found(verify, TARE_FINDING_CHANGED, path, "");
    free(whole);
    return status;
}

static enum tare_status visit(void *context, const char *path, bool is_file, struct tare_err *err) {
    (void)err;
    struct state *s = context;
    if (json_object_get(s->sums, path))
        return TARE_OK; /* checked by its checksum */
    if (json_object_get(s->named, path))
        tare_verify_found(s->verify, TARE_FINDING_UNCHECKED, path,
                          "its checksum stands in a line that was changed");
    else
        tare_verify_found(s->verify, TARE_FINDING_EXTRA, path,
                          is_file ? "nobody recorded it" : "is not a file");
    return TARE_OK;
}

static enum tare_status check_files(struct state *s, struct tare_err *err) {
    const char *path = NULL;
    json_t *sum = NULL;
    enum tare_status status = TARE_OK;
    json_object_foreach(s->sums, path, sum) {
        if (status == TARE_OK)
            status = check_file(s->verify, path, json_string_value(sum), err);
    }
    const char *const folders[] = {"jobs", "runs", "certificates"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders && status == TARE_OK; i++)
        status = tare_folder_visit(s->verify->dir, folders[i], visit, s, err);
    return status;
}

enum tare_status tare_verify_folder(struct tare_verify *verify, struct tare_err *err) {
    struct state s = {.verify = verify, .sums = json_object(), .named = json_object()};
    reset(verify);
    enum tare_status status =
        s.sums && s.named ? check_samples(&s, err) : no_memory(err, verify->dir);
    if (status == TARE_OK)
        status = check_files(&s, err);
    json_decref(s.sums);
    json_decref(s.named);
    return status;
}
