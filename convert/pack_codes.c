/* SPDX-License-Identifier: Apache-2.0 */
/* pack_codes.c - see pack_codes.h.
 *
 * In a group the source has w = s q + o, the container w' = s' (q - middle) or s' q + o', with s' and o' in bf16. So
 * w' - w = a q + b in the whole group, and the sums of q and q^2 give the error exactly. */
#include "convert/pack_codes.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/source/views.h"
#include "format/base/bits.h"

#define BLOCK_BYTES ((size_t)1 << 18)

typedef struct {
    const fvlm_recipe *m;
    const fvlm_source *src;
    const fvlm_source_tensor *t;
    fvlm_packing *p;
    const fvlm_sink *sink;
    fvlm_matrix to;
    size_t rows; /* of a block: whole panels */
    fvlm_source_codes read;
    uint8_t *values;            /* the panels of a block */
    uint16_t *scales, *offsets; /* of the whole tensor, bf16; it ends with them */
    size_t *input;              /* [k]: where the source's k-th input is in the container: see types.h */
    fvlm_err *err;
} packer;

static fvlm_status prepare(packer *k)
{
    const fvlm_recipe *m = k->m;
    const size_t taps = (size_t)m->k * m->k, n_in = (size_t)m->in, columns = n_in * taps;
    fvlm_status st = fvlm_matrix_layout(&k->to, k->p->weight, m->out, columns, k->err);
    if (st) return st;
    const size_t fit = BLOCK_BYTES / columns / FVLM_PANEL * FVLM_PANEL, n_scales = k->to.n_panels * FVLM_PANEL;
    k->rows = fit < FVLM_PANEL ? FVLM_PANEL : fit < n_scales ? fit : n_scales;
    k->read.codes = fvlm_alloc(k->rows, columns);
    k->read.scales = fvlm_alloc(k->rows * k->to.n_groups, sizeof(float));
    k->read.offsets = fvlm_alloc(k->rows * k->to.n_groups, sizeof(double));
    k->values = fvlm_alloc(k->rows / FVLM_PANEL, k->to.panel_bytes);
    k->scales = fvlm_alloc(n_scales, k->to.n_groups * 2);
    k->offsets = fvlm_alloc(n_scales, k->to.n_groups * 2);
    k->input = fvlm_alloc(columns, sizeof *k->input);
    if (!k->read.codes || !k->read.scales || !k->read.offsets || !k->values || !k->scales || !k->offsets || !k->input)
        return fvlm_fail_nomem(k->err);
    for (size_t j = 0; j < columns; j++) k->input[j] = j % taps * n_in + j / taps;
    return FVLM_OK;
}

static void release(packer *k)
{
    free(k->read.codes);
    free(k->read.scales);
    free(k->read.offsets);
    free(k->values);
    free(k->scales);
    free(k->offsets);
    free(k->input);
}

static fvlm_status check_finite(const packer *k, double x, const char *what, uint64_t row, size_t group)
{
    if (isfinite(x)) return FVLM_OK;
    return fvlm_fail(k->err, FVLM_BAD_INPUT,
                     "tensor \"%.200s\": the %s of row %" PRIu64
                     ", group %zu is not a finite number, or too large; the "
                     "file is damaged",
                     k->t->name, what, row, group);
}

/* A group: n codes, their sum, and the sum of their squares. */
typedef struct {
    double n, sum, squares;
} group_sums;

static group_sums add_up(const uint8_t *codes, size_t n)
{
    uint64_t sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += codes[i];
        squares += (uint64_t)codes[i] * codes[i];
    }
    return (group_sums){(double)n, (double)sum, (double)squares};
}

/* The sum of (a q + b)^2. */
static double squared(const group_sums *g, double a, double b)
{
    return fmax(0, a * a * g->squares + 2 * a * b * g->sum + b * b * g->n);
}

/* The expected squared error that a q + b causes in a product with inputs of mean m and deviation d, divided by d^2:
 * the sum of the squares plus (m / d)^2 times the square of the sum. Of 0, 0.02 and 0.25 for (m / d)^2, 0.02 gave the
 * least error of the outputs (small trained model, uint8). */
static double cost_of(const group_sums *g, double a, double b)
{
    const double sum = a * g->sum + b * g->n;
    return squared(g, a, b) + 0.02 * sum * sum;
}

/* Scale and offset of an asymmetric group. Rounded independently, they could shift all weights of the group by half an
 * ulp of o in bf16, a quarter of a code at 8 bits; a product would add that up. So the scales around s are tried, each
 * with its best offset. */
static double round_asymmetric(const group_sums *g, double s, double o, uint16_t *scale, uint16_t *offset)
{
    static const int steps[] = {0, -1, 1, -2, 2, -3, 3, -4, 4};
    const uint16_t nearest = fvlm_f32_to_bf16((float)s);
    double best = INFINITY, wrong = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        const int magnitude = (nearest & 0x7fff) + steps[i];
        if (i > 0 && (magnitude <= 0 || magnitude >= 0x7f80)) continue;
        const uint16_t x = (uint16_t)((nearest & 0x8000) | magnitude);
        const double a = (double)fvlm_bf16_to_f32(x) - s;
        const uint16_t y = fvlm_f32_to_bf16((float)(-a * g->sum / g->n + o));
        const double b = (double)fvlm_bf16_to_f32(y) - o, cost = cost_of(g, a, b);
        if (i > 0 && !(cost < best)) continue;
        best = cost;
        wrong = squared(g, a, b);
        *scale = x;
        *offset = y;
    }
    return wrong;
}

