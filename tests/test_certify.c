/* test_certify.c: the equality certificate against engines with one planted fault each
 * (tests/faulty_engines), on real MNIST ($TARE_DATA) and on a small made-up set. Each fault must be
 * found, and named where it begins; engines without one must pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/envelope.h"
#include "small_set.h"
#include "tare/buf.h"
#include "tare/certify.h"
#include "tare/native.h"
#include "temporary.h"

/* A set, and the plan and folder that certificates on it need. */
struct ground {
    struct tare_dataset set;
    struct tare_plan plan;
    char *prepared;
    const char *lacks; /* why there is none; NULL: it is there */
};

static struct ground mnist, bands;
static char *dir;

/* ---- helpers -----------------------------------------------------------------------------------
 */

static void must(enum tare_status status, const struct tare_err *err) {
    if (status != TARE_OK)
        fail_msg("%s: %s", err->where, err->what);
}

/* engine: NAME or NAME/VARIANT */
static void certify(struct tare_certificate *c, const struct ground *g, const char *engine,
                    size_t run) {
    struct tare_err err = {0};
    char folder[TARE_MAX_PATH], name[64];
    snprintf(folder, sizeof folder, "%s/job", dir);
    snprintf(name, sizeof name, "%s", engine);
    char *slash = strchr(name, '/');
    if (slash)
        *slash = '\0';
    struct tare_certify_request request = {.plan = &g->plan,
                                           .run = run,
                                           .dataset = &g->set,
                                           .prepared = g->prepared,
                                           .engine = name,
                                           .variant = slash ? slash + 1 : NULL,
                                           .device = "cpu",
                                           .threads = 1,
                                           .dir = folder,
                                           .timeout_s = 60};
    must(tare_certify(c, &request, &err), &err);
}

static void needs(const struct ground *g) {
    if (g->lacks) {
        print_message("lacks: %s\n", g->lacks);
        skip();
    }
}

static void must_pass(const struct ground *g, const char *engine) {
    static struct tare_certificate c;
    for (size_t run = 0; run < 2; run++) {
        certify(&c, g, engine, run);
        if (c.state != TARE_CERTIFICATE_OK)
            fail_msg("%s, run %zu: %s: %s", engine, run, tare_certificate_state_name(c.state),
                     c.reason);
        assert_true(c.largest.value > 0 && c.largest.value < 2);
        assert_int_equal(c.first_step, 0);
        assert_string_equal(c.reason, "");
    }
}

struct planted {
    const char *engine;
    enum tare_checkpoint first; /* COUNT: it depends on the data */
    size_t step;                /* with first */
};

static void must_be_found(const struct ground *g, const struct planted *fault) {
    static struct tare_certificate c;
    certify(&c, g, fault->engine, 0);
    if (c.state != TARE_CERTIFICATE_NOT_SAME_WORK)
        fail_msg("%s: %s, largest ratio %g", fault->engine, tare_certificate_state_name(c.state),
                 c.largest.value);
    assert_true(c.largest.value > TARE_CERTIFY_LIMIT);
    assert_true(c.first.value > TARE_CERTIFY_LIMIT);
    if (fault->first == TARE_CHECKPOINT_COUNT)
        return;
    if (c.first.checkpoint != fault->first || c.first_step != fault->step)
        fail_msg("%s: found in %s, step %zu", fault->engine,
                 tare_checkpoint_text(c.first.checkpoint), c.first_step);
    /* Everything before the fault is as it should be. */
    for (int i = 0; i < (int)fault->first; i++)
        assert_true(c.ratios[i] <= TARE_CERTIFY_LIMIT);
}

/* ---- no false alarm, and every fault -----------------------------------------------------------
 */

static void honest_engines_pass(void **state) {
    const struct ground *g = *state;
    needs(g);
    must_pass(g, "native");
    must_pass(g, "native/reference");
    if (tare_native_has_kernels("avx2"))
        must_pass(g, "native/avx2");
    if (tare_native_has_kernels("avx512"))
        must_pass(g, "native/avx512");
    must_pass(g, "sound");
    must_pass(g, "reversed");
}

