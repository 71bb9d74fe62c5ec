/* certify.c: the verdict: an engine's traces (certificate_jobs.c) against the envelope
 * (envelope.c). The ratio, its floor and its limit are derived in doc/certificate.md. */
#include "tare/certify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab/certificate_jobs.h"

/* Storing the exact result in float32 moves it by up to half a unit in the last place: this times
 * its norm. No reference can be asked to be nearer than that. */
#define ROUNDING 0x1p-24

/* ---- one trace ---------------------------------------------------------------------------------
 */

/* distance / allowed, where nothing over nothing is no difference. What is no number, or infinite,
 * is infinitely far. */
static double ratio_of(double distance, double allowed) {
    if (!isfinite(distance))
        return INFINITY;
    return distance == 0 ? 0 : distance / allowed;
}

static double norm(const struct tare_item *item, const double *truth) {
    double sum = 0;
    for (size_t i = item->offset; i < item->offset + item->count; i++)
        sum += truth[i] * truth[i];
    return sqrt(sum);
}

/* The checkpoint's twin in the run that was one range; COUNT: that run doesn't show it. */
static enum tare_checkpoint range_twin(enum tare_checkpoint checkpoint) {
    switch (checkpoint) {
    case TARE_CHECKPOINT_LOSS_1:
        return TARE_CHECKPOINT_RANGE_LOSS_1;
    case TARE_CHECKPOINT_LOSS_10:
        return TARE_CHECKPOINT_RANGE_LOSS_10;
    case TARE_CHECKPOINT_LOSS_100:
        return TARE_CHECKPOINT_RANGE_LOSS_100;
    case TARE_CHECKPOINT_WEIGHTS_100:
        return TARE_CHECKPOINT_RANGE_WEIGHTS_100;
    case TARE_CHECKPOINT_LOGITS:
    case TARE_CHECKPOINT_GRADIENT:
    case TARE_CHECKPOINT_WEIGHTS_1:
    case TARE_CHECKPOINT_WEIGHTS_10:
    case TARE_CHECKPOINT_RANGE_LOSS_1:
    case TARE_CHECKPOINT_RANGE_LOSS_10:
    case TARE_CHECKPOINT_RANGE_LOSS_100:
    case TARE_CHECKPOINT_RANGE_WEIGHTS_100:
    case TARE_CHECKPOINT_COUNT:
        break;
    }
    return TARE_CHECKPOINT_COUNT;
}

static bool is_weights(enum tare_checkpoint checkpoint) {
    return checkpoint == TARE_CHECKPOINT_WEIGHTS_1 || checkpoint == TARE_CHECKPOINT_WEIGHTS_10 ||
           checkpoint == TARE_CHECKPOINT_WEIGHTS_100 ||
           checkpoint == TARE_CHECKPOINT_RANGE_WEIGHTS_100;
}

static struct tare_finding finding(enum tare_checkpoint checkpoint, const struct tare_item *item,
                                   double value) {
    struct tare_finding f = {.checkpoint = checkpoint, .value = value};
    memcpy(f.tensor, item->tensor, sizeof f.tensor);
    return f;
}

static void note_element(struct tare_certificate *c, enum tare_checkpoint checkpoint,
                         const struct tare_item *item, const double *trace, const double *truth) {
    for (size_t i = item->offset; i < item->offset + item->count; i++) {
        double difference = fabs(trace[i] - truth[i]);
        if (!(difference <= c->element.value)) /* a NaN is noted, and stays */
            c->element = finding(checkpoint, item, difference);
    }
}

static void note_ratio(struct tare_certificate *c, enum tare_checkpoint checkpoint,
                       const struct tare_item *item, double ratio) {
    c->ratios[checkpoint] = fmax(c->ratios[checkpoint], ratio);
    if (ratio > c->largest.value)
        c->largest = finding(checkpoint, item, ratio);
    if (ratio <= TARE_CERTIFY_LIMIT)
        return;
    /* The checkpoints come in order, so the first is the one that is there already; among its
     * tensors the worst is named. */
    if (c->state == TARE_CERTIFICATE_OK ||
        (checkpoint == c->first.checkpoint && ratio > c->first.value))
        c->first = finding(checkpoint, item, ratio);
    c->state = TARE_CERTIFICATE_NOT_SAME_WORK;
}

