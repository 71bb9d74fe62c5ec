/* replay.c: a job's record, as far as a campaign goes on from it: its state, what it exported, and
 * the loss of its first epoch, which its certificate is judged by. */
#include <stdlib.h>
#include <string.h>

#include "lab/campaign.h"
#include "lab/read_samples.h"
#include "tare/buf.h"

static void take_text(char *to, size_t size, const json_t *record, const char *key) {
    const char *text = json_string_value(json_object_get(record, key));
    snprintf(to, size, "%s", text ? text : "");
}

static enum tare_status take_export(struct tare_event *event, const json_t *record,
                                    const char *results_dir, struct tare_err *err) {
    *event = (struct tare_event){.kind = TARE_EVENT_EXPORT};
    take_text(event->name, sizeof event->name, record, "format");
    take_text(event->text, sizeof event->text, record, "exporter");
    const char *path = json_string_value(json_object_get(record, "path"));
    char *whole = tare_path_join(results_dir, path ? path : "");
    bool fits = whole &&
                snprintf(event->extra, sizeof event->extra, "%s", whole) < (int)sizeof event->extra;
    free(whole);
    return fits ? TARE_OK
                : tare_fail(err, TARE_DATA, results_dir, "give the results folder a shorter path",
                            "the path of an export is too long");
}

enum tare_status tare_job_replay(struct tare_job_result *result, const json_t *record,
                                 const char *results_dir, struct tare_err *err) {
    struct tare_reader reader = {.name = results_dir, .err = err};
    struct tare_outcome *o = &result->outcome;
    const json_t *exports = json_object_get(record, "exports");
    const json_t *epoch = json_array_get(json_object_get(record, "epochs"), 0);
    result->replayed = true;
    o->state = tare_read_state(&reader, record, "state");
    o->timed_out = json_is_true(json_object_get(record, "timed_out"));
    take_text(o->reason, sizeof o->reason, record, "reason");
    take_text(o->version, sizeof o->version, record, "version");
    o->events = calloc(json_array_size(exports) + 1, sizeof *o->events);
    if (!o->events)
        return tare_fail(err, TARE_MEMORY, results_dir, NULL, "no memory for a job");
    enum tare_status status = reader.status;
    for (size_t i = 0; i < json_array_size(exports) && status == TARE_OK; i++)
        status =
            take_export(&o->events[o->event_count++], json_array_get(exports, i), results_dir, err);
    if (epoch)
        o->events[o->event_count++] = (struct tare_event){
            .kind = TARE_EVENT_EPOCH,
            .value = json_number_value(json_object_get(epoch, "loss")),
        };
    return status;
}