/* Rounds the scale of one group, and adds up what that changes. */
static fvlm_status put_scale(packer *k, uint64_t row, size_t group, size_t in_block, const uint8_t *codes, size_t n)
{
    const size_t at = fvlm_matrix_scale_at(&k->to, (size_t)row, group), from = in_block * k->to.n_groups + group;
    const double s = (double)k->read.scales[from], o = k->read.offsets[from];
    fvlm_status st = check_finite(k, s, "scale", row, group);
    if (!st) st = check_finite(k, o, "offset", row, group);
    if (st) return st;
    const group_sums g = add_up(codes, n);
    double wrong;
    st = check_finite(k, (double)fvlm_bf16_to_f32(fvlm_f32_to_bf16(k->read.scales[from])), "scale", row, group);
    if (!st) st = check_finite(k, (double)fvlm_bf16_to_f32(fvlm_f32_to_bf16((float)o)), "offset", row, group);
    if (st) return st;
    if (k->to.type.asymmetric) {
        wrong = round_asymmetric(&g, s, o, &k->scales[at], &k->offsets[at]);
    } else {
        k->scales[at] = fvlm_f32_to_bf16(k->read.scales[from]);
        const double a = (double)fvlm_bf16_to_f32(k->scales[at]) - s;
        wrong = squared(&g, a, -a * (double)(1u << (k->to.type.bits - 1)));
    }
    k->p->wrong += wrong;
    k->p->all += squared(&g, s, o);
    return FVLM_OK;
}

static fvlm_status put_block(packer *k, uint64_t first, size_t n)
{
    const size_t columns = k->to.k, n_panels = (n + FVLM_PANEL - 1) / FVLM_PANEL;
    const size_t start = (size_t)first / FVLM_PANEL * k->to.panel_bytes;
    memset(k->values, 0, n_panels * k->to.panel_bytes);
    for (size_t r = 0; r < n; r++) {
        const uint8_t *codes = k->read.codes + r * columns;
        for (size_t j = 0; j < columns; j++) {
            unsigned shift;
            const size_t at = fvlm_matrix_q_at(&k->to, (size_t)first + r, k->input[j], &shift);
            k->values[at - start] = (uint8_t)(k->values[at - start] | codes[j] << shift);
        }
        for (size_t g = 0; g < k->to.n_groups; g++) {
            const size_t from = g * k->to.group, left = columns - from;
            fvlm_status st = put_scale(k, first + r, g, r, codes + from, left < k->to.group ? left : k->to.group);
            if (st) return st;
        }
    }
    return k->sink->append(k->sink->ctx, k->p->weight_id, k->values, n_panels * k->to.panel_bytes, k->err);
}

/* Zeros up to 'at', then the array; *end is how much of the tensor there is. */
static fvlm_status put_array(packer *k, size_t *end, size_t at, const uint16_t *array)
{
    static const uint8_t zeros[64];
    const size_t n = k->to.n_panels * FVLM_PANEL * k->to.n_groups * 2;
    fvlm_status st = FVLM_OK;
    if (at > *end) st = k->sink->append(k->sink->ctx, k->p->weight_id, zeros, at - *end, k->err);
    if (!st) st = k->sink->append(k->sink->ctx, k->p->weight_id, array, n, k->err);
    *end = at + n;
    return st;
}

fvlm_status fvlm_pack_codes(const fvlm_recipe *m, const fvlm_source *src, fvlm_packing *p, const fvlm_sink *sink,
                            atomic_ullong *bytes_done, const fvlm_stop *stop, fvlm_err *err)
{
    packer k = {.m = m, .src = src, .t = m->branch[0].kernel, .p = p, .sink = sink, .err = err};
    p->wrong = p->all = 0;
    fvlm_status st = prepare(&k);
    for (uint64_t first = 0; !st && first < m->out; first += k.rows) {
        const size_t n = m->out - first < k.rows ? (size_t)(m->out - first) : k.rows;
        st = fvlm_stop_check(stop, err);
        if (!st) st = fvlm_source_read_codes(src, k.t, first, n, k.read, err);
        if (!st) st = put_block(&k, first, n);
        atomic_fetch_add_explicit(bytes_done, n * k.to.k * fvlm_source_type_bytes(k.t->type), memory_order_relaxed);
    }
    size_t end = k.to.n_panels * k.to.panel_bytes;
    if (!st) st = put_array(&k, &end, k.to.scales_at, k.scales);
    if (!st && k.to.type.asymmetric) st = put_array(&k, &end, k.to.offsets_at, k.offsets);
    release(&k);
    return st;
}
