/* test_dataset.c: data sets of every kind found, recognised, checked and prepared: the published
 * ones where they are (TARE_DATA, Debian's package; skipped with a message where not), own ones
 * made here, damaged ones, and the folder laid out for the engines. */
#include "scratch.h"

#include <dirent.h>
#include <png.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <zip.h>

#include "data/npz.h"
#include "data/parts.h"
#include "tare/data.h"

#define FASHION_DIR "/usr/share/datasets/fashion-mnist"
static char data_env[512]; /* TARE_DATA as the tests were started */

enum { N_TRAIN = 6, N_TEST = 3, SIDE = 4 };

static int setup(void **state) {
    const char *env = getenv("TARE_DATA");
    snprintf(data_env, sizeof data_env, "%s", env != NULL ? env : "");
    if (scratch_setup(state) != 0)
        return -1;
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    unsetenv("TARE_DATA");
    return 0;
}

static enum tare_status load(struct tare_dataset *set, const char *name, const char *dir,
                             struct tare_err *err) {
    const struct tare_data_options options = {.name = name, .dir = dir};
    return tare_dataset_load(set, &options, err);
}

static void must_fail(const char *name, const char *dir, const char *says) {
    struct tare_dataset set;
    struct tare_err err = {0};
    assert_int_not_equal(load(&set, name, dir, &err), TARE_OK);
    if (strstr(err.what, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.what, says);
    assert_true(err.where[0] != '\0' && err.hint[0] != '\0');
    assert_null(set.train_images.data);
}

/* A small set as IDX below the scratch folder: image i of either part is filled with i + 1. */
static void make_idx_set(const char *dir, bool compressed, char stem_end) {
    static const char *const stems[4] = {"train-images", "train-labels", "t10k-images",
                                         "t10k-labels"};
    for (size_t role = 0; role < 4; role++) {
        const size_t n = role < 2 ? N_TRAIN : N_TEST;
        const size_t shape[3] = {n, SIDE, SIDE};
        uint8_t bytes[N_TRAIN * SIDE * SIDE];
        struct tare_buf file = {0}, packed = {0};
        char name[256];
        const size_t each = role % 2 == 0 ? SIDE * SIDE : 1;
        for (size_t i = 0; i < n * each; i++)
            bytes[i] = (uint8_t)(role % 2 == 0 ? i / each + 1 : i % 3);
        idx_bytes(&file, role % 2 == 0 ? 3 : 1, shape, bytes);
        if (compressed)
            gzip_bytes(&packed, file.data, file.size);
        snprintf(name, sizeof name, "%s/%s%cidx%d-ubyte%s", dir, stems[role], stem_end,
                 role % 2 == 0 ? 3 : 1, compressed ? ".gz" : "");
        scratch_write(name, compressed ? packed.data : file.data,
                      compressed ? packed.size : file.size);
        tare_buf_free(&file);
        tare_buf_free(&packed);
    }
}

static void write_array(const char *name, enum tare_dtype dtype, int rank, const size_t *shape,
                        int modulus) {
    struct tare_array array;
    assert_int_equal(tare_array_make(&array, dtype, rank, shape, NULL), TARE_OK);
    for (size_t i = 0; i < tare_array_count(&array); i++) {
        if (dtype == TARE_U8)
            ((uint8_t *)array.data)[i] = (uint8_t)(i % (size_t)modulus);
        else
            ((int32_t *)array.data)[i] = (int32_t)(i % (size_t)modulus);
    }
    const char *path = scratch_write(name, "", 0); /* makes the folder */
    assert_int_equal(tare_npy_write(path, &array, NULL), TARE_OK);
    tare_array_free(&array);
}

static void make_npy_set(const char *dir, int rank, const size_t *sample_shape, int classes) {
    static const char *const names[2] = {"train", "test"};
    for (int part = 0; part < 2; part++) {
        const size_t n = part == 0 ? N_TRAIN : N_TEST;
        size_t shape[4] = {n};
        char name[256];
        for (int i = 1; i < rank; i++)
            shape[i] = sample_shape[i - 1];
        snprintf(name, sizeof name, "%s/%s_images.npy", dir, names[part]);
        write_array(name, TARE_U8, rank, shape, 251);
        snprintf(name, sizeof name, "%s/%s_labels.npy", dir, names[part]);
        write_array(name, TARE_I32, 1, shape, classes);
    }
}

static void write_png(const char *name, unsigned width, unsigned height, unsigned format,
                      uint8_t value) {
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = format};
    uint8_t pixels[4096];
    memset(pixels, value, sizeof pixels);
    assert_true(PNG_IMAGE_SIZE(image) <= sizeof pixels);
    const char *path = scratch_write(name, "", 0);
    assert_true(png_image_write_to_file(&image, path, 0, pixels, 0, NULL));
}

