/* test_net.c: nets as data: their text in and out, hostile text, initial weights, and the way to
 * safetensors and back with files that belong to another net. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/op.h"
#include "tare/net.h"
#include "tare/rng.h"
#include "tare/safetensors.h"
#include "tare/words.h"

static void parse(struct tare_net *net, const char *spec) {
    struct tare_err err = {0};
    if (tare_net_parse(net, spec, &err) != TARE_OK)
        fail_msg("\"%s\": %s: %s", spec, err.where, err.what);
}

static void test_shapes_and_tensors(void **state) {
    (void)state;
    struct tare_net net;
    parse(&net, "28x28x1 dense:64:relu dense:10");
    assert_int_equal(net.in.rank, 3);
    assert_int_equal(net.n_in, 784);
    assert_int_equal(net.n_out, 10);
    assert_int_equal(net.layer_count, 3);
    assert_string_equal(tare_layer_op_name(&net.layers[0]), "dense");
    assert_string_equal(tare_layer_op_name(&net.layers[1]), "relu");
    assert_int_equal(net.layers[1].first_tensor, -1);
    assert_int_equal(net.layers[1].tensor_count, 0);
    assert_int_equal(net.layers[2].first_tensor, 2);
    assert_int_equal(net.layers[2].param_offset, 784 * 64 + 64);
    assert_int_equal(net.param_count, 50890);
    assert_int_equal(net.tensor_count, 4);
    static const char *const names[] = {"0.weight", "0.bias", "1.weight", "1.bias"};
    size_t offset = 0;
    for (int i = 0; i < 4; i++) {
        assert_string_equal(net.tensors[i].name, names[i]);
        assert_int_equal(net.tensors[i].offset, offset);
        offset += net.tensors[i].count;
    }
    assert_int_equal(offset, net.param_count);
    assert_int_equal(net.tensors[0].shape[0], 784);
    assert_int_equal(net.tensors[0].shape[1], 64);
    assert_true(tare_net_forward_flops(&net) == 2.0 * 50816 + 64 + 64 + 10);
}

static void test_numbering_skips_layers_without_parameters(void **state) {
    (void)state;
    struct tare_net net;
    parse(&net, "5 relu dense:4 relu relu dense:3");
    assert_string_equal(net.tensors[0].name, "0.weight");
    assert_string_equal(net.tensors[2].name, "1.weight");
}

static void test_canonical_text(void **state) {
    (void)state;
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"784 dense:64:relu dense:10", "784 dense:64:relu dense:10"},
        {"  0784   dense:064 relu dense:10 ", "784 dense:64:relu dense:10"},
        {"28x28x1 dense:10", "28x28x1 dense:10"},
        {"7 relu dense:3", "7 relu dense:3"},
        {"7 dense:3 relu relu", "7 dense:3:relu relu"},
        {"1 relu", "1 relu"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tare_net net, again;
        char text[TARE_MAX_SPEC], second[TARE_MAX_SPEC];
        parse(&net, cases[i].spec);
        tare_net_text(text, &net);
        assert_string_equal(text, cases[i].text);
        parse(&again, text);
        tare_net_text(second, &again);
        assert_string_equal(second, text);
        assert_int_equal(again.param_count, net.param_count);
    }
}

/* A text that is no net: what is said, where, and what to try. */
static void test_hostile_text(void **state) {
    (void)state;
    static const struct {
        const char *spec, *where, *what, *hint;
    } cases[] = {
        {"", "model", "empty", "784 dense:64:relu"},
        {"   ", "model", "empty", "784"},
        {"784", "model", "no layers", "784"},
        {"dense:10", "character 1", "\"dense:10\" is not a number", "digits"},
        {"784 dens:10", "character 5", "\"dens\"", "\"dense\""},
        {"784 rleu", "character 5", "\"rleu\"", "\"relu\""},
        {"784 transformer:8", "character 5", "not a layer", "dense:UNITS relu"},
        {"784 dense", "character 5", "lacks its size", "dense:UNITS"},
        {"784 dense:", "character 11", "number is wanted", "digits"},
        {"784 dense:64:", "character 14", "not a layer", "relu"},
        {"784 dense::relu", "character 11", "number is wanted", "digits"},
        {"784 dense:0", "character 11", "at least 1", "1 to 65536"},
        {"784 dense:-3", "character 11", "not a number", "digits"},
        {"784 dense:6.5", "character 11", "not a number", "digits"},
        {"784 dense:65537", "character 11", "too large", "65536"},
        {"784 dense:18446744073709551617", "character 11", "too large", "65536"},
        {"784 dense:99999999999999999999999999999999999", "character 11", "too large", ""},
        {"784 dense:64:dense", "character 14", "not expected", "spaces"},
        {"784 dense:64:relu:relu", "character 14", "not expected", "one activation"},
        {"784 dense:64:32", "character 14", "not a layer", ""},
        {"784 relu:relu", "character 10", "not expected", ""},
        {"784 relu:5", "character 10", "not a layer", ""},
        {"0 dense:3", "character 1", "at least 1", ""},
        {"28x28 dense:3", "character 1", "two sizes", "28x28x1"},
        {"28x28x1x1 dense:3", "character 1", "too many sizes", ""},
        {"28xx1 dense:3", "character 4", "number is wanted", ""},
        {"x dense:3", "character 1", "number is wanted", ""},
        {"65536x65536x65536 dense:3", "character 1", "too large an input", "65536"},
        {"256x257x1 dense:3", "character 1", "too large an input", "65536"},
        {"65536 dense:65536", "character 7", "parameters", "smaller"},
        {"65536 dense:4096", "character 7", "parameters", "smaller"}, /* 2²⁸ + 4096 */
        {"784\tdense:3", "character 1", "784?dense:3", "digits"},
        {"784 \x1b[31mdense:3", "character 5", "\"?[31mdense\"", ""},
        {"784 \xff\xfe:3", "character 5", "\"\?\?\"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tare_net net;
        struct tare_err err = {0};
        if (tare_net_parse(&net, cases[i].spec, &err) != TARE_USAGE || err.status != TARE_USAGE ||
            !strstr(err.where, cases[i].where) || !strstr(err.what, cases[i].what) ||
            !strstr(err.hint, cases[i].hint))
            fail_msg("\"%s\" gave: %s: %s; try: %s", cases[i].spec, err.where, err.what, err.hint);
        assert_int_equal(tare_net_parse(&net, cases[i].spec, NULL), TARE_USAGE);
    }
}

static void test_caps(void **state) {
    (void)state;
    struct tare_net net;
    struct tare_err err = {0};
    char spec[2 * TARE_MAX_SPEC] = "4";
    for (int i = 0; i < TARE_MAX_LAYERS; i++)
        strcat(spec, " dense:4");
    parse(&net, spec); /* 32 layers with 64 tensors: both caps exactly */
    assert_int_equal(net.tensor_count, TARE_MAX_NET_TENSORS);
    strcat(spec, " relu");
    assert_int_equal(tare_net_parse(&net, spec, &err), TARE_USAGE);
    assert_non_null(strstr(err.what, "one layer too many"));
    memset(spec, ' ', sizeof spec);
    memcpy(spec, "4 relu", 6);
    spec[TARE_MAX_SPEC - 1] = '\0';
    parse(&net, spec); /* the longest text there may be */
    spec[TARE_MAX_SPEC - 1] = ' ';
    spec[TARE_MAX_SPEC] = '\0';
    assert_int_equal(tare_net_parse(&net, spec, &err), TARE_USAGE);
    assert_non_null(strstr(err.what, "longer than"));
    parse(&net, "65536 dense:4095"); /* 2²⁸ − 65536 + 4095 parameters are few enough */
}

/* Any bytes either make a net that survives its own text, or an error with a place. */
static void test_random_text(void **state) {
    (void)state;
    static const char *const pieces[] = {"dense", ":",  "relu", " ",    "784", "28x28x1", "x",
                                         "1",     "10", "0",    "9999", "den", "\x80",    "::"};
    struct tare_rng rng;
    size_t accepted = 0;
    tare_rng_seed(&rng, 1, TARE_STREAM_TEST);
    for (int n = 0; n < 20000; n++) {
        char spec[256], text[TARE_MAX_SPEC];
        strcpy(spec, tare_rng_below(&rng, 2) ? "9 dense:3" : "");
        for (uint64_t left = tare_rng_below(&rng, 8); left > 0; left--)
            strcat(spec, pieces[tare_rng_below(&rng, sizeof pieces / sizeof pieces[0])]);
        struct tare_net net, again;
        struct tare_err err = {0};
        if (tare_net_parse(&net, spec, &err) != TARE_OK) {
            assert_true(err.what[0] && strncmp(err.where, "model", 5) == 0);
            continue;
        }
        accepted++;
        tare_net_text(text, &net);
        parse(&again, text);
        assert_int_equal(net.param_count, again.param_count);
        assert_int_equal(net.layer_count, again.layer_count);
    }
    assert_true(accepted > 1000);
}

static void test_init(void **state) {
    (void)state;
    struct tare_net net;
    parse(&net, "784 dense:64:relu dense:10");
    float *a = calloc(net.param_count, sizeof *a), *b = calloc(net.param_count, sizeof *b);
    assert_true(a && b);
    tare_net_init(a, &net, 7);
    tare_net_init(b, &net, 7);
    assert_memory_equal(a, b, net.param_count * sizeof *a);
    tare_net_init(b, &net, 8);
    assert_true(memcmp(a, b, net.param_count * sizeof *a) != 0);
    for (int t = 0; t < net.tensor_count; t += 2) {
        const struct tare_net_tensor *w = &net.tensors[t], *bias = &net.tensors[t + 1];
        double limit = sqrt(6.0 / (double)(w->shape[0] + w->shape[1])), sum = 0, squares = 0;
        for (size_t i = w->offset; i < w->offset + w->count; i++) {
            double value = (double)a[i];
            assert_true(fabs(value) <= limit * (1 + 1e-7));
            sum += value;
            squares += value * value;
        }
        /* Mean 0 and variance limit²/3, within five standard errors of each. */
        double n = (double)w->count;
        assert_true(fabs(sum / n) < 5 * limit / sqrt(3 * n));
        assert_true(fabs(squares / n - limit * limit / 3) < 5 * limit * limit * 0.3 / sqrt(n));
        for (size_t i = bias->offset; i < bias->offset + bias->count; i++)
            assert_true(a[i] == 0);
    }
    free(a);
    free(b);
}

/* ---- to safetensors and back ------------------------------------------------------------------
 */

enum { SMALL_PARAMS = 3 * 2 + 2 };

/* The net "3 dense:2" as tensors: 0.weight (3, 2) and 0.bias (2). */
static void small_tensors(struct tare_net *net, float *params, struct tare_tensors *tensors) {
    parse(net, "3 dense:2");
    tare_net_init(params, net, 1);
    params[SMALL_PARAMS - 1] = -0.0F;
    params[0] = 0x1p-149F; /* the smallest float: lost by anything that prints digits */
    assert_int_equal(tare_net_to_tensors(tensors, net, params, "u8/255", "native", NULL), TARE_OK);
}

static void test_round_trip_in_memory(void **state) {
    (void)state;
    struct tare_net net;
    struct tare_tensors tensors;
    float params[SMALL_PARAMS], back[SMALL_PARAMS] = {0};
    small_tensors(&net, params, &tensors);
    assert_string_equal(tare_tensors_metadata(&tensors, "model"), "3 dense:2");
    assert_string_equal(tare_tensors_metadata(&tensors, "norm"), "u8/255");
    assert_string_equal(tare_tensors_metadata(&tensors, "trained_by"), "native");
    assert_int_equal(tare_net_from_tensors(back, &net, &tensors, "memory", NULL), TARE_OK);
    assert_memory_equal(back, params, sizeof params);
    tare_tensors_free(&tensors);
    assert_int_equal(tare_net_to_tensors(&tensors, &net, params, NULL, NULL, NULL), TARE_OK);
    assert_null(tare_tensors_metadata(&tensors, "norm"));
    assert_null(tare_tensors_metadata(&tensors, "trained_by"));
    tare_tensors_free(&tensors);
}

/* from_tensors must refuse, and say what it found; frees tensors. */
static void assert_refused(const struct tare_net *net, struct tare_tensors *tensors,
                           const char *what) {
    float back[SMALL_PARAMS];
    struct tare_err err = {0};
    assert_int_equal(tare_net_from_tensors(back, net, tensors, "w.safetensors", &err), TARE_DATA);
    assert_string_equal(err.where, "w.safetensors");
    if (!strstr(err.what, what))
        fail_msg("said \"%s\", not \"%s\"", err.what, what);
    tare_tensors_free(tensors);
}

static void test_wrong_tensors_are_refused(void **state) {
    (void)state;
    struct tare_net net, other;
    struct tare_tensors tensors;
    float params[SMALL_PARAMS];

    small_tensors(&net, params, &tensors);
    strcpy(tensors.tensors[1].name, "0.biaz");
    assert_refused(&net, &tensors, "no tensor 0.bias");

    small_tensors(&net, params, &tensors);
    struct tare_array stranger = tensors.tensors[0].array; /* the list it stands in may move */
    assert_int_equal(tare_tensors_add(&tensors, "1.weight", &stranger, NULL), TARE_OK);
    assert_refused(&net, &tensors, "3 tensors, the net 2");

    small_tensors(&net, params, &tensors);
    ((float *)tensors.tensors[0].array.data)[4] = NAN;
    assert_refused(&net, &tensors, "tensor 0.weight: value 4 is not finite");

    small_tensors(&net, params, &tensors);
    ((float *)tensors.tensors[1].array.data)[0] = -INFINITY;
    assert_refused(&net, &tensors, "tensor 0.bias: value 0 is not finite");

    small_tensors(&net, params, &tensors);
    tensors.tensors[0].array.dtype = TARE_I32;
    assert_refused(&net, &tensors, "0.weight is I32");

    small_tensors(&net, params, &tensors); /* the transpose has as many values */
    tensors.tensors[0].array.shape[0] = 2;
    tensors.tensors[0].array.shape[1] = 3;
    assert_refused(&net, &tensors, "shape (2, 3), the net wants (3, 2)");

    small_tensors(&net, params, &tensors);
    tensors.tensors[0].array.rank = 1;
    tensors.tensors[0].array.shape[0] = 6;
    assert_refused(&net, &tensors, "shape (6), the net wants (3, 2)");

    small_tensors(&net, params, &tensors);
    parse(&other, "3 dense:2 dense:2");
    assert_refused(&other, &tensors, "no tensor 1.weight");
}

static void test_files(void **state) {
    (void)state;
    struct tare_net net, read;
    struct tare_tensors tensors;
    struct tare_err err = {0};
    float params[SMALL_PARAMS], *back;
    char path[] = "/tmp/tare-test-net-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    small_tensors(&net, params, &tensors);
    assert_int_equal(tare_net_write(path, &net, params, "u8/255", NULL, &err), TARE_OK);
    assert_int_equal(tare_net_read(&read, &back, path, &err), TARE_OK);
    assert_int_equal(read.param_count, SMALL_PARAMS);
    assert_memory_equal(back, params, sizeof params);
    free(back);

    /* The metadata promise another net than the tensors hold; no net; nothing. */
    static const char *const models[] = {"3 dense:3", "3 dens:2", NULL};
    static const char *const what[] = {"shape (3, 2)", "character 3", "no model"};
    for (int i = 0; i < 3; i++) {
        struct tare_tensors bad = {0};
        if (models[i])
            assert_int_equal(tare_tensors_set_metadata(&bad, "model", models[i], NULL), TARE_OK);
        for (size_t t = 0; t < tensors.count; t++)
            assert_int_equal(
                tare_tensors_add(&bad, tensors.tensors[t].name, &tensors.tensors[t].array, NULL),
                TARE_OK);
        assert_int_equal(tare_safetensors_write(path, &bad, &err), TARE_OK);
        assert_int_equal(tare_net_read(&read, &back, path, &err), TARE_DATA);
        assert_string_equal(err.where, path);
        assert_non_null(strstr(err.what, what[i]));
        assert_null(back);
        tare_tensors_free(&bad);
    }
    unlink(path);
    assert_int_not_equal(tare_net_read(&read, &back, path, &err), TARE_OK);
    assert_null(back);
    tare_tensors_free(&tensors);
}

static void test_nearest_word(void **state) {
    (void)state;
    static const char *const words[] = {"compare", "train", "report", "data", "sgd"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"comapre", "compare"}, {"trian", "train"}, {"reprot", "report"},
                 {"date", "data"},       {"sdg", "sgd"},     {"", NULL},
                 {"xyzzy", NULL},        {"qq", NULL},       {"compareds", "compare"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *found = tare_nearest_word(cases[i].word, words, 5);
        if (cases[i].nearest)
            assert_string_equal(found, cases[i].nearest);
        else
            assert_null(found);
    }
    char endless[1000];
    memset(endless, 'a', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    assert_null(tare_nearest_word(endless, words, 5));
    const char *const endless_list[] = {endless};
    assert_null(tare_nearest_word("a", endless_list, 1));
    assert_null(tare_nearest_word("a", NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes_and_tensors),
        cmocka_unit_test(test_numbering_skips_layers_without_parameters),
        cmocka_unit_test(test_canonical_text),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_round_trip_in_memory),
        cmocka_unit_test(test_wrong_tensors_are_refused),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_nearest_word),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
