/* samples.c: the results folder and its samples.jsonl: append-only, one fsynced line per record,
 * so that a finished measurement survives whatever comes next. Each line holds a checksum that
 * chains it to the one before (provenance.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/listing.h"
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
    size_t have = 0;
    ssize_t got = 1;
    const off_t from = info.st_size - (off_t)sizeof tail;
    while (have < sizeof tail && got > 0) {
        got = TEMP_FAILURE_RETRY(pread(fd, tail + have, sizeof tail - have, from + (off_t)have));
        have += got > 0 ? (size_t)got : 0;
    }
    if (got < 0 && from >= 0)
        return tare_fail_errno(err, path, hint, "cannot be read");
    if (have < sizeof tail || memcmp(tail + TARE_LINK_BYTES, end, sizeof end - 1) != 0)
        return tare_fail(err, TARE_DATA, path, "leave the results folder alone while tare works",
                         "was changed by something else: it doesn't end in a record of tare's");
    memcpy(link, tail, TARE_LINK_BYTES);
    link[TARE_LINK_BYTES] = '\0';
    return TARE_OK;
}

/* The whole line or nothing of it: a disk that fills in the middle leaves the file as it was. */
static enum tare_status write_line(int fd, const char *path, const struct tare_buf *line,
                                   struct tare_err *err) {
    struct stat before;
    if (fstat(fd, &before) != 0)
        return tare_fail_errno(err, path, hint, "cannot be read");
    if (tare_write_full(fd, line->data, line->size) && TEMP_FAILURE_RETRY(fsync(fd)) == 0)
        return TARE_OK;
    int saved = errno;
    if (TEMP_FAILURE_RETRY(ftruncate(fd, before.st_size)) != 0 ||
        TEMP_FAILURE_RETRY(fsync(fd)) != 0)
        saved = saved ? saved : errno; /* the torn line stays, and is cut off by a resume */
    errno = saved;
    return tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
}

/* The line of a record, given as JSON (its closing brace makes room for the link), that follows
 * the line with the link `previous`. */
static enum tare_status make_line(struct tare_buf *line, const char *previous, const char *text,
                                  const char *path, struct tare_err *err) {
    char link[TARE_LINK_BYTES + 1];
    size_t size = strlen(text) - 1;
    if (tare_link(link, previous, text, size)) {
        tare_buf_append(line, text, size);
        tare_buf_printf(line, TARE_LINK_KEY "%s" TARE_LINK_END "\n", link);
    }
    return line->failed || !line->data
               ? tare_fail(err, TARE_MEMORY, path, NULL, "no memory for a record")
               : TARE_OK;
}

static enum tare_status append_record(const char *path, const char *text, struct tare_err *err) {
    int fd = (int)TEMP_FAILURE_RETRY(
        open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd < 0)
        return tare_fail_errno(err, path, hint, "cannot be opened");
    char previous[TARE_LINK_BYTES + 1];
    struct tare_buf line = {0};
    enum tare_status status = read_last_link(previous, fd, path, err);
    if (status == TARE_OK)
        status = make_line(&line, previous, text, path, err);
    if (status == TARE_OK)
        status = write_line(fd, path, &line, err);
    if (close(fd) != 0 && status == TARE_OK)
        status = tare_fail_errno(err, path, hint, "a finished job cannot be recorded");
    tare_buf_free(&line);
    return status;
}

/* The first line comes into being with its file. */
static enum tare_status write_first(const char *path, const char *text, struct tare_err *err) {
    struct tare_buf line = {0};
    enum tare_status status = make_line(&line, "", text, path, err);
    if (status == TARE_OK)
        status = tare_file_write(path, line.data, line.size, err);
    tare_buf_free(&line);
    return status;
}

