/* array.h: an n-dimensional array of numbers, and the .npy format (NEP 1) to keep it in.
 *
 *     struct tare_array images = {0};
 *     if (tare_npy_read(&images, "train_images.npy", &err) != TARE_OK) …
 *     const uint8_t *pixels = images.data;         // images: (n, 784) or (n, h, w, c)
 *     tare_array_free(&images);
 *
 * Arrays are dense, row-major, little-endian. Formats and caps: doc/formats.md.
 */
#ifndef TARE_ARRAY_H
#define TARE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

/* id, .npy descriptor, safetensors name, bytes per element */
#define TARE_DTYPE_LIST(X)                                                                         \
    X(U8, "|u1", "U8", 1)                                                                          \
    X(I32, "<i4", "I32", 4)                                                                        \
    X(I64, "<i8", "I64", 8)                                                                        \
    X(F32, "<f4", "F32", 4)                                                                        \
    X(F64, "<f8", "F64", 8)

enum tare_dtype {
#define X(id, npy, safetensors, bytes) TARE_##id,
    TARE_DTYPE_LIST(X)
#undef X
};

#define TARE_MAX_RANK 4
#define TARE_MAX_ARRAY_BYTES                                                                       \
    ((size_t)1 << 32) /* of one array; 87 times MNIST's training images                            \
                       */

struct tare_array {
    enum tare_dtype dtype;
    int rank;                    /* 0 … TARE_MAX_RANK */
    size_t shape[TARE_MAX_RANK]; /* outermost first */
    void *data;                  /* tare_array_bytes() bytes, owned; freed by tare_array_free */
    void *map;                   /* the mapped file that data lie in; else NULL */
    size_t map_bytes;
};

size_t tare_dtype_bytes(enum tare_dtype dtype);
const char *tare_dtype_npy(enum tare_dtype dtype);
const char *tare_dtype_safetensors(enum tare_dtype dtype);

/* Elements and bytes of an array. Arrays made by tare never overflow a size_t here. */
size_t tare_array_count(const struct tare_array *array);
size_t tare_array_bytes(const struct tare_array *array);

/* Allocates zeroed data for a shape; fails when the shape is over TARE_MAX_ARRAY_BYTES. */
enum tare_status tare_array_make(struct tare_array *array, enum tare_dtype dtype, int rank,
                                 const size_t *shape, struct tare_err *err);
void tare_array_free(struct tare_array *array);

/* Multiplies a shape (rank 0: 1) into *count; false when it overflows or count × element_bytes
 * is over TARE_MAX_ARRAY_BYTES. Every parser's shapes go through here. */
int tare_shape_count(size_t *count, int rank, const size_t *shape, size_t element_bytes);

/* .npy version 1, 2 and 3, C order, the dtypes above. `name` is used in messages only. */
enum tare_status tare_npy_parse(struct tare_array *array, const void *bytes, size_t size,
                                const char *name, struct tare_err *err);
enum tare_status tare_npy_read(struct tare_array *array, const char *path, struct tare_err *err);
/* As tare_npy_read, with the data left in the file until they are touched. They may be written to:
 * the file stays as it is. Who shortens the file meanwhile kills the reader (SIGBUS), so never of
 * a file that somebody else may still write to. */
enum tare_status tare_npy_map(struct tare_array *array, const char *path, struct tare_err *err);
enum tare_status tare_npy_write(const char *path, const struct tare_array *array,
                                struct tare_err *err);

/* Appends to out the bytes that tare_npy_write writes: version 1, data 64 bytes aligned. */
struct tare_buf;
enum tare_status tare_npy_bytes(struct tare_buf *out, const struct tare_array *array,
                                struct tare_err *err);

#endif
