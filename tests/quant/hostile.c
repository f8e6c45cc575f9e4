/* SPDX-License-Identifier: Apache-2.0 */
/* Promise guarded here: groups that break naive encoders have a stated result: zeros, next to nothing, one huge value,
 * one number everywhere, a range far from zero, the largest magnitudes. Never a NaN, never an infinity. */
#include <math.h>

#include "quant/search/search.h"
#include "tests/support/blocks.h"
#include "tests/support/check.h"

enum { N = 64 };
static float x[N], y[N];

/* Encodes x as a row and decodes it to y, for type i; returns the largest error, and the first group's scale and
 * offset as bf16. */
static double round_trip(size_t i, uint16_t *scale, uint16_t *offset)
{
    const fvlm_type t = test_int_type(i);
    const size_t group = t.group && t.group < N ? t.group : N;
    static float lanes[N * FVLM_PANEL], scratch[N * FVLM_PANEL];
    static uint8_t q[N * FVLM_PANEL];
    fvlm_cpu cpu;
    double worst = 0;
    assert_int_equal(fvlm_cpu_select(&cpu, NULL, NULL), FVLM_OK);
    for (size_t first = 0; first < N; first += group) {
        for (size_t k = 0; k < group; k++) lanes[k * FVLM_PANEL] = x[first + k];
        fvlm_encode_group g = {.type = t, .n = group, .x = lanes, .scratch = scratch, .q = q};
        fvlm_encode_group_for(cpu)(&g);
        if (first == 0) *scale = fvlm_f32_to_bf16(g.scale[0]), *offset = fvlm_f32_to_bf16(g.offset[0]);
        for (size_t k = 0; k < group; k++) {
            y[first + k] = test_decode(t, q[k * FVLM_PANEL], g.scale[0], g.offset[0]);
            assert_true(isfinite(y[first + k]));
            worst = fmax(worst, fabs((double)x[first + k] - (double)y[first + k]));
        }
    }
    return worst;
}

static void fill(float v)
{
    for (size_t k = 0; k < N; k++) x[k] = v;
}

static void zeros_are_exact(void **state)
{
    (void)state;
    uint16_t s, o;
    fill(0);
    x[3] = -0.0f;
    for (size_t i = 0; i < 16; i++) {
        assert_true(round_trip(i, &s, &o) == 0);
        assert_int_equal(s, 0);
        assert_int_equal(o, 0);
    }
}

static void next_to_nothing_becomes_zero(void **state)
{
    (void)state;
    static const float tiny[] = {1e-45f, 1e-39f, 1.2e-38f, 8e-28f};
    uint16_t s, o;
    for (size_t v = 0; v < 4; v++)
        for (size_t i = 0; i < 16; i++) {
            fill(tiny[v]);
            x[5] = -tiny[v];
            assert_true(round_trip(i, &s, &o) == (double)tiny[v]);
            assert_int_equal(s, 0);
        }
    /* Just above the limit a group is encoded as well as any other. */
    for (size_t i = 0; i < 16; i++) {
        for (size_t k = 0; k < N; k++) x[k] = FVLM_ENCODE_MIN * (float)k / 16;
        round_trip(i, &s, &o);
        assert_true(s != 0);
        assert_true(fabs((double)y[63] - (double)x[63]) < 0.1 * (double)x[63]);
    }
}

static void one_huge_value(void **state)
{
    (void)state;
    uint16_t s, o;
    for (size_t i = 0; i < 16; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            for (size_t k = 0; k < N; k++) x[k] = (float)((int)(k % 5) - 2) * 1e-3f;
            x[17] = (float)sign * 1e30f;
            round_trip(i, &s, &o);
            assert_true(fabs((double)y[17] / (double)x[17] - 1) < 0.01); /* the huge one survives */
            assert_true(fabs((double)y[3]) < 0.01 * 1e30); /* its neighbours become next to nothing beside it */
        }
}

static void largest_magnitudes_stay_finite(void **state)
{
    (void)state;
    uint16_t s, o;
    for (size_t i = 0; i < 16; i++) {
        for (size_t k = 0; k < N; k++) x[k] = (k & 1 ? -1.0f : 1.0f) * FVLM_ENCODE_MAX;
        round_trip(i, &s, &o);
        fill(FVLM_ENCODE_MAX);
        assert_true(round_trip(i, &s, &o) < 0.004 * (double)FVLM_ENCODE_MAX);
        fill(-FVLM_ENCODE_MAX);
        assert_true(round_trip(i, &s, &o) < 0.004 * (double)FVLM_ENCODE_MAX);
    }
}

static void one_number_everywhere(void **state)
{
    (void)state;
    uint16_t s, o;
    test_rng r = {3};
    for (size_t i = 0; i < 16; i++)
        for (int trial = 0; trial < 100; trial++) {
            fill(test_normal(&r));
            const double worst = round_trip(i, &s, &o), c = fabs((double)x[0]);
            /* Asymmetric types keep the number to 16 bits, symmetric ones to those of their bf16 scale. */
            assert_true(worst <= c * (test_int_type(i).asymmetric ? 0x1p-16 : 0x1p-8));
        }
}

/* Values 1000 .. 1000.1: the offset alone is a hundred times coarser than the range. */
static void a_range_far_from_zero(void **state)
{
    (void)state;
    uint16_t s, o;
    for (size_t k = 0; k < N; k++) x[k] = 1000.0f + 0.1f * (float)k / N;
    for (size_t i = 0; i < 16; i++) assert_true(round_trip(i, &s, &o) < (test_int_type(i).asymmetric ? 0.2 : 4.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_exact),       cmocka_unit_test(next_to_nothing_becomes_zero),
        cmocka_unit_test(one_huge_value),        cmocka_unit_test(largest_magnitudes_stay_finite),
        cmocka_unit_test(one_number_everywhere), cmocka_unit_test(a_range_far_from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
