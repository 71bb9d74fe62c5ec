/* engine_names.c: how engines are called in reports, and where their numbers come from. One row per
 * engine; an engine somebody added under another name is shown by that name, as live. */
#include <string.h>

#include "tare/summary.h"

static const struct {
    const char *engine, *title;
    enum tare_origin origin;
} engines[] = {
    {"keras", "Keras", TARE_ORIGIN_LIVE},
    {"pytorch", "PyTorch", TARE_ORIGIN_LIVE},
    {"tensorflow", "TensorFlow (C)", TARE_ORIGIN_LIVE},
    {"libtorch", "LibTorch", TARE_ORIGIN_LIVE},
    {"jax", "JAX", TARE_ORIGIN_LIVE},
    {"litert", "LiteRT", TARE_ORIGIN_LIVE},
    {"onnxruntime", "ONNX Runtime", TARE_ORIGIN_LIVE},
    {"native", "tare (native)", TARE_ORIGIN_NATIVE},
    {"null", "null (does nothing)", TARE_ORIGIN_HARNESS},
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

enum tare_origin tare_engine_origin(const char *engine) {
    size_t i = find(engine);
    return i < ENGINE_COUNT ? engines[i].origin : TARE_ORIGIN_LIVE;
}
