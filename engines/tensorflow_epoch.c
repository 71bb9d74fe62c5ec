/* tensorflow_epoch.c: the engine "tensorflow", variant "xla-epoch": a SavedModel whose one
 * function, compiled by XLA in its first call, runs any range of steps. tensorflow_savedmodel.py
 * makes it, with the environment's python; it depends on the net and the optimiser only, and is
 * kept in the cache. Weights and moments go in and come out of every call as tensors of
 * TensorFlow's own; it borrows images and labels.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tare/buf.h"
#include "tare/environment.h"
#include "tensorflow_parts.h"

extern char **environ;

/* The inputs, in the order in which they are fed: the data, what is new in every range, and then
 * the state. */
#define EPOCH_FEEDS(X)                                                                             \
    X(IMAGES, "images")                                                                            \
    X(LABELS, "labels")                                                                            \
    X(ORDER, "order")                                                                              \
    X(COUNT, "count")                                                                              \
    X(ALPHA, "alpha")                                                                              \
    X(EPSILON, "epsilon")

enum {
#define X(id, name) FEED_##id,
    EPOCH_FEEDS(X)
#undef X
        FEED_STATE
};

struct epoch {
    TF_Output feeds[FEED_STATE + TENSORFLOW_MAX_STATE];
    TF_Output fetches[1 + TENSORFLOW_MAX_STATE]; /* losses, then the state after the range */
    TF_Tensor *images, *labels;
    int state_count;
};

/* ---- the SavedModel ----------------------------------------------------------------------------
 */

static const char *const helper_lines[] = {
#include "tensorflow_savedmodel.inc"
};

enum { MAX_ARGUMENTS = TARE_MAX_LAYERS + 4 };

/* The helper's source, and its arguments after FOLDER, as it documents them. */
struct recipe {
    struct tare_buf source;
    char texts[MAX_ARGUMENTS][48];
    int count;
};

static enum tare_status write_recipe(struct recipe *recipe, const struct tensorflow *engine,
                                     struct tare_err *err) {
    const struct tare_job *job = &engine->work->job;
    const struct tare_net *net = &engine->work->net;
    for (size_t i = 0; i < sizeof helper_lines / sizeof helper_lines[0]; i++)
        tare_buf_puts(&recipe->source, helper_lines[i]);
    if (recipe->source.failed)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the helper");
    snprintf(recipe->texts[recipe->count++], sizeof recipe->texts[0], "%s", job->optimizer);
    snprintf(recipe->texts[recipe->count++], sizeof recipe->texts[0], "%.17g", job->beta1);
    snprintf(recipe->texts[recipe->count++], sizeof recipe->texts[0], "%.17g", job->beta2);
    for (int i = 0; i < net->layer_count; i++) {
        const struct tare_layer *layer = &net->layers[i];
        char *text = recipe->texts[recipe->count++];
        if (layer->tensor_count == 0)
            snprintf(text, sizeof recipe->texts[0], "%s", tare_layer_op_name(layer));
        else
            snprintf(text, sizeof recipe->texts[0], "%s:%zu:%zu", tare_layer_op_name(layer),
                     layer->n_in, layer->n_out);
    }
    return TARE_OK;
}

/* The folder in the cache, named by all that the model depends on. Free *folder. */
static enum tare_status name_folder(char **folder, const struct recipe *recipe,
                                    struct tare_err *err) {
    struct tare_buf key = {0}, path = {0};
    char hash[65];
    tare_buf_printf(&key, "%s\n%s\n", tf.Version(), recipe->source.data);
    for (int i = 0; i < recipe->count; i++)
        tare_buf_printf(&key, "%s\n", recipe->texts[i]);
    tare_sha256_hex(hash, key.data, key.size);
    char *cache = tare_cache_dir();
    tare_buf_printf(&path, "%s/saved-models", cache ? cache : "");
    enum tare_status status =
        cache ? TARE_OK
              : tare_fail(err, TARE_IO, "tensorflow", "set HOME or XDG_CACHE_HOME", "no cache");
    if (status == TARE_OK)
        status = tare_make_dirs(path.data, err);
    tare_buf_printf(&path, "/%.16s", hash);
    if (status == TARE_OK && (key.failed || path.failed))
        status = tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a path");
    tare_buf_free(&key);
    free(cache);
    *folder = path.data;
    return status;
}

/* Runs the helper, which makes the model in folder. Python finds its environment by its own path.
 */
