/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the statistics over positions are what their definitions say: means, standard errors and percentiles of
 * series whose figures are known in closed form, Wilson's interval by the equation that defines it, and predictions
 * from logits by long double without any trick. What is not a number never looks good. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/support.h"
#include "verify/agreement.h"

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

/* The numbers first..first + n - 1, times unit, in random order. */
static fvlm_agreement series(size_t n, double first, double unit)
{
    test_rng r = {n};
    fvlm_agreement a = {.positions = n, .compared = n, .at = calloc(n, sizeof *a.at)};
    for (size_t i = 0; i < n; i++) {
        const size_t k = test_below(&r, (uint32_t)i + 1);
        a.at[i] = a.at[k];
        a.at[k].kl = a.at[k].dp = unit * (first + (double)i);
    }
    return a;
}

static fvlm_statistics summarize(fvlm_agreement *a)
{
    fvlm_statistics s;
    fvlm_err err;
    must(fvlm_agreement_summarize(a, &s, &err), &err);
    fvlm_agreement_free(a);
    return s;
}

/* Of 1 to n: mean (n + 1) / 2, variance n (n + 1) / 12, so that its error is sqrt((n + 1) / 12); mean of squares
 * (n + 1) (2 n + 1) / 6. */
static void means_and_errors(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 2000; n = n * 3 + 1) {
        fvlm_agreement a = series(n, 1, 0.25);
        const double m = (double)n, error = 0.25 * sqrt((m + 1) / 12);
        const fvlm_statistics s = summarize(&a);
        assert_true(near(s.kl.value, 0.25 * (m + 1) / 2, 1e-12));
        assert_true(near(s.kl.high - s.kl.value, error, 1e-9) && near(s.kl.value - s.kl.low, error, 1e-9));
        assert_true(near(s.dp.value, 0.25 * (m + 1) / 2, 1e-12));
        assert_true(near(s.rms_dp.value, 0.25 * sqrt((m + 1) * (2 * m + 1) / 6), 1e-12));
    }
}

/* The error of a root mean square, beside the spread of many of them: 400 series of 400 normal numbers have
 * 1 / sqrt(2 * 400), known from the chi-squared distribution. */
static void error_of_the_root_mean_square(void **state)
{
    (void)state;
    test_rng r = {5};
    double mean_error = 0;
    for (int trial = 0; trial < 400; trial++) {
        fvlm_agreement a = {.positions = 400, .compared = 400, .at = calloc(400, sizeof *a.at)};
        for (size_t i = 0; i < 400; i++) a.at[i].dp = (double)test_normal(&r);
        const fvlm_statistics s = summarize(&a);
        mean_error += (s.rms_dp.high - s.rms_dp.value) / 400;
    }
    assert_true(near(mean_error, 1 / sqrt(800), 0.02));
}

/* Nearest rank: of 1 to n, p % is the number ceil(p n / 100). */
static void percentiles(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        double kl[FVLM_N_KL_PERCENTILES], dp[FVLM_N_DP_PERCENTILES];
    } cases[] = {
        {1, {1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}},
        {10, {5, 9, 10, 10, 10}, {1, 1, 1, 5, 9, 10, 10}},
        {256, {128, 231, 254, 256, 256}, {1, 3, 26, 128, 231, 254, 256}},
        {1000, {500, 900, 990, 999, 1000}, {1, 10, 100, 500, 900, 990, 1000}},
        {5000, {2500, 4500, 4950, 4995, 5000}, {1, 50, 500, 2500, 4500, 4950, 5000}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fvlm_agreement a = series(cases[i].n, 1, 1);
        const fvlm_statistics s = summarize(&a);
        for (size_t k = 0; k < FVLM_N_KL_PERCENTILES; k++) assert_true(s.kl_percentile[k] == cases[i].kl[k]);
        for (size_t k = 0; k < FVLM_N_DP_PERCENTILES; k++) assert_true(s.dp_percentile[k] == cases[i].dp[k]);
    }
}

/* The ends are the shares q of which the share seen is just one standard error, sqrt(q (1 - q) / n), away. */
static void wilson(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 1000; n = 2 * n + 1)
        for (size_t k = 0; k <= n; k++) {
            const fvlm_agreement a = {.positions = n, .top1 = k};
            fvlm_statistics s;
            fvlm_err err;
            must(fvlm_agreement_summarize(&a, &s, &err), &err);
            const double p = (double)k / (double)n, ends[] = {s.top1.low, s.top1.high};
            assert_true(s.top1.value == p);
            assert_true(s.top1.low <= p && p <= s.top1.high && s.top1.low < s.top1.high);
            for (int i = 0; i < 2; i++)
                assert_true(fabs(fabs(p - ends[i]) - sqrt(fmax(0, ends[i] * (1 - ends[i])) / (double)n)) < 1e-7);
        }
}

