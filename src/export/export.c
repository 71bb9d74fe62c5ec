/* export.c: a trained net as a file for other people's runtimes: chooses the format, checks what
 * goes in, and puts the file in place. The formats are written by onnx.c and tflite.c. */
#include "tare/export.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "export/parts.h"
#include "tare/version.h"

static const struct {
    const char *name, *suffix;
} formats[] = {
#define X(id, name) {name, "." name},
    TARE_EXPORT_FORMAT_LIST(X)
#undef X
};

const char *tare_export_format_name(enum tare_export_format format) {
    return formats[format].name;
}

enum tare_status tare_export_format_of(enum tare_export_format *format, const char *path,
                                       struct tare_err *err) {
    const char *slash = strrchr(path, '/'), *suffix = strrchr(slash ? slash : path, '.');
    for (int i = 0; suffix && i < TARE_EXPORT_FORMAT_COUNT; i++)
        if (strcmp(suffix, formats[i].suffix) == 0) {
            *format = (enum tare_export_format)i;
            return TARE_OK;
        }
    char hint[80];
    size_t used = (size_t)snprintf(hint, sizeof hint, "a name that ends in");
    for (int i = 0; i < TARE_EXPORT_FORMAT_COUNT && used < sizeof hint; i++)
        used += (size_t)snprintf(hint + used, sizeof hint - used, "%s%s", i ? " or " : " ",
                                 formats[i].suffix);
    return tare_fail(err, TARE_USAGE, path, hint, "its name doesn't say in which format");
}

/* ---- names -------------------------------------------------------------------------------------
 */

void tare_export_layer_name(char out[TARE_EXPORT_NAME], const struct tare_net *net, int layer) {
    const char *op = tare_layer_op_name(&net->layers[layer]);
    int before = 0;
    for (int i = 0; i < layer; i++)
        before += strcmp(tare_layer_op_name(&net->layers[i]), op) == 0;
    snprintf(out, TARE_EXPORT_NAME, "%.30s_%d", op, before);
}

void tare_export_result_name(char out[TARE_EXPORT_NAME], const struct tare_net *net, int layer) {
    if (layer + 1 == net->layer_count)
        snprintf(out, TARE_EXPORT_NAME, "%s", TARE_EXPORT_LOGITS);
    else
        tare_export_layer_name(out, net, layer);
}

enum tare_status tare_export_no_row(const struct tare_net *net, int layer,
                                    enum tare_export_format format, struct tare_err *err) {
    char where[TARE_EXPORT_NAME + 16];
    tare_export_layer_name(where, net, layer);
    return tare_fail(err, TARE_DATA, where, "another format, or a net without that layer",
                     "layer %d, %s, can't be written as .%s yet", layer,
                     tare_layer_op_name(&net->layers[layer]), formats[format].name);
}

/* ---- what goes in ------------------------------------------------------------------------------
 */

static void add_note(struct tare_export_source *source, const char *key, const char *text) {
    if (text && text[0])
        source->notes[source->note_count++] = (struct tare_export_note){key, text};
}

/* Cut texts end before a character, not inside one. */
static void trim_utf8(char *text, size_t capacity) {
    size_t size = strlen(text);
    if (size + 1 < capacity)
        return;
    while (size > 0 && ((unsigned char)text[size - 1] & 0xc0) == 0x80)
        size--;
    text[size > 0 ? size - 1 : 0] = '\0';
}

static void describe(struct tare_export_source *source) {
    const struct tare_export_options *o = source->options;
    bool trained = o->trained_by && o->trained_by[0], told = o->dataset && o->dataset[0];
    tare_net_text(source->model, source->net);
    snprintf(source->description, sizeof source->description, "%s%s%s%s%s; written by tare %s",
             source->model, trained ? ", trained by " : "", trained ? o->trained_by : "",
             told ? ", on " : "", told ? o->dataset : "", TARE_VERSION);
    trim_utf8(source->description, sizeof source->description);
    add_note(source, "model", source->model);
    add_note(source, "normalisation",
             o->normalise ? "pixel / 255.0 in the graph, which takes uint8 pixels"
                          : "the caller gives x = pixel / 255.0 as float32");
    add_note(source, "trained_by", o->trained_by);
    add_note(source, "dataset", o->dataset);
    add_note(source, "dataset_sha256", o->dataset_sha256);
    add_note(source, "dataset_licence", o->licence);
    add_note(source, "producer", "tare " TARE_VERSION);
}

/* Both formats keep texts as UTF-8, and readers refuse a file with another one. */
static enum tare_status check_texts(const struct tare_export_source *source, struct tare_err *err) {
    const size_t lost = tare_json_lost();
    for (size_t i = 0; i < source->note_count; i++) {
        json_t *text = json_string(source->notes[i].text); /* NULL unless UTF-8 */
        if (!text && tare_json_lost() != lost)
            return tare_fail(err, TARE_MEMORY, source->notes[i].key, NULL, "no memory for a text");
        if (!text)
            return tare_fail(err, TARE_DATA, source->notes[i].key, "use valid UTF-8",
                             "the text about %s is not UTF-8", source->notes[i].key);
        json_decref(text);
    }
    return TARE_OK;
}

enum tare_status tare_export_bytes(struct tare_buf *out, enum tare_export_format format,
                                   const struct tare_net *net, const float *params,
                                   const struct tare_export_options *options,
                                   struct tare_err *err) {
    struct tare_export_source source = {.net = net, .params = params, .options = options};
    if (options->batch > INT32_MAX)
        return tare_fail(err, TARE_DATA, "batch", "a smaller one, or 0 for any number",
                         "%zu images don't fit a call", options->batch);
    enum tare_status status = tare_net_check_params(params, net, "parameters", err);
    if (status != TARE_OK)
        return status;
    describe(&source);
    if ((status = check_texts(&source, err)) != TARE_OK)
        return status;
    size_t before = out->size;
    switch (format) {
    case TARE_EXPORT_ONNX:
        status = tare_onnx_bytes(out, &source, err);
        break;
    case TARE_EXPORT_TFLITE:
        status = tare_tflite_bytes(out, &source, err);
        break;
    case TARE_EXPORT_FORMAT_COUNT:
        return tare_fail(err, TARE_USAGE, NULL, NULL, "no such format");
    }
    if (status == TARE_OK && out->failed)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for %zu parameters",
                           net->param_count);
    /* Readers of both formats keep lengths and offsets in 31 bits. */
    if (status == TARE_OK && out->size - before > INT32_MAX)
        status = tare_fail(err, TARE_DATA, NULL, "a smaller net", "the file has over 2 GiB");
    return status;
}

enum tare_status tare_export_write(const char *path, enum tare_export_format format,
                                   const struct tare_net *net, const float *params,
                                   const struct tare_export_options *options,
                                   struct tare_err *err) {
    struct tare_buf file = {0};
    enum tare_status status = tare_export_bytes(&file, format, net, params, options, err);
    if (status == TARE_OK)
        status = tare_file_write(path, file.data, file.size, err);
    tare_buf_free(&file);
    return status;
}
