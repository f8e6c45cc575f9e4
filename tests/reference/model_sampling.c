/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: greedy takes the likeliest token, the lowest id on a tie; sampling follows softmax(logits / temperature)
 * restricted to top_p; a seed gives the same answer everywhere. */
#include <math.h>

#include "reference/sample.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static fvlm_sampler *sampler(double temperature, double top_p, uint64_t seed, size_t vocab)
{
    const fvlm_sampling s = {1, temperature, top_p, seed};
    fvlm_sampler *r;
    fvlm_err err = {0};
    assert_int_equal(fvlm_sampler_create(&r, &s, vocab, &err), FVLM_OK);
    return r;
}

static void greedy_and_ties(void **state)
{
    (void)state;
    fvlm_sampler *s = sampler(0, 1, 0, 6);
    const float tied[6] = {-1, 3, 2, 3, 3, -5}, equal[6] = {0}, below[6] = {-9, -8, -7, -7, -8, -9};
    assert_int_equal(fvlm_sampler_draw(s, tied), 1);
    assert_int_equal(fvlm_sampler_draw(s, equal), 0);
    assert_int_equal(fvlm_sampler_draw(s, below), 2);
    fvlm_sampler_destroy(&s);
    assert_null(s);
}

/* 200,000 draws against the distribution itself: chi-square over the tokens, 15 degrees of freedom;
 * above 50 once in 100,000 seeds, and the seed is fixed. */
static void follows(double temperature, double top_p)
{
    enum { N = 16, DRAWS = 200000 };
    float logits[N];
    test_rng rng = {12};
    double p[N], total = 0, chi2 = 0;
    for (int i = 0; i < N; i++) logits[i] = test_normal(&rng);
    bool in[N];
    for (int i = 0; i < N; i++) total += p[i] = exp(logits[i] / temperature);
    for (int i = 0; i < N; i++) {
        double ahead = 0; /* of everything likelier */
        for (int j = 0; j < N; j++) ahead += p[j] > p[i] ? p[j] / total : 0;
        in[i] = ahead < top_p;
    }
    double kept = 0;
    for (int i = 0; i < N; i++) kept += in[i] ? p[i] : 0;

    size_t counts[N] = {0};
    fvlm_sampler *s = sampler(temperature, top_p, 7, N);
    for (int i = 0; i < DRAWS; i++) counts[fvlm_sampler_draw(s, logits)]++;
    fvlm_sampler_destroy(&s);
    for (int i = 0; i < N; i++) {
        if (!in[i]) assert_int_equal(counts[i], 0);
        const double want = DRAWS * p[i] / kept;
        if (in[i]) chi2 += pow((double)counts[i] - want, 2) / want;
    }
    if (chi2 > 50) fail_msg("temperature %g, top_p %g: chi-square %.1f", temperature, top_p, chi2);
}

static void draws_follow_the_distribution(void **state)
{
    (void)state;
    follows(1, 1);
    follows(0.2, 1);
    follows(2.5, 1);
    follows(1, 0.9);
    follows(0.7, 0.5);
}

/* The nucleus of a small top_p is the likeliest token alone, even at a high temperature. */
static void small_top_p_is_greedy(void **state)
{
    (void)state;
    float logits[300];
    test_rng rng = {3};
    fvlm_sampler *s = sampler(5, 1e-6, 1, 300), *greedy = sampler(0, 1, 0, 300);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 300; i++) logits[i] = test_normal(&rng);
        assert_int_equal(fvlm_sampler_draw(s, logits), fvlm_sampler_draw(greedy, logits));
    }
    fvlm_sampler_destroy(&s);
    fvlm_sampler_destroy(&greedy);
}

/* The draws of seed 42, written down: another machine, compiler or CPU level must repeat them. */
static void a_seed_is_an_answer(void **state)
{
    (void)state;
    static const uint32_t want[12] = {203, 86, 86, 150, 86, 143, 86, 142, 150, 233, 86, 36};
    float logits[300];
    test_rng rng = {5};
    fvlm_sampler *s = sampler(0.8, 0.95, 42, 300), *other = sampler(0.8, 0.95, 43, 300);
    int differs = 0;
    for (int i = 0; i < 300; i++) logits[i] = 2 * test_normal(&rng);
    for (int i = 0; i < 12; i++) {
        const uint32_t id = fvlm_sampler_draw(s, logits);
        assert_int_equal(id, want[i]);
        differs += id != fvlm_sampler_draw(other, logits);
    }
    assert_true(differs > 3);
    fvlm_sampler_destroy(&s);
    fvlm_sampler_destroy(&other);
}

static void exp_is_exp(void **state)
{
    (void)state;
    assert_true(fvlm_sampler_exp(0) == 1);
    assert_true(fvlm_sampler_exp(-701) == 0);
    assert_true(fvlm_sampler_exp(-INFINITY) == 0);
    assert_true(fvlm_sampler_exp(NAN) == 0);
    double worst = 0;
    for (double x = 0; x > -700; x -= 0.01234567) {
        const double want = exp(x);
        worst = fmax(worst, fabs(fvlm_sampler_exp(x) - want) / want);
    }
    if (worst > 2 * 0x1p-52) fail_msg("%.3g", worst);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        double temperature, top_p;
        const char *want;
    } cases[] = {
        {-1, 1, "temperature -1: should be 0 (greedy) to 100"},
        {101, 1, "temperature 101: should be 0 (greedy) to 100"},
        {NAN, 1, "temperature nan: should be 0 (greedy) to 100"},
        {1, 0, "top-p 0: should be above 0, at most 1"},
        {1, 1.5, "top-p 1.5: should be above 0, at most 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const fvlm_sampling s = {1, cases[i].temperature, cases[i].top_p, 0};
        fvlm_sampler *r;
        fvlm_err err = {0};
        assert_int_equal(fvlm_sampler_create(&r, &s, 10, &err), FVLM_USAGE);
        assert_null(r);
        assert_string_equal(err.msg, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_and_ties),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(small_top_p_is_greedy),
        cmocka_unit_test(a_seed_is_an_answer),
        cmocka_unit_test(exp_is_exp),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