/* Classes "2" and "10": the natural order of names is not the alphabetical one. */
static void make_folder_set(const char *dir) {
    static const char *const parts[2] = {"train", "test"}, *const classes[2] = {"2", "10"};
    for (int part = 0; part < 2; part++) {
        for (int c = 0; c < 2; c++) {
            for (int i = 0; i < 3 - part; i++) {
                char name[256];
                snprintf(name, sizeof name, "%s/%s/%s/img%d.png", dir, parts[part], classes[c],
                         i == 2 ? 10 : i);
                write_png(name, 5, 4, PNG_FORMAT_GRAY, (uint8_t)(100 * c + i));
            }
        }
    }
}

static void the_real_mnist_is_read_and_recognised(void **state) {
    (void)state;
    struct tare_dataset set;
    struct tare_err err = {0};
    char hashed[65];
    if (data_env[0] == '\0') {
        print_message("MNIST is not here: set TARE_DATA to the folder that holds it\n");
        skip();
    }
    setenv("TARE_DATA", data_env, 1);
    const enum tare_status status = load(&set, NULL, NULL, &err);
    unsetenv("TARE_DATA");
    if (status != TARE_OK)
        tare_err_print(stderr, &err);
    assert_int_equal(status, TARE_OK);
    assert_string_equal(set.name, "mnist");
    assert_string_equal(set.title, "MNIST");
    assert_false(set.standin);
    assert_int_equal(set.classes, 10);
    assert_int_equal(set.train_images.shape[0], 60000);
    assert_int_equal(set.test_images.shape[0], 10000);
    assert_int_equal(set.test_images.shape[2], 28);
    assert_int_equal(((int32_t *)set.train_labels.data)[0], 5); /* the well-known first digits */
    assert_int_equal(((int32_t *)set.test_labels.data)[0], 7);
    tare_set_sha256(hashed, &set);
    assert_string_equal(set.sha256, hashed);
    tare_dataset_free(&set);
}

static void fashion_mnist_is_known_and_stands_in(void **state) {
    (void)state;
    struct tare_dataset set;
    char hashed[65];
    if (!tare_path_exists(FASHION_DIR)) {
        print_message("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist\n");
        skip();
    }
    assert_int_equal(load(&set, "fashion-mnist", NULL, NULL), TARE_OK);
    assert_string_equal(set.name, "fashion-mnist");
    assert_string_equal(set.title, "Fashion-MNIST");
    assert_false(set.standin);
    tare_set_sha256(hashed, &set);
    assert_string_equal(set.sha256, hashed);
    tare_dataset_free(&set);

    /* Asked for by its folder it is itself, and never MNIST. */
    assert_int_equal(load(&set, NULL, FASHION_DIR, NULL), TARE_OK);
    assert_string_equal(set.name, "fashion-mnist");
    assert_false(set.standin);
    tare_dataset_free(&set);
    must_fail("mnist", FASHION_DIR, "wrong checksum");

    setenv("TARE_DATA", scratch_path("nowhere"), 1);
    const struct tare_data_options options = {.allow_standin = true};
    assert_int_equal(tare_dataset_load(&set, &options, NULL), TARE_OK);
    assert_true(set.standin);
    assert_string_equal(set.name, "fashion-mnist");
    assert_string_equal(set.title, "Fashion-MNIST (stand-in: MNIST not found)");
    tare_dataset_free(&set);
    must_fail(NULL, NULL, "not found");
    unsetenv("TARE_DATA");
}

static void read_gzip(struct tare_buf *out, const char *path) {
    char chunk[65536];
    gzFile file = gzopen(path, "rb");
    assert_non_null(file);
    for (int got; (got = gzread(file, chunk, sizeof chunk)) > 0;)
        tare_buf_append(out, chunk, (size_t)got);
    assert_int_equal(gzclose(file), Z_OK);
}

