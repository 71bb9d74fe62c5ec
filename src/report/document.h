/* document.h: a report before it has a format: headings, paragraphs, tables. Internal to report.
 *
 * content.c says what a report contains, once; text.c and markdown.c say how it looks. Texts are
 * plain and unescaped; every renderer escapes them in its own way.
 */
#ifndef TARE_REPORT_DOCUMENT_H
#define TARE_REPORT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/buf.h"
#include "tare/summary.h"

enum tare_block_kind {
    TARE_BLOCK_TITLE,
    TARE_BLOCK_HEADING,
    TARE_BLOCK_PARAGRAPH,
    TARE_BLOCK_BULLET,
    TARE_BLOCK_CODE, /* one line to copy into a shell */
    TARE_BLOCK_TABLE,
};

#define TARE_MAX_COLUMNS 32 /* of a table */

struct tare_block {
    enum tare_block_kind kind;
    struct tare_buf text;   /* everything but tables; may hold anything but NUL */
    struct tare_buf *cells; /* tables: row by row, the header first */
    size_t cell_count, columns;
    char align[TARE_MAX_COLUMNS + 1]; /* tables: 'l' or 'r' per column */
};

struct tare_document {
    struct tare_block *blocks;
    size_t count;
    bool failed; /* out of memory */
};

/* The new block's text, to append to. Never NULL: after a failure it is a buffer that is dropped.
 */
struct tare_buf *tare_document_add(struct tare_document *document, enum tare_block_kind kind);
/* tare_document_add with a printf. */
void tare_document_say(struct tare_document *document, enum tare_block_kind kind, const char *fmt,
                       ...) __attribute__((format(printf, 3, 4)));

/* Begins a table whose header is `header`: columns separated by '|'. align has a letter for each.
 */
void tare_document_table(struct tare_document *document, const char *header, const char *align);
/* The same of a column `first` and one for each of those numbers. */
void tare_document_counts(struct tare_document *document, const char *first, const size_t *counts,
                          size_t count);
/* The next cell of the last table; a new row begins by itself. */
struct tare_buf *tare_document_cell(struct tare_document *document);
/* False when something is missing because memory ran out. */
bool tare_document_is_whole(const struct tare_document *document);
void tare_document_free(struct tare_document *document);

/* text.c: the document as a terminal shows it; options may be NULL. */
struct tare_report_options;
void tare_document_text(struct tare_buf *buf, const struct tare_document *document,
                        const struct tare_report_options *options);
/* markdown.c: the same as Markdown. */
void tare_document_markdown(struct tare_buf *buf, const struct tare_document *document);

/* A terminal shows what a reader asks first; report.md has everything. */
enum tare_detail { TARE_DETAIL_BRIEF, TARE_DETAIL_FULL };

/* What a report says, in that detail. */
void tare_document_fill(struct tare_document *document, const struct tare_summary *summary,
                        enum tare_detail detail);

/* ---- numbers and texts, the same in every place
 * --------------------------------------------------
 */

/* printf's %f, %g or %e (form) with that many digits; a decimal point whatever the locale; "–" for
 * NaN. */
void tare_put_number(struct tare_buf *buf, char form, int digits, double value);
/* The shortest decimal that reads back as the same double. */
void tare_put_exact(struct tare_buf *buf, double value);
/* "21.20 s", "340 ms", "19.4 µs"; "–" for NaN. */
void tare_put_seconds(struct tare_buf *buf, double seconds);
/* "21.20 s (21.02…21.44)", or [range] where there is no interval; the unit is the median's. */
void tare_put_seconds_stat(struct tare_buf *buf, struct tare_stat stat);
/* "97.32 %"; and with the interval. */
void tare_put_percent_stat(struct tare_buf *buf, struct tare_stat stat);
/* "1.31", "50.8", "2940": how many times as long. */
void tare_put_times(struct tare_buf *buf, double ratio);
/* "10,000" */
void tare_put_count(struct tare_buf *buf, size_t count);
/* "201 kB" */
void tare_put_bytes(struct tare_buf *buf, double bytes);

/* text with line breaks as spaces, and with control characters and those that reverse the direction
 * of writing made visible ("\x1b", "\u202e"), so that an engine can't steer a terminal. */
void tare_put_clean(struct tare_buf *buf, const char *text);
/* Whether text (UTF-8) begins with such a character; which one, and of how many bytes. */
bool tare_is_steering(const char *text, uint32_t *point, size_t *bytes);

/* "Keras", or "Keras/variant". */
void tare_put_engine(struct tare_buf *buf, const struct tare_row *row);

#endif
