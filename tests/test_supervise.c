/* test_supervise.c: the supervisor against engines that misbehave (tests/bad_engines/bad.c): each
 * ends in the right verdict, in bounded time, with nothing left running. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tare/array.h"
#include "tare/buf.h"
#include "tare/children.h"
#include "tare/clock.h"
#include "tare/supervise.h"
#include "temporary.h"

static char *dir; /* of all tests */

static void write_test_images(void) {
    struct tare_array images = {0};
    char path[TARE_MAX_PATH];
    snprintf(path, sizeof path, "%s/test.npy", dir);
    assert_int_equal(tare_array_make(&images, TARE_U8, 2, (size_t[]){8, 4}, NULL), TARE_OK);
    assert_int_equal(tare_npy_write(path, &images, NULL), TARE_OK);
    tare_array_free(&images);
}

static int set_up(void **state) {
    (void)state;
    dir = temporary_make();
    write_test_images();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    temporary_remove(dir);
    return 0;
}

static int told_fd = -1; /* whoever waits for an engine's first word reads there */

static void tell(void *context, const struct tare_event *event) {
    (void)context, (void)event;
    if (told_fd >= 0 && write(told_fd, "", 1) == 1)
        close(told_fd);
    told_fd = -1;
}

static void supervise(struct tare_outcome *outcome, const char *name, const char *program,
                      double timeout_s, const volatile sig_atomic_t *stop) {
    static struct tare_job job;
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH];
    tare_job_defaults(&job);
    snprintf(job.test_images, sizeof job.test_images, "%s/test.npy", dir);
    snprintf(job.logits, sizeof job.logits, "%s/%s.npy", dir, name);
    snprintf(job_path, sizeof job_path, "%s/%s.json", dir, name);
    snprintf(log_path, sizeof log_path, "%s/%s.log", dir, name);
    struct tare_launch launch = {.program = program,
                                 .engine = name,
                                 .job_path = job_path,
                                 .log_path = log_path,
                                 .threads = 1,
                                 .timeout_s = timeout_s,
                                 .stop = stop,
                                 .progress = tell};
    struct tare_err err = {0};
    enum tare_status status = tare_launch_job(outcome, &launch, &job, &err);
    if (status != TARE_OK)
        tare_err_print(stderr, &err);
    assert_int_equal(status, TARE_OK);
}

static void supervise_bad(struct tare_outcome *outcome, const char *name, double timeout_s,
                          const volatile sig_atomic_t *stop) {
    char *program = NULL;
    struct tare_err err = {0};
    assert_int_equal(tare_engine_find(&program, name, &err), TARE_OK);
    supervise(outcome, name, program, timeout_s, stop);
    free(program);
}

/* Processes of an engine, of this build; read from /proc. */
static int running(const char *engine) {
    char *program = NULL;
    assert_int_equal(tare_engine_find(&program, engine, NULL), TARE_OK);
    DIR *proc = opendir("/proc");
    int count = 0;
    for (struct dirent *entry; proc && (entry = readdir(proc));) {
        char path[300], command[512] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!file)
            continue;
        size_t got = fread(command, 1, sizeof command - 1, file);
        count += got > 0 && strstr(command, program) != NULL;
        fclose(file);
    }
    closedir(proc);
    free(program);
    return count;
}

/* Every behaviour that the supervisor itself must see, and the verdict. Behaviours that only
 * grading sees (wrong logits) end well here; test_campaign.c has those. */
