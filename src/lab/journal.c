/* journal.c: replays what earlier sessions of a campaign recorded, then appends (journal.h). How a
 * line is written is samples.c. */
#include "lab/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/json.h"
#include "lab/read_samples.h"
#include "lab/record.h"
#include "tare/buf.h"
#include "tare/verify.h"

static enum tare_status no_memory(struct tare_err *err, const char *where) {
    return tare_fail(err, TARE_MEMORY, where, NULL, "no memory for the journal");
}

void tare_journal_free(struct tare_journal *journal) {
    if (!journal)
        return;
    for (size_t i = 0; i < journal->recorded_count; i++)
        json_decref(journal->recorded[i].record);
    free(journal->recorded);
    json_decref(journal->experiment);
    if (journal->lock_fd >= 0)
        close(journal->lock_fd);
    free(journal->dir);
    free(journal);
}

/* The lock is on the folder itself, so it leaves no file behind, and ends with the process. */
static enum tare_status lock_folder(struct tare_journal **out, const char *dir, const char *file,
                                    struct tare_err *err) {
    struct tare_journal *j = *out = calloc(1, sizeof **out);
    if (!j)
        return no_memory(err, dir);
    j->lock_fd = -1;
    j->file = file;
    j->dir = realpath(dir, NULL);
    if (!j->dir)
        return tare_fail_errno(err, dir, "name a results folder",
                               "the results folder cannot be used");
    j->lock_fd = (int)TEMP_FAILURE_RETRY(open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (j->lock_fd < 0)
        return tare_fail_errno(err, dir, "name a results folder", "cannot be opened");
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TARE_OK;
    if (errno == EWOULDBLOCK)
        return tare_fail(err, TARE_USAGE, dir, "wait for it, or choose another folder",
                         "another tare is at work in this folder");
    return tare_fail_errno(err, dir, NULL, "cannot be locked");
}

enum tare_status tare_journal_begin(struct tare_journal **journal, const char *dir,
                                    const char *file, json_t *experiment, struct tare_err *err) {
    *journal = NULL;
    if (!experiment)
        return err ? err->status : TARE_MEMORY;
    enum tare_status status = lock_folder(journal, dir, file, err);
    if (status == TARE_OK)
        status = tare_samples_begin((*journal)->dir, file, experiment, err);
    else
        json_decref(experiment);
    if (status == TARE_OK)
        return TARE_OK;
    tare_journal_free(*journal);
    *journal = NULL;
    return status;
}

/* ---- opening what is there ---------------------------------------------------------------------
 */

/* One line that the chain has proved to be tare's. */
static enum tare_status take_line(struct tare_journal *j, const char *text, size_t size,
                                  size_t line, struct tare_err *err) {
    json_error_t error;
    enum tare_status read;
    json_t *record = tare_json_load(text, size, &error, &read);
    if (read == TARE_MEMORY)
        return no_memory(err, j->dir);
    if (!record)
        return tare_fail(err, TARE_DATA, j->dir, "tare verify",
                         "line %zu of samples.jsonl is no JSON: %s", line, error.text);
    const char *kind = json_string_value(json_object_get(record, "record"));
    bool is_end = kind && strcmp(kind, "end") == 0;
    j->complete = is_end && json_is_true(json_object_get(record, "complete"));
    if (line == 1)
        j->experiment = record;
    else if (is_end || (kind && strcmp(kind, "resume") == 0))
        json_decref(record); /* when sessions began and ended is no work */
    else
        j->recorded[j->recorded_count++] = (struct tare_recorded){record, line};
    return TARE_OK;
}

static enum tare_status take_lines(struct tare_journal *j, const struct tare_buf *text,
                                   struct tare_err *err) {
    size_t lines = 0;
    for (size_t i = 0; i < text->size; i++)
        lines += text->data[i] == '\n';
    j->recorded = calloc(lines + 1, sizeof *j->recorded);
    if (!j->recorded)
        return no_memory(err, j->dir);
    enum tare_status status = TARE_OK;
    const char *at = text->data;
    for (size_t line = 1; line <= lines && status == TARE_OK; line++) {
        const char *newline = memchr(at, '\n', text->size - (size_t)(at - text->data));
        status = take_line(j, at, (size_t)(newline - at), line, err);
        at = newline + 1;
    }
    return status;
}

struct check {
    const char *dir;
    struct tare_err fault;
};

/* The first thing that isn't as it was recorded. That the end is missing is why we are here. */
static void note_fault(void *context, enum tare_finding finding, const char *path,
                       const char *why) {
    struct check *check = context;
    struct tare_err *fault = &check->fault;
    bool is_end = finding == TARE_FINDING_MISSING && strcmp(path, "samples.jsonl") == 0;
    bool is_fault = finding == TARE_FINDING_MISSING || finding == TARE_FINDING_CHANGED;
    if (!is_fault || is_end || fault->status != TARE_OK)
        return;
    char hint[sizeof fault->hint];
    snprintf(hint, sizeof hint, "tare verify %s; restore what it lists, or measure anew",
             check->dir);
    tare_fail(fault, TARE_DATA, path, hint, "can't be carried on: it is %s%s%s",
              tare_finding_name(finding), why[0] ? ": " : "", why);
}

/* What is carried on must still be what was recorded: every line, and every file. */
static enum tare_status check_folder(const struct tare_journal *j, struct tare_err *err) {
    struct check check = {.dir = j->dir};
    struct tare_verify verify = {.dir = j->dir, .found = note_fault, .context = &check};
    enum tare_status status = tare_verify_folder(&verify, err);
    if (status == TARE_OK && check.fault.status != TARE_OK && err)
        *err = check.fault;
    return status == TARE_OK ? check.fault.status : status;
}

enum tare_status tare_journal_open(struct tare_journal **journal, const char *dir,
                                   struct tare_err *err) {
    struct tare_buf text = {0};
    enum tare_status status = lock_folder(journal, dir, TARE_SAMPLES_FILE, err);
    struct tare_journal *j = *journal;
    if (status == TARE_OK)
        status = tare_samples_mend(&j->cut, j->dir, err);
    char *path = status == TARE_OK ? tare_path_join(j->dir, "samples.jsonl") : NULL;
    if (status == TARE_OK && !path)
        status = no_memory(err, dir);
    if (status == TARE_OK)
        status = tare_samples_text(&text, path, false, err);
    if (status == TARE_OK && text.size == 0)
        status = tare_fail(err, TARE_DATA, path, "tare compare --out with a new folder",
                           "nothing was measured: there is no experiment to carry on");
    if (status == TARE_OK)
        status = check_folder(j, err);
    if (status == TARE_OK)
        status = take_lines(j, &text, err);
    tare_buf_free(&text);
    free(path);
    if (status == TARE_OK) {
        j->resuming = true;
        return TARE_OK;
    }
    tare_journal_free(j);
    *journal = NULL;
    return status;
}

/* ---- going through it --------------------------------------------------------------------------
 */

bool tare_journal_is_live(const struct tare_journal *journal) {
    return journal->next == journal->recorded_count;
}

enum tare_status tare_journal_next(const json_t **record, struct tare_journal *j, json_t *identity,
                                   struct tare_err *err) {
    enum tare_status status = identity ? TARE_OK : no_memory(err, j->dir);
    *record = NULL;
    if (status == TARE_OK && !tare_journal_is_live(j)) {
        const struct tare_recorded *there = &j->recorded[j->next++];
        const char *key;
        json_t *value;
        json_object_foreach(identity, key, value) {
            if (status == TARE_OK && !json_equal(json_object_get(there->record, key), value))
                status = tare_fail(err, TARE_DATA, j->dir, "measure anew, with a new --out",
                                   "line %zu of samples.jsonl is not what this plan does next: its "
                                   "%s is another",
                                   there->line, key);
        }
        *record = there->record;
    }
    json_decref(identity);
    return status;
}

enum tare_status tare_journal_append(struct tare_journal *j, json_t *record,
                                     const struct tare_machine *machine, struct tare_err *err) {
    enum tare_status status = TARE_OK;
    if (j->resuming)
        status = tare_samples_append(j->dir, j->file, tare_record_resume(machine), err);
    j->resuming = false;
    if (status == TARE_OK)
        return tare_samples_append(j->dir, j->file, record, err);
    json_decref(record);
    return status;
}
