/* SPDX-License-Identifier: Apache-2.0 */
/* op_rotary.c - RotaryEmbedding of ai.onnx (opset 23) and of com.microsoft. They differ in the order of their inputs.
 */
#include "verify/judge/rotary.h"

#include <inttypes.h>
#include <stdlib.h>

fvlm_status fvlm_rotary_read(fvlm_rotary *r, const fvlm_judge_call *c, size_t cos_input, size_t sin_input)
{
    fvlm_status st = fvlm_judge_want_float(c, cos_input);
    if (!st) st = fvlm_judge_want_float(c, sin_input);
    if (st) return st;
    const fvlm_judge_value *cos = c->in[cos_input];
    if (cos->rank < 2 || cos->rank > 3) return fvlm_judge_refuse(c, "a table of cosines of rank %u", cos->rank);
    st = fvlm_judge_want_shape(c, sin_input, cos->rank, cos->dims);
    r->cos = cos->data;
    r->sin = c->in[sin_input]->data;
    r->width = 2 * cos->dims[cos->rank - 1];
    r->rows = fvlm_judge_span(cos, 0, cos->rank - 1);
    if (!st && (!cos->n || r->width > UINT32_MAX)) st = fvlm_judge_refuse(c, "an empty table of cosines");
    return st;
}

void fvlm_rotary_turn(const fvlm_rotary *r, uint64_t row, const float *x, float *y)
{
    const uint64_t half = r->width / 2;
    const float *cos = r->cos + row * half, *sin = r->sin + row * half;
    for (uint64_t i = 0; i < half; i++) {
        const uint64_t a = r->interleaved ? 2 * i : i, b = r->interleaved ? 2 * i + 1 : i + half;
        const float u = x[a], v = x[b];
        y[a] = cos[i] * u - sin[i] * v;
        y[b] = sin[i] * u + cos[i] * v;
    }
}

fvlm_status fvlm_rotary_positions(const fvlm_rotary *r, const fvlm_judge_call *c, size_t input, uint64_t batch,
                                  uint64_t length, uint64_t **out)
{
    const fvlm_judge_value *ids = fvlm_judge_in(c, input);
    char text[192];
    uint64_t n;
    *out = NULL;
    if (!fvlm_checked_mul(batch, length, &n)) return fvlm_judge_refuse(c, "more than 2^64 positions");
    const bool first_only = ids->n == 1 && ids->rank == 1;
    fvlm_status st = fvlm_judge_want_type(c, input, FVLM_ONNX_I64);
    if (st) return st;
    if (!first_only && (ids->rank != 2 || ids->dims[0] != batch || ids->dims[1] != length))
        return fvlm_judge_refuse(c, "input %zu is %s, expected the positions of the input", input,
                                 fvlm_judge_shape_text(ids, text));
    *out = fvlm_alloc((size_t)n, sizeof **out);
    if (!*out) return fvlm_fail_nomem(c->err);
    for (uint64_t i = 0; i < n && !st; i++) {
        const int64_t at = fvlm_judge_get_i64(ids, first_only ? 0 : i);
        (*out)[i] = (uint64_t)at + (first_only ? i % length : 0);
        if (at < 0 || (*out)[i] >= r->rows)
            st = fvlm_judge_refuse(c, "position %" PRId64 " of a table of %" PRIu64, (int64_t)(*out)[i], r->rows);
    }
    if (st) free(*out), *out = NULL;
    return st;
}

/* x as [batch, heads, length, width] with any steps. */
typedef struct {
    const float *x;
    float *y;
    uint64_t batch, heads, length, width;
    bool heads_first;
    const uint64_t *rows; /* [batch, length]; NULL: in order */
    const fvlm_rotary *r;
} turning;

static void turn_range(void *ctx, uint64_t first, uint64_t end)
{
    const turning *t = ctx;
    for (uint64_t i = first; i < end; i++) {
        const uint64_t position = t->heads_first ? i % t->length : i / t->heads % t->length;
        const uint64_t at = i / t->heads / t->length * t->length + position;
        float *y = t->y + i * t->width;
        memcpy(y, t->x + i * t->width, t->width * sizeof *y);
        fvlm_rotary_turn(t->r, t->rows ? t->rows[at] : at, y, y);
    }
}

