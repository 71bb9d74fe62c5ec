/* npz.h: the archive in which Keras keeps MNIST. */
#ifndef TARE_DATA_NPZ_H
#define TARE_DATA_NPZ_H

#include <stddef.h>
#include <stdint.h>

#include "tare/array.h"
#include "tare/buf.h"
#include "tare/err.h"

/* Writes count arrays under names ("x_train") as numpy.savez does: an uncompressed zip of .npy
 * files. The same arrays give the same bytes. */
enum tare_status tare_npz_write(const char *path, const char *const *names,
                                const struct tare_array *const *arrays, size_t count,
                                struct tare_err *err);

/* The same, appended to out. Sizes and places from `wide` on are written in zip's 64-bit form:
 * UINT32_MAX, but for tests of that form. */
enum tare_status tare_npz_bytes(struct tare_buf *out, const char *const *names,
                                const struct tare_array *const *arrays, size_t count, uint64_t wide,
                                struct tare_err *err);

#endif
