/* json_text.c: counts the items and the nesting of a JSON text, then lets jansson parse it. */
#include "base/json_text.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

static json_t *refuse(json_error_t *error, size_t at, const char *what, int most) {
    snprintf(error->text, sizeof error->text, what, most);
    error->position = at < INT_MAX ? (int)at : INT_MAX;
    return NULL;
}

json_t *tare_json_parse(const char *text, size_t size, json_error_t *error) {
    size_t items = 0;
    int depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        if (in_text && c == '\\')
            i++; /* what it escapes may be a quote */
        else if (c == '"')
            in_text = !in_text;
        if (in_text)
            continue;
        const bool opens = c == '[' || c == '{';
        depth += opens ? 1 : c == ']' || c == '}' ? -1 : 0;
        items += opens || c == ',' || c == ':';
        if (depth > TARE_MAX_JSON_DEPTH)
            return refuse(error, i, "lists and objects are nested more than %d deep",
                          TARE_MAX_JSON_DEPTH);
        if (items > TARE_MAX_JSON_ITEMS)
            return refuse(error, i, "it has more than %d items", TARE_MAX_JSON_ITEMS);
    }
    return json_loadb(text, size, JSON_REJECT_DUPLICATES, error);
}
