/* memory.c quick|long|one SCRATCH [NAME]: reads large, hostile and damaged files of every kind,
 * each in a process of its own, and compares the peak of its resident memory with what
 * doc/formats.md promises. Run it from the root of the tree: the corpora of the fuzz targets are
 * tried too. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "data/png.h"
#include "tare/array.h"
#include "tare/buf.h"
#include "tare/data.h"
#include "tare/digit.h"
#include "tare/net.h"
#include "tare/protocol.h"
#include "tare/safetensors.h"
#include "tare/summary.h"
#include "tare/verify.h"

#define SPARE_BYTES ((size_t)16 << 20)
#define MIB ((size_t)1 << 20)

static const char *scratch;

static void must(bool good, const char *what) {
    if (good)
        return;
    perror(what);
    exit(2);
}

/* ---- readers -----------------------------------------------------------------------------------
 */

typedef enum tare_status reader(const char *path, struct tare_err *err);

static enum tare_status read_images(const char *path, struct tare_err *err) {
    struct tare_array array;
    enum tare_status status = tare_images_read(&array, path, err);
    tare_array_free(&array);
    return status;
}

static enum tare_status read_labels(const char *path, struct tare_err *err) {
    struct tare_array array;
    enum tare_status status = tare_labels_read(&array, path, err);
    tare_array_free(&array);
    return status;
}

static enum tare_status read_npy(const char *path, struct tare_err *err) {
    struct tare_array array;
    enum tare_status status = tare_npy_read(&array, path, err);
    tare_array_free(&array);
    return status;
}

static enum tare_status read_tensors(const char *path, struct tare_err *err) {
    struct tare_tensors tensors;
    enum tare_status status = tare_safetensors_read(&tensors, path, err);
    tare_tensors_free(&tensors);
    return status;
}

static enum tare_status read_png(const char *path, struct tare_err *err) {
    struct tare_png_info info;
    enum tare_status status = tare_png_info(&info, path, err);
    if (status != TARE_OK)
        return status;
    const int channels = info.colour ? 3 : info.alpha ? 2 : 1;
    uint8_t *pixels = malloc(info.height * info.width * (size_t)channels);
    must(pixels != NULL, path);
    status = tare_png_read(pixels, &info, channels, path, err);
    free(pixels);
    return status;
}

static enum tare_status read_digit(const char *path, struct tare_err *err) {
    uint8_t pixels[28 * 28];
    return tare_digit_read(pixels, 28, 28, path, err);
}

static enum tare_status read_samples(const char *path, struct tare_err *err) {
    struct tare_summary summary;
    enum tare_status status = tare_summary_read(&summary, path, err);
    tare_summary_free(&summary);
    return status;
}

static enum tare_status read_line(const char *path, struct tare_err *err) {
    struct tare_event event;
    struct tare_job job;
    struct tare_buf line = {0};
    enum tare_status status = tare_file_read(&line, path, TARE_MAX_LINE_BYTES, err);
    if (status == TARE_OK)
        status = tare_event_parse(&event, line.data, line.size, err);
    if (status != TARE_OK && line.data != NULL)
        (void)tare_job_parse(&job, line.data, line.size, NULL);
    tare_buf_free(&line);
    return status;
}

static enum tare_status read_net(const char *path, struct tare_err *err) {
    struct tare_net net;
    struct tare_buf text = {0};
    enum tare_status status = tare_file_read(&text, path, MIB, err);
    if (status == TARE_OK)
        status = tare_net_parse(&net, text.data, err);
    tare_buf_free(&text);
    return status;
}

/* ---- makers: write the file, and return its decoded size; 0: it must be refused ----------------
 */

static FILE *begin(const char *path) {
    FILE *file = fopen(path, "wb");
    must(file != NULL, path);
    return file;
}

static void put(FILE *file, const void *bytes, size_t size) {
    must(fwrite(bytes, 1, size, file) == size, "write");
}

static void end(FILE *file) {
    must(fclose(file) == 0, "close");
}

