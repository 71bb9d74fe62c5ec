/* small_campaign.h: whole campaigns on a small image set, for tests. The runtimes of exported files
 * are scripts here, so that the tests know what they answer. Include after cmocka.h. */
#ifndef TARE_TESTS_SMALL_CAMPAIGN_H
#define TARE_TESTS_SMALL_CAMPAIGN_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "small_set.h"
#include "tare/buf.h"
#include "tare/lab.h"
#include "tare/summary.h"
#include "temporary.h"

static struct tare_dataset set;
static char *dir, *prepared;
static struct tare_machine machine;

/* Answers with the logits of the training job whose export it was given, or as TEST_RUNTIME says:
 * "wrong": one logit of them is another; "skip": the machine lacks it. $0.npy: latencies. */
static const char script[] =
    "#!/bin/sh\n"
    "read -r job\n"
    "get() { printf '%s' \"$job\" | sed 's/.*\"'\"$1\"'\":\"\\([^\"]*\\)\".*/\\1/'; }\n"
    "start=$(date +%s%N)\n"
    "name=${0##*/tare-engine-}\n"
    "echo '{\"event\":\"hello\",\"abi\":1,\"engine\":\"'$name'\",\"version\":\"9\"}'\n"
    "if [ \"$TEST_RUNTIME\" = skip ]; then\n"
    "    echo '{\"event\":\"skip\",\"reason\":\"not here\",\"fix\":\"make engines\"}'; exit 1\n"
    "fi\n"
    "logits=$(get logits) model=$(get model_file)\n"
    "[ -s \"$model\" ] || exit 9\n"
    "echo '{\"event\":\"setting\",\"name\":\"ships_bytes\",\"value\":\"12345\"}'\n"
    "echo '{\"event\":\"sample\",\"call\":\"run\",\"batch\":1,\"loops\":1,\"wall_ns\":5000,"
    "\"first\":true}'\n"
    "if [ -n \"$logits\" ]; then\n"
    "    cp \"${model%/tare/*}/logits.npy\" \"$logits\" || exit 9\n"
    "    cp \"$0.npy\" \"$(get latencies)\" || exit 9\n"
    "    [ \"$TEST_RUNTIME\" != wrong ] ||\n"
    "        printf '\\107' | dd of=\"$logits\" bs=1 seek=131 conv=notrunc 2>/dev/null || exit 9\n"
    "fi\n"
    "echo '{\"event\":\"phase\",\"name\":\"infer\",\"wall_ns\":'$(($(date +%s%N) - start))'}'\n"
    "echo '{\"event\":\"bye\"}'\n";

/* Scripts of that name, found before any real runtime. */
static inline int make_runtimes(void) {
    static const char *const names[] = {"litert", "onnxruntime"};
    struct tare_buf path = {0};
    struct tare_array ns = {0};
    int bad = tare_array_make(&ns, TARE_I32, 1, (size_t[]){1000}, NULL) != TARE_OK;
    for (int i = 0; i < 1000 && !bad; i++)
        ((int32_t *)ns.data)[i] = 1000 + i;
    tare_buf_printf(&path, "%s/runtimes", dir);
    bad = bad || mkdir(path.data, 0777) != 0;
    for (int i = 0; i < 2 && !bad; i++) {
        struct tare_buf program = {0};
        tare_buf_printf(&program, "%s/tare-engine-%s", path.data, names[i]);
        bad = tare_file_write(program.data, script, sizeof script - 1, NULL) != TARE_OK ||
              chmod(program.data, 0777) != 0;
        tare_buf_puts(&program, ".npy");
        bad = bad || tare_npy_write(program.data, &ns, NULL) != TARE_OK;
        tare_buf_free(&program);
    }
    const char *others = getenv("TARE_ENGINE_PATH");
    tare_buf_printf(&path, "%s%s", others ? ":" : "", others ? others : "");
    setenv("TARE_ENGINE_PATH", path.data, 1);
    tare_buf_free(&path);
    tare_array_free(&ns);
    return bad ? -1 : 0;
}

static inline int set_up(void **state) {
    (void)state;
    dir = temporary_make();
    if (make_runtimes() != 0)
        return -1;
    char *cache = tare_path_join(dir, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    free(cache);
    struct tare_err err = {0};
    if (small_set_make(&set, 8, 4) != 0 || tare_dataset_prepare(&prepared, &set, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        return -1;
    }
    tare_machine_describe(&machine);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    tare_dataset_free(&set);
    free(prepared);
    temporary_remove(dir);
    return 0;
}

static inline void plan_with(struct tare_plan *plan, const char *const *engines, size_t runs) {
    tare_plan_defaults(plan);
    plan->runs = runs;
    plan->epochs = 2;
    plan->timeout_s = 2;
    for (; *engines; engines++)
        assert_int_equal(tare_plan_add(plan, *engines, NULL, NULL), TARE_OK);
    assert_int_equal(tare_plan_model(plan, NULL, &set, NULL), TARE_OK);
}

static inline enum tare_status run(struct tare_plan *plan, const char *name,
                                   struct tare_summary *summary,
                                   const volatile sig_atomic_t *stop) {
    char *out = tare_path_join(dir, name);
    char *samples = NULL;
    struct tare_err err = {0};
    assert_int_equal(tare_results_open(out, 1000, &err), TARE_OK);
    struct tare_campaign campaign = {.plan = plan,
                                     .dataset = &set,
                                     .machine = &machine,
                                     .prepared = prepared,
                                     .dir = out,
                                     .stop = stop};
    enum tare_status status = tare_campaign_run(&campaign, &err);
    samples = tare_path_join(out, "samples.jsonl");
    if (tare_summary_read(summary, samples, &err) != TARE_OK)
        tare_err_print(stderr, &err);
    assert_non_null(summary->memory);
    free(samples);
    free(out);
    return status;
}

#endif
