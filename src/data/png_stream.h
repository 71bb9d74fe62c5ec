/* png_stream.h: a PNG file as libpng may see it. */
#ifndef TARE_DATA_PNG_STREAM_H
#define TARE_DATA_PNG_STREAM_H

#include <stdio.h>

#include "tare/err.h"

/* A stream to read (fclose it) of the file without the chunks that don't change its pixels: texts,
 * times, thumbnails. libpng would keep up to a thousand of them in memory, inflated to 8 MB each.
 * NULL with *err filled when the file can't be opened. */
FILE *tare_png_open(const char *path, struct tare_err *err);

/* errno of what could not be read of the last one opened, or 0: libpng says "Read Error" only. */
int tare_png_read_error(void);

#endif
