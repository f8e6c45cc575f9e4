/* SPDX-License-Identifier: Apache-2.0 */
/* pack.c - streams a recipe block by block: reads rows, fuses and proves them in f64, rounds once, lays them out.
 *
 * A block is a multiple of 16 rows (a panel), about BLOCK_BYTES in all. Every weight of the model passes through here,
 * so bare weights, which are nearly all, skip f64. */
#include "convert/pack.h"

#include <stdlib.h>
#include <string.h>

#include "convert/elements.h"
#include "convert/fuse.h"
#include "convert/pack_codes.h"
#include "convert/prove.h"

#define BLOCK_BYTES ((size_t)1 << 18)

fvlm_type fvlm_pack_weight_type(const fvlm_recipe *m)
{
    return m->fused ? (fvlm_type){.kind = FVLM_F32} : fvlm_elements_keep(m->branch[0].kernel->type);
}

fvlm_type fvlm_pack_bias_type(const fvlm_recipe *m)
{
    bool kept = !m->fused && m->branch[0].bias;
    return kept ? fvlm_elements_keep(m->branch[0].bias->type) : (fvlm_type){.kind = FVLM_F32};
}

static size_t kernel_row(const fvlm_recipe *m, unsigned b)
{
    return (size_t)m->in * m->branch[b].k * m->branch[b].k;
}

uint64_t fvlm_pack_source_bytes(const fvlm_recipe *m)
{
    uint64_t n = 0;
    for (unsigned b = 0; b < m->n_branches; b++)
        if (m->branch[b].kernel) n += m->out * kernel_row(m, b) * fvlm_source_type_bytes(m->branch[b].kernel->type);
    return n;
}

typedef struct {
    const fvlm_recipe *m;
    const fvlm_source *src;
    const fvlm_sink *sink;
    fvlm_packing *p;
    fvlm_err *err;
    size_t row, size;                                 /* elements of a fused row; bytes of a stored element */
    size_t rows;                                      /* of a block */
    uint8_t *raw[FVLM_MAX_BRANCHES];                  /* [rows][kernel_row] as stored in the source */
    uint8_t *typed;                                   /* [rows][row] in the type to store */
    uint8_t *laid_out;                                /* the panels of a block, or a whole TAPS tensor */
    double *kernel[FVLM_MAX_BRANCHES], *fused, *bias; /* one row of each branch; one fused row; [out] */
    fvlm_fusion fusion;
    fvlm_proof *proof;
} packer;

static fvlm_status prepare(packer *k)
{
    const fvlm_recipe *m = k->m;
    k->row = (size_t)m->in * m->k * m->k;
    k->size = fvlm_type_float_bytes(k->p->weight);
    size_t fit = BLOCK_BYTES / (k->row * 4) / FVLM_PANEL * FVLM_PANEL,
           all = ((size_t)m->out + FVLM_PANEL - 1) / FVLM_PANEL * FVLM_PANEL;
    k->rows = fit < FVLM_PANEL ? FVLM_PANEL : fit < all ? fit : all;
    k->typed = fvlm_alloc(k->rows * k->row, k->size);
    k->laid_out = fvlm_alloc((m->layout == FVLM_TAPS ? (size_t)m->out : k->rows) * k->row, k->size);
    if (!k->typed || !k->laid_out) return fvlm_fail_nomem(k->err);
    for (unsigned b = 0; b < m->n_branches; b++) {
        if (!m->branch[b].kernel) continue;
        k->raw[b] = fvlm_alloc(k->rows * kernel_row(m, b), fvlm_source_type_bytes(m->branch[b].kernel->type));
        k->kernel[b] = m->fused ? fvlm_alloc(kernel_row(m, b), sizeof(double)) : NULL;
        if (!k->raw[b] || (m->fused && !k->kernel[b])) return fvlm_fail_nomem(k->err);
    }
    if (!m->fused) return FVLM_OK;
    k->fused = fvlm_alloc(k->row, sizeof(double));
    k->bias = fvlm_alloc((size_t)m->out, sizeof(double));
    if (!k->fused || !k->bias) return fvlm_fail_nomem(k->err);
    fvlm_status st = fvlm_fusion_prepare(&k->fusion, m, k->src, k->err);
    return st ? st : fvlm_proof_create(&k->proof, m, k->src, k->err);
}

