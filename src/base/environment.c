/* environment.c: finds the Python environment of a framework, from a variable or from the list that
 * `make engines` writes beside the programs. Used by the engines that open a shared library out of
 * an environment (engines/onnxruntime.c, engines/litert.c), and by whatever reports what is
 * installed. Only looks: making environments is scripts/environments.sh's work.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/environment.h"

static const char HINT[] = "make engines";

static enum tare_status copy_path(char out[TARE_ENVIRONMENT_PATH], const char *text, size_t size,
                                  const char *where, struct tare_err *err) {
    if (size >= TARE_ENVIRONMENT_PATH) {
        return tare_fail(err, TARE_DATA, where, HINT, "a path has %zu characters, at most %d fit",
                         size, TARE_ENVIRONMENT_PATH - 1);
    }
    memcpy(out, text, size);
    out[size] = '\0';
    return TARE_OK;
}

/* Joins dir and pattern, and leaves the first match in out; without a match out is empty. */
static enum tare_status first_match(char out[TARE_ENVIRONMENT_PATH], const char *dir,
                                    const char *pattern, struct tare_err *err) {
    out[0] = '\0';
    char *full = tare_path_join(dir, pattern);
    if (full == NULL) {
        return tare_fail(err, TARE_MEMORY, dir, NULL, "no memory to look for %s", pattern);
    }
    glob_t found = {0};
    int rc = glob(full, 0, NULL, &found);
    enum tare_status status = TARE_OK;
    if (rc == 0) {
        status = copy_path(out, found.gl_pathv[0], strlen(found.gl_pathv[0]), dir, err);
    } else if (rc != GLOB_NOMATCH) {
        status = tare_fail(err, TARE_IO, full, NULL, "cannot list the files");
    }
    globfree(&found);
    free(full);
    return status;
}

enum tare_status tare_environment_file(char out[TARE_ENVIRONMENT_PATH],
                                       const struct tare_environment *environment,
                                       const char *pattern, struct tare_err *err) {
    enum tare_status status = first_match(out, environment->site_packages, pattern, err);
    if (status == TARE_OK && out[0] == '\0') {
        return tare_fail(err, TARE_DATA, environment->site_packages, HINT, "there is no %s",
                         pattern);
    }
    return status;
}

/* Takes one line that starts with the right name apart. The paths may hold spaces: the last " /"
 * begins the second one, since no path that tare makes has a folder whose name ends in a space. */
static enum tare_status parse_line(struct tare_environment *environment, const char *rest,
                                   size_t size, const char *path, struct tare_err *err) {
    size_t end = size; /* after the two paths */
    while (end > 0 && rest[end - 1] != ' ') {
        end--;
    }
    size_t second = 0;
    for (size_t i = 1; i + 1 < end; i++) {
        if (rest[i] == ' ' && rest[i + 1] == '/') {
            second = i + 1;
        }
    }
    char number[32] = "";
    size_t digits = size - end;
    if (second == 0 || rest[0] != '/' || digits == 0 || digits >= sizeof number) {
        return tare_fail(err, TARE_DATA, path, HINT,
                         "the line is not NAME /PYTHON /SITE_PACKAGES MEGABYTES");
    }
    memcpy(number, rest + end, digits);
    char *stop = NULL;
    environment->megabytes = strtod(number, &stop);
    if (!isdigit((unsigned char)number[0]) || *stop != '\0' || environment->megabytes > 1e9) {
        return tare_fail(err, TARE_DATA, path, HINT, "'%s' is not a number of megabytes", number);
    }
    enum tare_status status = copy_path(environment->python, rest, second - 1, path, err);
    if (status == TARE_OK) {
        status = copy_path(environment->site_packages, rest + second, end - 1 - second, path, err);
    }
    return status;
}

enum tare_status tare_environment_parse(struct tare_environment *environment, const char *name,
                                        const char *text, size_t size, const char *path,
                                        struct tare_err *err) {
    *environment = (struct tare_environment){0};
    size_t name_size = strlen(name);
    if (size > 0 && memchr(text, '\0', size) != NULL) {
        return tare_fail(err, TARE_DATA, path, HINT, "the list of environments has a NUL byte");
    }
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline != NULL ? (size_t)(newline - text) : size;
        size_t line_size = end - at;
        if (line_size > name_size && memcmp(text + at, name, name_size) == 0 &&
            text[at + name_size] == ' ') {
            size_t skip = name_size + 1;
            return parse_line(environment, text + at + skip, line_size - skip, path, err);
        }
        at = end + 1;
    }
    return tare_fail(err, TARE_DATA, path, HINT, "the environment '%s' is not in the list", name);
}

