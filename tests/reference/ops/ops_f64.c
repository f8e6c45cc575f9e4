/* SPDX-License-Identifier: Apache-2.0 */
/* ops_f64.c - guards that the scalar definition computes what ops.h says: every operation against a
 * plain formula in f64, written apart from the kernels. Products in floats may differ by what k
 * roundings can add; int8 products are held against the same quantization done here. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/guarded.h"
#include "tests/support/ops_cases.h"

#define ULP 0x1p-24

static fvlm_exec *exec_of(fvlm_act_mode mode)
{
    fvlm_exec *e = NULL;
    fvlm_err err = {0};
    if (fvlm_exec_create(&e, 1, "scalar", mode, &err)) fail_msg("%s", err.msg);
    return e;
}

static double gelu(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}
static double activate(double x, fvlm_activation a)
{
    return a == FVLM_GELU ? gelu(x) : a == FVLM_RELU && x < 0 ? 0 : x;
}

/* ---- weights ---- */

/* Every value of a weight by the words of types.h, not by its address functions. */
static double value_by_the_book(const fvlm_weight *w, size_t n, size_t k)
{
    const fvlm_type t = w->m.type;
    if (t.kind != FVLM_INT) {
        const size_t at = (n / 16 * w->m.k + k) * 16 + n % 16;
        float f;
        if (t.kind == FVLM_F16) return (double)fvlm_f16_to_f32(fvlm_load_u16(w->values + 2 * at));
        if (t.kind == FVLM_BF16) return (double)fvlm_bf16_to_f32(fvlm_load_u16(w->values + 2 * at));
        memcpy(&f, w->values + 4 * at, 4);
        return (double)f;
    }
    const size_t group = t.group ? t.group : w->m.k, groups = (w->m.k + group - 1) / group;
    const size_t at = (n / 16 * groups + k / group) * 16 + n % 16;
    const double scale = (double)fvlm_bf16_to_f32(w->scales[at]);
    int q;
    if (t.bits == 8)
        q = w->values[(n / 16) * ((w->m.k + 3) / 4 * 64) + k / 4 * 64 + n % 16 * 4 + k % 4];
    else {
        const uint8_t both = w->values[(n / 16) * ((w->m.k + 7) / 8 * 64) + k / 8 * 64 + n % 16 * 4 + k % 4];
        q = k / 4 % 2 ? both >> 4 : both & 15;
    }
    if (t.asymmetric) return scale * q + (double)fvlm_bf16_to_f32(w->offsets[at]);
    return scale * (q - (t.bits == 8 ? 128 : 8));
}

static void rows_decode(void **state)
{
    (void)state;
    cases_rng r = {77};
    for (size_t t = 0; t < CASES_TYPES; t++) {
        const size_t n = 37, k = 150;
        const fvlm_weight w = cases_weight(&r, cases_type(t), n, k);
        float *row = guarded(k * sizeof *row);
        for (size_t i = 0; i < n; i++) {
            fvlm_weight_row(&w, i, row);
            for (size_t j = 0; j < k; j++) assert_true(row[j] == (float)value_by_the_book(&w, i, j));
        }
        guarded_free_all();
    }
}

/* A row of the unit matrix picks one column of the weight: what the product decodes is what rows decode. */
static void products_decode_the_same(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {78};
    for (size_t t = 0; t < CASES_TYPES; t++) {
        const size_t n = 21, k = 141;
        const fvlm_weight w = cases_weight(&r, cases_type(t), n, k);
        float *unit = guarded(k * k * sizeof *unit), *y = guarded(k * n * sizeof *y), *row = guarded(k * sizeof *row);
        for (size_t i = 0; i < k; i++) unit[i * k + i] = 1.0f;
        fvlm_op_linear(e, unit, k, &w, NULL, FVLM_NONE, NULL, y);
        for (size_t i = 0; i < n; i++) {
            fvlm_weight_row(&w, i, row);
            for (size_t j = 0; j < k; j++) assert_true(y[j * n + i] == row[j]);
        }
        guarded_free_all();
    }
    fvlm_exec_destroy(&e);
}

/* ---- products ---- */

/* Quantizes a row as ops.h says, leaving the floats that it stands for. */
static void quantize_row(const fvlm_weight *w, const float *x, double *out)
{
    const size_t k = w->m.k, group = w->m.group;
    for (size_t k0 = 0; k0 < k; k0 += group) {
        const size_t k1 = k0 + group < k ? k0 + group : k;
        float top = 0;
        for (size_t i = k0; i < k1; i++) top = fmaxf(top, fabsf(x[i]));
        if (top < 0x1p-100f) top = 0;
        const float inverse = top > 0 ? 127.0f / top : 0.0f, scale = top / 127.0f;
        for (size_t i = k0; i < k1; i++) out[i] = nearbyint((double)(x[i] * inverse)) * (double)scale;
    }
}

