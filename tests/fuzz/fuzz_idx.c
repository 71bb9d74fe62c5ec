/* fuzz_idx.c: IDX files of images and labels. */
#include "data/parts.h"
#include "fuzz.h"

/* IDX has one spelling for an array, so a file that parses is what writing it gives. */
static void check_idx(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_err err = {0};
    if (tare_idx_parse(&array, bytes, size, "fuzz", &err) != TARE_OK) {
        MUST(array.data == NULL);
        MUST_BE_REFUSED(err);
        return;
    }
    const size_t header_bytes = 4 + 4 * (size_t)array.rank;
    MUST(array.dtype == TARE_U8 && bytes[3] == array.rank);
    MUST(header_bytes + tare_array_bytes(&array) == size);
    for (int i = 0; i < array.rank; i++)
        for (int b = 0; b < 4; b++)
            MUST(bytes[4 + 4 * i + b] == (uint8_t)(array.shape[i] >> (24 - 8 * b)));
    MUST(memcmp(array.data, bytes + header_bytes, size - header_bytes) == 0);
    tare_array_free(&array);
}

static void check_images(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_decoded file;
    struct tare_err err = {0};
    MUST(tare_decoded_wrap(&file, bytes, size, "fuzz", NULL) == TARE_OK);
    if (tare_images_take(&array, &file, &err) == TARE_OK) {
        MUST(array.dtype == TARE_U8 && array.rank >= 2 && array.shape[0] > 0);
        MUST(file.bytes == size);
    } else {
        MUST(array.data == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_array_free(&array);
    tare_decoded_close(&file);
}

static void check_labels(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_decoded file;
    struct tare_err err = {0};
    MUST(tare_decoded_wrap(&file, bytes, size, "fuzz", NULL) == TARE_OK);
    if (tare_labels_take(&array, &file, &err) == TARE_OK) {
        MUST(array.dtype == TARE_I32 && array.rank == 1 && array.shape[0] == size - 8);
        for (size_t i = 0; i < array.shape[0]; i++)
            MUST(((int32_t *)array.data)[i] == bytes[8 + i]);
    } else {
        MUST(array.data == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_array_free(&array);
    tare_decoded_close(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    check_idx(bytes, size);
    /* Those would be another format: fuzz_gzip.c, fuzz_npy.c. */
    if (size >= 2 && (memcmp(bytes, "\x1f\x8b", 2) == 0 || bytes[0] == 0x93))
        return 0;
    check_images(bytes, size);
    check_labels(bytes, size);
    return 0;
}

/* A new header; mostly with as much data as it promises. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    const size_t rank = roll(&dice, 16) == 0 ? roll(&dice, 256) : 1 + roll(&dice, 4);
    const uint8_t type = roll(&dice, 16) == 0 ? (uint8_t)roll(&dice, 256) : 8;
    const uint8_t magic[4] = {0, 0, type, (uint8_t)rank};
    size_t count = 1;
    tare_buf_append(&out, magic, 4);
    for (size_t i = 0; i < rank; i++) {
        const uint64_t dim = roll(&dice, 8) == 0 ? odd_number(&dice) : roll(&dice, 6);
        const uint8_t text[4] = {(uint8_t)(dim >> 24), (uint8_t)(dim >> 16), (uint8_t)(dim >> 8),
                                 (uint8_t)dim};
        tare_buf_append(&out, text, 4);
        count = count < max ? count * (uint32_t)dim : count;
    }
    if (count > max)
        count = roll(&dice, max < 64 ? max : 64);
    if (roll(&dice, 8) == 0)
        count += roll(&dice, 3) - 1;
    for (size_t i = 0; i < count && out.size < max; i++)
        tare_buf_append(&out, size > 0 ? &data[i % size] : magic, 1);
    return mutate_give(data, max, &out);
}
