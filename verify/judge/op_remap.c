/* SPDX-License-Identifier: Apache-2.0 */
/* op_remap.c - operators for which an index map for each dimension says where elements come from: Slice, Expand, Tile,
 * Pad. */
#include <inttypes.h>

#include "verify/judge/broadcast.h"
#include "verify/judge/remap.h"

/* ---- Slice ---- */

typedef struct {
    int64_t starts[FVLM_GRAPH_MAX_RANK], ends[FVLM_GRAPH_MAX_RANK], axes[FVLM_GRAPH_MAX_RANK],
        steps[FVLM_GRAPH_MAX_RANK];
    size_t n;
} slices;

static fvlm_status copy_ints(const fvlm_judge_call *c, const char *name, int64_t out[FVLM_GRAPH_MAX_RANK], size_t *n)
{
    const int64_t *list;
    fvlm_status st = fvlm_judge_attr_ints(c, name, &list, n);
    if (!st && *n > FVLM_GRAPH_MAX_RANK) st = fvlm_judge_refuse(c, "attribute \"%s\" has %zu numbers", name, *n);
    if (!st && *n) memcpy(out, list, *n * sizeof *out);
    return st;
}

/* Inputs since opset 10, attributes before. */
static fvlm_status read_slices(const fvlm_judge_call *c, slices *s)
{
    size_t n_ends, n_axes = 0, n_steps = 0;
    const bool old = c->opset < 10;
    if (!old && c->node->n_attrs)
        return fvlm_judge_refuse(c, "\"starts\", \"ends\", \"axes\" are inputs since opset 10");
    fvlm_status st = old ? copy_ints(c, "starts", s->starts, &s->n)
                         : fvlm_judge_input_ints(c, 1, s->starts, FVLM_GRAPH_MAX_RANK, &s->n);
    if (!st)
        st = old ? copy_ints(c, "ends", s->ends, &n_ends)
                 : fvlm_judge_input_ints(c, 2, s->ends, FVLM_GRAPH_MAX_RANK, &n_ends);
    if (!st && old) st = copy_ints(c, "axes", s->axes, &n_axes);
    if (!st && fvlm_judge_in(c, 3)) st = fvlm_judge_input_ints(c, 3, s->axes, FVLM_GRAPH_MAX_RANK, &n_axes);
    if (!st && fvlm_judge_in(c, 4)) st = fvlm_judge_input_ints(c, 4, s->steps, FVLM_GRAPH_MAX_RANK, &n_steps);
    if (st) return st;
    if (n_ends != s->n || (n_axes && n_axes != s->n) || (n_steps && n_steps != s->n) || s->n > c->in[0]->rank)
        return fvlm_judge_refuse(c, "starts, ends, axes and steps do not go together");
    for (size_t i = 0; i < s->n && !n_axes; i++) s->axes[i] = (int64_t)i;
    for (size_t i = 0; i < s->n && !n_steps; i++) s->steps[i] = 1;
    return FVLM_OK;
}

/* The first index and the number of them. Unlike in numpy, a start before the first element counts as the first one,
 * whatever the direction. */
static void slice_range(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *first, uint64_t *n)
{
    const int64_t least = step > 0 ? 0 : -1, most = step > 0 ? dim : dim - 1;
    if (start < 0) start += dim;
    if (end < 0) end += dim;
    start = start > most ? most : start < 0 && most >= 0 ? 0 : start;
    end = end < least ? least : end > most ? most : end;
    const uint64_t distance =
        step > 0 ? (end > start ? (uint64_t)(end - start) : 0) : (start > end ? (uint64_t)(start - end) : 0);
    const uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    *first = start;
    *n = distance / stride + (distance % stride != 0);
}

