/* campaign.c: carries out an experiment: certificates and discarded warm-ups first, then round
 * after round in a seeded order, each finished job graded and recorded before the next begins
 * (run_job.c), and what it trained exported and run by the runtimes (deploy.c). */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "lab/campaign.h"
#include "lab/inputs.h"
#include "lab/provenance.h"
#include "tare/buf.h"
#include "tare/clock.h"

static enum tare_status append(struct tare_campaign_state *s, json_t *record,
                               struct tare_err *err) {
    return tare_journal_append(s->journal, record, s->campaign->machine, err);
}

/* ---- files that all engines of a run share ------------------------------------------------------
 */

static enum tare_status write_run(struct tare_campaign_state *s, const char *folder, size_t run,
                                  struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    enum tare_status status = tare_make_empty_dir(folder, err);
    if (status == TARE_OK)
        status = tare_plan_write_run(s->init, s->order, c->plan, run,
                                     c->dataset->train_images.shape[0], err);
    if (status == TARE_OK && run == 0)
        status = tare_deploy_write_image(s, err);
    return status == TARE_OK ? append(s, tare_record_run(run, s->dir), err) : status;
}

static enum tare_status begin_run(struct tare_campaign_state *s, size_t run, struct tare_err *err) {
    struct tare_buf folder = {0};
    tare_buf_printf(&folder, "%s/runs/%zu", s->dir, run);
    free(s->init);
    free(s->order);
    s->init = folder.failed ? NULL : tare_path_join(folder.data, "init.safetensors");
    s->order = folder.failed ? NULL : tare_path_join(folder.data, "order.npy");
    enum tare_status status =
        s->init && s->order ? TARE_OK
                            : tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for a run");
    const json_t *record = NULL;
    if (status == TARE_OK && run == 0)
        status = tare_deploy_name_image(s, folder.data, err);
    if (status == TARE_OK)
        status =
            tare_journal_next(&record, s->journal,
                              json_pack("{s:s,s:I}", "record", "run", "run", (json_int_t)run), err);
    if (status == TARE_OK && !record)
        status = write_run(s, folder.data, run, err);
    tare_buf_free(&folder);
    return status;
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

/* ---- certificates ------------------------------------------------------------------------------
 */

static bool is_ok(const json_t *certificate) {
    const char *state = json_string_value(json_object_get(certificate, "state"));
    return state && strcmp(state, tare_certificate_state_name(TARE_CERTIFICATE_OK)) == 0;
}

/* The campaign goes by what was recorded, so that it does the same whether that was now or in an
 * earlier session. */
static void keep_certificate(struct tare_campaign_state *s, size_t which, const json_t *record) {
    json_decref(s->certificates[which]);
    s->certificates[which] = json_deep_copy(record);
    s->campaign->failed_jobs += !is_ok(record);
}

static json_t *certificate_identity(const struct tare_cell *cell) {
    return json_pack("{s:s,s:s,s:s,s:s,s:i}", "record", "certificate", "engine", cell->engine,
                     "variant", cell->variant, "device", cell->device, "threads", cell->threads);
}

/* The certificate's record as it stands after the first epoch. */
static json_t *epoch_record(const json_t *before, const struct tare_certificate *certificate) {
    const size_t lost = tare_json_lost();
    json_t *record = json_deep_copy(before);
    json_object_del(record, "files");
    json_object_del(record, "chain");
    bool good =
        record &&
        json_object_set_new(record, "state",
                            json_string(tare_certificate_state_name(certificate->state))) == 0 &&
        json_object_set_new(record, "reason", json_string(certificate->reason)) == 0;
    if (good)
        return tare_json_whole(record, lost);
    json_decref(record);
    return NULL;
}

/* The first timed run is judged too: the mean loss of its first epoch. The certificate is recorded
 * anew, and the last record of a cell is the one that holds. */
static enum tare_status certify_epoch(struct tare_campaign_state *s,
                                      const struct tare_job_result *result, size_t which,
                                      struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_event *epoch = NULL;
    for (size_t i = 0; i < result->outcome.event_count && !epoch; i++)
        if (result->outcome.events[i].kind == TARE_EVENT_EPOCH &&
            result->outcome.events[i].index == 0)
            epoch = &result->outcome.events[i];
    if (!epoch)
        return TARE_OK;
    const json_t *recorded = NULL;
    double reference = 0;
    enum tare_status status =
        tare_journal_next(&recorded, s->journal, certificate_identity(&result->cell), err);
    if (status == TARE_OK && recorded) {
        keep_certificate(s, which, recorded);
        return TARE_OK;
    }
    if (status == TARE_OK)
        status = tare_reference_epoch(&reference, c->plan, (size_t)result->run, c->dataset, c->stop,
                                      err);
    if (status != TARE_OK)
        return status;
    struct tare_certificate judged = {.state = TARE_CERTIFICATE_OK};
    tare_certificate_epoch(&judged, epoch->value, reference);
    json_t *record = epoch_record(s->certificates[which], &judged);
    keep_certificate(s, which, record);
    return append(s, record, err);
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
    if (status == TARE_OK && run == 0 && is_certified(x, cell) && is_ok(s->certificates[which]))
        status = certify_epoch(s, &result, which, err);
    s->given_up[which] = result.outcome.timed_out;
    if (result.replayed) /* the time that is left is of what is left */
        s->planned_s -= estimate_s(s, cell);
    else
        s->spent_s += estimate_s(s, cell);
    tare_job_finish(&result);
    return status;
}

/* Runs a certificate's jobs and records what they proved. */
static enum tare_status prove(struct tare_campaign_state *s, size_t which, const char *dir,
                              struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    const struct tare_cell *cell = &c->plan->cells[which];
    struct tare_certificate certificate;
    struct tare_job_result shown = {.run = -1, .cell = *cell};
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
    enum tare_status status = tare_make_empty_dir(dir, err);
    if (status == TARE_OK)
        status = tare_inputs_certify(&certificate, &request, s, err);
    shown.outcome.end_ns = tare_now_ns();
    if (status != TARE_OK)
        return status;
    json_t *record = tare_certificate_json(&certificate);
    json_object_set_new(record, "files", tare_provenance_files(s->dir, dir + strlen(s->dir) + 1));
    keep_certificate(s, which, record);
    status = append(s, record, err);
    shown.outcome.state = certificate.state == TARE_CERTIFICATE_OK ? TARE_STATE_OK
                          : certificate.state == TARE_CERTIFICATE_NOT_SAME_WORK
                              ? TARE_STATE_NOT_SAME_WORK
                              : certificate.job_state;
    snprintf(shown.outcome.reason, sizeof shown.outcome.reason, "%s", certificate.reason);
    if (status == TARE_OK)
        tare_job_progress(s, &shown, "certificate", true);
    return status;
}

/* Before any timing, a cell proves that it does the same work. */
static enum tare_status certify(struct tare_campaign_state *s, size_t which, struct tare_err *err) {
    const struct tare_cell *cell = &s->campaign->plan->cells[which];
    const json_t *record = NULL;
    char dir[TARE_MAX_PATH];
    if (snprintf(dir, sizeof dir, "%s/certificates/%02zu-%s%s%s", s->dir, which, cell->engine,
                 cell->variant[0] ? "-" : "", cell->variant) >= TARE_MAX_PATH)
        return tare_fail(err, TARE_USAGE, s->dir, "choose a shorter --out", "the path is too long");
    enum tare_status status =
        tare_journal_next(&record, s->journal, certificate_identity(cell), err);
    if (status == TARE_OK && record)
        keep_certificate(s, which, record);
    else if (status == TARE_OK)
        status = prove(s, which, dir, err);
    s->given_up[which] = !is_ok(s->certificates[which]);
    return status;
}

/* Each cell once before the first run: the certificate's processes, or a discarded import. A cell
 * that fails here costs no further time. */
static enum tare_status warm_up(struct tare_campaign_state *s, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < x->cell_count && status == TARE_OK; i++) {
        if (x->cells[i].again) { /* the same program: what is known of the cell before it */
            s->certificates[i] = json_incref(s->certificates[i - 1]);
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
    enum tare_status ended = append(s, tare_record_end(status == TARE_OK), &end_err);
    if (ended != TARE_OK && err)
        *err = end_err;
    return ended != TARE_OK ? ended : status;
}

static enum tare_status go_through(struct tare_campaign_state *s, struct tare_err *err) {
    const struct tare_plan *x = s->campaign->plan;
    enum tare_status status = warm_up(s, err);
    s->start_ns = tare_now_ns(); /* the estimate is of the runs */
    for (size_t run = 0; run < x->runs && status == TARE_OK; run++)
        status = run_round(s, run, err);
    if (status == TARE_OK && !tare_journal_is_live(s->journal))
        status = tare_fail(err, TARE_DATA, s->dir, "measure anew, with a new --out",
                           "samples.jsonl holds more than its plan asks for");
    return status == TARE_OK || status == TARE_INTERRUPTED ? end(s, status, err) : status;
}

static void count_work(struct tare_campaign_state *s) {
    const struct tare_plan *x = s->campaign->plan;
    struct tare_cell harness;
    double run_s = 0;
    s->total = x->runs * x->cell_count;
    for (size_t i = 0; i < x->cell_count; i++)
        run_s += estimate_s(s, &x->cells[i]);
    if (tare_plan_harness(&harness, x)) {
        s->total += x->runs;
        run_s += estimate_s(s, &harness);
    }
    s->planned_s = run_s * (double)x->runs;
}

enum tare_status tare_campaign_run(struct tare_campaign *campaign, struct tare_err *err) {
    struct tare_campaign_state s = {.campaign = campaign, .journal = campaign->journal};
    enum tare_status status = TARE_OK;
    campaign->failed_jobs = 0;
    if (!s.journal)
        status = tare_journal_begin(&s.journal, campaign->dir, TARE_SAMPLES_FILE,
                                    tare_record_experiment(campaign, err), err);
    if (status == TARE_OK) {
        s.dir = s.journal->dir;
        count_work(&s);
        status = go_through(&s, err);
    }
    for (size_t i = 0; i < TARE_MAX_CELLS; i++)
        json_decref(s.certificates[i]);
    free(s.test_images);
    tare_parity_reference_free(&s.reference);
    if (!campaign->journal)
        tare_journal_free(s.journal);
    free(s.init);
    free(s.order);
    if (status == TARE_OK && campaign->failed_jobs > 0)
        status =
            tare_fail(err, TARE_FAILED, NULL, NULL, "%zu jobs were not ok", campaign->failed_jobs);
    return status;
}
