/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: every type has one name; in every layout each value, scale and offset has a place of its
 * own inside the tensor, where SPEC.md says; sizes that do not fit are refused, never wrapped. */
#include "tests/support/check.h"
#include "tests/support/support.h"

static const uint16_t groups[] = {32, 64, 128, 0};

static fvlm_type int_type(size_t i)
{
    return (fvlm_type){FVLM_INT, i & 1 ? 4 : 8, i >> 1 & 1, groups[i >> 2]};
}

static void names(void **state)
{
    (void)state;
    static const char *const all[] = {
        "f32",           "f16",           "bf16",           "int8-sym-g32",  "int8-sym-g64",
        "int8-sym-g128", "int8-sym-row",  "int8-asym-g32",  "int8-asym-g64", "int8-asym-g128",
        "int8-asym-row", "int4-sym-g32",  "int4-sym-g64",   "int4-sym-g128", "int4-sym-row",
        "int4-asym-g32", "int4-asym-g64", "int4-asym-g128", "int4-asym-row"};
    fvlm_type t, u;
    fvlm_err err;
    char text[24];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(fvlm_type_parse(&t, all[i], &err), FVLM_OK);
        assert_true(fvlm_type_valid(t));
        assert_string_equal(fvlm_type_name(t, text), all[i]);
    }
    fvlm_type_parse(&t, "int8", &err);
    fvlm_type_parse(&u, "int8-sym-g64", &err);
    assert_true(fvlm_type_equal(t, u));
    fvlm_type_parse(&t, "int4", &err);
    fvlm_type_parse(&u, "int4-asym-g64", &err);
    assert_true(fvlm_type_equal(t, u));
    static const char *const bad[] = {
        "",           "f64",          "F32",           "int",           "int2",     "int8-", "int8-sym",
        "int8-sym-g", "int8-sym-g16", "int8-sym-g064", "int8-sym-g64x", "int4-row", " f32",  "int8-asym-row-g64"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(fvlm_type_parse(&t, bad[i], &err), FVLM_USAGE);
}

static void validity(void **state)
{
    (void)state;
    size_t valid = 0;
    for (unsigned kind = 0; kind < 256; kind++)
        for (unsigned bits = 0; bits <= 16; bits++)
            for (unsigned asymmetric = 0; asymmetric <= 2; asymmetric++)
                for (unsigned group = 0; group <= 256; group++)
                    valid += fvlm_type_valid(
                        (fvlm_type){(uint8_t)kind, (uint8_t)bits, (uint8_t)asymmetric, (uint16_t)group});
    assert_int_equal(valid, 19);
}

static void take_place(uint8_t *taken, size_t n, size_t place, const char *what)
{
    if (place >= n) fail_msg("%s at %zu, outside of %zu", what, place, n);
    if (taken[place]) fail_msg("%s at %zu, which is taken", what, place);
    taken[place] = 1;
}

static void int_places(fvlm_type t, size_t n, size_t k)
{
    fvlm_matrix m;
    fvlm_err err;
    assert_int_equal(fvlm_matrix_layout(&m, t, n, k, &err), FVLM_OK);
    size_t n_nibbles = 2 * m.scales_at, n_scales = m.n_panels * 16 * m.n_groups;
    uint8_t *taken = calloc(n_nibbles, 1), *scale_taken = calloc(n_scales, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) {
            unsigned shift = 99;
            size_t at = fvlm_matrix_q_at(&m, i, j, &shift);
            assert_true(shift == 0 || (shift == 4 && t.bits == 4));
            take_place(taken, n_nibbles, 2 * at + shift / 4, "a value");
            if (t.bits == 8) take_place(taken, n_nibbles, 2 * at + 1, "a value");
            /* SPEC.md, written out again */
            size_t tile = j / 4, byte = i % 16 * 4 + j % 4;
            size_t row = t.bits == 8 ? (k + 3) / 4 * 64 : (k + 7) / 8 * 64;
            assert_int_equal(at, i / 16 * row + (t.bits == 8 ? tile * 64 : tile / 2 * 64) + byte);
            assert_int_equal(shift, t.bits == 4 && tile % 2 ? 4 : 0);
        }
        for (size_t g = 0; g < m.n_groups; g++)
            take_place(scale_taken, n_scales, fvlm_matrix_scale_at(&m, i, g), "a scale");
    }
    assert_int_equal(m.n_groups, (k + m.group - 1) / m.group);
    assert_int_equal(m.scales_at % 64, 0);
    size_t end = m.scales_at + 2 * n_scales;
    if (t.asymmetric) {
        assert_true(m.offsets_at % 64 == 0 && m.offsets_at >= end && m.offsets_at < end + 64);
        end = m.offsets_at + 2 * n_scales;
    } else {
        assert_int_equal(m.offsets_at, m.n_bytes);
    }
    assert_int_equal(m.n_bytes, end);
    free(taken);
    free(scale_taken);
}

