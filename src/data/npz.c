/* npz.c: NumPy's .npz, written with libzip: .npy files stored without compression, because loaders
 * are timed and inflating is not what they are timed for. Dates are fixed, so that a folder made
 * twice is the same twice. The archive is made in memory and written like every other file: libzip
 * by itself neither takes an interrupted write up again nor waits until it is on the disk.
 * prepare.c decides what goes in.
 */
#include "data/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <zip.h>

#include "tare/buf.h"

#define FIRST_DOS_DATE ((0 << 9) | (1 << 5) | 1) /* 1980-01-01, where zip's calendar begins */

static enum tare_status zip_failed(zip_error_t *error, const char *path, struct tare_err *err) {
    const enum tare_status status =
        zip_error_code_zip(error) == ZIP_ER_MEMORY ? TARE_MEMORY : TARE_IO;
    return tare_fail(err, status, path, "close other programs or use less data",
                     status == TARE_MEMORY ? "no memory for the archive"
                                           : "the archive cannot be made: %s",
                     zip_error_strerror(error));
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

/* The whole archive into `archive`, a source in memory that stays the caller's. */
static enum tare_status fill(zip_source_t *archive, const char *path, const char *const *names,
                             const struct tare_array *const *arrays, size_t count,
                             struct tare_err *err) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_keep(archive); /* zip_close and zip_discard let go of it */
    zip_t *zip = zip_open_from_source(archive, ZIP_CREATE | ZIP_TRUNCATE, &error);
    enum tare_status status = TARE_OK;
    if (zip == NULL) {
        zip_source_free(archive);
        status = zip_failed(&error, path, err);
    }
    zip_error_fini(&error);
    for (size_t i = 0; status == TARE_OK && i < count; i++)
        status = add(zip, path, names[i], arrays[i], err);
    if (status == TARE_OK && zip_close(zip) == 0)
        return TARE_OK;
    if (status == TARE_OK)
        status = zip_failed(zip_get_error(zip), path, err);
    if (zip != NULL)
        zip_discard(zip);
    return status;
}

static enum tare_status write_out(zip_source_t *archive, const char *path, struct tare_err *err) {
    zip_stat_t stat;
    if (zip_source_stat(archive, &stat) != 0 || zip_source_open(archive) != 0)
        return zip_failed(zip_source_error(archive), path, err);
    void *bytes = malloc(stat.size + 1);
    enum tare_status status = TARE_OK;
    if (bytes == NULL)
        status = tare_fail(err, TARE_MEMORY, path, NULL, "no memory for the archive");
    else if (zip_source_read(archive, bytes, stat.size) != (zip_int64_t)stat.size)
        status = zip_failed(zip_source_error(archive), path, err);
    else
        status = tare_file_write(path, bytes, stat.size, err);
    free(bytes);
    zip_source_close(archive);
    return status;
}

enum tare_status tare_npz_write(const char *path, const char *const *names,
                                const struct tare_array *const *arrays, size_t count,
                                struct tare_err *err) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, &error);
    enum tare_status status = archive == NULL ? zip_failed(&error, path, err)
                                              : fill(archive, path, names, arrays, count, err);
    zip_error_fini(&error);
    if (status == TARE_OK)
        status = write_out(archive, path, err);
    zip_source_free(archive);
    return status;
}
