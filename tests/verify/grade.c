/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a grade changes exactly at its limits, the worst figure decides, a limit inside the standard error is
 * reported, fewer than 256 positions are not judged; and the limits part llama.cpp's types where llama.cpp's own words
 * do. */
#include <math.h>

#include "tests/support/check.h"
#include "verify/grade.h"

static fvlm_estimate exactly(double v)
{
    return (fvlm_estimate){v, v, v};
}

static fvlm_statistics perfect(void)
{
    return (fvlm_statistics){.top1 = exactly(1)};
}

static void set(fvlm_statistics *s, fvlm_figure f, fvlm_estimate e)
{
    *(f == FVLM_FIGURE_KL ? &s->kl : f == FVLM_FIGURE_TOP1 ? &s->top1 : &s->rms_dp) = e;
}

static void at_every_limit(void **state)
{
    (void)state;
    for (fvlm_figure f = 0; f < FVLM_N_FIGURES; f++)
        for (fvlm_grade g = 0; g < FVLM_GRADE_BROKEN; g++) {
            const double limit = fvlm_grade_limit(f, g), worse = f == FVLM_FIGURE_TOP1 ? 0 : INFINITY;
            fvlm_statistics s = perfect();
            set(&s, f, exactly(limit));
            fvlm_grading out = fvlm_grade_statistics(&s, 300);
            assert_int_equal(out.grade, g);
            assert_int_equal(out.figures[f], g);
            set(&s, f, exactly(nextafter(limit, worse)));
            out = fvlm_grade_statistics(&s, 300);
            assert_int_equal(out.grade, g + 1);
            assert_int_equal(out.decisive, f);
            for (fvlm_figure other = 0; other < FVLM_N_FIGURES; other++)
                if (other != f) assert_int_equal(out.figures[other], FVLM_GRADE_INDISTINGUISHABLE);
            if (g)
                assert_true(f == FVLM_FIGURE_TOP1 ? limit < fvlm_grade_limit(f, g - 1)
                                                  : limit > fvlm_grade_limit(f, g - 1));
        }
}

static void not_a_number_is_broken(void **state)
{
    (void)state;
    for (fvlm_figure f = 0; f < FVLM_N_FIGURES; f++) {
        fvlm_statistics s = perfect();
        set(&s, f, exactly(NAN));
        assert_int_equal(fvlm_grade_statistics(&s, 300).grade, FVLM_GRADE_BROKEN);
    }
    fvlm_statistics s = perfect();
    set(&s, FVLM_FIGURE_KL, exactly(INFINITY));
    assert_int_equal(fvlm_grade_statistics(&s, 300).low, FVLM_GRADE_BROKEN);
}

static void uncertainty(void **state)
{
    (void)state;
    fvlm_statistics s = perfect();
    const double limit = fvlm_grade_limit(FVLM_FIGURE_KL, FVLM_GRADE_CLOSE);
    set(&s, FVLM_FIGURE_KL, (fvlm_estimate){limit * 0.9, limit * 0.7, limit * 1.1});
    fvlm_grading g = fvlm_grade_statistics(&s, 300);
    assert_int_equal(g.grade, FVLM_GRADE_CLOSE);
    assert_int_equal(g.low, FVLM_GRADE_CLOSE);
    assert_int_equal(g.high, FVLM_GRADE_VISIBLY_WORSE);
    const double agree = fvlm_grade_limit(FVLM_FIGURE_TOP1, FVLM_GRADE_VISIBLY_WORSE);
    set(&s, FVLM_FIGURE_TOP1, (fvlm_estimate){agree - 0.01, agree - 0.02, agree + 0.01});
    g = fvlm_grade_statistics(&s, 300);
    assert_int_equal(g.grade, FVLM_GRADE_BROKEN);
    assert_int_equal(g.decisive, FVLM_FIGURE_TOP1);
    assert_int_equal(g.low, FVLM_GRADE_VISIBLY_WORSE);
    assert_int_equal(g.high, FVLM_GRADE_BROKEN);
}

static void enough_positions(void **state)
{
    (void)state;
    const fvlm_statistics s = perfect();
    assert_false(fvlm_grade_statistics(&s, 0).judged);
    assert_false(fvlm_grade_statistics(&s, 255).judged);
    assert_true(fvlm_grade_statistics(&s, 256).judged);
}

/* Llama 3 8B, tools/perplexity/README.md of llama.cpp: mean KLD and RMS dp in percent. */
static void published_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        double kl, rms;
        fvlm_grade want;
    } published[] = {
        {"Q8_0", 0.001355, 1.198, FVLM_GRADE_INDISTINGUISHABLE},
        {"Q6_K", 0.005452, 2.295, FVLM_GRADE_INDISTINGUISHABLE},
        {"Q5_K_M", 0.010762, 3.160, FVLM_GRADE_CLOSE},
        {"Q4_K_M", 0.031273, 5.519, FVLM_GRADE_CLOSE},
        {"Q4_K_S", 0.043136, 6.562, FVLM_GRADE_CLOSE},
        {"Q4_0", 0.071940, 8.434, FVLM_GRADE_VISIBLY_WORSE},
        {"Q3_K_M", 0.101913, 10.203, FVLM_GRADE_VISIBLY_WORSE},
        {"Q3_K_S", 0.228217, 15.541, FVLM_GRADE_VISIBLY_WORSE},
        {"IQ2_XS", 0.546290, 23.872, FVLM_GRADE_BROKEN},
        {"IQ1_S", 2.211278, 46.418, FVLM_GRADE_BROKEN},
    };
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
        for (int figure = 0; figure < 2; figure++) {
            fvlm_statistics s = perfect();
            if (figure)
                set(&s, FVLM_FIGURE_RMS_DP, exactly(published[i].rms / 100));
            else
                set(&s, FVLM_FIGURE_KL, exactly(published[i].kl));
            const fvlm_grade got = fvlm_grade_statistics(&s, 300).grade;
            if (got != published[i].want) fail_msg("%s is graded %s", published[i].type, fvlm_grade_name(got));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(at_every_limit), cmocka_unit_test(not_a_number_is_broken),
                                       cmocka_unit_test(uncertainty), cmocka_unit_test(enough_positions),
                                       cmocka_unit_test(published_types)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
