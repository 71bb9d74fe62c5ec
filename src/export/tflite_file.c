/* tflite_file.c: a graph of tflite.c as a .tflite file: one FlatBuffer (flatbuffer.c) whose root is
 * a Model. Field numbers: tensorflow/lite/schema/schema.fbs, version 3, of TensorFlow 2.21. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/tflite_graph.h"

enum { SCHEMA_VERSION = 3 };
enum { BUFFER_ALIGNMENT = 16 }; /* as the schema asks for a buffer's data */
enum { NO_BUFFER = 0 };         /* buffer 0 is empty by convention: a tensor that is computed */

enum model_field {
    MODEL_VERSION,
    MODEL_OPERATOR_CODES,
    MODEL_SUBGRAPHS,
    MODEL_DESCRIPTION,
    MODEL_BUFFERS,
    MODEL_METADATA_BUFFER, /* older than metadata, and not used */
    MODEL_METADATA,
    MODEL_SIGNATURE_DEFS,
    MODEL_FIELDS
};
enum code_field { CODE_DEPRECATED, CODE_CUSTOM, CODE_VERSION, CODE_BUILTIN, CODE_FIELDS };
enum subgraph_field {
    SUBGRAPH_TENSORS,
    SUBGRAPH_INPUTS,
    SUBGRAPH_OUTPUTS,
    SUBGRAPH_OPERATORS,
    SUBGRAPH_NAME,
    SUBGRAPH_FIELDS
};
enum tensor_field {
    TENSOR_SHAPE,
    TENSOR_TYPE,
    TENSOR_BUFFER,
    TENSOR_NAME,
    TENSOR_SHAPE_SIGNATURE = 7, /* the shape with −1 for what is free */
    TENSOR_HAS_RANK = 8,
    TENSOR_FIELDS
};
enum operator_field {
    OPERATOR_OPCODE_INDEX,
    OPERATOR_INPUTS,
    OPERATOR_OUTPUTS,
    OPERATOR_OPTIONS_TYPE,
    OPERATOR_OPTIONS,
    OPERATOR_FIELDS
};
enum buffer_field { BUFFER_DATA, BUFFER_FIELDS };
enum metadata_field { METADATA_NAME, METADATA_BUFFER, METADATA_FIELDS };
enum signature_field {
    SIGNATURE_INPUTS,
    SIGNATURE_OUTPUTS,
    SIGNATURE_KEY,
    SIGNATURE_SUBGRAPH = 4, /* 3 is a deprecated tag */
    SIGNATURE_FIELDS
};
enum map_field { MAP_NAME, MAP_TENSOR, MAP_FIELDS };

static const struct {
    uint32_t number, options, since;
} operators[] = {
#define X(id, number, options, since) {number, options, since},
    TFLITE_OPERATOR_LIST(X)
#undef X
};

struct writer {
    struct tare_fb fb;
    const struct tflite_graph *graph;
    const struct tare_export_source *source;
    uint32_t codes[TFLITE_OPERATOR_COUNT]; /* where each operator stands among the file's */
    enum tflite_operator used[TFLITE_OPERATOR_COUNT];
    uint32_t used_count;
    char runtime[16]; /* the oldest TensorFlow Lite that knows them all: "1.5.0" */
};

static struct tare_fb_field byte_field(size_t value) {
    return (struct tare_fb_field)TARE_FB_BYTE((uint32_t)value);
}

static struct tare_fb_field int_field(size_t value) {
    return (struct tare_fb_field)TARE_FB_INT((uint32_t)value);
}

static const struct tare_fb_field link_field = TARE_FB_LINK;

/* ---- operator codes ----------------------------------------------------------------------------
 */

static void collect_operators(struct writer *w) {
    bool seen[TFLITE_OPERATOR_COUNT] = {false};
    uint32_t since = 0;
    for (int i = 0; i < w->graph->node_count; i++) {
        enum tflite_operator operator= w->graph->nodes[i].operator;
        if (seen[operator])
            continue;
        seen[operator] = true;
        w->codes[operator] = w->used_count;
        w->used[w->used_count++] = operator;
        since = operators[operator].since > since ? operators[operator].since : since;
    }
    snprintf(w->runtime, sizeof w->runtime, "%u.%u.0", since / 1000, since % 1000);
}

