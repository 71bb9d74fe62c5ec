/* document.c: the list of blocks that content.c fills and text.c and markdown.c render. */
#include "report/document.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct tare_buf dropped = {.failed = true}; /* takes nothing: its appends are ignored */

static struct tare_block *add_block(struct tare_document *document, enum tare_block_kind kind) {
    struct tare_block *blocks = NULL;
    if (!document->failed)
        blocks = realloc(document->blocks, (document->count + 1) * sizeof *blocks);
    if (blocks == NULL) {
        document->failed = true;
        return NULL;
    }
    document->blocks = blocks;
    blocks[document->count] = (struct tare_block){.kind = kind};
    return &blocks[document->count++];
}

struct tare_buf *tare_document_add(struct tare_document *document, enum tare_block_kind kind) {
    struct tare_block *block = add_block(document, kind);
    return block == NULL ? &dropped : &block->text;
}

void tare_document_say(struct tare_document *document, enum tare_block_kind kind, const char *fmt,
                       ...) {
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0) {
        text = NULL;
        document->failed = true;
    }
    va_end(args);
    if (text != NULL)
        tare_buf_puts(tare_document_add(document, kind), text);
    free(text);
}

struct tare_buf *tare_document_cell(struct tare_document *document) {
    if (document->failed)
        return &dropped;
    struct tare_block *table = &document->blocks[document->count - 1];
    struct tare_buf *cells = realloc(table->cells, (table->cell_count + 1) * sizeof *cells);
    if (cells == NULL) {
        document->failed = true;
        return &dropped;
    }
    table->cells = cells;
    cells[table->cell_count] = (struct tare_buf){0};
    return &cells[table->cell_count++];
}

void tare_document_table(struct tare_document *document, const char *header, const char *align) {
    struct tare_block *table = add_block(document, TARE_BLOCK_TABLE);
    if (table == NULL)
        return;
    table->columns = strlen(align);
    snprintf(table->align, sizeof table->align, "%s", align);
    for (const char *at = header; *at != '\0';) {
        size_t size = strcspn(at, "|");
        tare_buf_append(tare_document_cell(document), at, size);
        at += size + (at[size] == '|');
    }
}

void tare_document_counts(struct tare_document *document, const char *first, const size_t *counts,
                          size_t count) {
    struct tare_buf header = {0};
    char align[TARE_MAX_COLUMNS + 1] = "l";
    tare_buf_puts(&header, first);
    for (size_t i = 0; i < count && i + 2 < sizeof align; i++) {
        tare_buf_puts(&header, "|");
        tare_put_count(&header, counts[i]);
        align[i + 1] = 'r';
    }
    tare_document_table(document, header.data != NULL ? header.data : "", align);
    document->failed = document->failed || header.failed;
    tare_buf_free(&header);
}

bool tare_document_is_whole(const struct tare_document *document) {
    bool whole = !document->failed;
    for (size_t i = 0; i < document->count; i++) {
        const struct tare_block *block = &document->blocks[i];
        whole = whole && !block->text.failed;
        for (size_t c = 0; c < block->cell_count; c++)
            whole = whole && !block->cells[c].failed;
    }
    return whole;
}

void tare_document_free(struct tare_document *document) {
    for (size_t i = 0; i < document->count; i++) {
        struct tare_block *block = &document->blocks[i];
        for (size_t c = 0; c < block->cell_count; c++)
            tare_buf_free(&block->cells[c]);
        free(block->cells);
        tare_buf_free(&block->text);
    }
    free(document->blocks);
    *document = (struct tare_document){0};
}
