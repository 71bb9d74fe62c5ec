/* folder.c: a data set as people keep pictures: DIR/train/CLASS/x.png and DIR/test/CLASS/x.png.
 * Classes are numbered in the natural order of their names in train ("2" before "10"), pictures
 * are taken in the natural order of theirs, so that the same folder gives the same bytes
 * everywhere. One coloured picture makes the whole set RGB. png.c reads the pictures.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/parts.h"
#include "data/png.h"

struct names {
    struct dirent **entries;
    int count;
};

struct sample {
    char *path;
    int32_t label;
};

struct samples {
    struct sample *items;
    size_t count, capacity;
};

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static enum tare_status list(struct names *names, const char *dir, struct tare_err *err) {
    *names = (struct names){0};
    names->count = (int)TEMP_FAILURE_RETRY(scandir(dir, &names->entries, visible, versionsort));
    if (names->count < 0) {
        *names = (struct names){0};
        return tare_fail_errno(err, dir, "check the folder and its permissions",
                               "the folder cannot be listed");
    }
    return TARE_OK;
}

static void free_names(struct names *names) {
    for (int i = 0; i < names->count; i++)
        free(names->entries[i]);
    free(names->entries);
    *names = (struct names){0};
}

static void free_samples(struct samples *samples) {
    for (size_t i = 0; i < samples->count; i++)
        free(samples->items[i].path);
    free(samples->items);
    *samples = (struct samples){0};
}

static enum tare_status no_memory(const char *where, struct tare_err *err) {
    return tare_fail(err, TARE_MEMORY, where, NULL, "no memory to list the pictures");
}

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Takes path over, also when it fails. */
static enum tare_status add_sample(struct samples *samples, char *path, int32_t label,
                                   struct tare_err *err) {
    if (samples->count == samples->capacity) {
        const size_t capacity = samples->capacity == 0 ? 256 : samples->capacity * 2;
        struct sample *grown = realloc(samples->items, capacity * sizeof *grown);
        if (grown == NULL) {
            free(path);
            return no_memory(NULL, err);
        }
        samples->items = grown;
        samples->capacity = capacity;
    }
    samples->items[samples->count++] = (struct sample){.path = path, .label = label};
    return TARE_OK;
}

static enum tare_status add_class(struct samples *samples, const char *dir, int32_t label,
                                  struct tare_err *err) {
    struct names names;
    enum tare_status status = list(&names, dir, err);
    for (int i = 0; status == TARE_OK && i < names.count; i++) {
        const char *name = names.entries[i]->d_name;
        const size_t length = strlen(name);
        char *path = tare_path_join(dir, name);
        if (path == NULL) {
            status = no_memory(dir, err);
        } else if (length < 4 || strcasecmp(name + length - 4, ".png") != 0) {
            /* Left out silently, a set of .jpg files would shrink without a word. */
            status = tare_fail(err, TARE_DATA, path, "convert it to PNG, or take it away",
                               "this is not a .png file");
            free(path);
        } else {
            status = add_sample(samples, path, label, err);
        }
    }
    free_names(&names);
    return status;
}

/* The classes of `dir` (names), whose numbers come from `classes`: train's own names. */
static enum tare_status add_split(struct samples *samples, const char *dir,
                                  const struct names *names, const struct names *classes,
                                  struct tare_err *err) {
    enum tare_status status = TARE_OK;
    int32_t label = 0; /* both lists are in one order */
    for (int i = 0; status == TARE_OK && i < names->count; i++) {
        const char *name = names->entries[i]->d_name;
        char *path = tare_path_join(dir, name);
        if (path == NULL)
            return no_memory(dir, err);
        while (label < classes->count && strverscmp(classes->entries[label]->d_name, name) < 0)
            label++;
        const bool known =
            label < classes->count && strcmp(classes->entries[label]->d_name, name) == 0;
        if (!is_folder(path))
            status = tare_fail(err, TARE_DATA, path, "keep one folder per class here, nothing else",
                               "this is not a folder of pictures");
        else if (!known)
            status = tare_fail(err, TARE_DATA, path, "give train the same classes as test",
                               "there is no such class in train");
        else
            status = add_class(samples, path, label, err);
        free(path);
    }
    if (status == TARE_OK && samples->count == 0)
        status = tare_fail(err, TARE_DATA, dir,
                           "put pictures into DIR/train/CLASS/x.png and "
                           "DIR/test/CLASS/x.png",
                           "there are no pictures here");
    return status;
}

