/* npz.c: NumPy's .npz: a zip of .npy files, stored without compression, because loaders are timed
 * and inflating is not what they are timed for. Dates are fixed, so that a folder made twice is the
 * same twice. The format is PKWARE's APPNOTE 6.3.3: each file behind a local header (4.3.7), then a
 * directory that says the same again (4.3.12) and where it lies itself (4.3.16; wide: 4.3.14 and
 * 15). prepare.c decides what goes in.
 */
#include "data/npz.h"

#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#define FIRST_DOS_DATE ((0 << 9) | (1 << 5) | 1) /* 1980-01-01, where zip's calendar begins */
#define MAX_ENTRIES 16

struct entry {
    char name[64];
    uint64_t at, bytes; /* of the local header; of the .npy */
    uint32_t crc;
    bool wide;
};

/* A number in so many bytes, the lowest first. */
static void put(struct tare_buf *out, int bytes, uint64_t number) {
    for (int i = 0; i < bytes; i++) {
        const uint8_t byte = (uint8_t)(number >> 8 * i);
        tare_buf_append(out, &byte, 1);
    }
}

/* From "version needed" to "file name length": the same in both places. A wide entry's sizes are in
 * its extra field. */
static void put_common(struct tare_buf *out, const struct entry *e) {
    const uint64_t bytes = e->wide ? UINT32_MAX : e->bytes;
    put(out, 2, e->wide ? 45 : 20); /* version needed: 4.5 knows the 64-bit form */
    put(out, 2, 0);                 /* flags */
    put(out, 2, 0);                 /* method: stored */
    put(out, 2, 0);                 /* time */
    put(out, 2, FIRST_DOS_DATE);
    put(out, 4, e->crc);
    put(out, 4, bytes); /* compressed */
    put(out, 4, bytes);
    put(out, 2, strlen(e->name));
}

static void put_local(struct tare_buf *out, const struct entry *e) {
    put(out, 4, 0x04034b50);
    put_common(out, e);
    put(out, 2, e->wide ? 20 : 0);
    tare_buf_puts(out, e->name);
    if (!e->wide)
        return;
    put(out, 2, 1); /* the 64-bit form's extra field */
    put(out, 2, 16);
    put(out, 8, e->bytes);
    put(out, 8, e->bytes);
}

static void put_central(struct tare_buf *out, const struct entry *e) {
    put(out, 4, 0x02014b50);
    put(out, 2, e->wide ? 45 : 20); /* version made by */
    put_common(out, e);
    put(out, 2, e->wide ? 28 : 0);
    put(out, 2, 0); /* comment */
    put(out, 2, 0); /* disk */
    put(out, 2, 0); /* internal attributes */
    put(out, 4, 0); /* external attributes */
    put(out, 4, e->wide ? UINT32_MAX : e->at);
    tare_buf_puts(out, e->name);
    if (!e->wide)
        return;
    put(out, 2, 1);
    put(out, 2, 24);
    put(out, 8, e->bytes);
    put(out, 8, e->bytes);
    put(out, 8, e->at);
}

static void put_end(struct tare_buf *out, size_t count, uint64_t directory_at, bool wide) {
    const uint64_t end_at = out->size, directory_bytes = end_at - directory_at;
    if (wide) {
        put(out, 4, 0x06064b50);
        put(out, 8, 44); /* bytes that follow in this record */
        put(out, 2, 45);
        put(out, 2, 45);
        put(out, 4, 0); /* disk */
        put(out, 4, 0); /* the directory's disk */
        put(out, 8, count);
        put(out, 8, count);
        put(out, 8, directory_bytes);
        put(out, 8, directory_at);
        put(out, 4, 0x07064b50);
        put(out, 4, 0);
        put(out, 8, end_at);
        put(out, 4, 1); /* disks */
    }
    put(out, 4, 0x06054b50);
    put(out, 2, 0);
    put(out, 2, 0);
    put(out, 2, count);
    put(out, 2, count);
    put(out, 4, wide ? UINT32_MAX : directory_bytes);
    put(out, 4, wide ? UINT32_MAX : directory_at);
    put(out, 2, 0); /* comment */
}

enum tare_status tare_npz_bytes(struct tare_buf *out, const char *const *names,
                                const struct tare_array *const *arrays, size_t count, uint64_t wide,
                                struct tare_err *err) {
    struct entry entries[MAX_ENTRIES];
    if (count > MAX_ENTRIES)
        return tare_fail(err, TARE_DATA, NULL, NULL, "an archive takes at most %d arrays",
                         MAX_ENTRIES);
    for (size_t i = 0; i < count; i++) {
        struct entry *e = &entries[i];
        struct tare_buf npy = {0};
        enum tare_status status = tare_npy_bytes(&npy, arrays[i], err);
        if (status == TARE_OK) {
            *e = (struct entry){.at = out->size,
                                .bytes = npy.size,
                                .crc = (uint32_t)libdeflate_crc32(0, npy.data, npy.size),
                                .wide = npy.size >= wide || out->size >= wide};
            snprintf(e->name, sizeof e->name, "%.50s.npy", names[i]);
            put_local(out, e);
            tare_buf_append(out, npy.data, npy.size);
        }
        tare_buf_free(&npy);
        if (status != TARE_OK)
            return status;
    }
    const uint64_t directory_at = out->size;
    for (size_t i = 0; i < count; i++)
        put_central(out, &entries[i]);
    put_end(out, count, directory_at, out->size >= wide);
    return out->failed ? tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for an archive")
                       : TARE_OK;
}

enum tare_status tare_npz_write(const char *path, const char *const *names,
                                const struct tare_array *const *arrays, size_t count,
                                struct tare_err *err) {
    struct tare_buf archive = {0};
    enum tare_status status = tare_npz_bytes(&archive, names, arrays, count, UINT32_MAX, err);
    if (status == TARE_OK)
        status = tare_file_write(path, archive.data, archive.size, err);
    tare_buf_free(&archive);
    return status;
}
