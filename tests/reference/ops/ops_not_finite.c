/* SPDX-License-Identifier: Apache-2.0 */
/* Guards what ops.h says of values that are not finite: NaN and infinity in any input of any operation, at the first,
 * the last and a middle index, reach every output that depends on it or are reported by fvlm_exec_take_finite; so do
 * variances, scores and sums that overflow. On every instruction set of this machine, in both modes, and the same
 * outputs are not finite on all of them.
 *
 * Plain TAP: tests/cli/arm64_bits.sh builds it for ARM too and compares the hash. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reference/ops/ops.h"
#include "tests/support/guarded.h"
#include "tests/support/ops_cases.h"

/* One operation: its inputs, of which one is poisoned, and what depends on it. */
typedef struct {
    fvlm_exec *e;
    cases_rng r;
    size_t input, third; /* which input, and whether at its first, middle or last index */
    float poison;
    float *y;
    size_t n, first, end; /* y[n]; those in first .. end-1 must not be finite */
    size_t n_inputs, at;
} trial;

/* An input array; poisoned if it is its turn. */
static float *take(trial *t, size_t n, float size)
{
    float *x = cases_floats(&t->r, n, size);
    const size_t at = t->third == 0 ? 0 : t->third == 1 ? n / 2 : n - 1;
    if (t->n_inputs++ == t->input) x[t->at = at] = t->poison;
    return x;
}

static void puts_out(trial *t, size_t n, size_t first, size_t end)
{
    if (!t->y) t->y = guarded(n * sizeof *t->y);
    t->n = n;
    t->first = first;
    t->end = end;
}

/* The product is a row of y if x is poisoned, a column if the bias is, one element if the residual is. */
static void linear_of(trial *t, fvlm_type type, fvlm_activation act)
{
    enum { M = 5, N = 37, K = 130 };
    const fvlm_weight w = cases_weight(&t->r, type, N, K);
    const float *x = take(t, M * K, 2), *bias = take(t, N, 1), *residual = take(t, M * N, 1);
    const size_t row = t->at / K;
    puts_out(t, M * N, t->input == 0 ? row * N : t->at, t->input == 0 ? row * N + N : t->at + 1);
    fvlm_op_linear(t->e, x, M, &w, bias, act, residual, t->y);
}

static void linear_f32(trial *t)
{
    linear_of(t, cases_type(0), FVLM_NONE);
}
static void linear_bf16(trial *t)
{
    linear_of(t, cases_type(1), FVLM_GELU);
}
static void linear_int8(trial *t)
{
    linear_of(t, cases_type(3), FVLM_RELU);
}
static void linear_int4(trial *t)
{
    linear_of(t, cases_type(16), FVLM_NONE);
}

static void stem(trial *t)
{
    enum { H = 6, W = 7, N = 19, PIXELS = 3 * 4 };
    const fvlm_weight w = cases_weight(&t->r, cases_type(3), N, 27);
    const float *x = take(t, H * W * 3, 1), *bias = take(t, N, 1);
    puts_out(t, PIXELS * N, 0, 0);
    fvlm_op_stem(t->e, x, H, W, &w, bias, t->y);
}

enum { C = 21, SIDE = 9 };

static fvlm_depthwise depthwise_of(trial *t, uint32_t kernel, uint32_t stride)
{
    const float *taps = take(t, (size_t)kernel * kernel * C, 0.3f), *bias = take(t, C, 0.5f);
    return (fvlm_depthwise){taps, bias, kernel, stride, C, C};
}

static void depthwise(trial *t)
{
    const float *x = take(t, SIDE * SIDE * C, 1);
    const fvlm_depthwise d = depthwise_of(t, 3, 1);
    const size_t channel = t->at % C, middle = (SIDE * SIDE / 2) * C + channel;
    /* A pixel in the corner reaches the corner; taps and the bias reach the middle. */
    puts_out(t, SIDE * SIDE * C, t->input ? middle : t->at, (t->input ? middle : t->at) + 1);
    fvlm_op_depthwise(t->e, x, SIDE, SIDE, &d, FVLM_GELU, t->y);
}

static void conv_ffn(trial *t)
{
    const float *x = take(t, SIDE * SIDE * C, 1);
    const fvlm_depthwise d = depthwise_of(t, 7, 1);
    const fvlm_weight fc1 = cases_weight(&t->r, cases_type(3), 50, C), fc2 = cases_weight(&t->r, cases_type(15), C, 50);
    const float *b1 = take(t, 50, 1), *b2 = take(t, C, 1);
    const fvlm_conv_ffn f = {.dw = &d, .fc1 = &fc1, .fc2 = &fc2, .b1 = b1, .b2 = b2};
    puts_out(t, SIDE * SIDE * C, 0, 0);
    fvlm_op_conv_ffn(t->e, x, SIDE, SIDE, &f, t->y);
}

static void layer_norm(trial *t)
{
    const float *x = take(t, 3 * 45, 1);
    const size_t row = t->at / 45;
    puts_out(t, 3 * 45, row * 45, row * 45 + 45);
    fvlm_op_layer_norm(t->e, x, 3, 45, 1e-5f, t->y);
}

