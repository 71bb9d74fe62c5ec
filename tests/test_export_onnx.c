/* test_export_onnx.c: .onnx files byte for byte, read back by tests/read_back.h. Field numbers are
 * those of onnx.proto. The other format is test_export_tflite.c's, what both share test_export.c's;
 * that the real runtimes take them, and compute what they should, test_export_runtimes.c's. */
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

static struct message onnx_of(const struct model *m) {
    return (struct message){(const uint8_t *)m->file.data, m->file.size};
}

static void node_is(struct message graph, size_t nth, const char *op, const char *name,
                    const char *const *inputs, const char *output) {
    struct message node = pb_inner(graph, 1, nth);
    pb_is(node, 4, 0, op);
    pb_is(node, 3, 0, name);
    pb_is(node, 2, 0, output);
    assert_int_equal(pb_count(node, 2), 1);
    size_t i = 0;
    for (; inputs[i]; i++)
        pb_is(node, 1, i, inputs[i]);
    assert_int_equal(pb_count(node, 1), i);
}
#define IN(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A ValueInfoProto: its element type and its two sizes; batch 0: the name "batch". */
static void value_is(struct message value, const char *name, uint64_t element, uint64_t batch,
                     uint64_t n) {
    pb_is(value, 1, 0, name);
    struct message tensor = pb_inner(pb_inner(value, 2, 0), 1, 0), shape = pb_inner(tensor, 2, 0);
    assert_int_equal(pb_get(tensor, 1, 0).number, element);
    assert_int_equal(pb_count(shape, 1), 2);
    struct message first = pb_inner(shape, 1, 0);
    if (batch == 0)
        pb_is(first, 2, 0, "batch");
    else
        assert_int_equal(pb_get(first, 1, 0).number, batch);
    assert_int_equal(pb_get(pb_inner(shape, 1, 1), 1, 0).number, n);
}

static void entry_is(struct message model, size_t nth, const char *key, const char *value) {
    struct message entry = pb_inner(model, 14, nth);
    pb_is(entry, 1, 0, key);
    pb_is(entry, 2, 0, value);
}

/* Every parameter, with its own bits. */
static void initializers_are(const struct model *m, struct message graph) {
    for (int i = 0; i < m->net.tensor_count; i++) {
        const struct tare_net_tensor *tensor = &m->net.tensors[i];
        struct message is = pb_inner(graph, 5, (size_t)i), raw = pb_inner(is, 9, 0);
        pb_is(is, 8, 0, tensor->name);
        assert_int_equal(pb_get(is, 2, 0).number, 1);
        assert_int_equal(pb_count(is, 1), tensor->rank);
        for (int d = 0; d < tensor->rank; d++)
            assert_int_equal(pb_get(is, 1, (size_t)d).number, tensor->shape[d]);
        assert_int_equal(raw.size, tensor->count * sizeof(float));
        assert_memory_equal(raw.bytes, m->params + tensor->offset, raw.size);
    }
}

static void test_onnx(void **state) {
    (void)state;
    struct model m;
    make_model(&m, "300 dense:200:relu dense:7");
    write_model(&m, TARE_EXPORT_ONNX, &plain);
    struct message model = onnx_of(&m), graph = pb_inner(model, 7, 0);
    assert_int_equal(pb_get(model, 1, 0).number, 7);
    pb_is(model, 2, 0, "tare");
    pb_is(model, 3, 0, TARE_VERSION);
    pb_is(model, 6, 0, "300 dense:200:relu dense:7; written by tare " TARE_VERSION);
    pb_is(pb_inner(model, 8, 0), 1, 0, "");
    assert_int_equal(pb_get(pb_inner(model, 8, 0), 2, 0).number, 13);
    assert_int_equal(pb_count(graph, 1), 3);
    node_is(graph, 0, "Gemm", "dense_0", IN("image", "0.weight", "0.bias"), "dense_0");
    node_is(graph, 1, "Relu", "relu_0", IN("dense_0"), "relu_0");
    node_is(graph, 2, "Gemm", "dense_1", IN("relu_0", "1.weight", "1.bias"), "logits");
    assert_int_equal(pb_count(graph, 5), 4);
    initializers_are(&m, graph);
    value_is(pb_inner(graph, 11, 0), "image", 1, 0, 300);
    value_is(pb_inner(graph, 12, 0), "logits", 1, 0, 7);
    assert_int_equal(pb_count(graph, 13), 2);
    value_is(pb_inner(graph, 13, 0), "dense_0", 1, 0, 200);
    value_is(pb_inner(graph, 13, 1), "relu_0", 1, 0, 200);
    assert_int_equal(pb_count(model, 14), 3);
    entry_is(model, 0, "model", "300 dense:200:relu dense:7");
    entry_is(model, 1, "normalisation", "the caller gives x = pixel / 255.0 as float32");
    entry_is(model, 2, "producer", "tare " TARE_VERSION);
    free_model(&m);
}

