/* test_digit.c: pictures of digits. Real MNIST digits (TARE_DATA; skipped with a message where not)
 * are drawn as PNGs of several sizes, colours and kinds, and must come back as they were. */
#include "scratch.h"

#include <png.h>

#include "tare/data.h"
#include "tare/digit.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, DIGITS = 200, MAX_PICTURE = 400 };

/* How a digit is drawn: each pixel `times` across, on a field with these margins. */
struct drawing {
    unsigned format; /* of libpng's simplified interface */
    size_t times, left, right, top, bottom;
    int paper, ink; /* 0 … 255 */
};

static uint8_t canvas[MAX_PICTURE * MAX_PICTURE * 8];

/* One pixel in the drawing's format: level 0 is paper, 255 ink. */
static void set_pixel(size_t at, const struct drawing *d, uint8_t level) {
    const int value = d->paper + (d->ink - d->paper) * level / 255;
    switch (d->format) {      /* libpng's numbers, not an enum of ours */
    case PNG_FORMAT_LINEAR_Y: /* 16 bits */
        ((uint16_t *)(void *)canvas)[at] = (uint16_t)(value * 257);
        break;
    case PNG_FORMAT_RGB:
        memset(canvas + 3 * at, value, 3);
        break;
    case PNG_FORMAT_GA: /* the paper is what is transparent */
        canvas[2 * at] = (uint8_t)d->ink;
        canvas[2 * at + 1] = level;
        break;
    default: /* grey, and palettes of 256 greys */
        canvas[at] = (uint8_t)value;
        break;
    }
}

static const char *draw(const uint8_t *digit, const struct drawing *d) {
    const size_t width = SIDE * d->times + d->left + d->right;
    const size_t height = SIDE * d->times + d->top + d->bottom;
    uint8_t greys[256 * 3];
    assert_true(width <= MAX_PICTURE && height <= MAX_PICTURE);
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            const bool inside = y >= d->top && y < d->top + SIDE * d->times && x >= d->left &&
                                x < d->left + SIDE * d->times;
            const size_t from =
                inside ? (y - d->top) / d->times * SIDE + (x - d->left) / d->times : 0;
            set_pixel(y * width + x, d, inside ? digit[from] : 0);
        }
    }
    for (size_t i = 0; i < sizeof greys; i++)
        greys[i] = (uint8_t)(i / 3);
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)width,
                       .height = (png_uint_32)height,
                       .format = d->format};
    if (d->format == PNG_FORMAT_RGB_COLORMAP)
        image.colormap_entries = 256;
    const char *path = scratch_path("digit.png");
    assert_true(png_image_write_to_file(&image, path, 0, canvas, 0, greys));
    return path;
}

/* The digits of the test set; skips the test where there are none. */
static void load_digits(struct tare_array *images) {
    char path[600];
    const char *env = getenv("TARE_DATA");
    snprintf(path, sizeof path, "%s/mnist/t10k-images-idx3-ubyte.gz", env != NULL ? env : "");
    if (env == NULL || !tare_path_exists(path)) {
        print_message("MNIST's test images are not at $TARE_DATA/mnist\n");
        skip();
    }
    assert_int_equal(tare_images_read(images, path, NULL), TARE_OK);
}

/* Mean absolute difference per pixel. */
static double distance(const uint8_t *a, const uint8_t *b) {
    double sum = 0;
    for (size_t i = 0; i < PIXELS; i++)
        sum += abs(a[i] - b[i]);
    return sum / PIXELS;
}

/* A digit whose centre of mass lies at a pixel's edge may come back a pixel off, and is then far
 * from itself; so all but two of a hundred must be close. 1.5: what rounding the strokes to the
 * drawing's levels and edges may move. */
static void must_come_back(const struct tare_array *images, const struct drawing *d) {
    size_t close = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        const uint8_t *digit = (const uint8_t *)images->data + i * PIXELS;
        uint8_t back[PIXELS];
        struct tare_err err = {0};
        const enum tare_status status = tare_digit_read(back, SIDE, SIDE, draw(digit, d), &err);
        if (status != TARE_OK)
            tare_err_print(stderr, &err);
        assert_int_equal(status, TARE_OK);
        close += distance(back, digit) <= 1.5;
    }
    if (close < DIGITS * 98 / 100)
        fail_msg("format %u, times %zu: only %zu of %d digits came back", d->format, d->times,
                 close, DIGITS);
}

static void digits_of_any_size_come_back(void **state) {
    (void)state;
    struct tare_array images;
    load_digits(&images);
    static const struct drawing drawings[] = {
        {PNG_FORMAT_GRAY, 2, 0, 0, 0, 0, 0, 255},
        {PNG_FORMAT_GRAY, 5, 0, 0, 0, 0, 0, 255},
        {PNG_FORMAT_GRAY, 10, 50, 3, 90, 1, 0, 255},
        {PNG_FORMAT_GRAY, 1, 9, 2, 0, 40, 0, 255},
    };
    for (size_t i = 0; i < sizeof drawings / sizeof *drawings; i++)
        must_come_back(&images, &drawings[i]);
    tare_array_free(&images);
}

