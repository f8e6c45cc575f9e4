/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c - see decode.h. */
#include "format/decode.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* The int8 kernels sum a group in int32; one product is at most 255 * 127. */
#define MAX_GROUP 65536

void fvlm_decode_floats(fvlm_type type, const uint8_t *bytes, size_t n, float *out)
{
    if (type.kind == FVLM_F16)
        for (size_t i = 0; i < n; i++) out[i] = fvlm_f16_to_f32(fvlm_load_u16(bytes + 2 * i));
    else if (type.kind == FVLM_BF16)
        for (size_t i = 0; i < n; i++) out[i] = fvlm_bf16_to_f32(fvlm_load_u16(bytes + 2 * i));
    else
        for (size_t i = 0; i < n; i++) out[i] = fvlm_f32_from_bits(fvlm_load_u32(bytes + 4 * i));
}

/* Row and input of a stored element. For taps and rows, the input counts through the trailing dimensions. */
static void locate(const fvlm_tensor *t, uint64_t at, uint64_t *row, uint64_t *input)
{
    uint64_t per_row = 1;
    for (unsigned i = 1; i < t->rank; i++) per_row *= t->dims[i];
    if (t->layout == FVLM_PANELS) {
        *row = at / FVLM_PANEL / per_row * FVLM_PANEL + at % FVLM_PANEL;
        *input = at / FVLM_PANEL % per_row;
    } else if (t->layout == FVLM_TAPS) {
        *row = at % t->dims[0];
        *input = at / t->dims[0];
    } else {
        *row = at / per_row;
        *input = at % per_row;
    }
}

const char *fvlm_element_name(const fvlm_tensor *t, uint64_t at, char out[FVLM_MAX_ELEMENT_NAME])
{
    uint64_t k, index[FVLM_MAX_RANK] = {0};
    locate(t, at, &index[0], &k);
    if (t->rank == 4 && t->layout == FVLM_PANELS) { /* k = (y*kw + x)*I + i */
        index[1] = k % t->dims[1];
        index[3] = k / t->dims[1] % t->dims[3];
        index[2] = k / t->dims[1] / t->dims[3];
    } else {
        for (unsigned i = t->rank; i-- > 1; k /= t->dims[i]) index[i] = k % t->dims[i];
    }
    const size_t size = FVLM_MAX_ELEMENT_NAME;
    size_t n = (size_t)snprintf(out, size, "%s[", t->name);
    for (unsigned i = 0; i < t->rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%" PRIu64, i ? "," : "", index[i]);
    if (n < size) snprintf(out + n, size - n, "]");
    return out;
}

fvlm_status fvlm_weight_bind(fvlm_weight *w, const fvlm_tensor *t, const uint8_t *bytes, fvlm_err *err)
{
    *w = (fvlm_weight){0};
    if (t->layout != FVLM_PANELS)
        return fvlm_fail(err, FVLM_UNSUPPORTED, "tensor \"%s\": not stored in panels, so it cannot be multiplied with",
                         t->name);
    if (t->rank < 1 || t->rank > FVLM_MAX_RANK)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": rank %u is not 1 to 4", t->name, t->rank);
    uint64_t k = 1;
    for (unsigned i = 1; i < t->rank; i++)
        if (!fvlm_checked_mul(k, t->dims[i], &k))
            return fvlm_fail(err, FVLM_LIMIT, "tensor \"%s\": its shape is too large", t->name);
    fvlm_status st = fvlm_matrix_layout(&w->m, t->type, t->dims[0], k, err);
    if (st) return fvlm_err_prefix(err, "tensor \"%s\"", t->name);
    if (w->m.n_bytes != t->n_bytes)
        return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": %llu bytes, its shape and type need %zu", t->name,
                         (unsigned long long)t->n_bytes, w->m.n_bytes);
    if (t->type.kind == FVLM_INT && w->m.group > MAX_GROUP)
        return fvlm_fail(err, FVLM_LIMIT, "tensor \"%s\": groups of %zu inputs, at most %d", t->name, w->m.group,
                         MAX_GROUP);
    w->values = bytes;
    if (t->type.kind == FVLM_INT) {
        w->scales = (const uint16_t *)(const void *)(bytes + w->m.scales_at);
        if (t->type.asymmetric) w->offsets = (const uint16_t *)(const void *)(bytes + w->m.offsets_at);
    }
    return FVLM_OK;
}

static float float_at(const fvlm_weight *w, size_t n, size_t k)
{
    float value;
    fvlm_decode_floats(w->m.type, w->values + fvlm_matrix_float_at(&w->m, n, k) * fvlm_type_float_bytes(w->m.type), 1,
                       &value);
    return value;
}

unsigned fvlm_weight_code(const fvlm_weight *w, size_t n, size_t k)
{
    unsigned shift;
    const unsigned byte = w->values[fvlm_matrix_q_at(&w->m, n, k, &shift)];
    return w->m.type.bits == 4 ? byte >> shift & 15 : byte;
}

static float int_at(const fvlm_weight *w, size_t n, size_t k)
{
    const int q = (int)fvlm_weight_code(w, n, k), zero = w->m.type.bits == 4 ? 8 : 128;
    const size_t at = fvlm_matrix_scale_at(&w->m, n, k / w->m.group);
    const float scale = fvlm_bf16_to_f32(w->scales[at]);
    if (w->offsets) return fmaf((float)q, scale, fvlm_bf16_to_f32(w->offsets[at]));
    return (float)(q - zero) * scale;
}

void fvlm_weight_row(const fvlm_weight *w, size_t n, float *out)
{
    for (size_t k = 0; k < w->m.k; k++) out[k] = w->m.type.kind == FVLM_INT ? int_at(w, n, k) : float_at(w, n, k);
}
