/* digit.c: from a picture of a digit to MNIST's form, following what LeCun's page says of how MNIST
 * was made: fitted into 20 × 20 of 28 × 28 pixels, centred by its mass. png.c reads the picture;
 * `tare predict` is the user.
 */
#include "tare/digit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/png.h"

#define FIT (20.0 / 28.0)   /* of the picture's side, for the digit */
#define MIN_CONTRAST 16     /* of 255; paper and scanners vary by less */
#define INK_THRESHOLD 0.05f /* of full ink: MNIST's faintest strokes count, rounding doesn't */

/* A part of a picture as ink: 0 is background and 1 full ink. */
struct ink {
    size_t height, width;
    const uint8_t *grey; /* its first pixel */
    size_t stride;       /* of the whole picture, in pixels */
    float of[256];       /* ink of a level of grey */
};

static float ink_at(const struct ink *ink, size_t y, size_t x) {
    return ink->of[ink->grey[y * ink->stride + x]];
}

/* The digit in its final size. */
struct digit {
    size_t height, width;
    float *values;
};

/* Grey and alpha to grey: dark ink is put on white, light ink on black. */
static void lay_on_background(uint8_t *grey, const uint8_t *grey_alpha, size_t count) {
    double mass = 0, weighted = 0;
    for (size_t i = 0; i < count; i++) {
        mass += grey_alpha[2 * i + 1];
        weighted += (double)grey_alpha[2 * i + 1] * grey_alpha[2 * i];
    }
    const double background = weighted < 127.5 * mass ? 255 : 0;
    for (size_t i = 0; i < count; i++) {
        const double alpha = grey_alpha[2 * i + 1] / 255.0;
        grey[i] = (uint8_t)lrint(alpha * grey_alpha[2 * i] + (1 - alpha) * background);
    }
}

static enum tare_status read_grey(uint8_t **grey, struct tare_png_info *info, const char *path,
                                  struct tare_err *err) {
    *grey = NULL;
    enum tare_status status = tare_png_info(info, path, err);
    if (status != TARE_OK)
        return status;
    const size_t count = info->height * info->width;
    const int channels = info->alpha ? 2 : 1;
    uint8_t *pixels = malloc(count * (size_t)channels);
    if (pixels == NULL)
        return tare_fail(err, TARE_MEMORY, path, "use a smaller picture", "no memory for it");
    status = tare_png_read(pixels, info, channels, path, err);
    if (status == TARE_OK && info->alpha)
        lay_on_background(pixels, pixels, count); /* in place: it reads ahead of what it writes */
    *grey = pixels;
    return status;
}

/* What the picture's edge mostly is, by the median of its border. */
static unsigned border_level(const uint8_t *grey, size_t height, size_t width) {
    size_t histogram[256] = {0}, count = 0, below = 0;
    for (size_t y = 0; y < height; y++) {
        const size_t step = y == 0 || y + 1 == height || width == 1 ? 1 : width - 1;
        for (size_t x = 0; x < width; x += step) {
            histogram[grey[y * width + x]]++;
            count++;
        }
    }
    unsigned level = 0;
    while (level < 255 && (below += histogram[level]) * 2 <= count)
        level++;
    return level;
}

struct levels {
    unsigned background, ink; /* ink < background: dark on light */
};

static enum tare_status find_levels(struct levels *levels, const uint8_t *grey, size_t height,
                                    size_t width, const char *path, struct tare_err *err) {
    unsigned darkest = 255, lightest = 0;
    for (size_t i = 0; i < height * width; i++) {
        darkest = grey[i] < darkest ? grey[i] : darkest;
        lightest = grey[i] > lightest ? grey[i] : lightest;
    }
    if (lightest - darkest < MIN_CONTRAST)
        return tare_fail(err, TARE_DATA, path, "give a picture of one digit",
                         "the picture is blank: its pixels differ by %u of 255",
                         lightest - darkest);
    levels->background = border_level(grey, height, width);
    /* The ink is what lies further from the border's level. */
    const bool dark_on_light = levels->background - darkest > lightest - levels->background;
    levels->ink = dark_on_light ? darkest : lightest;
    return TARE_OK;
}

static void make_ink(struct ink *ink, const uint8_t *grey, size_t height, size_t width,
                     const struct levels *levels) {
    *ink = (struct ink){.height = height, .width = width, .grey = grey, .stride = width};
    const float span = (float)levels->ink - (float)levels->background;
    for (size_t i = 0; i < 256; i++) {
        const float value = ((float)i - (float)levels->background) / span;
        ink->of[i] = value < INK_THRESHOLD ? 0 : value;
    }
}

