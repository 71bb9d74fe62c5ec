/* attach.c: statistics over the runs of a row, its named lists, and its exported files.
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

static const struct tare_stat no_stat = {.median = NAN, .lo = NAN, .hi = NAN};

struct tare_stat tare_set_stat(const struct tare_job_set *set, enum tare_measure measure,
                               struct tare_memory *memory) {
    double *values = tare_memory_take(memory, set->count, sizeof *values);
    size_t n = 0;
    if (values == NULL)
        return no_stat;
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
            *to = (struct tare_call){call->call, call->batch, call->first, no_stat};
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

/* ---- exported files ---------------------------------------------------------------------------
 */

/* The export of that format and exporter; made when it isn't there. Room is the caller's. */
static struct tare_export *find_export(struct tare_row *row, const char *format,
                                       const char *exporter) {
    for (size_t i = 0; i < row->export_count; i++)
        if (strcmp(row->exports[i].format, format) == 0 &&
            strcmp(row->exports[i].exporter, exporter) == 0)
            return &row->exports[i];
    struct tare_export *made = &row->exports[row->export_count++];
    *made = (struct tare_export){.format = format, .exporter = exporter, .path = ""};
    made->seconds = no_stat;
    return made;
}

static void fill_export(struct tare_export *to, const struct tare_job_record *const *by_run,
                        size_t runs, double *scratch) {
    size_t n = 0;
    for (size_t r = 0; r < runs; r++)
        for (size_t i = 0; by_run[r] != NULL && i < by_run[r]->export_count; i++) {
            const struct tare_export_value *from = &by_run[r]->exports[i];
            if (strcmp(from->format, to->format) != 0 || strcmp(from->exporter, to->exporter) != 0)
                continue;
            if (n == 0) {
                to->path = from->path;
                to->files = from->files;
                to->bytes = from->bytes;
            }
            scratch[n++] = from->seconds;
        }
    to->seconds = tare_median_interval(scratch, n);
}

/* NaN is "not compared", so the larger of the two that are. */
static double larger(double a, double b) {
    return isnan(a) || b > a ? b : a;
}

/* One runtime's jobs on one exported file become one check. */
static struct tare_check check_of(const struct tare_job_set *set, struct tare_memory *memory) {
    const struct tare_job_record *worst = set->jobs[0];
    struct tare_check check = {.runtime = worst->cell.engine,
                               .version = worst->version,
                               .max_abs_diff = NAN,
                               .changed_answers = NAN};
    struct tare_job_set good = {.jobs = tare_memory_take(memory, set->count, sizeof *good.jobs)};
    size_t correct = 0, total = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct tare_job_record *job = set->jobs[i];
        if (job->state > worst->state)
            worst = job;
        if (good.jobs == NULL || !tare_state_is_measured(job->state))
            continue;
        good.jobs[good.count++] = job;
        check.max_abs_diff = larger(check.max_abs_diff, job->max_abs_diff);
        check.changed_answers = larger(check.changed_answers, job->changed_answers);
    }
    check.state = worst->state;
    check.reason = worst->reason;
    check.fix = worst->fix;
    check.reproduce = worst->reproduce;
    check.dir = worst->dir;
    check.accuracy = tare_set_stat(&good, TARE_ACCURACY, memory);
    check.infer_all_s = tare_set_stat(&good, TARE_INFER_10000_S, memory);
    tare_set_wilson(&good, check.accuracy.median, &check.wilson_lo, &check.wilson_hi, &correct,
                    &total);
    return check;
}

/* Adds a check per runtime among jobs, which ran this export. */
static void attach_checks(struct tare_export *to, const struct tare_job_set *jobs,
                          struct tare_memory *memory) {
    struct tare_job_set one = {.jobs = tare_memory_take(memory, jobs->count, sizeof *one.jobs)};
    to->checks = tare_memory_take(memory, jobs->count, sizeof *to->checks);
    if (one.jobs == NULL || to->checks == NULL)
        return;
    for (size_t i = 0; i < jobs->count; i++) {
        const char *runtime = jobs->jobs[i]->cell.engine;
        size_t known = 0;
        while (known < to->check_count && strcmp(to->checks[known].runtime, runtime) != 0)
            known++;
        if (known < to->check_count)
            continue;
        one.count = 0;
        for (size_t k = i; k < jobs->count; k++)
            if (strcmp(jobs->jobs[k]->cell.engine, runtime) == 0)
                one.jobs[one.count++] = jobs->jobs[k];
        to->checks[to->check_count++] = check_of(&one, memory);
    }
}

static bool is_of(const struct tare_job_record *job, const struct tare_job_record *of) {
    return of != NULL && job->has_of && job->of_index == of->index;
}

void tare_attach_exports(struct tare_row *row, const struct tare_job_record *const *by_run,
                         const struct tare_samples *samples, struct tare_memory *memory) {
    size_t runs = samples->experiment.plan.runs, most = 0;
    struct tare_job_set ran = {.jobs =
                                   tare_memory_take(memory, samples->job_count, sizeof *ran.jobs)};
    struct tare_job_set one = {.jobs =
                                   tare_memory_take(memory, samples->job_count, sizeof *one.jobs)};
    if (ran.jobs == NULL || one.jobs == NULL)
        return;
    for (size_t r = 0; r < runs; r++) {
        most += by_run[r] != NULL ? by_run[r]->export_count : 0;
        for (size_t i = 0; i < samples->job_count; i++)
            if (is_of(&samples->jobs[i], by_run[r]))
                ran.jobs[ran.count++] = &samples->jobs[i];
    }
    row->exports = tare_memory_take(memory, most + ran.count, sizeof *row->exports);
    double *scratch = tare_memory_take(memory, most, sizeof *scratch);
    if (row->exports == NULL || scratch == NULL)
        return;
    for (size_t r = 0; r < runs; r++)
        for (size_t i = 0; by_run[r] != NULL && i < by_run[r]->export_count; i++)
            find_export(row, by_run[r]->exports[i].format, by_run[r]->exports[i].exporter);
    for (size_t i = 0; i < ran.count; i++) /* one whose export never came into being is shown too */
        find_export(row, ran.jobs[i]->of_format, ran.jobs[i]->of_exporter);
    for (size_t e = 0; e < row->export_count; e++) {
        fill_export(&row->exports[e], by_run, runs, scratch);
        one.count = 0;
        for (size_t i = 0; i < ran.count; i++)
            if (strcmp(ran.jobs[i]->of_format, row->exports[e].format) == 0 &&
                strcmp(ran.jobs[i]->of_exporter, row->exports[e].exporter) == 0)
                one.jobs[one.count++] = ran.jobs[i];
        attach_checks(&row->exports[e], &one, memory);
    }
}
