/* temporary.h: a folder of its own for each test program. */
#ifndef TARE_TESTS_TEMPORARY_H
#define TARE_TESTS_TEMPORARY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A new empty folder; freed by temporary_remove. Ends the program when there is none to be had. */
static inline char *temporary_make(void) {
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/tare-test-XXXXXX", base && base[0] ? base : "/tmp");
    if (!mkdtemp(path)) {
        perror(path);
        exit(1);
    }
    return strdup(path);
}

static inline int temporary_remove_one(const char *path, const struct stat *info, int type,
                                       struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline void temporary_remove(char *path) {
    nftw(path, temporary_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

#endif