static fvlm_status run_slice(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    slices s = {0};
    int64_t first[FVLM_GRAPH_MAX_RANK] = {0}, step[FVLM_GRAPH_MAX_RANK];
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    uint32_t seen = 0;
    fvlm_status st = read_slices(c, &s);
    if (st) return st;
    for (unsigned d = 0; d < x->rank; d++) dims[d] = x->dims[d], step[d] = 1;
    for (size_t i = 0; i < s.n; i++) {
        unsigned d;
        st = fvlm_judge_axis(c, s.axes[i], x->rank, &d);
        if (st) return st;
        if (seen >> d & 1) return fvlm_judge_refuse(c, "axis %u is listed twice", d);
        if (s.steps[i] == 0) return fvlm_judge_refuse(c, "a step of 0");
        seen |= 1U << d;
        step[d] = s.steps[i];
        slice_range((int64_t)x->dims[d], s.starts[i], s.ends[i], step[d], &first[d], &dims[d]);
    }
    fvlm_remap r;
    st = fvlm_remap_begin(&r, c, x, dims);
    if (st) return st;
    for (unsigned d = 0; d < x->rank && r.out->n; d++)
        for (uint64_t i = 0; i < dims[d]; i++) r.map[d][i] = first[d] + (int64_t)i * step[d];
    fvlm_remap_run(&r, c);
    return FVLM_OK;
}

/* ---- Expand, Tile ---- */

static fvlm_status run_expand(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    fvlm_judge_value wanted = {0}, wide = *x;
    int64_t list[FVLM_GRAPH_MAX_RANK];
    size_t rank;
    fvlm_broadcast b;
    fvlm_status st = fvlm_judge_input_ints(c, 1, list, FVLM_GRAPH_MAX_RANK, &rank);
    if (st) return st;
    wanted.rank = (unsigned)rank;
    for (size_t i = 0; i < rank; i++) {
        if (list[i] < 0) return fvlm_judge_refuse(c, "the shape has a dimension of %" PRId64, list[i]);
        wanted.dims[i] = (uint64_t)list[i];
    }
    st = fvlm_broadcast_plan(&b, c, (const fvlm_judge_value *[]){x, &wanted}, 2);
    if (st) return st;
    wide.rank = b.rank; /* with dimensions of 1 in front */
    for (unsigned i = 0; i < b.rank; i++) wide.dims[i] = i < b.rank - x->rank ? 1 : x->dims[i - (b.rank - x->rank)];
    fvlm_remap r;
    st = fvlm_remap_begin(&r, c, &wide, b.dims);
    if (st) return st;
    for (unsigned d = 0; d < wide.rank && r.out->n; d++)
        for (uint64_t i = 0; i < b.dims[d]; i++) r.map[d][i] = wide.dims[d] == 1 ? 0 : (int64_t)i;
    fvlm_remap_run(&r, c);
    return FVLM_OK;
}

static fvlm_status run_tile(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t repeats[FVLM_GRAPH_MAX_RANK];
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    size_t n;
    fvlm_status st = fvlm_judge_input_ints(c, 1, repeats, FVLM_GRAPH_MAX_RANK, &n);
    if (st) return st;
    if (n != x->rank) return fvlm_judge_refuse(c, "%zu repeats for a value of rank %u", n, x->rank);
    for (unsigned d = 0; d < x->rank; d++)
        if (repeats[d] < 0 || !fvlm_checked_mul(x->dims[d], (uint64_t)repeats[d], &dims[d]))
            return fvlm_judge_refuse(c, "%" PRId64 " repeats", repeats[d]);
    fvlm_remap r;
    st = fvlm_remap_begin(&r, c, x, dims);
    if (st) return st;
    for (unsigned d = 0; d < x->rank && r.out->n; d++)
        for (uint64_t i = 0; i < dims[d]; i++) r.map[d][i] = (int64_t)(i % x->dims[d]);
    fvlm_remap_run(&r, c);
    return FVLM_OK;
}

/* ---- Pad ---- */

typedef struct {
    int64_t before[FVLM_GRAPH_MAX_RANK], after[FVLM_GRAPH_MAX_RANK];
    const char *mode;
} padding;

