/* deadline.c: deadline FIRST LAST STEP: does an engine's deadline mean anything? Each case starts
 * one nasty engine with a random time-out, and looks at every process of the machine: 100 ms after
 * the deadline, none may carry the case's mark in its environment.
 *
 * A busy machine runs everybody late. So it is measured how late this program's own timer wakes it
 * around the deadline, and how long the supervisor stood in the queue for a processor since then,
 * which the kernel counts; an engine is allowed as much more: nothing on a machine that is idle.
 * How many cases needed that is printed. A failure names its case; the last line on stdout is
 * "result TRIED SURVIVED".
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "living.h"
#include "tare/clock.h"
#include "tare/rng.h"
#include "tare/supervise.h"

#define ALLOWED_NS (100 * MS)
#define TICK_NS (2 * MS) /* between two looks */
#define MARK "TARE_TORTURE_CASE="

static const char *const engines[] = {"hang",    "stubborn", "orphan",  "holder",
                                      "crowd",   "runner",   "escapee", "sleeper",
                                      "stopper", "killer",   "fugitive"};
#define ENGINES (sizeof engines / sizeof engines[0])

static char mark[64]; /* of the current case */

/* In a child: what tare does. Says when it began. */
static void supervise(const char *engine, double timeout_s, int start_fd) {
    char *program = NULL, job_path[] = "job.json", log_path[] = "stderr.log";
    struct tare_err err = {0};
    struct tare_outcome outcome;
    static struct tare_job job;
    tare_job_defaults(&job);
    if (tare_engine_find(&program, engine, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        _exit(2);
    }
    struct tare_launch launch = {.program = program,
                                 .engine = engine,
                                 .job_path = job_path,
                                 .log_path = log_path,
                                 .threads = 1,
                                 .timeout_s = timeout_s};
    int64_t start_ns = tare_now_ns();
    if (write(start_fd, &start_ns, sizeof start_ns) != (ssize_t)sizeof start_ns)
        _exit(2);
    if (tare_launch_job(&outcome, &launch, &job, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        _exit(2);
    }
    if (outcome.state != TARE_STATE_FAILED || outcome.interrupted) {
        fprintf(stderr, "verdict: %s: %s\n", tare_state_name(outcome.state), outcome.reason);
        _exit(1);
    }
    _exit(0);
}

struct observation {
    int64_t gone_ns; /* after the deadline, as seen; at most one look later than it was */
    int64_t late_ns; /* this program's own timer, at worst, and the supervisor's queueing */
    bool seen;       /* something of it lived before the deadline: the looking works */
    int at_limit;    /* processes that lived 100 ms after the deadline, and what was allowed */
    char names[200];
};

/* Looks again and again from the deadline on until there is nothing to see. */
static void observe(struct observation *o, int64_t deadline_ns, pid_t supervisor) {
    char names[200];
    int64_t next_ns = deadline_ns - 10 * MS, timer_ns = 0, queued_before_ns = 0;
    for (bool before = true;;) {
        sleep_until(next_ns);
        int64_t woken_ns = tare_now_ns();
        if (woken_ns - next_ns > timer_ns)
            timer_ns = woken_ns - next_ns;
        if (before)
            queued_before_ns = queued_ns(supervisor);
        before = woken_ns < deadline_ns - TICK_NS;
        int64_t queueing_ns = queued_ns(supervisor) - queued_before_ns;
        o->late_ns = timer_ns + (queueing_ns > 0 ? queueing_ns : 0);
        int count = living(mark, supervisor, names);
        o->seen = o->seen || count > 0;
        if (count == 0 && woken_ns >= deadline_ns) {
            o->gone_ns = woken_ns - deadline_ns;
            return;
        }
        if (woken_ns > deadline_ns + ALLOWED_NS + o->late_ns) {
            o->at_limit = count;
            memcpy(o->names, names, sizeof names);
            return;
        }
        next_ns = tare_now_ns() + TICK_NS;
    }
}

static bool try_case(size_t number, struct observation *o) {
    struct tare_rng rng;
    int start[2], code = 0;
    int64_t start_ns;
    char names[200];
    *o = (struct observation){0};
    tare_rng_seed(&rng, number, TARE_STREAM_TEST);
    const char *engine = engines[number % ENGINES];
    /* From before the launcher is there to long after the engine said hello. */
    int64_t timeout_ns = (1 + (int64_t)tare_rng_below(&rng, number % 3 == 0 ? 20 : 250)) * MS;
    snprintf(mark, sizeof mark, MARK "%ld-%zu", (long)getpid(), number);
    if (pipe(start) != 0)
        return false;
    pid_t supervisor = fork();
    if (supervisor == 0) {
        putenv(mark);
        supervise(engine, (double)timeout_ns * 1e-9, start[1]);
    }
    close(start[1]);
    bool begun = read(start[0], &start_ns, sizeof start_ns) == (ssize_t)sizeof start_ns;
    close(start[0]);
    if (begun)
        observe(o, start_ns + timeout_ns, supervisor);
    /* What is left is a failure already; it must not be in the next case's way. */
    while (waitpid(supervisor, &code, WNOHANG) == 0 && o->at_limit == 0)
        sleep_until(tare_now_ns() + TICK_NS);
    bool ended = o->at_limit == 0 && WIFEXITED(code) && WEXITSTATUS(code) == 0;
    if (o->at_limit > 0) {
        kill(supervisor, SIGKILL);
        waitpid(supervisor, NULL, 0);
    }
    int left = living(mark, 0, names);
    bool survived = begun && ended && left == 0;
    if (!survived)
        fprintf(stderr,
                "deadline %zu (%s, %.3f s): %d lived 100 ms + %.1f ms after the deadline:%s; %d in "
                "the end%s\n",
                number, engine, (double)timeout_ns * 1e-9, o->at_limit, (double)o->late_ns * 1e-6,
                o->names, left, ended ? "" : "; the supervisor failed");
    return survived;
}

int main(int argc, char **argv) {
    size_t tried = 0, survived = 0;
    size_t seen = 0, late = 0;
    int64_t worst_ns = 0, late_ns = 0;
    if (argc != 4 || atol(argv[3]) < 1) {
        fprintf(stderr, "usage: deadline FIRST LAST STEP\n");
        return 2;
    }
    setenv("TEST_ENGINE_HANGS", "1", 1);
    for (size_t i = (size_t)atol(argv[1]); i <= (size_t)atol(argv[2]); i += (size_t)atol(argv[3])) {
        struct observation o;
        tried++;
        survived += try_case(i, &o);
        worst_ns = o.gone_ns > worst_ns ? o.gone_ns : worst_ns;
        late_ns = o.late_ns > late_ns ? o.late_ns : late_ns;
        seen += o.seen;
        late += o.gone_ns > ALLOWED_NS;
    }
    fprintf(
        stderr,
        "gone at most %.1f ms after the deadline; the machine was at most %.1f ms late, and %zu "
        "cases needed that\n",
        (double)worst_ns * 1e-6, (double)late_ns * 1e-6, late);
    if (tried > ENGINES && seen < tried / 2) { /* those that kill their launcher are gone early */
        fprintf(stderr, "only %zu of %zu were seen alive: the looking doesn't work\n", seen, tried);
        survived = 0;
    }
    printf("result %zu %zu\n", tried, survived);
    return tried == survived ? 0 : 1;
}
