/* gzip.c: a .gz held in memory, inflated with zlib, which also checks its CRC. The size of the
 * result is capped by the caller, so that a small hostile file cannot fill the memory.
 */
#include <limits.h>
#include <stdint.h>
#include <zlib.h>

#include "base/fail_at.h"
#include "tare/buf.h"
#include "tare/data.h"

#define CHUNK_BYTES 65536
#define ANEW "copy or download the file anew"

/* Inflates until the current member ends. The stream's next_in and avail_in move on. */
static enum tare_status inflate_member(struct tare_buf *out, z_stream *stream, size_t size,
                                       size_t max_bytes, const char *name, struct tare_err *err) {
    uint8_t chunk[CHUNK_BYTES];
    for (;;) {
        stream->next_out = chunk;
        stream->avail_out = sizeof chunk;
        const int result = inflate(stream, Z_NO_FLUSH);
        const size_t at = size - stream->avail_in;
        const size_t got = sizeof chunk - stream->avail_out;
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return tare_fail_at(err, name, at, ANEW, "the compressed data are damaged: %s",
                                stream->msg != NULL ? stream->msg : "unknown reason");
        if (got > max_bytes - out->size)
            return tare_fail_at(err, name, at, "is it the right file?",
                                "it decompresses to more than the %zu bytes allowed here",
                                max_bytes);
        tare_buf_append(out, chunk, got);
        if (out->failed)
            return tare_fail(err, TARE_MEMORY, name, NULL, "no memory to decompress it");
        if (result == Z_STREAM_END)
            return TARE_OK;
        if (got == 0 && stream->avail_in == 0)
            return tare_fail_at(err, name, size, ANEW, "the compressed data end too early");
    }
}

enum tare_status tare_gunzip(struct tare_buf *out, const void *bytes, size_t size, size_t max_bytes,
                             const char *name, struct tare_err *err) {
    if (size > UINT_MAX)
        return tare_fail(err, TARE_DATA, name, "is it the right file?",
                         "%zu bytes are too many for a compressed file", size);
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) /* 15: largest window; 16: gzip, not zlib */
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory to decompress it");
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)size;
    enum tare_status status = TARE_OK;
    do { /* `cat a.gz b.gz` is a .gz too */
        status = inflate_member(out, &stream, size, max_bytes, name, err);
    } while (status == TARE_OK && stream.avail_in > 0 && inflateReset(&stream) == Z_OK);
    inflateEnd(&stream);
    return status;
}
