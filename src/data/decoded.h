/* decoded.h: a data file as the bytes it decodes to, gzip or not: known by content, not by name.
 *
 *     struct tare_decoded file;
 *     if (tare_decoded_open(&file, path, &err) != TARE_OK) …
 *     … file.head …                                        // its first bytes: the header
 *     tare_decoded_read(&file, expected, NULL, NULL, &err);
 *     if (file.bytes == expected) … file.content …         // all of it
 *     tare_decoded_close(&file);
 *
 * So memory is taken for what the head promises and for no more, and each file is inflated once. A
 * large one is looked through before that, so that what is refused costs little.
 */
#ifndef TARE_DATA_DECODED_H
#define TARE_DATA_DECODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tare/err.h"

struct tare_decoded {
    const char *name; /* in messages; the caller's */
    FILE *file;
    bool compressed;
    uint8_t *head; /* its first TARE_MAX_NPY_PREFIX_BYTES bytes, or all there are */
    size_t head_bytes;
    size_t bytes;     /* set by tare_decoded_read and _sha256 */
    uint8_t *content; /* all its bytes, mapped; NULL before they are read */
    bool taken;       /* an array has taken the content over: it isn't unmapped by _close */
};

/* Opens a file and decodes its head. Nothing is to be closed after an error. */
enum tare_status tare_decoded_open(struct tare_decoded *file, const char *path,
                                   struct tare_err *err);
/* The same of bytes in memory, which must live as long. */
enum tare_status tare_decoded_wrap(struct tare_decoded *file, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err);
void tare_decoded_close(struct tare_decoded *file);

/* Handed pieces in order, from the first byte on; the first answer that isn't TARE_OK ends it. */
typedef enum tare_status tare_decoded_take(void *context, const uint8_t *bytes, size_t size,
                                           struct tare_err *err);

/* Reads all of it, if that is as many bytes as expected: else bytes says how many there are, or one
 * too many, and content stays NULL. What check (may be NULL) says of a file over 64 MiB is asked
 * before memory is taken for it. */
enum tare_status tare_decoded_read(struct tare_decoded *file, size_t expected,
                                   tare_decoded_take *check, void *context, struct tare_err *err);

/* Of all its bytes, in pieces; it goes no further than a little over `most`. */
enum tare_status tare_decoded_sha256(char sha256[65], struct tare_decoded *file, size_t most,
                                     struct tare_err *err);

#endif
