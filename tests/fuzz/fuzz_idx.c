/* fuzz_idx.c: IDX files of images and labels, plain and gzip. */
#include "data/parts.h"
#include "fuzz.h"

/* IDX has one spelling for an array, so a file that parses is what writing it gives. */
static void check_idx(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_err err = {0};
    if (tare_idx_parse(&array, bytes, size, "fuzz", &err) != TARE_OK) {
        MUST(array.data == NULL && err.what[0] != '\0' && err.where[0] != '\0');
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_buf inflated = {0};
    check_idx(bytes, size);
    if (tare_images_parse(&array, bytes, size, "fuzz", NULL) == TARE_OK)
        MUST(array.dtype == TARE_U8 && array.rank >= 2 && array.shape[0] > 0);
    tare_array_free(&array);
    if (tare_gunzip(&inflated, bytes, size, 1 << 20, "fuzz", NULL) == TARE_OK) {
        MUST(inflated.size <= 1 << 20);
        check_idx((const uint8_t *)inflated.data, inflated.size);
    }
    tare_buf_free(&inflated);
    return 0;
}
