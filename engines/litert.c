/* litert.c: runs a .tflite model with LiteRT, through its compiled-model interface on the CPU. The
 * library is opened out of the environment `runtimes` while the engine runs, so that this file
 * builds on a machine without it. Its interface: litert_abi.h; the shapes: tare/model_io.h; the
 * clock, the files and the protocol: engine_main.c.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "litert_abi.h"
#include "tare/buf.h"
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

/* The kernel mode is the variant. XNNPACK is what LiteRT uses unless told otherwise; saying so
 * keeps it named in the table. "reference" is no variant: LiteRT 2.3 takes the word and runs
 * "builtin". */
static enum tare_status kernel_mode(const char **mode, const char *variant, struct tare_err *err) {
    static const char *const modes[] = {"xnnpack", "builtin"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(variant, modes[i]) == 0 || (i == 0 && variant[0] == '\0')) {
            *mode = modes[i];
            return TARE_OK;
        }
    return tare_fail(err, TARE_USAGE, "job", "xnnpack or builtin", "there is no variant \"%s\"",
                     variant);
}

/* One of each per process, made by import; they last as long as the process. */
static struct litert_api rt;
static litert_environment *environment;
static char version[64];

#define MAX_MODEL_BYTES ((size_t)1 << 31) /* what the format's 32-bit offsets reach */

struct state {
    struct tare_buf file; /* LiteRT goes on reading it */
    litert_model *model;
    litert_options *options;
    litert_compiled *compiled;
    struct litert_tensor_type input, output; /* with the batch they are now compiled for */
    struct tare_model_plan plan;
    size_t n;          /* images the buffers are made for; 0 before the first call */
    bool checked;      /* the shape of the output was seen to fit n */
    size_t out_values; /* room for logits: the most that any n so far wanted */
    /* LiteRT wants aligned memory, so images and logits go through these. A model that divides by
     * 255 itself takes uint8. */
    void *in, *out;
    litert_buffer *in_buffer, *out_buffer;
};

static enum tare_status check(int code, const char *where, const char *doing,
                              struct tare_err *err) {
    return code == LITERT_OK ? TARE_OK
                             : tare_fail(err, TARE_FAILED, where, "see what LiteRT says on stderr",
                                         "%s: LiteRT status %d", doing, code);
}

static const char *engine_version(void) {
    return version;
}

/* The library does not tell its version, but the package it lies in has it in a folder's name:
 * ai_edge_litert-2.3.0.dist-info. */
static void read_version(const struct tare_environment *runtimes) {
    static const char start[] = "ai_edge_litert-", end[] = ".dist-info";
    char path[TARE_ENVIRONMENT_PATH];
    if (tare_environment_file(path, runtimes, "ai_edge_litert-*.dist-info", NULL) == TARE_OK) {
        const char *name = strrchr(path, '/') + sizeof start;
        snprintf(version, sizeof version, "%.*s", (int)(strlen(name) - (sizeof end - 1)), name);
    }
}

