/* world.h: the world of the simulated laboratory: a virtual clock, virtual engines with seeded
 * faults, and sessions that are killed or interrupted. It stands in the place of the library's
 * clock.c, process.c, find.c and certify.c, by being linked before them; planner, campaign,
 * journal, supervisor, judge, samples and report are tare's own.
 *
 * What an engine does in a job follows from the world's seed and the job's name alone, not from the
 * time or the session: so a campaign that was cut short must end as one that wasn't, to the byte.
 */
#ifndef TARE_SIM_WORLD_H
#define TARE_SIM_WORLD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tare/data.h"
#include "tare/supervise.h"

#define SIM_NS_PER_MS INT64_C(1000000)

struct sim_world {
    uint64_t seed;
    int64_t now_ns;
    long calls;                 /* of this session into the world */
    long kill_at, stop_at;      /* the call at which it is killed or interrupted; 0: never */
    volatile sig_atomic_t stop; /* the campaign's */
    const char *dir;            /* results folder */
    const char *engines;        /* a folder with a file per engine's program */
    const struct tare_dataset *set;
    char fault[300]; /* a promise that was broken; empty: none */
};

extern struct sim_world sim;

/* A number that follows from the world's seed and two texts. */
uint64_t sim_hash(const char *key, const char *what);
/* True once in n times, likewise. */
bool sim_chance(const char *key, const char *what, uint64_t n);

/* Every call into the world: where a session may die. */
void sim_call(void);

/* Notes a broken promise; the first is kept. */
void sim_fault(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What the state of a job must be, by its folder's path in the results folder; *known is false for
 * one that this process didn't run. */
enum tare_cell_state sim_expected(const char *dir, bool *known);
void sim_forget_expected(void);

#endif
