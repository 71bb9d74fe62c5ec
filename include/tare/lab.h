/* lab.h: an experiment: which engines do what, how often, in which order, and where it is kept.
 *
 *     struct tare_plan x;
 *     tare_plan_defaults(&x);
 *     tare_plan_add(&x, "keras", &err);
 *     tare_plan_add(&x, "native", &err);
 *     struct tare_campaign c = {.plan = &x, .dataset = &set, .prepared = folder, .dir = out};
 *     enum tare_status status = tare_campaign_run(&c, &err);    // results are in out/samples.jsonl
 */
#ifndef TARE_LAB_H
#define TARE_LAB_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/array.h"
#include "tare/data.h"
#include "tare/err.h"
#include "tare/machine.h"
#include "tare/net.h"
#include "tare/protocol.h"
#include "tare/supervise.h"

#define TARE_MAX_CELLS 32
#define TARE_DEFAULT_RUNS 6 /* fewer cannot carry a 95 % interval (stats.h) */
#define TARE_DEFAULT_TIMEOUT_S 600
#define TARE_EXPORTER "tare" /* of an export that tare wrote itself */

/* What tare knows about an engine by name: one row per cell it can be, rows of one engine together.
 * Engines it doesn't know train on the controlled track. */
struct tare_known_engine {
    const char *name;
    const char *track;   /* "tutorial", "controlled", "deployment" */
    const char *variant; /* "": the engine has only one way on this track */
    bool by_default;     /* part of `tare compare` without --engines */
    bool when_asked;     /* too slow to be run unless named, or with --variants all */
    double process_s;    /* rough cost of a process without its training, and per trained image: */
    double train_us;     /* on two 2.5 GHz cores at batch 32; for --dry-run's estimate only */
    const char *environment; /* the Python environment it needs, or NULL */
};
const struct tare_known_engine *tare_known_engines(size_t *count);
const struct tare_known_engine *tare_known_engine(const char *name); /* its first row, or NULL */

struct tare_cell {
    char engine[64];
    char variant[32];
    char track[16];
    char device[16];
    int threads;
    bool again; /* the cell before it a second time: between the two there is no difference */
};

struct tare_plan {
    struct tare_net net;
    char model[TARE_MAX_SPEC]; /* the net's canonical text */
    size_t epochs, batch, runs;
    uint64_t seed; /* run r uses seed + r for weights and order, in every engine */
    int threads;   /* the ceiling of cells that don't say: the harness, the exports' runtimes have 1
                    */
    double lr;
    double timeout_s;
    bool quick;
    char command[1024]; /* as the user typed it, for the report */
    bool certify; /* controlled cells must prove that they do the same work before they are timed */
    struct tare_cell cells[TARE_MAX_CELLS];
    size_t cell_count;
};

/* What `tare compare` was asked for, beside the engines' names. */
struct tare_choice {
    const char *track;  /* NULL: both */
    bool all_variants;  /* also those that run only when asked */
    const char *device; /* NULL: "cpu"; the tutorials are on the CPU always */
    const int *threads; /* each cell once per count; NULL: plan->threads */
    size_t thread_counts;
    bool twice; /* each cell, and the same again */
};

void tare_plan_defaults(struct tare_plan *x);

/* Adds the cells of an engine that are chosen: "pytorch" adds its tutorial and its controlled cell,
 * "pytorch/compile" that variant only. The null engine asked for by name becomes a row; otherwise
 * the campaign runs it under `harness`. choice may be NULL. TARE_USAGE for a doubled or impossible
 * one. */
enum tare_status tare_plan_add(struct tare_plan *x, const char *engine,
                               const struct tare_choice *choice, struct tare_err *err);

/* The null engine's own cell, whose cost stands under `harness`; false when null is a row already.
 */
bool tare_plan_harness(struct tare_cell *cell, const struct tare_plan *x);

/* Takes the model from text, or, when text is NULL, the study's net fitted to the data set:
 * "INPUT dense:64:relu dense:CLASSES". Checks it against the set. */
enum tare_status tare_plan_model(struct tare_plan *x, const char *text,
                                 const struct tare_dataset *set, struct tare_err *err);

/* Rough seconds of one run of a cell, what follows its training included; seconds and bytes of a
 * campaign: for --dry-run, progress and the disk check. */
double tare_plan_cell_seconds(const struct tare_cell *cell, const struct tare_plan *x,
                              size_t train_images);
double tare_plan_seconds(const struct tare_plan *x, size_t train_images);
size_t tare_plan_bytes(const struct tare_plan *x, const struct tare_dataset *set);

/* The order in which run `run` visits the cells: indices into x->cells, seeded. */
void tare_plan_order(int32_t *cells, const struct tare_plan *x, size_t run);

