/* onnxruntime.c: runs an .onnx model with ONNX Runtime, one session, one Run per call. The library
 * is opened out of the environment `runtimes` while the engine runs, so that this file builds on a
 * machine without it. Its interface: onnxruntime_abi.h; the shapes: tare/model_io.h; the clock, the
 * files and the protocol: engine_main.c.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime_abi.h"
#include "tare/engine.h"
#include "tare/environment.h"
#include "tare/model_io.h"

/* Leaves a function at its first failure; what was made so far is in the state, for close. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum tare_status try_status = (call);                                                      \
        if (try_status != TARE_OK)                                                                 \
            return try_status;                                                                     \
    } while (0)

/* A tensor costs ONNX Runtime some 0.1 µs to make and to release, and so does a copy of this size;
 * `make bench-deploy` measures what the binding adds. */
#define SMALL_BYTES 8192

/* One of each per process, made by import; they last as long as the process. */
static struct ort_api ort;
static ort_env *env;
static const char *version = "";

/* What one Run takes and gives. */
struct tensors {
    ort_value *input, *output;
    size_t n; /* images */
};

struct state {
    ort_options *options;
    ort_session *session;
    ort_memory_info *cpu;
    ort_allocator *allocator; /* the library's own, never released */
    char *input_name, *output_name;
    struct tare_model_tensor input, output;
    int takes; /* element of the input: float32, or uint8 where the model divides by 255 itself */
    struct tare_model_plan plan;
    struct tensors small; /* over in and out, for small.n images; none while n is 0 */
    void *in, *out;
};

/* Turns a library status into ours and releases it. Its text may quote any bytes of a broken model,
 * and events are UTF-8, so what is not plain ASCII becomes a question mark. */
static enum tare_status check(ort_status *status, const char *where, const char *doing,
                              struct tare_err *err) {
    if (status == NULL) {
        return TARE_OK;
    }
    char says[sizeof err->what];
    snprintf(says, sizeof says, "%s", ort.GetErrorMessage(status));
    ort.ReleaseStatus(status);
    for (char *c = says; *c != '\0'; c++) {
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
    return tare_fail(err, TARE_FAILED, where, "see what ONNX Runtime says on stderr", "%s: %s",
                     doing, says);
}

static const char *engine_version(void) {
    return version;
}

static enum tare_status load_table(void *library, struct tare_err *err) {
    const struct ort_api_base *(*get_base)(void) = NULL;
    *(void **)&get_base = dlsym(library, "OrtGetApiBase");
    if (get_base == NULL) {
        return tare_engine_skip(err, "make engines", "ONNX Runtime does not export OrtGetApiBase");
    }
    const struct ort_api_base *base = get_base();
    version = base->get_version_string();
    void *const *table = base->get_api(ORT_VERSION_WANTED);
    if (table == NULL) {
        return tare_engine_skip(err, "make engines", "ONNX Runtime %s lacks version %d of its API",
                                version, ORT_VERSION_WANTED);
    }
#define X(position, name, result, parameters)                                                      \
    memcpy(&ort.name, &table[position], sizeof ort.name);                                          \
    if (ort.name == NULL)                                                                          \
        return tare_engine_skip(err, "make engines", "ONNX Runtime %s has no " #name, version);
    ORT_SLOTS(X)
#undef X
    return TARE_OK;
}

static enum tare_status engine_import(struct tare_work *work, struct tare_err *err) {
    (void)work;
    struct tare_environment runtimes;
    struct tare_err missing = {0};
    void *library = NULL;
    /* Since 1.29 the Linux library reports its use to its maker: a database and an identifier in
     * the user's cache, a thread, and 0.1 s before the first model. Off, so that the times are the
     * runtime's, and because nobody who compares frameworks was asked. */
    if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) != 0) {
        return tare_fail_errno(err, "ORT_DISABLE_TELEMETRY", NULL, "cannot set the variable");
    }
    if (tare_environment_open(&library, "runtimes", "onnxruntime/capi/libonnxruntime.so.*",
                              &runtimes, &missing) != TARE_OK) {
        return tare_engine_skip(err, missing.hint, "%s: %s", missing.where, missing.what);
    }
    TRY(load_table(library, err));
    return check(ort.CreateEnv(ORT_LOG_ERROR, "tare", &env), "", "cannot start", err);
}

static enum tare_status open_session(struct state *s, const char *file, int threads,
                                     struct tare_err *err) {
    TRY(check(ort.CreateSessionOptions(&s->options), file, "options", err));
    TRY(check(ort.SetIntraOpNumThreads(s->options, threads), file, "threads", err));
    TRY(check(ort.SetInterOpNumThreads(s->options, 1), file, "threads", err));
    TRY(check(ort.GetAllocatorWithDefaultOptions(&s->allocator), file, "allocator", err));
    TRY(check(ort.CreateCpuMemoryInfo(ORT_ARENA_ALLOCATOR, ORT_MEMORY_DEFAULT, &s->cpu), file,
              "memory", err));
    return check(ort.CreateSession(env, file, s->options, &s->session), file,
                 "cannot load the model", err);
}

