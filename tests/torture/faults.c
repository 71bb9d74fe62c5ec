/* faults.c: runs one command of tare again and again, each time with one fault more ahead: its n-th
 * allocation fails, or its n-th system call of a kind. Every time it must end by itself: with what
 * it does undisturbed, or with an exit code above 0, one clear line, and every file either as it
 * was or as it should become. faults.sh says which commands, and with what.
 *
 *     faults --kind KIND --state DIR --work DIR --shim FILE [OPTION]… -- PROGRAM ARGUMENT…
 *
 *     --state DIR     what the command finds; --work, its current folder, is made like it every
 * time
 *     --name NAME     the command's, in messages
 *     --most N        at most so many cases, evenly spread (0: every one)
 *     --last N        only of the last N (0: of all)
 *     --one N         that case alone, with all that the command said
 *     --count         prints how many cases there are, of --kind calls of all kinds of system call
 *     --twice         it has run before, and finds what it left in the cache
 *     --loose         what it prints and writes are measurements: not compared with another run's
 *     --results DIR   below --work: a results folder that must verify, if it is begun at all
 *     --harmless FILE which faults may pass without an error, and why: lines of
 *                     NAME KIND WHERE # reason, the first three patterns as of a shell
 *
 * Failures and what was harmless go to stderr; "TRIED SURVIVED ALL" to stdout. */
#include <fnmatch.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "inject.h"
#include "tare/clock.h"
#include "tare/report.h"
#include "tare/verify.h"
#include "tree.h"

#define TIMEOUT_NS INT64_C(30000000000)
#define SANITIZER_EXIT 99

struct setting {
    const char *kind, *state, *work, *shim, *name, *results, *harmless;
    char **command;
    long most, last, one;
    bool loose, count, twice;
};

struct outcome {
    int wait_status;
    bool timed_out, left_processes;
    bool failed; /* the fault took place */
    long count;  /* of what could have failed */
    char *out, *err;
    char where[1000];
    struct tree after;
};

static bool is_memory(const struct setting *s) {
    return strncmp(s->kind, "alloc", 5) == 0;
}

/* The fault is there from the beginning. */
static bool is_stdout(const struct setting *s) {
    return strncmp(s->kind, "stdout", 6) == 0;
}

/* ---- one run -----------------------------------------------------------------------------------
 */

static int memory_file(const char *name, size_t size) {
    int fd = memfd_create(name, 0);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
        die(name);
    return fd;
}

static char *text_of(int fd) {
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc((size_t)size + 1, 1);
    if (!text || pread(fd, text, (size_t)size, 0) != size)
        die("reading what it said");
    close(fd);
    return text;
}

static void child(const struct setting *s, bool disturbed, const struct inject_kind *kind, int out,
                  int err, int page, int socket) {
    char number[16], preload[4096];
    snprintf(number, sizeof number, "%d", page);
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", s->shim);
    if (disturbed && strcmp(s->kind, "stdout-full") == 0)
        out = open("/dev/full", O_WRONLY);
    if (chdir(s->work) != 0 || dup2(out, 1) != 1 || dup2(err, 2) != 2)
        _exit(125);
    if (disturbed && strcmp(s->kind, "stdout-closed") == 0)
        close(1);
    setenv(FAIL_NTH_FD, number, 1);
    putenv(preload);
    signal(SIGALRM, SIG_DFL);
    if (kind)
        inject_arm(kind, socket);
    execv(s->command[0], s->command);
    _exit(125);
}

/* Serves the watched process until it has ended, and all that it started. */
static void follow(struct outcome *o, struct inject *x) {
    const int64_t begin_ns = tare_now_ns();
    int64_t end_ns = 0;
    bool ended = false;
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        const int64_t now_ns = tare_now_ns();
        if (pid == x->pid) {
            o->wait_status = status;
            ended = true;
            end_ns = now_ns;
        }
        if (pid > 0)
            continue;
        if (pid < 0 && ended)
            return;
        if (!ended && now_ns - begin_ns > TIMEOUT_NS && !o->timed_out) {
            o->timed_out = true;
            kill(x->pid, SIGKILL);
        }
        if (ended && now_ns - end_ns > INT64_C(3000000000)) {
            /* Whoever is left is ours now; the caller starts one command at a time. */
            o->left_processes = true;
            return;
        }
        struct pollfd polled = {.fd = x->listener, .events = POLLIN};
        if (poll(&polled, 1, 1) > 0) {
            if (polled.revents & POLLIN)
                inject_answer(x);
            else /* nobody is left who could report */
                usleep(200);
        }
    }
}

