/* decoded.c: plain and gzip files read in passes of 64 KiB (decoded.h). zlib inflates and checks
 * the CRC; several members one after the other are one file, as `cat a.gz b.gz` makes it.
 */
#include "data/decoded.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fail_at.h"
#include "base/npy.h"
#include "base/stream.h"
#include "tare/buf.h"

#define CHUNK_BYTES 65536
#define ANEW "copy or download the file anew"

/* One pass: who takes the bytes, how many there were, and after how many it may stop. */
struct pass {
    tare_decoded_take *take;
    void *context;
    size_t total, most;
};

static enum tare_status hand_over(struct pass *pass, const uint8_t *bytes, size_t size,
                                  struct tare_err *err) {
    pass->total += size;
    return size > 0 ? pass->take(pass->context, bytes, size, err) : TARE_OK;
}

static enum tare_status read_failed(const struct tare_decoded *file, struct tare_err *err) {
    return tare_fail_errno(err, file->name, NULL, "cannot be read");
}

static enum tare_status read_plain(const struct tare_decoded *file, struct pass *pass,
                                   struct tare_err *err) {
    uint8_t chunk[CHUNK_BYTES];
    enum tare_status status = TARE_OK;
    while (status == TARE_OK && pass->total <= pass->most) {
        const size_t got = fread(chunk, 1, sizeof chunk, file->file);
        if (got == 0)
            return ferror(file->file) ? read_failed(file, err) : TARE_OK;
        status = hand_over(pass, chunk, got, err);
    }
    return status;
}

/* A compressed file being inflated. */
struct inflation {
    z_stream stream;
    uint8_t in[CHUNK_BYTES], out[CHUNK_BYTES];
    size_t read; /* of the file so far */
};

static bool refill(struct inflation *i, FILE *file) {
    if (i->stream.avail_in > 0)
        return true;
    i->stream.next_in = i->in;
    i->stream.avail_in = (uInt)fread(i->in, 1, sizeof i->in, file);
    i->read += i->stream.avail_in;
    return i->stream.avail_in > 0;
}

/* One call of inflate: *result is zlib's. */
static enum tare_status inflate_some(struct inflation *i, int *result,
                                     const struct tare_decoded *file, struct pass *pass,
                                     struct tare_err *err) {
    i->stream.next_out = i->out;
    i->stream.avail_out = sizeof i->out;
    *result = inflate(&i->stream, Z_NO_FLUSH);
    const size_t at = i->read - i->stream.avail_in;
    if (*result == Z_MEM_ERROR)
        return tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to decompress it");
    if (*result != Z_OK && *result != Z_STREAM_END && *result != Z_BUF_ERROR)
        return tare_fail_at(err, file->name, at, ANEW, "the compressed data are damaged: %s",
                            i->stream.msg != NULL ? i->stream.msg : "unknown reason");
    return hand_over(pass, i->out, sizeof i->out - i->stream.avail_out, err);
}

static enum tare_status inflate_all(struct inflation *i, const struct tare_decoded *file,
                                    struct pass *pass, struct tare_err *err) {
    int result = Z_OK;
    enum tare_status status = TARE_OK;
    while (status == TARE_OK && pass->total <= pass->most) {
        const bool more = refill(i, file->file);
        if (ferror(file->file))
            return read_failed(file, err);
        if (!more && result == Z_STREAM_END)
            return TARE_OK;
        if (result == Z_STREAM_END && inflateReset(&i->stream) != Z_OK)
            return tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to decompress it");
        status = inflate_some(i, &result, file, pass, err);
        /* Without input there may still be output, from the last of it. */
        if (status == TARE_OK && !more && i->stream.avail_out == sizeof i->out)
            return tare_fail_at(err, file->name, i->read, ANEW,
                                "the compressed data end too early");
    }
    return status;
}

static enum tare_status read_gzip(const struct tare_decoded *file, struct pass *pass,
                                  struct tare_err *err) {
    struct inflation *i = calloc(1, sizeof *i);
    /* 15: largest window; 16: gzip, not zlib */
    if (i == NULL || inflateInit2(&i->stream, 15 + 16) != Z_OK) {
        free(i);
        return tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to decompress it");
    }
    const enum tare_status status = inflate_all(i, file, pass, err);
    inflateEnd(&i->stream);
    free(i);
    return status;
}