/* The shape of a float32 tensor; with may_be_pixels also of a uint8 one. */
static enum tare_status describe(struct tare_model_tensor *tensor, int *element,
                                 const ort_type_info *info, bool may_be_pixels, const char *which,
                                 const char *file, struct tare_err *err) {
    int type = 0;
    const ort_tensor_info *shape = NULL;
    TRY(check(ort.GetOnnxTypeFromTypeInfo(info, &type), file, which, err));
    if (type == ORT_TYPE_TENSOR) {
        TRY(check(ort.CastTypeInfoToTensorInfo(info, &shape), file, which, err));
        TRY(check(ort.GetTensorElementType(shape, element), file, which, err));
    }
    if (*element != ORT_ELEMENT_FLOAT32 && !(may_be_pixels && *element == ORT_ELEMENT_UINT8)) {
        return tare_fail(err, TARE_DATA, file, "export a float32 model",
                         "the model's %s is not a float32 tensor (ONNX element type %d)", which,
                         *element);
    }
    size_t rank = 0;
    TRY(check(ort.GetDimensionsCount(shape, &rank), file, which, err));
    if (rank > TARE_MODEL_MAX_RANK) {
        return tare_fail(err, TARE_DATA, file, "export it as (batch, sizes of one image)",
                         "the model's %s has %zu dimensions", which, rank);
    }
    tensor->rank = (int)rank;
    return check(ort.GetDimensions(shape, tensor->dims, rank), file, which, err);
}

/* One input and one float32 output, with their names and shapes. */
static enum tare_status inspect(struct state *s, const char *file, struct tare_err *err) {
    size_t inputs = 0, outputs = 0;
    TRY(check(ort.SessionGetInputCount(s->session, &inputs), file, "inputs", err));
    TRY(check(ort.SessionGetOutputCount(s->session, &outputs), file, "outputs", err));
    if (inputs != 1 || outputs != 1) {
        return tare_fail(err, TARE_DATA, file, "a model with one input and one output",
                         "the model has inputs: %zu, outputs: %zu", inputs, outputs);
    }
    ort_type_info *info = NULL;
    TRY(check(ort.SessionGetInputTypeInfo(s->session, 0, &info), file, "input", err));
    enum tare_status status = describe(&s->input, &s->takes, info, true, "input", file, err);
    ort.ReleaseTypeInfo(info);
    TRY(status);
    TRY(check(ort.SessionGetOutputTypeInfo(s->session, 0, &info), file, "output", err));
    int gives = 0;
    status = describe(&s->output, &gives, info, false, "output", file, err);
    ort.ReleaseTypeInfo(info);
    TRY(status);
    TRY(check(ort.SessionGetInputName(s->session, 0, s->allocator, &s->input_name), file,
              "input name", err));
    return check(ort.SessionGetOutputName(s->session, 0, s->allocator, &s->output_name), file,
                 "output name", err);
}

static enum tare_status prepare(struct state *s, struct tare_work *work, struct tare_err *err) {
    const char *file = work->job.model_file;
    int threads = work->job.threads > 0 ? work->job.threads : 1;
    if (work->job.variant[0] != '\0') {
        return tare_fail(err, TARE_USAGE, "job", "leave variant empty",
                         "there is no variant \"%s\"", work->job.variant);
    }
    TRY(tare_model_file_check(file, err));
    TRY(open_session(s, file, threads, err));
    TRY(inspect(s, file, err));
    TRY(tare_model_plan(&s->plan, &s->input, &s->output, work->n_in, file, err));
    work->n_out = s->plan.n_out;
    char text[32];
    snprintf(text, sizeof text, "%d", threads);
    tare_engine_setting("intra_op_threads", text);
    tare_engine_setting("inter_op_threads", "1");
    tare_engine_setting("telemetry", "off");
    snprintf(text, sizeof text, "%zu", s->plan.batch);
    tare_engine_setting("model_batch", s->plan.batch == 0 ? "free" : text);
    tare_engine_infer_call("Run");
    return TARE_OK;
}

static void free_tensors(struct tensors *tensors) {
    ort.ReleaseValue(tensors->input); /* takes NULL */
    ort.ReleaseValue(tensors->output);
    *tensors = (struct tensors){0};
}

