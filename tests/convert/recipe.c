/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: what convert writes is the one list of tensors (format/tensors.h). Recipes with a name, layout, shape or
 * order that the config does not demand are refused, and so are too few and too many. */
#include "tests/support/check.h"
#include "tests/support/recipes.h"

static test_recipes r;
static fvlm_err err;

static const char *verdict(void)
{
    err = (fvlm_err){0};
    return fvlm_recipes_check(&r.names.recipes, &r.names.config, &err) ? err.msg : "";
}

static fvlm_recipe *find(const char *name)
{
    for (size_t i = 0; i < r.names.recipes.n; i++)
        if (!strcmp(r.names.recipes.items[i].name, name)) return &r.names.recipes.items[i];
    fail_msg("no recipe %s", name);
    return NULL;
}

static void parts(void **state)
{
    (void)state;
    assert_string_equal(verdict(), "");
    assert_int_equal(find("vision.stem.0")->part, FVLM_PART_STEM);
    assert_int_equal(find("vision.stage1.downsample.pw")->part, FVLM_PART_DOWNSAMPLE);
    assert_int_equal(find("vision.final.se.expand")->part, FVLM_PART_SE);
    assert_int_equal(find("llm.norm")->part, FVLM_PART_LLM_NORMS);
}

static void refusals(void **state)
{
    (void)state;
    fvlm_recipe *m = find("projector.2"), kept = *m, *q = find("llm.layer0.attn.q"), other = *q;
    m->dims[0]++;
    assert_non_null(strstr(verdict(), "tensor \"projector.2.weight\" has shape ["));
    *m = kept;
    m->layout = FVLM_TAPS;
    assert_string_equal(verdict(), "tensor \"projector.2.weight\" is stored in taps, expected panels");
    *m = kept;
    m->out++;
    assert_non_null(strstr(verdict(), "tensor \"projector.2.bias\" has shape ["));
    *m = kept;
    m->has_bias = false;
    assert_string_equal(
        verdict(), "the checkpoint gives tensor \"llm.embed.weight\" where the config demands \"projector.2.bias\"");
    *m = kept;
    *m = other, *q = kept;
    assert_string_equal(
        verdict(),
        "the checkpoint gives tensor \"llm.layer0.attn.q.weight\" where the config demands \"projector.2.weight\"");
    *m = kept, *q = other;
    r.names.recipes.n--;
    assert_string_equal(verdict(), "the checkpoint gives no tensor \"llm.norm.weight\", which the config demands");
    r.names.recipes.n++;
    r.names.config.llm.layers--;
    assert_non_null(strstr(verdict(), "where the config demands \"llm.norm.weight\""));
    r.names.config.llm.layers++;
    r.names.config.llm.tied = false;
    assert_string_equal(verdict(), "the checkpoint gives no tensor \"llm.head.weight\", which the config demands");
    r.names.config.llm.tied = true;
    assert_string_equal(verdict(), "");
}

static int open_tiny(void **state)
{
    (void)state;
    return test_recipes_open(&r, "tests/fixtures/tiny/unfused", &err) != FVLM_OK;
}

static int close_tiny(void **state)
{
    (void)state;
    test_recipes_close(&r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, open_tiny, close_tiny);
}
