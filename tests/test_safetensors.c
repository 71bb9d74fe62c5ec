/* test_safetensors.c: round trips and determinism, a file as the format's own library writes it,
 * and hostile files: truncated, changed byte by byte, overlapping, with gaps, oversized. */
#include "scratch.h"
#include "tare/safetensors.h"

/* A file with this JSON header and data_bytes bytes 0, 1, 2 … of data. */
static void make_file(struct tare_buf *out, const char *json, size_t data_bytes) {
    uint8_t length[8] = {0};
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)strlen(json) >> 8 * i);
    tare_buf_append(out, length, 8);
    tare_buf_puts(out, json);
    for (size_t i = 0; i < data_bytes; i++) {
        const uint8_t byte = (uint8_t)i;
        tare_buf_append(out, &byte, 1);
    }
    assert_false(out->failed);
}

static enum tare_status parse(struct tare_tensors *out, const char *json, size_t data_bytes,
                              struct tare_err *err) {
    struct tare_buf file = {0};
    make_file(&file, json, data_bytes);
    uint8_t *bytes = exact_copy(file.data, file.size);
    enum tare_status status = tare_safetensors_parse(out, bytes, file.size, "m", err);
    if (status != TARE_OK)
        assert_true(out->tensors == NULL && out->metadata == NULL && out->count == 0);
    free(bytes);
    tare_buf_free(&file);
    return status;
}

static void make_model(struct tare_tensors *model) {
    *model = (struct tare_tensors){0};
    const size_t shape[2] = {3, 2};
    struct tare_array weight, bias, steps;
    assert_int_equal(tare_array_make(&weight, TARE_F32, 2, shape, NULL), TARE_OK);
    assert_int_equal(tare_array_make(&bias, TARE_F32, 1, shape + 1, NULL), TARE_OK);
    assert_int_equal(tare_array_make(&steps, TARE_I64, 0, NULL, NULL), TARE_OK);
    for (int i = 0; i < 6; i++)
        ((float *)weight.data)[i] = (float)i * 4.2e-7f;
    ((int64_t *)steps.data)[0] = 9375;
    assert_int_equal(tare_tensors_add(model, "0.weight", &weight, NULL), TARE_OK);
    assert_int_equal(tare_tensors_add(model, "0.bias", &bias, NULL), TARE_OK);
    assert_int_equal(tare_tensors_add(model, "steps", &steps, NULL), TARE_OK);
    assert_int_equal(tare_tensors_set_metadata(model, "norm", "u8/255", NULL), TARE_OK);
    assert_int_equal(tare_tensors_set_metadata(model, "model", "3 \"dense\":2 π", NULL), TARE_OK);
    tare_array_free(&weight);
    tare_array_free(&bias);
    tare_array_free(&steps);
}

static void a_model_survives_a_round_trip(void **state) {
    (void)state;
    struct tare_tensors model, back;
    make_model(&model);
    const char *path = scratch_path("m.safetensors");
    assert_int_equal(tare_safetensors_write(path, &model, NULL), TARE_OK);
    assert_int_equal(tare_safetensors_read(&back, path, NULL), TARE_OK);
    assert_int_equal(back.count, 3);
    for (size_t i = 0; i < model.count; i++) {
        const struct tare_array *a = &model.tensors[i].array;
        const struct tare_tensor *found = tare_tensors_find(&back, model.tensors[i].name);
        assert_non_null(found);
        assert_int_equal(found->array.dtype, a->dtype);
        assert_int_equal(found->array.rank, a->rank);
        assert_memory_equal(found->array.shape, a->shape, sizeof a->shape);
        assert_memory_equal(found->array.data, a->data, tare_array_bytes(a));
    }
    assert_string_equal(tare_tensors_metadata(&back, "norm"), "u8/255");
    assert_string_equal(tare_tensors_metadata(&back, "model"), "3 \"dense\":2 π");
    assert_null(tare_tensors_metadata(&back, "absent"));
    assert_null(tare_tensors_find(&back, "absent"));
    tare_tensors_free(&model);
    tare_tensors_free(&back);
}