static void engine_close(void *state) {
    struct state *s = state;
    if (s == NULL) {
        return;
    }
    char *names[] = {s->input_name, s->output_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i] != NULL) {
            check(ort.AllocatorFree(s->allocator, names[i]), "", "name", NULL);
        }
    }
    free_tensors(&s->small);
    free(s->in);
    free(s->out);
    tare_model_plan_free(&s->plan);
    ort.ReleaseSession(s->session); /* these take NULL */
    ort.ReleaseMemoryInfo(s->cpu);
    ort.ReleaseSessionOptions(s->options);
    free(s);
}

static enum tare_status engine_build(void **state, struct tare_work *work, struct tare_err *err) {
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return tare_fail(err, TARE_MEMORY, work->job.model_file, NULL, "no memory for a session");
    }
    enum tare_status status = prepare(s, work, err);
    if (status == TARE_OK) {
        *state = s;
    } else {
        engine_close(s);
    }
    return status;
}

static size_t input_bytes(const struct state *s, size_t n) {
    return n * s->plan.n_in * (s->takes == ORT_ELEMENT_UINT8 ? 1 : sizeof(float));
}

/* Tensors over images: (n, n_in) and logits: (n, n_out), which they borrow. */
static enum tare_status make_tensors(struct tensors *tensors, const struct state *s, float *logits,
                                     const void *images, size_t n, struct tare_err *err) {
    struct tare_model_tensor in = s->input, out = s->output;
    in.dims[0] = out.dims[0] = (int64_t)n;
    size_t out_bytes = n * s->plan.n_out * sizeof *logits;
    *tensors = (struct tensors){.n = n};
    /* an input is only read, but one function makes both kinds, so it asks for void * */
    TRY(check(ort.CreateTensorWithDataAsOrtValue(s->cpu, (void *)images, input_bytes(s, n), in.dims,
                                                 (size_t)in.rank, s->takes, &tensors->input),
              s->input_name, "input tensor", err));
    return check(ort.CreateTensorWithDataAsOrtValue(s->cpu, logits, out_bytes, out.dims,
                                                    (size_t)out.rank, ORT_ELEMENT_FLOAT32,
                                                    &tensors->output),
                 s->output_name, "output tensor", err);
}

static enum tare_status run_tensors(struct state *s, struct tensors *tensors,
                                    struct tare_err *err) {
    const ort_value *const *inputs = (const ort_value *const *)&tensors->input;
    return check(ort.Run(s->session, NULL, (const char *const *)&s->input_name, inputs, 1,
                         (const char *const *)&s->output_name, 1, &tensors->output),
                 s->input_name, "Run", err);
}

/* Tensors for n images over memory of our own. */
static enum tare_status resize_small(struct state *s, size_t n, struct tare_err *err) {
    free_tensors(&s->small);
    free(s->in);
    free(s->out);
    s->in = malloc(input_bytes(s, n));
    s->out = malloc(n * s->plan.n_out * sizeof(float));
    if (s->in == NULL || s->out == NULL) {
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for %zu images", n);
    }
    enum tare_status status = make_tensors(&s->small, s, s->out, s->in, n, err);
    if (status != TARE_OK) {
        free_tensors(&s->small);
    }
    return status;
}

/* One Run of n images: few go through tensors that are made once, and so do pixels, which must be
 * made of x anyway; many are not copied by us. */
static enum tare_status run(void *state, float *logits, const float *x, size_t n,
                            struct tare_err *err) {
    struct state *s = state;
    bool takes_pixels = s->takes == ORT_ELEMENT_UINT8;
    if (takes_pixels || input_bytes(s, n) <= SMALL_BYTES) {
        if (s->small.n != n) {
            TRY(resize_small(s, n, err));
        }
        if (takes_pixels) {
            tare_model_pixels(s->in, x, n * s->plan.n_in);
        } else {
            memcpy(s->in, x, input_bytes(s, n));
        }
        TRY(run_tensors(s, &s->small, err));
        memcpy(logits, s->out, n * s->plan.n_out * sizeof *logits);
        return TARE_OK;
    }
    struct tensors large;
    enum tare_status status = make_tensors(&large, s, logits, x, n, err);
    if (status == TARE_OK) {
        status = run_tensors(s, &large, err);
    }
    free_tensors(&large);
    return status;
}

static enum tare_status engine_infer(void *state, float *logits, const float *x, size_t n,
                                     struct tare_err *err) {
    struct state *s = state;
    if (s->plan.batch == 0 || s->plan.batch == n) { /* one call: without the way around */
        return run(s, logits, x, n, err);
    }
    return tare_model_infer(&s->plan, run, s, logits, x, n, err);
}

int main(int argc, char **argv) {
    static const struct tare_engine_ops ops = {
        .abi = TARE_ABI,
        .name = "onnxruntime",
        .version = engine_version,
        .import = engine_import,
        .build = engine_build,
        .infer = engine_infer,
        .close = engine_close,
    };
    return tare_engine_main(argc, argv, &ops);
}
