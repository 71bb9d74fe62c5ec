/* test_array.c: shapes that overflow, and .npy files: round trips, NumPy's own bytes, truncation
 * at every byte, every single-byte change of a header, and headers made to mislead. */
#include "scratch.h"
#include "tare/array.h"

/* What numpy.save wrote for numpy.arange(6, dtype='<i4').reshape(2, 3), version 1. */
static const char numpy_v1[] = "\x93NUMPY\x01\x00\x76\x00"
                               "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }"
                               "                                                          \n"
                               "\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0";
#define NUMPY_V1_BYTES (sizeof numpy_v1 - 1)

/* A file with this header text and data_bytes zeros behind it. */
static void make_npy(struct tare_buf *out, int version, const char *header, size_t data_bytes) {
    const size_t length = strlen(header);
    const uint8_t start[12] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)version, 0, (uint8_t)length, (uint8_t)(length >> 8),
        0,    0};
    tare_buf_append(out, start, version == 1 ? 10 : 12);
    tare_buf_puts(out, header);
    for (size_t i = 0; i < data_bytes; i++)
        tare_buf_append(out, "", 1);
    assert_false(out->failed);
}

static enum tare_status parse_header(const char *header, size_t data_bytes, struct tare_err *err) {
    struct tare_buf file = {0};
    struct tare_array array;
    make_npy(&file, 1, header, data_bytes);
    uint8_t *bytes = exact_copy(file.data, file.size);
    enum tare_status status = tare_npy_parse(&array, bytes, file.size, "x.npy", err);
    if (status != TARE_OK)
        assert_null(array.data);
    tare_array_free(&array);
    free(bytes);
    tare_buf_free(&file);
    return status;
}

static void shapes_are_counted_without_overflow(void **state) {
    (void)state;
    size_t count = 99;
    const size_t plain[4] = {2, 3, 4, 5}, empty[2] = {0, 7};
    const size_t wraps[3] = {(size_t)1 << 32, (size_t)1 << 32, 1};
    const size_t hidden[3] = {(size_t)1 << 62, 0, 4}, most[1] = {TARE_MAX_ARRAY_BYTES / 8};
    const size_t over[1] = {TARE_MAX_ARRAY_BYTES / 8 + 1};
    assert_true(tare_shape_count(&count, 4, plain, 4));
    assert_int_equal(count, 120);
    assert_true(tare_shape_count(&count, 0, NULL, 4));
    assert_int_equal(count, 1);
    assert_true(tare_shape_count(&count, 2, empty, 4));
    assert_int_equal(count, 0);
    assert_true(tare_shape_count(&count, 1, most, 8));
    assert_int_equal(count, TARE_MAX_ARRAY_BYTES / 8);
    assert_false(tare_shape_count(&count, 1, over, 8));
    assert_false(tare_shape_count(&count, 3, wraps, 1));
    assert_false(tare_shape_count(&count, 3, hidden, 1));
    assert_false(tare_shape_count(&count, 5, plain, 1));
    assert_false(tare_shape_count(&count, -1, plain, 1));
}

static void making_too_large_an_array_fails(void **state) {
    (void)state;
    struct tare_array array;
    struct tare_err err = {0};
    const size_t shape[2] = {(size_t)1 << 31, 3};
    assert_int_equal(tare_array_make(&array, TARE_F64, 2, shape, &err), TARE_DATA);
    assert_null(array.data);
    assert_true(err.what[0] != '\0' && err.hint[0] != '\0');
    tare_array_free(&array);
}

static void every_dtype_and_rank_survives_a_round_trip(void **state) {
    (void)state;
    static const enum tare_dtype dtypes[] = {
#define X(id, npy, safetensors, bytes) TARE_##id,
        TARE_DTYPE_LIST(X)
#undef X
    };
    const size_t shape[4] = {3, 1, 2, 5};
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        for (int rank = 0; rank <= 4; rank++) {
            struct tare_array array, back;
            assert_int_equal(tare_array_make(&array, dtypes[d], rank, shape, NULL), TARE_OK);
            for (size_t i = 0; i < tare_array_bytes(&array); i++)
                ((uint8_t *)array.data)[i] = (uint8_t)(i * 37 + 1);
            const char *path = scratch_path("a.npy");
            assert_int_equal(tare_npy_write(path, &array, NULL), TARE_OK);
            assert_int_equal(tare_npy_read(&back, path, NULL), TARE_OK);
            assert_int_equal(back.dtype, dtypes[d]);
            assert_int_equal(back.rank, rank);
            assert_memory_equal(back.shape, array.shape, sizeof array.shape);
            assert_memory_equal(back.data, array.data, tare_array_bytes(&array));
            tare_array_free(&array);
            tare_array_free(&back);
        }
    }
}

