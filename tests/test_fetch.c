/* test_fetch.c: downloads against a server of our own on the loopback: whole, cut anywhere and
 * resumed, a server that ignores ranges or gives wrong ones, wrong bytes, 404, silence, a disk that
 * is full. Killed in the middle, and two at once: this program, called with a URL, a path and a
 * checksum, is a process that fetches. */
#include "scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tare/data.h"

enum { FILE_BYTES = 300000, CUT_AT = 100000 };

static struct {
    struct MHD_Daemon *daemon;
    char url[64];
    struct tare_buf file; /* what is served, a .gz */
    char sha256[65];      /* of the uncompressed bytes */
    unsigned requests;
    int64_t last_range; /* start asked for last; −1: none */
    unsigned progress_calls;
    size_t cut_at;          /* of /cut-once.gz: where its first answer breaks off */
    _Atomic size_t allowed; /* of /slow.gz: what has been given may not pass this */
    struct tare_buf former; /* what /changed.gz was before; served once, and cut */
    struct tare_buf wrong;  /* what /wrong.gz is */
} server;

/* What a served response has left to give. */
struct reply {
    const char *bytes;
    size_t size, cut_at; /* cut_at: break the connection there */
    bool stall, slow;
};

static ssize_t give(void *context, uint64_t at, char *out, size_t room) {
    const struct reply *reply = context;
    if (reply->stall) {
        sleep(3);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (at >= reply->cut_at)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t count = reply->cut_at - (size_t)at;
    if (count > room)
        count = room;
    while (reply->slow && at + count > server.allowed)
        usleep(1000);
    if (reply->slow)
        usleep(2000);
    memcpy(out, reply->bytes + at, count);
    return (ssize_t)count;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned code,
                                   const char *header, const char *value) {
    static char text[] = "<html>an error's page</html>";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
    if (header != NULL)
        MHD_add_response_header(response, header, value);
    const enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned code, struct reply *reply,
                              size_t range_said) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(reply->size, 4096, give, reply, free);
    if (code == MHD_HTTP_PARTIAL_CONTENT) {
        char range[96];
        size_t end = range_said + reply->size;
        snprintf(range, sizeof range, "bytes %zu-%zu/%zu", range_said, end - 1, end);
        MHD_add_response_header(response, "Content-Range", range);
    }
    const enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_bytes(struct MHD_Connection *connection, unsigned code, size_t from,
                                    size_t range_said, size_t cut_at, bool stall) {
    struct reply *reply = calloc(1, sizeof *reply);
    reply->bytes = server.file.data + from;
    reply->size = server.file.size - from;
    reply->cut_at = cut_at < reply->size ? cut_at : reply->size;
    reply->stall = stall;
    return answer(connection, code, reply, range_said);
}

/* All of other bytes than the file's, or the first of them. */
static enum MHD_Result answer_other(struct MHD_Connection *connection, const struct tare_buf *other,
                                    size_t cut_at) {
    struct reply *reply = calloc(1, sizeof *reply);
    reply->bytes = other->data;
    reply->size = other->size;
    reply->cut_at = cut_at < other->size ? cut_at : other->size;
    return answer(connection, MHD_HTTP_OK, reply, 0);
}

/* The path of the URL says how to misbehave. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_size, void **state) {
    (void)context, (void)method, (void)version, (void)data, (void)data_size, (void)state;
    const char *range = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Range");
    unsigned long from = 0;
    server.requests++;
    server.last_range = -1;
    if (range != NULL && sscanf(range, "bytes=%lu-", &from) == 1)
        server.last_range = (int64_t)from;
    const size_t whole = server.file.size;
    if (strcmp(url, "/missing.gz") == 0)
        return answer_text(connection, 404, NULL, NULL);
    if (strcmp(url, "/moved.gz") == 0)
        return answer_text(connection, 302, "Location", "/whole.gz");
    if (strcmp(url, "/page.gz") == 0)
        return answer_text(connection, 200, NULL, NULL);
    if (strcmp(url, "/deaf.gz") == 0) /* ignores ranges */
        return answer_bytes(connection, 200, 0, 0, whole, false);
    if (strcmp(url, "/silent.gz") == 0)
        return answer_bytes(connection, 200, 0, 0, whole, true);
    if (strcmp(url, "/wrong.gz") == 0)
        return answer_other(connection, &server.wrong, SIZE_MAX);
    if (strcmp(url, "/changed.gz") == 0 && server.requests == 1)
        return answer_other(connection, &server.former, CUT_AT);
    if (strcmp(url, "/cut-once.gz") == 0 && server.requests == 1)
        return answer_bytes(connection, 200, 0, 0, server.cut_at, false);
    if (strcmp(url, "/pieces.gz") == 0 && from < whole)
        return answer_bytes(connection, range != NULL ? 206 : 200, from, from, server.cut_at,
                            false);
    if (strcmp(url, "/endless.gz") == 0) { /* always more, from wherever is asked for */
        struct reply *reply = calloc(1, sizeof *reply);
        *reply = (struct reply){.bytes = server.file.data, .size = whole, .cut_at = whole};
        return answer(connection, range != NULL ? 206 : 200, reply, from);
    }
    if (strcmp(url, "/slow.gz") == 0 && from < whole) {
        struct reply *reply = calloc(1, sizeof *reply);
        *reply = (struct reply){.bytes = server.file.data + from,
                                .size = whole - from,
                                .cut_at = whole - from,
                                .slow = true};
        return answer(connection, range != NULL ? 206 : 200, reply, from);
    }
    if (from >= whole)
        return answer_text(connection, 416, NULL, NULL);
    const bool confused = strcmp(url, "/confused.gz") == 0; /* says it gives another range */
    const unsigned code = range != NULL ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK;
    const bool cuts = strcmp(url, "/cut.gz") == 0 || strcmp(url, "/breaks.gz") == 0;
    size_t cut_at = cuts ? CUT_AT : whole;
    if (strcmp(url, "/breaks.gz") == 0 && range != NULL)
        cut_at = 0; /* never gives anything more */
    return answer_bytes(connection, code, from, from + (confused ? 5 : 0), cut_at, false);
}

