/* samples_text.c: samples.jsonl as bytes: is it of a size and a form that is read at all? Looked at
 * in pieces, so that what isn't costs no memory. read_samples.c and verify.c read the lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lab/read_samples.h"
#include "tare/buf.h"

#define FORMAT "\"tare-samples/1\""

static enum tare_status long_line(const char *path, size_t line, struct tare_err *err) {
    char where[300];
    snprintf(where, sizeof where, "%s:%zu", path, line);
    return tare_fail(err, TARE_DATA, where, "restore the file from a copy",
                     "the line is longer than %zu bytes", TARE_MAX_SAMPLES_LINE);
}

/* What of the format's name was seen so far in the first line. */
static bool find_format(size_t *matched, char c) {
    *matched = c == FORMAT[*matched] ? *matched + 1 : c == FORMAT[0];
    return *matched == sizeof FORMAT - 1;
}

static enum tare_status look_at(const char *path, int fd, bool begins, struct tare_err *err) {
    char chunk[65536];
    size_t line = 1, bytes = 0, matched = 0;
    bool found = !begins;
    for (;;) {
        const ssize_t got = TEMP_FAILURE_RETRY(read(fd, chunk, sizeof chunk));
        if (got < 0)
            return tare_fail_errno(err, path, NULL, "cannot be read");
        if (got == 0)
            return TARE_OK; /* an empty file is told by who reads it */
        for (ssize_t i = 0; i < got; i++) {
            found = found || find_format(&matched, chunk[i]);
            if (chunk[i] == '\n' && !found)
                return tare_fail(
                    err, TARE_DATA, path,
                    "give the samples.jsonl of a results folder that tare compare made",
                    "the first line is not an experiment record of format "
                    "tare-samples/1");
            if (chunk[i] != '\n' && ++bytes > TARE_MAX_SAMPLES_LINE)
                return long_line(path, line, err);
            if (chunk[i] == '\n') {
                line++;
                bytes = 0;
            }
        }
    }
}

enum tare_status tare_samples_text(struct tare_buf *text, const char *path, bool begins,
                                   struct tare_err *err) {
    const int fd = tare_file_open(path, err);
    if (fd < 0)
        return TARE_IO;
    const enum tare_status status = look_at(path, fd, begins, err);
    close(fd);
    return status == TARE_OK ? tare_file_read(text, path, TARE_MAX_SAMPLES_BYTES, err) : status;
}
