/* safetensors.c: the safetensors format, read and written: eight bytes of header length, a JSON
 * header, and the tensors' bytes one after the other. A file is accepted only when the tensors
 * cover its data exactly: no overlap, no gap, nothing left over, so that one file has one meaning.
 * The header is checked whole before memory is taken for any tensor.
 * The list in memory is tensors.c's; jansson reads the JSON (json_text.c).
 */
#include "tare/safetensors.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail_at.h"
#include "base/json.h"
#include "base/stream.h"
#include "tare/buf.h"

#define ANEW "make the file anew; this one is damaged or was not written as safetensors"

/* Where the data are read from, one after the other: a file, or bytes in memory. */
struct source {
    const char *name; /* in messages */
    FILE *file;       /* NULL: memory */
    const uint8_t *memory;
    size_t left;                /* bytes of it */
    size_t data_at, data_bytes; /* where data begin in the file, and their size */
};

static enum tare_status take(struct source *from, void *to, size_t size, struct tare_err *err) {
    const bool short_of =
        size > from->left || (from->file && fread(to, 1, size, from->file) != size);
    if (short_of && from->file && ferror(from->file))
        return tare_fail_errno(err, from->name, "copy the file anew", "cannot be read");
    if (short_of)
        return tare_fail_at(err, from->name, from->data_at, "copy the file anew",
                            "reading it stopped early");
    if (!from->file && size > 0) {
        memcpy(to, from->memory, size);
        from->memory += size;
    }
    from->left -= size;
    return TARE_OK;
}

/* A tensor as the header describes it, before its bytes are read. */
struct entry {
    const char *name;
    struct tare_array array; /* data stays NULL */
    size_t begin, end;       /* within the data */
};

static enum tare_status bad_tensor(const struct source *from, const char *tensor,
                                   struct tare_err *err, const char *problem) {
    return tare_fail_at(err, from->name, 8, ANEW, "tensor '%s': %s", tensor, problem);
}

static enum tare_status find_dtype(enum tare_dtype *dtype, const struct source *from,
                                   const char *tensor, const json_t *value, struct tare_err *err) {
    const char *text = json_string_value(value);
    if (text == NULL)
        return bad_tensor(from, tensor, err, "it has no dtype");
#define X(id, npy, safetensors, bytes)                                                             \
    if (strcmp(text, safetensors) == 0) {                                                          \
        *dtype = TARE_##id;                                                                        \
        return TARE_OK;                                                                            \
    }
    TARE_DTYPE_LIST(X)
#undef X
    return tare_fail_at(err, from->name, 8, "save the model with float32 weights",
                        "tensor '%s' has dtype '%.20s', which is not read here (F32 is)", tensor,
                        text);
}

static bool get_size(size_t *size, const json_t *value) {
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (size_t)json_integer_value(value);
    return true;
}

