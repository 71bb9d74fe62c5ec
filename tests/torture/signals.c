/* signals.c: signals FIRST LAST STEP SPAN_MS COMMAND…: a campaign on a terminal, and a signal at a
 * random moment of its SPAN_MS: Ctrl-C, SIGTERM, SIGHUP, the terminal closed, suspended and
 * continued by the terminal and by SIGSTOP, Ctrl-C twice. COMMAND is run with the case's folder,
 * "case-N", as one more argument; $TARE is tare.
 *
 * Each case has a terminal of its own (a pty), with a shell of sorts that leads the session and has
 * tare in the foreground. It is checked that tare ends within a second with exit code 130, or goes
 * on when it was suspended; that nothing of it lives then; that the terminal is as it was; that
 * tare report and tare verify accept what is there; and that the campaign can be carried on. A busy
 * machine's lateness is measured and allowed for, as in deadline.c. A failure names its case; the
 * last line on stdout is "result TRIED SURVIVED".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "living.h"
#include "tare/clock.h"
#include "tare/rng.h"

#define KINDS(X)                                                                                   \
    X(INT, "Ctrl-C")                                                                               \
    X(TERM, "SIGTERM")                                                                             \
    X(HUP, "SIGHUP")                                                                               \
    X(CLOSE, "terminal closed")                                                                    \
    X(SUSPEND, "Ctrl-Z and fg")                                                                    \
    X(STOP, "SIGSTOP and SIGCONT")                                                                 \
    X(TWICE, "Ctrl-C twice")

enum kind {
#define X(id, name) KIND_##id,
    KINDS(X)
#undef X
        KIND_COUNT
};
static const char *const kinds[] = {
#define X(id, name) name,
    KINDS(X)
#undef X
};

#define TAIL 4096 /* kept of what tare printed last */

struct message { /* from the shell */
    int status;  /* waitpid's */
    int64_t at_ns;
    bool same_terminal;
};

struct trial {
    enum kind kind;
    char mark[64], dir[64], problem[300];
    int master, messages, terminal; /* terminal: kept open, so that it can be looked at */
    pid_t shell, tare;
    int64_t signal_ns, late_ns, queued_before_ns, queued_ns;
    bool began;   /* the folder was there when the signal came */
    bool stopped; /* an engine was seen standing still */
    struct message last;
    char tail[TAIL + 1];
    size_t tail_size;
};

static void complain(struct trial *t, const char *problem) {
    if (!t->problem[0])
        snprintf(t->problem, sizeof t->problem, "%s", problem);
}

/* ---- the shell ----------------------------------------------------------------------------------
 */

static volatile sig_atomic_t job; /* of the shell: tare */

/* As shells do when their terminal goes. */
static void pass_on(int number) {
    kill(-(pid_t)job, number);
    kill(-(pid_t)job, SIGCONT);
}

static void be_tare(int terminal, char **command, const char *mark) {
    sigset_t none;
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(terminal, getpid());
    signal(SIGTTOU, SIG_DFL);
    signal(SIGHUP, SIG_DFL); /* even where this program was started to ignore them */
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = 0; fd < 3; fd++)
        dup2(terminal, fd);
    putenv((char *)mark);
    execvp(command[0], command);
    _exit(127);
}

static void be_shell(const char *terminal_name, int out, char **command, const char *mark) {
    struct termios before, after;
    setsid();
    int terminal = open(terminal_name, O_RDWR | O_CLOEXEC);
    if (terminal < 0 || ioctl(terminal, TIOCSCTTY, 0) != 0 || tcgetattr(terminal, &before) != 0)
        _exit(1);
    before.c_lflag &= ~(tcflag_t)ECHO; /* "^C" would stand among tare's words */
    tcsetattr(terminal, TCSANOW, &before);
    tcgetattr(terminal, &before);
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    signal(SIGTTOU, SIG_IGN);
    pid_t tare = fork();
    if (tare == 0)
        be_tare(terminal, command, mark);
    setpgid(tare, tare);
    tcsetpgrp(terminal, tare); /* on both sides: a Ctrl-C must not come before either */
    job = tare;
    sigaction(SIGHUP, &action, NULL);
    struct message m = {.status = (int)tare}; /* the first says who it is */
    bool good = write(out, &m, sizeof m) == (ssize_t)sizeof m;
    while (good) {
        if (waitpid(tare, &m.status, WUNTRACED | WCONTINUED) != tare)
            continue;
        m.at_ns = tare_now_ns();
        m.same_terminal = tcgetattr(terminal, &after) != 0 || /* it is gone */
                          (before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag &&
                           before.c_oflag == after.c_oflag && before.c_cflag == after.c_cflag);
        good = write(out, &m, sizeof m) == (ssize_t)sizeof m;
        if (WIFEXITED(m.status) || WIFSIGNALED(m.status))
            _exit(0);
    }
    _exit(1);
}

