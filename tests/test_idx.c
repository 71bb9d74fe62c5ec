/* test_idx.c: IDX and gzip, and labels of every integer type: good files, truncation at every
 * byte, every single-byte change of a header, sizes made to overflow, a bomb. */
#include "data/parts.h"
#include "scratch.h"

static const uint8_t images_idx[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2,  0,  0,
                                     0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static void a_good_file_is_read(void **state) {
    (void)state;
    struct tare_array a;
    assert_int_equal(tare_idx_parse(&a, images_idx, sizeof images_idx, "i", NULL), TARE_OK);
    assert_int_equal(a.dtype, TARE_U8);
    assert_int_equal(a.rank, 3);
    assert_int_equal(a.shape[0], 2);
    assert_int_equal(a.shape[2], 3);
    assert_memory_equal(a.data, images_idx + 16, 12);
    tare_array_free(&a);
}

static void bad_headers_name_their_byte(void **state) {
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t size;
        const char *where, *says;
    } table[] = {
        {{1, 0, 8, 1, 0, 0, 0, 1, 7}, 9, "i, byte 0", "no IDX"},
        {{0, 9, 8, 1, 0, 0, 0, 1, 7}, 9, "i, byte 1", "no IDX"},
        {{0, 0, 0x0d, 1, 0, 0, 0, 1, 7}, 9, "i, byte 2", "32-bit floats"},
        {{0, 0, 0x55, 1, 0, 0, 0, 1, 7}, 9, "i, byte 2", "0x55"},
        {{0, 0, 8, 0, 0, 0, 0, 1, 7}, 9, "i, byte 3", "0 dimensions"},
        {{0, 0, 8, 5, 0, 0, 0, 1, 7}, 9, "i, byte 3", "5 dimensions"},
        {{0, 0, 8, 255, 0, 0, 0, 1, 7}, 9, "i, byte 3", "255 dimensions"},
        {{0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255}, 12, "i, byte 4", "more than"},
        {{0, 0, 8, 1, 255, 255, 255, 255, 7}, 9, "i, byte 9", "ends after 1"},
        {{0, 0, 8, 1, 0, 0, 0, 0, 7}, 9, "i, byte 8", "goes on"},
        {{0, 0, 8, 2, 0, 0, 0, 1}, 8, "i, byte 8", "12-byte header"},
        {{0}, 0, "i, byte 0", "magic"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct tare_array a;
        struct tare_err err = {0};
        uint8_t *bytes = exact_copy(table[i].bytes, table[i].size);
        assert_int_equal(tare_idx_parse(&a, bytes, table[i].size, "i", &err), TARE_DATA);
        assert_string_equal(err.where, table[i].where);
        if (strstr(err.what, table[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.what, table[i].says);
        assert_true(err.hint[0] != '\0');
        free(bytes);
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    for (size_t size = 0; size < sizeof images_idx; size++) {
        struct tare_array a;
        uint8_t *bytes = exact_copy(images_idx, size);
        assert_int_equal(tare_idx_parse(&a, bytes, size, "cut", NULL), TARE_DATA);
        assert_null(a.data);
        free(bytes);
    }
}

static void every_change_of_a_header_byte_is_survived(void **state) {
    (void)state;
    for (size_t at = 0; at < 16; at++) {
        for (int value = 0; value < 256; value++) {
            struct tare_array a;
            uint8_t *bytes = exact_copy(images_idx, sizeof images_idx);
            bytes[at] = (uint8_t)value;
            const bool same = value == images_idx[at];
            assert_true((tare_idx_parse(&a, bytes, sizeof images_idx, "m", NULL) == TARE_OK) ==
                        same);
            tare_array_free(&a);
            free(bytes);
        }
    }
}

/* What bytes decode to, appended to out: `expected` bytes, or they are refused. Piece by piece and
 * all at once the answer must be the same. */
static enum tare_status decode(struct tare_buf *out, const void *bytes, size_t size,
                               size_t expected, struct tare_err *err) {
    struct tare_decoded pieces, whole;
    char piecewise[65], sha256[65];
    bool good = tare_decoded_wrap(&pieces, bytes, size, "z", NULL) == TARE_OK &&
                tare_decoded_sha256(piecewise, &pieces, (size_t)1 << 30, NULL) == TARE_OK;
    good = good && pieces.bytes == expected;
    tare_decoded_close(&pieces);
    enum tare_status status = tare_decoded_wrap(&whole, bytes, size, "z", err);
    if (status == TARE_OK)
        status = tare_decoded_read(&whole, expected, NULL, NULL, err);
    assert_true(good == (whole.content != NULL));
    if (status == TARE_OK && !good)
        status = TARE_DATA;
    if (good) {
        assert_int_equal(whole.bytes, expected);
        tare_sha256_hex(sha256, whole.content, whole.bytes);
        assert_string_equal(piecewise, sha256);
        tare_buf_append(out, whole.content, whole.bytes);
    }
    tare_decoded_close(&whole);
    return status;
}

static void gzip_is_inflated_and_members_are_joined(void **state) {
    (void)state;
    struct tare_buf packed = {0}, out = {0};
    gzip_bytes(&packed, images_idx, 16);
    gzip_bytes(&packed, images_idx + 16, 12);
    gzip_bytes(&packed, "", 0); /* a member may be empty */
    assert_int_equal(decode(&out, packed.data, packed.size, sizeof images_idx, NULL), TARE_OK);
    assert_int_equal(out.size, sizeof images_idx);
    assert_memory_equal(out.data, images_idx, sizeof images_idx);
    tare_buf_free(&out);
    assert_int_equal(decode(&out, images_idx, sizeof images_idx, sizeof images_idx, NULL), TARE_OK);
    assert_int_equal(out.size, sizeof images_idx);
    tare_buf_free(&out);
    tare_buf_free(&packed);
}

/* Larger than the pieces that files are read in, compressed to more than one piece too. */
static void long_files_are_decoded_piece_by_piece(void **state) {
    (void)state;
    enum { SIZE = 300000 };
    uint8_t *noise = malloc(SIZE);
    uint32_t x = 1;
    assert_non_null(noise);
    for (size_t i = 0; i < SIZE; i++)
        noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    struct tare_buf packed = {0}, out = {0};
    gzip_bytes(&packed, noise, SIZE);
    assert_true(packed.size > 2 * 65536);
    assert_int_equal(decode(&out, packed.data, packed.size, SIZE, NULL), TARE_OK);
    assert_int_equal(out.size, SIZE);
    assert_memory_equal(out.data, noise, SIZE);
    tare_buf_free(&out);
    tare_buf_free(&packed);
    free(noise);
}

static void damaged_gzip_is_refused(void **state) {
    (void)state;
    struct tare_buf packed = {0}, out = {0};
    gzip_bytes(&packed, images_idx, sizeof images_idx);
    for (size_t size = 2; size < packed.size; size++) { /* less is no gzip */
        uint8_t *bytes = exact_copy(packed.data, size);
        assert_int_equal(decode(&out, bytes, size, sizeof images_idx, NULL), TARE_DATA);
        free(bytes);
    }
    for (size_t at = 10; at < packed.size; at++) { /* the first ten bytes hold a date and hints */
        uint8_t *bytes = exact_copy(packed.data, packed.size);
        bytes[at] ^= 0x10;
        assert_int_equal(decode(&out, bytes, packed.size, sizeof images_idx, NULL), TARE_DATA);
        free(bytes);
    }
    struct tare_err err = {0};
    tare_buf_puts(&packed, "tail");
    assert_int_equal(decode(&out, packed.data, packed.size, sizeof images_idx, &err), TARE_DATA);
    assert_non_null(strstr(err.where, "z, byte"));
    tare_buf_free(&out);
    tare_buf_free(&packed);
}

static void a_member_that_lies_about_its_header_is_refused(void **state) {
    (void)state;
    /* The first member's header has a checksum of its own (FHCRC), right and wrong. */
    const uint8_t start[10] = {0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 3};
    const uint32_t crc = (uint32_t)crc32(0, start, sizeof start);
    struct tare_buf plain = {0}, packed = {0}, out = {0};
    gzip_bytes(&plain, images_idx, sizeof images_idx);
    for (int second = 0; second < 2; second++) { /* alone, and behind another */
        for (int wrong = 0; wrong < 2; wrong++) {
            packed.size = 0;
            if (second)
                gzip_bytes(&packed, "", 0);
            tare_buf_append(&packed, start, sizeof start);
            const uint8_t sum[2] = {(uint8_t)(crc + (uint32_t)wrong), (uint8_t)(crc >> 8)};
            tare_buf_append(&packed, sum, 2);
            tare_buf_append(&packed, plain.data + 10, plain.size - 10);
            assert_int_equal(decode(&out, packed.data, packed.size, sizeof images_idx, NULL),
                             wrong ? TARE_DATA : TARE_OK);
        }
    }
    tare_buf_free(&out);
    tare_buf_free(&packed);
    tare_buf_free(&plain);
}

/* 1 MiB of empty members before 28 bytes: nobody writes that. */
static void more_headers_than_data_are_refused(void **state) {
    (void)state;
    struct tare_buf packed = {0};
    struct tare_err err = {0};
    gzip_bytes(&packed, images_idx, sizeof images_idx);
    while (packed.size <= ((size_t)1 << 20) + 2 * sizeof images_idx)
        gzip_bytes(&packed, "", 0);
    struct tare_decoded file;
    struct tare_array images;
    assert_int_equal(tare_decoded_wrap(&file, packed.data, packed.size, "z", NULL), TARE_OK);
    assert_int_equal(tare_images_take(&images, &file, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "too many"));
    tare_decoded_close(&file);
    tare_buf_free(&packed);
}

static void a_bomb_is_not_inflated_to_its_end(void **state) {
    (void)state;
    const size_t size = (size_t)8 << 20;
    uint8_t *zeros = calloc(size, 1);
    struct tare_buf packed = {0};
    struct tare_decoded file;
    struct tare_array array;
    struct tare_err err = {0};
    assert_non_null(zeros);
    memcpy(zeros, images_idx, 16); /* it promises 12 bytes */
    gzip_bytes(&packed, zeros, size);
    assert_true(packed.size < size / 100);
    assert_int_equal(tare_decoded_wrap(&file, packed.data, packed.size, "bomb", NULL), TARE_OK);
    assert_int_equal(tare_images_take(&array, &file, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "goes on"));
    assert_true(file.bytes < 28 + 2 * 65536);
    tare_decoded_close(&file);
    tare_buf_free(&packed);
    free(zeros);
}

/* Writes an .npy of one row of `count` elements of `width` bytes, as they stand in `bytes`. */
static const char *write_labels(const char *descr, size_t count, const void *bytes, size_t width) {
    struct tare_buf file = {0};
    char header[128];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%zu,), }",
             descr, count);
    const uint8_t start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)strlen(header), 0};
    tare_buf_append(&file, start, sizeof start);
    tare_buf_puts(&file, header);
    tare_buf_append(&file, bytes, count * width);
    const char *path = scratch_write("labels.npy", file.data, file.size);
    tare_buf_free(&file);
    return path;
}

