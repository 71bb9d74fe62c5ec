/* text.c: a document for a terminal: tables that wrap to its width, colour only when asked for.
 *
 * Engines can't steer the terminal: every text goes through tare_put_clean. Width counts code
 * points, so combining and double-width characters (which no engine of ours uses) misalign a column
 * and nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "report/document.h"
#include "tare/report.h"

#define MIN_WIDTH 40    /* narrower terminals wrap by themselves */
#define LONGEST_WORD 44 /* longer ones are broken where a column is short of room */
#define GAP "  "

#define BOLD "\033[1m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define GREEN "\033[32m"
#define RESET "\033[0m"

struct renderer {
    struct tare_buf *out;
    size_t width;
    bool colour;
};

static bool begins_character(char c) {
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t display_width(const char *text, size_t size) {
    size_t width = 0;
    for (size_t i = 0; i < size; i++)
        width += begins_character(text[i]);
    return width;
}

/* Bytes of the next line of text: as many words as fit into width, or the part of a word that
 * does. *next is where the line after it begins. */
static size_t take_line(const char *text, size_t width, size_t *next) {
    size_t used = 0, end = 0, fitting = 0;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (begins_character(text[i]) && used++ == width) {
            end = text[i] == ' ' ? i : end > 0 ? end : i;
            *next = end + strspn(text + end, " ");
            return end;
        }
        if (text[i] == ' ' && i > fitting)
            end = i;
        fitting = text[i] == ' ' ? i + 1 : fitting;
    }
    *next = strlen(text);
    return *next;
}

static void put_repeated(struct tare_buf *out, const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        tare_buf_puts(out, text);
}

static void put_wrapped(struct renderer *r, const char *text, const char *first_indent,
                        const char *indent) {
    size_t width = r->width - strlen(indent), next = 0;
    tare_buf_puts(r->out, first_indent);
    for (size_t at = 0;; at += next) {
        size_t size = take_line(text + at, width, &next);
        tare_buf_append(r->out, text + at, size);
        tare_buf_puts(r->out, "\n");
        if (text[at + next] == '\0')
            return;
        tare_buf_puts(r->out, indent);
    }
}

/* ---- tables -------------------------------------------------------------------------------------
 */

struct table {
    size_t rows, columns;
    struct tare_buf *cells; /* cleaned */
    size_t *width, *least;  /* per column: as it is, and how narrow it may get */
};

static const char *cell_at(const struct table *t, size_t row, size_t column) {
    const char *text = t->cells[row * t->columns + column].data;
    return text == NULL ? "" : text;
}

static size_t longest_word(const char *text) {
    size_t longest = 0;
    for (const char *at = text; *at != '\0'; at += strspn(at, " ")) {
        size_t size = strcspn(at, " "), width = display_width(at, size);
        longest = width > longest ? width : longest;
        at += size;
    }
    return longest < LONGEST_WORD ? longest : LONGEST_WORD;
}

/* Takes columns from the column with most to spare until the table fits, or nothing is left. */
static void fit(struct table *t, size_t width) {
    size_t total = (t->columns - 1) * strlen(GAP);
    for (size_t c = 0; c < t->columns; c++) {
        for (size_t r = 0; r < t->rows; r++) {
            const char *text = cell_at(t, r, c);
            size_t natural = display_width(text, strlen(text)), word = longest_word(text);
            t->width[c] = natural > t->width[c] ? natural : t->width[c];
            t->least[c] = word > t->least[c] ? word : t->least[c];
        }
        total += t->width[c];
    }
    for (; total > width; total--) {
        size_t most = 0;
        for (size_t c = 1; c < t->columns; c++)
            if (t->width[c] - t->least[c] > t->width[most] - t->least[most])
                most = c;
        if (t->width[most] == t->least[most])
            return; /* wider than the terminal, which wraps it */
        t->width[most]--;
    }
}

static const char *state_colour(const char *text) {
    if (strcmp(text, tare_state_name(TARE_STATE_OK)) == 0)
        return GREEN;
    if (strcmp(text, tare_state_name(TARE_STATE_FAILED)) == 0)
        return RED;
    for (int s = TARE_STATE_OK; s <= TARE_STATE_FAILED; s++)
        if (strcmp(text, tare_state_name((enum tare_cell_state)s)) == 0)
            return YELLOW;
    return NULL;
}

static void put_row(struct renderer *r, const struct table *t, size_t row, const char *align,
                    size_t *at) {
    memset(at, 0, t->columns * sizeof *at);
    for (bool more = true; more;) {
        size_t pending = 0; /* spaces owed before the next text: none at the end of a line */
        more = false;
        for (size_t c = 0; c < t->columns; c++) {
            const char *whole = cell_at(t, row, c), *text = whole + at[c];
            size_t next = 0, size = take_line(text, t->width[c], &next);
            size_t space = t->width[c] - display_width(text, size);
            const char *colour = r->colour && at[c] == 0 ? state_colour(whole) : NULL;
            if (r->colour && row == 0)
                colour = BOLD;
            pending += align[c] == 'r' ? space : 0;
            if (size > 0) {
                put_repeated(r->out, " ", pending);
                tare_buf_puts(r->out, colour != NULL ? colour : "");
                tare_buf_append(r->out, text, size);
                tare_buf_puts(r->out, colour != NULL ? RESET : "");
                pending = 0;
            }
            pending += (align[c] == 'r' ? 0 : space) + strlen(GAP);
            at[c] += next;
            more = more || whole[at[c]] != '\0';
        }
        tare_buf_puts(r->out, "\n");
    }
}

