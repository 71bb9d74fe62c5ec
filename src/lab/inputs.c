/* inputs.c: finds what an engine changed outside its folder, and puts back what others are given
 * (inputs.h). An engine runs as the user who runs tare, so nothing can stop it; but it can't go
 * unnoticed: a change moves the time of a file's change, which no program can set. */
#include "lab/inputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/provenance.h"
#include "tare/buf.h"

#define MAX_DATA 16 /* files of prepared data */

struct input {
    char *path; /* absolute */
    struct stat info;
};

struct inputs {
    struct input *files;
    size_t count;
};

/* ---- how things are -----------------------------------------------------------------------------
 */

struct look {
    struct inputs *inputs;
    const char *dir, *own_dir;
};

static enum tare_status note(struct inputs *inputs, const char *path, struct tare_err *err) {
    struct input input = {.path = strdup(path)};
    if ((inputs->count & (inputs->count - 1)) == 0 && input.path) { /* grow at powers of two */
        size_t capacity = inputs->count ? 2 * inputs->count : 1;
        struct input *grown = realloc(inputs->files, capacity * sizeof *grown);
        if (grown)
            inputs->files = grown;
        else {
            free(input.path);
            input.path = NULL;
        }
    }
    if (!input.path)
        return tare_fail(err, TARE_MEMORY, path, NULL, "no memory to note how files are");
    if (lstat(path, &input.info) != 0) {
        free(input.path); /* it went meanwhile */
        return TARE_OK;
    }
    inputs->files[inputs->count++] = input;
    return TARE_OK;
}

static bool is_inside(const char *path, const char *dir) {
    size_t size = strlen(dir);
    return strncmp(path, dir, size) == 0 && path[size] == '/';
}

static enum tare_status note_other(void *context, const char *path, bool is_file,
                                   struct tare_err *err) {
    const struct look *look = context;
    (void)is_file;
    char *whole = tare_path_join(look->dir, path);
    enum tare_status status = TARE_OK;
    if (!whole)
        status = tare_fail(err, TARE_MEMORY, path, NULL, "no memory for a path");
    else if (!is_inside(whole, look->own_dir))
        status = note(look->inputs, whole, err);
    free(whole);
    return status;
}

static enum tare_status look_around(struct inputs *inputs, const struct tare_campaign_state *state,
                                    const char *own_dir, struct tare_err *err) {
    static const char *const folders[] = {"runs", "jobs", "certificates"};
    struct look look = {inputs, state->dir, own_dir};
    *inputs = (struct inputs){0};
    enum tare_status status = TARE_OK;
    const char *name;
    for (size_t i = 0; (name = tare_dataset_file(i)) && status == TARE_OK; i++) {
        char *path = tare_path_join(state->campaign->prepared, name);
        status = path ? note(inputs, path, err)
                      : tare_fail(err, TARE_MEMORY, name, NULL, "no memory for a path");
        free(path);
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders && status == TARE_OK; i++)
        status = tare_folder_visit(state->dir, folders[i], note_other, &look, err);
    return status;
}

static void forget(struct inputs *inputs) {
    for (size_t i = 0; i < inputs->count; i++)
        free(inputs->files[i].path);
    free(inputs->files);
    *inputs = (struct inputs){0};
}

/* ---- what was changed ---------------------------------------------------------------------------
 */

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_as_it_was(const struct input *input) {
    struct stat now;
    const struct stat *then = &input->info;
    return lstat(input->path, &now) == 0 && now.st_dev == then->st_dev &&
           now.st_ino == then->st_ino && now.st_size == then->st_size &&
           now.st_mode == then->st_mode && same_time(now.st_mtim, then->st_mtim) &&
           same_time(now.st_ctim, then->st_ctim);
}

static void hash(char sha256[65], const char *path) {
    struct stat info;
    bool is_file = lstat(path, &info) == 0 && S_ISREG(info.st_mode);
    if (!is_file || tare_sha256_file(sha256, path, NULL) != TARE_OK)
        sha256[0] = '\0';
}

static void accuse(char reason[TARE_MAX_TEXT], const char *path,
                   const struct tare_campaign_state *s) {
    const char *shown = is_inside(path, s->dir) ? path + strlen(s->dir) + 1 : path;
    if (!reason[0])
        snprintf(reason, TARE_MAX_TEXT, "changed %.300s, which isn't its own", shown);
}

/* The prepared data are made anew together. Another tare may have done so meanwhile: the same bytes
 * are no change. */
static enum tare_status restore_data(char reason[TARE_MAX_TEXT], const struct inputs *inputs,
                                     const struct tare_campaign_state *s, struct tare_err *err) {
    char found[MAX_DATA][65], right[65], *folder = NULL;
    const char *paths[MAX_DATA];
    size_t count = 0;
    for (size_t i = 0; i < inputs->count && count < MAX_DATA; i++) {
        const char *path = inputs->files[i].path;
        if (!is_inside(path, s->campaign->prepared) || is_as_it_was(&inputs->files[i]))
            continue;
        hash(found[count], path);
        unlink(path);
        paths[count++] = path;
    }
    enum tare_status status =
        count > 0 ? tare_dataset_prepare(&folder, s->campaign->dataset, err) : TARE_OK;
    for (size_t i = 0; i < count && status == TARE_OK; i++) {
        hash(right, paths[i]);
        if (strcmp(found[i], right) != 0)
            accuse(reason, paths[i], s);
    }
    free(folder);
    return status;
}

