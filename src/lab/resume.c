/* resume.c: the plan of a campaign that was cut short, from the experiment's line of its
 * samples.jsonl, and whether this machine, this data and these programs are still those it was
 * measured with. Going through it again is campaign.c, with journal.c. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "lab/journal.h"
#include "lab/provenance.h"
#include "lab/read_samples.h"
#include "tare/buf.h"

#define MAX_EPOCHS 1000 /* as for the options */
#define MAX_THREADS 65536

/* ---- the plan ----------------------------------------------------------------------------------
 */

static enum tare_status take_cell(struct tare_plan *x, const struct tare_sample_cell *from,
                                  const char *where, struct tare_err *err) {
    struct tare_cell *to = &x->cells[x->cell_count];
    if (from->track == TARE_TRACK_HARNESS)
        return TARE_OK; /* follows from the others */
    if (x->cell_count == TARE_MAX_CELLS || from->threads < 1 || from->threads > MAX_THREADS ||
        strlen(from->engine) >= sizeof to->engine || strlen(from->variant) >= sizeof to->variant ||
        strlen(from->device) >= sizeof to->device)
        return tare_fail(err, TARE_DATA, where, "measure anew", "has a plan of another tare");
    snprintf(to->engine, sizeof to->engine, "%s", from->engine);
    snprintf(to->variant, sizeof to->variant, "%s", from->variant);
    snprintf(to->device, sizeof to->device, "%s", from->device);
    snprintf(to->track, sizeof to->track, "%s", tare_track_name(from->track));
    to->threads = (int)from->threads;
    to->again = from->again;
    x->cell_count++;
    return TARE_OK;
}

/* What tare compare would have let nobody plan, tare compare wrote nowhere. */
static bool is_possible(const struct tare_experiment *e) {
    return e->plan.epochs >= 1 && e->plan.epochs <= MAX_EPOCHS && e->plan.batch >= 1 &&
           e->plan.batch <= TARE_MAX_BATCH && e->plan.threads >= 1 &&
           e->plan.threads <= MAX_THREADS && e->plan.lr > 0 && e->plan.timeout_s > 0;
}

static enum tare_status take_plan(struct tare_resume *r, const struct tare_samples *samples,
                                  const char *where, struct tare_err *err) {
    const struct tare_experiment *from = &samples->experiment;
    struct tare_plan *x = &r->plan;
    if (!is_possible(from))
        return tare_fail(err, TARE_DATA, where, "measure anew", "has a plan that can't be");
    tare_plan_defaults(x);
    x->epochs = from->plan.epochs;
    x->batch = from->plan.batch;
    x->runs = from->plan.runs;
    x->seed = from->plan.seed;
    x->threads = (int)from->plan.threads;
    x->lr = from->plan.lr;
    x->timeout_s = from->plan.timeout_s;
    x->quick = from->plan.quick;
    const json_t *plan = json_object_get(r->journal->experiment, "plan");
    x->certify = json_is_true(json_object_get(plan, "certify"));
    snprintf(x->command, sizeof x->command, "%s", from->command);
    snprintf(x->model, sizeof x->model, "%s", from->plan.model);
    snprintf(r->data_sha256, sizeof r->data_sha256, "%s", from->dataset.sha256);
    snprintf(r->data_title, sizeof r->data_title, "%s", from->dataset.title);
    snprintf(r->data_source, sizeof r->data_source, "%s", from->dataset.source);
    snprintf(r->cpu, sizeof r->cpu, "%s", from->machine.cpu);
    enum tare_status status = TARE_OK;
    for (size_t i = 0; i < samples->cell_count && status == TARE_OK; i++)
        status = take_cell(x, &samples->cells[i], where, err);
    return status;
}

