/* certificate_jobs.c: what the certificate asks an engine to do, and reading what it did. Three
 * jobs on the same weights and order: 100 steps one at a time, showing everything; the same as one
 * range, as a timed run takes them; and one step of SGD with an enormous learning rate, whose
 * change of the weights is the gradient. */
#include "lab/certificate_jobs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab/inputs.h"
#include "tare/buf.h"
#include "tare/safetensors.h"

struct session {
    struct tare_certificate *certificate;
    const struct tare_certify_request *request;
    const struct tare_problem *problem;
    char dir[TARE_MAX_PATH]; /* absolute */
    char *program;
};

/* ---- files -------------------------------------------------------------------------------------
 */

static enum tare_status put_path(char out[TARE_MAX_PATH], const struct session *s, const char *file,
                                 struct tare_err *err) {
    int size = snprintf(out, TARE_MAX_PATH, "%s/%s", s->dir, file);
    return size < TARE_MAX_PATH ? TARE_OK
                                : tare_fail(err, TARE_IO, s->dir, "use a shorter path",
                                            "the path is too long for a job");
}

/* A path for an engine to write to; what an earlier certificate left there must not be judged. */
static enum tare_status put_output(char out[TARE_MAX_PATH], const struct session *s,
                                   const char *file, struct tare_err *err) {
    enum tare_status status = put_path(out, s, file, err);
    return status == TARE_OK ? tare_remove_tree(out, err) : status;
}

/* What the three jobs share: the initial weights, the order, the test images to look at. */
static enum tare_status write_shared(const struct session *s, struct tare_err *err) {
    char path[TARE_MAX_PATH];
    const struct tare_problem *p = s->problem;
    struct tare_array probes = p->set->test_images;
    probes.shape[0] = p->probes;
    enum tare_status status = put_path(path, s, "init.safetensors", err);
    if (status == TARE_OK)
        status = tare_net_write(path, &p->plan->net, p->params, "u8/255", NULL, err);
    if (status == TARE_OK)
        status = put_path(path, s, "order.npy", err);
    if (status == TARE_OK)
        status = tare_npy_write(path, &p->order, err);
    if (status == TARE_OK)
        status = put_path(path, s, "probes.npy", err);
    if (status == TARE_OK)
        status = tare_npy_write(path, &probes, err);
    return status;
}

static enum tare_status open_dir(struct session *s, struct tare_err *err) {
    enum tare_status status = tare_make_dirs(s->request->dir, err);
    if (status != TARE_OK)
        return status;
    char *absolute = realpath(s->request->dir, NULL);
    if (!absolute)
        return tare_fail_errno(err, s->request->dir, NULL, "cannot be found");
    int size = snprintf(s->dir, sizeof s->dir, "%s", absolute);
    free(absolute);
    if (size >= TARE_MAX_PATH)
        return tare_fail(err, TARE_IO, s->request->dir, "use a shorter path",
                         "the path is too long for a job");
    return write_shared(s, err);
}

/* An engine's file that can't be used: it can't be certified, and tare itself goes on. */
static void not_checked(struct session *s, const struct tare_err *why) {
    s->certificate->state = TARE_CERTIFICATE_NOT_CHECKED;
    s->certificate->job_state = TARE_STATE_FAILED;
    snprintf(s->certificate->reason, sizeof s->certificate->reason, "%.200s: %.300s", why->where,
             why->what);
}

static enum tare_status read_floats(double *out, size_t count, const char *path,
                                    struct tare_err *err) {
    struct tare_array array = {0};
    enum tare_status status = tare_own_file(path, err);
    if (status == TARE_OK)
        status = tare_npy_read(&array, path, err);
    if (status != TARE_OK)
        return status;
    if (array.dtype != TARE_F32 || tare_array_count(&array) != count)
        status = tare_fail(err, TARE_DATA, path, NULL, "does not hold %zu float32 values", count);
    for (size_t i = 0; i < count && status == TARE_OK; i++)
        out[i] = (double)((const float *)array.data)[i];
    tare_array_free(&array);
    return status;
}

