/* test_export_tflite.c: .tflite files byte for byte, read back by tests/read_back.h. Field numbers
 * are those of schema.fbs. The other format is test_export_onnx.c's, what both share
 * test_export.c's; that the real runtimes take them, and compute what they should,
 * test_export_runtimes.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "export_model.h"
#include "read_back.h"
#include "tare/version.h"

enum { VERSION, CODES, SUBGRAPHS, DESCRIPTION, BUFFERS, METADATA = 6, SIGNATURES };
enum { TENSORS, INPUTS, OUTPUTS, OPERATORS, NAME };

static struct flat tflite_of(const struct model *m, size_t *model, size_t *graph) {
    struct flat f = {(const uint8_t *)m->file.data, m->file.size};
    assert_true(f.size > 8 && memcmp(f.bytes + 4, "TFL3", 4) == 0);
    *model = fb_follow(f, 0);
    assert_int_equal(fb_int(f, *model, VERSION), 3);
    assert_int_equal(fb_count(f, *model, SUBGRAPHS), 1);
    *graph = fb_element(f, *model, SUBGRAPHS, 0);
    return f;
}

/* The bytes of buffer i, aligned as the schema asks. */
static struct message buffer_of(struct flat f, size_t model, size_t i) {
    size_t data = fb_link(f, fb_element(f, model, BUFFERS, i), 0), size = fb_u32(f, data);
    assert_true((data + 4) % 16 == 0 && size <= f.size - data - 4);
    return (struct message){f.bytes + data + 4, size};
}

static void tensor_is(struct flat f, size_t graph, size_t i, const char *name, int type,
                      int32_t batch, int32_t n) {
    size_t tensor = fb_element(f, graph, TENSORS, i);
    fb_is(f, tensor, 3, name);
    assert_int_equal(fb_byte(f, tensor, 1), type);
    assert_int_equal(fb_byte(f, tensor, 8), 1); /* has_rank */
    assert_int_equal(fb_int(f, tensor, 2), 0);  /* no buffer: computed */
    assert_int_equal(fb_count(f, tensor, 0), 2);
    assert_int_equal(fb_element_int(f, tensor, 0, 0), batch > 0 ? batch : 1);
    assert_int_equal(fb_element_int(f, tensor, 0, 1), n);
    assert_int_equal(fb_count(f, tensor, 7), batch > 0 ? 0 : 2);
    if (batch <= 0) {
        assert_int_equal(fb_element_int(f, tensor, 7, 0), -1);
        assert_int_equal(fb_element_int(f, tensor, 7, 1), n);
    }
}

/* Tensor i holds net's tensor `which`, its matrix transposed. */
static void constant_is(struct flat f, size_t model, size_t graph, size_t i, const struct model *m,
                        int which) {
    const struct tare_net_tensor *wanted = &m->net.tensors[which];
    size_t tensor = fb_element(f, graph, TENSORS, i), rows = wanted->shape[0];
    struct message data = buffer_of(f, model, fb_int(f, tensor, 2));
    fb_is(f, tensor, 3, wanted->name);
    assert_int_equal(fb_count(f, tensor, 0), wanted->rank);
    assert_int_equal(fb_count(f, tensor, 7), 0);
    assert_int_equal(data.size, wanted->count * sizeof(float));
    for (int d = 0; d < wanted->rank; d++)
        assert_int_equal(fb_element_int(f, tensor, 0, (size_t)d),
                         wanted->shape[wanted->rank - 1 - d]);
    size_t columns = wanted->count / rows;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            assert_memory_equal(data.bytes + (c * rows + r) * sizeof(float),
                                m->params + wanted->offset + r * columns + c, sizeof(float));
}

/* An operator, by its number; returns its table. */
static size_t operator_is(struct flat f, size_t model, size_t graph, size_t i, uint32_t number,
                          int options, const int *inputs, size_t input_count, int output) {
    size_t operator= fb_element(f, graph, OPERATORS, i);
    size_t code = fb_element(f, model, CODES, fb_int(f, operator, 0));
    assert_int_equal(fb_int(f, code, 3), number);
    assert_int_equal(fb_byte(f, code, 0), number);
    assert_int_equal(fb_int(f, code, 2), 1);
    assert_int_equal(fb_byte(f, operator, 3), options);
    assert_int_equal(fb_count(f, operator, 1), input_count);
    for (size_t k = 0; k < input_count; k++)
        assert_int_equal(fb_element_int(f, operator, 1, k), inputs[k]);
    assert_int_equal(fb_count(f, operator, 2), 1);
    assert_int_equal(fb_element_int(f, operator, 2, 0), output);
    return operator;
}
#define FROM(...) (const int[]){__VA_ARGS__}, sizeof(const int[]){__VA_ARGS__} / sizeof(int)

