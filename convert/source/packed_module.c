/* SPDX-License-Identifier: Apache-2.0 */
/* packed_module.c - checks the parts of a packed module, and finds out which of our types holds its codes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/packed_internal.h"

typedef struct {
    fvlm_packed_module *m;
    const fvlm_source *src;
    const fvlm_packed_parts *parts;
    fvlm_err *err;
} binding;

static bool has_type(const fvlm_source_tensor *t, const char *name)
{
    return !strcmp(fvlm_source_type_name(t->type), name);
}

static bool is_float(const fvlm_source_tensor *t)
{
    return t->type >= FVLM_SOURCE_F32 && t->type <= FVLM_SOURCE_BF16;
}

static fvlm_status check_matrix(const binding *b, const fvlm_source_tensor *t, const char *type)
{
    char found[128];
    const bool fits = type ? has_type(t, type) : is_float(t);
    if (fits && t->rank == 2 && t->n_elems > 0) return FVLM_OK;
    return fvlm_fail(b->err, FVLM_UNSUPPORTED, "tensor \"%.200s\" is %s, expected a matrix of %s", t->name,
                     fvlm_source_shape_text(t, found), type ? type : "F16, BF16 or F32");
}

static fvlm_status check_shape(const binding *b, const fvlm_source_tensor *t, uint64_t rows, uint64_t columns)
{
    fvlm_err bad = {0};
    if (fvlm_source_check_shape(t, 2, (const uint64_t[]){rows, columns}, &bad)) return FVLM_OK;
    return fvlm_fail(b->err, FVLM_BAD_INPUT, "%s", bad.msg);
}

/* Inputs of this many words of 32 bits; 0: they do not hold whole ones. */
static uint64_t inputs_of(uint64_t words, unsigned bits)
{
    uint64_t n;
    return fvlm_checked_mul(words, 32, &n) && n % bits == 0 ? n / bits : 0;
}

/* What bits, group size and shapes must agree on. */
static fvlm_status refuse_inputs(const binding *b)
{
    const fvlm_packed_module *m = b->m;
    char codes[128], scales[128];
    return fvlm_fail(b->err, FVLM_BAD_INPUT,
                     "tensor \"%.150s\", %s, holds %" PRIu64 " inputs of %u bits; \"%.150s\", %s, does not fit them in "
                     "groups of %" PRIu64 "; config.json has the wrong bits or group size",
                     m->codes.name, fvlm_source_shape_text(&m->codes, codes), m->in, m->is.bits, m->scales.name,
                     fvlm_source_shape_text(&m->scales, scales), m->is.group);
}

static fvlm_status refuse_words(const binding *b)
{
    char found[128];
    return fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%.200s\", %s, does not hold whole inputs of %u bits",
                     b->m->codes.name, fvlm_source_shape_text(&b->m->codes, found), b->m->is.bits);
}

/* ---- MLX ---- */

static fvlm_type type_of_mlx(const fvlm_packed_setting *is)
{
    if (is->form == FVLM_FORM_MLX)
        return (fvlm_type){
            .kind = FVLM_INT, .bits = is->bits <= 4 ? 4 : 8, .asymmetric = 1, .group = (uint16_t)is->group};
    /* Twice a value of e2m1 is an integer of -12 .. 12. */
    if (is->form == FVLM_FORM_MXFP4) return (fvlm_type){.kind = FVLM_INT, .bits = 8, .group = 32};
    return (fvlm_type){0};
}

static fvlm_status bind_mlx(binding *b)
{
    fvlm_packed_module *m = b->m;
    const bool affine = m->is.form == FVLM_FORM_MLX, biases = m->zeros.name != NULL;
    fvlm_status st = check_matrix(b, &m->codes, "U32");
    if (!st) st = check_matrix(b, &m->scales, affine ? NULL : "U8");
    if (st) return st;
    if (affine != biases)
        return fvlm_fail(b->err, FVLM_BAD_INPUT,
                         affine ? "tensor \"%.200s\" has scales, but no biases beside them"
                                : "tensor \"%.200s\" has biases, which this mode does not have; config.json has the "
                                  "wrong mode",
                         m->codes.name);
    m->out = m->codes.dims[0];
    m->in = inputs_of(m->codes.dims[1], m->is.bits);
    m->n_groups = m->scales.dims[1];
    if (!m->in) return refuse_words(b);
    uint64_t scaled;
    if (!fvlm_checked_mul(m->n_groups, m->is.group, &scaled) || scaled != m->in || m->scales.dims[0] != m->out)
        return refuse_inputs(b);
    if (affine) st = check_matrix(b, &m->zeros, NULL);
    if (affine && !st) st = check_shape(b, &m->zeros, m->out, m->n_groups);
    m->type = type_of_mlx(&m->is);
    return st;
}