/* The operator's number is written twice: readers before 2.4 know only the first place, a byte. */
static void write_codes(struct writer *w, size_t slot) {
    size_t first = tare_fb_links(&w->fb, slot, w->used_count);
    for (uint32_t i = 0; i < w->used_count; i++) {
        uint32_t number = operators[w->used[i]].number;
        const struct tare_fb_field fields[CODE_FIELDS] = {[CODE_DEPRECATED] = byte_field(number),
                                                          [CODE_VERSION] = int_field(1),
                                                          [CODE_BUILTIN] = int_field(number)};
        tare_fb_table(&w->fb, TARE_FB_ELEMENT(first, i), fields, CODE_FIELDS);
    }
}

/* ---- the subgraph ------------------------------------------------------------------------------
 */

/* A free batch is 1 in the shape and −1 in its signature. */
static void write_tensor(struct writer *w, size_t slot, const struct tflite_tensor *tensor,
                         size_t buffer) {
    bool is_free = !tensor->values && tensor->shape[0] == 0;
    struct tare_fb_field fields[TENSOR_FIELDS] = {[TENSOR_SHAPE] = link_field,
                                                  [TENSOR_TYPE] = byte_field(tensor->type),
                                                  [TENSOR_BUFFER] = int_field(buffer),
                                                  [TENSOR_NAME] = link_field,
                                                  [TENSOR_HAS_RANK] = byte_field(true)};
    if (is_free)
        fields[TENSOR_SHAPE_SIGNATURE] = link_field;
    size_t table = tare_fb_table(&w->fb, slot, fields, TENSOR_FIELDS);
    int32_t shape[2] = {is_free ? 1 : (int32_t)tensor->shape[0], (int32_t)tensor->shape[1]};
    tare_fb_ints(&w->fb, tare_fb_slot(&w->fb, table, TENSOR_SHAPE), shape, (size_t)tensor->rank);
    if (is_free) {
        shape[0] = -1;
        tare_fb_ints(&w->fb, tare_fb_slot(&w->fb, table, TENSOR_SHAPE_SIGNATURE), shape, 2);
    }
    tare_fb_text(&w->fb, tare_fb_slot(&w->fb, table, TENSOR_NAME), tensor->name);
}

/* Constants have buffers 1, 2 … in their order; write_buffers goes the same way. */
static void write_tensors(struct writer *w, size_t slot) {
    const struct tflite_graph *g = w->graph;
    size_t first = tare_fb_links(&w->fb, slot, (size_t)g->tensor_count), buffer = NO_BUFFER;
    for (int i = 0; i < g->tensor_count; i++)
        write_tensor(w, TARE_FB_ELEMENT(first, i), &g->tensors[i],
                     g->tensors[i].values ? ++buffer : NO_BUFFER);
}

static void write_node(struct writer *w, size_t slot, const struct tflite_node *node) {
    uint32_t options = operators[node->operator].options;
    struct tare_fb_field fields[OPERATOR_FIELDS] = {
        [OPERATOR_OPCODE_INDEX] = int_field(w->codes[node->operator]),
        [OPERATOR_INPUTS] = link_field,
        [OPERATOR_OUTPUTS] = link_field};
    if (options) {
        fields[OPERATOR_OPTIONS_TYPE] = byte_field(options);
        fields[OPERATOR_OPTIONS] = link_field;
    }
    size_t table = tare_fb_table(&w->fb, slot, fields, OPERATOR_FIELDS);
    tare_fb_ints(&w->fb, tare_fb_slot(&w->fb, table, OPERATOR_INPUTS), node->inputs,
                 (size_t)node->input_count);
    tare_fb_ints(&w->fb, tare_fb_slot(&w->fb, table, OPERATOR_OUTPUTS), &node->output, 1);
    if (options)
        tare_fb_table(&w->fb, tare_fb_slot(&w->fb, table, OPERATOR_OPTIONS), node->options,
                      TFLITE_MAX_OPTIONS);
}

