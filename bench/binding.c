/* binding.c: what our binding adds to a runtime's own time, per call of one image. Linked with the
 * object of an engine as it ships, in the place of engine_main.c; it hands the engine's dlsym a
 * wrapper of the runtime's Run that keeps the arguments, so that two loops can be compared:
 *
 *     own time   Run with those same arguments, again and again: an empty loop around it
 *     through    the engine's infer hook on the same image
 *
 * in alternating blocks. What the first comparison finds beside the binding's own work is what it
 * costs a runtime of a few µs that other code runs between two calls: caches and branch predictors
 * that it has to fill again. So the loops are run once more around a Run that returns at once,
 * where the difference is the binding alone; that is the figure with a limit.
 *
 *     make bench-deploy        or        build/bench_binding-onnxruntime MODEL IMAGES.npy
 */
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engines/litert_abi.h"
#include "../engines/onnxruntime_abi.h"
#include "tare/clock.h"
#include "tare/engine.h"
#include "tare/stats.h"

#define BLOCKS 41
#define BLOCK_NS INT64_C(10000000) /* a block of calls lasts about so long */
#define IMAGES 1                   /* the same in both loops */
#define LIMIT_NS 100.0
#define ORT_SLOT_COUNT 102 /* of the table's first version */
#define ORT_RUN_SLOT 9

/* ---- the runtime's Run, wrapped ----------------------------------------------------------------
 */

/* Each runtime's Run, the arguments of its last call, and a Run that does nothing. target is what
 * the wrapper and the empty loop call: volatile, so that the compiler knows neither. */
typedef __typeof__(((struct ort_api *)0)->Run) ort_run_pointer;
typedef __typeof__(((struct litert_api *)0)->RunCompiledModel) rt_run_pointer;

static struct {
    ort_run_pointer real;
    volatile ort_run_pointer target;
    ort_session *session;
    const ort_run_options *options;
    const char *const *input_names, *const *output_names;
    const ort_value *const *inputs;
    ort_value **outputs;
    size_t n_inputs, n_outputs;
} ort;

static struct {
    rt_run_pointer real;
    volatile rt_run_pointer target;
    litert_compiled *compiled;
    size_t signature, n_inputs, n_outputs;
    litert_buffer **inputs, **outputs;
} rt;

static ort_status *ort_run(ort_session *session, const ort_run_options *options,
                           const char *const *input_names, const ort_value *const *inputs,
                           size_t n_inputs, const char *const *output_names, size_t n_outputs,
                           ort_value **outputs) {
    ort.session = session;
    ort.options = options;
    ort.input_names = input_names;
    ort.inputs = inputs;
    ort.n_inputs = n_inputs;
    ort.output_names = output_names;
    ort.n_outputs = n_outputs;
    ort.outputs = outputs;
    return ort.target(session, options, input_names, inputs, n_inputs, output_names, n_outputs,
                      outputs);
}

static ort_status *ort_nothing(ort_session *session, const ort_run_options *options,
                               const char *const *input_names, const ort_value *const *inputs,
                               size_t n_inputs, const char *const *output_names, size_t n_outputs,
                               ort_value **outputs) {
    (void)session, (void)options, (void)input_names, (void)inputs;
    (void)n_inputs, (void)output_names, (void)n_outputs, (void)outputs;
    return NULL;
}

static int rt_run(litert_compiled *compiled, size_t signature, size_t n_inputs,
                  litert_buffer **inputs, size_t n_outputs, litert_buffer **outputs) {
    rt.compiled = compiled;
    rt.signature = signature;
    rt.n_inputs = n_inputs;
    rt.inputs = inputs;
    rt.n_outputs = n_outputs;
    rt.outputs = outputs;
    return rt.target(compiled, signature, n_inputs, inputs, n_outputs, outputs);
}

static int rt_nothing(litert_compiled *compiled, size_t signature, size_t n_inputs,
                      litert_buffer **inputs, size_t n_outputs, litert_buffer **outputs) {
    (void)compiled, (void)signature, (void)n_inputs, (void)inputs, (void)n_outputs, (void)outputs;
    return LITERT_OK;
}

/* ONNX Runtime's Run is a slot in a table that a function returns, which another one returns. */
static const struct ort_api_base *real_base;

static void *const *wrapped_table(uint32_t version) {
    static void *table[ORT_SLOT_COUNT];
    ort_run_pointer wrapper = ort_run;
    void *const *real = real_base->get_api(version);
    if (!real)
        return NULL;
    memcpy(table, real, sizeof table);
    memcpy(&ort.real, &real[ORT_RUN_SLOT], sizeof ort.real);
    memcpy(&table[ORT_RUN_SLOT], &wrapper, sizeof wrapper);
    ort.target = ort.real;
    return table;
}

static const struct ort_api_base *wrapped_base(void) {
    static struct ort_api_base base;
    base = *real_base;
    base.get_api = wrapped_table;
    return &base;
}

/* The linker sends the engine's dlsym here (--wrap). */
void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name) {
    void *found = __real_dlsym(library, name), *wrapper = found;
    const struct ort_api_base *(*get_base)(void) = NULL;
    if (found && strcmp(name, "OrtGetApiBase") == 0) {
        memcpy(&get_base, &found, sizeof found);
        real_base = get_base();
        get_base = wrapped_base;
        memcpy(&wrapper, &get_base, sizeof wrapper);
    } else if (found && strcmp(name, "LiteRtRunCompiledModel") == 0) {
        rt_run_pointer run = rt_run;
        memcpy(&rt.real, &found, sizeof found);
        memcpy(&wrapper, &run, sizeof wrapper);
        rt.target = rt.real;
    }
    return wrapper;
}

