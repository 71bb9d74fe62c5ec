/* json.c: counts what jansson asks for and doesn't get, and what a text may hold (json.h). */
#include "base/json.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static size_t lost_count;

static void *counting_malloc(size_t size) {
    void *block = malloc(size);
    if (block == NULL)
        lost_count++;
    return block;
}

size_t tare_json_lost(void) {
    json_set_alloc_funcs(counting_malloc, free);
    return lost_count;
}

json_t *tare_json_whole(json_t *value, size_t lost) {
    if (value == NULL || lost == lost_count)
        return value;
    json_decref(value);
    return NULL;
}

char *tare_json_dump(const json_t *value, size_t flags) {
    const size_t lost = tare_json_lost();
    char *text = value == NULL ? NULL : json_dumps(value, flags);
    if (lost == lost_count)
        return text;
    free(text);
    return NULL;
}

static bool refuse(json_error_t *error, size_t at, const char *what, int most) {
    snprintf(error->text, sizeof error->text, what, most);
    error->position = at < INT_MAX ? (int)at : INT_MAX;
    return false;
}

/* A byte of hostile JSON ("[],[],…") becomes up to 70 in memory, so what a text may hold is counted
 * before any of it is parsed. */
static bool is_within_caps(const char *text, size_t size, json_error_t *error) {
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
    return true;
}

json_t *tare_json_load(const char *bytes, size_t size, json_error_t *error,
                       enum tare_status *status) {
    const size_t lost = tare_json_lost();
    json_error_t unread;
    error = error ? error : &unread;
    json_t *value = is_within_caps(bytes, size, error)
                        ? json_loadb(bytes, size, JSON_REJECT_DUPLICATES, error)
                        : NULL;
    value = tare_json_whole(value, lost);
    *status = lost != lost_count ? TARE_MEMORY : value == NULL ? TARE_DATA : TARE_OK;
    return value;
}
