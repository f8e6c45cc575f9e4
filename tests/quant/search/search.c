/* SPDX-License-Identifier: Apache-2.0 */
/* Promises guarded here: the scale search is never worse than plain absmax / minmax (10^5 random groups of
 * 8 distributions for every type); on small groups it is close to the best that any pair of bf16 scale and offset
 * could do, found by trying them all in f64; and every instruction set gives the same bits. */
#include <math.h>

#include "quant/search/search.h"
#include "tests/support/blocks.h"
#include "tests/support/check.h"

/* Under a sanitizer nothing is vectorized and everything is checked: fewer groups, the same paths. */
#ifdef __SANITIZE_ADDRESS__
enum { GROUPS = 1600, TRIALS = 8 };
#else
enum { GROUPS = 100000, TRIALS = 64 };
#endif
enum { MAX_GROUP = 224 };

typedef struct {
    uint8_t q[MAX_GROUP * 16];
    float scale[16], offset[16];
    double error[16];
} codes;

static void encode(fvlm_encode_group_fn f, fvlm_type t, const float *x, size_t n, codes *out)
{
    static float scratch[MAX_GROUP * 16];
    memset(out, 0, sizeof *out);
    fvlm_encode_group g = {.type = t, .n = n, .x = x, .scratch = scratch, .q = out->q};
    f(&g);
    memcpy(out->scale, g.scale, sizeof out->scale);
    memcpy(out->offset, g.offset, sizeof out->offset);
    memcpy(out->error, g.error, sizeof out->error);
}

static float bf16(double v)
{
    return fvlm_bf16_to_f32(fvlm_f32_to_bf16((float)v));
}

/* Error of a lane in f64 with a scale and offset of our choice and the nearest code for every value. */
static double best_codes_error(fvlm_type t, const float *x, size_t n, size_t lane, float scale, float offset)
{
    const double zero = t.asymmetric ? 0 : 1 << (t.bits - 1), top = (1 << t.bits) - 1;
    double sum = 0;
    for (size_t k = 0; k < n; k++) {
        const double v = (double)x[k * 16 + lane];
        double q = scale == 0 ? zero : nearbyint((v - (double)offset) / (double)scale + zero);
        q = q < 0 ? 0 : q > top ? top : q;
        const double d = v - (double)test_decode(t, (unsigned)q, scale, offset);
        sum += d * d;
    }
    return sum;
}

static void extremes(const float *x, size_t n, size_t lane, float *low, float *high)
{
    *low = *high = x[lane];
    for (size_t k = 1; k < n; k++) {
        *low = fminf(*low, x[k * 16 + lane]);
        *high = fmaxf(*high, x[k * 16 + lane]);
    }
}

static double plain_error(fvlm_type t, const float *x, size_t n, size_t lane)
{
    float low, high;
    extremes(x, n, lane, &low, &high);
    if (t.asymmetric)
        return best_codes_error(t, x, n, lane, bf16((double)((high - low) / (float)((1 << t.bits) - 1))),
                                bf16((double)low));
    return best_codes_error(t, x, n, lane, bf16((double)(fmaxf(high, -low) / (float)((1 << (t.bits - 1)) - 1))), 0);
}

static size_t group_of(fvlm_type t)
{
    return t.group ? t.group : MAX_GROUP;
}

static void never_worse(void **state)
{
    (void)state;
    static float x[MAX_GROUP * 16];
    test_rng r = {20241124};
    fvlm_cpu cpu;
    assert_int_equal(fvlm_cpu_select(&cpu, NULL, NULL), FVLM_OK);
    for (size_t type = 0; type < 16; type++) {
        const fvlm_type t = test_int_type(type);
        const size_t n = group_of(t);
        double gain = 0;
        size_t groups = 0, equal = 0;
        for (; groups < GROUPS; groups += 16) {
            codes c;
            test_block(&r, (int)(groups / 16 % TEST_N_SHAPES), n, x);
            encode(fvlm_encode_group_for(cpu), t, x, n, &c);
            for (size_t l = 0; l < 16; l++) {
                const double plain = plain_error(t, x, n, l),
                             ours = test_block_error(t, x, n, l, c.q, c.scale[l], c.offset[l]);
                if (!(ours <= plain)) fail_msg("group %zu lane %zu: %.17g is worse than %.17g", groups, l, ours, plain);
                if (fabs(c.error[l] - ours) > 1e-12 * ours) fail_msg("said %.17g, is %.17g", c.error[l], ours);
                equal += ours == plain;
                gain += plain > 0 ? ours / plain : 1;
            }
        }
        char name[24];
        printf("# %-14s %zu groups: squared error %.3f of plain, %zu no better\n", fvlm_type_name(t, name), groups,
               gain / (double)groups, equal);
        assert_true(gain / (double)groups < 0.97);
    }
}

