/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ops_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/guarded.h"

uint64_t cases_u64(cases_rng *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * 0x2545f4914f6cdd1dull;
}

size_t cases_below(cases_rng *r, size_t n)
{
    return (size_t)(cases_u64(r) >> 11) % n;
}
float cases_float(cases_rng *r)
{
    return (float)(cases_u64(r) >> 40) / 8388608.0f - 1.0f;
}

float *cases_floats(cases_rng *r, size_t n, float size)
{
    float *p = guarded(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = cases_float(r) * size;
    return p;
}

fvlm_type cases_type(size_t i)
{
    static const uint16_t groups[4] = {32, 64, 128, 0};
    if (i < 3) return (fvlm_type){.kind = (uint8_t)(FVLM_F32 + i)};
    i -= 3;
    return (fvlm_type){.kind = FVLM_INT, .bits = i / 8 ? 4 : 8, .asymmetric = i / 4 % 2, .group = groups[i % 4]};
}

static void fill_floats(cases_rng *r, const fvlm_weight *w, uint8_t *bytes)
{
    for (size_t n = 0; n < w->m.n; n++)
        for (size_t k = 0; k < w->m.k; k++) {
            const float x = cases_float(r) * 0.3f;
            uint8_t *p = bytes + fvlm_matrix_float_at(&w->m, n, k) * fvlm_type_float_bytes(w->m.type);
            if (w->m.type.kind == FVLM_F32)
                memcpy(p, &x, 4);
            else
                fvlm_store_u16(p, w->m.type.kind == FVLM_F16 ? fvlm_f32_to_f16(x) : fvlm_f32_to_bf16(x));
        }
}

static void fill_ints(cases_rng *r, const fvlm_weight *w, uint8_t *bytes)
{
    const unsigned mask = w->m.type.bits == 4 ? 15 : 255;
    for (size_t n = 0; n < w->m.n; n++) {
        for (size_t k = 0; k < w->m.k; k++) {
            unsigned shift;
            const size_t at = fvlm_matrix_q_at(&w->m, n, k, &shift);
            bytes[at] = (uint8_t)(bytes[at] | (cases_below(r, 256) & mask) << shift);
        }
        for (size_t g = 0; g < w->m.n_groups; g++) {
            const size_t at = fvlm_matrix_scale_at(&w->m, n, g) * 2;
            const float size = powf(10.0f, 2.0f * cases_float(r) - 2.0f) / (float)mask;
            fvlm_store_u16(bytes + w->m.scales_at + at, fvlm_f32_to_bf16(size));
            if (w->m.type.asymmetric)
                fvlm_store_u16(bytes + w->m.offsets_at + at, fvlm_f32_to_bf16(cases_float(r) * size * 100.0f));
        }
    }
}

fvlm_weight cases_weight(cases_rng *r, fvlm_type type, size_t n, size_t k)
{
    fvlm_err err = {0};
    fvlm_weight w = {0};
    fvlm_tensor t = {.name = "case", .type = type, .layout = FVLM_PANELS, .rank = 2, .dims = {n, k}};
    if (fvlm_type_tensor_bytes(&t.n_bytes, type, FVLM_PANELS, 2, t.dims, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(3);
    }
    uint8_t *bytes = guarded(t.n_bytes);
    if (fvlm_weight_bind(&w, &t, bytes, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(3);
    }
    if (type.kind == FVLM_INT)
        fill_ints(r, &w, bytes);
    else
        fill_floats(r, &w, bytes);
    return w;
}

void cases_keep(cases_out *out, const float *values, size_t n)
{
    if (n == 0) return;
    if (out->n + n > out->capacity) {
        out->capacity = 2 * (out->n + n);
        out->values = realloc(out->values, out->capacity * sizeof *out->values);
        if (!out->values) exit(3);
    }
    memcpy(out->values + out->n, values, n * sizeof *values);
    out->n += n;
}

/* ---- the cases ---- */

static void one_linear(fvlm_exec *e, cases_rng *r, cases_out *out, fvlm_type type, size_t m, size_t n, size_t k)
{
    const fvlm_weight w = cases_weight(r, type, n, k);
    const size_t kind = cases_below(r, 8);
    const float *x = cases_floats(r, m * k, 2.0f), *bias = kind & 1 ? cases_floats(r, n, 1.0f) : NULL;
    float *y = cases_floats(r, m * n, 1.0f);
    const float *residual = kind & 2 ? (kind & 4 ? y : cases_floats(r, m * n, 1.0f)) : NULL;
    fvlm_op_linear(e, x, m, &w, bias, (fvlm_activation)cases_below(r, 3), residual, y);
    cases_keep(out, y, m * n);
    guarded_free_all();
}

static void linear_small(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t ks[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 131, 160, 257};
    for (size_t t = 0; t < CASES_TYPES; t++)
        for (size_t m = 0; m <= 17; m++) {
            /* Drawn one by one: the order in which arguments are evaluated differs between machines. */
            const size_t n = 1 + cases_below(r, 40), k = ks[cases_below(r, sizeof ks / sizeof *ks)];
            one_linear(e, r, out, cases_type(t), m, n, k);
        }
}

static void linear_large(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][3] = {{1, 100, 700}, {130, 50, 40}, {7, 17, 1100}, {2, 100, 530}, {1030, 5, 9}};
    for (size_t t = 0; t < CASES_TYPES; t++)
        for (size_t s = 0; s < 5; s++)
            if (s < 4 ? s != 1 || t % 3 == 0 : t % 6 == 0)
                one_linear(e, r, out, cases_type(t), shapes[s][0], shapes[s][1], shapes[s][2]);
}

/* Activations that bite: all zero, all equal, tiny, huge, one outlier, denormal. */
static void linear_odd_values(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    for (size_t t = 0; t < CASES_TYPES; t++) {
        const size_t m = 7, n = 18, k = 70;
        const fvlm_weight w = cases_weight(r, cases_type(t), n, k);
        float *x = cases_floats(r, m * k, 1.0f), *y = guarded(m * n * sizeof *y);
        for (size_t i = 0; i < k; i++) {
            x[i] = 0.0f;
            x[k + i] = 3.0f;
            x[2 * k + i] *= 1e-30f;
            x[3 * k + i] *= 1e30f;
            x[5 * k + i] *= 1e-40f;
        }
        x[4 * k + 40] = 1000.0f;
        fvlm_op_linear(e, x, m, &w, NULL, FVLM_NONE, NULL, y);
        cases_keep(out, y, m * n);
        guarded_free_all();
    }
}

static void stem(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t sides[][2] = {{1, 1}, {2, 3}, {9, 14}, {31, 33}, {1, 40}};
    static const size_t types[] = {0, 1, 3, 7, 12, 18};
    for (size_t t = 0; t < 6; t++)
        for (size_t s = 0; s < 5; s++) {
            const size_t h = sides[s][0], w = sides[s][1], n = t % 2 ? 19 : 32, pixels = (h + 1) / 2 * ((w + 1) / 2);
            const fvlm_weight weight = cases_weight(r, cases_type(types[t]), n, 27);
            const float *x = cases_floats(r, h * w * 3, 1.0f), *bias = cases_floats(r, n, 0.5f);
            float *y = guarded(pixels * n * sizeof *y);
            fvlm_op_stem(e, x, h, w, &weight, bias, y);
            cases_keep(out, y, pixels * n);
            guarded_free_all();
        }
}

static fvlm_depthwise random_depthwise(cases_rng *r, uint32_t kernel, uint32_t stride, uint32_t in_c, uint32_t out_c)
{
    const float *taps = cases_floats(r, (size_t)kernel * kernel * out_c, 0.3f), *bias = cases_floats(r, out_c, 0.5f);
    return (fvlm_depthwise){taps, bias, kernel, stride, in_c, out_c};
}

static void depthwise(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const uint32_t shapes[][4] = {/* height, width, in_c, multiplier */
                                         {1, 1, 16, 1},  {1, 5, 7, 1},    {4, 3, 32, 1},  {7, 7, 17, 1},
                                         {9, 40, 16, 1}, {20, 21, 33, 1}, {6, 33, 16, 2}, {5, 18, 20, 2},
                                         {8, 9, 5, 3},   {3, 64, 48, 1}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (uint32_t kernel = 1; kernel <= 7; kernel += 2)
            for (uint32_t stride = 1; stride <= 2; stride++) {
                const size_t h = shapes[s][0], w = shapes[s][1];
                const uint32_t in_c = shapes[s][2], out_c = in_c * shapes[s][3];
                const size_t n = (h + stride - 1) / stride * ((w + stride - 1) / stride) * out_c;
                const fvlm_depthwise d = random_depthwise(r, kernel, stride, in_c, out_c);
                const float *x = cases_floats(r, h * w * in_c, 1.0f);
                float *y = guarded(n * sizeof *y);
                fvlm_op_depthwise(e, x, h, w, &d, (fvlm_activation)cases_below(r, 3), y);
                cases_keep(out, y, n);
                guarded_free_all();
            }
}

static void conv_ffn(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][4] = {/* height, width, c, hidden */
                                       {1, 1, 16, 64},
                                       {5, 7, 24, 96},
                                       {9, 13, 33, 70},
                                       {10, 16, 32, 100},
                                       {3, 3, 16, 4500}};
    for (size_t t = 0; t < CASES_TYPES; t++)
        for (size_t s = 0; s < 5; s++) {
            if ((s == 4 && t % 9) || (s == 3 && t % 5)) continue;
            const size_t h = shapes[s][0], w = shapes[s][1], c = shapes[s][2], hidden = shapes[s][3];
            const fvlm_depthwise d = random_depthwise(r, 7, 1, (uint32_t)c, (uint32_t)c);
            const fvlm_weight fc1 = cases_weight(r, cases_type(t), hidden, c);
            const fvlm_weight fc2 = cases_weight(r, cases_type(s % 2 ? t : 1), c, hidden);
            const float *x = cases_floats(r, h * w * c, 1.0f), *b1 = cases_floats(r, hidden, 0.5f);
            const float *b2 = cases_floats(r, c, 0.5f);
            float *y = guarded(h * w * c * sizeof *y);
            const fvlm_conv_ffn f = {.dw = &d, .fc1 = &fc1, .b1 = b1, .fc2 = &fc2, .b2 = b2};
            fvlm_op_conv_ffn(e, x, h, w, &f, y);
            cases_keep(out, y, h * w * c);
            guarded_free_all();
        }
}

static void norms(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    for (size_t c = 1; c <= 200; c += 1 + c / 8)
        for (size_t m = 0; m < 20; m += 1 + 6 * m) {
            const float *x = cases_floats(r, m * c, 3.0f), *gamma = cases_floats(r, c, 1.0f);
            float *y = guarded(m * c * sizeof *y);
            fvlm_op_layer_norm(e, x, m, c, 1e-5f, y);
            cases_keep(out, y, m * c);
            fvlm_op_rms_norm(e, x, m, c, gamma, 1e-6f, y);
            cases_keep(out, y, m * c);
            guarded_free_all();
        }
}

static void attention(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][3] = {/* tokens, heads, head_dim */
                                       {1, 1, 32},  {2, 3, 16},   {17, 2, 32}, {64, 1, 64},
                                       {65, 2, 20}, {150, 2, 32}, {5, 1, 7}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t t = shapes[s][0], c = shapes[s][1] * shapes[s][2];
        const float *qkv = cases_floats(r, t * 3 * c, 1.5f);
        float *y = guarded(t * c * sizeof *y);
        fvlm_op_attention(e, qkv, t, shapes[s][1], shapes[s][2], y);
        cases_keep(out, y, t * c);
        guarded_free_all();
    }
}

static void attention_causal(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][5] = {/* new, before, heads, kv_heads, head_dim */
                                       {1, 0, 2, 1, 64},  {1, 40, 4, 2, 32},  {9, 0, 2, 2, 16},
                                       {70, 3, 6, 2, 64}, {1, 130, 3, 1, 24}, {5, 11, 2, 1, 128}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t m = shapes[s][0], pos = shapes[s][1], dim = shapes[s][4];
        const float *q = cases_floats(r, m * shapes[s][2] * dim, 2.0f);
        const float *keys = cases_floats(r, (m + pos) * shapes[s][3] * dim, 2.0f);
        const float *values = cases_floats(r, (m + pos) * shapes[s][3] * dim, 2.0f);
        float *y = guarded(m * shapes[s][2] * dim * sizeof *y);
        const fvlm_causal_attention a = {q, keys, values, m, pos, shapes[s][2], shapes[s][3], dim};
        fvlm_op_attention_causal(e, &a, y);
        cases_keep(out, y, m * shapes[s][2] * dim);
        guarded_free_all();
    }
}

