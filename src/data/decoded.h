/* decoded.h: a data file as the bytes it decodes to, gzip or not: known by content, not by name.
 *
 *     struct tare_decoded file;
 *     if (tare_decoded_open(&file, path, &err) != TARE_OK) …
 *     … file.head …                                        // its first bytes: the header
 *     tare_decoded_count(&file, expected, &err);           // file.bytes: is all of it there?
 *     tare_decoded_pass(&file, take, context, &err);       // every byte, in order
 *     tare_decoded_close(&file);
 *
 * So a file is known to be whole and sound before memory is taken for what it holds, and what is
 * refused costs next to none. The price is that a compressed file is inflated twice.
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
    size_t bytes;    /* set by tare_decoded_count */
    char sha256[65]; /* of all its bytes; set by tare_decoded_pass */
};

/* Opens a file and decodes its head. Nothing is to be closed after an error. */
enum tare_status tare_decoded_open(struct tare_decoded *file, const char *path,
                                   struct tare_err *err);
/* The same of bytes in memory, which must live as long. */
enum tare_status tare_decoded_wrap(struct tare_decoded *file, const void *bytes, size_t size,
                                   const char *name, struct tare_err *err);
void tare_decoded_close(struct tare_decoded *file);

/* Counts its bytes; of a compressed file no further than a little over `most`, and up to there it
 * is checked. */
enum tare_status tare_decoded_count(struct tare_decoded *file, size_t most, struct tare_err *err);

/* Hands over all the bytes that were counted, from the first one on, in pieces; stops at the first
 * piece that isn't TARE_OK. take may be NULL, for the checksum alone. */
typedef enum tare_status tare_decoded_take(void *context, const uint8_t *bytes, size_t size,
                                           struct tare_err *err);
enum tare_status tare_decoded_pass(struct tare_decoded *file, tare_decoded_take *take,
                                   void *context, struct tare_err *err);

#endif