static void an_array_larger_than_the_read_prefix_comes_back_whole(void **state) {
    (void)state;
    struct tare_array array, back;
    const size_t shape[2] = {1000, 300};
    assert_int_equal(tare_array_make(&array, TARE_U8, 2, shape, NULL), TARE_OK);
    for (size_t i = 0; i < tare_array_bytes(&array); i++)
        ((uint8_t *)array.data)[i] = (uint8_t)(i % 251);
    assert_int_equal(tare_npy_write(scratch_path("big.npy"), &array, NULL), TARE_OK);
    assert_int_equal(tare_npy_read(&back, scratch_path("big.npy"), NULL), TARE_OK);
    assert_memory_equal(back.data, array.data, tare_array_bytes(&array));
    tare_array_free(&array);
    tare_array_free(&back);
}

static void assert_same(const struct tare_array *a, const struct tare_array *b) {
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->shape, b->shape, sizeof a->shape);
    assert_memory_equal(a->data, b->data, tare_array_bytes(b));
}

static void a_mapped_file_is_the_file_and_stays_as_it_is(void **state) {
    (void)state;
    struct tare_array array, mapped, again;
    const size_t shape[2] = {30, 7};
    for (int dtype = TARE_U8; dtype <= TARE_F64; dtype++) {
        assert_int_equal(tare_array_make(&array, (enum tare_dtype)dtype, 2, shape, NULL), TARE_OK);
        memset(array.data, 7, tare_array_bytes(&array));
        assert_int_equal(tare_npy_write(scratch_path("map.npy"), &array, NULL), TARE_OK);
        assert_int_equal(tare_npy_map(&mapped, scratch_path("map.npy"), NULL), TARE_OK);
        assert_non_null(mapped.map);
        assert_same(&mapped, &array);
        memset(mapped.data, 9, tare_array_bytes(&mapped));
        assert_int_equal(tare_npy_read(&again, scratch_path("map.npy"), NULL), TARE_OK);
        assert_null(again.map);
        assert_same(&again, &array);
        tare_array_free(&mapped);
        tare_array_free(&again);
        tare_array_free(&array);
    }
}

/* An int32 array that begins at an odd byte is read, as no int32_t may be there. */
static void what_cannot_be_mapped_is_read(void **state) {
    (void)state;
    struct tare_buf file = {0};
    struct tare_array array;
    make_npy(&file, 1, "{'descr':'<i4','fortran_order':False,'shape':(2,)}\n", 8);
    if (((size_t)(uint8_t)file.data[8] + 10) % 4 == 0)
        fail_msg("the header ends where an int32 may begin");
    assert_int_equal(tare_file_write(scratch_path("odd.npy"), file.data, file.size, NULL), TARE_OK);
    assert_int_equal(tare_npy_map(&array, scratch_path("odd.npy"), NULL), TARE_OK);
    assert_null(array.map);
    assert_int_equal(array.shape[0], 2);
    assert_memory_equal(array.data, file.data + file.size - 8, 8);
    tare_array_free(&array);
    file.size--;
    assert_int_equal(tare_file_write(scratch_path("odd.npy"), file.data, file.size, NULL), TARE_OK);
    assert_int_equal(tare_npy_map(&array, scratch_path("odd.npy"), NULL), TARE_DATA);
    assert_null(array.data);
    tare_buf_free(&file);
}

static void the_writer_writes_numpys_bytes(void **state) {
    (void)state;
    struct tare_array array;
    struct tare_buf bytes = {0};
    assert_int_equal(tare_npy_parse(&array, numpy_v1, NUMPY_V1_BYTES, "v1", NULL), TARE_OK);
    assert_int_equal(array.rank, 2);
    assert_int_equal(((int32_t *)array.data)[5], 5);
    assert_int_equal(tare_npy_bytes(&bytes, &array, NULL), TARE_OK);
    assert_int_equal(bytes.size, NUMPY_V1_BYTES);
    assert_memory_equal(bytes.data, numpy_v1, NUMPY_V1_BYTES);
    tare_buf_free(&bytes);
    tare_array_free(&array);
}

static void versions_2_and_3_and_other_spellings_are_read(void **state) {
    (void)state;
    for (int version = 1; version <= 3; version++) {
        struct tare_buf file = {0};
        struct tare_array array;
        make_npy(&file, version, "{\"shape\": (2,), 'fortran_order':False,'descr': '|u1'}\n", 2);
        assert_int_equal(tare_npy_parse(&array, file.data, file.size, "v", NULL), TARE_OK);
        assert_int_equal(array.rank, 1);
        assert_int_equal(array.shape[0], 2);
        tare_array_free(&array);
        tare_buf_free(&file);
    }
    assert_int_equal(parse_header("{'descr':'<u1','fortran_order':False,'shape':()}", 1, NULL),
                     TARE_OK);
    assert_int_equal(parse_header("{'descr':'<f8','fortran_order':False,'shape':(0,9)}", 0, NULL),
                     TARE_OK);
}

