/* world.c: the virtual clock, where engines are found, and chance (world.h). */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/clock.h"

struct sim_world sim;

/* FNV-1a over the texts, then SplitMix64's finaliser. */
static uint64_t mix(uint64_t hash, const char *text) {
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t sim_hash(const char *key, const char *what) {
    uint64_t z =
        mix(mix(UINT64_C(0xcbf29ce484222325) ^ sim.seed * UINT64_C(0x9e3779b97f4a7c15), key), what);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool sim_chance(const char *key, const char *what, uint64_t n) {
    return sim_hash(key, what) % n == 0;
}

void sim_call(void) {
    sim.calls++;
    if (sim.calls == sim.kill_at)
        _exit(137);
    if (sim.calls == sim.stop_at)
        sim.stop = 1;
}

void sim_fault(const char *fmt, ...) {
    if (sim.fault[0])
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim.fault, sizeof sim.fault, fmt, args);
    va_end(args);
}

/* ---- clock.c ------------------------------------------------------------------------------------
 */

int64_t tare_now_ns(void) {
    sim_call();
    return sim.now_ns;
}

int64_t tare_asleep_ns(void) {
    return 0;
}

void tare_utc_text(char out[21]) {
    unsigned long s = (unsigned long)(sim.now_ns / 1000000000);
    char text[80];
    snprintf(text, sizeof text, "2026-01-31T%02lu:%02lu:%02luZ", s / 3600 % 24, s / 60 % 60,
             s % 60);
    snprintf(out, 21, "%.20s", text);
}

/* ---- find.c -------------------------------------------------------------------------------------
 */

enum tare_status tare_engine_find(char **program, const char *name, struct tare_err *err) {
    sim_call();
    *program = NULL;
    if (sim_chance(name, "not installed", 12))
        return tare_fail(err, TARE_DATA, name, "make engines", "not installed");
    *program = tare_path_join(sim.engines, name);
    return *program ? TARE_OK : tare_fail(err, TARE_MEMORY, name, NULL, "no memory");
}

enum tare_status tare_helper_find(char **program, const char *name, struct tare_err *err) {
    *program = tare_path_join(sim.engines, name);
    return *program ? TARE_OK : tare_fail(err, TARE_MEMORY, name, NULL, "no memory");
}
