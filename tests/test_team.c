/* test_team.c: threads that work together: every piece is done once, nobody passes a barrier early,
 * and too few processors or a long sleep only cost time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/team.h"

#define ROUNDS 300

struct count {
    struct tare_team *team;
    atomic_int arrived[ROUNDS], calls, early;
    bool sleepy;
};

static void work(void *context, int index) {
    struct count *count = context;
    int size = tare_team_size(count->team);
    atomic_fetch_add(&count->calls, 1);
    for (int round = 0; round < ROUNDS; round++) {
        if (count->sleepy && round % 50 == index)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        atomic_fetch_add(&count->arrived[round], 1);
        tare_team_barrier(count->team);
        if (atomic_load(&count->arrived[round]) != size)
            atomic_fetch_add(&count->early, 1);
    }
}

static void run(int threads, bool sleepy) {
    struct count count = {.sleepy = sleepy};
    assert_int_equal(tare_team_make(&count.team, threads, NULL), TARE_OK);
    for (int again = 1; again <= 3; again++) {
        for (int i = 0; i < ROUNDS; i++)
            atomic_store(&count.arrived[i], 0);
        tare_team_run(count.team, work, &count);
        assert_int_equal(atomic_load(&count.calls), again * threads);
        assert_int_equal(atomic_load(&count.early), 0);
        for (int i = 0; i < ROUNDS; i++)
            assert_int_equal(atomic_load(&count.arrived[i]), threads);
    }
    tare_team_free(count.team);
}

static void test_barrier(void **state) {
    (void)state;
    for (int threads = 1; threads <= 9; threads++)
        run(threads, false);
}

static void test_sleepers(void **state) {
    (void)state;
    run(2, true);
    run(5, true);
}

static void test_ends_unused(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct tare_team *team;
        assert_int_equal(tare_team_make(&team, 1 + i % 4, NULL), TARE_OK);
        tare_team_free(team);
    }
    tare_team_free(NULL);
}

static void test_refused(void **state) {
    (void)state;
    struct tare_team *team = (void *)&team;
    assert_int_equal(tare_team_make(&team, 0, NULL), TARE_USAGE);
    assert_null(team);
    assert_int_equal(tare_team_make(&team, TARE_MAX_TEAM + 1, NULL), TARE_USAGE);
}

static void test_share(void **state) {
    (void)state;
    for (size_t n = 0; n < 50; n++)
        for (int parts = 1; parts < 8; parts++) {
            size_t first, end, before = 0;
            for (int i = 0; i < parts; i++) {
                tare_team_share(&first, &end, n, parts, i);
                assert_int_equal(first, before);
                assert_true(end >= first && end - first <= n / (size_t)parts + 1);
                before = end;
            }
            assert_int_equal(before, n);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier),     cmocka_unit_test(test_sleepers),
        cmocka_unit_test(test_ends_unused), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
