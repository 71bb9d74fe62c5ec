/* json.h: a writer of indented JSON with shortest exact numbers, the same bytes with every version
 * of every library. Internal to report.
 *
 *     struct tare_json json = {.out = buf};
 *     tare_json_open(&json, NULL, '{');
 *     tare_json_text(&json, "engine", row->engine);
 *     tare_json_close(&json, '}');
 *
 * key is NULL inside lists and for the whole document.
 */
#ifndef TARE_REPORT_JSON_H
#define TARE_REPORT_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/buf.h"
#include "tare/stats.h"

struct tare_json {
    struct tare_buf *out;
    size_t depth;
    bool has_items; /* the innermost object or list has something in it */
};

void tare_json_open(struct tare_json *json, const char *key, char bracket);
void tare_json_close(struct tare_json *json, char bracket);
void tare_json_text(struct tare_json *json, const char *key, const char *value);
void tare_json_count(struct tare_json *json, const char *key, size_t value);
void tare_json_flag(struct tare_json *json, const char *key, bool value);
/* null for NaN and infinity. */
void tare_json_number(struct tare_json *json, const char *key, double value);
/* {"median", "lo", "hi", "n", "interval"} on one line. */
void tare_json_stat(struct tare_json *json, const char *key, struct tare_stat value);

#endif
