/* sweep.h: how the time of a training step grows with the width of the net and with the batch, in
 * several engines side by side: one dense layer of so many units between the image and the classes.
 *
 *     static struct tare_sweep sweep;
 *     tare_sweep_defaults(&sweep);
 *     sweep.plan = &plan; sweep.dataset = &set; sweep.prepared = folder; sweep.dir = out; …
 *     status = tare_sweep_run(&sweep, &err);                 // everything is in out/sweep.jsonl
 *
 *     struct tare_sweep_summary summary;
 *     if (tare_sweep_read(&summary, out, &err) == TARE_OK)   // shown by report.h
 *         printf("%s\n", summary.engines[0].engine);
 *     tare_sweep_free(&summary);
 *
 * A sweep claims speed only: engines prove that they do the same work in tare_certify, for one net.
 */
#ifndef TARE_SWEEP_H
#define TARE_SWEEP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "tare/lab.h"
#include "tare/stats.h"
#include "tare/summary.h"

#define TARE_MAX_SWEEP_COUNTS 16 /* widths, and batches */
#define TARE_SWEEP_RUNS 3        /* of every point, where there is time */
#define TARE_SWEEP_MINUTES 15
#define TARE_SWEEP_LEAST_STEPS 3 /* timed in a job, after the first */
#define TARE_SWEEP_ALIKE 1.5     /* engines within this factor: the choice doesn't matter */

/* ---- measuring --------------------------------------------------------------------------------
 */

struct tare_sweep {
    const struct tare_plan *plan; /* cells, seed, threads, learning rate, command; nothing else */
    size_t widths[TARE_MAX_SWEEP_COUNTS], batches[TARE_MAX_SWEEP_COUNTS]; /* ascending */
    size_t width_count, batch_count;
    size_t runs;      /* at most, of every point */
    double budget_s;  /* what all of it may take */
    double timeout_s; /* what one job may; 0: a share of the budget */
    bool certify;     /* the study's net first, in every engine */
    const struct tare_dataset *dataset;
    const struct tare_machine *machine;
    const char *prepared; /* the folder tare_dataset_prepare made */
    const char *dir;      /* results folder: exists and is empty */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *context, const struct tare_progress *progress);
    void *context;
    size_t
        failed_jobs; /* out: jobs that crashed, lied, or could not begin; not those out of time */
};

void tare_sweep_defaults(struct tare_sweep *sweep);

/* "784 dense:WIDTH:relu dense:10": the net of a set, and of one width of it. out holds
 * TARE_MAX_SPEC. */
void tare_sweep_template(char *out, const struct tare_dataset *set);
void tare_sweep_model(char *out, const char *template, size_t width);

/* TARE_USAGE unless the widths, batches and numbers make a sweep of that set. Sorts both lists. */
enum tare_status tare_sweep_check(struct tare_sweep *sweep, struct tare_err *err);

/* Bytes on the disk. */
size_t tare_sweep_bytes(const struct tare_sweep *sweep);

/* Measures, and appends to dir/sweep.jsonl. TARE_INTERRUPTED when *stop was set, TARE_FAILED when
 * failed_jobs isn't 0; what was measured stays. */
enum tare_status tare_sweep_run(struct tare_sweep *sweep, struct tare_err *err);

/* ---- what came of it ---------------------------------------------------------------------------
 */

/* Why a cell has no figure. */
#define TARE_SWEEP_GAP_LIST(X)                                                                     \
    X(NONE, "")                                                                                    \
    X(SLOW, "too slow")   /* out of a job's time, or would be */                                   \
    X(BUDGET, "no time")  /* the sweep's time was over */                                          \
    X(FAILED, "failed")   /* crash, rubbish; or the engine had failed before */                    \
    X(VOID, "void")       /* measured, but a rule of honest measuring was broken */                \
    X(SKIPPED, "skipped") /* this machine lacks something */                                       \
    X(ABSENT, "–")        /* the sweep ended before */

