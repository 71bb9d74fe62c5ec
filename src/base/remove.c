/* remove.c: folders with everything in them, removed, also when there is no memory. Links are
 * removed, never followed, and what is mounted inside is left alone. */
#include <errno.h>
#include <sys/stat.h>

#include "base/listing.h"
#include "tare/buf.h"

#define MAX_DEPTH 256 /* a descriptor and 4 kB of stack each; tare's own folders are 4 deep */

struct removal {
    dev_t disk;
    bool known; /* disk is that of the tree's top */
};

static bool remove_entry(struct removal *r, int folder, const char *name, int depth);

/* What a listing shows while files go away is up to the file system: so it is looked at again. */
static bool empty_folder(struct removal *r, int folder, const char *name, int depth) {
    for (;;) {
        struct stat info;
        struct tare_listing list = tare_listing_open_at(folder, name, O_NOFOLLOW);
        if (list.fd < 0)
            return false;
        bool good = fstat(list.fd, &info) == 0, found = false;
        if (good && r->known && info.st_dev != r->disk) {
            errno = EXDEV;
            good = false;
        }
        r->disk = info.st_dev;
        r->known = true;
        for (const char *inner; good && (inner = tare_listing_next(&list));) {
            found = true;
            good = remove_entry(r, list.fd, inner, depth + 1);
        }
        int saved = errno;
        bool whole = tare_listing_close(&list);
        errno = saved;
        if (!good || !whole || !found)
            return good && whole;
    }
}

static bool remove_entry(struct removal *r, int folder, const char *name, int depth) {
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (depth > MAX_DEPTH) {
        errno = ELOOP;
        return false;
    }
    return empty_folder(r, folder, name, depth) && unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

enum tare_status tare_remove_tree(const char *path, struct tare_err *err) {
    struct removal r = {0};
    if (remove_entry(&r, AT_FDCWD, path, 0))
        return TARE_OK;
    return tare_fail_errno(err, path, "remove it by hand", "cannot be removed");
}

enum tare_status tare_make_empty_dir(const char *path, struct tare_err *err) {
    enum tare_status status = tare_remove_tree(path, err);
    return status == TARE_OK ? tare_make_dirs(path, err) : status;
}
