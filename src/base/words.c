/* words.c: the nearest word by edit distance (Levenshtein 1966, one row of the table at a time),
 * and texts without control characters. For messages: lists are short and words too, so nothing
 * here is clever. */
#include "tare/words.h"

#include <stdbool.h>
#include <string.h>

#define MAX_LETTERS 64 /* longer words are no misspellings of ours */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Edit distance of a and b, both at most MAX_LETTERS long. */
static size_t edit_distance(const char *a, size_t a_letters, const char *b, size_t b_letters) {
    size_t row[MAX_LETTERS + 1]; /* row[j]: distance of a's first i letters to b's first j */
    for (size_t j = 0; j <= b_letters; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_letters; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_letters; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(replaced, 1 + smaller(row[j], row[j - 1]));
        }
    }
    return row[b_letters];
}

const char *tare_nearest_word(const char *word, const char *const *words, size_t count) {
    const char *nearest = NULL;
    size_t nearest_distance = 0;
    size_t letters = strlen(word);
    if (letters == 0 || letters > MAX_LETTERS)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other_letters = strlen(words[i]);
        if (other_letters > MAX_LETTERS)
            continue;
        size_t longer = letters > other_letters ? letters : other_letters;
        size_t limit = longer / 3 > 2 ? longer / 3 : 2;
        size_t distance = edit_distance(word, letters, words[i], other_letters);
        /* Words of two letters are all within two edits of each other: something must be left. */
        if (distance > limit || distance >= longer)
            continue;
        if (!nearest || distance < nearest_distance) {
            nearest = words[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

/* Control characters are one byte, or two in UTF-8 (U+0080 to U+009F: some terminals obey those
 * too); what turns the writing direction is three. */
static size_t steering_bytes(const unsigned char *text) {
    if (text[0] < 0x20 || text[0] == 0x7f)
        return 1;
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0)
        return 2;
    if (text[0] != 0xe2 || (text[1] != 0x80 && text[1] != 0x81))
        return 0;
    bool steers = text[1] == 0x80
                      ? (text[2] >= 0x8b && text[2] <= 0x8f) || (text[2] >= 0xa8 && text[2] <= 0xae)
                      : text[2] >= 0xa6 && text[2] <= 0xa9;
    return steers ? 3 : 0;
}

void tare_make_plain(char *text) {
    for (size_t bytes; *text; text += bytes > 0 ? bytes : 1) {
        bytes = steering_bytes((const unsigned char *)text);
        memset(text, '?', bytes);
    }
}
