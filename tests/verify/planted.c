/* SPDX-License-Identifier: Apache-2.0 */
/* Promises guarded here: a file is at no distance from itself; one changed weight, bias or block scale anywhere is
 * seen, in the very block it belongs to, and nothing before that block is blamed; a quantized model passes its bounds
 * and one with a wrong scale does not; models that are not the same are refused. */
#include <math.h>

#include "tests/verify/parity_files.h"

/* ---- f32 ---- */

static void a_file_beside_itself(void **state)
{
    (void)state;
    fvlm_parity p = beside_source(model);
    assert_int_equal(p.precision, FVLM_PRECISION_EXACT);
    assert_true(p.n_blocks > 15);
    for (size_t i = 0; i < p.n_blocks; i++) {
        assert_true(p.blocks[i].worst[0].relative_l2 == 0);
        assert_true(p.blocks[i].worst[0].max_error == 0);
    }
    assert_true(p.statistics[0].kl.value == 0 && p.statistics[0].rms_dp.value == 0);
    assert_int_equal(p.agreement[0].top1, p.agreement[0].positions);
    assert_true(fvlm_verdict_ok(&p));
    assert_int_equal(fvlm_verdict_first_bad(&p, 0), p.n_blocks);
    fvlm_parity_free(&p);
}

/* Adds 1 to the first stored float: never padding. */

static void one_changed_weight_is_found_where_it_is(void **state)
{
    (void)state;
    static const char *const planted[][2] = {
        {"vision.stem.0.weight", "vision.stem"},
        {"vision.stem.2.bias", "vision.stem"},
        {"vision.stage0.block0.mixer.weight", "vision.stage0.block0"},
        {"vision.stage1.downsample.dw.weight", "vision.stage1.downsample"},
        {"vision.stage1.downsample.pw.weight", "vision.stage1.downsample"},
        {"vision.stage2.block0.ffn.fc1.weight", "vision.stage2.block0"},
        {"vision.stage2.block0.ffn.fc2.bias", "vision.stage2.block0"},
        {"vision.stage3.block0.attn.qkv.weight", "vision.stage3.block0"},
        {"vision.stage4.block0.attn.proj.bias", "vision.stage4.block0"},
        {"vision.final.dw.weight", "vision.final"},
        {"vision.final.se.expand.bias", "vision.final"},
        {"projector.0.weight", "projector"},
        {"projector.2.bias", "projector"},
        {"llm.layer0.attn.q.weight", "llm.layer0"},
        {"llm.layer1.attn.v.bias", "llm.layer1"},
        {"llm.layer2.ffn.down.weight", "llm.layer2"},
        {"llm.layer1.ffn_norm.weight", "llm.layer1"},
        {"llm.norm.weight", "llm.norm"},
    };
    for (size_t k = 0; k < sizeof planted / sizeof planted[0]; k++) {
        fvlm_err err;
        must(test_edit_model(model, edited, planted[k][0], add_one, NULL, &err), &err);
        fvlm_parity p = beside_source(edited);
        const size_t bad = fvlm_verdict_first_bad(&p, 0);
        const char *found = bad < p.n_blocks ? p.blocks[bad].name : "no block";
        if (strcmp(found, planted[k][1])) fail_msg("%s: found in %s", planted[k][0], found);
        for (size_t i = 0; i < bad; i++) assert_true(p.blocks[i].worst[0].relative_l2 == 0);
        assert_false(fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);
    }
}

static void make_it_nan(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)t, (void)ctx;
    const float nan = NAN;
    memcpy(bytes, &nan, sizeof nan);
}

static void not_a_number_never_passes(void **state)
{
    (void)state;
    fvlm_err err;
    must(test_edit_model(model, edited, "llm.layer1.ffn.down.weight", make_it_nan, NULL, &err), &err);
    char want[1024];
    snprintf(want, sizeof want,
             "\"%s\": llm.layer1 gives values that are not finite: llm.layer1.ffn.down.weight[0,0] is NaN; convert the "
             "model again from undamaged weights",
             edited);
    fvlm_parity p;
    fvlm_parity_options o = options_for(edited);
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, want);
    o = options_for(model);
    o.source = edited;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_BAD_INPUT); /* nor in the source */
    char source[1100];
    snprintf(source, sizeof source, "the source: %s", want);
    assert_string_equal(err.msg, source);
}

/* ---- quantized ---- */

/* Multiplies the scale of the first row's first group by *ctx. */
static void change_scale(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    const fvlm_matrix m = test_matrix(t);
    assert_int_equal(t->type.kind, FVLM_INT);
    const float scale = fvlm_bf16_to_f32(fvlm_load_u16(bytes + m.scales_at));
    fvlm_store_u16(bytes + m.scales_at, fvlm_f32_to_bf16(scale * *(float *)ctx));
}