static void each_fault_is_found_where_it_begins(void **state) {
    static const struct planted faults[] = {
        {"epsilon_inside", TARE_CHECKPOINT_WEIGHTS_1, 1},
        {"epsilon_hat", TARE_CHECKPOINT_WEIGHTS_1, 1},
        {"epsilon_large", TARE_CHECKPOINT_WEIGHTS_1, 1},
        {"frozen_bias", TARE_CHECKPOINT_GRADIENT, 1},
        {"label_first", TARE_CHECKPOINT_GRADIENT, 1},
        {"label_middle", TARE_CHECKPOINT_LOSS_100, 50},
        {"label_last", TARE_CHECKPOINT_LOSS_100, 100},
        {"shifted_order", TARE_CHECKPOINT_GRADIENT, 1},
        {"rate_high", TARE_CHECKPOINT_WEIGHTS_1, 1},
        {"rate_hair", TARE_CHECKPOINT_COUNT, 0},
        {"summed_loss", TARE_CHECKPOINT_GRADIENT, 1},
        {"scaled_gradient", TARE_CHECKPOINT_GRADIENT, 1},
        {"divided_wrong", TARE_CHECKPOINT_LOGITS, 0},
        {"weight_decay", TARE_CHECKPOINT_GRADIENT, 1},
        {"decoupled_decay", TARE_CHECKPOINT_COUNT, 0},
        {"half_precision", TARE_CHECKPOINT_LOGITS, 0},
        {"long_ranges", TARE_CHECKPOINT_RANGE_WEIGHTS_100, 100},
    };
    const struct ground *g = *state;
    needs(g);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        must_be_found(g, &faults[i]);
}

/* An engine whose loss is no number has failed; it must not pass by comparing NaN with anything. */
static void a_diverging_engine_is_not_certified(void **state) {
    static struct tare_certificate c;
    (void)state;
    certify(&c, &bands, "diverging", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_CHECKED);
    assert_int_equal(c.job_state, TARE_STATE_FAILED);
    assert_non_null(strstr(c.reason, "not a number"));
}

static void engines_that_cannot_be_checked_say_why(void **state) {
    static struct tare_certificate c;
    (void)state;
    certify(&c, &bands, "skipper", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_CHECKED);
    assert_int_equal(c.job_state, TARE_STATE_SKIPPED);
    assert_string_equal(c.reason, "no such device");
    assert_string_equal(c.fix, "buy one");
    certify(&c, &bands, "crash", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_CHECKED);
    assert_int_equal(c.job_state, TARE_STATE_FAILED);
    assert_non_null(strstr(c.reason, "signal"));
    certify(&c, &bands, "nowhere", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_CHECKED);
    assert_int_equal(c.job_state, TARE_STATE_SKIPPED);
    assert_non_null(strstr(c.reason, "not installed"));
}

/* What an honest engine left in the folder must not be taken for the next one's work. */
static void old_files_are_not_judged(void **state) {
    static struct tare_certificate c;
    (void)state;
    certify(&c, &bands, "sound", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_OK);
    certify(&c, &bands, "forgetful", 0);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_CHECKED);
    assert_non_null(strstr(c.reason, "gradient-weights.safetensors"));
}

/* ---- the parts ---------------------------------------------------------------------------------
 */

