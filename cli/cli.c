/* cli.c: options, help, messages and signals for all commands (cli.h). */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/listing.h"
#include "tare/buf.h"
#include "tare/stats.h"
#include "tare/words.h"

#define MAX_OPTIONS 32  /* below the code of any letter: rows and letters share getopt's result */
#define HELP_VALUE 1000 /* getopt's value of --help; table rows count from 0 */

/* ---- options -----------------------------------------------------------------------------------
 */

static void print_help(const struct cli_command *command, const struct cli_option *options,
                       size_t count) {
    printf("Examples:\n%s\nUsage: tare %s\n%s\n", command->examples, command->usage,
           command->summary);
    if (count > 0)
        printf("\nOptions:\n");
    for (size_t i = 0; i < count; i++) {
        char left[48], letter[8] = "";
        if (options[i].letter)
            snprintf(letter, sizeof letter, "-%c, ", options[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, options[i].name,
                 options[i].meta ? " " : "", options[i].meta ? options[i].meta : "");
        printf("  %-22s %s\n", left, options[i].help);
    }
    printf("  %-22s %s\n", "--help", "this text");
}

static enum tare_status set_value(const struct cli_option *option, const char *text,
                                  struct tare_err *err) {
    char where[64], *end = NULL;
    snprintf(where, sizeof where, "--%s", option->name);
    errno = 0;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->value = true;
        return TARE_OK;
    case CLI_TEXT:
        *(const char **)option->value = text;
        return TARE_OK;
    case CLI_COUNT: {
        unsigned long long count = strtoull(text, &end, 10);
        if (!*text || *end || errno || text[0] == '-' || text[0] == '+' || count > 1000000000)
            return tare_fail(err, TARE_USAGE, where, "a whole number, like 6",
                             "\"%.60s\" is not a count", text);
        *(size_t *)option->value = (size_t)count;
        return TARE_OK;
    }
    case CLI_NUMBER: {
        double number = strtod(text, &end);
        if (!*text || *end || errno || !isfinite(number) || number <= 0)
            return tare_fail(err, TARE_USAGE, where, "a number above zero, like 0.5",
                             "\"%.60s\" is not such a number", text);
        *(double *)option->value = number;
        return TARE_OK;
    }
    }
    return TARE_OK;
}

static enum tare_status unknown_option(const char *word, const struct cli_option *options,
                                       size_t count, struct tare_err *err) {
    const char *names[MAX_OPTIONS + 1] = {"help"};
    for (size_t i = 0; i < count; i++)
        names[i + 1] = options[i].name;
    char name[64], hint[128] = "--help lists the options";
    snprintf(name, sizeof name, "%s", word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    const char *near = tare_nearest_word(name, names, count + 1);
    if (near)
        snprintf(hint, sizeof hint, "--%s", near);
    return tare_fail(err, TARE_USAGE, NULL, hint, "unknown option \"%.60s\"", word);
}

enum tare_status cli_parse(struct cli_args *args, bool *helped, int argc, char **argv,
                           const struct cli_command *command, const struct cli_option *options,
                           size_t option_count, struct tare_err *err) {
    struct option table[MAX_OPTIONS + 2] = {0};
    char letters[2 * MAX_OPTIONS + 2] = ":"; /* a leading ':' tells a missing value from the rest */
    size_t letter_count = 1;
    for (size_t i = 0; i < option_count; i++) {
        int argument = options[i].meta ? required_argument : no_argument;
        table[i] = (struct option){options[i].name, argument, NULL, (int)i};
        if (!options[i].letter)
            continue;
        table[i].val = options[i].letter;
        letters[letter_count++] = options[i].letter;
        if (options[i].meta)
            letters[letter_count++] = ':';
    }
    table[option_count] = (struct option){"help", no_argument, NULL, HELP_VALUE};
    *helped = false;
    *args = (struct cli_args){0};
    opterr = 0;
    optind = 0; /* glibc: start over, also after an earlier parse */
    for (;;) {
        int before = optind ? optind : 1;
        int found = getopt_long(argc, argv, letters, table, NULL);
        if (found < 0)
            break;
        if (found == HELP_VALUE) {
            print_help(command, options, option_count);
            *helped = true;
            return TARE_OK;
        }
        if (found == ':')
            return tare_fail(err, TARE_USAGE, argv[optind - 1], "--help", "needs a value");
        if (found == '?')
            return unknown_option(argv[optind > before ? optind - 1 : before], options,
                                  option_count, err);
        size_t which = (size_t)found;
        for (size_t i = 0; i < option_count; i++)
            if (found >= MAX_OPTIONS && options[i].letter == found)
                which = i;
        enum tare_status status = set_value(&options[which], optarg ? optarg : "", err);
        if (status != TARE_OK)
            return status;
        args->given |= UINT32_C(1) << which;
    }
    args->count = argc - optind;
    args->words = argv + optind;
    return TARE_OK;
}

int cli_fail(const struct tare_err *err) {
    cli_progress_end();
    tare_err_print(stderr, err);
    return tare_exit_code(err->status);
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static volatile sig_atomic_t stop;
static volatile sig_atomic_t line_open; /* a progress line stands unfinished on the terminal */

/* The first asks for an end with everything in order, in a second or so; the next makes it at once:
 * the launcher ends the engine then. A closed terminal may say so several times, and means the
 * first. */
static void on_signal(int number) {
    if (stop && number != SIGHUP) {
        static const char clean[] = "\r\033[K";
        if (line_open && write(STDERR_FILENO, clean, sizeof clean - 1) < 0)
            line_open = 0; /* nobody is there to see it */
        _exit(tare_exit_code(TARE_INTERRUPTED));
    }
    stop = 1;
}

const volatile sig_atomic_t *cli_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before;
        bool ignored = sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
        if (!ignored) /* nohup, and jobs in a script's background, ask for that */
            sigaction(signals[i], &action, NULL);
    }
    signal(SIGPIPE,
           SIG_IGN); /* whoever read along has gone: what is measured is kept all the same */
    return &stop;
}

