/* markdown.c: a document as GitHub-flavoured Markdown. Everything an engine said is escaped, so
 * that it stays text: no links, no HTML, no further table columns. */
#include <string.h>

#include "report/document.h"
#include "tare/report.h"

/* Cleans text and puts a backslash before what Markdown or HTML would act on. */
static void put_escaped(struct tare_buf *out, const struct tare_buf *text) {
    struct tare_buf clean = {0};
    tare_put_clean(&clean, text->data != NULL ? text->data : "");
    for (size_t i = 0; i < clean.size; i++) {
        char c = clean.data[i];
        bool acts = strchr("\\`*_<>[]|#~&", c) != NULL;
        bool begins = i == 0 && strchr("-+=", c) != NULL; /* a list or an underline, when first */
        if (acts || begins)
            tare_buf_puts(out, "\\");
        tare_buf_append(out, &c, 1);
    }
    out->failed = out->failed || clean.failed;
    tare_buf_free(&clean);
}

static void put_table(struct tare_buf *out, const struct tare_block *block) {
    for (size_t i = 0; i < block->cell_count; i++) {
        size_t column = i % block->columns;
        tare_buf_puts(out, column == 0 ? "| " : " | ");
        put_escaped(out, &block->cells[i]);
        if (column + 1 < block->columns)
            continue;
        tare_buf_puts(out, " |\n");
        if (i + 1 > block->columns)
            continue;
        for (size_t c = 0; c < block->columns; c++)
            tare_buf_puts(out, block->align[c] == 'r' ? "|---:" : "|---");
        tare_buf_puts(out, "|\n");
    }
}

/* Indented by enough for a list item; no fence, so that nothing in the text can close it. */
static void put_code(struct tare_buf *out, const struct tare_buf *text) {
    tare_buf_puts(out, "\n      ");
    tare_put_clean(out, text->data != NULL ? text->data : "");
    tare_buf_puts(out, "\n");
}

static void put_block(struct tare_buf *out, const struct tare_block *block) {
    switch (block->kind) {
    case TARE_BLOCK_TITLE:
        tare_buf_puts(out, "# ");
        break;
    case TARE_BLOCK_HEADING:
        tare_buf_puts(out, "## ");
        break;
    case TARE_BLOCK_PARAGRAPH:
        break;
    case TARE_BLOCK_BULLET:
        tare_buf_puts(out, "- ");
        break;
    case TARE_BLOCK_CODE:
        put_code(out, &block->text);
        return;
    case TARE_BLOCK_TABLE:
        put_table(out, block);
        return;
    }
    put_escaped(out, &block->text);
    tare_buf_puts(out, "\n");
}

void tare_document_markdown(struct tare_buf *buf, const struct tare_document *document) {
    buf->failed = buf->failed || !tare_document_is_whole(document);
    for (size_t i = 0; i < document->count && !buf->failed; i++) {
        enum tare_block_kind kind = document->blocks[i].kind;
        bool bullet = kind == TARE_BLOCK_BULLET;
        bool list = kind == TARE_BLOCK_CODE ||
                    (bullet && i > 0 && document->blocks[i - 1].kind == TARE_BLOCK_BULLET);
        if (i > 0 && !list)
            tare_buf_puts(buf, "\n");
        put_block(buf, &document->blocks[i]);
    }
}

void tare_report_markdown(struct tare_buf *buf, const struct tare_summary *summary) {
    struct tare_document document = {0};
    tare_document_fill(&document, summary, TARE_DETAIL_FULL);
    tare_document_markdown(buf, &document);
    tare_document_free(&document);
}
