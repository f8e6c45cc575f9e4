/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.c - see chunk.h. */
#include <stdlib.h>
#include <string.h>

#include "quant/floats.h"
#include "quant/chunk.h"

fvlm_status fvlm_chunk_scratch_create(fvlm_chunk_scratch *s, size_t most_elems, size_t most_out, size_t longest_group,
                                      fvlm_err *err)
{
    s->x = fvlm_alloc(most_elems, sizeof *s->x);
    s->in = fvlm_alloc(most_elems, sizeof(float));
    s->out = fvlm_alloc(most_out, 1);
    if (s->x && s->in && s->out) return fvlm_encode_scratch_create(&s->encode, longest_group, err);
    return fvlm_fail(err, FVLM_NOMEM, "out of memory for %zu weights", most_elems);
}

void fvlm_chunk_scratch_free(fvlm_chunk_scratch *s)
{
    free(s->x);
    free(s->in);
    free(s->out);
    fvlm_encode_scratch_free(&s->encode);
}

/* Codes can stand for magnitudes up to FVLM_ENCODE_MAX; the index of the first larger one, or n. */
static size_t first_too_large(const float *x, size_t n)
{
    uint32_t large = 0;
    for (size_t i = 0; i < n; i++) large |= x[i] > FVLM_ENCODE_MAX || x[i] < -FVLM_ENCODE_MAX;
    for (size_t i = 0; large && i < n; i++)
        if (x[i] > FVLM_ENCODE_MAX || x[i] < -FVLM_ENCODE_MAX) return i;
    return n;
}

static fvlm_status encode_panels(const fvlm_chunk *p, fvlm_encode_group_fn encode, fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_matrix *m = p->m;
    const size_t unit = m->k * FVLM_LANES, n_scales = m->n_groups * FVLM_LANES, n_panels = p->n / unit;
    const size_t large = first_too_large(s->x, p->n);
    char where[FVLM_MAX_NAME + 96];
    if (large < p->n)
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %g: too large to quantize",
                         fvlm_floats_element_name(p->item->source, p->first + large, where), (double)s->x[large]);
    s->n_out = n_panels * m->panel_bytes;
    memset(s->out, 0, s->n_out);
    for (size_t i = 0; i < n_panels; i++) {
        const size_t panel = (size_t)(p->first / unit) + i, left = m->n - panel * FVLM_LANES;
        fvlm_encode_panel(encode, m, s->x + i * unit, left < FVLM_LANES ? left : FVLM_LANES, &s->encode,
                          s->out + i * m->panel_bytes, p->scales + panel * n_scales,
                          m->type.asymmetric ? p->offsets + panel * n_scales : NULL, s->sums);
    }
    return FVLM_OK;
}

static fvlm_status convert_floats(const fvlm_chunk *p, fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_quant_item *item = p->item;
    const size_t bad = fvlm_floats_store(item->type.kind, s->x, p->n, s->out, s->sums);
    char where[FVLM_MAX_NAME + 96], type[24];
    s->n_out = p->n * fvlm_type_float_bytes(item->type);
    if (bad == p->n) return FVLM_OK;
    return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %g: too large for %s; use --set '%s=f32'",
                     fvlm_floats_element_name(item->source, p->first + bad, where), (double)s->x[bad],
                     fvlm_type_name(item->type, type), item->source->name);
}

fvlm_status fvlm_chunk_encode(const fvlm_chunk *p, fvlm_encode_group_fn encode, const fvlm_reader *source,
                              fvlm_chunk_scratch *s, fvlm_err *err)
{
    const fvlm_tensor *t = p->item->source;
    const size_t width = fvlm_type_float_bytes(t->type);
    char where[FVLM_MAX_NAME + 96];
    s->sums[0] = s->sums[1] = 0;
    s->n_in = p->n * width;
    fvlm_status st = fvlm_reader_read(source, t, p->first * width, s->n_in, s->in, err);
    if (st) return st;
    const size_t bad = fvlm_floats_load(t->type.kind, s->in, p->n, s->x);
    if (bad < p->n) {
        const float v = s->x[bad];
        return fvlm_fail(err, FVLM_BAD_INPUT, "%s is %s; a model with such a weight cannot be quantized",
                         fvlm_floats_element_name(t, p->first + bad, where),
                         v != v  ? "not a number"
                         : v > 0 ? "infinite"
                                 : "minus infinite");
    }
    return p->m ? encode_panels(p, encode, s, err) : convert_floats(p, s, err);
}