static enum tare_status restore_run(struct tare_campaign_state *s, int run, const char *path,
                                    struct tare_err *err) {
    const struct tare_campaign *c = s->campaign;
    if (strcmp(path, s->one_image) == 0)
        return tare_deploy_write_image(s, err);
    if (run >= 0 && s->init && s->order &&
        (strcmp(path, s->init) == 0 || strcmp(path, s->order) == 0))
        return tare_plan_write_run(s->init, s->order, c->plan, (size_t)run,
                                   c->dataset->train_images.shape[0], err);
    return TARE_OK;
}

static enum tare_status look_again(char reason[TARE_MAX_TEXT], const struct inputs *inputs,
                                   struct tare_campaign_state *s, int run, struct tare_err *err) {
    reason[0] = '\0';
    enum tare_status status = restore_data(reason, inputs, s, err);
    for (size_t i = 0; i < inputs->count && status == TARE_OK; i++) {
        const char *path = inputs->files[i].path;
        if (is_inside(path, s->campaign->prepared) || is_as_it_was(&inputs->files[i]))
            continue;
        accuse(reason, path, s);
        status = restore_run(s, run, path, err);
    }
    return status;
}

enum tare_status tare_inputs_launch(struct tare_outcome *outcome, const struct tare_launch *launch,
                                    const struct tare_job *job, struct tare_campaign_state *state,
                                    const char *own_dir, int run, struct tare_err *err) {
    struct inputs inputs = {0};
    char reason[TARE_MAX_TEXT] = "";
    enum tare_status status = look_around(&inputs, state, own_dir, err);
    if (status == TARE_OK)
        status = tare_launch_job(outcome, launch, job, err);
    if (status == TARE_OK)
        status = look_again(reason, &inputs, state, run, err);
    forget(&inputs);
    if (reason[0]) {
        outcome->state = TARE_STATE_FAILED;
        outcome->fix[0] = '\0';
        memcpy(outcome->reason, reason, sizeof reason);
    }
    return status;
}

enum tare_status tare_inputs_certify(struct tare_certificate *certificate,
                                     const struct tare_certify_request *request,
                                     struct tare_campaign_state *state, struct tare_err *err) {
    struct inputs inputs = {0};
    char reason[TARE_MAX_TEXT] = "";
    enum tare_status status = look_around(&inputs, state, request->dir, err);
    if (status == TARE_OK)
        status = tare_certify(certificate, request, err);
    if (status == TARE_OK)
        status = look_again(reason, &inputs, state, -1, err);
    forget(&inputs);
    if (reason[0]) {
        certificate->state = TARE_CERTIFICATE_NOT_CHECKED;
        certificate->job_state = TARE_STATE_FAILED;
        snprintf(certificate->reason, sizeof certificate->reason, "%s", reason);
    }
    return status;
}

/* ---- what it wrote itself -----------------------------------------------------------------------
 */

enum tare_status tare_own_file(const char *path, struct tare_err *err) {
    struct stat info;
    if (lstat(path, &info) != 0)
        return tare_fail(err, TARE_DATA, path, NULL, "cannot be looked at: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return tare_fail(err, TARE_DATA, path, NULL, "is a %s, not a file",
                         S_ISLNK(info.st_mode)    ? "link"
                         : S_ISDIR(info.st_mode)  ? "folder"
                         : S_ISFIFO(info.st_mode) ? "pipe"
                                                  : "device");
    if (info.st_nlink != 1)
        return tare_fail(err, TARE_DATA, path, NULL, "is a second name of another file");
    char *real = realpath(path, NULL);
    bool own = real && strcmp(real, path) == 0;
    free(real);
    return own ? TARE_OK
               : tare_fail(err, TARE_DATA, path, NULL,
                           "lies in a folder that was replaced by a link");
}

/* The job's folder is there, and tare's own place in it is still free. */
static bool is_own_folder(const char *job_dir) {
    char place[TARE_MAX_PATH];
    struct stat info;
    char *real = realpath(job_dir, NULL);
    bool own = real && strcmp(real, job_dir) == 0;
    free(real);
    return own && tare_job_path(place, job_dir, TARE_EXPORTER) && lstat(place, &info) != 0;
}

void tare_own_files(struct tare_job_result *result, const char *job_dir) {
    static const char *const names[] = {"logits.npy", "weights.safetensors", "latencies.npy"};
    char path[TARE_MAX_PATH], reason[TARE_MAX_TEXT];
    struct tare_err err = {0};
    struct stat info;
    bool own = is_own_folder(job_dir);
    if (!own)
        tare_job_spoil(result, "its folder is gone, or isn't as tare made it");
    for (size_t i = 0; i < sizeof names / sizeof *names && own; i++)
        if (tare_job_path(path, job_dir, names[i]) && lstat(path, &info) == 0)
            own = tare_own_file(path, &err) == TARE_OK;
    for (size_t i = 0; i < result->outcome.event_count && own; i++) {
        const struct tare_event *event = &result->outcome.events[i];
        if (event->kind != TARE_EVENT_EXPORT)
            continue;
        if (!is_inside(event->extra, job_dir))
            own = tare_fail(&err, TARE_DATA, event->extra, NULL, "isn't in its folder") == TARE_OK;
        else if (lstat(event->extra, &info) == 0)
            own = tare_own_file(event->extra, &err) == TARE_OK;
    }
    if (own || !err.what[0])
        return;
    const char *file = strrchr(err.where, '/');
    snprintf(reason, sizeof reason, "its %.200s %.200s", file ? file + 1 : err.where, err.what);
    tare_job_spoil(result, reason);
}