static enum tare_status list_samples(struct samples splits[2], const char *dir,
                                     struct tare_err *err) {
    char *paths[2] = {tare_path_join(dir, "train"), tare_path_join(dir, "test")};
    struct names names[2] = {{0}, {0}};
    enum tare_status status = paths[0] == NULL || paths[1] == NULL ? no_memory(dir, err) : TARE_OK;
    for (int i = 0; status == TARE_OK && i < 2; i++)
        status = list(&names[i], paths[i], err);
    if (status == TARE_OK && names[0].count > TARE_MAX_CLASSES)
        status = tare_fail(err, TARE_DATA, paths[0], "use fewer classes", "more than %d classes",
                           TARE_MAX_CLASSES);
    for (int i = 0; status == TARE_OK && i < 2; i++)
        status = add_split(&splits[i], paths[i], &names[i], &names[0], err);
    for (int i = 0; i < 2; i++) {
        free_names(&names[i]);
        free(paths[i]);
    }
    return status;
}

/* Every picture's size must be the first one's; *common is set to it. */
static enum tare_status check_sizes(struct tare_png_info *common, const struct samples splits[2],
                                    struct tare_err *err) {
    bool first = true, colour = false;
    for (int split = 0; split < 2; split++) {
        for (size_t i = 0; i < splits[split].count; i++) {
            const char *path = splits[split].items[i].path;
            struct tare_png_info info;
            enum tare_status status = tare_png_info(&info, path, err);
            if (status != TARE_OK)
                return status;
            if (first)
                *common = info;
            first = false;
            colour = colour || info.colour;
            if (info.height != common->height || info.width != common->width)
                return tare_fail(err, TARE_DATA, path, "scale all pictures to one size",
                                 "the picture is %zu × %zu, the first one %zu × %zu", info.width,
                                 info.height, common->width, common->height);
        }
    }
    common->colour = colour;
    return TARE_OK;
}

static enum tare_status read_split(struct tare_array *images, struct tare_array *labels,
                                   const struct samples *samples,
                                   const struct tare_png_info *common, struct tare_err *err) {
    const size_t shape[4] = {samples->count, common->height, common->width, 3};
    const int channels = common->colour ? 3 : 1;
    enum tare_status status = tare_array_make(images, TARE_U8, common->colour ? 4 : 3, shape, err);
    if (status == TARE_OK)
        status = tare_array_make(labels, TARE_I32, 1, shape, err);
    const size_t image_bytes = common->height * common->width * (size_t)channels;
    for (size_t i = 0; status == TARE_OK && i < samples->count; i++) {
        ((int32_t *)labels->data)[i] = samples->items[i].label;
        status = tare_png_read((uint8_t *)images->data + i * image_bytes, common, channels,
                               samples->items[i].path, err);
    }
    return status;
}

enum tare_status tare_folder_load(struct tare_dataset *set, const char *dir, struct tare_err *err) {
    struct samples splits[2] = {{0}, {0}};
    struct tare_png_info common = {0};
    enum tare_status status = list_samples(splits, dir, err);
    if (status == TARE_OK)
        status = check_sizes(&common, splits, err);
    if (status == TARE_OK)
        status = read_split(&set->train_images, &set->train_labels, &splits[0], &common, err);
    if (status == TARE_OK)
        status = read_split(&set->test_images, &set->test_labels, &splits[1], &common, err);
    free_samples(&splits[0]);
    free_samples(&splits[1]);
    return status;
}
