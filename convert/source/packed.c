/* SPDX-License-Identifier: Apache-2.0 */
/* packed.c - see packed.h: finds packed modules by the names of their tensors, and replaces them by views. */
#include "convert/source/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/packed_internal.h"
#include "format/base/grow.h"

typedef struct {
    fvlm_source *src;
    fvlm_packed_config config;
    fvlm_packed_modules *to;
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
    fvlm_packed_modules *p = f->to;
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
        src->reader = &fvlm_packed_reader;
        src->reader_ctx = f.to;
        st = replace(&f);
        if (!st) st = note_forms(&f);
    } else {
        if (!st && (f.config.mlx || f.config.has_columns))
            st = fvlm_source_warn(src, err,
                                  "config.json says that the weights are quantized, but none is packed; they are taken "
                                  "as they are");
        if (f.to) fvlm_packed_reader.close(f.to);
    }
    fvlm_packed_config_free(&f.config);
    free(f.taken);
    return st;
}