/* The first step whose loss is further off than the limit allows; 0: none. One loss of one step can
 * be right by luck in every reference, so a step is measured by the worst that they did so far. */
static size_t first_loss(const struct tare_envelope *e, const double *trace) {
    double reach = 0;
    for (size_t s = 0; s < TARE_CERTIFY_STEPS; s++) {
        double truth = e->truth[e->layout.losses + s];
        reach = fmax(reach, fmax(e->step_reach[s], ROUNDING * fabs(truth)));
        if (ratio_of(fabs(trace[e->layout.losses + s] - truth), reach) > TARE_CERTIFY_LIMIT)
            return s + 1;
    }
    return 0;
}

static void judge(struct tare_certificate *c, const struct tare_envelope *e, const double *trace,
                  bool is_range) {
    bool was_ok = c->state == TARE_CERTIFICATE_OK;
    for (size_t i = 0; i < e->layout.item_count; i++) {
        const struct tare_item *item = &e->layout.items[i];
        enum tare_checkpoint at = is_range ? range_twin(item->checkpoint) : item->checkpoint;
        if (at == TARE_CHECKPOINT_COUNT)
            continue;
        double allowed = fmax(e->reach[i], ROUNDING * norm(item, e->truth));
        double distance = tare_item_distance(item, trace, e->truth);
        note_ratio(c, at, item, ratio_of(distance, allowed));
        if (is_weights(at))
            note_element(c, at, item, trace, e->truth);
    }
    if (!was_ok || c->state == TARE_CERTIFICATE_OK)
        return;
    c->first_step = tare_checkpoint_step(c->first.checkpoint);
    size_t step = first_loss(e, trace);
    if (step > 0 && step < c->first_step)
        c->first_step = step;
}

/* ---- the verdict -------------------------------------------------------------------------------
 */

static void explain(struct tare_certificate *c) {
    char where[128];
    tare_finding_text(where, sizeof where, &c->first);
    snprintf(c->reason, sizeof c->reason,
             "%s: %.3g times as far from the float64 reference as float32 explains (limit %g); "
             "first diverging step %zu",
             where, c->first.value, TARE_CERTIFY_LIMIT, c->first_step);
}

enum tare_status tare_certify(struct tare_certificate *c,
                              const struct tare_certify_request *request, struct tare_err *err) {
    struct tare_problem problem;
    struct tare_envelope envelope = {0};
    double *traces = NULL; /* two of them */
    *c = (struct tare_certificate){.seed = request->plan->seed + request->run,
                                   .threads = request->threads};
    snprintf(c->engine, sizeof c->engine, "%s", request->engine);
    snprintf(c->variant, sizeof c->variant, "%s", request->variant ? request->variant : "");
    snprintf(c->device, sizeof c->device, "%s", request->device);
    enum tare_status status =
        tare_problem_make(&problem, request->plan, request->run, request->dataset,
                          TARE_CERTIFY_STEPS, TARE_CERTIFY_PROBES, err);
    if (status != TARE_OK)
        return status;
    status = tare_envelope_get(&envelope, &problem, c->seed, request->stop, err);
    size_t total = envelope.layout.total;
    if (status == TARE_OK && !(traces = calloc(2 * total, sizeof *traces)))
        status = tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory for a trace");
    if (status == TARE_OK)
        status = tare_certificate_jobs(c, traces, traces + total, request, &problem,
                                       &envelope.layout, err);
    if (status == TARE_OK && c->state == TARE_CERTIFICATE_OK) {
        judge(c, &envelope, traces, false);
        judge(c, &envelope, traces + total, true);
        if (c->state == TARE_CERTIFICATE_NOT_SAME_WORK)
            explain(c);
    }
    free(traces);
    tare_envelope_free(&envelope);
    tare_problem_free(&problem);
    return status;
}
