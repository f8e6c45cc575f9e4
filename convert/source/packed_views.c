/* SPDX-License-Identifier: Apache-2.0 */
/* packed_views.c - packed modules as views: their rows as floats, or as codes of our types. */
#include <stdlib.h>
#include <string.h>

#include "convert/source/packed_internal.h"

#define CHUNK ((size_t)1 << 18) /* codes at a time */

/* The values of e2m1. */
static const float fp4[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

/* A row of values from its codes. Each product of a code and a scale of 16 bits is exact in f32. */
static void dequantize(const fvlm_packed_module *m, const uint8_t *codes, const float *scales, const float *zeros,
                       float *out)
{
    for (size_t j = 0; j < m->in; j++) {
        const size_t g = m->group_of ? m->group_of[j] : j / m->is.group;
        const float s = scales[g];
        switch (m->is.form) {
        case FVLM_FORM_MLX:
            out[j] = s * (float)codes[j] + zeros[g];
            break;
        case FVLM_FORM_GPTQ:
        case FVLM_FORM_AWQ:
            out[j] = s * ((float)codes[j] - zeros[g]);
            break;
        case FVLM_FORM_MXFP8:
            out[j] = s * fvlm_packed_e4m3(codes[j]);
            break;
        default:
            out[j] = s * fp4[codes[j]];
        }
    }
}

static fvlm_status make_rows(fvlm_packed_rows *out, const fvlm_packed_module *m, size_t n, fvlm_err *err)
{
    const size_t groups = (size_t)m->n_groups;
    out->codes = fvlm_alloc(n, (size_t)m->in);
    out->scales = fvlm_alloc(n, groups * sizeof(float));
    out->zeros = fvlm_alloc(n, groups * sizeof(float));
    return out->codes && out->scales && out->zeros ? FVLM_OK : fvlm_fail_nomem(err);
}

static void free_rows(fvlm_packed_rows *r)
{
    free(r->codes);
    free(r->scales);
    free(r->zeros);
}

/* Bytes at .. at + n_bytes - 1 of the floats: first and last row may be parts. */
static fvlm_status read_view(const void *ctx, size_t view, uint64_t at, size_t n_bytes, void *out, fvlm_err *err)
{
    const fvlm_packed_modules *p = ctx;
    const fvlm_packed_module *m = &p->modules[view];
    const uint64_t in = m->in, row_bytes = 4 * in, end = at + n_bytes;
    const size_t fit = in < CHUNK ? (size_t)(CHUNK / in) : 1;
    fvlm_packed_rows rows = {0};
    float *line = fvlm_alloc((size_t)in, sizeof *line);
    fvlm_status st = line ? make_rows(&rows, m, fit, err) : fvlm_fail_nomem(err);
    uint8_t *to = out;
    while (!st && at < end) {
        const uint64_t first = at / row_bytes, left = (end - 1) / row_bytes - first + 1;
        const size_t n = left < fit ? (size_t)left : fit;
        st = fvlm_packed_rows_read(p->src, p->slabs, m, first, n, rows, err);
        for (size_t r = 0; !st && r < n; r++) {
            const size_t from = (size_t)(at % row_bytes);
            const size_t now = row_bytes - from < end - at ? (size_t)(row_bytes - from) : (size_t)(end - at);
            dequantize(m, rows.codes + r * in, rows.scales + r * m->n_groups, rows.zeros + r * m->n_groups, line);
            memcpy(to, (const uint8_t *)line + from, now);
            to += now;
            at += now;
        }
    }
    free_rows(&rows);
    free(line);
    return st;
}

/* From a packed form to scale and offset of our codes. */
static void put_group(const fvlm_packed_module *m, float scale, float zero, float *to_scale, double *to_offset)
{
    const double s = (double)scale;
    *to_scale = m->is.form == FVLM_FORM_MXFP4 ? scale / 2 : scale;
    *to_offset = m->is.form == FVLM_FORM_MLX     ? (double)zero
                 : m->is.form == FVLM_FORM_MXFP4 ? s / 2 * -128
                                                 : -s * ((double)zero + m->shift);
}

static fvlm_status read_codes(const void *ctx, size_t view, uint64_t first, size_t n_rows, fvlm_source_codes out,
                              fvlm_err *err)
{
    const fvlm_packed_modules *p = ctx;
    const fvlm_packed_module *m = &p->modules[view];
    const size_t groups = (size_t)m->n_groups, n = n_rows * (size_t)m->in;
    fvlm_packed_rows rows = {.codes = out.codes, .scales = out.scales};
    rows.zeros = fvlm_alloc(n_rows, groups * sizeof(float));
    fvlm_status st =
        rows.zeros ? fvlm_packed_rows_read(p->src, p->slabs, m, first, n_rows, rows, err) : fvlm_fail_nomem(err);
    for (size_t i = 0; !st && i < n; i++)
        out.codes[i] = (uint8_t)(m->is.form == FVLM_FORM_MXFP4 ? 128 + (int)(2 * fp4[out.codes[i]])
                                                               : (int)(out.codes[i] + m->shift));
    for (size_t i = 0; !st && i < n_rows * groups; i++)
        put_group(m, out.scales[i], rows.zeros[i], &out.scales[i], &out.offsets[i]);
    free(rows.zeros);
    return st;
}

static void close_packed(void *ctx)
{
    fvlm_packed_modules *p = ctx;
    for (size_t i = 0; i < p->n; i++) fvlm_packed_module_free(&p->modules[i]);
    fvlm_packed_slabs_destroy(p->slabs);
    free(p->modules);
    free(p);
}

/* It has no files of its own. */
const fvlm_source_reader fvlm_packed_reader = {.read = read_view, .read_codes = read_codes, .close = close_packed};
