/* SPDX-License-Identifier: Apache-2.0 */
/* types.c - see types.h. */
#include "format/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool fvlm_type_valid(fvlm_type t)
{
    if (t.kind == FVLM_F32 || t.kind == FVLM_F16 || t.kind == FVLM_BF16) return !t.bits && !t.asymmetric && !t.group;
    return t.kind == FVLM_INT && (t.bits == 8 || t.bits == 4) && t.asymmetric <= 1 &&
           (t.group == 0 || t.group == 32 || t.group == 64 || t.group == 128);
}

bool fvlm_type_equal(fvlm_type a, fvlm_type b)
{
    return a.kind == b.kind && a.bits == b.bits && a.asymmetric == b.asymmetric && a.group == b.group;
}

const char *fvlm_layout_name(unsigned layout)
{
    static const char *const names[] = {"?", "rows", "panels", "taps"};
    return names[layout <= FVLM_TAPS ? layout : 0];
}

size_t fvlm_type_float_bytes(fvlm_type t)
{
    return t.kind == FVLM_F32 ? 4 : t.kind == FVLM_INT ? 0 : 2;
}

const char *fvlm_type_name(fvlm_type t, char out[24])
{
    static const char *const floats[] = {"?", "f32", "f16", "bf16"};
    if (t.kind != FVLM_INT) {
        snprintf(out, 24, "%s", floats[t.kind <= FVLM_BF16 ? t.kind : 0]);
        return out;
    }
    char group[8] = "row";
    if (t.group) snprintf(group, sizeof group, "g%u", t.group);
    snprintf(out, 24, "int%u-%s-%s", t.bits, t.asymmetric ? "asym" : "sym", group);
    return out;
}

fvlm_status fvlm_type_parse(fvlm_type *out, const char *text, fvlm_err *err)
{
    static const fvlm_type floats[] = {{FVLM_F32, 0, 0, 0}, {FVLM_F16, 0, 0, 0}, {FVLM_BF16, 0, 0, 0}};
    static const uint16_t groups[] = {32, 64, 128, 0};
    const char *name = !strcmp(text, "int8") ? "int8-sym-g64" : !strcmp(text, "int4") ? "int4-asym-g64" : text;
    char buffer[24];
    for (unsigned i = 0; i < 3; i++)
        if (!strcmp(name, fvlm_type_name(floats[i], buffer))) return *out = floats[i], FVLM_OK;
    for (unsigned i = 0; i < 16; i++) {
        fvlm_type t = {FVLM_INT, i & 1 ? 4 : 8, i >> 1 & 1, groups[i >> 2]};
        if (!strcmp(name, fvlm_type_name(t, buffer))) return *out = t, FVLM_OK;
    }
    return fvlm_fail(
        err, FVLM_USAGE,
        "unknown type \"%.40s\"; use f32, bf16, f16, int8, int4 or {int8,int4}-{sym,asym}-{g32,g64,g128,row}", text);
}

static fvlm_status too_big(fvlm_err *err, uint64_t n, uint64_t k)
{
    return fvlm_fail(err, FVLM_LIMIT, "a matrix of %" PRIu64 " x %" PRIu64 " is too large", n, k);
}

/* Sizes of the values of one panel, in m->k_padded and m->panel_bytes. */
static bool panel_size(fvlm_matrix *m, uint64_t k)
{
    bool is_int = m->type.kind == FVLM_INT;
    uint64_t padded, elems, bytes;
    unsigned multiple = !is_int ? 1 : m->type.bits == 8 ? 4 : 8;
    if (!fvlm_checked_round_up(k, multiple, &padded) || !fvlm_checked_mul(padded, FVLM_PANEL, &elems)) return false;
    if (is_int)
        bytes = m->type.bits == 8 ? elems : elems / 2;
    else if (!fvlm_checked_mul(elems, fvlm_type_float_bytes(m->type), &bytes))
        return false;
    return fvlm_checked_size(padded, &m->k_padded) && fvlm_checked_size(bytes, &m->panel_bytes);
}

