/* deploy.c: what follows a training job. tare writes the trained weights as .onnx and .tflite
 * itself (src/export); these files and those that the framework exported by its own route are run
 * by the C engines onnxruntime and litert: over the test set, where their logits must agree with
 * the float64 reference of the same weights (parity.c), and once more in a process that only gets
 * one image, for a cold start and the memory of a deployment. campaign.c calls this for every cell
 * of every run; run_job.c carries out the jobs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/campaign.h"
#include "lab/problem.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/export.h"
#include "tare/row.h" /* tare_engine_title */

/* Who runs which format. */
static const struct {
    const char *format, *engine;
} runtimes[] = {{"tflite", "litert"}, {"onnx", "onnxruntime"}};
#define RUNTIME_COUNT (sizeof runtimes / sizeof *runtimes)

_Static_assert(RUNTIME_COUNT ==
                   sizeof((struct tare_campaign_state *)0)->given_up_runtime / sizeof(bool),
               "a runtime more needs room in campaign.h");

/* ---- tare's own exports -------------------------------------------------------------------------
 */

/* The weights a training job left behind, when it left any; *params is NULL otherwise. They must
 * fit the data: engines may write anything. */
static enum tare_status read_weights(struct tare_net *net, float **params,
                                     const struct tare_campaign_state *s, const char *job_dir,
                                     struct tare_err *err) {
    const struct tare_net *planned = &s->campaign->plan->net;
    char path[TARE_MAX_PATH];
    *params = NULL;
    if (!tare_job_path(path, job_dir, "weights.safetensors") || !tare_path_exists(path))
        return TARE_OK;
    enum tare_status status = tare_net_read(net, params, path, err);
    if (status == TARE_OK && (net->n_in != planned->n_in || net->n_out != planned->n_out)) {
        free(*params);
        *params = NULL;
        status = tare_fail(err, TARE_DATA, path, NULL,
                           "its net takes %zu values and gives %zu, not %zu and %zu", net->n_in,
                           net->n_out, planned->n_in, planned->n_out);
    }
    return status == TARE_IO ? TARE_DATA : status; /* a folder of that name: the engine's doing */
}

static enum tare_status add_event(struct tare_outcome *outcome, const struct tare_event *event,
                                  struct tare_err *err) {
    struct tare_event *grown =
        realloc(outcome->events, (outcome->event_count + 1) * sizeof *outcome->events);
    if (!grown)
        return tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for an export");
    outcome->events = grown;
    outcome->events[outcome->event_count++] = *event;
    return TARE_OK;
}

/* One file, timed from the weights in memory to the file on the disk. */
static enum tare_status export_one(struct tare_job_result *result, const char *dir,
                                   enum tare_export_format format, const struct tare_net *net,
                                   const float *params, const struct tare_export_options *options,
                                   struct tare_err *err) {
    struct tare_event event = {.kind = TARE_EVENT_EXPORT, .text = TARE_EXPORTER};
    snprintf(event.name, sizeof event.name, "%s", tare_export_format_name(format));
    if (snprintf(event.extra, sizeof event.extra, "%s/model.%s", dir, event.name) >=
        (int)sizeof event.extra)
        return tare_fail(err, TARE_IO, dir, "choose a shorter --out", "the path is too long");
    int64_t start_ns = tare_now_ns();
    enum tare_status status = tare_export_write(event.extra, format, net, params, options, err);
    event.wall_ns = tare_now_ns() - start_ns;
    return status == TARE_OK ? add_event(&result->outcome, &event, err) : status;
}

/* The campaign's test images as floats, made once; 31 MB of MNIST. */
static enum tare_status make_images(struct tare_campaign_state *s, struct tare_err *err) {
    const struct tare_array *images = &s->campaign->dataset->test_images;
    size_t count = tare_array_count(images);
    if (s->test_images)
        return TARE_OK;
    s->test_images = calloc(count, sizeof *s->test_images);
    if (!s->test_images)
        return tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for the test images");
    tare_read_pixels(s->test_images, images, NULL, images->shape[0], NULL,
                     count / images->shape[0]);
    return TARE_OK;
}

static enum tare_status make_reference(struct tare_campaign_state *s, const struct tare_net *net,
                                       const float *params, struct tare_err *err) {
    tare_parity_reference_free(&s->reference);
    if (s->given_up_runtime[0] && s->given_up_runtime[1])
        return TARE_OK; /* nothing will be compared with it */
    enum tare_status status = make_images(s, err);
    return status == TARE_OK
               ? tare_parity_reference_make(&s->reference, net, params, s->test_images,
                                            s->campaign->dataset->test_images.shape[0],
                                            s->campaign->stop, err)
               : status;
}

