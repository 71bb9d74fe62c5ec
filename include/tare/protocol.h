/* protocol.h: what tare and an engine say to each other: JSON Lines, one job on the engine's stdin,
 * events on its stdout. The text form is specified in doc/protocol.md; this is its C form.
 *
 *     struct tare_event event;
 *     if (tare_event_parse(&event, line, line_bytes, &err) != TARE_OK) …   // rubbish: the cell
 * fails switch (event.kind) { case TARE_EVENT_PHASE: … }
 *
 * Unknown keys are ignored; unknown events parse as TARE_EVENT_UNKNOWN and are ignored too, so that
 * an old tare runs a newer engine of the same abi.
 */
#ifndef TARE_PROTOCOL_H
#define TARE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/err.h"

#define TARE_ABI 1
#define TARE_MAX_LINE_BYTES 65536 /* of one line, in both directions */
#define TARE_MAX_PATH 1024
#define TARE_MAX_TEXT 512
#define TARE_MAX_WALL_NS INT64_C(400000000000000) /* over four days: a job's sum fits */
#define TARE_MAX_DUMPS 16
#define TARE_MAX_BATCHES 16
#define TARE_MAX_BATCH 65536 /* images of one of them */
#define TARE_MAX_QUERIES 1000000

/* What a job asks for. Every path is absolute. An empty string means: not given. */
struct tare_job {
    int abi;
    char task[16];  /* "train", "infer", "warmup" (import and leave) */
    char track[16]; /* "controlled" or "tutorial" */
    char variant[32];
    char model[1024];                /* the net's canonical text */
    char images[TARE_MAX_PATH];      /* training images, uint8 .npy */
    char labels[TARE_MAX_PATH];      /* training labels, int32 .npy */
    char test_images[TARE_MAX_PATH]; /* uint8 .npy; test labels are never given */
    char data_dir[TARE_MAX_PATH];    /* tutorial track: the folder tare_dataset_prepare made */
    char norm[16];                   /* "u8/255" */
    char init[TARE_MAX_PATH];        /* .safetensors: the initial weights */
    char order[TARE_MAX_PATH];       /* int32 .npy (epochs, steps, batch) */
    char optimizer[16];              /* "sgd", "momentum", "adam" */
    char schedule[16];               /* of the learning rate: "constant", "linear" */
    double lr, momentum, beta1, beta2, epsilon;
    size_t batch, epochs;
    size_t steps; /* controlled: in all epochs; 0: everything in order */
    size_t range; /* controlled: most steps per call of the training hook; 0: up to an epoch */
    int threads;  /* a ceiling */
    uint64_t seed;
    char precision[16];             /* "float32"; the native engine also knows "float64" */
    char device[16];                /* "cpu" */
    char out[TARE_MAX_PATH];        /* write the trained weights here, .safetensors */
    char logits[TARE_MAX_PATH];     /* write float32 (n_test, n_out) here, .npy */
    char export_dir[TARE_MAX_PATH]; /* tutorial track: export into this folder; empty: don't */
    char losses[TARE_MAX_PATH];     /* controlled: write each step's loss, float32 .npy (steps) */
    char logits_before[TARE_MAX_PATH]; /* controlled: logits of the initial weights, as `logits` */
    char dump_dir[TARE_MAX_PATH];   /* controlled: weights-STEP.safetensors for each of dump_at */
    size_t dump_at[TARE_MAX_DUMPS]; /* steps done, ascending; dump_count of them */
    size_t dump_count;
    bool first_apart;               /* the first step is a range of its own (default) */
    char model_file[TARE_MAX_PATH]; /* task infer: the .onnx, .tflite or .safetensors to run */
    size_t infer_loops;             /* how often each inference measurement is repeated; 0: none */
    char scratch[TARE_MAX_PATH];    /* files below this folder needn't outlast the program */
    char latencies[TARE_MAX_PATH];  /* write each timed query's ns here, int32 .npy (queries) */
    size_t queries;                 /* of one image each, timed singly after a warm-up; 0: none */
    size_t batches[TARE_MAX_BATCHES]; /* also time calls of so many images: one sample event each */
    size_t batch_count;
};

/* Every event: id, name on the wire. */
#define TARE_EVENT_LIST(X)                                                                         \
    X(HELLO, "hello")                                                                              \
    X(PHASE, "phase")                                                                              \
    X(EPOCH, "epoch")                                                                              \
    X(SAMPLE, "sample")                                                                            \
    X(METRIC, "metric")                                                                            \
    X(SETTING, "setting")                                                                          \
    X(EXPORT, "export")                                                                            \
    X(USER_CODE, "user_code")                                                                      \
    X(SKIP, "skip")                                                                                \
    X(FAIL, "fail")                                                                                \
    X(BYE, "bye")                                                                                  \
    X(UNKNOWN, "")

enum tare_event_kind {
#define X(id, name) TARE_EVENT_##id,
    TARE_EVENT_LIST(X)
#undef X
};

struct tare_event {
    enum tare_event_kind kind;
    int abi;                   /* hello */
    char name[64];             /* hello: engine; phase, metric, setting, user_code: its name;
                                  export: format; fail: code */
    char text[TARE_MAX_TEXT];  /* hello: version; setting: value; skip, fail: reason;
                                  export: exporter, when it isn't the engine itself */
    char extra[TARE_MAX_TEXT]; /* hello: variant; skip: fix; sample: call; export: path */
    bool first;                /* sample: this was the first call */
    int64_t wall_ns;           /* phase, epoch, sample (of all loops), export; hello: clock_ns */
    double value;              /* epoch: mean loss in nats; metric: value */
    size_t index;              /* epoch */
    size_t batch, loops;       /* sample: images per call, calls */
    size_t lines, statements;  /* user_code */
};

const char *tare_event_name(enum tare_event_kind kind);

/* Parses one line without its newline. Invalid UTF-8, NUL bytes, a line over TARE_MAX_LINE_BYTES,
 * a missing or negative number: TARE_DATA. A text too long for its field is cut. */
enum tare_status tare_event_parse(struct tare_event *event, const char *line, size_t size,
                                  struct tare_err *err);

/* The job as one line of JSON with its newline; free *line. And back; absent keys keep the defaults
 * of tare_job_defaults. */
void tare_job_defaults(struct tare_job *job);
enum tare_status tare_job_text(char **line, const struct tare_job *job, struct tare_err *err);
enum tare_status tare_job_parse(struct tare_job *job, const char *line, size_t size,
                                struct tare_err *err);

/* Joins into a job's path; false when it doesn't fit. */
bool tare_job_path(char out[TARE_MAX_PATH], const char *dir, const char *file);

#endif