static void test_onnx_with_everything(void **state) {
    (void)state;
    struct model m;
    make_model(&m, "4x4x1 relu dense:3");
    write_model(&m, TARE_EXPORT_ONNX, &everything);
    struct message model = onnx_of(&m), graph = pb_inner(model, 7, 0);
    assert_int_equal(pb_count(graph, 1), 5);
    node_is(graph, 0, "Cast", "to_float", IN("image"), "pixels");
    struct message attribute = pb_inner(pb_inner(graph, 1, 0), 5, 0);
    pb_is(attribute, 1, 0, "to");
    assert_int_equal(pb_get(attribute, 3, 0).number, 1);
    assert_int_equal(pb_get(attribute, 20, 0).number, 2);
    node_is(graph, 1, "Div", "normalise", IN("pixels", "255"), "x");
    node_is(graph, 2, "Relu", "relu_0", IN("x"), "relu_0");
    node_is(graph, 3, "Gemm", "dense_0", IN("relu_0", "0.weight", "0.bias"), "logits");
    node_is(graph, 4, "Softmax", "softmax", IN("logits"), "probabilities");
    initializers_are(&m, graph);
    struct message divisor = pb_inner(graph, 5, 2);
    const float wanted = 255;
    pb_is(divisor, 8, 0, "255");
    assert_int_equal(pb_count(divisor, 1), 0);
    assert_memory_equal(pb_inner(divisor, 9, 0).bytes, &wanted, sizeof wanted);
    value_is(pb_inner(graph, 11, 0), "image", 2, 5, 16);
    value_is(pb_inner(graph, 12, 0), "probabilities", 1, 5, 3);
    assert_int_equal(pb_count(graph, 13), 4); /* pixels, x, relu_0, logits */
    entry_is(model, 1, "normalisation", "pixel / 255.0 in the graph, which takes uint8 pixels");
    entry_is(model, 2, "trained_by", "keras 3.15.1");
    entry_is(model, 3, "dataset", "Ziffern für Prüfungen");
    entry_is(model, 4, "dataset_sha256", "00ff");
    entry_is(model, 5, "dataset_licence", "CC BY-SA 3.0");
    pb_is(model, 6, 0,
          "4x4x1 relu dense:3, trained by keras 3.15.1, on Ziffern für Prüfungen; written by "
          "tare " TARE_VERSION);
    free_model(&m);
}

static void test_numbers_are_exact(void **state) {
    (void)state;
    struct model m;
    delicate_model(&m);
    write_model(&m, TARE_EXPORT_ONNX, &plain);
    initializers_are(&m, pb_inner(onnx_of(&m), 7, 0));
    free_model(&m);
}

static void test_most_layers(void **state) {
    (void)state;
    struct model m;
    largest_model(&m);
    write_model(&m, TARE_EXPORT_ONNX, &everything);
    assert_int_equal(pb_count(pb_inner(onnx_of(&m), 7, 0), 1), TARE_MAX_LAYERS + 3);
    initializers_are(&m, pb_inner(onnx_of(&m), 7, 0));
    free_model(&m);
}

static void test_random_nets(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (int round = 0; round < 100; round++) {
        struct tare_export_options options;
        struct model m;
        random_model(&m, &options, &rng);
        write_model(&m, TARE_EXPORT_ONNX, &options);
        initializers_are(&m, pb_inner(onnx_of(&m), 7, 0));
        free_model(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onnx),
        cmocka_unit_test(test_onnx_with_everything),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_most_layers),
        cmocka_unit_test(test_random_nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
