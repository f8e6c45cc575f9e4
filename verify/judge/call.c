/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - what operators share. */
#include "verify/judge/call.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- refusals ---- */

static fvlm_status fail_node(const fvlm_judge_call *c, fvlm_status code, const char *fmt, va_list args)
{
    char text[512], name[192];
    vsnprintf(text, sizeof text, fmt, args);
    return fvlm_fail(c->err, code, "%s: %s", fvlm_graph_node_text(c->graph, c->node, name), text);
}

fvlm_status fvlm_judge_refuse(const fvlm_judge_call *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const fvlm_status st = fail_node(c, FVLM_BAD_INPUT, fmt, args);
    va_end(args);
    return st;
}

fvlm_status fvlm_judge_unsupported(const fvlm_judge_call *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const fvlm_status st = fail_node(c, FVLM_UNSUPPORTED, fmt, args);
    va_end(args);
    return st;
}

fvlm_status fvlm_judge_refuse_type(const fvlm_judge_call *c, size_t input)
{
    return fvlm_judge_unsupported(c, "input %zu is %s, which is not supported here", input,
                                  fvlm_onnx_type_name(c->in[input]->type));
}

const char *fvlm_judge_shape_text(const fvlm_judge_value *v, char out[192])
{
    int n = snprintf(out, 192, "[");
    for (unsigned i = 0; i < v->rank; i++)
        n += snprintf(out + n, 192 - (size_t)n, i ? ", %" PRIu64 : "%" PRIu64, v->dims[i]);
    snprintf(out + n, 192 - (size_t)n, "]");
    return out;
}

fvlm_status fvlm_judge_want_type(const fvlm_judge_call *c, size_t input, int32_t type)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    if (!v) return fvlm_judge_refuse(c, "input %zu is missing", input);
    if (v->type == type) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu is %s, expected %s", input, fvlm_onnx_type_name(v->type),
                             fvlm_onnx_type_name(type));
}

fvlm_status fvlm_judge_want_float(const fvlm_judge_call *c, size_t input)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    if (!v) return fvlm_judge_refuse(c, "input %zu is missing", input);
    if (fvlm_judge_is_float(v->type)) return FVLM_OK;
    return fvlm_judge_unsupported(c, "input %zu is %s; FLOAT, FLOAT16 and BFLOAT16 are supported", input,
                                  fvlm_onnx_type_name(v->type));
}

fvlm_status fvlm_judge_want_shape(const fvlm_judge_call *c, size_t input, unsigned rank, const uint64_t *dims)
{
    fvlm_judge_value wanted = {.rank = rank};
    char found[192], expected[192];
    if (rank) memcpy(wanted.dims, dims, rank * sizeof *dims);
    if (fvlm_judge_same_shape(c->in[input], &wanted)) return FVLM_OK;
    return fvlm_judge_refuse(c, "input %zu is %s, expected %s", input, fvlm_judge_shape_text(c->in[input], found),
                             fvlm_judge_shape_text(&wanted, expected));
}

fvlm_status fvlm_judge_want_work(const fvlm_judge_call *c, uint64_t a, uint64_t b)
{
    uint64_t n;
    if (!fvlm_checked_mul(a, b, &n)) n = UINT64_MAX;
    if (!c->max_work || n <= c->max_work) return FVLM_OK;
    char name[192];
    return fvlm_fail(c->err, FVLM_LIMIT, "%s: %" PRIu64 " multiplications; %" PRIu64 " are the most",
                     fvlm_graph_node_text(c->graph, c->node, name), n, c->max_work);
}

/* ---- attributes and inputs ---- */

fvlm_status fvlm_judge_attr_int(const fvlm_judge_call *c, const char *name, int64_t absent, int64_t *out)
{
    return fvlm_graph_attr_int(out, c->node, name, absent, c->err);
}

fvlm_status fvlm_judge_attr_flag(const fvlm_judge_call *c, const char *name, bool absent, bool *out)
{
    int64_t i;
    fvlm_status st = fvlm_judge_attr_int(c, name, absent, &i);
    if (!st && i != 0 && i != 1) st = fvlm_judge_refuse(c, "%s is %" PRId64 ", expected 0 or 1", name, i);
    if (!st) *out = i == 1;
    return st;
}

fvlm_status fvlm_judge_attr_float(const fvlm_judge_call *c, const char *name, float absent, float *out)
{
    return fvlm_graph_attr_float(out, c->node, name, absent, c->err);
}

fvlm_status fvlm_judge_attr_string(const fvlm_judge_call *c, const char *name, const char **out)
{
    const fvlm_graph_attr *a = fvlm_graph_attr_find(c->node, name);
    *out = a ? a->s : NULL;
    if (a && a->kind != FVLM_ATTR_STRING) return fvlm_judge_refuse(c, "attribute \"%s\" is not a string", name);
    return FVLM_OK;
}

fvlm_status fvlm_judge_attr_ints(const fvlm_judge_call *c, const char *name, const int64_t **out, size_t *n)
{
    return fvlm_graph_attr_ints(out, n, c->node, name, c->err);
}

