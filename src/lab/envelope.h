/* envelope.h: what is right, and how far float32 may be from it. The float64 reference's trace of
 * the first 100 steps is the truth; the distances of float32 references from it are the envelope.
 * An engine's files are read into a trace too (certificate_jobs.c) and judged (certify.c). */
#ifndef TARE_LAB_ENVELOPE_H
#define TARE_LAB_ENVELOPE_H

#include "lab/problem.h"
#include "tare/certify.h"

#define TARE_REFERENCE_VERSION                                                                     \
    1 /* change it with the references' mathematics: caches depend on it */
#define TARE_REFERENCE_ORDERS 6 /* of summation; each with every kind of constants */
#define TARE_MAX_ITEMS (4 + 4 * TARE_MAX_NET_TENSORS)
#define TARE_TRACE_DUMPS 3

extern const size_t tare_trace_dump_at[TARE_TRACE_DUMPS]; /* 1, 10, 100 */

/* One vector that is compared: a part of a trace. */
struct tare_item {
    enum tare_checkpoint checkpoint;
    char tensor[32];
    size_t offset, count; /* in the trace */
};

/* A trace is one block of doubles: logits, gradient, losses, weights after 1, 10 and 100 steps. */
struct tare_layout {
    size_t logits, gradient, losses, weights[TARE_TRACE_DUMPS]; /* offsets */
    size_t total;
    struct tare_item items[TARE_MAX_ITEMS]; /* in the order of enum tare_checkpoint */
    size_t item_count;
};

struct tare_envelope {
    struct tare_layout layout;
    double *truth;                         /* (layout.total) */
    double *reach;                         /* (item_count): the farthest reference, L2 distance */
    double step_reach[TARE_CERTIFY_STEPS]; /* the same of each step's loss */
};

void tare_layout_make(struct tare_layout *layout, const struct tare_net *net, size_t probes);

/* ‖trace − truth‖ of one item. */
double tare_item_distance(const struct tare_item *item, const double *trace, const double *truth);

/* From <cache>/envelopes, or derived and put there. */
enum tare_status tare_envelope_get(struct tare_envelope *envelope,
                                   const struct tare_problem *problem, uint64_t seed,
                                   const volatile sig_atomic_t *stop, struct tare_err *err);
void tare_envelope_free(struct tare_envelope *envelope);

/* <cache>/envelopes/<hash>.safetensors for all that a reference depends on, and the text hashed. */
struct tare_buf;
enum tare_status tare_reference_key(char **path, struct tare_buf *key, const char *what,
                                    const struct tare_problem *problem, uint64_t seed,
                                    struct tare_err *err);

#endif
