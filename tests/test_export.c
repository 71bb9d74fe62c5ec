/* test_export.c: what the exporters of both formats share: the same bytes each time, what is
 * refused, files. What is in the files: test_export_onnx.c, test_export_tflite.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export_model.h"
#include "net/op.h"
#include "scratch.h"

#define EACH_FORMAT(f) for (enum tare_export_format f = 0; f < TARE_EXPORT_FORMAT_COUNT; f++)

/* Twice the same, also behind other bytes in a buffer. */
static void test_same_bytes(void **state) {
    (void)state;
    static const char *const specs[] = {"1 dense:1", "9 relu", "28x28x1 dense:64:relu dense:10"};
    for (size_t s = 0; s < sizeof specs / sizeof specs[0]; s++)
        EACH_FORMAT(format) {
            struct model m;
            struct tare_buf again = {0};
            make_model(&m, specs[s]);
            write_model(&m, format, &everything);
            tare_buf_puts(&again, "before");
            assert_int_equal(tare_export_bytes(&again, format, &m.net, m.params, &everything, NULL),
                             TARE_OK);
            assert_int_equal(again.size, m.file.size + 6);
            assert_memory_equal(again.data, "before", 6);
            assert_memory_equal(again.data + 6, m.file.data, m.file.size);
            tare_buf_free(&again);
            free_model(&m);
        }
}

static void test_formats(void **state) {
    (void)state;
    static const struct {
        const char *path;
        bool known;
        enum tare_export_format format;
    } rows[] = {{"a.onnx", true, TARE_EXPORT_ONNX},
                {"b/c.d/e.tflite", true, TARE_EXPORT_TFLITE},
                {".onnx", true, TARE_EXPORT_ONNX},
                {"a.b.onnx", true, TARE_EXPORT_ONNX},
                {"a.onnx/b", false, 0},
                {"onnx", false, 0},
                {"a.onn", false, 0},
                {"a.onnx.", false, 0},
                {"", false, 0},
                {"a.safetensors", false, 0},
                {"a.ONNX", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum tare_export_format format = TARE_EXPORT_FORMAT_COUNT;
        struct tare_err err = {0};
        enum tare_status status = tare_export_format_of(&format, rows[i].path, &err);
        assert_int_equal(status, rows[i].known ? TARE_OK : TARE_USAGE);
        if (rows[i].known)
            assert_int_equal(format, rows[i].format);
        else
            assert_string_equal(err.hint, "a name that ends in .onnx or .tflite");
    }
    assert_string_equal(tare_export_format_name(TARE_EXPORT_ONNX), "onnx");
    assert_string_equal(tare_export_format_name(TARE_EXPORT_TFLITE), "tflite");
}

static void refused(struct model *m, const struct tare_export_options *options, const char *says) {
    EACH_FORMAT(format) {
        struct tare_buf file = {0};
        struct tare_err err = {0};
        assert_int_equal(tare_export_bytes(&file, format, &m->net, m->params, options, &err),
                         TARE_DATA);
        if (!strstr(err.what, says))
            fail_msg("\"%s\" doesn't say \"%s\"", err.what, says);
        assert_true(err.hint[0] != '\0');
        tare_buf_free(&file);
    }
}

static void test_refused(void **state) {
    (void)state;
    struct model m;
    make_model(&m, "2 dense:3:relu dense:2");
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        float before = m.params[m.net.tensors[3].offset + 1];
        m.params[m.net.tensors[3].offset + 1] = bad[i];
        refused(&m, &plain, "tensor 1.bias: value 1 is not finite");
        m.params[m.net.tensors[3].offset + 1] = before;
    }
    refused(&m, &(struct tare_export_options){.batch = (size_t)INT32_MAX + 1}, "don't fit a call");
    refused(&m, &(struct tare_export_options){.dataset = "\xff"}, "dataset is not UTF-8");
    refused(&m, &(struct tare_export_options){.trained_by = "a\xc3"}, "trained_by is not UTF-8");
    refused(&m, &(struct tare_export_options){.licence = "\xed\xa0\x80"}, "dataset_licence is not");
    static const struct tare_op unknown = {.name = "conv"};
    m.net.layers[1].op = &unknown;
    refused(&m, &plain, "layer 1, conv, can't be written as .");
    free_model(&m);
}

/* Every op a net can have is written by every format. */
static void test_every_op_has_rows(void **state) {
    (void)state;
    static const struct tare_op *const ops[] = {
#define X(name) &tare_op_##name,
        TARE_OP_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        char spec[64];
        snprintf(spec, sizeof spec, "6x6x1 %s", ops[i]->name);
        for (int a = 0; a < ops[i]->arg_count; a++)
            strcat(spec, ":2");
        struct model m;
        make_model(&m, spec);
        EACH_FORMAT(format)
        write_model(&m, format, &plain);
        free_model(&m);
    }
}

/* A buffer that could not grow: nothing is touched, and it is said. */
static void test_no_memory(void **state) {
    (void)state;
    struct model m;
    make_model(&m, "2 dense:3:relu dense:2");
    EACH_FORMAT(format) {
        struct tare_buf file = {.failed = true};
        assert_int_equal(tare_export_bytes(&file, format, &m.net, m.params, &everything, NULL),
                         TARE_MEMORY);
        assert_int_equal(file.size, 0);
        tare_buf_free(&file);
    }
    free_model(&m);
}

static void test_files(void **state) {
    (void)state;
    struct model m;
    struct tare_err err = {0};
    make_model(&m, "2 dense:3:relu dense:2");
    const char *path = scratch_write("old.onnx", "old", 3);
    m.params[0] = NAN;
    assert_int_equal(tare_export_write(path, TARE_EXPORT_ONNX, &m.net, m.params, &plain, &err),
                     TARE_DATA);
    assert_true(scratch_holds("old.onnx", "old", 3)); /* as it was */
    m.params[0] = 1;
    assert_int_equal(tare_export_write(path, TARE_EXPORT_ONNX, &m.net, m.params, &plain, &err),
                     TARE_OK);
    write_model(&m, TARE_EXPORT_ONNX, &plain);
    assert_true(scratch_holds("old.onnx", m.file.data, m.file.size));
    const char *nowhere = scratch_path("no/such/folder/x.tflite");
    assert_int_equal(tare_export_write(nowhere, TARE_EXPORT_TFLITE, &m.net, m.params, &plain, &err),
                     TARE_IO);
    assert_string_equal(err.where, nowhere);
    assert_false(tare_path_exists(nowhere));
    free_model(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_op_has_rows),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_files, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
