/* words.h: finding the word that somebody meant, and keeping foreign ones from steering a terminal.
 *
 *     const char *near = tare_nearest_word("dens", names, count);    // "dense", or NULL
 *
 * Used wherever a name is not known: layers, commands, options, engines.
 */
#ifndef TARE_WORDS_H
#define TARE_WORDS_H

#include <stddef.h>

/* The first of the words with the smallest edit distance (insertions, deletions, replacements) to
 * word; NULL when none is near enough to be a misspelling: more than a third of the longer word's
 * characters, but at least two, would have to change. */
const char *tare_nearest_word(const char *word, const char *const *words, size_t count);

/* What somebody else said, harmless for a terminal: every byte of a control character, or of one
 * that turns the writing direction, becomes '?'. */
void tare_make_plain(char *text);

#endif
