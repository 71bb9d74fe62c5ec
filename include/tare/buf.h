/* buf.h: growable bytes, whole files, paths.
 *
 *     struct tare_buf text = {0};
 *     tare_buf_printf(&text, "%d rows\n", rows);
 *     if (text.failed || tare_file_write("report.md", text.data, text.size, &err) != TARE_OK) …
 *     tare_buf_free(&text);
 *
 * A tare_buf that could not grow sets `failed` and ignores further appends, so that a long text
 * is checked once, at its end.
 */
#ifndef TARE_BUF_H
#define TARE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tare/err.h"

struct tare_buf {
    char *data; /* size bytes and a terminating NUL that is not counted; NULL while empty */
    size_t size;
    size_t capacity;
    bool failed; /* an allocation failed: the contents are incomplete */
};

void tare_buf_append(struct tare_buf *buf, const void *data, size_t size);
void tare_buf_puts(struct tare_buf *buf, const char *text);
void tare_buf_printf(struct tare_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void tare_buf_free(struct tare_buf *buf);
/* Makes room for so many further bytes, for a text whose length is known. */
void tare_buf_reserve(struct tare_buf *buf, size_t more);

/* Reads a whole file into buf (freed by the caller). A file over max_bytes is an error, so that a
 * wrong path never fills the memory. */
enum tare_status tare_file_read(struct tare_buf *buf, const char *path, size_t max_bytes,
                                struct tare_err *err);

/* A descriptor of a regular file to read, closed by the caller; −1 with *err filled for a pipe, a
 * folder, or what cannot be opened. Never waits. */
int tare_file_open(const char *path, struct tare_err *err);

/* Reads up to size bytes, fewer only at the file's end; −1 with errno set. */
ssize_t tare_read_full(int fd, void *out, size_t size);
/* Writes all of it; false with errno set. */
bool tare_write_full(int fd, const void *data, size_t size);

/* Writes size bytes to a temporary file beside path, fsyncs and renames it: path holds either its
 * old content or all of the new. */
enum tare_status tare_file_write(const char *path, const void *data, size_t size,
                                 struct tare_err *err);

/* Files below dir are thrown away before the program ends: writing one doesn't wait for the disk.
 * One folder at a time; NULL: none. dir must live as long. */
void tare_file_scratch(const char *dir);

/* Makes path and its missing parents (mode 0777 less umask). Existing directories are fine. */
enum tare_status tare_make_dirs(const char *path, struct tare_err *err);

/* Removes path with everything in it; links are removed, not followed. What isn't there is fine. */
enum tare_status tare_remove_tree(const char *path, struct tare_err *err);
/* A new, empty folder at path, whatever was there. */
enum tare_status tare_make_empty_dir(const char *path, struct tare_err *err);

/* Appends text as one word of a shell command: as it is when it needs no quotes, else in single
 * ones. */
void tare_buf_shell_word(struct tare_buf *buf, const char *text);

/* True when something exists at path. */
bool tare_path_exists(const char *path);

/* a/b in a new string (free it), or NULL without memory. An absolute b is returned as it is. */
char *tare_path_join(const char *a, const char *b);

/* The folder for tare's own caches: $XDG_CACHE_HOME/tare or ~/.cache/tare. Free it; NULL when
 * neither HOME nor XDG_CACHE_HOME is set (errno is ENOENT), or without memory (ENOMEM). */
char *tare_cache_dir(void);
/* Right after such a NULL: the error. what: "prepared data". */
enum tare_status tare_no_cache_dir(struct tare_err *err, const char *what);

/* Lower-case hexadecimal SHA-256 of size bytes; out holds 65 characters. */
void tare_sha256_hex(char out[65], const void *data, size_t size);
/* The same of a file, read in pieces. */
enum tare_status tare_sha256_file(char out[65], const char *path, struct tare_err *err);

#endif
