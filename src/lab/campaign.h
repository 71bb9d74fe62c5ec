/* campaign.h: what a campaign knows while it runs, and its parts: campaign.c goes through the
 * rounds, run_job.c carries out one job, deploy.c does what follows a training. Internal to lab. */
#ifndef TARE_LAB_CAMPAIGN_H
#define TARE_LAB_CAMPAIGN_H

#include "lab/journal.h"
#include "lab/record.h"
#include "tare/certify.h"
#include "tare/parity.h"

#define TARE_DEPLOY_QUERIES 1000 /* of one image, timed singly: they bear p99 */

/* Paths are absolute: engines run anywhere. */
struct tare_campaign_state {
    struct tare_campaign *campaign;
    struct tare_journal *journal;
    const char *dir;
    char *init, *order;                     /* of the current run */
    char one_image[TARE_MAX_PATH];          /* a test set of one image */
    size_t next_index;                      /* of jobs */
    bool given_up[TARE_MAX_CELLS + 1];      /* failed to start or to certify, or out of time */
    bool given_up_runtime[2];               /* the same of the runtimes, by deploy.c's table */
    json_t *certificates[TARE_MAX_CELLS];   /* the last record of each cell's; NULL: none */
    float *test_images;                     /* x = u8/255.0f, for references; made when needed */
    struct tare_parity_reference reference; /* of the last training's weights; logits NULL: none */
    size_t done, total;
    int64_t end_ns;            /* of a sweep: when it will be over; 0: the two below say */
    int64_t start_ns;          /* of the first run */
    double spent_s, planned_s; /* estimated seconds of the cells that are done, and of all runs */
};

/* ---- run_job.c ----------------------------------------------------------------------------------
 */

/* Runs one job from its folder to its record, or takes it from the journal, with result->dir
 * allocated; tare_job_finish after it, whatever came of it. A job that fails is a result; the
 * status speaks of tare itself. */
enum tare_status tare_job_run(struct tare_campaign_state *state, struct tare_job_result *result,
                              const char *doing, struct tare_err *err);
void tare_job_finish(struct tare_job_result *result);
void tare_job_progress(struct tare_campaign_state *state, const struct tare_job_result *result,
                       const char *doing, bool finished);

/* Fills in what the campaign goes on from: state, exports, the first epoch's loss. */
enum tare_status tare_job_replay(struct tare_job_result *result, const json_t *record,
                                 const char *results_dir, struct tare_err *err);

/* The job was done, and what it did is no good. */
void tare_job_spoil(struct tare_job_result *result, const char *reason);

/* ---- deploy.c -----------------------------------------------------------------------------------
 */

/* A test set of one image for cold starts: where it is, in the first run's folder; and writes it.
 */
enum tare_status tare_deploy_name_image(struct tare_campaign_state *state, const char *folder,
                                        struct tare_err *err);
enum tare_status tare_deploy_write_image(struct tare_campaign_state *state, struct tare_err *err);

/* Writes tare's own exports of a training job's weights into job_dir/tare, each as an EXPORT event
 * of the job, and makes the reference that they are compared with. A job whose weights can't be
 * read or exported is spoilt; one without weights has neither. */
enum tare_status tare_deploy_export(struct tare_campaign_state *state,
                                    struct tare_job_result *result, const char *job_dir,
                                    struct tare_err *err);

/* An infer job's latencies, and its logits by the reference, into its result: what is further off
 * than float32 explains spoils it. TARE_MEMORY or TARE_OK. */
enum tare_status tare_deploy_judge(const struct tare_campaign_state *state,
                                   struct tare_job_result *result, const struct tare_array *logits,
                                   const char *job_dir, struct tare_err *err);

/* Runs every exported file of a training job in the runtime of its format: over the test set, and
 * in a process of its own for a cold start. Ends the reference's life. */
enum tare_status tare_deploy_run(struct tare_campaign_state *state,
                                 const struct tare_job_result *trained, struct tare_err *err);

#endif
