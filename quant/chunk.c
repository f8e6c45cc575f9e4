/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.c - see chunk.h. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/decode.h"
#include "quant/chunk.h"

fvlm_status fvlm_chunk_scratch_create(fvlm_chunk_scratch *s, fvlm_cpu cpu, size_t max_elems, size_t max_out,
                                      size_t max_group, fvlm_err *err)
{
    s->x = fvlm_alloc(max_elems, sizeof *s->x);
    s->in = fvlm_alloc(max_elems, sizeof(float));
    s->out = fvlm_alloc(max_out, 1);
    s->group = fvlm_alloc(max_group, FVLM_PANEL * sizeof *s->group);
    s->q = fvlm_alloc(max_group, FVLM_PANEL);
    s->encode = fvlm_encode_group_for(cpu);
    return s->x && s->in && s->out && s->group && s->q ? FVLM_OK : fvlm_fail_nomem(err);
}

void fvlm_chunk_scratch_free(fvlm_chunk_scratch *s)
{
    free(s->x);
    free(s->in);
    free(s->out);
    free(s->group);
    free(s->q);
}

/* Index of the first value whose magnitude is not at most max, or n. NaN is one. */
static size_t first_beyond(const float *x, size_t n, float max)
{
    bool beyond = false;
    for (size_t i = 0; i < n; i++) beyond |= !(fabsf(x[i]) <= max); /* no early exit, so that it vectorizes */
    for (size_t i = 0; beyond && i < n; i++)
        if (!(fabsf(x[i]) <= max)) return i;
    return n;
}

/* Stores codes q[n][16] of inputs first .. first+n-1 in the panel's tiles (layout: types.h). */
static void place_codes(const fvlm_matrix *m, const uint8_t *q, size_t first, size_t n, uint8_t *values)
{
    for (size_t i = 0; i < n; i++, q += FVLM_PANEL) {
        const size_t k = first + i, tile = k / 4;
        if (m->type.bits == 8) {
            uint8_t *to = values + tile * 64 + k % 4;
            for (size_t l = 0; l < FVLM_PANEL; l++) to[l * 4] = q[l];
        } else {
            uint8_t *to = values + tile / 2 * 64 + k % 4;
            const unsigned shift = tile % 2 ? 4 : 0;
            for (size_t l = 0; l < FVLM_PANEL; l++) to[l * 4] = (uint8_t)(to[l * 4] | q[l] << shift);
        }
    }
}

static double squared_norm(const float *x, size_t n)
{
    double sum[FVLM_PANEL] = {0}, all = 0;
    for (size_t i = 0; i < n * FVLM_PANEL; i++) sum[i % FVLM_PANEL] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < FVLM_PANEL; l++) all += sum[l];
    return all;
}

/* Encodes a panel x[m->k][16], of which the first 'rows' lanes are real and the others zero, into values (zeroed by the
 * caller), scales[m->n_groups * 16] and, for asymmetric types, offsets of the same size. Adds to s->sums. */
static void encode_panel(fvlm_chunk_scratch *s, const fvlm_matrix *m, const float *x, size_t rows, uint8_t *values,
                         uint16_t *scales, uint16_t *offsets)
{
    for (size_t g = 0; g < m->n_groups; g++) {
        const size_t first = g * m->group, n = m->k - first < m->group ? m->k - first : m->group;
        fvlm_encode_group group = {
            .type = m->type, .n = n, .x = x + first * FVLM_PANEL, .scratch = s->group, .q = s->q};
        s->encode(&group);
        for (size_t l = 0; l < rows; l++) {
            scales[g * FVLM_PANEL + l] = fvlm_f32_to_bf16(group.scale[l]);
            if (offsets) offsets[g * FVLM_PANEL + l] = fvlm_f32_to_bf16(group.offset[l]);
            s->sums[0] += group.error[l];
        }
        for (size_t i = 0; rows < FVLM_PANEL && i < n; i++) /* padding is zero, not the code of zero */
            memset(s->q + i * FVLM_PANEL + rows, 0, FVLM_PANEL - rows);
        place_codes(m, s->q, first, n, values);
        s->sums[1] += squared_norm(group.x, n);
    }
}

