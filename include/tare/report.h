/* report.h: a summary as a document: for the terminal, as Markdown, CSV and JSON.
 *
 *     struct tare_buf text = {0};
 *     tare_report_text(&text, &summary, &(struct tare_report_options){.width = 100});
 *     if (!text.failed) fwrite(text.data, 1, text.size, stdout);
 *     tare_buf_free(&text);
 *
 * Each is a pure function of the summary: the same samples give the same bytes, whatever the clock,
 * the locale or the environment. What engines said is escaped for the format it is put into.
 * Out of memory shows in buf->failed.
 */
#ifndef TARE_REPORT_H
#define TARE_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/buf.h"
#include "tare/err.h"
#include "tare/summary.h"
#include "tare/verify.h"

#define TARE_REPORT_WIDTH 100 /* columns, where options don't say */

struct tare_report_options {
    size_t width; /* of the terminal, in columns; 0: TARE_REPORT_WIDTH; tables wrap to fit */
    bool colour;  /* ANSI bold and colours */
};

/* options may be NULL: the defaults. */
void tare_report_text(struct tare_buf *buf, const struct tare_summary *summary,
                      const struct tare_report_options *options);
void tare_report_markdown(struct tare_buf *buf, const struct tare_summary *summary);

/* One row per cell, the header always the same; RFC 4180, so lines end in CR LF. A text that a
 * spreadsheet would take for a formula gets an apostrophe in front. */
void tare_report_csv(struct tare_buf *buf, const struct tare_summary *summary);

/* Format tare-report/1: doc/formats.md. */
void tare_report_json(struct tare_buf *buf, const struct tare_summary *summary);

/* Writes report.md, report.json and report.csv into dir, each whole or not at all. */
enum tare_status tare_report_write_all(const char *dir, const struct tare_summary *summary,
                                       struct tare_err *err);

/* After tare_verify_folder: makes the three again from the samples and compares them, byte by byte.
 */
enum tare_status tare_report_verify(struct tare_verify *verify, struct tare_err *err);

/* What tare_bench_run measured, for the terminal and as one object of JSON, tare-bench/1:
 * doc/formats.md. */
struct tare_bench;
void tare_report_bench(struct tare_buf *buf, const struct tare_bench *bench,
                       const struct tare_report_options *options);
void tare_report_bench_json(struct tare_buf *buf, const struct tare_bench *bench);

/* What a sweep measured (sweep.h), for the terminal, as Markdown, and as one object of JSON,
 * tare-sweep-report/1; and sweep.md and sweep.json into its folder. */
struct tare_sweep_summary;
void tare_report_sweep(struct tare_buf *buf, const struct tare_sweep_summary *summary,
                       const struct tare_report_options *options);
void tare_report_sweep_markdown(struct tare_buf *buf, const struct tare_sweep_summary *summary);
void tare_report_sweep_json(struct tare_buf *buf, const struct tare_sweep_summary *summary);
enum tare_status tare_report_sweep_write(const char *dir, const struct tare_sweep_summary *summary,
                                         struct tare_err *err);

/* A finding as one line for the terminal. */
void tare_report_finding(struct tare_buf *buf, enum tare_finding finding, const char *path,
                         const char *why);

#endif
