/* safetensors.h: weights on disk, in Hugging Face's safetensors format: a u64 length, a JSON header
 * of that length, and the tensors' bytes.
 *
 *     struct tare_tensors file = {0};
 *     if (tare_safetensors_read(&file, "digits.safetensors", &err) != TARE_OK) …
 *     const struct tare_tensor *w = tare_tensors_find(&file, "0.weight");
 *     const char *model = tare_tensors_metadata(&file, "model");   // "784 dense:64:relu dense:10"
 *     tare_tensors_free(&file);
 */
#ifndef TARE_SAFETENSORS_H
#define TARE_SAFETENSORS_H

#include <stddef.h>

#include "tare/array.h"
#include "tare/err.h"

#define TARE_MAX_TENSORS 256
#define TARE_MAX_TENSOR_NAME 64                       /* characters, with the NUL */
#define TARE_MAX_METADATA 1024                        /* pairs */
#define TARE_MAX_SAFETENSORS_HEADER ((size_t)1 << 20) /* bytes of JSON */

struct tare_tensor {
    char name[TARE_MAX_TENSOR_NAME];
    struct tare_array array; /* owned by the tare_tensors it stands in */
};

struct tare_tensors {
    size_t count;
    struct tare_tensor *tensors;
    size_t metadata_count;
    char **metadata; /* key, value, key, value …: 2 × metadata_count strings */
};

/* Overlapping, unordered-with-gaps, out-of-range or oversized tensors are errors
 * that name the tensor and the byte. */
enum tare_status tare_safetensors_parse(struct tare_tensors *out, const void *bytes, size_t size,
                                        const char *name, struct tare_err *err);
enum tare_status tare_safetensors_read(struct tare_tensors *out, const char *path,
                                       struct tare_err *err);

/* Writes whole or not at all; the same tensors and metadata give the same bytes. */
enum tare_status tare_safetensors_write(const char *path, const struct tare_tensors *tensors,
                                        struct tare_err *err);

/* Appends to out the bytes that tare_safetensors_write writes. */
struct tare_buf;
enum tare_status tare_safetensors_bytes(struct tare_buf *out, const struct tare_tensors *tensors,
                                        struct tare_err *err);

/* NULL when absent. */
const struct tare_tensor *tare_tensors_find(const struct tare_tensors *tensors, const char *name);
const char *tare_tensors_metadata(const struct tare_tensors *tensors, const char *key);

/* Appends a copy of array under name (zeros where its data are NULL); or a metadata pair. */
enum tare_status tare_tensors_add(struct tare_tensors *tensors, const char *name,
                                  const struct tare_array *array, struct tare_err *err);
enum tare_status tare_tensors_set_metadata(struct tare_tensors *tensors, const char *key,
                                           const char *value, struct tare_err *err);
void tare_tensors_free(struct tare_tensors *tensors);

#endif
