/* launch.c: the tiny program between tare and an engine: tare-launch CPUS STATUS_FD PROGRAM ARG…
 *
 * The kernel counts what a process's *parent* had in memory at fork into its peak RSS, so an engine
 * must be started by something that has nothing. The launcher limits the engine to CPUS processors,
 * waits for it, reports on STATUS_FD, and kills whatever the engine left behind: it is a subreaper,
 * so orphans of the engine become its children. When tare dies it dies, and the engine with it.
 *
 * STATUS_FD gets lines: "exec NS", then "errno N" when PROGRAM cannot be run, or
 * "exit WAIT_STATUS END_NS MAXRSS_KIB USER_US SYSTEM_US LEFTOVERS". The supervisor reads them
 * (src/lab/supervise.c). SIGTERM makes the launcher kill the engine at once, SIGTSTP stop it and
 * SIGCONT continue it; the launcher itself never stops, so that it can clean up at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tare/children.h"

static volatile sig_atomic_t engine; /* pid */

/* The engine leads a group of its own. It gets the signal once more by itself, in the moment before
 * it has one. */
static void signal_engine(int number) {
    if (engine <= 0)
        return;
    kill(-(pid_t)engine, number);
    kill((pid_t)engine, number);
}

static void on_signal(int number) {
    int error = errno;
    signal_engine(number == SIGTSTP ? SIGSTOP : number == SIGCONT ? SIGCONT : SIGKILL);
    errno = error;
}

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT};
#define SIGNALS (sizeof signals / sizeof signals[0])

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Keeps the first `count` of the CPUs this process may use; 0 keeps all. */
static void limit_cpus(int count) {
    cpu_set_t allowed, chosen;
    CPU_ZERO(&chosen);
    if (count <= 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&chosen) < count; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            CPU_SET(cpu, &chosen);
    sched_setaffinity(0, sizeof chosen, &chosen);
}

/* In the child: becomes the program, or sends errno through the pipe. */
static void become(char **command, int error_fd, pid_t launcher) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (getppid() != launcher)
        _exit(127); /* the launcher died before the line above took effect */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    execv(command[0], command);
    int error = errno;
    if (write(error_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

/* Until the engine has ended. What is left of its group dies before the engine's number is given
 * back, so that no other group is hit; orphans that end meanwhile are reaped. */
static void wait_for_engine(pid_t child, int *wait_status, struct rusage *usage) {
    for (siginfo_t ended = {0}; ended.si_pid != child;) {
        ended.si_pid = 0;
        if (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0 || ended.si_pid == 0)
            continue; /* a signal came */
        if (ended.si_pid != child)
            waitpid(ended.si_pid, NULL, WNOHANG);
    }
    kill(-child, SIGKILL);
    engine = 0;
    while (wait4(child, wait_status, 0, usage) < 0 && errno == EINTR)
        continue;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: tare-launch CPUS STATUS_FD PROGRAM [ARG...]\n"
                        "Starts an engine for tare; not meant to be called by hand.\n");
        return 2;
    }
    /* Signals wait until the engine's pid is known, so that a kill can't be lost in between. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t handled, before;
    sigemptyset(&handled);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&handled, signals[i]);
    sigprocmask(SIG_BLOCK, &handled, &before);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &action, NULL);
    pid_t tare = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN); /* tare may be gone; the cleaning up is still to be done */
    if (getppid() != tare)
        return 1;
    limit_cpus(atoi(argv[1]));
    int status_fd = atoi(argv[2]);
    fcntl(status_fd, F_SETFD, FD_CLOEXEC);
    int error_pipe[2];
    if (pipe2(error_pipe, O_CLOEXEC) != 0)
        return 1;

    dprintf(status_fd, "exec %lld\n", now_ns());
    pid_t launcher = getpid();
    pid_t child = fork();
    if (child == 0)
        become(argv + 3, error_pipe[1], launcher);
    if (child > 0)
        setpgid(child, child); /* whichever of the two is first */
    engine = child > 0 ? child : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(error_pipe[1]);
    int error = child < 0 ? errno : 0;
    if (child > 0 && read(error_pipe[0], &error, sizeof error) != (ssize_t)sizeof error)
        error = 0;
    if (error) {
        dprintf(status_fd, "errno %d\n", error);
        if (child > 0)
            waitpid(child, NULL, 0);
        return 1;
    }
    int wait_status = 0;
    struct rusage usage = {0};
    wait_for_engine(child, &wait_status, &usage);
    long long end_ns = now_ns();
    int leftovers = tare_children_end(NULL, 0);
    dprintf(status_fd, "exit %d %lld %ld %lld %lld %d\n", wait_status, end_ns, usage.ru_maxrss,
            (long long)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec,
            (long long)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec, leftovers);
    return 0;
}