static int start_server(void **state) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint8_t *noise = malloc(FILE_BYTES);
    uint32_t x = 1;
    if (scratch_setup(state) != 0 || noise == NULL)
        return -1;
    for (size_t i = 0; i < FILE_BYTES; i++) { /* hardly compressible */
        x = x * 1664525u + 1013904223u;
        noise[i] = (uint8_t)(x >> 24);
    }
    gzip_bytes(&server.file, noise, FILE_BYTES);
    tare_sha256_hex(server.sha256, noise, FILE_BYTES);
    free(noise);
    setenv("no_proxy", "127.0.0.1", 1);
    setenv("NO_PROXY", "127.0.0.1", 1);
    server.daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL,
                         NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (server.daemon == NULL)
        return -1;
    snprintf(server.url, sizeof server.url, "http://127.0.0.1:%u/",
             (unsigned)MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    return 0;
}

static int stop_server(void **state) {
    MHD_stop_daemon(server.daemon);
    tare_buf_free(&server.file);
    tare_buf_free(&server.former);
    tare_buf_free(&server.wrong);
    return scratch_teardown(state);
}

static int clean(void **state) {
    (void)state;
    unlink(scratch_path("f.gz"));
    unlink(scratch_path("f.gz.part"));
    server.requests = 0;
    server.allowed = SIZE_MAX;
    server.progress_calls = 0;
    server.last_range = -1;
    return 0;
}

static void count_progress(void *context, const char *text) {
    assert_ptr_equal(context, &server);
    assert_non_null(strstr(text, "downloading f.gz"));
    server.progress_calls++;
}

static enum tare_status fetch(const char *file, struct tare_err *err) {
    char url[128];
    struct tare_data_options options = {
        .progress = count_progress, .context = &server, .timeout_s = 1};
    snprintf(url, sizeof url, "%s%s", server.url, file);
    return tare_fetch(scratch_path("f.gz"), url, server.sha256, &options, err);
}

static bool file_is_good(void) {
    return scratch_holds("f.gz", server.file.data, server.file.size) &&
           !tare_path_exists(scratch_path("f.gz.part"));
}

