/* SPDX-License-Identifier: Apache-2.0 */
/* suggest.c - how much two names differ, for "did you mean". */
#include <string.h>

#include "format/cli/cli.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t fvlm_cli_edit_distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > FVLM_CLI_SUGGEST_MAX || nb > FVLM_CLI_SUGGEST_MAX) return FVLM_CLI_SUGGEST_MAX;
    size_t d[FVLM_CLI_SUGGEST_MAX + 1][FVLM_CLI_SUGGEST_MAX + 1];
    for (size_t i = 0; i <= na; i++) d[i][0] = i;
    for (size_t j = 0; j <= nb; j++) d[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            size_t replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = smaller(replace, smaller(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[na][nb];
}
