/* fuzz_lines.c: the short texts: the list of environments, what tare-launch reports, an HTTP
 * header, and option values with an inner form. Every input is given to each. */
#include "../../cli/cli.h"
#include "data/parts.h"
#include "fuzz.h"
#include "lab/launch_status.h"
#include "tare/environment.h"
#include "tare/lab.h"
#include "tare/words.h"

static void check_environments(const uint8_t *bytes, size_t size) {
    struct tare_environment found;
    struct tare_err err = {0};
    if (tare_environment_parse(&found, "torch", (const char *)bytes, size, "fuzz", &err) ==
        TARE_OK) {
        MUST(found.python[0] == '/' && strlen(found.python) < sizeof found.python);
        MUST(found.site_packages[0] == '/');
        MUST(strlen(found.site_packages) < sizeof found.site_packages);
        MUST(found.megabytes >= 0 && found.megabytes <= 1e9);
    } else
        MUST_BE_REFUSED(err);
}

static void check_launch_status(const char *text) {
    struct tare_launch_status status;
    tare_launch_status_parse(&status, text);
    MUST(status.exec_ns >= 0 && status.end_ns >= 0 && status.cpu_ns >= 0 && status.error >= 0);
    MUST(status.wait_status >= 0 && status.leftovers >= 0 && !(status.ended && status.error));
}

static void check_lists(const char *text) {
    size_t counts[8], count = 0, height = 0, width = 0;
    struct tare_err err = {0};
    if (cli_read_counts(counts, &count, 8, 65536, text, "--x", &err) == TARE_OK) {
        MUST(count >= 1 && count <= 8);
        for (size_t i = 0; i < count; i++)
            MUST(counts[i] >= 1 && counts[i] <= 65536);
    } else
        MUST(err.status == TARE_USAGE && err.what[0] != '\0' && err.where[0] != '\0');
    if (cli_read_size(&height, &width, text, &err) == TARE_OK)
        MUST(height >= 1 && height <= 9999 && width >= 1 && width <= 9999);
    const char *list = text;
    while (list != NULL) {
        char engine[64], variant[32];
        const char *before = list;
        if (cli_next_engine(engine, variant, &list, "--x", &err) != TARE_OK)
            break;
        MUST(engine[0] != '\0' && strlen(variant) < sizeof variant);
        MUST(list == NULL || (list > before && list <= text + strlen(text)));
    }
}

static void check_engine(const char *text) {
    static struct tare_plan plan;
    struct tare_err err = {0};
    tare_plan_defaults(&plan);
    if (tare_plan_add(&plan, text, NULL, &err) == TARE_OK)
        MUST(plan.cell_count >= 1 && plan.cell_count <= TARE_MAX_CELLS);
    else
        MUST(err.what[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char *const words[] = {"dense", "relu", "compare", "epochs"};
    char *text = as_text(bytes, size);
    check_environments(bytes, size);
    check_launch_status(text);
    check_lists(text);
    check_engine(text);
    MUST(tare_content_range_start((const char *)bytes, size) >= -1);
    (void)tare_nearest_word(text, words, 4);
    struct tare_buf shell = {0};
    tare_buf_shell_word(&shell, text);
    MUST(!shell.failed && shell.size >= strlen(text));
    tare_buf_free(&shell);
    free(text);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static const char *const words[] = {
        "torch", "/usr/bin/python", "/a b/site-packages", "812",   "exec",
        "exit",  "errno",           "content-range:",     "bytes", "1,8,64",
        "28x28", "native",          "pytorch/compile",    "keras"};
    static const char separators[] = " \n,x/";
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    mutate_words(&out, &dice, (const char *)data, size, separators[roll(&dice, 5)], words,
                 sizeof words / sizeof *words);
    return mutate_give(data, max, &out);
}
