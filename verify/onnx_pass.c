/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_pass.c - see onnx_pass.h. */
#include "verify/onnx_pass.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"
#include "verify/locate.h"

fvlm_status fvlm_onnx_pass_open(fvlm_onnx_pass *p, const fvlm_onnx_graphs *g, const fvlm_config *c,
                                const fvlm_judge_options *o, fvlm_err *err)
{
    *p = (fvlm_onnx_pass){.graphs = g, .config = c};
    p->caches = fvlm_alloc(g->n_caches, sizeof *p->caches);
    fvlm_status st = p->caches ? fvlm_judge_create(&p->vision, g->vision, o, err) : fvlm_fail_nomem(err);
    if (st) return fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->vision));
    if (!g->decoder) return FVLM_OK;
    st = fvlm_judge_create(&p->embedding, g->embedding, o, err);
    if (st) return fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->embedding));
    st = fvlm_judge_create(&p->decoder, g->decoder, o, err);
    return st ? fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->decoder)) : FVLM_OK;
}

void fvlm_onnx_pass_close(fvlm_onnx_pass *p)
{
    fvlm_judge_destroy(&p->vision);
    fvlm_judge_destroy(&p->embedding);
    fvlm_judge_destroy(&p->decoder);
    for (size_t i = 0; p->caches && i < p->graphs->n_caches; i++) free(p->caches[i]);
    free(p->caches);
    free(p->all);
    *p = (fvlm_onnx_pass){0};
}

/* ---- inputs and outputs ---- */

static fvlm_judge_tensor tensor_of(int32_t type, const void *data, unsigned rank, const uint64_t *dims)
{
    fvlm_judge_tensor t = {.type = type, .rank = rank, .n_elems = 1, .data = data};
    for (unsigned i = 0; i < rank; i++) {
        t.dims[i] = dims[i];
        t.n_elems *= dims[i];
    }
    return t;
}

/* Numbers that a mask, positions or ids consist of, as the graph's type of them. */
static void put_whole(uint8_t *data, size_t i, int32_t type, int64_t x)
{
    const int32_t narrow = (int32_t)x;
    const float real = (float)x;
    if (type == FVLM_ONNX_I64)
        memcpy(data + 8 * i, &x, 8);
    else if (type == FVLM_ONNX_I32)
        memcpy(data + 4 * i, &narrow, 4);
    else if (type == FVLM_ONNX_BOOL)
        data[i] = x != 0;
    else
        memcpy(data + 4 * i, &real, 4);
}

/* x[i] = first + i * step */
static fvlm_status set_count(fvlm_judge *j, const char *name, int32_t type, unsigned rank, size_t n, size_t first,
                             size_t step, fvlm_err *err)
{
    const uint64_t dims[] = {1, n};
    uint8_t *data = fvlm_alloc(n, 8);
    if (!data) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < n; i++) put_whole(data, i, type, (int64_t)(first + i * step));
    const fvlm_judge_tensor t = tensor_of(type, data, rank, dims);
    const fvlm_status st = fvlm_judge_set_input(j, name, &t, err);
    free(data);
    return st;
}

static fvlm_status set_ids(fvlm_onnx_pass *p, const uint32_t *ids, size_t n, size_t step, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    const uint64_t dims[] = {1, step};
    uint8_t *data = fvlm_alloc(step, 8);
    if (!data) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < step; i++) put_whole(data, i, g->ids_type, ids[i < n ? i : 0]);
    const fvlm_judge_tensor t = tensor_of(g->ids_type, data, 2, dims);
    const fvlm_status st = fvlm_judge_set_input(p->embedding, g->ids, &t, err);
    free(data);
    return st ? fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->embedding)) : FVLM_OK;
}

/* The output as [rows, cols], or its last row. */
static fvlm_status get_rows(const fvlm_judge *j, const fvlm_graph *g, const char *name, size_t rows, size_t cols,
                            float *out, fvlm_err *err)
{
    fvlm_judge_tensor t;
    size_t first;
    fvlm_status st = fvlm_judge_get_output(j, name, &t, err);
    if (st) return st;
    for (int transposed = 0; transposed < 2; transposed++) {
        if (!fvlm_locate_fits(&t, rows, cols, transposed, &first)) continue;
        fvlm_locate_copy(out, &t, rows, cols, transposed, first);
        return FVLM_OK;
    }
    return fvlm_fail(err, FVLM_MISMATCH, "\"%s\" puts out %" PRIu64 " numbers as \"%s\", the model %zu rows of %zu",
                     fvlm_graph_path(g), t.n_elems, name, rows, cols);
}