static void rope(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    for (size_t dim = 2; dim <= 130; dim += dim < 16 ? 2 : 30) {
        float *x = cases_floats(r, 3 * 2 * dim, 2.0f);
        const float *cos_sin = cases_floats(r, 7 * dim, 1.0f);
        fvlm_op_rope(e, x, 3, 2, dim, cos_sin, 4);
        cases_keep(out, x, 3 * 2 * dim);
        guarded_free_all();
    }
}

static void silu_mul(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t ns[] = {0, 1, 15, 16, 17, 100, 40000};
    for (size_t i = 0; i < 7; i++) {
        float *gate = cases_floats(r, ns[i], i == 5 ? 200.0f : 8.0f);
        const float *up = cases_floats(r, ns[i], 2.0f);
        fvlm_op_silu_mul(e, gate, up, ns[i], gate);
        cases_keep(out, gate, ns[i]);
        guarded_free_all();
    }
}

static void channel_mean(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][2] = {{1, 1}, {16, 16}, {17, 33}, {50, 130}, {5, 200}};
    for (size_t s = 0; s < 5; s++) {
        const size_t m = shapes[s][0], c = shapes[s][1];
        const float *x = cases_floats(r, m * c, 2.0f);
        float *mean = guarded(c * sizeof *mean);
        fvlm_op_channel_mean(e, x, m, c, mean);
        cases_keep(out, mean, c);
        guarded_free_all();
    }
}

static void gate_gelu(fvlm_exec *e, cases_rng *r, cases_out *out)
{
    static const size_t shapes[][2] = {{1, 1}, {3, 17}, {9, 64}, {200, 130}};
    for (size_t s = 0; s < 4; s++) {
        const size_t m = shapes[s][0], c = shapes[s][1];
        float *x = cases_floats(r, m * c, 9.0f);
        const float *gate = cases_floats(r, c, 6.0f);
        fvlm_op_gate_gelu(e, x, m, c, gate);
        cases_keep(out, x, m * c);
        guarded_free_all();
    }
}

const ops_case ops_cases[] = {
    {"linear, small", linear_small, true},
    {"linear, large", linear_large, true},
    {"linear, odd values", linear_odd_values, true},
    {"stem", stem, true},
    {"depthwise", depthwise, false},
    {"conv_ffn", conv_ffn, true},
    {"norms", norms, false},
    {"attention", attention, false},
    {"attention_causal", attention_causal, false},
    {"rope", rope, false},
    {"silu_mul", silu_mul, false},
    {"channel_mean", channel_mean, false},
    {"gate_gelu", gate_gelu, false},
};
const size_t n_ops_cases = sizeof ops_cases / sizeof *ops_cases;
