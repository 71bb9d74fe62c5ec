/* read_samples.h: samples.jsonl as C structs, between the text and the summary. Internal to lab.
 *
 * Everything read lives in one list of allocations and is freed at once; the JSON of a line is
 * freed with the line. doc/formats.md says what the keys mean.
 */
#ifndef TARE_LAB_READ_SAMPLES_H
#define TARE_LAB_READ_SAMPLES_H

#include <jansson.h>

#include "tare/err.h"
#include "tare/lab.h" /* TARE_RIGHT_BYTES */
#include "tare/summary.h"
#include "tare/sweep.h" /* TARE_MAX_SWEEP_COUNTS */

#define TARE_MAX_SAMPLES_LINE ((size_t)4 << 20) /* bytes */
#define TARE_MAX_SAMPLE_CELLS 64                /* the plan's 32, and the harness beside them */
#define TARE_MAX_CERTIFICATES 128               /* two per cell, and room */
#define TARE_MAX_MISFITS 20000                  /* lines that don't fit the chain */

/* Allocations that are freed together. `failed` sticks, as in tare_buf. */
struct tare_memory {
    struct tare_memory_block *blocks;
    char *texts; /* room for the next texts */
    size_t texts_left;
    bool failed;
};

/* count zeroed elements (at least one), or NULL and failed. */
void *tare_memory_take(struct tare_memory *memory, size_t count, size_t element_bytes);
char *tare_memory_printf(struct tare_memory *memory, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* A copy of text; "" and failed without memory. */
const char *tare_memory_text(struct tare_memory *memory, const char *text);
void tare_memory_free(struct tare_memory *memory);

struct tare_named_value {
    const char *name;
    double value;
};

struct tare_call_value { /* median over the job's samples of that call, batch and first */
    const char *call;
    size_t batch;
    bool first;
    double seconds;
};

struct tare_export_value {
    const char *format, *exporter, *path;
    size_t files, bytes;
    double seconds;
};

struct tare_sample_cell {
    const char *engine, *variant, *device;
    enum tare_track track;
    size_t threads;
    bool again; /* the cell before it a second time */
};

struct tare_job_record {
    size_t line, index, run; /* run counts from 0; warm-ups have none */
    const char *task;
    struct tare_sample_cell cell;
    size_t batch;
    const char *version, *reason, *fix, *reproduce, *dir;
    enum tare_cell_state state;
    double values[TARE_MEASURE_COUNT]; /* NaN where the job doesn't say */
    size_t correct, total;             /* total 0: not graded */
    const uint8_t *right;              /* TARE_RIGHT_BYTES(total) bits of right answers, or NULL */
    double max_abs_diff, changed_answers;
    double parity_ratio, parity_changed;
    double query_s[TARE_QUANTILE_COUNT];
    size_t queries;
    double cold_start_s; /* task cold */
    const char *infer_call;
    struct tare_named_value *phases, *metrics; /* phases of one name are added up */
    struct tare_call_value *calls;
    struct tare_setting *settings;
    struct tare_export_value *exports;
    struct tare_user_code *code;
    size_t phase_count, metric_count, call_count, setting_count, export_count, code_count;
    /* tasks infer and cold on an exported file: which job's, and which of its exports */
    bool has_of;
    size_t of_index;
    const char *of_format, *of_exporter;
    bool timed_out;       /* it was ended by its deadline */
    double others;        /* of a sweep's: CPUs in use by other programs; NaN: not known */
    size_t width, steps;  /* of a sweep's job; else 0 */
    const char *left_out; /* of such a job that was not begun: why, in a word; else "" */
};

struct tare_certificate_record { /* the last one of a cell holds */
    size_t line;
    struct tare_sample_cell cell;   /* on the controlled track */
    const char *state;              /* "ok", "not-same-work", "not-checked" */
    enum tare_cell_state job_state; /* not-checked: what its job ended in */
    const char *reason, *fix, *version;
    double max_ratio;  /* NaN: none */
    const char *where; /* the checkpoint of the largest ratio */
};

/* What a sweep's plan holds beside an experiment's. */
struct tare_sweep_record {
    size_t *widths, *batches;
    size_t width_count, batch_count;
    double budget_s;
};

struct tare_samples {
    struct tare_memory memory;
    const struct tare_samples_kind *kind; /* tare-samples/1 or tare-sweep/1 */
    struct tare_sweep_record sweep;       /* of the latter */
    bool complete;                        /* its last line says that it went to its end */
    double wall_s; /* of a sweep, which says there how long it took; NaN: it doesn't */
    struct tare_experiment experiment;
    struct tare_sample_cell *cells;
    size_t cell_count;
    struct tare_job_record *jobs; /* in the file's order */
    size_t job_count;
    size_t top_index;                             /* the largest of theirs */
    struct tare_certificate_record *certificates; /* in the file's order */
    size_t certificate_count;
    size_t torn_line;
    size_t *misfits; /* numbers of the lines that don't fit the chain, from 1; none without one */
    size_t misfit_count;
    bool salvaged; /* they were left out */
};

/* Reads a samples.jsonl whole, after a look at its size and at the length of its lines. Where
 * `begins` is true its first line must be an experiment's, too: what is something else isn't read.
 */
enum tare_status tare_samples_text(struct tare_buf *text, const char *path, bool begins,
                                   struct tare_err *err);

enum tare_status tare_samples_parse(struct tare_samples *samples, const void *bytes, size_t size,
                                    const char *name, struct tare_err *err);

/* The same of the lines that fit the chain, the others left out. TARE_DATA where that is the first
 * one: what the others belong to isn't known then. A file without a chain is read as it is. */
enum tare_status tare_samples_salvage(struct tare_samples *samples, const void *bytes, size_t size,
                                      const char *name, struct tare_err *err);

/* The same of a sweep.jsonl. */
enum tare_status tare_samples_parse_sweep(struct tare_samples *samples, const void *bytes,
                                          size_t size, const char *name, struct tare_err *err);

/* After a TARE_DATA: where a line that doesn't fit the chain may be why, err says how to do without
 * it. */
void tare_samples_hint(const struct tare_samples *samples, struct tare_err *err);

/* What read_job.c adds: one record of kind job. `name:line` stands in errors. */
enum tare_status tare_samples_read_job(struct tare_samples *samples, struct tare_job_record *job,
                                       const json_t *json, size_t line, const char *name,
                                       struct tare_err *err);

/* What read_certificate.c adds: one record of kind certificate. */
enum tare_status tare_samples_read_certificate(struct tare_samples *samples,
                                               struct tare_certificate_record *certificate,
                                               const json_t *json, size_t line, const char *name,
                                               struct tare_err *err);

/* Typed keys of a JSON object, with one sticky error that names the line and the key. */
struct tare_reader {
    struct tare_memory *memory; /* for texts that are kept */
    const char *name;
    size_t line;
    enum tare_status status;
    struct tare_err *err;
};

/* missing is what an absent key means; NULL or NaN say that the key is required. */
const char *tare_read_text(struct tare_reader *reader, const json_t *object, const char *key,
                           const char *missing);
/* The JSON's own text, which goes with its line. */
const char *tare_read_lent(struct tare_reader *reader, const json_t *object, const char *key,
                           const char *missing);
/* Finite and not negative; null, which stands for NaN and infinity, reads as missing. */
double tare_read_number(struct tare_reader *reader, const json_t *object, const char *key,
                        double missing);
size_t tare_read_count(struct tare_reader *reader, const json_t *object, const char *key,
                       size_t missing);
bool tare_read_flag(struct tare_reader *reader, const json_t *object, const char *key);
/* An object or an array under key; an absent one reads as empty (NULL). */
const json_t *tare_read_nested(struct tare_reader *reader, const json_t *object, const char *key,
                               json_type type);
enum tare_cell_state tare_read_state(struct tare_reader *reader, const json_t *object,
                                     const char *key);
/* A cell's keys, but its track: certificates have none, and are of the controlled one. */
struct tare_sample_cell tare_read_cell(struct tare_reader *reader,
                                       const struct tare_samples *samples, const json_t *json);
enum tare_track tare_read_track(struct tare_reader *reader, const json_t *object);
void tare_read_fail(struct tare_reader *reader, const char *key, const char *expected);

#define TARE_COUNT_REQUIRED ((size_t)-1)

#endif
