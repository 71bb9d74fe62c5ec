/* content.h: the parts of a report, in their order. content.c calls them. Internal to report. */
#ifndef TARE_REPORT_CONTENT_H
#define TARE_REPORT_CONTENT_H

#include "report/document.h"

void tare_content_answers(struct tare_document *document, const struct tare_summary *summary);
void tare_content_tables(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail);
void tare_content_disagreements(struct tare_document *document, const struct tare_summary *summary,
                                enum tare_detail detail);
void tare_content_problems(struct tare_document *document, const struct tare_summary *summary);
void tare_content_limits(struct tare_document *document, const struct tare_summary *summary,
                         enum tare_detail detail);

#endif