/* Every bf16 scale within three octaves, both signs; asymmetric: with every offset that could matter. */
static double exhaustive(fvlm_type t, const float *x, size_t n, size_t lane)
{
    float low, high;
    extremes(x, n, lane, &low, &high);
    const float top = (float)((1 << t.bits) - 1),
                widest = t.asymmetric ? (high - low) / top : fmaxf(high, -low) / top * 2;
    double best = INFINITY;
    for (float s = bf16((double)widest * 0.35); s < widest * 1.3f;) {
        if (!t.asymmetric) {
            best = fmin(best, best_codes_error(t, x, n, lane, s, 0));
            best = fmin(best, best_codes_error(t, x, n, lane, -s, 0));
        }
        const float slack = high - low - top * s, from = low + fminf(slack, 0) - s, to = low + fmaxf(slack, 0) + s;
        for (float o = from; t.asymmetric && o <= to; o += s / 16)
            best = fmin(best, best_codes_error(t, x, n, lane, s, bf16((double)o)));
        uint32_t u;
        memcpy(&u, &s, 4);
        u += 0x10000;
        memcpy(&s, &u, 4);
    }
    return best;
}

static void near_optimum(void **state)
{
    (void)state;
    /* worst and mean of sqrt(error / optimum); measured, then rounded up */
    static const struct {
        fvlm_type t;
        size_t n, blocks;
        double worst, mean;
    } cases[] = {
        {{FVLM_INT, 4, 0, 32}, 16, 8, 1.10, 1.001}, {{FVLM_INT, 4, 0, 32}, 32, 8, 1.08, 1.001},
        {{FVLM_INT, 8, 0, 32}, 32, 8, 1.07, 1.001}, {{FVLM_INT, 4, 1, 32}, 16, 1, 1.37, 1.014},
        {{FVLM_INT, 4, 1, 32}, 32, 1, 1.14, 1.008},
    };
    static float x[MAX_GROUP * 16];
    test_rng r = {7};
    fvlm_cpu cpu;
    bool as_stated = true;
    assert_int_equal(fvlm_cpu_select(&cpu, NULL, NULL), FVLM_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double worst = 0, sum = 0;
        size_t count = 0;
        for (size_t b = 0; b < cases[i].blocks * 7; b++) { /* not "two values": its optimum is zero */
            codes c;
            test_block(&r, (int)(b % 7), cases[i].n, x);
            encode(fvlm_encode_group_for(cpu), cases[i].t, x, cases[i].n, &c);
            for (size_t l = 0; l < 16; l++) {
                const double best = exhaustive(cases[i].t, x, cases[i].n, l);
                const double ours = test_block_error(cases[i].t, x, cases[i].n, l, c.q, c.scale[l], c.offset[l]);
                const double ratio = sqrt(ours / best);
                worst = fmax(worst, ratio);
                sum += ratio;
                count++;
            }
        }
        char name[24];
        printf("# %-14s n %zu: worst %.4f, mean %.5f of the optimum\n", fvlm_type_name(cases[i].t, name), cases[i].n,
               worst, sum / (double)count);
        as_stated &= worst <= cases[i].worst && sum / (double)count <= cases[i].mean;
    }
    assert_true(as_stated);
}

static void same_bits(void **state)
{
    (void)state;
    static const fvlm_cpu cpus[] = {FVLM_CPU_AVX2, FVLM_CPU_AVX512};
    static float x[MAX_GROUP * 16];
    test_rng r = {99};
    for (size_t c = 0; c < 2; c++) {
        const fvlm_encode_group_fn f = fvlm_encode_group_for(cpus[c]);
        if (!fvlm_cpu_runs(cpus[c])) continue;
        for (size_t type = 0; type < 16; type++)
            for (int b = 0; b < TRIALS; b++) {
                const fvlm_type t = test_int_type(type);
                const size_t n = 1 + test_below(&r, group_of(t));
                codes scalar, simd;
                test_block(&r, b % TEST_N_SHAPES, n, x);
                if (b % 8 == 7) /* lanes of nothing, next to nothing, and one number */
                    for (size_t k = 0; k < n; k++) x[k * 16] = 0, x[k * 16 + 1] *= 1e-38f, x[k * 16 + 2] = 0.3f;
                encode(fvlm_encode_group__scalar, t, x, n, &scalar);
                encode(f, t, x, n, &simd);
                assert_memory_equal(&scalar, &simd, sizeof scalar);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(never_worse), cmocka_unit_test(near_optimum),
                                       cmocka_unit_test(same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
