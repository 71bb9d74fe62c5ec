/* read_set.c: reads the set that look.c found, and decides what it is: a published set, recognised
 * by the checksums of its files, or somebody's own, named after its folder. The rule stands in
 * doc/formats.md. Neighbours: images.c and folder.c read the files, dataset.c searches.
 */
#include <ctype.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/parts.h"

/* What is known of a file besides its array. */
struct file_facts {
    size_t bytes;    /* uncompressed */
    char sha256[65]; /* empty, where no published file has so many bytes */
};

static bool may_be_published(size_t bytes) {
    for (size_t k = 0; k < tare_known_set_count; k++)
        for (size_t i = 0; i < TARE_SET_FILES; i++)
            if (tare_known_sets[k].files[i].bytes == bytes)
                return true;
    return false;
}

static enum tare_status read_file(struct tare_dataset *set, struct file_facts *facts, size_t role,
                                  const char *path, struct tare_err *err) {
    struct tare_decoded file;
    struct tare_array *array = tare_set_array(set, role);
    enum tare_status status = tare_decoded_open(&file, path, err);
    if (status == TARE_OK)
        status = role % 2 == 0 ? tare_images_take(array, &file, err)
                               : tare_labels_take(array, &file, err);
    if (status == TARE_OK) {
        facts->bytes = file.bytes;
        if (may_be_published(file.bytes))
            tare_sha256_hex(facts->sha256, file.content, file.bytes);
    }
    tare_decoded_close(&file);
    return status;
}

static bool file_is(const struct file_facts *facts, const struct tare_known_file *file) {
    return strcmp(facts->sha256, file->sha256) == 0;
}

static size_t count_matches(const struct file_facts facts[], const struct tare_known_set *known) {
    size_t matches = 0;
    for (size_t i = 0; i < TARE_SET_FILES; i++)
        matches += file_is(&facts[i], &known->files[i]);
    return matches;
}

/* The error for the first file that is not the published one. */
static enum tare_status wrong_file(const struct tare_found *found, const struct file_facts facts[],
                                   const struct tare_known_set *known, struct tare_err *err) {
    size_t i = 0;
    while (i + 1 < TARE_SET_FILES && file_is(&facts[i], &known->files[i]))
        i++;
    const struct tare_known_file *file = &known->files[i];
    char hint[400];
    snprintf(hint, sizeof hint,
             "take the file away and get it anew (%s); for data of your own, name another folder "
             "with --data DIR",
             known->get);
    if (facts[i].bytes != file->bytes)
        return tare_fail(err, TARE_DATA, found->paths[i], hint,
                         "this is not %s's file: it has %zu bytes uncompressed, %s's has %zu",
                         known->title, facts[i].bytes, known->title, file->bytes);
    return tare_fail(err, TARE_DATA, found->paths[i], hint,
                     "wrong checksum: its %zu bytes (uncompressed) have SHA-256 %.16s…, %s's have "
                     "%.16s…",
                     facts[i].bytes, facts[i].sha256, known->title, file->sha256);
}

/* The last part of a folder's real path, fit for titles and file names. */
static void folder_name(char *out, size_t out_size, const char *dir) {
    char *real = realpath(dir, NULL);
    const char *slash = real == NULL ? NULL : strrchr(real, '/');
    const char *name = slash == NULL || slash[1] == '\0' ? "data" : slash + 1;
    size_t length = 0;
    for (; name[length] != '\0' && length + 1 < out_size; length++) {
        const unsigned char c = (unsigned char)name[length];
        out[length] = c < 0x80 && (isalnum(c) || strchr("._- ", c) != NULL) ? (char)c : '_';
    }
    out[length] = '\0';
    free(real);
}

static void describe_known(struct tare_dataset *set, const struct tare_known_set *known) {
    snprintf(set->name, sizeof set->name, "%s", known->name);
    snprintf(set->title, sizeof set->title, "%s", known->title);
    snprintf(set->licence, sizeof set->licence, "%s", known->licence);
    snprintf(set->sha256, sizeof set->sha256, "%s", known->arrays_sha256);
}

/* Own data never carry a published set's name, whatever their folder is called. */
static void describe_own(struct tare_dataset *set, const char *dir) {
    char name[56];
    folder_name(name, sizeof name, dir);
    bool taken = false;
    for (size_t k = 0; k < tare_known_set_count; k++)
        taken = taken || strcasecmp(name, tare_known_sets[k].name) == 0;
    snprintf(set->name, sizeof set->name, "%s%s", taken ? "own-" : "", name);
    snprintf(set->title, sizeof set->title, "%s", set->name);
    snprintf(set->licence, sizeof set->licence, "your own data");
}

/* Is this folder meant to be the published set, although not all its files are? When one of its
 * files has the published size but not the published bytes, and either another file is the
 * published one or the folder bears the set's name. */