static fvlm_status run(fvlm_judge *j, const fvlm_graph *g, const fvlm_judge_observer *observer, fvlm_err *err)
{
    const fvlm_status st = fvlm_judge_run(j, observer, err);
    return st && st != FVLM_INTERRUPTED ? fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g)) : st;
}

/* ---- the picture and the ids ---- */

static fvlm_status run_vision(fvlm_onnx_pass *p, const fvlm_pixels *pixels, const fvlm_judge_observer *observer,
                              fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    const size_t area = (size_t)pixels->side * pixels->side;
    const uint64_t dims[] = {1, 3, pixels->side, pixels->side};
    float *planes = fvlm_alloc(area * 3, sizeof *planes);
    if (!planes) return fvlm_fail_nomem(err);
    for (size_t i = 0; i < area; i++)
        for (size_t c = 0; c < 3; c++) planes[c * area + i] = pixels->values[3 * i + c];
    const fvlm_judge_tensor t = tensor_of(g->pixels_type, planes, 4, dims);
    fvlm_status st = fvlm_judge_set_input(p->vision, g->pixels, &t, err);
    free(planes);
    if (st) return fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->vision));
    return run(p->vision, g->vision, observer, err);
}

fvlm_status fvlm_onnx_pass_encode(fvlm_onnx_pass *p, const fvlm_pixels *pixels, const fvlm_judge_observer *observer,
                                  size_t n, size_t cols, float *rows, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    const fvlm_status st = run_vision(p, pixels, observer, err);
    return st ? st : get_rows(p->vision, g->vision, g->features, n, cols, rows, err);
}

fvlm_status fvlm_onnx_pass_measure(fvlm_onnx_pass *p, uint32_t side, uint64_t *n_elems, fvlm_err *err)
{
    fvlm_judge_tensor t = {0};
    fvlm_pixels black = {.side = side, .values = fvlm_alloc((size_t)side * side * 3, sizeof(float))};
    fvlm_status st = black.values ? run_vision(p, &black, NULL, err) : fvlm_fail_nomem(err);
    if (!st) st = fvlm_judge_get_output(p->vision, p->graphs->features, &t, err);
    fvlm_pixels_free(&black);
    *n_elems = t.n_elems;
    return st;
}

/* As many at once as the graph is made for; what is missing is filled up with the first. */
fvlm_status fvlm_onnx_pass_embed(fvlm_onnx_pass *p, const uint32_t *ids, size_t n, float *rows, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    const size_t hidden = p->config->llm.hidden, step = g->n_ids ? (size_t)g->n_ids : n;
    float *out = fvlm_alloc(step * hidden, sizeof *out);
    fvlm_status st = out ? FVLM_OK : fvlm_fail_nomem(err);
    for (size_t done = 0; done < n && !st; done += step) {
        const size_t wanted = n - done < step ? n - done : step;
        st = set_ids(p, ids + done, wanted, step, err);
        if (!st) st = run(p->embedding, g->embedding, NULL, err);
        if (!st) st = get_rows(p->embedding, g->embedding, g->rows, step, hidden, out, err);
        if (!st) memcpy(rows + done * hidden, out, wanted * hidden * sizeof *out);
    }
    free(out);
    return st;
}

/* ---- the decoder ---- */

static uint64_t cache_heads(const fvlm_onnx_pass *p, const fvlm_onnx_cache *c)
{
    return c->heads ? c->heads : p->config->llm.kv_heads;
}

static uint64_t cache_dim(const fvlm_onnx_pass *p, const fvlm_onnx_cache *c)
{
    return c->dim ? c->dim : p->config->llm.head_dim;
}

static fvlm_status set_caches(fvlm_onnx_pass *p, fvlm_err *err)
{
    static const float nothing[1];
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < p->graphs->n_caches && !st; i++) {
        const fvlm_onnx_cache *c = &p->graphs->caches[i];
        const uint64_t dims[] = {1, cache_heads(p, c), p->positions, cache_dim(p, c)};
        const fvlm_judge_tensor t = tensor_of(c->type, p->positions ? p->caches[i] : nothing, 4, dims);
        st = fvlm_judge_set_input(p->decoder, c->in, &t, err);
    }
    return st;
}

