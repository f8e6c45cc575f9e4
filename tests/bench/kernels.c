/* SPDX-License-Identifier: Apache-2.0 */
/* kernels.c - how close each operation comes to what this CPU can do, for the shapes of FastVLM-0.5B at 1024 pixels.
 * One thread, in CPU time; each run of an operation is preceded by a measurement of the CPU's own peak (registers only,
 * kernels/peak_tmpl.h). Medians.
 *
 *   build/tests/bench/kernels [--cpu LEVEL] [--runs N] [WORD...]     only cases whose name contains a WORD */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reference/ops/exec.h"
#include "tests/support/ops_cases.h"

#define PEAK_ROUNDS 200000
#define MAX_RUNS 99

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* GMAC/s of one thread in registers. */
static double measure_peak(const fvlm_exec *e, fvlm_act_mode mode)
{
    _Alignas(64) float sink[32] = {0};
    const double from = cpu_seconds(), macs = (mode ? e->k->peak_int8 : e->k->peak_f32)(PEAK_ROUNDS, sink);
    return macs / (cpu_seconds() - from) * 1e-9;
}

/* ---- cases ---- */

typedef enum { LINEAR, FFN, DEPTHWISE, ATTENTION, CAUSAL, SILU, NORM } bench_op;

typedef struct {
    const char *name;
    bench_op op;
    const char *type; /* of the weights */
    fvlm_act_mode mode;
    size_t a, b, c, d; /* LINEAR m n k gelu?  FFN side c hidden  DEPTHWISE side c kernel stride  ATTENTION tokens heads
                          dim CAUSAL new before  SILU n  NORM m c */
} bench_case;

static const bench_case cases[] = {
    {"f32 linear 1024x384x1536", LINEAR, "f32", 0, 1024, 1536, 384, 0},
    {"f32 linear 1024x1536x384", LINEAR, "f32", 0, 1024, 384, 1536, 0},
    {"f32 linear 1024x384x1536 + gelu", LINEAR, "f32", 0, 1024, 1536, 384, 1},
    {"f32 qkv 1024x768x2304", LINEAR, "f32", 0, 1024, 2304, 768, 0},
    {"f32 pw 4096x192x192 + gelu", LINEAR, "f32", 0, 4096, 192, 192, 1},
    {"bf16 linear 1024x384x1536", LINEAR, "bf16", 0, 1024, 1536, 384, 0},
    {"int8 weights, act f32 1024x384x1536", LINEAR, "int8-sym-g64", 0, 1024, 1536, 384, 0},
    {"int8 g64 1024x384x1536", LINEAR, "int8-sym-g64", 1, 1024, 1536, 384, 0},
    {"int8 g64 1024x1536x384", LINEAR, "int8-sym-g64", 1, 1024, 384, 1536, 0},
    {"int8 g32 1024x384x1536", LINEAR, "int8-sym-g32", 1, 1024, 1536, 384, 0},
    {"int8 row 1024x384x1536", LINEAR, "int8-sym-row", 1, 1024, 1536, 384, 0},
    {"int8 row 1024x1536x384", LINEAR, "int8-sym-row", 1, 1024, 384, 1536, 0},
    {"int4 g64 1024x384x1536", LINEAR, "int4-asym-g64", 1, 1024, 1536, 384, 0},
    {"int4 g32 1024x384x1536", LINEAR, "int4-asym-g32", 1, 1024, 1536, 384, 0},
    {"f32 ffn stage0 64x64 96->384", FFN, "f32", 0, 64, 96, 384, 0},
    {"f32 ffn stage1 64x64 192->768", FFN, "f32", 0, 64, 192, 768, 0},
    {"f32 ffn stage2 64x64 384->1536", FFN, "f32", 0, 64, 384, 1536, 0},
    {"f32 ffn stage3 32x32 768->3072", FFN, "f32", 0, 32, 768, 3072, 0},
    {"f32 ffn stage4 16x16 1536->6144", FFN, "f32", 0, 16, 1536, 6144, 0},
    {"int8 ffn stage0 64x64 96->384", FFN, "int8-sym-g32", 1, 64, 96, 384, 0},
    {"int8 ffn stage1 64x64 192->768", FFN, "int8-sym-g64", 1, 64, 192, 768, 0},
    {"int8 ffn stage2 64x64 384->1536", FFN, "int8-sym-g64", 1, 64, 384, 1536, 0},
    {"int8 ffn stage3 32x32 768->3072", FFN, "int8-sym-g64", 1, 32, 768, 3072, 0},
    {"int8 ffn stage4 16x16 1536->6144", FFN, "int8-sym-g64", 1, 16, 1536, 6144, 0},
    {"int4 ffn stage2 64x64 384->1536", FFN, "int4-asym-g64", 1, 64, 384, 1536, 0},
    {"dw 7x7 128x128x192", DEPTHWISE, "f32", 0, 128, 192, 7, 1},
    {"dw 7x7 64x64x384", DEPTHWISE, "f32", 0, 64, 384, 7, 1},
    {"dw 7x7 32x32x768", DEPTHWISE, "f32", 0, 32, 768, 7, 1},
    {"dw 3x3 128x128x192", DEPTHWISE, "f32", 0, 128, 192, 3, 1},
    {"dw 7x7 s2 pairs 128x128x96", DEPTHWISE, "f32", 0, 128, 96, 7, 2},
    {"attention 1024 x 24 x 32", ATTENTION, "f32", 0, 1024, 24, 32, 0},
    {"f32 prefill gate 280x896x4864", LINEAR, "f32", 0, 280, 4864, 896, 0},
    {"int8 prefill gate 280x896x4864", LINEAR, "int8-sym-g64", 1, 280, 4864, 896, 0},
    {"int4 prefill gate 280x896x4864", LINEAR, "int4-asym-g64", 1, 280, 4864, 896, 0},
    {"int4 prefill down 280x4864x896", LINEAR, "int4-asym-g64", 1, 280, 896, 4864, 0},
    {"causal attention 280 14/2 x 64", CAUSAL, "f32", 0, 280, 0, 0, 0},
    {"causal attention 1 after 280", CAUSAL, "f32", 0, 1, 279, 0, 0},
    {"silu 280 x 4864", SILU, "f32", 0, 280 * 4864, 0, 0, 0},
    {"layer norm 1024 x 768", NORM, "f32", 0, 1024, 768, 0, 0},
    {"decode f32 gate 1x896x4864", LINEAR, "f32", 0, 1, 4864, 896, 0},
    {"decode bf16 gate 1x896x4864", LINEAR, "bf16", 0, 1, 4864, 896, 0},
    {"decode int8 gate, act f32", LINEAR, "int8-sym-g64", 0, 1, 4864, 896, 0},
    {"decode int8 head 1x896x40000", LINEAR, "int8-sym-g64", 1, 1, 40000, 896, 0},
    {"decode int4 head 1x896x40000", LINEAR, "int4-asym-g64", 1, 1, 40000, 896, 0},
};

