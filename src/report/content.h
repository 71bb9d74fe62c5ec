/* content.h: the parts of a report, in their order. content.c calls them. Internal to report. */
#ifndef TARE_REPORT_CONTENT_H
#define TARE_REPORT_CONTENT_H

#include "report/document.h"

void tare_content_answers(struct tare_document *document, const struct tare_summary *summary);
void tare_content_tables(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail);
/* Every model in both formats; and the sentences about it, for the top of a report. */
void tare_content_deployment(struct tare_document *document, const struct tare_summary *summary,
                             enum tare_detail detail);
void tare_content_export_answers(struct tare_document *document,
                                 const struct tare_summary *summary);
void tare_content_resources(struct tare_document *document, const struct tare_summary *summary);
void tare_content_threads(struct tare_document *document, const struct tare_summary *summary);
void tare_content_user_code(struct tare_document *document, const struct tare_summary *summary);
void tare_content_settings(struct tare_document *document, const struct tare_summary *summary);
void tare_content_disagreements(struct tare_document *document, const struct tare_summary *summary,
                                enum tare_detail detail);
void tare_content_problems(struct tare_document *document, const struct tare_summary *summary);
void tare_content_limits(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail);

/* A table's next cell: a text, a statistic in seconds, an engine's name. */
void tare_cell_text(struct tare_document *document, const char *text);
void tare_cell_seconds(struct tare_document *document, struct tare_stat stat);
void tare_cell_engine(struct tare_document *document, const struct tare_row *row);

#endif
