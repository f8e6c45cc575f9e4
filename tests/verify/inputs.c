/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: pictures that verify draws are the same at every size, differ from each other, and hold something to ask
 * about; no question is asked twice. */
#include <string.h>

#include "tests/support/check.h"
#include "verify/inputs.h"

static fvlm_pixels draw(unsigned index, uint32_t side)
{
    fvlm_pixels p;
    fvlm_err err;
    must(fvlm_pixels_draw(&p, index, side, &err), &err);
    assert_int_equal(p.side, side);
    return p;
}

static void pictures(void **state)
{
    (void)state;
    enum { SIDE = 64, N = SIDE * SIDE * 3 };
    static float all[FVLM_N_DRAWN][N];
    for (unsigned i = 0; i < FVLM_N_DRAWN; i++) {
        fvlm_pixels small = draw(i, SIDE), large = draw(i, 4 * SIDE);
        size_t other = 0;
        for (size_t y = 0; y < SIDE; y++)
            for (size_t x = 0; x < SIDE; x++) {
                const float *at = small.values + (y * SIDE + x) * 3;
                for (size_t k = 0; k < 3; k++) assert_true(at[k] >= 0 && at[k] <= 1);
                assert_memory_equal(at, large.values + (4 * y * 4 * SIDE + 4 * x) * 3, 3 * sizeof *at);
                other += memcmp(at, small.values, 3 * sizeof *at) != 0; /* the corner is background */
            }
        assert_in_range(other, SIDE * SIDE / 100, SIDE * SIDE * 3 / 4);
        memcpy(all[i], small.values, sizeof all[i]);
        for (unsigned k = 0; k < i; k++) assert_memory_not_equal(all[i], all[k], sizeof all[i]);
        fvlm_pixels_free(&small);
        fvlm_pixels_free(&large);
    }
}

static void questions(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FVLM_N_QUESTIONS; i++)
        for (unsigned k = 0; k < i; k++) assert_string_not_equal(fvlm_questions[i], fvlm_questions[k]);
    assert_true((FVLM_N_DRAWN + 1) * FVLM_N_QUESTIONS >= 256); /* enough, though every answer be empty */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pictures), cmocka_unit_test(questions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