static const struct {
    const char *name;
    enum tare_cell_state state;
    const char *reason; /* a part of it */
} verdicts[] = {
    {"good", TARE_STATE_OK, ""},
    {"crash", TARE_STATE_FAILED, "signal 11"},
    {"hang", TARE_STATE_FAILED, "not done within 1 s"},
    {"stubborn", TARE_STATE_FAILED, "not done within 1 s"},
    {"rubbish", TARE_STATE_FAILED, "not a line of JSON"},
    {"notutf", TARE_STATE_FAILED, "not a line of JSON"},
    {"silent", TARE_STATE_FAILED, "exit code 0 before it said bye"},
    {"early", TARE_STATE_FAILED, "before it said hello"},
    {"twice", TARE_STATE_FAILED, "hello twice"},
    {"chatty", TARE_STATE_FAILED, "after it said bye"},
    {"cut", TARE_STATE_FAILED, "cut off"},
    {"endless", TARE_STATE_FAILED, "more than 65536 bytes"},
    {"flood", TARE_STATE_OK, ""},
    {"oldabi", TARE_STATE_FAILED, "speaks protocol 99"},
    {"impostor", TARE_STATE_FAILED, "says it is engine \"pytorch\""},
    {"exitcode", TARE_STATE_FAILED, "exit code 3"},
    {"liar", TARE_STATE_VOID, "phases add up to"},
    {"boaster", TARE_STATE_VOID, "phases add up to"},
    {"nanloss", TARE_STATE_FAILED, "loss of epoch 0 is not a number"},
    {"orphan", TARE_STATE_OK, ""},
    {"holder", TARE_STATE_OK, ""},
    {"crowd", TARE_STATE_OK, ""},
    {"runner", TARE_STATE_OK, ""},
    {"escapee", TARE_STATE_OK, ""},
    {"sleeper", TARE_STATE_FAILED, "not done within 1 s"},
    {"stopper", TARE_STATE_FAILED, "not done within 1 s"},
    {"killer", TARE_STATE_FAILED, "its launcher was killed"},
    {"fugitive", TARE_STATE_FAILED, "its launcher was killed"},
    {"skipper", TARE_STATE_SKIPPED, "no such device"},
    {"failer", TARE_STATE_FAILED, "shapes differ"},
};

/* A busy machine can make honest times look wrong, or too long; then it is tried again. */
static bool is_busy(const struct tare_outcome *outcome, enum tare_cell_state expected) {
    return expected == TARE_STATE_OK && (outcome->timed_out || strstr(outcome->reason, "add up"));
}

static void every_behaviour_gets_its_verdict(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct tare_outcome outcome;
        supervise_bad(&outcome, verdicts[i].name, 1, NULL);
        for (int again = 0; again < 5 && is_busy(&outcome, verdicts[i].state); again++) {
            tare_outcome_free(&outcome);
            supervise_bad(&outcome, verdicts[i].name, 1, NULL);
        }
        if (outcome.state != verdicts[i].state || !strstr(outcome.reason, verdicts[i].reason))
            fail_msg("%s: %s: %s", verdicts[i].name, tare_state_name(outcome.state),
                     outcome.reason);
        assert_int_equal(running(verdicts[i].name), 0);
        tare_outcome_free(&outcome);
    }
}

static void a_greedy_engine_is_void(void **state) {
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
        print_message("lacks: a second CPU\n");
        skip();
    }
    struct tare_outcome outcome;
    supervise_bad(&outcome, "greedy", 30, NULL);
    double ratio = (double)outcome.cpu_ns / (double)(outcome.end_ns - outcome.exec_ns);
    if (ratio <= 1.05) {
        tare_outcome_free(&outcome);
        print_message("lacks: a second CPU that nobody else uses\n");
        skip();
    }
    if (outcome.state != TARE_STATE_VOID || !strstr(outcome.reason, "CPUs on average"))
        fail_msg("%s: %s", tare_state_name(outcome.state), outcome.reason);
    tare_outcome_free(&outcome);
}

static void a_flood_is_capped_and_counted(void **state) {
    (void)state;
    struct tare_outcome outcome;
    struct tare_buf log = {0};
    char path[TARE_MAX_PATH];
    supervise_bad(&outcome, "flood", 10, NULL);
    assert_int_equal(outcome.log_bytes_dropped, 256 * 65536 - TARE_MAX_LOG_BYTES);
    snprintf(path, sizeof path, "%s/flood.log", dir);
    assert_int_equal(tare_file_read(&log, path, 2 * TARE_MAX_LOG_BYTES, NULL), TARE_OK);
    assert_non_null(strstr(log.data + TARE_MAX_LOG_BYTES, "were dropped"));
    tare_buf_free(&log);
    tare_outcome_free(&outcome);
}