/* Undisturbed, for what it leaves in the cache. What it finds must have settled (remember.c). */
static void run_before(const struct setting *s) {
    int status = -1;
    usleep(120000);
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        if (chdir(s->work) == 0 && dup2(nowhere, 1) == 1 && dup2(nowhere, 2) == 2)
            execv(s->command[0], s->command);
        _exit(125);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        die("the command before");
}

static const char *where_in_program(const struct setting *s, const struct fail_nth *page);

static struct outcome run(const struct setting *s, const struct tree *state, long fail_at) {
    struct outcome o = {0};
    const struct inject_kind *kind = fail_at > 0 || !is_stdout(s) ? inject_find(s->kind) : NULL;
    const bool calls = kind && !is_stdout(s);
    struct inject x = {.kind = kind, .fail_at = kind ? fail_at : 0, .listener = -1};
    int page_fd = memory_file("page", sizeof(struct fail_nth)), sockets[2];
    struct fail_nth *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
    int out = memory_file("out", 0), err = memory_file("err", 0);
    if (page == MAP_FAILED || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets) != 0)
        die("starting");
    page->fail_at = kind ? 0 : fail_at;
    page->persist = strcmp(s->kind, "alloc-on") == 0;
    tree_put(state, s->work);
    if (s->twice)
        run_before(s);
    x.pid = fork();
    if (x.pid == 0)
        child(s, fail_at > 0, calls ? kind : NULL, out, err, page_fd, sockets[1]);
    close(sockets[1]);
    if (calls && (x.listener = inject_listener(sockets[0])) < 0)
        die("seccomp's user notifications");
    follow(&o, &x);
    o.count = is_stdout(s) ? 1 : kind ? x.count : page->count;
    o.failed = is_stdout(s) ? fail_at > 0 : kind ? x.failed : fail_at > 0 && page->count >= fail_at;
    if (is_stdout(s))
        snprintf(o.where, sizeof o.where, "%s", s->kind);
    else if (kind)
        snprintf(o.where, sizeof o.where, "%s", x.label);
    else if (o.failed)
        snprintf(o.where, sizeof o.where, "%s", where_in_program(s, page));
    o.out = text_of(out);
    o.err = text_of(err);
    o.after = tree_of(s->work);
    if (calls)
        close(x.listener);
    close(sockets[0]);
    munmap(page, sizeof *page);
    close(page_fd);
    return o;
}

static void outcome_free(struct outcome *o) {
    free(o->out);
    free(o->err);
    tree_free(&o->after);
}

/* ---- where it was ------------------------------------------------------------------------------
 */

struct place {
    unsigned long at;
    char names[160]; /* "inner<outer" where the compiler put one into the other */
};

/* Function names of one address of the program, asked once. */
static const char *place_name(const struct setting *s, unsigned long at) {
    static struct place *places;
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (places[i].at == at)
            return places[i].names;
    places = realloc(places, (count + 1) * sizeof *places);
    if (!places)
        die("memory");
    struct place *p = &places[count++];
    *p = (struct place){.at = at};
    char command[4096], line[512];
    snprintf(command, sizeof command, "addr2line -f -i -e '%s' 0x%lx", s->command[0], at - 1);
    FILE *pipe = popen(command, "r");
    for (int i = 0; pipe && fgets(line, sizeof line, pipe); i++) {
        line[strcspn(line, "\n")] = '\0';
        size_t used = strlen(p->names);
        if (i % 2 == 0)
            snprintf(p->names + used, sizeof p->names - used, "%s%s", used ? "<" : "", line);
    }
    if (pipe)
        pclose(pipe);
    return p->names;
}