static void check_linear(fvlm_exec *e, cases_rng *r, fvlm_type type, size_t m, size_t n, size_t k, unsigned what)
{
    const fvlm_weight w = cases_weight(r, type, n, k);
    const float *x = cases_floats(r, m * k, 2.0f), *bias = what & 1 ? cases_floats(r, n, 1.0f) : NULL;
    const float *residual = what & 2 ? cases_floats(r, m * n, 1.0f) : NULL;
    const fvlm_activation act = (fvlm_activation)(what >> 2 & 1 ? 1 + (what >> 3 & 1) : 0);
    float *y = guarded(m * n * sizeof *y), *row = guarded(k * sizeof *row);
    double *in = calloc(k, sizeof *in);
    const bool int8 = fvlm_exec_mode(e) == FVLM_ACT_INT8 && type.kind == FVLM_INT;
    assert_non_null(in);
    fvlm_op_linear(e, x, m, &w, bias, act, residual, y);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < k; j++) in[j] = (double)x[i * k + j];
        if (int8) quantize_row(&w, x + i * k, in);
        for (size_t o = 0; o < n; o++) {
            double sum = 0, size = 0;
            fvlm_weight_row(&w, o, row);
            for (size_t j = 0; j < k; j++) {
                const double weight = int8 ? value_by_the_book(&w, o, j) : (double)row[j];
                sum += in[j] * weight;
                size += fabs(in[j] * weight);
            }
            /* An asymmetric group is the difference of two larger numbers. */
            if (int8 && type.asymmetric) size *= 16;
            if (bias) sum += (double)bias[o], size += fabs((double)bias[o]);
            const double want = activate(sum, act) + (residual ? (double)residual[i * n + o] : 0);
            const double bound = ULP * (sqrt((double)k) + 8) * (size + fabs(want)) + 1e-35;
            if (!(fabs((double)y[i * n + o] - want) <= bound))
                fail_msg("m %zu n %zu k %zu, row %zu output %zu: %.9g, want %.9g within %.3g", m, n, k, i, o,
                         (double)y[i * n + o], want, bound);
        }
    }
    free(in);
    guarded_free_all();
}

static void linear_in(fvlm_act_mode mode)
{
    fvlm_exec *e = exec_of(mode);
    cases_rng r = {79 + mode};
    for (size_t t = 0; t < CASES_TYPES; t++)
        for (unsigned what = 0; what < 16; what++)
            check_linear(e, &r, cases_type(t), 1 + cases_below(&r, 9), 1 + cases_below(&r, 40),
                         1 + cases_below(&r, what < 12 ? 150 : 700), what);
    fvlm_exec_destroy(&e);
}

static void linear_f32(void **state)
{
    (void)state;
    linear_in(FVLM_ACT_F32);
}
static void linear_int8(void **state)
{
    (void)state;
    linear_in(FVLM_ACT_INT8);
}

/* ---- convolutions ---- */

static double tap_sum(const fvlm_depthwise *d, const float *x, size_t h, size_t w, size_t oy, size_t ox, size_t o)
{
    const long pad = d->kernel / 2;
    double sum = 0;
    for (long ky = 0; ky < (long)d->kernel; ky++)
        for (long kx = 0; kx < (long)d->kernel; kx++) {
            const long iy = (long)(oy * d->stride) + ky - pad, ix = (long)(ox * d->stride) + kx - pad;
            if (iy < 0 || ix < 0 || iy >= (long)h || ix >= (long)w) continue;
            sum += (double)x[((size_t)iy * w + (size_t)ix) * d->in_c + o / (d->out_c / d->in_c)] *
                   (double)d->taps[((size_t)ky * d->kernel + (size_t)kx) * d->out_c + o];
        }
    return sum + (double)d->bias[o];
}

