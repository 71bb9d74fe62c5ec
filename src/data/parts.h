/* parts.h: what the files of src/data share; data.h is the public face.
 *
 * The four files of a set always come in one order: training images, training labels, test images,
 * test labels.
 */
#ifndef TARE_DATA_PARTS_H
#define TARE_DATA_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/npy.h"
#include "data/decoded.h"
#include "tare/buf.h"
#include "tare/data.h"

#define TARE_SET_FILES 4
#define TARE_MAX_CLASSES 65536

/* A published set, and how to tell that a folder holds exactly it (known_sets.c). */
struct tare_known_file {
    const char *name; /* without .gz */
    size_t bytes;     /* uncompressed, as is the SHA-256 */
    const char *sha256;
};
struct tare_known_set {
    const char *name, *title, *licence;
    const char *arrays_sha256;  /* tare_dataset.sha256 of the set, saved hashing it at each start */
    const char *system_dir;     /* where a package of the system puts it; may be NULL */
    const char *const *mirrors; /* NULL-terminated addresses of folders; may be NULL */
    const char *get;            /* how to get it by hand, for hints */
    struct tare_known_file files[TARE_SET_FILES];
};
extern const struct tare_known_set tare_known_sets[];
extern const size_t tare_known_set_count;
const struct tare_known_set *tare_known_set_find(const char *name);

/* What a folder holds (look.c). IDX and .npy sets have a path per file, NULL for one missing. */
#define TARE_FOUND_LIST(X)                                                                         \
    X(NOTHING, "nothing")                                                                          \
    X(IDX, "IDX files")                                                                            \
    X(NPY, ".npy files")                                                                           \
    X(FOLDER, "folders of pictures")
enum tare_found_kind {
#define X(id, name) TARE_FOUND_##id,
    TARE_FOUND_LIST(X)
#undef X
};
struct tare_found {
    enum tare_found_kind kind;
    char *dir;
    char *paths[TARE_SET_FILES];
};
enum tare_status tare_look_in(struct tare_found *found, const char *dir, struct tare_err *err);
const char *tare_found_name(enum tare_found_kind kind);
/* The usual name of the first file that is missing, or NULL when the set is complete. */
const char *tare_found_missing(const struct tare_found *found);
void tare_found_free(struct tare_found *found);

/* The header at the start of an IDX file, of which at least the first 20 bytes are there (idx.c).
 */
enum tare_status tare_idx_header_parse(struct tare_npy_header *header, const void *bytes,
                                       size_t size, const char *name, struct tare_err *err);

/* Images (uint8, n first) or labels (int32) out of an IDX or .npy file, opened and not yet read
 * (images.c). Afterwards file->bytes is known, and file->content until file is closed: images own
 * it. */
enum tare_status tare_images_take(struct tare_array *images, struct tare_decoded *file,
                                  struct tare_err *err);
enum tare_status tare_labels_take(struct tare_array *labels, struct tare_decoded *file,
                                  struct tare_err *err);

/* Fills the four arrays from DIR/train/CLASS/x.png and DIR/test/CLASS/x.png (folder.c). */
enum tare_status tare_folder_load(struct tare_dataset *set, const char *dir, struct tare_err *err);

/* Reads a complete find (read_set.c), or what the cache has of it. wanted: the published set it
 * must be; NULL with `any` false: a published set where its checksums say so, an error where it is
 * a damaged one, else own data; NULL with `any` true: never an error for being a damaged published
 * set. */
enum tare_status tare_found_read(struct tare_dataset *set, const struct tare_found *found,
                                 const struct tare_known_set *wanted, bool any,
                                 enum tare_data_cache cache, struct tare_err *err);
/* Of the four arrays' bytes, in their order. */
void tare_set_sha256(char out[65], struct tare_dataset *set);

/* The name of a set's folder below <cache>/prepared (prepare.c). */
void tare_prepared_name(struct tare_buf *name, const struct tare_dataset *set);

/* What was known of a set when it was read before (remember.c). A seal says how the files of a
 * prepared folder were when they were written; tare_is_sealed: they still are so. */
enum tare_status tare_seal(const char *dir, struct tare_err *err);
bool tare_is_sealed(const char *dir);
/* What is asked for, of which files. False where the answer is not to be remembered. wanted: the
 * name of the published set, or "". */
bool tare_ask(struct tare_buf *question, const struct tare_found *found, const char *wanted,
              bool any);
/* Fills set from the prepared folder, but for source, standin and classes; after false it may be
 * filled in part, and is to be freed. */
bool tare_recall(struct tare_dataset *set, const struct tare_buf *question, bool mapped);
/* The set was read: question moves into set->origin. Once there is a folder, it's remembered. */
void tare_note_answer(struct tare_dataset *set, struct tare_buf *question);
void tare_remember(const struct tare_dataset *set, const char *folder);

/* A set's four arrays in their order. */
static inline struct tare_array *tare_set_array(struct tare_dataset *set, size_t i) {
    struct tare_array *arrays[TARE_SET_FILES] = {&set->train_images, &set->train_labels,
                                                 &set->test_images, &set->test_labels};
    return arrays[i];
}

/* Of "Content-Range: bytes 100-199/200", an HTTP header: 100. −1: it is another one. (fetch.c) */
int64_t tare_content_range_start(const char *line, size_t size);

/* options->progress, where there is one. */
void tare_data_progress(const struct tare_data_options *options, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
