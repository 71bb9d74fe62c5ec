/* supervise.c: starts an engine through tare-launch, listens to its three pipes (events, stderr,
 * the launcher's status) until it ends or its time is up, and keeps what it said. What that is
 * worth is decided in judge.c; where programs are found is find.c. */
#include "tare/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/clock.h"

extern char **environ;

enum { EVENTS, LOG, STATUS, PIPES };

/* The child's descriptors: the launcher's status pipe is 3, named on its command line. */
#define STATUS_FD 3
#define STATUS_FD_TEXT "3"

struct session {
    const struct tare_launch *launch;
    struct tare_outcome *outcome;
    int fds[PIPES]; /* read ends; −1 once closed */
    pid_t launcher;
    FILE *log;
    size_t log_bytes;
    char *line; /* TARE_MAX_LINE_BYTES + 1 */
    size_t line_bytes;
    char status[512]; /* what the launcher wrote */
    size_t status_bytes;
    bool rubbish; /* the engine broke the protocol: nothing further is believed */
    bool timed_out;
    int64_t deadline_ns;
};

static void spoil(struct session *s, const char *reason) {
    if (s->rubbish)
        return;
    s->rubbish = true;
    s->outcome->state = TARE_STATE_FAILED;
    snprintf(s->outcome->reason, sizeof s->outcome->reason, "%s", reason);
    kill(s->launcher, SIGTERM);
}

