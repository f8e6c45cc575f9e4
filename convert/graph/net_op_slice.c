/* SPDX-License-Identifier: Apache-2.0 */
/* net_op_slice.c - handlers of operators that take parts: Slice, Split, Gather and its relatives, Trilu, Pad. */
#include "convert/graph/net_operators.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const int64_t *starts, *ends, *axes, *steps;
    size_t n, n_axes, n_steps;
} slices;

static fvlm_status read_slices(slices *s, fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_err *err)
{
    size_t n_ends = 0;
    fvlm_status st = fvlm_net_input_or_attr(&s->starts, &s->n, net, n, in[1], "starts", err);
    if (!st) st = fvlm_net_input_or_attr(&s->ends, &n_ends, net, n, in[2], "ends", err);
    if (!st) st = fvlm_net_input_or_attr(&s->axes, &s->n_axes, net, n, in[3], "axes", err);
    if (!st && in[4]) st = fvlm_net_ints(&s->steps, &s->n_steps, net, in[4], "steps", err);
    if (st) return st;
    if (n_ends != s->n || (s->n_axes && s->n_axes != s->n) || (s->n_steps && s->n_steps != s->n) ||
        (!s->n_axes && s->n > in[0]->rank))
        return fvlm_fail(err, FVLM_BAD_INPUT, "%zu starts, %zu ends, %zu axes, %zu steps for a value of rank %u", s->n,
                         n_ends, s->n_axes, s->n_steps, in[0]->rank);
    return FVLM_OK;
}

/* A start or end as numpy has it: negative ones count from the end, then limited. */
static int64_t limit(int64_t x, int64_t length, int64_t low, int64_t high)
{
    if (x < 0) x = x < -length ? -1 - length : x + length;
    return x < low ? low : x > high ? high : x;
}

fvlm_status fvlm_net_op_slice(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    slices s = {0};
    uint32_t seen = 0;
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    int64_t start[FVLM_GRAPH_MAX_RANK] = {0}, step[FVLM_GRAPH_MAX_RANK];
    for (unsigned d = 0; d < FVLM_GRAPH_MAX_RANK; d++) step[d] = 1;
    fvlm_status st = read_slices(&s, net, n, in, err);
    if (!st && s.n_axes) st = fvlm_net_axes(&seen, s.axes, s.n, shape.rank, err);
    for (size_t i = 0; i < s.n && !st; i++) {
        unsigned d = (unsigned)i;
        if (s.n_axes) st = fvlm_net_axis(&d, s.axes[i], shape.rank, err);
        if (st) break;
        int64_t by = s.n_steps ? s.steps[i] : 1, length = (int64_t)shape.dims[d];
        if (by == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "a step of 0");
        int64_t from = by > 0 ? limit(s.starts[i], length, 0, length) : limit(s.starts[i], length, 0, length - 1);
        int64_t to = by > 0 ? limit(s.ends[i], length, 0, length) : limit(s.ends[i], length, -1, length - 1);
        if (by > length) by = length > 0 ? length : 1; /* the same elements */
        if (by < -length) by = length > 0 ? -length : -1;
        int64_t count = by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by;
        shape.dims[d] = count > 0 ? (uint64_t)count : 0;
        start[d] = count > 0 ? from : 0;
        step[d] = by;
    }
    return st ? st : fvlm_net_emit_slice(out, net, in[0], start, step, &shape, err);
}

/* 'count' elements along one axis. */
static fvlm_status slice_axis(fvlm_net_value **out, fvlm_net *net, fvlm_net_value *x, unsigned axis, int64_t from,
                              int64_t by, uint64_t count, fvlm_err *err)
{
    fvlm_net_shape shape = fvlm_net_shape_of(x);
    int64_t start[FVLM_GRAPH_MAX_RANK] = {0}, step[FVLM_GRAPH_MAX_RANK];
    for (unsigned d = 0; d < FVLM_GRAPH_MAX_RANK; d++) step[d] = 1;
    start[axis] = from;
    step[axis] = by;
    shape.dims[axis] = count;
    return fvlm_net_emit_slice(out, net, x, start, step, &shape, err);
}

/* How long each part is: given, or equal but for the last. */
static fvlm_status split_lengths(const int64_t **out, fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in,
                                 uint64_t length, fvlm_err *err)
{
    size_t count = 0;
    uint64_t n_parts = n->n_outputs, each = (length + n_parts - 1) / n_parts, sum = 0;
    fvlm_status st = fvlm_net_input_or_attr(out, &count, net, n, in[1], "split", err);
    if (!st && fvlm_graph_attr_find(n, "num_outputs")) st = fvlm_net_attr_only(n, "num_outputs", (int64_t)n_parts, err);
    if (st) return st;
    if (!count) {
        int64_t *parts = fvlm_net_take(net, n->n_outputs, sizeof *parts, err);
        if (!parts) return err->code;
        if (!fvlm_graph_attr_find(n, "num_outputs") && length % n_parts != 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "%" PRIu64 " elements do not split into %" PRIu64 " equal parts",
                             length, n_parts);
        for (uint64_t i = 0; i < n_parts; i++) {
            uint64_t left = length - sum;
            parts[i] = (int64_t)(left < each ? left : each);
            sum += (uint64_t)parts[i];
        }
        *out = parts;
        return FVLM_OK;
    }
    for (size_t i = 0; i < count; i++)
        if ((*out)[i] < 0 || !fvlm_checked_add(sum, (uint64_t)(*out)[i], &sum)) sum = UINT64_MAX;
    if (count != n_parts || sum != length)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%zu lengths for %" PRIu64 " parts of %" PRIu64 " elements", count,
                         n_parts, length);
    return FVLM_OK;
}

