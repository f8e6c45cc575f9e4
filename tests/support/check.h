/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - what every cmocka program includes: cmocka, the headers it needs before it, and must(). */
#ifndef FVLM_TESTS_SUPPORT_CHECK_H
#define FVLM_TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/base/base.h"

/* Sanitizers slow the longest loops down by five and more: there they take every N-th case. The plain build takes all. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define UNDER_SANITIZER(n) (n)
#else
#define UNDER_SANITIZER(n) 1
#endif

/* Fails the test with the error's message unless st is FVLM_OK. */
static inline void must(fvlm_status st, const fvlm_err *err)
{
    if (st) fail_msg("%s", err->msg);
}

#endif
