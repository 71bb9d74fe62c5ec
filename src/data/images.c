/* images.c: one file of images or of labels, whatever it is written as: IDX (idx.c) or .npy
 * (base/npy.c), compressed (decoded.c) or not. The content decides, not the name. Images come out
 * as unsigned bytes with the image number first, labels as int32 from 0 to TARE_MAX_CLASSES − 1.
 * Header first, then memory for what it promises, then the file straight into it; images stay
 * there.
 */
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/fail_at.h"
#include "data/parts.h"

static enum tare_status read_header(struct tare_npy_header *header, const struct tare_decoded *file,
                                    struct tare_err *err) {
    const bool npy = file->head_bytes >= 6 && memcmp(file->head, "\x93NUMPY", 6) == 0;
    return npy ? tare_npy_header_parse(header, file->head, file->head_bytes, file->name, err)
               : tare_idx_header_parse(header, file->head, file->head_bytes, file->name, err);
}

/* All of the file, if it is as long as its header says. */
static enum tare_status read_content(struct tare_decoded *file,
                                     const struct tare_npy_header *header, tare_decoded_take *check,
                                     void *context, struct tare_err *err) {
    const size_t expected = header->data_offset + header->count * header->element_bytes;
    const enum tare_status status = tare_decoded_read(file, expected, check, context, err);
    return status == TARE_OK ? tare_npy_size_check(header, file->bytes, file->name, err) : status;
}

enum tare_status tare_images_take(struct tare_array *images, struct tare_decoded *file,
                                  struct tare_err *err) {
    struct tare_npy_header h;
    *images = (struct tare_array){0};
    enum tare_status status = read_header(&h, file, err);
    if (status != TARE_OK)
        return status;
    if (h.kind != 'u' || h.element_bytes != 1)
        return tare_fail_at(err, file->name, h.descr_at,
                            "save them with array.astype('uint8'), 0 to 255",
                            "the pixels are '%s', not unsigned bytes", h.descr);
    if (h.rank < 2 || h.count == 0)
        return tare_fail(err, TARE_DATA, file->name, "give (n, values), (n, h, w) or (n, h, w, c)",
                         "this does not hold images: it has %d dimension%s and %zu values", h.rank,
                         h.rank == 1 ? "" : "s", h.count);
    status = read_content(file, &h, NULL, NULL, err);
    if (status != TARE_OK)
        return status;
    *images = (struct tare_array){.dtype = TARE_U8,
                                  .rank = h.rank,
                                  .data = file->content + h.data_offset,
                                  .map = file->content,
                                  .map_bytes = file->bytes};
    memcpy(images->shape, h.shape, sizeof images->shape);
    file->taken = true;
    return TARE_OK;
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

/* Labels on their way into an array. */
struct filling {
    const struct tare_npy_header *header;
    const char *name;
    size_t skip;        /* bytes of the header still to come */
    int32_t *labels;    /* NULL: they are only looked at */
    size_t at;          /* labels done */
    uint8_t element[8]; /* of a label that lies across two pieces */
    size_t element_bytes;
};

static enum tare_status take_labels(void *context, const uint8_t *bytes, size_t size,
                                    struct tare_err *err) {
    struct filling *f = context;
    const size_t skipped = f->skip < size ? f->skip : size;
    f->skip -= skipped;
    for (size_t i = skipped; i < size; i++) {
        f->element[f->element_bytes++] = bytes[i];
        if (f->element_bytes < f->header->element_bytes)
            continue;
        const int64_t label = read_integer(f->element, f->header);
        const enum tare_status status = check_label(label, f->at, f->name, err);
        if (status != TARE_OK)
            return status;
        if (f->labels != NULL)
            f->labels[f->at] = (int32_t)label;
        f->at++;
        f->element_bytes = 0;
    }
    return TARE_OK;
}

enum tare_status tare_labels_take(struct tare_array *labels, struct tare_decoded *file,
                                  struct tare_err *err) {
    struct tare_npy_header h;
    *labels = (struct tare_array){0};
    enum tare_status status = read_header(&h, file, err);
    if (status != TARE_OK)
        return status;
    if (h.kind != 'u' && h.kind != 'i')
        return tare_fail_at(err, file->name, h.descr_at, "save them with array.astype('int32')",
                            "the labels are '%s', not integers", h.descr);
    if (h.rank != 1)
        return tare_fail(err, TARE_DATA, file->name,
                         "name the file of labels, or save them with array.reshape(-1)",
                         "the labels have %d dimensions, not 1", h.rank);
    if (h.count == 0)
        return tare_fail(err, TARE_DATA, file->name, "give one label per image",
                         "the file holds no labels");
    if (h.count > TARE_MAX_ARRAY_BYTES / sizeof(int32_t))
        return tare_fail(err, TARE_DATA, file->name, "use fewer samples",
                         "%zu labels are more than fit in %zu MiB", h.count,
                         TARE_MAX_ARRAY_BYTES >> 20);
    struct filling f = {.header = &h, .name = file->name, .skip = h.data_offset};
    status = read_content(file, &h, take_labels, &f, err);
    if (status == TARE_OK)
        status = tare_array_make(labels, TARE_I32, 1, &h.count, err);
    f = (struct filling){
        .header = &h, .name = file->name, .skip = h.data_offset, .labels = labels->data};
    if (status == TARE_OK)
        status = take_labels(&f, file->content, file->bytes, err);
    if (status != TARE_OK)
        tare_array_free(labels);
    return status;
}

enum tare_status tare_images_read(struct tare_array *images, const char *path,
                                  struct tare_err *err) {
    struct tare_decoded file;
    *images = (struct tare_array){0};
    enum tare_status status = tare_decoded_open(&file, path, err);
    if (status == TARE_OK)
        status = tare_images_take(images, &file, err);
    tare_decoded_close(&file);
    return status;
}

enum tare_status tare_labels_read(struct tare_array *labels, const char *path,
                                  struct tare_err *err) {
    struct tare_decoded file;
    *labels = (struct tare_array){0};
    enum tare_status status = tare_decoded_open(&file, path, err);
    if (status == TARE_OK)
        status = tare_labels_take(labels, &file, err);
    tare_decoded_close(&file);
    return status;
}