fvlm_status fvlm_net_op_split(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    unsigned axis = 0;
    const int64_t *lengths = NULL;
    int64_t from = 0;
    fvlm_status st = fvlm_net_attr_axis(&axis, n, "axis", 0, in[0]->rank, err);
    if (!st) st = split_lengths(&lengths, net, n, in, in[0]->dims[axis], err);
    for (size_t i = 0; i < n->n_outputs && !st; i++) {
        st = slice_axis(&out[i], net, in[0], axis, from, 1, (uint64_t)lengths[i], err);
        from += lengths[i];
    }
    return st;
}

/* Known indices in a regular order, of a value that is not constant: a slice. */
static bool is_regular(const fvlm_net_value *x, const fvlm_net_value *indices, uint64_t length, int64_t *start,
                       int64_t *step)
{
    uint64_t n = indices->n_elems;
    if (x->is_const || !indices->numbers || indices->rank > 1 || n == 0) return false;
    for (uint64_t i = 0; i < n; i++) {
        int64_t k = fvlm_net_to_int(indices->numbers[i]);
        if (k < 0) k += (int64_t)length;
        if (k < 0 || k >= (int64_t)length) return false;
        if (i == 0) *start = k, *step = 1;
        if (i == 1) *step = k - *start;
        if (k != *start + *step * (int64_t)i) return false;
    }
    return *step != 0;
}

fvlm_status fvlm_net_op_gather(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                               fvlm_err *err)
{
    fvlm_net_node proto = {.op = "Gather", .n_inputs = 2, .inputs = in};
    const fvlm_net_value *x = in[0], *indices = in[1];
    fvlm_status st = fvlm_net_attr_axis(&proto.axis, n, "axis", 0, x->rank, err);
    if (st) return st;
    if (x->rank - 1 + indices->rank > FVLM_GRAPH_MAX_RANK)
        return fvlm_fail(err, FVLM_LIMIT, "a shape of rank %u", x->rank - 1 + indices->rank);
    fvlm_net_shape shape = {.rank = 0};
    for (unsigned d = 0; d < proto.axis; d++) shape.dims[shape.rank++] = x->dims[d];
    for (unsigned d = 0; d < indices->rank; d++) shape.dims[shape.rank++] = indices->dims[d];
    for (unsigned d = proto.axis + 1; d < x->rank; d++) shape.dims[shape.rank++] = x->dims[d];
    int64_t start = 0, step = 1;
    if (!is_regular(x, indices, x->dims[proto.axis], &start, &step))
        return fvlm_net_emit(out, net, &proto, x->type, &shape, err);
    st = slice_axis(out, net, in[0], proto.axis, start, step, indices->n_elems, err);
    return st ? st : fvlm_net_emit_reshape(out, net, *out, &shape, err);
}

