/* test_export.c: .onnx and .tflite files byte for byte: read back by tests/read_back.h, the same
 * each time, and what is refused. That the real runtimes take them, and compute what they should,
 * is test_export_runtimes.c's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/op.h"
#include "read_back.h"
#include "scratch.h"
#include "tare/export.h"
#include "tare/rng.h"
#include "tare/version.h"

static const struct tare_export_options plain;

struct model {
    struct tare_net net;
    float *params;
    struct tare_buf file;
};

static void make_model(struct model *m, const char *spec) {
    *m = (struct model){0};
    assert_int_equal(tare_net_parse(&m->net, spec, NULL), TARE_OK);
    m->params = calloc(m->net.param_count + 1, sizeof *m->params);
    assert_non_null(m->params);
    tare_net_init(m->params, &m->net, 3);
    for (int i = 0; i < m->net.tensor_count; i++) /* biases too */
        for (size_t k = 0; m->net.tensors[i].rank == 1 && k < m->net.tensors[i].count; k++)
            m->params[m->net.tensors[i].offset + k] = (float)k - 0.25F;
}

static void write_model(struct model *m, enum tare_export_format format,
                        const struct tare_export_options *options) {
    struct tare_err err = {0};
    tare_buf_free(&m->file);
    if (tare_export_bytes(&m->file, format, &m->net, m->params, options, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static void free_model(struct model *m) {
    tare_buf_free(&m->file);
    free(m->params);
}

/* ---- ONNX: field numbers of onnx.proto ---------------------------------------------------------
 */

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

static const struct tare_export_options everything = {.batch = 5,
                                                      .normalise = true,
                                                      .softmax = true,
                                                      .trained_by = "keras 3.15.1",
                                                      .dataset = "Ziffern für Prüfungen",
                                                      .dataset_sha256 = "00ff",
                                                      .licence = "CC BY-SA 3.0"};

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

/* ---- TensorFlow Lite: field numbers of schema.fbs ----------------------------------------------
 */

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

/* ---- both --------------------------------------------------------------------------------------
 */

#define EACH_FORMAT(f) for (enum tare_export_format f = 0; f < TARE_EXPORT_FORMAT_COUNT; f++)

/* Bits that printing, rounding or flushing would lose. */
static void test_numbers_are_exact(void **state) {
    (void)state;
    static const uint32_t bits[] = {0x00000001, 0x807fffff, 0x80000000, 0x7f7fffff,
                                    0x3eaaaaab, 0x00800000, 0xbf800001, 0x34000000};
    struct model m;
    size_t model, graph;
    make_model(&m, "7 dense:1");
    memcpy(m.params, bits, sizeof bits);
    write_model(&m, TARE_EXPORT_ONNX, &plain);
    initializers_are(&m, pb_inner(onnx_of(&m), 7, 0));
    write_model(&m, TARE_EXPORT_TFLITE, &plain);
    struct flat f = tflite_of(&m, &model, &graph);
    constant_is(f, model, graph, 2, &m, 0);
    constant_is(f, model, graph, 3, &m, 1);
    free_model(&m);
}

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

/* The largest number of layers: all tables are full. */
static void test_most_layers(void **state) {
    (void)state;
    char spec[TARE_MAX_SPEC] = "3";
    for (int i = 0; i < TARE_MAX_LAYERS; i++)
        strcat(spec, " dense:2");
    struct model m;
    size_t model, graph;
    make_model(&m, spec);
    write_model(&m, TARE_EXPORT_ONNX, &everything);
    assert_int_equal(pb_count(pb_inner(onnx_of(&m), 7, 0), 1), TARE_MAX_LAYERS + 3);
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

/* Any net, any options: what was written can be walked from end to end. */
static void test_random_nets(void **state) {
    (void)state;
    struct tare_rng rng;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (int round = 0; round < 100; round++) {
        char spec[TARE_MAX_SPEC];
        size_t used = (size_t)snprintf(spec, sizeof spec, "%zu", 1 + tare_rng_below(&rng, 40));
        for (size_t layers = 1 + tare_rng_below(&rng, 6); layers > 0; layers--)
            used += (size_t)snprintf(spec + used, sizeof spec - used, " dense:%zu%s",
                                     1 + tare_rng_below(&rng, 40),
                                     tare_rng_below(&rng, 2) ? ":relu" : "");
        const struct tare_export_options options = {.batch = tare_rng_below(&rng, 3),
                                                    .normalise = tare_rng_below(&rng, 2) == 1,
                                                    .softmax = tare_rng_below(&rng, 2) == 1};
        struct model m;
        size_t model, graph;
        make_model(&m, spec);
        write_model(&m, TARE_EXPORT_ONNX, &options);
        initializers_are(&m, pb_inner(onnx_of(&m), 7, 0));
        write_model(&m, TARE_EXPORT_TFLITE, &options);
        struct flat f = tflite_of(&m, &model, &graph);
        int next = 0; /* constants stand in the net's order, behind what their node computes */
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
        cmocka_unit_test(test_onnx),
        cmocka_unit_test(test_onnx_with_everything),
        cmocka_unit_test(test_tflite),
        cmocka_unit_test(test_tflite_with_everything),
        cmocka_unit_test(test_numbers_are_exact),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_most_layers),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_op_has_rows),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test_setup_teardown(test_files, scratch_setup, scratch_teardown),
        cmocka_unit_test(test_random_nets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
