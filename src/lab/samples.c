/* samples.c: the results folder and its samples.jsonl: append-only, one fsynced write per record,
 * so that a finished measurement survives whatever comes next. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lab/record.h"
#include "tare/buf.h"

static enum tare_status append_line(const char *path, const char *line, size_t size,
                                    struct tare_err *err) {
    static const char hint[] = "is the disk full, or the folder read-only?";
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return tare_fail_errno(err, path, hint, "cannot be opened");
    enum tare_status status = TARE_OK;
    ssize_t put;
    do
        put = write(fd, line, size);
    while (put < 0 && errno == EINTR);
    if (put >= 0 && (size_t)put < size) {
        errno = ENOSPC;
        put = -1;
    }
    if (put < 0 || fsync(fd) != 0)
        status = tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
    if (close(fd) != 0 && status == TARE_OK)
        status = tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
    return status;
}

enum tare_status tare_samples_append(const char *results_dir, json_t *record,
                                     struct tare_err *err) {
    char *text = record ? json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(record);
    char *path = tare_path_join(results_dir, "samples.jsonl");
    enum tare_status status =
        tare_fail(err, TARE_MEMORY, "samples.jsonl", NULL, "no memory for a record");
    if (text && path) {
        size_t size = strlen(text);
        text[size] = '\n'; /* in place of the NUL: the length is known */
        status = append_line(path, text, size + 1, err);
    }
    free(text);
    free(path);
    return status;
}

static bool is_empty(DIR *folder) {
    struct dirent *entry;
    while ((entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return true;
}

enum tare_status tare_results_open(const char *dir, size_t bytes, struct tare_err *err) {
    enum tare_status status = tare_make_dirs(dir, err);
    if (status != TARE_OK)
        return status;
    DIR *folder = opendir(dir);
    if (!folder)
        return tare_fail_errno(err, dir, "choose another with --out", "cannot be opened");
    bool empty = is_empty(folder);
    closedir(folder);
    if (!empty)
        return tare_fail(err, TARE_USAGE, dir, "a new or an empty folder",
                         "the results folder is not empty");
    if (access(dir, W_OK) != 0)
        return tare_fail_errno(err, dir, "choose another with --out", "cannot be written to");
    struct statvfs disk;
    if (statvfs(dir, &disk) != 0)
        return tare_fail_errno(err, dir, NULL, "its free space cannot be read");
    double free_bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    if (free_bytes < (double)bytes)
        return tare_fail(err, TARE_IO, dir, "free some, or choose another disk with --out",
                         "%.0f MB are needed, %.0f MB are free", (double)bytes * 1e-6,
                         free_bytes * 1e-6);
    return TARE_OK;
}