/* {"dtype":"F32","shape":[784,64],"data_offsets":[0,200704]} */
static enum tare_status parse_entry(struct entry *entry, const struct source *from,
                                    const char *tensor, const json_t *value, struct tare_err *err) {
    *entry = (struct entry){.name = tensor};
    if (strlen(tensor) >= TARE_MAX_TENSOR_NAME)
        return tare_fail_at(err, from->name, 8, "give the tensors shorter names",
                            "the name of tensor '%.40s…' is longer than %d bytes", tensor,
                            TARE_MAX_TENSOR_NAME - 1);
    if (!json_is_object(value))
        return bad_tensor(from, tensor, err, "its entry is not an object");
    enum tare_status status =
        find_dtype(&entry->array.dtype, from, tensor, json_object_get(value, "dtype"), err);
    if (status != TARE_OK)
        return status;
    const json_t *shape = json_object_get(value, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > TARE_MAX_RANK)
        return bad_tensor(from, tensor, err, "its shape is not a list of at most 4 sizes");
    entry->array.rank = (int)json_array_size(shape);
    for (int i = 0; i < entry->array.rank; i++)
        if (!get_size(&entry->array.shape[i], json_array_get(shape, (size_t)i)))
            return bad_tensor(from, tensor, err, "its shape is not a list of at most 4 sizes");
    const json_t *offsets = json_object_get(value, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !get_size(&entry->begin, json_array_get(offsets, 0)) ||
        !get_size(&entry->end, json_array_get(offsets, 1)))
        return bad_tensor(from, tensor, err, "its data_offsets are not two sizes");
    size_t count = 0;
    const size_t element_bytes = tare_dtype_bytes(entry->array.dtype);
    if (!tare_shape_count(&count, entry->array.rank, entry->array.shape, element_bytes))
        return bad_tensor(from, tensor, err, "its shape is too large");
    if (entry->begin > entry->end || entry->end > from->data_bytes)
        return tare_fail_at(err, from->name, from->data_at + from->data_bytes, ANEW,
                            "tensor '%s' lies at bytes %zu to %zu of %zu bytes of data", tensor,
                            entry->begin, entry->end, from->data_bytes);
    if (entry->end - entry->begin != count * element_bytes)
        return tare_fail_at(err, from->name, from->data_at + entry->begin, ANEW,
                            "tensor '%s' needs %zu bytes, its data_offsets give %zu", tensor,
                            count * element_bytes, entry->end - entry->begin);
    return TARE_OK;
}

static int by_offset(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum tare_status parse_metadata(struct tare_tensors *out, const struct source *from,
                                       json_t *metadata, struct tare_err *err) {
    if (!json_is_object(metadata))
        return tare_fail_at(err, from->name, 8, ANEW, "__metadata__ is not an object");
    const char *key = NULL;
    json_t *value = NULL;
    if (json_object_size(metadata) > TARE_MAX_METADATA)
        return tare_fail_at(err, from->name, 8, "keep fewer metadata",
                            "__metadata__ has more than %d keys", TARE_MAX_METADATA);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return tare_fail_at(err, from->name, 8, ANEW, "metadata '%.60s' is not a text", key);
        enum tare_status status =
            tare_tensors_set_metadata(out, key, json_string_value(value), err);
        if (status != TARE_OK)
            return status;
    }
    return TARE_OK;
}

/* Collects the header's entries in the order of their data, and checks that they cover it. */
static enum tare_status parse_entries(struct entry *entries, size_t *count,
                                      struct tare_tensors *out, const struct source *from,
                                      json_t *header, struct tare_err *err) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(header, key, value) {
        enum tare_status status = TARE_OK;
        if (strcmp(key, "__metadata__") == 0)
            status = parse_metadata(out, from, value, err);
        else if (*count == TARE_MAX_TENSORS)
            status = tare_fail_at(err, from->name, 8, "use a smaller model",
                                  "the file has more than %d tensors", TARE_MAX_TENSORS);
        else
            status = parse_entry(&entries[(*count)++], from, key, value, err);
        if (status != TARE_OK)
            return status;
    }
    qsort(entries, *count, sizeof *entries, by_offset);
    size_t covered = 0;
    for (size_t i = 0; i < *count; i++) {
        if (entries[i].begin != covered)
            return tare_fail_at(err, from->name, from->data_at + entries[i].begin, ANEW,
                                "tensor '%s' %s", entries[i].name,
                                entries[i].begin < covered ? "overlaps the one before it"
                                                           : "leaves a gap before it");
        covered = entries[i].end;
    }
    if (covered != from->data_bytes)
        return tare_fail_at(err, from->name, from->data_at + covered, ANEW,
                            "%zu bytes belong to no tensor", from->data_bytes - covered);
    return TARE_OK;
}

/* The entries cover the data in their order, so these are read straight into their arrays. */
static enum tare_status read_entries(struct tare_tensors *out, const struct entry *entries,
                                     size_t count, struct source *from, struct tare_err *err) {
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < count && status == TARE_OK; i++) {
        status = tare_tensors_add(out, entries[i].name, &entries[i].array, err);
        if (status == TARE_OK)
            status = take(from, out->tensors[i].array.data, entries[i].end - entries[i].begin, err);
    }
    return status;
}