/* A folder as Fashion-MNIST's, with one file replaced by `bytes`, or changed in its last byte. */
static void damage_fashion(const char *dir, size_t role, const char *bytes, size_t size) {
    char name[256], real[256];
    const struct tare_known_set *known = tare_known_set_find("fashion-mnist");
    for (size_t i = 0; i < TARE_SET_FILES; i++) {
        snprintf(name, sizeof name, "%s/%s.gz", dir, known->files[i].name);
        snprintf(real, sizeof real, FASHION_DIR "/%s.gz", known->files[i].name);
        if (i != role) {
            scratch_write(name, "", 0);
            unlink(scratch_path(name));
            assert_int_equal(symlink(real, scratch_path(name)), 0);
            continue;
        }
        struct tare_buf file = {0}, packed = {0};
        read_gzip(&file, real);
        if (bytes == NULL)
            file.data[file.size - 1] ^= 1;
        gzip_bytes(&packed, bytes == NULL ? file.data : bytes, bytes == NULL ? file.size : size);
        scratch_write(name, packed.data, packed.size);
        tare_buf_free(&file);
        tare_buf_free(&packed);
    }
}

static void a_damaged_published_set_is_an_error(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct tare_dataset set;
    if (!tare_path_exists(FASHION_DIR)) {
        print_message("Fashion-MNIST is not here: apt-get install dataset-fashion-mnist\n");
        skip();
    }
    damage_fashion("damaged", 3, NULL, 0);
    assert_int_equal(load(&set, NULL, scratch_path("damaged"), &err), TARE_DATA);
    assert_non_null(strstr(err.where, "t10k-labels-idx1-ubyte.gz"));
    assert_non_null(strstr(err.what, "wrong checksum"));
    assert_non_null(strstr(err.hint, "anew"));
    /* "Any set" was asked for: then it is simply somebody's own. */
    assert_int_equal(load(&set, "", scratch_path("damaged"), NULL), TARE_OK);
    assert_string_equal(set.name, "damaged");
    tare_dataset_free(&set);
    /* A short file, and one that is no IDX file. */
    damage_fashion("damaged", 1, "\0\0\x08\x01\0\0\xea\x60\1\2\3", 11);
    assert_int_equal(load(&set, NULL, scratch_path("damaged"), &err), TARE_DATA);
    assert_non_null(strstr(err.where, "train-labels-idx1-ubyte.gz, byte 11"));
    assert_non_null(strstr(err.what, "ends after 3"));
    damage_fashion("damaged", 1, "<html>", 6);
    must_fail(NULL, scratch_path("damaged"), "no IDX");
    /* The right form, but other content: in the search path only the published set will do. */
    damage_fashion("path/fashion-mnist", 3, NULL, 0);
    setenv("TARE_DATA", scratch_path("path"), 1);
    must_fail("fashion-mnist", NULL, "wrong checksum");
    unsetenv("TARE_DATA");
}

static void own_idx_files_are_read_in_all_their_spellings(void **state) {
    (void)state;
    static const struct {
        const char *dir, *name;
        char stem_end;
        bool compressed;
    } table[] = {
        {"my digits", "my digits", '-', false},
        {"packed", "packed", '-', true},
        {"dotted", "dotted", '.', false},
        {"MNIST", "own-MNIST", '-', true}, /* own data never carry a published name */
    };
    char first[65] = "";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct tare_dataset set;
        make_idx_set(table[i].dir, table[i].compressed, table[i].stem_end);
        assert_int_equal(load(&set, NULL, scratch_path(table[i].dir), NULL), TARE_OK);
        assert_string_equal(set.name, table[i].name);
        assert_string_equal(set.title, table[i].name);
        assert_int_equal(set.classes, 3);
        assert_int_equal(set.train_images.shape[0], N_TRAIN);
        assert_int_equal(((uint8_t *)set.train_images.data)[5 * SIDE * SIDE], 6);
        assert_int_equal(((int32_t *)set.train_labels.data)[4], 1);
        if (i == 0)
            memcpy(first, set.sha256, sizeof first);
        assert_string_equal(set.sha256, first);
        tare_dataset_free(&set);
    }
    must_fail("mnist", scratch_path("packed"), "not MNIST's file");
    setenv("TARE_DATA", scratch_path("packed"), 1);
    must_fail(NULL, NULL, "not MNIST's file");
    unsetenv("TARE_DATA");
}

