/* fail_at.h: what every parser says about a bad file: its name and the byte where it went wrong. */
#ifndef TARE_BASE_FAIL_AT_H
#define TARE_BASE_FAIL_AT_H

#include <stddef.h>

#include "tare/err.h"

/* tare_fail with status TARE_DATA and where "NAME, byte N". hint may be NULL. */
enum tare_status tare_fail_at(struct tare_err *err, const char *name, size_t byte, const char *hint,
                              const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
