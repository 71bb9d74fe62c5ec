/* machine.c: reads /proc and /sys for a description of the machine. */
#include "tare/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "tare/buf.h"

static void copy(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text);
    out[strcspn(out, "\n")] = '\0';
}

/* The first size - 1 bytes of a file of the kernel's, as a text; "" when it can't be read. Without
 * stdio: what a machine is must not depend on whether there is memory for a stream. */
static void read_start(char *out, size_t size, const char *path) {
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t got = fd < 0 ? 0 : tare_read_full(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = '\0';
}

/* The text after "key<spaces><separator>" in a file of such lines. */
static void find_line(char *out, size_t size, const char *path, const char *key, char separator) {
    char text[32768]; /* the first processor of many, and some */
    read_start(text, sizeof text, path);
    for (char *line = text, *end; line; line = end ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end)
            *end = '\0';
        char *value = strchr(line, separator);
        if (strncmp(line, key, strlen(key)) != 0 || !value)
            continue;
        value += 1 + strspn(value + 1, " \t\"");
        copy(out, size, value);
        out[strcspn(out, "\"")] = '\0';
        return;
    }
}

static void vector_sets(char *out, size_t size) {
    static const char *const interesting[] = {"sse4_2",   "avx",         "avx2",        "fma",
                                              "f16c",     "avx512f",     "avx512bw",    "avx512dq",
                                              "avx512vl", "avx512_vnni", "avx512_bf16", "amx_int8",
                                              "asimd",    "asimddp",     "sve"};
    char all[8000] = "", padded[8192];
    find_line(all, sizeof all, "/proc/cpuinfo", "flags", ':');
    if (!all[0])
        find_line(all, sizeof all, "/proc/cpuinfo", "Features", ':'); /* as ARM calls them */
    snprintf(padded, sizeof padded, " %s ", all);
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof interesting / sizeof interesting[0]; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", interesting[i]);
        if (strstr(padded, word) && used + strlen(word) < size)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", interesting[i]);
    }
}

/* CPU time of all processes of the machine, in clock ticks, from the first line of /proc/stat. */
static double busy_ticks(void) {
    char text[512];
    double user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
    read_start(text, sizeof text, "/proc/stat");
    int got = sscanf(text, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle,
                     &wait, &irq, &soft, &steal);
    return got == 8 ? user + nice + system + irq + soft + steal : NAN;
}

void tare_machine_describe(struct tare_machine *machine) {
    *machine = (struct tare_machine){.cpu = "unknown", .os = "unknown", .governor = "not visible"};
    double before = busy_ticks();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    double used = (busy_ticks() - before) / (double)sysconf(_SC_CLK_TCK) / 0.2;
    machine->others = isfinite(used) ? used : 0;
    machine->busy = machine->others > TARE_BUSY_CPUS;
    find_line(machine->cpu, sizeof machine->cpu, "/proc/cpuinfo", "model name", ':');
    find_line(machine->os, sizeof machine->os, "/etc/os-release", "PRETTY_NAME", '=');
    vector_sets(machine->flags, sizeof machine->flags);
    struct utsname name;
    if (uname(&name) == 0)
        snprintf(machine->kernel, sizeof machine->kernel, "%.30s %.60s %.30s", name.sysname,
                 name.release, name.machine);
    char governor[32];
    read_start(governor, sizeof governor, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (governor[0])
        copy(machine->governor, sizeof machine->governor, governor);
    cpu_set_t allowed;
    machine->cpus = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    machine->memory_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    if (getloadavg(&machine->load1, 1) != 1)
        machine->load1 = 0;
}
