/* json.c: counts what jansson asks for and doesn't get, and what a text may hold (json.h). */
#include "base/json.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static size_t lost_count;

/* jansson's lexer doesn't look whether the buffer of the word it reads could grow, and then looks
 * for the word's end beyond it. So while it parses, that buffer grows into memory that was set
 * aside before; what comes of it is thrown away all the same. */
static struct {
    char *bytes;
    size_t size, used;
} reserve;

/* The lexer's buffer doubles from 16 bytes on; for anything else a NULL is what jansson expects. */
static void *take_reserve(size_t size) {
    const bool is_buffer = size >= 32 && (size & (size - 1)) == 0;
    if (reserve.bytes == NULL || !is_buffer || size > reserve.size - reserve.used)
        return NULL;
    reserve.used += size;
    return reserve.bytes + reserve.used - size;
}

static void *counting_malloc(size_t size) {
    void *block = malloc(size);
    if (block != NULL)
        return block;
    lost_count++;
    return take_reserve(size);
}

static void free_unless_reserve(void *block) {
    const uintptr_t at = (uintptr_t)block, begin = (uintptr_t)reserve.bytes;
    if (reserve.bytes == NULL || at < begin || at >= begin + reserve.size)
        free(block);
}

size_t tare_json_lost(void) {
    json_set_alloc_funcs(counting_malloc, free_unless_reserve);
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
    *status = TARE_DATA;
    if (!is_within_caps(bytes, size, error))
        return NULL;
    /* 32 + 64 + … up to twice the longest word there can be. */
    reserve.size = 4 * (size + 32);
    reserve.used = 0;
    reserve.bytes = size < SIZE_MAX / 8 ? malloc(reserve.size) : NULL;
    *status = TARE_MEMORY;
    if (reserve.bytes == NULL)
        return NULL;
    json_t *value = tare_json_whole(json_loadb(bytes, size, JSON_REJECT_DUPLICATES, error), lost);
    free(reserve.bytes);
    reserve.bytes = NULL;
    *status = lost != lost_count ? TARE_MEMORY : value == NULL ? TARE_DATA : TARE_OK;
    return value;
}
