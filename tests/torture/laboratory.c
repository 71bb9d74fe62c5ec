/* laboratory.c: laboratory FROM COUNT FOLDER: campaigns in a simulated laboratory
 * (tests/sim/world.h), two for each seed: one without a break, and the same one killed and
 * interrupted at moments drawn by its seed, and carried on. Checked for each:
 *
 *   - every job's state is what its engine's behaviour must lead to, and nothing of an engine lives
 *     100 ms after its deadline, or while another runs
 *   - what was recorded when a session broke off is there in the end, byte for byte, and can be
 * read and reported then
 *   - in the end both campaigns recorded the same work with the same results in the same order, and
 *     their reports are the same bytes in all four formats
 *   - tare verify finds nothing changed, missing or left over
 *
 * A failure names its seed; `laboratory SEED 1 FOLDER` repeats it. FOLDER is emptied.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sim/world.h"
#include "lab/provenance.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/report.h"
#include "tare/summary.h"
#include "tare/verify.h"

#define MAX_CUTS 8

static struct tare_dataset set;
static struct tare_machine machine = {.cpu = "a virtual one",
                                      .flags = "avx2",
                                      .kernel = "none",
                                      .os = "none",
                                      .governor = "steady",
                                      .cpus = 4,
                                      .memory_bytes = 1 << 30};
static char *prepared;
static struct tare_plan plan;
static struct tare_resume resumed;

static _Noreturn void die(const char *what, const struct tare_err *err) {
    fprintf(stderr, "laboratory: %s: %s: %s\n", what, err ? err->where : "", err ? err->what : "");
    exit(2);
}

/* ---- what there is before the first campaign ----------------------------------------------------
 */

static void fill_set(struct tare_array *images, struct tare_array *labels, size_t n) {
    if (tare_array_make(images, TARE_U8, 3, (size_t[]){n, 2, 2}, NULL) != TARE_OK ||
        tare_array_make(labels, TARE_I32, 1, &n, NULL) != TARE_OK)
        die("no memory", NULL);
    for (size_t i = 0; i < n; i++) {
        ((int32_t *)labels->data)[i] = (int32_t)(i % 3);
        for (size_t p = 0; p < 4; p++)
            ((uint8_t *)images->data)[4 * i + p] = (uint8_t)(i * 37 + p * 11 + i % 3 * 60);
    }
}

static const char *const engines[] = {"keras",   "pytorch", "tensorflow", "libtorch",
                                      "jax",     "native",  "null",       "own",
                                      "another", "litert",  "onnxruntime"};

static void set_up(const char *root) {
    struct tare_err err = {0};
    char *cache = tare_path_join(root, "cache");
    char *programs = tare_path_join(root, "engines");
    if (!cache || !programs || tare_make_empty_dir(root, &err) != TARE_OK ||
        tare_make_dirs(programs, &err) != TARE_OK)
        die("no folder", &err);
    setenv("XDG_CACHE_HOME", cache, 1);
    for (size_t i = 0; i < sizeof engines / sizeof *engines; i++) {
        char *program = tare_path_join(programs, engines[i]);
        if (!program || tare_file_write(program, engines[i], strlen(engines[i]), &err) != TARE_OK)
            die("no engine", &err);
        free(program);
    }
    set = (struct tare_dataset){.name = "virtual",
                                .title = "virtual",
                                .source = "nowhere",
                                .licence = "none",
                                .classes = 3};
    fill_set(&set.train_images, &set.train_labels, 16);
    fill_set(&set.test_images, &set.test_labels, 8);
    tare_sha256_hex(set.sha256, set.train_images.data, tare_array_bytes(&set.train_images));
    if (tare_dataset_prepare(&prepared, &set, &err) != TARE_OK)
        die("no data", &err);
    sim.engines = programs;
    sim.set = &set;
    sim.dir = tare_path_join(root, "results");
    free(cache);
}

/* ---- one campaign -------------------------------------------------------------------------------
 */

