/* clock.c: the monotonic clock that every process of a run shares. */
#include "tare/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t tare_now_ns(void) {
    return read_ns(CLOCK_MONOTONIC);
}

/* The two are read one after the other: the later first, so that the answer never jumps up by what
 * came between. */
int64_t tare_asleep_ns(void) {
    int64_t with_sleep_ns = read_ns(CLOCK_BOOTTIME);
    int64_t asleep_ns = with_sleep_ns - read_ns(CLOCK_MONOTONIC);
    return asleep_ns > 0 ? asleep_ns : 0;
}

void tare_utc_text(char out[21]) {
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    if (strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        out[0] = '\0';
}
