/* SPDX-License-Identifier: Apache-2.0 */
/* origin.c - see origin.h. Each value on the way is evaluated to an array of fvlm_origin; depth and work are bounded,
 * because a hostile graph may use a value twice at each of many steps. */
#include "convert/graph/origin.h"

#include <stdlib.h>
#include <string.h>

#include "convert/graph/origin_internal.h"

void fvlm_origins_free(fvlm_origins *o)
{
    free(o->elems);
    *o = (fvlm_origins){0};
}

/* ---- which operations are traced ---- */

static bool is_factor(const fvlm_net_value *v)
{
    double x;
    return v && fvlm_origin_number(&x, v, 0);
}

/* Mul or Div by a constant, or Neg: a scaled value. */
static bool is_scaling(const fvlm_net_node *n)
{
    if (!strcmp(n->op, "Neg")) return true;
    if (!strcmp(n->op, "Mul")) return is_factor(n->inputs[0]) != is_factor(n->inputs[1]);
    return !strcmp(n->op, "Div") && is_factor(n->inputs[1]) && !n->inputs[0]->is_const;
}

static bool is_move(const fvlm_net_node *n)
{
    static const char *const ops[] = {"Reshape", "Transpose", "Slice", "Concat", "Expand", "Tile"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (!strcmp(n->op, ops[i])) return true;
    if (!strcmp(n->op, "Gather")) return !n->inputs[0]->is_const && n->inputs[1]->numbers;
    return !strcmp(n->op, "Where") && n->inputs[0]->is_const && (n->inputs[0]->numbers || n->inputs[0]->uniform);
}

/* One half of a rotation: scaled, perhaps moved afterwards. */
static bool is_half(const fvlm_net_value *v)
{
    for (unsigned i = 0; i < FVLM_ORIGIN_DEPTH && v->producer && !v->is_const; i++) {
        if (is_scaling(v->producer)) return true;
        if (!is_move(v->producer)) return false;
        v = v->producer->inputs[0];
        if (!v) return false;
    }
    return false;
}

static bool is_sum(const fvlm_net_node *n)
{
    return (!strcmp(n->op, "Add") || !strcmp(n->op, "Sub")) && is_half(n->inputs[0]) && is_half(n->inputs[1]);
}

/* ---- moving, scaling and adding ---- */

static fvlm_status elements(fvlm_origin **out, fvlm_origin_trace *t, const fvlm_net_value *v);

static fvlm_status moved(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n)
{
    fvlm_origin *in = NULL;
    fvlm_status st = elements(&in, t, n->inputs[0]);
    if (!st) st = fvlm_origin_move(out, t, n, in);
    free(in);
    return st;
}

static fvlm_status concatenated(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_net_value *v)
{
    const uint64_t outer = fvlm_net_product(v, 0, n->axis), inner = fvlm_net_product(v, n->axis + 1, v->rank);
    uint64_t at = 0;
    const uint64_t row = v->dims[n->axis] * inner;
    fvlm_status st = FVLM_OK;
    for (size_t k = 0; k < n->n_inputs && !st; k++) {
        if (!n->inputs[k] || !n->inputs[k]->n_elems) continue; /* an empty cache */
        fvlm_origin *in = NULL;
        const uint64_t part = n->inputs[k]->dims[n->axis] * inner;
        st = elements(&in, t, n->inputs[k]);
        for (uint64_t o = 0; o < outer && !st; o++) memcpy(out + o * row + at, in + o * part, part * sizeof *out);
        at += part;
        free(in);
    }
    return st;
}

/* The elements of x, broadcast to the shape of v. */
static fvlm_status broadcast(fvlm_origin **out, fvlm_origin_trace *t, const fvlm_net_value *x, const fvlm_net_value *v)
{
    fvlm_status st = elements(out, t, x);
    if (st || x->n_elems == v->n_elems) return st;
    fvlm_origin *wide = fvlm_alloc(v->n_elems, sizeof *wide);
    for (uint64_t i = 0; wide && i < v->n_elems; i++) wide[i] = (*out)[fvlm_origin_broadcast_index(x, v, i)];
    free(*out);
    *out = wide;
    return wide ? FVLM_OK : fvlm_fail_nomem(t->err);
}

static fvlm_status scaled(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_net_value *v)
{
    const bool neg = !strcmp(n->op, "Neg"), div = !strcmp(n->op, "Div");
    const size_t k = !neg && !div && is_factor(n->inputs[0]) ? 1 : 0; /* the value; the other is the constant */
    const fvlm_net_value *c = neg ? NULL : n->inputs[1 - k];
    fvlm_origin *in = NULL;
    fvlm_status st = broadcast(&in, t, n->inputs[k], v);
    if (c && (c->type == FVLM_ONNX_F16 || c->type == FVLM_ONNX_BF16)) t->out->coarse = true;
    for (uint64_t i = 0; i < v->n_elems && !st; i++) {
        double x = -1;
        if (c && !fvlm_origin_number(&x, c, fvlm_origin_broadcast_index(c, v, i)))
            st = fvlm_net_expected(t->net, n, t->err, "a factor that is stored as floats");
        for (unsigned j = 0; j < in[i].n; j++) in[i].factor[j] *= div ? 1 / x : x;
        out[i] = in[i];
    }
    free(in);
    return st;
}

static fvlm_status added(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_net_value *v)
{
    fvlm_origin *x = NULL, *y = NULL;
    fvlm_status st = broadcast(&x, t, n->inputs[0], v);
    if (!st) st = broadcast(&y, t, n->inputs[1], v);
    for (uint64_t i = 0; i < v->n_elems && !st; i++)
        if (!fvlm_origin_combine(&out[i], 1, &x[i], strcmp(n->op, "Sub") ? 1 : -1, &y[i]))
            st = fvlm_net_expected(t->net, n, t->err, "a rotation of two elements");
    free(x);
    free(y);
    return st;
}

/* The condition is constant; both branches are traced, constant ones as sources. */
static fvlm_status chosen(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n, const fvlm_net_value *v)
{
    fvlm_origin *x = NULL, *y = NULL;
    fvlm_status st = broadcast(&x, t, n->inputs[1], v);
    if (!st) st = broadcast(&y, t, n->inputs[2], v);
    for (uint64_t i = 0; i < v->n_elems && !st; i++) {
        double c = 0;
        if (!fvlm_origin_number(&c, n->inputs[0], fvlm_origin_broadcast_index(n->inputs[0], v, i)))
            st = fvlm_net_expected(t->net, n, t->err, "a constant condition");
        out[i] = c != 0 ? x[i] : y[i];
    }
    free(x);
    free(y);
    return st;
}

/* ---- the trace ---- */

static fvlm_status source(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_value *v)
{
    fvlm_origins *o = t->out;
    unsigned k = 0;
    while (k < o->n_sources && o->source[k] != v) k++;
    if (k == FVLM_ORIGIN_SOURCES)
        return fvlm_fail(t->err, FVLM_UNSUPPORTED,
                         "value \"%.200s\": it is joined with %d others; expected the heads of "
                         "one attention",
                         v->name, FVLM_ORIGIN_SOURCES);
    o->source[k] = v;
    if (k == o->n_sources) o->n_sources++;
    for (uint64_t i = 0; i < v->n_elems; i++)
        out[i] = (fvlm_origin){.factor = {1}, .index = {(uint32_t)i}, .source = {(uint8_t)k}, .n = 1};
    return FVLM_OK;
}

static fvlm_status rotated(fvlm_origin *out, fvlm_origin_trace *t, const fvlm_net_node *n)
{
    fvlm_origin *in = NULL;
    fvlm_status st = elements(&in, t, n->inputs[0]);
    if (!st) st = fvlm_origin_rotate(out, t, n, in);
    free(in);
    return st;
}

static fvlm_status elements(fvlm_origin **out, fvlm_origin_trace *t, const fvlm_net_value *v)
{
    const fvlm_net_node *n = v->is_const ? NULL : v->producer;
    if (v->n_elems > FVLM_ORIGIN_MAX || (t->work += v->n_elems) > FVLM_ORIGIN_WORK || t->depth == FVLM_ORIGIN_DEPTH)
        return fvlm_fail(t->err, FVLM_LIMIT,
                         "value \"%.200s\": too many elements or operations to follow; export the "
                         "decoder with a dynamic sequence length",
                         v->name);
    fvlm_origin *e = fvlm_alloc(v->n_elems ? v->n_elems : 1, sizeof *e);
    if (!e) return fvlm_fail_nomem(t->err);
    t->depth++;
    fvlm_status st;
    if (!n)
        st = source(e, t, v);
    else if (!strcmp(n->op, "Concat"))
        st = concatenated(e, t, n, v);
    else if (!strcmp(n->op, "Where") && is_move(n))
        st = chosen(e, t, n, v);
    else if (is_move(n))
        st = moved(e, t, n);
    else if (t->only_moves)
        st = source(e, t, v);
    else if (is_scaling(n))
        st = scaled(e, t, n, v);
    else if (is_sum(n))
        st = added(e, t, n, v);
    else if (fvlm_origin_is_rotary(n))
        st = rotated(e, t, n);
    else
        st = source(e, t, v);
    t->depth--;
    if (st)
        free(e);
    else
        *out = e;
    return st;
}

static fvlm_status trace(fvlm_origins *out, fvlm_origin_trace *t, const fvlm_net_value *v)
{
    *out = (fvlm_origins){.n_elems = v->n_elems};
    t->out = out;
    fvlm_status st = elements(&out->elems, t, v);
    if (st) *out = (fvlm_origins){0};
    return st;
}

fvlm_status fvlm_origins_trace(fvlm_origins *out, const fvlm_net *net, const fvlm_net_value *v, fvlm_err *err)
{
    fvlm_origin_trace t = {.net = net, .err = err};
    return trace(out, &t, v);
}

fvlm_status fvlm_origins_trace_moves(fvlm_origins *out, const fvlm_net *net, const fvlm_net_value *v, fvlm_err *err)
{
    fvlm_origin_trace t = {.net = net, .only_moves = true, .err = err};
    return trace(out, &t, v);
}
