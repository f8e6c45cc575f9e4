/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: numbers reach the container exactly, or rounded once to nearest even; what does not fit and what is not
 * finite is found. The oracle for rounding is the definition: the nearest of all 65,536 values of the type. */
#include <math.h>

#include "convert/elements.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static const fvlm_type f32 = {.kind = FVLM_F32}, f16 = {.kind = FVLM_F16}, bf16 = {.kind = FVLM_BF16};

static double half_value(fvlm_type type, uint16_t bits)
{
    return (double)(type.kind == FVLM_F16 ? fvlm_f16_to_f32(bits) : fvlm_bf16_to_f32(bits));
}

/* Between each value of the type and the next: the values themselves, the point halfway (to even), and points a
 * hair to either side of it, closer than f32 can tell: rounding by way of f32 would get those wrong. */
static void rounds_once(void **state)
{
    (void)state;
    size_t n = 0;
    for (unsigned k = 0; k < 2; k++) {
        fvlm_type type = k ? f16 : bf16;
        uint16_t top = k ? 0x7bff : 0x7f7f; /* largest finite */
        for (uint16_t bits = 0; bits < top; bits++) {
            double low = half_value(type, bits), high = half_value(type, (uint16_t)(bits + 1)),
                   middle = low + (high - low) / 2;
            double hair = (high - low) * 0x1p-40;
            uint16_t even = bits & 1 ? (uint16_t)(bits + 1) : bits;
            const double x[] = {low,  middle,  middle - hair, middle + hair,
                                -low, -middle, hair - middle, -middle - hair};
            const uint16_t want[] = {bits, even, bits, (uint16_t)(bits + 1)};
            uint16_t got[8];
            assert_int_equal(fvlm_elements_encode(type, x, 8, got), 8);
            for (unsigned i = 0; i < 4; i++, n += 2) {
                if (got[i] != want[i]) fail_msg("%a: got %04x, want %04x", x[i], got[i], want[i]);
                if (got[i + 4] != (want[i] | 0x8000))
                    fail_msg("%a: got %04x, want %04x", x[i + 4], got[i + 4], want[i] | 0x8000);
            }
        }
    }
    print_message("# %zu values rounded\n", n);
}

static void too_large(void **state)
{
    (void)state;
    uint32_t out[4];
    const struct {
        fvlm_type type;
        double x;
        bool fits;
    } cases[] = {
        {f16, 65504, true},
        {f16, 65504.000001, false},
        {f16, -65505, false},
        {f16, 1e300, false},
        {bf16, 0x1.fep127, true},
        {bf16, 0x1.ffp127, false},
        {bf16, -0x1.fffffep127, false},
        {f32, 0x1.fffffep127, true},
        {f32, 0x1.ffffffp127, false},
        {f32, INFINITY, false},
        {f32, NAN, false},
        {bf16, NAN, false},
        {f16, NAN, false},
        {f16, INFINITY, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double x[] = {1, cases[i].x, 2};
        size_t fit = fvlm_elements_encode(cases[i].type, x, 3, out);
        if (fit != (cases[i].fits ? 3 : 1)) fail_msg("case %zu: %zu", i, fit);
    }
}

/* The short ways (copy, shift) give what decode and encode give. */
static void short_ways(void **state)
{
    (void)state;
    test_rng r = {99};
    for (unsigned src = FVLM_SOURCE_F32; src <= FVLM_SOURCE_BF16; src++)
        for (unsigned k = 0; k < 3; k++) {
            enum { N = 1000 };
            const fvlm_type type = k == 0 ? f32 : k == 1 ? f16 : bf16;
            uint8_t raw[4 * N], got[4 * N], want[4 * N];
            double values[N];
            for (int i = 0; i < N; i++) {
                float f = test_normal(&r) * (i % 3 ? 1.0f : 1e-5f);
                uint32_t bits;
                memcpy(&bits, &f, 4);
                if (src == FVLM_SOURCE_F32) fvlm_store_u32(raw + 4 * i, bits);
                if (src == FVLM_SOURCE_F16) fvlm_store_u16(raw + 2 * i, fvlm_f32_to_f16(f));
                if (src == FVLM_SOURCE_BF16) fvlm_store_u16(raw + 2 * i, fvlm_f32_to_bf16(f));
            }
            fvlm_elements_decode(src, raw, N, values);
            assert_int_equal(fvlm_elements_encode(type, values, N, want), N);
            assert_int_equal(fvlm_elements_convert(src, raw, type, N, got), N);
            assert_memory_equal(got, want, N * fvlm_type_float_bytes(type));
        }
}

static void finds_what_is_not_finite(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        uint32_t bits;
    } bad[] = {
        {FVLM_SOURCE_BF16, 0x7f80},    {FVLM_SOURCE_BF16, 0xff80},    {FVLM_SOURCE_BF16, 0x7fc0},
        {FVLM_SOURCE_BF16, 0xff81},    {FVLM_SOURCE_F16, 0x7c00},     {FVLM_SOURCE_F16, 0xfc00},
        {FVLM_SOURCE_F16, 0x7c01},     {FVLM_SOURCE_F32, 0x7f800000}, {FVLM_SOURCE_F32, 0xff800000},
        {FVLM_SOURCE_F32, 0x7f800001}, {FVLM_SOURCE_F32, 0xffffffff},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t at = 0; at < 77; at++) {
            uint8_t raw[4 * 77];
            memset(raw, 0x3f, sizeof raw);
            size_t size = fvlm_source_type_bytes(bad[i].type);
            assert_int_equal(fvlm_elements_check(bad[i].type, raw, 77), 77);
            if (size == 4)
                fvlm_store_u32(raw + 4 * at, bad[i].bits);
            else
                fvlm_store_u16(raw + 2 * at, (uint16_t)bad[i].bits);
            assert_int_equal(fvlm_elements_check(bad[i].type, raw, 77), at);
        }
}

static void says_where(void **state)
{
    (void)state;
    fvlm_err err;
    fvlm_source_tensor t = {.name = "w", .rank = 3, .dims = {4, 5, 6}, .n_elems = 120};
    fvlm_elements_not_finite(&t, 2 * 30 + 3 * 6 + 5, &err);
    assert_string_equal(
        err.msg,
        "tensor \"w\": element [2, 3, 5] is not a finite number; the file is damaged or the training diverged");
    t = (fvlm_source_tensor){.name = "s", .n_elems = 1};
    fvlm_elements_not_finite(&t, 0, &err);
    assert_string_equal(
        err.msg, "tensor \"s\": element [] is not a finite number; the file is damaged or the training diverged");
    fvlm_elements_too_large("a", "weight", 7, 9, f16, &err);
    assert_string_equal(
        err.msg, "tensor \"a.weight\": the value in row 7, column 9 is beyond the largest f16, 65504; use bf16 or f32");
    fvlm_elements_too_large("a", "weight", 7, 9, bf16, &err);
    assert_string_equal(err.msg, "tensor \"a.weight\": the value in row 7, column 9 is beyond the largest bf16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_once), cmocka_unit_test(too_large),
        cmocka_unit_test(short_ways),  cmocka_unit_test(finds_what_is_not_finite),
        cmocka_unit_test(says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
