/* attach.c: statistics over the runs of a row, and its named lists; attach_exports.c has its
 * exported files.
 *
 * A name (a phase, a metric, a call, an export) stands where it first appeared over the runs; its
 * statistic counts the runs that have it. summary.c calls this once per row.
 */
#include "lab/attach.h"

#include <math.h>
#include <string.h>

bool tare_state_is_measured(enum tare_cell_state state) {
    switch (state) {
    case TARE_STATE_OK:
    case TARE_STATE_VOID:
    case TARE_STATE_NOT_SAME_WORK:
        return true;
    case TARE_STATE_SKIPPED:
    case TARE_STATE_FAILED:
        return false;
    }
    return false;
}

struct tare_stat tare_set_stat(const struct tare_job_set *set, enum tare_measure measure,
                               struct tare_memory *memory) {
    double *values = tare_memory_take(memory, set->count, sizeof *values);
    size_t n = 0;
    if (values == NULL)
        return tare_median_interval(NULL, 0);
    for (size_t i = 0; i < set->count; i++)
        if (!isnan(set->jobs[i]->values[measure]))
            values[n++] = set->jobs[i]->values[measure];
    return tare_median_interval(values, n);
}

void tare_set_wilson(const struct tare_job_set *set, double accuracy, double *lo, double *hi,
                     size_t *correct, size_t *total) {
    *correct = *total = 0;
    for (size_t i = 0; i < set->count && *total == 0; i++)
        *total = set->jobs[i]->total; /* the same in every run that was graded */
    if (*total > 0 && !isnan(accuracy))
        *correct = (size_t)lround(accuracy * (double)*total);
    tare_wilson(lo, hi, *correct, *total);
}

/* ---- named lists ------------------------------------------------------------------------------
 */

struct named_values {
    const struct tare_named_value *items;
    size_t count;
};

static struct named_values phases_of(const struct tare_job_record *job) {
    return (struct named_values){job->phases, job->phase_count};
}

static struct named_values metrics_of(const struct tare_job_record *job) {
    return (struct named_values){job->metrics, job->metric_count};
}

static struct tare_stat stat_of_name(const struct tare_job_set *set, const char *name,
                                     struct named_values (*list_of)(const struct tare_job_record *),
                                     double *scratch) {
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct named_values list = list_of(set->jobs[i]);
        for (size_t k = 0; k < list.count; k++)
            if (strcmp(list.items[k].name, name) == 0)
                scratch[n++] = list.items[k].value;
    }
    return tare_median_interval(scratch, n);
}

static struct tare_named_stat *
attach_named(size_t *count, const struct tare_job_set *set,
             struct named_values (*list_of)(const struct tare_job_record *),
             struct tare_memory *memory) {
    size_t most = 0;
    for (size_t i = 0; i < set->count; i++)
        most += list_of(set->jobs[i]).count;
    struct tare_named_stat *stats = tare_memory_take(memory, most, sizeof *stats);
    double *scratch = tare_memory_take(memory, most, sizeof *scratch);
    *count = 0;
    if (stats == NULL || scratch == NULL)
        return NULL;
    for (size_t i = 0; i < set->count; i++) {
        struct named_values list = list_of(set->jobs[i]);
        for (size_t k = 0; k < list.count; k++) {
            size_t at = 0;
            while (at < *count && strcmp(stats[at].name, list.items[k].name) != 0)
                at++;
            if (at < *count)
                continue;
            stats[*count].name = list.items[k].name;
            stats[(*count)++].stat = stat_of_name(set, list.items[k].name, list_of, scratch);
        }
    }
    return stats;
}

static bool same_call(const struct tare_call_value *a, const struct tare_call *b) {
    return a->batch == b->batch && a->first == b->first && strcmp(a->call, b->call) == 0;
}

static void attach_calls(struct tare_row *row, const struct tare_job_set *set,
                         struct tare_memory *memory) {
    size_t most = 0;
    for (size_t i = 0; i < set->count; i++)
        most += set->jobs[i]->call_count;
    row->calls = tare_memory_take(memory, most, sizeof *row->calls);
    double *scratch = tare_memory_take(memory, most, sizeof *scratch);
    if (row->calls == NULL || scratch == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        for (size_t k = 0; k < set->jobs[i]->call_count; k++) {
            const struct tare_call_value *call = &set->jobs[i]->calls[k];
            size_t at = 0, n = 0;
            while (at < row->call_count && !same_call(call, &row->calls[at]))
                at++;
            if (at < row->call_count)
                continue;
            struct tare_call *to = &row->calls[row->call_count++];
            *to = (struct tare_call){call->call, call->batch, call->first,
                                     tare_median_interval(NULL, 0)};
            for (size_t r = i; r < set->count; r++)
                for (size_t c = 0; c < set->jobs[r]->call_count; c++)
                    if (same_call(&set->jobs[r]->calls[c], to))
                        scratch[n++] = set->jobs[r]->calls[c].seconds;
            to->seconds = tare_median_interval(scratch, n);
        }
}

void tare_attach_lists(struct tare_row *row, const struct tare_job_set *set,
                       struct tare_memory *memory) {
    row->phases = attach_named(&row->phase_count, set, phases_of, memory);
    row->metrics = attach_named(&row->metric_count, set, metrics_of, memory);
    attach_calls(row, set, memory);
    if (set->count == 0)
        return;
    row->settings = set->jobs[0]->settings; /* the same in every run */
    row->setting_count = set->jobs[0]->setting_count;
    row->code = set->jobs[0]->code;
    row->code_count = set->jobs[0]->code_count;
}
