/* SPDX-License-Identifier: Apache-2.0 */
/* splice.c - see splice.h. */
#include "reference/splice.h"

#include <string.h>

/* LLaVA's unpad_image: the rows or columns of the grid [height, width] that are more than padding. The expressions are
 * Python's. */
static void unpad(fvlm_splice *s, const fvlm_tiles *t, size_t width, size_t height)
{
    const double w = t->width, h = t->height, across = (double)width, down = (double)height;
    const bool flat = w / h > across / down; /* flatter than the grid */
    const size_t kept = (size_t)(flat ? h * (across / w) : w * (down / h)), whole = flat ? height : width;
    const size_t padding = kept < whole ? (whole - kept) / 2 : 0;
    *(flat ? &s->top : &s->left) = padding;
    *(flat ? &s->bottom : &s->right) = whole - padding;
}

/* Rows of the merged grid's line. */
static size_t line(const fvlm_splice *s)
{
    return s->right - s->left + (s->merge == FVLM_MERGE_UNPAD);
}

fvlm_splice fvlm_splice_plan(const fvlm_config *c, const fvlm_tiles *t)
{
    const size_t n = t->overview.side / c->vision.stride;
    fvlm_splice s = {.merge = c->tiles.n_sizes ? (fvlm_merge)c->tiles.merge : FVLM_MERGE_FLAT,
                     .side = n,
                     .columns = t->columns,
                     .bottom = t->rows * n,
                     .right = t->columns * n};
    if (!t->columns) s.merge = FVLM_MERGE_FLAT;
    if (s.merge == FVLM_MERGE_UNPAD) {
        unpad(&s, t, s.right, s.bottom);
        s.newlines = s.bottom - s.top;
    }
    s.tokens = n * n + (s.bottom - s.top) * line(&s);
    return s;
}

size_t fvlm_splice_copy(const fvlm_splice *s, size_t square, const float *from, size_t width, float *rows)
{
    const size_t n = s->side, all = n * n;
    size_t kept = 0;
    if (square == 0 || s->merge == FVLM_MERGE_FLAT) {
        memcpy(rows + square * all * width, from, all * width * sizeof *rows);
        return all;
    }
    const size_t top = (square - 1) / s->columns * n, left = (square - 1) % s->columns * n;
    for (size_t y = 0; y < n; y++)
        for (size_t x = 0; x < n; x++) {
            if (top + y < s->top || top + y >= s->bottom || left + x < s->left || left + x >= s->right) continue;
            const size_t to = all + (top + y - s->top) * line(s) + (left + x - s->left);
            memcpy(rows + to * width, from + (y * n + x) * width, width * sizeof *rows);
            kept++;
        }
    return kept;
}

void fvlm_splice_copy_newlines(const fvlm_splice *s, const float *newline, size_t width, float *rows)
{
    const size_t n = line(s);
    for (size_t i = 0; i < s->newlines; i++)
        memcpy(rows + (s->side * s->side + i * n + n - 1) * width, newline, width * sizeof *rows);
}
