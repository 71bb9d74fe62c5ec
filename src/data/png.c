/* png.c: PNG through libpng's simplified interface, which knows every bit depth, palette and
 * interlacing, and reports errors as texts rather than by longjmp. It is given the file's bytes:
 * reading files itself, it can't tell a picture that is damaged from a disk that is.
 */
#include "data/png.h"

#include <png.h>

#include "tare/buf.h"

/* Of a file: the largest picture, uncompressed with 16 bits and alpha, and some texts in it. */
#define MAX_FILE_BYTES (8 * TARE_MAX_PNG_PIXELS + ((size_t)64 << 20))

/* file is the caller's, also when this fails, and must live as long as image. */
static enum tare_status open_png(png_image *image, struct tare_buf *file,
                                 struct tare_png_info *info, const char *path,
                                 struct tare_err *err) {
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    enum tare_status status = tare_file_read(file, path, MAX_FILE_BYTES, err);
    if (status != TARE_OK)
        return status;
    if (!png_image_begin_read_from_memory(image, file->data, file->size)) {
        status = tare_fail(err, TARE_DATA, path, "name a PNG picture",
                           "it cannot be read as PNG: %s", image->message);
        png_image_free(image);
        return status;
    }
    *info = (struct tare_png_info){.height = image->height,
                                   .width = image->width,
                                   .colour = (image->format & PNG_FORMAT_FLAG_COLOR) != 0,
                                   .alpha = (image->format & PNG_FORMAT_FLAG_ALPHA) != 0};
    if (info->width == 0 || info->height > TARE_MAX_PNG_PIXELS / info->width) {
        png_image_free(image);
        return tare_fail(err, TARE_DATA, path, "use a smaller picture",
                         "%zu × %zu pixels are more than %zu", info->width, info->height,
                         TARE_MAX_PNG_PIXELS);
    }
    return TARE_OK;
}

enum tare_status tare_png_info(struct tare_png_info *info, const char *path, struct tare_err *err) {
    png_image image;
    struct tare_buf file = {0};
    const enum tare_status status = open_png(&image, &file, info, path, err);
    if (status == TARE_OK)
        png_image_free(&image);
    tare_buf_free(&file);
    return status;
}

enum tare_status tare_png_read(uint8_t *pixels, const struct tare_png_info *info, int channels,
                               const char *path, struct tare_err *err) {
    png_image image;
    struct tare_png_info found;
    struct tare_buf file = {0};
    enum tare_status status = open_png(&image, &file, &found, path, err);
    if (status != TARE_OK) {
        tare_buf_free(&file);
        return status;
    }
    /* The caller sized `pixels` by an earlier look; the file may have been replaced since. */
    if (found.height != info->height || found.width != info->width) {
        png_image_free(&image);
        tare_buf_free(&file);
        return tare_fail(err, TARE_DATA, path, "try again", "the file changed while it was read");
    }
    /* 16-bit samples are taken as sRGB, like 8-bit ones, rather than as linear light. */
    image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    image.format = channels == 3 ? PNG_FORMAT_RGB : channels == 2 ? PNG_FORMAT_GA : PNG_FORMAT_GRAY;
    const png_color white = {255, 255, 255};
    if (!png_image_finish_read(&image, &white, pixels, 0, NULL))
        status = tare_fail(err, TARE_DATA, path, "save the picture anew",
                           "the picture is damaged: %s", image.message);
    png_image_free(&image);
    tare_buf_free(&file);
    return status;
}
