/* test_remember.c: sets that come back from the cache: only when nothing has changed, and never a
 * wrong one, whatever lies in the cache. Every load is compared with what the sources say. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "data/parts.h"
#include "tare/data.h"

enum { N_TRAIN = 6, N_TEST = 3, SIDE = 4 };
static const char *const names[4] = {"train_images.npy", "train_labels.npy", "test_images.npy",
                                     "test_labels.npy"};

static char *source(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", scratch_path("own"), name);
    return path;
}

static void settle(void) { /* what changed just now isn't remembered */
    nanosleep(&(struct timespec){.tv_nsec = 130000000}, NULL);
}

/* One source file; every pixel is `value`. */
static void write_source(size_t role, int value) {
    const size_t shape[3] = {role < 2 ? N_TRAIN : N_TEST, SIDE, SIDE};
    struct tare_array array;
    const bool images = role % 2 == 0;
    assert_int_equal(
        tare_array_make(&array, images ? TARE_U8 : TARE_I32, images ? 3 : 1, shape, NULL), TARE_OK);
    for (size_t i = 0; i < tare_array_count(&array); i++)
        if (images)
            ((uint8_t *)array.data)[i] = (uint8_t)value;
        else
            ((int32_t *)array.data)[i] = (int32_t)(i % 3);
    assert_int_equal(tare_npy_write(source(names[role]), &array, NULL), TARE_OK);
    tare_array_free(&array);
}

static void write_sources(void) {
    assert_int_equal(tare_make_dirs(scratch_path("own"), NULL), TARE_OK);
    for (size_t role = 0; role < 4; role++)
        write_source(role, (int)(7 + role));
    settle();
}

static void load(struct tare_dataset *set, enum tare_data_cache cache) {
    const struct tare_data_options options = {
        .name = "", .dir = scratch_path("own"), .cache = cache};
    struct tare_err err = {0};
    if (tare_dataset_load(set, &options, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static void assert_same(struct tare_dataset *a, struct tare_dataset *b) {
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->title, b->title);
    assert_string_equal(a->source, b->source);
    assert_string_equal(a->licence, b->licence);
    assert_string_equal(a->sha256, b->sha256);
    assert_int_equal(a->classes, b->classes);
    for (size_t i = 0; i < TARE_SET_FILES; i++) {
        const struct tare_array *x = tare_set_array(a, i), *y = tare_set_array(b, i);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        assert_memory_equal(x->data, y->data, tare_array_bytes(y));
    }
}

/* Loads it, and says whether it came from the cache. It is the right set in any case. */
static bool recalled(void) {
    struct tare_dataset set, again, truth;
    load(&set, TARE_CACHE_MAPPED);
    load(&again, TARE_CACHE_READ);
    load(&truth, TARE_CACHE_UNUSED);
    assert_same(&set, &truth);
    assert_same(&again, &truth);
    assert_false(truth.mapped || again.mapped);
    assert_true(set.mapped == (again.origin == NULL) || set.origin == NULL);
    const bool mapped = set.mapped;
    tare_dataset_free(&set);
    tare_dataset_free(&again);
    tare_dataset_free(&truth);
    return mapped;
}

/* The prepared folder of what is loaded, made where it must be. */
static const char *prepare(void) {
    static char kept[1024];
    struct tare_dataset set;
    char *folder = NULL;
    load(&set, TARE_CACHE_READ);
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    snprintf(kept, sizeof kept, "%s", folder);
    free(folder);
    tare_dataset_free(&set);
    return kept;
}

static const char *in_folder(const char *name) {
    static char path[2048];
    snprintf(path, sizeof path, "%s/%s", prepare(), name);
    return path;
}

/* The one entry of the cache. */
static const char *entry(void) {
    static char path[1024];
    struct tare_buf command = {0};
    tare_buf_printf(&command, "ls -d %s/tare/remembered/????*", scratch_path("cache"));
    FILE *list = popen(command.data, "r");
    assert_non_null(list);
    assert_non_null(fgets(path, sizeof path, list));
    path[strcspn(path, "\n")] = '\0';
    pclose(list);
    tare_buf_free(&command);
    return path;
}

static void remember(void) {
    prepare();
    assert_true(recalled());
}

static void put(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_set_comes_back_from_the_cache(void **state) {
    (void)state;
    assert_false(recalled());
    remember();
    struct tare_dataset set;
    load(&set, TARE_CACHE_MAPPED);
    assert_non_null(set.train_images.map);
    char *folder = NULL;
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    assert_string_equal(folder, prepare());
    free(folder);
    tare_dataset_free(&set);
}

static void changed_sources_are_read(void **state) {
    (void)state;
    struct stat before;
    remember();
    /* Touched, with its times put back. */
    assert_int_equal(stat(source(names[0]), &before), 0);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, source(names[0]), times, 0), 0);
    settle();
    assert_false(recalled());
    remember();
    /* Other bytes, the same size and time; in place, and as another file. */
    for (int replaced = 0; replaced < 2; replaced++) {
        char aside[1100];
        snprintf(aside, sizeof aside, "%s.aside", source(names[2]));
        if (replaced)
            rename(source(names[2]), aside); /* so that its inode isn't used again */
        write_source(2, 99 + replaced);
        const struct timespec same[2] = {before.st_atim, before.st_mtim};
        assert_int_equal(utimensat(AT_FDCWD, source(names[2]), same, 0), 0);
        settle();
        assert_false(recalled());
        remember();
        unlink(aside);
    }
    /* Fresh from the oven: not remembered, since it may change again within a tick of the clock. */
    write_source(2, 9);
    prepare();
    assert_false(recalled());
    settle();
    remember();
}

static void changed_prepared_files_are_made_anew(void **state) {
    (void)state;
    static const char *const files[] = {"train_images.npy", "test_labels.npy",
                                        "keras/datasets/mnist.npz",
                                        "torchvision/MNIST/raw/t10k-images-idx3-ubyte", "seal"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        for (int way = 0; way < 5; way++) {
            struct stat before;
            remember();
            char path[2048];
            snprintf(path, sizeof path, "%s", in_folder(files[i]));
            assert_int_equal(stat(path, &before), 0);
            const struct timespec same[2] = {before.st_atim, before.st_mtim};
            assert_int_equal(chmod(path, 0644), 0);
            const int fd = open(path, O_WRONLY);
            assert_true(fd >= 0);
            if (way == 0)
                unlink(path);
            else if (way == 1) /* shorter */
                assert_int_equal(ftruncate(fd, before.st_size / 2), 0);
            else if (way == 2) /* as long, with the times that it had, and another last byte */
                assert_int_equal(pwrite(fd, "\x55", 1, before.st_size - 2), 1);
            else if (way == 3) /* longer */
                assert_int_equal(pwrite(fd, "x", 1, before.st_size), 1);
            else { /* a link to what it was */
                char aside[2100];
                snprintf(aside, sizeof aside, "%s.aside", path);
                assert_int_equal(rename(path, aside), 0);
                assert_int_equal(symlink(aside, path), 0);
            }
            close(fd);
            if (way == 2)
                assert_int_equal(utimensat(AT_FDCWD, path, same, 0), 0);
            const bool same_seal = way == 4 && i == 4; /* it says the same, wherever it lies */
            assert_true(recalled() == same_seal);
        }
    }
    remember();
}

/* Who can write to the cache can seal what he likes; but not for an entry that was there before. */
static void another_seal_is_not_the_one_remembered(void **state) {
    (void)state;
    char path[2048], folder[2048];
    remember();
    snprintf(path, sizeof path, "%s", in_folder("train_images.npy"));
    snprintf(folder, sizeof folder, "%s", prepare());
    assert_int_equal(chmod(path, 0644), 0);
    const int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "\x55", 1, 130), 1);
    close(fd);
    assert_int_equal(tare_seal(folder, NULL), TARE_OK);
    assert_true(tare_is_sealed(folder));
    assert_false(recalled());
    assert_int_equal(tare_remove_tree(folder, NULL), TARE_OK);
    remember();
}

