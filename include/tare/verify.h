/* verify.h: is a results folder still what tare wrote? Every checksum in samples.jsonl computed
 * again, and the chain of its lines (doc/formats.md).
 *
 *     struct tare_verify verify = {.dir = "results/x", .found = print_finding};
 *     if (tare_verify_folder(&verify, &err) != TARE_OK) …                  // can't be read
 *     if (tare_verify_faults(&verify) > 0) …                               // not what it was
 *
 * What differs is a finding, not an error; each is told to `found` as it comes up. report.h's
 * tare_report_verify adds the reports, which are made again and compared.
 */
#ifndef TARE_VERIFY_H
#define TARE_VERIFY_H

#include <stddef.h>

#include "tare/err.h"

#define TARE_FINDING_LIST(X)                                                                       \
    X(CHANGED, "changed")     /* not what was recorded: a fault */                                 \
    X(MISSING, "missing")     /* recorded, and not there: a fault */                               \
    X(UNCHECKED, "unchecked") /* can't be compared because of a fault elsewhere */                 \
    X(EXTRA, "extra")         /* beside the recorded ones, by nobody: a warning */

enum tare_finding {
#define X(id, name) TARE_FINDING_##id,
    TARE_FINDING_LIST(X)
#undef X
        TARE_FINDING_COUNT
};

const char *tare_finding_name(enum tare_finding finding);

struct tare_verify {
    const char *dir; /* the results folder */
    /* path: relative to dir, "samples.jsonl:4" for a line; why may be "". May be NULL. */
    void (*found)(void *context, enum tare_finding finding, const char *path, const char *why);
    void *context;
    size_t lines, files; /* out: looked at */
    size_t counts[TARE_FINDING_COUNT];
};

/* TARE_DATA: no samples.jsonl of tare's, or one from before lines had checksums. TARE_IO: a file is
 * there and can't be read. */
enum tare_status tare_verify_folder(struct tare_verify *verify, struct tare_err *err);

/* The lines of a samples.jsonl alone, from memory; dir isn't looked at. A finding's path is
 * "samples.jsonl:LINE", or "samples.jsonl" for an end that isn't there. TARE_MEMORY. */
enum tare_status tare_verify_lines(struct tare_verify *verify, const char *text, size_t size,
                                   struct tare_err *err);

/* For those who add checks of their own. found counts a finding and tells it; file counts a file
 * that should be there and gives its whole path (free it), or NULL after finding that it isn't. */
void tare_verify_found(struct tare_verify *verify, enum tare_finding finding, const char *path,
                       const char *why);
enum tare_status tare_verify_file(struct tare_verify *verify, char **whole, const char *path,
                                  struct tare_err *err);

/* Findings that mean that something was lost or altered. */
size_t tare_verify_faults(const struct tare_verify *verify);

#endif