/* What a run of a case needs, made once. */
typedef struct {
    const bench_case *c;
    fvlm_exec *e;
    fvlm_weight w1, w2;
    fvlm_depthwise dw;
    float *x, *y, *bias;
    double macs, bytes; /* of one run; bytes of weights */
} bench_run;

/* Made a word at a time: any q is a legal q, and scales and floats are set to sensible sizes. */
static fvlm_weight quick_weight(cases_rng *r, const char *name, size_t n, size_t k)
{
    fvlm_type type;
    fvlm_err err = {0};
    if (fvlm_type_parse(&type, name, &err)) exit(2);
    fvlm_tensor t = {.name = "bench", .type = type, .layout = FVLM_PANELS, .rank = 2, .dims = {n, k}};
    if (fvlm_type_tensor_bytes(&t.n_bytes, type, FVLM_PANELS, 2, t.dims, &err)) exit(2);
    uint8_t *bytes = fvlm_alloc(t.n_bytes, 1);
    fvlm_weight w;
    if (!bytes || fvlm_weight_bind(&w, &t, bytes, &err)) exit(2);
    for (size_t i = 0; i + 4 <= t.n_bytes; i += 4) {
        const float x = cases_float(r) * 0.05f;
        const uint32_t both = (uint32_t)fvlm_f32_to_bf16(x) << 16 | fvlm_f32_to_bf16(-x);
        if (type.kind == FVLM_F32)
            memcpy(bytes + i, &x, 4);
        else if (type.kind == FVLM_BF16 || i >= w.m.scales_at)
            fvlm_store_u32(bytes + i, both);
        else
            fvlm_store_u32(bytes + i, (uint32_t)cases_u64(r));
    }
    return w;
}

static float *quick_floats(cases_rng *r, size_t n)
{
    float *p = fvlm_alloc(n, sizeof *p);
    if (!p) exit(3);
    for (size_t i = 0; i < n; i++) p[i] = cases_float(r);
    return p;
}

static void prepare(bench_run *b, const bench_case *c)
{
    cases_rng r = {88172645463325252ull};
    b->c = c;
    size_t n_x = c->a * c->c, n_y = c->a * c->b;
    if (c->op == LINEAR) {
        b->w1 = quick_weight(&r, c->type, c->b, c->c);
        b->macs = (double)c->a * (double)c->b * (double)c->c;
        b->bytes = (double)b->w1.m.n_bytes;
    } else if (c->op == FFN) {
        n_x = n_y = c->a * c->a * c->b;
        b->w1 = quick_weight(&r, c->type, c->c, c->b);
        b->w2 = quick_weight(&r, c->type, c->b, c->c);
        b->dw =
            (fvlm_depthwise){quick_floats(&r, 49 * c->b), quick_floats(&r, c->b), 7, 1, (uint32_t)c->b, (uint32_t)c->b};
        b->macs = 2.0 * (double)n_x * (double)c->c;
    } else if (c->op == DEPTHWISE) {
        const size_t out_c = c->b * c->d;
        n_x = n_y = c->a * c->a * c->b;
        b->dw = (fvlm_depthwise){quick_floats(&r, c->c * c->c * out_c),
                                 quick_floats(&r, out_c),
                                 (uint32_t)c->c,
                                 (uint32_t)c->d,
                                 (uint32_t)c->b,
                                 (uint32_t)out_c};
        b->macs = (double)(c->a * c->a / c->d / c->d * out_c * c->c * c->c);
    } else if (c->op == ATTENTION) {
        n_y = c->a * c->b * c->c;
        n_x = 3 * n_y;
        b->macs = 2.0 * (double)c->a * (double)n_y;
    } else if (c->op == CAUSAL) {
        n_x = n_y = (c->a + c->b) * 14 * 64;
        b->macs = 2.0 * 14 * 64 * (double)c->a * ((double)c->b + ((double)c->a + 1) / 2);
    } else {
        n_x = n_y = c->op == SILU ? c->a : c->a * c->b;
        b->macs = (double)n_x;
    }
    b->x = quick_floats(&r, n_x);
    b->y = quick_floats(&r, n_y);
    b->bias = quick_floats(&r, c->b + c->c + 1);
}

