/* native_machine.c: what this machine could do at best, measured by loops of our own: the clock,
 * and how many bytes a second come and go. Compiled for the processor it is built on (Makefile). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/team.h"
#include "native.h"
#include "tare/clock.h"

#define REPEATS 15
#define REPEAT_NS 10000000 /* of a loop, at least */

/* Additions that wait for each other: one a cycle. */
static double clock_ghz(void) {
    double best = 0;
    for (int r = 0; r < REPEATS; r++) {
        uint64_t x = 0, rounds = 1000000;
        int64_t start_ns = tare_now_ns();
        for (uint64_t i = 0; i < rounds; i++) {
#define ADD                                                                                        \
    __asm__ volatile("" : "+r"(x));                                                                \
    x += 3;
            ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD ADD
#undef ADD
        }
        double ghz = 16.0 * (double)rounds / (double)(tare_now_ns() - start_ns);
        best = ghz > best ? ghz : best;
    }
    return best;
}

enum walk { COPY, TRIAD, IN_PLACE, WALKS };
/* What a turn of each moves per float of an array: what is read and what is written. */
static const char *const walk_name[] = {"copy", "triad", "in_place"};
static const double walk_bytes[] = {8, 12, 8};

struct stream {
    struct tare_team *team;
    enum walk walk;
    size_t count; /* floats of each array, of each thread */
    int rounds;
    float *memory; /* (threads, 3, count) */
};

static void walk_part(void *context, int index) {
    const struct stream *s = context;
    float *restrict a = s->memory + (size_t)index * 3 * s->count;
    float *restrict b = a + s->count, *restrict c = b + s->count;
    for (int r = 0; r < s->rounds; r++) {
        switch (s->walk) {
        case COPY:
            for (size_t i = 0; i < s->count; i++)
                a[i] = b[i] + 1;
            break;
        case TRIAD:
            for (size_t i = 0; i < s->count; i++)
                a[i] = b[i] + 0.5F * c[i];
            break;
        case IN_PLACE: /* three arrays, as Adam's state */
            for (size_t i = 0; i < s->count; i++) {
                a[i] += 1;
                b[i] += 2;
                c[i] += 3;
            }
            break;
        case WALKS:
            break;
        }
        __asm__ volatile("" : : "r"(a) : "memory");
    }
}

static double best_gb_per_s(struct stream *s) {
    double best = 0, bytes = walk_bytes[s->walk] * (s->walk == IN_PLACE ? 3 : 1);
    bytes *= (double)s->count * tare_team_size(s->team);
    s->rounds = 1;
    for (int r = 0; r < REPEATS;) {
        int64_t start_ns = tare_now_ns();
        tare_team_run(s->team, walk_part, s);
        int64_t took_ns = tare_now_ns() - start_ns;
        if (took_ns < REPEAT_NS) {
            s->rounds *= 2;
            continue;
        }
        double gb_per_s = bytes * s->rounds / (double)took_ns;
        best = gb_per_s > best ? gb_per_s : best;
        r++;
    }
    return best;
}

/* room: bytes of all arrays of one thread. */
static enum tare_status bandwidth(const char *level, int threads, size_t room,
                                  struct tare_err *err) {
    struct stream s = {.count = room / 3 / sizeof(float) / 16 * 16};
    size_t all = s.count * 3 * (size_t)threads * sizeof(float);
    enum tare_status status = tare_team_make(&s.team, threads, err);
    if (status != TARE_OK)
        return status;
    s.memory = aligned_alloc(64, (all + 63) / 64 * 64);
    if (!s.memory)
        status = tare_fail(err, TARE_MEMORY, "bandwidth", NULL, "no memory for %zu bytes", all);
    for (size_t i = 0; status == TARE_OK && i < all / sizeof(float); i++)
        s.memory[i] = 1;
    if (status == TARE_OK)
        printf("{\"bound\":\"%s\",\"threads\":%d,\"bytes\":%zu", level, threads, all);
    for (int walk = 0; status == TARE_OK && walk < WALKS; walk++) {
        s.walk = (enum walk)walk;
        printf(",\"%s\":%.1f", walk_name[walk], best_gb_per_s(&s));
    }
    if (status == TARE_OK)
        printf("}\n");
    free(s.memory);
    tare_team_free(s.team);
    return status;
}

static size_t cache_bytes(int name, size_t unknown) {
    long bytes = sysconf(name);
    return bytes > 0 ? (size_t)bytes : unknown;
}

enum tare_status bench_machine(int threads, struct tare_err *err) {
    size_t near = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20);
    size_t far = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 32 << 20);
    printf("{\"bound\":\"clock\",\"ghz\":%.2f}\n", clock_ghz());
    enum tare_status status = TARE_OK;
    for (int t = 1; t <= threads && status == TARE_OK; t++) {
        size_t parts = (size_t)t;
        status = bandwidth("L2", t, near / 2, err);
        if (status == TARE_OK)
            status = bandwidth("L3", t, far / 4 / parts, err);
        if (status == TARE_OK)
            status = bandwidth("DRAM", t, far * 4 / parts, err);
    }
    return status;
}