/* tare_net_from_tensors would refuse a NaN; here it must be read, and judged. */
static enum tare_status read_weights(double *out, const struct tare_net *net, const char *path,
                                     struct tare_err *err) {
    struct tare_tensors file = {0};
    enum tare_status status = tare_own_file(path, err);
    if (status == TARE_OK)
        status = tare_safetensors_read(&file, path, err);
    for (int t = 0; t < net->tensor_count && status == TARE_OK; t++) {
        const struct tare_net_tensor *wanted = &net->tensors[t];
        const struct tare_tensor *found = tare_tensors_find(&file, wanted->name);
        if (!found || found->array.dtype != TARE_F32 || found->array.rank != wanted->rank ||
            memcmp(found->array.shape, wanted->shape,
                   (size_t)wanted->rank * sizeof *wanted->shape) != 0)
            status = tare_fail(err, TARE_DATA, path, NULL, "holds no float32 %s of the net's shape",
                               wanted->name);
        for (size_t i = 0; i < wanted->count && status == TARE_OK; i++)
            out[wanted->offset + i] = (double)((const float *)found->array.data)[i];
    }
    tare_tensors_free(&file);
    return status;
}

/* ---- jobs --------------------------------------------------------------------------------------
 */

static enum tare_status fill_job(struct tare_job *job, const struct session *s,
                                 struct tare_err *err) {
    const struct tare_certify_request *r = s->request;
    const struct tare_plan *x = r->plan;
    tare_job_defaults(job);
    snprintf(job->task, sizeof job->task, "train");
    snprintf(job->track, sizeof job->track, "controlled");
    snprintf(job->variant, sizeof job->variant, "%s", r->variant ? r->variant : "");
    snprintf(job->model, sizeof job->model, "%s", x->model);
    snprintf(job->device, sizeof job->device, "%s", r->device);
    job->lr = x->lr;
    job->batch = x->batch;
    job->epochs = 1;
    job->steps = TARE_CERTIFY_STEPS;
    job->threads = r->threads;
    job->seed = x->seed + r->run;
    enum tare_status status = put_path(job->init, s, "init.safetensors", err);
    if (status == TARE_OK)
        status = put_path(job->order, s, "order.npy", err);
    if (snprintf(job->images, TARE_MAX_PATH, "%s/train_images.npy", r->prepared) >= TARE_MAX_PATH ||
        snprintf(job->labels, TARE_MAX_PATH, "%s/train_labels.npy", r->prepared) >= TARE_MAX_PATH)
        return tare_fail(err, TARE_IO, r->prepared, "use a shorter path",
                         "the path is too long for a job");
    return status;
}

/* Runs a job under dir/NAME.json. A void outcome broke a rule of timing; what it computed counts.
 */
static enum tare_status run_job(struct session *s, const struct tare_job *job, const char *name,
                                struct tare_err *err) {
    struct tare_certificate *c = s->certificate;
    char job_path[TARE_MAX_PATH], log_path[TARE_MAX_PATH], file[32];
    snprintf(file, sizeof file, "%s.json", name);
    enum tare_status status = put_output(job_path, s, file, err);
    snprintf(file, sizeof file, "%s.log", name);
    if (status == TARE_OK)
        status = put_output(log_path, s, file, err);
    if (status != TARE_OK)
        return status;
    struct tare_launch how = {.program = s->program,
                              .engine = s->request->engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = s->request->threads,
                              .timeout_s = s->request->timeout_s,
                              .stop = s->request->stop};
    struct tare_outcome outcome;
    status = tare_launch_job(&outcome, &how, job, err);
    if (status != TARE_OK)
        return status;
    snprintf(c->version, sizeof c->version, "%s", outcome.version);
    if (outcome.interrupted)
        status = tare_fail(err, TARE_INTERRUPTED, s->request->engine, NULL, "interrupted");
    else if (outcome.state != TARE_STATE_OK && outcome.state != TARE_STATE_VOID) {
        c->state = TARE_CERTIFICATE_NOT_CHECKED;
        c->job_state = outcome.state;
        snprintf(c->reason, sizeof c->reason, "%s", outcome.reason);
        snprintf(c->fix, sizeof c->fix, "%s", outcome.fix);
    }
    tare_outcome_free(&outcome);
    return status;
}

/* The three jobs; each returns TARE_OK with certificate->state NOT_CHECKED when the engine's part
 * of it went wrong. */

