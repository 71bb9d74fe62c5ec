/* params.c: the block of parameters: drawn from a seed, and to and from safetensors. Loops over the
 * net's table of tensors; whose they are does not matter here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tare/net.h"
#include "tare/rng.h"
#include "tare/safetensors.h"

void tare_net_init(float *params, const struct tare_net *net, uint64_t seed) {
    struct tare_rng rng;
    tare_rng_seed(&rng, seed, TARE_STREAM_INIT);
    for (int i = 0; i < net->tensor_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i];
        float *values = params + tensor->offset;
        size_t fans = tensor->fan_in + tensor->fan_out;
        double limit = fans > 0 ? sqrt(6.0 / (double)fans) : 0.0;
        for (size_t k = 0; k < tensor->count; k++)
            values[k] = fans > 0 ? tare_rng_uniform(&rng, -limit, limit) : 0.0F;
    }
}

enum tare_status tare_net_to_tensors(struct tare_tensors *out, const struct tare_net *net,
                                     const float *params, const char *norm, const char *trained_by,
                                     struct tare_err *err) {
    char model[TARE_MAX_SPEC];
    enum tare_status status;
    *out = (struct tare_tensors){0};
    tare_net_text(model, net);
    if ((status = tare_tensors_set_metadata(out, "model", model, err)) != TARE_OK ||
        (norm && (status = tare_tensors_set_metadata(out, "norm", norm, err)) != TARE_OK) ||
        (trained_by &&
         (status = tare_tensors_set_metadata(out, "trained_by", trained_by, err)) != TARE_OK))
        goto fail;
    for (int i = 0; i < net->tensor_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i];
        struct tare_array array;
        status = tare_array_make(&array, TARE_F32, tensor->rank, tensor->shape, err);
        if (status != TARE_OK)
            goto fail;
        memcpy(array.data, params + tensor->offset, tensor->count * sizeof *params);
        status = tare_tensors_add(out, tensor->name, &array, err);
        tare_array_free(&array);
        if (status != TARE_OK)
            goto fail;
    }
    return TARE_OK;
fail:
    tare_tensors_free(out);
    return status;
}

/* "(784, 64)" for messages. */
static void shape_text(char *out, size_t size, int rank, const size_t *shape) {
    size_t used = (size_t)snprintf(out, size, "(");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, i ? ", %zu" : "%zu", shape[i]);
    if (used < size)
        snprintf(out + used, size - used, ")");
}

static enum tare_status check_tensor(const struct tare_net_tensor *wanted,
                                     const struct tare_array *found, const char *name,
                                     struct tare_err *err) {
    static const char *const hint = "the file belongs to another net; give the net it was made for";
    if (found->dtype != TARE_F32)
        return tare_fail(err, TARE_DATA, name, "weights are float32", "tensor %s is %s",
                         wanted->name, tare_dtype_safetensors(found->dtype));
    if (found->rank != wanted->rank ||
        memcmp(found->shape, wanted->shape, (size_t)wanted->rank * sizeof *found->shape) != 0) {
        char has[100], wants[100];
        shape_text(has, sizeof has, found->rank, found->shape);
        shape_text(wants, sizeof wants, wanted->rank, wanted->shape);
        return tare_fail(err, TARE_DATA, name, hint, "tensor %s has shape %s, the net wants %s",
                         wanted->name, has, wants);
    }
    return TARE_OK;
}

enum tare_status tare_net_check_params(const float *params, const struct tare_net *net,
                                       const char *name, struct tare_err *err) {
    for (int i = 0; i < net->tensor_count; i++) {
        const struct tare_net_tensor *tensor = &net->tensors[i];
        for (size_t k = 0; k < tensor->count; k++)
            if (!isfinite(params[tensor->offset + k]))
                return tare_fail(err, TARE_DATA, name,
                                 "train again; a run that diverged leaves these",
                                 "tensor %s: value %zu is not finite", tensor->name, k);
    }
    return TARE_OK;
}

enum tare_status tare_net_from_tensors(float *params, const struct tare_net *net,
                                       const struct tare_tensors *tensors, const char *name,
                                       struct tare_err *err) {
    for (int i = 0; i < net->tensor_count; i++) {
        const struct tare_net_tensor *wanted = &net->tensors[i];
        const struct tare_tensor *found = tare_tensors_find(tensors, wanted->name);
        if (!found)
            return tare_fail(err, TARE_DATA, name, "the file belongs to another net",
                             "there is no tensor %s", wanted->name);
        enum tare_status status = check_tensor(wanted, &found->array, name, err);
        if (status != TARE_OK)
            return status;
        memcpy(params + wanted->offset, found->array.data, wanted->count * sizeof *params);
    }
    /* Names are unique in both, so with all of ours found an equal count leaves no stranger. */
    if (tensors->count != (size_t)net->tensor_count)
        return tare_fail(err, TARE_DATA, name, "the file belongs to another net",
                         "the file has %zu tensors, the net %d", tensors->count, net->tensor_count);
    return tare_net_check_params(params, net, name, err);
}

enum tare_status tare_net_of_tensors(struct tare_net *net, float **params,
                                     const struct tare_tensors *tensors, const char *name,
                                     struct tare_err *err) {
    struct tare_err inner = {0};
    *params = NULL;
    const char *model = tare_tensors_metadata(tensors, "model");
    if (!model)
        return tare_fail(err, TARE_DATA, name, "give a file that tare wrote, or add the metadata",
                         "the metadata name no model");
    if (tare_net_parse(net, model, &inner) != TARE_OK)
        return tare_fail(err, TARE_DATA, name, inner.hint, "metadata %s: %s", inner.where,
                         inner.what);
    *params = calloc(net->param_count + 1, sizeof **params);
    if (!*params)
        return tare_fail(err, TARE_MEMORY, name, NULL, "no memory for %zu parameters",
                         net->param_count);
    enum tare_status status = tare_net_from_tensors(*params, net, tensors, name, err);
    if (status != TARE_OK) {
        free(*params);
        *params = NULL;
    }
    return status;
}

enum tare_status tare_net_read(struct tare_net *net, float **params, const char *path,
                               struct tare_err *err) {
    struct tare_tensors tensors = {0};
    *params = NULL;
    enum tare_status status = tare_safetensors_read(&tensors, path, err);
    if (status == TARE_OK)
        status = tare_net_of_tensors(net, params, &tensors, path, err);
    tare_tensors_free(&tensors);
    return status;
}

enum tare_status tare_net_write(const char *path, const struct tare_net *net, const float *params,
                                const char *norm, const char *trained_by, struct tare_err *err) {
    struct tare_tensors tensors = {0};
    enum tare_status status = tare_net_to_tensors(&tensors, net, params, norm, trained_by, err);
    if (status == TARE_OK)
        status = tare_safetensors_write(path, &tensors, err);
    tare_tensors_free(&tensors);
    return status;
}
