/* process.c: the processes of an engine: its launcher, the three pipes, and the end of whatever it
 * started (process.h). tare is a subreaper while one lives: what survives a launcher that was
 * killed becomes tare's own child, and is found here. One lives at a time. */
#include "lab/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tare/children.h"
#include "tare/clock.h"

extern char **environ;

/* The child's descriptors: the launcher's status pipe is 3, named on its command line. */
#define STATUS_FD 3
#define STATUS_FD_TEXT "3"

#define MAX_SPARED 64 /* children that the caller had before: not the engine's */

struct tare_process {
    pid_t launcher;
    int fds[TARE_STREAM_COUNT]; /* read ends; −1 once closed */
    int read_error;             /* errno of a stream that could not be read to its end, or 0 */
    int served;                 /* the stream read last: the others come first */
    const volatile sig_atomic_t *stop;
    bool stop_told;
    int was_subreaper;
    pid_t spared[MAX_SPARED];
    int spared_count;
    struct sigaction stop_before, continue_before;
    char data[65536];
};

/* ---- being suspended ----------------------------------------------------------------------------
 * The terminal suspends tare alone, since the engine is in another group: so tare passes it on to
 * the launcher, which stops the engine and never itself. */

static volatile sig_atomic_t watched; /* the launcher, or 0 */
static volatile sig_atomic_t continued;
static atomic_int_least64_t suspended_ns;

static void tell_launcher(int number) {
    if (watched > 0)
        kill((pid_t)watched, number);
}

/* Stops as if there were no handler, so that what the kernel makes of SIGTSTP holds: nothing, where
 * nobody could continue tare. */
static void on_suspend(int number) {
    int error = errno;
    int64_t since_ns = tare_now_ns();
    struct sigaction as_usual = {.sa_handler = SIG_DFL}, mine;
    sigset_t this;
    sigemptyset(&this);
    sigaddset(&this, number);
    tell_launcher(SIGTSTP);
    sigaction(number, &as_usual, &mine);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &this, NULL); /* tare stops here */
    sigprocmask(SIG_BLOCK, &this, NULL);
    sigaction(number, &mine, NULL);
    tell_launcher(SIGCONT);
    atomic_fetch_add(&suspended_ns, tare_now_ns() - since_ns);
    errno = error;
}

/* SIGSTOP can't be seen, what ends it can. */
static void on_continue(int number) {
    int error = errno;
    continued = 1;
    tell_launcher(number);
    errno = error;
}

static void watch(struct tare_process *p) {
    struct sigaction suspend = {.sa_handler = on_suspend, .sa_flags = SA_RESTART};
    struct sigaction resume = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    watched = 0;
    continued = 0;
    atomic_store(&suspended_ns, 0);
    sigaction(SIGTSTP, NULL, &p->stop_before);
    if (p->stop_before.sa_handler != SIG_IGN) /* a shell without job control wants it so */
        sigaction(SIGTSTP, &suspend, NULL);
    sigaction(SIGCONT, &resume, &p->continue_before);
}

static void unwatch(const struct tare_process *p) {
    sigaction(SIGTSTP, &p->stop_before, NULL);
    sigaction(SIGCONT, &p->continue_before, NULL);
    watched = 0;
}

int64_t tare_process_suspended_ns(const struct tare_process *process) {
    (void)process; /* one lives at a time */
    int64_t known_ns = atomic_load(&suspended_ns);
    return !continued ? 0 : known_ns > 0 ? known_ns : 1;
}

/* ---- starting -----------------------------------------------------------------------------------
 */