/* Bytes that aren't there until they are read, and take no disk. */
static void put_hole(FILE *file, size_t size) {
    must(fflush(file) == 0 && ftello(file) >= 0, "flush");
    must(ftruncate(fileno(file), ftello(file) + (off_t)size) == 0, "truncate");
    must(fseeko(file, 0, SEEK_END) == 0, "seek");
}

static void idx_header(uint8_t out[16], size_t n, size_t height, size_t width) {
    const size_t shape[3] = {n, height, width};
    memcpy(out, "\0\0\x08\x03", 4);
    for (size_t i = 0; i < 12; i++)
        out[4 + i] = (uint8_t)(shape[i / 4] >> (24 - 8 * (i % 4)));
}

/* One gzip member of bytes, then of zeros. */
static void put_member(FILE *file, const void *bytes, size_t size, size_t zeros) {
    static uint8_t zero[65536], out[65536];
    z_stream stream = {0};
    must(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
    stream.next_in = (z_const Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    for (int result = Z_OK; result != Z_STREAM_END;) {
        if (stream.avail_in == 0 && zeros > 0) {
            stream.next_in = zero;
            stream.avail_in = (uInt)(zeros < sizeof zero ? zeros : sizeof zero);
            zeros -= stream.avail_in;
        }
        stream.next_out = out;
        stream.avail_out = sizeof out;
        result = deflate(&stream, zeros > 0 || stream.avail_in > 0 ? Z_NO_FLUSH : Z_FINISH);
        put(file, out, sizeof out - stream.avail_out);
    }
    deflateEnd(&stream);
}

/* Images that a header of 16 bytes promises, compressed: a member with the header, then copies of a
 * member of a MiB of zeros. */
static void put_gzip_images(const char *path, size_t promised_mib, size_t mib, bool whole) {
    uint8_t header[16];
    char member_path[512], member[8192];
    idx_header(header, promised_mib, 1024, 1024);
    snprintf(member_path, sizeof member_path, "%s/member", scratch);
    FILE *one = begin(member_path);
    put_member(one, NULL, 0, MIB);
    end(one);
    one = fopen(member_path, "rb");
    must(one != NULL, member_path);
    const size_t size = fread(member, 1, sizeof member, one);
    must(size > 18 && size < sizeof member && fclose(one) == 0, member_path);
    FILE *file = begin(path);
    put_member(file, header, sizeof header, 0);
    for (size_t i = 0; i < mib; i++)
        put(file, member, i + 1 < mib || whole ? size : size - 6);
    end(file);
}

static size_t make_images(const char *path) {
    uint8_t header[16];
    idx_header(header, 64, 1024, 1024);
    FILE *file = begin(path);
    put(file, header, sizeof header);
    put_hole(file, 64 * MIB);
    end(file);
    return 64 * MIB;
}
static size_t make_gzip_images(const char *path) {
    put_gzip_images(path, 64, 64, true);
    return 64 * MIB;
}
static size_t make_bomb_of_zeros(const char *path) {
    FILE *file = begin(path);
    put_member(file, "", 0, 256 * MIB);
    end(file);
    return 0;
}
static size_t make_bomb_behind_header(const char *path) {
    put_gzip_images(path, 1, 4096, true);
    return 0;
}
static size_t make_cut_gzip(const char *path) {
    put_gzip_images(path, 256, 256, false);
    return 0;
}
static size_t make_cut_gzip_of_4_gib(const char *path) {
    put_gzip_images(path, 4096, 4096, false);
    return 0;
}
static size_t make_idx_promise(const char *path) {
    uint8_t header[16];
    idx_header(header, 4096, 1024, 1024);
    FILE *file = begin(path);
    put(file, header, sizeof header);
    put(file, "0123456789", 10);
    end(file);
    return 0;
}
static size_t make_idx_too_long(const char *path) {
    uint8_t header[16];
    idx_header(header, 1, 1024, 1024);
    FILE *file = begin(path);
    put(file, header, sizeof header);
    put_hole(file, 4096 * MIB);
    end(file);
    return 0;
}

static void put_npy_header(FILE *file, const char *descr, const char *shape) {
    char text[118];
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr,
             shape);
    put(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    fprintf(file, "%-117s\n", text);
}
static size_t make_npy(const char *path) {
    FILE *file = begin(path);
    put_npy_header(file, "<f4", "16, 1048576");
    put_hole(file, 64 * MIB);
    end(file);
    return 64 * MIB;
}
static size_t make_npy_labels(const char *path) {
    FILE *file = begin(path);
    put_npy_header(file, "<i8", "8388608,");
    put_hole(file, 64 * MIB);
    end(file);
    return 32 * MIB; /* as int32 */
}
static size_t make_npy_bad_last_label(const char *path) {
    FILE *file = begin(path);
    put_npy_header(file, "<i8", "8388608,");
    put_hole(file, 64 * MIB - 8);
    put(file, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    end(file);
    return 0;
}
static size_t make_npy_promise(const char *path) {
    FILE *file = begin(path);
    put_npy_header(file, "<f4", "1024, 1048576");
    put(file, "0123456789", 10);
    end(file);
    return 0;
}
static size_t make_npy_too_long(const char *path) {
    FILE *file = begin(path);
    put_npy_header(file, "<f4", "16, 1048576");
    put_hole(file, 4096 * MIB);
    end(file);
    return 0;
}

static void put_tensors(FILE *file, const char *header, size_t size) {
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)size >> 8 * i);
    put(file, length, 8);
    put(file, header, size);
}
static size_t make_tensors(const char *path) {
    struct tare_buf header = {0};
    tare_buf_puts(&header, "{");
    for (size_t i = 0; i < 64; i++)
        tare_buf_printf(
            &header, "%s\"%zu\":{\"dtype\":\"F32\",\"shape\":[262144],\"data_offsets\":[%zu,%zu]}",
            i > 0 ? "," : "", i, i * MIB, (i + 1) * MIB);
    tare_buf_puts(&header, "}");
    FILE *file = begin(path);
    put_tensors(file, header.data, header.size);
    put_hole(file, 64 * MIB);
    end(file);
    tare_buf_free(&header);
    return 64 * MIB;
}
static size_t make_tensors_with_gap(const char *path) {
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[67108864],"
                                 "\"data_offsets\":[0,67108864]}}";
    FILE *file = begin(path);
    put_tensors(file, header, sizeof header - 1);
    put_hole(file, 65 * MIB);
    end(file);
    return 0;
}
/* `count` times `text`, with commas, in a list. */
static size_t make_tensor_header(const char *path, const char *text, size_t count) {
    struct tare_buf header = {0};
    tare_buf_puts(&header, "{\"a\":[");
    for (size_t i = 0; i < count; i++)
        tare_buf_printf(&header, "%s%s", i > 0 ? "," : "", text);
    tare_buf_puts(&header, "]}");
    FILE *file = begin(path);
    put_tensors(file, header.data, header.size);
    end(file);
    tare_buf_free(&header);
    return 0;
}
static size_t make_tensors_of_lists(const char *path) {
    return make_tensor_header(path, "[]", 340000);
}
static size_t make_tensors_of_objects(const char *path) {
    return make_tensor_header(path, "{}", 65000);
}
static size_t make_a_million_tensors(const char *path) {
    struct tare_buf header = {0};
    for (size_t i = 0; i < 1000000; i++)
        tare_buf_printf(&header,
                        "%c\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                        i > 0 ? ',' : '{', i);
    tare_buf_puts(&header, "}");
    FILE *file = begin(path);
    put_tensors(file, header.data, header.size);
    end(file);
    tare_buf_free(&header);
    return 0;
}
static size_t make_many_tensors(const char *path) { /* as many as a header has room for */
    struct tare_buf header = {0};
    for (size_t i = 0; header.size < MIB - 100; i++)
        tare_buf_printf(&header,
                        "%c\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                        i > 0 ? ',' : '{', i);
    tare_buf_puts(&header, "}");
    FILE *file = begin(path);
    put_tensors(file, header.data, header.size);
    end(file);
    tare_buf_free(&header);
    return 0;
}

static void put_chunk(FILE *file, const char *type, const void *data, size_t size) {
    uint8_t number[4];
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)type, 4);
    crc = size > 0 ? (uint32_t)crc32(crc, data, (uInt)size) : crc;
    for (int i = 0; i < 4; i++)
        number[i] = (uint8_t)(size >> (24 - 8 * i));
    put(file, number, 4);
    put(file, type, 4);
    put(file, data, size);
    for (int i = 0; i < 4; i++)
        number[i] = (uint8_t)(crc >> (24 - 8 * i));
    put(file, number, 4);
}
static void put_png_header(FILE *file, uint32_t width, uint32_t height, uint8_t bits,
                           uint8_t colour) {
    uint8_t header[13] = {0};
    for (int i = 0; i < 4; i++) {
        header[i] = (uint8_t)(width >> (24 - 8 * i));
        header[4 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    header[8] = bits;
    header[9] = colour;
    put(file, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(file, "IHDR", header, sizeof header);
}
/* Rows of zeros but for a black square on white where `ink`; cut: without its last bytes. */
static void put_rows(FILE *file, size_t height, size_t row_bytes, bool ink, size_t cut) {
    uint8_t *row = calloc(1 + row_bytes, 1);
    uLong room = compressBound((uLong)(MIB)) + (uLong)(height * row_bytes / 500) + MIB;
    uint8_t *packed = malloc(room);
    z_stream stream = {0};
    must(row != NULL && packed != NULL && deflateInit(&stream, 9) == Z_OK, "deflate");
    stream.next_out = packed;
    stream.avail_out = (uInt)room;
    for (size_t y = 0; y < height; y++) {
        if (ink)
            for (size_t x = 0; x < row_bytes; x++)
                row[1 + x] =
                    y > height / 4 && y < height / 2 && x > row_bytes / 4 && x < row_bytes / 2
                        ? 0
                        : 255;
        stream.next_in = row;
        stream.avail_in = (uInt)(1 + row_bytes);
        const int result = deflate(&stream, y + 1 < height ? Z_NO_FLUSH : Z_FINISH);
        must(result == (y + 1 < height ? Z_OK : Z_STREAM_END), "deflate");
    }
    put_chunk(file, "IDAT", packed, room - stream.avail_out - cut);
    put_chunk(file, "IEND", NULL, 0);
    deflateEnd(&stream);
    free(packed);
    free(row);
}
static size_t make_png(const char *path) {
    FILE *file = begin(path);
    put_png_header(file, 8192, 4096, 8, 0);
    put_rows(file, 4096, 8192, true, 0);
    end(file);
    return 32 * MIB;
}
static size_t make_png_of_16_bits(const char *path) { /* RGB and alpha */
    FILE *file = begin(path);
    put_png_header(file, 4096, 4096, 16, 6);
    put_rows(file, 4096, 4096 * 8, false, 0);
    end(file);
    return 48 * MIB; /* as 8-bit RGB */
}
static size_t make_wide_png(const char *path) {
    FILE *file = begin(path);
    put_png_header(file, 65536, 2, 16, 6);
    put_rows(file, 2, 65536 * 8, false, 0);
    end(file);
    return 65536 * 2 * 3;
}
static size_t make_cut_png(const char *path) {
    FILE *file = begin(path);
    put_png_header(file, 8192, 8192, 8, 2);
    put_rows(file, 8192, 8192 * 3, false, 8);
    end(file);
    return 0;
}
static size_t make_png_over_the_cap(const char *path) {
    FILE *file = begin(path);
    put_png_header(file, 65536, 65536, 16, 6);
    put_rows(file, 16, 65536 * 8, false, 0);
    end(file);
    return 0;
}
/* A picture with nearly a thousand texts of 8 MB each. */
static size_t make_png_of_texts(const char *path) {
    uint8_t *text = calloc(8 * MIB, 1), *packed = malloc(MIB);
    uLongf size = MIB - 3;
    must(text != NULL && packed != NULL, "texts");
    memset(text, 'a', 8 * MIB);
    memcpy(packed, "k\0\0", 3);
    must(compress2(packed + 3, &size, text, 7900000, 9) == Z_OK, "compress");
    FILE *file = begin(path);
    put_png_header(file, 4, 4, 8, 0);
    for (int i = 0; i < 990; i++)
        put_chunk(file, "zTXt", packed, 3 + size);
    put_rows(file, 4, 4, false, 0);
    end(file);
    free(packed);
    free(text);
    return 16;
}

static void put_experiment(FILE *file, size_t runs) {
    fprintf(
        file,
        "{\"record\":\"experiment\",\"format\":\"tare-samples/1\",\"dataset\":{\"name\":\"m\","
        "\"title\":\"M\",\"train\":64,\"test\":16},\"plan\":{\"model\":\"4 dense:2\","
        "\"epochs\":1,\"batch\":32,\"runs\":%zu,\"threads\":2,\"cells\":[{\"engine\":\"native\","
        "\"track\":\"controlled\",\"threads\":2}]}}\n",
        runs);
}
static size_t put_jobs(const char *path, size_t jobs, const char *task, const char *list,
                       const char *item, size_t items) {
    FILE *file = begin(path);
    put_experiment(file, 1000);
    for (size_t i = 0; i < jobs; i++) {
        fprintf(file,
                "{\"record\":\"job\",\"index\":%zu,\"task\":\"%s\",\"run\":%zu,\"state\":\"ok\","
                "\"engine\":\"native\",\"track\":\"controlled\"",
                i, task, i % 1000);
        for (size_t k = 0; k < items; k++) {
            fprintf(file, "%s", k > 0 ? "," : list);
            fprintf(file, item, k);
        }
        fprintf(file, "%s}\n", items > 0 ? "]" : "");
    }
    const size_t size = (size_t)ftello(file);
    end(file);
    return size;
}
static size_t make_many_jobs(const char *path) {
    return put_jobs(path, 20000, "infer", "", "", 0);
}
static size_t make_jobs_of_calls(const char *path) { /* each call a group of its own */
    return put_jobs(path, 4, "infer", ",\"samples\":[",
                    "{\"call\":\"c%zu\",\"batch\":1,\"wall_ns\":1}", 8000);
}
static size_t make_jobs_of_phases(const char *path) {
    return put_jobs(path, 100, "infer", ",\"phases\":[", "{\"name\":\"%zu\",\"wall_ns\":1}", 1000);
}
static size_t make_long_runs(const char *path) {
    return put_jobs(path, 1000, "train", ",\"phases\":[", "{\"name\":\"train\",\"wall_ns\":%zu}",
                    500);
}
static size_t make_brackets(const char *path) { /* 64 MiB */
    FILE *file = begin(path);
    for (size_t i = 0; i < 64; i++)
        for (size_t k = 0; k < MIB / 64; k++)
            put(file, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 64);
    end(file);
    return 0;
}
static size_t make_lines_of_brackets(const char *path) {
    FILE *file = begin(path);
    for (size_t k = 0; k < MIB; k++)
        put(file, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n", 64);
    end(file);
    return 0;
}
static size_t make_second_line(const char *path, const char *text, size_t count) {
    FILE *file = begin(path);
    put_experiment(file, 1);
    fprintf(file, "{\"record\":\"job\",\"x\":[");
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s%s", i > 0 ? "," : "", text);
    fprintf(file, "]}\n{\"record\":\"end\"}\n");
    end(file);
    return 0;
}
static size_t make_line_of_lists(const char *path) {
    return make_second_line(path, "[]", 1000000);
}
static size_t make_line_of_objects(const char *path) { /* just within the cap */
    return make_second_line(path, "{}", 65000);
}
static size_t make_line_of_numbers(const char *path) {
    return make_second_line(path, "0", 131000);
}
static size_t make_endless_line(const char *path) {
    FILE *file = begin(path);
    put_experiment(file, 1);
    put_hole(file, 60 * MIB);
    end(file);
    return 0;
}
static size_t make_hole(const char *path) { /* 1 TiB of nothing */
    FILE *file = begin(path);
    put_hole(file, (size_t)1 << 40);
    end(file);
    return 0;
}

static size_t put_event(const char *path, const char *text, size_t most) {
    FILE *file = begin(path);
    fprintf(file, "{\"event\":\"bye\",\"x\":[%s", text);
    while ((size_t)ftello(file) + strlen(text) + 4 < most)
        fprintf(file, ",%s", text);
    fprintf(file, "]}");
    const size_t size = (size_t)ftello(file);
    end(file);
    return size;
}
static size_t make_event_of_objects(const char *path) {
    return put_event(path, "{}", TARE_MAX_LINE_BYTES);
}
static size_t make_long_event(const char *path) {
    put_event(path, "{}", 2 * TARE_MAX_LINE_BYTES);
    return 0;
}

static const struct test {
    const char *name;
    reader *read;
    size_t (*make)(const char *path);
    bool only_long;
} tests[] = {
    {"images", read_images, make_images, false},
    {"gzip_images", read_images, make_gzip_images, false},
    {"bomb_of_zeros", read_images, make_bomb_of_zeros, false},
    {"bomb_behind_header", read_images, make_bomb_behind_header, false},
    {"cut_gzip", read_images, make_cut_gzip, false},
    {"cut_gzip_of_4_gib", read_images, make_cut_gzip_of_4_gib, true},
    {"idx_promise", read_images, make_idx_promise, false},
    {"idx_too_long", read_images, make_idx_too_long, false},
    {"npy", read_npy, make_npy, false},
    {"npy_labels", read_labels, make_npy_labels, false},
    {"npy_bad_last_label", read_labels, make_npy_bad_last_label, false},
    {"npy_promise", read_npy, make_npy_promise, false},
    {"npy_too_long", read_npy, make_npy_too_long, false},
    {"tensors", read_tensors, make_tensors, false},
    {"tensors_with_gap", read_tensors, make_tensors_with_gap, false},
    {"tensors_of_lists", read_tensors, make_tensors_of_lists, false},
    {"tensors_of_objects", read_tensors, make_tensors_of_objects, false},
    {"a_million_tensors", read_tensors, make_a_million_tensors, false},
    {"many_tensors", read_tensors, make_many_tensors, false},
    {"png", read_png, make_png, false},
    {"png_of_16_bits", read_png, make_png_of_16_bits, false},
    {"wide_png", read_png, make_wide_png, false},
    {"cut_png", read_png, make_cut_png, false},
    {"png_over_the_cap", read_png, make_png_over_the_cap, false},
    {"png_of_texts", read_png, make_png_of_texts, false},
    {"many_jobs", read_samples, make_many_jobs, false},
    {"jobs_of_calls", read_samples, make_jobs_of_calls, false},
    {"jobs_of_phases", read_samples, make_jobs_of_phases, false},
    {"long_runs", read_samples, make_long_runs, false},
    {"brackets", read_samples, make_brackets, false},
    {"lines_of_brackets", read_samples, make_lines_of_brackets, false},
    {"line_of_lists", read_samples, make_line_of_lists, false},
    {"line_of_objects", read_samples, make_line_of_objects, false},
    {"line_of_numbers", read_samples, make_line_of_numbers, false},
    {"endless_line", read_samples, make_endless_line, false},
    {"event_of_objects", read_line, make_event_of_objects, false},
    {"long_event", read_line, make_long_event, false},
    /* A file that is made for one reader, given to others. */
    {"digit", read_digit, make_png, false},
    {"hole_as_images", read_images, make_hole, false},
    {"hole_as_labels", read_labels, make_hole, false},
    {"hole_as_npy", read_npy, make_hole, false},
    {"hole_as_tensors", read_tensors, make_hole, false},
    {"hole_as_png", read_png, make_hole, false},
    {"hole_as_samples", read_samples, make_hole, false},
    {"hole_as_line", read_line, make_hole, false},
};

/* ---- trying them -------------------------------------------------------------------------------
 */

/* Of /proc/self/status, in bytes. */
static size_t status_bytes(const char *key) {
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            sscanf(line + strlen(key), " %zu", &kib);
    if (file != NULL)
        fclose(file);
    return kib << 10;
}

struct outcome {
    enum tare_status status;
    size_t bytes; /* more than before, at the peak */
    char what[sizeof(((struct tare_err *)0)->what)];
};

/* In the child. */
static void measure(int to, reader *read, const char *path) {
    struct tare_err err = {0};
    struct outcome outcome = {.status = TARE_OK};
    const int reset = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    must(reset >= 0 && write(reset, "5", 1) == 1, "/proc/self/clear_refs");
    close(reset);
    const size_t before = status_bytes("VmRSS:");
    outcome.status = read(path, &err);
    outcome.bytes = status_bytes("VmHWM:") - before;
    memcpy(outcome.what, err.what, sizeof outcome.what);
    must(write(to, &outcome, sizeof outcome) == sizeof outcome, "pipe");
    _exit(0);
}

static bool run(struct outcome *outcome, reader *who, const char *path) {
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    fflush(NULL);
    const pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0)
        measure(ends[1], who, path);
    close(ends[1]);
    const bool whole = read(ends[0], outcome, sizeof *outcome) == sizeof *outcome;
    int status = 0;
    close(ends[0]);
    return waitpid(child, &status, 0) == child && status == 0 && whole;
}

/* decoded: 0 where it must be refused; SIZE_MAX where either is fine. */
static bool try(const char *name, reader *who, const char *path, size_t decoded, bool tell) {
    struct outcome outcome;
    if (!run(&outcome, who, path)) {
        fprintf(stderr, "%s: ended in a crash\n", name);
        return false;
    }
    const bool accepted = outcome.status == TARE_OK;
    const size_t allowed =
        SPARE_BYTES + (accepted && decoded != SIZE_MAX ? 3 * decoded : (size_t)0);
    const bool expected = decoded == SIZE_MAX || accepted == (decoded > 0);
    const bool good = expected && outcome.bytes <= allowed;
    if (!good || tell)
        fprintf(stderr, "%-24s %s, %.1f MB of %.1f%s%s\n", name, accepted ? "accepted" : "refused",
                (double)outcome.bytes * 1e-6, (double)allowed * 1e-6, accepted ? "" : ": ",
                outcome.what);
    if (!expected)
        fprintf(stderr, "%s: should have been %s\n", name, accepted ? "refused" : "accepted");
    return good;
}

/* Every seed of the fuzz targets. */
static void try_corpora(size_t *tried, size_t *survived) {
    static const struct {
        const char *kind;
        reader *read;
    } corpora[] = {{"idx", read_images},
                   {"idx", read_labels},
                   {"gzip", read_images},
                   {"gzip", read_labels},
                   {"npy", read_npy},
                   {"npy", read_labels},
                   {"png", read_png},
                   {"png", read_digit},
                   {"samples", read_samples},
                   {"protocol", read_line},
                   {"safetensors", read_tensors},
                   {"net", read_net}};
    for (size_t i = 0; i < sizeof corpora / sizeof *corpora; i++) {
        char dir[512], path[1024];
        struct dirent *entry;
        snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", corpora[i].kind);
        DIR *folder = opendir(dir);
        must(folder != NULL, dir);
        while ((entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
            ++*tried;
            *survived += try(path, corpora[i].read, path, SIZE_MAX, false);
        }
        closedir(folder);
    }
}

int main(int argc, char **argv) {
    const char *mode = argc > 2 ? argv[1] : "", *only = argc > 3 ? argv[3] : "";
    const bool one = strcmp(mode, "one") == 0, all = one || strcmp(mode, "long") == 0;
    size_t tried = 0, survived = 0, left_out = 0;
    char path[512];
    if (argc < 3)
        return 2;
    scratch = argv[2];
    snprintf(path, sizeof path, "%s/file", scratch);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (one && strcmp(tests[i].name, only) != 0)
            continue;
        if (tests[i].only_long && !all) {
            left_out++;
            continue;
        }
        const size_t decoded = tests[i].make(path);
        tried++;
        survived += try(tests[i].name, tests[i].read, path, decoded, all);
    }
    if (!one)
        try_corpora(&tried, &survived);
    printf("result %zu %zu %zu\n", tried, survived, tried + left_out);
    return tried > 0 && tried == survived ? 0 : 1;
}
