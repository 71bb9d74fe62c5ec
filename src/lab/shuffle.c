/* shuffle.c: draws renumberings of a net's values (shuffle.h). The table of ops below is all that
 * the certificate knows about layers; an op that is not in it keeps its numbers, which is always
 * right and only makes the references less different from each other. */
#include "lab/shuffle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* weight: (n_in, n_out), then bias: (n_out). in, out: the renumberings of the layer's values. */
static void dense_params(int32_t *map, const struct tare_layer *layer, const int32_t *in,
                         const int32_t *out) {
    size_t n_in = layer->n_in, n_out = layer->n_out;
    int32_t base = (int32_t)layer->param_offset, columns = (int32_t)n_out;
    for (size_t i = 0; i < n_in; i++)
        for (size_t j = 0; j < n_out; j++)
            map[i * n_out + j] = base + in[i] * columns + out[j];
    for (size_t j = 0; j < n_out; j++)
        map[n_in * n_out + j] = base + (int32_t)n_in * columns + out[j];
}

struct rule {
    const char *op;
    bool elementwise; /* value i of its output depends on value i of its input alone */
    void (*params)(int32_t *map, const struct tare_layer *layer, const int32_t *in,
                   const int32_t *out);
};

static const struct rule rules[] = {
    {"dense", false, dense_params},
    {"relu", true, NULL},
};

static const struct rule *rule_of(const struct tare_layer *layer) {
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].op, tare_layer_op_name(layer)) == 0)
            return &rules[i];
    return NULL;
}

/* free_at[l]: the values between layer l − 1 and layer l may be renumbered. Elementwise layers tie
 * both their sides together, so a side that must stay holds the other: looked at from both ends. */
static void find_freedom(bool free_at[TARE_MAX_LAYERS + 1], const struct tare_net *net) {
    int count = net->layer_count;
    for (int l = 0; l <= count; l++)
        free_at[l] = true;
    for (int l = 0; l < count; l++)
        if (!rule_of(&net->layers[l]))
            free_at[l] = free_at[l + 1] = false;
    for (int l = 0; l < count; l++)
        if (!rule_of(&net->layers[l]) || rule_of(&net->layers[l])->elementwise)
            free_at[l + 1] = free_at[l + 1] && free_at[l];
    for (int l = count - 1; l >= 0; l--)
        if (!rule_of(&net->layers[l]) || rule_of(&net->layers[l])->elementwise)
            free_at[l] = free_at[l] && free_at[l + 1];
}

static void identity(int32_t *map, size_t n) {
    for (size_t i = 0; i < n; i++)
        map[i] = (int32_t)i;
}

/* at: layer_count + 1 renumberings, cut from one block. */
static void draw(int32_t *at[TARE_MAX_LAYERS + 1], const struct tare_net *net,
                 struct tare_rng *rng) {
    bool free_at[TARE_MAX_LAYERS + 1];
    find_freedom(free_at, net);
    for (int l = 0; l <= net->layer_count; l++) {
        const struct tare_layer *before = l > 0 ? &net->layers[l - 1] : NULL;
        size_t n = before ? before->n_out : net->n_in;
        const struct rule *rule = before ? rule_of(before) : NULL;
        if (rule && rule->elementwise)
            memcpy(at[l], at[l - 1], n * sizeof *at[l]);
        else {
            identity(at[l], n);
            if (rng && free_at[l])
                tare_rng_shuffle(rng, at[l], n);
        }
    }
}

static void map_params(struct tare_shuffle *shuffle, const struct tare_net *net,
                       int32_t *const at[TARE_MAX_LAYERS + 1]) {
    identity(shuffle->params, net->param_count);
    for (int l = 0; l < net->layer_count; l++) {
        const struct rule *rule = rule_of(&net->layers[l]);
        if (rule && rule->params)
            rule->params(shuffle->params + net->layers[l].param_offset, &net->layers[l], at[l],
                         at[l + 1]);
    }
}

enum tare_status tare_shuffle_make(struct tare_shuffle *shuffle, const struct tare_net *net,
                                   struct tare_rng *rng, struct tare_err *err) {
    size_t values = net->n_in;
    for (int l = 0; l < net->layer_count; l++)
        values += net->layers[l].n_out;
    *shuffle = (struct tare_shuffle){
        .input = calloc(net->n_in, sizeof *shuffle->input),
        .output = calloc(net->n_out, sizeof *shuffle->output),
        .params = calloc(net->param_count + 1, sizeof *shuffle->params),
    };
    int32_t *block = calloc(values, sizeof *block);
    if (!shuffle->input || !shuffle->output || !shuffle->params || !block) {
        free(block);
        return tare_fail(err, TARE_MEMORY, "certificate", NULL, "no memory to renumber %zu values",
                         values);
    }
    int32_t *at[TARE_MAX_LAYERS + 1] = {block};
    for (int l = 0; l < net->layer_count; l++)
        at[l + 1] = at[l] + net->layers[l].n_in;
    draw(at, net, rng);
    map_params(shuffle, net, at);
    memcpy(shuffle->input, at[0], net->n_in * sizeof *block);
    memcpy(shuffle->output, at[net->layer_count], net->n_out * sizeof *block);
    free(block);
    return TARE_OK;
}

void tare_shuffle_free(struct tare_shuffle *shuffle) {
    free(shuffle->input);
    free(shuffle->output);
    free(shuffle->params);
    *shuffle = (struct tare_shuffle){0};
}
