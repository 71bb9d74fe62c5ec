/* stream.h: a stdio stream over a descriptor, for reading, that takes a read up again when a signal
 * interrupts it: stdio's own would report an error.
 */
#ifndef TARE_BASE_STREAM_H
#define TARE_BASE_STREAM_H

#include <stdio.h>

/* fclose closes fd too. NULL without memory: fd stays the caller's. */
FILE *tare_stream_of(int fd);

#endif
