/* stream.c: stdio on top of read and lseek (stream.h). */
#include "base/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static ssize_t read_some(void *cookie, char *to, size_t size) {
    return TEMP_FAILURE_RETRY(read(*(const int *)cookie, to, size));
}

static int seek_to(void *cookie, off64_t *offset, int whence) {
    *offset = lseek(*(const int *)cookie, *offset, whence);
    return *offset < 0 ? -1 : 0;
}

static int close_fd(void *cookie) {
    int result = close(*(const int *)cookie);
    free(cookie);
    return result;
}

FILE *tare_stream_of(int fd) {
    int *cookie = malloc(sizeof *cookie);
    if (cookie == NULL)
        return NULL;
    *cookie = fd;
    FILE *stream =
        fopencookie(cookie, "rb",
                    (cookie_io_functions_t){.read = read_some, .seek = seek_to, .close = close_fd});
    if (stream == NULL)
        free(cookie);
    return stream;
}
