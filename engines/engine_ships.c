/* engine_ships.c: what must ship to run a model: this program and the shared objects that it has
 * mapped, but not those that every system of its kind has. The rule: doc/protocol.md. Part of
 * engine_main.c's half of an engine.
 */
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine_parts.h"

/* Is the file in one of the folders where the system's own libraries are? Python packages, which
 * some systems keep below them, are not the system's own. By its path with links resolved: /lib is
 * a link on most systems of today. */
static bool is_systems(const char *path) {
    static const char *const folders[] = {"/lib/",     "/lib32/",     "/lib64/",
                                          "/usr/lib/", "/usr/lib32/", "/usr/lib64/"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (strncmp(path, folders[i], strlen(folders[i])) == 0)
            return strstr(path, "-packages/") == NULL;
    return false;
}

/* One object; the program itself comes first and has no name. The loader maps a file once, whatever
 * its names, so none is counted twice. */
static int add_object(struct dl_phdr_info *object, size_t size, void *sum) {
    (void)size;
    bool is_program = object->dlpi_name == NULL || object->dlpi_name[0] == '\0';
    char path[PATH_MAX];
    struct stat info;
    size_t *bytes = sum;
    if (is_program && *bytes > 0)
        return 0; /* a nameless object later on is the kernel's */
    if (!realpath(is_program ? "/proc/self/exe" : object->dlpi_name, path))
        return 0; /* the kernel's, linux-vdso.so.1: there is no such file */
    if ((is_program || !is_systems(path)) && stat(path, &info) == 0)
        *bytes += (size_t)info.st_size;
    return 0;
}

void engine_tell_ships(void) {
    size_t bytes = 0;
    char text[32];
    dl_iterate_phdr(add_object, &bytes);
    snprintf(text, sizeof text, "%zu", bytes);
    tare_engine_setting("ships_bytes", text);
}
