/* tensors.c: a list of named tensors with metadata, in memory. safetensors.c reads and writes it;
 * src/net turns a model's parameters into one and back.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tare/safetensors.h"

const struct tare_tensor *tare_tensors_find(const struct tare_tensors *tensors, const char *name) {
    for (size_t i = 0; i < tensors->count; i++)
        if (strcmp(tensors->tensors[i].name, name) == 0)
            return &tensors->tensors[i];
    return NULL;
}

/* The index of a key in the metadata's strings, or their count. */
static size_t find_key(const struct tare_tensors *tensors, const char *key) {
    size_t i = 0;
    while (i < 2 * tensors->metadata_count && strcmp(tensors->metadata[i], key) != 0)
        i += 2;
    return i;
}

const char *tare_tensors_metadata(const struct tare_tensors *tensors, const char *key) {
    const size_t i = find_key(tensors, key);
    return i < 2 * tensors->metadata_count ? tensors->metadata[i + 1] : NULL;
}

enum tare_status tare_tensors_add(struct tare_tensors *tensors, const char *name,
                                  const struct tare_array *array, struct tare_err *err) {
    const size_t length = strlen(name);
    if (length == 0 || length >= TARE_MAX_TENSOR_NAME || strcmp(name, "__metadata__") == 0)
        return tare_fail(err, TARE_DATA, name, "give the tensor a name of 1 to 63 bytes",
                         "this cannot be a tensor's name");
    if (tare_tensors_find(tensors, name) != NULL)
        return tare_fail(err, TARE_DATA, name, "name each tensor once",
                         "there is a tensor of this name already");
    if (tensors->count == TARE_MAX_TENSORS)
        return tare_fail(err, TARE_DATA, name, "use a smaller model", "more than %d tensors",
                         TARE_MAX_TENSORS);
    struct tare_tensor *grown =
        realloc(tensors->tensors, (tensors->count + 1) * sizeof *tensors->tensors);
    if (grown == NULL)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory for another tensor");
    tensors->tensors = grown;
    struct tare_tensor *added = &grown[tensors->count];
    *added = (struct tare_tensor){0};
    memcpy(added->name, name, length + 1);
    enum tare_status status =
        tare_array_make(&added->array, array->dtype, array->rank, array->shape, err);
    if (status != TARE_OK)
        return status;
    if (array->data != NULL)
        memcpy(added->array.data, array->data, tare_array_bytes(array));
    tensors->count++;
    return TARE_OK;
}

enum tare_status tare_tensors_set_metadata(struct tare_tensors *tensors, const char *key,
                                           const char *value, struct tare_err *err) {
    const size_t at = find_key(tensors, key);
    const bool is_new = at == 2 * tensors->metadata_count;
    char *new_value = strdup(value);
    char *new_key = is_new ? strdup(key) : NULL;
    char **grown = tensors->metadata;
    if (is_new)
        grown = realloc(tensors->metadata, (at + 2) * sizeof *grown);
    if (grown != NULL)
        tensors->metadata = grown;
    if (grown == NULL || new_value == NULL || (is_new && new_key == NULL)) {
        free(new_key);
        free(new_value);
        return tare_fail(err, TARE_MEMORY, key, NULL, "no memory for metadata");
    }
    if (is_new) {
        grown[at] = new_key;
        tensors->metadata_count++;
    } else {
        free(grown[at + 1]);
    }
    grown[at + 1] = new_value;
    return TARE_OK;
}

void tare_tensors_free(struct tare_tensors *tensors) {
    for (size_t i = 0; i < tensors->count; i++)
        tare_array_free(&tensors->tensors[i].array);
    free(tensors->tensors);
    for (size_t i = 0; i < 2 * tensors->metadata_count; i++)
        free(tensors->metadata[i]);
    free(tensors->metadata);
    *tensors = (struct tare_tensors){0};
}
