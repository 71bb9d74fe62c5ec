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
#define WIDTH 256 /* of each of those, and */
#define DEPTH 8   /* generations below it */
/* In one go: on a busy machine whoever sleeps waits long for its turn. */
#define PASSES 4

static bool is_number(const char *text) {
    return isdigit((unsigned char)text[0]) != 0;
}

/* ---- the kernel's lists -------------------------------------------------------------------------
 * Read without stdio, which needs memory. */

static int open_kernel(const char *path) {
    return (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
}

/* Reads a list of the kernel's, "12 345 6 "; how many numbers, or −1 where there is no such list.
 * In few system calls: what is listed may be about to fork. */
static int read_list(pid_t *pids, int room, const char *path) {
    char text[4096];
    int fd = open_kernel(path), count = 0;
    long pid = 0;
    if (fd < 0)
        return -1;
    for (ssize_t size; (size = TEMP_FAILURE_RETRY(read(fd, text, sizeof text))) > 0;)
        for (ssize_t i = 0; i < size && count < room; i++) {
            if (is_number(text + i))
                pid = pid * 10 + (text[i] - '0');
            else if (pid > 0) {
                pids[count++] = (pid_t)pid;
                pid = 0;
            }
        }
    close(fd);
    return count;
}

int tare_children(pid_t *pids, int room) {
    struct tare_listing threads = tare_listing_open("/proc/self/task");
    int count = 0, more = 0;
    for (const char *name; more >= 0 && (name = tare_listing_next(&threads));) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/children", name);
        more = read_list(pids + count, room - count, path);
        count += more > 0 ? more : 0;
    }
    bool listed = tare_listing_close(&threads) && more >= 0;
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
 * Only a group that cannot have anybody else in it: the one that pid leads, or one in another
 * session, which a process of its family must have made. */
static void kill_with_group(pid_t pid) {
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    pid_t group = getpgid(pid), session = getsid(pid);
    if (group > 1 && group != pid && session > 0 && session != getsid(0))
        kill(-group, SIGKILL);
}

/* With those below it, the last first: a process that forks and ends has a child already when it
 * becomes somebody else's, and that one would be gone on when its parent is found. */
static void kill_tree(pid_t pid, int depth) {
    pid_t below[WIDTH];
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    int count = depth < DEPTH ? read_list(below, WIDTH, path) : 0;
    for (int i = 0; i < count; i++)
        kill_tree(below[i], depth + 1);
    kill_with_group(pid);
}

static bool is_one_of(pid_t pid, const pid_t *pids, int count) {
    for (int i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

int tare_children_end(const pid_t *spared, int spared_count) {
    static pid_t pids[ROOM];
    const struct timespec moment = {.tv_nsec = 100000};
    int reaped = 0;
    for (unsigned pass = 1;; pass++) {
        int count = tare_children(pids, ROOM), left = 0;
        for (int i = 0; i < count; i++)
            if (!is_one_of(pids[i], spared, spared_count)) {
                kill_tree(pids[i], 0);
                left++;
            }
        for (int i = 0; i < count; i++)
            if (!is_one_of(pids[i], spared, spared_count))
                reaped += waitpid(pids[i], NULL, WNOHANG) == pids[i];
        if (left == 0)
            return reaped;
        if (pass % PASSES == 0)
            nanosleep(&moment, NULL); /* the dying need the processor too */
    }
}
