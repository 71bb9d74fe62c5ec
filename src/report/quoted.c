/* quoted.c: the figures of the study that this experiment does again, properly. */
#include "report/quoted.h"

const struct tare_quoted tare_quoted[] = {
    {"the study", "TensorFlow", 24.97, 0.9753, 3.23},
    {"the study", "PyTorch", 46.25, 0.9671, 1.00},
};
const size_t tare_quoted_count = sizeof tare_quoted / sizeof *tare_quoted;