static const size_t sizes[][2] = {{1, 1},   {1, 3},   {15, 4},   {16, 5},  {17, 7},   {16, 8},  {31, 9},
                                  {32, 31}, {33, 32}, {5, 33},   {48, 63}, {18, 70},  {16, 64}, {7, 65},
                                  {64, 96}, {3, 127}, {20, 128}, {2, 129}, {16, 255}, {80, 27}, {1, 896}};

static void every_int_place(void **state)
{
    (void)state;
    for (size_t t = 0; t < 16; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) int_places(int_type(t), sizes[s][0], sizes[s][1]);
}

static void every_float_place(void **state)
{
    (void)state;
    for (uint8_t kind = FVLM_F32; kind <= FVLM_BF16; kind++)
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            fvlm_matrix m;
            fvlm_err err;
            size_t n = sizes[s][0], k = sizes[s][1], width = kind == FVLM_F32 ? 4 : 2;
            assert_int_equal(fvlm_matrix_layout(&m, (fvlm_type){.kind = kind}, n, k, &err), FVLM_OK);
            assert_int_equal(m.n_bytes, (n + 15) / 16 * 16 * k * width);
            uint8_t *taken = calloc(m.n_bytes / width, 1);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j < k; j++) {
                    size_t at = fvlm_matrix_float_at(&m, i, j);
                    take_place(taken, m.n_bytes / width, at, "a value");
                    assert_int_equal(at, (i / 16 * k + j) * 16 + i % 16);
                }
            free(taken);
        }
}

static void sizes_of_tensors(void **state)
{
    (void)state;
    fvlm_err err;
    uint64_t n;
    const fvlm_type f32 = {.kind = FVLM_F32}, int8 = int_type(4);
    const uint64_t conv[] = {20, 1, 3, 3}, full[] = {20, 7, 3, 3}, zero[] = {4, 0, 1, 1};
    assert_int_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_TAPS, 4, conv, &err), FVLM_OK);
    assert_int_equal(n, 20 * 9 * 4);
    assert_int_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_ROWS, 4, full, &err), FVLM_OK);
    assert_int_equal(n, 20 * 63 * 4);
    assert_int_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_PANELS, 4, full, &err), FVLM_OK);
    assert_int_equal(n, 32 * 63 * 4);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_TAPS, 4, full, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_TAPS, 2, conv, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, int8, FVLM_ROWS, 4, full, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, int8, FVLM_TAPS, 4, conv, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_ROWS, 0, full, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_ROWS, 5, full, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, f32, FVLM_ROWS, 4, zero, &err), FVLM_OK);
    assert_int_not_equal(fvlm_type_tensor_bytes(&n, (fvlm_type){0}, FVLM_ROWS, 1, full, &err), FVLM_OK);
}

/* No product, sum or round-up may wrap: compare with 128-bit arithmetic. */
static void huge_sizes(void **state)
{
    (void)state;
    static const uint64_t v[] = {1,
                                 2,
                                 15,
                                 16,
                                 17,
                                 1ull << 20,
                                 (1ull << 31) - 1,
                                 1ull << 32,
                                 (1ull << 32) + 1,
                                 1ull << 40,
                                 1ull << 56,
                                 1ull << 59,
                                 (1ull << 60) - 1,
                                 1ull << 60,
                                 INT64_MAX,
                                 1ull << 63,
                                 UINT64_MAX - 63,
                                 UINT64_MAX - 15,
                                 UINT64_MAX - 3,
                                 UINT64_MAX};
    const size_t n = sizeof v / sizeof v[0];
    fvlm_err err;
    for (size_t t = 0; t < 16; t++)
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < n; k++) {
                fvlm_type type = int_type(t);
                unsigned __int128 rows = ((unsigned __int128)v[i] + 15) / 16 * 16, multiple = type.bits == 8 ? 4 : 8;
                unsigned __int128 cols = ((unsigned __int128)v[k] + multiple - 1) / multiple * multiple;
                unsigned __int128 group = type.group ? type.group : v[k], per_row = (v[k] + group - 1) / group;
                fvlm_matrix m;
                fvlm_status st = fvlm_matrix_layout(&m, type, v[i], v[k], &err);
                bool fits =
                    rows <= UINT64_MAX && cols <= UINT64_MAX && rows * cols / (type.bits == 8 ? 1 : 2) < UINT64_MAX;
                if (!fits) assert_int_equal(st, FVLM_LIMIT);
                if (st) continue;
                unsigned __int128 values = rows * cols / (type.bits == 8 ? 1 : 2), scales = rows * per_row * 2;
                unsigned __int128 end = (values + 63) / 64 * 64 + scales;
                if (type.asymmetric) end = (end + 63) / 64 * 64 + scales;
                assert_true(end == m.n_bytes);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names),
                                       cmocka_unit_test(validity),
                                       cmocka_unit_test(every_int_place),
                                       cmocka_unit_test(every_float_place),
                                       cmocka_unit_test(sizes_of_tensors),
                                       cmocka_unit_test(huge_sizes)};
    return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
