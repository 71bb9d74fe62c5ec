/* npy.c: NumPy's .npy files, read (versions 1, 2, 3) and written (version 1, data aligned to 64
 * bytes as NumPy aligns it). The header is a Python dictionary; only the three keys that NEP 1
 * names are accepted, each once, so the little parser below needs no more of Python.
 * Neighbours: array.c makes the arrays, src/data/images.c reads data sets through npy.h.
 */
#include "base/npy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail_at.h"
#include "tare/buf.h"

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};
#define RESAVE "save it anew with numpy.save(path, numpy.ascontiguousarray(array))"

/* A place in the header's text; `at` counts from the start of the file. */
struct cursor {
    const uint8_t *bytes;
    size_t at, end;
};

static void skip_spaces(struct cursor *c) {
    while (c->at < c->end && memchr(" \t\r\n", c->bytes[c->at], 4) != NULL)
        c->at++;
}

static bool take(struct cursor *c, char wanted) {
    skip_spaces(c);
    if (c->at >= c->end || c->bytes[c->at] != (uint8_t)wanted)
        return false;
    c->at++;
    return true;
}

/* A quoted string without escapes; NumPy's keys and descriptors need none. */
static bool take_string(struct cursor *c, char *out, size_t out_size) {
    skip_spaces(c);
    if (c->at >= c->end || (c->bytes[c->at] != '\'' && c->bytes[c->at] != '"'))
        return false;
    const uint8_t quote = c->bytes[c->at];
    size_t length = 0;
    for (size_t i = c->at + 1; i < c->end; i++) {
        const uint8_t byte = c->bytes[i];
        if (byte == quote) {
            out[length] = '\0';
            c->at = i + 1;
            return true;
        }
        if (byte < ' ' || byte > '~' || byte == '\\' || length + 1 >= out_size)
            return false;
        out[length++] = (char)byte;
    }
    return false;
}

