/* remove.c: folders with everything in them, removed. Links are removed, never followed. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>

#include "tare/buf.h"

#define OPEN_FOLDERS 16 /* at once, of a tree that may be deeper */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info;
    (void)kind;
    (void)where;
    return remove(path) != 0 && errno != ENOENT;
}

enum tare_status tare_remove_tree(const char *path, struct tare_err *err) {
    if (nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ||
        errno == ENOENT)
        return TARE_OK;
    return tare_fail_errno(err, path, "remove it by hand", "cannot be removed");
}

enum tare_status tare_make_empty_dir(const char *path, struct tare_err *err) {
    enum tare_status status = tare_remove_tree(path, err);
    return status == TARE_OK ? tare_make_dirs(path, err) : status;
}
