/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - see stream.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "quant/stream.h"

enum { CHUNK_BYTES = 1 << 20 }; /* of the source */

fvlm_status fvlm_stream_plan(fvlm_stream *s, fvlm_quant_item *item, fvlm_writer *w, fvlm_err *err)
{
    const fvlm_tensor *t = item->source;
    const bool copied = t->type.kind == FVLM_INT; /* as bytes */
    *s = (fvlm_stream){.item = item, .integer = item->type.kind == FVLM_INT && !copied, .unit_elems = 1};
    if (s->integer) {
        fvlm_status st = fvlm_matrix_layout(&s->m, item->type, t->dims[0], item->n_weights / t->dims[0], err);
        if (st) return fvlm_err_prefix(err, "\"%s\"", t->name);
        s->unit_elems = s->m.k * FVLM_PANEL;
    }
    const uint64_t unit_bytes = (uint64_t)s->unit_elems * (copied ? 1 : fvlm_type_float_bytes(t->type));
    s->n_units = t->n_bytes / unit_bytes;
    if (s->n_units * unit_bytes != t->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has %" PRIu64 " bytes, not a whole number of panels", t->name,
                         t->n_bytes);
    s->chunk_units = CHUNK_BYTES / unit_bytes ? CHUNK_BYTES / unit_bytes : 1;
    s->n_chunks = (size_t)((s->n_units + s->chunk_units - 1) / s->chunk_units);
    return fvlm_writer_declare(w, t->name, item->type, (fvlm_layout)t->layout, t->rank, t->dims, &s->id, err);
}

fvlm_status fvlm_stream_open(fvlm_stream *s, fvlm_err *err)
{
    if (s->hasher) return FVLM_OK;
    const size_t n_scales = s->m.n_panels * s->m.n_groups * FVLM_PANEL;
    const bool asymmetric = s->integer && s->m.type.asymmetric;
    if (s->integer && !s->scales) s->scales = fvlm_alloc(n_scales, sizeof *s->scales);
    if (asymmetric && !s->offsets) s->offsets = fvlm_alloc(n_scales, sizeof *s->offsets);
    if ((s->integer && !s->scales) || (asymmetric && !s->offsets)) return fvlm_fail_nomem(err);
    return fvlm_hasher_create(&s->hasher, err);
}

void fvlm_stream_close(fvlm_stream *s)
{
    fvlm_hasher_destroy(&s->hasher);
    free(s->scales);
    free(s->offsets);
    s->scales = s->offsets = NULL;
}

fvlm_chunk fvlm_stream_chunk(const fvlm_stream *s, size_t i)
{
    const uint64_t first = i * s->chunk_units, left = s->n_units - first;
    return (fvlm_chunk){.item = s->item,
                        .m = s->integer ? &s->m : NULL,
                        .first = first * s->unit_elems,
                        .n = (size_t)(left < s->chunk_units ? left : s->chunk_units) * s->unit_elems,
                        .scales = s->scales,
                        .offsets = s->offsets};
}

/* Scales and offsets behind the codes, each at its offset, with zeros between. */
static fvlm_status append_scales(const fvlm_stream *s, fvlm_writer *w, fvlm_err *err)
{
    static const uint8_t zeros[64];
    const fvlm_matrix *m = &s->m;
    const size_t bytes = m->n_panels * m->n_groups * FVLM_PANEL * sizeof *s->scales;
    fvlm_status st = fvlm_writer_append(w, s->id, zeros, m->scales_at - m->n_panels * m->panel_bytes, err);
    if (!st) st = fvlm_writer_append(w, s->id, s->scales, bytes, err);
    if (st || !m->type.asymmetric) return st;
    st = fvlm_writer_append(w, s->id, zeros, m->offsets_at - m->scales_at - bytes, err);
    if (!st) st = fvlm_writer_append(w, s->id, s->offsets, bytes, err);
    return st;
}

fvlm_status fvlm_stream_append(fvlm_stream *s, const fvlm_chunk_scratch *c, const fvlm_reader *source, fvlm_writer *w,
                               fvlm_err *err)
{
    fvlm_hasher_add(s->hasher, c->in, c->n_in);
    for (int i = 0; i < 2; i++) s->item->sums[i] += c->sums[i];
    fvlm_status st = fvlm_writer_append(w, s->id, c->out, c->n_out, err);
    if (st || s->n_appended + 1 < s->n_chunks) return st;
    st = fvlm_reader_compare_hash(source, s->item->source, fvlm_hasher_get(s->hasher), err);
    if (!st && s->integer) st = append_scales(s, w, err);
    fvlm_stream_close(s);
    return st;
}
