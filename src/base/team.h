/* team.h: a few threads that do one piece of work together, many times a second.
 *
 *     struct tare_team *team;
 *     tare_team_make(&team, 2, &err);
 *     tare_team_run(team, work, &context);    // work(&context, 0) here, work(&context, 1) there
 *     tare_team_free(team);
 *
 * Inside `work` all of them may call tare_team_barrier. Who waits spins for some microseconds,
 * because the others are about to come, and then sleeps, so that a team on too few processors still
 * gets on.
 */
#ifndef TARE_BASE_TEAM_H
#define TARE_BASE_TEAM_H

#include "tare/err.h"

#define TARE_MAX_TEAM 1024

struct tare_team;

/* threads: 1 … TARE_MAX_TEAM, the caller's own among them. They end with tare_team_free. */
enum tare_status tare_team_make(struct tare_team **team, int threads, struct tare_err *err);
void tare_team_free(struct tare_team *team); /* NULL is fine */
int tare_team_size(const struct tare_team *team);

/* Calls work(context, index) in every thread, index 0 in the caller's, and returns when all are
 * done. */
void tare_team_run(struct tare_team *team, void (*work)(void *context, int index), void *context);
/* Returns when all threads of the team have called it. What one wrote before, all see after. */
void tare_team_barrier(struct tare_team *team);

/* The index-th of `parts` nearly equal parts of 0 … n−1: *first … *end−1. */
void tare_team_share(size_t *first, size_t *end, size_t n, int parts, int index);

#endif
