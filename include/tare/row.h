/* row.h: a row of a report: one cell of the plan over all its runs. Part of a summary (summary.h).
 *
 *     const struct tare_row *row = &summary.rows[0];
 *     printf("%s %.2f s\n", tare_engine_title(row->engine), row->stats[TARE_TRAIN_S].median);
 *
 * Strings and lists belong to the summary; strings are never NULL and come from engines as they
 * are: whoever shows them escapes them. A statistic without any value has n = 0 and NaN.
 */
#ifndef TARE_ROW_H
#define TARE_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/latency.h"
#include "tare/stats.h"
#include "tare/supervise.h" /* enum tare_cell_state */

/* In the order of the report. Rows of two tracks are never compared with each other. */
#define TARE_TRACK_LIST(X)                                                                         \
    X(TUTORIAL, "tutorial")     /* as each framework teaches it */                                 \
    X(CONTROLLED, "controlled") /* same weights, order, constants and threads */                   \
    X(HARNESS, "harness")       /* the null engine: what tare itself costs */                      \
    X(DEPLOYMENT, "deployment") /* runtimes that run an exported file; joined to its row */
enum tare_track {
#define X(id, name) TARE_TRACK_##id,
    TARE_TRACK_LIST(X)
#undef X
};

/* A framework measured here, tare's own engine, the null engine, or somebody else's figure. */
#define TARE_ORIGIN_LIST(X)                                                                        \
    X(LIVE, "live") X(NATIVE, "native") X(HARNESS, "harness") X(QUOTED, "quoted")
enum tare_origin {
#define X(id, name) TARE_ORIGIN_##id,
    TARE_ORIGIN_LIST(X)
#undef X
};

/* Every statistic of a row: id, its key in report.json and column in report.csv. */
#define TARE_MEASURE_LIST(X)                                                                       \
    X(TRAIN_S, "train_s")           /* first step to final weights */                              \
    X(STEADY_S, "steady_s")         /* train_s less the first step, where that was timed apart */  \
    X(FIRST_STEP_S, "first_step_s") /* compilation included */                                     \
    X(ACCURACY, "accuracy")         /* fraction; graded by tare */                                 \
    X(INFER_10000_S, "infer_10000_s") /* the whole test set in one call, warm */                   \
    X(INFER_ONE_S, "infer_one_s")     /* one image, warm */                                        \
    X(INFER_FIRST_S, "infer_first_s") /* the first call */                                         \
    X(STARTUP_S, "startup_s")         /* process start and import */                               \
    X(IMPORT_S, "import_s")                                                                        \
    X(PROCESS_S, "process_s") /* exec to bye */                                                    \
    X(PEAK_RSS_BYTES, "peak_rss_bytes")                                                            \
    X(CPU_OVER_WALL, "cpu_over_wall") /* CPU time over wall time of the process */                 \
    X(LAST_LOSS, "last_loss")         /* mean training loss of the last epoch, nats */
enum tare_measure {
#define X(id, name) TARE_##id,
    TARE_MEASURE_LIST(X)
#undef X
        TARE_MEASURE_COUNT
};

struct tare_named_stat {
    const char *name;
    struct tare_stat stat;
};
struct tare_call { /* one way to infer, seconds per call */
    const char *call;
    size_t batch;
    bool first;
    struct tare_stat seconds;
};
struct tare_setting {
    const char *name, *value;
};
struct tare_user_code {
    const char *name; /* "train", "export" */
    size_t lines, statements;
};
struct tare_check { /* an exported file run over the test set by a runtime */
    const char *runtime, *version, *fix, *reproduce, *dir;
    const char *reason; /* of state */
    enum tare_cell_state state;
    struct tare_stat accuracy, infer_all_s;
    double wilson_lo, wilson_hi; /* of the median accuracy */
    /* Largest over the runs; NaN when not compared. With the framework's own logits: */
    double max_abs_diff, changed_answers;
    /* with the float64 reference of the same weights (parity.h): */
    double parity_ratio, parity_changed;
    struct tare_stat query_s[TARE_QUANTILE_COUNT]; /* one image, over the runs that bear it */
    size_t queries;                                /* of a run */
    struct tare_stat cold_start_s;                 /* exec to the first answer, and the memory */
    struct tare_stat cold_rss_bytes;               /* of a process that answers one image */
    double ships_bytes; /* of the runtime: its program and libraries; NaN: it doesn't say */
};
struct tare_export {
    const char *format, *exporter;
    const char *path; /* of the first run; relative to the results folder */
    size_t files, bytes;
    struct tare_stat seconds;
    double environment_bytes; /* installed to export it: a framework, or tare; NaN: not known */
    struct tare_check *checks;
    size_t check_count;
};

struct tare_row {
    const char *engine, *variant, *device, *version;
    enum tare_track track;
    enum tare_origin origin;
    size_t threads, batch;
    bool again; /* the row before it a second time: between the two there is no difference */
    enum tare_cell_state state;
    const char *reason, *fix, *reproduce; /* of the first job in that state; reason counts them */
    const char *dir;                      /* of the first run; "" when there is none */
    size_t runs_done;                     /* jobs found in the samples, whatever became of them */
    bool complete;                        /* as many as planned, or given up on: skipped, failed */
    struct tare_stat stats[TARE_MEASURE_COUNT]; /* over the runs that measured something */
    size_t correct, total;                      /* of total: the median accuracy, rounded */
    double wilson_lo, wilson_hi;                /* its 95 % interval over images */
    const char *infer_call;                     /* the call behind infer_10000_s and infer_one_s */
    struct tare_named_stat *phases, *metrics;   /* seconds; what the framework itself reports */
    size_t phase_count, metric_count;
    struct tare_call *calls;
    size_t call_count;
    struct tare_setting *settings;
    size_t setting_count;
    struct tare_export *exports;
    size_t export_count;
    struct tare_user_code *code;
    size_t code_count;
    const char *certificate;       /* controlled track: "ok", "not-same-work", "not-checked" */
    double certificate_ratio;      /* largest, to the spread of float32 references; NaN: none */
    const char *certificate_where; /* the checkpoint of that ratio */

    bool best; /* trained fastest of its framework on its track, certified if controlled */
    bool same_but_threads; /* another row differs only in threads: a name must say them */
    size_t rank;           /* 1 + rows told to be faster, by their intervals; 0: unranked */
    const char *unranked;  /* why, when rank is 0 */
};

const char *tare_track_name(enum tare_track track);
const char *tare_origin_name(enum tare_origin origin);
const char *tare_measure_name(enum tare_measure measure);
/* An engine's name in a report ("keras" → "Keras"), whose it is ("TensorFlow"), where its numbers
 * come from; an unknown name is its own title and framework. */
const char *tare_engine_title(const char *engine);
const char *tare_engine_framework(const char *engine);
bool tare_same_framework(const struct tare_row *a, const struct tare_row *b);
enum tare_origin tare_engine_origin(const char *engine);

#endif