static fvlm_status encode_panels(const fvlm_chunk *c, fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_matrix *m = c->m;
    const size_t panel_elems = m->k * FVLM_PANEL, n_scales = m->n_groups * FVLM_PANEL, n_panels = c->n / panel_elems;
    const size_t bad = first_beyond(s->x, c->n, FVLM_ENCODE_MAX);
    char where[FVLM_MAX_ELEMENT_NAME];
    if (bad < c->n)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %g: too large to quantize",
                         fvlm_element_name(c->item->source, c->first + bad, where), (double)s->x[bad]);
    s->n_out = n_panels * m->panel_bytes;
    memset(s->out, 0, s->n_out);
    for (size_t i = 0; i < n_panels; i++) {
        const size_t panel = (size_t)(c->first / panel_elems) + i, left = m->n - panel * FVLM_PANEL;
        encode_panel(s, m, s->x + i * panel_elems, left < FVLM_PANEL ? left : FVLM_PANEL, s->out + i * m->panel_bytes,
                     c->scales + panel * n_scales, m->type.asymmetric ? c->offsets + panel * n_scales : NULL);
    }
    return FVLM_OK;
}

/* Stores x[n] as kind and adds to sums. Returns the index of the first value that kind would make infinite, or n. */
static size_t store_floats(uint8_t kind, const float *x, size_t n, uint8_t *stored, double sums[2])
{
    const uint16_t exponent = kind == FVLM_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < n; i++) {
        float back = x[i];
        if (kind == FVLM_F32) {
            fvlm_store_u32(stored + 4 * i, fvlm_f32_bits(x[i]));
        } else {
            const uint16_t h = kind == FVLM_F16 ? fvlm_f32_to_f16(x[i]) : fvlm_f32_to_bf16(x[i]);
            if ((h & exponent) == exponent) return i;
            fvlm_store_u16(stored + 2 * i, h);
            back = kind == FVLM_F16 ? fvlm_f16_to_f32(h) : fvlm_bf16_to_f32(h);
        }
        const double d = (double)x[i] - (double)back;
        sums[0] += d * d;
        sums[1] += (double)x[i] * (double)x[i];
    }
    return n;
}

static fvlm_status convert_floats(const fvlm_chunk *c, fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_quant_item *item = c->item;
    const size_t bad = store_floats(item->type.kind, s->x, c->n, s->out, s->sums);
    char where[FVLM_MAX_ELEMENT_NAME], type[24];
    s->n_out = c->n * fvlm_type_float_bytes(item->type);
    if (bad == c->n) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %g: too large for %s; use the rule '%s=f32'",
                     fvlm_element_name(item->source, c->first + bad, where), (double)s->x[bad],
                     fvlm_type_name(item->type, type), item->source->name);
}

fvlm_status fvlm_chunk_encode(const fvlm_chunk *c, const fvlm_reader *source, fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_tensor *t = c->item->source;
    const bool copied = t->type.kind == FVLM_INT; /* c->n is in bytes */
    const size_t width = copied ? 1 : fvlm_type_float_bytes(t->type);
    char where[FVLM_MAX_ELEMENT_NAME];
    s->sums[0] = s->sums[1] = 0;
    s->n_in = c->n * width;
    fvlm_status st = fvlm_reader_read(source, t, c->first * width, s->n_in, s->in, err);
    if (st) return st;
    if (copied) {
        memcpy(s->out, s->in, s->n_out = s->n_in);
        return FVLM_OK;
    }
    fvlm_decode_floats(t->type, s->in, c->n, s->x);
    const size_t bad = first_beyond(s->x, c->n, FLT_MAX);
    if (bad < c->n)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %s; a model with such a weight cannot be quantized",
                         fvlm_element_name(t, c->first + bad, where),
                         isnan(s->x[bad]) ? "not a number"
                         : s->x[bad] > 0  ? "infinite"
                                          : "minus infinite");
    return c->m ? encode_panels(c, s, err) : convert_floats(c, s, err);
}
