/* supervise.h: runs one engine once, whatever it does, and judges what it did.
 *
 *     struct tare_launch launch = {.program = program, .engine = "keras", .job_path = "job.json",
 *                                  .log_path = "stderr.log", .threads = 2, .timeout_s = 600};
 *     struct tare_outcome outcome;
 *     if (tare_supervise(&outcome, &launch, &err) == TARE_OK)
 *         printf("%s: %s\n", tare_state_name(outcome.state), outcome.reason);
 *     tare_outcome_free(&outcome);
 *
 * An engine that crashes, hangs, floods or lies is an outcome, not an error: the status is TARE_OK
 * unless tare itself could not do its part.
 */
#ifndef TARE_SUPERVISE_H
#define TARE_SUPERVISE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"
#include "tare/protocol.h"

#define TARE_MAX_EVENTS 8192 /* of one job; more is rubbish; their record can be read again */
#define TARE_MAX_LOG_BYTES (1 << 20) /* kept of an engine's stderr; the rest is counted */
#define TARE_MAX_TIMEOUT_S 1e8       /* three years */

/* Worst last, so that the state of a row is the maximum of its jobs'. */
#define TARE_STATE_LIST(X)                                                                         \
    X(OK, "ok")                                                                                    \
    X(VOID, "void")                   /* measured, but a rule of honest measuring was broken */    \
    X(NOT_SAME_WORK, "not-same-work") /* computes something else */                                \
    X(SKIPPED, "skipped")             /* this machine lacks something */                           \
    X(FAILED, "failed")               /* crash, time-out, rubbish, NaN */

enum tare_cell_state {
#define X(id, name) TARE_STATE_##id,
    TARE_STATE_LIST(X)
#undef X
};

const char *tare_state_name(enum tare_cell_state state);

struct tare_launch {
    const char *program;  /* the engine's executable */
    const char *engine;   /* the name it must say in hello */
    const char *job_path; /* its stdin */
    const char *log_path; /* its stderr, and the framework's stdout, go here */
    int threads;          /* it may use that many CPUs */
    double timeout_s;
    const volatile sig_atomic_t *stop; /* may be NULL; non-zero: end the engine now */
    void (*progress)(void *context, const struct tare_event *event); /* may be NULL */
    void *context;
};

struct tare_outcome {
    enum tare_cell_state state;
    char reason[TARE_MAX_TEXT]; /* why the state is not ok */
    char fix[TARE_MAX_TEXT];    /* what to do about it; may be empty */
    char version[TARE_MAX_TEXT];
    bool interrupted; /* ended because *stop was set: not a measurement */
    bool timed_out;
    bool suspended; /* tare or the machine slept meanwhile: no time of it means anything */
    int64_t exec_ns, hello_ns, bye_ns, end_ns; /* tare_now_ns() times; 0: never */
    int64_t cpu_ns;        /* user + system, of the engine and what it waited for */
    size_t peak_rss_bytes; /* of the engine's process */
    size_t log_bytes_dropped;
    int leftovers;             /* processes it left behind; killed */
    struct tare_event *events; /* event_count of them, in order */
    size_t event_count;
};

enum tare_status tare_supervise(struct tare_outcome *outcome, const struct tare_launch *launch,
                                struct tare_err *err);
/* Writes the job to launch->job_path first. */
enum tare_status tare_launch_job(struct tare_outcome *outcome, const struct tare_launch *launch,
                                 const struct tare_job *job, struct tare_err *err);
void tare_outcome_free(struct tare_outcome *outcome);

/* Nanoseconds of all events of kind phase with this name; "start" is exec to hello. */
int64_t tare_outcome_phase_ns(const struct tare_outcome *outcome, const char *name);

/* The value of the last setting of this name, owned by outcome; NULL when there is none. */
const char *tare_outcome_setting(const struct tare_outcome *outcome, const char *name);

/* Rules of honest measuring (design: clocks, threads) on an outcome that ended with bye: epochs
 * come in order, and no loss is NaN; it was not suspended; phases add up to the wall time within
 * the larger of 2 % and 20 ms; CPU time ≤ 1.05 × threads × wall time. Sets state and reason. Called
 * by tare_supervise; public for tests. */
void tare_outcome_judge(struct tare_outcome *outcome, int threads);

/* Finds tare-engine-NAME in $TARE_ENGINE_PATH, beside this program, in libexecdir. Free *program.
 * TARE_DATA with a hint when there is none. tare_helper_find does the same for "tare-launch". */
enum tare_status tare_engine_find(char **program, const char *name, struct tare_err *err);
enum tare_status tare_helper_find(char **program, const char *name, struct tare_err *err);

#endif
