/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: fusion gives what PyTorch's own re-parameterization gives. tests/fixtures/tiny holds the trained model twice:
 * with its branches, and fused by timm in f64 and rounded to f32. Both convert to the same values; where PyTorch added
 * in another order a last bit may differ. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/recipes.h"

#define TINY "tests/fixtures/tiny/"

static size_t n_values, n_different;

static void compare(const char *name, const double *a, const double *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        n_values++;
        if (a[i] == b[i]) continue;
        n_different++;
        if (fabs(a[i] - b[i]) > 0x1p-23 * fabs(b[i]))
            fail_msg("%s: value %zu is %a, PyTorch has %a", name, i, a[i], b[i]);
    }
}

static void same_as_pytorch(void **state)
{
    (void)state;
    test_recipes ours, theirs;
    fvlm_err err = {0};
    if (test_recipes_open(&ours, TINY "unfused", &err) || test_recipes_open(&theirs, TINY "fused", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(ours.names.recipes.n, theirs.names.recipes.n);
    size_t n_train_time = 0;
    for (size_t i = 0; i < ours.names.recipes.n; i++) {
        const fvlm_recipe *m = &ours.names.recipes.items[i], *t = &theirs.names.recipes.items[i];
        test_packed a, b;
        assert_string_equal(m->name, t->name);
        n_train_time += m->fused && !t->fused;
        if (test_pack(&a, &ours, m, (fvlm_type){0}, &err) || test_pack(&b, &theirs, t, (fvlm_type){0}, &err))
            fail_msg("%s", err.msg);
        compare(m->name, a.w, b.w, (size_t)(m->out * m->in * m->k * m->k));
        assert_int_equal(a.b != NULL, b.b != NULL);
        if (a.b) compare(m->name, a.b, b.b, (size_t)m->out);
        test_packed_free(&a);
        test_packed_free(&b);
    }
    assert_true(n_train_time >= 15); /* stem, mixers, downsamples, positions, conv_exp: stored with branches here */
    assert_true(n_different <= n_values / 10000);
    print_message("# %zu values, %zu of them not bit for bit PyTorch's; %zu modules fused from branches\n", n_values,
                  n_different, n_train_time);
    test_recipes_close(&ours);
    test_recipes_close(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