static enum tare_status export_all(struct tare_campaign_state *s, struct tare_job_result *result,
                                   const char *job_dir, const struct tare_net *net,
                                   const float *params, struct tare_err *err) {
    const struct tare_dataset *set = s->campaign->dataset;
    char dir[TARE_MAX_PATH], trained_by[2 * TARE_MAX_TEXT];
    snprintf(trained_by, sizeof trained_by, "%s %s", tare_engine_title(result->cell.engine),
             result->outcome.version);
    struct tare_export_options options = {.trained_by = trained_by,
                                          .dataset = set->title,
                                          .dataset_sha256 = set->sha256,
                                          .licence = set->licence};
    enum tare_status status =
        tare_job_path(dir, job_dir, TARE_EXPORTER)
            ? tare_make_dirs(dir, err)
            : tare_fail(err, TARE_IO, job_dir, "choose a shorter --out", "the path is too long");
    for (int f = 0; f < TARE_EXPORT_FORMAT_COUNT && status == TARE_OK; f++)
        status = export_one(result, dir, (enum tare_export_format)f, net, params, &options, err);
    return status;
}

enum tare_status tare_deploy_export(struct tare_campaign_state *s, struct tare_job_result *result,
                                    const char *job_dir, struct tare_err *err) {
    struct tare_net net;
    struct tare_err why = {0};
    float *params = NULL;
    if (strcmp(result->cell.engine, "null") == 0)
        return TARE_OK; /* it trained nothing */
    enum tare_status status = read_weights(&net, &params, s, job_dir, &why);
    if (status == TARE_OK && params)
        status = export_all(s, result, job_dir, &net, params, &why);
    if (status == TARE_OK && params)
        status = make_reference(s, &net, params, &why);
    free(params);
    if (status == TARE_MEMORY || status == TARE_IO ||
        status == TARE_INTERRUPTED) { /* tare's own trouble, not the engine's */
        if (err)
            *err = why;
        return status;
    }
    if (status != TARE_OK) {
        char reason[TARE_MAX_TEXT];
        snprintf(reason, sizeof reason, "its weights can't be exported: %s", why.what);
        tare_job_spoil(result, reason);
    }
    return TARE_OK;
}

/* ---- judging what a runtime answered ------------------------------------------------------------
 */

/* An engine that knows nothing of queries writes none. */
static enum tare_status read_latencies(struct tare_job_result *result, const char *job_dir,
                                       struct tare_err *err) {
    struct tare_array query_ns = {0};
    struct tare_err why = {0};
    char path[TARE_MAX_PATH];
    if (!tare_job_path(path, job_dir, "latencies.npy") || !tare_path_exists(path))
        return TARE_OK;
    enum tare_status status = tare_latencies_read(&query_ns, path, TARE_DEPLOY_QUERIES, &why);
    if (status == TARE_MEMORY)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory to read it");
    if (status == TARE_OK) {
        tare_latency_of(&result->latency, query_ns.data, TARE_DEPLOY_QUERIES);
        result->has_latency = true;
    } else
        tare_job_spoil(result, why.what);
    tare_array_free(&query_ns);
    return TARE_OK;
}

enum tare_status tare_deploy_judge(const struct tare_campaign_state *s,
                                   struct tare_job_result *result, const struct tare_array *logits,
                                   const char *job_dir, struct tare_err *err) {
    char reason[TARE_MAX_TEXT];
    enum tare_status status = read_latencies(result, job_dir, err);
    if (status != TARE_OK || !s->reference.logits)
        return status; /* without: the engine left no weights to compare with */
    if (logits->shape[0] != s->reference.n || logits->shape[1] != s->reference.n_out) {
        snprintf(reason, sizeof reason, "gave (%zu, %zu) logits, the weights give (%zu, %zu)",
                 logits->shape[0], logits->shape[1], s->reference.n, s->reference.n_out);
        tare_job_spoil(result, reason);
        return TARE_OK;
    }
    result->parity = tare_parity_of(&s->reference, logits->data);
    result->has_parity = true;
    if (result->parity.ratio <= TARE_PARITY_LIMIT && result->parity.changed_answers == 0)
        return TARE_OK;
    snprintf(reason, sizeof reason,
             "not what its weights compute: %.3g times as far from the float64 reference as "
             "float32 explains (limit %g), %zu answers changed, largest difference of a logit %.2g",
             result->parity.ratio, TARE_PARITY_LIMIT, result->parity.changed_answers,
             result->parity.max_abs_diff);
    tare_job_spoil(result, reason);
    return TARE_OK;
}