static void rms_norm(trial *t)
{
    const float *x = take(t, 3 * 45, 1), *gamma = take(t, 45, 1);
    const size_t row = t->at / 45;
    puts_out(t, 3 * 45, t->input ? t->at : row * 45, t->input ? t->at + 1 : row * 45 + 45);
    fvlm_op_rms_norm(t->e, x, 3, 45, gamma, 1e-5f, t->y);
}

/* Queries of token i: row i. Keys: every row, of that head. Values: every row, that channel. */
static void attention(trial *t)
{
    enum { T = 70, HEADS = 2, DIM = 24, ROW = 3 * HEADS * DIM };
    float *qkv = take(t, T * ROW, 1);
    const size_t token = t->at / ROW, within = t->at % ROW % (HEADS * DIM), head = within / DIM;
    const size_t part = t->at % ROW / (HEADS * DIM), y = (part ? T - 1 : token) * HEADS * DIM;
    puts_out(t, T * HEADS * DIM, y + (part == 2 ? within : head * DIM),
             y + (part == 2 ? within + 1 : head * DIM + DIM));
    fvlm_op_attention(t->e, qkv, T, HEADS, DIM, t->y);
}

/* A key of the last query; that query's row depends on all of them. */
static void attention_causal(trial *t)
{
    enum { M = 9, POS = 70, HEADS = 4, KV = 2, DIM = 8 };
    const float *q = take(t, M * HEADS * DIM, 1), *keys = take(t, (POS + M) * KV * DIM, 1);
    const float *values = take(t, (POS + M) * KV * DIM, 1);
    const fvlm_causal_attention a = {
        .q = q, .keys = keys, .values = values, .m = M, .pos = POS, .heads = HEADS, .kv_heads = KV, .head_dim = DIM};
    const size_t last = (M - 1) * HEADS * DIM, kv = t->at % (KV * DIM), head = kv / DIM * (HEADS / KV) * DIM;
    const size_t at = t->input == 0 ? t->at / DIM * DIM : last + head + (t->input == 2 ? kv % DIM : 0);
    puts_out(t, M * HEADS * DIM, at, at + (t->input == 2 ? 1 : DIM));
    fvlm_op_attention_causal(t->e, &a, t->y);
}

static void rope(trial *t)
{
    float *x = take(t, 2 * 3 * 20, 1);
    const float *cos_sin = take(t, 2 * 20, 1);
    t->y = x;
    const size_t at = t->input ? t->at / 20 * 60 + t->at % 10 : t->at / 20 * 20 + t->at % 10;
    puts_out(t, 2 * 3 * 20, at, at + 1);
    fvlm_op_rope(t->e, x, 2, 3, 20, cos_sin, 0);
}

static void silu_mul(trial *t)
{
    const float *gate = take(t, 1003, 1), *up = take(t, 1003, 1);
    puts_out(t, 1003, t->at, t->at + 1);
    fvlm_op_silu_mul(t->e, gate, up, 1003, t->y);
}

static void channel_mean(trial *t)
{
    const float *x = take(t, 37 * 75, 1);
    puts_out(t, 75, t->at % 75, t->at % 75 + 1);
    fvlm_op_channel_mean(t->e, x, 37, 75, t->y);
}

static void gate_gelu(trial *t)
{
    float *x = take(t, 3 * 45, 1);
    const float *gate = cases_floats(&t->r, 45, 200); /* from 0 to 1 */
    t->y = x;
    puts_out(t, 3 * 45, t->at, t->at + 1);
    fvlm_op_gate_gelu(t->e, x, 3, 45, gate);
}

static void check_finite(trial *t)
{
    const float *x = take(t, 40003, 1);
    puts_out(t, 1, 0, 0);
    fvlm_op_check_finite(t->e, x, 40003);
}

/* Overflow in a residual. */
static void residual_overflow(trial *t)
{
    const fvlm_weight w = cases_weight(&t->r, cases_type(0), 20, 16);
    const float *x = cases_floats(&t->r, 16, 1);
    float *bias = cases_floats(&t->r, 20, 1), *residual = take(t, 20, 1);
    bias[t->at] = residual[t->at] = copysignf(3e38f, t->poison);
    puts_out(t, 20, 0, 0);
    fvlm_op_linear(t->e, x, 1, &w, bias, FVLM_NONE, residual, t->y);
}

/* A sum of squares that overflows, though every input is finite. */
static void variance_overflow(trial *t)
{
    float *x = take(t, 45, 1);
    x[t->at] = copysignf(1e20f, t->poison);
    puts_out(t, 45, 0, 45);
    fvlm_op_layer_norm(t->e, x, 1, 45, 1e-5f, t->y);
}

static void mean_square_overflow(trial *t)
{
    float *x = take(t, 45, 1);
    const float *gamma = cases_floats(&t->r, 45, 1);
    x[t->at] = copysignf(1e20f, t->poison);
    puts_out(t, 45, 0, 45);
    fvlm_op_rms_norm(t->e, x, 1, 45, gamma, 1e-5f, t->y);
}