static void depthwise_sums(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {80};
    for (unsigned i = 0; i < 60; i++) {
        const uint32_t kernel = 1 + 2 * (uint32_t)cases_below(&r, 6), stride = 1 + i % 2,
                       in_c = 1 + (uint32_t)cases_below(&r, 40);
        const uint32_t out_c = in_c * (1 + (uint32_t)cases_below(&r, 3));
        const size_t h = 1 + cases_below(&r, 12), w = 1 + cases_below(&r, 40);
        const size_t oh = (h + stride - 1) / stride, ow = (w + stride - 1) / stride;
        const fvlm_depthwise d = {cases_floats(&r, (size_t)kernel * kernel * out_c, 1.0f),
                                  cases_floats(&r, out_c, 1.0f),
                                  kernel,
                                  stride,
                                  in_c,
                                  out_c};
        const float *x = cases_floats(&r, h * w * in_c, 1.0f);
        float *y = guarded(oh * ow * out_c * sizeof *y);
        fvlm_op_depthwise(e, x, h, w, &d, (fvlm_activation)(i % 3), y);
        for (size_t p = 0; p < oh * ow; p++)
            for (size_t o = 0; o < out_c; o++) {
                const double want = activate(tap_sum(&d, x, h, w, p / ow, p % ow, o), (fvlm_activation)(i % 3));
                assert_true(fabs((double)y[p * out_c + o] - want) <= 40 * ULP * (kernel * kernel + 1.0));
            }
        guarded_free_all();
    }
    fvlm_exec_destroy(&e);
}

static void stem_is_a_convolution(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {81};
    const long h = 9, w = 12;
    const size_t n = 20, ow = 6, oh = 5;
    const fvlm_weight weight = cases_weight(&r, cases_type(0), n, 27);
    const float *x = cases_floats(&r, (size_t)(h * w * 3), 1.0f), *bias = cases_floats(&r, n, 1.0f);
    float *y = guarded(oh * ow * n * sizeof *y);
    fvlm_op_stem(e, x, (size_t)h, (size_t)w, &weight, bias, y);
    for (size_t p = 0; p < oh * ow; p++)
        for (size_t o = 0; o < n; o++) {
            double sum = (double)bias[o];
            for (long k = 0; k < 27; k++) {
                const long iy = 2 * (long)(p / ow) + k / 9 - 1, ix = 2 * (long)(p % ow) + k / 3 % 3 - 1;
                if (iy < 0 || ix < 0 || iy >= h || ix >= w) continue;
                sum += (double)x[(iy * w + ix) * 3 + k % 3] * value_by_the_book(&weight, o, (size_t)k);
            }
            assert_true(fabs((double)y[p * n + o] - gelu(sum)) <= 40 * ULP);
        }
    guarded_free_all();
    fvlm_exec_destroy(&e);
}

/* The fused block against the same operations one by one: the same bits, for every type and both modes. */
static void conv_ffn_is_its_parts(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        fvlm_exec *e = exec_of((fvlm_act_mode)mode);
        cases_rng r = {82};
        for (size_t t = 0; t < CASES_TYPES; t++) {
            const size_t h = 11, w = 13, c = 40, hidden = t == 5 ? 4100 : 90, m = h * w;
            const fvlm_depthwise d = {
                cases_floats(&r, 49 * c, 0.3f), cases_floats(&r, c, 1.0f), 7, 1, (uint32_t)c, (uint32_t)c};
            const fvlm_weight fc1 = cases_weight(&r, cases_type(t), hidden, c),
                              fc2 = cases_weight(&r, cases_type(t), c, hidden);
            const float *x = cases_floats(&r, m * c, 1.0f), *b1 = cases_floats(&r, hidden, 1.0f),
                        *b2 = cases_floats(&r, c, 1.0f);
            float *y = guarded(m * c * sizeof *y), *mixed = guarded(m * c * sizeof *y);
            float *inner = guarded(m * hidden * sizeof *y), *want = guarded(m * c * sizeof *y);
            const fvlm_conv_ffn f = {.dw = &d, .fc1 = &fc1, .b1 = b1, .fc2 = &fc2, .b2 = b2};
            fvlm_op_conv_ffn(e, x, h, w, &f, y);
            fvlm_op_depthwise(e, x, h, w, &d, FVLM_NONE, mixed);
            fvlm_op_linear(e, mixed, m, &fc1, b1, FVLM_GELU, NULL, inner);
            fvlm_op_linear(e, inner, m, &fc2, b2, FVLM_NONE, x, want);
            assert_memory_equal(y, want, m * c * sizeof *y);
            guarded_free_all();
        }
        fvlm_exec_destroy(&e);
    }
}

/* ---- attention ---- */

