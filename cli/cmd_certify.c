/* cmd_certify.c: tare certify: do these engines do the same work? One row per engine, over as many
 * seeds as asked. The judging is src/lab/certify.c's; doc/certificate.md says how. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/certify.h"

struct options {
    const char *engines, *model, *data, *device, *out;
    size_t seeds, seed, batch, threads;
    double lr, timeout_s;
    bool markdown, no_download;
};

/* What one engine's certificates came to. */
struct row {
    char engine[64], variant[32];
    size_t ok, other_work, not_checked;
    struct tare_certificate worst; /* the largest ratio, or the first that isn't ok */
};

#define MAX_ROWS 32

/* "native,tensorflow/step": names, each with a variant or without. */
static enum tare_status read_list(struct row *rows, size_t *count, const char *list,
                                  struct tare_err *err) {
    enum tare_status status = TARE_OK;
    while (list && status == TARE_OK) {
        struct row *row = &rows[*count];
        if (*count == MAX_ROWS)
            return tare_fail(err, TARE_USAGE, "--engines", NULL, "at most %d engines", MAX_ROWS);
        status = cli_next_engine(row->engine, row->variant, &list, "--engines", err);
        ++*count;
    }
    return status;
}

static void add(struct row *row, const struct tare_certificate *c) {
    bool first = row->ok + row->other_work + row->not_checked == 0;
    row->ok += c->state == TARE_CERTIFICATE_OK;
    row->other_work += c->state == TARE_CERTIFICATE_NOT_SAME_WORK;
    row->not_checked += c->state == TARE_CERTIFICATE_NOT_CHECKED;
    if (first || (row->worst.state == TARE_CERTIFICATE_OK &&
                  (c->state != TARE_CERTIFICATE_OK || c->largest.value > row->worst.largest.value)))
        row->worst = *c;
}

static void print_row(const struct row *row, size_t seeds, bool markdown) {
    const struct tare_certificate *c = &row->worst;
    char name[100], where[128] = "", ratio[32] = "-", element[32] = "-";
    snprintf(name, sizeof name, "%s%s%s", row->engine, row->variant[0] ? "/" : "", row->variant);
    if (c->state != TARE_CERTIFICATE_NOT_CHECKED) {
        tare_finding_text(where, sizeof where, &c->largest);
        snprintf(ratio, sizeof ratio, "%.3g", c->largest.value);
        snprintf(element, sizeof element, "%.2g", c->element.value);
    }
    printf(markdown ? "| %s | %s | %zu of %zu | %s | %s | %s |\n"
                    : "%-24s %-14s %2zu of %-2zu %8s %8s  %s\n",
           name, tare_certificate_state_name(c->state), row->ok, seeds, ratio, element, where);
    if (c->state != TARE_CERTIFICATE_OK)
        printf(markdown ? "| | seed %llu: %s | | | | |\n" : "    seed %llu: %s\n",
               (unsigned long long)c->seed, c->reason);
    if (c->fix[0] && !markdown)
        printf("    try: %s\n", c->fix);
}

static void print_rows(const struct row *rows, size_t count, const struct options *o,
                       const struct tare_dataset *set, const struct tare_plan *plan) {
    if (o->markdown)
        printf("%s, %s, batch %zu, Adam %g, %s; seeds %zu to %zu; limit %g.\n\n"
               "| engine | state | seeds | largest ratio | largest element | where |\n"
               "|---|---|---|---|---|---|\n",
               set->title, plan->model, plan->batch, plan->lr, o->device, o->seed,
               o->seed + o->seeds - 1, TARE_CERTIFY_LIMIT);
    else
        printf("%-24s %-14s %-8s %8s %8s  %s\n", "engine", "state", "seeds", "ratio", "element",
               "where the ratio is largest");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i], o->seeds, o->markdown);
}

/* One engine after the other for each seed, so that a seed's references are made once. */
static enum tare_status certify_all(struct row *rows, size_t count, const struct options *o,
                                    const struct tare_plan *plan, const struct tare_dataset *set,
                                    const char *prepared, const char *dir, struct tare_err *err) {
    const volatile sig_atomic_t *stop = cli_catch_signals();
    enum tare_status status = TARE_OK;
    for (size_t run = 0; run < o->seeds; run++)
        for (size_t i = 0; i < count && status == TARE_OK; i++) {
            static struct tare_certificate certificate;
            struct tare_buf sub = {0}, text = {0};
            tare_buf_printf(&text, "seed %zu of %zu: %s %s", run + 1, o->seeds, rows[i].engine,
                            rows[i].variant);
            tare_buf_printf(&sub, "%s", dir);
            if (o->out)
                tare_buf_printf(&sub, "/%s%s%s-%zu", rows[i].engine, rows[i].variant[0] ? "-" : "",
                                rows[i].variant, o->seed + run);
            if (sub.failed || text.failed)
                status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory");
            else {
                cli_progress(text.data);
                struct tare_certify_request request = {.plan = plan,
                                                       .run = run,
                                                       .dataset = set,
                                                       .prepared = prepared,
                                                       .engine = rows[i].engine,
                                                       .variant = rows[i].variant,
                                                       .device = o->device,
                                                       .threads = (int)o->threads,
                                                       .dir = sub.data,
                                                       .timeout_s = o->timeout_s,
                                                       .stop = stop};
                status = tare_certify(&certificate, &request, err);
            }
            if (status == TARE_OK)
                add(&rows[i], &certificate);
            tare_buf_free(&sub);
            tare_buf_free(&text);
        }
    cli_progress_end();
    return status;
}

