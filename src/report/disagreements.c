/* disagreements.c: the chapter on models that were right on different images: a sentence for each
 * pair of frameworks, and, in full, a table of every pair. Counted in src/lab/disagree.c. */
#include "report/content.h"

/* "p = 0.0057"; below 0.0001 only that. */
static void put_p(struct tare_buf *out, double p) {
    tare_buf_puts(out, p < 1e-4 ? "p < 0.0001" : "p = ");
    if (p >= 1e-4)
        tare_put_number(out, 'g', 2, p);
}

static void say_pair(struct tare_document *document, const struct tare_disagreement *d,
                     const struct tare_summary *summary) {
    const struct tare_row *a = &summary->rows[d->a], *b = &summary->rows[d->b];
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_BULLET);
    tare_buf_puts(out, a->track == TARE_TRACK_TUTORIAL ? "As taught, " : "Doing the same work, ");
    tare_put_engine(out, a);
    tare_buf_puts(out, " and ");
    tare_put_engine(out, b);
    if (d->only_a + d->only_b == 0) {
        tare_buf_puts(out, " got exactly the same of ");
        tare_put_count(out, d->total);
        tare_buf_printf(out, " test images right (run %zu).", d->run + 1);
        return;
    }
    tare_buf_puts(out, " differed on ");
    tare_put_count(out, d->only_a + d->only_b);
    tare_buf_puts(out, " of ");
    tare_put_count(out, d->total);
    tare_buf_puts(out, " test images: ");
    tare_put_count(out, d->only_a);
    tare_buf_puts(out, " only ");
    tare_put_engine(out, a);
    tare_buf_puts(out, " got right, ");
    tare_put_count(out, d->only_b);
    tare_buf_puts(out, " only ");
    tare_put_engine(out, b);
    tare_buf_printf(out, " (run %zu). McNemar's exact test: ", d->run + 1);
    put_p(out, d->p);
    tare_buf_puts(out, d->apart
                           ? ", so these two models' accuracies differ."
                           : ", so this test set can't tell these two models' accuracies apart.");
}

static void pair_row(struct tare_document *document, const struct tare_disagreement *d,
                     const struct tare_summary *summary) {
    tare_buf_puts(tare_document_cell(document), tare_track_name(summary->rows[d->a].track));
    tare_put_engine(tare_document_cell(document), &summary->rows[d->a]);
    tare_put_engine(tare_document_cell(document), &summary->rows[d->b]);
    tare_buf_printf(tare_document_cell(document), "%zu", d->run + 1);
    tare_put_count(tare_document_cell(document), d->only_a);
    tare_put_count(tare_document_cell(document), d->only_b);
    put_p(tare_document_cell(document), d->p);
    tare_buf_puts(tare_document_cell(document), d->apart ? "yes" : "no");
}

void tare_content_disagreements(struct tare_document *document, const struct tare_summary *summary,
                                enum tare_detail detail) {
    size_t said = 0;
    for (size_t i = 0; i < summary->disagreement_count; i++)
        said += summary->disagreements[i].of_frameworks;
    bool table = detail == TARE_DETAIL_FULL && summary->disagreement_count > said;
    if (said == 0 && !table)
        return;
    tare_document_say(document, TARE_BLOCK_HEADING, "Right on the same images?");
    for (size_t i = 0; i < summary->disagreement_count; i++)
        if (summary->disagreements[i].of_frameworks)
            say_pair(document, &summary->disagreements[i], summary);
    if (table) {
        tare_document_table(document,
                            "track|first|second|run|only first right|only second right|McNemar's "
                            "exact test|told apart",
                            "lllrrrrl");
        for (size_t i = 0; i < summary->disagreement_count; i++)
            pair_row(document, &summary->disagreements[i], summary);
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                      "Two trained nets of one run, not the frameworks as such: another seed gives "
                      "other nets.%s",
                      summary->disagreement_count > said && said > 0
                          ? " A framework is spoken for by the row that trained fastest."
                          : "");
}
