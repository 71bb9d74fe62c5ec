/* json_text.h: JSON that came from outside, parsed by jansson within caps.
 *
 * A byte of hostile JSON ("[],[],…") becomes up to 70 in memory, so what a text may hold is counted
 * before any of it is parsed. */
#ifndef TARE_BASE_JSON_TEXT_H
#define TARE_BASE_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

#define TARE_MAX_JSON_DEPTH 16 /* of lists and objects in each other; tare's own texts need 4 */
/* Separators: every '[', '{', ',' and ':' outside of texts. So many take 15 MB at most. */
#define TARE_MAX_JSON_ITEMS 131072

/* A new value, or NULL with *error filled: what is wrong and at which byte (error->position). A key
 * that occurs twice in an object is an error. */
json_t *tare_json_parse(const char *text, size_t size, json_error_t *error);

#endif