static void from_logits(void **state)
{
    (void)state;
    enum { N = 37, POSITIONS = 60 };
    test_rng r = {3};
    fvlm_agreement a = {0};
    fvlm_err err;
    long double kl = 0, squares = 0, sure = 0;
    size_t same = 0;
    for (size_t i = 0; i < POSITIONS; i++) {
        float x[N], y[N];
        long double sx = 0, sy = 0;
        size_t bx = 0, by = 0;
        for (size_t k = 0; k < N; k++) {
            x[k] = 3 * test_normal(&r);
            y[k] = x[k] + test_normal(&r);
            sx += expl((long double)x[k]);
            sy += expl((long double)y[k]);
            bx = x[k] > x[bx] ? k : bx;
            by = y[k] > y[by] ? k : by;
        }
        for (size_t k = 0; k < N; k++) {
            const long double p = expl((long double)x[k]) / sx, q = expl((long double)y[k]) / sy;
            kl += p * logl(p / q) / POSITIONS;
        }
        const long double p = expl((long double)x[bx]) / sx, dp = expl((long double)y[bx]) / sy - p;
        squares += dp * dp / POSITIONS;
        sure += p / POSITIONS;
        same += bx == by;
        uint32_t choice;
        must(fvlm_agreement_add(&a, x, y, N, &choice, &err), &err);
        assert_int_equal(choice, by);
    }
    assert_in_range(same, 1, POSITIONS - 1);
    assert_int_equal(a.top1, same);
    const fvlm_statistics s = summarize(&a);
    assert_true(near(s.kl.value, (double)kl, 1e-9));
    assert_true(near(s.rms_dp.value, (double)sqrtl(squares), 1e-9));
    assert_true(near(s.p_source, (double)sure, 1e-9));
}

static void counts(void **state)
{
    (void)state;
    fvlm_agreement a = {0};
    fvlm_err err;
    uint32_t choice;
    const float x[7] = {7, 6, 5, 4, 3, 2, 1}, y[7] = {6, 7, 5, 4, 1, 2, 3};
    must(fvlm_agreement_add(&a, x, x, 7, &choice, &err), &err);
    must(fvlm_agreement_add(&a, x, y, 7, &choice, &err), &err); /* top five of y: 1 0 2 3 6 */
    assert_int_equal(choice, 1);
    assert_int_equal(a.top1, 1);
    assert_int_equal(a.top5, 9);
    assert_true(a.at[0].kl == 0 && a.at[0].dp == 0 && a.at[1].kl > 0 && a.at[1].dp < 0);
    fvlm_agreement_add_token(&a, 1, y, 7, &choice);
    fvlm_agreement_add_token(&a, 0, y, 7, &choice);
    assert_int_equal(a.positions, 4);
    assert_int_equal(a.compared, 2);
    assert_int_equal(a.top1, 2);
    fvlm_agreement_free(&a);
}

static void not_a_number(void **state)
{
    (void)state;
    const float good[3] = {1, 2, 3}, bad[][3] = {{1, NAN, 3}, {INFINITY, 0, 0}, {NAN, NAN, NAN}};
    for (size_t i = 0; i < 3; i++)
        for (int swap = 0; swap < 2; swap++) {
            fvlm_agreement a = {0};
            fvlm_err err;
            uint32_t choice;
            must(fvlm_agreement_add(&a, good, good, 3, &choice, &err), &err);
            must(fvlm_agreement_add(&a, swap ? bad[i] : good, swap ? good : bad[i], 3, &choice, &err), &err);
            assert_true(isinf(a.at[1].kl) && a.at[1].dp == -1);
            const fvlm_statistics s = summarize(&a);
            assert_true(isinf(s.kl.value) && isinf(s.kl.low) && s.kl.low > 0);
            assert_true(isinf(s.kl_percentile[FVLM_N_KL_PERCENTILES - 1]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(means_and_errors), cmocka_unit_test(error_of_the_root_mean_square),
        cmocka_unit_test(percentiles),      cmocka_unit_test(wilson),
        cmocka_unit_test(from_logits),      cmocka_unit_test(counts),
        cmocka_unit_test(not_a_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
