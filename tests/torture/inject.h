/* inject.h: lets the n-th system call of a kind fail in a process that is watched from outside
 * (seccomp's user notifications). Unlike a preloaded write() it sees the calls of libc's own
 * inside, stdio's for one; unlike ptrace it leaves LeakSanitizer to do its work.
 */
#ifndef TARE_TORTURE_INJECT_H
#define TARE_TORTURE_INJECT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fail_nth.h"

#define INJECT_MAX_CALLS 8
#define INJECT_ALL "calls" /* no kind of its own: counts for every kind what it would count */

enum inject_action { INJECT_ERROR, INJECT_SHORT };

struct inject_kind {
    const char *name;
    int error;
    enum inject_action action;
    bool persist;  /* every later one fails too */
    bool disk;     /* only what needs space on a disk: writes to files, open to create, mkdir */
    bool survives; /* the command must go on as if nothing had been */
    int calls[INJECT_MAX_CALLS]; /* ends with 0, which is read: written as CALL_READ */
};

#define CALL_READ 10000 /* SYS_read is 0 */

/* clang-format off */
#define WRITES {SYS_write, SYS_pwrite64, SYS_writev}
#define READS {CALL_READ, SYS_pread64, SYS_readv}
#define OPENS {SYS_open, SYS_openat, SYS_creat}
#define RENAMES {SYS_rename, SYS_renameat, SYS_renameat2}
static const struct inject_kind inject_kinds[] = {
    {"write-enospc", ENOSPC, .calls = WRITES},
    {"write-eio", EIO, .calls = WRITES},
    {"write-eintr", EINTR, .calls = WRITES, .survives = true},
    {"write-short", 0, .calls = WRITES, .action = INJECT_SHORT, .survives = true},
    {"full", ENOSPC, .persist = true, .disk = true,
     .calls = {SYS_write, SYS_pwrite64, SYS_writev, SYS_open, SYS_openat, SYS_creat, SYS_mkdir}},
    {"fsync-eio", EIO, .calls = {SYS_fsync, SYS_fdatasync}},
    {"rename-enospc", ENOSPC, .calls = RENAMES},
    {"rename-eio", EIO, .calls = RENAMES},
    {"open-emfile", EMFILE, .calls = OPENS},
    {"open-eio", EIO, .calls = OPENS},
    {"open-eintr", EINTR, .calls = OPENS, .survives = true},
    {"mkdir-enospc", ENOSPC, .calls = {SYS_mkdir, SYS_mkdirat}},
    {"mmap-enomem", ENOMEM, .calls = {SYS_mmap, SYS_mremap}},
    {"read-eio", EIO, .calls = READS},
    {"read-eintr", EINTR, .calls = READS, .survives = true},
    {"read-short", 0, .calls = READS, .action = INJECT_SHORT, .survives = true},
    {"close-eio", EIO, .calls = {SYS_close}},
    {"truncate-eio", EIO, .calls = {SYS_ftruncate, SYS_truncate}},
    {"unlink-eio", EIO, .calls = {SYS_unlink, SYS_unlinkat, SYS_rmdir}},
    {"pipe-emfile", EMFILE, .calls = {SYS_pipe, SYS_pipe2}},
    {"stdout-full", ENOSPC, .calls = {0}},  /* no call: stdout is /dev/full, */
    {"stdout-closed", EBADF, .calls = {0}}, /* or isn't open at all */
    {"spawn-eagain", EAGAIN, .calls = {SYS_clone, SYS_clone3, SYS_vfork, SYS_fork}},
};
/* clang-format on */

#define INJECT_KINDS (sizeof inject_kinds / sizeof inject_kinds[0])

static const struct inject_kind inject_all = {INJECT_ALL, 0, .calls = {0}};

static inline const struct inject_kind *inject_find(const char *name) {
    for (size_t i = 0; i < sizeof inject_kinds / sizeof inject_kinds[0]; i++)
        if (strcmp(inject_kinds[i].name, name) == 0)
            return &inject_kinds[i];
    return strcmp(name, INJECT_ALL) == 0 ? &inject_all : NULL;
}

struct inject {
    const struct inject_kind *kind;
    long fail_at; /* counted from 1; 0: none */
    pid_t pid;    /* whose calls count; those of what it starts don't */
    int listener;
    long count;
    bool begun, ended;
    bool failed;     /* a call was made to fail */
    char label[300]; /* the first that was: "write FILE", "open FILE", … */
};

static inline int inject_number(int call) {
    return call == CALL_READ ? SYS_read : call;
}

