/* npy.h: the header of a .npy file, for npy.c and for the readers of data sets, which accept more
 * element types (any integer for labels) than tare keeps in memory.
 */
#ifndef TARE_BASE_NPY_H
#define TARE_BASE_NPY_H

#include <stdbool.h>
#include <stddef.h>

#include "tare/array.h"

/* The longest prefix of a file that can matter to npy_header_parse. */
#define TARE_MAX_NPY_HEADER_BYTES 65536
#define TARE_MAX_NPY_PREFIX_BYTES (TARE_MAX_NPY_HEADER_BYTES + 12)

struct tare_npy_header {  /* an IDX header (src/data/idx.c) is read into one too */
    char descr[16];       /* as written: "<f4" */
    char byte_order;      /* '<', '>' or '|' */
    char kind;            /* 'u', 'i', 'f' … */
    size_t element_bytes; /* 1 … 8 */
    int rank;
    size_t shape[TARE_MAX_RANK];
    size_t count;    /* elements; count × element_bytes is at most TARE_MAX_ARRAY_BYTES */
    size_t descr_at; /* byte of the descriptor in the file, for messages */
    size_t data_offset;
};

/* Parses the header at the start of `size` bytes: a whole file, or at least its first
 * TARE_MAX_NPY_PREFIX_BYTES. Knows nothing of tare's own element types. */
enum tare_status tare_npy_header_parse(struct tare_npy_header *header, const void *bytes,
                                       size_t size, const char *name, struct tare_err *err);

/* TARE_OK when file_bytes is exactly what the header promises; else an error that says which. */
enum tare_status tare_npy_size_check(const struct tare_npy_header *header, size_t file_bytes,
                                     const char *name, struct tare_err *err);

#endif
