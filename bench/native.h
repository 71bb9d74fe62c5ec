/* native.h: the two halves of build/bench_native: native.c trains, native_machine.c measures what
 * the machine itself could do. */
#ifndef BENCH_NATIVE_H
#define BENCH_NATIVE_H

#include "tare/err.h"

/* The clock, and bandwidths of 1 … threads threads: a line of JSON each. */
enum tare_status bench_machine(int threads, struct tare_err *err);

#endif