/* ---- GPTQ and AWQ ---- */

/* Reads g_idx, and drops it if it is the order of the inputs. */
static fvlm_status bind_groups(binding *b)
{
    fvlm_packed_module *m = b->m;
    const fvlm_source_tensor *t = b->parts->g_idx;
    if (!t && m->is.desc_act)
        return fvlm_fail(b->err, FVLM_BAD_INPUT,
                         "tensor \"%.200s\" has no g_idx beside it, although config.json says \"desc_act\"",
                         m->codes.name);
    if (!t) return FVLM_OK;
    char found[128];
    if (!has_type(t, "I32") || t->rank != 1 || t->dims[0] != m->in)
        return fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%.200s\" is %s, expected I32 [%" PRIu64 "]", t->name,
                         fvlm_source_shape_text(t, found), m->in);
    m->group_of = fvlm_alloc((size_t)m->in, sizeof *m->group_of);
    if (!m->group_of) return fvlm_fail_nomem(b->err);
    fvlm_status st = fvlm_source_read(b->src, t, 0, (size_t)t->n_bytes, m->group_of, b->err);
    bool ordered = true;
    for (uint64_t j = 0; !st && j < m->in; j++) {
        const uint32_t g = fvlm_load_u32((const uint8_t *)(m->group_of + j));
        if (g >= m->n_groups)
            return fvlm_fail(b->err, FVLM_BAD_INPUT,
                             "tensor \"%.200s\": input %" PRIu64 " is in group %" PRId32 ", but there are %" PRIu64
                             " groups",
                             t->name, j, (int32_t)g, m->n_groups);
        ordered &= g == j / m->is.group;
        m->group_of[j] = g;
    }
    if (ordered) {
        free(m->group_of);
        m->group_of = NULL;
    }
    return st;
}

/* Goes through all zero points: refuses what version 1 cannot store; whether they are all the same. */
static fvlm_status scan_zeros(const binding *b, bool *same, unsigned *first)
{
    const fvlm_packed_module *m = b->m;
    const size_t line = (size_t)m->zeros.dims[1] * 4, out = (size_t)m->out;
    uint8_t *stream = fvlm_alloc(line + 1, 1), *zeros = fvlm_alloc(out, 1);
    fvlm_status st = stream && zeros ? FVLM_OK : fvlm_fail_nomem(b->err);
    *same = true;
    for (uint64_t g = 0; !st && g < m->n_groups; g++) {
        st = fvlm_source_read(b->src, &m->zeros, g * line, line, stream, b->err);
        if (!st) fvlm_packed_unpack(stream, m->is.bits, out, zeros);
        if (!st && g == 0) *first = zeros[0];
        for (size_t c = 0; !st && c < out; c++) {
            *same &= zeros[c] == *first;
            if (m->is.zero_plus && zeros[c] == (1u << m->is.bits) - 1)
                st = fvlm_fail(b->err, FVLM_UNSUPPORTED,
                               "tensor \"%.200s\": group %" PRIu64 ", output %zu: a zero point of %u, which version 1 "
                               "of GPTQ means as %u or 0, depending on the program; save it as gptq_v2",
                               m->zeros.name, g, c, zeros[c], zeros[c] + 1u);
        }
    }
    free(stream);
    free(zeros);
    return st;
}

/* Our type with the same groups. If all zero points are one number, the codes are shifted so that it is the middle of a
 * symmetric type, where they fit. */
static void choose_type(fvlm_packed_module *m, bool same, unsigned zero)
{
    const uint64_t g = m->is.group;
    const bool named = g == 32 || g == 64 || g == 128;
    if (m->group_of || (!named && g < m->in)) return;
    m->type = (fvlm_type){
        .kind = FVLM_INT, .bits = m->is.bits <= 4 ? 4 : 8, .asymmetric = 1, .group = (uint16_t)(named ? g : 0)};
    const unsigned middle = 1u << (m->type.bits - 1), most = (1u << m->is.bits) - 1;
    if (!same || zero > middle || middle - zero + most >= 1u << m->type.bits) return;
    m->type.asymmetric = 0;
    m->shift = middle - zero;
}

