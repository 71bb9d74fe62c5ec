/* judge.c: the rules of honest measuring, applied to what an engine said and what the supervisor
 * saw. An outcome that breaks one is void: shown, never ranked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tare/supervise.h"

static const char *const state_names[] = {
#define X(id, name) name,
    TARE_STATE_LIST(X)
#undef X
};

const char *tare_state_name(enum tare_cell_state state) {
    return state_names[state];
}

int64_t tare_outcome_phase_ns(const struct tare_outcome *outcome, const char *name) {
    if (strcmp(name, "start") == 0)
        return outcome->hello_ns - outcome->exec_ns;
    int64_t sum_ns = 0;
    for (size_t i = 0; i < outcome->event_count; i++)
        if (outcome->events[i].kind == TARE_EVENT_PHASE &&
            strcmp(outcome->events[i].name, name) == 0)
            sum_ns += outcome->events[i].wall_ns;
    return sum_ns;
}

/* The sum of wall times can overflow when an engine lies; saturate instead. */
const char *tare_outcome_setting(const struct tare_outcome *outcome, const char *name) {
    for (size_t i = outcome->event_count; i-- > 0;)
        if (outcome->events[i].kind == TARE_EVENT_SETTING &&
            strcmp(outcome->events[i].name, name) == 0)
            return outcome->events[i].text;
    return NULL;
}

static int64_t all_phases_ns(const struct tare_outcome *outcome) {
    int64_t sum_ns = tare_outcome_phase_ns(outcome, "start");
    for (size_t i = 0; i < outcome->event_count; i++)
        if (outcome->events[i].kind == TARE_EVENT_PHASE &&
            __builtin_add_overflow(sum_ns, outcome->events[i].wall_ns, &sum_ns))
            return INT64_MAX;
    return sum_ns;
}

static void set(struct tare_outcome *outcome, enum tare_cell_state state) {
    outcome->state = state;
    outcome->fix[0] = '\0';
}

/* Epochs come one after the other, from the first on, and each has a loss. */
static bool are_epochs_right(struct tare_outcome *outcome) {
    size_t next = 0;
    for (size_t i = 0; i < outcome->event_count; i++) {
        const struct tare_event *event = &outcome->events[i];
        if (event->kind != TARE_EVENT_EPOCH)
            continue;
        if (event->index == next && isfinite(event->value)) {
            next++;
            continue;
        }
        set(outcome, TARE_STATE_FAILED);
        if (event->index != next)
            snprintf(outcome->reason, sizeof outcome->reason,
                     "reported epoch %zu where epoch %zu was next", event->index, next);
        else
            snprintf(outcome->reason, sizeof outcome->reason,
                     "the loss of epoch %zu is not a number", next);
        return false;
    }
    return true;
}

void tare_outcome_judge(struct tare_outcome *outcome, int threads) {
    char *reason = outcome->reason;
    size_t reason_size = sizeof outcome->reason;
    if (!are_epochs_right(outcome))
        return;
    if (outcome->suspended) {
        set(outcome, TARE_STATE_VOID);
        snprintf(reason, reason_size, "tare was suspended while it ran");
        return;
    }
    double wall_ns = (double)(outcome->bye_ns - outcome->exec_ns);
    double sum_ns = (double)all_phases_ns(outcome);
    double allowed_ns = fmax(0.02 * wall_ns, 20e6);
    if (fabs(sum_ns - wall_ns) > allowed_ns) {
        set(outcome, TARE_STATE_VOID);
        snprintf(reason, reason_size,
                 "its phases add up to %.3f s, but exec to bye took %.3f s (allowed difference "
                 "%.3f s)",
                 sum_ns * 1e-9, wall_ns * 1e-9, allowed_ns * 1e-9);
        return;
    }
    double process_ns = (double)(outcome->end_ns - outcome->exec_ns);
    double ratio = (double)outcome->cpu_ns / process_ns;
    /* Below 100 ms the kernel's accounting of CPU time is too coarse to judge by. */
    if (process_ns > 100e6 && ratio > 1.05 * threads) {
        set(outcome, TARE_STATE_VOID);
        snprintf(reason, reason_size, "used %.2f CPUs on average, only %d allowed (--threads)",
                 ratio, threads);
    }
}
