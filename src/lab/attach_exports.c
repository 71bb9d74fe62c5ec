/* attach_exports.c: the exported files of a row, each with what the runtimes that ran it measured.
 * An export is known by its format and its exporter; it stands where it first appeared over the
 * runs. attach.c has the rest of a row; summary.c calls both. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lab/attach.h"

/* The export of that format and exporter; made when it isn't there. Room is the caller's. */
static struct tare_export *find_export(struct tare_row *row, const char *format,
                                       const char *exporter) {
    for (size_t i = 0; i < row->export_count; i++)
        if (strcmp(row->exports[i].format, format) == 0 &&
            strcmp(row->exports[i].exporter, exporter) == 0)
            return &row->exports[i];
    struct tare_export *made = &row->exports[row->export_count++];
    *made = (struct tare_export){.format = format, .exporter = exporter, .path = ""};
    made->seconds = tare_median_interval(NULL, 0);
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

/* Over the jobs that have this number: a member of struct tare_job_record, by its offset. */
static struct tare_stat stat_at(const struct tare_job_set *set, size_t offset,
                                struct tare_memory *memory) {
    double *values = tare_memory_take(memory, set->count, sizeof *values);
    size_t n = 0;
    for (size_t i = 0; values != NULL && i < set->count; i++) {
        double value;
        memcpy(&value, (const char *)set->jobs[i] + offset, sizeof value);
        if (!isnan(value))
            values[n++] = value;
    }
    return tare_median_interval(values, n);
}

/* A number among a job's settings; NaN when it doesn't say. */
static double setting_number(const struct tare_job_record *job, const char *name) {
    for (size_t i = 0; i < job->setting_count; i++) {
        char *end = NULL;
        double value = strcmp(job->settings[i].name, name) == 0
                           ? (double)strtoull(job->settings[i].value, &end, 10)
                           : NAN;
        if (end != NULL && end > job->settings[i].value && *end == '\0')
            return value;
    }
    return NAN;
}

/* What the jobs that answered the whole test set measured, and those that answered one image. */
static void fill_check(struct tare_check *check, const struct tare_job_set *whole,
                       const struct tare_job_set *cold, struct tare_memory *memory) {
    size_t correct = 0, total = 0;
    check->accuracy = tare_set_stat(whole, TARE_ACCURACY, memory);
    check->infer_all_s = tare_set_stat(whole, TARE_INFER_10000_S, memory);
    tare_set_wilson(whole, check->accuracy.median, &check->wilson_lo, &check->wilson_hi, &correct,
                    &total);
    for (size_t q = 0; q < TARE_QUANTILE_COUNT; q++)
        check->query_s[q] =
            stat_at(whole, offsetof(struct tare_job_record, query_s) + q * sizeof(double), memory);
    check->queries = whole->count > 0 ? whole->jobs[0]->queries : 0;
    check->ships_bytes = whole->count > 0 ? setting_number(whole->jobs[0], "ships_bytes") : NAN;
    check->cold_start_s = stat_at(cold, offsetof(struct tare_job_record, cold_start_s), memory);
    check->cold_rss_bytes = tare_set_stat(cold, TARE_PEAK_RSS_BYTES, memory);
}

/* One runtime's jobs on one exported file become one check. What was compared and found wrong is
 * told of failed jobs too; only measured ones count in a statistic. */
static struct tare_check check_of(const struct tare_job_set *set, struct tare_memory *memory) {
    const struct tare_job_record *worst = set->jobs[0];
    struct tare_check check = {.runtime = worst->cell.engine,
                               .version = worst->version,
                               .max_abs_diff = NAN,
                               .changed_answers = NAN,
                               .parity_ratio = NAN,
                               .parity_changed = NAN};
    struct tare_job_set whole = {.jobs = tare_memory_take(memory, set->count, sizeof *whole.jobs)};
    struct tare_job_set cold = {.jobs = tare_memory_take(memory, set->count, sizeof *cold.jobs)};
    for (size_t i = 0; i < set->count; i++) {
        const struct tare_job_record *job = set->jobs[i];
        if (job->state > worst->state)
            worst = job;
        check.parity_ratio = larger(check.parity_ratio, job->parity_ratio);
        check.parity_changed = larger(check.parity_changed, job->parity_changed);
        if (whole.jobs == NULL || cold.jobs == NULL || !tare_state_is_measured(job->state))
            continue;
        struct tare_job_set *to = strcmp(job->task, "cold") == 0 ? &cold : &whole;
        to->jobs[to->count++] = job;
        check.max_abs_diff = larger(check.max_abs_diff, job->max_abs_diff);
        check.changed_answers = larger(check.changed_answers, job->changed_answers);
    }
    check.state = worst->state;
    check.reason = worst->reason;
    check.fix = worst->fix;
    check.reproduce = worst->reproduce;
    check.dir = worst->dir;
    fill_check(&check, &whole, &cold, memory);
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

#define MEGABYTE 1048576.0 /* environments are measured by du -m */

/* What must be installed to export: the framework's environment, or tare itself. */
static double environment_bytes(const struct tare_row *row, const struct tare_export *export,
                                const struct tare_experiment *e) {
    const struct tare_known_engine *known = tare_known_engine(row->engine);
    if (strcmp(export->exporter, TARE_EXPORTER) == 0)
        return e->tare_bytes;
    for (size_t i = 0; i < e->environment_count; i++)
        if (known != NULL && known->environment != NULL && e->environments[i].megabytes > 0 &&
            strcmp(e->environments[i].name, known->environment) == 0)
            return e->environments[i].megabytes * MEGABYTE;
    return NAN;
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
        row->exports[e].environment_bytes =
            environment_bytes(row, &row->exports[e], &samples->experiment);
        one.count = 0;
        for (size_t i = 0; i < ran.count; i++)
            if (strcmp(ran.jobs[i]->of_format, row->exports[e].format) == 0 &&
                strcmp(ran.jobs[i]->of_exporter, row->exports[e].exporter) == 0)
                one.jobs[one.count++] = ran.jobs[i];
        attach_checks(&row->exports[e], &one, memory);
    }
}