/* The first `size` bytes of the file as a former attempt left them, or others. */
static void leave_part(size_t size, char flip) {
    uint8_t *part = exact_copy(server.file.data, size);
    part[size / 2] ^= (uint8_t)flip;
    scratch_write("f.gz.part", part, size);
    free(part);
}

static void a_whole_file_is_fetched_once(void **state) {
    (void)state;
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_true(file_is_good());
    assert_int_equal(server.last_range, -1);
    assert_true(server.progress_calls > 0);
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_int_equal(server.requests, 1); /* it was there already */
}

static void a_redirection_is_followed(void **state) {
    (void)state;
    assert_int_equal(fetch("moved.gz", NULL), TARE_OK);
    assert_true(file_is_good());
}

static void a_part_is_resumed(void **state) {
    (void)state;
    leave_part(1234, 0);
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_true(file_is_good());
    assert_int_equal(server.requests, 1);
    assert_int_equal(server.last_range, 1234);
}

static void a_cut_transfer_is_taken_up_again(void **state) {
    (void)state;
    assert_int_equal(fetch("cut.gz", NULL), TARE_OK);
    assert_true(file_is_good());
    assert_int_equal(server.requests, 4); /* 300 kB in pieces of 100 kB, and gzip's few bytes */
    assert_true(server.last_range >= 2 * CUT_AT);
}

static void a_transfer_that_stays_cut_keeps_its_part(void **state) {
    (void)state;
    struct tare_err err = {0};
    assert_int_equal(fetch("breaks.gz", &err), TARE_IO);
    assert_non_null(strstr(err.where, server.url));
    assert_true(server.requests >= 2 && server.requests <= 5);
    assert_false(tare_path_exists(scratch_path("f.gz")));
    assert_true(scratch_holds("f.gz.part", server.file.data, CUT_AT));
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_int_equal(server.last_range, CUT_AT);
    assert_true(file_is_good());
}

static void a_server_that_ignores_ranges_is_understood(void **state) {
    (void)state;
    leave_part(1234, 0);
    assert_int_equal(fetch("deaf.gz", NULL), TARE_OK);
    assert_int_equal(server.requests, 1);
    assert_int_equal(server.last_range, 1234);
    assert_true(file_is_good());
}

static void a_wrong_range_starts_anew(void **state) {
    (void)state;
    leave_part(1234, 0);
    assert_int_equal(fetch("confused.gz", NULL), TARE_OK);
    assert_int_equal(server.requests, 2);
    assert_int_equal(server.last_range, -1);
    assert_true(file_is_good());
}

static void a_part_that_is_too_long_or_wrong_starts_anew(void **state) {
    (void)state;
    struct tare_buf longer = {0};
    tare_buf_append(&longer, server.file.data, server.file.size);
    tare_buf_puts(&longer, "more");
    scratch_write("f.gz.part", longer.data, longer.size);
    tare_buf_free(&longer);
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_true(file_is_good());
    clean(NULL);
    leave_part(5000, 1);
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_int_equal(server.requests, 2);
    assert_true(file_is_good());
}

static void wrong_bytes_never_replace_a_file(void **state) {
    (void)state;
    struct tare_err err = {0};
    scratch_write("f.gz", "precious", 8);
    assert_int_equal(fetch("page.gz", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "wrong checksum"));
    assert_non_null(strstr(err.where, "page.gz"));
    assert_true(err.hint[0] != '\0');
    assert_true(scratch_holds("f.gz", "precious", 8));
    assert_false(tare_path_exists(scratch_path("f.gz.part")));
}

static void a_bad_file_is_replaced_by_a_good_one(void **state) {
    (void)state;
    scratch_write("f.gz", "rubbish", 7);
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_true(file_is_good());
}

static void http_errors_are_told(void **state) {
    (void)state;
    struct tare_err err = {0};
    leave_part(1234, 0);
    assert_int_equal(fetch("missing.gz", &err), TARE_IO);
    assert_non_null(strstr(err.what, "404"));
    assert_int_equal(server.requests, 1);
    /* The error's page is not part of the file. */
    assert_true(scratch_holds("f.gz.part", server.file.data, 1234));
}