static bool start(struct trial *t, char **command) {
    int ends[2];
    t->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (t->master < 0 || grantpt(t->master) != 0 || unlockpt(t->master) != 0 ||
        pipe2(ends, O_CLOEXEC) != 0)
        return false;
    const char *name = ptsname(t->master);
    t->shell = fork();
    if (t->shell == 0) {
        close(t->master); /* a terminal is closed when its last holder closes it */
        be_shell(name, ends[1], command, t->mark);
    }
    close(ends[1]);
    t->messages = ends[0];
    struct message hello;
    if (read(t->messages, &hello, sizeof hello) != (ssize_t)sizeof hello)
        return false;
    t->tare = hello.status;
    return true;
}

/* ---- watching -----------------------------------------------------------------------------------
 */

static void keep(struct trial *t, const char *text, size_t size) {
    if (size >= TAIL) {
        text += size - TAIL;
        size = TAIL;
    }
    size_t over = t->tail_size + size > TAIL ? t->tail_size + size - TAIL : 0;
    memmove(t->tail, t->tail + over, t->tail_size - over);
    memcpy(t->tail + t->tail_size - over, text, size);
    t->tail_size += size - over;
}

/* Reads along until then, or until the shell has something to say: true. */
static bool watch(struct trial *t, int64_t until_ns) {
    for (int64_t now_ns; (now_ns = tare_now_ns()) < until_ns;) {
        static char text[65536];
        int64_t wait_ms = (until_ns - now_ns + MS - 1) / MS;
        int timeout_ms = wait_ms > 5 ? 5 : (int)wait_ms;
        struct pollfd polls[] = {{.fd = t->messages, .events = POLLIN},
                                 {.fd = t->master, .events = POLLIN}};
        int ready = poll(polls, 2, timeout_ms);
        int64_t late_ns = tare_now_ns() - now_ns - timeout_ms * MS;
        if (ready == 0 && late_ns > t->late_ns)
            t->late_ns = late_ns;
        int64_t queued = queued_ns(t->tare); /* 0 once it has gone: the last one counts */
        t->queued_ns = queued > t->queued_ns ? queued : t->queued_ns;
        if (polls[1].revents & POLLIN) {
            ssize_t got = read(t->master, text, sizeof text);
            if (got > 0)
                keep(t, text, (size_t)got);
        } else if (polls[1].revents) { /* hung up: nothing more will come */
            close(t->master);
            t->master = -1;
        }
        if (polls[0].revents)
            return read(t->messages, &t->last, sizeof t->last) == (ssize_t)sizeof t->last;
    }
    return false;
}

static bool has_ended(const struct trial *t) {
    return t->last.at_ns != 0 && (WIFEXITED(t->last.status) || WIFSIGNALED(t->last.status));
}

/* What was printed may arrive after the news that tare has ended: until the terminal is closed. */
static void read_rest(struct trial *t) {
    char text[4096];
    struct pollfd poll_master = {.fd = t->master, .events = POLLIN};
    while (t->master >= 0 && poll(&poll_master, 1, 1000) > 0) {
        ssize_t got = read(t->master, text, sizeof text);
        if (got <= 0)
            return;
        keep(t, text, (size_t)got);
    }
}

static bool watch_until_end(struct trial *t, int64_t until_ns) {
    while (!has_ended(t) && watch(t, until_ns))
        continue;
    if (has_ended(t))
        read_rest(t);
    return has_ended(t);
}

static bool exists(const struct trial *t, const char *file) {
    char path[200];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", t->dir, file);
    return stat(path, &info) == 0;
}

/* ---- signals ------------------------------------------------------------------------------------
 */

static void type(struct trial *t, char key) {
    if (write(t->master, &key, 1) != 1)
        complain(t, "the terminal takes no keys");
}

/* While tare stands still, so must its engine; the launcher needn't. */
static void check_stillness(struct trial *t) {
    char names[200], *rest = names;
    living(t->mark, t->tare, names);
    for (char *pid; (pid = strtok_r(rest, " ", &rest));) {
        char path[64], name[64] = "", state = '?';
        snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%*d (%63[^)]) %c", name, &state) == 2 &&
            strncmp(name, "tare-engine", 11) == 0) {
            if (state == 'T')
                t->stopped = true;
            else if (state != 'Z' && state != 'X')
                complain(t, "the engine goes on while tare is suspended");
        }
        if (file)
            fclose(file);
    }
}

