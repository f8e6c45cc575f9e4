/* SPDX-License-Identifier: Apache-2.0 */
/* rms_norm.c - RMSNorm (Zhang & Sennrich 2019) as one node, or as the product of x, gamma and
 * 1 / sqrt(mean(x^2) + eps), in any order and association. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/graph/projection.h"

#define WHAT "RMSNorm over the last dimension"

/* mean(x^2) over the last dimension; *x is what is squared. */
static bool is_mean_square(fvlm_net_value **x, fvlm_net_value *v)
{
    v = fvlm_net_skip_reshapes(v);
    if (!fvlm_net_is(v, "ReduceMean")) return false;
    fvlm_net_value *square = v->producer->inputs[0];
    if (!square->rank || v->producer->axes != 1u << (square->rank - 1) || !square->producer || square->is_const)
        return false;
    const fvlm_net_node *n = square->producer;
    *x = n->inputs[0];
    if (!strcmp(n->op, "Mul")) return n->inputs[0] == n->inputs[1];
    return !strcmp(n->op, "Pow") && n->inputs[1]->is_const && fvlm_net_all(n->inputs[1], 2);
}

/* mean(x^2) + eps */
static bool is_mean_and_eps(fvlm_net_value **x, fvlm_rms_norm *norm, fvlm_net_value *v)
{
    fvlm_net_value *constant, *mean;
    v = fvlm_net_skip_reshapes(v);
    if (!fvlm_net_is(v, "Add") || !fvlm_net_split_const(v->producer, &constant, &mean)) return false;
    if (constant->n_elems != 1 || !constant->numbers) return false;
    norm->eps = constant->numbers[0];
    norm->eps_type = constant->type;
    return is_mean_square(x, mean);
}

/* Factor k of f is 1 / sqrt(mean(x^2) + eps). */
static bool is_inverse_rms(fvlm_net_value **x, fvlm_rms_norm *norm, const fvlm_factors *f, unsigned k)
{
    fvlm_net_value *v = fvlm_net_skip_reshapes(f->v[k]);
    if (v->is_const || !v->producer) return false;
    const fvlm_net_node *n = v->producer;
    if (!strcmp(n->op, "Sqrt")) return f->inverted[k] && is_mean_and_eps(x, norm, n->inputs[0]);
    if (strcmp(n->op, "Pow") != 0 || !n->inputs[1]->is_const) return false;
    return fvlm_net_all(n->inputs[1], f->inverted[k] ? 0.5 : -0.5) && is_mean_and_eps(x, norm, n->inputs[0]);
}

/* Takes the product apart: gamma, the inverse RMS, and what is left: x. */
static bool is_spelled_out(fvlm_rms_norm *out, fvlm_net_value *v)
{
    fvlm_factors f;
    fvlm_net_value *squared = NULL;
    if (!fvlm_factors_find(&f, v)) return false;
    for (unsigned k = 0; k < f.n; k++) {
        fvlm_net_value *x = NULL;
        if (!squared && is_inverse_rms(&x, out, &f, k)) {
            squared = x;
        } else if (f.inverted[k]) {
            return false;
        } else if (f.v[k]->is_const && !out->gamma) {
            out->gamma = f.v[k];
        } else if (!f.v[k]->is_const && !out->in) {
            out->in = f.v[k];
        } else {
            return false;
        }
    }
    return squared && out->in && fvlm_net_skip_reshapes(out->in) == fvlm_net_skip_reshapes(squared);
}

fvlm_status fvlm_rms_norm_find(fvlm_rms_norm *out, const fvlm_net *net, fvlm_net_value *v, fvlm_err *err)
{
    v = fvlm_net_skip_reshapes(v);
    *out = (fvlm_rms_norm){.width = v->rank ? v->dims[v->rank - 1] : 0, .node = v->producer};
    if (fvlm_net_is(v, "RMSNormalization")) {
        const fvlm_net_node *n = v->producer;
        if (v != n->outputs[0] || n->axis + 1 != v->rank || n->n_inputs < 2 || !n->inputs[1]->is_const)
            return fvlm_match_expected(net, v, "another one", err, WHAT);
        out->in = n->inputs[0];
        out->gamma = n->inputs[1];
        out->eps = n->epsilon;
        out->eps_type = FVLM_ONNX_F32;
    } else if (v->is_const || !v->producer || !is_spelled_out(out, v)) {
        return fvlm_match_expected(net, v, fvlm_net_is(v, "Mul") ? "another product" : NULL, err,
                                   WHAT ": gamma * x / sqrt(mean(x^2) + eps)");
    }
    const fvlm_net_value *g = out->gamma;
    if (g && (g->n_elems != out->width || !g->rank || g->dims[g->rank - 1] != out->width))
        return fvlm_match_expected(net, v, "another shape", err, "one gamma for each of %u channels",
                                   (unsigned)out->width);
    if (!(out->eps >= FVLM_MIN_NORM_EPS && out->eps <= FVLM_MAX_NORM_EPS)) {
        char found[40];
        snprintf(found, sizeof found, "%g", out->eps);
        return fvlm_match_expected(net, v, found, err, "an epsilon from %g to %g", FVLM_MIN_NORM_EPS,
                                   FVLM_MAX_NORM_EPS);
    }
    return FVLM_OK;
}

fvlm_status fvlm_rms_norm_add(fvlm_match *m, const fvlm_net *net, const fvlm_rms_norm *norm, const char *name,
                              fvlm_err *err)
{
    fvlm_match_tensor *t = fvlm_match_add(m, err, "%s.weight", name);
    if (!t) return FVLM_NOMEM;
    t->rank = 1;
    t->dims[0] = norm->width;
    t->node = norm->node->node;
    t->fill = 1;
    if (!norm->gamma) return FVLM_OK;
    const fvlm_match_rows all = {.v = norm->gamma, .n_rows = norm->width};
    return fvlm_match_set_rows(t, net, &all, 1, norm->node, err);
}