static void the_bytes_are_the_same_each_time_and_aligned(void **state) {
    (void)state;
    struct tare_tensors model, again;
    struct tare_buf a = {0}, b = {0};
    make_model(&model);
    assert_int_equal(tare_safetensors_bytes(&a, &model, NULL), TARE_OK);
    assert_int_equal(tare_safetensors_parse(&again, a.data, a.size, "a", NULL), TARE_OK);
    assert_int_equal(tare_safetensors_bytes(&b, &again, NULL), TARE_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    assert_int_equal((uint8_t)a.data[0] % 8, 0); /* the header's length */
    /* The int64 comes first in the data, so it lies at a multiple of 8. */
    assert_non_null(strstr(a.data + 8, "\"steps\":{\"data_offsets\":[0,8],\"dtype\":\"I64\""));
    tare_buf_free(&a);
    tare_buf_free(&b);
    tare_tensors_free(&model);
    tare_tensors_free(&again);
}

static void an_empty_list_and_other_writers_are_read(void **state) {
    (void)state;
    struct tare_tensors t;
    assert_int_equal(parse(&t, "{}", 0, NULL), TARE_OK);
    assert_int_equal(t.count, 0);
    tare_tensors_free(&t);
    /* Keys in any order, entries not in the order of their data, an empty tensor, padding. */
    assert_int_equal(parse(&t,
                           "{\"b\":{\"shape\":[2],\"data_offsets\":[4,12],\"dtype\":\"I32\"},"
                           "\"z\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[4,4]},"
                           "\"__metadata__\":{\"format\":\"pt\"},"
                           "\"a\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}   ",
                           12, NULL),
                     TARE_OK);
    assert_int_equal(t.count, 3);
    assert_int_equal(((int32_t *)tare_tensors_find(&t, "b")->array.data)[0], 0x07060504);
    assert_string_equal(tare_tensors_metadata(&t, "format"), "pt");
    tare_tensors_free(&t);
}

#define U8(name, from, to, n)                                                                      \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" n "],\"data_offsets\":[" from "," to "]}"

static void hostile_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json;
        size_t data_bytes;
        const char *says;
    } table[] = {
        {"{" U8("a", "0", "4", "4") "," U8("b", "2", "6", "4") "}", 6, "overlaps"},
        {"{" U8("a", "0", "4", "4") "," U8("b", "5", "9", "4") "}", 9, "gap"},
        {"{" U8("a", "1", "4", "3") "}", 4, "gap"},
        {"{" U8("a", "0", "4", "4") "}", 5, "belong to no tensor"},
        {"{" U8("a", "0", "4", "4") "}", 3, "lies at bytes"},
        {"{" U8("a", "4", "0", "4") "}", 4, "lies at bytes"},
        {"{" U8("a", "-4", "0", "4") "}", 4, "not two sizes"},
        {"{" U8("a", "0", "9223372036854775807", "4") "}", 4, "lies at bytes"},
        {"{" U8("a", "0", "99999999999999999999", "4") "}", 4, "JSON"},
        {"{" U8("a", "0", "4", "5") "}", 4, "needs 5 bytes"},
        {"{" U8("a", "0", "4", "-4") "}", 4, "4 sizes"},
        {"{" U8("a", "0", "4", "1,1,1,1,4") "}", 4, "4 sizes"},
        {"{" U8("a", "0", "4", "4294967296,4294967296,4294967296") "}", 4, "too large"},
        {"{" U8("a", "0", "0", "0,9223372036854775807") "}", 0, "too large"},
        {"{" U8("a", "0", "4", "4") "," U8("a", "0", "4", "4") "}", 4, "JSON"},
        {"{" U8("", "0", "4", "4") "}", 4, "name"},
        {"{" U8("0123456789012345678901234567890123456789012345678901234567890123", "0", "4",
                "4") "}",
         4, "longer"},
        {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "BF16"},
        {"{\"a\":{\"dtype\":7,\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "no dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]}}", 4, "4 sizes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0]}}", 4, "two sizes"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "two sizes"},
        {"{\"a\":[]}", 0, "not an object"},
        {"{\"__metadata__\":{\"n\":5}}", 0, "not a text"},
        {"{\"__metadata__\":\"x\"}", 0, "not an object"},
        {"[]", 0, "not a JSON object"},
        {" {}", 0, "not a JSON object"},
        {"{} x", 0, "JSON"},
        {"{\"\\u0000\":{}}", 0, "JSON"},
        {"{\"\xff\":{}}", 0, "JSON"},
        {"", 0, "not a JSON object"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct tare_tensors t;
        struct tare_err err = {0};
        assert_int_equal(parse(&t, table[i].json, table[i].data_bytes, &err), TARE_DATA);
        if (strstr(err.what, table[i].says) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", table[i].json, err.what, table[i].says);
    }
}

