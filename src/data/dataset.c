/* dataset.c: finds the data set that was asked for: in the folder named, along the search path, by
 * downloading it, or, where allowed, the stand-in. look.c says what a folder holds, read_set.c
 * reads and checks it, fetch.c downloads.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/parts.h"

#define STANDIN "fashion-mnist"

void tare_dataset_free(struct tare_dataset *set) {
    for (size_t i = 0; i < TARE_SET_FILES; i++)
        tare_array_free(tare_set_array(set, i));
    free(set->origin);
    *set = (struct tare_dataset){0};
}

void tare_data_progress(const struct tare_data_options *options, const char *fmt, ...) {
    if (options == NULL || options->progress == NULL)
        return;
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    options->progress(options->context, text);
}

static enum tare_status no_memory(struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to look for data");
}

/* Looks in dir, then in dir/name. */
static enum tare_status look_in_both(struct tare_found *found, const char *dir, const char *name,
                                     struct tare_err *err) {
    enum tare_status status = tare_look_in(found, dir, err);
    if (status != TARE_OK || found->kind != TARE_FOUND_NOTHING)
        return status;
    tare_found_free(found);
    char *inner = tare_path_join(dir, name);
    if (inner == NULL)
        return no_memory(err);
    status = tare_look_in(found, inner, err);
    free(inner);
    return status;
}

/* The folder the user named: what it holds is taken, and if it holds nothing that is an error
 * rather than a reason to search elsewhere. */
static enum tare_status load_from_dir(struct tare_dataset *set, const char *dir,
                                      const struct tare_known_set *wanted, bool any,
                                      enum tare_data_cache cache, struct tare_err *err) {
    static const char layouts[] =
        "a folder with train-images-idx3-ubyte[.gz] and its three companions, with "
        "train_images.npy and its three companions, or with train/CLASS/x.png and test/CLASS/x.png";
    struct tare_found found;
    enum tare_status status =
        look_in_both(&found, dir, wanted == NULL ? tare_known_sets[0].name : wanted->name, err);
    if (status != TARE_OK)
        return status;
    const char *missing = tare_found_missing(&found);
    if (found.kind == TARE_FOUND_NOTHING)
        status = tare_fail(err, TARE_DATA, dir, layouts,
                           tare_path_exists(dir) ? "there is no data set in this folder"
                                                 : "this folder does not exist");
    else if (missing != NULL)
        status = tare_fail(err, TARE_DATA, found.dir, layouts,
                           "the data set is not complete: %s is missing", missing);
    else if (wanted != NULL && found.kind != TARE_FOUND_IDX)
        status = tare_fail(err, TARE_DATA, found.dir, wanted->get,
                           "%s was asked for, which comes as IDX files; this folder holds %s",
                           wanted->title, tare_found_name(found.kind));
    else
        status = tare_found_read(set, &found, wanted, any, cache, err);
    tare_found_free(&found);
    return status;
}

/* The folder for data in the cache, in a new string; NULL where there is no cache, or without
 * memory. */
static char *cached_data(bool *no_room) {
    char *cache = tare_cache_dir();
    char *path = cache == NULL ? NULL : tare_path_join(cache, "data");
    *no_room = path == NULL && (cache != NULL || errno == ENOMEM);
    free(cache);
    return path;
}

/* The i-th folder of the search path in a new string; NULL for one that does not apply, and for
 * want of memory, with *no_room set. *end is set behind the last. */
static char *search_folder(int i, const struct tare_known_set *known, bool *end, bool *no_room) {
    const char *environment = getenv("TARE_DATA");
    const char *const folders[] = {environment != NULL && environment[0] != '\0' ? environment
                                                                                 : NULL,
                                   "./data", NULL, known->system_dir};
    *end = i == 4;
    *no_room = false;
    if (i == 2)
        return cached_data(no_room);
    if (*end || folders[i] == NULL)
        return NULL;
    char *path = strdup(folders[i]);
    *no_room = path == NULL;
    return path;
}

/* Loads a published set from the first folder of the search path that holds all of it. *loaded
 * stays false where none does. A folder with some of its files is passed over: it may be a
 * download that was cut; a folder with wrong files is an error. */
static enum tare_status load_from_path(struct tare_dataset *set, bool *loaded,
                                       const struct tare_known_set *known,
                                       enum tare_data_cache cache, struct tare_err *err) {
    enum tare_status status = TARE_OK;
    bool end = false;
    *loaded = false;
    for (int i = 0; status == TARE_OK && !end && !*loaded; i++) {
        struct tare_found found;
        bool no_room;
        char *dir = search_folder(i, known, &end, &no_room);
        if (no_room)
            return no_memory(err);
        if (dir == NULL)
            continue;
        status = look_in_both(&found, dir, known->name, err);
        free(dir);
        if (status != TARE_OK)
            break;
        if (found.kind == TARE_FOUND_IDX && tare_found_missing(&found) == NULL) {
            status = tare_found_read(set, &found, known, false, cache, err);
            *loaded = status == TARE_OK;
        }
        tare_found_free(&found);
    }
    return status;
}

