/* fetch.c: one file over HTTP with libcurl (curl_library.c opens it): into PATH.part, resumed where
 * a former attempt stopped, and renamed only when its SHA-256 is right. Cut transfers are taken up
 * again a few times; a resumed file that turns out wrong is fetched once more from its beginning.
 * dataset.c knows which files to fetch and from where.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#include "data/curl_library.h"
#include "data/parts.h"
#include "tare/clock.h"

#define MAX_ATTEMPTS 5
#define DEFAULT_TIMEOUT_S 30
#define CONNECT_TIMEOUT_S 10
#define PROGRESS_EVERY_NS 500000000
#define MAX_DOWNLOAD_BYTES ((curl_off_t)1 << 30)

struct transfer {
    const char *path, *url, *part;
    const struct tare_data_options *options; /* may be NULL */
    const struct tare_curl *library;
    CURL *curl;
    FILE *file;
    int64_t have;        /* bytes in the part */
    int64_t resumed_at;  /* what was asked for: bytes resumed_at- */
    int64_t range_start; /* what the answer says it gives; −1: it says nothing */
    bool resumed;        /* the part holds bytes of a former answer */
    bool started;        /* the first bytes of this answer's body were seen */
    bool too_long;       /* more than any data set: this isn't the file */
    bool write_failed;   /* errno of it in write_errno */
    int write_errno;
    int64_t shown_ns;
};