static void write_subgraph(struct writer *w, size_t slot) {
    const struct tflite_graph *g = w->graph;
    const struct tare_fb_field fields[SUBGRAPH_FIELDS] = {[SUBGRAPH_TENSORS] = link_field,
                                                          [SUBGRAPH_INPUTS] = link_field,
                                                          [SUBGRAPH_OUTPUTS] = link_field,
                                                          [SUBGRAPH_OPERATORS] = link_field,
                                                          [SUBGRAPH_NAME] = link_field};
    struct tare_fb *fb = &w->fb;
    size_t table = tare_fb_table(fb, tare_fb_links(fb, slot, 1), fields, SUBGRAPH_FIELDS);
    write_tensors(w, tare_fb_slot(fb, table, SUBGRAPH_TENSORS));
    tare_fb_ints(fb, tare_fb_slot(fb, table, SUBGRAPH_INPUTS), &g->input, 1);
    tare_fb_ints(fb, tare_fb_slot(fb, table, SUBGRAPH_OUTPUTS), &g->output, 1);
    size_t first =
        tare_fb_links(fb, tare_fb_slot(fb, table, SUBGRAPH_OPERATORS), (size_t)g->node_count);
    for (int i = 0; i < g->node_count; i++)
        write_node(w, TARE_FB_ELEMENT(first, i), &g->nodes[i]);
    tare_fb_text(fb, tare_fb_slot(fb, table, SUBGRAPH_NAME), "main");
}

/* ---- buffers and texts -------------------------------------------------------------------------
 */

/* An empty Buffer where size is 0; otherwise the caller appends its data. */
static void open_buffer(struct writer *w, size_t slot, size_t size) {
    struct tare_fb_field fields[BUFFER_FIELDS] = {{TARE_FB_ABSENT, 0}};
    if (size > 0)
        fields[BUFFER_DATA] = link_field;
    size_t table = tare_fb_table(&w->fb, slot, fields, BUFFER_FIELDS);
    if (size > 0)
        tare_fb_bytes(&w->fb, tare_fb_slot(&w->fb, table, BUFFER_DATA), size, BUFFER_ALIGNMENT);
}

/* The rows of the transpose are the columns of what tare keeps. BLOCK of them are gathered at a
 * time, so that each line of the cache that is fetched is used whole: 80 million weights take 1.1 s
 * in place of 3.0. */
static enum tare_status append_transposed(struct tare_buf *out, const struct tflite_tensor *tensor,
                                          struct tare_err *err) {
    enum { BLOCK = 16 };
    size_t rows = tensor->shape[0], columns = tensor->shape[1];
    float *block = calloc(BLOCK * columns, sizeof *block);
    if (!block)
        return tare_fail(err, TARE_MEMORY, tensor->name, NULL, "no memory for rows of weights");
    for (size_t first = 0; first < rows; first += BLOCK) {
        size_t count = rows - first < BLOCK ? rows - first : BLOCK;
        for (size_t c = 0; c < columns; c++)
            for (size_t r = 0; r < count; r++)
                block[r * columns + c] = tensor->values[c * rows + first + r];
        tare_buf_append(out, block, count * columns * sizeof *block);
    }
    free(block);
    return TARE_OK;
}

static enum tare_status write_constant(struct writer *w, size_t slot,
                                       const struct tflite_tensor *tensor, struct tare_err *err) {
    size_t bytes = tensor->shape[0] * sizeof *tensor->values;
    if (tensor->rank == 2)
        bytes *= tensor->shape[1];
    open_buffer(w, slot, bytes);
    if (tensor->transposed)
        return append_transposed(w->fb.out, tensor, err);
    tare_buf_append(w->fb.out, tensor->values, bytes);
    return TARE_OK;
}

/* Metadata: a name and a buffer with the text. min_runtime_version is what the converters of
 * TensorFlow write, and tools look for. */
static struct tare_export_note metadata(const struct writer *w, size_t i) {
    return i > 0 ? w->source->notes[i - 1]
                 : (struct tare_export_note){"min_runtime_version", w->runtime};
}

static size_t metadata_count(const struct writer *w) {
    return 1 + w->source->note_count;
}

static size_t constant_count(const struct tflite_graph *g) {
    size_t count = 0;
    for (int i = 0; i < g->tensor_count; i++)
        count += g->tensors[i].values != NULL;
    return count;
}

