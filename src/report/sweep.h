/* sweep.h: the parts of a sweep's document. Internal to report. */
#ifndef TARE_REPORT_SWEEP_H
#define TARE_REPORT_SWEEP_H

#include "report/document.h"
#include "tare/sweep.h"

void tare_sweep_answers(struct tare_document *document, const struct tare_sweep_summary *s);

/* "TensorFlow (C)/step" */
void tare_sweep_put_name(struct tare_buf *out, const struct tare_sweep_engine *engine);
/* By the indices of width and batch. */
const struct tare_sweep_point *tare_sweep_point_at(const struct tare_sweep_summary *s, size_t width,
                                                   size_t batch);
bool tare_sweep_has_figure(const struct tare_sweep_cell *cell);

#endif
