/* idx.c: LeCun's IDX format: two zero bytes, a type, a rank, one big-endian size per dimension,
 * the elements. Data sets of images use unsigned bytes only, and so does tare. images.c decides
 * what a file is and decompresses it.
 */
#include <stdint.h>
#include <string.h>

#include "base/fail_at.h"
#include "tare/data.h"

#define ANEW "copy or download the file anew"

static const char *type_name(unsigned type) {
    switch (type) { /* the format's own numbers, not an enum of ours */
    case 0x09:
        return "signed bytes";
    case 0x0b:
        return "16-bit integers";
    case 0x0c:
        return "32-bit integers";
    case 0x0d:
        return "32-bit floats";
    case 0x0e:
        return "64-bit floats";
    default:
        return "no type that IDX knows";
    }
}

enum tare_status tare_idx_parse(struct tare_array *array, const void *bytes, size_t size,
                                const char *name, struct tare_err *err) {
    const uint8_t *b = bytes;
    *array = (struct tare_array){0};
    if (size < 4)
        return tare_fail_at(err, name, size, ANEW, "the file ends inside its four-byte magic");
    if (b[0] != 0 || b[1] != 0)
        return tare_fail_at(err, name, b[0] != 0 ? 0 : 1, "name an IDX file",
                            "this is no IDX file: it does not begin with two zero bytes");
    if (b[2] != 0x08)
        return tare_fail_at(err, name, 2, "convert the data to unsigned bytes, or to .npy",
                            "the elements are %s (type 0x%02x); only unsigned bytes are read",
                            type_name(b[2]), (unsigned)b[2]);
    const unsigned rank = b[3];
    if (rank < 1 || rank > TARE_MAX_RANK)
        return tare_fail_at(err, name, 3, ANEW, "the data have %u dimensions, not 1 to %d", rank,
                            TARE_MAX_RANK);
    const size_t header_bytes = 4 + 4 * (size_t)rank;
    if (size < header_bytes)
        return tare_fail_at(err, name, size, ANEW, "the file ends inside its %zu-byte header",
                            header_bytes);
    size_t shape[TARE_MAX_RANK], count = 0;
    for (size_t i = 0; i < rank; i++) {
        const uint8_t *at = b + 4 + 4 * i;
        shape[i] = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3];
    }
    if (!tare_shape_count(&count, (int)rank, shape, 1))
        return tare_fail_at(err, name, 4, ANEW, "the header promises more than %zu MiB",
                            TARE_MAX_ARRAY_BYTES >> 20);
    if (size - header_bytes < count)
        return tare_fail_at(err, name, size, ANEW,
                            "the header promises %zu bytes of data, the file ends after %zu", count,
                            size - header_bytes);
    if (size - header_bytes > count)
        return tare_fail_at(err, name, header_bytes + count, ANEW,
                            "%zu bytes follow the data that the header describes",
                            size - header_bytes - count);
    enum tare_status status = tare_array_make(array, TARE_U8, (int)rank, shape, err);
    if (status == TARE_OK)
        memcpy(array->data, b + header_bytes, count);
    return status;
}
