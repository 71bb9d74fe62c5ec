/* processes.c: what bad engines do with processes: leave some behind, escape, stop and kill.
 * Whatever it is, nothing of it may be there any more when the supervisor is done (bad.h). */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bad.h"

#define CROWD 200

static void hang(void) {
    for (;;)
        pause();
}

static void ignore_everything(void) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

/* A grandchild in a session of its own, whose parent is gone. */
static void leave_orphan(void) {
    pid_t child = fork();
    if (child != 0) {
        waitpid(child, NULL, 0);
        return;
    }
    setsid();
    if (fork() == 0)
        hang();
    _exit(0);
}

static void leave_holder(void) {
    if (fork() == 0)
        hang();
}

static void leave_crowd(void) {
    for (int i = 0; i < CROWD; i++)
        if (fork() == 0) {
            ignore_everything();
            setsid();
            hang();
        }
}

/* There is one process of it at any moment, never the same for long. */
static void run_for_ever(bool in_new_sessions) {
    if (fork() != 0)
        return;
    for (;;) {
        if (in_new_sessions)
            setsid();
        pid_t next = fork();
        if (next > 0)
            _exit(0);
        if (next < 0)
            usleep(100);
    }
}

/* Its launcher's death would be its own, but for the first line. */
static void kill_launcher(void) {
    prctl(PR_SET_PDEATHSIG, 0);
    leave_orphan();
    leave_holder();
    kill(getppid(), SIGKILL);
    hang();
}

static void flee(void) {
    prctl(PR_SET_PDEATHSIG, 0);
    run_for_ever(true);
    kill(getppid(), SIGKILL);
}

static bool misbehave(enum behaviour what) {
    switch (what) {
    case DO_stubborn:
        ignore_everything();
        hang();
        return true;
    case DO_orphan:
        leave_orphan();
        return true;
    case DO_holder:
        leave_holder();
        return true;
    case DO_crowd:
        leave_crowd();
        return true;
    case DO_runner:
        run_for_ever(false);
        return true;
    case DO_escapee:
        run_for_ever(true);
        return true;
    case DO_sleeper:
        raise(SIGSTOP);
        return true;
    case DO_stopper:
        kill(getppid(), SIGSTOP);
        hang();
        return true;
    case DO_killer:
        kill_launcher();
        return true;
    case DO_fugitive:
        flee();
        return true;
    default:
        return false;
    }
}

/* With TEST_ENGINE_HANGS in its environment none of these ends by itself. */
bool misbehave_with_processes(enum behaviour what) {
    bool mine = misbehave(what);
    if (mine && getenv("TEST_ENGINE_HANGS"))
        hang();
    return mine;
}
