/* prepare.c: lays a data set out as the engines and the frameworks' own loaders expect it, once per
 * set, in tare's cache. Everything is written into a temporary folder beside the final one, which
 * is renamed when complete: a reader never sees half a set, and of two processes that make the
 * same one the second finds it done. A folder in which anything isn't as it was written
 * (remember.c) is made anew.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/npz.h"
#include "data/parts.h"

#define TORCH_RAW "torchvision/MNIST/raw"
#define TORCH_WHY_NOT "torchvision/why-empty.txt"
#define KERAS_NPZ "keras/datasets/mnist.npz"
#define SPARE_BYTES ((size_t)16 << 20) /* left on the disk for everybody else */

const char *tare_dataset_file(size_t i) {
    static const char *const files[] = {"train_images.npy",
                                        "train_labels.npy",
                                        "test_images.npy",
                                        "test_labels.npy",
                                        TORCH_RAW "/train-images-idx3-ubyte",
                                        TORCH_RAW "/train-labels-idx1-ubyte",
                                        TORCH_RAW "/t10k-images-idx3-ubyte",
                                        TORCH_RAW "/t10k-labels-idx1-ubyte",
                                        KERAS_NPZ};
    return i < sizeof files / sizeof *files ? files[i] : NULL;
}

/* The frameworks' MNIST loaders know one byte per label. */
static bool fits_a_byte(const struct tare_dataset *set) {
    return set->classes <= 256;
}

/* The same data as (n, h, w): what torchvision and Keras's MNIST readers insist on. The view
 * borrows the pixels. */
static struct tare_array as_pictures(const struct tare_array *images) {
    struct tare_array view = {.dtype = images->dtype, .rank = 3, .data = images->data};
    view.shape[0] = images->shape[0];
    view.shape[1] = images->rank == 2 ? 1 : images->shape[1];
    view.shape[2] = images->rank == 2 ? images->shape[1] : images->shape[2];
    if (images->rank == 4)
        view.shape[2] *= images->shape[3];
    return view;
}

static enum tare_status as_bytes(struct tare_array *bytes, const struct tare_array *labels,
                                 struct tare_err *err) {
    enum tare_status status = tare_array_make(bytes, TARE_U8, 1, labels->shape, err);
    for (size_t i = 0; status == TARE_OK && i < labels->shape[0]; i++)
        ((uint8_t *)bytes->data)[i] = (uint8_t)((const int32_t *)labels->data)[i];
    return status;
}

/* DIR/NAME, its folder made; NULL with err filled. */
static char *place(const char *dir, const char *name, struct tare_err *err) {
    char *path = tare_path_join(dir, name);
    if (path == NULL) {
        tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to prepare the data");
        return NULL;
    }
    char *slash = strrchr(path, '/');
    *slash = '\0';
    const enum tare_status status = tare_make_dirs(path, err);
    *slash = '/';
    if (status == TARE_OK)
        return path;
    free(path);
    return NULL;
}

static enum tare_status write_npy(const char *dir, const char *name, const struct tare_array *array,
                                  struct tare_err *err) {
    char *path = place(dir, name, err);
    const enum tare_status status = path == NULL ? TARE_IO : tare_npy_write(path, array, err);
    free(path);
    return status;
}

/* An uncompressed IDX file of a uint8 array. */
static enum tare_status write_idx(const char *dir, const char *name, const struct tare_array *array,
                                  struct tare_err *err) {
    struct tare_buf file = {0};
    const uint8_t magic[4] = {0, 0, 0x08, (uint8_t)array->rank};
    tare_buf_append(&file, magic, sizeof magic);
    for (int i = 0; i < array->rank; i++) {
        const size_t n = array->shape[i];
        const uint8_t big_endian[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                       (uint8_t)n};
        tare_buf_append(&file, big_endian, sizeof big_endian);
    }
    tare_buf_append(&file, array->data, tare_array_bytes(array));
    char *path = place(dir, name, err);
    enum tare_status status = TARE_IO;
    if (file.failed)
        status = tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to prepare the data");
    else if (path != NULL)
        status = tare_file_write(path, file.data, file.size, err);
    free(path);
    tare_buf_free(&file);
    return status;
}

