/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: enough positions are compared, the same ones each time; each picture has its share; where greedy answers part
 * is where free answers part; the user's own limits take the place of grades. */
#include "tests/verify/parity_files.h"

/* One picture with one prompt becomes 256 positions: the same ones each time, the user's first. */
static void general_questions_fill_up(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_parity p[2];
    fvlm_parity_options o = options_for(model);
    o.positions = FVLM_MIN_POSITIONS;
    o.tokens = 7;
    for (int i = 0; i < 2; i++) must(fvlm_parity_run(&p[i], &o, &err), &err);
    assert_in_range(p[0].agreement[0].compared, FVLM_MIN_POSITIONS, FVLM_MIN_POSITIONS + 6);
    assert_int_equal(p[0].n_images, 1);
    assert_true(p[0].n_drawn >= 1);
    assert_true(p[0].grading[0].judged);
    assert_true(fvlm_verdict_ok(&p[0]));
    assert_ptr_equal(p[0].answers[0].image, picture);
    assert_string_equal(p[0].answers[0].prompt, "abc");
    assert_string_not_equal(p[0].answers[1].prompt, "abc");
    size_t sum = 0;
    assert_int_equal(p[1].n_answers, p[0].n_answers);
    for (size_t i = 0; i < p[0].n_answers; i++) {
        const fvlm_parity_answer *a = &p[0].answers[i], *b = &p[1].answers[i];
        assert_in_range(a->positions, 1, 7);
        assert_int_equal(a->positions, b->positions);
        assert_string_equal(a->prompt, b->prompt);
        assert_false(a->parting[0].parted);
        for (size_t k = 0; k < i; k++)
            assert_false(a->image == p[0].answers[k].image && a->image && !strcmp(a->prompt, p[0].answers[k].prompt));
        sum += a->positions;
    }
    assert_int_equal(sum, p[0].agreement[0].positions);
    for (int i = 0; i < 2; i++) fvlm_parity_free(&p[i]);
}

/* Two pictures: both are asked the user's prompt, and each gets a share of the general questions. */
static void every_picture_has_its_share(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_parity p;
    size_t of[2] = {0};
    char *second = test_path(folder, "second.png");
    assert_true(test_write_picture(second, 64, 64));
    const char *both[] = {picture, second};
    fvlm_parity_options o = options_for(model);
    o.images = both;
    o.n_images = 2;
    o.positions = 40;
    o.tokens = 4;
    must(fvlm_parity_run(&p, &o, &err), &err);
    for (size_t i = 0; i < p.n_answers; i++) of[p.answers[i].image == second] += p.answers[i].positions;
    assert_in_range(of[0], 20, 23);
    assert_in_range(of[0] + of[1], 40, 43);
    assert_int_equal(p.n_drawn, 0);
    fvlm_parity_free(&p);
    free(second);
}

/* The parting that is reported is where free greedy decoding of both files parts. */
static void answers_part_where_free_answers_part(void **state)
{
    (void)state;
    enum { N = 24 };
    fvlm_err err;
    fvlm_parity p;
    fvlm_answer a[2];
    quantize("int4");
    const char *const paths[] = {model, other};
    for (int i = 0; i < 2; i++) {
        const fvlm_question q = {.image = picture, .text = "abc", .sampling = {.max_new_tokens = N, .top_p = 1}};
        fvlm_model *m = open_model(paths[i], &(fvlm_model_options){.threads = 1});
        must(fvlm_model_answer(m, &q, &a[i], &err), &err);
        fvlm_model_close(&m);
    }
    size_t same = 0;
    while (same < a[0].n_ids && same < a[1].n_ids && a[0].ids[same] == a[1].ids[same]) same++;
    fvlm_parity_options o = options_for(other);
    o.tokens = N;
    must(fvlm_parity_run(&p, &o, &err), &err);
    const bool parted = same < a[0].n_ids || same < a[1].n_ids;
    assert_true(parted); /* random weights in 4 bits; else the test shows nothing */
    assert_true(p.answers[0].parting[0].parted);
    assert_int_equal(p.answers[0].parting[0].position, same);
    assert_string_not_equal(p.answers[0].parting[0].source, p.answers[0].parting[0].model);
    fvlm_parity_free(&p);
    for (int i = 0; i < 2; i++) fvlm_answer_free(&a[i]);
}

/* The user's limits decide alone, for better and for worse; too few positions fail all the same. */
static void limits_of_the_user(void **state)
{
    (void)state;
    static const struct {
        fvlm_parity_limits limits;
        fvlm_failure want;
    } cases[] = {
        {{.by_kl = true, .kl = 1000}, FVLM_FAILURE_NONE},
        {{.by_kl = true, .kl = 0}, FVLM_FAILURE_MAX_KL},
        {{.by_top1 = true, .top1 = 0}, FVLM_FAILURE_NONE},
        {{.by_top1 = true, .top1 = 1}, FVLM_FAILURE_MIN_TOP1},
        {{.by_kl = true, .kl = 1000, .by_top1 = true, .top1 = 1}, FVLM_FAILURE_MIN_TOP1},
    };
    fvlm_err err;
    fvlm_parity p;
    quantize("int4");
    fvlm_parity_options o = options_for(other);
    o.positions = FVLM_MIN_POSITIONS;
    o.tokens = 32;
    must(fvlm_parity_run(&p, &o, &err), &err);
    assert_true(p.grading[0].judged);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        p.limits = cases[i].limits;
        assert_int_equal(fvlm_verdict_predictions(&p, 0), cases[i].want);
        p.grading[0].judged = false;
        assert_int_equal(fvlm_verdict_predictions(&p, 0), FVLM_FAILURE_NOT_JUDGED);
        p.grading[0].judged = true;
    }
    p.limits = (fvlm_parity_limits){0};
    for (fvlm_grade g = 0; g < FVLM_N_GRADES; g++) {
        p.grading[0].grade = g;
        assert_int_equal(fvlm_verdict_predictions(&p, 0),
                         g <= FVLM_GRADE_CLOSE ? FVLM_FAILURE_NONE : FVLM_FAILURE_GRADE);
    }
    fvlm_parity_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(general_questions_fill_up),
        cmocka_unit_test(every_picture_has_its_share),
        cmocka_unit_test(answers_part_where_free_answers_part),
        cmocka_unit_test(limits_of_the_user),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