fvlm_status fvlm_matrix_layout(fvlm_matrix *out, fvlm_type t, uint64_t n, uint64_t k, fvlm_err *err)
{
    if (!fvlm_type_valid(t)) return fvlm_fail(err, FVLM_UNSUPPORTED, "unknown element type");
    if (n == 0 || k == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "a matrix needs at least one row and one column");
    fvlm_matrix m = {.type = t};
    uint64_t padded_n, values, per_row = 0, scales = 0;
    if (!fvlm_checked_size(n, &m.n) || !fvlm_checked_size(k, &m.k) || !fvlm_checked_round_up(n, FVLM_PANEL, &padded_n))
        return too_big(err, n, k);
    m.n_panels = (size_t)(padded_n / FVLM_PANEL);
    if (!panel_size(&m, k) || !fvlm_checked_mul(m.n_panels, m.panel_bytes, &values)) return too_big(err, n, k);
    if (t.kind == FVLM_INT) {
        m.group = t.group ? t.group : m.k;
        per_row = k / m.group + (k % m.group != 0);
        m.n_groups = (size_t)per_row;
        if (!fvlm_checked_mul(padded_n, per_row, &scales) || !fvlm_checked_mul(scales, 2, &scales))
            return too_big(err, n, k);
    }
    uint64_t scales_at = values, offsets_at = values, end = values;
    bool fits = true;
    if (t.kind == FVLM_INT) {
        fits = fvlm_checked_round_up(values, 64, &scales_at) && fvlm_checked_add(scales_at, scales, &end);
        offsets_at = end;
    }
    if (fits && t.asymmetric)
        fits = fvlm_checked_round_up(end, 64, &offsets_at) && fvlm_checked_add(offsets_at, scales, &end);
    if (!fits || !fvlm_checked_size(end, &m.n_bytes)) return too_big(err, n, k);
    m.scales_at = (size_t)scales_at;
    m.offsets_at = (size_t)offsets_at;
    *out = m;
    return FVLM_OK;
}

size_t fvlm_matrix_q_at(const fvlm_matrix *m, size_t n, size_t k, unsigned *shift)
{
    size_t tile = k / 4, in_tile = (n % FVLM_PANEL) * 4 + k % 4;
    *shift = m->type.bits == 4 && (tile & 1) ? 4 : 0;
    if (m->type.bits == 4) tile /= 2;
    return n / FVLM_PANEL * m->panel_bytes + tile * 64 + in_tile;
}

size_t fvlm_matrix_float_at(const fvlm_matrix *m, size_t n, size_t k)
{
    return (n / FVLM_PANEL * m->k_padded + k) * FVLM_PANEL + n % FVLM_PANEL;
}

size_t fvlm_matrix_scale_at(const fvlm_matrix *m, size_t n, size_t g)
{
    return (n / FVLM_PANEL * m->n_groups + g) * FVLM_PANEL + n % FVLM_PANEL;
}

fvlm_status fvlm_type_tensor_bytes(uint64_t *out, fvlm_type t, fvlm_layout l, unsigned rank, const uint64_t *dims,
                                   fvlm_err *err)
{
    if (!fvlm_type_valid(t)) return fvlm_fail(err, FVLM_UNSUPPORTED, "unknown element type");
    if (rank < 1 || rank > FVLM_MAX_RANK)
        return fvlm_fail(err, FVLM_LIMIT, "rank %u is not 1 to %d", rank, FVLM_MAX_RANK);
    uint64_t per_row = 1, bytes;
    for (unsigned i = 0; i < rank; i++) {
        if (dims[i] == 0) return fvlm_fail(err, FVLM_BAD_INPUT, "dimension %u is 0", i);
        if (i > 0 && !fvlm_checked_mul(per_row, dims[i], &per_row)) return too_big(err, dims[0], dims[i]);
    }
    if (l == FVLM_PANELS) {
        fvlm_matrix m;
        fvlm_status st = fvlm_matrix_layout(&m, t, dims[0], per_row, err);
        if (st == FVLM_OK) *out = m.n_bytes;
        return st;
    }
    if (l != FVLM_ROWS && l != FVLM_TAPS) return fvlm_fail(err, FVLM_UNSUPPORTED, "unknown layout %u", (unsigned)l);
    if (t.kind == FVLM_INT) return fvlm_fail(err, FVLM_UNSUPPORTED, "integer types exist in panels only");
    if (l == FVLM_TAPS && (rank != 4 || dims[1] != 1))
        return fvlm_fail(err, FVLM_BAD_INPUT, "a depthwise kernel is [C, 1, kh, kw]");
    if (!fvlm_checked_mul(per_row, dims[0], &bytes) || !fvlm_checked_mul(bytes, fvlm_type_float_bytes(t), &bytes))
        return too_big(err, dims[0], per_row);
    *out = bytes;
    return FVLM_OK;
}