static fvlm_status keep_caches(fvlm_onnx_pass *p, size_t positions, fvlm_err *err)
{
    for (size_t i = 0; i < p->graphs->n_caches; i++) {
        const fvlm_onnx_cache *c = &p->graphs->caches[i];
        const uint64_t dims[] = {1, cache_heads(p, c), positions, cache_dim(p, c)};
        fvlm_judge_tensor t;
        fvlm_status st = fvlm_judge_get_output(p->decoder, c->out, &t, err);
        if (st) return st;
        if (t.rank != 4 || memcmp(t.dims, dims, sizeof dims) != 0)
            return fvlm_fail(err, FVLM_MISMATCH,
                             "\"%s\": the cache \"%s\" has %" PRIu64 " numbers, expected %" PRIu64 " heads x %zu "
                             "positions x %" PRIu64,
                             fvlm_graph_path(p->graphs->decoder), c->out, t.n_elems, dims[1], positions, dims[3]);
        free(p->caches[i]);
        p->caches[i] = fvlm_alloc((size_t)t.n_elems, sizeof(float));
        if (!p->caches[i]) return fvlm_fail_nomem(err);
        memcpy(p->caches[i], t.data, (size_t)t.n_elems * sizeof(float));
    }
    p->positions = positions;
    return FVLM_OK;
}

/* [heads][positions][dim] with fewer positions. */
static void cut(float *x, size_t heads, size_t positions, size_t kept, size_t dim)
{
    for (size_t h = 1; h < heads; h++) memmove(x + h * kept * dim, x + h * positions * dim, kept * dim * sizeof *x);
}

void fvlm_onnx_pass_rewind(fvlm_onnx_pass *p, size_t positions)
{
    if (positions >= p->positions) return;
    for (size_t i = 0; i < p->graphs->n_caches; i++) {
        const fvlm_onnx_cache *c = &p->graphs->caches[i];
        if (p->caches[i]) cut(p->caches[i], cache_heads(p, c), p->positions, positions, cache_dim(p, c));
    }
    p->positions = positions;
}

/* Without caches that can be kept: the new rows after all others. */
static fvlm_status gather_rows(fvlm_onnx_pass *p, const float **rows, size_t *n, fvlm_err *err)
{
    const size_t hidden = p->config->llm.hidden, before = p->positions;
    if (p->graphs->keeps) return FVLM_OK;
    if (!fvlm_grow(&p->all, &p->all_capacity, (before + *n) * hidden, sizeof *p->all)) return fvlm_fail_nomem(err);
    memcpy(p->all + before * hidden, *rows, *n * hidden * sizeof **rows);
    *n += before;
    *rows = p->all;
    p->positions = 0; /* of the caches that there are not */
    return FVLM_OK;
}

static fvlm_status set_inputs(fvlm_onnx_pass *p, const float *rows, size_t n, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    const size_t total = p->positions + n;
    const uint64_t dims[] = {1, n, p->config->llm.hidden};
    const fvlm_judge_tensor t = tensor_of(g->embeds_type, rows, 3, dims);
    fvlm_status st = fvlm_judge_set_input(p->decoder, g->embeds, &t, err);
    if (!st && g->mask) st = set_count(p->decoder, g->mask, g->mask_type, 2, total, 1, 0, err);
    if (!st && g->positions) st = set_count(p->decoder, g->positions, g->positions_type, 2, n, p->positions, 1, err);
    if (!st && g->keep) st = set_count(p->decoder, g->keep, g->keep_type, 0, 1, 1, 0, err);
    return st ? st : set_caches(p, err);
}

fvlm_status fvlm_onnx_pass_decode(fvlm_onnx_pass *p, const float *rows, size_t n, const fvlm_judge_observer *observer,
                                  float *logits, fvlm_err *err)
{
    const fvlm_onnx_graphs *g = p->graphs;
    fvlm_status st = gather_rows(p, &rows, &n, err);
    if (!st && g->n_fixed && g->n_fixed != n)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\" is made for exactly %" PRIu64 " positions, and the prompt with its picture has %zu",
                         fvlm_graph_path(g->decoder), g->n_fixed, n);
    if (st) return st;
    st = set_inputs(p, rows, n, err);
    if (st) return fvlm_err_prefix(err, "\"%s\"", fvlm_graph_path(g->decoder));
    const size_t total = p->positions + n;
    st = run(p->decoder, g->decoder, observer, err);
    fvlm_judge_tensor t;
    if (!st) st = fvlm_judge_get_output(p->decoder, g->logits, &t, err);
    const size_t vocab = p->config->llm.vocab;
    if (!st && (t.rank == 0 || t.dims[t.rank - 1] < vocab || t.n_elems % t.dims[t.rank - 1] || t.n_elems == 0))
        st = fvlm_fail(err, FVLM_MISMATCH, "\"%s\" has logits for %" PRIu64 " tokens, the model for %zu",
                       fvlm_graph_path(g->decoder), t.rank ? t.dims[t.rank - 1] : 0, vocab);
    if (st) return st;
    /* A graph may have rows of the vocabulary that belong to no token; convert drops those. */
    memcpy(logits, (const float *)t.data + (t.n_elems - t.dims[t.rank - 1]), vocab * sizeof *logits);
    if (g->keeps) return keep_caches(p, total, err);
    p->positions = total;
    return FVLM_OK;
}
