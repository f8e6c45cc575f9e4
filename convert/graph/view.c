/* SPDX-License-Identifier: Apache-2.0 */
/* view.c - see view.h. */
#include "convert/graph/view.h"

#include <string.h>

#define MAX_STEPS 64 /* operators between a value and its base; exporters write five or six */

/* A view whose factors are grouped by the dimensions of the value that it has been followed to. */
typedef struct {
    fvlm_view v;
    unsigned rank, end[FVLM_GRAPH_MAX_RANK]; /* dimension d has the factors end[d - 1] .. end[d] - 1 */
} grouped;

static unsigned begin_of(const grouped *g, unsigned d)
{
    return d ? g->end[d - 1] : 0;
}

static bool append(fvlm_view *v, uint64_t size, uint64_t stride)
{
    if (size == 1) return true;
    if (v->n == FVLM_VIEW_FACTORS) return false;
    v->factor[v->n++] = (fvlm_view_factor){.size = size, .stride = stride};
    return true;
}

/* Joins neighbours that are one run: (3, 4) of strides (4s, s) is 12 of stride s. */
static void merge(fvlm_view *v)
{
    unsigned n = 0;
    for (unsigned i = 0; i < v->n; i++) {
        const fvlm_view_factor f = v->factor[i];
        if (n && v->factor[n - 1].stride == f.stride * f.size)
            v->factor[n - 1] = (fvlm_view_factor){.size = v->factor[n - 1].size * f.size, .stride = f.stride};
        else
            v->factor[n++] = f;
    }
    v->n = n;
}

static void begin(grouped *g, fvlm_net_value *base)
{
    *g = (grouped){.v.base = base, .rank = base->rank};
    uint64_t stride = base->n_elems;
    for (unsigned d = 0; d < base->rank; d++) {
        if (base->dims[d]) stride /= base->dims[d];
        append(&g->v, base->dims[d], stride);
        g->end[d] = g->v.n;
    }
}

static bool reshape(grouped *g, const fvlm_net_value *to)
{
    grouped out = {.v.base = g->v.base, .v.offset = g->v.offset, .rank = to->rank};
    merge(&g->v);
    unsigned i = 0; /* the factor that is being used up */
    fvlm_view_factor left = g->v.n ? g->v.factor[0] : (fvlm_view_factor){.size = 1};
    for (unsigned d = 0; d < to->rank; d++) {
        for (uint64_t need = to->dims[d]; need > 1;) {
            if (left.size == 1) {
                if (++i >= g->v.n) return false;
                left = g->v.factor[i];
            }
            const uint64_t take = left.size <= need ? left.size : need;
            if (need % take != 0 || left.size % take != 0) return false;
            left.size /= take;
            need /= take;
            if (!append(&out.v, take, left.size * left.stride)) return false;
        }
        out.end[d] = out.v.n;
    }
    *g = out;
    return true;
}

static bool transpose(grouped *g, const fvlm_net_node *n)
{
    grouped out = {.v.base = g->v.base, .v.offset = g->v.offset, .rank = g->rank};
    for (unsigned d = 0; d < g->rank; d++) {
        const unsigned from = n->perm[d];
        for (unsigned i = begin_of(g, from); i < g->end[from]; i++)
            append(&out.v, g->v.factor[i].size, g->v.factor[i].stride);
        out.end[d] = out.v.n;
    }
    *g = out;
    return true;
}

/* Appends to out the indices start .. start + size - 1 of one dimension, which has these n factors. Only a range that
 * starts and ends on whole inner factors is a view. */
static bool cut(fvlm_view *out, const fvlm_view_factor *factor, unsigned n, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t inner = 1;
        for (unsigned k = i + 1; k < n; k++) inner *= factor[k].size;
        const uint64_t first = start / inner;
        start %= inner;
        out->offset += first * factor[i].stride;
        if (start == 0 && size % inner == 0) {
            if (!append(out, size / inner, factor[i].stride)) return false;
            for (unsigned k = i + 1; k < n; k++)
                if (!append(out, factor[k].size, factor[k].stride)) return false;
            return true;
        }
        if (size > inner - start) return false;
    }
    return n == 0;
}

static bool slice(grouped *g, const fvlm_net_node *n)
{
    const fvlm_net_value *to = n->outputs[0];
    grouped out = {.v.base = g->v.base, .v.offset = g->v.offset, .rank = g->rank};
    for (unsigned d = 0; d < g->rank; d++) {
        const unsigned from = begin_of(g, d), k = g->end[d] - from;
        if (n->start[d] < 0 || n->step[d] < 1) return false;
        if (n->step[d] == 1) {
            if (!cut(&out.v, g->v.factor + from, k, (uint64_t)n->start[d], to->dims[d])) return false;
        } else if (k == 1) {
            out.v.offset += (uint64_t)n->start[d] * g->v.factor[from].stride;
            if (!append(&out.v, to->dims[d], g->v.factor[from].stride * (uint64_t)n->step[d])) return false;
        } else {
            return false;
        }
        out.end[d] = out.v.n;
    }
    *g = out;
    return true;
}

static bool expand(grouped *g, const fvlm_net_value *to)
{
    if (to->rank != g->rank) return false;
    grouped out = {.v.base = g->v.base, .v.offset = g->v.offset, .rank = g->rank};
    for (unsigned d = 0; d < g->rank; d++) {
        const unsigned from = begin_of(g, d);
        uint64_t size = 1;
        for (unsigned i = from; i < g->end[d]; i++) {
            size *= g->v.factor[i].size;
            if (!append(&out.v, g->v.factor[i].size, g->v.factor[i].stride)) return false;
        }
        if (size == 1 && !append(&out.v, to->dims[d], 0)) return false;
        out.end[d] = out.v.n;
    }
    *g = out;
    return true;
}

static bool rearranges(const fvlm_net_node *n)
{
    static const char *const ops[] = {"Reshape", "Transpose", "Slice", "Expand"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(n->op, ops[i]))
            return n->n_outputs == 1 && n->n_inputs > 0 && n->inputs[0] && !n->inputs[0]->is_const;
    return false;
}

static bool follow(grouped *g, const fvlm_net_node *n)
{
    if (!strcmp(n->op, "Reshape")) return reshape(g, n->outputs[0]);
    if (!strcmp(n->op, "Transpose")) return transpose(g, n);
    if (!strcmp(n->op, "Slice")) return slice(g, n);
    return expand(g, n->outputs[0]);
}

void fvlm_view_trace(fvlm_view *out, fvlm_net_value *v, fvlm_scalar *scale)
{
    const fvlm_net_node *steps[MAX_STEPS];
    unsigned n = 0;
    fvlm_net_value *base = v;
    while (base->producer && n < MAX_STEPS) {
        if (rearranges(base->producer)) {
            steps[n++] = base->producer;
            base = base->producer->inputs[0];
        } else if (!scale || !fvlm_scalar_step(scale, base->producer, &base)) {
            break;
        }
    }
    grouped g;
    begin(&g, base);
    while (n > 0)
        if (!follow(&g, steps[--n])) begin(&g, steps[n]->outputs[0]);
    merge(&g.v);
    *out = g.v;
}

bool fvlm_view_is(const fvlm_view *v, const fvlm_view_factor *factors, unsigned n)
{
    fvlm_view want = {.n = 0};
    for (unsigned i = 0; i < n; i++) append(&want, factors[i].size, factors[i].stride);
    merge(&want);
    if (want.n != v->n) return false;
    for (unsigned i = 0; i < v->n; i++)
        if (want.factor[i].size != v->factor[i].size || want.factor[i].stride != v->factor[i].stride) return false;
    return true;
}