static void a_silent_server_is_given_up(void **state) {
    (void)state;
    struct tare_err err = {0};
    assert_int_equal(fetch("silent.gz", &err), TARE_IO);
    assert_non_null(strstr(err.where, "silent.gz"));
    assert_int_equal(server.requests, 1);
}

static void nobody_listening_is_an_error(void **state) {
    (void)state;
    struct tare_err err = {0};
    assert_int_equal(
        tare_fetch(scratch_path("f.gz"), "http://127.0.0.1:9/f.gz", server.sha256, NULL, &err),
        TARE_IO);
    assert_non_null(strstr(err.where, "127.0.0.1:9"));
    assert_true(err.hint[0] != '\0');
}

static void other_protocols_and_missing_folders_are_refused(void **state) {
    (void)state;
    struct tare_err err = {0};
    char url[600];
    snprintf(url, sizeof url, "file://%s", scratch_write("g.gz", "x", 1));
    assert_int_equal(tare_fetch(scratch_path("f.gz"), url, server.sha256, NULL, &err), TARE_IO);
    assert_false(tare_path_exists(scratch_path("f.gz")));
    snprintf(url, sizeof url, "%swhole.gz", server.url);
    assert_int_equal(tare_fetch(scratch_path("no/folder/f.gz"), url, server.sha256, NULL, &err),
                     TARE_IO);
}

/* Wherever an answer breaks off: what came is kept, the rest is asked for, once. */
static void a_cut_at_every_chunk_is_resumed(void **state) {
    size_t cuts = 0;
    for (server.cut_at = 1; server.cut_at < server.file.size; server.cut_at += 4096) {
        clean(state);
        assert_int_equal(fetch("cut-once.gz", NULL), TARE_OK);
        assert_true(file_is_good());
        assert_int_equal(server.requests, 2);
        assert_int_equal(server.last_range, server.cut_at);
        cuts++;
    }
    assert_true(cuts > 70);
}

/* More pieces than one call asks for: the next call goes on. */
static void many_pieces_come_in_several_calls(void **state) {
    (void)state;
    size_t calls = 0, before = 0;
    server.cut_at = 20000;
    for (enum tare_status status = TARE_IO; status != TARE_OK; calls++) {
        struct tare_buf part = {0};
        status = fetch("pieces.gz", NULL);
        assert_true(status == TARE_OK || status == TARE_IO);
        if (status == TARE_OK)
            break;
        assert_int_equal(tare_file_read(&part, scratch_path("f.gz.part"), server.file.size, NULL),
                         TARE_OK);
        assert_true(part.size > before);
        before = part.size;
        tare_buf_free(&part);
    }
    assert_true(calls >= 2);
    assert_true(file_is_good());
}

/* The part is of what the server had before: together they are neither, and it is fetched anew. */
static void a_file_that_changed_meanwhile_starts_anew(void **state) {
    (void)state;
    server.former.size = 0;
    tare_buf_append(&server.former, server.file.data, server.file.size);
    for (size_t i = 0; i < server.former.size; i += 1000)
        server.former.data[i] ^= 0x10;
    assert_int_equal(fetch("changed.gz", NULL), TARE_OK);
    assert_true(file_is_good());
    assert_int_equal(server.requests, 3); /* the former one, its rest, and the whole */
    assert_int_equal(server.last_range, -1);
}

/* What a server gives in place of the file: each is thrown away, whatever stood there stays. */
static void wrong_files_are_thrown_away(void **state) {
    struct tare_buf *wrong = &server.wrong;
    for (int kind = 0; kind < 7; kind++)
        for (int there = 0; there < 2; there++) {
            struct tare_err err = {0};
            clean(state);
            wrong->size = 0;
            tare_buf_append(wrong, server.file.data, server.file.size);
            switch (kind) {
            case 0: /* a bit of the compressed bytes */
                wrong->data[wrong->size / 2] ^= 1;
                break;
            case 1: /* of the checksum at the end of a .gz */
                wrong->data[wrong->size - 6] ^= 1;
                break;
            case 2: /* a .gz that ends too early, as it says itself */
                wrong->size -= 1;
                break;
            case 3:
                wrong->size /= 2;
                break;
            case 4: /* too long: by rubbish, by another member */
                tare_buf_puts(wrong, "more");
                break;
            case 5:
                gzip_bytes(wrong, "more", 4);
                break;
            default: /* a good .gz of something else */
                wrong->size = 0;
                gzip_bytes(wrong, "something else", 14);
            }
            if (there)
                scratch_write("f.gz", "precious", 8);
            assert_int_equal(fetch("wrong.gz", &err), TARE_DATA);
            assert_true(err.what[0] != '\0' && err.where[0] != '\0' && err.hint[0] != '\0');
            assert_int_equal(server.requests, 1);
            assert_int_equal(tare_path_exists(scratch_path("f.gz")), there);
            assert_true(!there || scratch_holds("f.gz", "precious", 8));
            assert_false(tare_path_exists(scratch_path("f.gz.part")));
        }
}

