/* provenance.c: checksums of what a measurement was made with and of what it left behind, and the
 * chain that ties the lines of samples.jsonl together. record.c and samples.c write them, verify.c
 * compares. They find accidents and careless edits; whoever rewrites the whole folder can write
 * matching checksums too. */
#include "lab/provenance.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "tare/buf.h"

#define MAX_DEPTH 16 /* of folders in a job's folder: more is a loop or no results folder */

bool tare_link(char link[TARE_LINK_BYTES + 1], const char *previous, const char *text,
               size_t size) {
    struct tare_buf chained = {0};
    tare_buf_puts(&chained, previous);
    tare_buf_append(&chained, text, size);
    const bool whole = !chained.failed;
    if (whole)
        tare_sha256_hex(link, chained.data, chained.size);
    tare_buf_free(&chained); /* which forgets that it failed */
    return whole;
}

bool tare_chain_take(struct tare_chain *chain, bool *sound, const char *line, size_t size) {
    static const char key[] = TARE_LINK_KEY, end[] = TARE_LINK_END;
    bool long_enough = size >= TARE_LINK_TAIL_BYTES, has_link = false, fits = false;
    size_t text_size = long_enough ? size - TARE_LINK_TAIL_BYTES : size;
    struct tare_chain now = {0};
    char *stated = now.links[0], fitting[TARE_LINK_BYTES + 1];
    if (long_enough) {
        const char *tail = line + text_size, *digits = tail + sizeof key - 1;
        has_link = memcmp(tail, key, sizeof key - 1) == 0 &&
                   memcmp(digits + TARE_LINK_BYTES, end, sizeof end - 1) == 0;
        memcpy(stated, digits, TARE_LINK_BYTES);
    }
    for (size_t i = 0; i < TARE_CHAIN_LINKS && !fits; i++) {
        bool new = i == 0 || memcmp(chain->links[i], chain->links[i - 1], TARE_LINK_BYTES) != 0;
        if (new && !tare_link(fitting, chain->links[i], line, text_size))
            return false;
        fits = memcmp(stated, fitting, TARE_LINK_BYTES) == 0;
        if (i + 1 < TARE_CHAIN_LINKS)
            memcpy(now.links[i + 1], fitting, sizeof fitting);
    }
    for (size_t i = 1; i < TARE_CHAIN_LINKS && fits; i++)
        memcpy(now.links[i], stated, TARE_LINK_BYTES);
    *sound = has_link && fits;
    *chain = now;
    return true;
}

bool tare_is_chained(const char *text, size_t size) {
    return memmem(text, size, TARE_LINK_KEY, sizeof TARE_LINK_KEY - 1) != NULL;
}

void tare_provenance_program(char sha256[65], const char *path) {
    if (tare_sha256_file(sha256, path, NULL) != TARE_OK)
        sha256[0] = '\0';
}

/* The program that runs doesn't change while it does. */
const char *tare_provenance_self(void) {
    static char sha256[65];
    if (!sha256[0])
        tare_provenance_program(sha256, "/proc/self/exe");
    return sha256;
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* By bytes, not by the locale: the order is part of what is recorded. */
static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_a_dot(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

struct walk {
    const char *dir;
    enum tare_status (*visit)(void *context, const char *path, bool is_file, struct tare_err *err);
    void *context;
    struct tare_err *err;
};

static enum tare_status walk_folder(const struct walk *w, const char *folder, int depth);

static enum tare_status walk_entry(const struct walk *w, const char *path, int depth) {
    char *whole = tare_path_join(w->dir, path);
    struct stat info;
    enum tare_status status = TARE_OK;
    if (!whole)
        status = tare_fail(w->err, TARE_MEMORY, path, NULL, "no memory for a path");
    else if (lstat(whole, &info) != 0) /* it went while we looked: nothing to visit */
        status = errno == ENOENT ? TARE_OK : tare_fail_errno(w->err, whole, NULL, "is unreadable");
    else if (S_ISDIR(info.st_mode))
        status = walk_folder(w, path, depth + 1);
    else
        status = w->visit(w->context, path, S_ISREG(info.st_mode), w->err);
    free(whole);
    return status;
}

static enum tare_status walk_folder(const struct walk *w, const char *folder, int depth) {
    if (depth > MAX_DEPTH)
        return tare_fail(w->err, TARE_DATA, folder, "is this a results folder?",
                         "folders are nested more than %d deep", MAX_DEPTH);
    char *whole = tare_path_join(w->dir, folder);
    struct dirent **entries = NULL;
    int count = whole ? (int)TEMP_FAILURE_RETRY(scandir(whole, &entries, not_a_dot, by_name)) : -1;
    enum tare_status status = TARE_OK;
    if (!whole)
        status = tare_fail(w->err, TARE_MEMORY, folder, NULL, "no memory for a path");
    else if (count < 0 && errno != ENOENT)
        status = tare_fail_errno(w->err, whole, NULL, "the folder cannot be read");
    for (int i = 0; i < count; i++) {
        char *path = status == TARE_OK ? tare_path_join(folder, entries[i]->d_name) : NULL;
        if (path)
            status = walk_entry(w, path, depth);
        else if (status == TARE_OK)
            status = tare_fail(w->err, TARE_MEMORY, folder, NULL, "no memory for a path");
        free(path);
        free(entries[i]);
    }
    free(entries);
    free(whole);
    return status;
}

enum tare_status tare_folder_visit(const char *dir, const char *folder,
                                   enum tare_status (*visit)(void *context, const char *path,
                                                             bool is_file, struct tare_err *err),
                                   void *context, struct tare_err *err) {
    struct walk w = {.dir = dir, .visit = visit, .context = context, .err = err};
    return walk_folder(&w, folder, 0);
}

struct recording {
    const char *dir;
    json_t *files;
};

static enum tare_status record_file(void *context, const char *path, bool is_file,
                                    struct tare_err *err) {
    struct recording *r = context;
    char sha256[65];
    if (!is_file)
        return TARE_OK;
    char *whole = tare_path_join(r->dir, path);
    if (!whole)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory for a path");
    if (tare_sha256_file(sha256, whole, NULL) == TARE_OK)
        json_object_set_new(r->files, path, json_string(sha256));
    free(whole);
    return TARE_OK;
}

json_t *tare_provenance_files(const char *dir, const char *folder) {
    const size_t lost = tare_json_lost();
    struct recording r = {.dir = dir, .files = json_object()};
    if (r.files && tare_folder_visit(dir, folder, record_file, &r, NULL) != TARE_MEMORY)
        return tare_json_whole(r.files, lost);
    json_decref(r.files);
    return NULL;
}
