/* native_layers.c: which layers the native engine computes, how they lie in panels, and the memory
 * they lie in: for training and for inference. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/native.h"
#include "net/op.h"

size_t native_round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

bool tare_native_can_train(const struct tare_net *net) {
    bool may_relu = false;
    for (int l = 0; l < net->layer_count; l++) {
        bool dense = net->layers[l].op == &tare_op_dense;
        if (!dense && !(may_relu && net->layers[l].op == &tare_op_relu))
            return false;
        may_relu = dense;
    }
    return net->layer_count > 0;
}

enum tare_status native_check_net(const struct tare_net *net, struct tare_err *err) {
    if (tare_native_can_train(net))
        return TARE_OK;
    return tare_fail(err, TARE_USAGE, "model", "the variant reference, which computes any net",
                     "the native engine computes dense layers, each with or without a relu");
}

const struct tare_kernels *native_kernels(const char *name, struct tare_err *err) {
    const struct tare_kernels *kernels = name ? tare_kernels_find(name) : tare_kernels_best();
    if (!kernels)
        tare_fail(err, TARE_USAGE, "kernels", "leave them out",
                  "this machine has no kernels \"%.40s\"", name);
    return kernels;
}

bool tare_native_has_kernels(const char *name) {
    return tare_kernels_find(name) != NULL;
}

const char *tare_native_kernels(const char *name) {
    return name ? name : tare_kernels_best()->name;
}

static void choose_panels(struct native_layer *layer, int lanes, int parts) {
    size_t one = (size_t)lanes, wide = 2 * one;
    bool two = layer->n_out > one && native_round_up(layer->n_out, wide) / wide >= (size_t)parts;
    layer->vectors = two ? 2 : 1;
    layer->width = two ? wide : one;
    layer->panels = native_round_up(layer->n_out, layer->width) / layer->width;
}

int native_layers_of(struct native_layer layers[TARE_MAX_LAYERS], const struct tare_net *net,
                     int lanes, int first_parts, int parts) {
    size_t x_width = TARE_MAX_PANEL;
    int count = 0;
    for (int l = 0; l < net->layer_count; l++) {
        const struct tare_layer *from = &net->layers[l];
        if (from->op == &tare_op_relu) {
            layers[count - 1].relu = true;
            continue;
        }
        struct native_layer *layer = &layers[count++];
        *layer = (struct native_layer){.n_in = from->n_in,
                                       .n_out = from->n_out,
                                       .offset = from->param_offset,
                                       .x_width = x_width,
                                       .rows = native_round_up(from->n_in, x_width)};
        choose_panels(layer, lanes, count == 1 ? first_parts : parts);
        x_width = layer->width;
    }
    return count;
}

void native_layer_set(const struct native_layer *layer, const float *params) {
    const float *from = params + layer->offset;
    for (size_t i = 0; i < layer->n_in; i++)
        for (size_t j = 0; j < layer->n_out; j++)
            layer->w.p[(j / layer->width * layer->rows + i) * layer->width + j % layer->width] =
                *from++;
    memcpy(layer->b.p, from, layer->n_out * sizeof *from);
}

/* In huge pages where the system gives them: one entry of the address cache in place of 512, and
 * lines that lie side by side don't compete for the same places of a physically addressed cache. */
#define CHUNK_BYTES ((size_t)2 << 20)

static bool add_chunk(struct native_memory *memory, size_t bytes) {
    void **more = realloc(memory->chunks, (memory->count + 1) * sizeof *more);
    if (!more)
        return false;
    memory->chunks = more;
    char *chunk = calloc(bytes + CHUNK_BYTES, 1);
    if (!chunk)
        return false;
    char *start = chunk + (CHUNK_BYTES - (uintptr_t)chunk % CHUNK_BYTES);
    madvise(start, bytes, MADV_HUGEPAGE); /* a wish: where it fails, pages are small */
    memory->chunks[memory->count++] = chunk;
    memory->at = start;
    memory->left = bytes;
    return true;
}

void *native_allocate(struct native_memory *memory, size_t count, size_t size) {
    size_t bytes = native_round_up(count * size + 1, TARE_LINE_BYTES);
    if (bytes > memory->left && !add_chunk(memory, native_round_up(bytes, CHUNK_BYTES)))
        return NULL;
    void *block = memory->at;
    memory->at += bytes;
    memory->left -= bytes;
    return block;
}

void native_release(struct native_memory *memory) {
    for (size_t i = 0; i < memory->count; i++)
        free(memory->chunks[i]);
    free(memory->chunks);
    *memory = (struct native_memory){0};
}
