/* native.h: the parts of build/bench_native: native.c trains, native_data.c has what it trains on,
 * native_machine.c measures what the machine itself could do. */
#ifndef BENCH_NATIVE_H
#define BENCH_NATIVE_H

#include "tare/err.h"
#include "tare/native.h"

struct images {
    const char *name;
    struct tare_bytes bytes; /* .images NULL: not there yet */
    float *floats;           /* for the plain trainer; NULL until it wants them */
    double pixels;           /* the part that isn't 0 */
    double groups;           /* the part of groups of four that aren't all 0 */
    double ever;             /* the part of groups that aren't all 0 in every image */
};

/* Of the process: they end it when they must. */
void bench_stop_with(const struct tare_err *err);
void bench_usage(const char *what);
void *bench_room(size_t count, size_t size); /* zeroed */

/* mnist, dense (random bytes, none 0) or full (all 255), of n_in pixels; made once. */
struct images *bench_images(const char *name, size_t n_in);
/* Fills images->floats. */
void bench_divide(struct images *images, size_t n_in);

/* Folders for --data: n random images of n_in × 1 pixels, some of them for testing; MNIST's
 * training images, the last 10,000 of them for testing. */
void bench_write_random(const char *dir, size_t n_in, size_t n);
void bench_write_split(const char *dir);

/* The clock, and bandwidths of 1 … threads threads: a line of JSON each. */
enum tare_status bench_machine(int threads, struct tare_err *err);

#endif
