/* png_stream.c: passes a PNG file through chunk by chunk and leaves out what png.c doesn't need. A
 * chunk is a length, a type, so many bytes and a CRC; what is wrong with them is libpng's to say.
 */
#include "data/png_stream.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tare/buf.h"

#define HEAD_BYTES 8 /* of a chunk; the file's signature is as long */

struct filter {
    int fd;
    uint8_t head[HEAD_BYTES];
    size_t head_at;    /* bytes of it that were handed over; HEAD_BYTES: all */
    size_t head_bytes; /* that are there: fewer at the end of a file */
    uint64_t left;     /* bytes of the chunk after its head */
};

/* Critical chunks, and those that say what colours mean. */
static bool is_needed(const uint8_t *type) {
    static const char needed[][5] = {"tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (memcmp(type, needed[i], 4) == 0)
            return true;
    return (type[0] & 0x20) == 0;
}

/* One picture is read at a time. */
static int read_error;

int tare_png_read_error(void) {
    return read_error;
}

/* Up to size bytes, fewer at the end of the file or after a mistake, which is remembered. */
static size_t read_bytes(const struct filter *f, void *to, size_t size) {
    const ssize_t got = tare_read_full(f->fd, to, size);
    if (got < 0)
        read_error = errno;
    return got < 0 ? 0 : (size_t)got;
}

/* Reads the head of the next chunk that is needed; false at the end. */
static bool next_chunk(struct filter *f) {
    for (;;) {
        f->head_at = 0;
        f->head_bytes = read_bytes(f, f->head, HEAD_BYTES);
        const uint8_t *h = f->head;
        f->left = 4 + ((uint64_t)h[0] << 24 | (uint64_t)h[1] << 16 | (uint64_t)h[2] << 8 | h[3]);
        if (f->head_bytes < HEAD_BYTES)
            f->left = 0;
        if (f->head_bytes < HEAD_BYTES || is_needed(f->head + 4))
            return f->head_bytes > 0;
        if (lseek(f->fd, (off_t)f->left, SEEK_CUR) < 0)
            return false;
    }
}

static ssize_t filter_read(void *cookie, char *to, size_t size) {
    struct filter *f = cookie;
    if (f->head_at == f->head_bytes && f->left == 0 && !next_chunk(f))
        return read_error ? -1 : 0;
    if (f->head_at < f->head_bytes) {
        const size_t rest = f->head_bytes - f->head_at, got = size < rest ? size : rest;
        memcpy(to, f->head + f->head_at, got);
        f->head_at += got;
        return (ssize_t)got;
    }
    const size_t got = read_bytes(f, to, size < f->left ? size : (size_t)f->left);
    f->left = got == 0 ? 0 : f->left - got; /* at the end of the file there is no next chunk */
    return got == 0 && read_error ? -1 : (ssize_t)got;
}

static int filter_close(void *cookie) {
    struct filter *f = cookie;
    const int result = close(f->fd);
    free(f);
    return result;
}

FILE *tare_png_open(const char *path, struct tare_err *err) {
    const int fd = tare_file_open(path, err);
    read_error = 0;
    if (fd < 0)
        return NULL;
    struct filter *f = calloc(1, sizeof *f);
    FILE *stream = NULL;
    if (f != NULL) {
        f->fd = fd;
        f->head_bytes = read_bytes(f, f->head, HEAD_BYTES); /* the signature */
        if (!read_error)
            stream = fopencookie(
                f, "rb", (cookie_io_functions_t){.read = filter_read, .close = filter_close});
    }
    if (stream != NULL)
        return stream;
    errno = read_error;
    if (read_error)
        tare_fail_errno(err, path, "copy the file anew", "cannot be read");
    else
        tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read it");
    close(fd);
    free(f);
    return NULL;
}
