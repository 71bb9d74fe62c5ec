/* images.c: one file of images or of labels, whatever it is written as: IDX (idx.c) or .npy
 * (base/npy.c), compressed (gzip.c) or not. The content decides, not the name. Images come out as
 * unsigned bytes with the image number first, labels as int32 from 0 to TARE_MAX_CLASSES − 1.
 */
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/fail_at.h"
#include "base/npy.h"
#include "data/parts.h"

enum tare_status tare_read_decoded(struct tare_buf *out, const char *path, struct tare_err *err) {
    struct tare_buf file = {0};
    enum tare_status status = tare_file_read(&file, path, TARE_MAX_DATA_FILE_BYTES, err);
    if (status == TARE_OK && file.size >= 2 && memcmp(file.data, "\x1f\x8b", 2) == 0) {
        status = tare_gunzip(out, file.data, file.size, TARE_MAX_DATA_FILE_BYTES, path, err);
        tare_buf_free(&file);
    } else {
        *out = file;
    }
    if (status != TARE_OK)
        tare_buf_free(out);
    return status;
}

static bool is_npy(const void *bytes, size_t size) {
    return size >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0;
}

enum tare_status tare_images_parse(struct tare_array *images, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err) {
    const bool npy = is_npy(bytes, size);
    enum tare_status status = npy ? tare_npy_parse(images, bytes, size, name, err)
                                  : tare_idx_parse(images, bytes, size, name, err);
    if (status != TARE_OK)
        return status;
    if (images->dtype != TARE_U8)
        status = tare_fail(err, TARE_DATA, name, "save them with array.astype('uint8'), 0 to 255",
                           "the pixels are %s, not unsigned bytes", tare_dtype_npy(images->dtype));
    else if (images->rank < 2 || tare_array_count(images) == 0)
        status = tare_fail(err, TARE_DATA, name, "give (n, values), (n, h, w) or (n, h, w, c)",
                           "this does not hold images: it has %d dimension%s and %zu values",
                           images->rank, images->rank == 1 ? "" : "s", tare_array_count(images));
    if (status != TARE_OK)
        tare_array_free(images);
    return status;
}

/* The integer at `at`, of any width and byte order. Values over INT64_MAX come out negative, and
 * a label that is negative is refused anyway. */
static int64_t read_integer(const uint8_t *at, const struct tare_npy_header *header) {
    const size_t width = header->element_bytes;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | at[header->byte_order == '>' ? i : width - 1 - i];
    const uint64_t sign = (uint64_t)1 << (8 * width - 1);
    if (header->kind == 'i')
        value = (value ^ sign) - sign; /* extends the sign bit to 64 bits */
    return (int64_t)value;
}

static enum tare_status check_label(int64_t label, size_t i, const char *name,
                                    struct tare_err *err) {
    if (label >= 0 && label < TARE_MAX_CLASSES)
        return TARE_OK;
    return tare_fail(err, TARE_DATA, name, "number the classes from 0",
                     "label %zu is %" PRId64 ", outside 0 … %d", i, label, TARE_MAX_CLASSES - 1);
}

static enum tare_status npy_labels(struct tare_array *labels, const uint8_t *bytes, size_t size,
                                   const char *name, struct tare_err *err) {
    struct tare_npy_header header;
    enum tare_status status = tare_npy_header_parse(&header, bytes, size, name, err);
    if (status == TARE_OK)
        status = tare_npy_size_check(&header, size, name, err);
    if (status != TARE_OK)
        return status;
    if (header.kind != 'u' && header.kind != 'i')
        return tare_fail_at(err, name, header.descr_at, "save them with array.astype('int32')",
                            "the labels are '%s', not integers", header.descr);
    if (header.rank != 1)
        return tare_fail(err, TARE_DATA, name, "save them with array.reshape(-1)",
                         "the labels have %d dimensions, not 1", header.rank);
    status = tare_array_make(labels, TARE_I32, 1, &header.count, err);
    int32_t *out = labels->data;
    for (size_t i = 0; status == TARE_OK && i < header.count; i++) {
        const uint8_t *at = bytes + header.data_offset + i * header.element_bytes;
        const int64_t label = read_integer(at, &header);
        status = check_label(label, i, name, err);
        out[i] = (int32_t)label;
    }
    return status;
}

static enum tare_status idx_labels(struct tare_array *labels, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err) {
    struct tare_array raw = {0};
    enum tare_status status = tare_idx_parse(&raw, bytes, size, name, err);
    if (status != TARE_OK)
        return status;
    if (raw.rank != 1)
        status = tare_fail_at(err, name, 3, "name the file of labels",
                              "the labels have %d dimensions, not 1", raw.rank);
    else
        status = tare_array_make(labels, TARE_I32, 1, raw.shape, err);
    const uint8_t *in = raw.data;
    int32_t *out = labels->data;
    for (size_t i = 0; status == TARE_OK && i < raw.shape[0]; i++)
        out[i] = in[i];
    tare_array_free(&raw);
    return status;
}

enum tare_status tare_labels_parse(struct tare_array *labels, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err) {
    *labels = (struct tare_array){0};
    enum tare_status status = is_npy(bytes, size) ? npy_labels(labels, bytes, size, name, err)
                                                  : idx_labels(labels, bytes, size, name, err);
    if (status == TARE_OK && labels->shape[0] == 0)
        status =
            tare_fail(err, TARE_DATA, name, "give one label per image", "the file holds no labels");
    if (status != TARE_OK)
        tare_array_free(labels);
    return status;
}

enum tare_status tare_images_read(struct tare_array *images, const char *path,
                                  struct tare_err *err) {
    struct tare_buf file = {0};
    *images = (struct tare_array){0};
    enum tare_status status = tare_read_decoded(&file, path, err);
    if (status == TARE_OK)
        status = tare_images_parse(images, file.data, file.size, path, err);
    tare_buf_free(&file);
    return status;
}

enum tare_status tare_labels_read(struct tare_array *labels, const char *path,
                                  struct tare_err *err) {
    struct tare_buf file = {0};
    *labels = (struct tare_array){0};
    enum tare_status status = tare_read_decoded(&file, path, err);
    if (status == TARE_OK)
        status = tare_labels_parse(labels, file.data, file.size, path, err);
    tare_buf_free(&file);
    return status;
}
