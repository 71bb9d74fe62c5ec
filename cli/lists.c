/* lists.c: option values with an inner form: lists with commas, and sizes (cli.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* The number at *at, from 1 to most, up to a comma or the end; 0 when there is none. *at moves
 * behind the comma; NULL at the end. */
static size_t next_number(const char **at, size_t most) {
    char *end = NULL;
    if (**at < '0' || **at > '9')
        return 0;
    unsigned long long number = strtoull(*at, &end, 10);
    if (number > most || (*end != ',' && *end != '\0'))
        return 0;
    *at = *end ? end + 1 : NULL;
    return (size_t)number;
}

enum tare_status cli_read_counts(size_t *counts, size_t *count, size_t most_counts, size_t most,
                                 const char *list, const char *option, struct tare_err *err) {
    char hint[64];
    snprintf(hint, sizeof hint, "%s %s", option, most >= 64 ? "1,8,64" : most >= 2 ? "1,2" : "1");
    *count = 0;
    for (const char *at = list; at; ++*count) {
        size_t number = next_number(&at, most);
        if (number == 0)
            return tare_fail(err, TARE_USAGE, option, hint,
                             "\"%.60s\" is no list of numbers from 1 to %zu", list, most);
        if (*count == most_counts)
            return tare_fail(err, TARE_USAGE, option, hint, "at most %zu numbers", most_counts);
        counts[*count] = number;
    }
    return TARE_OK;
}

enum tare_status cli_next_engine(char engine[64], char variant[32], const char **list,
                                 const char *option, struct tare_err *err) {
    const char *at = *list;
    size_t size = strcspn(at, ","), name = strcspn(at, "/,");
    if (name == 0 || name >= 64 || size > name + 32)
        return tare_fail(err, TARE_USAGE, option, "NAME or NAME/VARIANT, with commas",
                         "\"%.*s\" is not an engine's name", (int)(size < 80 ? size : 80), at);
    snprintf(engine, 64, "%.*s", (int)name, at);
    variant[0] = '\0';
    if (size > name)
        snprintf(variant, 32, "%.*s", (int)(size - name - 1), at + name + 1);
    *list = at[size] ? at + size + 1 : NULL;
    return TARE_OK;
}

enum tare_status cli_read_size(size_t *height, size_t *width, const char *text,
                               struct tare_err *err) {
    char rest;
    if (sscanf(text, "%4zux%4zu%c", height, width, &rest) == 2 && *height > 0 && *width > 0 &&
        text[strspn(text, "0123456789x")] == '\0')
        return TARE_OK;
    return tare_fail(err, TARE_USAGE, "--size", "--size 28x28", "\"%.20s\" is no size", text);
}
