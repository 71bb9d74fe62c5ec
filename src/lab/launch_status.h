/* launch_status.h: what tare-launch reports of the engine it ran (engines/launch.c writes it). */
#ifndef TARE_LAB_LAUNCH_STATUS_H
#define TARE_LAB_LAUNCH_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tare_launch_status {
    int64_t exec_ns; /* 0: it doesn't say */
    int error;       /* errno of an engine that can't be run; 0: none */
    bool ended;      /* the rest is there: the engine ran, and ended */
    int wait_status; /* as from wait */
    int leftovers;   /* processes that were killed after it */
    int64_t end_ns, cpu_ns;
    size_t peak_rss_bytes;
};

/* Takes whatever the pipe held; what can't be true is not there. */
void tare_launch_status_parse(struct tare_launch_status *status, const char *text);

#endif
