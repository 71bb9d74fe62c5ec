/* bad.h: the list of engines that misbehave, and what their parts share. The Makefile reads the
 * list too, and makes one name per line of it.
 */
#ifndef TARE_TESTS_BAD_H
#define TARE_TESTS_BAD_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/protocol.h"

/* clang-format off */
#define BEHAVIOURS(X) \
    X(good, "does its job, slowly enough to be measured") \
    X(hesitant, "does its job too, and takes a second") \
    X(crash, "dies of a signal in the middle") \
    X(crash_start, "dies before hello") \
    X(crash_import, "dies before its import is done") \
    X(crash_load, "dies while it loads") \
    X(crash_train, "dies when it has trained") \
    X(crash_save, "dies between saving and bye") \
    X(crash_bye, "dies after bye") \
    X(hang, "never says anything after hello") \
    X(hang_start, "never says anything") \
    X(hang_import, "hangs before its import is done") \
    X(hang_load, "hangs while it loads") \
    X(hang_train, "hangs when it has trained") \
    X(hang_save, "hangs between saving and bye") \
    X(hang_bye, "hangs after bye") \
    X(stubborn, "hangs and ignores SIGTERM") \
    X(rubbish, "prints its framework's log on stdout") \
    X(nul, "prints a NUL byte inside an event") \
    X(escapes, "steers the terminal in every text it sends") \
    X(wrongepoch, "reports an epoch that nobody is at") \
    X(minus, "reports a phase that took less than no time") \
    X(timetravel, "says it began tomorrow") \
    X(notutf, "prints bytes that are no UTF-8") \
    X(silent, "ends well without a word") \
    X(early, "speaks before hello") \
    X(twice, "says hello twice") \
    X(chatty, "speaks after bye") \
    X(cut, "ends in the middle of a line") \
    X(endless, "prints one line without an end") \
    X(flood, "floods stderr with TEST_FLOOD_MB, 16 when not given") \
    X(flood_events, "floods stdout with valid events") \
    X(flood_rubbish, "floods stdout with rubbish") \
    X(flood_line, "floods stdout with one line") \
    X(oldabi, "speaks another protocol") \
    X(impostor, "says it is another engine") \
    X(exitcode, "says bye and exits with 3") \
    X(liar, "reports less time than it took") \
    X(boaster, "reports more time than it took") \
    X(nanlogits, "returns logits that are not numbers") \
    X(nanloss, "reports a loss that is not a number") \
    X(inflogits, "returns logits that are infinite") \
    X(constant, "answers every image alike") \
    X(narrow, "returns two logits an image") \
    X(doubles, "returns logits of another type") \
    X(manyrows, "returns logits for one image more") \
    X(shapeweights, "writes the weights of another net") \
    X(nanweights, "writes weights that are not numbers") \
    X(link_passwd, "writes a link to a file of the system in the place of its logits") \
    X(link_other, "links to the logits of another job") \
    X(link_hard, "makes the logits of another job its own by a second name") \
    X(link_zero, "links to /dev/zero") \
    X(link_folder, "puts a link in the place of its folder") \
    X(link_planted, "puts a link where tare will write its exports") \
    X(pipe_logits, "writes a pipe in the place of its logits") \
    X(folder_logits, "makes a folder in the place of its logits") \
    X(pipe_weights, "writes a pipe in the place of its weights") \
    X(no_folder, "removes its folder") \
    X(export_passwd, "says that a file of the system is its export") \
    X(vandal_images, "changes the training images") \
    X(vandal_labels, "replaces the test labels") \
    X(vandal_init, "changes the initial weights") \
    X(vandal_order, "removes the order") \
    X(vandal_jobs, "changes the logits of another job") \
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

/* files.c: what it leaves in the place of its results, and does to others' files; false when that
 * behaviour isn't one of these. */
bool misbehave_with_files(enum behaviour what);

size_t test_image_count(void);
size_t classes(void); /* of the job's model */
void write_text(const char *path, const char *text);

#endif
