/* campaign.c: carries out an experiment: certificates and discarded warm-ups first, then round
 * after round in a seeded order, each finished job graded and recorded before the next begins
 * (run_job.c), and what it trained exported and run by the runtimes (deploy.c). */
#include <stdlib.h>
#include <string.h>

#include "lab/campaign.h"
#include "lab/provenance.h"
#include "tare/buf.h"
#include "tare/clock.h"

/* ---- files that all engines of a run share ------------------------------------------------------
 */

static enum tare_status begin_run(struct tare_campaign_state *s, size_t run, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    struct tare_buf folder = {0};
    tare_buf_printf(&folder, "%s/runs/%zu", s->dir, run);
    free(s->init);
    free(s->order);
    s->init = folder.failed ? NULL : tare_path_join(folder.data, "init.safetensors");
    s->order = folder.failed ? NULL : tare_path_join(folder.data, "order.npy");
    enum tare_status status =
        s->init && s->order ? tare_make_dirs(folder.data, err)
                            : tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for a run");
    if (status == TARE_OK)
        status = tare_plan_write_run(s->init, s->order, x, run,
                                     s->campaign->dataset->train_images.shape[0], err);
    if (status == TARE_OK && run == 0)
        status = tare_deploy_write_image(s, folder.data, err);
    tare_buf_free(&folder);
    return status == TARE_OK ? tare_samples_append(s->dir, tare_record_run(run, s->dir), err)
                             : status;
}

/* ---- the parts of a campaign -------------------------------------------------------------------
 */

static double estimate_s(const struct tare_campaign_state *s, const struct tare_cell *cell) {
    return tare_plan_cell_seconds(cell, s->campaign->plan,
                                  s->campaign->dataset->train_images.shape[0]);
}

/* Whether a cell must prove that it does the same work: not the tutorials, whose work differs by
 * design, and not the null engine, which does none. */
static bool is_certified(const struct tare_plan *plan, const struct tare_cell *cell) {
    return plan->certify && strcmp(cell->track, "controlled") == 0 &&
           strcmp(cell->engine, "null") != 0;
}

/* The first timed run is judged too: the mean loss of its first epoch. A certificate that this
 * overturns is recorded anew; the last record of a cell is the one that holds. */
static enum tare_status certify_epoch(struct tare_campaign_state *s,
                                      const struct tare_job_result *result,
                                      struct tare_certificate *certificate, struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    double reference = 0;
    for (size_t i = 0; i < result->outcome.event_count; i++) {
        const struct tare_event *event = &result->outcome.events[i];
        if (event->kind != TARE_EVENT_EPOCH || event->index != 0)
            continue;
        enum tare_status status =
            tare_reference_epoch(&reference, c->plan, (size_t)result->run, c->dataset, err);
        if (status != TARE_OK)
            return status;
        tare_certificate_epoch(certificate, event->value, reference);
        if (certificate->state != TARE_CERTIFICATE_OK)
            s->campaign->failed_jobs++;
        return tare_samples_append(s->dir, tare_certificate_json(certificate), err);
    }
    return TARE_OK;
}

/* `which` is the cell's index in the plan, or TARE_MAX_CELLS for the harness. */
static enum tare_status run_cell(struct tare_campaign_state *s, const struct tare_cell *cell,
                                 size_t run, size_t which, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    struct tare_job_result result = {
        .run = (int)run, .task = "train", .cell = *cell, .batch = x->batch};
    enum tare_status status = tare_job_run(s, &result, "train", err);
    if (status == TARE_OK)
        status = tare_deploy_run(s, &result, err);
    if (status == TARE_OK && run == 0 && is_certified(x, cell) &&
        s->certificates[which].state == TARE_CERTIFICATE_OK)
        status = certify_epoch(s, &result, &s->certificates[which], err);
    s->given_up[which] = result.outcome.timed_out;
    tare_job_finish(&result);
    s->spent_s += estimate_s(s, cell);
    return status;
}

/* Proves, before any timing, that a cell does the same work. */
static enum tare_status certify(struct tare_campaign_state *s, size_t which, struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_cell *cell = &c->plan->cells[which];
    struct tare_certificate *certificate = &s->certificates[which];
    struct tare_job_result shown = {.run = -1, .cell = *cell};
    char dir[TARE_MAX_PATH];
    if (snprintf(dir, sizeof dir, "%s/certificates/%02zu-%s%s%s", s->dir, which, cell->engine,
                 cell->variant[0] ? "-" : "", cell->variant) >= TARE_MAX_PATH)
        return tare_fail(err, TARE_USAGE, s->dir, "choose a shorter --out", "the path is too long");
    struct tare_certify_request request = {.plan = c->plan,
                                           .dataset = c->dataset,
                                           .prepared = c->prepared,
                                           .engine = cell->engine,
                                           .variant = cell->variant,
                                           .device = cell->device,
                                           .threads = cell->threads,
                                           .dir = dir,
                                           .timeout_s = c->plan->timeout_s,
                                           .stop = c->stop};
    tare_job_progress(s, &shown, "certificate", false);
    shown.outcome.exec_ns = tare_now_ns();
    enum tare_status status = tare_certify(certificate, &request, err);
    shown.outcome.end_ns = tare_now_ns();
    if (status == TARE_OK) {
        json_t *record = tare_certificate_json(certificate);
        json_object_set_new(record, "files",
                            tare_provenance_files(s->dir, dir + strlen(s->dir) + 1));
        status = tare_samples_append(s->dir, record, err);
    }
    s->given_up[which] = certificate->state != TARE_CERTIFICATE_OK;
    shown.outcome.state = certificate->state == TARE_CERTIFICATE_OK ? TARE_STATE_OK
                          : certificate->state == TARE_CERTIFICATE_NOT_SAME_WORK
                              ? TARE_STATE_NOT_SAME_WORK
                              : certificate->job_state;
    snprintf(shown.outcome.reason, sizeof shown.outcome.reason, "%s", certificate->reason);
    if (status == TARE_OK && s->given_up[which])
        s->campaign->failed_jobs++;
    if (status == TARE_OK)
        tare_job_progress(s, &shown, "certificate", true);
    return status;
}

