/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: every task runs exactly once, on a thread whose number is in range, whatever the counts; a run ends after
 * its last task; too many threads become FVLM_MAX_THREADS. Of several failures the lowest task's is returned. */
#include <stdatomic.h>

#include "tests/support/check.h"

#include "format/base/cpu.h"
#include "format/base/pool.h"

enum { N_MAX = 1000 };

typedef struct {
    atomic_uint times[N_MAX];
    atomic_uint bad_thread, n;
    unsigned threads;
} tally;

static void count(void *ctx, size_t i, unsigned thread)
{
    tally *t = ctx;
    t->times[i]++;
    t->n++;
    if (thread >= t->threads) t->bad_thread++;
}

static void run_all(fvlm_pool *pool)
{
    static const size_t counts[] = {0, 1, 2, 3, 63, 64, 65, N_MAX};
    for (size_t round = 0; round < 50; round++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            tally t = {.threads = fvlm_pool_threads(pool)};
            fvlm_pool_run(pool, counts[c], count, &t);
            assert_int_equal(t.n, counts[c]);
            assert_int_equal(t.bad_thread, 0);
            for (size_t i = 0; i < N_MAX; i++) assert_int_equal(t.times[i], i < counts[c]);
        }
}

static void once_each(void **state)
{
    (void)state;
    fvlm_err err;
    run_all(NULL);
    for (unsigned threads = 1; threads <= 9; threads += 2) {
        fvlm_pool *pool;
        must(fvlm_pool_create(&pool, threads, &err), &err);
        assert_int_equal(fvlm_pool_threads(pool), threads);
        run_all(pool);
        fvlm_pool_destroy(&pool);
        assert_null(pool);
        fvlm_pool_destroy(&pool);
    }
}

static void how_many(void **state)
{
    (void)state;
    static const unsigned asked[] = {0, FVLM_MAX_THREADS, FVLM_MAX_THREADS + 1, UINT32_MAX};
    const unsigned got[] = {fvlm_threads_available(), FVLM_MAX_THREADS, FVLM_MAX_THREADS, FVLM_MAX_THREADS};
    for (size_t i = 0; i < 4; i++) {
        fvlm_pool *pool;
        fvlm_err err;
        must(fvlm_pool_create(&pool, asked[i], &err), &err);
        assert_int_equal(fvlm_pool_threads(pool), got[i]);
        fvlm_pool_destroy(&pool);
    }
}

typedef struct {
    atomic_uint started[N_MAX];
    atomic_bool late_failed;
} attempts;

/* Fails from task 20 on, in every third; the lowest waits until a higher one has failed, if there is another thread. */
static fvlm_status fails_out_of_order(void *ctx, size_t i, unsigned thread, fvlm_err *err)
{
    attempts *a = ctx;
    (void)thread;
    a->started[i]++;
    if (i < 20 || i % 3 != 2) return FVLM_OK;
    for (unsigned k = 0; i == 20 && k < 10000000 && !a->late_failed; k++) continue;
    if (i > 20) a->late_failed = true;
    return fvlm_fail(err, FVLM_MISMATCH, "task %zu", i);
}

static void the_lowest_failure_is_returned(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 6; threads++) {
        fvlm_pool *pool = NULL;
        fvlm_err err = {0};
        attempts a = {.late_failed = false};
        if (threads) must(fvlm_pool_create(&pool, threads, &err), &err);
        assert_int_equal(fvlm_pool_try(pool, N_MAX, fails_out_of_order, &a, &err), FVLM_MISMATCH);
        assert_string_equal(err.msg, "task 20");
        assert_int_equal(fvlm_pool_try(pool, 20, fails_out_of_order, &a, &err), FVLM_OK);
        assert_int_equal(fvlm_pool_try(pool, 30, fails_out_of_order, &a, NULL), FVLM_MISMATCH);
        for (size_t i = 0; i < 20; i++) assert_int_equal(a.started[i], 3);
        assert_int_equal(a.started[N_MAX - 1], 0); /* long after the failure */
        fvlm_pool_destroy(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(once_each), cmocka_unit_test(the_lowest_failure_is_returned),
                                       cmocka_unit_test(how_many)};
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
