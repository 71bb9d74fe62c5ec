/* children.c: finding and ending one's own children (children.h). The launcher ends with it what an
 * engine left behind, and tare what a launcher did. It keeps no state and allocates nothing big: an
 * engine's peak memory includes what the launcher had. */
#include "tare/children.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROOM 4096 /* children looked at in one go; the rest in the next */

static bool is_number(const char *text) {
    return isdigit((unsigned char)text[0]) != 0;
}

/* Adds the children of one thread; false when the kernel has no such list. */
static bool add_listed(pid_t *pids, int room, int *count, const char *thread) {
    char path[300];
    int pid;
    snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
    FILE *list = fopen(path, "re");
    if (!list)
        return false;
    while (*count < room && fscanf(list, "%d", &pid) == 1)
        pids[(*count)++] = (pid_t)pid;
    fclose(list);
    return true;
}

int tare_children(pid_t *pids, int room) {
    DIR *threads = opendir("/proc/self/task");
    int count = 0;
    bool listed = threads != NULL;
    for (struct dirent *entry; listed && (entry = readdir(threads));)
        if (is_number(entry->d_name))
            listed = add_listed(pids, room, &count, entry->d_name);
    if (threads)
        closedir(threads);
    return listed ? count : tare_children_by_parent(pids, room);
}

/* /proc/PID/stat is "PID (NAME) STATE PPID …", and the name may hold anything. */
static pid_t parent_of(const char *pid) {
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *stat = fopen(path, "re");
    size_t size = stat ? fread(text, 1, sizeof text - 1, stat) : 0;
    int parent = 0;
    if (stat)
        fclose(stat);
    text[size] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

int tare_children_by_parent(pid_t *pids, int room) {
    DIR *processes = opendir("/proc");
    int count = 0;
    for (struct dirent *entry; processes && count < room && (entry = readdir(processes));)
        if (is_number(entry->d_name) && parent_of(entry->d_name) == getpid())
            pids[count++] = (pid_t)atol(entry->d_name);
    if (processes)
        closedir(processes);
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