static void keep_event(struct session *s, const struct tare_event *event) {
    struct tare_outcome *o = s->outcome;
    if (o->event_count == TARE_MAX_EVENTS) {
        spoil(s, "sent more events than a job can have");
        return;
    }
    if ((o->event_count & (o->event_count - 1)) == 0) { /* grow at powers of two */
        size_t capacity = o->event_count ? o->event_count * 2 : 1;
        struct tare_event *grown = realloc(o->events, capacity * sizeof *grown);
        if (!grown) {
            spoil(s, "no memory for its events");
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
    }
    if (event->kind == TARE_EVENT_BYE)
        o->bye_ns = tare_now_ns();
    keep_event(s, event);
    if (s->launch->progress && !s->rubbish)
        s->launch->progress(s->launch->context, event);
}

static void take_line(struct session *s) {
    struct tare_event event;
    struct tare_err err = {0};
    if (s->outcome->bye_ns != 0)
        spoil(s, "spoke after it said bye");
    else if (tare_event_parse(&event, s->line, s->line_bytes, &err) == TARE_OK)
        take_event(s, &event);
    else {
        char reason[TARE_MAX_TEXT];
        snprintf(reason, sizeof reason, "printed what is not an event: %.300s", err.what);
        spoil(s, reason);
    }
    s->line_bytes = 0;
}

static void take_events(struct session *s, const char *data, size_t size) {
    for (size_t i = 0; i < size && !s->rubbish; i++) {
        if (data[i] == '\n')
            take_line(s);
        else if (s->line_bytes < TARE_MAX_LINE_BYTES)
            s->line[s->line_bytes++] = data[i];
        else
            spoil(s, "printed a line of more than 65536 bytes");
    }
}

static void take_log(struct session *s, const char *data, size_t size) {
    size_t room = TARE_MAX_LOG_BYTES - s->log_bytes;
    size_t kept = size < room ? size : room;
    size_t written = s->log ? fwrite(data, 1, kept, s->log) : 0;
    s->log_bytes += kept;
    s->outcome->log_bytes_dropped += size - written;
}

static void take_status(struct session *s, const char *data, size_t size) {
    size_t room = sizeof s->status - 1 - s->status_bytes;
    size_t kept = size < room ? size : room;
    memcpy(s->status + s->status_bytes, data, kept);
    s->status_bytes += kept;
    s->status[s->status_bytes] = '\0';
}

/* Reads what there is on one pipe; closes it at its end. */
static void listen_to(struct session *s, int which) {
    static char data[65536]; /* one supervisor runs at a time; off the stack */
    ssize_t got = read(s->fds[which], data, sizeof data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        close(s->fds[which]);
        s->fds[which] = -1;
        return;
    }
    if (which == EVENTS)
        take_events(s, data, (size_t)got);
    else if (which == LOG)
        take_log(s, data, (size_t)got);
    else
        take_status(s, data, (size_t)got);
}

/* Asks the launcher to end the engine; it has two seconds, then it is killed itself. */
static void enforce_end(struct session *s, int64_t now_ns) {
    struct tare_outcome *o = s->outcome;
    bool stop = s->launch->stop && *s->launch->stop;
    if (stop && !o->interrupted) {
        o->interrupted = true;
        s->deadline_ns = now_ns;
    }
    if (now_ns < s->deadline_ns)
        return;
    if (!s->timed_out) {
        s->timed_out = true;
        kill(s->launcher, SIGTERM);
        s->deadline_ns = now_ns + INT64_C(2000000000);
    } else
        kill(s->launcher, SIGKILL);
}

/* Until the launcher has reported and every pipe is closed. A pipe that some survivor still holds,
 * and may even write to, must not keep tare waiting: once the status pipe is closed the others have
 * 100 ms. */
static void follow(struct session *s) {
    int64_t give_up_ns = INT64_MAX;
    while ((s->fds[EVENTS] >= 0 || s->fds[LOG] >= 0 || s->fds[STATUS] >= 0) &&
           tare_now_ns() < give_up_ns) {
        struct pollfd polls[PIPES];
        for (int i = 0; i < PIPES; i++)
            polls[i] = (struct pollfd){.fd = s->fds[i], .events = POLLIN};
        int ready = poll(polls, PIPES, 100);
        for (int i = 0; i < PIPES && ready > 0; i++)
            if (polls[i].revents)
                listen_to(s, i);
        if (s->fds[STATUS] >= 0)
            enforce_end(s, tare_now_ns());
        else if (give_up_ns == INT64_MAX)
            give_up_ns = tare_now_ns() + INT64_C(100000000);
    }
    if (s->line_bytes > 0)
        spoil(s, "its last line is cut off");
    for (int i = 0; i < PIPES; i++)
        if (s->fds[i] >= 0)
            close(s->fds[i]);
    kill(-s->launcher, SIGKILL); /* the launcher's group: what is left when it was killed itself */
}

/* ---- starting ----------------------------------------------------------------------------------
 */

static enum tare_status spawn_launcher(struct session *s, const char *launcher, int job_fd,
                                       const int write_ends[PIPES], struct tare_err *err) {
    char threads[16];
    snprintf(threads, sizeof threads, "%d", s->launch->threads);
    char program[TARE_MAX_PATH];
    snprintf(program, sizeof program, "%s", s->launch->program);
    char *command[] = {(char[]){"tare-launch"}, threads, (char[]){STATUS_FD_TEXT}, program, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, job_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, write_ends[EVENTS], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, write_ends[LOG], STDERR_FILENO);
    posix_spawn_file_actions_adddup2(&actions, write_ends[STATUS], STATUS_FD);
    /* A process group of its own: the terminal's Ctrl-C reaches tare alone, which then decides. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    errno = posix_spawn(&s->launcher, launcher, &actions, &attributes, command, environ);
    enum tare_status status = TARE_OK;
    if (errno != 0)
        status = tare_fail_errno(err, launcher, "make", "the launcher cannot be started");
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return status;
}

/* Descriptors above the standard ones and above STATUS_FD, so that the dup2s cannot collide. */
static int lift(int fd) {
    int lifted = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 10) : -1;
    if (fd >= 0)
        close(fd);
    return lifted;
}

static enum tare_status start(struct session *s, const char *launcher, struct tare_err *err) {
    int write_ends[PIPES] = {-1, -1, -1};
    int job_fd = lift(open(s->launch->job_path, O_RDONLY | O_CLOEXEC));
    enum tare_status status = TARE_OK;
    if (job_fd < 0)
        status = tare_fail_errno(err, s->launch->job_path, NULL, "the job cannot be read");
    for (int i = 0; i < PIPES && status == TARE_OK; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            status = tare_fail_errno(err, NULL, NULL, "no pipe to the engine");
        else {
            s->fds[i] = lift(ends[0]);
            write_ends[i] = lift(ends[1]);
        }
    }
    if (status == TARE_OK)
        status = spawn_launcher(s, launcher, job_fd, write_ends, err);
    for (int i = 0; i < PIPES; i++) {
        if (write_ends[i] >= 0)
            close(write_ends[i]);
        if (status != TARE_OK && s->fds[i] >= 0)
            close(s->fds[i]);
    }
    if (job_fd >= 0)
        close(job_fd);
    return status;
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
    long long exec_ns = 0, end_ns = 0, user_us = 0, system_us = 0;
    long maxrss_kib = 0;
    int wait_status = 0, error = 0, leftovers = 0;
    const char *text = s->status;
    if (sscanf(text, "exec %lld", &exec_ns) == 1)
        o->exec_ns = exec_ns;
    text = strchr(text, '\n') ? strchr(text, '\n') + 1 : "";
    bool ended = sscanf(text, "exit %d %lld %ld %lld %lld %d", &wait_status, &end_ns, &maxrss_kib,
                        &user_us, &system_us, &leftovers) == 6;
    o->end_ns = ended ? end_ns : tare_now_ns();
    /* The moment the engine's own stopwatch began, when it is one that can be: a busy machine may
     * have brought its hello here late, and that delay is part of its first phase already. */
    int64_t began_ns = o->event_count > 0 ? o->events[0].wall_ns : 0;
    if (began_ns >= o->exec_ns && began_ns <= o->hello_ns)
        o->hello_ns = began_ns;
    o->cpu_ns = (user_us + system_us) * 1000;
    o->peak_rss_bytes = (size_t)maxrss_kib * 1024;
    o->leftovers = leftovers;
    for (size_t i = 0; i < o->event_count; i++)
        if (o->events[i].kind == TARE_EVENT_SETTING && strcmp(o->events[i].name, "version") == 0)
            snprintf(o->version, sizeof o->version, "%s", o->events[i].text);
    if (s->rubbish)
        return;
    o->state = TARE_STATE_FAILED;
    if (o->interrupted)
        snprintf(o->reason, sizeof o->reason, "interrupted");
    else if ((o->timed_out = s->timed_out))
        snprintf(o->reason, sizeof o->reason, "not done within %g s (--timeout)",
                 s->launch->timeout_s);
    else if (own_reason(o))
        return;
    else if (sscanf(text, "errno %d", &error) == 1)
        snprintf(o->reason, sizeof o->reason, "cannot be run: %s", strerror(error));
    else if (!ended)
        snprintf(o->reason, sizeof o->reason, "its launcher was killed");
    else if (wait_status != 0 || o->bye_ns == 0)
        describe_exit(o, wait_status);
    else {
        o->state = TARE_STATE_OK;
        tare_outcome_judge(o, s->launch->threads);
    }
}

enum tare_status tare_supervise(struct tare_outcome *outcome, const struct tare_launch *launch,
                                struct tare_err *err) {
    *outcome = (struct tare_outcome){.state = TARE_STATE_FAILED};
    struct session s = {.launch = launch, .outcome = outcome, .fds = {-1, -1, -1}};
    char *launcher = NULL;
    enum tare_status status = tare_helper_find(&launcher, "tare-launch", err);
    s.line = malloc(TARE_MAX_LINE_BYTES + 1);
    if (status == TARE_OK && !s.line)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to listen to an engine");
    if (status == TARE_OK && !(s.log = fopen(launch->log_path, "we")))
        status = tare_fail_errno(err, launch->log_path, "is the folder writable?",
                                 "the engine's log cannot be made");
    double timeout_s = fmin(launch->timeout_s, TARE_MAX_TIMEOUT_S); /* more doesn't fit in ns */
    s.deadline_ns = tare_now_ns() + (int64_t)(timeout_s * 1e9);
    if (status == TARE_OK)
        status = start(&s, launcher, err);
    if (status == TARE_OK) {
        follow(&s);
        while (waitpid(s.launcher, NULL, 0) < 0 && errno == EINTR)
            continue;
        conclude(&s);
    }
    if (s.log && s.outcome->log_bytes_dropped > 0)
        fprintf(s.log, "\n[tare: %zu further bytes were dropped]\n", outcome->log_bytes_dropped);
    if (s.log)
        fclose(s.log);
    free(s.line);
    free(launcher);
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
