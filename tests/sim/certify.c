/* certify.c: certificates of the simulated laboratory: three jobs of a virtual engine, and a
 * verdict by its seed (world.h). */
#include "tare/certify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tare/lab.h"
#include "world.h"

static enum tare_status run_job(struct tare_certificate *c, const struct tare_certify_request *r,
                                const char *program, const char *name, struct tare_err *err) {
    static struct tare_job job;
    static struct tare_outcome outcome;
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH], job_file[32], log_file[32];
    snprintf(job_file, sizeof job_file, "%s.json", name);
    snprintf(log_file, sizeof log_file, "%s.log", name);
    tare_job_defaults(&job);
    snprintf(job.task, sizeof job.task, "train");
    snprintf(job.track, sizeof job.track, "controlled");
    if (!tare_job_path(job_path, r->dir, job_file) || !tare_job_path(log_path, r->dir, log_file))
        return tare_fail(err, TARE_IO, r->dir, NULL, "the path is too long");
    struct tare_launch launch = {.program = program,
                                 .engine = r->engine,
                                 .job_path = job_path,
                                 .log_path = log_path,
                                 .threads = r->threads,
                                 .timeout_s = r->timeout_s,
                                 .stop = r->stop};
    enum tare_status status = tare_launch_job(&outcome, &launch, &job, err);
    if (status == TARE_OK && outcome.interrupted)
        status = tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
    else if (status == TARE_OK && outcome.state != TARE_STATE_OK &&
             outcome.state != TARE_STATE_VOID) {
        c->state = TARE_CERTIFICATE_NOT_CHECKED;
        c->job_state = outcome.state;
        snprintf(c->reason, sizeof c->reason, "%s", outcome.reason);
    }
    tare_outcome_free(&outcome);
    return status;
}

enum tare_status tare_certify(struct tare_certificate *c, const struct tare_certify_request *r,
                              struct tare_err *err) {
    static const char *const jobs[] = {"gradient", "steps", "range"};
    char *program = NULL, key[128];
    struct tare_err why = {0};
    *c = (struct tare_certificate){.seed = r->plan->seed + r->run, .threads = r->threads};
    snprintf(c->engine, sizeof c->engine, "%s", r->engine);
    snprintf(c->variant, sizeof c->variant, "%s", r->variant);
    snprintf(c->device, sizeof c->device, "%s", r->device);
    snprintf(key, sizeof key, "%s/%s", c->engine, c->variant);
    c->largest.value = 0.5 + (double)(sim_hash(key, "ratio") % 1000) * 1e-3;
    if (tare_engine_find(&program, r->engine, &why) != TARE_OK) {
        c->state = TARE_CERTIFICATE_NOT_CHECKED;
        c->job_state = TARE_STATE_SKIPPED;
        snprintf(c->reason, sizeof c->reason, "%s", why.what);
        return TARE_OK;
    }
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < 3 && status == TARE_OK && c->state == TARE_CERTIFICATE_OK; i++)
        status = run_job(c, r, program, jobs[i], err);
    if (status == TARE_OK && c->state == TARE_CERTIFICATE_OK && sim_chance(key, "other work", 8)) {
        c->state = TARE_CERTIFICATE_NOT_SAME_WORK;
        c->first = (struct tare_finding){.value = 77};
        c->first_step = 10;
        snprintf(c->reason, sizeof c->reason, "weights after step 10: 77 times as far");
    }
    free(program);
    return status;
}

/* Virtual engines' first losses are 0.5 … 0.6; the reference is far off for some seeds. */
enum tare_status tare_reference_epoch(double *mean_loss, const struct tare_plan *plan, size_t run,
                                      const struct tare_dataset *dataset,
                                      const volatile sig_atomic_t *stop, struct tare_err *err) {
    (void)plan;
    (void)stop;
    (void)dataset;
    (void)err;
    sim_call();
    *mean_loss = sim_chance("reference", run ? "later" : "first", 6) ? 0.7 : 0.55;
    return TARE_OK;
}
