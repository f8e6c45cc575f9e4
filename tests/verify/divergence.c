/* SPDX-License-Identifier: Apache-2.0 */
/* Promise guarded here: distances and divergences are what their definitions say, computed here another way, and what
 * is not a number counts as infinitely far; it can never pass for close. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/support.h"
#include "verify/divergence.h"

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

static void distances(void **state)
{
    (void)state;
    const float x[5] = {3, 0, 4, 0, 0}, y[5] = {3, 0, 4, 0, 2}, zero[5] = {0};
    fvlm_distance d = fvlm_divergence_distance(x, y, 5);
    assert_true(near(d.relative_l2, 0.4, 1e-15));
    assert_true(near(d.cosine, 5 / sqrt(29), 1e-15));
    assert_true(d.max_error == 2);
    d = fvlm_divergence_distance(x, x, 5);
    assert_true(d.relative_l2 == 0 && d.cosine == 1 && d.max_error == 0);
    d = fvlm_divergence_distance(zero, zero, 5);
    assert_true(d.relative_l2 == 0 && d.cosine == 1);
    d = fvlm_divergence_distance(zero, x, 5);
    assert_true(isinf(d.relative_l2) && d.cosine == 0);
    d = fvlm_divergence_distance(x, zero, 5);
    assert_true(d.relative_l2 == 1 && d.cosine == 0);
}

/* Every position of every length up to 40: no lane is forgotten. */
static void every_value_counts(void **state)
{
    (void)state;
    float x[40], y[40];
    for (size_t n = 1; n <= 40; n++)
        for (size_t at = 0; at < n; at++) {
            for (size_t i = 0; i < n; i++) x[i] = y[i] = 1;
            y[at] = 3;
            const fvlm_distance d = fvlm_divergence_distance(x, y, n);
            assert_true(near(d.relative_l2, 2 / sqrt((double)n), 1e-14));
            assert_true(d.max_error == 2);
            y[at] = NAN;
            assert_true(isinf(fvlm_divergence_distance(x, y, n).relative_l2));
            assert_true(isinf(fvlm_divergence_distance(y, x, n).relative_l2));
            y[at] = -INFINITY;
            assert_true(isinf(fvlm_divergence_distance(x, y, n).relative_l2));
        }
}

static double kl_of(const float *x, const float *y, size_t n)
{
    return fvlm_divergence_kl(x, fvlm_divergence_log_sum_exp(x, n), y, fvlm_divergence_log_sum_exp(y, n), n);
}

static void kullback_leibler(void **state)
{
    (void)state;
    /* p = (1/2, 1/4, 1/4), q = (1/4, 1/2, 1/4), each shifted: sum p log(p/q) = log(2)/2 - log(2)/4 */
    const float p[3] = {100 + 0.69314718f, 100, 100}, q[3] = {-50, -50 + 0.69314718f, -50};
    assert_true(fabs(kl_of(p, q, 3) - log(2) / 4) < 1e-6); /* f32 holds 100.69 to 4e-6 */
    assert_true(kl_of(p, p, 3) == 0);
    const float far[2] = {0, 1000}, other[2] = {1000, 0};
    assert_true(near(kl_of(far, other, 2), 1000, 1e-12));
    const float nan[2] = {NAN, 0}, inf[2] = {INFINITY, 0};
    assert_true(isinf(kl_of(far, nan, 2)));
    assert_true(isinf(kl_of(nan, far, 2)));
    assert_true(isinf(kl_of(far, inf, 2)));

    /* Long double, no shift, on random logits. */
    test_rng r = {11};
    for (int trial = 0; trial < 50; trial++) {
        float x[300], y[300];
        long double sx = 0, sy = 0, kl = 0;
        for (size_t i = 0; i < 300; i++) {
            x[i] = 3 * test_normal(&r);
            y[i] = x[i] + 0.3f * test_normal(&r);
            sx += expl((long double)x[i]);
            sy += expl((long double)y[i]);
        }
        for (size_t i = 0; i < 300; i++) {
            const long double a = expl((long double)x[i]) / sx, b = expl((long double)y[i]) / sy;
            kl += a * logl(a / b);
        }
        assert_true(near(kl_of(x, y, 300), (double)kl, 1e-11));
    }
}

static void top_five(void **state)
{
    (void)state;
    const float x[8] = {1, 5, 5, -2, 7, 0, 5, 4};
    uint32_t top[5];
    fvlm_divergence_top5(x, 8, top);
    const uint32_t want[5] = {4, 1, 2, 6, 7}; /* of equals the lower index first */
    assert_memory_equal(top, want, sizeof want);

    /* Beside five searches for the largest that is left. */
    test_rng r = {13};
    for (size_t trial = 0; trial < 2000; trial++) {
        float y[40], left[40];
        const size_t n = 1 + test_below(&r, 40);
        for (size_t i = 0; i < n; i++) left[i] = y[i] = (float)test_below(&r, 9);
        fvlm_divergence_top5(y, n, top);
        for (size_t k = 0; k < 5; k++) {
            size_t best = 0;
            for (size_t i = 1; i < n; i++) best = left[i] > left[best] ? i : best;
            left[best] = -1;
            assert_int_equal(top[k], k < n ? best : top[0]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(every_value_counts),
                                       cmocka_unit_test(kullback_leibler), cmocka_unit_test(top_five)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