static void a_good_file_is_not_even_asked_for(void **state) {
    (void)state;
    scratch_write("f.gz", server.file.data, server.file.size);
    assert_int_equal(fetch("page.gz", NULL), TARE_OK);
    assert_int_equal(server.requests, 0);
    assert_true(file_is_good());
}

/* A part at the limit (a hole: it takes no disk) and a server that has more. */
static void an_endless_file_is_thrown_away(void **state) {
    (void)state;
    struct tare_err err = {0};
    scratch_write("f.gz.part", "", 0);
    assert_int_equal(truncate(scratch_path("f.gz.part"), (1 << 30) - 5), 0);
    assert_int_equal(fetch("endless.gz", &err), TARE_DATA);
    assert_non_null(strstr(err.what, "more than 1024 MiB"));
    assert_int_equal(server.requests, 1);
    assert_false(tare_path_exists(scratch_path("f.gz.part")));
    assert_false(tare_path_exists(scratch_path("f.gz")));
}

/* Files may not grow over 100,000 bytes: a write fails as it does when the disk is full. */
static void a_full_disk_is_told_and_resumed(void **state) {
    (void)state;
    struct tare_err err = {0};
    struct rlimit was, little = {.rlim_cur = 100000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    little.rlim_max = was.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    enum tare_status status = fetch("whole.gz", &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(status, TARE_IO);
    assert_non_null(strstr(err.where, "f.gz.part"));
    assert_non_null(strstr(err.what, strerror(EFBIG)));
    assert_non_null(strstr(err.hint, "disk space"));
    assert_int_equal(server.requests, 1);
    assert_false(tare_path_exists(scratch_path("f.gz")));
    assert_true(scratch_holds("f.gz.part", server.file.data, 100000));
    assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
    assert_int_equal(server.last_range, 100000);
    assert_true(file_is_good());
}

/* ---- other processes ---------------------------------------------------------------------------
 */

static pid_t start_fetching(const char *file) {
    char url[128], *path = strdup(scratch_path("f.gz")), me[] = "/proc/self/exe";
    snprintf(url, sizeof url, "%s%s", server.url, file);
    char *const argv[] = {me, url, path, server.sha256, NULL};
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, me, NULL, NULL, argv, environ), 0);
    free(path);
    return pid;
}

static size_t size_of(const char *name) {
    struct stat info;
    return stat(scratch_path(name), &info) == 0 ? (size_t)info.st_size : 0;
}

/* Killed wherever it is: the part is a beginning of the file, and the next process goes on there.
 */
static void a_killed_download_is_resumed(void **state) {
    for (size_t least = 1; least + 60000 < server.file.size; least += 60000) {
        int status;
        clean(state);
        server.allowed = least + 30000; /* so that it can't end before it is killed */
        pid_t pid = start_fetching("slow.gz");
        while (size_of("f.gz.part") < least && waitpid(pid, &status, WNOHANG) == 0)
            usleep(1000);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        server.allowed = SIZE_MAX;
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        size_t kept = size_of("f.gz.part");
        assert_true(kept >= least && kept < server.file.size);
        assert_true(scratch_holds("f.gz.part", server.file.data, kept));
        assert_false(tare_path_exists(scratch_path("f.gz")));
        assert_int_equal(fetch("whole.gz", NULL), TARE_OK);
        assert_int_equal(server.last_range, kept);
        assert_true(file_is_good());
    }
}

