/* fuzz_net.c: the text of a net. What parses has a canonical text that parses to the same, and
 * parameters that survive a trip through safetensors. */
#include "fuzz.h"
#include "tare/net.h"
#include "tare/safetensors.h"

static void check_parameters(const struct tare_net *net) {
    struct tare_tensors tensors = {0};
    float *params = calloc(net->param_count + 1, sizeof *params);
    float *back = calloc(net->param_count + 1, sizeof *back);
    MUST(params != NULL && back != NULL);
    tare_net_init(params, net, 1);
    MUST(tare_net_to_tensors(&tensors, net, params, "u8/255", NULL, NULL) == TARE_OK);
    MUST(tare_net_from_tensors(back, net, &tensors, "fuzz", NULL) == TARE_OK);
    MUST(memcmp(params, back, net->param_count * sizeof *params) == 0);
    tare_tensors_free(&tensors);
    free(params);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct tare_net net, back;
    struct tare_err err = {0};
    char text[TARE_MAX_SPEC], again[TARE_MAX_SPEC];
    char *spec = as_text(bytes, size);
    if (tare_net_parse(&net, spec, &err) == TARE_OK) {
        size_t params = 0;
        for (int i = 0; i < net.tensor_count; i++) {
            MUST(net.tensors[i].offset == params);
            params += net.tensors[i].count;
        }
        MUST(net.param_count == params && params <= TARE_MAX_PARAMS);
        MUST(net.n_in > 0 && net.n_out > 0 && net.layer_count > 0);
        tare_net_text(text, &net);
        MUST(tare_net_parse(&back, text, NULL) == TARE_OK);
        tare_net_text(again, &back);
        MUST(strcmp(text, again) == 0);
        MUST(back.param_count == net.param_count && back.layer_count == net.layer_count);
        if (net.param_count <= 10000) /* larger ones would only be slower */
            check_parameters(&net);
    } else {
        MUST(err.status == TARE_USAGE && err.what[0] != '\0' && err.where[0] != '\0');
    }
    free(spec);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed) {
    static const char *const layers[] = {"dense:10", "dense:64:relu", "dense:65536", "relu",
                                         "784",      "28x28x1",       "dense",       "dense:0"};
    static const char *const parts[] = {"dense", "relu", "1", "65536", "65537", "x"};
    struct dice dice = dice_of(seed);
    struct tare_buf out = {0};
    if (mutate_plainly(&dice))
        return LLVMFuzzerMutate(data, size, max);
    if (roll(&dice, 3) > 0)
        mutate_words(&out, &dice, (const char *)data, size, ' ', layers, 8);
    else
        mutate_words(&out, &dice, (const char *)data, size, roll(&dice, 2) ? ':' : 'x', parts, 6);
    return mutate_give(data, max, &out);
}
