/* onnxruntime_abi.h: the part of ONNX Runtime's C interface that engines/onnxruntime.c calls.
 *
 * The Python package brings the shared library but no header, so the slots are declared here. The
 * library exports OrtGetApiBase() alone; it leads to a table of function pointers that only ever
 * grows at its end, and every slot below is in the table's first version (102 slots, frozen since
 * release 1.0). Positions and signatures were checked against
 * include/onnxruntime/core/session/onnxruntime_c_api.h and onnxruntime_c_api.cc of microsoft/
 * onnxruntime 1.17 (which asserts that ReleaseCustomOpDomain has position 101), and by running
 * 1.32.0. Asking GetApi for version 17 makes an older library refuse.
 */
#ifndef TARE_ONNXRUNTIME_ABI_H
#define TARE_ONNXRUNTIME_ABI_H

#include <stddef.h>
#include <stdint.h>

#define ORT_VERSION_WANTED 17

enum { ORT_LOG_ERROR = 3 };                              /* OrtLoggingLevel */
enum { ORT_TYPE_TENSOR = 1 };                            /* ONNXType */
enum { ORT_ELEMENT_FLOAT32 = 1, ORT_ELEMENT_UINT8 = 2 }; /* ONNXTensorElementDataType */
enum { ORT_ARENA_ALLOCATOR = 1, ORT_MEMORY_DEFAULT = 0 };

/* Opaque to us; NULL from a function that returns ort_status means success. */
typedef struct ort_status ort_status;
typedef struct ort_env ort_env;
typedef struct ort_session ort_session;
typedef struct ort_options ort_options;
typedef struct ort_type_info ort_type_info;
typedef struct ort_tensor_info ort_tensor_info; /* borrowed from an ort_type_info */
typedef struct ort_memory_info ort_memory_info;
typedef struct ort_allocator ort_allocator;
typedef struct ort_value ort_value;
typedef struct ort_run_options ort_run_options;

/* position, name, result, parameters */
#define ORT_SLOTS(X)                                                                               \
    X(2, GetErrorMessage, const char *, (const ort_status *))                                      \
    X(3, CreateEnv, ort_status *, (int level, const char *log_id, ort_env **))                     \
    X(7, CreateSession, ort_status *,                                                              \
      (const ort_env *, const char *path, const ort_options *, ort_session **))                    \
    X(9, Run, ort_status *,                                                                        \
      (ort_session *, const ort_run_options *, const char *const *input_names,                     \
       const ort_value *const *inputs, size_t n_inputs, const char *const *output_names,           \
       size_t n_outputs, ort_value **outputs))                                                     \
    X(10, CreateSessionOptions, ort_status *, (ort_options **))                                    \
    X(24, SetIntraOpNumThreads, ort_status *, (ort_options *, int threads))                        \
    X(25, SetInterOpNumThreads, ort_status *, (ort_options *, int threads))                        \
    X(30, SessionGetInputCount, ort_status *, (const ort_session *, size_t *))                     \
    X(31, SessionGetOutputCount, ort_status *, (const ort_session *, size_t *))                    \
    X(33, SessionGetInputTypeInfo, ort_status *,                                                   \
      (const ort_session *, size_t index, ort_type_info **))                                       \
    X(34, SessionGetOutputTypeInfo, ort_status *,                                                  \
      (const ort_session *, size_t index, ort_type_info **))                                       \
    X(36, SessionGetInputName, ort_status *,                                                       \
      (const ort_session *, size_t index, ort_allocator *, char **))                               \
    X(37, SessionGetOutputName, ort_status *,                                                      \
      (const ort_session *, size_t index, ort_allocator *, char **))                               \
    X(49, CreateTensorWithDataAsOrtValue, ort_status *,                                            \
      (const ort_memory_info *, void *data, size_t bytes, const int64_t *shape, size_t rank,       \
       int element, ort_value **))                                                                 \
    X(55, CastTypeInfoToTensorInfo, ort_status *,                                                  \
      (const ort_type_info *, const ort_tensor_info **))                                           \
    X(56, GetOnnxTypeFromTypeInfo, ort_status *, (const ort_type_info *, int *type))               \
    X(60, GetTensorElementType, ort_status *, (const ort_tensor_info *, int *element))             \
    X(61, GetDimensionsCount, ort_status *, (const ort_tensor_info *, size_t *))                   \
    X(62, GetDimensions, ort_status *, (const ort_tensor_info *, int64_t *, size_t rank))          \
    X(69, CreateCpuMemoryInfo, ort_status *, (int allocator, int memory, ort_memory_info **))      \
    X(76, AllocatorFree, ort_status *, (ort_allocator *, void *))                                  \
    X(78, GetAllocatorWithDefaultOptions, ort_status *, (ort_allocator **))                        \
    X(93, ReleaseStatus, void, (ort_status *))                                                     \
    X(94, ReleaseMemoryInfo, void, (ort_memory_info *))                                            \
    X(95, ReleaseSession, void, (ort_session *))                                                   \
    X(96, ReleaseValue, void, (ort_value *))                                                       \
    X(98, ReleaseTypeInfo, void, (ort_type_info *))                                                \
    X(100, ReleaseSessionOptions, void, (ort_options *))

/* The slots we use, under their names; filled from the table by position. */
struct ort_api {
#define X(position, name, result, parameters) result(*name) parameters;
    ORT_SLOTS(X)
#undef X
};

/* What OrtGetApiBase() returns: these two, in this order, for ever. The table is an array of
 * function pointers of many types, read slot by slot. */
struct ort_api_base {
    void *const *(*get_api)(uint32_t version);
    const char *(*get_version_string)(void);
};

#endif