static uint64_t draw(const char *what, uint64_t n) {
    return sim_hash("plan", what) % n;
}

static void make_plan(void) {
    struct tare_err err = {0};
    tare_plan_defaults(&plan);
    plan.runs = draw("many runs", 40) == 0 ? 6 : 1 + draw("runs", 2);
    plan.epochs = 1 + draw("epochs", 2);
    plan.batch = 4;
    plan.seed = sim.seed;
    plan.timeout_s = 60;
    plan.certify = draw("certify", 2) == 0;
    snprintf(plan.command, sizeof plan.command, "tare compare --seed %llu",
             (unsigned long long)sim.seed);
    static const char *const tracks[] = {"tutorial", "controlled", "controlled", NULL};
    struct tare_choice choice = {.twice = draw("twice", 20) == 0,
                                 .track = tracks[draw("track", 4)]};
    size_t wanted = draw("many cells", 10) == 0 ? 4 : 1 + draw("cells", 2);
    for (size_t i = 0; i < wanted; i++) {
        char what[32];
        snprintf(what, sizeof what, "engine %zu", i);
        /* named twice, or one that only runs models: one fewer */
        tare_plan_add(&plan, engines[draw(what, 9)], &choice, NULL);
    }
    if (tare_plan_model(&plan, "4 dense:3:relu dense:3", &set, &err) != TARE_OK)
        die("no model", &err);
}

static char *samples_path(void) {
    return tare_path_join(sim.dir, "samples.jsonl");
}

/* One session of a campaign: the first, or one that carries on. */
static enum tare_status session(struct tare_err *err) {
    char *samples = samples_path();
    bool is_first = !tare_path_exists(samples);
    struct tare_campaign campaign = {.plan = &plan,
                                     .dataset = &set,
                                     .machine = &machine,
                                     .prepared = prepared,
                                     .dir = sim.dir,
                                     .stop = &sim.stop};
    enum tare_status status = TARE_OK;
    free(samples);
    if (is_first)
        status = tare_make_empty_dir(sim.dir, err);
    else
        status = tare_resume_open(&resumed, sim.dir, err);
    if (status != TARE_OK)
        return status;
    if (!is_first) {
        campaign.plan = &resumed.plan;
        campaign.journal = resumed.journal;
        status = tare_resume_check(&resumed, &set, &machine, err);
        if (status == TARE_OK)
            status = tare_plan_model(&resumed.plan, plan.model, &set, err);
    }
    bool over = !is_first && tare_resume_is_complete(&resumed);
    if (status == TARE_OK && !over)
        status = tare_campaign_run(&campaign, err);
    tare_resume_close(&resumed);
    return status;
}

/* ---- what came of it ----------------------------------------------------------------------------
 */

struct outcome {
    struct tare_buf work;       /* lines without their links, and without `resume` and `end` */
    struct tare_buf reports[4]; /* text, Markdown, CSV, JSON */
};

static void free_outcome(struct outcome *o) {
    tare_buf_free(&o->work);
    for (size_t i = 0; i < 4; i++)
        tare_buf_free(&o->reports[i]);
}

static bool begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

static void check_job(const char *line, size_t size) {
    json_t *record = json_loadb(line, size, 0, NULL);
    const char *dir = json_string_value(json_object_get(record, "dir"));
    const char *state = json_string_value(json_object_get(record, "state"));
    bool known = false;
    enum tare_cell_state expected = sim_expected(dir ? dir : "", &known);
    if (known && (!state || strcmp(state, tare_state_name(expected)) != 0))
        sim_fault("%s is %s (%s), and should be %s", dir, state ? state : "nothing",
                  json_string_value(json_object_get(record, "reason")), tare_state_name(expected));
    json_decref(record);
}

static void take_work(struct outcome *o, const struct tare_buf *samples) {
    const char *at = samples->data, *end = samples->data + samples->size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)(newline - at);
        if (begins(at, "{\"record\":\"job\""))
            check_job(at, size);
        if (!begins(at, "{\"record\":\"resume\"") && !begins(at, "{\"record\":\"end\"")) {
            tare_buf_append(&o->work, at, size - TARE_LINK_TAIL_BYTES);
            tare_buf_puts(&o->work, "\n");
        }
        at = newline + 1;
    }
}

