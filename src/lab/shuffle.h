/* shuffle.h: the same net with its values numbered differently. Renumbering the pixels, the hidden
 * units and the classes of a net, its weights with them, changes no result but the order in which
 * every sum is taken: that is how references of the certificate round differently. */
#ifndef TARE_LAB_SHUFFLE_H
#define TARE_LAB_SHUFFLE_H

#include <stdint.h>

#include "tare/net.h"
#include "tare/rng.h"

/* Each maps a new number to the old one: new[i] = old[map[i]]. */
struct tare_shuffle {
    int32_t *input;  /* (n_in) */
    int32_t *output; /* (n_out) */
    int32_t *params; /* (param_count) */
};

/* Draws a renumbering; rng NULL: the identity. Values that an unknown kind of layer takes or gives
 * keep their numbers. tare_shuffle_free also after a failure. */
enum tare_status tare_shuffle_make(struct tare_shuffle *shuffle, const struct tare_net *net,
                                   struct tare_rng *rng, struct tare_err *err);
void tare_shuffle_free(struct tare_shuffle *shuffle);

#endif
