/* record.h: the lines of samples.jsonl (doc/formats.md), inside src/lab only: made here, written by
 * samples.c, read back by the summary. */
#ifndef TARE_LAB_RECORD_H
#define TARE_LAB_RECORD_H

#include <jansson.h>

#include "tare/lab.h"
#include "tare/latency.h"
#include "tare/parity.h"

/* What a job was, and what came of it; the campaign fills it, record_job writes it. */
struct tare_job_result {
    size_t index;     /* in the order of starting */
    int run;          /* −1: warm-up */
    bool replayed;    /* done in an earlier session: only what the campaign goes on from is here */
    const char *task; /* "warmup", "train", "infer", "cold"; of a sweep "train", "probe" */
    struct tare_cell cell;
    size_t batch;
    const char *dir; /* relative to the results folder; NULL: it was left out */
    char program_sha256[65];
    char reproduce[2 * TARE_MAX_PATH];
    struct tare_outcome outcome;
    bool graded;
    struct tare_grade grade;
    uint8_t *right; /* train, graded: TARE_RIGHT_BYTES(grade.total), or NULL: too many to keep */
    /* infer and cold: the training job whose export was run, and which of its exports */
    const struct tare_job_result *of;
    const char *format, *exporter;
    const char *path; /* relative to the results folder */
    bool compared;    /* infer: against the logits of `of` */
    double max_abs_diff;
    size_t changed_answers;
    bool has_parity, has_latency; /* infer */
    struct tare_parity parity;
    struct tare_latency latency;
    /* a sweep's job: so many training steps of a net of that width, and nothing else; 0: it is
     * none */
    size_t steps, width;
    double others;        /* CPUs that other programs used when its point was visited */
    const char *left_out; /* of such a job that was not begun: why, in a word; NULL: it was */
};

/* The experiment; the files that all engines of a run share; a job; and the last line, without
 * which the file was cut short. New references, or NULL: the experiment with *err filled, the
 * others without memory. */
json_t *tare_record_experiment(const struct tare_campaign *campaign, struct tare_err *err);
json_t *tare_record_run(size_t run, const char *results_dir);
json_t *tare_record_job(const struct tare_job_result *result, const char *results_dir);
json_t *tare_record_resume(const struct tare_machine *machine); /* a later session begins */
json_t *tare_record_end(bool complete);

/* Images of which each job's right answers are kept: 16 kB of a line. */
#define TARE_MAX_RIGHT 100000

/* The file of a campaign's records, and of a sweep's. */
#define TARE_SAMPLES_FILE "samples.jsonl"
#define TARE_SWEEP_FILE "sweep.jsonl"

/* Writes the first record: the file is there with it, or not at all. Takes over the reference. */
enum tare_status tare_samples_begin(const char *results_dir, const char *file, json_t *record,
                                    struct tare_err *err);

/* Appends one record as one line, chained to the one before, and fsyncs; a line that doesn't fit on
 * the disk leaves nothing. Takes over the reference. */
enum tare_status tare_samples_append(const char *results_dir, const char *file, json_t *record,
                                     struct tare_err *err);

/* Cuts off a last line without a newline (*cut: there was one), which is what a crash leaves of a
 * record, and removes temporary files from the folder. */
enum tare_status tare_samples_mend(bool *cut, const char *results_dir, struct tare_err *err);

#endif