static enum tare_status run_helper(char *python, struct recipe *recipe, char *folder,
                                   struct tare_err *err) {
    char *argv[5 + MAX_ARGUMENTS] = {python, (char[]){"-c"}, recipe->source.data, folder};
    for (int i = 0; i < recipe->count; i++)
        argv[4 + i] = recipe->texts[i];
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int ended = 0, rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (rc == 0)
            rc = posix_spawn(&child, python, &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    if (rc != 0) {
        errno = rc;
        return tare_fail_errno(err, python, "make engines", "cannot run the environment's python");
    }
    while (waitpid(child, &ended, 0) < 0)
        if (errno != EINTR)
            return tare_fail_errno(err, python, NULL, "cannot wait for the environment's python");
    if (ended != 0)
        return tare_fail(err, TARE_FAILED, "tensorflow", "see what Python says on stderr",
                         "making the SavedModel ended with %d",
                         WIFEXITED(ended) ? WEXITSTATUS(ended) : -WTERMSIG(ended));
    return TARE_OK;
}

/* Under another name first, so that a folder with the right name always holds a whole model. Of two
 * processes that make the same one, the second finds the name taken, which is as good. */
static enum tare_status make_model(const char *folder, struct recipe *recipe,
                                   struct tare_err *err) {
    struct tare_environment environment;
    struct tare_buf part = {0};
    TRY(tare_environment_find("tensorflow", &environment, err));
    tare_buf_printf(&part, "%s.%ld.part", folder, (long)getpid());
    enum tare_status status =
        part.failed ? tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a path")
                    : run_helper(environment.python, recipe, part.data, err);
    if (status == TARE_OK && rename(part.data, folder) != 0 && !tare_path_exists(folder))
        status = tare_fail_errno(err, folder, "is the folder writable?", "cannot be made");
    tare_buf_free(&part);
    return status;
}

static enum tare_status load_model(struct tensorflow *engine, struct tare_err *err) {
    struct recipe recipe = {0};
    char *folder = NULL;
    enum tare_status status = write_recipe(&recipe, engine, err);
    if (status == TARE_OK)
        status = name_folder(&folder, &recipe, err);
    if (status == TARE_OK) {
        bool found = tare_path_exists(folder);
        tare_engine_setting("saved_model", found ? "from the cache" : "made");
        if (!found)
            status = make_model(folder, &recipe, err);
    }
    if (status == TARE_OK)
        status = tensorflow_open(engine, folder, err);
    free(folder);
    tare_buf_free(&recipe.source);
    return status;
}

/* ---- build -------------------------------------------------------------------------------------
 */

/* An input or output of the model. */
static enum tare_status find(TF_Output *output, const struct tensorflow *engine, const char *name,
                             struct tare_err *err) {
    *output = (TF_Output){.oper = tf.GraphOperationByName(engine->graph, name), .index = 0};
    if (!output->oper)
        return tare_fail(err, TARE_DATA, "tensorflow", "rm -r ~/.cache/tare/saved-models",
                         "the SavedModel has no \"%s\"", name);
    return TARE_OK;
}

static enum tare_status find_all(struct tensorflow *engine, struct tare_err *err) {
    static const char *const names[] = {
#define X(id, name) name,
        EPOCH_FEEDS(X)
#undef X
    };
    struct epoch *epoch = engine->training;
    for (int i = 0; i < FEED_STATE; i++)
        TRY(find(&epoch->feeds[i], engine, names[i], err));
    TRY(find(&epoch->fetches[0], engine, "losses", err));
    for (int i = 0; i < epoch->state_count; i++) {
        char name[32];
        snprintf(name, sizeof name, "state_%d", i);
        TRY(find(&epoch->feeds[FEED_STATE + i], engine, name, err));
        snprintf(name, sizeof name, "next_%d", i);
        TRY(find(&epoch->fetches[1 + i], engine, name, err));
    }
    return TARE_OK;
}

/* Borrows the data, and adds moments of zero to the state. */
static enum tare_status make_tensors(struct tensorflow *engine, struct tare_err *err) {
    struct epoch *epoch = engine->training;
    const struct tare_work *work = engine->work;
    const struct tare_net *net = &work->net;
    int64_t dims[] = {(int64_t)work->n, (int64_t)net->n_in};
    epoch->images = tensorflow_borrow(TF_FLOAT, 2, dims, work->images);
    epoch->labels = tensorflow_borrow(TF_INT32, 1, dims, work->labels);
    if (!epoch->images || !epoch->labels)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the data");
    for (int i = net->tensor_count; i < epoch->state_count; i++) {
        int64_t shape[4];
        int rank = tensorflow_shape(shape, &net->tensors[i % net->tensor_count]);
        engine->state[i] = tensorflow_tensor(TF_FLOAT, rank, shape, NULL);
        if (!engine->state[i])
            return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for the moments");
    }
    return TARE_OK;
}

static enum tare_status build(struct tensorflow *engine, struct tare_err *err) {
    struct epoch *epoch = engine->training = calloc(1, sizeof *epoch);
    if (!epoch)
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for an epoch");
    epoch->state_count = engine->work->net.tensor_count * (engine->is_adam ? 3 : 1);
    TRY(load_model(engine, err));
    TRY(find_all(engine, err));
    TRY(tensorflow_feed_values(engine, err));
    return make_tensors(engine, err);
}

static void close_epoch(struct tensorflow *engine) {
    struct epoch *epoch = engine->training;
    tf.DeleteTensor(epoch->images); /* these take NULL */
    tf.DeleteTensor(epoch->labels);
    free(epoch);
}

/* ---- train -------------------------------------------------------------------------------------
 */

/* What is new in a range of steps, in tensors as long as the longest range, so that all ranges are
 * of one shape. They are new tensors each time: XLA keeps the inputs that it has compiled as
 * constants, and would not see that one has changed in place. */
static enum tare_status make_range(struct tensorflow *engine, TF_Tensor **fed, size_t first,
                                   size_t count, struct tare_err *err) {
    const struct tare_work *work = engine->work;
    size_t batch = work->job.batch;
    int64_t dims[] = {(int64_t)work->steps_per_epoch, (int64_t)batch};
    fed[FEED_ORDER] = tensorflow_tensor(TF_INT32, 2, dims, NULL);
    fed[FEED_COUNT] = tensorflow_tensor(TF_INT32, 0, NULL, &(int32_t){(int32_t)count});
    fed[FEED_ALPHA] = tensorflow_tensor(TF_FLOAT, 1, dims, NULL);
    fed[FEED_EPSILON] = tensorflow_tensor(TF_FLOAT, 1, dims, NULL);
    if (!fed[FEED_ORDER] || !fed[FEED_COUNT] || !fed[FEED_ALPHA] || !fed[FEED_EPSILON])
        return tare_fail(err, TARE_MEMORY, "tensorflow", NULL, "no memory for a range of steps");
    memcpy(tf.TensorData(fed[FEED_ORDER]), work->order + first * batch,
           count * batch * sizeof *work->order);
    tensorflow_rates(engine, tf.TensorData(fed[FEED_ALPHA]), tf.TensorData(fed[FEED_EPSILON]),
                     first, count);
    return TARE_OK;
}

static enum tare_status train(struct tensorflow *engine, size_t first, size_t count, float *losses,
                              struct tare_err *err) {
    struct epoch *epoch = engine->training;
    TF_Tensor *fed[FEED_STATE + TENSORFLOW_MAX_STATE] = {epoch->images, epoch->labels};
    TF_Tensor *out[1 + TENSORFLOW_MAX_STATE] = {0};
    int state_count = epoch->state_count;
    memcpy(fed + FEED_STATE, engine->state, (size_t)state_count * sizeof *fed);
    enum tare_status status = make_range(engine, fed, first, count, err);
    if (status == TARE_OK)
        status = tensorflow_run(engine, epoch->feeds, fed, FEED_STATE + state_count, epoch->fetches,
                                out, 1 + state_count, NULL, 0, "training", err);
    for (int i = FEED_ORDER; i < FEED_STATE; i++)
        tf.DeleteTensor(fed[i]);
    if (status != TARE_OK)
        return status;
    memcpy(losses, tf.TensorData(out[0]), count * sizeof *losses);
    tf.DeleteTensor(out[0]);
    for (int i = 0; i < state_count; i++) {
        tf.DeleteTensor(engine->state[i]);
        engine->state[i] = out[1 + i];
    }
    return TARE_OK;
}

/* weights: engine->state has them, for tensorflow.c to copy */
const struct tensorflow_variant tensorflow_epoch = {
    .name = "xla-epoch", .build = build, .train = train, .close = close_epoch};
