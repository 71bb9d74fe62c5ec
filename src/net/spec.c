/* spec.c: the text of a net ("784 dense:64:relu dense:10") into struct tare_net. A small parser by
 * hand; it knows layers only through their rows in op.h. Every error names the character it stands
 * at. net.c writes the text back. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "net/op.h"
#include "tare/words.h"

#define GRAMMAR "INPUT LAYER…, as in \"784 dense:64:relu dense:10\" or \"28x28x1 dense:10\""

static const struct tare_op *const ops[] = {
#define X(name) &tare_op_##name,
    TARE_OP_LIST(X)
#undef X
};
enum { OP_COUNT = sizeof ops / sizeof ops[0] };

/* A piece of the text: spec[at … at + size). */
struct word {
    const char *text;
    size_t at, size;
};

/* Reports a word. Unprintable bytes are shown as '?': the text may come from a file. */
static enum tare_status fail_at(struct tare_err *err, const struct word *word, const char *problem,
                                const char *hint) {
    char shown[41], where[64];
    size_t size = word->size < sizeof shown - 1 ? word->size : sizeof shown - 1;
    for (size_t i = 0; i < size; i++)
        shown[i] = word->text[i] >= ' ' && word->text[i] <= '~' ? word->text[i] : '?';
    shown[size] = '\0';
    snprintf(where, sizeof where, "model, character %zu", word->at + 1);
    return tare_fail(err, TARE_USAGE, where, hint, "\"%s%s\" %s", shown,
                     size < word->size ? "…" : "", problem);
}

/* Cuts the word up to the separator (or the end) off the front of *rest; false when that was the
 * last one. */
static int cut(struct word *word, struct word *rest, char separator) {
    const char *end = memchr(rest->text, separator, rest->size);
    *word = *rest;
    if (end)
        word->size = (size_t)(end - rest->text);
    size_t step = word->size + (end != NULL);
    *rest = (struct word){rest->text + step, rest->at + step, rest->size - step};
    return end != NULL;
}

static enum tare_status parse_number(size_t *number, const struct word *word,
                                     struct tare_err *err) {
    static const char *const hint = "a number is written in digits, 1 to 65536";
    if (word->size == 0)
        return fail_at(err, word, "stands where a number is wanted", hint);
    *number = 0;
    for (size_t i = 0; i < word->size; i++) {
        if (word->text[i] < '0' || word->text[i] > '9')
            return fail_at(err, word, "is not a number", hint);
        *number = *number * 10 + (size_t)(word->text[i] - '0');
        if (*number > TARE_MAX_WIDTH)
            return fail_at(err, word, "is too large", hint);
    }
    if (*number == 0)
        return fail_at(err, word, "must be at least 1", hint);
    return TARE_OK;
}

static enum tare_status parse_input(struct tare_net *net, const struct word *word,
                                    struct tare_err *err) {
    struct word rest = *word, number;
    int more;
    do {
        if (net->in.rank == 3)
            return fail_at(err, word, "has too many sizes",
                           "the input is a number of values, or height x width x channels");
        more = cut(&number, &rest, 'x');
        enum tare_status status = parse_number(&net->in.dim[net->in.rank], &number, err);
        if (status != TARE_OK)
            return status;
        net->in.rank++;
    } while (more);
    if (net->in.rank == 2)
        return fail_at(err, word, "has two sizes",
                       "name the channels too: 28x28x1 (or 784 for a flat input)");
    net->n_in = net->n_out = tare_shape_values(&net->in);
    if (net->n_in > TARE_MAX_WIDTH)
        return fail_at(err, word, "is too large an input", "an input has at most 65536 values");
    return TARE_OK;
}

static enum tare_status find_op(const struct tare_op **op, const struct word *word,
                                struct tare_err *err) {
    char text[65] = "", hint[160];
    const char *names[OP_COUNT];
    for (size_t i = 0; i < OP_COUNT; i++) {
        *op = ops[i];
        names[i] = ops[i]->name;
        if (word->size == strlen(names[i]) && memcmp(word->text, names[i], word->size) == 0)
            return TARE_OK;
    }
    if (word->size < sizeof text)
        memcpy(text, word->text, word->size);
    const char *nearest = tare_nearest_word(text, names, OP_COUNT);
    size_t used = 0;
    if (nearest) {
        snprintf(hint, sizeof hint, "did you mean \"%s\"?", nearest);
    } else {
        used = (size_t)snprintf(hint, sizeof hint, "layers are:");
        for (size_t i = 0; i < OP_COUNT && used < sizeof hint; i++)
            used += (size_t)snprintf(hint + used, sizeof hint - used, " %s%s%s", names[i],
                                     *ops[i]->args ? ":" : "", ops[i]->args);
    }
    return fail_at(err, word, "is not a layer", hint);
}

