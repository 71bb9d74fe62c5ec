/* machine.h: what this machine is, as far as it matters for a measurement.
 *
 *     struct tare_machine machine;
 *     tare_machine_describe(&machine);     // takes 200 ms: it watches how busy the machine is
 *     if (machine.busy) …
 */
#ifndef TARE_MACHINE_H
#define TARE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#define TARE_BUSY_CPUS 0.2

struct tare_machine {
    char cpu[128];     /* "Intel(R) Xeon(R) …"; "unknown" where /proc doesn't say */
    char flags[256];   /* of the vector sets: "avx2 fma avx512f" */
    char kernel[128];  /* "Linux 6.1.0 x86_64" */
    char os[128];      /* "Debian GNU/Linux 12 (bookworm)" */
    char governor[32]; /* "performance"; "not visible" on most virtual machines */
    int cpus;          /* this process may use */
    size_t memory_bytes;
    double load1;  /* the kernel's load average over a minute */
    double others; /* CPUs in use by others while tare slept 200 ms */
    bool busy;     /* others > TARE_BUSY_CPUS: measurements will suffer */
};

/* Never fails: what cannot be read says so in its text. */
void tare_machine_describe(struct tare_machine *machine);

#endif
