/* certificate.c: what a certificate says: the names of its checkpoints and states, its record, and
 * what the first timed epoch changes about it. How it is earned: certify.c. */
#include <jansson.h>
#include <math.h>

#include "base/json.h"
#include "tare/certify.h"

static const struct {
    const char *text;
    size_t step;
} checkpoints[] = {
#define X(id, text, step) {text, step},
    TARE_CHECKPOINT_LIST(X)
#undef X
};

static const char *const state_names[] = {
#define X(id, name) name,
    TARE_CERTIFICATE_STATE_LIST(X)
#undef X
};

const char *tare_checkpoint_text(enum tare_checkpoint checkpoint) {
    return checkpoints[checkpoint].text;
}

const char *tare_certificate_state_name(enum tare_certificate_state state) {
    return state_names[state];
}

size_t tare_checkpoint_step(enum tare_checkpoint checkpoint) {
    return checkpoints[checkpoint].step;
}

void tare_finding_text(char *out, size_t size, const struct tare_finding *finding) {
    snprintf(out, size, "%s%s%s", checkpoints[finding->checkpoint].text,
             finding->tensor[0] ? ", " : "", finding->tensor);
}

void tare_certificate_epoch(struct tare_certificate *c, double mean_loss, double reference) {
    double difference = fabs(mean_loss - reference) / fabs(reference);
    if (c->state != TARE_CERTIFICATE_OK || difference <= TARE_EPOCH_LIMIT)
        return;
    c->state = TARE_CERTIFICATE_NOT_SAME_WORK;
    snprintf(c->reason, sizeof c->reason,
             "mean loss of the first timed epoch is %.9g, of the float64 reference %.9g: %.2g "
             "apart (limit %g)",
             mean_loss, reference, difference, TARE_EPOCH_LIMIT);
}

/* ---- the record --------------------------------------------------------------------------------
 */

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *finding_json(const struct tare_finding *f) {
    return json_pack("{s:s,s:s,s:o}", "checkpoint", checkpoints[f->checkpoint].text, "tensor",
                     f->tensor, "value", number(f->value));
}

json_t *tare_certificate_json(const struct tare_certificate *c) {
    const size_t lost = tare_json_lost();
    json_t *record =
        json_pack("{s:s,s:s,s:s,s:s,s:i,s:I,s:s,s:s,s:s,s:s,s:f}", "record", "certificate",
                  "engine", c->engine, "variant", c->variant, "device", c->device, "threads",
                  c->threads, "seed", (json_int_t)c->seed, "state", state_names[c->state], "reason",
                  c->reason, "fix", c->fix, "version", c->version, "limit", TARE_CERTIFY_LIMIT);
    json_t *ratios = json_object();
    int bad = !record || !ratios;
    if (c->state == TARE_CERTIFICATE_NOT_CHECKED) {
        bad |= json_object_set_new(record, "job_state",
                                   json_string(tare_state_name(c->job_state))) != 0;
        json_decref(ratios);
    } else {
        for (int i = 0; i < TARE_CHECKPOINT_COUNT; i++)
            bad |= json_object_set_new(ratios, checkpoints[i].text, number(c->ratios[i])) != 0;
        bad |= json_object_set_new(record, "max_ratio", number(c->largest.value)) != 0;
        bad |= json_object_set_new(record, "largest", finding_json(&c->largest)) != 0;
        bad |= json_object_set_new(record, "largest_element", finding_json(&c->element)) != 0;
        bad |= json_object_set_new(record, "ratios", ratios) != 0;
    }
    if (c->first.value > 0) { /* not so when only the epoch's loss was wrong */
        bad |= json_object_set_new(record, "first", finding_json(&c->first)) != 0;
        bad |=
            json_object_set_new(record, "first_step", json_integer((json_int_t)c->first_step)) != 0;
    }
    if (!bad)
        return tare_json_whole(record, lost);
    json_decref(record);
    return NULL;
}