/* Appends a layer of the given op; its numbers are cut off *rest, *more says whether any follow. */
static enum tare_status add_layer(struct tare_net *net, const struct tare_op *op,
                                  const struct word *word, struct word *rest, int *more,
                                  struct tare_err *err) {
    enum tare_status status;
    if (net->layer_count == TARE_MAX_LAYERS)
        return fail_at(err, word, "is one layer too many",
                       "a net has at most 32 layers; an activation counts as one");
    struct tare_layer layer = {.op = op, .first_tensor = -1, .param_offset = net->param_count};
    const struct tare_layer *previous =
        net->layer_count > 0 ? &net->layers[net->layer_count - 1] : NULL;
    layer.in = previous ? previous->out : net->in;
    layer.n_in = tare_shape_values(&layer.in);
    for (int i = 0; i < op->arg_count; i++) {
        char hint[128];
        struct word number;
        snprintf(hint, sizeof hint, "write %s:%s", op->name, op->args);
        if (!*more)
            return fail_at(err, word, "lacks its size", hint);
        *more = cut(&number, rest, ':');
        if ((status = parse_number(&layer.arg[i], &number, err)) != TARE_OK)
            return status;
    }
    struct tare_err inner = {0};
    if ((status = op->shape(net, &layer, &inner)) != TARE_OK)
        return fail_at(err, word, inner.what, inner.hint);
    layer.n_out = tare_shape_values(&layer.out);
    if (layer.n_out > TARE_MAX_WIDTH)
        return fail_at(err, word, "has too many outputs", "a layer has at most 65536");
    net->layers[net->layer_count++] = layer;
    net->n_out = layer.n_out;
    return TARE_OK;
}

/* LAYER: an op's name, its numbers, and at most one activation. */
static enum tare_status parse_layer(struct tare_net *net, const struct word *word,
                                    struct tare_err *err) {
    struct word rest = *word, name;
    const struct tare_op *op;
    enum tare_status status;
    int more = cut(&name, &rest, ':');
    if ((status = find_op(&op, &name, err)) != TARE_OK ||
        (status = add_layer(net, op, &name, &rest, &more, err)) != TARE_OK)
        return status;
    if (!more)
        return TARE_OK;
    const struct tare_op *activation;
    int was_activation = op->activation;
    more = cut(&name, &rest, ':');
    if ((status = find_op(&activation, &name, err)) != TARE_OK)
        return status;
    if (was_activation || !activation->activation || more)
        return fail_at(err, &name, "is not expected here",
                       "layers are separated by spaces; one activation may follow a colon");
    return add_layer(net, activation, &name, &rest, &more, err);
}

enum tare_status tare_net_parse(struct tare_net *net, const char *spec, struct tare_err *err) {
    size_t size = strnlen(spec, TARE_MAX_SPEC);
    if (size == TARE_MAX_SPEC)
        return tare_fail(err, TARE_USAGE, "model", GRAMMAR, "the text is longer than %d characters",
                         TARE_MAX_SPEC - 1);
    *net = (struct tare_net){0};
    struct word rest = {spec, 0, size}, word;
    int more;
    do {
        more = cut(&word, &rest, ' ');
        if (word.size == 0)
            continue; /* several spaces in a row */
        enum tare_status status =
            net->n_in == 0 ? parse_input(net, &word, err) : parse_layer(net, &word, err);
        if (status != TARE_OK)
            return status;
    } while (more);
    if (net->n_in == 0)
        return tare_fail(err, TARE_USAGE, "model", GRAMMAR, "the text is empty");
    if (net->layer_count == 0)
        return tare_fail(err, TARE_USAGE, "model", GRAMMAR, "the net has no layers");
    return TARE_OK;
}