static enum tare_status read_tensors(struct tare_tensors *out, struct source *from, json_t *header,
                                     struct tare_err *err) {
    size_t count = 0;
    struct entry *entries = calloc(TARE_MAX_TENSORS, sizeof *entries);
    if (entries == NULL)
        return tare_fail(err, TARE_MEMORY, from->name, NULL, "no memory to read it");
    enum tare_status status = parse_entries(entries, &count, out, from, header, err);
    if (status == TARE_OK)
        status = read_entries(out, entries, count, from, err);
    free(entries);
    if (status != TARE_OK)
        tare_tensors_free(out);
    return status;
}

/* text: the header's bytes. */
static enum tare_status parse_header(json_t **header, const char *text, size_t length,
                                     const struct source *from, struct tare_err *err) {
    json_error_t problem;
    if (length == 0 || text[0] != '{')
        return tare_fail_at(err, from->name, 8, ANEW, "the header is not a JSON object");
    enum tare_status status;
    *header = tare_json_load(text, length, &problem, &status);
    if (status == TARE_MEMORY)
        return tare_fail(err, TARE_MEMORY, from->name, NULL, "no memory to read it");
    if (*header == NULL)
        return tare_fail_at(err, from->name, 8 + (size_t)problem.position, ANEW,
                            "the header is not JSON: %s", problem.text);
    return TARE_OK;
}

/* from->left: the size of the file. */
static enum tare_status read_source(struct tare_tensors *out, struct source *from,
                                    struct tare_err *err) {
    const size_t size = from->left;
    uint8_t b[8];
    *out = (struct tare_tensors){0};
    if (size < 8)
        return tare_fail_at(err, from->name, size, ANEW,
                            "the file ends inside its eight-byte length");
    enum tare_status status = take(from, b, sizeof b, err);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | b[i];
    if (status != TARE_OK)
        return status;
    if (length > TARE_MAX_SAFETENSORS_HEADER)
        return tare_fail_at(err, from->name, 0, ANEW,
                            "the header would have %" PRIu64 " bytes, more than %zu", length,
                            TARE_MAX_SAFETENSORS_HEADER);
    if (length > from->left)
        return tare_fail_at(err, from->name, size, ANEW,
                            "the header has %" PRIu64 " bytes, the file ends after %zu of them",
                            length, from->left);
    from->data_at = 8 + (size_t)length;
    from->data_bytes = size - from->data_at;
    if (from->data_bytes > TARE_MAX_ARRAY_BYTES)
        return tare_fail_at(err, from->name, from->data_at, "use a smaller model",
                            "the tensors have %zu bytes, more than %zu MiB", from->data_bytes,
                            TARE_MAX_ARRAY_BYTES >> 20);
    char *text = malloc((size_t)length + 1);
    json_t *header = NULL;
    if (text == NULL)
        return tare_fail(err, TARE_MEMORY, from->name, NULL, "no memory to read it");
    status = take(from, text, (size_t)length, err);
    if (status == TARE_OK)
        status = parse_header(&header, text, (size_t)length, from, err);
    free(text);
    if (status == TARE_OK)
        status = read_tensors(out, from, header, err);
    json_decref(header);
    return status;
}

enum tare_status tare_safetensors_parse(struct tare_tensors *out, const void *bytes, size_t size,
                                        const char *name, struct tare_err *err) {
    struct source from = {.name = name, .memory = bytes, .left = size};
    return read_source(out, &from, err);
}

enum tare_status tare_safetensors_read(struct tare_tensors *out, const char *path,
                                       struct tare_err *err) {
    struct stat info;
    *out = (struct tare_tensors){0};
    const int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    FILE *file = fstat(fd, &info) == 0 ? tare_stream_of(fd) : NULL;
    if (file == NULL) {
        const enum tare_status status = tare_fail_errno(err, path, NULL, "cannot be read");
        close(fd);
        return status;
    }
    struct source from = {.name = path, .file = file, .left = (size_t)info.st_size};
    const enum tare_status status = read_source(out, &from, err);
    fclose(file);
    return status;
}

