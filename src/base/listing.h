/* listing.h: the names in a folder, read without opendir, which needs memory: what must be found
 * and ended, or tidied up, must be so also when memory has run out.
 *
 *     struct tare_listing list = tare_listing_open("/proc/self/task");
 *     for (const char *name; (name = tare_listing_next(&list));) …  // "." and ".." left out
 *     bool all = tare_listing_close(&list);                         // false: could not be read
 */
#ifndef TARE_BASE_LISTING_H
#define TARE_BASE_LISTING_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct tare_listing {
    int fd;        /* −1: could not be opened; errno says why */
    long size, at; /* of what was read of it; 0 at its end, below 0 after a mistake */
    _Alignas(8) char entries[4096];
};

/* Here, not in a .c of its own, because the launcher is nearly nothing but its own object. */
static inline struct tare_listing tare_listing_open_at(int folder, const char *name, int flags) {
    struct tare_listing list;
    list.fd =
        (int)TEMP_FAILURE_RETRY(openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags));
    list.size = list.at = list.fd < 0 ? -1 : 0;
    return list;
}

static inline struct tare_listing tare_listing_open(const char *path) {
    return tare_listing_open_at(AT_FDCWD, path, 0);
}

static inline const char *tare_listing_next(struct tare_listing *list) {
    while (list->fd >= 0) {
        if (list->at >= list->size) {
            list->size = TEMP_FAILURE_RETRY(
                syscall(SYS_getdents64, list->fd, list->entries, sizeof list->entries));
            list->at = 0;
        }
        if (list->size <= 0)
            break;
        const struct dirent64 *entry = (const void *)(list->entries + list->at);
        list->at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return entry->d_name;
    }
    return NULL;
}

static inline bool tare_listing_close(struct tare_listing *list) {
    const bool whole = list->fd >= 0 && list->size == 0;
    if (list->fd >= 0)
        close(list->fd);
    return whole;
}

#endif