static void put_table(struct renderer *r, const struct tare_block *block) {
    struct table t = {
        .rows = block->cell_count / block->columns,
        .columns = block->columns,
        .cells = calloc(block->cell_count, sizeof *t.cells),
        .width = calloc(block->columns, sizeof *t.width),
        .least = calloc(block->columns, sizeof *t.least),
    };
    size_t *at = calloc(block->columns, sizeof *at);
    bool whole = t.cells != NULL && t.width != NULL && t.least != NULL && at != NULL;
    for (size_t i = 0; whole && i < block->cell_count; i++) {
        if (block->cells[i].data != NULL)
            tare_put_clean(&t.cells[i], block->cells[i].data);
        whole = !t.cells[i].failed;
    }
    if (whole) {
        fit(&t, r->width);
        for (size_t row = 0; row < t.rows; row++) {
            put_row(r, &t, row, block->align, at);
            for (size_t c = 0; row == 0 && c < t.columns; c++) {
                put_repeated(r->out, "─", t.width[c]);
                tare_buf_puts(r->out, c + 1 < t.columns ? GAP : "\n");
            }
        }
    }
    r->out->failed = r->out->failed || !whole;
    for (size_t i = 0; t.cells != NULL && i < block->cell_count; i++)
        tare_buf_free(&t.cells[i]);
    free(t.cells);
    free(t.width);
    free(t.least);
    free(at);
}

/* ---- blocks -------------------------------------------------------------------------------------
 */

static void put_headline(struct renderer *r, const char *text, const char *underline) {
    tare_buf_puts(r->out, r->colour ? BOLD : "");
    tare_buf_puts(r->out, text);
    tare_buf_puts(r->out, r->colour ? RESET "\n" : "\n");
    if (underline != NULL) {
        put_repeated(r->out, underline, display_width(text, strlen(text)));
        tare_buf_puts(r->out, "\n");
    }
}

static void put_block(struct renderer *r, const struct tare_block *block, const char *text) {
    switch (block->kind) {
    case TARE_BLOCK_TITLE:
        put_headline(r, text, "═");
        return;
    case TARE_BLOCK_HEADING:
        put_headline(r, text, NULL);
        return;
    case TARE_BLOCK_PARAGRAPH:
        put_wrapped(r, text, "", "");
        return;
    case TARE_BLOCK_BULLET:
        put_wrapped(r, text, "• ", "  ");
        return;
    case TARE_BLOCK_CODE: /* one line however long, to be copied */
        tare_buf_printf(r->out, "    %s\n", text);
        return;
    case TARE_BLOCK_TABLE:
        put_table(r, block);
        return;
    }
}

/* An empty line between blocks, but none inside a list or right under a heading. */
static bool needs_space(enum tare_block_kind before, enum tare_block_kind after) {
    bool list = after == TARE_BLOCK_BULLET || after == TARE_BLOCK_CODE;
    return before != TARE_BLOCK_HEADING &&
           !(list && (before == TARE_BLOCK_BULLET || before == TARE_BLOCK_CODE));
}

void tare_document_text(struct tare_buf *buf, const struct tare_document *document,
                        const struct tare_report_options *options) {
    size_t width = options != NULL && options->width > 0 ? options->width : TARE_REPORT_WIDTH;
    struct renderer r = {
        .out = buf,
        .width = width < MIN_WIDTH ? MIN_WIDTH : width,
        .colour = options != NULL && options->colour,
    };
    buf->failed = buf->failed || !tare_document_is_whole(document);
    for (size_t i = 0; i < document->count && !buf->failed; i++) {
        const struct tare_block *block = &document->blocks[i];
        struct tare_buf clean = {0};
        tare_put_clean(&clean, block->text.data != NULL ? block->text.data : "");
        if (i > 0 && needs_space(document->blocks[i - 1].kind, block->kind))
            tare_buf_puts(buf, "\n");
        put_block(&r, block, clean.data != NULL ? clean.data : "");
        buf->failed = buf->failed || clean.failed;
        tare_buf_free(&clean);
    }
}

void tare_report_text(struct tare_buf *buf, const struct tare_summary *summary,
                      const struct tare_report_options *options) {
    struct tare_document document = {0};
    tare_document_fill(&document, summary, TARE_DETAIL_BRIEF);
    tare_document_text(buf, &document, options);
    tare_document_free(&document);
}
