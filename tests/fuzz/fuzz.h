/* fuzz.h: what the fuzz targets share. Each defines LLVMFuzzerTestOneInput for one parser, and a
 * mutator that knows its format (mutate.h); fuzz.mk builds and runs them. A target checks more than
 * "no crash": what parses is written again and must parse to the same, and what doesn't must say
 * what is wrong and leave nothing behind. */
#ifndef TARE_TESTS_FUZZ_H
#define TARE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mutate.h"
#include "tare/array.h"
#include "tare/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

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

/* What every refusal of a file's bytes must look like. */
#define MUST_BE_REFUSED(err)                                                                       \
    MUST((err).status == TARE_DATA && (err).what[0] != '\0' && (err).where[0] != '\0')

/* The bytes as a string; free it. */
static inline char *as_text(const uint8_t *bytes, size_t size) {
    char *text = malloc(size + 1);
    MUST(text != NULL);
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

#endif