static enum tare_status spawn_launcher(struct tare_process *p, const struct tare_launch *launch,
                                       const char *launcher, int job_fd,
                                       const int write_ends[TARE_STREAM_COUNT],
                                       struct tare_err *err) {
    char threads[16];
    snprintf(threads, sizeof threads, "%d", launch->threads);
    char program[TARE_MAX_PATH];
    snprintf(program, sizeof program, "%s", launch->program);
    char *command[] = {(char[]){"tare-launch"}, threads, (char[]){STATUS_FD_TEXT}, program, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none, before;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    const int from[] = {job_fd, write_ends[TARE_STREAM_EVENTS], write_ends[TARE_STREAM_LOG],
                        write_ends[TARE_STREAM_STATUS]};
    const int to[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, STATUS_FD};
    int error = 0;
    for (size_t i = 0; i < sizeof to / sizeof *to && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(&actions, from[i], to[i]);
    /* A process group of its own: the terminal's Ctrl-C reaches tare alone, which then decides. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigprocmask(SIG_BLOCK, &all, &before); /* until the handlers know whom to tell */
    if (error == 0)
        error = posix_spawn(&p->launcher, launcher, &actions, &attributes, command, environ);
    enum tare_status status = TARE_OK;
    if (error != 0) {
        errno = error;
        p->launcher = 0;
        status = tare_fail_errno(err, launcher, "make", "the launcher cannot be started");
    }
    watched = p->launcher;
    sigprocmask(SIG_SETMASK, &before, NULL);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return status;
}

/* Descriptors above the standard ones and above STATUS_FD, so that the dup2s cannot collide. */
static int lift(int fd) {
    int lifted = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 10) : -1;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return lifted;
}

static enum tare_status connect(struct tare_process *p, const struct tare_launch *launch,
                                const char *launcher, struct tare_err *err) {
    int write_ends[TARE_STREAM_COUNT] = {-1, -1, -1};
    int job_fd = lift((int)TEMP_FAILURE_RETRY(open(launch->job_path, O_RDONLY | O_CLOEXEC)));
    enum tare_status status = TARE_OK;
    if (job_fd < 0)
        status = tare_fail_errno(err, launch->job_path, NULL, "the job cannot be read");
    for (int i = 0; i < TARE_STREAM_COUNT && status == TARE_OK; i++) {
        int ends[2] = {-1, -1};
        if (pipe2(ends, O_CLOEXEC) == 0) {
            p->fds[i] = lift(ends[0]);
            write_ends[i] = lift(ends[1]);
        }
        if (p->fds[i] < 0 || write_ends[i] < 0)
            status = tare_fail_errno(err, NULL, NULL, "no pipe to the engine");
    }
    if (status == TARE_OK)
        status = spawn_launcher(p, launch, launcher, job_fd, write_ends, err);
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        if (write_ends[i] >= 0)
            close(write_ends[i]);
    if (job_fd >= 0)
        close(job_fd);
    return status;
}

enum tare_status tare_process_start(struct tare_process **process, const struct tare_launch *launch,
                                    struct tare_err *err) {
    char *launcher = NULL;
    *process = NULL;
    struct tare_process *p = calloc(1, sizeof *p);
    if (!p)
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory to listen to an engine");
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        p->fds[i] = -1;
    p->stop = launch->stop;
    p->spared_count = tare_children(p->spared, MAX_SPARED);
    prctl(PR_GET_CHILD_SUBREAPER, &p->was_subreaper);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    watch(p);
    enum tare_status status = tare_helper_find(&launcher, "tare-launch", err);
    if (status == TARE_OK && p->spared_count == MAX_SPARED)
        status = tare_fail(err, TARE_IO, NULL, "start engines before other processes",
                           "this program has too many children to know the engine's from them");
    if (status == TARE_OK)
        status = connect(p, launch, launcher, err);
    free(launcher);
    if (status == TARE_OK)
        *process = p;
    else
        tare_process_close(p);
    return status;
}

/* ---- listening ----------------------------------------------------------------------------------
 */

bool tare_process_is_open(const struct tare_process *process, enum tare_process_stream stream) {
    return process->fds[stream] >= 0;
}

/* No signal can set *stop between the look at it and the waiting: they are let in by ppoll only. */
static int wait_for(struct tare_process *p, struct pollfd polls[], int64_t until_ns) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    int64_t left_ns = until_ns - tare_now_ns();
    left_ns = left_ns > 0 ? left_ns : 0;
    struct timespec left = {left_ns / 1000000000, left_ns % 1000000000};
    bool news = p->stop && *p->stop && !p->stop_told;
    p->stop_told = p->stop_told || news;
    int ready = news ? 0 : ppoll(polls, TARE_STREAM_COUNT, &left, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ready;
}

ssize_t tare_process_listen(struct tare_process *process, int64_t until_ns,
                            enum tare_process_stream *stream, const char **data) {
    struct pollfd polls[TARE_STREAM_COUNT];
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        polls[i] = (struct pollfd){.fd = process->fds[i], .events = POLLIN};
    if (wait_for(process, polls, until_ns) <= 0)
        return -1;
    do
        process->served = (process->served + 1) % TARE_STREAM_COUNT;
    while (polls[process->served].revents == 0);
    int *fd = &process->fds[process->served];
    ssize_t got = read(*fd, process->data, sizeof process->data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return -1;
    if (got < 0)
        process->read_error = errno;
    if (got <= 0) {
        close(*fd);
        *fd = -1;
        got = 0;
    }
    *stream = (enum tare_process_stream)process->served;
    *data = process->data;
    return got;
}

int tare_process_read_error(const struct tare_process *process) {
    return process->read_error;
}

/* ---- ending -------------------------------------------------------------------------------------
 */

void tare_process_end(struct tare_process *process) {
    if (process->launcher <= 0)
        return;
    kill(process->launcher, SIGTERM);
    kill(process->launcher, SIGCONT); /* an engine may have stopped it */
}

void tare_process_kill(struct tare_process *process) {
    watched = 0; /* its number may soon be somebody else's */
    process->launcher = 0;
    tare_children_end(process->spared, process->spared_count);
}

void tare_process_close(struct tare_process *process) {
    if (!process)
        return;
    tare_process_kill(process);
    unwatch(process);
    if (!process->was_subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 0);
    for (int i = 0; i < TARE_STREAM_COUNT; i++)
        if (process->fds[i] >= 0)
            close(process->fds[i]);
    free(process);
}