static size_t files_in_cache(void) {
    struct tare_buf command = {0};
    char text[32] = "";
    tare_buf_printf(&command, "ls '%s/cache/tare/envelopes' | wc -l", dir);
    FILE *pipe = popen(command.data, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    tare_buf_free(&command);
    return strtoul(text, NULL, 10);
}

static void get_envelope(struct tare_envelope *e, const struct tare_plan *plan) {
    struct tare_problem problem;
    struct tare_err err = {0};
    must(tare_problem_make(&problem, plan, 0, &bands.set, TARE_CERTIFY_STEPS, TARE_CERTIFY_PROBES,
                           &err),
         &err);
    must(tare_envelope_get(e, &problem, plan->seed, NULL, &err), &err);
    tare_problem_free(&problem);
}

static void envelopes_are_kept_by_what_they_depend_on(void **state) {
    (void)state;
    struct tare_envelope a, b;
    struct tare_plan other = bands.plan;
    get_envelope(&a, &bands.plan);
    size_t files = files_in_cache();
    get_envelope(&b, &bands.plan);
    assert_int_equal(files_in_cache(), files);
    assert_memory_equal(a.truth, b.truth, a.layout.total * sizeof *a.truth);
    assert_memory_equal(a.reach, b.reach, a.layout.item_count * sizeof *a.reach);
    assert_memory_equal(a.step_reach, b.step_reach, sizeof a.step_reach);
    tare_envelope_free(&b);
    other.lr = 2e-3;
    get_envelope(&b, &other);
    assert_int_equal(files_in_cache(), files + 1);
    assert_true(b.reach[b.layout.item_count - 1] > 0);
    tare_envelope_free(&a);
    tare_envelope_free(&b);
}

static void a_damaged_envelope_is_made_again(void **state) {
    (void)state;
    struct tare_envelope a, b;
    struct tare_buf command = {0};
    get_envelope(&a, &bands.plan);
    tare_buf_printf(&command,
                    "for f in '%s'/cache/tare/envelopes/*; do head -c 999 \"$f\" > \"$f.x\" "
                    "&& mv \"$f.x\" \"$f\"; done",
                    dir);
    assert_int_equal(system(command.data), 0);
    tare_buf_free(&command);
    get_envelope(&b, &bands.plan);
    assert_memory_equal(a.reach, b.reach, a.layout.item_count * sizeof *a.reach);
    tare_envelope_free(&a);
    tare_envelope_free(&b);
}

/* Renumbering changes the rounding and nothing else: far below any fault, and above zero. */
static void references_stay_near_the_truth(void **state) {
    (void)state;
    struct tare_envelope e;
    get_envelope(&e, &bands.plan);
    for (size_t i = 0; i < e.layout.item_count; i++) {
        const struct tare_item *item = &e.layout.items[i];
        double norm = 0;
        for (size_t k = item->offset; k < item->offset + item->count; k++)
            norm += e.truth[k] * e.truth[k];
        assert_true(norm > 0);
        assert_true(e.reach[i] > 0);
        assert_true(e.reach[i] < 1e-3 * sqrt(norm));
    }
    tare_envelope_free(&e);
}

static void shuffles_are_permutations(void **state) {
    (void)state;
    struct tare_net net;
    struct tare_rng rng;
    struct tare_shuffle s;
    struct tare_err err = {0};
    must(tare_net_parse(&net, "4x3x2 dense:7:relu relu dense:5", &err), &err);
    tare_rng_seed(&rng, 9, TARE_STREAM_TEST);
    must(tare_shuffle_make(&s, &net, &rng, &err), &err);
    bool *seen = calloc(net.param_count, sizeof *seen);
    size_t moved = 0;
    for (size_t i = 0; i < net.param_count; i++) {
        size_t from = (size_t)s.params[i];
        assert_true(from < net.param_count && !seen[from]);
        seen[from] = true;
        moved += from != i;
        for (int t = 0; t < net.tensor_count; t++) { /* never from one tensor to another */
            size_t first = net.tensors[t].offset, end = first + net.tensors[t].count;
            assert_int_equal(i >= first && i < end, from >= first && from < end);
        }
    }
    assert_true(moved > net.param_count / 2);
    free(seen);
    tare_shuffle_free(&s);
    must(tare_shuffle_make(&s, &net, NULL, &err), &err);
    for (size_t i = 0; i < net.param_count; i++)
        assert_int_equal(s.params[i], i);
    tare_shuffle_free(&s);
}

static void the_first_epoch_is_judged_by_its_loss(void **state) {
    (void)state;
    static struct tare_certificate c;
    struct tare_err err = {0};
    double first = 0, again = 0;
    must(tare_reference_epoch(&first, &bands.plan, 0, &bands.set, NULL, &err), &err);
    must(tare_reference_epoch(&again, &bands.plan, 0, &bands.set, NULL, &err), &err);
    assert_true(first > 0.01 && first == again);
    tare_certificate_epoch(&c, first * (1 + 1e-3), first);
    assert_int_equal(c.state, TARE_CERTIFICATE_OK);
    tare_certificate_epoch(&c, first * (1 - 1e-2), first);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_SAME_WORK);
    assert_non_null(strstr(c.reason, "mean loss"));
    c = (struct tare_certificate){0};
    tare_certificate_epoch(&c, NAN, first);
    assert_int_equal(c.state, TARE_CERTIFICATE_NOT_SAME_WORK);
}

