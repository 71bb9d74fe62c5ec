/* export_model.h: nets and options that the tests of the exporters share. Included after cmocka.h.
 */
#ifndef TARE_TESTS_EXPORT_MODEL_H
#define TARE_TESTS_EXPORT_MODEL_H

#include <stdlib.h>

#include "tare/export.h"
#include "tare/rng.h"

static const struct tare_export_options plain;

struct model {
    struct tare_net net;
    float *params;
    struct tare_buf file;
};

static inline void make_model(struct model *m, const char *spec) {
    *m = (struct model){0};
    assert_int_equal(tare_net_parse(&m->net, spec, NULL), TARE_OK);
    m->params = calloc(m->net.param_count + 1, sizeof *m->params);
    assert_non_null(m->params);
    tare_net_init(m->params, &m->net, 3);
    for (int i = 0; i < m->net.tensor_count; i++) /* biases too */
        for (size_t k = 0; m->net.tensors[i].rank == 1 && k < m->net.tensors[i].count; k++)
            m->params[m->net.tensors[i].offset + k] = (float)k - 0.25F;
}

static inline void write_model(struct model *m, enum tare_export_format format,
                               const struct tare_export_options *options) {
    struct tare_err err = {0};
    tare_buf_free(&m->file);
    if (tare_export_bytes(&m->file, format, &m->net, m->params, options, &err) != TARE_OK)
        fail_msg("%s: %s", err.where, err.what);
}

static inline void free_model(struct model *m) {
    tare_buf_free(&m->file);
    free(m->params);
}

static const struct tare_export_options everything = {.batch = 5,
                                                      .normalise = true,
                                                      .softmax = true,
                                                      .trained_by = "keras 3.15.1",
                                                      .dataset = "Ziffern für Prüfungen",
                                                      .dataset_sha256 = "00ff",
                                                      .licence = "CC BY-SA 3.0"};

/* A net of up to six layers, and any options. */
static inline void random_model(struct model *m, struct tare_export_options *options,
                                struct tare_rng *rng) {
    char spec[TARE_MAX_SPEC];
    size_t used = (size_t)snprintf(spec, sizeof spec, "%zu", 1 + tare_rng_below(rng, 40));
    for (size_t layers = 1 + tare_rng_below(rng, 6); layers > 0; layers--)
        used +=
            (size_t)snprintf(spec + used, sizeof spec - used, " dense:%zu%s",
                             1 + tare_rng_below(rng, 40), tare_rng_below(rng, 2) ? ":relu" : "");
    *options = (struct tare_export_options){.batch = tare_rng_below(rng, 3),
                                            .normalise = tare_rng_below(rng, 2) == 1,
                                            .softmax = tare_rng_below(rng, 2) == 1};
    make_model(m, spec);
}

/* As many layers as a net can have: all tables are full. */
static inline void largest_model(struct model *m) {
    char spec[TARE_MAX_SPEC] = "3";
    for (int i = 0; i < TARE_MAX_LAYERS; i++)
        strcat(spec, " dense:2");
    make_model(m, spec);
}

/* Bits that printing, rounding or flushing would lose. */
static inline void delicate_model(struct model *m) {
    static const uint32_t bits[] = {0x00000001, 0x807fffff, 0x80000000, 0x7f7fffff,
                                    0x3eaaaaab, 0x00800000, 0xbf800001, 0x34000000};
    make_model(m, "7 dense:1");
    memcpy(m->params, bits, sizeof bits);
}

#endif
