/* fuzz.h: what the fuzz targets share. Each defines LLVMFuzzerTestOneInput for one parser; fuzz.mk
 * builds and runs them. A target checks more than "no crash": what parses is written again and must
 * parse to the same. */
#ifndef TARE_TESTS_FUZZ_H
#define TARE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tare/array.h"
#include "tare/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Stops the fuzzer, which keeps the input that led here. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline bool same_array(const struct tare_array *a, const struct tare_array *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0 &&
           memcmp(a->data, b->data, tare_array_bytes(a)) == 0;
}

#endif
