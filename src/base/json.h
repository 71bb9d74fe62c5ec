/* json.h: jansson, when memory runs out. It answers NULL for that as for any mistake, and most
 * calls that build a value are made without looking; so what is built is looked at once, at its
 * end, as with tare_buf's `failed`:
 *
 *     const size_t lost = tare_json_lost();
 *     json_t *record = json_object();
 *     json_object_set_new(record, "dir", json_string(dir)); …
 *     return tare_json_whole(record, lost); // NULL when any of it is missing
 */
#ifndef TARE_BASE_JSON_H
#define TARE_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "tare/err.h"

/* Of a text that is read: */
#define TARE_MAX_JSON_DEPTH 16 /* of lists and objects in each other; tare's own texts need 4 */
/* Separators: every '[', '{', ',' and ':' outside of texts. So many take 15 MB at most. */
#define TARE_MAX_JSON_ITEMS 131072

/* How many allocations jansson has been refused so far. */
size_t tare_json_lost(void);

/* value, or NULL and value released when one was refused since tare_json_lost() was `lost`. */
json_t *tare_json_whole(json_t *value, size_t lost);

/* value as text with jansson's flags; free it. NULL without memory, where json_dumps may well give
 * a text with parts left out. value stays the caller's; NULL gives NULL. */
char *tare_json_dump(const json_t *value, size_t flags);

/* Parses size bytes, within the caps above; keys that stand twice are refused. NULL: *status is
 * TARE_MEMORY, or TARE_DATA and *error (which may be NULL) says what is wrong with the text, and
 * where; neither fills a tare_err. */
json_t *tare_json_load(const char *bytes, size_t size, json_error_t *error,
                       enum tare_status *status);

#endif
