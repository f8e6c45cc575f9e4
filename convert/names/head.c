/* SPDX-License-Identifier: Apache-2.0 */
/* head.c - see head.h. */
#include "convert/names/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/elements.h"

#define BLOCK ((size_t)1 << 16) /* elements at a time */

/* Whether rounding x to 'type' gives y. */
static bool rounds_to(unsigned type, double x, double y)
{
    uint8_t bytes[4];
    double back;
    if (fvlm_elements_encode(fvlm_elements_keep(type), &x, 1, bytes) < 1) return false;
    fvlm_elements_decode(type, bytes, 1, &back);
    return back == y;
}

typedef struct {
    uint8_t raw[2][4 * BLOCK];
    double x[2][BLOCK];
} buffers;

/* Compares n elements; returns the index of the first that differs by more than rounding, n if none does. */
static size_t compare_block(fvlm_head_likeness *out, buffers *b, const unsigned type[2], size_t n)
{
    if (type[0] == type[1] && !memcmp(b->raw[0], b->raw[1], n * fvlm_source_type_bytes(type[0]))) return n;
    for (int k = 0; k < 2; k++) fvlm_elements_decode(type[k], b->raw[k], n, b->x[k]);
    for (size_t i = 0; i < n; i++) {
        const double e = b->x[0][i], h = b->x[1][i];
        if (e == h) continue;
        out->equal = false;
        if (type[0] == type[1] || !(rounds_to(type[0], h, e) || rounds_to(type[1], e, h))) return i;
    }
    return n;
}

fvlm_status fvlm_head_compare(fvlm_head_likeness *out, const fvlm_source *src, const fvlm_source_tensor *embed,
                              const fvlm_source_tensor *head, uint64_t rows, fvlm_err *err)
{
    const fvlm_source_tensor *const t[] = {embed, head};
    const unsigned type[] = {embed->type, head->type};
    const uint64_t total = rows * embed->dims[1]; /* part of a tensor whose size was checked */
    *out = (fvlm_head_likeness){.equal = true, .equal_rounded = true};
    buffers *b = fvlm_alloc(1, sizeof *b);
    fvlm_status st = b ? FVLM_OK : fvlm_fail_nomem(err);
    for (uint64_t at = 0; !st && out->equal_rounded && at < total; at += BLOCK) {
        const size_t n = total - at < BLOCK ? (size_t)(total - at) : BLOCK;
        for (int k = 0; k < 2 && !st; k++) {
            const size_t size = fvlm_source_type_bytes(type[k]);
            st = fvlm_source_read(src, t[k], at * size, n * size, b->raw[k], err);
        }
        const size_t same = st ? n : compare_block(out, b, type, n);
        if (same == n) continue;
        out->equal_rounded = false;
        out->first_row = (at + same) / embed->dims[1];
        for (int k = 0; k < 2 && !st; k++) /* the likelier fault */
            if (!isfinite(b->x[k][same])) st = fvlm_elements_not_finite(t[k], at + same, err);
    }
    free(b);
    return st;
}