static void a_mapped_set_is_not_made_of_itself(void **state) {
    (void)state;
    remember();
    struct tare_dataset set;
    char *folder = NULL, labels[2048];
    load(&set, TARE_CACHE_MAPPED);
    assert_true(set.mapped);
    snprintf(labels, sizeof labels, "%s", in_folder("test_labels.npy"));
    unlink(labels);
    assert_int_equal(tare_dataset_prepare(&folder, &set, NULL), TARE_OK);
    assert_false(tare_path_exists(labels));
    free(folder);
    tare_dataset_free(&set);
    assert_false(recalled());
    remember();
}

static void damaged_entries_are_nothing(void **state) {
    (void)state;
    struct tare_buf good = {0};
    remember();
    char path[1024];
    snprintf(path, sizeof path, "%s", entry());
    assert_int_equal(tare_file_read(&good, path, 8192, NULL), TARE_OK);
    for (size_t size = 0; size < good.size; size++) { /* the last byte is a newline */
        put(path, good.data, size);
        assert_false(recalled());
    }
    for (size_t at = 0; at < good.size - 1; at++) {
        good.data[at] ^= 1;
        put(path, good.data, good.size);
        assert_false(recalled());
        good.data[at] ^= 1;
    }
    put(path, good.data, good.size);
    assert_true(recalled());
    tare_buf_free(&good);
}

/* The entry with one text put in place of another, and a checksum that fits. */
static void forge(const char *path, const struct tare_buf *good, const char *from, const char *to) {
    struct tare_buf forged = {0};
    char sha256[65];
    const char *at = strstr(good->data, from), *sum = strstr(good->data, "\nsum ") + 1;
    assert_non_null(at);
    tare_buf_append(&forged, good->data, (size_t)(at - good->data));
    tare_buf_puts(&forged, to);
    tare_buf_append(&forged, at + strlen(from), (size_t)(sum - at) - strlen(from));
    tare_sha256_hex(sha256, forged.data, forged.size);
    tare_buf_printf(&forged, "sum %s\n", sha256);
    put(path, forged.data, forged.size);
    tare_buf_free(&forged);
}

