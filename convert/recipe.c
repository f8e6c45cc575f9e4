/* SPDX-License-Identifier: Apache-2.0 */
/* recipe.c - builds recipes; see recipe.h. */
#include "convert/recipe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void fvlm_recipe_set_linear(fvlm_recipe *m, const fvlm_source_tensor *weight, const fvlm_source_tensor *bias,
                            uint64_t out, uint64_t in, fvlm_err *bad)
{
    m->branch[0] = (fvlm_branch){.kernel = weight, .bias = bias, .sign = 1, .k = 1};
    m->n_branches = 1;
    m->out = m->dims[0] = out;
    m->in = m->dims[1] = in ? in : 1;
    m->rank = in ? 2 : 1;
    m->layout = in ? FVLM_PANELS : FVLM_ROWS;
    m->has_bias = bias != NULL;
    fvlm_source_check_shape(weight, m->rank, m->dims, bad);
    fvlm_source_check_shape(bias, 1, &out, bad);
}

static void check_branch(const fvlm_recipe *m, fvlm_branch *b, fvlm_err *bad)
{
    const fvlm_source_tensor *vectors[] = {b->bias, b->bn.gamma, b->bn.beta, b->bn.mean, b->bn.var};
    if (b->kernel) {
        uint64_t k = b->kernel->rank == 4 ? b->kernel->dims[2] : 0;
        const uint64_t shape[] = {m->out, m->in, k, k};
        bool ok = fvlm_source_check_shape(b->kernel, 4, shape, bad);
        if (ok && k % 2 == 0 && !bad->code)
            fvlm_fail(bad, FVLM_BAD_INPUT, "tensor \"%.200s\": a kernel of side %" PRIu64 "; the side must be odd",
                      b->kernel->name, k);
        if (ok && k > m->k && !bad->code)
            fvlm_fail(bad, FVLM_BAD_INPUT,
                      "tensor \"%.200s\": a kernel of side %" PRIu64
                      " is larger than the fused kernel, of side %" PRIu32,
                      b->kernel->name, k, m->k);
        b->k = (uint32_t)(ok && k <= m->k ? k : 1);
    } else if (m->out != m->in * m->groups && !bad->code) { /* no identity between different widths */
        fvlm_fail(bad, FVLM_BAD_INPUT, "\"%s\": an identity branch from %" PRIu64 " to %" PRIu64 " channels", m->name,
                  m->in * m->groups, m->out);
    }
    for (unsigned i = 0; i < 5; i++) fvlm_source_check_shape(vectors[i], 1, &m->out, bad);
}

/* The widest kernel decides; every other tensor must fit it. */
void fvlm_recipe_set_conv(fvlm_recipe *m, fvlm_conv_shape shape, fvlm_err *bad)
{
    const fvlm_source_tensor *widest = NULL;
    for (unsigned i = 0; i < m->n_branches; i++) {
        const fvlm_source_tensor *t = m->branch[i].kernel;
        if (t && t->rank == 4 && (!widest || t->dims[2] > widest->dims[2]))
            widest = t;
        else if (t && t->rank != 4)
            fvlm_source_check_shape(t, 4, (const uint64_t[]){shape.out, shape.in, shape.k, shape.k}, bad);
    }
    uint64_t k = shape.k ? shape.k : widest ? widest->dims[2] : 1;
    if (k > FVLM_MAX_DW_KERNEL && !bad->code)
        fvlm_fail(bad, FVLM_LIMIT, "tensor \"%.200s\": a kernel of side %" PRIu64 ", at most %d is supported",
                  widest->name, k, FVLM_MAX_DW_KERNEL);
    if (k > FVLM_MAX_DW_KERNEL) k = FVLM_MAX_DW_KERNEL;
    m->k = (uint32_t)k;
    m->out = shape.out ? shape.out : widest ? widest->dims[0] : 1;
    m->in = shape.depthwise ? 1 : shape.in;
    m->groups = shape.depthwise ? shape.groups : 1;
    m->stride = shape.stride ? shape.stride : 1;
    m->rank = 4;
    m->dims[0] = m->out, m->dims[1] = m->in, m->dims[2] = m->dims[3] = m->k;
    m->layout = shape.depthwise ? FVLM_TAPS : FVLM_PANELS;
    m->has_bias = false;
    for (unsigned i = 0; i < m->n_branches; i++) {
        check_branch(m, &m->branch[i], bad);
        m->has_bias |= m->branch[i].bias || m->branch[i].bn.beta;
    }
    if (shape.depthwise && m->groups && m->out % m->groups != 0 && !bad->code)
        fvlm_fail(bad, FVLM_BAD_INPUT,
                  "\"%s\": %" PRIu64 " output channels are not a multiple of %" PRIu64 " input channels", m->name,
                  m->out, m->groups);
    m->fused = m->n_branches != 1 || m->branch[0].bn.gamma || m->residual || !m->branch[0].kernel;
}

static bool is_filled(const fvlm_source_tensor *t, float with)
{
    return t && t->filled && fvlm_f32_bits(t->fill) == fvlm_f32_bits(with);
}

void fvlm_recipe_simplify(fvlm_recipe *m)
{
    const fvlm_branch *b = &m->branch[0];
    if (is_filled(m->layer_scale, 1)) m->layer_scale = NULL;
    if (is_filled(m->norm_gain, 1) && is_filled(m->norm_shift, 0)) m->norm_gain = m->norm_shift = NULL;
    const bool bare = m->n_branches == 1 && b->kernel && !b->bn.gamma && !m->residual && !m->layer_scale &&
                      !m->norm_gain && !m->q_rows && (b->bias || !m->has_bias);
    if (bare) m->fused = false;
}

bool fvlm_recipe_is_quantized(const fvlm_recipe *m)
{
    bool found = false;
    for (unsigned b = 0; b < m->n_branches; b++) {
        const fvlm_source_tensor *t = m->branch[b].kernel;
        found |= t && (t->codes.kind || t->dequantized);
    }
    return found;
}

static fvlm_status check_tensor(const fvlm_recipe *m, bool bias, fvlm_tensors *demand, fvlm_err *err)
{
    char name[FVLM_MAX_NAME + 8];
    bool more = fvlm_tensors_next(demand);
    snprintf(name, sizeof name, "%s.%s", m->name, bias ? "bias" : "weight");
    if (!more || strcmp(demand->name, name) != 0)
        return fvlm_fail(err, FVLM_BAD_INPUT, "the checkpoint gives tensor \"%s\" where the config demands %s%s%s",
                         name, more ? "\"" : "no more", more ? demand->name : "", more ? "\"" : "");
    fvlm_tensor t = {.name = name, .layout = (uint8_t)m->layout, .rank = (uint8_t)m->rank};
    memcpy(t.dims, m->dims, sizeof t.dims);
    if (bias) t.layout = FVLM_ROWS, t.rank = 1, t.dims[0] = m->out;
    return fvlm_tensors_fit(demand, &t, err);
}

fvlm_status fvlm_recipes_check(fvlm_recipes *all, const fvlm_config *config, fvlm_err *err)
{
    fvlm_tensors demand = {.config = config};
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < all->n && !st; i++) {
        st = check_tensor(&all->items[i], false, &demand, err);
        all->items[i].part = demand.part;
        if (!st && all->items[i].has_bias) st = check_tensor(&all->items[i], true, &demand, err);
    }
    if (!st && fvlm_tensors_next(&demand))
        st = fvlm_fail(err, FVLM_BAD_INPUT, "the checkpoint gives no tensor \"%s\", which the config demands",
                       demand.name);
    return st;
}