static inline bool inject_has(const struct inject_kind *kind, int call) {
    for (size_t i = 0; i < INJECT_MAX_CALLS && kind->calls[i]; i++)
        if (inject_number(kind->calls[i]) == call)
            return true;
    return false;
}

/* The calls to be reported: the kind's, or those of all kinds. Returns how many. */
static inline size_t inject_calls(int *calls, const struct inject_kind *kind) {
    size_t count = 0;
    calls[count++] = SYS_fsync; /* the markers */
    for (size_t k = 0; k < INJECT_KINDS; k++)
        for (size_t i = 0; i < INJECT_MAX_CALLS && inject_kinds[k].calls[i]; i++) {
            int call = inject_number(inject_kinds[k].calls[i]);
            bool wanted = kind == &inject_all || inject_has(kind, call);
            for (size_t j = 0; j < count; j++)
                wanted = wanted && calls[j] != call;
            if (wanted)
                calls[count++] = call;
        }
    return count;
}

/* In the child, before exec: from now on these calls are reported through `socket`. */
static inline void inject_arm(const struct inject_kind *kind, int socket) {
    int calls[INJECT_KINDS * INJECT_MAX_CALLS + 1];
    struct sock_filter code[INJECT_KINDS * INJECT_MAX_CALLS + 8];
    unsigned short at = 0;
    size_t count = inject_calls(calls, kind);
    code[at++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++)
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i],
                                                  (unsigned char)(count - i), 0);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {.len = at, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(125);
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    char byte = 0, room[CMSG_SPACE(sizeof listener)] = {0};
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof listener);
    memcpy(CMSG_DATA(header), &listener, sizeof listener);
    if (listener < 0 || sendmsg(socket, &message, 0) != 1)
        _exit(125);
    close(listener);
}

/* In the parent: the other end; −1 when the kernel has no such notifications. */
static inline int inject_listener(int socket) {
    int listener = -1;
    char byte, room[CMSG_SPACE(sizeof listener)];
    struct iovec one = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &one, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
    return listener;
}

/* A descriptor of the watched process, as one of our own. */
static inline int inject_borrow(const struct inject *x, int fd) {
    int process = (int)syscall(SYS_pidfd_open, x->pid, 0);
    int copy = (int)syscall(SYS_pidfd_getfd, process, fd, 0);
    close(process);
    return copy;
}

static inline bool inject_is_read(int call) {
    return call == SYS_read || call == SYS_pread64 || call == SYS_readv;
}

/* Carries out half of a read or write; its count. 0 when it can't be halved. */
static inline long inject_half(const struct inject *x, const struct seccomp_data *call) {
    char bytes[65536];
    size_t size = (size_t)call->args[2] / 2;
    if (size > sizeof bytes)
        size = sizeof bytes;
    if (size == 0 || call->nr == SYS_writev || call->nr == SYS_readv)
        return 0;
    struct iovec here = {bytes, size}, there = {(void *)(uintptr_t)call->args[1], size};
    int fd = inject_borrow(x, (int)call->args[0]);
    off_t at = (off_t)call->args[3];
    ssize_t done = -1;
    if (call->nr == SYS_read || call->nr == SYS_pread64) {
        done = call->nr == SYS_read ? read(fd, bytes, size) : pread(fd, bytes, size, at);
        here.iov_len = there.iov_len = done > 0 ? (size_t)done : 0;
        if (done > 0)
            process_vm_writev(x->pid, &here, 1, &there, 1, 0);
    } else if (process_vm_readv(x->pid, &here, 1, &there, 1, 0) == (ssize_t)size)
        done = call->nr == SYS_write ? write(fd, bytes, size) : pwrite(fd, bytes, size, at);
    close(fd);
    return done < 0 ? 0 : (long)done;
}

static inline void inject_text(const struct inject *x, char *out, size_t size, uint64_t address) {
    struct iovec here = {out, size - 1}, there = {(void *)(uintptr_t)address, size - 1};
    memset(out, 0, size);
    if (process_vm_readv(x->pid, &here, 1, &there, 1, 0) < 0) { /* up to the end of its page */
        here.iov_len = there.iov_len = 4096 - address % 4096 < size ? 4096 - address % 4096 : 1;
        process_vm_readv(x->pid, &here, 1, &there, 1, 0);
    }
}

static inline void inject_file(const struct inject *x, char *out, size_t size, int fd) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)x->pid, fd);
    ssize_t got = readlink(link, out, size - 1);
    out[got < 0 ? 0 : got] = '\0';
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO)
        snprintf(out, size, "%s", fd == STDOUT_FILENO ? "stdout" : "stderr");
}

