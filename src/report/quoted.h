/* quoted.h: figures of others, shown beside the measured ones and always marked. Internal. */
#ifndef TARE_REPORT_QUOTED_H
#define TARE_REPORT_QUOTED_H

#include <stddef.h>

struct tare_quoted {
    const char *source, *engine;
    double train_s, accuracy, infer_s;
};

extern const struct tare_quoted tare_quoted[];
extern const size_t tare_quoted_count;
#define TARE_QUOTED_NOTE                                                                           \
    "Quoted, not measured here: one run each, nothing held equal, another machine, and the study " \
    "doesn't say what was inside its clock."

#endif
