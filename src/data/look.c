/* look.c: what kind of data set a folder holds, by the names in it; nothing is opened. The order
 * IDX, .npy, folders of pictures decides where a folder holds several. dataset.c reads the result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/parts.h"

static const char *const idx_stems[TARE_SET_FILES] = {"train-images", "train-labels", "t10k-images",
                                                      "t10k-labels"};
static const char *const npy_names[TARE_SET_FILES] = {"train_images.npy", "train_labels.npy",
                                                      "test_images.npy", "test_labels.npy"};

/* DIR/NAME where that exists; NULL where not, or without memory (*failed says which). */
static char *existing(const char *dir, const char *name, bool *failed) {
    char *path = tare_path_join(dir, name);
    if (path == NULL)
        *failed = true;
    if (path != NULL && tare_path_exists(path))
        return path;
    free(path);
    return NULL;
}

/* train-images-idx3-ubyte, as published; and train-images.idx3-ubyte, as often unpacked; of any
 * rank; compressed or not, the plain file first as it is quicker to read. */
static char *find_idx(const char *dir, const char *stem, bool *failed) {
    for (int compressed = 0; compressed < 2; compressed++) {
        for (int rank = 1; rank <= TARE_MAX_RANK; rank++) {
            for (int dotted = 0; dotted < 2; dotted++) {
                char name[64];
                snprintf(name, sizeof name, "%s%cidx%d-ubyte%s", stem, dotted ? '.' : '-', rank,
                         compressed ? ".gz" : "");
                char *path = existing(dir, name, failed);
                if (path != NULL || *failed)
                    return path;
            }
        }
    }
    return NULL;
}

/* Both train and test must be folders: a checkout may well have a `test` for other reasons. */
static bool has_folders(const char *dir, bool *failed) {
    static const char *const names[2] = {"train", "test"};
    int count = 0;
    for (int i = 0; i < 2; i++) {
        struct stat info;
        char *path = existing(dir, names[i], failed);
        count += path != NULL && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
        free(path);
    }
    return count == 2;
}

enum tare_status tare_look_in(struct tare_found *found, const char *dir, struct tare_err *err) {
    bool failed = false;
    *found = (struct tare_found){.kind = TARE_FOUND_NOTHING, .dir = strdup(dir)};
    for (int i = 0; i < TARE_SET_FILES && !failed; i++) {
        found->paths[i] = find_idx(dir, idx_stems[i], &failed);
        if (found->paths[i] != NULL)
            found->kind = TARE_FOUND_IDX;
    }
    if (found->kind == TARE_FOUND_NOTHING) {
        for (int i = 0; i < TARE_SET_FILES && !failed; i++) {
            found->paths[i] = existing(dir, npy_names[i], &failed);
            if (found->paths[i] != NULL)
                found->kind = TARE_FOUND_NPY;
        }
    }
    if (found->kind == TARE_FOUND_NOTHING && has_folders(dir, &failed))
        found->kind = TARE_FOUND_FOLDER;
    if (failed || found->dir == NULL) {
        tare_found_free(found);
        return tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to look for data");
    }
    return TARE_OK;
}

const char *tare_found_name(enum tare_found_kind kind) {
    static const char *const names[] = {
#define X(id, name) name,
        TARE_FOUND_LIST(X)
#undef X
    };
    return names[kind];
}

const char *tare_found_missing(const struct tare_found *found) {
    if (found->kind == TARE_FOUND_FOLDER)
        return NULL;
    for (int i = 0; i < TARE_SET_FILES; i++)
        if (found->paths[i] == NULL)
            return found->kind == TARE_FOUND_NPY ? npy_names[i] : tare_known_sets[0].files[i].name;
    return NULL;
}

void tare_found_free(struct tare_found *found) {
    free(found->dir);
    for (int i = 0; i < TARE_SET_FILES; i++)
        free(found->paths[i]);
    *found = (struct tare_found){0};
}
