/* clock.h: the one clock of tare: CLOCK_MONOTONIC in nanoseconds, the same in every process of a
 * machine, so that a supervisor and an engine can be compared.
 *
 *     int64_t start_ns = tare_now_ns();
 *     …
 *     int64_t wall_ns = tare_now_ns() - start_ns;
 */
#ifndef TARE_CLOCK_H
#define TARE_CLOCK_H

#include <stdint.h>

int64_t tare_now_ns(void);

/* For how long the machine itself has slept since it was started; tare_now_ns stands still then. */
int64_t tare_asleep_ns(void);

/* The calendar time in UTC as "2026-01-31T23:59:59Z"; for names and headers, never for measuring.
 */
void tare_utc_text(char out[21]);

#endif
