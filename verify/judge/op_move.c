/* SPDX-License-Identifier: Apache-2.0 */
/* op_move.c - operators that copy elements in strides or rows: Transpose, DepthToSpace and its inverse, Split, Concat,
 * Trilu. */
#include <inttypes.h>
#include <stdlib.h>

#include "verify/judge/call.h"

/* ---- Transpose ---- */

/* out[i0, i1, ...] = in[sum of i * step]. */
typedef struct {
    const fvlm_judge_value *in;
    fvlm_judge_value *out;
    unsigned rank;
    uint64_t dims[FVLM_GRAPH_MAX_RANK], step[FVLM_GRAPH_MAX_RANK];
} strided;

static void transpose_range(void *ctx, uint64_t first, uint64_t end)
{
    const strided *t = ctx;
    const size_t bytes = fvlm_judge_elem_bytes(t->out);
    const unsigned last = t->rank - 1;
    const uint64_t row = t->dims[last], step = t->step[last];
    for (uint64_t i = first; i < end; i++) {
        uint64_t rest = i, from = 0;
        for (unsigned d = last; d-- > 0; rest /= t->dims[d]) from += rest % t->dims[d] * t->step[d];
        const uint8_t *in = (const uint8_t *)t->in->data + from * bytes;
        uint8_t *out = (uint8_t *)t->out->data + i * row * bytes;
        if (step == 1)
            memcpy(out, in, (size_t)(row * bytes));
        else if (bytes == 4)
            for (uint64_t k = 0; k < row; k++) memcpy(out + 4 * k, in + 4 * k * step, 4);
        else
            for (uint64_t k = 0; k < row; k++) memcpy(out + k * bytes, in + k * step * bytes, bytes);
    }
}

static fvlm_status copy_strided(fvlm_judge_call *c, strided *t)
{
    if (t->out->n) {
        const uint64_t row = t->dims[t->rank - 1];
        fvlm_judge_ranges(c, t->out->n / row, 1 + (1 << 15) / row, transpose_range, t);
    }
    return FVLM_OK;
}

static fvlm_status run_transpose(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    const int64_t *perm;
    size_t n;
    strided t = {.in = x, .out = &c->out[0], .rank = x->rank};
    uint32_t seen = 0;
    fvlm_status st = fvlm_judge_attr_ints(c, "perm", &perm, &n);
    if (st) return st;
    if (n && n != x->rank) return fvlm_judge_refuse(c, "\"perm\" has %zu numbers, the input has rank %u", n, x->rank);
    for (unsigned i = 0; i < x->rank; i++) {
        unsigned d = x->rank - 1 - i;
        if (n) st = fvlm_judge_axis(c, perm[i], x->rank, &d);
        if (st) return st;
        if (seen >> d & 1) return fvlm_judge_refuse(c, "\"perm\" lists %u twice", d);
        seen |= 1U << d;
        t.dims[i] = x->dims[d];
        t.step[i] = fvlm_judge_span(x, d + 1, x->rank);
    }
    if (!x->rank) return fvlm_judge_make_view(c, 0, x, 0, NULL);
    st = fvlm_judge_make(c, 0, x->type, x->rank, t.dims);
    return st ? st : copy_strided(c, &t);
}