/* GatherElements, ScatterElements. */
fvlm_status fvlm_net_op_elements(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                                 fvlm_err *err)
{
    bool scatters = strcmp(n->op, "GatherElements") != 0;
    const char *how = "none";
    fvlm_net_node proto = {.op = scatters ? "ScatterElements" : n->op, .n_inputs = scatters ? 3 : 2, .inputs = in};
    fvlm_status st = fvlm_net_attr_axis(&proto.axis, n, "axis", 0, in[0]->rank, err);
    if (!st) st = fvlm_net_attr_text(&how, n, "reduction", "none", err);
    if (st) return st;
    if (strcmp(how, "none") != 0) return fvlm_fail(err, FVLM_UNSUPPORTED, "reduction \"%.40s\" is not supported", how);
    fvlm_net_shape shape = fvlm_net_shape_of(scatters ? in[0] : in[1]), indices = fvlm_net_shape_of(in[1]);
    bool fits = in[0]->rank == in[1]->rank && (!scatters || fvlm_net_same_shape(in[2], &indices));
    for (unsigned d = 0; d < in[0]->rank && fits; d++) fits = d == proto.axis || in[1]->dims[d] <= in[0]->dims[d];
    if (!fits) return fvlm_fail(err, FVLM_BAD_INPUT, "the shape of the indices does not fit");
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

/* GatherND, ScatterND. */
fvlm_status fvlm_net_op_nd(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                           fvlm_err *err)
{
    bool scatters = strcmp(n->op, "ScatterND") == 0;
    const fvlm_net_value *x = in[0], *indices = in[1];
    const char *how = "none";
    int64_t batch = 0;
    fvlm_net_node proto = {.op = n->op, .n_inputs = scatters ? 3 : 2, .inputs = in};
    fvlm_status st = fvlm_net_attr_text(&how, n, "reduction", "none", err);
    if (!st && !scatters) st = fvlm_graph_attr_int(&batch, n, "batch_dims", 0, err);
    if (st) return st;
    if (strcmp(how, "none") != 0) return fvlm_fail(err, FVLM_UNSUPPORTED, "reduction \"%.40s\" is not supported", how);
    bool fits = indices->rank >= 1 && batch >= 0 && batch < (int64_t)indices->rank && batch < (int64_t)x->rank;
    uint64_t depth = fits ? indices->dims[indices->rank - 1] : 0;
    fits = fits && depth >= 1 && depth + (uint64_t)batch <= x->rank;
    for (unsigned d = 0; fits && d < batch; d++) fits = x->dims[d] == indices->dims[d];
    unsigned slice = fits ? (unsigned)depth + (unsigned)batch : 0;
    fits = fits && indices->rank - 1 + x->rank - slice <= FVLM_GRAPH_MAX_RANK;
    fvlm_net_shape shape = {.rank = 0}, whole = fvlm_net_shape_of(x);
    for (unsigned d = 0; fits && d + 1 < indices->rank; d++) shape.dims[shape.rank++] = indices->dims[d];
    for (unsigned d = slice; fits && d < x->rank; d++) shape.dims[shape.rank++] = x->dims[d];
    if (!fits || (scatters && !fvlm_net_same_shape(in[2], &shape)))
        return fvlm_fail(err, FVLM_BAD_INPUT, "the shape of the indices does not fit");
    proto.axis = (unsigned)batch;
    return fvlm_net_emit(out, net, &proto, x->type, scatters ? &whole : &shape, err);
}

fvlm_status fvlm_net_op_trilu(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                              fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    const int64_t *diagonal = NULL;
    size_t count = 0;
    bool upper = true;
    fvlm_status st = fvlm_net_attr_bool(&upper, n, "upper", true, err);
    if (!st && in[1]) st = fvlm_net_ints(&diagonal, &count, net, in[1], "diagonal", err);
    if (st) return st;
    if (shape.rank < 2 || (in[1] && count != 1)) return fvlm_fail(err, FVLM_BAD_INPUT, "it needs a matrix");
    int64_t limit_at = (int64_t)FVLM_NET_MAX_ELEMS, k = count ? diagonal[0] : 0;
    proto.alpha = upper;
    proto.start[0] = k > limit_at ? limit_at : k < -limit_at ? -limit_at : k;
    return fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err);
}

fvlm_status fvlm_net_op_pad(fvlm_net *net, const fvlm_graph_node *n, fvlm_net_value **in, fvlm_net_value **out,
                            fvlm_err *err)
{
    fvlm_net_node proto = {.op = n->op, .n_inputs = 1, .inputs = in};
    fvlm_net_shape shape = fvlm_net_shape_of(in[0]);
    const int64_t *pads = NULL;
    size_t n_pads = 0;
    const char *mode = "constant";
    fvlm_status st = fvlm_net_attr_text(&mode, n, "mode", "constant", err);
    if (!st) st = fvlm_net_input_or_attr(&pads, &n_pads, net, n, in[1], "pads", err);
    if (!st) st = fvlm_net_attr_double(&proto.alpha, n, "value", 0, err);
    if (st) return st;
    if (strcmp(mode, "constant") != 0 || in[3])
        return fvlm_fail(err, FVLM_UNSUPPORTED, "only mode \"constant\" for all axes is supported");
    if (in[2] && in[2]->n_elems && !(in[2]->numbers && in[2]->n_elems == 1))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "the padding value must be a constant scalar");
    if (in[2] && in[2]->n_elems) proto.alpha = in[2]->numbers[0];
    if (n_pads != 2 * (size_t)shape.rank)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%zu pads for a value of rank %u", n_pads, shape.rank);
    bool any = false;
    for (unsigned d = 0; d < shape.rank; d++) {
        int64_t before = pads[d], after = pads[d + shape.rank], most = (int64_t)FVLM_NET_MAX_ELEMS;
        if (before < -most || before > most || after < -most || after > most ||
            (int64_t)shape.dims[d] + before + after < 0)
            return fvlm_fail(err, FVLM_BAD_INPUT, "pads %" PRId64 " and %" PRId64 " for a dimension of %" PRIu64,
                             before, after, shape.dims[d]);
        any |= before != 0 || after != 0;
        proto.start[d] = before;
        shape.dims[d] = (uint64_t)((int64_t)shape.dims[d] + before + after);
    }
    out[0] = in[0];
    return any ? fvlm_net_emit(out, net, &proto, in[0]->type, &shape, err) : FVLM_OK;
}