static void release(packer *k)
{
    for (unsigned b = 0; b < FVLM_MAX_BRANCHES; b++) {
        free(k->raw[b]);
        free(k->kernel[b]);
    }
    free(k->typed);
    free(k->laid_out);
    free(k->fused);
    free(k->bias);
    fvlm_fusion_free(&k->fusion);
    fvlm_proof_free(&k->proof);
}

/* Reads rows first .. first + n - 1 of every branch's kernel; refuses NaN and infinity. */
static fvlm_status read_rows(packer *k, uint64_t first, size_t n, atomic_ullong *bytes_done)
{
    for (unsigned b = 0; b < k->m->n_branches; b++) {
        const fvlm_source_tensor *t = k->m->branch[b].kernel;
        if (!t) continue;
        size_t row = kernel_row(k->m, b), row_bytes = row * fvlm_source_type_bytes(t->type);
        fvlm_status st = fvlm_source_read(k->src, t, first * row_bytes, n * row_bytes, k->raw[b], k->err);
        if (st) return st;
        size_t bad = fvlm_elements_check(t->type, k->raw[b], n * row);
        if (bad < n * row) return fvlm_elements_not_finite(t, first * row + bad, k->err);
        atomic_fetch_add_explicit(bytes_done, n * row_bytes, memory_order_relaxed);
    }
    return FVLM_OK;
}

/* Fuses and proves a block of rows, and rounds it to the type to store. */
static fvlm_status make_rows(packer *k, uint64_t first, size_t n)
{
    const fvlm_recipe *m = k->m;
    if (!m->fused) {
        size_t fit = fvlm_elements_convert(m->branch[0].kernel->type, k->raw[0], k->p->weight, n * k->row, k->typed);
        return fit < n * k->row ? fvlm_elements_too_large(m->name, "weight", first + fit / k->row, fit % k->row,
                                                          k->p->weight, k->err)
                                : FVLM_OK;
    }
    for (size_t r = 0; r < n; r++) {
        for (unsigned b = 0; b < m->n_branches; b++) {
            const fvlm_source_tensor *t = m->branch[b].kernel;
            if (!t) continue;
            size_t row = kernel_row(m, b);
            fvlm_elements_decode(t->type, k->raw[b] + r * row * fvlm_source_type_bytes(t->type), row, k->kernel[b]);
        }
        k->bias[first + r] = fvlm_fusion_row(&k->fusion, first + r, k->kernel, k->fused);
        fvlm_proof_row(k->proof, first + r, k->kernel, k->fused, k->bias[first + r]);
        size_t fit = fvlm_elements_encode(k->p->weight, k->fused, k->row, k->typed + r * k->row * k->size);
        if (fit < k->row) return fvlm_elements_too_large(m->name, "weight", first + r, fit, k->p->weight, k->err);
    }
    return FVLM_OK;
}

/* ---- layouts ---- */

/* Interleaves 16 rows: to[j][r] = rows[r][s(j)]. Linear layers have 1 tap and s(j) = j. A convolution has k*k taps; its
 * inputs come as (channel, y, x) and are stored as (y, x, channel). Missing rows are zero. */
#define DEFINE_PANEL(name, type)                                                                                       \
    static void name(const type *rows, size_t n_rows, size_t row, size_t taps, type *to)                               \
    {                                                                                                                  \
        size_t in = row / taps;                                                                                        \
        const type *from[FVLM_PANEL];                                                                                  \
        for (size_t r = 0; r < FVLM_PANEL; r++) from[r] = rows + (r < n_rows ? r : 0) * row;                           \
        for (size_t j = 0; j < row; j++) {                                                                             \
            size_t s = taps == 1 ? j : j % in * taps + j / in;                                                         \
            for (size_t r = 0; r < FVLM_PANEL; r++) to[j * FVLM_PANEL + r] = from[r][s];                               \
        }                                                                                                              \
        for (size_t r = n_rows; r < FVLM_PANEL; r++)                                                                   \
            for (size_t j = 0; j < row; j++) to[j * FVLM_PANEL + r] = 0;                                               \
    }
DEFINE_PANEL(panel_2, uint16_t)
DEFINE_PANEL(panel_4, uint32_t)

