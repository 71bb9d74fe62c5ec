/* npz.c: NumPy's .npz, written with libzip: .npy files stored without compression, because loaders
 * are timed and inflating is not what they are timed for. Dates are fixed, so that a folder made
 * twice is the same twice. prepare.c decides what goes in.
 */
#include "data/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <zip.h>

#include "tare/buf.h"

#define FIRST_DOS_DATE ((0 << 9) | (1 << 5) | 1) /* 1980-01-01, where zip's calendar begins */

static enum tare_status zip_failed(zip_error_t *error, const char *path, struct tare_err *err) {
    return tare_fail(err, TARE_IO, path, "is the folder writable, and is there disk space?",
                     "the archive cannot be written: %s", zip_error_strerror(error));
}

/* Adds one array; the archive owns the bytes from then on. */
static enum tare_status add(zip_t *zip, const char *path, const char *name,
                            const struct tare_array *array, struct tare_err *err) {
    struct tare_buf npy = {0};
    char file_name[64];
    snprintf(file_name, sizeof file_name, "%s.npy", name);
    enum tare_status status = tare_npy_bytes(&npy, array, err);
    if (status != TARE_OK) {
        tare_buf_free(&npy);
        return status;
    }
    zip_source_t *source = zip_source_buffer(zip, npy.data, npy.size, 1);
    if (source == NULL) {
        tare_buf_free(&npy);
        return zip_failed(zip_get_error(zip), path, err);
    }
    const zip_int64_t index = zip_file_add(zip, file_name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return zip_failed(zip_get_error(zip), path, err);
    }
    if (zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(zip, (zip_uint64_t)index, 0, FIRST_DOS_DATE, 0) != 0)
        return zip_failed(zip_get_error(zip), path, err);
    return TARE_OK;
}

enum tare_status tare_npz_write(const char *path, const char *const *names,
                                const struct tare_array *const *arrays, size_t count,
                                struct tare_err *err) {
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (zip == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        const enum tare_status status = zip_failed(&error, path, err);
        zip_error_fini(&error);
        return status;
    }
    enum tare_status status = TARE_OK;
    for (size_t i = 0; status == TARE_OK && i < count; i++)
        status = add(zip, path, names[i], arrays[i], err);
    if (status == TARE_OK && zip_close(zip) != 0)
        status = zip_failed(zip_get_error(zip), path, err);
    if (status != TARE_OK)
        zip_discard(zip);
    return status;
}