/* Run with the arguments of the last call, which the engine's state keeps alive. */
static void run_again(void) {
    if (rt.real)
        rt.target(rt.compiled, rt.signature, rt.n_inputs, rt.inputs, rt.n_outputs, rt.outputs);
    else
        ort.target(ort.session, ort.options, ort.input_names, ort.inputs, ort.n_inputs,
                   ort.output_names, ort.n_outputs, ort.outputs);
}

static void do_nothing(bool nothing) {
    rt.target = nothing ? rt_nothing : rt.real;
    ort.target = nothing ? ort_nothing : ort.real;
}

/* ---- in engine_main.c's place ------------------------------------------------------------------
 */

void tare_engine_setting(const char *name, const char *value) {
    (void)name, (void)value;
}

void tare_engine_infer_call(const char *name) {
    (void)name;
}

enum tare_status tare_engine_skip(struct tare_err *err, const char *fix, const char *fmt, ...) {
    char text[TARE_MAX_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return tare_fail(err, TARE_DATA, NULL, fix, "%s", text);
}

struct bench {
    const struct tare_engine_ops *ops;
    void *state;
    struct tare_work work;
    float *logits;
    size_t calls; /* in a block */
};

static void must(enum tare_status status, const struct tare_err *err) {
    if (status == TARE_OK)
        return;
    tare_err_print(stderr, err);
    exit(tare_exit_code(status));
}

static void infer(struct bench *b, size_t i, struct tare_err *err) {
    const float *x = b->work.test_images + i % b->work.n_test * b->work.n_in;
    must(b->ops->infer(b->state, b->logits, x, 1, err), err);
}

static double own_ns(const struct bench *b) {
    int64_t start_ns = tare_now_ns();
    for (size_t i = 0; i < b->calls; i++)
        run_again();
    return (double)(tare_now_ns() - start_ns) / (double)b->calls;
}

static double through_ns(struct bench *b) {
    struct tare_err err = {0};
    int64_t start_ns = tare_now_ns();
    for (size_t i = 0; i < b->calls; i++)
        infer(b, i, &err);
    return (double)(tare_now_ns() - start_ns) / (double)b->calls;
}

static void choose_calls(struct bench *b) {
    for (b->calls = 16; own_ns(b) * (double)b->calls < (double)BLOCK_NS; b->calls *= 2)
        continue;
}

static void print(const char *what, const double *values) {
    struct tare_stat s = tare_median_interval(values, BLOCKS);
    printf("  %-58s %8.1f ns  (%.1f … %.1f)\n", what, s.median, s.lo, s.hi);
}

/* Both loops in alternating blocks. Returns what the binding adds. */
static struct tare_stat compare(struct bench *b, const char *own, const char *through) {
    double own_values[BLOCKS], through_values[BLOCKS], added[BLOCKS];
    choose_calls(b);
    for (size_t i = 0; i < BLOCKS; i++) {
        for (size_t half = 0; half < 2; half++) /* neither is always the first */
            if ((i + half) % 2 == 0)
                own_values[i] = own_ns(b);
            else
                through_values[i] = through_ns(b);
        added[i] = through_values[i] - own_values[i];
    }
    print(own, own_values);
    print(through, through_values);
    print("  the binding adds", added);
    return tare_median_interval(added, BLOCKS);
}

static void load(struct bench *b, const char *model, const char *images_path) {
    struct tare_err err = {0};
    struct tare_array images = {0};
    struct tare_work *work = &b->work;
    tare_job_defaults(&work->job);
    snprintf(work->job.task, sizeof work->job.task, "infer");
    snprintf(work->job.model_file, TARE_MAX_PATH, "%s", model);
    must(tare_npy_read(&images, images_path, &err), &err);
    if (images.dtype != TARE_U8 || images.rank < 2 || images.shape[0] == 0)
        must(tare_fail(&err, TARE_DATA, images_path, NULL, "images must be uint8 (n, …)"), &err);
    work->n_in = tare_array_count(&images) / images.shape[0];
    work->n_test = IMAGES;
    work->test_images = calloc(work->n_test * work->n_in, sizeof *work->test_images);
    if (!work->test_images)
        must(tare_fail(&err, TARE_MEMORY, NULL, NULL, "no memory for the images"), &err);
    for (size_t i = 0; i < work->n_test * work->n_in; i++)
        work->test_images[i] = (float)((uint8_t *)images.data)[i] / 255.0f;
    tare_array_free(&images);
    must(b->ops->import(work, &err), &err);
    must(b->ops->build(&b->state, work, &err), &err);
    b->logits = calloc(work->n_out, sizeof *b->logits);
    if (!b->logits)
        must(tare_fail(&err, TARE_MEMORY, NULL, NULL, "no memory for the logits"), &err);
}

int tare_engine_main(int argc, char **argv, const struct tare_engine_ops *ops) {
    static struct bench b;
    struct tare_err err = {0};
    b.ops = ops;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL IMAGES.npy\n", argv[0]);
        return 2;
    }
    load(&b, argv[1], argv[2]);
    infer(&b, 0, &err); /* its arguments are the ones that are used again */
    printf("%s %s, one image of %zu values a call, %d blocks: median and 95 %% interval\n",
           ops->name, ops->version(), b.work.n_in, BLOCKS);
    compare(&b, "the runtime's own time, an empty loop around Run", "through the binding");
    do_nothing(true);
    struct tare_stat added = compare(&b, "an empty loop around a Run that does nothing",
                                     "the binding around a Run that does nothing");
    do_nothing(false);
    ops->close(b.state);
    free(b.work.test_images);
    free(b.logits);
    if (added.lo < LIMIT_NS) /* a busy machine makes all of it longer */
        return 0;
    fprintf(stderr, "%s: the binding adds %.0f ns, more than %.0f\n", ops->name, added.median,
            LIMIT_NS);
    return 1;
}