/* The number of outputs of I32 words, and of zero points in as many bits. */
static fvlm_status bind_columns(binding *b)
{
    fvlm_packed_module *m = b->m;
    const bool awq = m->is.form == FVLM_FORM_AWQ;
    fvlm_status st = check_matrix(b, &m->codes, "I32");
    if (!st && !m->scales.name)
        st = fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%.200s\" has no scales beside it", m->codes.name);
    if (!st && !m->zeros.name)
        st = fvlm_fail(b->err, FVLM_BAD_INPUT, "tensor \"%.200s\" has no qzeros beside it", m->codes.name);
    if (!st) st = check_matrix(b, &m->scales, NULL);
    if (!st) st = check_matrix(b, &m->zeros, "I32");
    if (st) return st;
    m->n_groups = m->scales.dims[0];
    m->out = m->scales.dims[1];
    uint64_t bits;
    if (!fvlm_checked_mul(m->out, m->is.bits, &bits) || bits % 32)
        return fvlm_fail(b->err, FVLM_UNSUPPORTED,
                         "tensor \"%.200s\": %" PRIu64 " outputs of %u bits do not fill words of 32 bits",
                         m->scales.name, m->out, m->is.bits);
    st = check_shape(b, &m->zeros, m->n_groups, bits / 32);
    if (!st) st = check_shape(b, &m->codes, 0, awq ? bits / 32 : m->out);
    m->in = awq ? m->codes.dims[0] : inputs_of(m->codes.dims[0], m->is.bits);
    return st ? st : m->in ? FVLM_OK : refuse_words(b);
}

/* Where "dynamic" gives modules bits and groups of their own: the shapes tell. */
static void derive_setting(fvlm_packed_module *m, const fvlm_packed_parts *p)
{
    static const unsigned known[] = {2, 3, 4, 8};
    if (!p->scales || !p->zeros || p->scales->rank != 2 || p->zeros->rank != 2 || !p->scales->dims[1]) return;
    for (size_t i = 0; i < 4; i++)
        if (p->zeros->dims[1] < UINT64_MAX / 32 && p->scales->dims[1] < UINT64_MAX / 8 &&
            p->zeros->dims[1] * 32 == p->scales->dims[1] * known[i])
            m->is.bits = known[i];
    const uint64_t in = inputs_of(m->codes.dims[0], m->is.bits), groups = p->scales->dims[0];
    if (groups && in % groups == 0) m->is.group = in / groups;
}

static fvlm_status bind_by_columns(binding *b)
{
    fvlm_packed_module *m = b->m;
    if (m->is.varies) derive_setting(m, b->parts);
    fvlm_status st = bind_columns(b);
    if (st) return st;
    if (!m->is.group) m->is.group = m->in;
    const uint64_t groups = m->in / m->is.group + (m->in % m->is.group != 0);
    if (groups != m->n_groups) return refuse_inputs(b);
    st = bind_groups(b);
    bool same = true;
    unsigned zero = 0;
    if (!st) st = scan_zeros(b, &same, &zero);
    if (!st) choose_type(m, same, zero + m->is.zero_plus);
    return st;
}

/* ---- all ---- */

static const char *form_name(fvlm_packed_form f)
{
    static const char *const names[] = {"MLX affine", "MLX mxfp4", "MLX mxfp8", "MLX nvfp4", "GPTQ", "AWQ"};
    return names[f];
}

fvlm_status fvlm_packed_module_bind(fvlm_packed_module *out, const fvlm_source *src, const fvlm_packed_parts *parts,
                                    const fvlm_packed_setting *setting, const char *module, size_t n, fvlm_err *err)
{
    *out = (fvlm_packed_module){.is = *setting, .codes = *parts->codes};
    if (parts->scales) out->scales = *parts->scales;
    if (parts->zeros) out->zeros = *parts->zeros;
    binding b = {out, src, parts, err};
    out->name = fvlm_asprintf("%.*s.weight", (int)n, module);
    if (!out->name) return fvlm_fail_nomem(err);
    const fvlm_status st = fvlm_packed_by_columns(setting->form) ? bind_by_columns(&b) : bind_mlx(&b);
    uint64_t n_bytes;
    if (st) return st;
    if (!fvlm_checked_mul(out->out, out->in, &n_bytes) || !fvlm_checked_mul(n_bytes, 4, &n_bytes))
        return fvlm_fail(err, FVLM_LIMIT, "tensor \"%.200s\": too large", out->codes.name);
    out->origin = fvlm_asprintf("%s (%s, %u bits, groups of %" PRIu64 "%s)", out->codes.name, form_name(out->is.form),
                                out->is.bits, out->is.group, out->group_of ? ", inputs in another order" : "");
    return out->origin ? FVLM_OK : fvlm_fail_nomem(err);
}

void fvlm_packed_module_free(fvlm_packed_module *m)
{
    free(m->name);
    free(m->origin);
    free(m->group_of);
    *m = (fvlm_packed_module){0};
}
