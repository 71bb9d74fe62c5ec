/* sweep_steps.h: how long a step will take, from the steps that were timed so far; and so how many
 * steps a job of a sweep trains. Pure functions of what they are given. Internal to lab.
 *
 * Along the batch, and along the width, a step's time begins flat (calls, launches) and ends
 * proportional to the work; so with the slope of the last two points, in logarithms, one more point
 * is guessed rather too low than too high, and the job rather too long than too short.
 */
#ifndef TARE_LAB_SWEEP_STEPS_H
#define TARE_LAB_SWEEP_STEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/sweep.h"

#define TARE_MAX_SWEEP_POINTS (TARE_MAX_SWEEP_COUNTS * TARE_MAX_SWEEP_COUNTS)

struct tare_sweep_grid { /* a point is width index * batch_count + batch index */
    size_t width_count, batch_count;
    double flops[TARE_MAX_SWEEP_POINTS]; /* of a step */
};

/* Seconds of one engine's steps, by point; NaN: not known. */
struct tare_sweep_times {
    double step_s[TARE_MAX_SWEEP_POINTS];
};

/* What a step at that point will take at least, or took; NaN while nothing is known. */
double tare_sweep_guess(const struct tare_sweep_times *times, const struct tare_sweep_grid *grid,
                        size_t point);

struct tare_sweep_length {
    double target_s;     /* the timed steps last at least so long, */
    double affordable_s; /* and where engines share their number, no longer than this, */
    size_t most;         /* nor are they more */
};

/* Timed steps of each of `count` engines by their guesses: what the fastest needs for target_s,
 * where the others can afford as many; else what each can, and false. Never fewer than
 * TARE_SWEEP_LEAST_STEPS. A guess of NaN is an engine that isn't tried: 0 steps. */
bool tare_sweep_lengths(size_t *steps, const double *guess_s, size_t count,
                        const struct tare_sweep_length *length);

#endif
