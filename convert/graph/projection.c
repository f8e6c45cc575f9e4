/* SPDX-License-Identifier: Apache-2.0 */
/* projection.c - see projection.h. */
#include "convert/graph/projection.h"

#include <stdio.h>
#include <string.h>

#define STEPS 64 /* reshapes in a row; net.h leaves one */

fvlm_net_value *fvlm_net_skip_reshapes(fvlm_net_value *v)
{
    for (int i = 0; i < STEPS && !v->is_const && v->producer; i++) {
        const fvlm_net_node *n = v->producer;
        fvlm_net_value *in = n->n_inputs ? n->inputs[0] : NULL;
        if (!strcmp(n->op, "Where") && n->inputs[0]->is_const && fvlm_net_all(n->inputs[0], 0))
            in = n->inputs[2];
        else if (strcmp(n->op, "Reshape") != 0)
            break;
        if (!in || in->n_elems != v->n_elems) break;
        v = in;
    }
    return v;
}

static bool is_matmul(fvlm_projection *p, fvlm_net_value *v)
{
    if (!fvlm_net_is(v, "MatMul") || v->producer->n_inputs < 2) return false;
    fvlm_net_value *x = v->producer->inputs[0], *w = v->producer->inputs[1];
    if (x->is_const || !w->is_const || w->rank != 2 || x->rank < 2 || v->rank < 2) return false;
    p->in = x;
    p->matmul = v->producer;
    p->weight = w;
    p->n_in = w->dims[0];
    p->n_out = w->dims[1];
    return p->n_in > 0 && p->n_out > 0 && x->dims[x->rank - 1] == p->n_in && v->dims[v->rank - 1] == p->n_out;
}

bool fvlm_projection_find(fvlm_projection *out, fvlm_net_value *v)
{
    fvlm_net_value *bias, *product;
    *out = (fvlm_projection){0};
    v = fvlm_net_skip_reshapes(v);
    out->out = v;
    if (is_matmul(out, v)) return true;
    if (!fvlm_net_is(v, "Add") || !fvlm_net_split_const(v->producer, &bias, &product)) return false;
    if (product->n_elems != v->n_elems || !bias->rank) return false;
    out->bias = bias;
    return is_matmul(out, fvlm_net_skip_reshapes(product)) && bias->n_elems == out->n_out &&
           bias->dims[bias->rank - 1] == out->n_out && v->dims[v->rank - 1] == out->n_out;
}

fvlm_status fvlm_projection_add(fvlm_match *m, const fvlm_net *net, const fvlm_projection_rows *rows, bool biased,
                                const char *name, fvlm_err *err)
{
    const fvlm_projection *p = &rows->of;
    const bool zero = !p->bias || fvlm_net_all(p->bias, 0);
    if (!biased && !zero)
        return fvlm_match_expected(net, p->out, "one", err, "no bias in \"%s\": Qwen2 has none there", name);
    fvlm_match_tensor *t = fvlm_match_add(m, err, "%s.weight", name);
    if (!t) return FVLM_NOMEM;
    t->rank = 2;
    t->dims[0] = rows->n;
    t->dims[1] = p->n_in;
    const fvlm_match_rows weight = {.v = p->weight, .transposed = true, .first_row = rows->first, .n_rows = rows->n};
    fvlm_status st = fvlm_match_set_rows(t, net, &weight, 1, p->matmul, err);
    if (st || !biased) return st;
    t = fvlm_match_add(m, err, "%s.bias", name);
    if (!t) return FVLM_NOMEM;
    t->rank = 1;
    t->dims[0] = rows->n;
    t->node = p->matmul->node;
    if (zero) return FVLM_OK; /* filled with 0 */
    const fvlm_match_rows bias = {.v = p->bias, .first_row = rows->first, .n_rows = rows->n};
    return fvlm_match_set_rows(t, net, &bias, 1, p->out->producer, err);
}

/* ---- products ---- */

static bool add_factors(fvlm_factors *f, fvlm_net_value *v, bool inverted, int depth)
{
    const fvlm_net_node *n = v->is_const || depth == FVLM_FACTORS ? NULL : v->producer;
    if (n && !strcmp(n->op, "Mul"))
        return add_factors(f, n->inputs[0], inverted, depth + 1) && add_factors(f, n->inputs[1], inverted, depth + 1);
    if (n && !strcmp(n->op, "Div"))
        return add_factors(f, n->inputs[0], inverted, depth + 1) && add_factors(f, n->inputs[1], !inverted, depth + 1);
    if (n && !strcmp(n->op, "Reciprocal")) return add_factors(f, n->inputs[0], !inverted, depth + 1);
    if (v->is_const && v->n_elems == 1 && fvlm_net_all(v, 1)) return true;
    if (f->n == FVLM_FACTORS) return false;
    f->inverted[f->n] = inverted;
    f->v[f->n++] = v;
    return true;
}

bool fvlm_factors_find(fvlm_factors *out, fvlm_net_value *v)
{
    *out = (fvlm_factors){0};
    return add_factors(out, v, false, 0);
}
