/* litert_abi.h: the part of LiteRT's C interface that engines/litert.c calls.
 *
 * The Python package brings libLiteRt.so but no header, so the functions are declared here and
 * looked up by name. Signatures, enum values and the two structs were checked against the headers
 * in litert/c of google-ai-edge/LiteRT 2.2.0 (litert_layout.h asserts a size of 68,
 * litert_model_types.h of 72 bytes), and by running 2.3.0.
 */
#ifndef TARE_LITERT_ABI_H
#define TARE_LITERT_ABI_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITERT_OK = 0 };
enum { LITERT_CPU = 1 };                       /* a bit of the set of accelerators */
enum { LITERT_FLOAT32 = 1, LITERT_UINT8 = 3 }; /* element types */
enum { LITERT_RANKED_TENSOR = 0 };             /* kind of tensor type */
#define LITERT_MAX_RANK 8
#define LITERT_ALIGNMENT 64 /* of host memory handed to LiteRT, in bytes */

struct litert_layout {
    unsigned rank : 7, has_strides : 1;
    int32_t dims[LITERT_MAX_RANK]; /* negative: free */
    uint32_t strides[LITERT_MAX_RANK];
};
struct litert_tensor_type {
    int element;
    struct litert_layout layout;
};
static_assert(sizeof(struct litert_layout) == 68, "LiteRtLayout");
static_assert(sizeof(struct litert_tensor_type) == 72, "LiteRtRankedTensorType");

/* Opaque to us. */
typedef struct litert_environment litert_environment;
typedef struct litert_model litert_model;
typedef struct litert_signature litert_signature; /* this and the tensor: borrowed from the model */
typedef struct litert_tensor litert_tensor;
typedef struct litert_options litert_options;
typedef struct litert_opaque litert_opaque;
typedef struct litert_compiled litert_compiled;
typedef struct litert_buffer litert_buffer;

/* name after LiteRt, result, parameters. An int result is a status: 0 is success. */
#define LITERT_FUNCTIONS(X)                                                                        \
    X(CreateEnvironment, int, (int n_options, const void *options, litert_environment **))         \
    X(CreateModelFromBuffer, int,                                                                  \
      (litert_environment *, const void *bytes, size_t size, litert_model **))                     \
    X(DestroyModel, void, (litert_model *))                                                        \
    X(GetNumModelSignatures, int, (litert_model *, size_t *))                                      \
    X(GetModelSignature, int, (litert_model *, size_t index, litert_signature **))                 \
    X(GetNumSignatureInputs, int, (litert_signature *, size_t *))                                  \
    X(GetNumSignatureOutputs, int, (litert_signature *, size_t *))                                 \
    X(GetSignatureInputTensorByIndex, int, (litert_signature *, size_t index, litert_tensor **))   \
    X(GetSignatureOutputTensorByIndex, int, (litert_signature *, size_t index, litert_tensor **))  \
    X(GetTensorTypeId, int, (litert_tensor *, int *kind))                                          \
    X(GetRankedTensorType, int, (litert_tensor *, struct litert_tensor_type *))                    \
    X(CreateOptions, int, (litert_options **))                                                     \
    X(DestroyOptions, void, (litert_options *))                                                    \
    X(SetOptionsHardwareAccelerators, int, (litert_options *, int accelerators))                   \
    X(CreateOpaqueOptions, int,                                                                    \
      (const char *name, void *text, void (*free_text)(void *), litert_opaque **))                 \
    X(DestroyOpaqueOptions, void, (litert_opaque *))                                               \
    X(AddOpaqueOptions, int, (litert_options *, litert_opaque *)) /* takes the second over */      \
    X(CreateCompiledModel, int,                                                                    \
      (litert_environment *, litert_model *, litert_options *, litert_compiled **))                \
    X(DestroyCompiledModel, void, (litert_compiled *))                                             \
    X(CompiledModelResizeInputTensor, int,                                                         \
      (litert_compiled *, size_t signature, size_t input, const int *dims, size_t rank))           \
    X(GetCompiledModelOutputTensorLayouts, int,                                                    \
      (litert_compiled *, size_t signature, size_t n, struct litert_layout *, bool allocate))      \
    X(CreateTensorBufferFromHostMemory, int,                                                       \
      (const struct litert_tensor_type *, void *memory, size_t bytes, void (*release)(void *),     \
       litert_buffer **))                                                                          \
    X(DestroyTensorBuffer, void, (litert_buffer *))                                                \
    X(RunCompiledModel, int,                                                                       \
      (litert_compiled *, size_t signature, size_t n_inputs, litert_buffer * *inputs,              \
       size_t n_outputs, litert_buffer * *outputs))

struct litert_api {
#define X(name, result, parameters) result(*name) parameters;
    LITERT_FUNCTIONS(X)
#undef X
};

#endif
