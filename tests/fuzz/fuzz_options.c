/* fuzz_options.c: the command line, by the option tables of the commands themselves: words apart by
 * newlines, the first one names the command. fuzz.mk links this between a command and cli_parse, so
 * that a command ends where its options have been read. */
#include "../../cli/cli.h"
#include "fuzz.h"

#define MAX_WORDS 64

static const struct cli_command *const commands[] = {
    &cmd_compare, &cmd_train,  &cmd_predict, &cmd_export, &cmd_bench,
    &cmd_report,  &cmd_verify, &cmd_data,    &cmd_doctor, &cmd_certify};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static bool parsed; /* cli_parse was called */

/* Is this one of the words, or the end of one (--out=DIR)? */
static bool is_of(const char *text, int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (text >= argv[i] && text <= argv[i] + strlen(argv[i]))
            return true;
    return false;
}

enum tare_status __real_cli_parse(struct cli_args *args, bool *helped, int argc, char **argv,
                                  const struct cli_command *command,
                                  const struct cli_option *options, size_t option_count,
                                  struct tare_err *err);
enum tare_status __wrap_cli_parse(struct cli_args *args, bool *helped, int argc, char **argv,
                                  const struct cli_command *command,
                                  const struct cli_option *options, size_t option_count,
                                  struct tare_err *err);
int __wrap_cli_fail(const struct tare_err *err);

enum tare_status __wrap_cli_parse(struct cli_args *args, bool *helped, int argc, char **argv,
                                  const struct cli_command *command,
                                  const struct cli_option *options, size_t option_count,
                                  struct tare_err *err) {
    const char *texts[64];
    MUST(option_count < 64);
    for (size_t i = 0; i < option_count; i++)
        texts[i] = options[i].kind == CLI_TEXT ? *(const char **)options[i].value : NULL;
    const enum tare_status status =
        __real_cli_parse(args, helped, argc, argv, command, options, option_count, err);
    parsed = true;
    for (size_t i = 0; i < option_count; i++) {
        const char *text = options[i].kind == CLI_TEXT ? *(const char **)options[i].value : NULL;
        MUST(text == texts[i] || is_of(text, argc, argv));
    }
    if (status == TARE_OK && !*helped) {
        MUST(args->count >= 0 && args->count < argc);
        for (int i = 0; i < args->count; i++)
            MUST(is_of(args->words[i], argc, argv));
    }
    if (status != TARE_OK)
        MUST(status == TARE_USAGE && err->status == status && err->what[0] && err->hint[0]);
    *helped = true; /* no command goes on from here */
    return TARE_USAGE;
}

int __wrap_cli_fail(const struct tare_err *err) {
    return tare_exit_code(err->status);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    MUST(freopen("/dev/null", "w", stdout) != NULL); /* --help prints */
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *text = as_text(bytes, size), *argv[MAX_WORDS + 1] = {0};
    int argc = 0;
    for (char *at = text; at != NULL && argc < MAX_WORDS; argc++) {
        argv[argc] = at;
        at = strchr(at, '\n');
        if (at != NULL)
            *at++ = '\0';
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[0], commands[i]->name) == 0) {
            parsed = false;
            MUST(commands[i]->run(argc, argv, commands[i]) >= 0 && parsed);
        }
    free(text);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static const char *const words[] = {"compare",
                                        "train",
                                        "predict",
                                        "export",
                                        "bench",
                                        "report",
                                        "verify",
                                        "data",
                                        "doctor",
                                        "certify",
                                        "--engines",
                                        "--engine",
                                        "--model",
                                        "--data",
                                        "--runs",
                                        "--epochs",
                                        "--batch",
                                        "--lr",
                                        "--seed",
                                        "--threads",
                                        "--track",
                                        "--variants",
                                        "--device",
                                        "--twice",
                                        "--timeout",
                                        "--out",
                                        "--quick",
                                        "--dry-run",
                                        "--explain-setup",
                                        "--json",
                                        "--no-download",
                                        "--help",
                                        "--resume",
                                        "--salvage",
                                        "--format",
                                        "--size",
                                        "--batches",
                                        "--queries",
                                        "--output",
                                        "-o",
                                        "--",
                                        "-",
                                        "-x",
                                        "--runs=6",
                                        "--lr=1e-3",
                                        "--data=",
                                        "--j",
                                        "--no",
                                        "0.5",
                                        "1e999",
                                        "nan",
                                        "-1",
                                        "+1",
                                        "1000000001",
                                        "0x10",
                                        "784 dense:10",
                                        "x.safetensors",
                                        "--steps",
                                        "--repeat",
                                        "--markdown",
                                        "--csv",
                                        "--precision",
                                        "--logits",
                                        "--softmax",
                                        "--seeds",
                                        "--optimizer"};
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    mutate_words(&out, &dice, (const char *)data, size, '\n', words, sizeof words / sizeof *words);
    return mutate_give(data, max, &out);
}