static void lengths_that_lie_are_refused(void **state) {
    (void)state;
    static const uint8_t lengths[][8] = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {3, 0, 0, 0, 0, 0, 0, 0},
        {1, 0, 16, 0, 0, 0, 0, 0},
        {0, 0, 0, 0, 0, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        uint8_t file[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        struct tare_tensors t;
        memcpy(file, lengths[i], 8);
        uint8_t *bytes = exact_copy(file, sizeof file);
        assert_int_equal(tare_safetensors_parse(&t, bytes, sizeof file, "m", NULL), TARE_DATA);
        free(bytes);
    }
}

static void too_many_tensors_are_refused(void **state) {
    (void)state;
    struct tare_buf json = {0};
    struct tare_tensors t;
    struct tare_err err = {0};
    for (int i = 0; i <= TARE_MAX_TENSORS; i++)
        tare_buf_printf(&json, "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                        i == 0 ? '{' : ',', i);
    tare_buf_puts(&json, "}");
    assert_int_equal(parse(&t, json.data, 0, &err), TARE_DATA);
    assert_non_null(strstr(err.what, "more than 256"));
    tare_buf_free(&json);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    struct tare_tensors model, t;
    struct tare_buf file = {0};
    make_model(&model);
    assert_int_equal(tare_safetensors_bytes(&file, &model, NULL), TARE_OK);
    for (size_t size = 0; size < file.size; size++) {
        uint8_t *bytes = exact_copy(file.data, size);
        assert_int_equal(tare_safetensors_parse(&t, bytes, size, "cut", NULL), TARE_DATA);
        free(bytes);
    }
    tare_buf_free(&file);
    tare_tensors_free(&model);
}

static void every_change_of_a_header_byte_is_survived(void **state) {
    (void)state;
    struct tare_tensors model;
    struct tare_buf file = {0};
    make_model(&model);
    assert_int_equal(tare_safetensors_bytes(&file, &model, NULL), TARE_OK);
    const size_t data_bytes = 6 * 4 + 2 * 4 + 8;
    for (size_t at = 0; at < file.size - data_bytes; at++) {
        for (int value = 0; value < 256; value++) {
            struct tare_tensors t;
            uint8_t *bytes = exact_copy(file.data, file.size);
            bytes[at] = (uint8_t)value;
            if (tare_safetensors_parse(&t, bytes, file.size, "changed", NULL) == TARE_OK) {
                size_t total = 0;
                for (size_t i = 0; i < t.count; i++)
                    total += tare_array_bytes(&t.tensors[i].array);
                assert_int_equal(total, data_bytes);
            }
            tare_tensors_free(&t);
            free(bytes);
        }
    }
    tare_buf_free(&file);
    tare_tensors_free(&model);
}

static void bad_additions_leave_the_list_as_it_was(void **state) {
    (void)state;
    struct tare_tensors model;
    struct tare_array scalar;
    struct tare_err err = {0};
    char name[TARE_MAX_TENSOR_NAME + 1];
    memset(name, 'x', TARE_MAX_TENSOR_NAME);
    name[TARE_MAX_TENSOR_NAME] = '\0';
    make_model(&model);
    assert_int_equal(tare_array_make(&scalar, TARE_F32, 0, NULL, NULL), TARE_OK);
    assert_int_equal(tare_tensors_add(&model, "0.bias", &scalar, &err), TARE_DATA);
    assert_int_equal(tare_tensors_add(&model, "", &scalar, &err), TARE_DATA);
    assert_int_equal(tare_tensors_add(&model, "__metadata__", &scalar, &err), TARE_DATA);
    assert_int_equal(tare_tensors_add(&model, name, &scalar, &err), TARE_DATA);
    assert_int_equal(tare_tensors_set_metadata(&model, "norm", "other", NULL), TARE_OK);
    assert_string_equal(tare_tensors_metadata(&model, "norm"), "other");
    assert_int_equal(model.count, 3);
    assert_int_equal(model.metadata_count, 2);
    /* Latin-1 cannot be written as JSON. */
    struct tare_buf out = {0};
    assert_int_equal(tare_tensors_set_metadata(&model, "who", "Ren\xe9", NULL), TARE_OK);
    assert_int_equal(tare_safetensors_bytes(&out, &model, &err), TARE_DATA);
    tare_buf_free(&out);
    tare_array_free(&scalar);
    tare_tensors_free(&model);
}

static void unreadable_files_are_errors(void **state) {
    (void)state;
    struct tare_tensors t;
    struct tare_err err = {0};
    assert_int_equal(tare_safetensors_read(&t, scratch_path("none"), &err), TARE_IO);
    assert_non_null(strstr(err.where, "none"));
    const char *page = scratch_write("page", "<html>404</html>", 16);
    assert_int_equal(tare_safetensors_read(&t, page, &err), TARE_DATA);
    assert_non_null(strstr(err.where, "page, byte 0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_survives_a_round_trip),
        cmocka_unit_test(the_bytes_are_the_same_each_time_and_aligned),
        cmocka_unit_test(an_empty_list_and_other_writers_are_read),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(too_many_tensors_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_change_of_a_header_byte_is_survived),
        cmocka_unit_test(bad_additions_leave_the_list_as_it_was),
        cmocka_unit_test(unreadable_files_are_errors),
    };
    return cmocka_run_group_tests_name("safetensors", tests, scratch_setup, scratch_teardown);
}
