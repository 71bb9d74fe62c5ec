/* fuzz_npy.c: .npy files of any array, and of labels. */
#include "data/parts.h"
#include "fuzz.h"

static void check_round_trip(const struct tare_array *array) {
    struct tare_buf written = {0};
    struct tare_array back;
    MUST(tare_npy_bytes(&written, array, NULL) == TARE_OK);
    MUST((written.size - tare_array_bytes(array)) % 64 == 0);
    MUST(tare_npy_parse(&back, written.data, written.size, "fuzz", NULL) == TARE_OK);
    MUST(same_array(array, &back));
    tare_array_free(&back);
    tare_buf_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_array array;
    struct tare_err err = {0};
    if (tare_npy_parse(&array, bytes, size, "fuzz", &err) == TARE_OK)
        check_round_trip(&array);
    else
        MUST(array.data == NULL && err.what[0] != '\0');
    tare_array_free(&array);
    if (tare_labels_parse(&array, bytes, size, "fuzz", NULL) == TARE_OK) {
        MUST(array.dtype == TARE_I32 && array.rank == 1);
        for (size_t i = 0; i < array.shape[0]; i++)
            MUST(((int32_t *)array.data)[i] >= 0 && ((int32_t *)array.data)[i] < TARE_MAX_CLASSES);
        check_round_trip(&array);
    }
    tare_array_free(&array);
    return 0;
}
