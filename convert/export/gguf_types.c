/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_types.c - see gguf.h. Our scales are bf16, ggml's f16, and its groups are 32 weights: a scale that f16 holds is
 * repeated for each block of its group. So a symmetric type becomes Q8_0 or Q4_0 and int4 asymmetric Q4_1, with the
 * values unchanged, and nothing is rounded. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "convert/export/gguf.h"

#define BLOCK 32

const char *fvlm_gguf_type_name(fvlm_ggml type)
{
    switch (type) {
    case FVLM_GGML_F32:
        return "F32";
    case FVLM_GGML_F16:
        return "F16";
    case FVLM_GGML_Q4_0:
        return "Q4_0";
    case FVLM_GGML_Q4_1:
        return "Q4_1";
    case FVLM_GGML_Q8_0:
        return "Q8_0";
    case FVLM_GGML_BF16:
        return "BF16";
    }
    return "?";
}

/* ---- the choice ---- */

static bool fits_f16(uint16_t bf16)
{
    const float x = fvlm_bf16_to_f32(bf16);
    return fvlm_f16_to_f32(fvlm_f32_to_f16(x)) == x;
}

/* Of the logical rows; padding is zero, and fits. */
static bool scales_fit_f16(const fvlm_weight *w)
{
    const size_t n = w->m.n_panels * w->m.n_groups * FVLM_PANEL;
    for (size_t i = 0; i < n; i++)
        if (!fits_f16(w->scales[i]) || (w->offsets && !fits_f16(w->offsets[i]))) return false;
    return true;
}

static fvlm_ggml of_float(fvlm_type t)
{
    return t.kind == FVLM_F32 ? FVLM_GGML_F32 : t.kind == FVLM_F16 ? FVLM_GGML_F16 : FVLM_GGML_BF16;
}

static fvlm_ggml of_integer(const fvlm_weight *w, const char **cause)
{
    const fvlm_type t = w->m.type;
    if (t.bits == 8 && t.asymmetric)
        *cause = "no type of GGUF has 8 bits and an offset";
    else if (w->m.k % BLOCK)
        *cause = "its rows are no multiple of 32";
    else if (!scales_fit_f16(w))
        *cause = "f16 does not hold its scales";
    else
        return t.bits == 8 ? FVLM_GGML_Q8_0 : t.asymmetric ? FVLM_GGML_Q4_1 : FVLM_GGML_Q4_0;
    return FVLM_GGML_F32;
}

void fvlm_gguf_choose_type(fvlm_gguf_tensor *t, fvlm_type asked, bool vector, const char **cause)
{
    const fvlm_type stored = t->values.tensor->type;
    t->plain = (fvlm_type){.kind = FVLM_F32};
    *cause = NULL;
    if (vector) {
        if (stored.kind != FVLM_F32) *cause = "llama.cpp wants norms and biases in F32";
    } else if (asked.kind) {
        t->plain = asked;
        if (!fvlm_type_equal(t->plain, stored)) *cause = "as --type says";
    } else if (stored.kind != FVLM_INT) {
        t->plain = stored;
    }
    t->type = of_float(t->plain);
    if (!vector && !asked.kind && stored.kind == FVLM_INT) t->type = of_integer(&t->values.weight, cause);
    const size_t blocks = t->values.cols / BLOCK;
    t->row_bytes = t->type == FVLM_GGML_Q8_0   ? blocks * (2 + BLOCK)
                   : t->type == FVLM_GGML_Q4_0 ? blocks * (2 + BLOCK / 2)
                   : t->type == FVLM_GGML_Q4_1 ? blocks * (4 + BLOCK / 2)
                                               : t->values.cols * fvlm_type_float_bytes(t->plain);
}

/* ---- rows ---- */

static uint8_t *put_f16(uint8_t *out, uint16_t bf16)
{
    fvlm_store_u16(out, fvlm_f32_to_f16(fvlm_bf16_to_f32(bf16)));
    return out + 2;
}

/* 32 weights of row n, from input k. Returns the end. */
static uint8_t *put_block(const fvlm_gguf_tensor *t, size_t n, size_t k, uint8_t *out)
{
    const fvlm_weight *w = &t->values.weight;
    const size_t scale = fvlm_matrix_scale_at(&w->m, n, k / w->m.group);
    out = put_f16(out, w->scales[scale]);
    if (t->type == FVLM_GGML_Q4_1) out = put_f16(out, w->offsets[scale]);
    if (t->type == FVLM_GGML_Q8_0) {
        for (size_t i = 0; i < BLOCK; i++) *out++ = (uint8_t)(fvlm_weight_code(w, n, k + i) - 128);
        return out;
    }
    for (size_t i = 0; i < BLOCK / 2; i++)
        *out++ = (uint8_t)(fvlm_weight_code(w, n, k + i) | fvlm_weight_code(w, n, k + BLOCK / 2 + i) << 4);
    return out;
}

static fvlm_status put_floats(const fvlm_gguf_tensor *g, uint64_t n, uint8_t *out, fvlm_export_thread *t, fvlm_err *err)
{
    const size_t cols = g->values.cols;
    float *row = t->scratch, *other = row + cols;
    fvlm_export_values_row(&g->values, n, row, other);
    if (g->rank == 1 && g->head_dim) { /* a bias: its rows are the elements of one */
        for (size_t k = 0; k < cols; k++) other[k] = row[fvlm_gguf_source_row(g->head_dim, k)];
        memcpy(row, other, cols * sizeof *row);
    }
    return fvlm_export_round_row(g->values.tensor->name, n, cols, g->plain, t, out, err);
}

/* llama.cpp divides base frequencies by these. */
static void put_rope_factors(const fvlm_config *c, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const double factor = (double)fvlm_config_rope_base(c, i) / fvlm_config_rope_frequency(c, i);
        fvlm_store_u32(out + 4 * i, fvlm_f32_bits((float)factor));
    }
}

fvlm_status fvlm_gguf_fill(const fvlm_export_stream *s, uint64_t first, size_t n, uint8_t *bytes, fvlm_export_thread *t,
                           fvlm_err *err)
{
    const fvlm_gguf_tensor *g = s->ctx;
    const bool blocks = g->type == FVLM_GGML_Q8_0 || g->type == FVLM_GGML_Q4_0 || g->type == FVLM_GGML_Q4_1;
    fvlm_status st = FVLM_OK;
    for (size_t i = 0; i < n && !st; i++) {
        const uint64_t from = g->rank == 1 ? first + i : fvlm_gguf_source_row(g->head_dim, first + i);
        uint8_t *out = bytes + i * s->row_bytes;
        if (g->rope)
            put_rope_factors(g->rope, g->values.cols, out);
        else if (!blocks)
            st = put_floats(g, from, out, t, err);
        for (size_t k = 0; blocks && k < g->values.cols; k += BLOCK) out = put_block(g, (size_t)from, k, out);
    }
    return st;
}