/* [N, C, H, W] to [N, C / b^2, H b, W b] or back, as a transpose of six dimensions. */
static fvlm_status run_space_depth(fvlm_judge_call *c)
{
    const bool to_space = c->row->kind;
    const fvlm_judge_value *x = c->in[0];
    const char *mode;
    int64_t size;
    fvlm_status st = fvlm_judge_attr_int(c, "blocksize", 0, &size);
    if (!st) st = fvlm_judge_attr_string(c, "mode", &mode);
    if (st) return st;
    const bool crd = mode && !strcmp(mode, "CRD");
    if (mode && !crd && strcmp(mode, "DCR")) return fvlm_judge_unsupported(c, "mode \"%.40s\" is not known", mode);
    if (x->rank != 4) return fvlm_judge_refuse(c, "input 0 has rank %u, expected 4", x->rank);
    const uint64_t b = (uint64_t)size, n = x->dims[0], h = x->dims[2], w = x->dims[3];
    if (size < 1 || size > 1 << 15 || (to_space ? x->dims[1] % (b * b) : (h % b || w % b)))
        return fvlm_judge_refuse(c, "\"blocksize\" %" PRId64 " does not divide the input", size);
    const uint64_t channels = to_space ? x->dims[1] / (b * b) : x->dims[1];
    strided t = {.in = x, .out = &c->out[0], .rank = 6};
    uint64_t dims[4], wide;
    if (!fvlm_checked_mul(x->dims[1], b * b, &wide) || !fvlm_checked_mul(h, b, &wide) || !fvlm_checked_mul(w, b, &wide))
        return fvlm_judge_refuse(c, "a result of more than 2^64 elements");
    if (to_space) { /* out [n, c, h, by, w, bx] */
        memcpy(dims, (uint64_t[]){n, channels, h * b, w * b}, sizeof dims);
        const uint64_t plane = h * w;
        memcpy(t.dims, (uint64_t[]){n, channels, h, b, w, b}, 6 * sizeof *t.dims);
        memcpy(t.step,
               (uint64_t[]){x->dims[1] * plane, crd ? b * b * plane : plane, w, crd ? b * plane : b * channels * plane,
                            1, crd ? plane : channels * plane},
               6 * sizeof *t.step);
    } else { /* out [n, by, bx, c, h / b, w / b], or [n, c, by, bx, ...] */
        memcpy(dims, (uint64_t[]){n, channels * b * b, h / b, w / b}, sizeof dims);
        memcpy(t.dims, (uint64_t[]){n, crd ? channels : b, b, crd ? b : channels, h / b, w / b}, 6 * sizeof *t.dims);
        memcpy(t.step, (uint64_t[]){channels * h * w, crd ? h * w : w, crd ? w : 1, crd ? 1 : h * w, w * b, b},
               6 * sizeof *t.step);
    }
    st = fvlm_judge_make(c, 0, x->type, 4, dims);
    return st ? st : copy_strided(c, &t);
}

/* ---- Split, Concat ---- */

/* Copies rows of 'n' bytes between a part and the whole. */
static void copy_rows(uint8_t *to, uint64_t to_step, const uint8_t *from, uint64_t from_step, uint64_t n, uint64_t rows)
{
    for (uint64_t i = 0; i < rows && n; i++) memcpy(to + i * to_step, from + i * from_step, (size_t)n);
}

static fvlm_status run_concat(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    uint64_t dims[FVLM_GRAPH_MAX_RANK], total = 0, at = 0;
    int64_t attr;
    unsigned axis;
    fvlm_status st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (st) return st;
    for (size_t i = 0; i < c->n_in; i++) {
        char text[192];
        st = fvlm_judge_want_type(c, i, x->type);
        if (st) return st;
        bool fits = c->in[i]->rank == x->rank;
        for (unsigned d = 0; d < x->rank && fits; d++) fits = d == axis || c->in[i]->dims[d] == x->dims[d];
        if (!fits || !fvlm_checked_add(total, c->in[i]->dims[axis], &total))
            return fvlm_judge_refuse(c, "input %zu, %s, does not fit", i, fvlm_judge_shape_text(c->in[i], text));
    }
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = total;
    st = fvlm_judge_make(c, 0, x->type, x->rank, dims);
    if (st || !c->out[0].n) return st;
    const size_t bytes = fvlm_judge_elem_bytes(x);
    const uint64_t inner = fvlm_judge_span(x, axis + 1, x->rank) * bytes, rows = fvlm_judge_span(x, 0, axis);
    for (size_t i = 0; i < c->n_in; i++) {
        const uint64_t n = c->in[i]->dims[axis] * inner;
        copy_rows((uint8_t *)c->out[0].data + at, total * inner, c->in[i]->data, n, n, rows);
        at += n;
    }
    return FVLM_OK;
}

/* The length of each part: given, or equal ones, of which the last may be smaller since opset 18. */
static fvlm_status split_lengths(const fvlm_judge_call *c, uint64_t dim, uint64_t *out)
{
    const fvlm_judge_value *input = fvlm_judge_in(c, 1);
    const int64_t *list = NULL;
    uint64_t sum = 0, n = c->n_out;
    size_t n_list;
    int64_t wanted;
    fvlm_status st = fvlm_judge_attr_ints(c, "split", &list, &n_list);
    if (!st) st = fvlm_judge_attr_int(c, "num_outputs", (int64_t)n, &wanted);
    if (!st && input && input->type != FVLM_ONNX_I64) st = fvlm_judge_want_type(c, 1, FVLM_ONNX_I64);
    if (st) return st;
    if (wanted != (int64_t)n)
        return fvlm_judge_refuse(c, "\"num_outputs\" is %" PRId64 ", outputs are %" PRIu64, wanted, n);
    if ((input && input->n != n) || (n_list && n_list != n))
        return fvlm_judge_refuse(c, "\"split\" does not list as many lengths as there are outputs");
    for (uint64_t i = 0; i < n; i++) {
        const int64_t length = input ? fvlm_judge_get_i64(input, i) : n_list ? list[i] : 0;
        const uint64_t part = dim / n + (dim % n != 0), from = part * i < dim ? part * i : dim;
        out[i] = input || n_list ? (uint64_t)length : dim - from < part ? dim - from : part;
        if (length < 0 || !fvlm_checked_add(sum, out[i], &sum))
            return fvlm_judge_refuse(c, "a part of %" PRId64, length);
    }
    if (c->opset < 18 && !input && !n_list && dim % n)
        return fvlm_judge_refuse(c, "%" PRIu64 " does not divide into %" PRIu64 " parts", dim, n);
    if (sum != dim) return fvlm_judge_refuse(c, "parts add up to %" PRIu64 ", expected %" PRIu64, sum, dim);
    return FVLM_OK;
}

