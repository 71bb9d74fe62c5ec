/* process.h: an engine's processes and pipes: everything that supervise.c needs of the operating
 * system. A simulated laboratory links its own process.c, clock.c and find.c in the place of these.
 *
 *     struct tare_process *process = NULL;
 *     enum tare_process_stream stream;
 *     const char *data;
 *     if (tare_process_start(&process, &launch, &err) != TARE_OK) …
 *     while (tare_process_is_open(process, TARE_STREAM_EVENTS)) {
 *         ssize_t got = tare_process_listen(process, until_ns, &stream, &data);
 *         …
 *     }
 *     tare_process_close(process);
 */
#ifndef TARE_LAB_PROCESS_H
#define TARE_LAB_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tare/err.h"
#include "tare/supervise.h"

enum tare_process_stream {
    TARE_STREAM_EVENTS, /* the engine's stdout */
    TARE_STREAM_LOG,    /* its stderr */
    TARE_STREAM_STATUS, /* what the launcher reports (engines/launch.c) */
    TARE_STREAM_COUNT
};

struct tare_process;

/* Starts the engine through its launcher, with launch->job_path as its stdin. Of *launch, the
 * texts are read here and stop until the close. */
enum tare_status tare_process_start(struct tare_process **process, const struct tare_launch *launch,
                                    struct tare_err *err);

bool tare_process_is_open(const struct tare_process *process, enum tare_process_stream stream);

/* Waits until there is something to read, or it is until_ns, or a signal came. Returns the bytes
 * read of *stream (*data is the process's, until the next call); 0: that stream ended; −1: nothing.
 * A *stop that was set since the last call returns −1 at once, whenever it was set. */
ssize_t tare_process_listen(struct tare_process *process, int64_t until_ns,
                            enum tare_process_stream *stream, const char **data);

/* errno of a stream that could not be read to its end, or 0. */
int tare_process_read_error(const struct tare_process *process);

/* For how long tare, and the engine with it, was suspended while the process lived: 0: never. At
 * least 1 ns when it was, even if nobody can say for how long. */
int64_t tare_process_suspended_ns(const struct tare_process *process);

void tare_process_end(struct tare_process *process);  /* asks the launcher to end the engine */
void tare_process_kill(struct tare_process *process); /* everything of it, now */

/* Nothing of it lives afterwards, whatever it started. NULL is allowed. */
void tare_process_close(struct tare_process *process);

#endif