static enum tare_status put_record(const char *results_dir, const char *file, json_t *record,
                                   enum tare_status (*put)(const char *path, const char *text,
                                                           struct tare_err *err),
                                   struct tare_err *err) {
    char *text = tare_json_dump(record, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(record);
    char *path = tare_path_join(results_dir, file);
    enum tare_status status =
        text && path ? put(path, text, err)
                     : tare_fail(err, TARE_MEMORY, file, NULL, "no memory for a record");
    free(text);
    free(path);
    return status;
}

enum tare_status tare_samples_begin(const char *results_dir, const char *file, json_t *record,
                                    struct tare_err *err) {
    return put_record(results_dir, file, record, write_first, err);
}

enum tare_status tare_samples_append(const char *results_dir, const char *file, json_t *record,
                                     struct tare_err *err) {
    return put_record(results_dir, file, record, append_record, err);
}

/* ---- what a crash leaves -----------------------------------------------------------------------
 */

/* The size of the file up to and with its last newline. */
static enum tare_status whole_lines(off_t *size, int fd, const char *path, struct tare_err *err) {
    char piece[4096];
    struct stat info;
    if (fstat(fd, &info) != 0)
        return tare_fail_errno(err, path, hint, "cannot be read");
    for (*size = info.st_size; *size > 0;) {
        off_t from = *size > (off_t)sizeof piece ? *size - (off_t)sizeof piece : 0;
        ssize_t got = pread(fd, piece, (size_t)(*size - from), from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tare_fail_errno(err, path, hint, "cannot be read");
        const char *newline = memrchr(piece, '\n', (size_t)got);
        if (newline) {
            *size = from + (newline - piece) + 1;
            return TARE_OK;
        }
        *size = from;
    }
    return TARE_OK;
}

static bool is_temporary(const char *name) {
    const char *end = strstr(name, ".tmp");
    return end && end[4] && end[4 + strspn(end + 4, "0123456789")] == '\0';
}

/* Of files that were being written into the folder itself (tare_file_write). */
static void remove_temporaries(const char *dir) {
    struct tare_listing list = tare_listing_open(dir);
    for (const char *name; (name = tare_listing_next(&list));)
        if (is_temporary(name))
            unlinkat(list.fd, name, 0);
    tare_listing_close(&list);
}

enum tare_status tare_samples_mend(bool *cut, const char *results_dir, struct tare_err *err) {
    static const char none[] = "name a results folder; tare compare makes new ones";
    char *path = tare_path_join(results_dir, "samples.jsonl");
    if (!path)
        return tare_fail(err, TARE_MEMORY, results_dir, NULL, "no memory for a path");
    off_t size = 0;
    struct stat info;
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    enum tare_status status = TARE_OK;
    if (fd < 0)
        status = tare_fail_errno(err, path, none, "cannot be opened");
    else if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        status = tare_fail(err, TARE_DATA, path, none, "is not a file");
    else
        status = whole_lines(&size, fd, path, err);
    *cut = status == TARE_OK && size < info.st_size;
    if (*cut &&
        (TEMP_FAILURE_RETRY(ftruncate(fd, size)) != 0 || TEMP_FAILURE_RETRY(fsync(fd)) != 0))
        status = tare_fail_errno(err, path, hint, "its torn last line cannot be cut off");
    if (fd >= 0)
        close(fd);
    if (status == TARE_OK)
        remove_temporaries(results_dir);
    free(path);
    return status;
}

/* ---- the folder --------------------------------------------------------------------------------
 */

enum tare_status tare_results_open(const char *dir, size_t bytes, struct tare_err *err) {
    enum tare_status status = tare_make_dirs(dir, err);
    if (status != TARE_OK)
        return status;
    struct tare_listing list = tare_listing_open(dir);
    if (list.fd < 0)
        return tare_fail_errno(err, dir, "choose another with --out", "cannot be opened");
    bool empty = tare_listing_next(&list) == NULL;
    tare_listing_close(&list);
    if (!empty)
        return tare_fail(err, TARE_USAGE, dir,
                         "a new or an empty folder; tare compare --resume DIR carries one on",
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
