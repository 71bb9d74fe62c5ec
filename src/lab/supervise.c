/* supervise.c: listens to an engine until it ends or its time is up, ends it, and keeps what it
 * said. Its processes and pipes are process.c's; what it is worth is decided in judge.c; where
 * programs are found is find.c. */
#include "tare/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/launch_status.h"
#include "lab/process.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/words.h"

#define MS INT64_C(1000000) /* in ns */

/* The launcher kills the engine at once when it is asked to; one that hasn't by then is dead, or
 * may be stopped: so it stays well below the 100 ms in which nothing of an engine may be left. */
#define LAUNCHER_NS (20 * MS)
#define LAST_WORDS_NS (100 * MS)  /* for pipes that are still open when everything is killed, */
#define MOST_WORDS_NS (2000 * MS) /* and for those that somebody even writes to */
#define ASLEEP_NS (10 * MS)       /* of the machine, above what reading two clocks costs */

enum stage { RUNNING, ENDING, KILLED };

struct session {
    const struct tare_launch *launch;
    struct tare_outcome *outcome;
    struct tare_process *process;
    int log_fd;
    size_t log_bytes; /* of the engine's words, kept */
    char *line;       /* TARE_MAX_LINE_BYTES + 1 */
    size_t line_bytes;
    char status[512]; /* what the launcher wrote */
    size_t status_bytes;
    bool rubbish;   /* the engine broke the protocol: nothing further is believed */
    bool no_memory; /* tare's own trouble: nobody can say what the engine did */
    bool timed_out;
    enum stage stage;
    int64_t deadline_ns;   /* of the engine, were tare never suspended */
    int64_t time_is_up_ns; /* and as it was */
    int64_t next_ns;       /* when the next stage begins */
    int64_t asleep_ns;     /* of the machine, when it began */
};

/* ---- what it says -------------------------------------------------------------------------------
 */

static bool is_judged(const struct session *s) {
    return s->rubbish || s->no_memory;
}

static void spoil(struct session *s, const char *reason) {
    if (is_judged(s))
        return;
    s->rubbish = true;
    s->outcome->state = TARE_STATE_FAILED;
    snprintf(s->outcome->reason, sizeof s->outcome->reason, "%s", reason);
}

static void keep_event(struct session *s, const struct tare_event *event) {
    struct tare_outcome *o = s->outcome;
    if (o->event_count == TARE_MAX_EVENTS) {
        tare_outcome_free(o); /* nobody needs that many in memory, or in the record */
        spoil(s, "sent more events than a job can have");
        return;
    }
    if ((o->event_count & (o->event_count - 1)) == 0) { /* grow at powers of two */
        size_t capacity = o->event_count ? o->event_count * 2 : 1;
        capacity = capacity < TARE_MAX_EVENTS ? capacity : TARE_MAX_EVENTS;
        struct tare_event *grown = realloc(o->events, capacity * sizeof *grown);
        if (!grown) {
            s->no_memory = true;
            return;
        }
        o->events = grown;
    }
    o->events[o->event_count++] = *event;
}

static void take_event(struct session *s, const struct tare_event *event) {
    struct tare_outcome *o = s->outcome;
    char reason[TARE_MAX_TEXT];
    if (o->hello_ns == 0 && event->kind != TARE_EVENT_HELLO) {
        spoil(s, "spoke before it said hello");
        return;
    }
    if (event->kind == TARE_EVENT_HELLO) {
        if (o->hello_ns != 0)
            spoil(s, "said hello twice");
        else if (event->abi != TARE_ABI) {
            snprintf(reason, sizeof reason, "speaks protocol %d, this tare speaks %d", event->abi,
                     TARE_ABI);
            spoil(s, reason);
        } else if (strcmp(event->name, s->launch->engine) != 0) {
            snprintf(reason, sizeof reason, "says it is engine \"%s\"", event->name);
            spoil(s, reason);
        }
        o->hello_ns = tare_now_ns();
        if (event->wall_ns > o->hello_ns)
            spoil(s, "says that it began after it said so");
    }
    if (event->kind == TARE_EVENT_BYE)
        o->bye_ns = tare_now_ns();
    keep_event(s, event);
    if (s->launch->progress && !is_judged(s))
        s->launch->progress(s->launch->context, event);
}

