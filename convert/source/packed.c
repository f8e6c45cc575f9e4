/* SPDX-License-Identifier: Apache-2.0 */
/* packed.c - see packed.h: finds packed modules by the names of their tensors, and reads them as floats or as codes. */
#include "convert/source/packed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/packed_internal.h"
#include "format/base/grow.h"

#define CHUNK ((size_t)1 << 18) /* codes at a time */

typedef struct {
    const fvlm_source *src;
    fvlm_packed_module *modules;
    size_t n, capacity;
    fvlm_packed_slabs *slabs;
} packed;

/* ---- reading ---- */

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
    const packed *p = ctx;
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
    const packed *p = ctx;
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

static fvlm_status check_unchanged(const void *ctx, fvlm_status st, fvlm_err *err)
{
    (void)ctx, (void)err; /* the files are the source's own */
    return st;
}

static void close_packed(void *ctx)
{
    packed *p = ctx;
    for (size_t i = 0; i < p->n; i++) fvlm_packed_module_free(&p->modules[i]);
    fvlm_packed_slabs_destroy(p->slabs);
    free(p->modules);
    free(p);
}

static const fvlm_source_reader reader = {
    .read = read_view, .read_codes = read_codes, .check_unchanged = check_unchanged, .close = close_packed};

/* ---- finding ---- */

typedef struct {
    fvlm_source *src;
    fvlm_packed_config config;
    packed *to;
    bool *taken; /* [tensors]: belongs to a module */
    fvlm_err *err;
} finder;

/* The tensor MODULE.ENDING, marked as part of a module; NULL if it is absent. */
static const fvlm_source_tensor *find(finder *f, const char *module, size_t n, const char *ending, bool take)
{
    char name[1100];
    if (snprintf(name, sizeof name, "%.*s%s", (int)n, module, ending) >= (int)sizeof name) return NULL;
    const size_t i = fvlm_source_first_at_or_after(f->src, name);
    if (i == f->src->n_tensors || strcmp(f->src->tensors[i].name, name) != 0) return NULL;
    if (take) f->taken[i] = true;
    return &f->src->tensors[i];
}

/* The length of the name before this ending; 0 if it has another. */
static size_t before(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcmp(name + n - m, ending) ? n - m : 0;
}

static bool is_u32(const fvlm_source_tensor *t)
{
    return t && !strcmp(fvlm_source_type_name(t->type), "U32");
}

static fvlm_status add_module(finder *f, const fvlm_packed_parts *parts, const fvlm_packed_setting *is,
                              const char *module, size_t n)
{
    packed *p = f->to;
    if (!fvlm_grow(&p->modules, &p->capacity, p->n + 1, sizeof *p->modules)) return fvlm_fail_nomem(f->err);
    return fvlm_packed_module_bind(&p->modules[p->n++], f->src, parts, is, module, n, f->err);
}

static fvlm_status add_mlx(finder *f, const fvlm_source_tensor *t, size_t n)
{
    fvlm_packed_setting is;
    const fvlm_packed_parts parts = {.codes = find(f, t->name, n, ".weight", true),
                                     .scales = find(f, t->name, n, ".scales", true),
                                     .zeros = find(f, t->name, n, ".biases", true)};
    if (!parts.scales)
        return fvlm_fail(f->err, FVLM_BAD_INPUT,
                         "tensor \"%.200s\" is packed (U32), but has no scales beside it; download the folder again",
                         t->name);
    fvlm_status st = fvlm_packed_config_find(&is, &f->config, t->name, n, f->err);
    return st ? st : add_module(f, &parts, &is, t->name, n);
}

static fvlm_status add_columns(finder *f, const fvlm_source_tensor *t, size_t n)
{
    const fvlm_packed_parts parts = {.codes = find(f, t->name, n, ".qweight", true),
                                     .scales = find(f, t->name, n, ".scales", true),
                                     .zeros = find(f, t->name, n, ".qzeros", true),
                                     .g_idx = find(f, t->name, n, ".g_idx", true)};
    const fvlm_source_tensor *twice = find(f, t->name, n, ".weight", false);
    if (twice)
        return fvlm_fail(f->err, FVLM_BAD_INPUT, "tensors \"%.200s\" and \"%.200s\" are weights of one module", t->name,
                         twice->name);
    if (!f->config.has_columns)
        return fvlm_fail(f->err, FVLM_BAD_INPUT,
                         "tensor \"%.200s\" is packed by GPTQ or AWQ, but \"config.json\" has no "
                         "\"quantization_config\" with \"quant_method\" gptq or awq: how it is packed is not known",
                         t->name);
    if (parts.g_idx && f->config.columns.form == FVLM_FORM_AWQ)
        return fvlm_fail(f->err, FVLM_BAD_INPUT, "tensor \"%.200s\": AWQ has no g_idx; is \"quant_method\" gptq?",
                         parts.g_idx->name);
    return add_module(f, &parts, &f->config.columns, t->name, n);
}