static void run_once(bench_run *b)
{
    const bench_case *c = b->c;
    switch (c->op) {
    case LINEAR:
        fvlm_op_linear(b->e, b->x, c->a, &b->w1, b->bias, c->d ? FVLM_GELU : FVLM_NONE, NULL, b->y);
        break;
    case FFN:
        fvlm_op_conv_ffn(b->e, b->x, c->a, c->a, &(fvlm_conv_ffn){&b->dw, &b->w1, &b->w2, b->bias, b->bias}, b->y);
        break;
    case DEPTHWISE:
        fvlm_op_depthwise(b->e, b->x, c->a, c->a, &b->dw, FVLM_NONE, b->y);
        break;
    case ATTENTION:
        fvlm_op_attention(b->e, b->x, c->a, c->b, c->c, b->y);
        break;
    case CAUSAL:
        fvlm_op_attention_causal(b->e, &(fvlm_causal_attention){b->x, b->x, b->x, c->a, c->b, 14, 2, 64}, b->y);
        break;
    case SILU:
        fvlm_op_silu_mul(b->e, b->x, b->x, c->a, b->y);
        break;
    case NORM:
        fvlm_op_layer_norm(b->e, b->x, c->a, c->b, 1e-5f, b->y);
        break;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const bench_case *c, const char *cpu, size_t runs)
{
    bench_run b = {0};
    fvlm_err err = {0};
    if (fvlm_exec_create(&b.e, 1, cpu, c->mode, &err)) {
        fprintf(stderr, "kernels: %s\n", err.msg);
        exit(2);
    }
    prepare(&b, c);
    run_once(&b);
    double seconds[MAX_RUNS], peaks[MAX_RUNS];
    for (size_t i = 0; i < runs; i++) {
        peaks[i] = measure_peak(b.e, c->mode);
        const double from = cpu_seconds();
        run_once(&b);
        seconds[i] = cpu_seconds() - from;
    }
    qsort(seconds, runs, sizeof *seconds, by_value);
    qsort(peaks, runs, sizeof *peaks, by_value);
    const double s = seconds[runs / 2], rate = b.macs / s * 1e-9;
    printf("%-38s %9.3f ms %8.1f GMAC/s %5.1f %% of the %s peak", c->name, s * 1e3, rate, 100 * rate / peaks[runs / 2],
           fvlm_act_name(c->mode));
    if (c->a == 1 && b.bytes > 0) printf(", %.1f GB/s of weights", b.bytes / s * 1e-9);
    printf("\n");
    fflush(stdout);
    free((void *)(uintptr_t)b.w1.values);
    free((void *)(uintptr_t)b.w2.values);
    free((void *)(uintptr_t)b.dw.taps);
    free((void *)(uintptr_t)b.dw.bias);
    free(b.x);
    free(b.y);
    free(b.bias);
    fvlm_exec_destroy(&b.e);
}

static bool wanted(const char *name, char **words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(name, words[i])) return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    const char *cpu = NULL;
    size_t runs = 9;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--cpu") == 0)
            cpu = argv[i + 1];
        else if (strcmp(argv[i], "--runs") == 0)
            runs = strtoul(argv[i + 1], NULL, 10);
        else
            return fprintf(stderr, "usage: kernels [--cpu LEVEL] [--runs N] [WORD...]\n"), 2;
    }
    if (runs < 1 || runs > MAX_RUNS) runs = 9;
    fvlm_exec *e;
    fvlm_err err = {0};
    if (fvlm_exec_create(&e, 1, cpu, FVLM_ACT_F32, &err)) return fprintf(stderr, "kernels: %s\n", err.msg), 2;
    printf("%s, one thread: f32 %.1f GMAC/s, int8 %.1f GMAC/s in registers\n", fvlm_exec_cpu(e),
           measure_peak(e, FVLM_ACT_F32), measure_peak(e, FVLM_ACT_INT8));
    fvlm_exec_destroy(&e);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        if (wanted(cases[c].name, argv + i, (size_t)(argc - i))) measure(&cases[c], cpu, runs);
    return 0;
}
