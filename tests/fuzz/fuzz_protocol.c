/* fuzz_protocol.c: what an engine may print, and what it may be sent: one line as event and as job.
 * A job that parses is written, and its text is a fixed point from then on. */
#include "fuzz.h"
#include "tare/protocol.h"

static void check_round_trip(const struct tare_job *job) {
    struct tare_job back;
    char *text = NULL, *again = NULL;
    struct tare_err err = {0};
    if (tare_job_text(&text, job, &err) != TARE_OK) { /* longer than a line may be */
        MUST(text == NULL && err.what[0] != '\0');
        return;
    }
    const size_t length = strlen(text);
    MUST(length > 0 && text[length - 1] == '\n' && length <= TARE_MAX_LINE_BYTES);
    MUST(tare_job_parse(&back, text, length - 1, NULL) == TARE_OK);
    MUST(tare_job_text(&again, &back, NULL) == TARE_OK);
    MUST(strcmp(text, again) == 0);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_event event;
    struct tare_job job;
    struct tare_err err = {0};
    if (tare_event_parse(&event, (const char *)bytes, size, &err) == TARE_OK) {
        MUST(memchr(event.name, '\0', sizeof event.name) != NULL);
        MUST(memchr(event.text, '\0', sizeof event.text) != NULL);
        MUST(memchr(event.extra, '\0', sizeof event.extra) != NULL);
        MUST(event.wall_ns >= 0 && tare_event_name(event.kind) != NULL);
    } else {
        MUST_BE_REFUSED(err);
    }
    err = (struct tare_err){0};
    if (tare_job_parse(&job, (const char *)bytes, size, &err) == TARE_OK)
        check_round_trip(&job);
    else
        MUST_BE_REFUSED(err);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    if (mutate_plainly(&dice) || !mutate_json(&out, &dice, (const char *)data, size))
        return LLVMFuzzerMutate(data, size, max);
    return mutate_give(data, max, &out);
}