static enum tare_status engine_import(struct tare_work *work, struct tare_err *err) {
    (void)work;
    struct tare_environment runtimes;
    struct tare_err missing = {0};
    void *library = NULL;
    if (tare_environment_open(&library, "runtimes", "ai_edge_litert/libLiteRt.so", &runtimes,
                              &missing) != TARE_OK) {
        return tare_engine_skip(err, missing.hint, "%s: %s", missing.where, missing.what);
    }
    read_version(&runtimes);
#define X(name, result, parameters)                                                                \
    *(void **)&rt.name = dlsym(library, "LiteRt" #name);                                           \
    if (rt.name == NULL)                                                                           \
        return tare_engine_skip(err, "make engines", "LiteRT %s has no LiteRt" #name, version);
    LITERT_FUNCTIONS(X)
#undef X
    return check(rt.CreateEnvironment(0, NULL, &environment), NULL, "cannot start", err);
}

/* The type of a float32 tensor, for LiteRT and for us; with may_be_pixels also of a uint8 one. */
static enum tare_status describe(struct litert_tensor_type *type, struct tare_model_tensor *shape,
                                 litert_tensor *tensor, bool may_be_pixels, const char *which,
                                 const char *file, struct tare_err *err) {
    int kind = -1;
    TRY(check(rt.GetTensorTypeId(tensor, &kind), file, which, err));
    if (kind == LITERT_RANKED_TENSOR) {
        TRY(check(rt.GetRankedTensorType(tensor, type), file, which, err));
    }
    if (type->element != LITERT_FLOAT32 && !(may_be_pixels && type->element == LITERT_UINT8)) {
        return tare_fail(err, TARE_DATA, file, "export a float32 model",
                         "the model's %s is not a float32 tensor (LiteRT element type %d)", which,
                         type->element);
    }
    if (type->layout.rank > LITERT_MAX_RANK) {
        return tare_fail(err, TARE_DATA, file, "export it as (batch, sizes of one image)",
                         "the model's %s has %u dimensions", which, type->layout.rank);
    }
    shape->rank = type->layout.rank;
    for (int i = 0; i < shape->rank; i++) {
        shape->dims[i] = type->layout.dims[i];
    }
    return TARE_OK;
}

/* The first signature: one input and one float32 output. */
static enum tare_status inspect(struct state *s, size_t n_in, const char *file,
                                struct tare_err *err) {
    size_t signatures = 0, inputs = 0, outputs = 0;
    TRY(check(rt.GetNumModelSignatures(s->model, &signatures), file, "signatures", err));
    if (signatures == 0) {
        return tare_fail(err, TARE_DATA, file, "a model with one input and one output",
                         "the model has no signature");
    }
    litert_signature *signature = NULL;
    TRY(check(rt.GetModelSignature(s->model, 0, &signature), file, "signature", err));
    TRY(check(rt.GetNumSignatureInputs(signature, &inputs), file, "inputs", err));
    TRY(check(rt.GetNumSignatureOutputs(signature, &outputs), file, "outputs", err));
    if (inputs != 1 || outputs != 1) {
        return tare_fail(err, TARE_DATA, file, "a model with one input and one output",
                         "the model has inputs: %zu, outputs: %zu", inputs, outputs);
    }
    litert_tensor *in = NULL, *out = NULL;
    TRY(check(rt.GetSignatureInputTensorByIndex(signature, 0, &in), file, "input", err));
    TRY(check(rt.GetSignatureOutputTensorByIndex(signature, 0, &out), file, "output", err));
    struct tare_model_tensor input = {0}, output = {0};
    TRY(describe(&s->input, &input, in, true, "input", file, err));
    TRY(describe(&s->output, &output, out, false, "output", file, err));
    return tare_model_plan(&s->plan, &input, &output, n_in, file, err);
}

/* Options are a text of settings that LiteRT parses; it frees the text with the function given. */
static enum tare_status compile(struct state *s, const char *file, const char *mode, int threads,
                                struct tare_err *err) {
    char settings[96];
    snprintf(settings, sizeof settings, "kernel_mode = \"%s\"\nnum_threads = %d\n", mode, threads);
    TRY(check(rt.CreateOptions(&s->options), file, "options", err));
    TRY(check(rt.SetOptionsHardwareAccelerators(s->options, LITERT_CPU), file, "options", err));
    char *text = strdup(settings);
    if (text == NULL) {
        return tare_fail(err, TARE_MEMORY, file, NULL, "no memory for the options");
    }
    litert_opaque *opaque = NULL;
    enum tare_status status =
        check(rt.CreateOpaqueOptions("xnnpack", text, free, &opaque), file, "options", err);
    if (status != TARE_OK) {
        free(text);
        return status;
    }
    status = check(rt.AddOpaqueOptions(s->options, opaque), file, "options", err);
    if (status != TARE_OK) {
        rt.DestroyOpaqueOptions(opaque);
        return status;
    }
    return check(rt.CreateCompiledModel(environment, s->model, s->options, &s->compiled), file,
                 "cannot compile the model", err);
}

static enum tare_status prepare(struct state *s, struct tare_work *work, struct tare_err *err) {
    const char *file = work->job.model_file;
    int threads = work->job.threads > 0 ? work->job.threads : 1;
    const char *mode = NULL;
    TRY(kernel_mode(&mode, work->job.variant, err));
    TRY(tare_model_file_check(file, err));
    /* From memory and not by its path, for LiteRT verifies the structure of the former only: a
     * damaged file read by path crashes it. */
    TRY(tare_file_read(&s->file, file, MAX_MODEL_BYTES, err));
    TRY(check(rt.CreateModelFromBuffer(environment, s->file.data, s->file.size, &s->model), file,
              "cannot load the model", err));
    TRY(inspect(s, work->n_in, file, err));
    TRY(compile(s, file, mode, threads, err));
    work->n_out = s->plan.n_out;
    char text[32];
    snprintf(text, sizeof text, "%d", threads);
    tare_engine_setting("num_threads", text);
    tare_engine_setting("kernel_mode", mode);
    snprintf(text, sizeof text, "%zu", s->plan.batch);
    tare_engine_setting("model_batch", s->plan.batch == 0 ? "free" : text);
    tare_engine_infer_call("LiteRtRunCompiledModel");
    return TARE_OK;
}

static void free_buffers(struct state *s) {
    if (s->in_buffer != NULL) {
        rt.DestroyTensorBuffer(s->in_buffer);
    }
    if (s->out_buffer != NULL) {
        rt.DestroyTensorBuffer(s->out_buffer);
    }
    free(s->in);
    free(s->out);
    s->in_buffer = s->out_buffer = NULL;
    s->in = s->out = NULL;
    s->n = 0;
    s->checked = false;
}

static void engine_close(void *state) {
    struct state *s = state;
    if (s == NULL) {
        return;
    }
    free_buffers(s);
    tare_model_plan_free(&s->plan);
    if (s->compiled != NULL) {
        rt.DestroyCompiledModel(s->compiled);
    }
    if (s->options != NULL) {
        rt.DestroyOptions(s->options);
    }
    if (s->model != NULL) {
        rt.DestroyModel(s->model);
    }
    tare_buf_free(&s->file);
    free(s);
}

static enum tare_status engine_build(void **state, struct tare_work *work, struct tare_err *err) {
    struct state *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return tare_fail(err, TARE_MEMORY, work->job.model_file, NULL, "no memory for a model");
    }
    enum tare_status status = prepare(s, work, err);
    if (status == TARE_OK) {
        *state = s;
    } else {
        engine_close(s);
    }
    return status;
}

/* A tensor over aligned memory of its own, with at least one alignment more at its end: XNNPACK's
 * vector loads may read, though never use, a few bytes behind a tensor. */
static enum tare_status make_buffer(litert_buffer **buffer, void **memory,
                                    const struct litert_tensor_type *type, size_t bytes,
                                    struct tare_err *err) {
    size_t padded = (bytes / LITERT_ALIGNMENT + 2) * LITERT_ALIGNMENT;
    *memory = aligned_alloc(LITERT_ALIGNMENT, padded);
    if (*memory == NULL) {
        return tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for a tensor of %zu bytes",
                         bytes);
    }
    memset((char *)*memory + bytes, 0, padded - bytes);
    return check(rt.CreateTensorBufferFromHostMemory(type, *memory, bytes, NULL, buffer), NULL,
                 "tensor buffer", err);
}