/* Shrinks *ink to its bounding box. There is ink: find_levels. */
static void crop(struct ink *ink) {
    size_t top = ink->height, left = ink->width, bottom = 0, right = 0;
    for (size_t y = 0; y < ink->height; y++) {
        for (size_t x = 0; x < ink->width; x++) {
            if (ink_at(ink, y, x) > 0) {
                top = y < top ? y : top;
                bottom = y;
                left = x < left ? x : left;
                right = x > right ? x : right;
            }
        }
    }
    ink->grey += top * ink->stride + left;
    ink->height = bottom - top + 1;
    ink->width = right - left + 1;
}

/* The mean of ink over y0 … y1, x0 … x1 (pixel edges; a pixel covers [i, i + 1)). */
static double area_mean(const struct ink *ink, double y0, double y1, double x0, double x1) {
    double sum = 0;
    for (size_t y = (size_t)y0; y < ink->height && (double)y < y1; y++) {
        const double high = fmin(y1, (double)y + 1) - fmax(y0, (double)y);
        for (size_t x = (size_t)x0; x < ink->width && (double)x < x1; x++) {
            const double wide = fmin(x1, (double)x + 1) - fmax(x0, (double)x);
            sum += high * wide * (double)ink_at(ink, y, x);
        }
    }
    return sum / ((y1 - y0) * (x1 - x0));
}

static enum tare_status scale(struct digit *out, const struct ink *ink, size_t height, size_t width,
                              struct tare_err *err) {
    *out = (struct digit){.height = height, .width = width};
    out->values = malloc(height * width * sizeof *out->values);
    if (out->values == NULL)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the picture");
    const double down = (double)ink->height / (double)height;
    const double across = (double)ink->width / (double)width;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++)
            out->values[y * width + x] =
                (float)area_mean(ink, (double)y * down, (double)(y + 1) * down, (double)x * across,
                                 (double)(x + 1) * across);
    return TARE_OK;
}

static size_t at_least_one(double value) {
    return value < 1 ? 1 : (size_t)lrint(value);
}

/* Where a digit of `size` pixels begins on a side of `side`, so that its mass is at the middle:
 * not before it and less than a pixel after it. So MNIST's digits lie, 14.0 to 15.0 of 28. */
static size_t place(double centre_of_mass, size_t size, size_t side) {
    const double start = ceil((double)side / 2 - centre_of_mass);
    const double last = (double)(side - size);
    return (size_t)(start < 0 ? 0 : start > last ? last : start);
}

/* pixels: (height, width), all of them written. */
static void put_in_the_middle(uint8_t *pixels, size_t height, size_t width,
                              const struct digit *digit) {
    double mass = 0, down = 0, across = 0;
    for (size_t y = 0; y < digit->height; y++) {
        for (size_t x = 0; x < digit->width; x++) {
            const double value = digit->values[y * digit->width + x];
            mass += value;
            down += value * ((double)y + 0.5);
            across += value * ((double)x + 0.5);
        }
    }
    const size_t top = place(down / mass, digit->height, height);
    const size_t left = place(across / mass, digit->width, width);
    memset(pixels, 0, height * width);
    for (size_t y = 0; y < digit->height; y++)
        for (size_t x = 0; x < digit->width; x++)
            pixels[(top + y) * width + left + x] =
                (uint8_t)lrintf(255 * digit->values[y * digit->width + x]);
}

static enum tare_status convert(uint8_t *pixels, size_t height, size_t width, const uint8_t *grey,
                                const struct tare_png_info *info, const struct levels *levels,
                                struct tare_err *err) {
    struct ink ink;
    struct digit scaled = {0};
    make_ink(&ink, grey, info->height, info->width, levels);
    crop(&ink);
    const double factor =
        fmin(FIT * (double)height / (double)ink.height, FIT * (double)width / (double)ink.width);
    const enum tare_status status = scale(&scaled, &ink, at_least_one(factor * (double)ink.height),
                                          at_least_one(factor * (double)ink.width), err);
    if (status == TARE_OK)
        put_in_the_middle(pixels, height, width, &scaled);
    free(scaled.values);
    return status;
}

enum tare_status tare_digit_read(uint8_t *pixels, size_t height, size_t width, const char *path,
                                 struct tare_err *err) {
    struct tare_png_info info;
    struct levels levels = {0};
    uint8_t *grey = NULL;
    enum tare_status status = read_grey(&grey, &info, path, err);
    if (status == TARE_OK)
        status = find_levels(&levels, grey, info.height, info.width, path, err);
    if (status == TARE_OK && info.height == height && info.width == width) {
        for (size_t i = 0; i < height * width; i++)
            pixels[i] = levels.ink < levels.background ? (uint8_t)(255 - grey[i]) : grey[i];
    } else if (status == TARE_OK) {
        status = convert(pixels, height, width, grey, &info, &levels, err);
    }
    free(grey);
    return status;
}