/* ---- the terminal ------------------------------------------------------------------------------
 */

void cli_progress(const char *text) {
    if (isatty(STDERR_FILENO)) {
        line_open = 1; /* before it is: a signal may come in between */
        fprintf(stderr, "\r\033[K%.*s", cli_width() - 1, text);
    } else
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
}

void cli_progress_of(void *context, const char *text) {
    (void)context;
    cli_progress(text);
}

void cli_progress_end(void) {
    if (line_open)
        fprintf(stderr, "\r\033[K");
    line_open = 0;
}

bool cli_colour(void) {
    const char *no_colour = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
}

int cli_width(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 100;
}

/* ---- the machine and the data ------------------------------------------------------------------
 */

int cli_cpus(void) {
    cpu_set_t allowed;
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

enum tare_status cli_load_data(struct tare_dataset *set, const char *dir,
                               enum tare_data_cache cache, bool no_download, bool allow_standin,
                               struct tare_err *err) {
    struct tare_data_options options = {.dir = dir,
                                        .cache = cache,
                                        .allow_download = !no_download,
                                        .allow_standin = allow_standin,
                                        .progress = cli_progress_of};
    enum tare_status status = tare_dataset_load(set, &options, err);
    cli_progress_end();
    return status;
}

/* ---- temporary files ---------------------------------------------------------------------------
 */

char *cli_temporary_dir(struct tare_err *err) {
    const char *base = getenv("TMPDIR");
    char *template = tare_path_join(base && base[0] ? base : "/tmp", "tare-XXXXXX");
    if (template && mkdtemp(template)) {
        tare_file_scratch(template);
        return template;
    }
    tare_fail_errno(err, template ? template : "TMPDIR", "set TMPDIR to a folder with space",
                    "no temporary folder");
    free(template);
    return NULL;
}

void cli_remove_dir(const char *dir) {
    tare_file_scratch(NULL);
    struct tare_listing files = tare_listing_open(dir);
    for (const char *name; (name = tare_listing_next(&files));)
        unlinkat(files.fd, name, 0);
    tare_listing_close(&files);
    if (rmdir(dir) != 0)
        fprintf(stderr, "tare: warning: %s cannot be removed: %s\n", dir, strerror(errno));
}

/* ---- texts -------------------------------------------------------------------------------------
 */

void cli_percent(char *out, size_t correct, size_t total) {
    double lo, hi;
    tare_wilson(&lo, &hi, correct, total);
    snprintf(out, 64, "%.2f %% (%.2f … %.2f)", 100.0 * (double)correct / (double)total, 100 * lo,
             100 * hi);
}

enum tare_status cli_check_training(size_t epochs, size_t batch, struct tare_err *err) {
    if (epochs < 1 || epochs > 1000)
        return tare_fail(err, TARE_USAGE, "--epochs", "5, as the study did", "must be 1 to 1000");
    if (batch < 1 || batch > 65536)
        return tare_fail(err, TARE_USAGE, "--batch", "32, as the study did", "must be 1 to 65536");
    return TARE_OK;
}

enum tare_status cli_print_json(struct json_t *object, struct tare_err *err) {
    char *text = tare_json_dump(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(object);
    if (!text)
        return tare_fail(err, TARE_MEMORY, "--json", "names and paths in UTF-8",
                         "no memory for it, or a name is not UTF-8");
    puts(text);
    free(text);
    return TARE_OK;
}

static const char *const setup_lines[] = {
#include "setup_lines.inc"
};

void cli_print_setup(void) {
    for (size_t i = 0; i < sizeof setup_lines / sizeof setup_lines[0]; i++)
        puts(setup_lines[i]);
}
