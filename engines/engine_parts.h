/* engine_parts.h: what the files of the shared half of a C engine know of each other: engine_main.c
 * (protocol, stopwatch, files out), engine_load.c (files in), engine_infer.c (how inference is
 * measured) and engine_ships.c (what must ship to run a model). Engines themselves see
 * include/tare/engine.h only.
 */
#ifndef TARE_ENGINE_PARTS_H
#define TARE_ENGINE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/engine.h"

/* engine_main.c: the event `sample`. */
void engine_emit_sample(size_t batch, size_t loops, int64_t wall_ns, bool first);

/* engine_load.c: everything the job names but the pixels of the test images, of which n_test and
 * n_in are known afterwards. bytes: the engine wants work->image_bytes. */
enum tare_status engine_load(struct tare_work *work, bool bytes, struct tare_err *err);
enum tare_status engine_load_test_images(struct tare_work *work, struct tare_err *err);
void engine_unload(struct tare_work *work);

/* engine_infer.c: the phase `infer` of a job, from its first call to its last. logits: (n_test,
 * n_out), filled when the job asks for them or for nothing else. */
enum tare_status engine_measure(const struct tare_engine_ops *ops, void *state,
                                const struct tare_work *work, float *logits, struct tare_err *err);

/* engine_ships.c: the setting `ships_bytes`. */
void engine_tell_ships(void);

#endif
