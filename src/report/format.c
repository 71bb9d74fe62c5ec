/* format.c: numbers and texts as a report shows them: one rounding, one escape of control
 * characters, used by every format. Sentences and tables are content.c's. */
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/document.h"

#define NONE "–"

static void print(char *text, size_t size, char form, int digits, double value) {
    if (form == 'f')
        snprintf(text, size, "%.*f", digits, value);
    else if (form == 'e')
        snprintf(text, size, "%.*e", digits, value);
    else
        snprintf(text, size, "%.*g", digits, value);
}

/* Runs print, and for `exact` with more digits until the text reads back as value, in the C locale:
 * a program may have called setlocale, and a report must not change with it. */
static void put_in_c_locale(struct tare_buf *buf, char form, int digits, double value, bool exact) {
    char text[400]; /* %f of the largest double has 309 digits before the point */
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (c == (locale_t)0) {
        buf->failed = true;
        return;
    }
    locale_t old = uselocale(c);
    print(text, sizeof text, form, digits, value);
    for (; exact && digits < 17 && strtod(text, NULL) != value; digits++)
        print(text, sizeof text, form, digits + 1, value);
    uselocale(old);
    freelocale(c);
    tare_buf_puts(buf, text);
}

void tare_put_number(struct tare_buf *buf, char form, int digits, double value) {
    if (isnan(value))
        tare_buf_puts(buf, NONE);
    else
        put_in_c_locale(buf, form, digits, value, false);
}

void tare_put_exact(struct tare_buf *buf, double value) {
    put_in_c_locale(buf, 'g', 15, value, true);
}

struct unit {
    double at_least, scale; /* of the value, and of what is printed */
    const char *name;
};

static const struct unit seconds_units[] = {
    {1, 1, "s"}, {1e-3, 1e3, "ms"}, {1e-6, 1e6, "µs"}, {0, 1e9, "ns"}};
static const struct unit byte_units[] = {
    {1e9, 1e-9, "GB"}, {1e6, 1e-6, "MB"}, {1e3, 1e-3, "kB"}, {0, 1, "bytes"}};

static const struct unit *unit_of(const struct unit *units, double value) {
    while (value < units->at_least)
        units++;
    return units;
}

/* Two decimals of a second and three digits of anything else. */
static int decimals_of(const struct unit *unit, double scaled) {
    if (unit->scale == 1 && unit->at_least > 0)
        return 2;
    return scaled >= 100 || unit->at_least <= 0 ? 0 : scaled >= 10 ? 1 : 2;
}

void tare_put_seconds(struct tare_buf *buf, double seconds) {
    tare_put_seconds_stat(buf, (struct tare_stat){.median = seconds});
}

/* The spread of a statistic in brackets; nothing for a single value. */
static void put_spread(struct tare_buf *buf, struct tare_stat stat, double scale, int decimals) {
    if (stat.n < 2)
        return;
    tare_buf_puts(buf, stat.has_interval ? " (" : " [");
    tare_put_number(buf, 'f', decimals, stat.lo * scale);
    tare_buf_puts(buf, "…"); /* no spaces: a table breaks a line before the brackets, not inside */
    tare_put_number(buf, 'f', decimals, stat.hi * scale);
    tare_buf_puts(buf, stat.has_interval ? ")" : "]");
}

static void put_stat(struct tare_buf *buf, struct tare_stat stat, const struct unit *units) {
    if (isnan(stat.median)) {
        tare_buf_puts(buf, NONE);
        return;
    }
    const struct unit *unit = unit_of(units, stat.median);
    int decimals = decimals_of(unit, stat.median * unit->scale);
    tare_put_number(buf, 'f', decimals, stat.median * unit->scale);
    tare_buf_printf(buf, " %s", unit->name);
    put_spread(buf, stat, unit->scale, decimals);
}

void tare_put_seconds_stat(struct tare_buf *buf, struct tare_stat stat) {
    put_stat(buf, stat, seconds_units);
}

void tare_put_percent_stat(struct tare_buf *buf, struct tare_stat stat) {
    tare_put_number(buf, 'f', 2, stat.median * 100);
    if (isnan(stat.median))
        return;
    tare_buf_puts(buf, " %");
    put_spread(buf, stat, 100, 2);
}

void tare_put_times(struct tare_buf *buf, double ratio) {
    tare_put_number(buf, 'f', ratio < 10 ? 2 : ratio < 100 ? 1 : 0, ratio);
}

void tare_put_count(struct tare_buf *buf, size_t count) {
    char digits[32];
    int size = snprintf(digits, sizeof digits, "%zu", count);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            tare_buf_puts(buf, ",");
        tare_buf_append(buf, &digits[i], 1);
    }
}

void tare_put_bytes(struct tare_buf *buf, double bytes) {
    put_stat(buf, (struct tare_stat){.median = bytes}, byte_units);
}

/* The code point at text (valid UTF-8, as the parsers guarantee) and its bytes. */
static uint32_t code_point(const unsigned char *text, size_t *bytes) {
    static const unsigned char lead_bits[] = {0x7f, 0x7f, 0x1f, 0x0f, 0x07};
    size_t size = *text < 0x80 ? 1 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
    uint32_t point = *text & lead_bits[size];
    for (size_t i = 1; i < size && text[i] != '\0'; i++)
        point = point << 6 | (text[i] & 0x3f);
    *bytes = strnlen((const char *)text, size);
    return point;
}

/* C0, DEL, C1; marks, embeddings and isolates that turn the writing direction; line separators. */
static bool is_steering_point(uint32_t point) {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

bool tare_is_steering(const char *text, uint32_t *point, size_t *bytes) {
    *point = code_point((const unsigned char *)text, bytes);
    return is_steering_point(*point);
}

void tare_put_clean(struct tare_buf *buf, const char *text) {
    size_t bytes = 0;
    uint32_t point = 0;
    for (const char *at = text; *at != '\0'; at += bytes) {
        const bool steers = tare_is_steering(at, &point, &bytes);
        if (*at == '\n' || *at == '\r' || *at == '\t')
            tare_buf_puts(buf, " ");
        else if (!steers)
            tare_buf_append(buf, at, bytes);
        else if (point < 0x100)
            tare_buf_printf(buf, "\\x%02x", point);
        else
            tare_buf_printf(buf, "\\u%04x", point);
    }
}

void tare_put_engine(struct tare_buf *buf, const struct tare_row *row) {
    tare_buf_puts(buf, tare_engine_title(row->engine));
    if (row->variant[0] != '\0')
        tare_buf_printf(buf, "/%s", row->variant);
    if (strcmp(row->device, "cpu") != 0)
        tare_buf_printf(buf, " on %s", row->device);
    tare_buf_puts(buf, row->again ? " again" : "");
    if (row->same_but_threads)
        tare_buf_printf(buf, " (%zu thread%s)", row->threads, row->threads == 1 ? "" : "s");
}
