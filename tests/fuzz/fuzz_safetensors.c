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
    else {
        MUST(tensors.tensors == NULL && tensors.metadata == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_tensors_free(&tensors);
    return 0;
}

/* Lays the tensors out one after the other, as their types and shapes need it: most headers would
 * be refused for their offsets alone. Returns the bytes of data. */
static size_t lay_out(json_t *header) {
    const char *name = NULL;
    json_t *entry = NULL, *dim = NULL;
    size_t begin = 0, i = 0;
    json_object_foreach(header, name, entry) {
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        size_t bytes = dtype == NULL || strcmp(dtype, "U8") == 0 ? 1 : strstr(dtype, "64") ? 8 : 4;
        json_array_foreach(json_object_get(entry, "shape"), i, dim) {
            const json_int_t size = json_integer_value(dim);
            bytes = size >= 0 && size < 65536 && bytes < 65536 ? bytes * (size_t)size : bytes;
        }
        if (strcmp(name, "__metadata__") == 0)
            continue;
        json_object_set_new(entry, "data_offsets",
                            json_pack("[I,I]", (json_int_t)begin, (json_int_t)(begin + bytes)));
        begin += bytes;
    }
    return begin;
}

/* The header's JSON changed, its length and mostly its offsets mended. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0}, text = {0};
    const size_t given = size < 8 ? 0 : (size_t)data[0] | (size_t)data[1] << 8;
    if (mutate_plainly(&dice) || size < 8 || given > size - 8 ||
        !mutate_json(&text, &dice, (const char *)data + 8, given))
        return LLVMFuzzerMutate(data, size, max);
    size_t data_bytes = size - 8 - given;
    json_t *header = roll(&dice, 4) > 0 ? json_loadb(text.data, text.size, 0, NULL) : NULL;
    if (header != NULL) {
        data_bytes = lay_out(header);
        char *mended = json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER);
        tare_buf_free(&text);
        if (mended != NULL)
            tare_buf_puts(&text, mended);
        free(mended);
        json_decref(header);
    }
    const uint8_t length[8] = {(uint8_t)text.size, (uint8_t)(text.size >> 8),
                               (uint8_t)(text.size >> 16)};
    tare_buf_append(&out, length, 8);
    tare_buf_append(&out, text.data, text.size);
    tare_buf_free(&text);
    for (size_t i = 0; i < data_bytes && out.size < max; i++)
        tare_buf_append(&out, &data[i % size], 1);
    return mutate_give(data, max, &out);
}
