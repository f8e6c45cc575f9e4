/* SPDX-License-Identifier: Apache-2.0 */
/* locate.c - see locate.h. */
#include "verify/locate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/grow.h"

enum { SAMPLES = 1024 };
/* Errors beyond the first two count as no agreement, and as equality; the third is that of values that are not finite.
 */
static const double FARTHEST = 0.5, NEAREST = 1e-7, NOT_FINITE = 1e30;

struct fvlm_locate_entry {
    uint32_t id;
    bool transposed;
    float *errors; /* [blocks]; infinite where the shape does not fit */
};

/* ---- shapes ---- */

bool fvlm_locate_fits(const fvlm_judge_tensor *t, size_t rows, size_t cols, bool transposed, size_t *first)
{
    uint64_t dims[FVLM_GRAPH_MAX_RANK];
    unsigned rank = 0;
    *first = 0;
    if (t->type != FVLM_ONNX_F32 && t->type != FVLM_ONNX_F16 && t->type != FVLM_ONNX_BF16) return false;
    for (unsigned i = 0; i < t->rank; i++)
        if (t->dims[i] != 1) dims[rank++] = t->dims[i];
    if (rank == 0) return !transposed && rows == 1 && cols == 1 && t->n_elems == 1;
    if (rows == 1 && !transposed && dims[rank - 1] == cols && t->n_elems > 0) {
        *first = (size_t)(t->n_elems - cols);
        return true;
    }
    if (t->n_elems / cols != rows || t->n_elems % cols) return false;
    return dims[transposed ? 0 : rank - 1] == cols;
}

void fvlm_locate_copy(float *out, const fvlm_judge_tensor *t, size_t rows, size_t cols, bool transposed, size_t first)
{
    const float *x = (const float *)t->data + first;
    if (!transposed) {
        memcpy(out, x, rows * cols * sizeof *out);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < cols; c++) out[r * cols + c] = x[c * rows + r];
}

/* ---- samples ---- */

/* Element k of the sample: all of a small block, else spread over it by a fixed mixing of k. */
static size_t sample_at(size_t k, size_t n)
{
    if (n <= SAMPLES) return k;
    uint64_t h = (k + 1) * 0x9E3779B97F4A7C15u;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9u;
    h ^= h >> 32;
    return (size_t)(h % n);
}

void fvlm_locator_add_block(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    fvlm_locator *l = ctx;
    const size_t n = rows * cols, n_sample = n < SAMPLES ? n : SAMPLES;
    float *sample = fvlm_alloc(n_sample, sizeof *sample);
    if (!sample || !fvlm_grow(&l->blocks, &l->capacity, l->n_blocks + 1, sizeof *l->blocks)) {
        free(sample);
        l->failed = true;
        return;
    }
    fvlm_located *b = &l->blocks[l->n_blocks++];
    *b = (fvlm_located){.rows = rows,
                        .cols = cols,
                        .value = FVLM_GRAPH_NONE,
                        .nearest = FVLM_GRAPH_NONE,
                        .anchor = FVLM_GRAPH_NONE,
                        .error = INFINITY,
                        .sample = sample,
                        .n_sample = n_sample};
    snprintf(b->name, sizeof b->name, "%s", name);
    for (size_t k = 0; k < n_sample; k++) sample[k] = x[sample_at(k, n)];
}

void fvlm_locator_anchor(fvlm_locator *l, uint32_t value)
{
    if (l->n_blocks) l->blocks[l->n_blocks - 1].anchor = value;
}

/* ---- values ---- */

/* |model - graph| / |graph| over the sample, as the report's relative L2 is. */
static double distance(const fvlm_located *b, const float *x, bool transposed)
{
    const size_t n = b->rows * b->cols;
    double error2 = 0, norm2 = 0;
    for (size_t k = 0; k < b->n_sample; k++) {
        const size_t at = sample_at(k, n), r = at / b->cols, c = at % b->cols;
        const double v = (double)x[transposed ? c * b->rows + r : at], d = v - (double)b->sample[k];
        error2 += d * d;
        norm2 += v * v;
    }
    if (!isfinite(norm2) || !isfinite(error2)) return NOT_FINITE;
    return norm2 > 0 ? sqrt(error2 / norm2) : error2 > 0 ? NOT_FINITE : 0;
}

static fvlm_status add_entry(fvlm_locator *l, uint32_t id, const fvlm_judge_tensor *t, bool transposed, fvlm_err *err)
{
    float *errors = NULL;
    for (size_t i = 0; i < l->n_blocks; i++) {
        fvlm_located *b = &l->blocks[i];
        size_t first;
        if (!fvlm_locate_fits(t, b->rows, b->cols, transposed, &first)) continue;
        if (!errors) {
            errors = fvlm_alloc(l->n_blocks, sizeof *errors);
            if (!errors) return fvlm_fail_nomem(err);
            for (size_t k = 0; k < l->n_blocks; k++) errors[k] = INFINITY;
        }
        const double e = distance(b, (const float *)t->data + first, transposed);
        errors[i] = (float)e;
        if (e >= b->error) continue;
        b->error = e;
        b->nearest = id;
    }
    if (!errors) return FVLM_OK;
    if (!fvlm_grow(&l->entries, &l->entries_capacity, l->n_entries + 1, sizeof *l->entries)) {
        free(errors);
        return fvlm_fail_nomem(err);
    }
    l->entries[l->n_entries++] = (struct fvlm_locate_entry){id, transposed, errors};
    return FVLM_OK;
}