/* $TARE_PYTHON_<NAME>, or NULL. */
static const char *python_variable(char variable[64], const char *name) {
    int size = snprintf(variable, 64, "TARE_PYTHON_%s", name);
    for (int i = 0; i < size && i < 63; i++) {
        variable[i] = variable[i] == '-' ? '_' : (char)toupper((unsigned char)variable[i]);
    }
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum tare_status from_python(struct tare_environment *environment, const char *python,
                                    const char *variable, struct tare_err *err) {
    enum tare_status status = copy_path(environment->python, python, strlen(python), variable, err);
    if (status != TARE_OK) {
        return status;
    }
    const char *slash = strrchr(python, '/');
    if (slash == NULL || access(python, X_OK) != 0) {
        return tare_fail(err, TARE_DATA, variable, "the full path of a python that exists",
                         "%s is not an executable file", python);
    }
    char bin[TARE_ENVIRONMENT_PATH];
    memcpy(bin, python, (size_t)(slash - python) + 1);
    bin[slash - python + 1] = '\0';
    status = first_match(environment->site_packages, bin, "../lib/python3.*/site-packages", err);
    if (status == TARE_OK && environment->site_packages[0] == '\0') {
        return tare_fail(err, TARE_DATA, variable, "the python of a virtual environment",
                         "%s has no ../lib/python3.*/site-packages", python);
    }
    return status;
}

/* The list in the folder of the running executable, or one above it; found is false for neither. */
static enum tare_status read_list(struct tare_buf *list, char path[TARE_ENVIRONMENT_PATH],
                                  bool *found, struct tare_err *err) {
    static const char *const places[] = {"environments", "../environments"};
    *found = false;
    char exe[TARE_ENVIRONMENT_PATH];
    ssize_t size = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (size <= 0) {
        return tare_fail_errno(err, "/proc/self/exe", NULL, "cannot tell where this program is");
    }
    exe[size] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash == NULL) {
        return tare_fail(err, TARE_IO, exe, NULL, "cannot tell where this program is");
    }
    slash[0] = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int length = snprintf(path, TARE_ENVIRONMENT_PATH, "%s/%s", exe, places[i]);
        if (length >= 0 && length < TARE_ENVIRONMENT_PATH && tare_path_exists(path)) {
            *found = true;
            return tare_file_read(list, path, TARE_MAX_ENVIRONMENTS_BYTES, err);
        }
    }
    return TARE_OK;
}

enum tare_status tare_environment_find(const char *name, struct tare_environment *environment,
                                       struct tare_err *err) {
    *environment = (struct tare_environment){0};
    char variable[64];
    const char *python = python_variable(variable, name);
    if (python != NULL) {
        return from_python(environment, python, variable, err);
    }
    struct tare_buf list = {0};
    char path[TARE_ENVIRONMENT_PATH];
    bool found = false;
    enum tare_status status = read_list(&list, path, &found, err);
    if (status == TARE_OK && !found) {
        status = tare_fail(err, TARE_DATA, name, HINT,
                           "this environment has not been made: no list of environments beside "
                           "this program, and %s is not set",
                           variable);
    } else if (status == TARE_OK) {
        status = tare_environment_parse(environment, name, list.data, list.size, path, err);
    }
    if (status == TARE_OK && !tare_path_exists(environment->site_packages)) {
        status = tare_fail(err, TARE_DATA, path, HINT, "the environment '%s' is gone: no %s", name,
                           environment->site_packages);
    }
    tare_buf_free(&list);
    return status;
}

enum tare_status tare_environment_open(void **library, const char *name, const char *pattern,
                                       struct tare_environment *environment, struct tare_err *err) {
    char path[TARE_ENVIRONMENT_PATH];
    enum tare_status status = tare_environment_find(name, environment, err);
    if (status == TARE_OK) {
        status = tare_environment_file(path, environment, pattern, err);
    }
    if (status == TARE_OK) {
        *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (*library == NULL) {
            return tare_fail(err, TARE_DATA, path, HINT, "cannot open the library: %s", dlerror());
        }
    }
    return status;
}
