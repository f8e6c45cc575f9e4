/* SPDX-License-Identifier: Apache-2.0 */
/* onnx_elements.c - see onnx_elements.h. */
#include "convert/export/onnx_elements.h"

#include <math.h>

fvlm_status fvlm_onnx_elements_bind(fvlm_onnx_elements *e, const fvlm_reader *r, const fvlm_tensor *t, fvlm_err *err)
{
    *e = (fvlm_onnx_elements){
        .name = t->name, .type = t->type, .layout = (fvlm_layout)t->layout, .bytes = fvlm_reader_bytes(r, t)};
    e->n = (size_t)t->dims[0];
    e->k = (size_t)(fvlm_tensor_n_elems(t) / t->dims[0]);
    e->taps = t->rank == 4 ? (size_t)(t->dims[2] * t->dims[3]) : 1;
    return t->layout == FVLM_PANELS ? fvlm_weight_bind(&e->weight, t, e->bytes, err) : FVLM_OK;
}

/* The container's number of input j of ONNX's order. */
static size_t input_of(const fvlm_onnx_elements *e, size_t j)
{
    return e->taps == 1 ? j : j % e->taps * (e->k / e->taps) + j / e->taps;
}

/* Of element i: row and input, the latter in the container's order. */
static void locate(const fvlm_onnx_elements *e, uint64_t i, size_t *n, size_t *k)
{
    *n = (size_t)(e->transposed ? i % e->n : i / e->k);
    *k = input_of(e, (size_t)(e->transposed ? i / e->n : i % e->k));
}

static size_t float_at(const fvlm_onnx_elements *e, size_t n, size_t k)
{
    if (e->layout == FVLM_PANELS) return fvlm_matrix_float_at(&e->weight.m, n, k);
    return e->layout == FVLM_TAPS ? k * e->n + n : n * e->k + k;
}

bool fvlm_onnx_fill_floats(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_onnx_elements *e = of;
    const size_t from_size = fvlm_type_float_bytes(e->type), size = fvlm_type_float_bytes(e->as);
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        size_t row, k;
        locate(e, first + i, &row, &k);
        const uint8_t *from = e->bytes + float_at(e, row, k) * from_size;
        float x;
        fvlm_decode_floats(e->type, from, 1, &x);
        fits = fits && isfinite(x);
        if (size == 4) {
            fvlm_store_u32(out + 4 * i, fvlm_f32_bits(x));
            continue;
        }
        const uint16_t narrow = e->as.kind == FVLM_F16 ? fvlm_f32_to_f16(x) : fvlm_f32_to_bf16(x);
        fits = fits && (narrow & 0x7fff) < (e->as.kind == FVLM_F16 ? 0x7c00 : 0x7f80);
        fvlm_store_u16(out + 2 * i, narrow);
    }
    return fits;
}

static uint8_t code_at(const fvlm_onnx_elements *e, size_t n, size_t k)
{
    return (uint8_t)(fvlm_weight_code(&e->weight, n, k) ^ e->flip);
}

static uint8_t code_number(const fvlm_onnx_elements *e, uint64_t i)
{
    size_t n, k;
    locate(e, i, &n, &k);
    return code_at(e, n, k);
}

bool fvlm_onnx_fill_codes8(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) out[i] = code_number(of, first + i);
    return true;
}

bool fvlm_onnx_fill_codes4(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i += 2) {
        const unsigned high = i + 1 < n ? code_number(of, first + i + 1) : 0;
        out[i / 2] = (uint8_t)(code_number(of, first + i) | high << 4);
    }
    return true;
}

/* Codes of a padded row; the padding is 0. */
static unsigned padded_code(const fvlm_onnx_elements *e, uint64_t i)
{
    const size_t k = (size_t)(i % e->row);
    return k < e->k ? code_at(e, (size_t)(i / e->row), k) : 0;
}

bool fvlm_onnx_fill_blocks(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_onnx_elements *e = of;
    for (size_t i = 0; i < n; i++)
        out[i] =
            (uint8_t)(e->type.bits == 8 ? padded_code(e, first + i)
                                        : padded_code(e, 2 * (first + i)) | padded_code(e, 2 * (first + i) + 1) << 4);
    return true;
}

static bool fill_bf16(const fvlm_onnx_elements *e, const uint16_t *from, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_matrix *m = &e->weight.m;
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = first + i, row = e->transposed ? at % m->n : at / m->n_groups;
        const uint64_t group = e->transposed ? at / m->n : at % m->n_groups;
        const float x = fvlm_bf16_to_f32(from[fvlm_matrix_scale_at(m, (size_t)row, (size_t)group)]);
        fits = fits && isfinite(x);
        fvlm_store_u32(out + 4 * i, fvlm_f32_bits(x));
    }
    return fits;
}

bool fvlm_onnx_fill_scales(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_onnx_elements *e = of;
    return fill_bf16(e, e->weight.scales, first, n, out);
}

bool fvlm_onnx_fill_offsets(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_onnx_elements *e = of;
    return fill_bf16(e, e->weight.offsets, first, n, out);
}

bool fvlm_onnx_fill_zeros(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    (void)of, (void)first;
    memset(out, 0, n);
    return true;
}

bool fvlm_onnx_fill_groups(const void *of, uint64_t first, size_t n, uint8_t *out)
{
    const fvlm_onnx_elements *e = of;
    const uint64_t group = e->weight.m.group, n_groups = e->weight.m.n_groups;
    for (size_t i = 0; i < n; i++) {
        const uint64_t at = first + i, k = e->transposed ? at % e->k : at / n_groups;
        const uint64_t g = e->transposed ? at / e->k : at % n_groups;
        const bool in = input_of(e, (size_t)k) / group == g;
        fvlm_store_u32(out + 4 * i, fvlm_f32_bits(in ? 1.0f : 0.0f));
    }
    return true;
}
