/* cmd_data.c: tare data: finds, downloads and checks a data set, and says what it is. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/words.h"

static void print_shape(const char *name, const struct tare_array *images) {
    printf("%-10s %zu images of ", name, images->shape[0]);
    for (int i = 1; i < images->rank; i++)
        printf("%s%zu", i > 1 ? "x" : "", images->shape[i]);
    printf(", uint8\n");
}

static void print_classes(const struct tare_dataset *set) {
    const int32_t *labels = set->train_labels.data;
    size_t counts[16] = {0};
    if (set->classes > 16)
        return;
    for (size_t i = 0; i < set->train_labels.shape[0]; i++)
        counts[labels[i]]++;
    printf("per class ");
    for (size_t c = 0; c < set->classes; c++)
        printf(" %zu:%zu", c, counts[c]);
    printf("\n");
}

static enum tare_status print_set(const struct tare_dataset *set, bool json, struct tare_err *err) {
    if (json)
        return cli_print_json(json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:b}", "name", set->name, "title",
                                        set->title, "sha256", set->sha256, "train",
                                        (json_int_t)set->train_images.shape[0], "test",
                                        (json_int_t)set->test_images.shape[0], "classes",
                                        (json_int_t)set->classes, "standin", (int)set->standin),
                              err);
    printf("%-10s %s\n%-10s %s\n", "data set", set->title, "from", set->source);
    print_shape("training", &set->train_images);
    print_shape("test", &set->test_images);
    printf("%-10s %zu\n", "classes", set->classes);
    print_classes(set);
    printf("%-10s %s\n%-10s %s\n", "licence", set->licence, "sha256", set->sha256);
    return TARE_OK;
}

static enum tare_status check_name(const char *name, struct tare_err *err) {
    static const char *const names[] = {"mnist", "fashion-mnist"};
    for (size_t i = 0; i < 2; i++)
        if (strcmp(name, names[i]) == 0)
            return TARE_OK;
    const char *near = tare_nearest_word(name, names, 2);
    return tare_fail(err, TARE_USAGE, name, near ? near : "mnist, fashion-mnist, or --data DIR",
                     "is not a data set tare knows");
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct tare_data_options where = {.allow_download = true, .progress = cli_progress_of};
    bool json = false, no_download = false;
    const struct cli_option options[] = {
        {"data", CLI_TEXT, &where.dir, "DIR", "look here instead", 0},
        {"no-download", CLI_FLAG, &no_download, NULL, "use only what is on this machine", 0},
        {"json", CLI_FLAG, &json, NULL, "print it as JSON", 0}};
    struct cli_args args;
    struct tare_err err = {0};
    struct tare_dataset set = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options, 3, &err);
    if (helped)
        return 0;
    if (status == TARE_OK && args.count > 1)
        status =
            tare_fail(&err, TARE_USAGE, args.words[1], "tare data --help", "one set at a time");
    if (status == TARE_OK && args.count == 1)
        status = check_name(where.name = args.words[0], &err);
    where.allow_download = !no_download;
    if (status == TARE_OK)
        status = tare_dataset_load(&set, &where, &err);
    cli_progress_end();
    if (status == TARE_OK)
        status = print_set(&set, json, &err);
    tare_dataset_free(&set);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_data = {
    "data", "finds, downloads and checks a data set", "data [mnist|fashion-mnist] [OPTION]...",
    "  tare data                            MNIST: where it is, its checksum, its classes\n"
    "  tare data fashion-mnist\n"
    "  tare data --data my-images/          IDX or .npy pairs, or train/CLASS/*.png, "
    "test/CLASS/*.png\n",
    run};
