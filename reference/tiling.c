/* SPDX-License-Identifier: Apache-2.0 */
/* tiling.c - which sizes a picture may be divided at: the config's, or the user's one. */
#include "reference/tiling.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TILES_A_SIDE = FVLM_MAX_SIDE / 64 };

/* A number of at most two digits, without a sign. */
static bool take_number(const char **at, uint32_t *out)
{
    *out = 0;
    size_t n = 0;
    for (; (*at)[n] >= '0' && (*at)[n] <= '9' && n < 3; n++) *out = 10 * *out + (uint32_t)((*at)[n] - '0');
    *at += n;
    return n > 0 && *out >= 1 && *out <= MAX_TILES_A_SIDE;
}

fvlm_status fvlm_tiling_parse(fvlm_tiling *out, const char *text, fvlm_err *err)
{
    const char *at = text;
    *out = (fvlm_tiling){.off = !strcmp(text, "off")};
    if (out->off) return FVLM_OK;
    const bool columns = take_number(&at, &out->columns), by = columns && *at == 'x';
    if (by) at++;
    if (by && take_number(&at, &out->rows) && *at == '\0') return FVLM_OK;
    *out = (fvlm_tiling){0};
    return fvlm_fail(err, FVLM_USAGE, "tiles \"%.40s\": should be columns x rows such as 2x2, each 1 to %d, or \"off\"",
                     text, MAX_TILES_A_SIDE);
}

fvlm_status fvlm_tiling_sizes(fvlm_tiling_choice *out, const fvlm_config *c, const fvlm_tiling *t, uint32_t side,
                              fvlm_err *err)
{
    *out = (fvlm_tiling_choice){.sizes = c->tiles.size, .n = t->off ? 0 : c->tiles.n_sizes};
    if (t->columns) {
        if ((uint64_t)t->columns * side > FVLM_MAX_SIDE || (uint64_t)t->rows * side > FVLM_MAX_SIDE)
            return fvlm_fail(err, FVLM_LIMIT,
                             "%" PRIu32 " x %" PRIu32 " tiles of %" PRIu32 " pixels make a picture of %" PRIu64
                             " x %" PRIu64 "; at most %d a side are supported",
                             t->columns, t->rows, side, (uint64_t)t->columns * side, (uint64_t)t->rows * side,
                             FVLM_MAX_SIDE);
        out->own[0][0] = t->columns * side;
        out->own[0][1] = t->rows * side;
        out->n = 1;
        out->sizes = NULL;
        return FVLM_OK;
    }
    for (size_t i = 0; i < out->n; i++)
        if (c->tiles.size[i][0] % side || c->tiles.size[i][1] % side)
            return fvlm_fail(err, FVLM_USAGE,
                             "image side %" PRIu32 ": the model divides pictures of %" PRIu32 " x %" PRIu32
                             " pixels, which tiles of that side do not fill; give another size, or the tiles",
                             side, c->tiles.size[i][0], c->tiles.size[i][1]);
    return FVLM_OK;
}
