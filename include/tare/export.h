/* export.h: a trained net as .onnx or .tflite, written in C: no framework, no Python.
 *
 *     struct tare_export_options options = {.dataset = "MNIST", .trained_by = "native"};
 *     struct tare_buf file = {0};
 *     if (tare_export_bytes(&file, TARE_EXPORT_ONNX, &net, params, &options, &err) != TARE_OK) …
 *     tare_file_write("digits.onnx", file.data, file.size, &err);
 *     tare_buf_free(&file);
 *
 * Input: one tensor "image" (batch, n_in), float32 x = u8/255, or with `normalise` the uint8 pixels
 * themselves. Output: one tensor "logits" (batch, n_out), or "probabilities" with `softmax`. The
 * same net, parameters and options give the same bytes. Formats: doc/formats.md.
 */
#ifndef TARE_EXPORT_H
#define TARE_EXPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/buf.h"
#include "tare/err.h"
#include "tare/net.h"

/* id, name, suffix of its files */
#define TARE_EXPORT_FORMAT_LIST(X) X(ONNX, "onnx") X(TFLITE, "tflite")
enum tare_export_format {
#define X(id, name) TARE_EXPORT_##id,
    TARE_EXPORT_FORMAT_LIST(X)
#undef X
        TARE_EXPORT_FORMAT_COUNT
};

/* Texts may be NULL: then the file doesn't say. */
struct tare_export_options {
    size_t batch;               /* images in every call; 0: any number */
    bool normalise;             /* the graph takes uint8 pixels and divides by 255 */
    bool softmax;               /* the graph ends in a softmax */
    const char *trained_by;     /* engine and version */
    const char *dataset;        /* "MNIST" */
    const char *dataset_sha256; /* of the data, as reports print it */
    const char *licence;        /* of the data */
};

const char *tare_export_format_name(enum tare_export_format format);

/* By a path's suffix. TARE_USAGE names the suffixes there are. */
enum tare_status tare_export_format_of(enum tare_export_format *format, const char *path,
                                       struct tare_err *err);

/* Appends the whole file to out. TARE_DATA: an op that the format has no row for, a shape it can't
 * hold, parameters that are not finite (err names the tensor); TARE_MEMORY. */
enum tare_status tare_export_bytes(struct tare_buf *out, enum tare_export_format format,
                                   const struct tare_net *net, const float *params,
                                   const struct tare_export_options *options, struct tare_err *err);

/* The same into a file, which is written whole or left as it was. */
enum tare_status tare_export_write(const char *path, enum tare_export_format format,
                                   const struct tare_net *net, const float *params,
                                   const struct tare_export_options *options, struct tare_err *err);

#endif