static enum tare_status run_pass(struct tare_decoded *file, struct pass *pass,
                                 struct tare_err *err) {
    if (fseeko(file->file, 0, SEEK_SET) != 0)
        return read_failed(file, err);
    return file->compressed ? read_gzip(file, pass, err) : read_plain(file, pass, err);
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static enum tare_status take_head(void *context, const uint8_t *bytes, size_t size,
                                  struct tare_err *err) {
    (void)err;
    struct tare_decoded *file = context;
    const size_t room = TARE_MAX_NPY_PREFIX_BYTES - file->head_bytes;
    const size_t kept = size < room ? size : room;
    memcpy(file->head + file->head_bytes, bytes, kept);
    file->head_bytes += kept;
    return TARE_OK;
}

/* Takes the stream over, also when it fails. */
static enum tare_status open_stream(struct tare_decoded *file, FILE *stream, const char *name,
                                    struct tare_err *err) {
    uint8_t magic[2];
    *file = (struct tare_decoded){.name = name, .file = stream};
    file->head = malloc(TARE_MAX_NPY_PREFIX_BYTES);
    struct pass pass = {.take = take_head, .context = file, .most = TARE_MAX_NPY_PREFIX_BYTES - 1};
    enum tare_status status = TARE_OK;
    if (file->head == NULL)
        status = tare_fail(err, TARE_MEMORY, name, NULL, "no memory to read it");
    else {
        file->compressed = fread(magic, 1, 2, stream) == 2 && memcmp(magic, "\x1f\x8b", 2) == 0;
        status = ferror(stream) ? read_failed(file, err) : run_pass(file, &pass, err);
    }
    if (status != TARE_OK)
        tare_decoded_close(file);
    return status;
}

enum tare_status tare_decoded_open(struct tare_decoded *file, const char *path,
                                   struct tare_err *err) {
    *file = (struct tare_decoded){0};
    const int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    FILE *stream = tare_stream_of(fd);
    if (stream == NULL) {
        close(fd);
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read it");
    }
    return open_stream(file, stream, path, err);
}

enum tare_status tare_decoded_wrap(struct tare_decoded *file, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err) {
    *file = (struct tare_decoded){0};
    FILE *stream = fmemopen((void *)(uintptr_t)bytes, size, "rb"); /* it only reads */
    if (stream == NULL)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory to read it");
    return open_stream(file, stream, name, err);
}

void tare_decoded_close(struct tare_decoded *file) {
    if (file->file != NULL)
        fclose(file->file);
    free(file->head);
    *file = (struct tare_decoded){0};
}

/* ---- the passes --------------------------------------------------------------------------------
 */

static enum tare_status drop(void *context, const uint8_t *bytes, size_t size,
                             struct tare_err *err) {
    (void)context, (void)bytes, (void)size, (void)err;
    return TARE_OK;
}

enum tare_status tare_decoded_count(struct tare_decoded *file, size_t most, struct tare_err *err) {
    struct pass pass = {.take = drop, .most = most};
    if (file->compressed) {
        const enum tare_status status = run_pass(file, &pass, err);
        file->bytes = pass.total;
        return status;
    }
    const off_t end = fseeko(file->file, 0, SEEK_END) == 0 ? ftello(file->file) : -1;
    if (end < 0)
        return read_failed(file, err);
    file->bytes = (size_t)end;
    return TARE_OK;
}

/* What hashes on the way. */
struct hashing {
    struct sha256_ctx sha256;
    tare_decoded_take *take;
    void *context;
    const char *name;
    size_t left; /* of the bytes that were counted */
};

static enum tare_status changed(const char *name, struct tare_err *err) {
    return tare_fail(err, TARE_DATA, name, "try again", "the file changed while it was read");
}

static enum tare_status hash_and_take(void *context, const uint8_t *bytes, size_t size,
                                      struct tare_err *err) {
    struct hashing *h = context;
    if (size > h->left)
        return changed(h->name, err);
    h->left -= size;
    sha256_update(&h->sha256, size, bytes);
    return h->take != NULL ? h->take(h->context, bytes, size, err) : TARE_OK;
}

enum tare_status tare_decoded_pass(struct tare_decoded *file, tare_decoded_take *take,
                                   void *context, struct tare_err *err) {
    struct hashing h = {.take = take, .context = context, .name = file->name, .left = file->bytes};
    struct pass pass = {.take = hash_and_take, .context = &h, .most = file->bytes};
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&h.sha256);
    enum tare_status status = run_pass(file, &pass, err);
    if (status == TARE_OK && h.left > 0)
        status = changed(file->name, err);
    sha256_digest(&h.sha256, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(file->sha256 + 2 * i, 3, "%02x", digest[i]);
    return status;
}
