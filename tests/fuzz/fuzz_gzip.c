/* fuzz_gzip.c: files as the bytes they decode to, and data sets in them: piece by piece and all at
 * once they must be the same bytes, and those that zlib sees when it inflates them in its own way.
 */
#include <zlib.h>

#include "data/parts.h"
#include "fuzz.h"

#define MOST ((size_t)160000) /* more than the pieces that files are read in */

/* All members in one go; false when they are damaged or more than MOST. */
static bool inflate_by_zlib(struct tare_buf *out, const uint8_t *bytes, size_t size) {
    static uint8_t whole[MOST + 1];
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};
    MUST(inflateInit2(&stream, 15 + 16) == Z_OK);
    stream.next_out = whole;
    stream.avail_out = sizeof whole;
    int result = Z_OK;
    do {
        inflateReset(&stream);
        result = inflate(&stream, Z_FINISH);
    } while (result == Z_STREAM_END && stream.avail_in > 0);
    tare_buf_append(out, whole, sizeof whole - stream.avail_out);
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

static void check_sets(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_decoded file;
    for (int labels = 0; labels < 2; labels++) {
        struct tare_err err = {0};
        if (tare_decoded_wrap(&file, bytes, size, "fuzz", NULL) != TARE_OK)
            return;
        if ((labels ? tare_labels_take : tare_images_take)(&array, &file, &err) != TARE_OK) {
            MUST(array.data == NULL);
            MUST_BE_REFUSED(err);
        }
        tare_array_free(&array);
        tare_decoded_close(&file);
    }
}

/* What was decoded at once: the same bytes. */
static void check_content(const struct tare_decoded *file, const struct tare_buf *expected,
                          const char *sha256) {
    char again[65];
    MUST(file->content != NULL && file->bytes == expected->size);
    MUST(file->head_bytes <= file->bytes &&
         memcmp(file->head, file->content, file->head_bytes) == 0);
    MUST(memcmp(file->content, expected->data, expected->size) == 0);
    tare_sha256_hex(again, file->content, file->bytes);
    MUST(strcmp(sha256, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_decoded file;
    struct tare_buf expected = {0};
    struct tare_err err = {0};
    char sha256[65];
    enum tare_status status = tare_decoded_wrap(&file, bytes, size, "fuzz", &err);
    const bool compressed = size >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0;
    if (status == TARE_OK) {
        MUST(file.compressed == compressed);
        status = tare_decoded_sha256(sha256, &file, MOST, &err);
    }
    if (compressed)
        MUST(inflate_by_zlib(&expected, bytes, size) == (status == TARE_OK && file.bytes <= MOST));
    else
        tare_buf_append(&expected, bytes, size);
    if (status != TARE_OK)
        MUST_BE_REFUSED(err);
    else if (file.bytes > 0 && file.bytes <= MOST) {
        const size_t all = file.bytes;
        MUST(tare_decoded_read(&file, all, NULL, NULL, NULL) == TARE_OK);
        check_content(&file, &expected, sha256);
        tare_decoded_close(&file);
        MUST(tare_decoded_wrap(&file, bytes, size, "fuzz", NULL) == TARE_OK);
        MUST(tare_decoded_read(&file, all + 1, NULL, NULL, NULL) == TARE_OK);
        MUST(file.content == NULL && file.bytes == all);
    }
    tare_decoded_close(&file);
    tare_buf_free(&expected);
    check_sets(bytes, size);
    return 0;
}

static void compress_some(struct tare_buf *out, struct dice *dice, const uint8_t *bytes,
                          size_t size) {
    uint8_t chunk[4096];
    z_stream stream = {.next_in = (z_const Bytef *)(uintptr_t)bytes, .avail_in = (uInt)size};
    MUST(deflateInit2(&stream, (int)roll(dice, 10), Z_DEFLATED, 15 + 16, 1 + (int)roll(dice, 9),
                      (int)roll(dice, 5)) == Z_OK);
    gz_header header = {.name = (Bytef *)(uintptr_t) "name",
                        .extra = chunk,
                        .extra_len = (uInt)roll(dice, 64),
                        .hcrc = (int)roll(dice, 2)};
    memset(chunk, 'x', 64);
    if (roll(dice, 4) == 0)
        deflateSetHeader(&stream, &header);
    int result = Z_OK;
    while (result != Z_STREAM_END) {
        uint8_t piece[4096];
        stream.next_out = piece;
        stream.avail_out = sizeof piece;
        result = deflate(&stream, Z_FINISH);
        MUST(result == Z_OK || result == Z_STREAM_END);
        tare_buf_append(out, piece, sizeof piece - stream.avail_out);
    }
    deflateEnd(&stream);
}

/* The inflated bytes changed, and compressed anew, in one member or two, with or without a tail. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static uint8_t inner[2 * MOST];
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0}, inflated = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    inflate_by_zlib(&inflated, data, size);
    size_t inner_size = inflated.size < MOST ? inflated.size : 0;
    if (inner_size > 0)
        memcpy(inner, inflated.data, inner_size);
    tare_buf_free(&inflated);
    if (roll(&dice, 16) == 0) { /* a bomb, as far as there is room for one */
        memset(inner + inner_size, 0, MOST - inner_size);
        inner_size += roll(&dice, MOST - inner_size);
    } else
        inner_size = LLVMFuzzerMutate(inner, inner_size, inner_size + 1024);
    const size_t cut = roll(&dice, 4) == 0 ? roll(&dice, inner_size) : inner_size;
    compress_some(&out, &dice, inner, cut);
    if (cut < inner_size)
        compress_some(&out, &dice, inner + cut, inner_size - cut);
    if (roll(&dice, 16) == 0)
        tare_buf_puts(&out, "tail");
    return mutate_give(data, max, &out);
}