static void own_npy_files_are_read(void **state) {
    (void)state;
    struct tare_dataset set;
    const size_t colour[3] = {2, 5, 3}, flat[1] = {7};
    make_npy_set("colour", 4, colour, 4);
    assert_int_equal(load(&set, NULL, scratch_path("colour"), NULL), TARE_OK);
    assert_int_equal(set.train_images.rank, 4);
    assert_int_equal(set.classes, 4);
    tare_dataset_free(&set);
    make_npy_set("flat", 2, flat, 2);
    assert_int_equal(load(&set, "", scratch_path("flat"), NULL), TARE_OK);
    assert_int_equal(set.test_images.shape[1], 7);
    tare_dataset_free(&set);
    must_fail("mnist", scratch_path("flat"), "comes as IDX files");
}

static void pictures_in_folders_are_read(void **state) {
    (void)state;
    struct tare_dataset set;
    make_folder_set("pictures");
    assert_int_equal(load(&set, NULL, scratch_path("pictures"), NULL), TARE_OK);
    assert_string_equal(set.name, "pictures");
    assert_int_equal(set.classes, 2);
    assert_int_equal(set.train_images.rank, 3);
    assert_int_equal(set.train_images.shape[0], 6);
    assert_int_equal(set.train_images.shape[1], 4);
    assert_int_equal(set.train_images.shape[2], 5);
    static const uint8_t expected[6] = {0, 1, 2, 100, 101, 102};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(((uint8_t *)set.train_images.data)[i * 20 + 19], expected[i]);
        assert_int_equal(((int32_t *)set.train_labels.data)[i], i / 3);
    }
    tare_dataset_free(&set);
    /* One coloured picture, and the set is RGB: (n, h, w, 3). */
    write_png("pictures/train/2/img1.png", 5, 4, PNG_FORMAT_RGB, 77);
    write_png("pictures/train/2/img10.png", 5, 4, PNG_FORMAT_RGBA, 255);
    assert_int_equal(load(&set, NULL, scratch_path("pictures"), NULL), TARE_OK);
    assert_int_equal(set.test_images.rank, 4);
    assert_int_equal(set.test_images.shape[3], 3);
    assert_int_equal(((uint8_t *)set.train_images.data)[60], 77);
    tare_dataset_free(&set);
}

static void bad_folders_of_pictures_are_named(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct tare_dataset set;
    make_folder_set("odd");
    write_png("odd/test/10/img1.png", 6, 4, PNG_FORMAT_GRAY, 1);
    assert_int_equal(load(&set, NULL, scratch_path("odd"), &err), TARE_DATA);
    assert_non_null(strstr(err.where, "odd/test/10/img1.png"));
    assert_non_null(strstr(err.what, "6 × 4"));
    scratch_write("odd/test/10/img1.png", "\x89PNG\r\n\x1a\nrubbish", 15);
    must_fail(NULL, scratch_path("odd"), "cannot be read as PNG");
    scratch_write("odd/test/10/img1.jpg", "x", 1);
    unlink(scratch_path("odd/test/10/img1.png"));
    must_fail(NULL, scratch_path("odd"), "not a .png file");
    unlink(scratch_path("odd/test/10/img1.jpg"));
    write_png("odd/test/11/a.png", 5, 4, PNG_FORMAT_GRAY, 1);
    must_fail(NULL, scratch_path("odd"), "no such class in train");
    /* A picture cut in the middle is found out when its pixels are read. */
    struct tare_buf png = {0};
    make_folder_set("cut");
    const char *path = scratch_path("cut/train/2/img0.png");
    assert_int_equal(tare_file_read(&png, path, 10000, NULL), TARE_OK);
    scratch_write("cut/train/2/img0.png", png.data, png.size - 20);
    must_fail(NULL, scratch_path("cut"), "damaged");
    tare_buf_free(&png);
    assert_int_equal(tare_make_dirs(scratch_path("hollow/train/0"), NULL), TARE_OK);
    assert_int_equal(tare_make_dirs(scratch_path("hollow/test/0"), NULL), TARE_OK);
    must_fail(NULL, scratch_path("hollow"), "no pictures");
}