/* "inner<outer<…<main": tare's own functions around the allocation. */
static const char *where_in_program(const struct setting *s, const struct fail_nth *page) {
    static char names[1000];
    snprintf(names, sizeof names, "%s", page->libraries);
    size_t library = strlen(names);
    if (library > 0)
        names[library - 1] = '\0'; /* its last "<" comes back with the next name */
    for (int i = 0; i < page->frames; i++) {
        size_t used = strlen(names);
        if (page->frame[i] && used + 1 < sizeof names)
            snprintf(names + used, sizeof names - used, "%s%s", used ? "<" : "",
                     place_name(s, page->frame[i]));
    }
    return names;
}

/* The reason why a fault may pass without an error, or NULL. */
static const char *harmless(const struct setting *s, const struct outcome *o) {
    static char line[1000];
    FILE *file = s->harmless ? fopen(s->harmless, "re") : NULL;
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        char name[64], kind[64], where[300];
        line[strcspn(line, "\n")] = '\0';
        found = line[0] != '#' && sscanf(line, "%63s %63s %299[^#]", name, kind, where) == 3;
        for (size_t size = strlen(where); found && size > 0 && where[size - 1] == ' '; size--)
            where[size - 1] = '\0';
        found = found && fnmatch(name, s->name, 0) == 0 && fnmatch(kind, s->kind, 0) == 0 &&
                fnmatch(where, o->where, 0) == 0;
    }
    if (file)
        fclose(file);
    return found && strchr(line, '#') ? strchr(line, '#') + 2 : NULL;
}

/* ---- what must hold ----------------------------------------------------------------------------
 */

/* The same but for numbers: times differ from run to run. */
static bool same_words(const char *a, const char *b) {
    for (;;) {
        bool a_digit = strchr("0123456789.", *a) && *a, b_digit = strchr("0123456789.", *b) && *b;
        if (a_digit && b_digit) {
            a += strspn(a, "0123456789.");
            b += strspn(b, "0123456789.");
            continue;
        }
        if (*a != *b)
            return false;
        if (!*a)
            return true;
        a++, b++;
    }
}

/* Lines that begin with "tare: ", warnings apart. */
static size_t count_errors(const char *text) {
    size_t count = 0;
    for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        count += strncmp(at, "tare: ", 6) == 0 && strncmp(at, "tare: warning: ", 15) != 0;
    return count;
}

static const char *judge_end(const struct setting *s, const struct outcome *o,
                             const struct outcome *whole) {
    const struct inject_kind *kind = inject_find(s->kind);
    const bool mute = strstr(o->where, " stderr") != NULL; /* the fault hit the message itself */
    if (o->timed_out)
        return "did not end";
    if (o->left_processes)
        return "left processes behind";
    if (WIFSIGNALED(o->wait_status))
        return "ended by a signal";
    const int code = WEXITSTATUS(o->wait_status);
    if (code == SANITIZER_EXIT)
        return "a sanitiser's report";
    if (code == 0) {
        if (!s->loose && !same_words(o->out, whole->out))
            return "exit code 0, but it printed something else";
        if (s->loose && strlen(o->out) < strlen(whole->out) / 2)
            return "exit code 0, but it printed less";
        if (o->failed && !(kind && kind->survives) && !harmless(s, o))
            return "exit code 0, and nobody has said why that is harmless";
        return NULL;
    }
    if (!o->failed)
        return "failed without a fault";
    if (kind && kind->survives)
        return "was not survived";
    if (code > 3)
        return "an exit code that means something else";
    if (count_errors(o->err) != 1 && !mute)
        return "not one line of error";
    const char *why = is_memory(s) ? "memory" : strerror(kind->error);
    if (!strcasestr(o->err, why) && !mute)
        return "the line doesn't say why";
    return NULL;
}

