/* cli.h: what the commands share: options as a table, messages on stderr, results on stdout.
 *
 *     size_t runs = 6;
 *     const struct cli_option options[] = {{"runs", CLI_COUNT, &runs, "N", "runs of every
 * engine"}}; if (cli_parse(&args, argc, argv, options, 1, &err) != TARE_OK) return cli_fail(&err);
 */
#ifndef TARE_CLI_H
#define TARE_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/data.h"
#include "tare/err.h"
#include "tare/lab.h"

enum cli_kind { CLI_FLAG, CLI_TEXT, CLI_COUNT, CLI_NUMBER };

struct cli_option {
    const char *name;
    enum cli_kind kind;
    void *value;      /* bool, const char *, size_t, double: by kind */
    const char *meta; /* "N", "DIR"; NULL for a flag */
    const char *help;
    char letter; /* short form, or 0 */
};

struct cli_args { /* what is left after the options */
    int count;
    char **words;
    uint32_t given; /* bit i: options[i] was there */
};

/* One command. Its help is made from these texts and the option table it parses with. */
struct cli_command {
    const char *name, *summary;
    const char *usage;    /* "compare [OPTION]..." */
    const char *examples; /* first thing in --help */
    int (*run)(int argc, char **argv, const struct cli_command *command);
};

extern const struct cli_command cmd_compare, cmd_train, cmd_predict, cmd_export, cmd_bench,
    cmd_report, cmd_verify, cmd_data, cmd_doctor, cmd_certify, cmd_sweep;

/* Parses argv[1 …]; options and words may be mixed; "--" ends the options. --help prints the help
 * on stdout and sets *helped. An unknown option names the nearest one. TARE_USAGE on any mistake.
 */
enum tare_status cli_parse(struct cli_args *args, bool *helped, int argc, char **argv,
                           const struct cli_command *command, const struct cli_option *options,
                           size_t option_count, struct tare_err *err);

/* Prints the error on stderr and returns the exit code. */
int cli_fail(const struct tare_err *err);

/* From now on SIGINT, SIGTERM and SIGHUP set this flag instead of ending the program; a second one
 * ends it at once. */
const volatile sig_atomic_t *cli_catch_signals(void);

/* A line for the user on stderr: overwritten in place on a terminal, plain lines elsewhere. */
void cli_progress(const char *text);
void cli_progress_of(void *context, const char *text); /* the same, as a callback */
void cli_progress_end(void); /* clears a line that cli_progress left on a terminal */

/* True when colour is wanted on stdout: a terminal, and no NO_COLOR. Its width, else 100. */
bool cli_colour(void);
int cli_width(void);

/* Loads a data set with progress on stderr; dir is --data's, or NULL. */
enum tare_status cli_load_data(struct tare_dataset *set, const char *dir,
                               enum tare_data_cache cache, bool no_download, bool allow_standin,
                               struct tare_err *err);

/* CPUs this process may use. */
int cli_cpus(void);

/* What was replaced in each framework's tutorial: the chapter of doc/method.md, on stdout. */
void cli_print_setup(void);

/* A folder of its own under $TMPDIR or /tmp for one job; free it. cli_remove_dir deletes it with
 * the files in it. */
char *cli_temporary_dir(struct tare_err *err);
void cli_remove_dir(const char *dir);

/* Takes the next "NAME" or "NAME/VARIANT" off a list with commas; *list is NULL after the last.
 * option is for messages. TARE_USAGE for what can't be an engine's name. */
enum tare_status cli_next_engine(char engine[64], char variant[32], const char **list,
                                 const char *option, struct tare_err *err);

/* "1,8,64": numbers from 1 to most, at most most_counts of them. */
enum tare_status cli_read_counts(size_t *counts, size_t *count, size_t most_counts, size_t most,
                                 const char *list, const char *option, struct tare_err *err);
/* "28x28", at most 9999 each. */
enum tare_status cli_read_size(size_t *height, size_t *width, const char *text,
                               struct tare_err *err);

/* ---- plan.c: of commands that measure by a plan */

/* Adds the engines of a list, or all that run by default when it is NULL. TARE_USAGE for a name
 * that no engine has. */
enum tare_status cli_plan_engines(struct tare_plan *plan, const char *list,
                                  const struct tare_choice *choice, struct tare_err *err);
/* The command as it was typed, for the report. */
enum tare_status cli_plan_command(struct tare_plan *plan, int argc, char **argv,
                                  struct tare_err *err);
/* The folder named by --out, or results/<time>. Free it. */
char *cli_results_folder(const char *out);
/* A campaign's or a sweep's progress. */
void cli_show_progress(void *context, const struct tare_progress *progress);

/* Bounds that every command which trains has in common. */
enum tare_status cli_check_training(size_t epochs, size_t batch, struct tare_err *err);

/* Prints a jansson object as one line on stdout, and releases it. NULL, what jansson gives for want
 * of memory and for a text that isn't UTF-8, is an error. */
struct json_t;
enum tare_status cli_print_json(struct json_t *object, struct tare_err *err);

/* A fraction in per cent with its Wilson interval: "97.53 % (97.21 … 97.82)". out holds 64. */
void cli_percent(char *out, size_t correct, size_t total);

#endif