/* The frameworks' own formats. pictures and labels: training, test. */
static enum tare_status write_for_loaders(const char *dir, const struct tare_array pictures[2],
                                          const struct tare_array labels[2], bool torchvision,
                                          struct tare_err *err) {
    static const char *const names[TARE_SET_FILES] = {
        TORCH_RAW "/train-images-idx3-ubyte", TORCH_RAW "/train-labels-idx1-ubyte",
        TORCH_RAW "/t10k-images-idx3-ubyte", TORCH_RAW "/t10k-labels-idx1-ubyte"};
    enum tare_status status = TARE_OK;
    for (size_t i = 0; torchvision && status == TARE_OK && i < TARE_SET_FILES; i++)
        status = write_idx(dir, names[i], i % 2 == 0 ? &pictures[i / 2] : &labels[i / 2], err);
    if (status != TARE_OK)
        return status;
    static const char *const npz_names[TARE_SET_FILES] = {"x_train", "y_train", "x_test", "y_test"};
    const struct tare_array *const arrays[TARE_SET_FILES] = {&pictures[0], &labels[0], &pictures[1],
                                                             &labels[1]};
    char *path = place(dir, KERAS_NPZ, err);
    status = path == NULL ? TARE_IO : tare_npz_write(path, npz_names, arrays, TARE_SET_FILES, err);
    free(path);
    return status;
}

static enum tare_status write_why_not(const char *dir, size_t classes, struct tare_err *err) {
    char text[160];
    const int length = snprintf(
        text, sizeof text,
        "torchvision's MNIST reader keeps a label in one byte; this set has %zu classes.\n",
        classes);
    char *path = place(dir, TORCH_WHY_NOT, err);
    const enum tare_status status =
        path == NULL ? TARE_IO : tare_file_write(path, text, (size_t)length, err);
    free(path);
    return status;
}

static enum tare_status write_all(const char *dir, const struct tare_dataset *set,
                                  struct tare_err *err) {
    const struct tare_array pictures[2] = {as_pictures(&set->train_images),
                                           as_pictures(&set->test_images)};
    enum tare_status status = write_npy(dir, "train_images.npy", &set->train_images, err);
    if (status == TARE_OK)
        status = write_npy(dir, "train_labels.npy", &set->train_labels, err);
    if (status == TARE_OK)
        status = write_npy(dir, "test_images.npy", &set->test_images, err);
    if (status == TARE_OK)
        status = write_npy(dir, "test_labels.npy", &set->test_labels, err);
    if (status != TARE_OK)
        return status;
    if (!fits_a_byte(set)) {
        const struct tare_array wide[2] = {set->train_labels, set->test_labels};
        status = write_why_not(dir, set->classes, err);
        return status != TARE_OK ? status : write_for_loaders(dir, pictures, wide, false, err);
    }
    struct tare_array labels[2] = {{0}, {0}};
    status = as_bytes(&labels[0], &set->train_labels, err);
    if (status == TARE_OK)
        status = as_bytes(&labels[1], &set->test_labels, err);
    if (status == TARE_OK)
        status = write_for_loaders(dir, pictures, labels, true, err);
    tare_array_free(&labels[0]);
    tare_array_free(&labels[1]);
    return status;
}

/* Pixels go into three formats, labels into at most four bytes in each. */
static size_t needed_bytes(const struct tare_dataset *set) {
    return 3 * (tare_array_bytes(&set->train_images) + tare_array_bytes(&set->train_labels) +
                tare_array_bytes(&set->test_images) + tare_array_bytes(&set->test_labels));
}

static enum tare_status check_space(const char *dir, const struct tare_dataset *set,
                                    struct tare_err *err) {
    struct statvfs disk;
    if (statvfs(dir, &disk) != 0)
        return tare_fail_errno(err, dir, "choose another folder with XDG_CACHE_HOME",
                               "the free disk space cannot be read");
    const double free_mb = (double)disk.f_bavail * (double)disk.f_frsize / 1e6;
    const double needed_mb = (double)(needed_bytes(set) + SPARE_BYTES) / 1e6;
    if (free_mb >= needed_mb)
        return TARE_OK;
    return tare_fail(err, TARE_IO, dir, "free some, or choose another disk with XDG_CACHE_HOME",
                     "the prepared data need %.0f MB of disk space, %.0f MB are free", needed_mb,
                     free_mb);
}

