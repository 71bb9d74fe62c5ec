/* certify.h: does an engine do the same work? Its first 100 steps are compared with the float64
 * reference; what float32 arithmetic can explain is measured, not assumed. doc/certificate.md
 * derives the statistic.
 *
 *     struct tare_certify_request request = {.plan = &plan, .dataset = &set, .prepared = folder,
 *                                            .engine = "pytorch", .threads = 1, .device = "cpu",
 *                                            .dir = "certificates/pytorch", .timeout_s = 600};
 *     struct tare_certificate certificate;
 *     if (tare_certify(&certificate, &request, &err) == TARE_OK)
 *         printf("%s %.2g\n", tare_certificate_state_name(certificate.state),
 *                certificate.max_ratio);
 *
 * An engine that crashes or computes something else is a verdict, not an error: the status is
 * TARE_OK unless tare itself could not do its part.
 */
#ifndef TARE_CERTIFY_H
#define TARE_CERTIFY_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tare/data.h"
#include "tare/err.h"
#include "tare/lab.h"
#include "tare/supervise.h"

#define TARE_CERTIFY_STEPS 100   /* of training that are compared */
#define TARE_CERTIFY_PROBES 1000 /* test images whose logits are compared */
#define TARE_CERTIFY_LIMIT 10.0  /* times the spread of float32 references */
#define TARE_EPOCH_LIMIT 5e-3    /* relative difference of the first epoch's mean loss */
#define TARE_GRADIENT_LR 0x1p20  /* of the SGD step that shows the gradient */

/* What is compared, in the order in which a fault would show: id, text, steps it needs. The last
 * four come from the same 100 steps as one range. */
#define TARE_CHECKPOINT_LIST(X)                                                                    \
    X(LOGITS, "logits before training", 0)                                                         \
    X(GRADIENT, "gradient of step 1", 1)                                                           \
    X(LOSS_1, "loss of step 1", 1)                                                                 \
    X(WEIGHTS_1, "weights after step 1", 1)                                                        \
    X(LOSS_10, "losses of steps 2 to 10", 10)                                                      \
    X(WEIGHTS_10, "weights after step 10", 10)                                                     \
    X(LOSS_100, "losses of steps 11 to 100", 100)                                                  \
    X(WEIGHTS_100, "weights after step 100", 100)                                                  \
    X(RANGE_LOSS_1, "as one range: loss of step 1", 1)                                             \
    X(RANGE_LOSS_10, "as one range: losses of steps 2 to 10", 10)                                  \
    X(RANGE_LOSS_100, "as one range: losses of steps 11 to 100", 100)                              \
    X(RANGE_WEIGHTS_100, "as one range: weights after step 100", 100)

enum tare_checkpoint {
#define X(id, text, step) TARE_CHECKPOINT_##id,
    TARE_CHECKPOINT_LIST(X)
#undef X
        TARE_CHECKPOINT_COUNT
};

#define TARE_CERTIFICATE_STATE_LIST(X)                                                             \
    X(OK, "ok")                                                                                    \
    X(NOT_SAME_WORK, "not-same-work")                                                              \
    X(NOT_CHECKED, "not-checked") /* a job failed, or didn't write what it was asked for */

enum tare_certificate_state {
#define X(id, name) TARE_CERTIFICATE_##id,
    TARE_CERTIFICATE_STATE_LIST(X)
#undef X
};

struct tare_finding { /* one comparison */
    enum tare_checkpoint checkpoint;
    char tensor[32]; /* empty: the checkpoint has no tensors */
    double value;
};

struct tare_certificate {
    enum tare_certificate_state state;
    enum tare_cell_state job_state; /* not-checked: what the job ended in */
    char reason[TARE_MAX_TEXT];     /* why the state is not ok */
    char fix[TARE_MAX_TEXT];        /* not-checked: what the engine says would help */
    char version[TARE_MAX_TEXT];    /* of the framework */
    struct tare_finding largest;    /* ratio: the largest of all; limit TARE_CERTIFY_LIMIT */
    struct tare_finding first;      /* ratio: not-same-work: the first checkpoint over the limit */
    size_t first_step; /* not-same-work: the first step that shows it; 0: before training */
    struct tare_finding element;          /* largest |difference| of one weight: not judged */
    double ratios[TARE_CHECKPOINT_COUNT]; /* the largest of each checkpoint's tensors */
    uint64_t seed;                        /* of weights and order */
    char engine[64], variant[32], device[16];
    int threads;
};

struct tare_certify_request {
    const struct tare_plan *plan; /* model, batch, learning rate, seed */
    size_t run;                   /* plan->seed + run is the seed */
    const struct tare_dataset *dataset;
    const char *prepared;                  /* the folder tare_dataset_prepare made */
    const char *engine, *variant, *device; /* variant may be NULL: the engine's own default */
    int threads;
    const char *dir;  /* made when missing; jobs, logs and what the engine wrote stay in it */
    double timeout_s; /* of each of the three jobs */
    const volatile sig_atomic_t *stop; /* may be NULL */
};

const char *tare_checkpoint_text(enum tare_checkpoint checkpoint);
size_t tare_checkpoint_step(enum tare_checkpoint checkpoint); /* training steps done by then */
const char *tare_certificate_state_name(enum tare_certificate_state state);

/* Runs the three jobs and judges them. The first call for a data set, model, batch, learning rate
 * and seed trains the references (seconds), and keeps what they showed in <cache>/envelopes.
 * TARE_INTERRUPTED when *stop was set. */
enum tare_status tare_certify(struct tare_certificate *certificate,
                              const struct tare_certify_request *request, struct tare_err *err);

/* "weights after step 10, 0.weight" */
void tare_finding_text(char *out, size_t size, const struct tare_finding *finding);

/* The certificate as the object of a line of samples.jsonl: {"record":"certificate", …}; NULL
 * without memory. A ratio that is no finite number is null. */
struct json_t; /* jansson's */
struct json_t *tare_certificate_json(const struct tare_certificate *certificate);

/* The mean loss of the first epoch of run `run`, by the float64 reference: seconds, once; cached
 * like the rest. TARE_INTERRUPTED soon after *stop (which may be NULL) was set. */
enum tare_status tare_reference_epoch(double *mean_loss, const struct tare_plan *plan, size_t run,
                                      const struct tare_dataset *dataset,
                                      const volatile sig_atomic_t *stop, struct tare_err *err);

/* A timed run's mean loss of its first epoch against the reference's: turns an ok certificate into
 * not-same-work when they differ by more than TARE_EPOCH_LIMIT, relatively. */
void tare_certificate_epoch(struct tare_certificate *certificate, double mean_loss,
                            double reference);

#endif
