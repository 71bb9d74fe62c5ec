/* parity.h: does an exported model compute what its weights say? Its logits over the test images
 * against the float64 reference's, by how far float32 itself may be from it.
 *
 *     struct tare_parity_reference reference;
 *     if (tare_parity_reference_make(&reference, &net, params, images, 10000, NULL, &err) !=
 * TARE_OK) … struct tare_parity parity = tare_parity_of(&reference, logits); if (parity.ratio <=
 * TARE_PARITY_LIMIT && parity.changed_answers == 0) … tare_parity_reference_free(&reference);
 *
 * The statistic is the certificate's (doc/certificate.md): the relative L2 distance of the logits
 * to the float64 reference, divided by the largest of float32 references that take every sum in
 * another order.
 */
#ifndef TARE_PARITY_H
#define TARE_PARITY_H

#include <signal.h>
#include <stddef.h>

#include "tare/err.h"
#include "tare/net.h"

#define TARE_PARITY_LIMIT 10.0 /* times the spread of float32 references */
#define TARE_PARITY_ORDERS 6   /* of summation, the plain one among them */

struct tare_parity_reference {
    size_t n, n_out;
    double *logits; /* (n, n_out), float64 */
    double norm;    /* ‖logits‖ */
    double reach;   /* the farthest float32 reference, ‖difference‖ */
    double *stray;  /* (n): of each image's logits, the farthest of any float32 reference's */
};

struct tare_parity {
    double ratio; /* ‖given − reference‖ / max(reach, 2⁻²⁴·norm); infinite for NaN or infinity */
    double max_abs_diff;    /* of one logit; infinite likewise */
    size_t changed_answers; /* images whose largest logit is another's, and not by rounding alone:
                               the reference has the two more than 10 · stray apart */
};

/* images: (n, n_in), x = u8/255.0f. Free the reference; after a failure there is nothing to free.
 * TARE_DATA: float32 overflows on these weights; TARE_INTERRUPTED soon after *stop (which may be
 * NULL) was set; TARE_MEMORY. */
enum tare_status tare_parity_reference_make(struct tare_parity_reference *reference,
                                            const struct tare_net *net, const float *params,
                                            const float *images, size_t n,
                                            const volatile sig_atomic_t *stop,
                                            struct tare_err *err);
void tare_parity_reference_free(struct tare_parity_reference *reference);

/* logits: (n, n_out), what a runtime gave for the same images. */
struct tare_parity tare_parity_of(const struct tare_parity_reference *reference,
                                  const float *logits);

#endif
