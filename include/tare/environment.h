/* environment.h: where a framework is installed: one Python virtual environment each.
 *
 *     struct tare_environment runtimes;
 *     void *library;
 *     if (tare_environment_open(&library, "runtimes", "onnxruntime/capi/libonnxruntime.so.*",
 *                               &runtimes, &err) != TARE_OK) …
 *     … = dlsym(library, "OrtGetApiBase");
 *
 * Looked for, in this order: $TARE_PYTHON_<NAME> (the python of an environment that exists; its
 * site-packages are ../lib/python3.*), then the file `environments` in the folder of the running
 * executable or one above it, which `make engines` writes.
 */
#ifndef TARE_ENVIRONMENT_H
#define TARE_ENVIRONMENT_H

#include <stddef.h>

#include "tare/err.h"

#define TARE_ENVIRONMENT_PATH 1024                  /* characters of a path, with the NUL */
#define TARE_MAX_ENVIRONMENTS_BYTES ((size_t)65536) /* of the file `environments` */

struct tare_environment {
    char python[TARE_ENVIRONMENT_PATH];
    char site_packages[TARE_ENVIRONMENT_PATH];
    double megabytes; /* installed, as measured when it was made; 0: not known */
};

/* An environment that is nowhere, or is listed but gone: TARE_DATA with the hint to make it. */
enum tare_status tare_environment_find(const char *name, struct tare_environment *environment,
                                       struct tare_err *err);

/* Finds a line "NAME PYTHON_PATH SITE_PACKAGES_DIR MEGABYTES" in text; both paths are absolute and
 * may hold spaces. `path` is used in messages only. No such line, or a broken one: TARE_DATA. */
enum tare_status tare_environment_parse(struct tare_environment *environment, const char *name,
                                        const char *text, size_t size, const char *path,
                                        struct tare_err *err);

/* The first file that matches a shell pattern below site-packages, as a path in out. */
enum tare_status tare_environment_file(char out[TARE_ENVIRONMENT_PATH],
                                       const struct tare_environment *environment,
                                       const char *pattern, struct tare_err *err);

/* Finds the environment, and dlopens the shared library that matches pattern in it. The library
 * stays open until the process ends: runtimes keep threads that outlive a dlclose. */
enum tare_status tare_environment_open(void **library, const char *name, const char *pattern,
                                       struct tare_environment *environment, struct tare_err *err);

#endif