static long http_code(const struct transfer *t) {
    long code = 0;
    t->library->easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

static void show_progress(struct transfer *t, int64_t total) {
    const int64_t now_ns = tare_now_ns();
    if (t->shown_ns != 0 && now_ns - t->shown_ns < PROGRESS_EVERY_NS)
        return;
    t->shown_ns = now_ns;
    const char *slash = strrchr(t->path, '/');
    const char *name = slash == NULL ? t->path : slash + 1;
    const double mb = 1e6;
    if (total > 0)
        tare_data_progress(t->options, "downloading %s: %.1f of %.1f MB", name,
                           (double)t->have / mb, (double)total / mb);
    else
        tare_data_progress(t->options, "downloading %s: %.1f MB", name, (double)t->have / mb);
}

/* Before the first byte of a body: is it the rest that was asked for, or the whole? A server may
 * ignore a range (200), or give another one. */
static bool start_body(struct transfer *t) {
    t->started = true;
    if (http_code(t) == 206 && t->range_start == t->resumed_at)
        return true;
    if (http_code(t) == 206)
        return false; /* some other range: finish_attempt starts anew */
    t->have = 0;
    t->resumed = false;
    t->write_failed = ftruncate(fileno(t->file), 0) != 0;
    t->write_errno = errno;
    return !t->write_failed;
}

static size_t on_body(char *data, size_t one, size_t size, void *context) {
    struct transfer *t = context;
    (void)one; /* always 1 */
    if (http_code(t) >= 300)
        return size; /* an error's page is not the file */
    errno = 0;
    if (!t->started && !start_body(t))
        return 0;
    t->too_long = t->have + (int64_t)size > MAX_DOWNLOAD_BYTES;
    if (t->too_long)
        return 0;
    if (fwrite(data, 1, size, t->file) != size) {
        t->write_failed = true;
        t->write_errno = errno;
        return 0;
    }
    t->have += (int64_t)size;
    curl_off_t length = -1;
    t->library->easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    show_progress(t, length <= 0 ? -1 : length + (http_code(t) == 206 ? t->resumed_at : 0));
    return size;
}

int64_t tare_content_range_start(const char *line, size_t size) {
    static const char name[] = "content-range: bytes ";
    const size_t length = sizeof name - 1;
    if (size <= length || strncasecmp(line, name, length) != 0)
        return -1;
    int64_t start = 0;
    for (size_t i = length; i < size && line[i] >= '0' && line[i] <= '9'; i++)
        start = start > INT64_MAX / 100 ? INT64_MAX / 100 : start * 10 + (line[i] - '0');
    return start;
}

static size_t on_header(char *line, size_t one, size_t size, void *context) {
    struct transfer *t = context;
    (void)one; /* always 1 */
    const int64_t start = tare_content_range_start(line, size);
    if (start >= 0)
        t->range_start = start;
    return size;
}

static void set_options(struct transfer *t, char range[32], char error[CURL_ERROR_SIZE]) {
    const int asked_s = t->options == NULL ? 0 : t->options->timeout_s;
    const long timeout_s = asked_s > 0 ? asked_s : DEFAULT_TIMEOUT_S;
    CURL *c = t->curl;
    CURLcode (*set)(CURL *, CURLoption, ...) = t->library->easy_setopt;
    set(c, CURLOPT_URL, t->url);
    set(c, CURLOPT_ERRORBUFFER, error);
    set(c, CURLOPT_NOSIGNAL, 1L);
    set(c, CURLOPT_FOLLOWLOCATION, 1L);
    set(c, CURLOPT_MAXREDIRS, 5L);
    set(c, CURLOPT_PROTOCOLS_STR, "http,https");
    set(c, CURLOPT_USERAGENT, "tare");
    set(c, CURLOPT_CONNECTTIMEOUT, timeout_s < CONNECT_TIMEOUT_S ? timeout_s : CONNECT_TIMEOUT_S);
    /* No limit on the whole: a slow line is fine, a silent one is not. */
    set(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(c, CURLOPT_LOW_SPEED_TIME, timeout_s);
    set(c, CURLOPT_WRITEFUNCTION, on_body);
    set(c, CURLOPT_WRITEDATA, t);
    set(c, CURLOPT_HEADERFUNCTION, on_header);
    set(c, CURLOPT_HEADERDATA, t);
    /* Not CURLOPT_RESUME_FROM: with it libcurl fails where a server ignores the range. */
    if (t->resumed_at > 0) {
        snprintf(range, 32, "%" PRId64 "-", t->resumed_at);
        set(c, CURLOPT_RANGE, range);
    }
}

static enum tare_status curl_failed(const struct transfer *t, CURLcode result, const char *error,
                                    struct tare_err *err) {
    static const char hint[] =
        "check the network (and http_proxy); what was received is kept and resumed";
    if (t->write_failed) {
        errno = t->write_errno;
        return tare_fail_errno(err, t->part, "free some disk space", "the download cannot be kept");
    }
    return tare_fail(err, TARE_IO, t->url, hint, "the download failed after %" PRId64 " bytes: %s",
                     t->have, error[0] != '\0' ? error : t->library->easy_strerror(result));
}

/* One request. *again: taking it up again from what the part holds makes sense. */
static enum tare_status attempt(struct transfer *t, bool *again, struct tare_err *err) {
    char range[32], error[CURL_ERROR_SIZE] = "";
    *again = false;
    t->file = fopen(t->part, "ab");
    t->curl = t->library->easy_init();
    if (t->file == NULL || t->curl == NULL) {
        enum tare_status status =
            t->curl == NULL
                ? tare_fail(err, TARE_MEMORY, t->url, NULL, "no memory for a download")
                : tare_fail_errno(err, t->part, "is the folder writable?", "cannot be opened");
        if (t->file != NULL)
            fclose(t->file);
        t->library->easy_cleanup(t->curl);
        return status;
    }
    fseek(t->file, 0, SEEK_END);
    t->have = t->resumed_at = ftell(t->file);
    t->range_start = -1;
    t->resumed = t->have > 0;
    t->started = t->too_long = t->write_failed = false;
    set_options(t, range, error);
    const CURLcode result = t->library->easy_perform(t->curl);
    const long code = http_code(t);
    if (fclose(t->file) != 0 && !t->write_failed) {
        t->write_failed = true;
        t->write_errno = errno;
    }
    enum tare_status status = TARE_OK;
    if (code == 416 || (code == 206 && t->range_start != t->resumed_at)) {
        /* The part is longer than the file, or the server gave another range than asked for. */
        unlink(t->part);
        *again = t->resumed_at > 0;
        status = tare_fail(err, TARE_IO, t->url, "try again",
                           "the server did not give the range asked for (HTTP %ld)", code);
    } else if (code >= 300 && result == CURLE_OK) {
        status = tare_fail(err, TARE_IO, t->url, "use another mirror, or get the file by hand",
                           "the server answered HTTP %ld", code);
    } else if (t->too_long) {
        unlink(t->part); /* or it would be resumed, and too long, forever */
        status = tare_fail(err, TARE_DATA, t->url, "use another mirror",
                           "the server gives more than %d MiB: this is not the file",
                           (int)(MAX_DOWNLOAD_BYTES >> 20));
    } else if (result != CURLE_OK || t->write_failed) {
        status = curl_failed(t, result, error, err);
        /* Cut in the middle; without a byte of progress the next attempt would fare no better. */
        *again = !t->write_failed && t->started && t->have > 0 &&
                 (t->have != t->resumed_at || result == CURLE_PARTIAL_FILE);
    }
    t->library->easy_cleanup(t->curl);
    return status;
}

static enum tare_status check_sha256(const char *path, const char *sha256, const char *url,
                                     struct tare_err *err) {
    struct tare_decoded file;
    enum tare_status status = tare_decoded_open(&file, path, err);
    if (status != TARE_OK)
        return status;
    char found[65];
    status = tare_decoded_sha256(found, &file, TARE_MAX_ARRAY_BYTES, err);
    if (status == TARE_OK && file.bytes > TARE_MAX_ARRAY_BYTES)
        status = tare_fail(err, TARE_DATA, url, "use another mirror",
                           "what was received decompresses to more than %zu MiB",
                           TARE_MAX_ARRAY_BYTES >> 20);
    if (status == TARE_OK && strcmp(found, sha256) != 0)
        status = tare_fail(err, TARE_DATA, url, "use another mirror",
                           "wrong checksum: the %zu bytes received (uncompressed) have SHA-256 "
                           "%.16s…, not %.16s…",
                           file.bytes, found, sha256);
    tare_decoded_close(&file);
    return status;
}

static enum tare_status receive(struct transfer *t, const char *sha256, struct tare_err *err) {
    enum tare_status status = TARE_OK;
    bool again = true;
    for (int i = 0; i < MAX_ATTEMPTS && again; i++) {
        status = attempt(t, &again, err);
        if (status == TARE_OK) {
            status = check_sha256(t->part, sha256, t->url, err);
            if (status == TARE_OK)
                return TARE_OK;
            /* Of a resumed file the old part may be what is wrong. */
            again = t->resumed;
            unlink(t->part);
        }
    }
    return status;
}

static enum tare_status keep(const struct transfer *t, struct tare_err *err) {
    const int fd = open(t->part, O_RDONLY | O_CLOEXEC);
    const bool synced = fd >= 0 && fsync(fd) == 0;
    const int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    if (!synced || rename(t->part, t->path) != 0)
        return tare_fail_errno(err, t->path, "is the folder writable?", "cannot be put in place");
    return TARE_OK;
}

/* Holds the folder's lock while one process fetches into it, so that two do not write one part. */
static int lock_folder(const char *path) {
    char *dir = strdup(path);
    if (dir == NULL)
        return -1;
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir ? 1 : 0] = '\0';
    const int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    /* Without locks, as on some network disks, two may write one part: its checksum tells. */
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
        continue;
    return fd;
}

enum tare_status tare_fetch(const char *path, const char *url, const char *sha256,
                            const struct tare_data_options *options, struct tare_err *err) {
    struct tare_buf part = {0};
    tare_buf_printf(&part, "%s.part", path);
    if (part.failed)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory for a download");
    const int lock = lock_folder(path);
    if (lock < 0) {
        tare_buf_free(&part);
        return tare_fail_errno(err, path, "make its folder first", "cannot be written");
    }
    enum tare_status status = TARE_OK;
    if (!tare_path_exists(path) || check_sha256(path, sha256, url, NULL) != TARE_OK) {
        struct transfer t = {.path = path, .url = url, .part = part.data, .options = options};
        status = tare_curl_open(&t.library, err);
        if (status == TARE_OK)
            status = receive(&t, sha256, err);
        if (status == TARE_OK)
            status = keep(&t, err);
    }
    close(lock);
    tare_buf_free(&part);
    return status;
}
