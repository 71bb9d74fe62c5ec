/* parts.h: what the writers of a format (onnx.c, tflite.c) are given by export.c, which has checked
 * it: finite parameters, texts in UTF-8, a batch that fits. Internal to export. */
#ifndef TARE_EXPORT_PARTS_H
#define TARE_EXPORT_PARTS_H

#include "tare/export.h"

#define TARE_EXPORT_INPUT "image"
#define TARE_EXPORT_LOGITS "logits"
#define TARE_EXPORT_PROBABILITIES "probabilities"
#define TARE_EXPORT_NAME 48 /* characters of a node's name, with the NUL */
#define TARE_EXPORT_NOTES 8

/* What the file says about itself. */
struct tare_export_note {
    const char *key, *text;
};

struct tare_export_source {
    const struct tare_net *net;
    const float *params;
    const struct tare_export_options *options;
    char model[TARE_MAX_SPEC];
    char description[TARE_MAX_SPEC + 512]; /* a sentence; long texts are cut at a character */
    struct tare_export_note notes[TARE_EXPORT_NOTES];
    size_t note_count;
};

/* Appends the file to source's. TARE_DATA: a layer that the format has no row for. Without memory
 * out->failed is set, which export.c looks at. */
enum tare_status tare_onnx_bytes(struct tare_buf *out, const struct tare_export_source *source,
                                 struct tare_err *err);
enum tare_status tare_tflite_bytes(struct tare_buf *out, const struct tare_export_source *source,
                                   struct tare_err *err);

/* A layer's name: its op and how many of that op came before it: "dense_0", "relu_0", "dense_1". */
void tare_export_layer_name(char out[TARE_EXPORT_NAME], const struct tare_net *net, int layer);

/* The name of what a layer gives: its own, except that the last one gives the logits. */
void tare_export_result_name(char out[TARE_EXPORT_NAME], const struct tare_net *net, int layer);

/* The error for a layer without a row. */
enum tare_status tare_export_no_row(const struct tare_net *net, int layer,
                                    enum tare_export_format format, struct tare_err *err);

#endif
