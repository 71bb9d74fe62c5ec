/* journal.h: the records of a campaign, in the one order in which it makes them.
 *
 * A campaign is a pure function of its plan and of what came of each job, so a campaign that was
 * cut short is carried on by going through it again: before each piece of work it asks the journal
 * for the record of it. What an earlier session recorded is handed back and the work is not done;
 * from the first record that isn't there, the work is done and appended. So nothing is lost,
 * doubled or renumbered. Internal to lab; struct tare_journal is opaque in lab.h.
 */
#ifndef TARE_LAB_JOURNAL_H
#define TARE_LAB_JOURNAL_H

#include <jansson.h>

#include "tare/lab.h"

struct tare_recorded {
    json_t *record;
    size_t line; /* of samples.jsonl */
};

struct tare_journal {
    char *dir;                      /* results folder, absolute */
    const char *file;               /* of the records, in it */
    int lock_fd;                    /* of the folder: one tare works in it at a time */
    json_t *experiment;             /* the first line; NULL in a new folder */
    struct tare_recorded *recorded; /* what follows it, without `resume` and `end` */
    size_t recorded_count, next;
    bool complete; /* the last line says that nothing is missing */
    bool cut;      /* a last line without its newline was cut off, as a crash leaves it */
    bool resuming; /* an earlier session made this; nothing has been appended since */
};

/* Takes over a new results folder: locks it and writes the first line, experiment (taken over;
 * NULL: *err says why there is none), into a new `file`, which is remembered. TARE_USAGE while
 * another tare works there. */
enum tare_status tare_journal_begin(struct tare_journal **journal, const char *dir,
                                    const char *file, json_t *experiment, struct tare_err *err);

/* The same of a folder that an earlier session left; its lines and files are checked first. */
enum tare_status tare_journal_open(struct tare_journal **journal, const char *dir,
                                   struct tare_err *err);
void tare_journal_free(struct tare_journal *journal);

/* The record that an earlier session made of the work that comes now, or NULL: it is to be done.
 * identity (taken over) holds the keys and values that it must have: anything else there means that
 * another plan was carried out, TARE_DATA. *record stays the journal's. */
enum tare_status tare_journal_next(const json_t **record, struct tare_journal *journal,
                                   json_t *identity, struct tare_err *err);

/* True once everything that earlier sessions recorded has been asked for. */
bool tare_journal_is_live(const struct tare_journal *journal);

/* Appends one record (taken over): one write, fsynced. The first of a later session is preceded by
 * a record that says when it began, and on what. */
enum tare_status tare_journal_append(struct tare_journal *journal, json_t *record,
                                     const struct tare_machine *machine, struct tare_err *err);

#endif