/* Fetches one file of a set from the first mirror that has it. */
static enum tare_status download_file(const char *dir, const struct tare_known_file *file,
                                      const char *const *mirrors,
                                      const struct tare_data_options *options,
                                      struct tare_err *err) {
    struct tare_buf name = {0}, url = {0};
    tare_buf_printf(&name, "%s/%s.gz", dir, file->name);
    enum tare_status status = name.failed ? no_memory(err) : TARE_FAILED;
    for (size_t i = 0; !name.failed && status != TARE_OK && mirrors[i] != NULL; i++) {
        const size_t length = strlen(mirrors[i]);
        const bool slash = length > 0 && mirrors[i][length - 1] == '/';
        url.size = 0;
        tare_buf_printf(&url, "%s%s%s.gz", mirrors[i], slash ? "" : "/", file->name);
        status = url.failed ? no_memory(err)
                            : tare_fetch(name.data, url.data, file->sha256, options, err);
    }
    tare_buf_free(&name);
    tare_buf_free(&url);
    return status;
}

/* Downloads a set into <cache>/data/<name>. */
static enum tare_status download(const struct tare_known_set *known,
                                 const struct tare_data_options *options, struct tare_err *err) {
    const char *const one_mirror[2] = {options->mirror, NULL};
    const char *const *mirrors = options->mirror != NULL ? one_mirror : known->mirrors;
    struct tare_buf dir = {0};
    char *cache = tare_cache_dir();
    if (cache == NULL)
        return tare_no_cache_dir(err, "downloads");
    tare_buf_printf(&dir, "%s/data/%s", cache, known->name);
    free(cache);
    enum tare_status status = dir.failed ? no_memory(err) : tare_make_dirs(dir.data, err);
    for (size_t i = 0; status == TARE_OK && i < TARE_SET_FILES; i++)
        status = download_file(dir.data, &known->files[i], mirrors, options, err);
    tare_buf_free(&dir);
    return status;
}

static enum tare_status load_standin(struct tare_dataset *set, bool *loaded,
                                     const struct tare_known_set *missing,
                                     const struct tare_data_options *options,
                                     struct tare_err *err) {
    const struct tare_known_set *standin = tare_known_set_find(STANDIN);
    enum tare_status status = load_from_path(set, loaded, standin, options->cache, err);
    if (status != TARE_OK || !*loaded)
        return status;
    set->standin = true;
    snprintf(set->title, sizeof set->title, "%s (stand-in: %s not found)", standin->title,
             missing->title);
    tare_data_progress(options, "%s was not found; going on with %s", missing->title,
                       standin->title);
    return TARE_OK;
}

/* The error for a set that is nowhere. `why` is what the download said, if one was tried. */
static enum tare_status not_found(const struct tare_known_set *known, const struct tare_err *why,
                                  const struct tare_data_options *options, struct tare_err *err) {
    struct tare_buf hint = {0};
    tare_buf_printf(&hint, "%s", known->get);
    if (options->allow_standin && known != tare_known_set_find(STANDIN))
        tare_buf_printf(&hint, "; or for %s in its place: %s", tare_known_set_find(STANDIN)->title,
                        tare_known_set_find(STANDIN)->get);
    const char *text = hint.failed ? known->get : hint.data;
    enum tare_status status =
        why->status == TARE_OK
            ? tare_fail(err, TARE_DATA, known->title, text,
                        "not found in TARE_DATA, ./data or tare's cache")
            : tare_fail(err, TARE_DATA, known->title, text,
                        "not found on this machine, and it could not be downloaded: %.120s: %.200s",
                        why->where, why->what);
    tare_buf_free(&hint);
    return status;
}

enum tare_status tare_dataset_load(struct tare_dataset *set,
                                   const struct tare_data_options *options, struct tare_err *err) {
    *set = (struct tare_dataset){0};
    const char *name = options->name;
    const bool any = name != NULL && name[0] == '\0';
    const struct tare_known_set *known = NULL;
    if (!any) {
        known = tare_known_set_find(name == NULL ? tare_known_sets[0].name : name);
        if (known == NULL)
            return tare_fail(err, TARE_USAGE, name, "mnist or fashion-mnist; own data: --data DIR",
                             "there is no data set of this name");
    }
    if (options->dir != NULL)
        return load_from_dir(set, options->dir, name == NULL ? NULL : known, any, options->cache,
                             err);
    if (any)
        return tare_fail(err, TARE_USAGE, "--data", "--data DIR", "own data need a folder");
    bool loaded = false;
    struct tare_err why = {0};
    enum tare_status status = load_from_path(set, &loaded, known, options->cache, err);
    if (status != TARE_OK || loaded)
        return status;
    if (options->allow_download && (known->mirrors != NULL || options->mirror != NULL)) {
        if (download(known, options, &why) == TARE_OK)
            status = load_from_path(set, &loaded, known, options->cache, err);
        if (status != TARE_OK || loaded)
            return status;
    }
    if (options->allow_standin && known != tare_known_set_find(STANDIN))
        status = load_standin(set, &loaded, known, options, err);
    if (status != TARE_OK || loaded)
        return status;
    return not_found(known, &why, options, err);
}
