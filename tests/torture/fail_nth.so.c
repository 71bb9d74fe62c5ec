/* fail_nth.so.c: loaded before everything else (LD_PRELOAD), lets the n-th allocation of the
 * process fail: its own, and those of every library and of libc's inside. Under ASan the
 * allocations that don't fail are ASan's, so that leaks and overruns are still found. Programs that
 * tare starts don't inherit it. Which n, and what came of it: fail_nth.h. */
#include "fail_nth.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct fail_nth *shared; /* NULL until the constructor has run */
static int inside;              /* the shim's own calls aren't counted */
static unsigned long base, end; /* where tare's program lies */

/* What is allocated while the next malloc is being looked up; never freed, a few hundred bytes. */
static _Alignas(64) char early[16384];
static size_t early_used;

static void *early_bytes(size_t size) {
    size_t at = early_used;
    size_t rounded = (size + 15) & ~(size_t)15;
    if (rounded < size || rounded > sizeof early - at)
        return NULL;
    early_used += rounded;
    return early + at;
}

/* The next function of that name, looked up once; NULL while the lookup itself allocates. */
static void *next(void **found, const char *name) {
    static int looking;
    if (*found == NULL && looking == 0) {
        looking = 1;
        *found = dlsym(RTLD_NEXT, name);
        looking = 0;
    }
    return *found;
}

#define NEXT(function)                                                                             \
    static void *found;                                                                            \
    __typeof__(&function) real;                                                                    \
    *(void **)&real = next(&found, #function)

/* Appends a function of a library: its name, or else the library's. */
static void note_library(void *address) {
    Dl_info info;
    size_t used = strlen(shared->libraries);
    if (dladdr(address, &info) == 0 || used + 2 >= sizeof shared->libraries)
        return;
    const char *file = strrchr(info.dli_fname, '/');
    const char *name = info.dli_sname ? info.dli_sname : file ? file + 1 : info.dli_fname;
    snprintf(shared->libraries + used, sizeof shared->libraries - used, "%s<", name);
}

static void note_frames(void) {
    void *frame[FAIL_NTH_FRAMES];
    bool in_program = false;
    inside = 1;
    shared->frames = backtrace(frame, FAIL_NTH_FRAMES);
    for (int i = 2; i < shared->frames; i++) { /* behind this function and fails */
        unsigned long at = (unsigned long)(uintptr_t)frame[i];
        shared->frame[i] = at >= base && at < end ? at - base : 0;
        in_program = in_program || shared->frame[i];
        if (!in_program)
            note_library(frame[i]);
    }
    inside = 0;
}

static int fails(void) {
    if (shared == NULL || inside)
        return 0;
    shared->count++;
    if (shared->fail_at == 0 || shared->count < shared->fail_at ||
        (shared->count > shared->fail_at && !shared->persist))
        return 0;
    if (shared->count == shared->fail_at)
        note_frames();
    errno = ENOMEM;
    return 1;
}

/* ---- the allocating functions ------------------------------------------------------------------
 */

void *malloc(size_t size) {
    NEXT(malloc);
    return real == NULL ? early_bytes(size) : fails() ? NULL : real(size);
}

void *calloc(size_t count, size_t size) {
    NEXT(calloc);
    return real == NULL ? early_bytes(count * size) : fails() ? NULL : real(count, size);
}

void *realloc(void *old, size_t size) {
    NEXT(realloc);
    return real == NULL ? NULL : fails() ? NULL : real(old, size);
}

void *reallocarray(void *old, size_t count, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    NEXT(posix_memalign);
    return fails() ? ENOMEM : real(block, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    NEXT(aligned_alloc);
    return fails() ? NULL : real(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
    NEXT(memalign);
    return fails() ? NULL : real(alignment, size);
}

/* ASan's own strdup would not come by here. */
char *strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

char *__strdup(const char *text);
char *__strdup(const char *text) {
    return strdup(text);
}

char *strndup(const char *text, size_t most) {
    size_t size = strnlen(text, most);
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return NULL;
    copy[size] = '\0';
    return memcpy(copy, text, size);
}

/* The pause in which tare looks how busy the machine is: nothing is measured here. */
int nanosleep(const struct timespec *wanted, struct timespec *left) {
    (void)wanted, (void)left;
    return 0;
}

/* ---- the beginning and the end -----------------------------------------------------------------
 */

static int find_program(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    base = info->dlpi_addr; /* the first is the program itself */
    for (int i = 0; i < info->dlpi_phnum; i++) {
        unsigned long top =
            info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && top > end)
            end = top;
    }
    return 1;
}

/* There when tare is built with sanitisers. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* Runs before the handlers that were registered earlier: the search for leaks is one. */
static void at_end(void) {
    inside = 1;
    syscall(SYS_fsync, FAIL_NTH_END);
}

__attribute__((constructor)) static void begin(void) {
    const char *fd = getenv(FAIL_NTH_FD);
    if (fd == NULL)
        return;
    void *frame[4];
    if (__lsan_disable)
        __lsan_disable();
    backtrace(frame, 4); /* loads what it needs now, for good */
    if (__lsan_enable)
        __lsan_enable();
    dl_iterate_phdr(find_program, NULL);
    void *page = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);
    close(atoi(fd));
    unsetenv(FAIL_NTH_FD);
    unsetenv("LD_PRELOAD");
    atexit(at_end);
    if (page == MAP_FAILED)
        abort();
    syscall(SYS_fsync, FAIL_NTH_BEGIN);
    shared = page;
}