static void sets_that_do_not_fit_together_are_refused(void **state) {
    (void)state;
    const size_t shape[1] = {7}, other[2] = {N_TEST, 8}, fewer[1] = {N_TRAIN - 1};
    make_npy_set("unfit", 2, shape, 2);
    write_array("unfit/test_images.npy", TARE_U8, 2, other, 9);
    must_fail(NULL, scratch_path("unfit"), "different shapes");
    write_array("unfit/train_labels.npy", TARE_I32, 1, fewer, 2);
    must_fail(NULL, scratch_path("unfit"), "6 training images and 5 training labels");
    unlink(scratch_path("unfit/train_labels.npy"));
    must_fail(NULL, scratch_path("unfit"), "train_labels.npy is missing");
    must_fail(NULL, scratch_path("not there"), "does not exist");
    assert_int_equal(tare_make_dirs(scratch_path("bare"), NULL), TARE_OK);
    must_fail(NULL, scratch_path("bare"), "no data set in this folder");
    must_fail("imagenet", NULL, "no data set of this name");
    must_fail("", NULL, "need a folder");
}

static void check_npz(const char *path, const struct tare_array *x_train) {
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    assert_non_null(zip);
    assert_int_equal(zip_get_num_entries(zip, 0), 4);
    zip_stat_t info;
    assert_int_equal(zip_stat(zip, "x_train.npy", 0, &info), 0);
    assert_int_equal(info.comp_method, ZIP_CM_STORE);
    char *bytes = malloc(info.size);
    zip_file_t *file = zip_fopen(zip, "x_train.npy", 0);
    assert_int_equal(zip_fread(file, bytes, info.size), (zip_int64_t)info.size);
    zip_fclose(file);
    struct tare_array array;
    assert_int_equal(tare_npy_parse(&array, bytes, info.size, "x", NULL), TARE_OK);
    assert_int_equal(array.rank, 3);
    assert_int_equal(tare_array_bytes(&array), tare_array_bytes(x_train));
    assert_memory_equal(array.data, x_train->data, tare_array_bytes(x_train));
    tare_array_free(&array);
    free(bytes);
    zip_discard(zip);
}

/* Zip's 64-bit form, as for sets of more than 4 GiB, read back by another's reader. */
static void a_wide_npz_is_readable(void **state) {
    (void)state;
    struct tare_array images, labels;
    const size_t shape[3] = {5, 2, 3};
    assert_int_equal(tare_array_make(&images, TARE_U8, 3, shape, NULL), TARE_OK);
    assert_int_equal(tare_array_make(&labels, TARE_U8, 1, shape, NULL), TARE_OK);
    memset(images.data, 7, tare_array_bytes(&images));
    const char *const names[4] = {"x_train", "y_train", "x_test", "y_test"};
    const struct tare_array *const arrays[4] = {&images, &labels, &images, &labels};
    for (uint64_t wide = 0; wide <= 2000; wide += 250) { /* none, some and all of its parts */
        struct tare_buf bytes = {0};
        assert_int_equal(tare_npz_bytes(&bytes, names, arrays, 4, wide, NULL), TARE_OK);
        check_npz(scratch_write("wide.npz", bytes.data, bytes.size), &images);
        tare_buf_free(&bytes);
    }
    tare_array_free(&images);
    tare_array_free(&labels);
}