static size_t input_bytes(const struct state *s, size_t n) {
    return n * s->plan.n_in * (s->input.element == LITERT_UINT8 ? 1 : sizeof(float));
}

/* Resizes the model to n images and makes buffers for them; the same n again costs nothing. Keras'
 * Flatten makes the output's shape known only while the model runs, and until then LiteRT goes by
 * the shape of the call before: so room for logits never shrinks. */
static enum tare_status resize(struct state *s, size_t n, struct tare_err *err) {
    if (n > INT32_MAX) {
        return tare_fail(err, TARE_DATA, NULL, "fewer images at a time",
                         "%zu images do not fit one call", n);
    }
    free_buffers(s);
    struct litert_layout *in = &s->input.layout, *out = &s->output.layout;
    in->dims[0] = out->dims[0] = (int32_t)n;
    if (s->plan.batch == 0) {
        TRY(check(rt.CompiledModelResizeInputTensor(s->compiled, 0, 0, in->dims, in->rank), NULL,
                  "cannot resize the input", err));
    }
    if (s->out_values < n * s->plan.n_out) {
        s->out_values = n * s->plan.n_out;
    }
    TRY(make_buffer(&s->in_buffer, &s->in, &s->input, input_bytes(s, n), err));
    TRY(make_buffer(&s->out_buffer, &s->out, &s->output, s->out_values * sizeof(float), err));
    s->n = n;
    return TARE_OK;
}

/* After the first run of a size: did the model give a row of logits per image? */
static enum tare_status check_output(struct state *s, struct tare_err *err) {
    struct litert_layout actual = {0};
    const struct litert_layout *wanted = &s->output.layout;
    TRY(check(rt.GetCompiledModelOutputTensorLayouts(s->compiled, 0, 1, &actual, false), NULL,
              "output shape", err));
    if (actual.rank != wanted->rank ||
        memcmp(actual.dims, wanted->dims, wanted->rank * sizeof wanted->dims[0]) != 0) {
        return tare_fail(err, TARE_DATA, NULL, "export it with one row of logits per image",
                         "given %zu images the model did not give %zu rows of logits", s->n, s->n);
    }
    s->checked = true;
    return TARE_OK;
}

static enum tare_status run(void *state, float *logits, const float *x, size_t n,
                            struct tare_err *err) {
    struct state *s = state;
    if (s->n != n) {
        TRY(resize(s, n, err));
    }
    if (s->input.element == LITERT_UINT8) {
        tare_model_pixels(s->in, x, n * s->plan.n_in);
    } else {
        memcpy(s->in, x, input_bytes(s, n));
    }
    TRY(check(rt.RunCompiledModel(s->compiled, 0, 1, &s->in_buffer, 1, &s->out_buffer), NULL,
              "LiteRtRunCompiledModel", err));
    if (!s->checked) {
        TRY(check_output(s, err));
    }
    memcpy(logits, s->out, n * s->plan.n_out * sizeof *logits);
    return TARE_OK;
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
        .name = "litert",
        .version = engine_version,
        .import = engine_import,
        .build = engine_build,
        .infer = engine_infer,
        .close = engine_close,
    };
    return tare_engine_main(argc, argv, &ops);
}