static void metadata_is(struct flat f, size_t model, size_t i, const char *name, const char *text) {
    size_t entry = fb_element(f, model, METADATA, i);
    fb_is(f, entry, 0, name);
    struct message is = buffer_of(f, model, fb_int(f, entry, 1));
    assert_int_equal(is.size, strlen(text));
    assert_memory_equal(is.bytes, text, is.size);
}

static void signature_is(struct flat f, size_t model, const char *input, uint32_t in,
                         const char *output, uint32_t out) {
    assert_int_equal(fb_count(f, model, SIGNATURES), 1);
    size_t signature = fb_element(f, model, SIGNATURES, 0);
    fb_is(f, signature, 2, "serving_default");
    assert_int_equal(fb_int(f, signature, 4), 0);
    assert_int_equal(fb_count(f, signature, 0), 1);
    assert_int_equal(fb_count(f, signature, 1), 1);
    fb_is(f, fb_element(f, signature, 0, 0), 0, input);
    fb_is(f, fb_element(f, signature, 1, 0), 0, output);
    assert_int_equal(fb_int(f, fb_element(f, signature, 0, 0), 1), in);
    assert_int_equal(fb_int(f, fb_element(f, signature, 1, 0), 1), out);
}

static void test_tflite(void **state) {
    (void)state;
    struct model m;
    size_t model, graph;
    make_model(&m, "30 dense:5:relu relu dense:7");
    write_model(&m, TARE_EXPORT_TFLITE, &plain);
    struct flat f = tflite_of(&m, &model, &graph);
    assert_int_equal(fb_count(f, model, CODES), 2);
    assert_int_equal(fb_count(f, graph, TENSORS), 8);
    assert_int_equal(fb_element_int(f, graph, INPUTS, 0), 0);
    assert_int_equal(fb_element_int(f, graph, OUTPUTS, 0), 5);
    tensor_is(f, graph, 0, "image", 0, 0, 30);
    tensor_is(f, graph, 1, "relu_0", 0, 0, 5); /* fused */
    constant_is(f, model, graph, 2, &m, 0);
    constant_is(f, model, graph, 3, &m, 1);
    tensor_is(f, graph, 4, "relu_1", 0, 0, 5);
    tensor_is(f, graph, 5, "logits", 0, 0, 7);
    constant_is(f, model, graph, 6, &m, 2);
    constant_is(f, model, graph, 7, &m, 3);
    assert_int_equal(fb_count(f, graph, OPERATORS), 3);
    size_t first = operator_is(f, model, graph, 0, 9, 8, FROM(0, 2, 3), 1);
    assert_int_equal(fb_byte(f, fb_link(f, first, 4), 0), 1); /* RELU */
    operator_is(f, model, graph, 1, 19, 0, FROM(1), 4);
    size_t last = operator_is(f, model, graph, 2, 9, 8, FROM(4, 6, 7), 5);
    assert_int_equal(fb_byte(f, fb_link(f, last, 4), 0), 0);
    assert_int_equal(fb_count(f, model, BUFFERS), 1 + 4 + 4);
    assert_int_equal(fb_field(f, fb_element(f, model, BUFFERS, 0), 0), 0);
    assert_int_equal(fb_count(f, model, METADATA), 4);
    metadata_is(f, model, 0, "min_runtime_version", "1.5.0");
    metadata_is(f, model, 1, "model", "30 dense:5:relu relu dense:7");
    metadata_is(f, model, 3, "producer", "tare " TARE_VERSION);
    fb_is(f, model, DESCRIPTION, "30 dense:5:relu relu dense:7; written by tare " TARE_VERSION);
    fb_is(f, graph, NAME, "main");
    signature_is(f, model, "image", 0, "logits", 5);
    free_model(&m);
}

