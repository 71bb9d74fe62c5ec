/* png.c: PNG through libpng's simplified interface, which knows every bit depth, palette and
 * interlacing, and reports errors as texts rather than by longjmp. What libpng gets to see is
 * png_stream.c's. A large picture is decoded row by row first, so that one that turns out damaged
 * costs no memory.
 */
#include "data/png.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>

#include "data/png_stream.h"

#define LARGE_BYTES ((size_t)4 << 20) /* decoded; smaller pictures are decoded at once */

/* Why libpng gave a file up: for what is in it, or because the disk did. */
static enum tare_status unreadable(const char *path, const char *hint, const char *what,
                                   const char *why, struct tare_err *err) {
    errno = tare_png_read_error();
    return errno != 0 ? tare_fail_errno(err, path, NULL, "cannot be read")
                      : tare_fail(err, TARE_DATA, path, hint, "%s: %s", what, why);
}

static enum tare_status damaged(const char *path, const char *why, struct tare_err *err) {
    return unreadable(path, "save the picture anew", "the picture is damaged", why, err);
}

static enum tare_status check_size(const struct tare_png_info *info, const char *path,
                                   struct tare_err *err) {
    if (info->width > TARE_MAX_PNG_SIDE || info->height > TARE_MAX_PNG_SIDE)
        return tare_fail(err, TARE_DATA, path, "use a smaller picture",
                         "%zu × %zu pixels: a side is longer than %d", info->width, info->height,
                         TARE_MAX_PNG_SIDE);
    if (info->width * info->height > TARE_MAX_PNG_PIXELS)
        return tare_fail(err, TARE_DATA, path, "use a smaller picture",
                         "%zu × %zu pixels are more than %zu", info->width, info->height,
                         TARE_MAX_PNG_PIXELS);
    return TARE_OK;
}

/* A picture whose header was read. */
struct picture {
    FILE *file;
    png_image image;
};

static void close_png(struct picture *picture) {
    png_image_free(&picture->image);
    if (picture->file != NULL)
        fclose(picture->file);
}

/* Nothing is to be closed after an error. */
static enum tare_status open_png(struct picture *picture, struct tare_png_info *info,
                                 const char *path, struct tare_err *err) {
    *picture = (struct picture){.image = {.version = PNG_IMAGE_VERSION}};
    picture->file = tare_png_open(path, err);
    if (picture->file == NULL)
        return TARE_IO;
    png_image *image = &picture->image;
    enum tare_status status = TARE_OK;
    if (png_image_begin_read_from_stdio(image, picture->file)) {
        *info = (struct tare_png_info){.height = image->height,
                                       .width = image->width,
                                       .colour = (image->format & PNG_FORMAT_FLAG_COLOR) != 0,
                                       .alpha = (image->format & PNG_FORMAT_FLAG_ALPHA) != 0};
        status = check_size(info, path, err);
    } else
        status =
            unreadable(path, "name a PNG picture", "it cannot be read as PNG", image->message, err);
    if (status != TARE_OK)
        close_png(picture);
    return status;
}

enum tare_status tare_png_info(struct tare_png_info *info, const char *path, struct tare_err *err) {
    struct picture picture;
    const enum tare_status status = open_png(&picture, info, path, err);
    if (status == TARE_OK)
        close_png(&picture);
    return status;
}

/* What libpng says about a picture, for those of its functions that end in a longjmp. */
static void keep_message(png_structp png, png_const_charp message) {
    char *kept = png_get_error_ptr(png);
    snprintf(kept, 64, "%s", message);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp message) {
    (void)png, (void)message;
}

/* Decodes every row and keeps none; false with a message when that can't be done. `row` lives in
 * the caller, whose memory a longjmp doesn't touch. */
static bool decode_rows(png_structp png, png_infop info, FILE *file, png_bytep *row) {
    if (setjmp(png_jmpbuf(png)) != 0)
        return false;
    png_init_io(png, file);
    png_read_info(png, info);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    const png_uint_32 height = png_get_image_height(png, info);
    *row = png_malloc(png, png_get_rowbytes(png, info));
    for (int pass = 0; pass < passes; pass++)
        for (png_uint_32 y = 0; y < height; y++)
            png_read_row(png, *row, NULL);
    return true;
}

static enum tare_status check_rows(const char *path, struct tare_err *err) {
    char message[64] = "no memory to decode it";
    FILE *file = tare_png_open(path, err);
    if (file == NULL)
        return TARE_IO;
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, message, keep_message, ignore_warning);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    png_bytep row = NULL;
    const bool good = info != NULL && decode_rows(png, info, file, &row);
    if (png != NULL)
        png_free(png, row);
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
    return good ? TARE_OK : damaged(path, message, err);
}

enum tare_status tare_png_read(uint8_t *pixels, const struct tare_png_info *info, int channels,
                               const char *path, struct tare_err *err) {
    struct picture picture;
    struct tare_png_info found;
    enum tare_status status = TARE_OK;
    if (info->height * info->width * (size_t)channels > LARGE_BYTES)
        status = check_rows(path, err);
    if (status == TARE_OK)
        status = open_png(&picture, &found, path, err);
    if (status != TARE_OK)
        return status;
    png_image *image = &picture.image;
    /* 16-bit samples are taken as sRGB, like 8-bit ones, rather than as linear light. */
    image->flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
    image->format = channels == 3   ? PNG_FORMAT_RGB
                    : channels == 2 ? PNG_FORMAT_GA
                                    : PNG_FORMAT_GRAY;
    const png_color white = {255, 255, 255};
    /* The caller sized `pixels` by an earlier look; the file may have been replaced since. */
    if (found.height != info->height || found.width != info->width)
        status = tare_fail(err, TARE_DATA, path, "try again", "the file changed while it was read");
    else if (!png_image_finish_read(image, &white, pixels, 0, NULL))
        status = damaged(path, image->message, err);
    close_png(&picture);
    return status;
}