static bool meant_to_be(const struct tare_found *found, const struct file_facts facts[],
                        const struct tare_known_set *known) {
    char name[64];
    folder_name(name, sizeof name, found->dir);
    bool damaged = false;
    for (size_t i = 0; i < TARE_SET_FILES; i++)
        damaged = damaged || (facts[i].bytes == known->files[i].bytes &&
                              !file_is(&facts[i], &known->files[i]));
    return damaged && (count_matches(facts, known) > 0 || strcasecmp(name, known->name) == 0);
}

static enum tare_status identify(struct tare_dataset *set, const struct tare_found *found,
                                 const struct file_facts facts[],
                                 const struct tare_known_set *wanted, bool any,
                                 struct tare_err *err) {
    for (size_t k = 0; k < tare_known_set_count; k++) {
        const struct tare_known_set *known = &tare_known_sets[k];
        if (count_matches(facts, known) == TARE_SET_FILES && (wanted == NULL || wanted == known)) {
            describe_known(set, known);
            return TARE_OK;
        }
    }
    if (wanted != NULL)
        return wrong_file(found, facts, wanted, err);
    for (size_t k = 0; !any && k < tare_known_set_count; k++)
        if (meant_to_be(found, facts, &tare_known_sets[k]))
            return wrong_file(found, facts, &tare_known_sets[k], err);
    describe_own(set, found->dir);
    return TARE_OK;
}

static enum tare_status check_pair(const struct tare_array *images, const struct tare_array *labels,
                                   const char *which, const char *dir, struct tare_err *err) {
    if (images->shape[0] == labels->shape[0])
        return TARE_OK;
    return tare_fail(err, TARE_DATA, dir, "give one label per image",
                     "there are %zu %s images and %zu %s labels", images->shape[0], which,
                     labels->shape[0], which);
}

static enum tare_status check_set(struct tare_dataset *set, const char *dir, struct tare_err *err) {
    const struct tare_array *train = &set->train_images, *test = &set->test_images;
    enum tare_status status = check_pair(train, &set->train_labels, "training", dir, err);
    if (status == TARE_OK)
        status = check_pair(test, &set->test_labels, "test", dir, err);
    if (status != TARE_OK)
        return status;
    bool same = train->rank == test->rank;
    for (int i = 1; same && i < train->rank; i++)
        same = train->shape[i] == test->shape[i];
    if (!same)
        return tare_fail(err, TARE_DATA, dir, "scale all images to one size",
                         "training and test images have different shapes");
    set->classes = 0;
    for (size_t role = 1; role < TARE_SET_FILES; role += 2) {
        const struct tare_array *labels = tare_set_array(set, role);
        const int32_t *label = labels->data;
        for (size_t i = 0; i < labels->shape[0]; i++)
            if ((size_t)label[i] >= set->classes)
                set->classes = (size_t)label[i] + 1;
    }
    return TARE_OK;
}

void tare_set_sha256(char out[65], struct tare_dataset *set) {
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    for (size_t i = 0; i < TARE_SET_FILES; i++) {
        const struct tare_array *array = tare_set_array(set, i);
        sha256_update(&context, tare_array_bytes(array), array->data);
    }
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Whatever is wrong with what is remembered: the sources are read. */
static bool recalled(struct tare_dataset *set, const struct tare_buf *question,
                     enum tare_data_cache cache) {
    if (tare_recall(set, question, cache == TARE_CACHE_MAPPED) &&
        check_set(set, "", NULL) == TARE_OK)
        return true;
    tare_dataset_free(set);
    return false;
}

static enum tare_status read_sources(struct tare_dataset *set, const struct tare_found *found,
                                     const struct tare_known_set *wanted, bool any,
                                     struct tare_err *err) {
    struct file_facts facts[TARE_SET_FILES] = {{0}};
    enum tare_status status = TARE_OK;
    if (found->kind == TARE_FOUND_FOLDER)
        status = tare_folder_load(set, found->dir, err);
    for (size_t i = 0; status == TARE_OK && found->kind != TARE_FOUND_FOLDER && i < TARE_SET_FILES;
         i++)
        status = read_file(set, &facts[i], i, found->paths[i], err);
    if (status == TARE_OK)
        status = identify(set, found, facts, wanted, any, err);
    if (status == TARE_OK)
        status = check_set(set, found->dir, err);
    if (status == TARE_OK && set->sha256[0] == '\0')
        tare_set_sha256(set->sha256, set);
    if (status != TARE_OK)
        tare_dataset_free(set);
    return status;
}

enum tare_status tare_found_read(struct tare_dataset *set, const struct tare_found *found,
                                 const struct tare_known_set *wanted, bool any,
                                 enum tare_data_cache cache, struct tare_err *err) {
    struct tare_buf question = {0};
    enum tare_status status = TARE_OK;
    *set = (struct tare_dataset){0};
    const bool asked = cache != TARE_CACHE_UNUSED &&
                       tare_ask(&question, found, wanted != NULL ? wanted->name : "", any);
    if (!asked || !recalled(set, &question, cache)) {
        status = read_sources(set, found, wanted, any, err);
        if (status == TARE_OK && asked)
            tare_note_answer(set, &question);
    }
    if (status == TARE_OK)
        snprintf(set->source, sizeof set->source, "%s", found->dir);
    tare_buf_free(&question);
    return status;
}
