/* SPDX-License-Identifier: Apache-2.0 */
/* origin_rotary.c - com.microsoft.RotaryEmbedding (x, position_ids, cos, sin) and ai.onnx RotaryEmbedding (x, cos, sin,
 * position_ids) as rotations of origins; x is [1, positions, heads * dim] or [1, heads, positions, dim]. */
#include <string.h>

#include "convert/graph/origin_internal.h"

typedef struct {
    const fvlm_net_value *x, *cos, *sin, *positions; /* positions: NULL, or a constant */
} rotary;

static bool find(rotary *r, const fvlm_net_node *n)
{
    const bool microsoft = !strcmp(n->node->domain, "com.microsoft");
    if (strcmp(n->op, "RotaryEmbedding") || n->n_inputs < 3 || !n->inputs[0]) return false;
    *r = (rotary){n->inputs[0], n->inputs[microsoft ? 2 : 1], NULL, NULL};
    r->sin = microsoft ? (n->n_inputs > 3 ? n->inputs[3] : NULL) : n->inputs[2];
    r->positions = microsoft ? n->inputs[1] : n->n_inputs > 3 ? n->inputs[3] : NULL;
    return r->cos && r->sin && r->cos->is_const && r->sin->is_const && (!r->positions || r->positions->numbers) &&
           (r->positions || !microsoft) && (r->x->rank == 3 || r->x->rank == 4) && r->x->dims[0] == 1;
}

bool fvlm_origin_is_rotary(const fvlm_net_node *n)
{
    rotary r;
    return find(&r, n);
}

/* Heads and what is rotated of each. */
typedef struct {
    uint64_t heads, positions, dim, half; /* half of the elements that are rotated */
    bool heads_first, interleaved;
} layout;

/* An attribute of a newer version may change what is computed. */
static bool all_known(const fvlm_graph_node *n)
{
    static const char *const known[] = {"interleaved", "num_heads", "rotary_embedding_dim", "is_packed_batching",
                                        "scale"};
    size_t found = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found += fvlm_graph_attr_find(n, known[i]) != NULL;
    return found == n->n_attrs;
}

static fvlm_status read_layout(layout *l, const fvlm_origin_trace *t, const fvlm_net_node *n, const rotary *r)
{
    int64_t interleaved = 0, heads = 0, rotated = 0, packed = 0;
    float scale = 1;
    fvlm_status st = fvlm_graph_attr_int(&interleaved, n->node, "interleaved", 0, t->err);
    if (!st) st = fvlm_graph_attr_int(&heads, n->node, "num_heads", 0, t->err);
    if (!st) st = fvlm_graph_attr_int(&rotated, n->node, "rotary_embedding_dim", 0, t->err);
    if (!st) st = fvlm_graph_attr_int(&packed, n->node, "is_packed_batching", 0, t->err);
    if (!st) st = fvlm_graph_attr_float(&scale, n->node, "scale", 1, t->err);
    if (st) return st;
    if (scale != 1 || packed || !all_known(n->node))
        return fvlm_net_expected(t->net, n, t->err,
                                 "scale 1, is_packed_batching 0, and no attributes that are not known");
    const uint64_t width = r->cos->rank ? r->cos->dims[r->cos->rank - 1] : 0;
    *l = (layout){.half = width, .heads_first = r->x->rank == 4, .interleaved = interleaved != 0};
    if (l->heads_first) {
        l->heads = r->x->dims[1];
        l->positions = r->x->dims[2];
        l->dim = r->x->dims[3];
    } else {
        l->positions = r->x->dims[1];
        l->dim = heads > 0 ? r->x->dims[2] / (uint64_t)heads : 2 * width;
        l->heads = l->dim ? r->x->dims[2] / l->dim : 0;
    }
    if (!width || 2 * width > l->dim || l->heads * l->dim * l->positions != r->x->n_elems ||
        (rotated && (uint64_t)rotated != 2 * width) || r->sin->n_elems != r->cos->n_elems)
        return fvlm_net_expected(t->net, n, t->err, "tables of half the size of what is rotated of a head");
    return FVLM_OK;
}

/* The row of the tables for position s of the sequence. */
static bool row_of(uint64_t *out, const rotary *r, uint64_t s)
{
    const fvlm_net_value *p = r->positions;
    double x = (double)s;
    if (p && p->n_elems == 1)
        x = p->numbers[0] + (double)s; /* where the sequence begins */
    else if (p && s < p->n_elems)
        x = p->numbers[s];
    else if (p)
        return false;
    if (x < 0 || x >= (double)(r->cos->n_elems / r->cos->dims[r->cos->rank - 1])) return false;
    *out = (uint64_t)x;
    return true;
}

fvlm_status fvlm_origin_rotate(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_origin *in)
{
    rotary r;
    layout l = {0};
    if (!find(&r, n)) return fvlm_net_expected(t->net, n, t->err, "constant tables of cosines and sines");
    fvlm_status st = read_layout(&l, t, n, &r);
    if (st) return st;
    t->out->rotary = n;
    if (r.cos->type == FVLM_ONNX_F16 || r.cos->type == FVLM_ONNX_BF16) t->out->coarse = true;
    memcpy(out, in, r.x->n_elems * sizeof *out); /* what is not rotated */
    for (uint64_t h = 0; h < l.heads; h++)
        for (uint64_t s = 0; s < l.positions; s++) {
            const uint64_t at = (l.heads_first ? h * l.positions + s : s * l.heads + h) * l.dim;
            uint64_t row = 0;
            if (!row_of(&row, &r, s)) return fvlm_net_expected(t->net, n, t->err, "a position in the tables");
            for (uint64_t i = 0; i < l.half; i++) {
                const uint64_t a = at + (l.interleaved ? 2 * i : i), b = l.interleaved ? a + 1 : a + l.half;
                double c = 0, d = 0;
                if (!fvlm_origin_number(&c, r.cos, row * l.half + i) ||
                    !fvlm_origin_number(&d, r.sin, row * l.half + i))
                    return fvlm_net_expected(t->net, n, t->err, "tables that are stored as floats");
                if (!fvlm_origin_combine(&out[a], c, &in[a], -d, &in[b]) ||
                    !fvlm_origin_combine(&out[b], c, &in[b], d, &in[a]))
                    return fvlm_net_expected(t->net, n, t->err, "elements that are not rotated already");
            }
        }
    return FVLM_OK;
}
