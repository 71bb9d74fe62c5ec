/* launch.c: the tiny program between tare and an engine: tare-launch CPUS STATUS_FD PROGRAM ARG…
 *
 * The kernel counts what a process's *parent* had in memory at fork into its peak RSS, so an engine
 * must be started by something that has nothing. The launcher limits the engine to CPUS processors,
 * waits for it, reports on STATUS_FD, and kills whatever the engine left behind: it is a subreaper,
 * so orphans of the engine become its children. When tare dies it dies, and the engine with it.
 *
 * STATUS_FD gets lines: "exec NS", then "errno N" when PROGRAM cannot be run, or
 * "exit WAIT_STATUS END_NS MAXRSS_KIB USER_US SYSTEM_US LEFTOVERS". The supervisor reads them
 * (src/lab/supervise.c). SIGTERM makes the launcher kill the engine at once.
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

static volatile sig_atomic_t engine; /* pid */

static void kill_engine(int signal_number) {
    (void)signal_number;
    if (engine > 0)
        kill((pid_t)engine, SIGKILL);
}

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

/* Kills every child this process has now; they are the engine's orphans. Returns how many. The
 * kernel lists children of a thread in /proc; where it doesn't, orphans stay until tare ends. */
static int kill_children(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    FILE *list = fopen(path, "re");
    int killed = 0;
    long pid;
    while (list && fscanf(list, "%ld", &pid) == 1)
        killed += kill((pid_t)pid, SIGKILL) == 0;
    if (list)
        fclose(list);
    return killed;
}

static int reap_leftovers(void) {
    int leftovers = 0;
    for (int killed; (killed = kill_children()) > 0;) {
        leftovers += killed;
        for (int i = 0; i < killed; i++)
            waitpid(-1, NULL, 0);
    }
    return leftovers;
}

/* In the child: becomes the program, or sends errno through the pipe. */
static void become(char **command, int error_fd, pid_t launcher) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher)
        _exit(127); /* the launcher died before the line above took effect */
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execv(command[0], command);
    int error = errno;
    if (write(error_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: tare-launch CPUS STATUS_FD PROGRAM [ARG...]\n"
                        "Starts an engine for tare; not meant to be called by hand.\n");
        return 2;
    }
    pid_t tare = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct sigaction action = {.sa_handler = kill_engine};
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* tare may be gone; the cleaning up is still to be done */
    if (getppid() != tare)
        return 1;
    limit_cpus(atoi(argv[1]));
    int status_fd = atoi(argv[2]);
    fcntl(status_fd, F_SETFD, FD_CLOEXEC);
    int error_pipe[2];
    if (pipe2(error_pipe, O_CLOEXEC) != 0)
        return 1;

    /* SIGTERM waits until the child's pid is known, so that a kill can't be lost in between. */
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, &before);
    dprintf(status_fd, "exec %lld\n", now_ns());
    pid_t launcher = getpid();
    pid_t child = fork();
    if (child == 0)
        become(argv + 3, error_pipe[1], launcher);
    engine = child;
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
    for (pid_t got = 0; got != child;) {
        int any_status;
        struct rusage any_usage;
        got = wait4(-1, &any_status, 0, &any_usage); /* orphans end here too */
        if (got == child) {
            wait_status = any_status;
            usage = any_usage;
        }
    }
    long long end_ns = now_ns();
    engine = 0;
    int leftovers = reap_leftovers();
    dprintf(status_fd, "exit %d %lld %ld %lld %lld %d\n", wait_status, end_ns, usage.ru_maxrss,
            (long long)usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec,
            (long long)usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec, leftovers);
    return 0;
}
