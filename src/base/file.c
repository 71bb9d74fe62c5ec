/* file.c: whole files in and out, folders, paths, checksums. Writing goes to a temporary name
 * first, so that a reader sees the old file or the new one and never a part. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tare/buf.h"

/* Opens a regular file for reading; −1 with err filled. Without O_NONBLOCK a pipe that somebody put
 * where a file belongs would hold tare for ever. */
int tare_file_open(const char *path, struct tare_err *err) {
    struct stat info;
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd < 0) {
        tare_fail_errno(err, path, "check the path and its permissions", "cannot be opened");
        return -1;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    close(fd);
    tare_fail(err, TARE_IO, path, "name a file", "is not a regular file");
    return -1;
}

static enum tare_status too_large(const char *path, size_t max_bytes, struct tare_err *err) {
    return tare_fail(err, TARE_DATA, path, "is it the right file?",
                     "is larger than the %zu bytes allowed here", max_bytes);
}

ssize_t tare_read_full(int fd, void *out, size_t size) {
    size_t have = 0;
    while (have < size) {
        ssize_t got = TEMP_FAILURE_RETRY(read(fd, (char *)out + have, size - have));
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

enum tare_status tare_file_read(struct tare_buf *buf, const char *path, size_t max_bytes,
                                struct tare_err *err) {
    int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    struct stat info;
    enum tare_status status = TARE_OK;
    char chunk[65536];
    bool sized = fstat(fd, &info) == 0;
    if (sized && (size_t)info.st_size > max_bytes)
        status = too_large(path, max_bytes, err);
    else if (sized)
        tare_buf_reserve(buf, (size_t)info.st_size); /* once, where growing would double it */
    while (status == TARE_OK) {
        ssize_t got = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof chunk));
        if (got < 0)
            status = tare_fail_errno(err, path, NULL, "cannot be read");
        if (got <= 0)
            break;
        if (buf->size + (size_t)got > max_bytes) {
            status = too_large(path, max_bytes, err);
            break;
        }
        tare_buf_append(buf, chunk, (size_t)got);
        if (buf->failed) {
            status = tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read the file");
            break;
        }
    }
    if (status == TARE_OK && buf->size == 0)
        tare_buf_append(buf, "", 0); /* an empty file still gives a valid string */
    close(fd);
    return status;
}

bool tare_write_full(int fd, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t put = TEMP_FAILURE_RETRY(write(fd, at, size));
        if (put < 0)
            return false;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

/* A new name is only there for good when its folder is on the disk too. Some file systems can't be
 * asked for that, and a folder may be one to write in but not to read: then it's left to them.
 * path is cut to its folder. */
static bool sync_folder(char *path) {
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = '\0';
    int fd = (int)TEMP_FAILURE_RETRY(open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return errno == EACCES;
    bool good = TEMP_FAILURE_RETRY(fsync(fd)) == 0 || errno == EINVAL || errno == ENOTSUP;
    int saved = errno;
    close(fd);
    errno = saved;
    return good;
}

static const char *scratch_dir;

void tare_file_scratch(const char *dir) {
    scratch_dir = dir;
}

static bool is_scratch(const char *path) {
    size_t size = scratch_dir ? strlen(scratch_dir) : 0;
    return size > 0 && strncmp(path, scratch_dir, size) == 0 && path[size] == '/';
}

enum tare_status tare_file_write(const char *path, const void *data, size_t size,
                                 struct tare_err *err) {
    static const char hint[] = "is the folder writable, and is there disk space?";
    struct tare_buf temporary = {0};
    tare_buf_printf(&temporary, "%s.tmp%ld", path, (long)getpid());
    if (temporary.failed) {
        tare_buf_free(&temporary);
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory to write the file");
    }
    bool stays = !is_scratch(path);
    int fd = (int)TEMP_FAILURE_RETRY(
        open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    enum tare_status status = TARE_OK;
    if (fd < 0)
        status = tare_fail_errno(err, path, hint, "cannot be created");
    else {
        if (!tare_write_full(fd, data, size) || (stays && TEMP_FAILURE_RETRY(fsync(fd)) != 0))
            status = tare_fail_errno(err, path, hint, "cannot be written");
        if (close(fd) != 0 && status == TARE_OK)
            status = tare_fail_errno(err, path, hint, "cannot be written");
        if (status == TARE_OK && rename(temporary.data, path) != 0)
            status = tare_fail_errno(err, path, hint, "cannot be put in place");
        if (status != TARE_OK)
            unlink(temporary.data);
        else if (stays && !sync_folder(temporary.data))
            status = tare_fail_errno(err, path, hint, "is written, but may not stay");
    }
    tare_buf_free(&temporary);
    return status;
}

enum tare_status tare_make_dirs(const char *path, struct tare_err *err) {
    char *copy = strdup(path);
    if (!copy)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory to make the folder");
    enum tare_status status = TARE_OK;
    for (char *slash = copy; status == TARE_OK && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash)
            *slash = '\0';
        struct stat info;
        if (mkdir(copy, 0777) != 0) {
            int saved = errno;
            if (stat(copy, &info) != 0 || !S_ISDIR(info.st_mode)) {
                errno = saved;
                status = tare_fail_errno(err, copy, "choose another folder",
                                         "the folder cannot be made");
            }
        }
        if (slash)
            *slash = '/';
    }
    free(copy);
    return status;
}

bool tare_path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

char *tare_path_join(const char *a, const char *b) {
    if (b[0] == '/')
        return strdup(b);
    size_t a_size = strlen(a);
    while (a_size > 1 && a[a_size - 1] == '/')
        a_size--;
    size_t b_size = strlen(b);
    char *joined = malloc(a_size + b_size + 2);
    if (!joined)
        return NULL;
    memcpy(joined, a, a_size);
    size_t at = a_size;
    if (a_size > 0 && a[a_size - 1] != '/')
        joined[at++] = '/';
    memcpy(joined + at, b, b_size + 1);
    return joined;
}

char *tare_cache_dir(void) {
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (xdg && xdg[0])
        return tare_path_join(xdg, "tare");
    const char *home = getenv("HOME");
    if (home && home[0])
        return tare_path_join(home, ".cache/tare");
    errno = ENOENT;
    return NULL;
}

enum tare_status tare_no_cache_dir(struct tare_err *err, const char *what) {
    if (errno == ENOMEM)
        return tare_fail(err, TARE_MEMORY, what, NULL, "no memory for a path");
    return tare_fail(err, TARE_IO, "HOME", "set HOME or XDG_CACHE_HOME",
                     "there is no folder for %s", what);
}

static void hex(char out[65], struct sha256_ctx *context) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void tare_sha256_hex(char out[65], const void *data, size_t size) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, data);
    hex(out, &context);
}

enum tare_status tare_sha256_file(char out[65], const char *path, struct tare_err *err) {
    int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    struct sha256_ctx context;
    sha256_init(&context);
    uint8_t chunk[65536];
    ssize_t got;
    while ((got = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof chunk))) > 0)
        sha256_update(&context, (size_t)got, chunk);
    enum tare_status status = TARE_OK;
    if (got < 0)
        status = tare_fail_errno(err, path, NULL, "cannot be read");
    close(fd);
    hex(out, &context);
    return status;
}
