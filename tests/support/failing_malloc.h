/* SPDX-License-Identifier: Apache-2.0 */
/* failing_malloc.h - own_malloc.h for tests that do the same work again and again, each time with another allocation
 * that fails. */
#ifndef FVLM_TESTS_SUPPORT_FAILING_MALLOC_H
#define FVLM_TESTS_SUPPORT_FAILING_MALLOC_H

#include "tests/support/own_malloc.h"

/* While armed, allocations are counted from 1, and number fail_at fails, or that and all after it. */
static size_t count, fail_at;
static bool armed, and_all_after;

bool test_allocation_fails(void)
{
    if (!armed) return false;
    ++count;
    return count == fail_at || (and_all_after && count > fail_at);
}

#endif
