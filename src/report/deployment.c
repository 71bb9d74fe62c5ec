/* deployment.c: what it costs to get a trained model out of its framework and into a runtime: every
 * model in both formats, by the framework's own exporter and by tare's, and the sentences that
 * answer "how easy is it?". Called by content.c and tables.c. */
#include <math.h>
#include <string.h>

#include "report/content.h"
#include "tare/lab.h" /* TARE_EXPORTER */
#include "tare/parity.h"

static const char *const formats[] = {"tflite", "onnx"};
#define FORMAT_COUNT (sizeof formats / sizeof *formats)

/* Why a framework has no exporter of its own in a row; format NULL: of neither format. */
static const struct no_route {
    const char *engine;
    enum tare_track track;
    const char *format, *why;
} no_routes[] = {
    {"keras", TARE_TRACK_TUTORIAL, "onnx",
     "Keras to .onnx: its model.export(format=\"onnx\") needs the third-party package tf2onnx."},
    {"pytorch", TARE_TRACK_TUTORIAL, "tflite",
     "PyTorch to .tflite: PyTorch has no exporter to it; the converters are other projects'."},
    {"keras", TARE_TRACK_CONTROLLED, NULL,
     "Keras's own exporter is the same on both tracks, and is timed as taught (tutorial)."},
    {"pytorch", TARE_TRACK_CONTROLLED, NULL,
     "PyTorch's own exporter is the same on both tracks, and is timed as taught (tutorial)."},
    {"tensorflow", TARE_TRACK_CONTROLLED, NULL,
     "TensorFlow's C API has no converter: that to .tflite is called from Python, see Keras."},
    {"libtorch", TARE_TRACK_CONTROLLED, NULL,
     "LibTorch has no exporter in its C++ API: that to .onnx is called from Python, see PyTorch."},
    {"jax", TARE_TRACK_CONTROLLED, NULL,
     "JAX itself writes neither format: to .tflite goes through TensorFlow's converter, to .onnx "
     "through third-party packages."},
};
#define NO_ROUTE_COUNT (sizeof no_routes / sizeof *no_routes)

static const struct no_route *find_no_route(const struct tare_row *row, const char *format) {
    for (size_t i = 0; i < NO_ROUTE_COUNT; i++) {
        const struct no_route *n = &no_routes[i];
        bool same_format = format == NULL || n->format == NULL ? format == n->format
                                                               : strcmp(format, n->format) == 0;
        if (same_format && n->track == row->track && strcmp(n->engine, row->engine) == 0)
            return n;
    }
    return NULL;
}

