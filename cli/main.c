/* main.c: tare COMMAND: finds the command and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/version.h"
#include "tare/words.h"

static const struct cli_command *const commands[] = {
    &cmd_compare, &cmd_train,  &cmd_predict, &cmd_export, &cmd_bench,  &cmd_sweep,
    &cmd_report,  &cmd_verify, &cmd_data,    &cmd_doctor, &cmd_certify};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static void print_help(FILE *to) {
    fprintf(
        to,
        "Examples:\n"
        "  tare compare                         train MNIST with every engine, print the table\n"
        "  tare compare --quick                 one run of one epoch: a first look\n"
        "  tare train -o digits.safetensors     train with tare's own engine\n"
        "  tare predict digits.safetensors 7.png\n"
        "  tare export digits.safetensors -o digits.onnx\n"
        "  tare bench digits.safetensors        latency, throughput, cold start, memory\n"
        "  tare doctor                          what is here, what is missing, how to get it\n"
        "\nUsage: tare COMMAND [OPTION]...\n"
        "tare weighs deep-learning frameworks: the same small network, the same data, every\n"
        "number measured and reproducible.\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(to, "\ntare COMMAND --help says more. Exit codes: 0 done; 1 a requested cell failed; 2 "
                "usage;\n3 data, model or file; 130 interrupted.\n");
}

static int unknown_command(const char *word) {
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i]->name;
    const char *near = tare_nearest_word(word, names, COMMAND_COUNT);
    char hint[64] = "tare --help lists the commands";
    if (near)
        snprintf(hint, sizeof hint, "tare %s", near);
    struct tare_err err = {0};
    tare_fail(&err, TARE_USAGE, NULL, hint, "unknown command \"%.60s\"", word);
    return cli_fail(&err);
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tare %s\n", TARE_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return commands[i]->run(argc - 1, argv + 1, commands[i]);
    return unknown_command(argv[1]);
}

/* stdio gives a text up when a signal interrupts its write; these streams take it up again. They
 * stay what they were where there is no memory for others. */
static struct stream {
    int fd, error; /* errno of what could not be written */
} streams[] = {{STDOUT_FILENO, 0}, {STDERR_FILENO, 0}};

static ssize_t write_through(void *context, const char *data, size_t size) {
    struct stream *stream = context;
    if (tare_write_full(stream->fd, data, size))
        return (ssize_t)size;
    stream->error = errno;
    return 0; /* by fopencookie's rules an error */
}

/* A file that is opened must never become stdout: what is printed would end up in it. */
static void fill_standard_fds(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* of no use */
}

static void harden_streams(void) {
    const cookie_io_functions_t how = {.write = write_through};
    FILE *out = fopencookie(&streams[0], "w", how), *err = fopencookie(&streams[1], "w", how);
    if (out) {
        setvbuf(out, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
        stdout = out;
    }
    if (err) {
        setvbuf(err, NULL, _IONBF, 0);
        stderr = err;
    }
}

/* What was printed must have arrived: a full disk behind "> file" is an error, not a success. */
int main(int argc, char **argv) {
    fill_standard_fds();
    harden_streams();
    signal(SIGPIPE, SIG_IGN); /* a reader that has left is seen below, after everything is tidied */
    int code = run(argc, argv);
    errno = 0;
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    errno = streams[0].error ? streams[0].error : errno;
    if (lost && errno != EPIPE) {
        struct tare_err err = {0};
        tare_fail_errno(&err, "stdout", "is the disk full, or the output closed?",
                        "cannot be written");
        int failed = cli_fail(&err);
        return code == 0 ? failed : code;
    }
    return code;
}