static void quantized_models_pass_and_wrong_scales_do_not(void **state)
{
    (void)state;
    static const char *const where[][2] = {{"vision.stage2.block0.ffn.fc2.weight", "vision.stage2.block0"},
                                           {"llm.layer1.attn.o.weight", "llm.layer1"}};
    quantize("int8");
    fvlm_parity good = beside_source(other);
    assert_int_equal(good.precision, FVLM_PRECISION_INT8);
    assert_int_equal(fvlm_verdict_first_bad(&good, 0), good.n_blocks);
    assert_int_equal(fvlm_verdict_predictions(&good, 0), FVLM_FAILURE_NOT_JUDGED); /* three positions */
    assert_false(fvlm_verdict_ok(&good));
    for (size_t k = 0; k < 2; k++) {
        fvlm_err err;
        float once = 2, much = 300;
        /* A scale twice too large: the first block that differs from the sound int8 file is the one it is in. */
        must(test_edit_model(other, edited, where[k][0], change_scale, &once, &err), &err);
        fvlm_parity p = beside_source(edited);
        size_t i = 0;
        while (i < p.n_blocks && p.blocks[i].worst[0].relative_l2 == good.blocks[i].worst[0].relative_l2) i++;
        assert_true(i < p.n_blocks);
        assert_string_equal(p.blocks[i].name, where[k][1]);
        fvlm_parity_free(&p);
        /* One row quite wrong: out of bounds, there. */
        must(test_edit_model(other, edited, where[k][0], change_scale, &much, &err), &err);
        p = beside_source(edited);
        assert_false(fvlm_verdict_ok(&p));
        double step;
        assert_string_equal(p.blocks[fvlm_verdict_first_bad(&p, 0)].name, where[k][1]);
        assert_string_equal(p.blocks[fvlm_verdict_largest_step(&p, 0, &step)].name, where[k][1]);
        fvlm_parity_free(&p);
    }
    fvlm_parity_free(&good);
}

static void both_modes_and_all_thread_counts(void **state)
{
    (void)state;
    quantize("int4");
    fvlm_parity first = {0};
    for (unsigned threads = 1; threads <= 6; threads += 5) {
        fvlm_parity p;
        fvlm_err err;
        fvlm_parity_options o = options_for(other);
        o.acts[1] = FVLM_ACT_INT8;
        o.n_acts = 2;
        o.threads = threads;
        must(fvlm_parity_run(&p, &o, &err), &err);
        assert_int_equal(p.precision, FVLM_PRECISION_INT4);
        for (size_t i = 0; threads > 1 && i < p.n_blocks; i++)
            assert_memory_equal(p.blocks[i].worst, first.blocks[i].worst, sizeof p.blocks[i].worst);
        bool differ = false;
        for (size_t i = 0; i < p.n_blocks; i++)
            differ |= p.blocks[i].worst[0].relative_l2 != p.blocks[i].worst[1].relative_l2;
        assert_true(differ); /* the modes are two */
        fvlm_parity_free(&first);
        first = p;
    }
    fvlm_parity_free(&first);
}

static void precisions(void **state)
{
    (void)state;
    fvlm_err err;
    random_model r = random_model_small();
    static const struct {
        fvlm_kind kind;
        fvlm_precision precision;
    } cases[] = {{FVLM_F16, FVLM_PRECISION_F16}, {FVLM_BF16, FVLM_PRECISION_BF16}};
    for (size_t i = 0; i < 2; i++) {
        r.type.kind = r.small.kind = (uint8_t)cases[i].kind;
        must(random_model_write(&r, other, &err), &err);
        fvlm_parity p = beside_source(other);
        assert_int_equal(p.precision, cases[i].precision);
        assert_true(fvlm_verdict_act_ok(&p, 0));
        assert_true(fvlm_verdict_first_bad(&p, 0) == p.n_blocks);
        for (size_t b = 0; b < p.n_blocks; b++) assert_true(p.blocks[b].worst[0].relative_l2 > 2e-5);
        fvlm_parity_free(&p);
        /* Beside itself it keeps the types, and must be exact. */
        fvlm_parity_options o = options_for(other);
        o.source = other;
        must(fvlm_parity_run(&p, &o, &err), &err);
        assert_int_equal(p.precision, FVLM_PRECISION_EXACT);
        assert_true(fvlm_verdict_ok(&p));
        fvlm_parity_free(&p);
    }
}

/* ---- refusals ---- */

static void refuses(const fvlm_parity_options *o, fvlm_status code, const char *text)
{
    fvlm_parity p;
    fvlm_err err = {0};
    const fvlm_status st = fvlm_parity_run(&p, o, &err);
    if (st != code || strcmp(err.msg, text)) fail_msg("status %d: %s\nexpected: %s", (int)st, err.msg, text);
}

static void models_that_are_not_the_same(void **state)
{
    (void)state;
    fvlm_err err;
    char text[1200];
    random_model r = random_model_small();
    r.config.llm.rope_theta *= 2;
    must(random_model_write(&r, other, &err), &err);
    fvlm_parity_options o = options_for(other);
    snprintf(text, sizeof text, "\"%s\" and \"%s\" are not the same model: llm.rope_theta is 2000000.0 and 1000000.0",
             other, model);
    refuses(&o, FVLM_MISMATCH, text);
    o = options_for(model);
    o.side = 100;
    fvlm_parity p;
    assert_int_not_equal(fvlm_parity_run(&p, &o, &err), FVLM_OK);
    o.side = 0;
    o.tokens = 4000;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_LIMIT);
    o = options_for(model);
    const char *none[1] = {"/nonexistent.png"};
    o.images = none;
    assert_int_equal(fvlm_parity_run(&p, &o, &err), FVLM_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_beside_itself),
        cmocka_unit_test(one_changed_weight_is_found_where_it_is),
        cmocka_unit_test(not_a_number_never_passes),
        cmocka_unit_test(quantized_models_pass_and_wrong_scales_do_not),
        cmocka_unit_test(both_modes_and_all_thread_counts),
        cmocka_unit_test(precisions),
        cmocka_unit_test(models_that_are_not_the_same),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
