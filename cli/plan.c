/* plan.c: what the commands that measure by a plan share: its engines and its command line, the
 * results folder, and how far it has come (cli.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "tare/buf.h"
#include "tare/clock.h"
#include "tare/words.h"

static bool plan_has(const struct tare_plan *plan, const char *engine) {
    for (size_t i = 0; i < plan->cell_count; i++)
        if (strcmp(plan->cells[i].engine, engine) == 0)
            return true;
    return false;
}

static enum tare_status add_engines(struct tare_plan *plan, const char *list,
                                    const struct tare_choice *choice, struct tare_err *err) {
    size_t known_count;
    const struct tare_known_engine *known = tare_known_engines(&known_count);
    enum tare_status status = TARE_OK;
    for (size_t i = 0; !list && i < known_count && status == TARE_OK; i++) {
        bool wanted =
            known[i].by_default && (!choice->track || strcmp(known[i].track, choice->track) == 0);
        if (wanted && !plan_has(plan, known[i].name))
            status = tare_plan_add(plan, known[i].name, choice, err);
    }
    char name[96];
    for (const char *at = list; at && status == TARE_OK;) {
        size_t size = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(size < sizeof name ? size : sizeof name - 1), at);
        status = tare_plan_add(plan, name, choice, err);
        at = at[size] ? at + size + 1 : NULL;
    }
    return status;
}

/* An engine that is neither known nor installed is a misspelling: say so before any work. */
static enum tare_status check_names(const struct tare_plan *plan, struct tare_err *err) {
    size_t known_count;
    const struct tare_known_engine *known = tare_known_engines(&known_count);
    const char *names[32];
    for (size_t i = 0; i < known_count; i++)
        names[i] = known[i].name;
    for (size_t i = 0; i < plan->cell_count; i++) {
        const char *name = plan->cells[i].engine;
        char *program = NULL;
        if (tare_known_engine(name))
            continue;
        enum tare_status status = tare_engine_find(&program, name, err);
        free(program);
        if (status == TARE_OK)
            continue;
        const char *near = tare_nearest_word(name, names, known_count);
        return tare_fail(err, TARE_USAGE, "--engines",
                         near ? near : "tare doctor lists the engines", "there is no engine \"%s\"",
                         name);
    }
    return TARE_OK;
}

enum tare_status cli_plan_engines(struct tare_plan *plan, const char *list,
                                  const struct tare_choice *choice, struct tare_err *err) {
    enum tare_status status = add_engines(plan, list, choice, err);
    return status == TARE_OK ? check_names(plan, err) : status;
}

enum tare_status cli_plan_command(struct tare_plan *plan, int argc, char **argv,
                                  struct tare_err *err) {
    struct tare_buf command = {0};
    enum tare_status status = TARE_OK;
    tare_buf_puts(&command, "tare");
    for (int i = 0; i < argc; i++) {
        tare_buf_puts(&command, " ");
        tare_buf_shell_word(&command, argv[i]);
    }
    if (command.failed)
        status = tare_fail(err, TARE_MEMORY, NULL, NULL, "no memory for the plan");
    else
        snprintf(plan->command, sizeof plan->command, "%s", command.data);
    tare_buf_free(&command);
    return status;
}

void cli_show_progress(void *context, const struct tare_progress *p) {
    (void)context;
    char text[2 * TARE_MAX_TEXT], left[40] = "", run[32] = "before run 1";
    bool terminal = isatty(STDERR_FILENO);
    if (p->left_s >= 0)
        snprintf(left, sizeof left, ", about %d:%02d left", (int)p->left_s / 60,
                 (int)p->left_s % 60);
    if (p->run >= 0)
        snprintf(run, sizeof run, "run %d", p->run + 1);
    int used = snprintf(text, sizeof text, "[%zu/%zu] %s: %s%s%s (%s): %s", p->done, p->total, run,
                        p->cell->engine, p->cell->variant[0] ? "/" : "", p->cell->variant,
                        p->cell->track, p->doing);
    size_t room = sizeof text - (size_t)used;
    if (!p->outcome) {
        snprintf(text + used, room, "%s", left);
        if (terminal)
            cli_progress(text);
        return;
    }
    if (p->outcome->state == TARE_STATE_OK) {
        double wall_s = (double)(p->outcome->end_ns - p->outcome->exec_ns) * 1e-9;
        snprintf(text + used, room, ": %.1f s%s", wall_s, left);
        if (!terminal)
            cli_progress(text);
        return;
    }
    snprintf(text + used, room, ": %s: %s", tare_state_name(p->outcome->state), p->outcome->reason);
    tare_make_plain(text);
    cli_progress_end(); /* a failure stays on the screen */
    fprintf(stderr, "%s\n", text);
}

char *cli_results_folder(const char *out) {
    char created[21], name[64];
    if (out)
        return strdup(out);
    tare_utc_text(created);
    for (char *c = created; *c; c++)
        if (*c == ':')
            *c = '-';
    snprintf(name, sizeof name, "results/%s", created);
    return strdup(name);
}