static char *join(const char *folder, const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void a_set_is_prepared_once_and_whole(void **state) {
    (void)state;
    struct tare_dataset set;
    struct tare_array back;
    struct stat before, after;
    char *folder = NULL, *again = NULL, npz_sha[65], npz_sha_again[65];
    make_idx_set("own", true, '-');
    assert_int_equal(load(&set, NULL, scratch_path("own"), NULL), TARE_OK);
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    assert_non_null(strstr(folder, "cache/tare/prepared/"));
    assert_int_equal(tare_npy_read(&back, join(folder, "train_images.npy"), NULL), TARE_OK);
    assert_memory_equal(back.data, set.train_images.data, tare_array_bytes(&back));
    tare_array_free(&back);
    assert_int_equal(tare_npy_read(&back, join(folder, "test_labels.npy"), NULL), TARE_OK);
    assert_int_equal(back.dtype, TARE_I32);
    tare_array_free(&back);
    const char *raw = join(folder, "torchvision/MNIST/raw/train-images-idx3-ubyte");
    assert_int_equal(tare_images_read(&back, raw, NULL), TARE_OK);
    assert_memory_equal(back.data, set.train_images.data, tare_array_bytes(&back));
    tare_array_free(&back);
    check_npz(join(folder, "keras/datasets/mnist.npz"), &set.train_images);
    assert_int_equal(tare_sha256_file(npz_sha, join(folder, "keras/datasets/mnist.npz"), NULL),
                     TARE_OK);

    /* Again: nothing is written. With a file taken away: all is made anew, the same bytes. */
    assert_int_equal(stat(folder, &before), 0);
    assert_int_equal(tare_dataset_prepare(&again, &set, NULL), TARE_OK);
    assert_string_equal(folder, again);
    free(again);
    assert_int_equal(stat(folder, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    unlink(join(folder, "test_images.npy"));
    setenv("TZ", "Pacific/Auckland", 1); /* the zip's dates do not depend on the place */
    assert_int_equal(tare_dataset_prepare(&again, &set, NULL), TARE_OK);
    unsetenv("TZ");
    assert_true(tare_path_exists(join(folder, "test_images.npy")));
    const char *npz = join(folder, "keras/datasets/mnist.npz");
    assert_int_equal(tare_sha256_file(npz_sha_again, npz, NULL), TARE_OK);
    assert_string_equal(npz_sha, npz_sha_again);
    free(again);
    free(folder);
    tare_dataset_free(&set);
}

static void loaders_get_pictures_whatever_the_shape(void **state) {
    (void)state;
    static const struct {
        int rank;
        size_t sample[3], height, width;
        int classes;
    } table[] = {{2, {7}, 1, 7, 2}, {3, {2, 5}, 2, 5, 3}, {4, {2, 5, 3}, 2, 15, 4}};
    for (size_t i = 0; i < 3; i++) {
        struct tare_dataset set;
        struct tare_array back;
        char *folder = NULL;
        make_npy_set("shaped", table[i].rank, table[i].sample, table[i].classes);
        assert_int_equal(load(&set, NULL, scratch_path("shaped"), NULL), TARE_OK);
        assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
        const char *raw = join(folder, "torchvision/MNIST/raw/t10k-images-idx3-ubyte");
        assert_int_equal(tare_images_read(&back, raw, NULL), TARE_OK);
        assert_int_equal(back.rank, 3);
        assert_int_equal(back.shape[1], table[i].height);
        assert_int_equal(back.shape[2], table[i].width);
        tare_array_free(&back);
        assert_int_equal(tare_npy_read(&back, join(folder, "train_images.npy"), NULL), TARE_OK);
        assert_int_equal(back.rank, table[i].rank); /* the engines get it as it came */
        tare_array_free(&back);
        check_npz(join(folder, "keras/datasets/mnist.npz"), &set.train_images);
        free(folder);
        tare_dataset_free(&set);
    }
}

static void many_classes_leave_torchvision_out_and_say_so(void **state) {
    (void)state;
    struct tare_dataset set;
    char *folder = NULL;
    const size_t sample[1] = {2}, train[1] = {N_TRAIN};
    make_npy_set("many", 2, sample, 2);
    struct tare_array labels;
    assert_int_equal(tare_array_make(&labels, TARE_I32, 1, train, NULL), TARE_OK);
    ((int32_t *)labels.data)[0] = 256;
    assert_int_equal(tare_npy_write(scratch_path("many/train_labels.npy"), &labels, NULL), TARE_OK);
    tare_array_free(&labels);
    assert_int_equal(load(&set, NULL, scratch_path("many"), NULL), TARE_OK);
    assert_int_equal(set.classes, 257);
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    assert_false(tare_path_exists(join(folder, "torchvision/MNIST")));
    assert_true(tare_path_exists(join(folder, "torchvision/why-empty.txt")));
    check_npz(join(folder, "keras/datasets/mnist.npz"), &set.train_images);
    char *again = NULL;
    assert_int_equal(tare_dataset_prepare(&again, &set, NULL), TARE_OK);
    free(again);
    free(folder);
    tare_dataset_free(&set);
}

static void makers_at_the_same_time_agree(void **state) {
    (void)state;
    enum { MAKERS = 6 };
    struct tare_dataset set;
    make_idx_set("shared", false, '-');
    assert_int_equal(load(&set, NULL, scratch_path("shared"), NULL), TARE_OK);
    setenv("XDG_CACHE_HOME", scratch_path("cache2"), 1);
    pid_t makers[MAKERS];
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = fork();
        if (makers[i] == 0) {
            char *folder = NULL;
            const enum tare_status status = tare_dataset_prepare(&folder, &set, NULL);
            _exit(status == TARE_OK && tare_path_exists(join(folder, "keras/datasets/mnist.npz"))
                      ? 0
                      : 1);
        }
    }
    for (int i = 0; i < MAKERS; i++) {
        int how = -1;
        assert_int_equal(waitpid(makers[i], &how, 0), makers[i]);
        assert_int_equal(how, 0);
    }
    char *folder = NULL;
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    free(folder);
    /* "." and ".." and the finished folder; no temporary one is left beside it. */
    struct dirent **entries = NULL;
    const int count = scandir(scratch_path("cache2/tare/prepared"), &entries, NULL, alphasort);
    assert_int_equal(count, 3);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    tare_dataset_free(&set);
}

static void a_place_that_cannot_be_written_is_an_error(void **state) {
    (void)state;
    struct tare_dataset set;
    struct tare_err err = {0};
    char *folder = NULL;
    make_idx_set("own2", false, '-');
    assert_int_equal(load(&set, NULL, scratch_path("own2"), NULL), TARE_OK);
    setenv("XDG_CACHE_HOME", scratch_write("a file", "x", 1), 1);
    assert_int_equal(tare_dataset_prepare(&folder, &set, &err), TARE_IO);
    assert_null(folder);
    assert_true(err.where[0] != '\0');
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    tare_dataset_free(&set);
}

static void a_full_disk_is_an_error_before_the_work(void **state) {
    (void)state;
    /* A set that would need 48 GiB, and holds nothing: nothing may be read or written of it. */
    const size_t huge = (size_t)1 << 30;
    struct tare_dataset set = {.sha256 = "00", .classes = 1};
    struct tare_array images = {.dtype = TARE_U8, .rank = 3, .shape = {huge, 2, 2}};
    struct tare_array labels = {.dtype = TARE_I32, .rank = 1, .shape = {huge}};
    struct tare_err err = {0};
    struct statvfs disk;
    char *folder = NULL;
    set.train_images = images;
    set.train_labels = set.test_labels = labels;
    set.test_images = images;
    const char *small_disk = "/dev/shm";
    if (statvfs(small_disk, &disk) != 0 || disk.f_bavail * disk.f_frsize >= 12 * huge * 4) {
        print_message("there is no disk with less than 48 GiB at %s\n", small_disk);
        skip();
    }
    char cache[64];
    snprintf(cache, sizeof cache, "%s/tare-test-%ld", small_disk, (long)getpid());
    setenv("XDG_CACHE_HOME", cache, 1);
    assert_int_equal(tare_dataset_prepare(&folder, &set, &err), TARE_IO);
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    temporary_remove(strdup(cache));
    assert_null(folder);
    assert_non_null(strstr(err.what, "MB of disk space"));
    assert_non_null(strstr(err.hint, "XDG_CACHE_HOME"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_mnist_is_read_and_recognised),
        cmocka_unit_test(fashion_mnist_is_known_and_stands_in),
        cmocka_unit_test(a_damaged_published_set_is_an_error),
        cmocka_unit_test(own_idx_files_are_read_in_all_their_spellings),
        cmocka_unit_test(own_npy_files_are_read),
        cmocka_unit_test(pictures_in_folders_are_read),
        cmocka_unit_test(bad_folders_of_pictures_are_named),
        cmocka_unit_test(sets_that_do_not_fit_together_are_refused),
        cmocka_unit_test(a_wide_npz_is_readable),
        cmocka_unit_test(a_set_is_prepared_once_and_whole),
        cmocka_unit_test(loaders_get_pictures_whatever_the_shape),
        cmocka_unit_test(many_classes_leave_torchvision_out_and_say_so),
        cmocka_unit_test(makers_at_the_same_time_agree),
        cmocka_unit_test(a_full_disk_is_an_error_before_the_work),
        cmocka_unit_test(a_place_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests_name("dataset", tests, setup, scratch_teardown);
}