static void check_attention(const float *q, size_t q_stride, const float *keys, const float *values, size_t kv_stride,
                            size_t n, size_t dim, double scale, const float *y)
{
    double *p = calloc(n, sizeof *p), top = -INFINITY, sum = 0;
    (void)q_stride;
    assert_non_null(p);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < dim; i++) p[t] += (double)q[i] * (double)keys[t * kv_stride + i];
        p[t] *= scale;
        if (p[t] > top) top = p[t];
    }
    for (size_t t = 0; t < n; t++) sum += p[t] = exp(p[t] - top);
    for (size_t i = 0; i < dim; i++) {
        double want = 0;
        for (size_t t = 0; t < n; t++) want += p[t] * (double)values[t * kv_stride + i];
        assert_true(fabs((double)y[i] - want / sum) <= 4e-5);
    }
    free(p);
}

static void attention_full(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {83};
    static const size_t shapes[][3] = {{1, 1, 32}, {20, 3, 32}, {100, 2, 20}, {70, 1, 64}};
    for (size_t s = 0; s < 4; s++) {
        const size_t t = shapes[s][0], heads = shapes[s][1], dim = shapes[s][2], c = heads * dim;
        const float *qkv = cases_floats(&r, t * 3 * c, 1.5f);
        float *y = guarded(t * c * sizeof *y);
        fvlm_op_attention(e, qkv, t, heads, dim, y);
        for (size_t i = 0; i < t; i++)
            for (size_t h = 0; h < heads; h++)
                check_attention(qkv + i * 3 * c + h * dim, 3 * c, qkv + c + h * dim, qkv + 2 * c + h * dim, 3 * c, t,
                                dim, 1.0, y + i * c + h * dim);
        guarded_free_all();
    }
    fvlm_exec_destroy(&e);
}

static void attention_causal(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {84};
    static const size_t shapes[][5] = {{1, 0, 2, 1, 64}, {1, 90, 4, 2, 64}, {66, 5, 6, 2, 32}, {3, 3, 2, 2, 20}};
    for (size_t s = 0; s < 4; s++) {
        const size_t m = shapes[s][0], pos = shapes[s][1], heads = shapes[s][2], kv = shapes[s][3], dim = shapes[s][4];
        const float *q = cases_floats(&r, m * heads * dim, 2.0f), *keys = cases_floats(&r, (m + pos) * kv * dim, 2.0f);
        const float *values = cases_floats(&r, (m + pos) * kv * dim, 2.0f);
        float *y = guarded(m * heads * dim * sizeof *y);
        const fvlm_causal_attention a = {q, keys, values, m, pos, heads, kv, dim};
        fvlm_op_attention_causal(e, &a, y);
        for (size_t i = 0; i < m; i++)
            for (size_t h = 0; h < heads; h++) {
                const size_t g = h / (heads / kv);
                check_attention(q + (i * heads + h) * dim, 0, keys + g * dim, values + g * dim, kv * dim, pos + i + 1,
                                dim, 1.0 / sqrt((double)dim), y + (i * heads + h) * dim);
            }
        guarded_free_all();
    }
    fvlm_exec_destroy(&e);
}

/* ---- rows ---- */

static void norms(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {85};
    for (size_t c = 1; c < 400; c += 1 + c / 3) {
        const size_t m = 3;
        const float *x = cases_floats(&r, m * c, 3.0f), *gamma = cases_floats(&r, c, 2.0f);
        float *ln = guarded(m * c * sizeof *ln), *rms = guarded(m * c * sizeof *rms);
        fvlm_op_layer_norm(e, x, m, c, 1e-5f, ln);
        fvlm_op_rms_norm(e, x, m, c, gamma, 1e-6f, rms);
        for (size_t i = 0; i < m; i++) {
            double mean = 0, var = 0, squares = 0;
            for (size_t j = 0; j < c; j++) mean += (double)x[i * c + j] / (double)c;
            for (size_t j = 0; j < c; j++) {
                var += pow((double)x[i * c + j] - mean, 2) / (double)c;
                squares += pow((double)x[i * c + j], 2) / (double)c;
            }
            for (size_t j = 0; j < c; j++) {
                const double v = (double)x[i * c + j];
                const double want_ln = (v - mean) / sqrt(var + (double)1e-5f);
                const double want_rms = v / sqrt(squares + (double)1e-6f) * (double)gamma[j];
                /* c = 1: the mean is x itself, up to its own rounding */
                assert_true(fabs((double)ln[i * c + j] - want_ln) <= 64 * ULP * (1 + fabs(want_ln)));
                assert_true(fabs((double)rms[i * c + j] - want_rms) <= 8 * ULP * fabs(want_rms));
            }
        }
        guarded_free_all();
    }
    fvlm_exec_destroy(&e);
}