static void suspend(struct trial *t, int64_t pause_ns) {
    bool by_key = t->kind == KIND_SUSPEND;
    if (by_key)
        type(t, 'Z' - '@');
    else
        kill(t->tare, SIGSTOP);
    bool stopped = false;
    int64_t until_ns = tare_now_ns() + 2000 * MS;
    while (!stopped && !has_ended(t) && watch(t, until_ns))
        stopped = WIFSTOPPED(t->last.status);
    if (!stopped && !has_ended(t))
        complain(t, "it can't be suspended");
    sleep_until(tare_now_ns() + pause_ns);
    if (stopped && by_key)
        check_stillness(t);
    kill(-t->tare, SIGCONT);
}

static void send(struct trial *t, int64_t pause_ns) {
    t->began = exists(t, "samples.jsonl");
    t->queued_before_ns = queued_ns(t->tare);
    t->signal_ns = tare_now_ns();
    switch (t->kind) {
    case KIND_INT:
        type(t, 'C' - '@');
        return;
    case KIND_TERM:
        kill(t->tare, SIGTERM);
        return;
    case KIND_HUP:
        kill(t->tare, SIGHUP);
        return;
    case KIND_CLOSE:
        close(t->master);
        t->master = -1;
        return;
    case KIND_SUSPEND:
    case KIND_STOP:
        suspend(t, pause_ns);
        return;
    case KIND_TWICE:
        type(t, 'C' - '@');
        if (!watch(t, tare_now_ns() + pause_ns / 8) || !has_ended(t))
            type(t, 'C' - '@');
        return;
    case KIND_COUNT:
        return;
    }
}

/* ---- judging ------------------------------------------------------------------------------------
 */