/* Heads and their width: from the shape, or for [batch, length, hidden] from attributes or the tables. */
static fvlm_status read_shape(turning *t, const fvlm_judge_call *c, const fvlm_rotary *r, int64_t rotated)
{
    const fvlm_judge_value *x = c->in[0];
    int64_t heads;
    char text[192];
    fvlm_status st = fvlm_judge_attr_int(c, "num_heads", 0, &heads);
    if (st) return st;
    if (x->rank != 3 && x->rank != 4) return fvlm_judge_refuse(c, "input 0 has rank %u, expected 3 or 4", x->rank);
    t->batch = x->dims[0];
    t->heads_first = x->rank == 4;
    t->length = x->dims[x->rank - 2];
    if (x->rank == 3) {
        const uint64_t hidden = x->dims[2];
        if (!heads && rotated) return fvlm_judge_refuse(c, "\"num_heads\" is missing");
        t->heads = heads > 0 ? (uint64_t)heads : hidden / r->width;
        t->width = t->heads ? hidden / t->heads : 0;
        if (heads < 0 || t->heads * t->width != hidden)
            return fvlm_judge_refuse(c, "%" PRIu64 " does not divide into heads", hidden);
    } else {
        t->heads = x->dims[1];
        t->width = x->dims[3];
    }
    const uint64_t wanted = rotated ? (uint64_t)rotated : t->width;
    if (rotated < 0 || wanted != r->width || wanted > t->width)
        return fvlm_judge_refuse(c, "tables for %" PRIu64 " elements do not fit heads of input 0, %s", r->width,
                                 fvlm_judge_shape_text(x, text));
    return FVLM_OK;
}

static fvlm_status run(fvlm_judge_call *c)
{
    const bool microsoft = c->row->kind;
    const size_t ids = microsoft ? 1 : 3, cos = microsoft ? 2 : 1, sin = microsoft ? 3 : 2;
    fvlm_rotary r = {0};
    turning t = {.r = &r};
    int64_t rotated;
    bool packed;
    uint64_t *rows = NULL;
    fvlm_status st = fvlm_judge_want_float(c, 0);
    if (!st) st = fvlm_rotary_read(&r, c, cos, sin);
    if (!st) st = fvlm_judge_attr_flag(c, "interleaved", false, &r.interleaved);
    if (!st) st = fvlm_judge_attr_flag(c, "is_packed_batching", false, &packed);
    if (!st) st = fvlm_judge_attr_int(c, "rotary_embedding_dim", 0, &rotated);
    if (!st) st = read_shape(&t, c, &r, rotated);
    if (!st && packed) st = fvlm_judge_unsupported(c, "packed batches are not supported");
    if (st) return st;
    if (!c->in[0]->n) return fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[0]);
    if (fvlm_judge_in(c, ids)) {
        if (c->in[cos]->rank != 2) return fvlm_judge_refuse(c, "positions and a table of rank %u", c->in[cos]->rank);
        st = fvlm_rotary_positions(&r, c, ids, t.batch, t.length, &rows);
    } else {
        const uint64_t dims[] = {t.batch, t.length, r.width / 2};
        st = fvlm_judge_want_shape(c, cos, 3, dims);
    }
    if (!st) st = fvlm_judge_make_like(c, 0, c->in[0]->type, c->in[0]);
    if (!st) {
        t.x = c->in[0]->data;
        t.y = c->out[0].data;
        t.rows = rows;
        fvlm_judge_ranges(c, t.batch * t.heads * t.length, 1 << 10, turn_range, &t);
    }
    free(rows);
    return st;
}

/* "scale" of com.microsoft is read by no kernel of onnxruntime's CPU provider. */
const fvlm_judge_row fvlm_judge_rows_rotary[] = {
    {"", "RotaryEmbedding", 23, 3, 4, 1, 0, 0, run, "interleaved num_heads rotary_embedding_dim"},
    {MICROSOFT, "RotaryEmbedding", 0, 4, 4, 1, 0, 1, run,
     "interleaved num_heads rotary_embedding_dim is_packed_batching scale"},
    {0},
};