/* Wider elements first, so that every tensor is aligned to its element whatever stands before. */
static int by_width(const void *a, const void *b) {
    const struct tare_tensor *const *x = a, *const *y = b;
    const size_t x_bytes = tare_dtype_bytes((*x)->array.dtype);
    const size_t y_bytes = tare_dtype_bytes((*y)->array.dtype);
    if (x_bytes != y_bytes)
        return x_bytes > y_bytes ? -1 : 1;
    return *x < *y ? -1 : 1; /* the order of the list, which qsort alone would not keep */
}

static json_t *describe(const struct tare_array *array, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < array->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)array->shape[i]));
    return json_pack("{s:s,s:o,s:[I,I]}", "dtype", tare_dtype_safetensors(array->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + tare_array_bytes(array)));
}

static json_t *make_header(const struct tare_tensors *tensors,
                           const struct tare_tensor *const *ordered) {
    json_t *header = json_object();
    bool ok = header != NULL;
    if (ok && tensors->metadata_count > 0) {
        json_t *metadata = json_object();
        for (size_t i = 0; ok && i < 2 * tensors->metadata_count; i += 2)
            ok = json_object_set_new(metadata, tensors->metadata[i],
                                     json_string(tensors->metadata[i + 1])) == 0;
        ok = json_object_set_new(header, "__metadata__", metadata) == 0 && ok;
    }
    size_t begin = 0;
    for (size_t i = 0; ok && i < tensors->count; i++) {
        const struct tare_array *array = &ordered[i]->array;
        ok = json_object_set_new(header, ordered[i]->name, describe(array, begin)) == 0;
        begin += tare_array_bytes(array);
    }
    if (ok)
        return header;
    json_decref(header);
    return NULL;
}

enum tare_status tare_safetensors_bytes(struct tare_buf *out, const struct tare_tensors *tensors,
                                        struct tare_err *err) {
    const struct tare_tensor **ordered = calloc(tensors->count + 1, sizeof(void *));
    if (ordered == NULL)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to write the tensors");
    for (size_t i = 0; i < tensors->count; i++)
        ordered[i] = &tensors->tensors[i];
    qsort(ordered, tensors->count, sizeof *ordered, by_width);
    const size_t lost = tare_json_lost();
    json_t *header = make_header(tensors, ordered);
    char *text = tare_json_dump(header, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(header);
    enum tare_status status = TARE_OK;
    const size_t text_bytes = text == NULL ? 0 : strlen(text);
    const size_t padded_bytes = (text_bytes + 7) / 8 * 8;
    if (tare_json_lost() != lost) {
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to write the tensors");
    } else if (text == NULL) {
        status = tare_fail(err, TARE_DATA, NULL, "use valid UTF-8",
                           "a tensor's name or a metadata text cannot be written as JSON");
    } else if (padded_bytes > TARE_MAX_SAFETENSORS_HEADER) {
        status = tare_fail(err, TARE_DATA, NULL, "use fewer tensors or shorter metadata",
                           "the header would have %zu bytes, more than %zu", padded_bytes,
                           TARE_MAX_SAFETENSORS_HEADER);
    } else {
        uint8_t length[8];
        for (int i = 0; i < 8; i++)
            length[i] = (uint8_t)((uint64_t)padded_bytes >> 8 * i);
        tare_buf_append(out, length, sizeof length);
        tare_buf_printf(out, "%-*s", (int)padded_bytes, text);
        for (size_t i = 0; i < tensors->count; i++)
            tare_buf_append(out, ordered[i]->array.data, tare_array_bytes(&ordered[i]->array));
        if (out->failed)
            status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to write the tensors");
    }
    free(text);
    free(ordered);
    return status;
}

enum tare_status tare_safetensors_write(const char *path, const struct tare_tensors *tensors,
                                        struct tare_err *err) {
    struct tare_buf buf = {0};
    enum tare_status status = tare_safetensors_bytes(&buf, tensors, err);
    if (status == TARE_OK)
        status = tare_file_write(path, buf.data, buf.size, err);
    tare_buf_free(&buf);
    return status;
}
