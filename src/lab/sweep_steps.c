/* sweep_steps.c: guesses a step's time, and with it a job's length (sweep_steps.h). */
#include "lab/sweep_steps.h"

#include <math.h>

/* Where there is one point only: between a time that doesn't grow and one that grows with the work.
 */
#define SLOPE_UNKNOWN 0.5

/* The time at `to`, from that at `from` and the slope between `before` and `from`. */
static double extend(const struct tare_sweep_times *times, const double *flops, size_t to,
                     size_t from, const size_t *before) {
    double slope = SLOPE_UNKNOWN;
    if (before)
        slope =
            log(times->step_s[from] / times->step_s[*before]) / log(flops[from] / flops[*before]);
    slope = fmin(fmax(slope, 0), 1); /* no step is faster for having more to do */
    return times->step_s[from] * pow(flops[to] / flops[from], slope);
}

/* The last known point before `point` on an axis whose points are `stride` apart, of which `before`
 * lie before it; and how many lie before that one. False where none is known. */
static bool look_back(size_t *found, size_t *before, const struct tare_sweep_times *times,
                      size_t point, size_t stride) {
    while (*before > 0) {
        point -= stride;
        --*before;
        if (!isnan(times->step_s[point])) {
            *found = point;
            return true;
        }
    }
    return false;
}

/* Along one axis; NaN where nothing is known before the point. */
static double along(const struct tare_sweep_times *times, const struct tare_sweep_grid *grid,
                    size_t point, size_t stride, size_t before) {
    size_t from = 0, earlier = 0;
    if (!look_back(&from, &before, times, point, stride))
        return NAN;
    bool two = look_back(&earlier, &before, times, from, stride);
    return extend(times, grid->flops, point, from, two ? &earlier : NULL);
}

/* The known point whose work is nearest. */
static double from_nearest(const struct tare_sweep_times *times, const struct tare_sweep_grid *grid,
                           size_t point) {
    size_t count = grid->width_count * grid->batch_count, nearest = count;
    double least = INFINITY;
    for (size_t i = 0; i < count; i++) {
        double distance = fabs(log(grid->flops[i] / grid->flops[point]));
        if (!isnan(times->step_s[i]) && distance < least) {
            least = distance;
            nearest = i;
        }
    }
    return nearest < count ? extend(times, grid->flops, point, nearest, NULL) : NAN;
}

double tare_sweep_guess(const struct tare_sweep_times *times, const struct tare_sweep_grid *grid,
                        size_t point) {
    if (!isnan(times->step_s[point]))
        return times->step_s[point];
    double batch = along(times, grid, point, 1, point % grid->batch_count);
    double width = along(times, grid, point, grid->batch_count, point / grid->batch_count);
    double guess = fmax(batch, width); /* the one that is there, where only one is */
    return isnan(guess) ? from_nearest(times, grid, point) : guess;
}

static size_t steps_in(double seconds, double step_s, size_t most) {
    double steps = ceil(seconds / step_s); /* infinite for a step that takes no time */
    if (!(steps > TARE_SWEEP_LEAST_STEPS))
        return TARE_SWEEP_LEAST_STEPS;
    return steps < (double)most ? (size_t)steps : most;
}

bool tare_sweep_lengths(size_t *steps, const double *guess_s, size_t count,
                        const struct tare_sweep_length *length) {
    size_t wanted = TARE_SWEEP_LEAST_STEPS;
    bool same = true;
    for (size_t i = 0; i < count; i++) {
        steps[i] = isnan(guess_s[i]) ? 0 : steps_in(length->target_s, guess_s[i], length->most);
        wanted = steps[i] > wanted ? steps[i] : wanted;
    }
    for (size_t i = 0; i < count; i++) {
        if (steps[i] == 0)
            continue;
        size_t can = steps_in(length->affordable_s, guess_s[i], length->most);
        same = same && can >= wanted;
        steps[i] = can < wanted ? can : wanted;
    }
    return same;
}
