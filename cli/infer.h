/* infer.h: runs a model once over images that lie in a file, in an engine of its own, for commands
 * that want to know what it answers (predict, export).
 *
 *     struct cli_inference answer = {.engine = "onnxruntime", .dir = dir};
 *     if (cli_infer(&answer, &job, &err) != TARE_OK) …         // job: model_file, test_images
 *     if (!answer.logits.data) … answer.outcome.reason …       // the engine could not
 *     cli_inference_free(&answer);
 */
#ifndef TARE_CLI_INFER_H
#define TARE_CLI_INFER_H

#include "tare/array.h"
#include "tare/err.h"
#include "tare/supervise.h"

struct cli_inference {
    const char *engine;
    const char *dir; /* a temporary folder for the job's files */
    double timeout_s;
    struct tare_outcome outcome; /* out */
    struct tare_array logits;    /* out: float32 (images, classes); none when the engine failed */
};

/* Fills the job's task and logits, and runs it on one CPU. An engine that is missing, an
 * interruption and tare's own troubles are errors; an engine that fails is an outcome. */
enum tare_status cli_infer(struct cli_inference *inference, struct tare_job *job,
                           struct tare_err *err);
void cli_inference_free(struct cli_inference *inference);

#endif