static void take_line(struct session *s) {
    struct tare_event event;
    struct tare_err err = {0};
    enum tare_status status = TARE_OK;
    if (s->outcome->bye_ns != 0)
        spoil(s, "spoke after it said bye");
    else if ((status = tare_event_parse(&event, s->line, s->line_bytes, &err)) == TARE_OK)
        take_event(s, &event);
    else if (status == TARE_MEMORY)
        s->no_memory = true;
    else {
        char reason[TARE_MAX_TEXT];
        snprintf(reason, sizeof reason, "printed what is not an event: %.300s", err.what);
        spoil(s, reason);
    }
    s->line_bytes = 0;
}

static void take_events(struct session *s, const char *data, size_t size) {
    for (size_t i = 0; i < size && !is_judged(s); i++) {
        if (data[i] == '\n')
            take_line(s);
        else if (s->line_bytes < TARE_MAX_LINE_BYTES)
            s->line[s->line_bytes++] = data[i];
        else
            spoil(s, "printed a line of more than 65536 bytes");
    }
}

/* As much as the disk takes. A log explains a measurement and isn't one: what is missing of it is
 * counted, and spoils nothing. */
static size_t write_log(const struct session *s, const char *data, size_t size) {
    size_t written = 0;
    ssize_t put = 1;
    while (written < size && put > 0) {
        put = TEMP_FAILURE_RETRY(write(s->log_fd, data + written, size - written));
        written += put > 0 ? (size_t)put : 0;
    }
    return written;
}

static void take_log(struct session *s, const char *data, size_t size) {
    size_t room = TARE_MAX_LOG_BYTES - s->log_bytes;
    size_t kept = write_log(s, data, size < room ? size : room);
    s->log_bytes += kept;
    s->outcome->log_bytes_dropped += size - kept;
}

/* What is left out goes unnoticed by nobody. */
static void close_log(struct session *s) {
    char note[80];
    size_t dropped = s->outcome->log_bytes_dropped;
    int size = snprintf(note, sizeof note, "\n[tare: %zu further bytes were dropped]\n", dropped);
    if (s->log_fd < 0)
        return;
    if (dropped > 0)
        write_log(s, note, (size_t)size);
    close(s->log_fd);
}

static void take_status(struct session *s, const char *data, size_t size) {
    size_t room = sizeof s->status - 1 - s->status_bytes;
    size_t kept = size < room ? size : room;
    memcpy(s->status + s->status_bytes, data, kept);
    s->status_bytes += kept;
    s->status[s->status_bytes] = '\0';
}

static void take(struct session *s, enum tare_process_stream stream, const char *data,
                 size_t size) {
    switch (stream) {
    case TARE_STREAM_EVENTS:
        take_events(s, data, size);
        return;
    case TARE_STREAM_LOG:
        take_log(s, data, size);
        return;
    case TARE_STREAM_STATUS:
        take_status(s, data, size);
        return;
    case TARE_STREAM_COUNT:
        return;
    }
}

/* ---- until it ends ------------------------------------------------------------------------------
 */

static bool is_open(const struct session *s) {
    return tare_process_is_open(s->process, TARE_STREAM_EVENTS) ||
           tare_process_is_open(s->process, TARE_STREAM_LOG) ||
           tare_process_is_open(s->process, TARE_STREAM_STATUS);
}

static void end_engine(struct session *s, int64_t now_ns) {
    s->stage = ENDING;
    s->next_ns = now_ns + LAUNCHER_NS;
    tare_process_end(s->process);
}

static void kill_engine(struct session *s) {
    s->stage = KILLED;
    tare_process_kill(s->process);
    s->next_ns = tare_now_ns();
}

/* Ends what must end: an engine whose time is up, that is no longer believed, or that the user no
 * longer wants; and what is left when the launcher has gone. */
