/* children.c: finding and ending one's own children (children.h). The launcher ends with it what an
 * engine left behind, and tare what a launcher did. It keeps no state and allocates nothing big: an
 * engine's peak memory includes what the launcher had. */
#include "tare/children.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/listing.h"

#define ROOM 4096 /* children looked at in one go; the rest in the next */

static bool is_number(const char *text) {
    return isdigit((unsigned char)text[0]) != 0;
}

/* ---- the kernel's lists -------------------------------------------------------------------------
 * Read without stdio, which needs memory. */

static int open_kernel(const char *path) {
    return (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
}

/* Adds the children of one thread; false when the kernel has no such list. */
static bool add_listed(pid_t *pids, int room, int *count, const char *thread) {
    char path[300], text[1024];
    snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    int fd = open_kernel(path);
    if (fd < 0)
        return false;
    long pid = 0;
    ssize_t got;
    while ((got = TEMP_FAILURE_RETRY(read(fd, text, sizeof text))) > 0)
        for (ssize_t i = 0; i < got; i++) { /* "12 345 ", and a piece may end in a number */
            if (is_number(text + i))
                pid = pid * 10 + (text[i] - '0');
            else if (pid > 0 && *count < room)
                pids[(*count)++] = (pid_t)pid;
            if (!is_number(text + i))
                pid = 0;
        }
    close(fd);
    return got == 0;
}

int tare_children(pid_t *pids, int room) {
    struct tare_listing threads = tare_listing_open("/proc/self/task");
    int count = 0;
    bool listed = true;
    for (const char *name; listed && (name = tare_listing_next(&threads));)
        listed = add_listed(pids, room, &count, name);
    listed = tare_listing_close(&threads) && listed;
    return listed ? count : tare_children_by_parent(pids, room);
}

/* /proc/PID/stat is "PID (NAME) STATE PPID …", and the name may hold anything. */
static pid_t parent_of(const char *pid) {
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    int fd = open_kernel(path), parent = 0;
    ssize_t size = fd < 0 ? 0 : TEMP_FAILURE_RETRY(read(fd, text, sizeof text - 1));
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

int tare_children_by_parent(pid_t *pids, int room) {
    struct tare_listing processes = tare_listing_open("/proc");
    int count = 0;
    for (const char *name; count < room && (name = tare_listing_next(&processes));)
        if (is_number(name) && parent_of(name) == getpid())
            pids[count++] = (pid_t)atol(name);
    tare_listing_close(&processes);
    return count;
}

/* The kernel kills a group at once, also one whose processes fork faster than they can be listed.
 * Only a group that cannot have anybody else in it: the child's own, or one in another session,
 * which some child must have made. */
static void kill_child(pid_t pid) {
    pid_t group = getpgid(pid), session = getsid(pid);
    if (group > 1 && group != getpgrp() && (group == pid || (session > 0 && session != getsid(0))))
        kill(-group, SIGKILL);
    kill(pid, SIGKILL);
}

static bool is_one_of(pid_t pid, const pid_t *pids, int count) {
    for (int i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

int tare_children_end(const pid_t *spared, int spared_count) {
    static pid_t pids[ROOM];
    const struct timespec moment = {.tv_nsec = 200000};
    for (int reaped = 0;;) {
        int count = tare_children(pids, ROOM), left = 0, before = reaped;
        for (int i = 0; i < count; i++)
            if (!is_one_of(pids[i], spared, spared_count)) {
                kill_child(pids[i]);
                left++;
            }
        for (int i = 0; i < count; i++)
            if (!is_one_of(pids[i], spared, spared_count))
                reaped += waitpid(pids[i], NULL, WNOHANG) == pids[i];
        if (left == 0)
            return reaped;
        if (reaped == before)
            nanosleep(&moment, NULL); /* the dying need the processor too */
    }
}
