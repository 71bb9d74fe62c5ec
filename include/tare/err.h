/* err.h: how every tare function reports failure.
 *
 *     struct tare_err err = {0};
 *     if (tare_file_read(&buf, path, TARE_MAX_JOB_BYTES, &err) != TARE_OK) {
 *         tare_err_print(stderr, &err);      // only programs print; the library never does
 *         return tare_exit_code(err.status);
 *     }
 *
 * Library code returns a status and fills a tare_err that says what went wrong, where, and what
 * to try. It never prints and never exits. A NULL tare_err is allowed and means "status only".
 */
#ifndef TARE_ERR_H
#define TARE_ERR_H

#include <stdio.h>

/* One list gives the enum, the name and the exit code of a program that ends with the status. */
#define TARE_STATUS_LIST(X)                                                                        \
    X(OK, "ok", 0)                                                                                 \
    X(FAILED, "failed", 1) /* a requested cell failed, or a gate was missed */                     \
    X(USAGE, "usage", 2)   /* the command line is wrong */                                         \
    X(DATA, "data", 3)     /* a data, model or results file is wrong or missing */                 \
    X(IO, "io", 3)         /* the operating system refused */                                      \
    X(MEMORY, "memory", 3) /* an allocation failed */                                              \
    X(INTERRUPTED, "interrupted", 130)

enum tare_status {
#define X(id, name, code) TARE_##id,
    TARE_STATUS_LIST(X)
#undef X
};

struct tare_err {
    enum tare_status status;
    char what[400];  /* what went wrong: "the header says 60000 images, the file ends after 12" */
    char where[300]; /* the file, byte, option or engine concerned; may be empty */
    char hint[400];  /* what to try; may be empty */
};

/* Fills *err (which may be NULL) and returns status, so that a caller can `return tare_fail(…)`.
 * where and hint may be NULL; fmt describes what went wrong. Texts are cut to fit, never overrun.
 */
enum tare_status tare_fail(struct tare_err *err, enum tare_status status, const char *where,
                           const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* tare_fail for a failed system call: appends strerror(errno) to the text. */
enum tare_status tare_fail_errno(struct tare_err *err, const char *where, const char *hint,
                                 const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The name of a status ("data"), and the exit code of a program that ends with it. */
const char *tare_status_name(enum tare_status status);
int tare_exit_code(enum tare_status status);

/* Prints "tare: WHERE: WHAT\n  try: HINT\n". */
void tare_err_print(FILE *to, const struct tare_err *err);

#endif