fvlm_status fvlm_locator_add_value(fvlm_locator *l, uint32_t id, const fvlm_judge_tensor *t, fvlm_err *err)
{
    const fvlm_status st = add_entry(l, id, t, false, err);
    return st ? st : add_entry(l, id, t, true, err);
}

/* ---- the assignment ---- */

/* What assigning entry e to block b is worth; 0: not allowed, or worth nothing. */
static double gain(const fvlm_locator *l, size_t b, size_t e)
{
    const struct fvlm_locate_entry *x = &l->entries[e];
    const double error = (double)x->errors[b];
    const uint32_t anchor = l->blocks[b].anchor, last = l->blocks[l->n_blocks - 1].anchor;
    if (anchor != FVLM_GRAPH_NONE) return x->id == anchor && isfinite(error) ? 1000 - fmin(error, 900) : 0;
    if (x->id == last || !(error < FARTHEST)) return 0;
    return log(FARTHEST / fmax(error, NEAREST));
}

/* best[b][e]: the most that blocks < b can gain from entries < e. */
static void assign(fvlm_locator *l, double *best)
{
    const size_t n = l->n_entries + 1;
    for (size_t b = 1; b <= l->n_blocks; b++)
        for (size_t e = 1; e <= l->n_entries; e++) {
            const double without = fmax(best[(b - 1) * n + e], best[b * n + e - 1]), g = gain(l, b - 1, e - 1);
            best[b * n + e] = g > 0 ? fmax(without, best[(b - 1) * n + e - 1] + g) : without;
        }
    for (size_t b = l->n_blocks, e = l->n_entries; b > 0 && e > 0;) {
        const double here = best[b * n + e];
        if (here == best[b * n + e - 1]) { /* of equal values the first */
            e--;
        } else if (here == best[(b - 1) * n + e]) {
            b--;
        } else {
            l->blocks[b - 1].value = l->entries[e - 1].id;
            l->blocks[b - 1].transposed = l->entries[e - 1].transposed;
            b--;
            e--;
        }
    }
}

static void free_entries(fvlm_locator *l)
{
    for (size_t e = 0; e < l->n_entries; e++) free(l->entries[e].errors);
    free(l->entries);
    l->entries = NULL;
    l->n_entries = l->entries_capacity = 0;
}

/* Turns round the entries of each node. */
static void order_outputs(fvlm_locator *l, const fvlm_graph *g)
{
    for (size_t i = 0, end; i < l->n_entries; i = end) {
        const uint32_t node = fvlm_graph_value_at(g, l->entries[i].id)->node;
        for (end = i + 1; end < l->n_entries && fvlm_graph_value_at(g, l->entries[end].id)->node == node;) end++;
        for (size_t a = i, b = end - 1; a < b; a++, b--) {
            const struct fvlm_locate_entry e = l->entries[a];
            l->entries[a] = l->entries[b];
            l->entries[b] = e;
        }
    }
}

fvlm_status fvlm_locator_solve(fvlm_locator *l, const fvlm_graph *g, fvlm_err *err)
{
    if (l->failed || l->n_blocks == 0) return fvlm_fail_nomem(err);
    double *best = fvlm_alloc((l->n_blocks + 1) * (l->n_entries + 1), sizeof *best);
    if (!best) return fvlm_fail_nomem(err);
    order_outputs(l, g);
    assign(l, best);
    free(best);
    free_entries(l);
    for (size_t i = 0; i < l->n_blocks; i++) {
        free(l->blocks[i].sample);
        l->blocks[i].sample = NULL;
    }
    return FVLM_OK;
}

const fvlm_located *fvlm_locator_find(const fvlm_locator *l, const char *name)
{
    for (size_t i = 0; i < l->n_blocks; i++)
        if (!strcmp(l->blocks[i].name, name)) return &l->blocks[i];
    return NULL;
}

const fvlm_located *fvlm_locator_find_value(const fvlm_locator *l, uint32_t id)
{
    for (size_t i = 0; i < l->n_blocks; i++)
        if (l->blocks[i].value == id) return &l->blocks[i];
    return NULL;
}

void fvlm_locator_free(fvlm_locator *l)
{
    free_entries(l);
    for (size_t i = 0; i < l->n_blocks; i++) free(l->blocks[i].sample);
    free(l->blocks);
    *l = (fvlm_locator){0};
}