/* The reports come last; without them a folder is an experiment that was cut short. */
static void count_fault(void *context, enum tare_finding finding, const char *path,
                        const char *why) {
    const bool fault = finding == TARE_FINDING_CHANGED || finding == TARE_FINDING_MISSING;
    const bool to_come = finding == TARE_FINDING_MISSING &&
                         (strncmp(path, "report.", 7) == 0 || strcmp(path, "samples.jsonl") == 0);
    if (fault && !to_come) {
        fprintf(stderr, "    %s: %s: %s\n", tare_finding_name(finding), path, why);
        *(bool *)context = false;
    }
}

static bool results_verify(const struct setting *s) {
    char dir[4096], samples[4200];
    snprintf(dir, sizeof dir, "%s/%s", s->work, s->results);
    snprintf(samples, sizeof samples, "%s/samples.jsonl", dir);
    if (!tare_path_exists(samples))
        return true; /* not begun */
    bool sound = true;
    struct tare_verify verify = {.dir = dir, .found = count_fault, .context = &sound};
    struct tare_err err = {0};
    if (tare_verify_folder(&verify, &err) == TARE_OK &&
        tare_report_verify(&verify, &err) == TARE_OK)
        return sound;
    tare_err_print(stderr, &err);
    return false;
}

static bool in_results(const struct setting *s, const char *path) {
    size_t size = s->results ? strlen(s->results) : 0;
    return size > 0 && strncmp(path, s->results, size) == 0;
}

/* What was found is put there before each run: whether it has settled when tare looks, and is
 * remembered, depends on how fast the machine is. */
static bool depends_on_clock(const struct setting *s, const char *path) {
    return !s->twice && strstr(path, "tare/remembered");
}

