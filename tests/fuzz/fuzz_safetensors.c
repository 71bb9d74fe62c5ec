/* fuzz_safetensors.c: safetensors files; what parses is written, parsed and written again. */
#include "fuzz.h"
#include "tare/safetensors.h"

static void check_round_trip(const struct tare_tensors *tensors) {
    struct tare_tensors back;
    struct tare_buf written = {0}, again = {0};
    MUST(tare_safetensors_bytes(&written, tensors, NULL) == TARE_OK);
    MUST(tare_safetensors_parse(&back, written.data, written.size, "fuzz", NULL) == TARE_OK);
    MUST(back.count == tensors->count && back.metadata_count == tensors->metadata_count);
    for (size_t i = 0; i < tensors->count; i++) {
        const struct tare_tensor *found = tare_tensors_find(&back, tensors->tensors[i].name);
        MUST(found != NULL && same_array(&found->array, &tensors->tensors[i].array));
    }
    for (size_t i = 0; i < 2 * tensors->metadata_count; i += 2) {
        const char *found = tare_tensors_metadata(&back, tensors->metadata[i]);
        MUST(found != NULL && strcmp(found, tensors->metadata[i + 1]) == 0);
    }
    MUST(tare_safetensors_bytes(&again, &back, NULL) == TARE_OK);
    MUST(again.size == written.size && memcmp(again.data, written.data, again.size) == 0);
    tare_buf_free(&written);
    tare_buf_free(&again);
    tare_tensors_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_tensors tensors;
    struct tare_err err = {0};
    if (tare_safetensors_parse(&tensors, bytes, size, "fuzz", &err) == TARE_OK)
        check_round_trip(&tensors);
    else
        MUST(tensors.tensors == NULL && tensors.metadata == NULL && err.what[0] != '\0');
    tare_tensors_free(&tensors);
    return 0;
}
