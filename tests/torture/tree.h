/* tree.h: a folder as a list of names and contents, to be put back, and to be compared with what it
 * was. For small folders; a test program that can't go on ends. */
#ifndef TARE_TORTURE_TREE_H
#define TARE_TORTURE_TREE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tare/buf.h"

struct tree_entry {
    char *path; /* below the folder */
    bool is_folder;
    struct tare_buf content; /* of a file */
};

struct tree {
    struct tree_entry *entries; /* folders before what is in them */
    size_t count, capacity;
};

static inline void die(const char *what) {
    fprintf(stderr, "faults: %s: %s\n", what, strerror(errno));
    exit(2);
}

static inline void tree_read_file(struct tare_buf *content, const char *path) {
    struct tare_err err = {0};
    if (tare_file_read(content, path, (size_t)1 << 26, &err) != TARE_OK)
        die(path);
}

/* What the cache notes down of files: times and checksums of times, other ones in every run. All
 * numbers become one, so that what was cut or mangled can still be told. */
static inline void tree_blank_numbers(struct tare_buf *content) {
    size_t kept = 0;
    for (size_t i = 0; i < content->size; i++) {
        const char c = strchr("0123456789abcdef", content->data[i]) ? '0' : content->data[i];
        if (kept == 0 || c != '0' || content->data[kept - 1] != '0')
            content->data[kept++] = c;
    }
    content->size = kept;
}

static inline void tree_add(struct tree *tree, const char *dir, const char *below) {
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s", dir, below[0] ? "/" : "", below);
    DIR *folder = opendir(path);
    if (!folder)
        die(path);
    for (struct dirent *e; (e = readdir(folder));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char inner[4096], whole[8192];
        struct stat info;
        snprintf(inner, sizeof inner, "%s%s%s", below, below[0] ? "/" : "", e->d_name);
        snprintf(whole, sizeof whole, "%s/%s", dir, inner);
        if (lstat(whole, &info) != 0)
            die(whole);
        if (tree->count == tree->capacity) {
            tree->capacity = tree->capacity ? tree->capacity * 2 : 32;
            tree->entries = realloc(tree->entries, tree->capacity * sizeof *tree->entries);
            if (!tree->entries)
                die("memory");
        }
        struct tree_entry *entry = &tree->entries[tree->count++];
        *entry = (struct tree_entry){.path = strdup(inner), .is_folder = S_ISDIR(info.st_mode)};
        if (entry->is_folder)
            tree_add(tree, dir, inner);
        else
            tree_read_file(&entry->content, whole);
        if (!entry->is_folder && (strcmp(e->d_name, "seal") == 0 || strstr(below, "remembered")))
            tree_blank_numbers(&entry->content);
    }
    closedir(folder);
}

static inline struct tree tree_of(const char *dir) {
    struct tree tree = {0};
    tree_add(&tree, dir, "");
    return tree;
}

static inline void tree_free(struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->entries[i].path);
        tare_buf_free(&tree->entries[i].content);
    }
    free(tree->entries);
    *tree = (struct tree){0};
}

static inline const struct tree_entry *tree_find(const struct tree *tree, const char *path) {
    for (size_t i = 0; i < tree->count; i++)
        if (strcmp(tree->entries[i].path, path) == 0)
            return &tree->entries[i];
    return NULL;
}

static inline bool tree_same(const struct tree_entry *a, const struct tree_entry *b) {
    return a->is_folder == b->is_folder && a->content.size == b->content.size &&
           (a->content.size == 0 || memcmp(a->content.data, b->content.data, a->content.size) == 0);
}

static inline int tree_remove_one(const char *path, const struct stat *info, int type,
                                  struct FTW *where) {
    (void)info, (void)type;
    return where->level == 0 ? 0 : remove(path);
}

/* Empties dir, which stays, and fills it with the tree. */
static inline void tree_put(const struct tree *tree, const char *dir) {
    if (nftw(dir, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die(dir);
    for (size_t i = 0; i < tree->count; i++) {
        const struct tree_entry *e = &tree->entries[i];
        char path[8192];
        snprintf(path, sizeof path, "%s/%s", dir, e->path);
        if (e->is_folder) {
            if (mkdir(path, 0777) != 0)
                die(path);
            continue;
        }
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0 || write(fd, e->content.data, e->content.size) != (ssize_t)e->content.size)
            die(path);
        close(fd);
    }
}

#endif