static enum tare_status certify(const struct options *o, struct tare_err *err) {
    static struct row rows[MAX_ROWS];
    static struct tare_plan plan;
    struct tare_dataset set = {0};
    char *prepared = NULL, *temporary = NULL;
    size_t count = 0;
    tare_plan_defaults(&plan);
    plan.batch = o->batch;
    plan.seed = o->seed;
    plan.lr = o->lr;
    enum tare_status status = read_list(rows, &count, o->engines, err);
    if (status == TARE_OK)
        status =
            cli_load_data(&set, o->data, TARE_CACHE_READ, o->no_download, o->data == NULL, err);
    if (status == TARE_OK)
        status = tare_plan_model(&plan, o->model, &set, err);
    if (status == TARE_OK)
        status = tare_dataset_prepare(&prepared, &set, err);
    if (status == TARE_OK && !o->out && !(temporary = cli_temporary_dir(err)))
        status = err->status;
    if (status == TARE_OK)
        status =
            certify_all(rows, count, o, &plan, &set, prepared, o->out ? o->out : temporary, err);
    if (status == TARE_OK)
        print_rows(rows, count, o, &set, &plan);
    for (size_t i = 0; i < count && status == TARE_OK; i++)
        if (rows[i].ok != o->seeds)
            status = tare_fail(err, TARE_FAILED, rows[i].engine, NULL, "has no certificate");
    if (temporary)
        cli_remove_dir(temporary);
    free(temporary);
    free(prepared);
    tare_dataset_free(&set);
    return status;
}

static enum tare_status check(const struct options *o, const struct cli_args *args,
                              struct tare_err *err) {
    if (args->count > 0)
        return tare_fail(err, TARE_USAGE, args->words[0], "tare certify --help",
                         "certify takes options only");
    if (!o->engines)
        return tare_fail(err, TARE_USAGE, "--engines", "tare certify --engines native",
                         "which engines?");
    if (o->seeds < 1 || o->seeds > 1000 || o->batch < 1 || o->batch > 65536 || o->threads < 1 ||
        o->threads > (size_t)cli_cpus())
        return tare_fail(err, TARE_USAGE, NULL, NULL,
                         "--seeds is 1 to 1000, --batch 1 to 65536, --threads 1 to %d", cli_cpus());
    return TARE_OK;
}

static int run(int argc, char **argv, const struct cli_command *command) {
    struct options o = {.device = "cpu",
                        .seeds = 1,
                        .seed = 1,
                        .batch = 32,
                        .threads = 1,
                        .lr = 1e-3,
                        .timeout_s = TARE_DEFAULT_TIMEOUT_S};
    const struct cli_option options[] = {
        {"engines", CLI_TEXT, &o.engines, "LIST", "names, each NAME or NAME/VARIANT", 0},
        {"seeds", CLI_COUNT, &o.seeds, "N", "certificates of each engine (1)", 0},
        {"seed", CLI_COUNT, &o.seed, "N", "the first seed of weights and order (1)", 0},
        {"model", CLI_TEXT, &o.model, "SPEC", "another net: \"784 dense:128:relu dense:10\"", 0},
        {"data", CLI_TEXT, &o.data, "DIR", "your own data instead of MNIST", 0},
        {"batch", CLI_COUNT, &o.batch, "N", "images per step (32)", 0},
        {"lr", CLI_NUMBER, &o.lr, "X", "Adam's learning rate (0.001)", 0},
        {"threads", CLI_COUNT, &o.threads, "N", "CPUs every engine may use (1)", 0},
        {"device", CLI_TEXT, &o.device, "NAME", "cpu (default) or cuda", 0},
        {"timeout", CLI_NUMBER, &o.timeout_s, "S", "seconds one job may take (600)", 0},
        {"out", CLI_TEXT, &o.out, "DIR", "keep jobs, logs and what the engines wrote", 0},
        {"markdown", CLI_FLAG, &o.markdown, NULL, "print a Markdown table", 0},
        {"no-download", CLI_FLAG, &o.no_download, NULL, "use only data that is on this machine", 0},
    };
    struct cli_args args;
    struct tare_err err = {0};
    bool helped;
    enum tare_status status = cli_parse(&args, &helped, argc, argv, command, options,
                                        sizeof options / sizeof options[0], &err);
    if (helped)
        return 0;
    if (status == TARE_OK)
        status = check(&o, &args, &err);
    if (status == TARE_OK)
        status = certify(&o, &err);
    return status == TARE_OK ? 0 : cli_fail(&err);
}

const struct cli_command cmd_certify = {
    "certify", "proves that engines do the same work, or says where they don't",
    "certify --engines LIST [OPTION]...",
    "  tare certify --engines native\n"
    "  tare certify --engines native,tensorflow/step,pytorch --seeds 2\n",
    run};