/* A part whose codes are absent. */
static fvlm_status check_part(finder *f, const fvlm_source_tensor *t)
{
    static const char *const endings[] = {".scales", ".biases", ".qzeros", ".g_idx"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0] && !n; i++) n = before(t->name, endings[i]);
    if (!n || find(f, t->name, n, ".qweight", false) || is_u32(find(f, t->name, n, ".weight", false))) return FVLM_OK;
    return fvlm_fail(f->err, FVLM_BAD_INPUT,
                     "tensor \"%.200s\" belongs to no packed weight: neither \"%.*s.weight\" of type U32 nor "
                     "\"%.*s.qweight\" is there; download the folder again",
                     t->name, (int)(n < 200 ? n : 200), t->name, (int)(n < 200 ? n : 200), t->name);
}

static fvlm_status find_modules(finder *f)
{
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; !st && i < f->src->n_tensors; i++) {
        const fvlm_source_tensor *t = &f->src->tensors[i];
        size_t n;
        if ((n = before(t->name, ".qweight")))
            st = add_columns(f, t, n);
        else if (is_u32(t) && (n = before(t->name, ".weight")))
            st = add_mlx(f, t, n);
        else
            st = check_part(f, t);
    }
    return st;
}

/* Replaces the parts of modules by their views, which are fewer. */
static fvlm_status replace(finder *f)
{
    fvlm_source *src = f->src;
    size_t n = 0;
    for (size_t i = 0; i < src->n_tensors; i++)
        if (!f->taken[i]) src->tensors[n++] = src->tensors[i];
    for (size_t i = 0; i < f->to->n; i++) {
        const fvlm_packed_module *m = &f->to->modules[i];
        src->tensors[n++] = (fvlm_source_tensor){.name = m->name,
                                                 .type = FVLM_SOURCE_F32,
                                                 .rank = 2,
                                                 .file = FVLM_SOURCE_NO_FILE,
                                                 .dims = {m->out, m->in},
                                                 .n_elems = m->out * m->in,
                                                 .offset = i,
                                                 .n_bytes = 4 * m->out * m->in,
                                                 .origin = m->origin,
                                                 .packed = true,
                                                 .codes = m->type,
                                                 .dequantized = !m->type.kind};
    }
    src->n_tensors = n;
    return fvlm_source_sort(src, f->err);
}

/* A line of the report for each form: how many weights have it. */
static fvlm_status note_forms(finder *f)
{
    struct {
        const char *text; /* "(GPTQ, 4 bits, ...)", the end of an origin */
        size_t n;
    } forms[FVLM_SOURCE_MAX_WARNINGS];
    size_t n_forms = 0;
    for (size_t i = 0; i < f->to->n; i++) {
        const char *text = strrchr(f->to->modules[i].origin, '(');
        size_t k = 0;
        while (k < n_forms && strcmp(text, forms[k].text) != 0) k++;
        if (k == FVLM_SOURCE_MAX_WARNINGS) continue;
        if (k == n_forms) forms[n_forms++].text = text, forms[k].n = 0;
        forms[k].n++;
    }
    fvlm_status st = FVLM_OK;
    for (size_t k = 0; !st && k < n_forms; k++)
        st = fvlm_source_note(f->src, f->err, "%zu weight%s: %.*s", forms[k].n, forms[k].n == 1 ? "" : "s",
                              (int)strlen(forms[k].text) - 2, forms[k].text + 1);
    return st;
}

fvlm_status fvlm_packed_add(fvlm_source *src, fvlm_err *err)
{
    finder f = {.src = src, .err = err};
    fvlm_status st = fvlm_packed_config_read(&f.config, src, err);
    if (st) return st;
    f.to = fvlm_alloc(1, sizeof *f.to);
    f.taken = fvlm_alloc(src->n_tensors, sizeof *f.taken);
    if (f.to) f.to->slabs = fvlm_packed_slabs_create();
    st = f.to && f.taken && f.to->slabs ? FVLM_OK : fvlm_fail_nomem(err);
    if (!st) {
        f.to->src = src;
        st = find_modules(&f);
    }
    if (!st && f.to->n) {
        src->reader = &reader;
        src->reader_ctx = f.to;
        st = replace(&f);
        if (!st) st = note_forms(&f);
    } else {
        if (!st && (f.config.mlx || f.config.has_columns))
            st = fvlm_source_warn(src, err,
                                  "config.json says that the weights are quantized, but none is packed; they are taken "
                                  "as they are");
        if (f.to) close_packed(f.to);
    }
    fvlm_packed_config_free(&f.config);
    free(f.taken);
    return st;
}
