/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the errors stated in kernels/vmath_tmpl.h: exp, sigmoid and GELU against libm in f64, in ulp of the exact
 * result, over a dense sweep of floats, through the operations that use them. */
#include <math.h>

#include "reference/ops/exec.h"
#include "tests/support/check.h"

#define N 4096

static float from_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, 4);
    return f;
}

/* |got - want| in units of the last place of want as a float. */
static double ulps(float got, double want)
{
    int e;
    frexp(want, &e);
    const double ulp = ldexp(1.0, (e < -125 ? -125 : e) - 24);
    return fabs((double)got - want) / ulp;
}

typedef void (*batch)(const fvlm_kernels *k, float x[N], float y[N]);
typedef double (*exact)(double x);

static void batch_exp(const fvlm_kernels *k, float x[N], float y[N])
{
    /* softmax subtracts the largest; a 0 in front of each value keeps it 0 for x <= 0 */
    for (size_t i = 0; i < N; i++) {
        float pair[2] = {0.0f, x[i]};
        k->softmax(pair, 2, 1.0f);
        y[i] = pair[1];
    }
}

static void batch_silu(const fvlm_kernels *k, float x[N], float y[N])
{
    static float ones[N];
    for (size_t i = 0; i < N; i++) ones[i] = 1.0f;
    k->silu_mul(x, ones, N, y);
}

static void batch_gelu(const fvlm_kernels *k, float x[N], float y[N])
{
    static float open[N]; /* sigmoid(100) is 1 in f32, so the gate leaves x as it is */
    for (size_t i = 0; i < N; i++) open[i] = 100.0f;
    memcpy(y, x, N * sizeof *y);
    k->gate_gelu(y, open, N);
}

static double exact_silu(double x)
{
    return x / (1.0 + exp(-x));
}
static double exact_gelu(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2.0));
}

/* Largest error over every 'step'th float between from and to (same sign, |from| < |to|). */
static double sweep(batch run, exact f, float from, float to, uint32_t step, double scale_by_x)
{
    const fvlm_kernels *k = &fvlm_kernels_scalar;
    uint32_t b, end;
    static float x[N], y[N];
    double worst = 0;
    memcpy(&b, &from, 4);
    memcpy(&end, &to, 4);
    while (b < end) {
        size_t n = 0;
        for (; n < N && b < end; n++, b += step) x[n] = from_bits(b);
        for (size_t i = n; i < N; i++) x[i] = from;
        run(k, x, y);
        for (size_t i = 0; i < n; i++) {
            const double want = f((double)x[i]);
            const double e =
                scale_by_x > 0 ? fabs((double)y[i] - want) / fabs((double)x[i]) / scale_by_x : ulps(y[i], want);
            if (!(e <= worst)) worst = e;
        }
    }
    return worst;
}

static void exp_within(void **state)
{
    (void)state;
    const double normal = sweep(batch_exp, exp, -1e-6f, -87.0f, 601, 0);
    print_message("# exp on [-87, 0]: %.3f ulp\n", normal);
    assert_true(normal <= 1.0);
    const double gradual = sweep(batch_exp, exp, -87.0f, -110.0f, 301, 0);
    print_message("# exp on [-110, -87]: %.3f ulp of the least float\n", gradual);
    assert_true(gradual <= 1.0);
}

static void silu_within(void **state)
{
    (void)state;
    const double right = sweep(batch_silu, exact_silu, 1e-6f, 100.0f, 601, 0);
    const double left = sweep(batch_silu, exact_silu, -1e-6f, -80.0f, 601, 0);
    print_message("# silu: %.3f ulp right of 0, %.3f left\n", right, left);
    assert_true(right <= 2.1 && left <= 2.1);
}

static void gelu_within(void **state)
{
    (void)state;
    const double right = sweep(batch_gelu, exact_gelu, 1e-6f, 20.0f, 601, 0);
    const double left = sweep(batch_gelu, exact_gelu, -1e-6f, -1.0f, 601, 0);
    const double tail = sweep(batch_gelu, exact_gelu, -1.0f, -20.0f, 301, ldexp(1.0, -24));
    print_message("# gelu: %.3f ulp on [0, 20], %.3f on [-1, 0], %.3f x 2^-24 |x| on [-20, -1]\n", right, left, tail);
    assert_true(right <= 1.7 && left <= 2.8 && tail <= 0.7);
}

static void special_values(void **state)
{
    (void)state;
    float x[N] = {0.0f, -0.0f, 1e30f, -1e30f, 1e-40f, -1e-40f, 88.0f, -88.0f, 300.0f, 700.0f}, y[N];
    batch_gelu(&fvlm_kernels_scalar, x, y);
    assert_true(y[0] == 0.0f && y[1] == 0.0f && y[2] == 1e30f && fabsf(y[3]) <= 1e30f * 1e-8f);
    assert_true(y[4] >= 0.0f && y[4] <= 1e-40f && y[5] <= 0.0f && y[6] == 88.0f);
    batch_silu(&fvlm_kernels_scalar, x, y);
    assert_true(y[0] == 0.0f && y[2] == 1e30f && y[3] == 0.0f && y[6] == 88.0f && y[9] == 700.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exp_within), cmocka_unit_test(silu_within),
                                       cmocka_unit_test(gelu_within), cmocka_unit_test(special_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