/* What cannot be removed stays; the rename that may follow will say so. */
static void remove_tree(const char *dir) {
    int saved = errno;
    tare_remove_tree(dir, NULL);
    errno = saved;
}

/* Engines only read these; an accident should not get further than the attempt. */
static void protect(const char *dir) {
    const char *name;
    char path[PATH_MAX];
    for (size_t i = 0; (name = tare_dataset_file(i)); i++)
        if (snprintf(path, sizeof path, "%s/%s", dir, name) < PATH_MAX)
            chmod(path, 0444); /* where it isn't possible, it is as it was */
}

/* Puts the finished temporary folder in place, unless another process was first. */
static enum tare_status put_in_place(const char *temporary, const char *final,
                                     struct tare_err *err) {
    if (rename(temporary, final) == 0)
        return TARE_OK;
    if (errno == ENOTEMPTY || errno == EEXIST) {
        if (tare_is_sealed(final)) {
            remove_tree(temporary);
            return TARE_OK;
        }
        remove_tree(final);
        if (rename(temporary, final) == 0)
            return TARE_OK;
    }
    const enum tare_status status = tare_fail_errno(err, final, "remove this folder and try again",
                                                    "the prepared data cannot be put in place");
    remove_tree(temporary);
    return status;
}

static enum tare_status make(const char *parent, const char *final, const struct tare_dataset *set,
                             struct tare_err *err) {
    enum tare_status status = tare_make_dirs(parent, err);
    if (status == TARE_OK)
        status = check_space(parent, set, err);
    if (status != TARE_OK)
        return status;
    char *temporary = tare_path_join(parent, ".new-XXXXXX");
    if (temporary == NULL || mkdtemp(temporary) == NULL || chmod(temporary, 0755) != 0) {
        status = tare_fail_errno(err, parent, "is the folder writable?",
                                 "a folder for the prepared data cannot be made");
    } else {
        status = write_all(temporary, set, err);
        protect(temporary);
        if (status == TARE_OK)
            status = tare_seal(temporary, err);
        if (status == TARE_OK)
            status = put_in_place(temporary, final, err);
        else
            remove_tree(temporary);
    }
    free(temporary);
    return status;
}

/* "<first 16 of sha256>-60000-10000-28x28": the checksum is of the bytes alone, and the same bytes
 * may be asked for in two shapes. */
void tare_prepared_name(struct tare_buf *name, const struct tare_dataset *set) {
    const struct tare_array *images = &set->train_images;
    tare_buf_printf(name, "%.16s-%zu-%zu", set->sha256, images->shape[0],
                    set->test_images.shape[0]);
    for (int i = 1; i < images->rank; i++)
        tare_buf_printf(name, "%c%zu", i == 1 ? '-' : 'x', images->shape[i]);
}

enum tare_status tare_dataset_prepare(char **folder, const struct tare_dataset *set,
                                      struct tare_err *err) {
    *folder = NULL;
    char *cache = tare_cache_dir();
    if (cache == NULL)
        return tare_no_cache_dir(err, "prepared data");
    struct tare_buf name = {0};
    tare_prepared_name(&name, set);
    char *parent = tare_path_join(cache, "prepared");
    char *final = parent == NULL || name.failed ? NULL : tare_path_join(parent, name.data);
    enum tare_status status = TARE_OK;
    if (final == NULL)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to prepare the data");
    else if (!set->mapped && !tare_is_sealed(final)) /* mapped: it was, a moment ago */
        status = make(parent, final, set, err);
    if (status == TARE_OK)
        tare_remember(set, final);
    free(cache);
    free(parent);
    tare_buf_free(&name);
    if (status == TARE_OK)
        *folder = final;
    else
        free(final);
    return status;
}
