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
    if (s->x && s->in && s->out) return fvlm_encoder_create(&s->encoder, cpu, max_group, err);
    return fvlm_fail_nomem(err);
}

void fvlm_chunk_scratch_free(fvlm_chunk_scratch *s)
{
    free(s->x);
    free(s->in);
    free(s->out);
    fvlm_encoder_free(&s->encoder);
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
        fvlm_encoder_encode_panel(&s->encoder, m, s->x + i * panel_elems, left < FVLM_PANEL ? left : FVLM_PANEL,
                                  s->out + i * m->panel_bytes, c->scales + panel * n_scales,
                                  m->type.asymmetric ? c->offsets + panel * n_scales : NULL, s->sums);
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
    const size_t width = fvlm_type_float_bytes(t->type);
    char where[FVLM_MAX_ELEMENT_NAME];
    s->sums[0] = s->sums[1] = 0;
    s->n_in = c->n * width;
    fvlm_status st = fvlm_reader_read(source, t, c->first * width, s->n_in, s->in, err);
    if (st) return st;
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
