/* find.c: where programs of tare lie: engines and the launcher. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/supervise.h"

#ifndef TARE_LIBEXECDIR
#define TARE_LIBEXECDIR "/usr/local/libexec/tare"
#endif

/* dir/file when it can be executed; NULL otherwise, and *failed without memory to look. dir is
 * given with its length. */
static char *program_in(const char *dir, size_t dir_size, const char *file, bool *failed) {
    struct tare_buf path = {0};
    tare_buf_append(&path, dir, dir_size);
    tare_buf_printf(&path, "/%s", file);
    *failed = *failed || path.failed;
    if (path.failed || dir_size == 0 || access(path.data, X_OK) != 0)
        tare_buf_free(&path);
    return path.data;
}

static char *program_beside(const char *file, bool *failed) {
    char self[TARE_MAX_PATH];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (size <= 0)
        return NULL;
    self[size] = '\0';
    char *slash = strrchr(self, '/');
    return slash ? program_in(self, (size_t)(slash - self), file, failed) : NULL;
}

static char *program_anywhere(const char *search_path, const char *file, bool *failed) {
    char *found = NULL;
    for (const char *dir = search_path; dir && *dir && !found && !*failed;) {
        const char *end = strchrnul(dir, ':');
        found = program_in(dir, (size_t)(end - dir), file, failed);
        dir = *end ? end + 1 : end;
    }
    if (!found && !*failed)
        found = program_beside(file, failed);
    if (!found && !*failed)
        found = program_in(TARE_LIBEXECDIR, strlen(TARE_LIBEXECDIR), file, failed);
    return found;
}

enum tare_status tare_engine_find(char **program, const char *name, struct tare_err *err) {
    *program = NULL;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
            return tare_fail(err, TARE_USAGE, name, "names are letters, digits, - and _",
                             "is not an engine's name");
    struct tare_buf file = {0};
    tare_buf_printf(&file, "tare-engine-%s", name);
    bool failed = file.failed;
    if (!failed)
        *program = program_anywhere(getenv("TARE_ENGINE_PATH"), file.data, &failed);
    tare_buf_free(&file);
    if (*program)
        return TARE_OK;
    if (failed)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory to look for this engine");
    const struct tare_known_engine *known = tare_known_engine(name);
    return tare_fail(err, TARE_DATA, name, known && !known->environment ? "make" : "make engines",
                     "not installed: there is no program tare-engine-%s", name);
}

enum tare_status tare_helper_find(char **program, const char *name, struct tare_err *err) {
    bool failed = false;
    *program = program_anywhere(NULL, name, &failed);
    if (*program)
        return TARE_OK;
    if (failed)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory to look for this program");
    return tare_fail(err, TARE_DATA, name, "make", "not found beside tare or in " TARE_LIBEXECDIR);
}
