/* problem.h: what a reference of the certificate trains on: the weights, order and images of one
 * run of a plan, or the same renumbered (shuffle.h). */
#ifndef TARE_LAB_PROBLEM_H
#define TARE_LAB_PROBLEM_H

#include "engine/reference.h"
#include "lab/shuffle.h"
#include "tare/array.h"
#include "tare/lab.h"

struct tare_problem {
    const struct tare_plan *plan;
    const struct tare_dataset *set;
    size_t steps, probes;
    struct tare_array order; /* int32 (1, steps, batch): into the set's training images */
    float *params;           /* the initial weights */
    int32_t *rows;           /* (row_count): the training images that the order names */
    size_t row_count;
    int32_t *order_rows; /* (steps, batch): the order, into rows */
};

/* The first `steps` steps of run `run`; epochs are added when the plan's first has fewer. */
enum tare_status tare_problem_make(struct tare_problem *problem, const struct tare_plan *plan,
                                   size_t run, const struct tare_dataset *set, size_t steps,
                                   size_t probes, struct tare_err *err);
void tare_problem_free(struct tare_problem *problem);

/* x: (count, n_in) = u8/255.0f of the images in rows (NULL: 0, 1, 2 …), pixels in the order of map
 * (NULL: as they are). */
void tare_read_pixels(float *x, const struct tare_array *images, const int32_t *rows, size_t count,
                      const int32_t *map, size_t n_in);

/* A problem as one reference sees it. */
struct tare_view {
    struct tare_shuffle shuffle;
    float *params, *images, *probes;
    int32_t *labels, *order;
};

/* Renumbers the problem, and draws the order of the samples inside each batch; rng NULL: as it is.
 */
enum tare_status tare_view_make(struct tare_view *view, const struct tare_problem *problem,
                                struct tare_rng *rng, struct tare_err *err);
void tare_view_free(struct tare_view *view);

/* A reference of the view with the plan's Adam, ready to be run but for its outputs and dumps. */
struct tare_reference tare_view_reference(const struct tare_view *view,
                                          const struct tare_problem *problem,
                                          enum tare_constants constants);

#endif
