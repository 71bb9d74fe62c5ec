/* tiny_set.c: `tiny_set npy|idx|png DIR`: a data set of 12 training and 6 test images, 4 × 4, of
 * three classes, for commands that are run some ten thousand times. */
#include <png.h>
#include <zlib.h>

#include "../small_set.h"
#include "tare/array.h"
#include "tare/buf.h"

#define SIDE 4
#define CLASSES 3

static const char *const names[2][4] = {
    {"train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"},
    {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
     "t10k-labels-idx1-ubyte.gz"}};

static int write_idx(const char *path, const struct tare_array *array) {
    gzFile file = gzopen(path, "wb");
    unsigned char header[4] = {0, 0, 8, (unsigned char)array->rank};
    int good = file && gzwrite(file, header, 4) == 4;
    for (int i = 0; good && i < array->rank; i++) {
        unsigned char size[4] = {0, 0, 0, (unsigned char)array->shape[i]};
        good = gzwrite(file, size, 4) == 4;
    }
    for (size_t i = 0; good && i < tare_array_count(array); i++) {
        unsigned char byte = array->dtype == TARE_U8
                                 ? ((const unsigned char *)array->data)[i]
                                 : (unsigned char)((const int32_t *)array->data)[i];
        good = gzputc(file, byte) == byte;
    }
    return file && gzclose(file) == Z_OK && good ? 0 : 1;
}

static int write_pictures(const char *dir, const struct tare_array *images,
                          const struct tare_array *labels) {
    for (size_t i = 0; i < images->shape[0]; i++) {
        struct tare_buf path = {0};
        tare_buf_printf(&path, "%s/%d", dir, ((const int32_t *)labels->data)[i]);
        if (path.failed || tare_make_dirs(path.data, NULL) != TARE_OK)
            return 1;
        tare_buf_printf(&path, "/%zu.png", i);
        png_image png = {
            .version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_GRAY};
        const unsigned char *pixels = (const unsigned char *)images->data + i * SIDE * SIDE;
        if (path.failed || !png_image_write_to_file(&png, path.data, 0, pixels, 0, NULL))
            return 1;
        tare_buf_free(&path);
    }
    return 0;
}

int main(int argc, char **argv) {
    struct tare_array sets[4];
    int failed = argc != 3 || tare_make_dirs(argv[2], NULL) != TARE_OK ||
                 small_set_fill(&sets[0], &sets[1], 12, SIDE, CLASSES, 1) != 0 ||
                 small_set_fill(&sets[2], &sets[3], 6, SIDE, CLASSES, 2) != 0;
    const char *kind = failed ? "" : argv[1];
    for (int i = 0; !failed && i < 4; i++) {
        char path[4096];
        const int idx = strcmp(kind, "idx") == 0;
        snprintf(path, sizeof path, "%s/%s", argv[2], names[idx][i]);
        if (strcmp(kind, "png") != 0)
            failed = idx ? write_idx(path, &sets[i]) : tare_npy_write(path, &sets[i], NULL) != 0;
    }
    if (!failed && strcmp(kind, "png") == 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/train", argv[2]);
        failed = write_pictures(path, &sets[0], &sets[1]);
        snprintf(path, sizeof path, "%s/test", argv[2]);
        failed = failed || write_pictures(path, &sets[2], &sets[3]);
    }
    for (int i = 0; i < 4 && argc == 3; i++)
        tare_array_free(&sets[i]);
    if (failed)
        fprintf(stderr, "tiny_set npy|idx|png DIR: could not be made\n");
    return failed;
}