static enum tare_status read_plan(struct tare_resume *r, struct tare_err *err) {
    char *line = tare_json_dump(r->journal->experiment, JSON_COMPACT | JSON_PRESERVE_ORDER);
    struct tare_buf text = {0};
    if (line)
        tare_buf_printf(&text, "%s\n", line);
    free(line);
    if (!text.data || text.failed) {
        tare_buf_free(&text);
        return tare_fail(err, TARE_MEMORY, r->journal->dir, NULL, "no memory for the plan");
    }
    struct tare_samples samples;
    enum tare_status status =
        tare_samples_parse(&samples, text.data, text.size, r->journal->dir, err);
    if (status == TARE_OK) {
        status = take_plan(r, &samples, r->journal->dir, err);
        tare_memory_free(&samples.memory);
    }
    tare_buf_free(&text);
    return status;
}

enum tare_status tare_resume_open(struct tare_resume *resume, const char *dir,
                                  struct tare_err *err) {
    *resume = (struct tare_resume){0};
    enum tare_status status = tare_journal_open(&resume->journal, dir, err);
    if (status == TARE_OK) {
        resume->cut = resume->journal->cut;
        status = read_plan(resume, err);
    }
    if (status != TARE_OK)
        tare_resume_close(resume);
    return status;
}

void tare_resume_close(struct tare_resume *resume) {
    tare_journal_free(resume->journal);
    resume->journal = NULL;
}

bool tare_resume_is_complete(const struct tare_resume *resume) {
    return resume->journal->complete;
}

/* ---- is it still the same experiment? ----------------------------------------------------------
 */

static enum tare_status check_program(const char *name, const char *sha256, const char *recorded,
                                      struct tare_err *err) {
    if (recorded && strcmp(sha256, recorded) == 0)
        return TARE_OK;
    return tare_fail(err, TARE_DATA, name, "measure anew: a table must not mix two programs",
                     "is another program than the one that was measured before");
}

/* Every engine that has been measured must be the program it was then. */
static enum tare_status check_engines(const struct tare_journal *j, struct tare_err *err) {
    json_t *seen = json_object();
    enum tare_status status =
        seen ? TARE_OK : tare_fail(err, TARE_MEMORY, j->dir, NULL, "no memory for the engines");
    for (size_t i = 0; i < j->recorded_count && status == TARE_OK; i++) {
        const json_t *record = j->recorded[i].record;
        const char *engine = json_string_value(json_object_get(record, "engine"));
        const char *recorded = json_string_value(json_object_get(record, "program_sha256"));
        char *program = NULL;
        if (!engine || !recorded || !recorded[0] || json_object_get(seen, engine))
            continue;
        char sha256[65];
        status = tare_engine_find(&program, engine, err);
        if (status == TARE_OK) {
            tare_provenance_program(sha256, program);
            status = check_program(engine, sha256, recorded, err);
        }
        free(program);
        if (status == TARE_OK && json_object_set_new(seen, engine, json_true()) != 0)
            status = tare_fail(err, TARE_MEMORY, j->dir, NULL, "no memory for the engines");
    }
    json_decref(seen);
    return status;
}

enum tare_status tare_resume_check(const struct tare_resume *resume,
                                   const struct tare_dataset *dataset,
                                   const struct tare_machine *machine, struct tare_err *err) {
    const json_t *tare = json_object_get(resume->journal->experiment, "tare");
    const char *tare_sha256 = json_string_value(json_object_get(tare, "sha256"));
    if (strcmp(dataset->sha256, resume->data_sha256) != 0)
        return tare_fail(err, TARE_DATA, dataset->source, "name its folder with --data",
                         "is not the data of this experiment, %s (SHA-256 %.12s…)",
                         resume->data_title, resume->data_sha256);
    if (strcmp(machine->cpu, resume->cpu) != 0)
        return tare_fail(err, TARE_DATA, resume->journal->dir,
                         "go on where it began: a table must not mix two machines",
                         "was measured on another machine: %s, not %s", resume->cpu, machine->cpu);
    enum tare_status status = check_program("tare", tare_provenance_self(), tare_sha256, err);
    return status == TARE_OK ? check_engines(resume->journal, err) : status;
}
