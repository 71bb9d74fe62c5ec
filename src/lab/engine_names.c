/* engine_names.c: how engines are called in reports, whose they are, and where their numbers come
 * from. One row per engine; an engine somebody added under another name is shown by that name, as
 * live. */
#include <string.h>

#include "tare/summary.h"

static const struct {
    const char *engine, *title, *framework;
    enum tare_origin origin;
} engines[] = {
    {"keras", "Keras", "TensorFlow", TARE_ORIGIN_LIVE},
    {"pytorch", "PyTorch", "PyTorch", TARE_ORIGIN_LIVE},
    {"tensorflow", "TensorFlow (C)", "TensorFlow", TARE_ORIGIN_LIVE},
    {"libtorch", "LibTorch", "PyTorch", TARE_ORIGIN_LIVE},
    {"jax", "JAX", "JAX", TARE_ORIGIN_LIVE},
    {"litert", "LiteRT", "LiteRT", TARE_ORIGIN_LIVE},
    {"onnxruntime", "ONNX Runtime", "ONNX Runtime", TARE_ORIGIN_LIVE},
    {"native", "tare (native)", "tare", TARE_ORIGIN_NATIVE},
    {"null", "null (does nothing)", "tare", TARE_ORIGIN_HARNESS},
};
#define ENGINE_COUNT (sizeof engines / sizeof *engines)

static const char *const origin_names[] = {
#define X(id, name) name,
    TARE_ORIGIN_LIST(X)
#undef X
};

const char *tare_origin_name(enum tare_origin origin) {
    return origin_names[origin];
}

static size_t find(const char *engine) {
    size_t i = 0;
    while (i < ENGINE_COUNT && strcmp(engines[i].engine, engine) != 0)
        i++;
    return i;
}

const char *tare_engine_title(const char *engine) {
    size_t i = find(engine);
    return i < ENGINE_COUNT ? engines[i].title : engine;
}

const char *tare_engine_framework(const char *engine) {
    size_t i = find(engine);
    return i < ENGINE_COUNT ? engines[i].framework : engine;
}

bool tare_same_framework(const struct tare_row *a, const struct tare_row *b) {
    return strcmp(tare_engine_framework(a->engine), tare_engine_framework(b->engine)) == 0;
}

enum tare_origin tare_engine_origin(const char *engine) {
    size_t i = find(engine);
    return i < ENGINE_COUNT ? engines[i].origin : TARE_ORIGIN_LIVE;
}
