/* fuzz_samples.c: samples.jsonl, as the reports, tare verify, --salvage and --resume read it, and
 * sweep.jsonl. What is accepted becomes reports that harm no terminal, spreadsheet or parser,
 * whatever engines said. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "lab/provenance.h"
#include "tare/lab.h"
#include "tare/report.h"
#include "tare/sweep.h"
#include "tare/verify.h"

static char dir[64], path[80];

static void remove_dir(void) {
    unlink(path);
    rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    snprintf(dir, sizeof dir, "/dev/shm/tare-fuzz-XXXXXX");
    MUST(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/samples.jsonl", dir);
    atexit(remove_dir);
    return 0;
}

/* UTF-8 without controls: C0, DEL, C1. `allowed` may be there. */
static void check_text(const struct tare_buf *text, const char *allowed) {
    MUST(!text->failed && text->data != NULL);
    json_t *utf8 = json_stringn(text->data, text->size);
    MUST(utf8 != NULL);
    json_decref(utf8);
    for (size_t i = 0; i < text->size; i++) {
        const unsigned char c = (unsigned char)text->data[i];
        MUST((c >= 0x20 && c != 0x7f) || (c != '\0' && strchr(allowed, c) != NULL));
        if (c == 0xc2 && i + 1 < text->size)
            MUST((unsigned char)text->data[i + 1] >= 0xa0);
    }
}

/* RFC 4180: lines end in CR LF, each has as many fields as the first; a quote is doubled. */
static void check_csv(const struct tare_buf *csv) {
    size_t fields = 1, expected = 0;
    bool quoted = false;
    for (size_t i = 0; i < csv->size; i++) {
        const char c = csv->data[i];
        if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == ',')
            fields++;
        else if (!quoted && c == '\n') {
            MUST(i > 0 && csv->data[i - 1] == '\r');
            MUST(expected == 0 || fields == expected);
            expected = fields;
            fields = 1;
        }
    }
    MUST(!quoted && fields == 1 && csv->data[csv->size - 1] == '\n');
}

/* again_too: the same summary must give the same report; not each time, for it is the slow part. */
static void check_reports(const struct tare_summary *summary, bool again_too) {
    struct tare_buf text = {0}, again = {0}, coloured = {0}, markdown = {0}, csv = {0};
    struct tare_buf json = {0};
    tare_report_text(&text, summary, NULL);
    if (again_too)
        tare_report_text(&again, summary, NULL);
    tare_report_text(&coloured, summary,
                     &(struct tare_report_options){.width = 60, .colour = true});
    tare_report_markdown(&markdown, summary);
    tare_report_csv(&csv, summary);
    tare_report_json(&json, summary);
    check_text(&text, "\n");
    check_text(&coloured, "\n\x1b");
    check_text(&markdown, "\n");
    check_text(&csv, "\r\n");
    check_text(&json, "\n");
    if (again_too)
        MUST(text.size == again.size && memcmp(text.data, again.data, text.size) == 0);
    check_csv(&csv);
    json_t *parsed = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
    MUST(json_is_object(parsed));
    json_decref(parsed);
    tare_buf_free(&text);
    tare_buf_free(&again);
    tare_buf_free(&coloured);
    tare_buf_free(&markdown);
    tare_buf_free(&csv);
    tare_buf_free(&json);
}

typedef enum tare_status parser(struct tare_summary *, const void *, size_t, const char *,
                                struct tare_err *);

/* Returns whether there may be lines that don't fit the chain, and so something to salvage. */
static bool check_summary(parser *parse, const uint8_t *bytes, size_t size) {
    struct tare_summary summary;
    struct tare_err err = {0};
    bool misfits = true; /* may be why it is refused */
    if (parse(&summary, bytes, size, "fuzz", &err) == TARE_OK) {
        check_reports(&summary, size % 8 == 0);
        misfits = summary.misfit_count > 0;
    } else {
        MUST(summary.memory == NULL);
        MUST_BE_REFUSED(err);
    }
    tare_summary_free(&summary);
    return misfits;
}

/* Nothing outside of the folder is looked at. */
static void found(void *context, enum tare_finding finding, const char *where, const char *why) {
    (void)context;
    MUST(tare_finding_name(finding)[0] != '\0' && where[0] != '\0' && why != NULL);
}

