/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: how embeddings are compared where no language model predicts anything: the figures against ones computed by
 * hand, the grades at their limits, and whole comparisons of tower-only files: equal, rounded, quantized, with a weight
 * changed, too few rows, the user's own limit, another network. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/model_run.h"
#include "tests/support/support.h"
#include "verify/likeness.h"
#include "verify/verdict.h"

static void figures(void **state)
{
    (void)state;
    /* rows (3, 4) and (0, 2); the model has (3, 4) and (2, 0): error^2 8 of 29, cosines 1 and 0 */
    const float x[] = {3, 4, 0, 2}, y[] = {3, 4, 2, 0}, zero[4] = {0}, bad[] = {3, NAN, 0, 2};
    fvlm_likeness l = {0};
    fvlm_likeness_add(&l, x, y, 1, 2);
    assert_true(fvlm_likeness_error(&l) == 0 && fvlm_likeness_cosine(&l) == 1 && l.lowest == 1);
    fvlm_likeness_add(&l, x + 2, y + 2, 1, 2);
    assert_int_equal(l.rows, 2);
    assert_true(fabs(fvlm_likeness_error(&l) - sqrt(8.0 / 29)) < 1e-15);
    assert_true(fvlm_likeness_cosine(&l) == 0.5 && l.lowest == 0);
    assert_int_equal(fvlm_likeness_grade(&l), FVLM_GRADE_VISIBLY_WORSE);
    assert_false(fvlm_likeness_is_judged(&l));
    fvlm_likeness_add(&l, zero, x, 2, 2);
    assert_int_equal(fvlm_likeness_grade(&l), FVLM_GRADE_BROKEN);
    l = (fvlm_likeness){0};
    fvlm_likeness_add(&l, x, bad, 2, 2);
    assert_int_equal(fvlm_likeness_grade(&l), FVLM_GRADE_BROKEN);
    l = (fvlm_likeness){0};
    fvlm_likeness_add(&l, zero, zero, 2, 2);
    assert_true(fvlm_likeness_error(&l) == 0);
}

static void grades(void **state)
{
    (void)state;
    for (fvlm_grade g = 0; g < FVLM_GRADE_BROKEN; g++) {
        const double limit = fvlm_likeness_limit(g);
        const fvlm_likeness at = {.rows = 256, .truth2 = 1, .error2 = limit * limit * (1 - 1e-9)},
                            above = {.rows = 255, .truth2 = 1, .error2 = limit * limit * (1 + 1e-9)};
        assert_int_equal(fvlm_likeness_grade(&at), g);
        assert_int_equal(fvlm_likeness_grade(&above), g + 1);
        assert_true(fvlm_likeness_is_judged(&at) && !fvlm_likeness_is_judged(&above));
    }
}

/* ---- whole comparisons ---- */

typedef struct {
    char source[512], model[512], picture[512];
} files;

static void make(files *f, bool projector)
{
    fvlm_err err = {0};
    random_model r = random_model_small();
    random_model_without_llm(&r, projector);
    r.config.vision.image_size = 256;
    scratch_path(f->source, "source.fvlm");
    scratch_path(f->model, "model.fvlm");
    scratch_path(f->picture, "picture.png");
    assert_true(test_write_picture(f->picture, 90, 150));
    if (random_model_write(&r, f->source, &err) != FVLM_OK) fail_msg("%s", err.msg);
    r.type.kind = FVLM_F16;
    if (random_model_write(&r, f->model, &err) != FVLM_OK) fail_msg("%s", err.msg);
}

static fvlm_parity_options options_for(const files *f, const char *const *images, const char *model)
{
    return (fvlm_parity_options){.model = model,
                                 .source = f->source,
                                 .images = images,
                                 .n_images = 1,
                                 .prompt = "Describe the image.",
                                 .tokens = 64,
                                 .acts = {FVLM_ACT_F32, FVLM_ACT_INT8},
                                 .n_acts = 2,
                                 .positions = FVLM_MIN_POSITIONS};
}

static fvlm_parity compare(const files *f, const char *model)
{
    const char *images[] = {f->picture};
    const fvlm_parity_options o = options_for(f, images, model);
    fvlm_parity p;
    fvlm_err err = {0};
    if (fvlm_parity_run(&p, &o, &err) != FVLM_OK) fail_msg("%s", err.msg);
    return p;
}

