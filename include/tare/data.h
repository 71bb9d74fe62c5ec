/* data.h: image sets: found, checked, read, and laid out for the engines.
 *
 *     struct tare_dataset set = {0};
 *     struct tare_data_options where = {.name = "mnist", .allow_download = true};
 *     if (tare_dataset_load(&set, &where, &err) != TARE_OK) …
 *     set.train_images    uint8 (60000, 28, 28)      set.train_labels   int32 (60000)
 *     tare_dataset_free(&set);
 *
 * Looked for, in this order: options.dir, $TARE_DATA, ./data, <cache>/data; in each, the folder
 * itself or its subfolder <name>, each file plain or .gz. Then downloaded.
 */
#ifndef TARE_DATA_H
#define TARE_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/array.h"
#include "tare/err.h"

struct tare_dataset {
    char name[64];    /* "mnist", "fashion-mnist", or the name of the user's folder */
    char title[128];  /* as in titles: "MNIST", "Fashion-MNIST (stand-in: MNIST not found)" */
    char source[512]; /* the folder it was read from */
    char licence[128];
    char sha256[65]; /* of the four decoded arrays' bytes, in the order below */
    bool standin;    /* not the set that was asked for */
    size_t classes;  /* 1 + the largest label */
    struct tare_array train_images, train_labels, test_images, test_labels;
    bool mapped;  /* the images lie in the prepared folder's own files */
    char *origin; /* for the cache: how the source files were when they were read; may be NULL */
};

/* A set that was prepared before, and whose files haven't changed since, may come from the cache:
 * neither inflated nor hashed again. */
enum tare_data_cache {
    TARE_CACHE_UNUSED, /* everything is read and checked */
    TARE_CACHE_READ,
    TARE_CACHE_MAPPED, /* images are mapped: for who doesn't touch them any more once a program runs
                          that could change the files underneath */
};

struct tare_data_options {
    const char *name; /* "mnist" (default when NULL), "fashion-mnist", or "" for any set in dir */
    const char *dir;  /* --data DIR; NULL: the search path */
    enum tare_data_cache cache;
    bool allow_download;
    bool allow_standin; /* fall back to Fashion-MNIST where MNIST cannot be had */
    const char *mirror; /* NULL: the public mirrors; tests name a local server here */
    int timeout_s;      /* give up when a server is silent for so long; 0: 30 s */
    void (*progress)(void *context, const char *text); /* may be NULL; long work reports here */
    void *context;
};

/* Finds, checks and reads a set. Known sets are checked against their published SHA-256 of the
 * uncompressed files; a mismatch, a short file or a bad header names the file and the byte. */
enum tare_status tare_dataset_load(struct tare_dataset *set,
                                   const struct tare_data_options *options, struct tare_err *err);
void tare_dataset_free(struct tare_dataset *set);

/* IDX (LeCun's format): magic 0 0 type rank, big-endian sizes, data. uint8 only. */
enum tare_status tare_idx_parse(struct tare_array *array, const void *bytes, size_t size,
                                const char *name, struct tare_err *err);

/* Reads an image pair of any supported kind by path: IDX or .npy, .gz or not. Images come back
 * uint8 (n, …), labels int32 (n). */
enum tare_status tare_images_read(struct tare_array *images, const char *path,
                                  struct tare_err *err);
enum tare_status tare_labels_read(struct tare_array *labels, const char *path,
                                  struct tare_err *err);

/* Downloads url to path, resuming a partial <path>.part, and renames it only when the SHA-256 of
 * the (uncompressed) bytes is the one given. A good file is never replaced by a bad one. */
enum tare_status tare_fetch(const char *path, const char *url, const char *sha256,
                            const struct tare_data_options *options, struct tare_err *err);

/* The folder in which a set lies ready for engines, made once per sha256 under <cache>/prepared:
 *     train_images.npy train_labels.npy test_images.npy test_labels.npy
 *     torchvision/MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte
 *     keras/datasets/mnist.npz           (uncompressed zip of x_train y_train x_test y_test .npy)
 * Free *folder. The test labels are there for the tutorials only; no controlled job names them. */
enum tare_status tare_dataset_prepare(char **folder, const struct tare_dataset *set,
                                      struct tare_err *err);
/* The i-th of those files, relative to the folder; NULL after the last. Read-only, all of them. */
const char *tare_dataset_file(size_t i);

#endif