static void read_samples(struct tare_buf *text) {
    struct tare_err err = {0};
    char *path = samples_path();
    if (tare_file_read(text, path, TARE_MAX_SAMPLES_BYTES, &err) != TARE_OK)
        sim_fault("%s: %s", err.where, err.what);
    free(path);
}

/* The reports of what there is now; o may be NULL: that they can be made is all. */
static void report(struct outcome *o) {
    struct tare_err err = {0};
    struct tare_summary summary = {0};
    char *path = samples_path();
    if (tare_summary_read(&summary, path, &err) != TARE_OK)
        sim_fault("no report: %s: %s", err.where, err.what);
    else if (o) {
        tare_report_text(&o->reports[0], &summary, NULL);
        tare_report_markdown(&o->reports[1], &summary);
        tare_report_csv(&o->reports[2], &summary);
        tare_report_json(&o->reports[3], &summary);
        if (!summary.complete)
            sim_fault("a finished campaign is not complete");
    }
    tare_summary_free(&summary);
    free(path);
}

static void note_finding(void *context, enum tare_finding finding, const char *path,
                         const char *why) {
    (void)context;
    sim_fault("tare verify: %s: %s: %s", tare_finding_name(finding), path, why);
}

static void conclude(struct outcome *o) {
    struct tare_buf samples = {0};
    struct tare_err err = {0};
    struct tare_verify verify = {.dir = sim.dir, .found = note_finding};
    read_samples(&samples);
    if (!sim.fault[0])
        take_work(o, &samples);
    report(o);
    if (tare_verify_folder(&verify, &err) != TARE_OK)
        sim_fault("tare verify: %s: %s", err.where, err.what);
    tare_buf_free(&samples);
}

static bool is_end(enum tare_status status) {
    return status == TARE_OK || status == TARE_FAILED;
}

/* Without a break. Returns how many calls into the world it took. */
static long run_whole(struct outcome *o) {
    struct tare_err err = {0};
    sim.calls = sim.kill_at = sim.stop_at = 0;
    sim.stop = 0;
    tare_remove_tree(sim.dir, NULL);
    enum tare_status status = session(&err);
    if (!is_end(status))
        sim_fault("without a break: %s: %s", err.where, err.what);
    else
        conclude(o);
    return sim.calls;
}

/* A session that is cut short; false when it reached its end. What is there now is in *samples. */
static bool cut_short(struct tare_buf *samples, long calls, int which) {
    char what[32];
    snprintf(what, sizeof what, "cut %d", which);
    long at = 1 + (long)draw(what, (uint64_t)calls);
    bool kill = draw(what, 3) > 0;
    sim.calls = 0;
    sim.kill_at = kill ? at : 0;
    sim.stop_at = kill ? 0 : at;
    sim.stop = 0;
    pid_t child = fork();
    if (child < 0)
        die("fork", NULL);
    if (child == 0) {
        struct tare_err err = {0};
        enum tare_status status = session(&err);
        if (status != TARE_INTERRUPTED && !is_end(status))
            sim_fault("session %d: %s: %s", which, err.where, err.what);
        if (sim.fault[0])
            fprintf(stderr, "seed %llu: %s\n", (unsigned long long)sim.seed, sim.fault);
        _exit(sim.fault[0] ? 99 : status == TARE_INTERRUPTED ? 130 : 0);
    }
    int wait_status = 0;
    waitpid(child, &wait_status, 0);
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 98;
    if (code != 0 && code != 130 && code != 137)
        sim_fault("session %d ended with %d", which, code);
    char *path = samples_path();
    struct tare_buf before = *samples;
    *samples = (struct tare_buf){0};
    if (tare_path_exists(path)) {
        read_samples(samples);
        if (samples->size < before.size || memcmp(samples->data, before.data, before.size) != 0)
            sim_fault("session %d altered what was recorded before it", which);
        if (!sim.fault[0])
            report(NULL);
        FILE *torn = draw(what, 5) == 0 && code == 137 ? fopen(path, "a") : NULL;
        if (torn) { /* as a machine that loses power leaves it */
            fputs("{\"record\":\"job\",\"ind", torn);
            fclose(torn);
        }
    } else if (before.size > 0)
        sim_fault("session %d lost the samples", which);
    tare_buf_free(&before);
    free(path);
    return code != 0;
}