static bool take_word(struct cursor *c, const char *word) {
    skip_spaces(c);
    const size_t length = strlen(word);
    if (c->end - c->at < length || memcmp(c->bytes + c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

static bool take_size(struct cursor *c, size_t *value) {
    skip_spaces(c);
    const size_t start = c->at;
    size_t v = 0;
    for (; c->at < c->end && c->bytes[c->at] >= '0' && c->bytes[c->at] <= '9'; c->at++) {
        const size_t digit = (size_t)(c->bytes[c->at] - '0');
        if (v > (SIZE_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return c->at > start;
}

/* "(60000, 28, 28)", "(5,)", "()". NULL, or what is wrong. */
static const char *take_shape(struct cursor *c, struct tare_npy_header *header) {
    if (!take(c, '('))
        return "the shape is not a tuple";
    header->rank = 0;
    while (!take(c, ')')) {
        if (header->rank == TARE_MAX_RANK)
            return "the array has more than 4 dimensions";
        if (!take_size(c, &header->shape[header->rank]))
            return "the shape is not a tuple of sizes";
        header->rank++;
        if (!take(c, ',')) {
            if (header->rank == 1 || !take(c, ')'))
                return "the shape is not a tuple of sizes";
            break;
        }
    }
    return NULL;
}

/* "<f4": byte order, kind, bytes. NULL, or what is wrong. */
static const char *split_descr(struct tare_npy_header *header) {
    const char *d = header->descr;
    if (strlen(d) != 3 || strchr("<>|", d[0]) == NULL || strchr("1248", d[2]) == NULL)
        return "the element type is not a plain number";
    header->byte_order = d[0];
    header->kind = d[1];
    header->element_bytes = (size_t)(d[2] - '0');
    return NULL;
}

static const char *take_entry(struct cursor *c, struct tare_npy_header *header, unsigned *seen) {
    char key[16];
    if (!take_string(c, key, sizeof key))
        return "the header is not a dictionary of 'descr', 'fortran_order' and 'shape'";
    if (!take(c, ':'))
        return "a key of the header has no value";
    unsigned bit = 0;
    const char *problem = NULL;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        skip_spaces(c);
        header->descr_at = c->at;
        if (!take_string(c, header->descr, sizeof header->descr))
            return "the element type is not a plain number (structured arrays are not read)";
        problem = split_descr(header);
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        if (take_word(c, "True"))
            return "the array is in Fortran order";
        if (!take_word(c, "False"))
            return "fortran_order is neither True nor False";
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        problem = take_shape(c, header);
    } else {
        return "the header has a key that NEP 1 does not know";
    }
    if (problem == NULL && (*seen & bit) != 0)
        return "a key of the header is given twice";
    *seen |= bit;
    return problem;
}

static const char *take_dictionary(struct cursor *c, struct tare_npy_header *header) {
    unsigned seen = 0;
    if (!take(c, '{'))
        return "the header is not a dictionary";
    while (!take(c, '}')) {
        const char *problem = take_entry(c, header, &seen);
        if (problem != NULL)
            return problem;
        if (!take(c, ',')) {
            if (!take(c, '}'))
                return "the header's dictionary is not closed";
            break;
        }
    }
    if (seen != 7)
        return "the header lacks one of 'descr', 'fortran_order', 'shape'";
    skip_spaces(c);
    return c->at == c->end ? NULL : "something follows the header's dictionary";
}

enum tare_status tare_npy_header_parse(struct tare_npy_header *header, const void *bytes,
                                       size_t size, const char *name, struct tare_err *err) {
    const uint8_t *b = bytes;
    *header = (struct tare_npy_header){0};
    if (size < sizeof magic || memcmp(b, magic, sizeof magic) != 0)
        return tare_fail_at(err, name, 0, "name a file written by numpy.save",
                            "this is no .npy file: its first six bytes are not \\x93NUMPY");
    if (size < 10)
        return tare_fail_at(err, name, size, RESAVE, "the file ends inside its header");
    const unsigned version = b[6];
    if (version < 1 || version > 3)
        return tare_fail_at(err, name, 6, RESAVE, ".npy version %u is not known (1, 2 and 3 are)",
                            version);
    const size_t start = version == 1 ? 10 : 12;
    size_t length = (size_t)b[8] | (size_t)b[9] << 8;
    if (version > 1) {
        if (size < 12)
            return tare_fail_at(err, name, size, RESAVE, "the file ends inside its header");
        length |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    }
    if (length > TARE_MAX_NPY_HEADER_BYTES)
        return tare_fail_at(err, name, 8, RESAVE, "the header has %zu bytes, more than %d", length,
                            TARE_MAX_NPY_HEADER_BYTES);
    if (length > size - start)
        return tare_fail_at(err, name, size, RESAVE,
                            "the header has %zu bytes, the file ends after %zu of them", length,
                            size - start);
    struct cursor c = {.bytes = b, .at = start, .end = start + length};
    const char *problem = take_dictionary(&c, header);
    if (problem != NULL)
        return tare_fail_at(err, name, c.at, RESAVE, "%s", problem);
    header->data_offset = c.end;
    if (!tare_shape_count(&header->count, header->rank, header->shape, header->element_bytes))
        return tare_fail_at(err, name, start, "use fewer or smaller samples",
                            "the array is larger than %zu MiB", TARE_MAX_ARRAY_BYTES >> 20);
    return TARE_OK;
}

enum tare_status tare_npy_size_check(const struct tare_npy_header *header, size_t file_bytes,
                                     const char *name, struct tare_err *err) {
    const size_t data_bytes = header->count * header->element_bytes;
    const size_t expected = header->data_offset + data_bytes;
    if (file_bytes < expected)
        return tare_fail_at(err, name, file_bytes, "copy or save the file anew",
                            "the header promises %zu bytes of data, the file ends after %zu",
                            data_bytes, file_bytes - header->data_offset);
    if (file_bytes > expected)
        return tare_fail_at(err, name, expected, "copy or save the file anew",
                            "the file goes on after the array that the header describes");
    return TARE_OK;
}

/* The header's element type among tare's own. */
static enum tare_status find_dtype(enum tare_dtype *dtype, const struct tare_npy_header *header,
                                   const char *name, struct tare_err *err) {
    /* One byte has no order: "<u1" and "|u1" are the same. */
    char descr[sizeof header->descr];
    memcpy(descr, header->descr, sizeof descr);
    if (header->element_bytes == 1)
        descr[0] = '|';
#define X(id, npy, safetensors, bytes)                                                             \
    if (strcmp(descr, npy) == 0) {                                                                 \
        *dtype = TARE_##id;                                                                        \
        return TARE_OK;                                                                            \
    }
    TARE_DTYPE_LIST(X)
#undef X
    return tare_fail_at(err, name, header->descr_at,
                        "convert it with array.astype('uint8'), 'int32', 'int64', 'float32' or "
                        "'float64' and save it anew",
                        "element type '%s' is not read here", header->descr);
}

enum tare_status tare_npy_parse(struct tare_array *array, const void *bytes, size_t size,
                                const char *name, struct tare_err *err) {
    struct tare_npy_header header;
    enum tare_dtype dtype = TARE_U8;
    *array = (struct tare_array){0};
    enum tare_status status = tare_npy_header_parse(&header, bytes, size, name, err);
    if (status == TARE_OK)
        status = find_dtype(&dtype, &header, name, err);
    if (status == TARE_OK)
        status = tare_npy_size_check(&header, size, name, err);
    if (status == TARE_OK)
        status = tare_array_make(array, dtype, header.rank, header.shape, err);
    if (status != TARE_OK)
        return status;
    memcpy(array->data, (const uint8_t *)bytes + header.data_offset, tare_array_bytes(array));
    return TARE_OK;
}

/* Reads the rest of a file, whose first prefix_bytes are in prefix already, into the array: the
 * data are in memory once, where reading the whole file and parsing it would hold them twice. */
static enum tare_status read_rest(struct tare_array *array, const uint8_t *prefix,
                                  size_t prefix_bytes, size_t data_offset, int fd, const char *path,
                                  struct tare_err *err) {
    const size_t bytes = tare_array_bytes(array);
    size_t have = prefix_bytes - data_offset;
    if (have > bytes)
        have = bytes;
    memcpy(array->data, prefix + data_offset, have);
    const ssize_t rest = tare_read_full(fd, (char *)array->data + have, bytes - have);
    if (rest == (ssize_t)(bytes - have))
        return TARE_OK;
    tare_array_free(array);
    return rest < 0 ? tare_fail_errno(err, path, "copy the file anew", "cannot be read")
                    : tare_fail(err, TARE_DATA, path, "copy the file anew",
                                "became shorter while it was read");
}

/* The array inside the file, mapped; false where it can't be, or lies so that its elements are not
 * aligned. */
static bool map_whole(struct tare_array *array, const struct tare_npy_header *header,
                      enum tare_dtype dtype, size_t file_bytes, int fd) {
    if (header->data_offset % header->element_bytes != 0)
        return false;
    void *map = mmap(NULL, file_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return false;
    *array = (struct tare_array){.dtype = dtype,
                                 .rank = header->rank,
                                 .data = (char *)map + header->data_offset,
                                 .map = map,
                                 .map_bytes = file_bytes};
    memcpy(array->shape, header->shape, sizeof array->shape);
    return true;
}

static enum tare_status read_open_file(struct tare_array *array, int fd, uint8_t *prefix,
                                       const char *path, bool mapped, struct tare_err *err) {
    struct stat info;
    struct tare_npy_header header;
    enum tare_dtype dtype = TARE_U8;
    const ssize_t got = tare_read_full(fd, prefix, TARE_MAX_NPY_PREFIX_BYTES);
    if (got < 0 || fstat(fd, &info) != 0)
        return tare_fail_errno(err, path, NULL, "cannot be read");
    const size_t prefix_bytes = (size_t)got;
    enum tare_status status = tare_npy_header_parse(&header, prefix, prefix_bytes, path, err);
    if (status == TARE_OK)
        status = find_dtype(&dtype, &header, path, err);
    if (status == TARE_OK)
        status = tare_npy_size_check(&header, (size_t)info.st_size, path, err);
    if (status == TARE_OK && mapped && map_whole(array, &header, dtype, (size_t)info.st_size, fd))
        return TARE_OK;
    if (status == TARE_OK)
        status = tare_array_make(array, dtype, header.rank, header.shape, err);
    if (status != TARE_OK)
        return status;
    return read_rest(array, prefix, prefix_bytes, header.data_offset, fd, path, err);
}

static enum tare_status open_and_read(struct tare_array *array, const char *path, bool mapped,
                                      struct tare_err *err) {
    *array = (struct tare_array){0};
    int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    uint8_t *prefix = malloc(TARE_MAX_NPY_PREFIX_BYTES);
    enum tare_status status = prefix == NULL
                                  ? tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read it")
                                  : read_open_file(array, fd, prefix, path, mapped, err);
    free(prefix);
    close(fd);
    return status;
}

enum tare_status tare_npy_read(struct tare_array *array, const char *path, struct tare_err *err) {
    return open_and_read(array, path, false, err);
}

enum tare_status tare_npy_map(struct tare_array *array, const char *path, struct tare_err *err) {
    return open_and_read(array, path, true, err);
}

enum tare_status tare_npy_bytes(struct tare_buf *out, const struct tare_array *array,
                                struct tare_err *err) {
    char dictionary[160];
    int length = snprintf(dictionary, sizeof dictionary,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (",
                          tare_dtype_npy(array->dtype));
    for (int i = 0; i < array->rank; i++)
        length += snprintf(dictionary + length, sizeof dictionary - (size_t)length, "%s%zu",
                           i == 0 ? "" : ", ", array->shape[i]);
    length += snprintf(dictionary + length, sizeof dictionary - (size_t)length, "%s), }",
                       array->rank == 1 ? "," : "");
    /* Spaces and a newline bring the data to a multiple of 64 bytes from the file's start. */
    const size_t unpadded = sizeof magic + 4 + (size_t)length + 1;
    const size_t padding = (64 - unpadded % 64) % 64;
    const size_t header_bytes = (size_t)length + padding + 1;
    const char version_and_length[4] = {1, 0, (char)(header_bytes & 0xff),
                                        (char)(header_bytes >> 8)};
    tare_buf_append(out, magic, sizeof magic);
    tare_buf_append(out, version_and_length, sizeof version_and_length);
    tare_buf_append(out, dictionary, (size_t)length);
    tare_buf_printf(out, "%*s\n", (int)padding, "");
    tare_buf_append(out, array->data, tare_array_bytes(array));
    if (out->failed)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to write an array of %zu bytes",
                         tare_array_bytes(array));
    return TARE_OK;
}

enum tare_status tare_npy_write(const char *path, const struct tare_array *array,
                                struct tare_err *err) {
    struct tare_buf buf = {0};
    enum tare_status status = tare_npy_bytes(&buf, array, err);
    if (status == TARE_OK)
        status = tare_file_write(path, buf.data, buf.size, err);
    tare_buf_free(&buf);
    return status;
}