static void orphans_are_killed_and_counted(void **state) {
    (void)state;
    struct tare_outcome outcome;
    supervise_bad(&outcome, "orphan", 10, NULL);
    assert_true(outcome.leftovers >= 1);
    assert_int_equal(running("orphan"), 0);
    tare_outcome_free(&outcome);
}

static void a_time_out_is_kept(void **state) {
    (void)state;
    struct tare_outcome outcome;
    int64_t start_ns = tare_now_ns();
    supervise_bad(&outcome, "stubborn", 0.5, NULL);
    assert_true(outcome.timed_out);
    assert_true(tare_now_ns() - start_ns < INT64_C(3000000000)); /* far above what it takes */
    assert_int_equal(running("stubborn"), 0);
    tare_outcome_free(&outcome);
}

static void stopping_ends_the_engine(void **state) {
    (void)state;
    struct tare_outcome outcome;
    volatile sig_atomic_t stop = 1;
    supervise_bad(&outcome, "hang", 60, &stop);
    assert_true(outcome.interrupted);
    assert_int_equal(running("hang"), 0);
    tare_outcome_free(&outcome);
}

static pid_t start_waiting(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

/* Both ways to find one's children, the kernel's list and the parents of all, say the same. */
static void children_are_found_and_ended(void **state) {
    (void)state;
    pid_t spared = start_waiting(), other = start_waiting(), pids[8], more[8];
    int count = tare_children(pids, 8);
    assert_int_equal(count, 2);
    assert_int_equal(tare_children_by_parent(more, 8), 2);
    for (int i = 0; i < 2; i++) {
        assert_true(pids[i] == spared || pids[i] == other);
        assert_true(more[i] == spared || more[i] == other);
    }
    assert_true(pids[0] != pids[1] && more[0] != more[1]);
    assert_int_equal(tare_children(pids, 1), 1);
    assert_int_equal(tare_children_end(&spared, 1), 1);
    assert_int_equal(kill(other, 0), -1);
    assert_int_equal(kill(spared, 0), 0);
    struct tare_outcome outcome; /* nor does an engine's end touch what was there before it */
    supervise_bad(&outcome, "orphan", 10, NULL);
    tare_outcome_free(&outcome);
    assert_int_equal(tare_children(pids, 8), 1);
    assert_int_equal(tare_children_end(NULL, 0), 1);
    assert_int_equal(tare_children(pids, 8), 0);
}

/* A process that stops this one as soon as an engine says something, and continues it after 200 ms.
 */
static pid_t start_stopper(int number) {
    int ends[2];
    char word;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t stopper = fork();
    if (stopper != 0) {
        close(ends[0]);
        told_fd = ends[1];
        return stopper;
    }
    close(ends[1]);
    if (read(ends[0], &word, 1) != 1)
        _exit(1);
    kill(getppid(), number);
    usleep(200000);
    kill(getppid(), SIGCONT);
    _exit(0);
}

/* In a group of its own, which the terminal's kind of stop works in; the exit code is the answer.
 */
static int in_own_group(int (*check)(void)) {
    int status = -1;
    char *program = NULL; /* an assertion that fails must do so here, not in the child */
    assert_int_equal(tare_engine_find(&program, "hesitant", NULL), TARE_OK);
    free(program);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        _exit(check());
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int is_void_when_suspended(void) {
    static const int numbers[] = {SIGSTOP, SIGTSTP};
    bool good = true;
    for (int i = 0; i < 2; i++) {
        struct tare_outcome outcome;
        pid_t stopper = start_stopper(numbers[i]);
        supervise_bad(&outcome, "hesitant", 10, NULL);
        waitpid(stopper, NULL, 0);
        good = good && outcome.suspended && outcome.state == TARE_STATE_VOID &&
               strstr(outcome.reason, "was suspended");
        if (!good)
            fprintf(stderr, "signal %d: %s: %s\n", numbers[i], tare_state_name(outcome.state),
                    outcome.reason);
        tare_outcome_free(&outcome);
    }
    return good ? 0 : 1;
}

/* Whatever suspended it, what was timed meanwhile means nothing. */
static void a_suspended_run_is_void(void **state) {
    (void)state;
    assert_int_equal(in_own_group(is_void_when_suspended), 0);
}

/* 2 s, and the 0.2 s that the engine stood still too. */
static int has_its_time_nevertheless(void) {
    struct tare_outcome outcome;
    pid_t stopper = start_stopper(SIGTSTP);
    int64_t start_ns = tare_now_ns();
    supervise_bad(&outcome, "hang", 2, NULL);
    waitpid(stopper, NULL, 0);
    bool good =
        outcome.timed_out && outcome.suspended && tare_now_ns() - start_ns >= INT64_C(2150000000);
    tare_outcome_free(&outcome);
    return good ? 0 : 1;
}

static void a_deadline_waits_for_whoever_is_suspended(void **state) {
    (void)state;
    assert_int_equal(in_own_group(has_its_time_nevertheless), 0);
}

static void what_cannot_be_run_is_a_verdict(void **state) {
    (void)state;
    struct tare_outcome outcome;
    supervise(&outcome, "nothing", "/nonexistent/tare-engine-nothing", 5, NULL);
    assert_int_equal(outcome.state, TARE_STATE_FAILED);
    assert_non_null(strstr(outcome.reason, "cannot be run: No such file"));
    tare_outcome_free(&outcome);
}

static void measurements_are_plausible(void **state) {
    (void)state;
    struct tare_outcome o;
    supervise_bad(&o, "good", 10, NULL);
    assert_true(o.exec_ns < o.hello_ns && o.hello_ns < o.bye_ns && o.bye_ns <= o.end_ns);
    assert_true(tare_outcome_phase_ns(&o, "train") >= 150000000);
    assert_true(tare_outcome_phase_ns(&o, "start") > 0);
    assert_true(o.peak_rss_bytes > 100000);
    tare_outcome_free(&o);
}

static void the_judge_at_its_limits(void **state) {
    (void)state;
    struct tare_event phase = {.kind = TARE_EVENT_PHASE, .name = "train"};
    struct tare_outcome o = {.exec_ns = 1000, .hello_ns = 1000, .events = &phase, .event_count = 1};
    const int64_t second = 1000000000;
    o.bye_ns = o.end_ns = o.exec_ns + 10 * second;
    phase.wall_ns = 10 * second - second / 5; /* 2 % below: allowed */
    o.state = TARE_STATE_OK;
    tare_outcome_judge(&o, 1);
    assert_int_equal(o.state, TARE_STATE_OK);
    phase.wall_ns -= 1;
    tare_outcome_judge(&o, 1);
    assert_int_equal(o.state, TARE_STATE_VOID);
    phase.wall_ns = INT64_MAX; /* a sum that overflows is a lie, not a crash */
    o.hello_ns = o.exec_ns + second;
    tare_outcome_judge(&o, 1);
    assert_int_equal(o.state, TARE_STATE_VOID);
    o.hello_ns = o.exec_ns;
    phase.wall_ns = 10 * second;
    o.cpu_ns = 21 * second; /* exactly 1.05 × 2 threads × 10 s */
    o.state = TARE_STATE_OK;
    tare_outcome_judge(&o, 2);
    assert_int_equal(o.state, TARE_STATE_OK);
    o.cpu_ns += 1000;
    tare_outcome_judge(&o, 2);
    assert_int_equal(o.state, TARE_STATE_VOID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_behaviour_gets_its_verdict),
        cmocka_unit_test(a_greedy_engine_is_void),
        cmocka_unit_test(a_flood_is_capped_and_counted),
        cmocka_unit_test(orphans_are_killed_and_counted),
        cmocka_unit_test(a_time_out_is_kept),
        cmocka_unit_test(stopping_ends_the_engine),
        cmocka_unit_test(children_are_found_and_ended),
        cmocka_unit_test(a_suspended_run_is_void),
        cmocka_unit_test(a_deadline_waits_for_whoever_is_suspended),
        cmocka_unit_test(what_cannot_be_run_is_a_verdict),
        cmocka_unit_test(measurements_are_plausible),
        cmocka_unit_test(the_judge_at_its_limits),
    };
    return cmocka_run_group_tests_name("supervise", tests, set_up, tear_down);
}
