/* SPDX-License-Identifier: Apache-2.0 */
/* origin_move.c - elements of one value as elements of another; see origin.h. */
#include <stdlib.h>
#include <string.h>

#include "convert/graph/origin_internal.h"

bool fvlm_origin_number(double *out, const fvlm_net_value *v, uint64_t i)
{
    const fvlm_graph_tensor *t = v->weight.tensor;
    if (!v->is_const || i >= v->n_elems) return false;
    if (v->numbers || v->uniform) {
        *out = v->numbers ? v->numbers[i] : *v->uniform;
        return true;
    }
    if (!t || v->weight.packed.kind || v->weight.transposed || t->n_elems != v->n_elems) return false;
    if (t->type != FVLM_ONNX_F32 && t->type != FVLM_ONNX_F16 && t->type != FVLM_ONNX_BF16) return false;
    *out = fvlm_net_stored_number(t, i);
    return true;
}

bool fvlm_origin_combine(fvlm_origin *out, double a, const fvlm_origin *x, double b, const fvlm_origin *y)
{
    fvlm_origin r = *x;
    for (unsigned i = 0; i < r.n; i++) r.factor[i] *= a;
    for (unsigned k = 0; k < y->n; k++) {
        unsigned i = 0;
        while (i < r.n && (r.source[i] != y->source[k] || r.index[i] != y->index[k])) i++;
        if (i == 2) return false;
        if (i == r.n) {
            r.source[i] = y->source[k];
            r.index[i] = y->index[k];
            r.factor[i] = 0;
            r.n++;
        }
        r.factor[i] += b * y->factor[k];
    }
    *out = r;
    return true;
}

uint64_t fvlm_origin_broadcast_index(const fvlm_net_value *from, const fvlm_net_value *to, uint64_t i)
{
    uint64_t at = 0, stride = 1;
    for (unsigned k = to->rank, j = from->rank; k-- > 0 && j-- > 0; i /= to->dims[k], stride *= from->dims[j])
        if (from->dims[j] != 1) at += i % to->dims[k] * stride;
    return at;
}

fvlm_status fvlm_origin_move(fvlm_origin *out, const fvlm_origin_trace *t, const fvlm_net_node *n,
                             const fvlm_origin *in)
{
    const uint64_t n_elems = n->outputs[0]->n_elems;
    if (!strcmp(n->op, "Reshape")) return memcpy(out, in, n_elems * sizeof *out), FVLM_OK;
    double *from = fvlm_alloc(n_elems ? n_elems : 1, sizeof *from);
    if (!from) return fvlm_fail_nomem(t->err);
    fvlm_status st = fvlm_net_moved_from(from, n, t->err);
    for (uint64_t i = 0; i < n_elems && !st; i++) out[i] = in[(size_t)from[i]];
    free(from);
    return st == FVLM_BAD_INPUT ? fvlm_net_expected(t->net, n, t->err, "indices of the input") : st;
}
