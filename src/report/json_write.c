/* json_write.c: the JSON writer behind json.c. Texts are valid UTF-8 (the parsers refuse others),
 * so only quotes, backslashes and characters that steer a terminal need escapes. */
#include <math.h>
#include <string.h>

#include "report/document.h"
#include "report/json.h"

static void put_string(struct tare_buf *out, const char *text) {
    tare_buf_puts(out, "\"");
    uint32_t point = 0;
    size_t bytes = 0;
    for (const char *at = text; *at != '\0'; at += bytes) {
        if (tare_is_steering(at, &point, &bytes)) /* it may be printed on a terminal */
            tare_buf_printf(out, "\\u%04x", point);
        else if (*at == '"' || *at == '\\')
            tare_buf_printf(out, "\\%c", *at);
        else
            tare_buf_append(out, at, bytes);
    }
    tare_buf_puts(out, "\"");
}

/* The comma, the line, the indentation and the key before any value. */
static void begin(struct tare_json *json, const char *key) {
    if (json->depth > 0)
        tare_buf_puts(json->out, json->has_items ? ",\n" : "\n");
    for (size_t i = 0; i < json->depth; i++)
        tare_buf_puts(json->out, "  ");
    if (key != NULL) {
        put_string(json->out, key);
        tare_buf_puts(json->out, ": ");
    }
    json->has_items = true;
}

void tare_json_open(struct tare_json *json, const char *key, char bracket) {
    begin(json, key);
    tare_buf_append(json->out, &bracket, 1);
    json->depth++;
    json->has_items = false;
}

void tare_json_close(struct tare_json *json, char bracket) {
    json->depth--;
    if (json->has_items) {
        tare_buf_puts(json->out, "\n");
        for (size_t i = 0; i < json->depth; i++)
            tare_buf_puts(json->out, "  ");
    }
    tare_buf_append(json->out, &bracket, 1);
    if (json->depth == 0)
        tare_buf_puts(json->out, "\n");
    json->has_items = true;
}

void tare_json_text(struct tare_json *json, const char *key, const char *value) {
    begin(json, key);
    put_string(json->out, value);
}

void tare_json_count(struct tare_json *json, const char *key, size_t value) {
    begin(json, key);
    tare_buf_printf(json->out, "%zu", value);
}

void tare_json_flag(struct tare_json *json, const char *key, bool value) {
    begin(json, key);
    tare_buf_puts(json->out, value ? "true" : "false");
}

static void put_number(struct tare_buf *out, double value) {
    if (isfinite(value))
        tare_put_exact(out, value);
    else
        tare_buf_puts(out, "null");
}

void tare_json_number(struct tare_json *json, const char *key, double value) {
    begin(json, key);
    put_number(json->out, value);
}

void tare_json_stat(struct tare_json *json, const char *key, struct tare_stat value) {
    begin(json, key);
    tare_buf_puts(json->out, "{\"median\": ");
    put_number(json->out, value.median);
    tare_buf_puts(json->out, ", \"lo\": ");
    put_number(json->out, value.lo);
    tare_buf_puts(json->out, ", \"hi\": ");
    put_number(json->out, value.hi);
    tare_buf_printf(json->out, ", \"n\": %zu, \"interval\": %s}", value.n,
                    value.has_interval ? "true" : "false");
}
