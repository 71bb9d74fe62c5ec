/* remember.c: the way back to a data set that was read before, without inflating, hashing or
 * checking its files again. Two texts in tare's cache say how files were; as long as they still
 * are so, what was known of them then is known now:
 *
 *     <cache>/prepared/SET/seal            the set's files, when they had just been written
 *     <cache>/remembered/KEY               the source files when they were read, what they turned
 *                                          out to be, SET, and the SHA-256 of its seal
 *
 * A text is compared with one made anew, so there is nothing to parse. Whatever is wrong, missing
 * or somebody else's is as if nothing were remembered: the sources are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/parts.h"

#define FORMAT "tare-set/1 "
#define SEAL "seal"
#define MAX_SEAL_BYTES 4096
#define MAX_ENTRY_BYTES 8192
/* A file may change twice within one tick of the clock that stamps it; what changed so recently
 * isn't remembered. Ticks are 1 to 10 ms. */
#define SETTLED_NS INT64_C(100000000)

static int64_t ns_of(struct timespec t) {
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* No program can set the time of a file's last change (ctime). */
static void put_times(struct tare_buf *out, const struct stat *info) {
    tare_buf_printf(out, "%lld bytes, modified %lld, changed %lld\n", (long long)info->st_size,
                    (long long)ns_of(info->st_mtim), (long long)ns_of(info->st_ctim));
}

/* ---- the seal ----------------------------------------------------------------------------------
 */

/* How the files of a prepared folder are. */
static bool put_seal(struct tare_buf *out, const char *dir) {
    const char *name;
    for (size_t i = 0; (name = tare_dataset_file(i)) != NULL; i++) {
        struct stat info;
        char *path = tare_path_join(dir, name);
        if (path == NULL)
            return false;
        const bool there = lstat(path, &info) == 0;
        free(path);
        tare_buf_printf(out, "%s: ", name);
        if (there && S_ISREG(info.st_mode))
            put_times(out, &info);
        else
            tare_buf_puts(out, "no file\n");
    }
    return !out->failed;
}

enum tare_status tare_seal(const char *dir, struct tare_err *err) {
    struct tare_buf seal = {0};
    char *path = tare_path_join(dir, SEAL);
    const enum tare_status status =
        put_seal(&seal, dir) && path != NULL
            ? tare_file_write(path, seal.data, seal.size, err)
            : tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to prepare the data");
    free(path);
    tare_buf_free(&seal);
    return status;
}

/* sha256: of the seal. */
static bool is_sealed(char sha256[65], const char *dir) {
    struct tare_buf seal = {0}, now = {0};
    char *path = tare_path_join(dir, SEAL);
    const bool same = path != NULL && put_seal(&now, dir) &&
                      tare_file_read(&seal, path, MAX_SEAL_BYTES, NULL) == TARE_OK &&
                      seal.size == now.size && memcmp(seal.data, now.data, now.size) == 0;
    if (same)
        tare_sha256_hex(sha256, seal.data, seal.size);
    free(path);
    tare_buf_free(&seal);
    tare_buf_free(&now);
    return same;
}

bool tare_is_sealed(const char *dir) {
    char sha256[65];
    return is_sealed(sha256, dir);
}

/* ---- the question ------------------------------------------------------------------------------
 */

/* Of the set that is asked for, in the folder that it is asked of: 64 characters. */
static bool put_key(struct tare_buf *out, const struct tare_found *found, const char *wanted,
                    bool any) {
    struct tare_buf asked = {0};
    char key[65], *real = realpath(found->dir, NULL);
    if (real != NULL)
        tare_buf_printf(&asked, "%s%s in %s", wanted, any ? " or any" : "", real);
    const bool good = asked.data != NULL && !asked.failed;
    if (good)
        tare_sha256_hex(key, asked.data, asked.size);
    tare_buf_printf(out, FORMAT "%s\n", good ? key : "");
    free(real);
    tare_buf_free(&asked);
    return good;
}

bool tare_ask(struct tare_buf *question, const struct tare_found *found, const char *wanted,
              bool any) {
    struct timespec now;
    bool good = found->kind != TARE_FOUND_FOLDER && clock_gettime(CLOCK_REALTIME, &now) == 0 &&
                put_key(question, found, wanted, any);
    for (size_t i = 0; good && i < TARE_SET_FILES; i++) {
        struct stat info;
        const char *slash = strrchr(found->paths[i], '/');
        good = stat(found->paths[i], &info) == 0 && ns_of(now) - ns_of(info.st_ctim) > SETTLED_NS;
        if (!good)
            break;
        tare_buf_printf(question, "%s: file %llu of %llu, ", slash ? slash + 1 : found->paths[i],
                        (unsigned long long)info.st_ino, (unsigned long long)info.st_dev);
        put_times(question, &info);
    }
    return good && !question->failed;
}

/* ---- the answer --------------------------------------------------------------------------------
 */

/* <cache>/remembered/KEY, or the folder alone; NULL where there is none. */
static char *entry_path(const char *question) {
    char name[sizeof "remembered/" + 64] = "remembered";
    if (question != NULL)
        snprintf(name, sizeof name, "remembered/%.64s", question + sizeof FORMAT - 1);
    char *cache = tare_cache_dir();
    char *path = cache == NULL ? NULL : tare_path_join(cache, name);
    free(cache);
    return path;
}

void tare_note_answer(struct tare_dataset *set, struct tare_buf *question) {
    tare_buf_printf(question, "name %s\ntitle %s\nlicence %s\nsha256 %s\n", set->name, set->title,
                    set->licence, set->sha256);
    if (question->failed)
        return;
    set->origin = question->data;
    *question = (struct tare_buf){0};
}

/* It is no error that it can't be written: next time the sources are read again. */
void tare_remember(const struct tare_dataset *set, const char *folder) {
    struct tare_buf entry = {0};
    char sha256[65];
    if (set->origin == NULL || !is_sealed(sha256, folder))
        return;
    char *parent = entry_path(NULL), *path = entry_path(set->origin);
    tare_buf_printf(&entry, "%sfolder %s\nseal %s\n", set->origin, strrchr(folder, '/') + 1,
                    sha256);
    if (parent != NULL && path != NULL && !entry.failed) {
        tare_sha256_hex(sha256, entry.data, entry.size);
        tare_buf_printf(&entry, "sum %s\n", sha256);
        if (!entry.failed && tare_make_dirs(parent, NULL) == TARE_OK)
            tare_file_write(path, entry.data, entry.size, NULL);
    }
    free(parent);
    free(path);
    tare_buf_free(&entry);
}

/* The entry, whole and by this user or root. */
static bool read_entry(struct tare_buf *entry, const char *question) {
    static const char sum[] = "sum ";
    const size_t sum_bytes = sizeof sum - 1 + 64 + 1;
    struct stat info;
    char sha256[65], *path = entry_path(question);
    bool good = path != NULL && lstat(path, &info) == 0 && S_ISREG(info.st_mode) &&
                (info.st_uid == geteuid() || info.st_uid == 0) &&
                tare_file_read(entry, path, MAX_ENTRY_BYTES, NULL) == TARE_OK &&
                entry->size > sum_bytes;
    free(path);
    if (!good)
        return false;
    entry->size -= sum_bytes;
    const char *end = entry->data + entry->size;
    tare_sha256_hex(sha256, entry->data, entry->size);
    return memcmp(end, sum, sizeof sum - 1) == 0 && memcmp(end + sizeof sum - 1, sha256, 64) == 0;
}

/* The rest of the line at *at, which must begin with `begin`. */
static bool take_line(char *out, size_t out_size, const char **at, const char *begin) {
    const size_t begin_size = strlen(begin);
    const char *newline = strchr(*at, '\n');
    if (newline == NULL || strncmp(*at, begin, begin_size) != 0)
        return false;
    const size_t size = (size_t)(newline - *at) - begin_size;
    if (size >= out_size)
        return false;
    memcpy(out, *at + begin_size, size);
    out[size] = '\0';
    *at = newline + 1;
    return true;
}

/* One array of a prepared folder, checked as if it came from anywhere. Labels are always read: they
 * are what engines are graded by. */
static bool take_array(struct tare_dataset *set, size_t role, const char *dir, bool mapped) {
    struct tare_array *array = tare_set_array(set, role);
    char *path = tare_path_join(dir, tare_dataset_file(role));
    const bool images = role % 2 == 0;
    bool good = path != NULL &&
                (images && mapped ? tare_npy_map : tare_npy_read)(array, path, NULL) == TARE_OK;
    free(path);
    if (!good || tare_array_count(array) == 0)
        return false;
    if (images)
        return array->dtype == TARE_U8 && array->rank >= 2;
    good = array->dtype == TARE_I32 && array->rank == 1;
    for (size_t i = 0; good && i < array->shape[0]; i++) {
        const int32_t label = ((const int32_t *)array->data)[i];
        good = label >= 0 && label < TARE_MAX_CLASSES;
    }
    return good;
}

/* The arrays of the folder, which were there before and after they were taken. */
static bool take_folder(struct tare_dataset *set, const char *name, const char *seal, bool mapped) {
    struct tare_buf expected = {0};
    set->mapped = mapped;
    char sha256[65] = "", *cache = tare_cache_dir();
    char *parent = cache == NULL ? NULL : tare_path_join(cache, "prepared");
    char *dir = parent == NULL ? NULL : tare_path_join(parent, name);
    bool good = dir != NULL;
    for (size_t role = 0; good && role < TARE_SET_FILES; role++)
        good = take_array(set, role, dir, mapped);
    tare_prepared_name(&expected, set);
    good = good && !expected.failed && strcmp(expected.data, name) == 0 && is_sealed(sha256, dir) &&
           strcmp(sha256, seal) == 0;
    tare_buf_free(&expected);
    free(dir);
    free(parent);
    free(cache);
    return good;
}

bool tare_recall(struct tare_dataset *set, const struct tare_buf *question, bool mapped) {
    struct tare_buf entry = {0};
    char folder[128], seal[65];
    bool good = read_entry(&entry, question->data) && entry.size > question->size &&
                memcmp(entry.data, question->data, question->size) == 0 &&
                strlen(entry.data) > entry.size; /* no NUL inside */
    const char *at = good ? entry.data + question->size : NULL;
    good = good && take_line(set->name, sizeof set->name, &at, "name ") &&
           take_line(set->title, sizeof set->title, &at, "title ") &&
           take_line(set->licence, sizeof set->licence, &at, "licence ") &&
           take_line(set->sha256, sizeof set->sha256, &at, "sha256 ") &&
           take_line(folder, sizeof folder, &at, "folder ") &&
           take_line(seal, sizeof seal, &at, "seal ") && at == entry.data + entry.size &&
           strspn(folder, "0123456789abcdefx-") == strlen(folder) && folder[0] != '\0';
    tare_buf_free(&entry);
    return good && take_folder(set, folder, seal, mapped);
}