/* The order of training images of run `run`: int32 (epochs, steps, batch), a new permutation per
 * epoch, the remainder dropped. */
enum tare_status tare_plan_batches(struct tare_array *order, const struct tare_plan *x, size_t run,
                                   size_t train_images, struct tare_err *err);

/* Writes what all engines of run `run` share: initial weights and order. */
enum tare_status tare_plan_write_run(const char *init_path, const char *order_path,
                                     const struct tare_plan *x, size_t run, size_t train_images,
                                     struct tare_err *err);

struct tare_progress { /* one finished or beginning job, for the user */
    size_t done, total;
    int run; /* from 0; -1: before the first */
    const struct tare_cell *cell;
    const char *doing;                  /* "warm-up", "train", "infer model.tflite" */
    const struct tare_outcome *outcome; /* NULL while it begins */
    double left_s;                      /* < 0: not known yet */
};

struct tare_journal; /* what a campaign has recorded so far */

struct tare_campaign {
    const struct tare_plan *plan;
    const struct tare_dataset *dataset;
    const struct tare_machine *machine;
    const char *prepared; /* the folder tare_dataset_prepare made */
    const char *dir;      /* results folder: exists and is empty, or is the journal's */
    struct tare_journal
        *journal; /* of tare_resume_open, whose plan is carried on; NULL: a new one */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *context, const struct tare_progress *progress);
    void *context;
    size_t failed_jobs; /* out: jobs whose state is not ok */
};

/* Runs everything and appends to dir/samples.jsonl. TARE_INTERRUPTED when *stop was set;
 * TARE_FAILED when a job was not ok (the rest still ran); other statuses when tare itself could not
 * go on. */
enum tare_status tare_campaign_run(struct tare_campaign *campaign, struct tare_err *err);

/* ---- carrying on what was cut short -------------------------------------------------------------
 *
 *     struct tare_resume resume;
 *     if (tare_resume_open(&resume, dir, &err) != TARE_OK) …        // its lines and files are
 * checked … load the data, tare_plan_model(&resume.plan, resume.plan.model, &set, &err) … if
 * (tare_resume_check(&resume, &set, &machine, &err) != TARE_OK) … struct tare_campaign c = {.plan =
 * &resume.plan, .journal = resume.journal, …}; status = tare_campaign_run(&c, &err); // does what
 * is missing tare_resume_close(&resume);
 */

struct tare_resume {
    struct tare_journal *journal;
    struct tare_plan plan; /* without its net, which needs the data */
    bool cut;              /* the last line was cut off by a crash: its job is missing */
    char data_sha256[65], data_title[128], data_source[512];
    char cpu[128];
};

/* Opens a results folder whose every line and file is still what was recorded (TARE_DATA names what
 * isn't); a last line that a crash cut off is removed. TARE_USAGE while another tare works there.
 */
enum tare_status tare_resume_open(struct tare_resume *resume, const char *dir,
                                  struct tare_err *err);
void tare_resume_close(struct tare_resume *resume);
bool tare_resume_is_complete(const struct tare_resume *resume);

/* TARE_DATA unless data, CPU, tare and every engine measured so far are the same as before. */
enum tare_status tare_resume_check(const struct tare_resume *resume,
                                   const struct tare_dataset *dataset,
                                   const struct tare_machine *machine, struct tare_err *err);

/* Makes the results folder, or checks that it is empty and writable with `bytes` free. */
enum tare_status tare_results_open(const char *dir, size_t bytes, struct tare_err *err);

/* ---- grading ----------------------------------------------------------------------------------
 */

struct tare_grade {
    size_t correct, total;
    bool finite; /* false: a logit is NaN or infinite, and nothing else is meant */
};

/* logits: float32 (n, classes) against labels: int32 (n). The answer is the first of the largest.
 */
enum tare_status tare_grade_logits(struct tare_grade *grade, const struct tare_array *logits,
                                   const struct tare_array *labels, struct tare_err *err);

/* Which images those logits got right, of a pair that tare_grade_logits accepted: bit i % 8 (1, 2,
 * 4 …) of right[i / 8]; the bits after the last image are 0. right holds TARE_RIGHT_BYTES(n). */
#define TARE_RIGHT_BYTES(n) (((n) + 7) / 8)
void tare_grade_right(uint8_t *right, const struct tare_array *logits,
                      const struct tare_array *labels);

/* Largest |a − b| of any logit, and in how many rows the answer changed. Same shapes or TARE_DATA.
 */
enum tare_status tare_compare_logits(double *max_abs_diff, size_t *changed,
                                     const struct tare_array *a, const struct tare_array *b,
                                     struct tare_err *err);

#endif
