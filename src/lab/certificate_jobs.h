/* certificate_jobs.h: an engine's first 100 steps, asked for in three jobs and read back. */
#ifndef TARE_LAB_CERTIFICATE_JOBS_H
#define TARE_LAB_CERTIFICATE_JOBS_H

#include "lab/envelope.h"

/* steps: filled whole; range: its losses and last weights only. Both (layout->total). An engine
 * that fails, or doesn't write what it was asked for, leaves certificate->state NOT_CHECKED with
 * the reason; OK means that both traces can be judged. */
enum tare_status tare_certificate_jobs(struct tare_certificate *certificate, double *steps,
                                       double *range, const struct tare_certify_request *request,
                                       const struct tare_problem *problem,
                                       const struct tare_layout *layout, struct tare_err *err);

#endif
