/* children.h: the processes whose parent this one is, and their end.
 *
 *     prctl(PR_SET_CHILD_SUBREAPER, 1);          // the children of dead children become one's own
 *     …
 *     int killed = tare_children_end(NULL, 0);   // nothing of all that lives any more
 */
#ifndef TARE_CHILDREN_H
#define TARE_CHILDREN_H

#include <sys/types.h>

/* The children of all threads, zombies included: at most room of them into pids; returns how many.
 * The kernel keeps a list, which tare_children reads; where it was built without one, it calls
 * tare_children_by_parent, which asks every process there is for its parent. */
int tare_children(pid_t *pids, int room);
int tare_children_by_parent(pid_t *pids, int room);

/* Kills (SIGKILL) and reaps every child but the spared, and goes on until there is none: children
 * of the killed become those of a subreaper, and a child may fork until its own end. Groups of
 * processes are killed at once where they can only be the children's own. Returns how many were
 * reaped. */
int tare_children_end(const pid_t *spared, int spared_count);

#endif
