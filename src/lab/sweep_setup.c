/* sweep_setup.c: what a sweep is asked for, checked; its points, how its time is shared out, and
 * the first line of its records (sweeping.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "lab/sweeping.h"

#define TIMEOUT_SHARE 20.0 /* of the budget, one job */

/* ---- what is asked for -------------------------------------------------------------------------
 */

void tare_sweep_defaults(struct tare_sweep *sweep) {
    *sweep = (struct tare_sweep){.widths = {16, 64, 256, 1024, 4096},
                                 .width_count = 5,
                                 .batches = {1, 4, 16, 64, 256, 1024, 4096},
                                 .batch_count = 7,
                                 .runs = TARE_SWEEP_RUNS,
                                 .budget_s = TARE_SWEEP_MINUTES * 60};
}

#define WIDTH "WIDTH"

void tare_sweep_template(char *out, const struct tare_dataset *set) {
    const struct tare_array *images = &set->train_images;
    snprintf(out, TARE_MAX_SPEC, "%zu dense:" WIDTH ":relu dense:%zu",
             tare_array_count(images) / images->shape[0], set->classes);
}

void tare_sweep_model(char *out, const char *template, size_t width) {
    const char *at = strstr(template, WIDTH);
    if (at)
        snprintf(out, TARE_MAX_SPEC, "%.*s%zu%s", (int)(at - template), template, width,
                 at + strlen(WIDTH));
    else
        snprintf(out, TARE_MAX_SPEC, "%s", template);
}

static int ascending(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static enum tare_status check_counts(size_t *counts, size_t count, const char *option,
                                     struct tare_err *err) {
    qsort(counts, count, sizeof *counts, ascending);
    for (size_t i = 1; i < count; i++)
        if (counts[i] == counts[i - 1])
            return tare_fail(err, TARE_USAGE, option, NULL, "%zu is named twice", counts[i]);
    return TARE_OK;
}

enum tare_status tare_sweep_check(struct tare_sweep *sweep, struct tare_err *err) {
    static struct tare_net net;
    char template[TARE_MAX_SPEC], model[TARE_MAX_SPEC];
    size_t images = sweep->dataset->train_images.shape[0];
    enum tare_status status = check_counts(sweep->widths, sweep->width_count, "--widths", err);
    if (status == TARE_OK)
        status = check_counts(sweep->batches, sweep->batch_count, "--batches", err);
    tare_sweep_template(template, sweep->dataset);
    for (size_t i = 0; i < sweep->width_count && status == TARE_OK; i++) {
        tare_sweep_model(model, template, sweep->widths[i]);
        status = tare_net_parse(&net, model, err);
    }
    if (status != TARE_OK)
        return status;
    if (sweep->batches[sweep->batch_count - 1] > images)
        return tare_fail(err, TARE_USAGE, "--batches", "smaller batches",
                         "%zu images don't fill one batch of %zu", images,
                         sweep->batches[sweep->batch_count - 1]);
    size_t jobs = sweep->width_count * sweep->batch_count * sweep->plan->cell_count * sweep->runs;
    if (jobs > TARE_MAX_JOBS / 2) /* some are run again */
        return tare_fail(err, TARE_USAGE, "--runs", "fewer points, engines or runs",
                         "%zu measurements are too many: at most %d", jobs, TARE_MAX_JOBS / 2);
    return TARE_OK;
}

size_t tare_sweep_bytes(const struct tare_sweep *sweep) {
    const struct tare_array *images = &sweep->dataset->train_images;
    size_t inputs = tare_array_count(images) / images->shape[0], bytes = 0;
    for (size_t i = 0; i < sweep->width_count; i++)
        bytes += sweep->batch_count * sweep->widths[i] * (inputs + sweep->dataset->classes + 2) *
                 sizeof(float);
    size_t points = sweep->width_count * sweep->batch_count;
    return bytes + points * 8 * images->shape[0] * sizeof(int32_t) +
           points * sweep->plan->cell_count * sweep->runs * 32768;
}

/* ---- laying out --------------------------------------------------------------------------------
 */

/* The work of every point, and how the budget is shared out. */
enum tare_status tare_sweeping_lay_out(struct tare_sweeping *w, struct tare_err *err) {
    const struct tare_sweep *sweep = w->sweep;
    static struct tare_net net;
    char model[TARE_MAX_SPEC];
    enum tare_status status = TARE_OK;
    tare_sweep_template(w->template, sweep->dataset);
    snprintf(w->plan.model, sizeof w->plan.model, "%s", w->template);
    w->grid.width_count = sweep->width_count;
    w->grid.batch_count = sweep->batch_count;
    w->points = sweep->width_count * sweep->batch_count;
    for (size_t i = 0; i < w->points && status == TARE_OK; i++) {
        tare_sweep_model(model, w->template, sweep->widths[tare_sweeping_width(w, i)]);
        status = tare_net_parse(&net, model, err);
        if (status == TARE_OK)
            w->grid.flops[i] = 3 * tare_net_forward_flops(&net) *
                               (double)sweep->batches[tare_sweeping_batch(w, i)];
    }
    for (size_t e = 0; e < TARE_MAX_CELLS; e++)
        for (size_t i = 0; i < TARE_MAX_SWEEP_POINTS; i++)
            w->engines[e].times.step_s[i] = NAN;
    w->state.total = w->points * w->plan.cell_count * sweep->runs;
    double share_s = sweep->budget_s / (double)(w->state.total + 1);
    w->length.target_s = fmin(fmax(share_s / 4, 0.05), 0.5);
    w->length.affordable_s = fmin(fmax(share_s / 2, w->length.target_s), 2);
    w->timeout_s = sweep->timeout_s > 0
                       ? sweep->timeout_s
                       : fmin(fmax(sweep->budget_s / TIMEOUT_SHARE, TARE_SWEEP_LEAST_TIMEOUT_S),
                              TARE_DEFAULT_TIMEOUT_S);
    return status;
}

static json_t *counts_json(const size_t *counts, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_integer((json_int_t)counts[i]));
    return list;
}

/* An experiment's line, with what a sweep has in place of one net, batch and number of epochs. */
json_t *tare_sweeping_record(const struct tare_sweeping *w, struct tare_err *err) {
    static const char *const others[] = {"params", "epochs", "batch", "quick", "timeout_s"};
    json_t *record = tare_record_experiment(&w->campaign, err);
    if (!record)
        return NULL;
    const size_t lost = tare_json_lost();
    json_t *plan = json_object_get(record, "plan"), *cells = json_object_get(plan, "cells");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        json_object_del(plan, others[i]);
    while (json_array_size(cells) > w->plan.cell_count) /* the harness, which no sweep runs */
        json_array_remove(cells, json_array_size(cells) - 1);
    bool good = json_object_set_new(record, "format", json_string("tare-sweep/1")) == 0 &&
                json_object_set_new(plan, "widths",
                                    counts_json(w->sweep->widths, w->sweep->width_count)) == 0 &&
                json_object_set_new(plan, "batches",
                                    counts_json(w->sweep->batches, w->sweep->batch_count)) == 0 &&
                json_object_set_new(plan, "budget_s", json_real(w->sweep->budget_s)) == 0 &&
                json_object_set_new(plan, "timeout_s", json_real(w->timeout_s)) == 0;
    if (!good) {
        json_decref(record);
        record = NULL;
    }
    record = tare_json_whole(record, lost);
    if (!record)
        tare_fail(err, TARE_MEMORY, TARE_SWEEP_FILE, NULL, "no memory for a record");
    return record;
}