static fvlm_status read_padding(const fvlm_judge_call *c, padding *p)
{
    const unsigned rank = c->in[0]->rank;
    int64_t list[2 * FVLM_GRAPH_MAX_RANK], axes[FVLM_GRAPH_MAX_RANK];
    const int64_t *pads = list;
    size_t n, n_axes = rank;
    for (unsigned i = 0; i < rank; i++) axes[i] = i;
    fvlm_status st = c->opset >= 11 ? fvlm_judge_input_ints(c, 1, list, 2 * FVLM_GRAPH_MAX_RANK, &n)
                                    : fvlm_judge_attr_ints(c, "pads", &pads, &n);
    if (!st && fvlm_judge_in(c, 3)) st = fvlm_judge_input_ints(c, 3, axes, FVLM_GRAPH_MAX_RANK, &n_axes);
    if (!st) st = fvlm_judge_attr_string(c, "mode", &p->mode);
    if (st) return st;
    if (!p->mode) p->mode = "constant";
    if (n != 2 * n_axes) return fvlm_judge_refuse(c, "%zu pads for %zu axes", n, n_axes);
    for (size_t i = 0; i < n_axes; i++) {
        unsigned d;
        st = fvlm_judge_axis(c, axes[i], rank, &d);
        if (st) return st;
        p->before[d] = pads[i];
        p->after[d] = pads[n_axes + i];
    }
    return FVLM_OK;
}

/* Where index i of n comes from; -1: nowhere. */
static int64_t padded_index(const char *mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n) return i;
    if (!strcmp(mode, "edge")) return i < 0 ? 0 : n - 1;
    if (!strcmp(mode, "wrap")) return (i % n + n) % n;
    if (strcmp(mode, "reflect")) return -1;
    if (n == 1) return 0;
    const int64_t period = 2 * (n - 1), at = (i % period + period) % period;
    return at < n ? at : period - at;
}

static fvlm_status read_fill(const fvlm_judge_call *c, uint64_t *fill)
{
    const fvlm_judge_value *x = c->in[0], *value = fvlm_judge_in(c, 2);
    float f;
    fvlm_status st = fvlm_judge_attr_float(c, "value", 0, &f);
    if (!st && value) st = fvlm_judge_want_type(c, 2, x->type);
    if (st) return st;
    if (value && value->n != 1) return fvlm_judge_refuse(c, "input 2 is not one number");
    if (value)
        memcpy(fill, value->data, fvlm_judge_elem_bytes(x));
    else
        fvlm_judge_convert(fill, x->type, &f, FVLM_ONNX_F32, 1);
    return FVLM_OK;
}

static fvlm_status run_pad(fvlm_judge_call *c)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const fvlm_judge_value *x = c->in[0];
    uint64_t dims[FVLM_GRAPH_MAX_RANK], fill = 0;
    padding p = {0};
    bool known = false;
    fvlm_status st = read_padding(c, &p);
    if (!st) st = read_fill(c, &fill);
    if (st) return st;
    for (size_t i = 0; i < 4; i++) known |= !strcmp(p.mode, modes[i]);
    if (!known) return fvlm_judge_unsupported(c, "mode \"%.40s\" is not known", p.mode);
    for (unsigned d = 0; d < x->rank; d++) {
        const int64_t limit = INT64_MAX / 8;
        if (p.before[d] > limit || p.before[d] < -limit || p.after[d] > limit || p.after[d] < -limit ||
            (int64_t)x->dims[d] > limit || (int64_t)x->dims[d] + p.before[d] + p.after[d] < 0)
            return fvlm_judge_refuse(c, "pads of %" PRId64 " and %" PRId64 " for a dimension of %" PRIu64, p.before[d],
                                     p.after[d], x->dims[d]);
        dims[d] = (uint64_t)((int64_t)x->dims[d] + p.before[d] + p.after[d]);
        if (strcmp(p.mode, "constant") && !x->dims[d] && dims[d])
            return fvlm_judge_refuse(c, "mode \"%s\" with a dimension of 0", p.mode);
    }
    fvlm_remap r;
    st = fvlm_remap_begin(&r, c, x, dims);
    if (st) return st;
    r.fill = fill;
    for (unsigned d = 0; d < x->rank && r.out->n; d++)
        for (uint64_t i = 0; i < dims[d]; i++)
            r.map[d][i] = padded_index(p.mode, (int64_t)i - p.before[d], (int64_t)x->dims[d]);
    fvlm_remap_run(&r, c);
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_remap[] = {
    {"", "Slice", 1, 1, 5, 1, 0, 0, run_slice, "starts ends axes"},
    {"", "Expand", 8, 2, 2, 1, 0, 0, run_expand, NULL},
    {"", "Tile", 6, 2, 2, 1, 0, 0, run_tile, NULL},
    {"", "Pad", 2, 1, 4, 1, 0, 0, run_pad, "mode pads value"},
    {0},
};
