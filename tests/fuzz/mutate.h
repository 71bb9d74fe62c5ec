/* mutate.h: what the structure-aware mutators of the targets share. A mutator changes what a format
 * means and mends what only guards it (lengths, checksums, compression), so that the change gets
 * past the first check; now and then it leaves the work to libFuzzer, so that the guards are tried
 * too.
 *
 *     size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
 *         struct dice dice = dice_of(seed);
 *         if (mutate_plainly(&dice)) return LLVMFuzzerMutate(data, size, max);
 *         …
 *     }
 */
#ifndef TARE_TESTS_FUZZ_MUTATE_H
#define TARE_TESTS_FUZZ_MUTATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/buf.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max, unsigned seed);

struct dice {
    uint64_t state;
};
struct dice dice_of(unsigned seed);
size_t roll(struct dice *dice, size_t sides); /* 0 … sides − 1 */

/* One time in four, and always where TARE_FUZZ_PLAIN is set, which shows what the rest is worth. */
bool mutate_plainly(struct dice *dice);

/* A number that parsers stumble over: 0, limits and their neighbours, sizes that overflow. */
uint64_t odd_number(struct dice *dice);

/* Copies buf to data when it fits, and frees it. Returns its size, or 0. */
size_t mutate_give(uint8_t *data, size_t max, struct tare_buf *buf);

/* Appends JSON of the same kind with a few values replaced, dropped, doubled, exchanged, renamed or
 * of another type; false when the text isn't JSON. */
bool mutate_json(struct tare_buf *out, struct dice *dice, const char *text, size_t size);

/* Words between separators: one is replaced (by one of `words`, another of the text, or a number),
 * dropped, doubled, moved or changed. Appends the new text. */
void mutate_words(struct tare_buf *out, struct dice *dice, const char *text, size_t size,
                  char separator, const char *const *words, size_t count);

#endif
