/* bad.h: the list of engines that misbehave, and what their parts share. The Makefile reads the
 * list too, and makes one name per line of it.
 */
#ifndef TARE_TESTS_BAD_H
#define TARE_TESTS_BAD_H

#include <stdbool.h>

#include "tare/protocol.h"

/* clang-format off */
#define BEHAVIOURS(X) \
    X(good, "does its job, slowly enough to be measured") \
    X(crash, "dies of a signal in the middle") \
    X(hang, "never says anything after hello") \
    X(stubborn, "hangs and ignores SIGTERM") \
    X(rubbish, "prints its framework's log on stdout") \
    X(notutf, "prints bytes that are no UTF-8") \
    X(silent, "ends well without a word") \
    X(early, "speaks before hello") \
    X(twice, "says hello twice") \
    X(chatty, "speaks after bye") \
    X(cut, "ends in the middle of a line") \
    X(endless, "prints one line without an end") \
    X(flood, "floods stderr") \
    X(oldabi, "speaks another protocol") \
    X(impostor, "says it is another engine") \
    X(exitcode, "says bye and exits with 3") \
    X(liar, "reports less time than it took") \
    X(boaster, "reports more time than it took") \
    X(nanlogits, "returns logits that are not numbers") \
    X(nanloss, "reports a loss that is not a number") \
    X(wrongshape, "returns logits for half of the images") \
    X(nologits, "says bye without having written logits") \
    X(badlogits, "writes something else where logits belong") \
    X(badweights, "writes something else where weights belong") \
    X(orphan, "leaves a process behind that holds its pipes") \
    X(holder, "leaves a process behind in its own group that holds its pipes") \
    X(crowd, "leaves two hundred processes behind that ignore SIGTERM") \
    X(runner, "forks for ever, each process ending when the next is there") \
    X(escapee, "does that in a session of its own each time") \
    X(sleeper, "stops itself") \
    X(stopper, "stops its launcher and hangs") \
    X(killer, "kills its launcher, outlives it and leaves a process in another session") \
    X(fugitive, "is such an escapee, and has killed its launcher before") \
    X(greedy, "uses more CPUs than it was allowed") \
    X(skipper, "says that the machine lacks something") \
    X(failer, "says that it failed") \
    X(deployed, "answers queries and batches as it is asked to") \
    X(fewqueries, "times half of the queries") \
    X(backwards, "has queries that took less than no time") \
    X(nobatches, "times no batches") \
    X(noanswer, "never says when it gave its first answer")
/* clang-format on */

enum behaviour {
#define X(name, does) DO_##name,
    BEHAVIOURS(X)
#undef X
        COUNT
};

extern struct tare_job job; /* what it was asked for */

void say(const char *line); /* on stdout, at once */

/* processes.c: forks, stops and kills, by name; false when that behaviour isn't one of these. */
bool misbehave_with_processes(enum behaviour what);

#endif