static bool is_tares(const struct tare_export *e) {
    return strcmp(e->exporter, TARE_EXPORTER) == 0;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

struct table {
    struct tare_document *document;
    const struct tare_summary *summary;
    bool full;                                    /* the columns that only report.md has */
    const struct no_route *notes[NO_ROUTE_COUNT]; /* in the order of their numbers */
    size_t note_count;
};

static void begin(struct table *t) {
    if (t->full)
        tare_document_table(
            t->document,
            "model|exported by|file|install|export|size|run by|parity|changed answers|accuracy|"
            "one image, p50|one image, p99|images/s|cold start|memory|runtime to ship|lines of "
            "code",
            "lllrrrlrrrrrrrrrr");
    else
        tare_document_table(t->document,
                            "model|exporter|file|install|export|size|parity|p50|p99|cold start",
                            "lllrrrrrrr");
}

static void put_model(struct table *t, const struct tare_row *row, const char *exporter) {
    struct tare_buf *model = tare_document_cell(t->document);
    tare_put_engine(model, row);
    if (row->track == TARE_TRACK_TUTORIAL)
        tare_buf_puts(model, ", as taught");
    if (strcmp(exporter, TARE_EXPORTER) == 0)
        tare_cell_text(t->document, exporter);
    else /* a narrow table says it shorter, and not of whom: the model's name does */
        tare_cell_text(t->document, t->full ? tare_engine_title(exporter) : "its own");
}

static void put_dashes(struct table *t, size_t count) {
    for (size_t i = 0; i < count; i++)
        tare_cell_text(t->document, "–");
}

/* A framework that can't: its reason is a numbered note under the table. */
static void missing_row(struct table *t, const struct tare_row *row, const struct no_route *route) {
    size_t note = 0;
    while (note < t->note_count && t->notes[note] != route)
        note++;
    if (note == t->note_count)
        t->notes[t->note_count++] = route;
    put_model(t, row, row->engine);
    tare_buf_printf(tare_document_cell(t->document), "%s%s", route->format ? "." : "",
                    route->format ? route->format : "either");
    put_dashes(t, 1);
    tare_buf_printf(tare_document_cell(t->document), "– (%zu)", note + 1);
    put_dashes(t, t->full ? 12 : 5);
}

static double median_of(const struct tare_check *check, enum tare_quantile_id quantile) {
    return check->query_s[quantile].median;
}

static void put_measured(struct table *t, const struct tare_check *check) {
    struct tare_document *document = t->document;
    tare_put_seconds(tare_document_cell(document), median_of(check, TARE_P50));
    tare_put_seconds(tare_document_cell(document), median_of(check, TARE_P99));
    if (t->full) {
        double per_s = (double)t->summary->experiment.dataset.test / check->infer_all_s.median;
        struct tare_buf *out = tare_document_cell(document);
        if (isfinite(per_s))
            tare_put_count(out, (size_t)per_s);
        else
            tare_buf_puts(out, "–");
    }
    tare_put_seconds(tare_document_cell(document), check->cold_start_s.median);
    if (!t->full)
        return;
    tare_put_bytes(tare_document_cell(document), check->cold_rss_bytes.median);
    tare_put_bytes(tare_document_cell(document), check->ships_bytes);
}

/* What a runtime found; NULL: none ran the file. */
static void put_check(struct table *t, const struct tare_check *check) {
    if (check == NULL) {
        tare_cell_text(t->document, "not run");
        put_dashes(t, t->full ? 9 : 3);
        return;
    }
    if (t->full)
        tare_buf_printf(tare_document_cell(t->document), "%s %s", tare_engine_title(check->runtime),
                        check->version);
    struct tare_buf *parity = tare_document_cell(t->document);
    if (check->state != TARE_STATE_OK)
        tare_buf_printf(parity, "%s ", tare_state_name(check->state));
    tare_put_number(parity, 'g', 2, check->parity_ratio);
    if (t->full) {
        tare_put_number(tare_document_cell(t->document), 'f', 0, check->parity_changed);
        tare_put_percent_stat(tare_document_cell(t->document),
                              (struct tare_stat){.median = check->accuracy.median});
    }
    put_measured(t, check);
}

/* Lines of user code; tare's export is one command. */
static void put_code(struct table *t, const struct tare_row *row, const struct tare_export *e) {
    struct tare_buf *out = tare_document_cell(t->document);
    for (size_t i = 0; i < row->code_count; i++)
        if (strcmp(row->code[i].name, "export") == 0 && !is_tares(e)) {
            tare_buf_printf(out, "%zu", row->code[i].lines);
            return;
        }
    tare_buf_puts(out, is_tares(e) ? "a command" : "–");
}

static void export_row(struct table *t, const struct tare_row *row, const struct tare_export *e,
                       const struct tare_check *check) {
    put_model(t, row, e->exporter);
    struct tare_buf *file = tare_document_cell(t->document);
    tare_buf_printf(file, ".%s", e->format);
    if (e->files > 1 && t->full)
        tare_buf_printf(file, " (%zu files)", e->files);
    tare_put_bytes(tare_document_cell(t->document), e->environment_bytes);
    tare_put_seconds(tare_document_cell(t->document), e->seconds.median);
    if (e->files > 0)
        tare_put_bytes(tare_document_cell(t->document), (double)e->bytes);
    else
        put_dashes(t, 1);
    put_check(t, check);
    if (t->full)
        put_code(t, row, e);
}

/* Those of one format by tare, or by others; how many there were. NULL: of no format known here. */
static size_t export_rows(struct table *t, const struct tare_row *row, const char *format,
                          bool tares) {
    size_t shown = 0;
    for (size_t i = 0; i < row->export_count; i++) {
        const struct tare_export *e = &row->exports[i];
        bool known = false;
        for (size_t f = 0; f < FORMAT_COUNT; f++)
            known = known || strcmp(formats[f], e->format) == 0;
        if (is_tares(e) != tares || (format == NULL ? known : strcmp(format, e->format) != 0))
            continue;
        for (size_t c = 0; c < e->check_count; c++)
            export_row(t, row, e, &e->checks[c]);
        if (e->check_count == 0)
            export_row(t, row, e, NULL);
        shown++;
    }
    return shown;
}

/* A model: in each format the framework's own export, or why there is none, and tare's beside it.
 */
static void model_rows(struct table *t, const struct tare_row *row) {
    const struct no_route *neither = find_no_route(row, NULL);
    if (neither != NULL)
        missing_row(t, row, neither);
    for (size_t f = 0; f < FORMAT_COUNT; f++) {
        const struct no_route *route = find_no_route(row, formats[f]);
        if (export_rows(t, row, formats[f], false) == 0 && route != NULL)
            missing_row(t, row, route);
        export_rows(t, row, formats[f], true);
    }
    export_rows(t, row, NULL, false);
}

/* "To ship beside the file: LiteRT 12.3 MB, ONNX Runtime 28.0 MB." Once per runtime. */
static void say_ships(struct tare_document *document, const struct tare_summary *summary) {
    struct tare_buf text = {0};
    const char *seen[FORMAT_COUNT] = {NULL};
    size_t seen_count = 0;
    for (size_t i = 0; i < summary->row_count; i++)
        for (size_t e = 0; e < summary->rows[i].export_count; e++) {
            const struct tare_export *export = &summary->rows[i].exports[e];
            const struct tare_check *check = export->check_count > 0 ? &export->checks[0] : NULL;
            if (check == NULL || isnan(check->ships_bytes) || seen_count == FORMAT_COUNT ||
                (seen_count == 1 && strcmp(seen[0], check->runtime) == 0))
                continue;
            tare_buf_printf(&text, "%s%s ", seen_count > 0 ? ", " : "",
                            tare_engine_title(check->runtime));
            tare_put_bytes(&text, check->ships_bytes);
            seen[seen_count++] = check->runtime;
        }
    if (text.size > 0)
        tare_document_say(document, TARE_BLOCK_PARAGRAPH,
                          "To ship beside the file, the runtime's program and libraries: %s.",
                          text.data);
    document->failed = document->failed || text.failed;
    tare_buf_free(&text);
}

/* A runtime that isn't here: its first job says why, and there was no second. */
static void say_absent(struct tare_document *document, const struct tare_summary *summary) {
    for (size_t i = 0; i < summary->row_count; i++)
        for (size_t e = 0; e < summary->rows[i].export_count; e++)
            for (size_t c = 0; c < summary->rows[i].exports[e].check_count; c++) {
                const struct tare_check *check = &summary->rows[i].exports[e].checks[c];
                if (check->state == TARE_STATE_SKIPPED)
                    tare_document_say(document, TARE_BLOCK_BULLET,
                                      "%s did not run: %s%s%s. Its files are there, unproven.",
                                      tare_engine_title(check->runtime), check->reason,
                                      check->fix[0] ? "; try: " : "", check->fix);
            }
}

static size_t count_exports(const struct tare_summary *summary) {
    size_t count = 0;
    for (size_t i = 0; i < summary->row_count; i++)
        count += summary->rows[i].export_count;
    return count;
}

void tare_content_deployment(struct tare_document *document, const struct tare_summary *summary,
                             enum tare_detail detail) {
    struct table t = {.document = document, .summary = summary, .full = detail == TARE_DETAIL_FULL};
    if (count_exports(summary) == 0)
        return;
    tare_document_say(document, TARE_BLOCK_HEADING,
                      "Deployment: every trained model as a file, run by a runtime in C");
    begin(&t);
    for (size_t i = 0; i < summary->row_count; i++)
        if (summary->rows[i].export_count > 0)
            model_rows(&t, &summary->rows[i]);
    for (size_t i = 0; i < t.note_count; i++)
        tare_document_say(document, TARE_BLOCK_BULLET, "(%zu) %s", i + 1, t.notes[i]->why);
    say_absent(document, summary);
    if (!t.full)
        say_ships(document, summary);
    tare_document_say(
        document, TARE_BLOCK_PARAGRAPH,
        "Install: what the exporter needs, a framework's environment or the program tare. "
        "Parity: how far the file's logits are from the float64 reference of the same weights, in "
        "float32's own spread; the largest of the runs, at most %g. Size: of all files. p50 and "
        "p99 "
        "of one image are bounds that 99 %% confidence bears; cold start is from exec to the first "
        "answer%s; one thread. Each the median over the runs.",
        TARE_PARITY_LIMIT, t.full ? ", memory the peak of that process" : "");
}

/* ---- the answers --------------------------------------------------------------------------------
 */

/* The largest parity among an export's checks; NaN unless all of them are ok and compared. */
static double parity_of(const struct tare_export *e) {
    double largest = e->check_count > 0 ? 0 : NAN;
    for (size_t c = 0; c < e->check_count; c++) {
        const struct tare_check *check = &e->checks[c];
        if (check->state != TARE_STATE_OK || isnan(check->parity_ratio))
            return NAN;
        largest = fmax(largest, check->parity_ratio);
    }
    return largest;
}

static const struct tare_export *tares_of(const struct tare_row *row, const char *format) {
    for (size_t i = 0; i < row->export_count; i++)
        if (is_tares(&row->exports[i]) && strcmp(row->exports[i].format, format) == 0)
            return &row->exports[i];
    return NULL;
}

static void answer_export(struct tare_document *document, const struct tare_row *row,
                          const struct tare_export *own, const struct tare_export *tares) {
    struct tare_buf *out = tare_document_add(document, TARE_BLOCK_PARAGRAPH);
    tare_buf_printf(out, "Exporting %s's weights as .%s: its own exporter took ",
                    tare_engine_title(row->engine), own->format);
    tare_put_seconds(out, own->seconds.median);
    if (!isnan(own->environment_bytes)) {
        tare_buf_puts(out, " and needs ");
        tare_put_bytes(out, own->environment_bytes);
        tare_buf_puts(out, " installed");
    }
    tare_buf_puts(out, "; tare wrote the same model in ");
    tare_put_seconds(out, tares->seconds.median);
    double parity = fmax(parity_of(own), parity_of(tares));
    if (!isnan(parity_of(own)) && !isnan(parity_of(tares))) {
        tare_buf_puts(out, "; both agree with the float64 reference within ");
        tare_put_number(out, 'g', 2, parity);
        tare_buf_puts(out, " times float32's own spread");
    }
    tare_buf_puts(out, ".");
}

void tare_content_export_answers(struct tare_document *document,
                                 const struct tare_summary *summary) {
    for (size_t i = 0; i < summary->row_count; i++) {
        const struct tare_row *row = &summary->rows[i];
        for (size_t e = 0; e < row->export_count; e++) {
            const struct tare_export *own = &row->exports[e];
            const struct tare_export *tares = tares_of(row, own->format);
            if (!is_tares(own) && tares != NULL)
                answer_export(document, row, own, tares);
        }
    }
}