static void labels_of_every_integer_type_become_int32(void **state) {
    (void)state;
    static const uint8_t little[] = {7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t big[] = {0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1};
    for (size_t width = 1; width <= 8; width *= 2) {
        for (int kind = 0; kind < 4; kind++) {
            char descr[8];
            uint8_t bytes[16];
            const uint8_t *from = kind < 2 ? little : big;
            snprintf(descr, sizeof descr, "%c%c%zu", kind < 2 ? '<' : '>', kind % 2 ? 'i' : 'u',
                     width);
            for (size_t i = 0; i < 2; i++)
                memcpy(bytes + i * width, from + i * 8 + (kind < 2 ? 0 : 8 - width), width);
            struct tare_array labels;
            const char *path = write_labels(descr, 2, bytes, width);
            assert_int_equal(tare_labels_read(&labels, path, NULL), TARE_OK);
            assert_int_equal(labels.dtype, TARE_I32);
            assert_int_equal(((int32_t *)labels.data)[0], 7);
            assert_int_equal(((int32_t *)labels.data)[1], 1);
            tare_array_free(&labels);
        }
    }
}

static void labels_out_of_range_are_named(void **state) {
    (void)state;
    static const struct {
        const char *descr;
        uint8_t bytes[16];
        size_t width;
        const char *says;
    } table[] = {
        {"<i2", {0, 0, 0xff, 0xff}, 2, "label 1 is -1"},
        {"<i4", {0, 0, 1, 0, 0, 0, 0, 0}, 4, "label 0 is 65536"},
        {"<i8", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}, 8, "label 1 is -92233"},
        {"<u8", {0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, 8, "label 1"},
        {"<f4", {0, 0, 0, 0, 0, 0, 0, 0}, 4, "not integers"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct tare_array labels;
        struct tare_err err = {0};
        const char *path = write_labels(table[i].descr, 2, table[i].bytes, table[i].width);
        assert_int_equal(tare_labels_read(&labels, path, &err), TARE_DATA);
        if (strstr(err.what, table[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.what, table[i].says);
        assert_non_null(strstr(err.where, "labels.npy"));
        assert_null(labels.data);
    }
    struct tare_array labels;
    assert_int_equal(tare_labels_read(&labels, write_labels("<i4", 0, "", 4), NULL), TARE_DATA);
}

static void images_and_labels_are_not_mixed_up(void **state) {
    (void)state;
    struct tare_array a;
    struct tare_err err = {0};
    struct tare_buf packed = {0};
    gzip_bytes(&packed, images_idx, sizeof images_idx);
    /* The content decides: this .gz is not named so. */
    const char *images = scratch_write("images", packed.data, packed.size);
    assert_int_equal(tare_images_read(&a, images, NULL), TARE_OK);
    tare_array_free(&a);
    assert_int_equal(tare_labels_read(&a, images, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "3 dimensions"));
    const uint8_t labels_idx[] = {0, 0, 8, 1, 0, 0, 0, 2, 5, 250};
    const char *labels = scratch_write("labels", labels_idx, sizeof labels_idx);
    assert_int_equal(tare_labels_read(&a, labels, NULL), TARE_OK);
    assert_int_equal(((int32_t *)a.data)[1], 250);
    tare_array_free(&a);
    assert_int_equal(tare_images_read(&a, labels, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "1 dimension"));
    assert_int_equal(tare_images_read(&a, scratch_path("none"), &err), TARE_IO);
    const char *empty = scratch_write("empty", "", 0);
    assert_int_equal(tare_images_read(&a, empty, &err), TARE_DATA);
    assert_int_equal(tare_labels_read(&a, empty, &err), TARE_DATA);
    tare_buf_free(&packed);
}

static void float_pixels_are_refused_with_advice(void **state) {
    (void)state;
    struct tare_array floats, back;
    struct tare_err err = {0};
    const size_t shape[2] = {2, 3};
    assert_int_equal(tare_array_make(&floats, TARE_F32, 2, shape, NULL), TARE_OK);
    assert_int_equal(tare_npy_write(scratch_path("f.npy"), &floats, NULL), TARE_OK);
    assert_int_equal(tare_images_read(&back, scratch_path("f.npy"), &err), TARE_DATA);
    assert_non_null(strstr(err.hint, "uint8"));
    tare_array_free(&floats);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(bad_headers_name_their_byte),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_change_of_a_header_byte_is_survived),
        cmocka_unit_test(gzip_is_inflated_and_members_are_joined),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(long_files_are_decoded_piece_by_piece),
        cmocka_unit_test(a_member_that_lies_about_its_header_is_refused),
        cmocka_unit_test(more_headers_than_data_are_refused),
        cmocka_unit_test(a_bomb_is_not_inflated_to_its_end),
        cmocka_unit_test(labels_of_every_integer_type_become_int32),
        cmocka_unit_test(labels_out_of_range_are_named),
        cmocka_unit_test(images_and_labels_are_not_mixed_up),
        cmocka_unit_test(float_pixels_are_refused_with_advice),
    };
    return cmocka_run_group_tests_name("idx", tests, scratch_setup, scratch_teardown);
}