/* Each cell once before the first run: the certificate's processes, or a discarded import. A cell
 * that fails here costs no further time. */
static enum tare_status warm_up(struct tare_campaign_state *s, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < x->cell_count && status == TARE_OK; i++) {
        if (x->cells[i].again) { /* the same program: what is known of the cell before it */
            s->certificates[i] = s->certificates[i - 1];
            s->given_up[i] = s->given_up[i - 1];
            continue;
        }
        if (is_certified(x, &x->cells[i])) {
            status = certify(s, i, err);
            continue;
        }
        struct tare_job_result result = {
            .run = -1, .task = "warmup", .cell = x->cells[i], .batch = x->batch};
        status = tare_job_run(s, &result, "warm-up", err);
        s->given_up[i] =
            result.outcome.state != TARE_STATE_OK && result.outcome.state != TARE_STATE_VOID;
        tare_job_finish(&result);
    }
    return status;
}

/* One round: every cell once, in the run's own order, and the null engine last. */
static enum tare_status run_round(struct tare_campaign_state *s, size_t run, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    int32_t visit[TARE_MAX_CELLS];
    enum tare_status status = begin_run(s, run, err);
    tare_plan_order(visit, x, run);
    for (size_t i = 0; i < x->cell_count && status == TARE_OK; i++) {
        size_t cell = (size_t)visit[i];
        if (s->given_up[cell]) {
            s->done++;
            continue;
        }
        status = run_cell(s, &x->cells[cell], run, cell, err);
    }
    struct tare_cell harness;
    return status == TARE_OK && tare_plan_harness(&harness, x)
               ? run_cell(s, &harness, run, TARE_MAX_CELLS, err)
               : status;
}

/* The last line, which says that nothing is missing after it. An interrupt stays one. */
static enum tare_status end(struct tare_campaign_state *s, enum tare_status status,
                            struct tare_err *err) {
    struct tare_err end_err = {0};
    enum tare_status ended =
        tare_samples_append(s->dir, tare_record_end(status == TARE_OK), &end_err);
    if (ended != TARE_OK && err)
        *err = end_err;
    return ended != TARE_OK ? ended : status;
}

enum tare_status tare_campaign_run(struct tare_campaign *campaign, struct tare_err *err) {
    const struct tare_plan *x = campaign->plan;
    struct tare_campaign_state s = {.campaign = campaign,
                                    .dir = realpath(campaign->dir, NULL),
                                    .total = x->runs * x->cell_count};
    struct tare_cell harness;
    double run_s = 0;
    for (size_t i = 0; i < x->cell_count; i++)
        run_s += estimate_s(&s, &x->cells[i]);
    if (tare_plan_harness(&harness, x)) {
        s.total += x->runs;
        run_s += estimate_s(&s, &harness);
    }
    s.planned_s = run_s * (double)x->runs;
    campaign->failed_jobs = 0;
    s.certificates = calloc(TARE_MAX_CELLS, sizeof *s.certificates);
    if (!s.certificates)
        return tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for its certificates");
    enum tare_status status =
        s.dir ? tare_samples_append(s.dir, tare_record_experiment(campaign), err)
              : tare_fail_errno(err, campaign->dir, NULL, "the results folder cannot be used");
    if (status == TARE_OK)
        status = warm_up(&s, err);
    s.start_ns = tare_now_ns(); /* the estimate is of the runs */
    for (size_t run = 0; run < x->runs && status == TARE_OK; run++)
        status = run_round(&s, run, err);
    if (status == TARE_OK || status == TARE_INTERRUPTED)
        status = end(&s, status, err);
    free(s.certificates);
    free(s.test_images);
    tare_parity_reference_free(&s.reference);
    free(s.dir);
    free(s.init);
    free(s.order);
    if (status == TARE_OK && campaign->failed_jobs > 0)
        status =
            tare_fail(err, TARE_FAILED, NULL, NULL, "%zu jobs were not ok", campaign->failed_jobs);
    return status;
}