static void digits_of_any_kind_come_back(void **state) {
    (void)state;
    struct tare_array images;
    load_digits(&images);
    static const struct drawing drawings[] = {
        {PNG_FORMAT_GRAY, 4, 7, 7, 7, 7, 255, 0},  /* dark on light */
        {PNG_FORMAT_GRAY, 4, 7, 7, 7, 7, 200, 40}, /* a pencil on grey paper */
        {PNG_FORMAT_RGB, 3, 5, 0, 0, 5, 255, 0},
        {PNG_FORMAT_RGB, 3, 5, 0, 0, 5, 0, 255},
        {PNG_FORMAT_RGB_COLORMAP, 3, 0, 5, 5, 0, 255, 0},
        {PNG_FORMAT_GA, 3, 5, 5, 5, 5, 0, 0},     /* black on nothing */
        {PNG_FORMAT_GA, 3, 5, 5, 5, 5, 255, 255}, /* white on nothing */
    };
    for (size_t i = 0; i < sizeof drawings / sizeof *drawings; i++)
        must_come_back(&images, &drawings[i]);
    tare_array_free(&images);
}

/* 16-bit samples may mean light or sRGB; either way strokes stay where they are. */
static void sixteen_bits_are_read(void **state) {
    (void)state;
    uint8_t bar[PIXELS] = {0}, back[PIXELS];
    for (size_t y = 4; y < 24; y++)
        memset(bar + y * SIDE + 12, 255, 4); /* its mass is at 14 of 28 */
    const struct drawing d = {PNG_FORMAT_LINEAR_Y, 3, 5, 5, 5, 5, 255, 0};
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, draw(bar, &d), NULL), TARE_OK);
    assert_true(distance(back, bar) < 0.01);
}

static void a_picture_of_the_right_size_is_kept(void **state) {
    (void)state;
    uint8_t corner[PIXELS] = {0}, back[PIXELS], inverted[PIXELS];
    for (size_t i = 0; i < 6; i++) /* off the middle on purpose */
        corner[(2 + i) * SIDE + 3] = (uint8_t)(50 * i);
    const struct drawing light = {PNG_FORMAT_GRAY, 1, 0, 0, 0, 0, 0, 255};
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, draw(corner, &light), NULL), TARE_OK);
    assert_memory_equal(back, corner, PIXELS);
    for (size_t i = 0; i < PIXELS; i++)
        inverted[i] = (uint8_t)(255 - corner[i]);
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, draw(inverted, &light), NULL), TARE_OK);
    assert_memory_equal(back, corner, PIXELS);
}

static void a_wide_stroke_keeps_its_proportions_and_other_sizes_work(void **state) {
    (void)state;
    uint8_t dash[PIXELS] = {0}, back[14 * 56];
    for (size_t y = 12; y < 16; y++)
        memset(dash + y * SIDE + 2, 255, 24); /* 24 × 4 */
    const struct drawing d = {PNG_FORMAT_GRAY, 7, 0, 0, 0, 0, 255, 0};
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, draw(dash, &d), NULL), TARE_OK);
    size_t filled = 0;
    for (size_t i = 0; i < PIXELS; i++)
        filled += back[i] > 127;
    assert_int_equal(filled, 20 * 3); /* 24 × 4 to 20 × 3.3, rounded */
    assert_int_equal(tare_digit_read(back, 14, 56, draw(dash, &d), NULL), TARE_OK);
    assert_int_equal(tare_digit_read(back, 1, 1, draw(dash, &d), NULL), TARE_OK);
    assert_int_equal(back[0], 255);
}

static void blank_and_broken_pictures_are_errors(void **state) {
    (void)state;
    const uint8_t blank[PIXELS] = {0};
    uint8_t back[PIXELS];
    struct tare_err err = {0};
    static const size_t times[2] = {1, 3}; /* of the right size, and of another */
    for (size_t i = 0; i < 2; i++) {
        const struct drawing d = {PNG_FORMAT_GRAY, times[i], 0, 0, 0, 0, 255, 0};
        assert_int_equal(tare_digit_read(back, SIDE, SIDE, draw(blank, &d), &err), TARE_DATA);
        assert_non_null(strstr(err.what, "blank"));
        assert_non_null(strstr(err.where, "digit.png"));
    }
    const char *text = scratch_write("text.png", "not a picture", 13);
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, text, &err), TARE_DATA);
    assert_non_null(strstr(err.hint, "PNG"));
    assert_int_equal(tare_digit_read(back, SIDE, SIDE, scratch_path("none.png"), &err), TARE_IO);
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    uint8_t bar[PIXELS] = {0}, back[PIXELS];
    struct tare_buf png = {0};
    for (size_t y = 4; y < 24; y++)
        bar[y * SIDE + 14] = 255;
    const struct drawing d = {PNG_FORMAT_GRAY, 2, 0, 0, 0, 0, 255, 0};
    assert_int_equal(tare_file_read(&png, draw(bar, &d), 100000, NULL), TARE_OK);
    /* The last 12 bytes, the end chunk, hold nothing that is needed. */
    for (size_t size = 0; size + 12 < png.size; size++) {
        const char *cut = scratch_write("cut.png", png.data, size);
        assert_int_equal(tare_digit_read(back, SIDE, SIDE, cut, NULL), TARE_DATA);
    }
    tare_buf_free(&png);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_of_any_size_come_back),
        cmocka_unit_test(digits_of_any_kind_come_back),
        cmocka_unit_test(sixteen_bits_are_read),
        cmocka_unit_test(a_picture_of_the_right_size_is_kept),
        cmocka_unit_test(a_wide_stroke_keeps_its_proportions_and_other_sizes_work),
        cmocka_unit_test(blank_and_broken_pictures_are_errors),
        cmocka_unit_test(every_truncation_is_refused),
    };
    return cmocka_run_group_tests_name("digit", tests, scratch_setup, scratch_teardown);
}
