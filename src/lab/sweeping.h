/* sweeping.h: what a sweep knows while it runs, and its parts: sweep.c goes through the points,
 * sweep_setup.c lays them out and begins the records, sweep_job.c runs one engine at one of them.
 * Internal to lab. */
#ifndef TARE_LAB_SWEEPING_H
#define TARE_LAB_SWEEPING_H

#include "lab/campaign.h"
#include "lab/sweep_steps.h"

/* An engine that failed so often isn't tried any more. */
#define TARE_SWEEP_MOST_FAILURES 2
#define TARE_SWEEP_LEAST_TIMEOUT_S 10.0 /* some frameworks take that to start on a busy machine */

struct tare_sweeping {
    struct tare_sweep *sweep;
    struct tare_plan plan; /* of the current point */
    struct tare_campaign campaign;
    struct tare_campaign_state state;
    struct tare_sweep_grid grid;
    struct tare_sweep_length length;
    char template[TARE_MAX_SPEC];
    struct tare_sweeping_engine {
        struct tare_sweep_times times;
        double other_s; /* of its last process, beside the timed steps */
        size_t failures;
        bool out_of_time; /* at this point, the smallest so far */
        size_t out_width, out_batch;
        bool measured[TARE_MAX_SWEEP_POINTS];
        size_t steps[TARE_MAX_SWEEP_POINTS]; /* timed the last time */
    } engines[TARE_MAX_CELLS];
    size_t points, order[TARE_MAX_SWEEP_POINTS];
    size_t round, at;                     /* the current point is order[at] */
    size_t epochs[TARE_MAX_SWEEP_POINTS]; /* that the order of a point holds */
    int64_t start_ns;
    double timeout_s;
    double others; /* CPUs that other programs used when the current point was begun */
};

size_t tare_sweeping_width(const struct tare_sweeping *w, size_t point); /* indices */
size_t tare_sweeping_batch(const struct tare_sweeping *w, size_t point);
double tare_sweeping_elapsed_s(const struct tare_sweeping *w);
double tare_sweeping_left_s(const struct tare_sweeping *w); /* of the budget */

/* ---- sweep_setup.c ------------------------------------------------------------------------------
 */

/* The work of every point, how the budget is shared out, and nothing known of any engine. */
enum tare_status tare_sweeping_lay_out(struct tare_sweeping *w, struct tare_err *err);
/* The first line of sweep.jsonl; NULL with *err filled. */
json_t *tare_sweeping_record(const struct tare_sweeping *w, struct tare_err *err);

/* ---- sweep_job.c --------------------------------------------------------------------------------
 */

/* Runs one engine at the current point for so many timed steps, and remembers what that says of the
 * next ones; once more where a busy machine made it void. A probe is a first look: it is no run of
 * the point. */
enum tare_status tare_sweeping_run(struct tare_sweeping *w, size_t engine, size_t steps,
                                   bool is_probe, struct tare_err *err);
/* Why an engine isn't tried at the current point (text), and in a word; NULL: it is. */
const char *tare_sweeping_reason(const struct tare_sweeping *w, size_t engine, const char **word,
                                 char text[TARE_MAX_TEXT]);
/* Records that. */
enum tare_status tare_sweeping_leave_out(struct tare_sweeping *w, size_t engine, const char *word,
                                         const char *reason, struct tare_err *err);
/* Seconds that a job of that engine takes at least. */
double tare_sweeping_job_s(const struct tare_sweeping *w, size_t engine, size_t point);
/* Whether every engine does the same work on the study's net. */
enum tare_status tare_sweeping_certify(struct tare_sweeping *w, struct tare_err *err);
/* Appends a record (taken over; NULL is want of memory). */
enum tare_status tare_sweeping_append(struct tare_sweeping *w, json_t *record,
                                      struct tare_err *err);

#endif