fvlm_status fvlm_judge_input_ints(const fvlm_judge_call *c, size_t input, int64_t *out, size_t max, size_t *n)
{
    const fvlm_judge_value *v = fvlm_judge_in(c, input);
    if (!v) return fvlm_judge_refuse(c, "input %zu is missing", input);
    if (v->type != FVLM_ONNX_I64 && v->type != FVLM_ONNX_I32)
        return fvlm_judge_refuse(c, "input %zu is %s, expected INT64", input, fvlm_onnx_type_name(v->type));
    if (v->rank > 1) return fvlm_judge_refuse(c, "input %zu has rank %u, expected a list", input, v->rank);
    if (v->n > max)
        return fvlm_judge_refuse(c, "input %zu lists %" PRIu64 " numbers; %zu are the most", input, v->n, max);
    *n = (size_t)v->n;
    for (size_t i = 0; i < *n; i++) out[i] = fvlm_judge_get_i64(v, i);
    return FVLM_OK;
}

fvlm_status fvlm_judge_axis(const fvlm_judge_call *c, int64_t axis, unsigned rank, unsigned *out)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return fvlm_judge_refuse(c, "axis %" PRId64 " of a value of rank %u", axis, rank);
    *out = (unsigned)(axis < 0 ? axis + rank : axis);
    return FVLM_OK;
}

fvlm_status fvlm_judge_axes(const fvlm_judge_call *c, size_t input, unsigned rank, uint32_t *mask, bool *given)
{
    int64_t list[FVLM_GRAPH_MAX_RANK];
    const int64_t *axes = list;
    size_t n = 0;
    fvlm_status st;
    *mask = 0;
    *given = fvlm_judge_in(c, input) || fvlm_graph_attr_find(c->node, "axes");
    if (fvlm_judge_in(c, input))
        st = fvlm_judge_input_ints(c, input, list, FVLM_GRAPH_MAX_RANK, &n);
    else
        st = fvlm_judge_attr_ints(c, "axes", &axes, &n);
    for (size_t i = 0; i < n && !st; i++) {
        unsigned axis = 0;
        st = fvlm_judge_axis(c, axes[i], rank, &axis);
        if (!st && *mask >> axis & 1) st = fvlm_judge_refuse(c, "axis %u is listed twice", axis);
        if (!st) *mask |= 1U << axis;
    }
    return st;
}

/* ---- outputs ---- */

static fvlm_status prefixed(const fvlm_judge_call *c, fvlm_status st)
{
    char name[192];
    return st ? fvlm_err_prefix(c->err, "%s", fvlm_graph_node_text(c->graph, c->node, name)) : st;
}

fvlm_status fvlm_judge_make(fvlm_judge_call *c, size_t output, int32_t type, unsigned rank, const uint64_t *dims)
{
    return prefixed(c, fvlm_judge_value_make(&c->out[output], c->memory, type, rank, dims, c->err));
}

fvlm_status fvlm_judge_make_like(fvlm_judge_call *c, size_t output, int32_t type, const fvlm_judge_value *v)
{
    return fvlm_judge_make(c, output, type, v->rank, v->dims);
}

fvlm_status fvlm_judge_make_view(fvlm_judge_call *c, size_t output, const fvlm_judge_value *v, unsigned rank,
                                 const uint64_t *dims)
{
    uint64_t n;
    fvlm_judge_value *out = &c->out[output], wanted = {.rank = rank};
    if (rank > FVLM_GRAPH_MAX_RANK)
        return fvlm_judge_refuse(c, "a value of rank %u; %d is the most", rank, FVLM_GRAPH_MAX_RANK);
    if (rank) memcpy(wanted.dims, dims, rank * sizeof *dims);
    if (!fvlm_judge_count(&n, dims, rank) || n != v->n) {
        char from[192], to[192];
        return fvlm_judge_refuse(c, "%s does not fit into %s", fvlm_judge_shape_text(v, from),
                                 fvlm_judge_shape_text(&wanted, to));
    }
    fvlm_judge_value_share(out, v);
    out->rank = rank;
    memcpy(out->dims, wanted.dims, sizeof out->dims);
    return FVLM_OK;
}

fvlm_status fvlm_judge_make_temp(const fvlm_judge_call *c, fvlm_judge_value *v, int32_t type, unsigned rank,
                                 const uint64_t *dims)
{
    return prefixed(c, fvlm_judge_value_make(v, c->memory, type, rank, dims, c->err));
}

/* ---- loops ---- */

typedef struct {
    uint64_t n, grain;
    fvlm_judge_range_task task;
    void *ctx;
} ranges;

static void run_range(void *ctx, size_t i, unsigned thread)
{
    const ranges *r = ctx;
    (void)thread;
    const uint64_t first = i * r->grain;
    r->task(r->ctx, first, r->n - first < r->grain ? r->n : first + r->grain);
}

void fvlm_judge_ranges(const fvlm_judge_call *c, uint64_t n, uint64_t grain, fvlm_judge_range_task task, void *ctx)
{
    ranges r = {n, grain ? grain : 1, task, ctx};
    fvlm_pool_run(c->pool, (size_t)(n / r.grain + (n % r.grain != 0)), run_range, &r);
}