static void comparisons(void **state)
{
    (void)state;
    for (int projector = 0; projector < 2; projector++) {
        files f;
        fvlm_err err = {0};
        make(&f, projector);
        fvlm_parity p = compare(&f, f.source);
        assert_string_equal(p.embedding, projector ? "projector" : "vision.final");
        assert_string_equal(p.blocks[p.n_blocks - 1].name, p.embedding);
        assert_int_equal(p.likeness[0].rows, 256); /* 16 of the user's picture, 15 drawn ones */
        assert_int_equal(p.n_images, 1);
        assert_int_equal(p.n_drawn, 15);
        assert_int_equal(p.n_answers, 16);
        assert_int_equal(p.answers[15].positions, 16);
        assert_true(fvlm_likeness_error(&p.likeness[0]) == 0 && fvlm_verdict_ok(&p));
        assert_int_equal(p.agreement[0].positions, 0);
        fvlm_parity_free(&p);

        p = compare(&f, f.model);
        assert_int_equal(p.precision, FVLM_PRECISION_F16);
        assert_true(fvlm_likeness_error(&p.likeness[0]) > 0 && fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);

        assert_int_equal(test_quantize(f.source, f.model, "int8", &err), FVLM_OK);
        p = compare(&f, f.model);
        assert_true(fvlm_likeness_error(&p.likeness[1]) > 1e-3);
        assert_int_equal(fvlm_likeness_grade(&p.likeness[1]), FVLM_GRADE_INDISTINGUISHABLE);
        assert_true(fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);
    }
}

static void negate(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)ctx;
    for (size_t i = 3; i < t->n_bytes; i += 4) bytes[i] ^= 0x80;
}

/* Wrong where no checksum, and for int4 no bound on a block, finds it. */
static void wrong_weights(void **state)
{
    (void)state;
    files f;
    fvlm_err err = {0};
    make(&f, true);
    assert_int_equal(test_edit_model(f.source, f.model, "projector.2.weight", negate, NULL, &err), FVLM_OK);
    fvlm_parity p = compare(&f, f.model);
    assert_false(fvlm_verdict_ok(&p));
    assert_string_equal(p.blocks[fvlm_verdict_first_bad(&p, 0)].name, "projector");
    fvlm_parity_free(&p);

    char int4[512];
    scratch_path(int4, "int4.fvlm");
    assert_int_equal(test_quantize(f.model, int4, "int4", &err), FVLM_OK);
    p = compare(&f, int4);
    assert_int_equal(fvlm_verdict_first_bad(&p, 0), p.n_blocks);
    assert_int_equal(fvlm_verdict_predictions(&p, 0), FVLM_FAILURE_GRADE);
    assert_int_equal(fvlm_verdict_check(&p, "int4.fvlm", &err), FVLM_MISMATCH);
    if (strncmp(err.msg, "\"int4.fvlm\" with f32 activations: broken: the embedding's error is ", 66) ||
        !strstr(err.msg, " (close: at most 0.2)"))
        fail_msg("%s", err.msg);
    fvlm_parity_free(&p);
}

static void limits(void **state)
{
    (void)state;
    files f;
    fvlm_err err = {0};
    fvlm_parity p;
    make(&f, false);
    assert_int_equal(test_quantize(f.source, f.model, "int8", &err), FVLM_OK);
    const char *images[] = {f.picture};
    fvlm_parity_options o = options_for(&f, images, f.model);
    o.n_acts = 1;
    o.positions = 0;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_OK);
    assert_int_equal(fvlm_verdict_check(&p, "m", &err), FVLM_MISMATCH);
    assert_string_equal(err.msg, "\"m\": not judged: 256 rows are needed, and there are 16");
    const double error = fvlm_likeness_error(&p.likeness[0]);
    fvlm_parity_free(&p);
    for (int above = 0; above < 2; above++) {
        char want[100];
        o.limits = (fvlm_parity_limits){.by_error = true, .error = above ? error * 1.01 : 1e-6};
        assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_OK);
        assert_int_equal(fvlm_verdict_check(&p, "m", &err), above ? FVLM_OK : FVLM_MISMATCH);
        snprintf(want, sizeof want,
                 "\"m\" with f32 activations: the embedding's error of %.3g exceeds --max-error 1e-06", error);
        if (!above) assert_string_equal(err.msg, want);
        fvlm_parity_free(&p);
    }
    make(&f, true); /* a source with a projector */
    random_model r = random_model_small();
    random_model_without_llm(&r, false);
    assert_int_equal(random_model_write(&r, f.model, &err), FVLM_OK);
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_MISMATCH);
    if (!strstr(err.msg, "are not the same model: projector is ")) fail_msg("%s", err.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(figures), cmocka_unit_test(grades),
                                       cmocka_unit_test(comparisons), cmocka_unit_test(wrong_weights),
                                       cmocka_unit_test(limits)};
    return cmocka_run_group_tests_name("likeness", tests, NULL, NULL);
}
