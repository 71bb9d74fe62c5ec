/* read_certificate.c: one certificate record of samples.jsonl: whether a cell of the controlled
 * track does the same work as the reference. certify.c writes it; summary.c puts it at its row. */
#include <math.h>
#include <string.h>

#include "lab/read_samples.h"

enum tare_status tare_samples_read_certificate(struct tare_samples *samples,
                                               struct tare_certificate_record *certificate,
                                               const json_t *json, size_t line, const char *name,
                                               struct tare_err *err) {
    struct tare_reader reader = {
        .memory = &samples->memory, .name = name, .line = line, .err = err};
    *certificate = (struct tare_certificate_record){
        .line = line,
        .cell = tare_read_cell(&reader, samples, json),
        .state = tare_read_text(&reader, json, "state", NULL),
        .reason = tare_read_text(&reader, json, "reason", ""),
        .fix = tare_read_text(&reader, json, "fix", ""),
        .version = tare_read_text(&reader, json, "version", ""),
        .max_ratio = tare_read_number(&reader, json, "max_ratio", NAN),
        .where = "",
        .job_state = TARE_STATE_FAILED,
    };
    const json_t *largest = tare_read_nested(&reader, json, "largest", JSON_OBJECT);
    if (largest)
        certificate->where = tare_read_text(&reader, largest, "checkpoint", "");
    if (reader.status == TARE_OK && strcmp(certificate->state, "not-checked") == 0)
        certificate->job_state = tare_read_state(&reader, json, "job_state");
    return reader.status;
}
