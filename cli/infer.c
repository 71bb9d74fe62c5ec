/* infer.c: one inference job for a command (infer.h): the engine runs in the caller's
 * temporary folder, and its logits are read back. */
#include "infer.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tare/buf.h"

/* The logits of an engine that said it was done. */
static enum tare_status read_logits(struct cli_inference *inference, const struct tare_job *job,
                                    struct tare_err *err) {
    struct tare_array *logits = &inference->logits;
    enum tare_status status = tare_npy_read(logits, job->logits, err);
    if (status == TARE_OK && (logits->dtype != TARE_F32 || logits->rank != 2 ||
                              logits->shape[0] == 0 || logits->shape[1] == 0)) {
        tare_array_free(logits);
        status = tare_fail(err, TARE_DATA, inference->engine, NULL, "gave no logits");
    }
    return status;
}

enum tare_status cli_infer(struct cli_inference *inference, struct tare_job *job,
                           struct tare_err *err) {
    char *program = NULL;
    char *job_path = tare_path_join(inference->dir, "job.json");
    char *log_path = tare_path_join(inference->dir, "log");
    snprintf(job->task, sizeof job->task, "infer");
    int size = snprintf(job->logits, sizeof job->logits, "%s/logits.npy", inference->dir);
    enum tare_status status = TARE_OK;
    if (!job_path || !log_path)
        status = tare_fail(err, TARE_MEMORY, inference->dir, NULL, "no memory");
    else if (size >= (int)sizeof job->logits)
        status = tare_fail(err, TARE_USAGE, inference->dir, "set TMPDIR to a shorter one",
                           "path too long");
    else
        status = tare_engine_find(&program, inference->engine, err);
    struct tare_launch how = {.program = program,
                              .engine = inference->engine,
                              .job_path = job_path,
                              .log_path = log_path,
                              .threads = 1,
                              .timeout_s = inference->timeout_s,
                              .stop = cli_catch_signals()};
    const struct tare_outcome *outcome = &inference->outcome;
    if (status == TARE_OK)
        status = tare_launch_job(&inference->outcome, &how, job, err);
    if (status == TARE_OK && outcome->interrupted)
        status = tare_fail(err, TARE_INTERRUPTED, NULL, NULL, "interrupted");
    if (status == TARE_OK && (outcome->state == TARE_STATE_OK || outcome->state == TARE_STATE_VOID))
        status = read_logits(inference, job, err);
    free(program);
    free(job_path);
    free(log_path);
    return status;
}

void cli_inference_free(struct cli_inference *inference) {
    tare_outcome_free(&inference->outcome);
    tare_array_free(&inference->logits);
}