static enum tare_status step_by_step(struct session *s, double *trace, const struct tare_layout *l,
                                     struct tare_err *err) {
    static struct tare_job job; /* static: some 12 kB */
    struct tare_err why = {0};
    enum tare_status status = fill_job(&job, s, err);
    job.range = 1;
    job.dump_count = TARE_TRACE_DUMPS;
    memcpy(job.dump_at, tare_trace_dump_at, sizeof tare_trace_dump_at);
    snprintf(job.dump_dir, sizeof job.dump_dir, "%s", s->dir);
    if (status == TARE_OK)
        status = put_path(job.test_images, s, "probes.npy", err);
    if (status == TARE_OK)
        status = put_output(job.logits_before, s, "logits-before.npy", err);
    if (status == TARE_OK)
        status = put_output(job.losses, s, "losses.npy", err);
    char dumps[TARE_TRACE_DUMPS][TARE_MAX_PATH], file[64];
    for (size_t d = 0; d < TARE_TRACE_DUMPS && status == TARE_OK; d++) {
        snprintf(file, sizeof file, "weights-%zu.safetensors", tare_trace_dump_at[d]);
        status = put_output(dumps[d], s, file, err);
    }
    if (status == TARE_OK)
        status = run_job(s, &job, "steps", err);
    if (status != TARE_OK || s->certificate->state != TARE_CERTIFICATE_OK)
        return status;
    const struct tare_net *net = &s->request->plan->net;
    status =
        read_floats(trace + l->logits, s->problem->probes * net->n_out, job.logits_before, &why);
    if (status == TARE_OK)
        status = read_floats(trace + l->losses, TARE_CERTIFY_STEPS, job.losses, &why);
    for (size_t d = 0; d < TARE_TRACE_DUMPS && status == TARE_OK; d++)
        status = read_weights(trace + l->weights[d], net, dumps[d], &why);
    if (status != TARE_OK)
        not_checked(s, &why);
    return TARE_OK;
}

static enum tare_status as_one_range(struct session *s, double *trace, const struct tare_layout *l,
                                     struct tare_err *err) {
    static struct tare_job job;
    struct tare_err why = {0};
    enum tare_status status = fill_job(&job, s, err);
    job.range = TARE_CERTIFY_STEPS;
    job.first_apart = false;
    if (status == TARE_OK)
        status = put_output(job.losses, s, "range-losses.npy", err);
    if (status == TARE_OK)
        status = put_output(job.out, s, "range-weights.safetensors", err);
    if (status == TARE_OK)
        status = run_job(s, &job, "range", err);
    if (status != TARE_OK || s->certificate->state != TARE_CERTIFICATE_OK)
        return status;
    status = read_floats(trace + l->losses, TARE_CERTIFY_STEPS, job.losses, &why);
    if (status == TARE_OK)
        status = read_weights(trace + l->weights[TARE_TRACE_DUMPS - 1], &s->request->plan->net,
                              job.out, &why);
    if (status != TARE_OK)
        not_checked(s, &why);
    return TARE_OK;
}

static enum tare_status show_gradient(struct session *s, double *trace, const struct tare_layout *l,
                                      struct tare_err *err) {
    static struct tare_job job;
    struct tare_err why = {0};
    const struct tare_net *net = &s->request->plan->net;
    enum tare_status status = fill_job(&job, s, err);
    snprintf(job.optimizer, sizeof job.optimizer, "sgd");
    job.lr = TARE_GRADIENT_LR;
    job.steps = 1;
    if (status == TARE_OK)
        status = put_output(job.out, s, "gradient-weights.safetensors", err);
    if (status == TARE_OK)
        status = run_job(s, &job, "gradient", err);
    if (status != TARE_OK || s->certificate->state != TARE_CERTIFICATE_OK)
        return status;
    double *gradient = trace + l->gradient;
    if (read_weights(gradient, net, job.out, &why) != TARE_OK)
        not_checked(s, &why);
    for (size_t i = 0; i < net->param_count; i++)
        gradient[i] = ((double)s->problem->params[i] - gradient[i]) / TARE_GRADIENT_LR;
    return TARE_OK;
}

enum tare_status tare_certificate_jobs(struct tare_certificate *certificate, double *steps,
                                       double *range, const struct tare_certify_request *request,
                                       const struct tare_problem *problem,
                                       const struct tare_layout *layout, struct tare_err *err) {
    static struct session s; /* static: a path of 1 kB; one certificate is made at a time */
    struct tare_err why = {0};
    s = (struct session){.certificate = certificate, .request = request, .problem = problem};
    if (tare_engine_find(&s.program, request->engine, &why) != TARE_OK) {
        not_checked(&s, &why);
        certificate->job_state = TARE_STATE_SKIPPED;
        snprintf(certificate->fix, sizeof certificate->fix, "%s", why.hint);
        return TARE_OK;
    }
    enum tare_status status = open_dir(&s, err);
    if (status == TARE_OK)
        status = show_gradient(&s, steps, layout, err);
    if (status == TARE_OK && certificate->state == TARE_CERTIFICATE_OK)
        status = step_by_step(&s, steps, layout, err);
    if (status == TARE_OK && certificate->state == TARE_CERTIFICATE_OK)
        status = as_one_range(&s, range, layout, err);
    free(s.program);
    return status;
}
