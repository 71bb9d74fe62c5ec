/* scratch.h: what the tests of files and data share: a folder that is removed afterwards, files in
 * it, and a parser's food in a block of exactly its size, so that ASan sees one byte too many. */
#ifndef TARE_TESTS_SCRATCH_H
#define TARE_TESTS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "tare/buf.h"
#include "temporary.h"

static char *scratch;

static inline int scratch_setup(void **state) {
    (void)state;
    scratch = temporary_make();
    return 0;
}

static inline int scratch_teardown(void **state) {
    (void)state;
    temporary_remove(scratch);
    return 0;
}

/* "SCRATCH/name", in one of a few rotating buffers. */
static inline const char *scratch_path(const char *name) {
    static char paths[8][512];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* Writes a file below the scratch folder, making its folders. */
static inline const char *scratch_write(const char *name, const void *bytes, size_t size) {
    char dir[512];
    const char *path = scratch_path(name);
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(tare_make_dirs(dir, NULL), TARE_OK);
    assert_int_equal(tare_file_write(path, bytes, size, NULL), TARE_OK);
    return path;
}

static inline bool scratch_holds(const char *name, const void *bytes, size_t size) {
    struct tare_buf file = {0};
    const bool same = tare_file_read(&file, scratch_path(name), (size_t)1 << 30, NULL) == TARE_OK &&
                      file.size == size && (size == 0 || memcmp(file.data, bytes, size) == 0);
    tare_buf_free(&file);
    return same;
}

/* A copy of the first `size` bytes in a block of that size. */
static inline uint8_t *exact_copy(const void *bytes, size_t size) {
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static inline void gzip_bytes(struct tare_buf *out, const void *bytes, size_t size) {
    z_stream stream = {0};
    uint8_t chunk[4096];
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    int result = Z_OK;
    while (result != Z_STREAM_END) {
        stream.next_out = chunk;
        stream.avail_out = sizeof chunk;
        result = deflate(&stream, Z_FINISH);
        assert_true(result == Z_OK || result == Z_STREAM_END);
        tare_buf_append(out, chunk, sizeof chunk - stream.avail_out);
    }
    deflateEnd(&stream);
    assert_false(out->failed);
}

/* An IDX file of unsigned bytes, appended to out. */
static inline void idx_bytes(struct tare_buf *out, int rank, const size_t *shape,
                             const uint8_t *data) {
    const uint8_t magic[4] = {0, 0, 8, (uint8_t)rank};
    size_t count = 1;
    tare_buf_append(out, magic, 4);
    for (int i = 0; i < rank; i++) {
        const uint8_t size[4] = {(uint8_t)(shape[i] >> 24), (uint8_t)(shape[i] >> 16),
                                 (uint8_t)(shape[i] >> 8), (uint8_t)shape[i]};
        tare_buf_append(out, size, 4);
        count *= shape[i];
    }
    tare_buf_append(out, data, count);
    assert_false(out->failed);
}

#endif