static void check_folder(const uint8_t *bytes, size_t size) {
    struct tare_verify verify = {.dir = dir, .found = found};
    struct tare_resume resume;
    struct tare_err err = {0};
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    MUST(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
    if (tare_verify_folder(&verify, &err) != TARE_OK)
        MUST(err.what[0] != '\0' && err.where[0] != '\0');
    err = (struct tare_err){0};
    if (tare_resume_open(&resume, dir, &err) == TARE_OK)
        tare_resume_close(&resume);
    else
        MUST(err.what[0] != '\0' && err.where[0] != '\0');
}

/* The same bytes as a sweep.jsonl. */
static void check_sweep(const uint8_t *bytes, size_t size) {
    struct tare_sweep_summary summary;
    struct tare_buf text = {0}, markdown = {0}, json = {0};
    struct tare_err err = {0};
    if (tare_sweep_parse(&summary, bytes, size, "fuzz", &err) != TARE_OK) {
        MUST(summary.memory == NULL);
        MUST_BE_REFUSED(err);
        return;
    }
    tare_report_sweep(&text, &summary, NULL);
    tare_report_sweep_markdown(&markdown, &summary);
    tare_report_sweep_json(&json, &summary);
    check_text(&text, "\n");
    check_text(&markdown, "\n");
    check_text(&json, "\n");
    json_t *parsed = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES, NULL);
    MUST(json_is_object(parsed));
    json_decref(parsed);
    tare_buf_free(&text);
    tare_buf_free(&markdown);
    tare_buf_free(&json);
    tare_sweep_free(&summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    check_sweep(bytes, size);
    if (check_summary(tare_summary_parse, bytes, size))
        check_summary(tare_summary_parse_sound, bytes, size);
    check_folder(bytes, size);
    return 0;
}

/* ---- lines -------------------------------------------------------------------------------------
 */

struct line {
    const char *text;
    size_t size;
};
#define MAX_LINES 512

static size_t split(struct line *lines, size_t most, const uint8_t *data, size_t size) {
    size_t count = 0;
    for (size_t at = 0; at < size && count < most; count++) {
        const uint8_t *newline = memchr(data + at, '\n', size - at);
        const size_t end = newline != NULL ? (size_t)(newline - data) : size;
        lines[count] = (struct line){(const char *)data + at, end - at};
        at = end + 1;
    }
    return count;
}

/* A line without its link, and its closing brace with it. */
static struct line without_link(struct line line) {
    if (line.size > TARE_LINK_TAIL_BYTES && memcmp(line.text + line.size - TARE_LINK_TAIL_BYTES,
                                                   TARE_LINK_KEY, sizeof TARE_LINK_KEY - 1) == 0)
        line.size -= TARE_LINK_TAIL_BYTES;
    else if (line.size > 0 && line.text[line.size - 1] == '}')
        line.size--;
    return line;
}

/* Appends the line; linked to the one before it when `link` isn't NULL. */
static void append_line(struct tare_buf *out, char *link, struct line line) {
    char next[TARE_LINK_BYTES + 1];
    if (link == NULL) {
        tare_buf_append(out, line.text, line.size);
    } else {
        line = without_link(line);
        MUST(tare_link(next, link, line.text, line.size));
        tare_buf_append(out, line.text, line.size);
        tare_buf_printf(out, TARE_LINK_KEY "%s" TARE_LINK_END, next);
        memcpy(link, next, sizeof next);
    }
    tare_buf_puts(out, "\n");
}

static void give_lines(struct tare_buf *out, struct dice *dice, const struct line *lines,
                       size_t count, bool linked) {
    char link[TARE_LINK_BYTES + 1] = "";
    for (size_t i = 0; i < count; i++)
        append_line(out, linked ? link : NULL, lines[i]);
    if (out->size > 0 && roll(dice, 32) == 0)
        out->size -= roll(dice, out->size < 100 ? out->size : 100); /* as a crash leaves it */
}

/* One line changed as JSON, or dropped, doubled or moved; the chain mended or left as it is. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct line lines[MAX_LINES + 1];
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0}, changed = {0};
    size_t count = split(lines, MAX_LINES, data, size);
    if (mutate_plainly(&dice) || count == 0)
        return LLVMFuzzerMutate(data, size, max);
    const size_t at = roll(&dice, count), other = roll(&dice, count);
    const struct line kept = lines[at];
    switch (roll(&dice, 12)) {
    case 0:
        memmove(lines + at, lines + at + 1, (--count - at) * sizeof *lines);
        break;
    case 1:
        lines[count++] = kept;
        break;
    case 2:
        lines[at] = lines[other];
        lines[other] = kept;
        break;
    default:
        if (mutate_json(&changed, &dice, kept.text, kept.size))
            lines[at] = (struct line){changed.data, changed.size};
    }
    give_lines(&out, &dice, lines, count, roll(&dice, 3) > 0);
    tare_buf_free(&changed);
    return mutate_give(data, max, &out);
}

/* The first lines of one and the last lines of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *data, size_t max, unsigned seed) {
    struct line lines[MAX_LINES];
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    size_t count = split(lines, MAX_LINES / 2, a, a_size);
    count = count > 0 ? 1 + roll(&dice, count) : 0;
    const size_t more = split(lines + count, MAX_LINES / 2, b, b_size);
    const size_t from = roll(&dice, more);
    memmove(lines + count, lines + count + from, (more - from) * sizeof *lines);
    give_lines(&out, &dice, lines, count + more - from, roll(&dice, 3) > 0);
    return mutate_give(data, max, &out);
}
