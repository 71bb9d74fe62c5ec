/* int8_reference.c: what every int8 kernel computes, in plain C: a loop per sum. */
#include <string.h>

#include "kernel/int8.h"

static size_t find_groups(uint8_t *copy, uint32_t *group, const uint8_t *x, size_t n) {
    const size_t groups = (n + TARE_INT8_GROUP - 1) / TARE_INT8_GROUP;
    size_t count = 0;
    memcpy(copy, x, n);
    memset(copy + n, 0, (groups + 1) * TARE_INT8_GROUP - n);
    for (uint32_t g = 0; g < groups; g++) {
        const uint8_t *four = copy + g * TARE_INT8_GROUP;
        if (four[0] || four[1] || four[2] || four[3])
            group[count++] = g;
    }
    for (size_t e = count; e % TARE_INT8_STEP != 0; e++)
        group[e] = (uint32_t)groups;
    return count;
}

/* One group of x into all sums of a panel. */
static void add_group(int32_t *y, const uint8_t *x, const int8_t *w, size_t group, size_t columns) {
    for (size_t j = 0; j < columns; j++)
        for (size_t k = 0; k < TARE_INT8_GROUP; k++)
            y[j] += x[group * TARE_INT8_GROUP + k] * w[(group * columns + j) * TARE_INT8_GROUP + k];
}

static void sum_found(int32_t *y, const int32_t *bias, const uint8_t *x, const uint32_t *group,
                      size_t count, const int8_t *w, int vectors) {
    size_t columns = (size_t)vectors * TARE_INT8_LANES;
    memcpy(y, bias, columns * sizeof *y);
    for (size_t e = 0; e < count; e++)
        add_group(y, x, w, group[e], columns);
}

static void sum_all(int32_t *y, const int32_t *bias, const uint8_t *x, size_t groups,
                    const int8_t *w, int vectors) {
    size_t columns = (size_t)vectors * TARE_INT8_LANES;
    memcpy(y, bias, columns * sizeof *y);
    for (size_t g = 0; g < groups; g++)
        add_group(y, x, w, g, columns);
}

static void to_bytes(uint8_t *to, const int32_t *y, const float *scale, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)tare_int8_round((double)((float)y[i] * scale[i]), 0, 255);
}

static void to_floats(float *to, const int32_t *y, const float *scale, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = (float)y[i] * scale[i];
}

static bool available(void) {
    return true;
}

const struct tare_int8_kernels tare_int8_reference = {
    "reference", available, find_groups, sum_found, sum_all, to_bytes, to_floats,
};
