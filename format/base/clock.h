/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the time that passes. */
#ifndef FVLM_FORMAT_BASE_CLOCK_H
#define FVLM_FORMAT_BASE_CLOCK_H

#include <time.h>

/* Seconds since some fixed moment; never goes back. */
static inline double fvlm_clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