static fvlm_status run_split(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t attr;
    unsigned axis;
    uint64_t at = 0, dims[FVLM_GRAPH_MAX_RANK];
    fvlm_status st = fvlm_judge_attr_int(c, "axis", 0, &attr);
    if (!st) st = fvlm_judge_axis(c, attr, x->rank, &axis);
    if (st) return st;
    uint64_t *lengths = fvlm_alloc(c->n_out, sizeof *lengths);
    if (!lengths) return fvlm_fail_nomem(c->err);
    st = split_lengths(c, x->dims[axis], lengths);
    memcpy(dims, x->dims, sizeof dims);
    const size_t bytes = fvlm_judge_elem_bytes(x);
    const uint64_t inner = fvlm_judge_span(x, axis + 1, x->rank) * bytes, rows = fvlm_judge_span(x, 0, axis);
    for (size_t i = 0; i < c->n_out && !st; i++) {
        dims[axis] = lengths[i];
        st = fvlm_judge_make(c, i, x->type, x->rank, dims);
        const uint64_t n = lengths[i] * inner;
        if (!st && c->out[i].n)
            copy_rows(c->out[i].data, n, (const uint8_t *)x->data + at, x->dims[axis] * inner, n, rows);
        at += n;
    }
    free(lengths);
    return st;
}

/* Zeroes what is below (upper) or above (lower) the k-th diagonal of the last two dimensions. */
static fvlm_status run_trilu(fvlm_judge_call *c)
{
    const fvlm_judge_value *x = c->in[0];
    bool upper;
    int64_t k = 0;
    size_t n = 1;
    fvlm_status st = fvlm_judge_attr_flag(c, "upper", true, &upper);
    if (!st && fvlm_judge_in(c, 1)) st = fvlm_judge_input_ints(c, 1, &k, 1, &n);
    if (st) return st;
    if (x->rank < 2 || n != 1) return fvlm_judge_refuse(c, "a matrix and one diagonal are expected");
    st = fvlm_judge_make_like(c, 0, x->type, x);
    if (st || !x->n) return st;
    const uint64_t w = x->dims[x->rank - 1], h = x->dims[x->rank - 2];
    const size_t bytes = fvlm_judge_elem_bytes(x);
    const int64_t far = (int64_t)(w > h ? w : h) + 1;
    k = k > far ? far : k < -far ? -far : k;
    for (uint64_t row = 0; row < x->n / w; row++) {
        const int64_t diagonal = (int64_t)(row % h) + k; /* its column */
        int64_t first = upper ? diagonal : 0, end = upper ? (int64_t)w : diagonal + 1;
        first = first < 0 ? 0 : first;
        end = end > (int64_t)w ? (int64_t)w : end;
        const uint64_t at = (row * w + (uint64_t)first) * bytes;
        if (first < end)
            memcpy((uint8_t *)c->out[0].data + at, (const uint8_t *)x->data + at, (size_t)(end - first) * bytes);
    }
    return FVLM_OK;
}

const fvlm_judge_row fvlm_judge_rows_move[] = {
    {"", "Transpose", 1, 1, 1, 1, 0, 0, run_transpose, "perm"},
    {"", "Concat", 4, 1, FVLM_JUDGE_MANY, 1, 0, 0, run_concat, "axis"},
    {"", "Split", 2, 1, 2, FVLM_JUDGE_MANY, 0, 0, run_split, "axis split num_outputs"},
    {"", "Trilu", 14, 1, 2, 1, 0, 0, run_trilu, "upper"},
    {"", "DepthToSpace", 1, 1, 1, 1, 0, 1, run_space_depth, "blocksize mode"},
    {"", "SpaceToDepth", 1, 1, 1, 1, 0, 0, run_space_depth, "blocksize mode"},
    {0},
};
