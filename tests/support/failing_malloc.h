/* SPDX-License-Identifier: Apache-2.0 */
/* failing_malloc.h - own_malloc.h for tests that do the same work again and again, each time with another allocation
 * that fails. */
#ifndef FVLM_TESTS_SUPPORT_FAILING_MALLOC_H
#define FVLM_TESTS_SUPPORT_FAILING_MALLOC_H

#include "tests/support/check.h"
#include "tests/support/own_malloc.h"

/* While armed, allocations are counted from 1, and number fail_at fails, or that and all after it. */
static size_t count, fail_at;
static bool armed, and_all_after;
static long n_live_before;

/* k SIZE_MAX: none fails, they are only counted. */
static inline void test_arm(size_t k, bool all_after)
{
    count = 0;
    fail_at = k;
    and_all_after = all_after;
    n_live_before = test_n_live;
    armed = true;
}

/* Once everything is freed. Returns NULL, or what is wrong: another failure than "out of memory", or a leak. */
static inline const char *test_disarm(fvlm_status st, const fvlm_err *err)
{
    static char leak[64];
    armed = false;
    if (st && (st != FVLM_NOMEM || !strstr(err->msg, "out of memory"))) return err->msg;
    if (test_n_live == n_live_before) return NULL;
    snprintf(leak, sizeof leak, "%ld blocks of memory leak", test_n_live - n_live_before);
    return leak;
}

bool test_allocation_fails(void)
{
    if (!armed) return false;
    ++count;
    return count == fail_at || (and_all_after && count > fail_at);
}

#endif
