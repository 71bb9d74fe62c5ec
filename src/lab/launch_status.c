/* launch_status.c: "exec NS", then "errno N" or "exit STATUS NS KIB US US N", a line each. */
#include "lab/launch_status.h"

#include <stdio.h>
#include <string.h>

#define MAX_NS (INT64_MAX / 2) /* so that sums and differences of two fit */

void tare_launch_status_parse(struct tare_launch_status *status, const char *text) {
    long long exec_ns = 0, end_ns = 0, user_us = 0, system_us = 0, maxrss_kib = 0;
    *status = (struct tare_launch_status){0};
    if (sscanf(text, "exec %19lld", &exec_ns) == 1 && exec_ns > 0 && exec_ns < MAX_NS)
        status->exec_ns = exec_ns;
    const char *newline = strchr(text, '\n');
    text = newline ? newline + 1 : "";
    int wait_status = 0, leftovers = 0;
    bool whole = sscanf(text, "exit %9d %19lld %19lld %15lld %15lld %9d", &wait_status, &end_ns,
                        &maxrss_kib, &user_us, &system_us, &leftovers) == 6;
    status->ended = whole && wait_status >= 0 && end_ns >= 0 && end_ns < MAX_NS &&
                    maxrss_kib >= 0 && maxrss_kib < INT64_MAX / 1024 && user_us >= 0 &&
                    system_us >= 0 && leftovers >= 0;
    if (status->ended) {
        status->wait_status = wait_status;
        status->end_ns = end_ns;
        status->cpu_ns = (user_us + system_us) * 1000;
        status->peak_rss_bytes = (size_t)maxrss_kib * 1024;
        status->leftovers = leftovers;
    } else if (sscanf(text, "errno %9d", &status->error) != 1 || status->error < 0)
        status->error = 0;
}
