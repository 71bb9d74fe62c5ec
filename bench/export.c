/* export.c: how long tare takes to export the study's net, from weights in memory to a file on the
 * disk, in each format.
 *
 *     build/bench_export
 */
#include <stdio.h>
#include <stdlib.h>

#include "../tests/temporary.h"
#include "tare/clock.h"
#include "tare/export.h"
#include "tare/stats.h"

#define REPEATS 101
#define NET "784 dense:64:relu dense:10"

static void stop_with(const struct tare_err *err) {
    tare_err_print(stderr, err);
    exit(tare_exit_code(err->status));
}

static void measure(const char *dir, enum tare_export_format format, const struct tare_net *net,
                    const float *params, bool to_disk) {
    static double ms[REPEATS];
    const struct tare_export_options options = {.trained_by = "native 0.1.0", .dataset = "MNIST"};
    const char *name = tare_export_format_name(format);
    struct tare_err err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/model.%s", dir, name);
    for (int i = 0; i < REPEATS; i++) {
        struct tare_buf file = {0};
        int64_t start_ns = tare_now_ns();
        enum tare_status status =
            to_disk ? tare_export_write(path, format, net, params, &options, &err)
                    : tare_export_bytes(&file, format, net, params, &options, &err);
        ms[i] = (double)(tare_now_ns() - start_ns) * 1e-6;
        tare_buf_free(&file);
        if (status != TARE_OK)
            stop_with(&err);
    }
    struct tare_stat s = tare_median_interval(ms, REPEATS);
    printf(".%-7s %-22s %8.3f ms  (%.3f … %.3f)\n", name,
           to_disk ? "to the disk, fsynced" : "to memory", s.median, s.lo, s.hi);
}

int main(void) {
    struct tare_err err = {0};
    struct tare_net net;
    if (tare_net_parse(&net, NET, &err) != TARE_OK)
        stop_with(&err);
    float *params = calloc(net.param_count, sizeof *params);
    if (!params)
        return 3;
    tare_net_init(params, &net, 1);
    char *dir = temporary_make();
    printf("tare export of %s, %d repeats: median and 95 %% interval\n", NET, REPEATS);
    for (int f = 0; f < TARE_EXPORT_FORMAT_COUNT; f++) {
        measure(dir, (enum tare_export_format)f, &net, params, false);
        measure(dir, (enum tare_export_format)f, &net, params, true);
    }
    temporary_remove(dir);
    free(params);
    return 0;
}
