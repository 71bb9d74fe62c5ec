/* samples.c: the results folder and its samples.jsonl: append-only, one fsynced write per record,
 * so that a finished measurement survives whatever comes next. Each line holds a checksum that
 * chains it to the one before (provenance.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lab/provenance.h"
#include "lab/record.h"
#include "tare/buf.h"

static const char hint[] = "is the disk full, or the folder read-only?";

/* The link in the file's last line; "" of an empty file. */
static enum tare_status read_last_link(char link[TARE_LINK_BYTES + 1], int fd, const char *path,
                                       struct tare_err *err) {
    static const char end[] = TARE_LINK_END "\n";
    char tail[TARE_LINK_BYTES + sizeof end - 1];
    struct stat info;
    link[0] = '\0';
    if (fstat(fd, &info) != 0)
        return tare_fail_errno(err, path, hint, "cannot be read");
    if (info.st_size == 0)
        return TARE_OK;
    ssize_t got = pread(fd, tail, sizeof tail, info.st_size - (off_t)sizeof tail);
    if (got != (ssize_t)sizeof tail || memcmp(tail + TARE_LINK_BYTES, end, sizeof end - 1) != 0)
        return tare_fail(err, TARE_DATA, path, "leave the results folder alone while tare works",
                         "was changed by something else: it doesn't end in a record of tare's");
    memcpy(link, tail, TARE_LINK_BYTES);
    link[TARE_LINK_BYTES] = '\0';
    return TARE_OK;
}

static enum tare_status write_line(int fd, const char *path, const struct tare_buf *line,
                                   struct tare_err *err) {
    ssize_t put;
    do
        put = write(fd, line->data, line->size);
    while (put < 0 && errno == EINTR);
    if (put >= 0 && (size_t)put < line->size) {
        errno = ENOSPC;
        put = -1;
    }
    if (put < 0 || fsync(fd) != 0)
        return tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
    return TARE_OK;
}

/* text: a record as JSON; its closing brace makes room for the link. */
static enum tare_status append_record(const char *path, const char *text, struct tare_err *err) {
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return tare_fail_errno(err, path, hint, "cannot be opened");
    char previous[TARE_LINK_BYTES + 1], link[TARE_LINK_BYTES + 1];
    size_t size = strlen(text) - 1;
    struct tare_buf line = {0};
    enum tare_status status = read_last_link(previous, fd, path, err);
    if (status == TARE_OK && tare_link(link, previous, text, size)) {
        tare_buf_append(&line, text, size);
        tare_buf_printf(&line, TARE_LINK_KEY "%s" TARE_LINK_END "\n", link);
    }
    if (status == TARE_OK && (line.failed || !line.data))
        status = tare_fail(err, TARE_MEMORY, path, NULL, "no memory for a record");
    if (status == TARE_OK)
        status = write_line(fd, path, &line, err);
    if (close(fd) != 0 && status == TARE_OK)
        status = tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
    tare_buf_free(&line);
    return status;
}

enum tare_status tare_samples_append(const char *results_dir, json_t *record,
                                     struct tare_err *err) {
    char *text = record ? json_dumps(record, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(record);
    char *path = tare_path_join(results_dir, "samples.jsonl");
    enum tare_status status =
        text && path ? append_record(path, text, err)
                     : tare_fail(err, TARE_MEMORY, "samples.jsonl", NULL, "no memory for a record");
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