static int run(const struct trial *t, const char *arguments) {
    char command[400];
    snprintf(command, sizeof command, "\"$TARE\" %s %s >after.out 2>&1 </dev/null", arguments,
             t->dir);
    int status = system(command);
    if (status != 0 && system("head -n 4 after.out >&2") != 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool is_in_samples(const struct trial *t, const char *text) {
    char command[400];
    snprintf(command, sizeof command, "grep -q '%s' %s/samples.jsonl", text, t->dir);
    return system(command) == 0;
}

/* The last line on the terminal is empty, and the cursor was never hidden. */
static void check_screen(struct trial *t) {
    t->tail[t->tail_size] = '\0';
    const char *newline = strrchr(t->tail, '\n'), *cleared = NULL;
    for (char *at = t->tail; (at = strstr(at, "\r\033[K")); at++)
        cleared = at + 4;
    const char *line = newline && (!cleared || newline + 1 > cleared) ? newline + 1 : cleared;
    /* The kernel sends Ctrl-C's signal first and echoes it then: tare may have tidied up before. */
    while (line && strncmp(line, "^C", 2) == 0)
        line += 2;
    if (strstr(t->tail, "\033[?"))
        complain(t, "it changed a mode of the terminal");
    if (t->tail_size > 0 && line && line[0])
        complain(t, "a line is left unfinished on the terminal");
}

static void check_end(struct trial *t, size_t *voids, size_t *interrupts) {
    char names[200];
    bool suspended = t->kind == KIND_SUSPEND || t->kind == KIND_STOP;
    int code = WIFEXITED(t->last.status) ? WEXITSTATUS(t->last.status) : -1;
    int64_t queueing_ns = t->queued_ns - t->queued_before_ns;
    int64_t allowed_ns = 1000 * MS + t->late_ns + (queueing_ns > 0 ? queueing_ns : 0);
    if (!t->last.same_terminal)
        complain(t, "the terminal's settings are others now");
    if (t->kind != KIND_CLOSE)
        check_screen(t);
    if (!suspended && t->last.at_ns - t->signal_ns > allowed_ns)
        complain(t, "it took more than a second");
    if (t->kind == KIND_TWICE) /* the launcher may be at it still */
        sleep_until(tare_now_ns() + 100 * MS + t->late_ns);
    if (living(t->mark, t->shell, names) > 0)
        complain(t, "something of it lives on");
    if (!exists(t, "samples.jsonl")) { /* the signal came before there was anything to keep */
        if (t->began || suspended)
            complain(t, "its records are gone");
        else if (code != 130 && !WIFSIGNALED(t->last.status))
            complain(t, "neither 130 nor dead of the signal");
        return;
    }
    bool is_void = is_in_samples(t, "tare was suspended while it ran");
    *voids += is_void;
    /* A busy machine voids jobs too. */
    bool over = code == 0 || (code == 1 && is_in_samples(t, "\"state\":\"void\""));
    /* Done just before its terminal was closed: the table had nowhere to go, and that is said. */
    over = over || (t->kind == KIND_CLOSE && code == 3 && is_in_samples(t, "\"complete\":true"));
    if (code != 130 && !over)
        complain(t, "the exit code isn't right");
    if (suspended && code == 130)
        complain(t, "it took being suspended for an interrupt");
    if (run(t, "report") != 0)
        complain(t, "tare report refuses what is left");
    /* At once means without the last record, which tare verify misses. */
    if (t->kind != KIND_TWICE && run(t, "verify") != 0)
        complain(t, "tare verify refuses what is left");
    if (code != 130)
        return;
    (*interrupts)++;
    int resumed = run(t, "compare --resume");
    if (resumed != 0 && !(resumed == 1 && is_in_samples(t, "\"state\":\"void\"")))
        complain(t, "it can't be carried on");
    if (!is_in_samples(t, "\"complete\":true") || run(t, "verify") != 0)
        complain(t, "what was carried on isn't whole");
}

static bool try_case(size_t number, int64_t span_ms, char **command, char **dir_argument,
                     size_t *voids, size_t *interrupts) {
    struct tare_rng rng;
    static struct trial t;
    t = (struct trial){.kind = (enum kind)(number % KIND_COUNT), .master = -1, .messages = -1};
    tare_rng_seed(&rng, number, TARE_STREAM_TEST);
    int64_t moment_ns = (int64_t)tare_rng_below(&rng, (uint64_t)(span_ms * 1000)) * 1000;
    int64_t pause_ns = (int64_t)(20 + tare_rng_below(&rng, 250)) * MS;
    snprintf(t.mark, sizeof t.mark, "TARE_TORTURE_CASE=%ld-%zu", (long)getpid(), number);
    snprintf(t.dir, sizeof t.dir, "case-%zu", number);
    *dir_argument = t.dir;
    int64_t start_ns = tare_now_ns();
    if (!start(&t, command))
        complain(&t, "it can't be started");
    else if (watch(&t, start_ns + moment_ns) && has_ended(&t))
        t.signal_ns = t.last.at_ns; /* it was over before */
    else
        send(&t, pause_ns);
    if (!watch_until_end(&t, tare_now_ns() + 60000 * MS)) {
        complain(&t, "it doesn't end");
        kill(-t.tare, SIGKILL);
    } else
        check_end(&t, voids, &interrupts[t.kind]);
    for (size_t i = 0; i < 2; i++)
        if ((i ? t.master : t.messages) >= 0)
            close(i ? t.master : t.messages);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    if (t.problem[0]) {
        fprintf(stderr,
                "signals %zu (%s after %.3f s): %s; status %x after %.3f s, machine %.0f ms late, "
                "queued %.0f ms\n",
                number, kinds[t.kind], (double)moment_ns * 1e-9, t.problem, (unsigned)t.last.status,
                (double)(t.last.at_ns - t.signal_ns) * 1e-9, (double)t.late_ns * 1e-6,
                (double)(t.queued_ns - t.queued_before_ns) * 1e-6);
        return false;
    }
    char clean[100];
    snprintf(clean, sizeof clean, "rm -rf %s", t.dir);
    return system(clean) == 0;
}

int main(int argc, char **argv) {
    size_t tried = 0, survived = 0, voids = 0, suspensions = 0;
    size_t interrupts[KIND_COUNT] = {0}, tries[KIND_COUNT] = {0};
    if (argc < 6 || argc > 60 || atol(argv[3]) < 1 || atol(argv[4]) < 1) {
        fprintf(stderr, "usage: signals FIRST LAST STEP SPAN_MS COMMAND...\n");
        return 2;
    }
    char *command[64] = {NULL};
    memcpy(command, argv + 5, (size_t)(argc - 5) * sizeof *argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (size_t i = (size_t)atol(argv[1]); i <= (size_t)atol(argv[2]); i += (size_t)atol(argv[3])) {
        enum kind kind = (enum kind)(i % KIND_COUNT);
        suspensions += kind == KIND_SUSPEND || kind == KIND_STOP;
        tries[kind]++;
        tried++;
        survived += try_case(i, atol(argv[4]), command, &command[argc - 5], &voids, interrupts);
    }
    fprintf(stderr, "%zu of %zu suspensions met a job, whose time is void\n", voids, suspensions);
    for (int k = 0; k < KIND_COUNT; k++) {
        bool ends = k != KIND_SUSPEND && k != KIND_STOP;
        fprintf(stderr, "%s: %zu tried, %zu left something to carry on\n", kinds[k], tries[k],
                interrupts[k]);
        if (ends && tries[k] >= 5 && interrupts[k] == 0) {
            fprintf(stderr, "signals: %s interrupted nothing\n", kinds[k]);
            survived = 0;
        }
    }
    if (suspensions >= 10 && voids == 0) {
        fprintf(stderr, "signals: no suspension voided anything\n");
        survived = 0;
    }
    printf("result %zu %zu\n", tried, survived);
    return tried == survived ? 0 : 1;
}
