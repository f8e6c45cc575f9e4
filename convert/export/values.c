/* SPDX-License-Identifier: Apache-2.0 */
/* values.c - see values.h. */
#include "convert/export/values.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

fvlm_status fvlm_export_values_open(fvlm_export_values *v, const fvlm_reader *r, const char *name, fvlm_err *err)
{
    const fvlm_tensor *t = fvlm_reader_find(r, name);
    *v = (fvlm_export_values){.tensor = t};
    if (!t) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\" has no tensor \"%s\"", fvlm_reader_path(r), name);
    v->bytes = fvlm_reader_bytes(r, t);
    v->rows = t->rank == 1 ? 1 : t->dims[0];
    v->cols = (size_t)(fvlm_tensor_n_elems(t) / v->rows);
    v->taps = t->layout == FVLM_PANELS && t->rank == 4 ? (size_t)(t->dims[2] * t->dims[3]) : 1;
    return t->layout == FVLM_PANELS ? fvlm_weight_bind(&v->weight, t, v->bytes, err) : FVLM_OK;
}

void fvlm_export_values_row(const fvlm_export_values *v, uint64_t n, float *out, float *scratch)
{
    const fvlm_tensor *t = v->tensor;
    const size_t size = fvlm_type_float_bytes(t->type);
    if (t->layout == FVLM_ROWS) {
        fvlm_decode_floats(t->type, v->bytes + (size_t)n * v->cols * size, v->cols, out);
    } else if (t->layout == FVLM_TAPS) { /* [kh][kw][C] */
        for (size_t k = 0; k < v->cols; k++)
            fvlm_decode_floats(t->type, v->bytes + (k * (size_t)v->rows + (size_t)n) * size, 1, &out[k]);
    } else if (v->taps == 1) {
        fvlm_weight_row(&v->weight, (size_t)n, out);
    } else { /* inputs run channel fastest */
        const size_t inputs = v->cols / v->taps;
        fvlm_weight_row(&v->weight, (size_t)n, scratch);
        for (size_t i = 0; i < inputs; i++)
            for (size_t k = 0; k < v->taps; k++) out[i * v->taps + k] = scratch[k * inputs + i];
    }
}

fvlm_status fvlm_export_values_vector(float **out, const fvlm_reader *r, const char *name, fvlm_err *err)
{
    fvlm_export_values v;
    *out = NULL;
    fvlm_status st = fvlm_export_values_open(&v, r, name, err);
    if (st) return st;
    *out = fvlm_alloc(v.cols, sizeof **out);
    if (!*out) return fvlm_fail_nomem(err);
    fvlm_export_values_row(&v, 0, *out, NULL);
    return FVLM_OK;
}

/* ---- rounding ---- */

/* False if a value overflows f16. */
static bool encode(fvlm_type type, const float *x, size_t n, uint8_t *out)
{
    bool fits = true;
    for (size_t i = 0; i < n; i++) {
        if (type.kind == FVLM_F32) {
            fvlm_store_u32(out + 4 * i, fvlm_f32_bits(x[i]));
        } else if (type.kind == FVLM_BF16) {
            fvlm_store_u16(out + 2 * i, fvlm_f32_to_bf16(x[i]));
        } else {
            const uint16_t h = fvlm_f32_to_f16(x[i]);
            fits &= (h & 0x7c00) != 0x7c00;
            fvlm_store_u16(out + 2 * i, h);
        }
    }
    return fits;
}

static void measure(fvlm_type type, const float *row, const uint8_t *bytes, size_t cols, float *other,
                    fvlm_export_thread *t)
{
    if (type.kind == FVLM_F32) return;
    fvlm_decode_floats(type, bytes, cols, other);
    for (size_t k = 0; k < cols; k++) {
        t->changed += ((double)other[k] - row[k]) * ((double)other[k] - row[k]);
        t->all += (double)row[k] * row[k];
    }
}

fvlm_status fvlm_export_round_row(const char *name, uint64_t n, size_t cols, fvlm_type type, fvlm_export_thread *t,
                                  uint8_t *out, fvlm_err *err)
{
    float *row = t->scratch;
    for (size_t k = 0; k < cols; k++)
        if (!isfinite(row[k]))
            return fvlm_fail(err, FVLM_BAD_INPUT, "tensor \"%s\": row %" PRIu64 ", input %zu is %s", name, n, k,
                             isnan(row[k]) ? "NaN" : "infinite");
    if (!encode(type, row, cols, out))
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "tensor \"%s\": row %" PRIu64 " has a value that f16 cannot hold; use --type bf16 or f32",
                         name, n);
    measure(type, row, out, cols, row + cols, t);
    return FVLM_OK;
}
