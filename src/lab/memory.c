/* memory.c: what is read from a file of samples, freed at once (read_samples.h). */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/read_samples.h"

#define TEXTS_BYTES ((size_t)16 << 10) /* texts are short and many: so many bytes at a time */

struct tare_memory_block {
    struct tare_memory_block *next;
    max_align_t data[];
};

void *tare_memory_take(struct tare_memory *memory, size_t count, size_t element_bytes) {
    size_t bytes = 0;
    struct tare_memory_block *block = NULL;
    if (!__builtin_mul_overflow(count > 0 ? count : 1, element_bytes, &bytes) &&
        bytes < SIZE_MAX - sizeof *block)
        block = calloc(1, sizeof *block + bytes);
    if (block == NULL) {
        memory->failed = true;
        return NULL;
    }
    block->next = memory->blocks;
    memory->blocks = block;
    return block->data;
}

char *tare_memory_printf(struct tare_memory *memory, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int size = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = size < 0 ? NULL : tare_memory_take(memory, (size_t)size + 1, 1);
    if (text == NULL) {
        memory->failed = true;
        return NULL;
    }
    va_start(args, fmt);
    vsnprintf(text, (size_t)size + 1, fmt, args);
    va_end(args);
    return text;
}

const char *tare_memory_text(struct tare_memory *memory, const char *text) {
    size_t size = strlen(text) + 1;
    if (size > memory->texts_left) {
        char *more = tare_memory_take(memory, size > TEXTS_BYTES ? size : TEXTS_BYTES, 1);
        if (more == NULL)
            return "";
        if (size > TEXTS_BYTES) /* by itself; what is left of the last block stays in use */
            return memcpy(more, text, size);
        memory->texts = more;
        memory->texts_left = TEXTS_BYTES;
    }
    char *copy = memory->texts;
    memory->texts += size;
    memory->texts_left -= size;
    return memcpy(copy, text, size);
}

void tare_memory_free(struct tare_memory *memory) {
    for (struct tare_memory_block *block = memory->blocks; block != NULL;) {
        struct tare_memory_block *next = block->next;
        free(block);
        block = next;
    }
    *memory = (struct tare_memory){0};
}
