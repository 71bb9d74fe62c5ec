/* int8_dispatch.c: which int8 kernels this machine can run; dispatch.c's neighbour. */
#include <string.h>

#include "kernel/int8.h"

static const struct tare_int8_kernels *const all[] = {
    &tare_int8_reference,
#ifdef __x86_64__
    &tare_int8_avx2,
    &tare_int8_vnni,
#endif
};
#define COUNT (sizeof all / sizeof all[0])

const struct tare_int8_kernels *tare_int8_kernels_at(size_t i) {
    return i < COUNT ? all[i] : NULL;
}

const struct tare_int8_kernels *tare_int8_kernels_find(const char *name) {
    for (size_t i = COUNT; i-- > 0;)
        if ((!name || strcmp(all[i]->name, name) == 0) && all[i]->available())
            return all[i];
    return NULL;
}
