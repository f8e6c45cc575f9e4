/* SPDX-License-Identifier: Apache-2.0 */
/* numbers.c - see numbers.h. */
#include "format/cli/numbers.h"

#include <inttypes.h>
#include <stdio.h>

static const char *scaled(uint64_t n, const char *suffix, char out[16])
{
    static const char unit[] = " kMGTPE";
    double v = (double)n;
    unsigned u = 0;
    for (; v >= 999.5; u++) v /= 1000;
    const int decimals = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
    snprintf(out, 16, "%.*f %c%s", decimals, v, unit[u], suffix);
    return out;
}

const char *fvlm_human_bytes(uint64_t n, char out[16])
{
    if (n >= 1000) return scaled(n, "B", out);
    snprintf(out, 16, "%" PRIu64 " B", n);
    return out;
}

const char *fvlm_human_count(uint64_t n, char out[16])
{
    if (n >= 10000) return scaled(n, "", out);
    snprintf(out, 16, "%" PRIu64, n);
    return out;
}