enum tare_sweep_gap {
#define X(id, text) TARE_SWEEP_GAP_##id,
    TARE_SWEEP_GAP_LIST(X)
#undef X
};
const char *tare_sweep_gap_text(enum tare_sweep_gap gap);

struct tare_sweep_cell {                   /* one engine at one width and batch */
    struct tare_stat step_s, first_step_s; /* of one step after the first; of the first */
    size_t fewest_steps, most_steps;       /* timed in a run, after the first */
    double spread;                         /* slowest less fastest run, over the median */
    double shortest_s;                     /* the shortest time so many steps took together */
    double flops_per_s;                    /* by the median */
    enum tare_sweep_gap gap;               /* NONE: it has a figure */
    const char *reason;                    /* of a gap, or of a run that isn't part of the figure */
};

struct tare_sweep_engine {
    const char *engine, *variant, *device, *version;
    size_t threads;
    enum tare_origin origin;
    struct tare_sweep_cell *cells; /* width_count rows of batch_count */
    size_t measured;               /* cells with a figure */
    const char *reason, *fix;      /* of none: why */
    /* Of its processes, whatever they were for: */
    size_t processes;
    double wall_s;                                /* of all of them */
    struct tare_stat startup_s, load_s, build_s;  /* start and import; images; the model */
    struct tare_stat first_step_s;                /* compilation included */
    double longest_build_s, longest_first_step_s; /* NaN: none */
    const char *certificate, *certificate_reason; /* "ok", "not-same-work", "not-checked"; "" */
};

struct tare_sweep_point {
    double step_flops;       /* forward and backward: three times the forward pass */
    size_t fastest, slowest; /* of the engines that compete and have a figure here */
    double ratio;            /* slowest over fastest; NaN: fewer than two have one */
    bool whole;              /* every competing engine has one */
    bool alike;              /* whole, and the ratio at most TARE_SWEEP_ALIKE */
    bool unlike;             /* the ratio is larger, or an engine too slow; neither: not known */
};

struct tare_sweep_summary {
    const struct tare_experiment *experiment;
    const size_t *widths, *batches;
    size_t width_count, batch_count;
    double budget_s, wall_s;           /* NaN: the sweep was cut short */
    struct tare_sweep_engine *engines; /* in the plan's order */
    size_t engine_count, competing;    /* that have a figure, the null engine not among them */
    struct tare_sweep_point *points;   /* as cells */
    size_t fewest_runs, most_runs;     /* of the cells with a figure; 0: none has */
    /* How far the runs of a cell lie apart, as a fraction of its median: half of the cells with two
     * runs or more are below typical_spread; NaN: there is none. */
    double typical_spread, widest_spread;
    double others, most_others; /* CPUs other programs used meanwhile: the mean; NaN: not known */
    bool complete;
    size_t torn_line;      /* an unfinished last line, which was left out; 0: none */
    const size_t *misfits; /* lines that don't fit their checksums */
    size_t misfit_count;
    void *memory;
};

/* Reads dir/sweep.jsonl; or its bytes (name is for messages). */
enum tare_status tare_sweep_read(struct tare_sweep_summary *summary, const char *dir,
                                 struct tare_err *err);
enum tare_status tare_sweep_parse(struct tare_sweep_summary *summary, const void *bytes,
                                  size_t size, const char *name, struct tare_err *err);
void tare_sweep_free(struct tare_sweep_summary *summary);

/* The null engine has figures and competes with none. */
bool tare_sweep_competes(const struct tare_sweep_engine *engine);

/* The first batch of a width from which on no point is unlike and some are alike (an index), and
 * the least work of a step of which that is true: batch_count, and NaN, where there is none. */
size_t tare_sweep_alike_from(const struct tare_sweep_summary *summary, size_t width);
double tare_sweep_alike_flops(const struct tare_sweep_summary *summary);

#endif