static void test_tflite_with_everything(void **state) {
    (void)state;
    struct model m;
    size_t model, graph;
    make_model(&m, "4x4x1 relu dense:3");
    write_model(&m, TARE_EXPORT_TFLITE, &everything);
    struct flat f = tflite_of(&m, &model, &graph);
    tensor_is(f, graph, 0, "image", 3, 5, 16);
    tensor_is(f, graph, 1, "pixels", 0, 5, 16);
    tensor_is(f, graph, 2, "x", 0, 5, 16);
    size_t divisor = fb_element(f, graph, TENSORS, 3);
    const float wanted = 255, beta = 1;
    fb_is(f, divisor, 3, "255");
    assert_memory_equal(buffer_of(f, model, fb_int(f, divisor, 2)).bytes, &wanted, sizeof wanted);
    tensor_is(f, graph, 4, "relu_0", 0, 5, 16);
    tensor_is(f, graph, 5, "logits", 0, 5, 3);
    constant_is(f, model, graph, 6, &m, 0);
    tensor_is(f, graph, 8, "probabilities", 0, 5, 3);
    size_t cast = operator_is(f, model, graph, 0, 53, 37, FROM(0), 1);
    assert_int_equal(fb_byte(f, fb_link(f, cast, 4), 0), 3);
    assert_int_equal(fb_byte(f, fb_link(f, cast, 4), 1), 0);
    operator_is(f, model, graph, 1, 42, 29, FROM(1, 3), 2);
    operator_is(f, model, graph, 2, 19, 0, FROM(2), 4);
    operator_is(f, model, graph, 3, 9, 8, FROM(4, 6, 7), 5);
    size_t softmax = operator_is(f, model, graph, 4, 25, 9, FROM(5), 8);
    assert_memory_equal(f.bytes + fb_field(f, fb_link(f, softmax, 4), 0), &beta, sizeof beta);
    metadata_is(f, model, 0, "min_runtime_version", "1.6.0"); /* DIV's */
    metadata_is(f, model, 4, "dataset", "Ziffern für Prüfungen");
    metadata_is(f, model, 6, "dataset_licence", "CC BY-SA 3.0");
    signature_is(f, model, "image", 0, "probabilities", 8);
    free_model(&m);
}

static void test_numbers_are_exact(void **state) {
    (void)state;
    struct model m;
    size_t model, graph;
    delicate_model(&m);
    write_model(&m, TARE_EXPORT_TFLITE, &plain);
    struct flat f = tflite_of(&m, &model, &graph);
    constant_is(f, model, graph, 2, &m, 0);
    constant_is(f, model, graph, 3, &m, 1);
    free_model(&m);
}

static void test_most_layers(void **state) {
    (void)state;
    struct model m;
    size_t model, graph;
    largest_model(&m);
    write_model(&m, TARE_EXPORT_TFLITE, &everything);
    struct flat f = tflite_of(&m, &model, &graph);
    assert_int_equal(fb_count(f, graph, OPERATORS), TARE_MAX_LAYERS + 3);
    assert_int_equal(fb_count(f, graph, TENSORS), 3 * TARE_MAX_LAYERS + 5);
    free_model(&m);
}

/* A description that is too long ends before a character, not inside one. */
static void test_long_texts(void **state) {
    (void)state;
    for (size_t shift = 0; shift < 3; shift++) {
        char title[4001] = "aa";
        size_t model, graph, euros = 0;
        for (size_t at = shift; at + 3 < sizeof title; at += 3, euros++)
            memcpy(title + at, "€", 4);
        struct tare_export_options options = {.dataset = title};
        struct model m;
        make_model(&m, "1 dense:1");
        write_model(&m, TARE_EXPORT_TFLITE, &options);
        struct flat f = tflite_of(&m, &model, &graph);
        size_t at = fb_link(f, model, DESCRIPTION), size = fb_u32(f, at);
        assert_true(size > 1000 && size < 2000);
        assert_memory_equal(f.bytes + at + 4 + size - 3, "€", 3);
        metadata_is(f, model, 3, "dataset", title);
        free_model(&m);
    }
}

/* Constants stand in the net's order, each behind what its node computes. */
static void test_random_nets(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (int round = 0; round < 100; round++) {
        struct tare_export_options options;
        struct model m;
        size_t model, graph;
        int next = 0;
        random_model(&m, &options, &rng);
        write_model(&m, TARE_EXPORT_TFLITE, &options);
        struct flat f = tflite_of(&m, &model, &graph);
        for (size_t i = 0; i < fb_count(f, graph, TENSORS); i++) {
            size_t tensor = fb_element(f, graph, TENSORS, i);
            size_t name = fb_link(f, tensor, 3) + 4;
            if (fb_int(f, tensor, 2) != 0 && strcmp((const char *)f.bytes + name, "255") != 0)
                constant_is(f, model, graph, i, &m, next++);
        }
        assert_int_equal(next, m.net.tensor_count);
        free_model(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tflite),
        cmocka_unit_test(test_tflite_with_everything),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_most_layers),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_random_nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