/* One fetches, the other waits for it; whoever looks sees the whole file or none. */
static void two_at_once_fetch_once(void **state) {
    (void)state;
    int status, left = 2;
    start_fetching("slow.gz");
    start_fetching("slow.gz");
    while (left > 0) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        assert_true(pid >= 0);
        if (pid > 0) {
            left--;
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            assert_true(scratch_holds("f.gz", server.file.data, server.file.size));
        }
        if (tare_path_exists(scratch_path("f.gz")))
            assert_true(scratch_holds("f.gz", server.file.data, server.file.size));
        usleep(500);
    }
    assert_int_equal(server.requests, 1);
    assert_true(file_is_good());
}

/* The whole way: nothing on the machine, a mirror that has other bytes. */
static void a_data_set_is_asked_from_the_mirror(void **state) {
    (void)state;
    struct tare_dataset set;
    struct tare_err err = {0};
    struct tare_data_options options = {
        .allow_download = true, .mirror = server.url, .timeout_s = 1};
    char cwd[512];
    assert_non_null(getcwd(cwd, sizeof cwd));
    setenv("XDG_CACHE_HOME", scratch, 1);
    setenv("TARE_DATA", scratch_path("nowhere"), 1);
    assert_int_equal(chdir(scratch), 0); /* away from ./data */
    assert_int_equal(tare_dataset_load(&set, &options, &err), TARE_DATA);
    assert_int_equal(chdir(cwd), 0);
    assert_string_equal(err.where, "MNIST");
    assert_non_null(strstr(err.what, "train-images-idx3-ubyte.gz"));
    assert_non_null(strstr(err.what, "wrong checksum"));
    assert_non_null(strstr(err.hint, "--data"));
    assert_int_equal(server.requests, 1);
    assert_false(tare_path_exists(scratch_path("tare/data/mnist/train-images-idx3-ubyte.gz")));
}

int main(int argc, char **argv) {
    if (argc == 4)
        return tare_exit_code(tare_fetch(argv[2], argv[1], argv[3], NULL, NULL));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_whole_file_is_fetched_once, clean),
        cmocka_unit_test_setup(a_redirection_is_followed, clean),
        cmocka_unit_test_setup(a_part_is_resumed, clean),
        cmocka_unit_test_setup(a_cut_transfer_is_taken_up_again, clean),
        cmocka_unit_test_setup(a_transfer_that_stays_cut_keeps_its_part, clean),
        cmocka_unit_test_setup(a_server_that_ignores_ranges_is_understood, clean),
        cmocka_unit_test_setup(a_wrong_range_starts_anew, clean),
        cmocka_unit_test_setup(a_part_that_is_too_long_or_wrong_starts_anew, clean),
        cmocka_unit_test_setup(wrong_bytes_never_replace_a_file, clean),
        cmocka_unit_test_setup(a_bad_file_is_replaced_by_a_good_one, clean),
        cmocka_unit_test_setup(http_errors_are_told, clean),
        cmocka_unit_test_setup(a_silent_server_is_given_up, clean),
        cmocka_unit_test_setup(nobody_listening_is_an_error, clean),
        cmocka_unit_test_setup(other_protocols_and_missing_folders_are_refused, clean),
        cmocka_unit_test_setup(a_cut_at_every_chunk_is_resumed, clean),
        cmocka_unit_test_setup(many_pieces_come_in_several_calls, clean),
        cmocka_unit_test_setup(a_file_that_changed_meanwhile_starts_anew, clean),
        cmocka_unit_test_setup(wrong_files_are_thrown_away, clean),
        cmocka_unit_test_setup(a_good_file_is_not_even_asked_for, clean),
        cmocka_unit_test_setup(an_endless_file_is_thrown_away, clean),
        cmocka_unit_test_setup(a_full_disk_is_told_and_resumed, clean),
        cmocka_unit_test_setup(a_killed_download_is_resumed, clean),
        cmocka_unit_test_setup(two_at_once_fetch_once, clean),
        cmocka_unit_test_setup(a_data_set_is_asked_from_the_mirror, clean),
    };
    return cmocka_run_group_tests_name("fetch", tests, start_server, stop_server);
}
