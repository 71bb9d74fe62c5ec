/* decoded.c: plain and gzip files (decoded.h). libdeflate inflates what is kept, in one go into
 * memory of the right size; zlib what is only looked at, in pieces of 64 KiB: the head, what is too
 * large to be believed, and what is hashed. Both check the CRC; several members one after the other
 * are one file, as `cat a.gz b.gz` makes it.
 */
#include "data/decoded.h"

#include <libdeflate.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fail_at.h"
#include "base/npy.h"
#include "base/stream.h"
#include "tare/buf.h"

#define CHUNK_BYTES 65536
/* A file that promises more is looked through before memory is taken for it. */
#define ONCE_BYTES ((size_t)64 << 20)
/* Of compressed data over twice what they hold: they'd be headers more than anything else. */
#define MORE_PACKED_BYTES ((size_t)1 << 20)
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
    if (file->content != NULL && !file->taken)
        munmap(file->content, file->bytes);
    free(file->head);
    *file = (struct tare_decoded){0};
}

/* ---- looking through ---------------------------------------------------------------------------
 */

static enum tare_status drop(void *context, const uint8_t *bytes, size_t size,
                             struct tare_err *err) {
    (void)context, (void)bytes, (void)size, (void)err;
    return TARE_OK;
}

static enum tare_status hash(void *context, const uint8_t *bytes, size_t size,
                             struct tare_err *err) {
    (void)err;
    sha256_update(context, size, bytes);
    return TARE_OK;
}

enum tare_status tare_decoded_sha256(char sha256[65], struct tare_decoded *file, size_t most,
                                     struct tare_err *err) {
    struct sha256_ctx context;
    struct pass pass = {.take = hash, .context = &context, .most = most};
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    const enum tare_status status = run_pass(file, &pass, err);
    file->bytes = pass.total;
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
    return status;
}

/* ---- reading all of it -------------------------------------------------------------------------
 */

/* Of the file as it lies there. */
static enum tare_status find_size(size_t *size, const struct tare_decoded *file,
                                  struct tare_err *err) {
    const off_t end = fseeko(file->file, 0, SEEK_END) == 0 ? ftello(file->file) : -1;
    if (end < 0 || fseeko(file->file, 0, SEEK_SET) != 0)
        return read_failed(file, err);
    *size = (size_t)end;
    return TARE_OK;
}

static enum tare_status fill(uint8_t *out, size_t size, const struct tare_decoded *file,
                             struct tare_err *err) {
    if (fread(out, 1, size, file->file) == size)
        return TARE_OK;
    return ferror(file->file) ? read_failed(file, err)
                              : tare_fail(err, TARE_DATA, file->name, "try again",
                                          "the file changed while it was read");
}

/* Pages of the system's own: an array takes them over as they are, header and all. Large ones spare
 * a page fault for each 4 KiB. */
static enum tare_status make_content(struct tare_decoded *file, size_t size, struct tare_err *err) {
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return tare_fail_errno(err, file->name, "close other programs or use less data",
                               "no memory for its %zu bytes", size);
    madvise(pages, size, MADV_HUGEPAGE);
    file->content = pages;
    file->bytes = size;
    return TARE_OK;
}

static void drop_content(struct tare_decoded *file) {
    munmap(file->content, file->bytes);
    file->content = NULL;
}

/* libdeflate doesn't check a header's own checksum. */
static enum tare_status check_member_header(const struct tare_decoded *file, const uint8_t *bytes,
                                            size_t size, size_t at, struct tare_err *err) {
    uint8_t out[1];
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)bytes,
                       .avail_in = size < UINT_MAX ? (uInt)size : UINT_MAX,
                       .next_out = out,
                       .avail_out = sizeof out};
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to decompress it");
    enum tare_status status = TARE_OK;
    const int result = inflate(&stream, Z_BLOCK); /* stops behind the header */
    if (result != Z_OK || stream.avail_in == 0)
        status = tare_fail_at(err, file->name, at, ANEW, "the compressed data are damaged: %s",
                              stream.msg != NULL ? stream.msg : "they end too early");
    inflateEnd(&stream);
    return status;
}

/* Inflates all members into the content; *bytes: how many came out, one more than there is room for
 * when it would be more. */
static enum tare_status inflate_members(size_t *bytes, struct tare_decoded *file,
                                        const uint8_t *packed, size_t packed_bytes,
                                        struct tare_err *err) {
    struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
    if (inflater == NULL)
        return tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to decompress it");
    enum tare_status status = TARE_OK;
    enum libdeflate_result result = LIBDEFLATE_SUCCESS;
    *bytes = 0;
    for (size_t at = 0; at < packed_bytes && status == TARE_OK && result == LIBDEFLATE_SUCCESS;) {
        size_t used = 0, got = 0;
        status = check_member_header(file, packed + at, packed_bytes - at, at, err);
        if (status != TARE_OK)
            break;
        result = libdeflate_gzip_decompress_ex(inflater, packed + at, packed_bytes - at,
                                               file->content + *bytes, file->bytes - *bytes, &used,
                                               &got);
        if (result == LIBDEFLATE_BAD_DATA)
            status = tare_fail_at(err, file->name, at, ANEW,
                                  "the compressed data that begin here are damaged, or end too "
                                  "early");
        at += used;
        *bytes += got;
    }
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE)
        *bytes = file->bytes + 1;
    libdeflate_free_decompressor(inflater);
    return status;
}

static enum tare_status read_packed(struct tare_decoded *file, size_t most, size_t packed_bytes,
                                    struct tare_err *err) {
    uint8_t *packed = malloc(packed_bytes);
    size_t bytes = 0;
    enum tare_status status =
        packed == NULL ? tare_fail(err, TARE_MEMORY, file->name, NULL, "no memory to read it")
                       : fill(packed, packed_bytes, file, err);
    if (status == TARE_OK)
        status = make_content(file, most, err);
    if (status == TARE_OK)
        status = inflate_members(&bytes, file, packed, packed_bytes, err);
    free(packed);
    if (file->content != NULL && (status != TARE_OK || bytes != most)) {
        drop_content(file);
        file->bytes = bytes;
    }
    return status;
}

static enum tare_status read_all_plain(struct tare_decoded *file, struct tare_err *err) {
    enum tare_status status = make_content(file, file->bytes, err);
    if (status == TARE_OK)
        status = fill(file->content, file->bytes, file, err);
    if (status != TARE_OK && file->content != NULL)
        drop_content(file);
    return status;
}

enum tare_status tare_decoded_read(struct tare_decoded *file, size_t expected,
                                   tare_decoded_take *check, void *context, struct tare_err *err) {
    struct pass pass = {.take = check != NULL ? check : drop, .context = context, .most = expected};
    size_t size = 0;
    enum tare_status status = find_size(&size, file, err);
    const bool looks = expected > ONCE_BYTES && (file->compressed || check != NULL);
    if (status != TARE_OK)
        return status;
    if (!file->compressed && size != expected) {
        file->bytes = size;
        return TARE_OK;
    }
    if (file->compressed && size > 2 * expected + MORE_PACKED_BYTES)
        return tare_fail_at(err, file->name, size, ANEW,
                            "%zu compressed bytes are too many for the %zu that the header inside "
                            "promises",
                            size, expected);
    if (looks) {
        status = run_pass(file, &pass, err);
        file->bytes = pass.total;
        if (status != TARE_OK || pass.total != expected)
            return status;
        status = find_size(&size, file, err);
    }
    file->bytes = expected;
    if (status != TARE_OK)
        return status;
    return file->compressed ? read_packed(file, expected, size, err) : read_all_plain(file, err);
}
