/* json.c: counts what jansson asks for and doesn't get (json.h). */
#include "base/json.h"

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

json_t *tare_json_load(const char *bytes, size_t size, json_error_t *error,
                       enum tare_status *status) {
    const size_t lost = tare_json_lost();
    json_t *value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, error);
    *status = value != NULL ? TARE_OK : lost == lost_count ? TARE_DATA : TARE_MEMORY;
    return value;
}