static fvlm_status put_panels(packer *k, size_t n)
{
    size_t taps = (size_t)k->m->k * k->m->k, panel_bytes = FVLM_PANEL * k->row * k->size, n_panels = 0;
    for (size_t r = 0; r < n; r += FVLM_PANEL, n_panels++) {
        const void *rows = k->typed + r * k->row * k->size;
        void *to = k->laid_out + n_panels * panel_bytes;
        size_t n_rows = n - r < FVLM_PANEL ? n - r : FVLM_PANEL;
        if (k->size == 2)
            panel_2(rows, n_rows, k->row, taps, to);
        else
            panel_4(rows, n_rows, k->row, taps, to);
    }
    return k->sink->append(k->sink->ctx, k->p->weight_id, k->laid_out, n_panels * panel_bytes, k->err);
}

/* [kh][kw][C], which is complete, and appended, with the last channel. */
static fvlm_status put_taps(packer *k, uint64_t first, size_t n)
{
    size_t channels = (size_t)k->m->out;
    for (size_t r = 0; r < n; r++)
        for (size_t t = 0; t < k->row; t++)
            memcpy(k->laid_out + (t * channels + (size_t)first + r) * k->size, k->typed + (r * k->row + t) * k->size,
                   k->size);
    if (first + n < channels) return FVLM_OK;
    return k->sink->append(k->sink->ctx, k->p->weight_id, k->laid_out, channels * k->row * k->size, k->err);
}

static fvlm_status put_block(packer *k, uint64_t first, size_t n)
{
    if (k->m->layout == FVLM_PANELS) return put_panels(k, n);
    if (k->m->layout == FVLM_TAPS) return put_taps(k, first, n);
    return k->sink->append(k->sink->ctx, k->p->weight_id, k->typed, n * k->row * k->size, k->err);
}

/* The fused bias, or else the source's own. */
static fvlm_status put_bias(packer *k)
{
    const fvlm_recipe *m = k->m;
    size_t n = (size_t)m->out;
    double *plain = NULL;
    uint8_t *typed = fvlm_alloc(n, fvlm_type_float_bytes(k->p->bias));
    fvlm_status st = typed ? FVLM_OK : fvlm_fail_nomem(k->err);
    if (!st && !m->fused) st = fvlm_elements_read(k->src, m->branch[0].bias, &plain, k->err);
    if (!st) {
        size_t fit = fvlm_elements_encode(k->p->bias, m->fused ? k->bias : plain, n, typed);
        st = fit < n
                 ? fvlm_elements_too_large(m->name, "bias", fit, 0, k->p->bias, k->err)
                 : k->sink->append(k->sink->ctx, k->p->bias_id, typed, n * fvlm_type_float_bytes(k->p->bias), k->err);
    }
    free(plain);
    free(typed);
    return st;
}

fvlm_status fvlm_pack_recipe(const fvlm_recipe *m, const fvlm_source *src, fvlm_packing *p, const fvlm_sink *sink,
                             atomic_ullong *bytes_done, const fvlm_stop *stop, fvlm_err *err)
{
    packer k = {.m = m, .src = src, .sink = sink, .p = p, .err = err};
    p->error = 0;
    const bool codes = p->weight.kind == FVLM_INT;
    fvlm_status st = codes ? fvlm_pack_codes(m, src, p, sink, bytes_done, stop, err) : prepare(&k);
    for (uint64_t first = 0; !st && !codes && first < m->out; first += k.rows) {
        size_t n = m->out - first < k.rows ? (size_t)(m->out - first) : k.rows;
        st = fvlm_stop_check(stop, err);
        if (!st) st = read_rows(&k, first, n, bytes_done);
        if (!st) st = make_rows(&k, first, n);
        if (!st) st = put_block(&k, first, n);
    }
    if (!st && m->fused) {
        p->error = fvlm_proof_error(k.proof);
        if (!(p->error <= FVLM_PROOF_BOUND))
            st = fvlm_fail(err, FVLM_MISMATCH,
                           "\"%s\": fused and unfused differ by %.1e, more than the allowed %.0e; nothing is written",
                           m->name, p->error, FVLM_PROOF_BOUND);
    }
    if (!st && m->has_bias) st = put_bias(&k);
    release(&k);
    return st;
}