/* One key whose score overflows to minus infinity, which exp would turn into a weight of 0. */
static void score_overflow(trial *t)
{
    enum { N = 33, DIM = 8 };
    float *q = cases_floats(&t->r, DIM, 1), *keys = take(t, N * DIM, 1), *values = cases_floats(&t->r, N * DIM, 1);
    keys[t->at] = -3e38f;
    q[t->at % DIM] = 1e10f;
    const fvlm_causal_attention a = {
        .q = q, .keys = keys, .values = values, .m = 1, .pos = N - 1, .heads = 1, .kv_heads = 1, .head_dim = DIM};
    puts_out(t, DIM, 0, DIM);
    fvlm_op_attention_causal(t->e, &a, t->y);
}

static const struct {
    const char *name;
    void (*run)(trial *t);
} cases[] = {
    {"linear f32", linear_f32},
    {"linear bf16, gelu", linear_bf16},
    {"linear int8, relu", linear_int8},
    {"linear int4", linear_int4},
    {"stem", stem},
    {"depthwise", depthwise},
    {"conv_ffn", conv_ffn},
    {"layer_norm", layer_norm},
    {"rms_norm", rms_norm},
    {"attention", attention},
    {"attention_causal", attention_causal},
    {"rope", rope},
    {"silu_mul", silu_mul},
    {"channel_mean", channel_mean},
    {"gate_gelu", gate_gelu},
    {"check_finite", check_finite},
    {"residual overflow", residual_overflow},
    {"variance overflow", variance_overflow},
    {"mean square overflow", mean_square_overflow},
    {"score overflow", score_overflow},
};

/* Runs a trial and returns a hash of which outputs are finite. Clears *ok if the poison was lost, or if none was there
 * and something was reported. */
static uint64_t hash_of(trial t, size_t c, bool poisoned, bool *ok)
{
    t.r.state = 0x9e3779b97f4a7c15ull + c;
    cases[c].run(&t);
    const bool reported = !fvlm_exec_take_finite(t.e);
    uint64_t h = (0xcbf29ce484222325ull ^ reported) * 0x100000001b3ull;
    bool all = t.end > t.first, any = false;
    for (size_t i = 0; i < t.n; i++) {
        const bool bad = !isfinite(t.y[i]);
        any = any || bad;
        if (i >= t.first && i < t.end && !bad) all = false;
        h = (h ^ bad) * 0x100000001b3ull;
    }
    if (poisoned ? !reported && !all : reported || any) *ok = false;
    guarded_free_all();
    return h;
}

/* Every poison at every index of every input; the number of inputs comes from the first run. */
static uint64_t run_case(fvlm_exec *e, size_t c, bool *ok)
{
    static const float poisons[] = {NAN, INFINITY, -INFINITY};
    uint64_t h = 0;
    trial counted = {.e = e, .r = {0x9e3779b97f4a7c15ull + c}, .input = SIZE_MAX};
    cases[c].run(&counted);
    fvlm_exec_take_finite(e);
    guarded_free_all();
    if (!strstr(cases[c].name, "overflow")) hash_of((trial){.e = e, .input = SIZE_MAX}, c, false, ok);
    for (size_t i = 0; i < counted.n_inputs; i++)
        for (size_t third = 0; third < 3; third++)
            for (size_t p = 0; p < 3; p++) {
                bool kept = true;
                h = h * 31 + hash_of((trial){.e = e, .input = i, .third = third, .poison = poisons[p]}, c, true, &kept);
                if (!kept)
                    printf("# %s: %g in input %zu, index %zu of 3, was lost\n", cases[c].name, (double)poisons[p], i,
                           third);
                *ok = *ok && kept;
            }
    return h;
}

int main(void)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512", "neon", "dotprod"};
    uint64_t want[sizeof cases / sizeof *cases][2] = {{0}}, all = 0;
    unsigned number = 0, failed = 0;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (unsigned mode = 0; mode < 2; mode++) {
            fvlm_exec *e;
            if (fvlm_exec_create(&e, 2, levels[l], mode ? FVLM_ACT_INT8 : FVLM_ACT_F32, NULL)) {
                printf("# %s: this machine cannot run it\n", levels[l]);
                continue;
            }
            for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
                bool ok = true;
                const uint64_t h = run_case(e, c, &ok);
                if (l == 0) {
                    want[c][mode] = h;
                    all = all * 31 + h;
                }
                if (h != want[c][mode]) printf("# other outputs than on scalar are not finite\n");
                ok = ok && h == want[c][mode];
                failed += !ok;
                printf("%sok %u - %s on %s, act %s: nothing is lost\n", ok ? "" : "not ", ++number, cases[c].name,
                       levels[l], fvlm_act_name(fvlm_exec_mode(e)));
            }
            fvlm_exec_destroy(&e);
        }
    printf("1..%u\nhash %016llx\n", number, (unsigned long long)all);
    return failed > 0;
}
