/* dispatch.c: which kernels this machine can run. __builtin_cpu_supports asks CPUID for the
 * instructions and XGETBV whether the system saves their registers. */
#include <string.h>

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include "kernel/kernel.h"

static const struct tare_kernels *const all[] = {
    &tare_kernels_reference,
#ifdef __x86_64__
    &tare_kernels_avx2,
    &tare_kernels_avx512,
#endif
};
#define COUNT (sizeof all / sizeof all[0])

const struct tare_kernels *tare_kernels_at(size_t i) {
    return i < COUNT ? all[i] : NULL;
}

const struct tare_kernels *tare_kernels_best(void) {
    size_t i = COUNT - 1;
    while (!all[i]->available())
        i--;
    return all[i];
}

const struct tare_kernels *tare_kernels_find(const char *name) {
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(all[i]->name, name) == 0 && all[i]->available())
            return all[i];
    return NULL;
}

size_t tare_record_words(size_t n_in) {
    size_t groups = (n_in + TARE_GROUP - 1) / TARE_GROUP;
    return (groups + 31) / 32 + groups + TARE_RECORD_SPARE;
}

#define FLUSH_AND_IGNORE 0x8040U /* MXCSR: results to zero, operands as zero */

unsigned tare_denormals_flush(void) {
#ifdef __x86_64__
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_AND_IGNORE);
    return before;
#else
    return 0;
#endif
}

void tare_denormals_restore(unsigned before) {
#ifdef __x86_64__
    _mm_setcsr(before);
#else
    (void)before;
#endif
}