static void forged_entries_are_nothing(void **state) {
    (void)state;
    struct tare_buf good = {0}, text = {0};
    char path[1024], sha256[80], folder[80];
    remember();
    snprintf(path, sizeof path, "%s", entry());
    assert_int_equal(tare_file_read(&good, path, 8192, NULL), TARE_OK);
    assert_int_equal(sscanf(strstr(good.data, "\nsha256 "), "\nsha256 %79s", sha256), 1);
    assert_int_equal(sscanf(strstr(good.data, "\nfolder "), "\nfolder %79s", folder), 1);
    forge(path, &good, "licence ", "licence "); /* the forger can do it right */
    assert_true(recalled());
    for (size_t i = 0; i < 600; i++)
        tare_buf_puts(&text, "long");
    const char *const table[][2] = {{"tare-set/1", "tare-set/2"},
                                    {"tare-set/1", "tare-set/1 "},
                                    {"train_images.npy: ", "train_images.npy:  "},
                                    {folder, "../prepared/x"},
                                    {folder, "/etc"},
                                    {folder, ""},
                                    {folder, "0123456789abcdef-6-3-4x4"},
                                    {sha256, "0123456789abcdef"},
                                    {"\nname ", "\nnome "},
                                    {"\ntitle ", text.data},
                                    {"\nlicence ", "\nlicence\n"},
                                    {"\nseal ", "\nseal 0"},
                                    {"\nseal ", "\nmore\nseal "}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        forge(path, &good, table[i][0], table[i][1]);
        if (recalled())
            fail_msg("\"%s\" for \"%s\" was believed", table[i][1], table[i][0]);
    }
    put(path, good.data, good.size);
    assert_true(recalled());
    tare_buf_free(&good);
    tare_buf_free(&text);
}

static void other_things_in_its_place_are_nothing(void **state) {
    (void)state;
    char path[1024], aside[1100];
    remember();
    snprintf(path, sizeof path, "%s", entry());
    snprintf(aside, sizeof aside, "%s/aside", scratch_path("own"));
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(symlink(aside, path), 0);
    assert_false(recalled());
    unlink(path);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_false(recalled()); /* and it doesn't wait for who might write */
    unlink(path);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_false(recalled());
    prepare(); /* it can't be written either, which is no error */
    rmdir(path);
    uint8_t *huge = calloc(1 << 20, 1);
    assert_non_null(huge);
    put(path, huge, 1 << 20);
    free(huge);
    assert_false(recalled());
    assert_int_equal(rename(aside, path), 0);
    assert_true(recalled());
    if (geteuid() == 0) { /* only root can give a file away */
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_false(recalled());
        assert_int_equal(chown(path, 0, 0), 0);
        assert_true(recalled());
    }
}

static void without_a_cache_the_sources_are_read(void **state) {
    (void)state;
    struct tare_buf home = {0};
    remember();
    tare_buf_puts(&home, getenv("HOME") ? getenv("HOME") : "");
    setenv("XDG_CACHE_HOME", scratch_write("a file", "x", 1), 1);
    assert_false(recalled());
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", scratch_path("nobody"), 1);
    assert_false(recalled());
    unsetenv("HOME");
    assert_false(recalled());
    setenv("HOME", home.data, 1);
    /* A cache in which sets can be prepared, but not remembered. */
    assert_int_equal(tare_make_dirs(scratch_path("cache3/tare"), NULL), TARE_OK);
    scratch_write("cache3/tare/remembered", "x", 1);
    setenv("XDG_CACHE_HOME", scratch_path("cache3"), 1);
    prepare();
    assert_false(recalled());
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    assert_true(recalled());
    tare_buf_free(&home);
}

static void many_at_once_agree(void **state) {
    (void)state;
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    setenv("XDG_CACHE_HOME", scratch_path("cache4"), 1);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int round = 0; round < 4; round++) {
                struct tare_dataset set;
                char *folder = NULL;
                load(&set, TARE_CACHE_READ);
                if (tare_dataset_prepare(&folder, &set, NULL) != TARE_OK)
                    _exit(1);
                free(folder);
                tare_dataset_free(&set);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int how = -1;
        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_int_equal(how, 0);
    }
    assert_true(recalled());
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
}

static int setup(void **state) {
    if (scratch_setup(state) != 0)
        return -1;
    setenv("XDG_CACHE_HOME", scratch_path("cache"), 1);
    unsetenv("TARE_DATA");
    write_sources();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_comes_back_from_the_cache),
        cmocka_unit_test(changed_sources_are_read),
        cmocka_unit_test(changed_prepared_files_are_made_anew),
        cmocka_unit_test(another_seal_is_not_the_one_remembered),
        cmocka_unit_test(a_mapped_set_is_not_made_of_itself),
        cmocka_unit_test(damaged_entries_are_nothing),
        cmocka_unit_test(forged_entries_are_nothing),
        cmocka_unit_test(other_things_in_its_place_are_nothing),
        cmocka_unit_test(without_a_cache_the_sources_are_read),
        cmocka_unit_test(many_at_once_agree),
    };
    return cmocka_run_group_tests_name("remember", tests, setup, scratch_teardown);
}