static void misleading_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
    } table[] = {
        {"{'descr':'<f4','fortran_order':True,'shape':(2,3)}", "Fortran"},
        {"{'descr':'<f2','fortran_order':False,'shape':(1,)}", "<f2"},
        {"{'descr':'>f4','fortran_order':False,'shape':(1,)}", ">f4"},
        {"{'descr':'|O','fortran_order':False,'shape':(1,)}", "plain number"},
        {"{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", "structured"},
        {"{'descr':'<f4','fortran_order':False}", "lacks"},
        {"{'descr':'<f4','shape':(1,)}", "lacks"},
        {"{'fortran_order':False,'shape':(1,)}", "lacks"},
        {"{'descr':'<f4','descr':'<f4','fortran_order':False,'shape':(1,)}", "twice"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,),'more':1}", "NEP 1"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1)}", "tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(-1,)}", "tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1.0,)}", "tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(,)}", "tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,1,1,1,1)}", "4 dimensions"},
        {"{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999999,)}", "tuple"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4611686018427387904,4)}", "larger"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4294967296,4294967296)}", "larger"},
        {"{'descr':'<f4','fortran_order':False,'shape':(0,18446744073709551615)}", "larger"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,)} x", "follows"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,)", "closed"},
        {"{'descr':'<f4','fortran_order':No,'shape':(1,)}", "neither"},
        {"{'descr", "dictionary"},
        {"", "dictionary"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct tare_err err = {0};
        assert_int_equal(parse_header(table[i].header, 4, &err), TARE_DATA);
        if (strstr(err.what, table[i].says) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", table[i].header, err.what, table[i].says);
        assert_non_null(strstr(err.where, "x.npy, byte "));
        assert_true(err.hint[0] != '\0');
    }
}

static void wrong_sizes_name_the_byte(void **state) {
    (void)state;
    static const char header[] = "{'descr':'<f4','fortran_order':False,'shape':(2,)}";
    char where[64];
    struct tare_err err = {0};
    assert_int_equal(parse_header(header, 7, &err), TARE_DATA);
    snprintf(where, sizeof where, "x.npy, byte %zu", 10 + strlen(header) + 7);
    assert_string_equal(err.where, where);
    assert_int_equal(parse_header(header, 9, &err), TARE_DATA);
    snprintf(where, sizeof where, "x.npy, byte %zu", 10 + strlen(header) + 8);
    assert_string_equal(err.where, where);
    assert_int_equal(parse_header(header, 8, NULL), TARE_OK);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    for (size_t size = 0; size < NUMPY_V1_BYTES; size++) {
        struct tare_array array;
        uint8_t *bytes = exact_copy(numpy_v1, size);
        assert_int_equal(tare_npy_parse(&array, bytes, size, "cut", NULL), TARE_DATA);
        assert_null(array.data);
        scratch_write("cut.npy", bytes, size);
        assert_int_equal(tare_npy_read(&array, scratch_path("cut.npy"), NULL), TARE_DATA);
        free(bytes);
    }
}

static void every_change_of_a_header_byte_is_survived(void **state) {
    (void)state;
    const size_t header_bytes = NUMPY_V1_BYTES - 24;
    size_t accepted = 0;
    for (size_t at = 0; at < header_bytes; at++) {
        for (int value = 0; value < 256; value++) {
            struct tare_array array;
            uint8_t *bytes = exact_copy(numpy_v1, NUMPY_V1_BYTES);
            bytes[at] = (uint8_t)value;
            if (tare_npy_parse(&array, bytes, NUMPY_V1_BYTES, "changed", NULL) == TARE_OK) {
                accepted++;
                assert_int_equal(tare_array_bytes(&array), 24);
            }
            tare_array_free(&array);
            free(bytes);
        }
    }
    /* The file itself at each byte, other spaces, the minor version, <f4 for <i4, (3, 2)… */
    assert_true(accepted >= header_bytes && accepted < header_bytes * 8);
}

static void a_missing_file_and_a_folder_are_errors(void **state) {
    (void)state;
    struct tare_array array;
    struct tare_err err = {0};
    assert_int_equal(tare_npy_read(&array, scratch_path("none.npy"), &err), TARE_IO);
    assert_non_null(strstr(err.where, "none.npy"));
    assert_int_equal(tare_npy_read(&array, scratch, &err), TARE_IO);
    const size_t shape[1] = {1};
    assert_int_equal(tare_array_make(&array, TARE_U8, 1, shape, NULL), TARE_OK);
    assert_int_equal(tare_npy_write(scratch_path("no/such/folder.npy"), &array, &err), TARE_IO);
    tare_array_free(&array);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_counted_without_overflow),
        cmocka_unit_test(making_too_large_an_array_fails),
        cmocka_unit_test(every_dtype_and_rank_survives_a_round_trip),
        cmocka_unit_test(an_array_larger_than_the_read_prefix_comes_back_whole),
        cmocka_unit_test(a_mapped_file_is_the_file_and_stays_as_it_is),
        cmocka_unit_test(what_cannot_be_mapped_is_read),
        cmocka_unit_test(the_writer_writes_numpys_bytes),
        cmocka_unit_test(versions_2_and_3_and_other_spellings_are_read),
        cmocka_unit_test(misleading_headers_are_refused),
        cmocka_unit_test(wrong_sizes_name_the_byte),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_change_of_a_header_byte_is_survived),
        cmocka_unit_test(a_missing_file_and_a_folder_are_errors),
    };
    return cmocka_run_group_tests_name("array", tests, scratch_setup, scratch_teardown);
}
