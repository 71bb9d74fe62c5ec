/* resources.c: the tables of what an engine used: time by phase, memory, threads, lines of user
 * code, and the settings it ran with. */
#include <string.h>

#include "report/content.h"

#define CPUS_ALLOWED "cpus_allowed" /* the setting every engine tells */

void tare_content_resources(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Start-up, memory and where the time goes");
    tare_document_table(document, "engine|track|start-up|peak memory|phases, medians", "llrrl");
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        tare_cell_engine(document, row);
        tare_cell_text(document, tare_track_name(row->track));
        tare_cell_seconds(document, row->stats[TARE_STARTUP_S]);
        tare_put_bytes(tare_document_cell(document), row->stats[TARE_PEAK_RSS_BYTES].median);
        struct tare_buf *out = tare_document_cell(document);
        for (size_t p = 0; p < row->phase_count; p++) {
            tare_buf_printf(out, "%s%s ", p > 0 ? ", " : "", row->phases[p].name);
            tare_put_seconds(out, row->phases[p].stat.median);
        }
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH, "Start-up is process start and import.");
}

/* Settings are told by engines in any language, so what is about threads is known by its name. */
static bool is_about_threads(const char *name) {
    return strstr(name, "thread") != NULL || strcmp(name, CPUS_ALLOWED) == 0;
}

static const char *setting_named(const struct tare_row *row, const char *name) {
    for (size_t i = 0; i < row->setting_count; i++)
        if (strcmp(row->settings[i].name, name) == 0)
            return row->settings[i].value;
    return "–";
}

void tare_content_threads(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Threads");
    tare_document_table(document,
                        "engine|track|threads asked|CPUs allowed|CPU time over wall time|"
                        "options set",
                        "llrrrl");
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        tare_cell_engine(document, row);
        tare_cell_text(document, tare_track_name(row->track));
        tare_buf_printf(tare_document_cell(document), "%zu", row->threads);
        tare_cell_text(document, setting_named(row, CPUS_ALLOWED));
        tare_put_number(tare_document_cell(document), 'f', 2,
                        row->stats[TARE_CPU_OVER_WALL].median);
        struct tare_buf *out = tare_document_cell(document);
        const char *between = "";
        for (size_t s = 0; s < row->setting_count; s++) {
            const struct tare_setting *setting = &row->settings[s];
            if (!is_about_threads(setting->name) || strcmp(setting->name, CPUS_ALLOWED) == 0)
                continue;
            tare_buf_printf(out, "%s%s=%s", between, setting->name, setting->value);
            between = ", ";
        }
    }
    tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                      "The number asked for is a ceiling: sched_setaffinity holds every engine to "
                      "that many CPUs, and CPU time over wall time of the whole process, starting "
                      "and loading included, may not exceed it by more than 5 %%.");
}

void tare_content_user_code(struct tare_document *document, const struct tare_summary *summary) {
    size_t count = 0;
    for (size_t i = 0; i < summary->row_count; i++)
        count += summary->rows[i].code_count;
    if (count == 0)
        return;
    tare_document_say(document, TARE_BLOCK_HEADING, "Code a user writes");
    tare_document_table(document, "engine|for|lines|statements", "llrr");
    for (size_t i = 0; i < summary->row_count; i++)
        for (size_t c = 0; c < summary->rows[i].code_count; c++) {
            const struct tare_user_code *code = &summary->rows[i].code[c];
            tare_cell_engine(document, &summary->rows[i]);
            tare_cell_text(document, code->name);
            tare_buf_printf(tare_document_cell(document), "%zu", code->lines);
            tare_buf_printf(tare_document_cell(document), "%zu", code->statements);
        }
}

void tare_content_settings(struct tare_document *document, const struct tare_summary *summary) {
    tare_document_say(document, TARE_BLOCK_HEADING, "Settings, and what the framework itself says");
    tare_document_table(document, "engine|track|settings|its own metrics (not ranked)", "llll");
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        tare_cell_engine(document, row);
        tare_cell_text(document, tare_track_name(row->track));
        struct tare_buf *out = tare_document_cell(document);
        const char *between = "";
        for (size_t s = 0; s < row->setting_count; s++) {
            if (is_about_threads(row->settings[s].name))
                continue; /* in the table of threads */
            tare_buf_printf(out, "%s%s=%s", between, row->settings[s].name, row->settings[s].value);
            between = ", ";
        }
        out = tare_document_cell(document);
        for (size_t m = 0; m < row->metric_count; m++) {
            tare_buf_printf(out, "%s%s=", m > 0 ? ", " : "", row->metrics[m].name);
            tare_put_number(out, 'g', 4, row->metrics[m].stat.median);
        }
        if (row->stats[TARE_LAST_LOSS].n > 0) {
            tare_buf_puts(out,
                          row->metric_count > 0 ? ", last epoch's loss=" : "last epoch's loss=");
            tare_put_number(out, 'g', 4, row->stats[TARE_LAST_LOSS].median);
        }
    }
}
