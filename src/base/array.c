/* array.c: dense arrays in memory: element types, sizes checked against overflow, allocation.
 * The files they come from are npy.c's and safetensors.c's; both take their shapes through
 * tare_shape_count, so that no parser multiplies sizes by itself.
 */
#include "tare/array.h"

#include <stdlib.h>
#include <sys/mman.h>

size_t tare_dtype_bytes(enum tare_dtype dtype) {
    switch (dtype) {
#define X(id, npy, safetensors, bytes)                                                             \
    case TARE_##id:                                                                                \
        return bytes;
        TARE_DTYPE_LIST(X)
#undef X
    }
    return 0;
}

const char *tare_dtype_npy(enum tare_dtype dtype) {
    switch (dtype) {
#define X(id, npy, safetensors, bytes)                                                             \
    case TARE_##id:                                                                                \
        return npy;
        TARE_DTYPE_LIST(X)
#undef X
    }
    return "?";
}

const char *tare_dtype_safetensors(enum tare_dtype dtype) {
    switch (dtype) {
#define X(id, npy, safetensors, bytes)                                                             \
    case TARE_##id:                                                                                \
        return safetensors;
        TARE_DTYPE_LIST(X)
#undef X
    }
    return "?";
}

int tare_shape_count(size_t *count, int rank, const size_t *shape, size_t element_bytes) {
    if (rank < 0 || rank > TARE_MAX_RANK || element_bytes == 0)
        return 0;
    /* A zero dimension must not hide an absurd one beside it, which would overflow a stride. */
    const size_t limit = TARE_MAX_ARRAY_BYTES / element_bytes;
    size_t product = 1;
    int empty = 0;
    for (int i = 0; i < rank; i++) {
        if (shape[i] == 0) {
            empty = 1;
            continue;
        }
        if (shape[i] > limit / product)
            return 0;
        product *= shape[i];
    }
    *count = empty ? 0 : product;
    return 1;
}

size_t tare_array_count(const struct tare_array *array) {
    size_t count = 0;
    if (!tare_shape_count(&count, array->rank, array->shape, tare_dtype_bytes(array->dtype)))
        return 0;
    return count;
}

size_t tare_array_bytes(const struct tare_array *array) {
    return tare_array_count(array) * tare_dtype_bytes(array->dtype);
}

enum tare_status tare_array_make(struct tare_array *array, enum tare_dtype dtype, int rank,
                                 const size_t *shape, struct tare_err *err) {
    size_t count = 0;
    *array = (struct tare_array){0};
    if (!tare_shape_count(&count, rank, shape, tare_dtype_bytes(dtype)))
        return tare_fail(err, TARE_DATA, NULL, "use fewer or smaller samples",
                         "the array has more than %d dimensions or more than %zu MiB",
                         TARE_MAX_RANK, TARE_MAX_ARRAY_BYTES >> 20);
    size_t bytes = count * tare_dtype_bytes(dtype);
    void *data = calloc(bytes > 0 ? bytes : 1, 1);
    if (data == NULL)
        return tare_fail(err, TARE_MEMORY, NULL, "close other programs or use less data",
                         "no memory for an array of %zu bytes", bytes);
    array->dtype = dtype;
    array->rank = rank;
    for (int i = 0; i < rank; i++)
        array->shape[i] = shape[i];
    array->data = data;
    return TARE_OK;
}

void tare_array_free(struct tare_array *array) {
    if (array->map != NULL)
        munmap(array->map, array->map_bytes);
    else
        free(array->data);
    *array = (struct tare_array){0};
}