static void rope_rotates(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {86};
    const size_t m = 3, heads = 2, dim = 44, half = dim / 2, pos = 5;
    float *x = cases_floats(&r, m * heads * dim, 2.0f), was[3 * 2 * 44],
          *table = guarded((pos + m) * dim * sizeof *table);
    memcpy(was, x, sizeof was);
    for (size_t p = 0; p < pos + m; p++)
        for (size_t i = 0; i < half; i++) {
            const double angle = (double)p * pow(10000.0, -(double)i / (double)half);
            table[p * dim + i] = (float)cos(angle);
            table[p * dim + half + i] = (float)sin(angle);
        }
    fvlm_op_rope(e, x, m, heads, dim, table, pos);
    for (size_t i = 0; i < m * heads; i++)
        for (size_t j = 0; j < half; j++) {
            const double angle = (double)(pos + i / heads) * pow(10000.0, -(double)j / (double)half);
            const double a = (double)was[i * dim + j], b = (double)was[i * dim + half + j];
            assert_true(fabs((double)x[i * dim + j] - (a * cos(angle) - b * sin(angle))) <= 8 * ULP);
            assert_true(fabs((double)x[i * dim + half + j] - (b * cos(angle) + a * sin(angle))) <= 8 * ULP);
        }
    guarded_free_all();
    fvlm_exec_destroy(&e);
}

static void gates_and_means(void **state)
{
    (void)state;
    fvlm_exec *e = exec_of(FVLM_ACT_F32);
    cases_rng r = {87};
    const size_t m = 37, c = 45;
    float *x = cases_floats(&r, m * c, 4.0f), was[37 * 45], *mean = guarded(c * sizeof *mean);
    const float *gate = cases_floats(&r, c, 5.0f);
    memcpy(was, x, sizeof was);
    fvlm_op_channel_mean(e, x, m, c, mean);
    fvlm_op_gate_gelu(e, x, m, c, gate);
    for (size_t j = 0; j < c; j++) {
        double sum = 0;
        for (size_t i = 0; i < m; i++) sum += (double)was[i * c + j];
        assert_true(fabs((double)mean[j] - sum / (double)m) <= 8 * ULP);
        for (size_t i = 0; i < m; i++) {
            const double want = gelu((double)was[i * c + j] / (1 + exp(-(double)gate[j])));
            assert_true(fabs((double)x[i * c + j] - want) <= 32 * ULP);
        }
    }
    guarded_free_all();
    fvlm_exec_destroy(&e);
}

/* ---- binding ---- */

static void binding_refuses(void **state)
{
    (void)state;
    fvlm_weight w;
    fvlm_err err = {0};
    fvlm_tensor t = {
        .name = "w", .type = {.kind = FVLM_F32}, .layout = FVLM_ROWS, .rank = 2, .dims = {4, 4}, .n_bytes = 64};
    static _Alignas(64) uint8_t bytes[1024];
    assert_int_equal(fvlm_weight_bind(&w, &t, bytes, &err), FVLM_UNSUPPORTED);
    t.layout = FVLM_PANELS;
    assert_int_equal(fvlm_weight_bind(&w, &t, bytes, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "tensor \"w\": 64 bytes, its shape and type need 256");
    t.n_bytes = 256;
    assert_int_equal(fvlm_weight_bind(&w, &t, bytes, &err), FVLM_OK);
    t.rank = 0;
    assert_int_equal(fvlm_weight_bind(&w, &t, bytes, &err), FVLM_BAD_INPUT);
    fvlm_exec *e;
    assert_int_equal(fvlm_exec_create(&e, 1, "sse9", FVLM_ACT_F32, &err), FVLM_USAGE);
    assert_null(e);
    assert_string_equal(err.msg, "CPU level \"sse9\" is unknown; use scalar, avx2, avx512, neon or dotprod");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_decode),
        cmocka_unit_test(products_decode_the_same),
        cmocka_unit_test(linear_f32),
        cmocka_unit_test(linear_int8),
        cmocka_unit_test(depthwise_sums),
        cmocka_unit_test(stem_is_a_convolution),
        cmocka_unit_test(conv_ffn_is_its_parts),
        cmocka_unit_test(attention_full),
        cmocka_unit_test(attention_causal),
        cmocka_unit_test(norms),
        cmocka_unit_test(rope_rotates),
        cmocka_unit_test(gates_and_means),
        cmocka_unit_test(binding_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
