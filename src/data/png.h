/* png.h: PNG pictures as bytes, for folders of images (folder.c) and pictures of digits. */
#ifndef TARE_DATA_PNG_H
#define TARE_DATA_PNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

#define TARE_MAX_PNG_SIDE 65536
#define TARE_MAX_PNG_PIXELS ((size_t)1 << 26) /* 8192 × 8192; a larger picture is a mistake */

struct tare_png_info {
    size_t height, width;
    bool colour, alpha;
};

/* What a file holds, from its header; any PNG: 1 to 16 bits, grey, RGB, palette, with alpha. */
enum tare_status tare_png_info(struct tare_png_info *info, const char *path, struct tare_err *err);

/* pixels: (height, width, channels), channels 1 (grey), 2 (grey, alpha) or 3 (RGB). Without an
 * alpha channel asked for, transparent parts become white. `info` is the file's. */
enum tare_status tare_png_read(uint8_t *pixels, const struct tare_png_info *info, int channels,
                               const char *path, struct tare_err *err);

#endif
