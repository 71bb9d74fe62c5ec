/* idx.c: LeCun's IDX format: two zero bytes, a type, a rank, one big-endian size per dimension,
 * the elements. Data sets of images use unsigned bytes only, and so does tare. images.c decides
 * what a file is.
 */
#include <stdint.h>
#include <string.h>

#include "base/fail_at.h"
#include "data/parts.h"
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

enum tare_status tare_idx_header_parse(struct tare_npy_header *header, const void *bytes,
                                       size_t size, const char *name, struct tare_err *err) {
    const uint8_t *b = bytes;
    *header = (struct tare_npy_header){.descr = "|u1", .byte_order = '|', .kind = 'u'};
    if (size < 4)
        return tare_fail_at(err, name, size, ANEW, "the file ends inside its four-byte magic");
    if (b[0] != 0 || b[1] != 0)
        return tare_fail_at(err, name, b[0] != 0 ? 0 : 1, "name an IDX file",
                            "this is no IDX file: it does not begin with two zero bytes");
    if (b[2] != 0x08)
        return tare_fail_at(err, name, 2, "convert the data to unsigned bytes, or to .npy",
                            "the elements are %s (type 0x%02x); only unsigned bytes are read",
                            type_name(b[2]), (unsigned)b[2]);
    if (b[3] < 1 || b[3] > TARE_MAX_RANK)
        return tare_fail_at(err, name, 3, ANEW, "the data have %u dimensions, not 1 to %d",
                            (unsigned)b[3], TARE_MAX_RANK);
    header->rank = b[3];
    header->element_bytes = 1;
    header->data_offset = 4 + 4 * (size_t)header->rank;
    if (size < header->data_offset)
        return tare_fail_at(err, name, size, ANEW, "the file ends inside its %zu-byte header",
                            header->data_offset);
    for (size_t i = 0; i < b[3]; i++) {
        const uint8_t *at = b + 4 + 4 * i;
        header->shape[i] =
            (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | (size_t)at[3];
    }
    if (!tare_shape_count(&header->count, header->rank, header->shape, 1))
        return tare_fail_at(err, name, 4, ANEW, "the header promises more than %zu MiB",
                            TARE_MAX_ARRAY_BYTES >> 20);
    return TARE_OK;
}

enum tare_status tare_idx_parse(struct tare_array *array, const void *bytes, size_t size,
                                const char *name, struct tare_err *err) {
    struct tare_npy_header header;
    *array = (struct tare_array){0};
    enum tare_status status = tare_idx_header_parse(&header, bytes, size, name, err);
    if (status == TARE_OK)
        status = tare_npy_size_check(&header, size, name, err);
    if (status == TARE_OK)
        status = tare_array_make(array, TARE_U8, header.rank, header.shape, err);
    if (status == TARE_OK)
        memcpy(array->data, (const uint8_t *)bytes + header.data_offset, header.count);
    return status;
}