static const char *judge_files(const struct setting *s, const struct outcome *o,
                               const struct tree *state, const struct outcome *whole) {
    static char what[600];
    for (size_t i = 0; i < state->count; i++)
        if (!tree_find(&o->after, state->entries[i].path)) {
            snprintf(what, sizeof what, "%s is gone", state->entries[i].path);
            return what;
        }
    for (size_t i = 0; i < o->after.count; i++) {
        const struct tree_entry *is = &o->after.entries[i];
        const struct tree_entry *old = tree_find(state, is->path),
                                *new = tree_find(&whole->after, is->path);
        const bool any = (s->loose && in_results(s, is->path)) || depends_on_clock(s, is->path);
        if (!old && !new && !any) {
            if (strstr(o->err, "tare: warning: ") && harmless(s, o))
                continue;
            snprintf(what, sizeof what, "%s was left behind", is->path);
            return what;
        }
        /* What an engine was writing when it was ended lies in its job's folder, which has no
         * record and is emptied when the job is done again. */
        if (strstr(is->path, ".tmp") && !(any && strstr(is->path, "/jobs/"))) {
            snprintf(what, sizeof what, "%s was left behind", is->path);
            return what;
        }
        if (!(old && tree_same(is, old)) && !(new &&tree_same(is, new)) && !any) {
            snprintf(what, sizeof what, "%s is neither the old nor the new", is->path);
            return what;
        }
    }
    if (o->wait_status == 0) /* then everything there should be is there, and new */
        for (size_t i = 0; i < whole->after.count; i++) {
            const struct tree_entry *new = &whole->after.entries[i];
            const struct tree_entry *is = tree_find(&o->after, new->path);
            if ((!is || (!tree_same(is, new) && !(s->loose && in_results(s, new->path)))) &&
                !depends_on_clock(s, new->path) && !harmless(s, o)) {
                snprintf(what, sizeof what, "exit code 0, but %s was not written", new->path);
                return what;
            }
        }
    return s->results && !results_verify(s) ? "the results folder doesn't verify" : NULL;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static void show(const struct outcome *o) {
    fprintf(stderr, "---- %s\n---- exit code %d, signal %d\n---- stdout\n%s---- stderr\n%s----\n",
            o->where, WEXITSTATUS(o->wait_status), WTERMSIG(o->wait_status), o->out, o->err);
}

/* A machine that is too busy makes tare void a measurement, and one that was suspended lets the
 * time go by: neither is what is looked for. */
static struct outcome run_in_peace(const struct setting *s, const struct tree *state,
                                   long fail_at) {
    struct outcome o = run(s, state, fail_at);
    for (int i = 0; i < 10 && (strstr(o.err, "its phases add up to") || (o.timed_out && i < 1));
         i++) {
        outcome_free(&o);
        o = run(s, state, fail_at);
    }
    return o;
}

static bool try_one(const struct setting *s, const struct tree *state, const struct outcome *whole,
                    long n) {
    struct outcome o = run_in_peace(s, state, n);
    const char *problem = judge_end(s, &o, whole);
    if (!problem)
        problem = judge_files(s, &o, state, whole);
    if (problem) {
        fprintf(stderr, "faults.sh one %s %s %ld: %s\n    at %s\n    said %.*s\n", s->name, s->kind,
                n, problem, o.where, 300,
                strstr(o.err, "tare: ") ? strstr(o.err, "tare: ") : o.err);
    } else if (s->one && o.failed && o.wait_status == 0 && harmless(s, &o))
        fprintf(stderr, "harmless: %s\n", harmless(s, &o));
    if (s->one)
        show(&o);
    outcome_free(&o);
    return problem == NULL;
}

static void read_options(struct setting *s, int argc, char **argv) {
    static const struct option options[] = {
        {"kind", 1, NULL, 'k'},     {"state", 1, NULL, 's'}, {"work", 1, NULL, 'w'},
        {"shim", 1, NULL, 'p'},     {"name", 1, NULL, 'n'},  {"most", 1, NULL, 'm'},
        {"one", 1, NULL, 'o'},      {"loose", 0, NULL, 'l'}, {"results", 1, NULL, 'r'},
        {"harmless", 1, NULL, 'h'}, {"last", 1, NULL, 'e'},  {"count", 0, NULL, 'c'},
        {"twice", 0, NULL, 't'},    {NULL, 0, NULL, 0}};
    for (int found; (found = getopt_long(argc, argv, "+", options, NULL)) >= 0;) {
        const char **texts[] = {
            ['k'] = &s->kind, ['s'] = &s->state,   ['w'] = &s->work,    ['p'] = &s->shim,
            ['n'] = &s->name, ['r'] = &s->results, ['h'] = &s->harmless};
        if (found == 'm')
            s->most = atol(optarg);
        else if (found == 'e')
            s->last = atol(optarg);
        else if (found == 'o')
            s->one = atol(optarg);
        else if (found == 'l')
            s->loose = true;
        else if (found == 't')
            s->twice = true;
        else if (found == 'c')
            s->count = true;
        else if (found == '?')
            exit(2);
        else
            *texts[found] = optarg;
    }
    s->command = argv + optind;
    if (!s->kind || !s->state || !s->work || !s->shim || !s->name || !s->command[0] ||
        !(is_memory(s) || inject_find(s->kind))) {
        fprintf(stderr, "faults: how to call it stands at the beginning of faults.c\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    struct setting s = {0};
    read_options(&s, argc, argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    struct tree state = tree_of(s.state);
    struct outcome whole = run_in_peace(&s, &state, 0);
    const bool sound = whole.wait_status == 0;
    if (!sound) {
        fprintf(stderr, "faults: %s, undisturbed:\n", s.name);
        show(&whole);
    }
    long tried = 0, survived = 0;
    const long all = s.last > 0 && s.last < whole.count ? s.last : whole.count;
    const long most = s.most > 0 && s.most < all ? s.most : all;
    for (long i = 0; i < most && sound && !s.one && !s.count; i++) {
        tried++;
        survived += try_one(&s, &state, &whole, whole.count - all + 1 + i * all / most);
    }
    if (s.one && sound && !s.count) {
        tried = 1;
        survived = try_one(&s, &state, &whole, s.one);
    }
    if (s.count)
        printf("%ld\n", all);
    else
        printf("%ld %ld %ld\n", tried, survived, all);
    outcome_free(&whole);
    tree_free(&state);
    return sound && tried == survived ? 0 : 1;
}