/* ---- running the files --------------------------------------------------------------------------
 */

enum tare_status tare_deploy_name_image(struct tare_campaign_state *s, const char *folder,
                                        struct tare_err *err) {
    return tare_job_path(s->one_image, folder, "one_image.npy")
               ? TARE_OK
               : tare_fail(err, TARE_USAGE, folder, "choose a shorter --out",
                           "the path is too long");
}

enum tare_status tare_deploy_write_image(struct tare_campaign_state *s, struct tare_err *err) {
    struct tare_array one = s->campaign->dataset->test_images; /* its data, but of one image */
    one.shape[0] = 1;
    return tare_npy_write(s->one_image, &one, err);
}

/* The reference of a training that an earlier session did, once something is to be compared with
 * it. */
static enum tare_status recall_reference(struct tare_campaign_state *s,
                                         const struct tare_job_result *trained,
                                         struct tare_err *err) {
    struct tare_net net;
    float *params = NULL;
    char *job_dir = tare_path_join(s->dir, trained->dir);
    enum tare_status status =
        job_dir ? read_weights(&net, &params, s, job_dir, err)
                : tare_fail(err, TARE_MEMORY, "campaign", NULL, "no memory for a path");
    if (status == TARE_OK && params)
        status = make_reference(s, &net, params, err);
    free(params);
    free(job_dir);
    return status;
}

/* One job of a runtime on one exported file. */
static enum tare_status run_export(struct tare_campaign_state *s, size_t runtime, const char *task,
                                   const struct tare_job_result *trained,
                                   const struct tare_event *event, struct tare_err *err) {
    size_t prefix = strlen(s->dir);
    bool inside = strncmp(event->extra, s->dir, prefix) == 0 && event->extra[prefix] == '/';
    struct tare_job_result result = {.run = trained->run,
                                     .task = task,
                                     .cell = {.track = "deployment", .device = "cpu", .threads = 1},
                                     .batch = s->campaign->plan->batch,
                                     .of = trained,
                                     .format = event->name,
                                     .exporter =
                                         event->text[0] ? event->text : trained->cell.engine,
                                     .path = event->extra + (inside ? prefix + 1 : 0)};
    snprintf(result.cell.engine, sizeof result.cell.engine, "%s", runtimes[runtime].engine);
    char doing[TARE_MAX_TEXT];
    snprintf(doing, sizeof doing, "%s %s's model.%s by %s",
             strcmp(task, "cold") == 0 ? "cold start of" : "run", trained->cell.engine, event->name,
             result.exporter);
    bool recall = trained->replayed && tare_journal_is_live(s->journal) && !s->reference.logits;
    enum tare_status status = recall ? recall_reference(s, trained, err) : TARE_OK;
    if (status == TARE_OK)
        status = tare_job_run(s, &result, doing, err);
    s->given_up_runtime[runtime] =
        result.outcome.timed_out || result.outcome.state == TARE_STATE_SKIPPED;
    tare_job_finish(&result);
    return status;
}

static enum tare_status run_event(struct tare_campaign_state *s,
                                  const struct tare_job_result *trained,
                                  const struct tare_event *event, struct tare_err *err) {
    static const char *const tasks[] = {"infer", "cold"};
    enum tare_status status = TARE_OK;
    for (size_t r = 0; r < RUNTIME_COUNT; r++) /* a format none of them knows is still shown */
        for (size_t t = 0; t < sizeof tasks / sizeof *tasks && status == TARE_OK; t++)
            if (strcmp(runtimes[r].format, event->name) == 0 && !s->given_up_runtime[r])
                status = run_export(s, r, tasks[t], trained, event, err);
    return status;
}

enum tare_status tare_deploy_run(struct tare_campaign_state *s,
                                 const struct tare_job_result *trained, struct tare_err *err) {
    const struct tare_outcome *o = &trained->outcome;
    bool done = o->state == TARE_STATE_OK || o->state == TARE_STATE_VOID;
    enum tare_status status = TARE_OK;
    for (size_t i = 0; done && i < o->event_count && status == TARE_OK; i++)
        if (o->events[i].kind == TARE_EVENT_EXPORT)
            status = run_event(s, trained, &o->events[i], err);
    tare_parity_reference_free(&s->reference);
    return status;
}
