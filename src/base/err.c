/* err.c: statuses and error texts. Everything above uses it; it uses nothing. */
#include "tare/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_code;
} statuses[] = {
#define X(id, name, code) {name, code},
    TARE_STATUS_LIST(X)
#undef X
};

const char *tare_status_name(enum tare_status status) {
    return statuses[status].name;
}

int tare_exit_code(enum tare_status status) {
    return statuses[status].exit_code;
}

static void fill(struct tare_err *err, enum tare_status status, const char *where,
                 const char *hint) {
    err->status = status;
    snprintf(err->where, sizeof err->where, "%s", where ? where : "");
    snprintf(err->hint, sizeof err->hint, "%s", hint ? hint : "");
}

enum tare_status tare_fail(struct tare_err *err, enum tare_status status, const char *where,
                           const char *hint, const char *fmt, ...) {
    if (!err)
        return status;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->what, sizeof err->what, fmt, args);
    va_end(args);
    fill(err, status, where, hint);
    return status;
}

enum tare_status tare_fail_errno(struct tare_err *err, const char *where, const char *hint,
                                 const char *fmt, ...) {
    int saved = errno;
    enum tare_status status = saved == ENOMEM ? TARE_MEMORY : TARE_IO;
    if (!err)
        return status;
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(err->what, sizeof err->what, fmt, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->what)
        snprintf(err->what + used, sizeof err->what - (size_t)used, ": %s", strerror(saved));
    fill(err, status, where, hint);
    return status;
}

void tare_err_print(FILE *to, const struct tare_err *err) {
    fprintf(to, "tare: %s%s%s\n", err->where, err->where[0] ? ": " : "", err->what);
    if (err->hint[0])
        fprintf(to, "  try: %s\n", err->hint);
}
