/* fail_nth.h: what the driver (faults.c) and the shim inside tare (fail_nth.so.c) share: a page of
 * memory, through which the driver says which allocation is to fail and the shim says what it saw.
 */
#ifndef TARE_TORTURE_FAIL_NTH_H
#define TARE_TORTURE_FAIL_NTH_H

#define FAIL_NTH_FD "FAIL_NTH_FD" /* environment: the descriptor of the shared page */
#define FAIL_NTH_FRAMES 48

/* fsync of these descriptors, which nobody has, tells the driver where tare's own work begins and
 * ends: before lies the loader, after it the sanitisers' search for leaks. */
#define FAIL_NTH_BEGIN (-7461)
#define FAIL_NTH_END (-7462)

struct fail_nth {
    /* From the driver. */
    long fail_at; /* counted from 1; 0: none */
    int persist;  /* every later one fails too */
    /* From the shim. */
    long count; /* allocations so far */
    int frames; /* of the first that failed: return addresses, as offsets into tare's program, or 0
                   where the code isn't tare's */
    unsigned long frame[FAIL_NTH_FRAMES];
    char libraries[400]; /* "inner<outer<": functions of libraries that tare had called */
};

#endif
