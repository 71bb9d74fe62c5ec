/* png_stream.c: passes a PNG file through chunk by chunk and leaves out what png.c doesn't need. A
 * chunk is a length, a type, so many bytes and a CRC; what is wrong with them is libpng's to say.
 */
#include "data/png_stream.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tare/buf.h"

#define HEAD_BYTES 8 /* of a chunk; the file's signature is as long */

struct filter {
    FILE *file;
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

/* Reads the head of the next chunk that is needed; false at the end. */
static bool next_chunk(struct filter *f) {
    for (;;) {
        f->head_at = 0;
        f->head_bytes = fread(f->head, 1, HEAD_BYTES, f->file);
        const uint8_t *h = f->head;
        f->left = 4 + ((uint64_t)h[0] << 24 | (uint64_t)h[1] << 16 | (uint64_t)h[2] << 8 | h[3]);
        if (f->head_bytes < HEAD_BYTES)
            f->left = 0;
        if (f->head_bytes < HEAD_BYTES || is_needed(f->head + 4))
            return f->head_bytes > 0;
        if (fseeko(f->file, (off_t)f->left, SEEK_CUR) != 0)
            return false;
    }
}

static ssize_t filter_read(void *cookie, char *to, size_t size) {
    struct filter *f = cookie;
    if (f->head_at == f->head_bytes && f->left == 0 && !next_chunk(f))
        return ferror(f->file) ? -1 : 0;
    if (f->head_at < f->head_bytes) {
        const size_t rest = f->head_bytes - f->head_at, got = size < rest ? size : rest;
        memcpy(to, f->head + f->head_at, got);
        f->head_at += got;
        return (ssize_t)got;
    }
    const size_t got = fread(to, 1, size < f->left ? size : (size_t)f->left, f->file);
    f->left = got == 0 ? 0 : f->left - got; /* at the end of the file there is no next chunk */
    return (ssize_t)got;
}

static int filter_close(void *cookie) {
    struct filter *f = cookie;
    const int result = fclose(f->file);
    free(f);
    return result;
}

FILE *tare_png_open(const char *path, struct tare_err *err) {
    const int fd = tare_file_open(path, err);
    if (fd < 0)
        return NULL;
    struct filter *f = calloc(1, sizeof *f);
    FILE *stream = NULL;
    if (f != NULL && (f->file = fdopen(fd, "rb")) != NULL) {
        f->head_bytes = fread(f->head, 1, HEAD_BYTES, f->file); /* the signature */
        stream = fopencookie(f, "rb",
                             (cookie_io_functions_t){.read = filter_read, .close = filter_close});
    }
    if (stream != NULL)
        return stream;
    tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read it");
    if (f != NULL && f->file != NULL)
        fclose(f->file);
    else
        close(fd);
    free(f);
    return NULL;
}