static enum tare_status write_buffers(struct writer *w, size_t slot, struct tare_err *err) {
    const struct tflite_graph *g = w->graph;
    size_t first = tare_fb_links(&w->fb, slot, 1 + constant_count(g) + metadata_count(w)), next = 0;
    open_buffer(w, TARE_FB_ELEMENT(first, next++), 0);
    enum tare_status status = TARE_OK;
    for (int i = 0; i < g->tensor_count && status == TARE_OK; i++)
        if (g->tensors[i].values)
            status = write_constant(w, TARE_FB_ELEMENT(first, next++), &g->tensors[i], err);
    for (size_t i = 0; i < metadata_count(w); i++) {
        const char *text = metadata(w, i).text;
        open_buffer(w, TARE_FB_ELEMENT(first, next++), strlen(text));
        tare_buf_append(w->fb.out, text, strlen(text));
    }
    return status;
}

static void write_metadata(struct writer *w, size_t slot) {
    size_t first = tare_fb_links(&w->fb, slot, metadata_count(w));
    for (size_t i = 0; i < metadata_count(w); i++) {
        const struct tare_fb_field fields[METADATA_FIELDS] = {
            [METADATA_NAME] = link_field,
            [METADATA_BUFFER] = int_field(1 + constant_count(w->graph) + i)};
        size_t table = tare_fb_table(&w->fb, TARE_FB_ELEMENT(first, i), fields, METADATA_FIELDS);
        tare_fb_text(&w->fb, tare_fb_slot(&w->fb, table, METADATA_NAME), metadata(w, i).key);
    }
}

/* ---- the signature -----------------------------------------------------------------------------
 */

static void write_map(struct writer *w, size_t slot, int tensor) {
    const struct tare_fb_field fields[MAP_FIELDS] = {
        [MAP_NAME] = link_field, [MAP_TENSOR] = int_field((size_t)tensor)};
    size_t table = tare_fb_table(&w->fb, tare_fb_links(&w->fb, slot, 1), fields, MAP_FIELDS);
    tare_fb_text(&w->fb, tare_fb_slot(&w->fb, table, MAP_NAME), w->graph->tensors[tensor].name);
}

/* Runtimes that call a model by the names of its inputs and outputs want one; its key is the one
 * that TensorFlow's own exporters use. */
static void write_signature(struct writer *w, size_t slot) {
    const struct tare_fb_field fields[SIGNATURE_FIELDS] = {[SIGNATURE_INPUTS] = link_field,
                                                           [SIGNATURE_OUTPUTS] = link_field,
                                                           [SIGNATURE_KEY] = link_field,
                                                           [SIGNATURE_SUBGRAPH] = int_field(0)};
    struct tare_fb *fb = &w->fb;
    size_t table = tare_fb_table(fb, tare_fb_links(fb, slot, 1), fields, SIGNATURE_FIELDS);
    write_map(w, tare_fb_slot(fb, table, SIGNATURE_INPUTS), w->graph->input);
    write_map(w, tare_fb_slot(fb, table, SIGNATURE_OUTPUTS), w->graph->output);
    tare_fb_text(fb, tare_fb_slot(fb, table, SIGNATURE_KEY), "serving_default");
}

enum tare_status tflite_write(struct tare_buf *out, const struct tflite_graph *graph,
                              const struct tare_export_source *source, struct tare_err *err) {
    struct writer w = {.graph = graph, .source = source};
    struct tare_fb *fb = &w.fb;
    const struct tare_fb_field fields[MODEL_FIELDS] = {[MODEL_VERSION] = int_field(SCHEMA_VERSION),
                                                       [MODEL_OPERATOR_CODES] = link_field,
                                                       [MODEL_SUBGRAPHS] = link_field,
                                                       [MODEL_DESCRIPTION] = link_field,
                                                       [MODEL_BUFFERS] = link_field,
                                                       [MODEL_METADATA] = link_field,
                                                       [MODEL_SIGNATURE_DEFS] = link_field};
    collect_operators(&w);
    size_t model = tare_fb_table(fb, tare_fb_begin(fb, out, "TFL3"), fields, MODEL_FIELDS);
    write_codes(&w, tare_fb_slot(fb, model, MODEL_OPERATOR_CODES));
    write_subgraph(&w, tare_fb_slot(fb, model, MODEL_SUBGRAPHS));
    tare_fb_text(fb, tare_fb_slot(fb, model, MODEL_DESCRIPTION), source->description);
    enum tare_status status = write_buffers(&w, tare_fb_slot(fb, model, MODEL_BUFFERS), err);
    write_metadata(&w, tare_fb_slot(fb, model, MODEL_METADATA));
    write_signature(&w, tare_fb_slot(fb, model, MODEL_SIGNATURE_DEFS));
    return status;
}
