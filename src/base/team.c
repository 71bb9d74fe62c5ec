/* team.c: threads and their barrier (team.h): a counter that the last to come sets back, and a
 * round that it then moves on. Sleeping is a futex on the round. */
#include "base/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 1000 /* of a pause, some 40 to 140 cycles each: tens of microseconds */

struct member {
    struct tare_team *team;
    pthread_t thread;
    int index;
};

struct tare_team {
    int size, started; /* started: other threads that exist */
    void (*work)(void *context, int index);
    void *context; /* NULL work: the team ends */
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint round;
    atomic_int sleepers;
    struct member members[];
};

static inline void breathe(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void wait_for_round(struct tare_team *team, unsigned old) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team->round, memory_order_acquire) != old)
            return;
        breathe();
    }
    /* Whoever moves the round on after this sees a sleeper; the kernel sees a round moved on
     * before. */
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(&team->round) == old)
        syscall(SYS_futex, &team->round, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&team->sleepers, 1);
}

void tare_team_barrier(struct tare_team *team) {
    if (team->size == 1)
        return;
    unsigned old = atomic_load_explicit(&team->round, memory_order_relaxed);
    if (atomic_fetch_add(&team->arrived, 1) + 1 < team->size) {
        wait_for_round(team, old);
        return;
    }
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store(&team->round, old + 1);
    if (atomic_load(&team->sleepers) > 0)
        syscall(SYS_futex, &team->round, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void *member_main(void *context) {
    struct member *member = context;
    struct tare_team *team = member->team;
    for (;;) {
        tare_team_barrier(team); /* work is there */
        if (!team->work)
            return NULL;
        team->work(team->context, member->index);
        tare_team_barrier(team); /* and done */
    }
}

void tare_team_run(struct tare_team *team, void (*work)(void *context, int index), void *context) {
    team->work = work;
    team->context = context;
    tare_team_barrier(team);
    work(context, 0);
    tare_team_barrier(team);
}

enum tare_status tare_team_make(struct tare_team **out, int threads, struct tare_err *err) {
    *out = NULL;
    if (threads < 1 || threads > TARE_MAX_TEAM)
        return tare_fail(err, TARE_USAGE, "threads", NULL, "a team of %d threads; 1 to %d", threads,
                         TARE_MAX_TEAM);
    size_t size = sizeof(struct tare_team) + (size_t)threads * sizeof(struct member);
    struct tare_team *team = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!team)
        return tare_fail(err, TARE_MEMORY, "threads", NULL, "no memory for %d threads", threads);
    team->size = threads;
    team->started = 0;
    team->work = NULL;
    team->context = NULL;
    atomic_init(&team->arrived, 0);
    atomic_init(&team->round, 0);
    atomic_init(&team->sleepers, 0);
    /* Signals are the program's own thread's to handle. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = 0;
    for (int i = 1; i < threads && code == 0; i++) {
        team->members[i] = (struct member){.team = team, .index = i};
        code = pthread_create(&team->members[i].thread, NULL, member_main, &team->members[i]);
        team->started += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code == 0) {
        *out = team;
        return TARE_OK;
    }
    /* Those that exist wait for a team of this size. */
    atomic_fetch_add(&team->arrived, threads - 1 - team->started);
    int failed = team->started + 2;
    tare_team_free(team);
    return tare_fail(err, TARE_FAILED, "threads", "fewer --threads", "thread %d cannot be started",
                     failed);
}

void tare_team_free(struct tare_team *team) {
    if (!team)
        return;
    team->work = NULL;
    tare_team_barrier(team);
    for (int i = 1; i <= team->started; i++)
        pthread_join(team->members[i].thread, NULL);
    free(team);
}

int tare_team_size(const struct tare_team *team) {
    return team->size;
}

void tare_team_share(size_t *first, size_t *end, size_t n, int parts, int index) {
    *first = n * (size_t)index / (size_t)parts;
    *end = n * ((size_t)index + 1) / (size_t)parts;
}