static void enforce_end(struct session *s) {
    int64_t now_ns = tare_now_ns();
    if (s->stage == KILLED)
        return;
    if (!tare_process_is_open(s->process, TARE_STREAM_STATUS)) {
        kill_engine(s);
        return;
    }
    if (s->stage == ENDING) {
        if (now_ns >= s->next_ns)
            kill_engine(s);
        return;
    }
    s->time_is_up_ns = s->deadline_ns + tare_process_suspended_ns(s->process);
    s->next_ns = s->time_is_up_ns;
    s->timed_out = now_ns >= s->time_is_up_ns;
    s->outcome->interrupted = s->launch->stop && *s->launch->stop;
    if (s->timed_out || is_judged(s) || s->outcome->interrupted)
        end_engine(s, now_ns);
}

/* What was written before everything was killed is still to be read, however late tare is; a pipe
 * that somebody out of reach holds, and may even write to, must not keep it waiting. */
static bool is_over(const struct session *s, bool nothing_there) {
    if (s->stage != KILLED)
        return false;
    return tare_now_ns() >= s->next_ns + (nothing_there ? LAST_WORDS_NS : MOST_WORDS_NS);
}

/* Until the launcher has reported and every pipe is closed. */
static void follow(struct session *s) {
    ssize_t got = 0;
    enforce_end(s);
    while (is_open(s) && !is_over(s, got < 0)) {
        enum tare_process_stream stream = TARE_STREAM_COUNT;
        const char *data = NULL;
        int64_t until_ns = s->next_ns + (s->stage == KILLED ? LAST_WORDS_NS : 0);
        got = tare_process_listen(s->process, until_ns, &stream, &data);
        if (got > 0)
            take(s, stream, data, (size_t)got);
        enforce_end(s);
    }
    if (s->line_bytes > 0)
        spoil(s, "its last line is cut off");
    s->outcome->suspended =
        tare_process_suspended_ns(s->process) > 0 || tare_asleep_ns() - s->asleep_ns > ASLEEP_NS;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static void describe_exit(struct tare_outcome *o, int wait_status) {
    if (WIFSIGNALED(wait_status))
        snprintf(o->reason, sizeof o->reason, "crashed: signal %d (%s)", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else if (o->bye_ns == 0)
        snprintf(o->reason, sizeof o->reason, "ended with exit code %d before it said bye",
                 WEXITSTATUS(wait_status));
    else
        snprintf(o->reason, sizeof o->reason, "said bye, but ended with exit code %d",
                 WEXITSTATUS(wait_status));
}

/* The engine's own word on why it stopped, when it gave one. */
static bool own_reason(struct tare_outcome *o) {
    for (size_t i = 0; i < o->event_count; i++) {
        const struct tare_event *e = &o->events[i];
        if (e->kind != TARE_EVENT_SKIP && e->kind != TARE_EVENT_FAIL)
            continue;
        o->state = e->kind == TARE_EVENT_SKIP ? TARE_STATE_SKIPPED : TARE_STATE_FAILED;
        snprintf(o->reason, sizeof o->reason, "%s", e->text);
        snprintf(o->fix, sizeof o->fix, "%s", e->kind == TARE_EVENT_SKIP ? e->extra : "");
        return true;
    }
    return false;
}

static void conclude(struct session *s) {
    struct tare_outcome *o = s->outcome;
    struct tare_launch_status status;
    tare_launch_status_parse(&status, s->status);
    if (status.exec_ns > 0)
        o->exec_ns = status.exec_ns;
    o->end_ns = status.ended ? status.end_ns : tare_now_ns();
    /* The moment the engine's own stopwatch began, when it is one that can be: a busy machine may
     * have brought its hello here late, and that delay is part of its first phase already. */
    int64_t began_ns = o->event_count > 0 ? o->events[0].wall_ns : 0;
    if (began_ns >= o->exec_ns && began_ns <= o->hello_ns)
        o->hello_ns = began_ns;
    /* It can't have said bye after it had ended; a busy machine may have brought that here late. */
    if (status.ended && o->bye_ns > o->end_ns)
        o->bye_ns = o->end_ns;
    o->cpu_ns = status.cpu_ns;
    o->peak_rss_bytes = status.peak_rss_bytes;
    o->leftovers = status.leftovers;
    const char *version = tare_outcome_setting(o, "version");
    if (version)
        snprintf(o->version, sizeof o->version, "%s", version);
    if (s->rubbish)
        return;
    o->state = TARE_STATE_FAILED;
    if (o->interrupted)
        snprintf(o->reason, sizeof o->reason, "interrupted");
    else if ((o->timed_out = s->timed_out && !(status.ended && status.end_ns < s->time_is_up_ns)))
        snprintf(o->reason, sizeof o->reason, "not done within %g s (--timeout)",
                 s->launch->timeout_s);
    else if (own_reason(o))
        return;
    else if (status.error > 0)
        snprintf(o->reason, sizeof o->reason, "cannot be run: %s", strerror(status.error));
    else if (!status.ended)
        snprintf(o->reason, sizeof o->reason, "its launcher was killed");
    else if (status.wait_status != 0 || o->bye_ns == 0)
        describe_exit(o, status.wait_status);
    else {
        o->state = TARE_STATE_OK;
        tare_outcome_judge(o, s->launch->threads);
    }
}

enum tare_status tare_supervise(struct tare_outcome *outcome, const struct tare_launch *launch,
                                struct tare_err *err) {
    *outcome = (struct tare_outcome){.state = TARE_STATE_FAILED};
    struct session s = {
        .launch = launch, .outcome = outcome, .log_fd = -1, .asleep_ns = tare_asleep_ns()};
    enum tare_status status = TARE_OK;
    s.line = malloc(TARE_MAX_LINE_BYTES + 1);
    if (!s.line)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to listen to an engine");
    /* An earlier engine may have put a link there: it is not followed. */
    if (status == TARE_OK && unlink(launch->log_path) != 0 && errno != ENOENT)
        status = tare_fail_errno(err, launch->log_path, "remove it by hand",
                                 "the log of an earlier engine cannot be removed");
    if (status == TARE_OK)
        s.log_fd = (int)TEMP_FAILURE_RETRY(
            open(launch->log_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (status == TARE_OK && s.log_fd < 0)
        status = tare_fail_errno(err, launch->log_path, "is the folder writable?",
                                 "the engine's log cannot be made");
    double timeout_s = fmin(launch->timeout_s, TARE_MAX_TIMEOUT_S); /* more doesn't fit in ns */
    s.deadline_ns = tare_now_ns() + (int64_t)(timeout_s * 1e9);
    if (status == TARE_OK)
        status = tare_process_start(&s.process, launch, err);
    if (status == TARE_OK) {
        follow(&s);
        int error = tare_process_read_error(s.process);
        tare_process_close(s.process);
        conclude(&s);
        tare_make_plain(
            outcome->reason); /* these are shown in many places, and cut to their field */
        tare_make_plain(outcome->fix);
        tare_make_plain(outcome->version);
        errno = error;
        if (error != 0)
            status = tare_fail_errno(err, launch->engine, NULL, "what it says cannot be read");
    }
    if (s.no_memory)
        status = tare_fail(err, TARE_MEMORY, launch->engine, NULL, "no memory for what it says");
    close_log(&s);
    free(s.line);
    return status;
}

void tare_outcome_free(struct tare_outcome *outcome) {
    free(outcome->events);
    outcome->events = NULL;
    outcome->event_count = 0;
}

enum tare_status tare_launch_job(struct tare_outcome *outcome, const struct tare_launch *launch,
                                 const struct tare_job *job, struct tare_err *err) {
    char *line = NULL;
    enum tare_status status = tare_job_text(&line, job, err);
    if (status == TARE_OK)
        status = tare_file_write(launch->job_path, line, strlen(line), err);
    free(line);
    return status == TARE_OK ? tare_supervise(outcome, launch, err) : status;
}
