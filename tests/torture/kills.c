/* kills.c: kills N COMMAND…: runs a command and kills it at its N-th write-class system call, as it
 * begins; N = 0 only counts them. What the command started is not traced: it must end by itself.
 *
 * Prints "calls N MS": how many such calls there were, and how many milliseconds after its death
 * the last process that it had started was gone. Exit code: the command's own; 137: killed; 3:
 * something that it started still lived after a second; 2: it can't be run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tare/clock.h"

/* Calls that change what is on the disk, or start a process. */
static bool is_write_class(const struct __ptrace_syscall_info *info) {
    switch (info->entry.nr) {
    case SYS_openat:
        return (info->entry.args[2] & (O_CREAT | O_TRUNC)) != 0;
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_ftruncate:
    case SYS_renameat2:
    case SYS_renameat:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_linkat:
    case SYS_symlinkat:
    case SYS_fchmod:
    case SYS_fchmodat:
    case SYS_clone:
    case SYS_clone3:
#ifdef SYS_rename /* of the older machines' own */
    case SYS_open:
    case SYS_creat:
    case SYS_rename:
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_link:
    case SYS_symlink:
    case SYS_chmod:
    case SYS_fork:
    case SYS_vfork:
#endif
        return true;
    default:
        return false;
    }
}

static _Noreturn void die(const char *what) {
    perror(what);
    exit(2);
}

static pid_t start(char **command) {
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            die("ptrace");
        raise(SIGSTOP);
        execvp(command[0], command);
        die(command[0]);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) != 0)
        die("the command cannot be traced");
    return child;
}

/* Until it ends, or is killed at the call; its wait status. */
static int follow(pid_t child, long kill_at, long *calls) {
    int signal_number = 0, status = 0;
    for (;;) {
        if (ptrace(PTRACE_SYSCALL, child, NULL, signal_number) != 0 && errno != ESRCH)
            die("ptrace");
        while (waitpid(child, &status, 0) < 0)
            if (errno != EINTR)
                die("waitpid");
        if (!WIFSTOPPED(status))
            return status;
        signal_number = 0;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
            signal_number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
            continue;
        }
        struct __ptrace_syscall_info info = {0};
        if (ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) < 0)
            die("PTRACE_GET_SYSCALL_INFO");
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && is_write_class(&info) && ++*calls == kill_at)
            kill(child, SIGKILL);
    }
}

/* Waits until every descendant is gone; false after a second. */
static bool wait_for_orphans(double *ms) {
    int64_t start_ns = tare_now_ns();
    for (;;) {
        pid_t got = waitpid(-1, NULL, WNOHANG);
        *ms = (double)(tare_now_ns() - start_ns) * 1e-6;
        if (got < 0 && errno == ECHILD)
            return true;
        if (*ms > 1000)
            return false;
        if (got == 0)
            nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: kills N COMMAND [ARG]...\n");
        return 2;
    }
    long calls = 0;
    double ms = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int status = follow(start(argv + 2), atol(argv[1]), &calls);
    bool gone = wait_for_orphans(&ms);
    fprintf(stderr, "calls %ld %.1f\n", calls, ms);
    if (!gone)
        return 3;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
