/* native_parts.h: the two halves of the engine native: native.c, at the machine's limit, and
 * native_plain.c, the plain reference in float32 and float64. Both fill the hooks of tare/engine.h.
 */
#ifndef TARE_NATIVE_PARTS_H
#define TARE_NATIVE_PARTS_H

#include "tare/engine.h"
#include "tare/optimizer.h"

/* The job's optimiser; what an infer job gets doesn't matter. */
enum tare_status native_job_optimizer(struct tare_optimizer *optimizer,
                                      const struct tare_work *work, struct tare_err *err);

/* native_plain.c: as the hooks build, train, weights, infer, close. */
enum tare_status native_plain_build(void **state, struct tare_work *work, struct tare_err *err);
enum tare_status native_plain_train(void *state, size_t first, size_t count, float *losses,
                                    struct tare_err *err);
enum tare_status native_plain_weights(void *state, float *params, struct tare_err *err);
enum tare_status native_plain_infer(void *state, float *logits, const float *x, size_t n,
                                    struct tare_err *err);
void native_plain_close(void *state);

#endif
