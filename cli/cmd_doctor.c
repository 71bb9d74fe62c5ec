/* cmd_doctor.c: tare doctor: what was found, what is missing, how to get it. Looks only; starts no
 * engine and downloads nothing. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/environment.h"
#include "tare/lab.h"
#include "tare/version.h"

static void print_machine(void) {
    struct tare_machine m;
    tare_machine_describe(&m);
    printf("machine\n");
    printf("  %-14s %s\n  %-14s %d (allowed to this process)\n", "CPU", m.cpu, "CPUs", m.cpus);
    printf("  %-14s %s\n", "vector sets", m.flags[0] ? m.flags : "none known");
    printf("  %-14s %.1f GB\n", "memory", (double)m.memory_bytes * 1e-9);
    printf("  %-14s %s\n  %-14s %s\n", "system", m.os, "kernel", m.kernel);
    printf("  %-14s %s\n", "governor", m.governor);
    printf("  %-14s %.2f CPUs used by others%s\n\n", "load", m.others,
           m.busy ? "  <- close other programs before measuring" : "");
}

/* The version of a package is in the name of its dist-info folder: NAME-VERSION.dist-info. */
static void package_version(char *out, size_t size, const char *site_packages,
                            const char *package) {
    char pattern[TARE_ENVIRONMENT_PATH + 128];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s-*.dist-info", site_packages, package);
    snprintf(out, size, "not installed");
    if (glob(pattern, 0, NULL, &found) == 0) {
        const char *version = strrchr(found.gl_pathv[0], '/') + 1 + strlen(package) + 1;
        snprintf(out, size, "%.*s", (int)(strlen(version) - strlen(".dist-info")), version);
        globfree(&found);
    }
}

static const struct {
    const char *environment, *package, *title;
} packages[] = {{"tensorflow", "tensorflow_cpu", "TensorFlow"},
                {"tensorflow", "keras", "Keras"},
                {"torch", "torch", "PyTorch"},
                {"torch", "torchvision", "torchvision"},
                {"runtimes", "onnxruntime", "ONNX Runtime"},
                {"runtimes", "ai_edge_litert", "LiteRT"},
                {"jax", "jax", "JAX"}};

/* Returns how many are missing. */
static int print_frameworks(void) {
    int missing = 0;
    printf("frameworks\n");
    for (size_t i = 0; i < sizeof packages / sizeof packages[0]; i++) {
        struct tare_environment environment;
        struct tare_err err = {0};
        char version[64];
        if (tare_environment_find(packages[i].environment, &environment, &err) != TARE_OK) {
            printf("  %-14s missing: make engines\n", packages[i].title);
            missing++;
            continue;
        }
        package_version(version, sizeof version, environment.site_packages, packages[i].package);
        printf("  %-14s %-12s in %s", packages[i].title, version, environment.python);
        if (environment.megabytes > 0)
            printf(" (%.0f MB)", environment.megabytes);
        printf("\n");
    }
    return missing;
}

static int print_engines(void) {
    size_t count;
    const struct tare_known_engine *known = tare_known_engines(&count);
    int missing = 0;
    printf("\nengines\n");
    for (size_t i = 0; i < count; i++) {
        char *program = NULL;
        struct tare_err err = {0};
        if (i > 0 && strcmp(known[i].name, known[i - 1].name) == 0)
            continue; /* another cell of the same program */
        if (tare_engine_find(&program, known[i].name, &err) == TARE_OK)
            printf("  %-14s %s\n", known[i].name, program);
        else {
            printf("  %-14s missing: %s\n", known[i].name, err.hint);
            missing++;
        }
        free(program);
    }
    return missing;
}

static int print_data(void) {
    struct tare_dataset set = {0};
    struct tare_err err = {0};
    enum tare_status status = cli_load_data(&set, NULL, TARE_CACHE_UNUSED, true, true, &err);
    printf("\ndata\n");
    if (status == TARE_OK) {
        printf("  %-14s %s\n  %-14s %s\n", "data set", set.title, "from", set.source);
        printf("  %-14s %s%s\n", "sha256", set.sha256, set.standin ? "" : " (as published)");
        if (set.standin)
            printf("  %-14s missing: tare data mnist, or --data DIR\n", "MNIST");
    } else
        printf("  %-14s %s: %s\n  %-14s try: %s\n", "none", err.where, err.what, "", err.hint);
    int missing = status != TARE_OK || set.standin;
    tare_dataset_free(&set);
    return missing;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, NULL, 0, &err);
    if (helped)
        return 0;
    if (status == TARE_OK && args.count > 0)
        status = tare_fail(&err, TARE_USAGE, args.words[0], "tare doctor", "doctor takes no words");
    if (status != TARE_OK)
        return cli_fail(&err);
    printf("tare %s\n\n", TARE_VERSION);
    print_machine();
    int missing = print_frameworks();
    missing += print_engines();
    missing += print_data();
    if (missing > 0)
        printf("\n%d things are missing; each line says how to get it.\n", missing);
    else
        printf("\nNothing is missing.\n");
    return 0;
}

const struct cli_command cmd_doctor = {"doctor", "what is here, what is missing, how to get it",
                                       "doctor", "  tare doctor\n", run};
