/* living.h: which processes of a case live: those that carry its mark, "NAME=VALUE", in the
 * environment that they were started with; how late a busy machine runs things. */
#ifndef TARE_TORTURE_LIVING_H
#define TARE_TORTURE_LIVING_H

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)

/* A process that ended has no environment any more, one that was just started has its parent's. */
static inline bool carries_mark(const char *pid, const char *mark) {
    static char text[1 << 16];
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    return memmem(text, size, mark, strlen(mark) + 1) != NULL;
}

/* How many processes of the case live, but for one (0: none); their numbers into names. */
static inline int living(const char *mark, pid_t but, char names[200]) {
    DIR *processes = opendir("/proc");
    int count = 0;
    names[0] = '\0';
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        size_t used = strlen(names);
        if (!isdigit((unsigned char)entry->d_name[0]) || atol(entry->d_name) == but ||
            !carries_mark(entry->d_name, mark))
            continue;
        snprintf(names + used, 200 - used, " %.20s", entry->d_name);
        count++;
    }
    if (processes)
        closedir(processes);
    return count;
}

/* How long a process has been ready to run without a processor, in all; 0 where nobody counts. */
static inline int64_t queued_ns(pid_t pid) {
    char path[64];
    long long queued = 0;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d %lld", &queued) != 1)
        queued = 0;
    if (file)
        fclose(file);
    return (int64_t)queued;
}

static inline void sleep_until(int64_t ns) {
    struct timespec then = {ns / 1000000000, ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL) != 0)
        continue;
}

#endif
