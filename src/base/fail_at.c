/* fail_at.c: errors of parsers. A reader of a bad file wants to know which file and which byte;
 * this puts both into tare_err.where in one spelling, for .npy, safetensors, IDX and gzip alike.
 */
#include "base/fail_at.h"

#include <stdarg.h>
#include <stdio.h>

enum tare_status tare_fail_at(struct tare_err *err, const char *name, size_t byte, const char *hint,
                              const char *fmt, ...) {
    char where[sizeof err->where];
    char what[sizeof err->what];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(where, sizeof where, "%s, byte %zu", name, byte);
    return tare_fail(err, TARE_DATA, where, hint, "%s", what);
}
