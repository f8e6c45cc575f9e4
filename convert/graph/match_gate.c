/* SPDX-License-Identifier: Apache-2.0 */
/* match_gate.c - silu(gate) * up, where silu(x) = x * sigmoid(x) is one node or two, and gate and up are two
 * projections or the rows of one. Which is which is decided by what goes through the sigmoid. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/origin.h"
#include "convert/graph/projection.h"

#define WHAT "silu(gate) * up"

/* Finds the pair: what SiLU is applied to, and the other factor. */
static bool find_pair(fvlm_net_value **gate, fvlm_net_value **up, fvlm_net_value *v)
{
    fvlm_factors f;
    *gate = *up = NULL;
    if (!fvlm_factors_find(&f, v) || f.n < 2 || f.n > 3) return false;
    for (unsigned k = 0; k < f.n; k++)
        if (f.inverted[k]) return false;
    for (unsigned k = 0; k < f.n; k++) {
        const fvlm_net_node *n = f.v[k]->is_const ? NULL : f.v[k]->producer;
        if (n && f.n == 2 && !strcmp(n->op, "QuickGelu") && n->alpha == 1) {
            *gate = n->inputs[0];
            *up = f.v[1 - k];
            return true;
        }
        for (unsigned i = 0; n && f.n == 3 && !strcmp(n->op, "Sigmoid") && i < 3; i++)
            if (i != k && f.v[i] == n->inputs[0]) {
                *gate = f.v[i];
                *up = f.v[3 - i - k];
                return true;
            }
    }
    return false;
}

/* v as consecutive columns of a projection's output, token by token. */
static fvlm_status find_rows(fvlm_projection_rows *out, const fvlm_net *net, fvlm_net_value *v, const char *what,
                             fvlm_err *err)
{
    fvlm_origins o = {0};
    const uint64_t width = v->dims[v->rank - 1];
    fvlm_status st = fvlm_origins_trace(&o, net, v, err);
    if (st) return st;
    fvlm_net_value *from = o.n_sources == 1 ? (fvlm_net_value *)o.source[0] : v;
    if (o.n_sources != 1 || !fvlm_projection_find(&out->of, from) || out->of.out != from) {
        st = fvlm_match_expected(net, from, NULL, err, "the %s projection, a MatMul by a constant", what);
    } else {
        out->first = o.elems[0].index[0];
        out->n = width;
        bool in_order = out->first + width <= out->of.n_out;
        for (uint64_t i = 0; i < o.n_elems && in_order; i++)
            in_order = o.elems[i].n == 1 && o.elems[i].factor[0] == 1 &&
                       o.elems[i].index[0] == i / width * out->of.n_out + out->first + i % width;
        if (!in_order)
            st = fvlm_match_expected(net, v, "another order", err,
                                     "the outputs of the %s projection, unscaled and in their order", what);
    }
    fvlm_origins_free(&o);
    return st;
}

fvlm_status fvlm_gate_find(fvlm_projection_rows *gate, fvlm_projection_rows *up, const fvlm_net *net, fvlm_net_value *v,
                           fvlm_err *err)
{
    fvlm_net_value *g, *u;
    v = fvlm_net_skip_reshapes(v);
    if (!find_pair(&g, &u, v) || g->is_const || u->is_const || !g->rank || !u->rank)
        return fvlm_match_expected(net, v, fvlm_net_is(v, "Mul") ? "another product" : NULL, err, WHAT);
    fvlm_status st = find_rows(gate, net, g, "gate", err);
    if (!st) st = find_rows(up, net, u, "up", err);
    if (st) return st;
    if (gate->n != up->n || g->n_elems != u->n_elems)
        return fvlm_match_expected(net, v, "different ones", err, "gate and up of one width");
    if (fvlm_net_skip_reshapes(gate->of.in) != fvlm_net_skip_reshapes(up->of.in))
        return fvlm_match_expected(net, v, "different ones", err, "gate and up of one input");
    return FVLM_OK;
}