static void run_broken(struct outcome *o, long calls) {
    struct tare_err err = {0};
    struct tare_buf samples = {0}, in_the_end = {0};
    int cuts = draw("many cuts", 5) == 0 ? (int)(1 + draw("cuts", MAX_CUTS)) : 1;
    tare_remove_tree(sim.dir, NULL);
    for (int i = 0; i < cuts && !sim.fault[0] && cut_short(&samples, calls, i); i++)
        continue;
    sim.kill_at = sim.stop_at = 0;
    sim.stop = 0;
    enum tare_status status = session(&err);
    if (!is_end(status))
        sim_fault("the last session: %s: %s", err.where, err.what);
    if (!sim.fault[0]) {
        read_samples(&in_the_end);
        if (in_the_end.size < samples.size ||
            (samples.size > 0 && memcmp(in_the_end.data, samples.data, samples.size) != 0))
            sim_fault("the last session altered what was recorded before it");
        conclude(o);
    }
    tare_buf_free(&samples);
    tare_buf_free(&in_the_end);
}

static bool same(const struct tare_buf *a, const struct tare_buf *b) {
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* The first line in which two campaigns differ, for whoever repeats a seed. */
static void show_difference(const struct tare_buf *a, const struct tare_buf *b) {
    size_t line = 0;
    for (size_t i = 0; i < a->size && i < b->size; i++) {
        if (a->data[i] != b->data[i]) {
            fprintf(stderr, "without a break:\n  %.*s\ncut short and carried on:\n  %.*s\n",
                    (int)strcspn(a->data + line, "\n"), a->data + line,
                    (int)strcspn(b->data + line, "\n"), b->data + line);
            return;
        }
        if (a->data[i] == '\n')
            line = i + 1;
    }
}

/* Both campaigns of one seed; true when every promise was kept. */
static bool try_seed(uint64_t seed) {
    static const char *const formats[] = {"text", "Markdown", "CSV", "JSON"};
    struct outcome whole = {0}, broken = {0};
    sim.seed = seed;
    sim.fault[0] = '\0';
    sim.now_ns = 1000 * SIM_NS_PER_MS;
    sim_forget_expected();
    make_plan();
    long calls = run_whole(&whole);
    sim.now_ns = 1000 * SIM_NS_PER_MS;
    sim_forget_expected();
    if (!sim.fault[0])
        run_broken(&broken, calls);
    if (!sim.fault[0] && !same(&whole.work, &broken.work)) {
        sim_fault("not the same work as without a break");
        show_difference(&whole.work, &broken.work);
    }
    for (size_t i = 0; i < 4; i++)
        if (!sim.fault[0] && !same(&whole.reports[i], &broken.reports[i]))
            sim_fault("the %s report is another than without a break", formats[i]);
    free_outcome(&whole);
    free_outcome(&broken);
    if (sim.fault[0])
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, sim.fault);
    return !sim.fault[0];
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: laboratory FROM COUNT FOLDER\n");
        return 2;
    }
    uint64_t from = strtoull(argv[1], NULL, 10), count = strtoull(argv[2], NULL, 10), good = 0;
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* memory that is given back is asked for again at once */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    set_up(argv[3]);
    for (uint64_t i = 0; i < count; i++)
        good += try_seed(from + i);
    printf("%llu %llu\n", (unsigned long long)count, (unsigned long long)good);
    return good == count ? 0 : 1;
}