static void the_record_says_what_was_found(void **state) {
    (void)state;
    static struct tare_certificate c;
    certify(&c, &bands, "sound", 0);
    json_t *record = tare_certificate_json(&c);
    assert_string_equal(json_string_value(json_object_get(record, "record")), "certificate");
    assert_string_equal(json_string_value(json_object_get(record, "state")), "ok");
    assert_true(json_number_value(json_object_get(record, "max_ratio")) == c.largest.value);
    assert_int_equal(json_object_size(json_object_get(record, "ratios")), TARE_CHECKPOINT_COUNT);
    assert_null(json_object_get(record, "first"));
    json_decref(record);
    certify(&c, &bands, "label_middle", 0);
    record = tare_certificate_json(&c);
    assert_int_equal(json_integer_value(json_object_get(record, "first_step")), 50);
    assert_string_equal(json_string_value(json_object_get(record, "state")), "not-same-work");
    json_decref(record);
    certify(&c, &bands, "skipper", 0);
    record = tare_certificate_json(&c);
    assert_string_equal(json_string_value(json_object_get(record, "state")), "not-checked");
    assert_string_equal(json_string_value(json_object_get(record, "job_state")), "skipped");
    assert_null(json_object_get(record, "max_ratio"));
    json_decref(record);
}

/* ---- grounds -----------------------------------------------------------------------------------
 */

static void prepare(struct ground *g, const char *model, size_t batch) {
    struct tare_err err = {0};
    tare_plan_defaults(&g->plan);
    g->plan.batch = batch;
    if (tare_plan_model(&g->plan, model, &g->set, &err) != TARE_OK ||
        tare_dataset_prepare(&g->prepared, &g->set, &err) != TARE_OK) {
        tare_err_print(stderr, &err);
        exit(1);
    }
}

/* The first 2,000 and 500 images: all that 100 steps of 16 need, and quickly loaded; and a narrow
 * net, because sanitised references are slow. tests/frameworks/certify.sh takes the whole. */
static void make_mnist(struct ground *g) {
    struct tare_err err = {0};
    struct tare_data_options where = {.name = "mnist"};
    if (tare_dataset_load(&g->set, &where, &err) != TARE_OK) {
        g->lacks = "MNIST on this machine (TARE_DATA)";
        return;
    }
    g->set.train_images.shape[0] = g->set.train_labels.shape[0] = 2000;
    g->set.test_images.shape[0] = g->set.test_labels.shape[0] = 500;
    memcpy(g->set.sha256, "2000", 4); /* it is another set now */
    prepare(g, "784 dense:8:relu dense:10", 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffles_are_permutations),
        cmocka_unit_test(envelopes_are_kept_by_what_they_depend_on),
        cmocka_unit_test(a_damaged_envelope_is_made_again),
        cmocka_unit_test(references_stay_near_the_truth),
        cmocka_unit_test(the_first_epoch_is_judged_by_its_loss),
        cmocka_unit_test(the_record_says_what_was_found),
        cmocka_unit_test(engines_that_cannot_be_checked_say_why),
        cmocka_unit_test(a_diverging_engine_is_not_certified),
        cmocka_unit_test(old_files_are_not_judged),
        cmocka_unit_test_prestate(honest_engines_pass, &bands),
        cmocka_unit_test_prestate(each_fault_is_found_where_it_begins, &bands),
        cmocka_unit_test_prestate(honest_engines_pass, &mnist),
        cmocka_unit_test_prestate(each_fault_is_found_where_it_begins, &mnist),
    };
    dir = temporary_make();
    char *cache = tare_path_join(dir, "cache");
    setenv("XDG_CACHE_HOME", cache, 1);
    free(cache);
    if (small_set_make(&bands.set, 8, 4) != 0)
        return 1;
    prepare(&bands, NULL, 16);
    make_mnist(&mnist);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tare_dataset_free(&bands.set);
    tare_dataset_free(&mnist.set);
    free(bands.prepared);
    free(mnist.prepared);
    temporary_remove(dir);
    return failed;
}