/* "write FILE". */
static inline void inject_describe(struct inject *x, const struct seccomp_data *call) {
    char path[256] = "";
    switch (call->nr) {
    case SYS_open:
    case SYS_creat:
    case SYS_mkdir:
    case SYS_rename:
    case SYS_unlink:
    case SYS_rmdir:
    case SYS_truncate:
        inject_text(x, path, sizeof path, call->args[0]);
        break;
    case SYS_openat:
    case SYS_mkdirat:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
        inject_text(x, path, sizeof path, call->args[1]);
        break;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_read:
    case SYS_pread64:
    case SYS_readv:
    case SYS_fsync:
    case SYS_close:
    case SYS_ftruncate:
        inject_file(x, path, sizeof path, (int)call->args[0]);
        break;
    default:
        break;
    }
    snprintf(x->label, sizeof x->label, "%.*s %s", (int)strcspn(x->kind->name, "-"), x->kind->name,
             path);
    if (x->kind->disk)
        snprintf(x->label, sizeof x->label, "full %s", path);
}

/* mkdir of what is there already fails in any case. */
static inline bool inject_exists(const struct inject *x, uint64_t address) {
    char path[256], whole[300];
    struct stat info;
    inject_text(x, path, sizeof path, address);
    if (path[0] == '/')
        snprintf(whole, sizeof whole, "%s", path);
    else
        snprintf(whole, sizeof whole, "/proc/%ld/cwd/%s", (long)x->pid, path);
    return stat(whole, &info) == 0;
}

/* Closing what was only read says nothing. */
static inline bool inject_is_written(const struct inject *x, int fd) {
    struct stat info;
    int copy = inject_borrow(x, fd);
    const bool written = copy >= 0 && fstat(copy, &info) == 0 && S_ISREG(info.st_mode) &&
                         (fcntl(copy, F_GETFL) & O_ACCMODE) != O_RDONLY;
    if (copy >= 0)
        close(copy);
    return written;
}

/* Whether the kind counts the call. */
static inline bool inject_counts(const struct inject *x, const struct inject_kind *kind,
                                 const struct seccomp_data *call) {
    if (!inject_has(kind, call->nr))
        return false;
    if (call->nr == SYS_close)
        return inject_is_written(x, (int)call->args[0]);
    if (call->nr == SYS_mkdir && inject_exists(x, call->args[0]))
        return false;
    if (!kind->disk)
        return true;
    char path[256];
    switch (call->nr) {
    case SYS_mkdir:
    case SYS_creat:
        return true;
    case SYS_open:
        return (call->args[1] & O_CREAT) != 0;
    case SYS_openat:
        return (call->args[2] & O_CREAT) != 0;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
        inject_file(x, path, sizeof path, (int)call->args[0]);
        return path[0] == '/'; /* not a pipe; stdout and stderr are elsewhere */
    default:
        return false;
    }
}

/* How many kinds count it, where all do; else 1 or 0. */
static inline long inject_weight(const struct inject *x, const struct seccomp_data *call) {
    if (x->kind != &inject_all)
        return inject_counts(x, x->kind, call);
    long weight = 0;
    for (size_t k = 0; k < INJECT_KINDS; k++)
        weight += inject_counts(x, &inject_kinds[k], call);
    return weight;
}

/* Answers one report. */
static inline void inject_answer(struct inject *x) {
    struct seccomp_notif request;
    struct seccomp_notif_resp answer = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    memset(&request, 0, sizeof request);
    if (ioctl(x->listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
        return; /* it was killed meanwhile */
    answer.id = request.id;
    const struct seccomp_data *call = &request.data;
    long weight = 0;
    const bool marker = call->nr == SYS_fsync && ((int)call->args[0] == FAIL_NTH_BEGIN ||
                                                  (int)call->args[0] == FAIL_NTH_END);
    if ((pid_t)request.pid == x->pid && marker) {
        x->begun = true;
        x->ended = (int)call->args[0] == FAIL_NTH_END;
    } else if ((pid_t)request.pid == x->pid && x->begun && !x->ended &&
               (weight = inject_weight(x, call)) > 0) {
        x->count += weight;
        bool fail = x->fail_at > 0 &&
                    (x->count == x->fail_at || (x->kind->persist && x->count > x->fail_at));
        if (fail && !x->failed)
            inject_describe(x, call);
        long done = fail && x->kind->action == INJECT_SHORT ? inject_half(x, call) : 0;
        if (done > 0)
            answer.flags = 0, answer.val = done;
        if (fail && x->kind->action == INJECT_ERROR)
            answer.flags = 0, answer.error = -x->kind->error;
        x->failed = x->failed || answer.flags == 0;
    }
    ioctl(x->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

#endif
