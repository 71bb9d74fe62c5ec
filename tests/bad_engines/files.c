/* files.c: what bad engines leave in the place of their results, and what they do to files that
 * aren't theirs (bad.h). Each happens after honest logits were written. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bad.h"
#include "tare/array.h"
#include "tare/buf.h"
#include "tare/safetensors.h"

static void must(bool good) {
    if (!good)
        exit(9);
}

static char *own_folder(void) {
    char *dir = strdup(job.logits);
    must(dir != NULL);
    *strrchr(dir, '/') = '\0';
    return dir;
}

/* The first logits.npy of another job; NULL while there is none. */
static char *others_logits(void) {
    char *own = own_folder(), *jobs = strdup(own), *found = NULL;
    must(jobs != NULL);
    *strrchr(jobs, '/') = '\0';
    DIR *folder = opendir(jobs);
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
        char path[2 * TARE_MAX_PATH];
        snprintf(path, sizeof path, "%s/%s/logits.npy", jobs, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(path, job.logits) != 0 && access(path, R_OK) == 0)
            found = strdup(path);
    }
    if (folder)
        closedir(folder);
    free(own);
    free(jobs);
    return found;
}

static void link_instead(const char *path, const char *target) {
    unlink(path);
    must(symlink(target, path) == 0);
}

static void pipe_instead(const char *path) {
    unlink(path);
    must(mkfifo(path, 0666) == 0);
}

/* With one tensor of one number, which no net has. */
static void write_weights(const char *name, float value) {
    struct tare_tensors file = {0};
    struct tare_array array = {.dtype = TARE_F32, .rank = 1, .shape = {1}, .data = &value};
    must(tare_tensors_add(&file, name, &array, NULL) == TARE_OK &&
         tare_safetensors_write(job.out, &file, NULL) == TARE_OK);
    tare_tensors_free(&file);
}

/* The initial weights, but for one number. */
static void write_nan_weights(void) {
    struct tare_tensors file = {0};
    must(tare_safetensors_read(&file, job.init, NULL) == TARE_OK);
    ((float *)file.tensors[0].array.data)[0] = NAN;
    must(tare_safetensors_write(job.out, &file, NULL) == TARE_OK);
    tare_tensors_free(&file);
}

/* Other bytes in the same place: neither the size nor the name says so. */
static void scribble(const char *path) {
    must(chmod(path, 0666) == 0);
    int fd = open(path, O_WRONLY);
    struct stat info;
    must(fd >= 0 && fstat(fd, &info) == 0);
    for (off_t at = info.st_size / 2; at < info.st_size; at++)
        must(pwrite(fd, "\x55", 1, at) == 1);
    struct timespec times[2] = {info.st_atim, info.st_mtim};
    must(futimens(fd, times) == 0 && close(fd) == 0);
}

static void replace_folder(bool by_link) {
    char *own = own_folder(), *elsewhere = NULL;
    must(asprintf(&elsewhere, "%s-moved", own) > 0 && rename(own, elsewhere) == 0);
    must(!by_link || symlink(elsewhere, own) == 0);
    must(by_link || tare_remove_tree(elsewhere, NULL) == TARE_OK);
    free(own);
    free(elsewhere);
}

static void plant_link(void) {
    char *own = own_folder(), *place = tare_path_join(own, "tare"), *up = strdup(own);
    must(place && up);
    *strrchr(up, '/') = '\0';
    must(symlink(up, place) == 0);
    free(own);
    free(place);
    free(up);
}

static void replace_labels(void) {
    char *path = tare_path_join(job.test_images, "");
    must(path != NULL);
    strcpy(strstr(path, "test_images"), "test_labels.npy");
    unlink(path);
    write_text(path, "all of them are sevens");
    free(path);
}

bool misbehave_with_files(enum behaviour what) {
    char *other = what == DO_link_other || what == DO_link_hard || what == DO_vandal_jobs
                      ? others_logits()
                      : NULL;
    bool mine = true;
    switch (what) {
    case DO_badweights:
        write_text(job.out, "not weights");
        break;
    case DO_shapeweights:
        write_weights("0.weight", 1);
        break;
    case DO_nanweights:
        write_nan_weights();
        break;
    case DO_pipe_weights:
        pipe_instead(job.out);
        break;
    case DO_link_passwd:
        link_instead(job.logits, "/etc/passwd");
        break;
    case DO_link_zero:
        link_instead(job.logits, "/dev/zero");
        break;
    case DO_link_other:
        link_instead(job.logits, other ? other : "nothing");
        break;
    case DO_link_hard:
        unlink(job.logits);
        must(!other || link(other, job.logits) == 0);
        break;
    case DO_link_folder:
        replace_folder(true);
        break;
    case DO_no_folder:
        replace_folder(false);
        break;
    case DO_link_planted:
        plant_link();
        break;
    case DO_pipe_logits:
        pipe_instead(job.logits);
        break;
    case DO_folder_logits:
        unlink(job.logits);
        must(mkdir(job.logits, 0777) == 0);
        break;
    case DO_export_passwd:
        say("{\"event\":\"export\",\"format\":\"onnx\",\"path\":\"/etc/passwd\",\"wall_ns\":1}");
        break;
    case DO_vandal_images:
        scribble(job.images);
        break;
    case DO_vandal_labels:
        replace_labels();
        break;
    case DO_vandal_init:
        scribble(job.init);
        break;
    case DO_vandal_order:
        must(unlink(job.order) == 0);
        break;
    case DO_vandal_jobs:
        if (other)
            scribble(other);
        break;
    default:
        mine = false;
    }
    free(other);
    return mine;
}
