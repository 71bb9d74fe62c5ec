/* summary.h: what an experiment's samples say: a pure function of samples.jsonl (doc/formats.md).
 *
 *     struct tare_summary summary = {0};
 *     if (tare_summary_read(&summary, "results/x/samples.jsonl", &err) != TARE_OK) …
 *     for (size_t i = 0; i < summary.row_count; i++)
 *         printf("%s %.2f s\n", summary.rows[i].engine,
 *                summary.rows[i].stats[TARE_TRAIN_S].median);
 *     tare_summary_free(&summary);
 *
 * A row is one cell of the plan over all its runs. Strings and lists belong to the summary; strings
 * are never NULL and come from engines as they are: whoever shows them escapes them. A statistic
 * without any value has n = 0 and NaN. Method: doc/statistics.md.
 */
#ifndef TARE_SUMMARY_H
#define TARE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/disagree.h"
#include "tare/err.h"
#include "tare/row.h"

#define TARE_MAX_SAMPLES_BYTES ((size_t)64 << 20) /* of one samples.jsonl */
#define TARE_MAX_RUNS 1000
#define TARE_MAX_JOBS 20000

/* What is compared with what. */
#define TARE_COMPARISON_KIND_LIST(X)                                                               \
    X(FASTEST, "fastest") /* a row with the fastest of its track */                                \
    X(TAUGHT, "taught")   /* a framework's tutorial with its best on the controlled track */       \
    X(AGAIN, "again")     /* a row with itself, where everything was run twice */                  \
    X(BEST, "best")       /* two frameworks at their best on the controlled track */
enum tare_comparison_kind {
#define X(id, name) TARE_COMPARE_##id,
    TARE_COMPARISON_KIND_LIST(X)
#undef X
};

/* slow took `ratio` times as long as fast, by the median of paired runs (fast has the lower
 * median); made only of rows that may be ranked. */
struct tare_comparison {
    enum tare_comparison_kind kind;
    enum tare_measure measure; /* TARE_TRAIN_S, TARE_INFER_10000_S or TARE_INFER_ONE_S */
    enum tare_track track;     /* slow's */
    size_t fast, slow;         /* indices into rows */
    struct tare_stat ratio;
    bool apart; /* the interval excludes 1 */
};

struct tare_installed { /* an environment of a framework */
    const char *name;
    double megabytes;
};

struct tare_experiment {
    const char *created, *tare_version, *command;
    double tare_bytes; /* of the program; NaN: not known */
    struct tare_installed *environments;
    size_t environment_count;
    struct {
        const char *name, *title, *sha256, *licence, *source;
        bool standin;
        size_t train, test, classes;
    } dataset;
    struct {
        const char *cpu, *flags, *kernel, *os, *governor;
        size_t cpus, memory_bytes;
        double load1; /* NaN when unknown */
        bool busy;
    } machine;
    struct {
        const char *model, *optimizer;
        size_t params, epochs, batch, runs, threads, seed;
        double timeout_s, lr;
        bool quick;
    } plan;
};
struct tare_summary {
    struct tare_experiment experiment;
    struct tare_row *rows; /* tutorial, then controlled, each in the plan's order; then harness */
    size_t row_count;      /* of tutorial and controlled */
    size_t harness_count;  /* rows[row_count …] */
    const struct tare_row *harness;  /* the null engine's row, wherever it stands, or NULL */
    struct tare_stat harness_step_s; /* the null engine's training time over its steps */
    struct tare_comparison *comparisons;
    struct tare_disagreement *disagreements;
    size_t comparison_count, disagreement_count;
    bool complete;         /* every planned job is there */
    size_t torn_line;      /* an unfinished last line of the file, which was left out; 0: none */
    const size_t *misfits; /* lines that don't fit their checksums, from 1, in the file's order */
    size_t misfit_count;
    bool salvaged; /* they were left out; a job that is missing may have stood there */
    void *memory;  /* what everything above lives in */
};

/* Reads the samples (name is for messages). TARE_DATA names a line that isn't what doc/formats.md
 * says; only the last may be cut short, as a crash leaves it. Unknown records are ignored. A line
 * that can be read and doesn't fit its checksum is read, and told in `misfits`. */
enum tare_status tare_summary_parse(struct tare_summary *summary, const void *bytes, size_t size,
                                    const char *name, struct tare_err *err);
enum tare_status tare_summary_read(struct tare_summary *summary, const char *path,
                                   struct tare_err *err);

/* The same without the lines that don't fit their checksums. TARE_DATA where the first one doesn't:
 * it says what the others are samples of. */
enum tare_status tare_summary_salvage(struct tare_summary *summary, const char *path,
                                      struct tare_err *err);
enum tare_status tare_summary_parse_sound(struct tare_summary *summary, const void *bytes,
                                          size_t size, const char *name, struct tare_err *err);
void tare_summary_free(struct tare_summary *summary);

/* A check that went wrong; not one whose runtime isn't installed, which nobody asked for by name.
 */
bool tare_check_failed(const struct tare_check *check);

/* Rows that are not ok or not complete, and failed checks: 0: all that was asked for was done. */
size_t tare_summary_failures(const struct tare_summary *summary);

const char *tare_comparison_kind_name(enum tare_comparison_kind kind);

#endif
