/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: arithmetic on numbers from files never wraps unseen; the cursor never reads past its
 * end; half-precision conversions are exact one way and round to nearest even the other way (tried
 * on every pattern and on both sides of every rounding boundary). */
#include <errno.h>
#include <math.h>

#include "format/base/utf8.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

#define MAX UINT64_MAX

static void checked_arithmetic(void **state)
{
    (void)state;
    static const uint64_t v[] = {0,
                                 1,
                                 2,
                                 3,
                                 63,
                                 64,
                                 65,
                                 255,
                                 65535,
                                 65536,
                                 UINT32_MAX,
                                 1ull << 32,
                                 (1ull << 32) + 1,
                                 INT64_MAX,
                                 1ull << 63,
                                 (1ull << 63) + 1,
                                 MAX - 64,
                                 MAX - 1,
                                 MAX};
    const size_t n = sizeof v / sizeof v[0];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            uint64_t a = v[i], b = v[k], r = 42;
            bool fits = b <= MAX - a;
            assert_int_equal(fvlm_checked_add(a, b, &r), fits);
            assert_true(r == (fits ? a + b : 42));
            r = 42;
            assert_int_equal(fvlm_checked_sub(a, b, &r), a >= b);
            assert_true(r == (a >= b ? a - b : 42));
            r = 42;
            fits = a == 0 || b <= MAX / a;
            assert_int_equal(fvlm_checked_mul(a, b, &r), fits);
            assert_true(r == (fits ? a * b : 42));
            if (b == 0) continue;
            r = 42;
            uint64_t rest = a % b, missing = rest ? b - rest : 0;
            fits = missing <= MAX - a;
            assert_int_equal(fvlm_checked_round_up(a, b, &r), fits);
            assert_true(r == (fits ? a + missing : 42));
        }
    size_t size = 7;
    assert_true(fvlm_checked_size(SIZE_MAX, &size) && size == SIZE_MAX);
}

static void memory(void **state)
{
    (void)state;
    assert_null(fvlm_alloc(SIZE_MAX, 2));
    assert_null(fvlm_alloc(1ull << 33, 1ull << 33));
    assert_null(fvlm_alloc(SIZE_MAX, 1));
    for (size_t n = 0; n < 200; n += 13) {
        uint8_t *p = fvlm_alloc(n, 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        free(p);
    }
}

static void cursor(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    fvlm_cursor c = fvlm_cursor_over(bytes, sizeof bytes);
    assert_int_equal(fvlm_cursor_take_u32(&c), 0x04030201);
    assert_true(fvlm_cursor_take_u64(&c) == 0x0c0b0a0908070605ull);
    assert_true(c.ok);
    assert_int_equal(fvlm_cursor_take_u32(&c), 0); /* three are left */
    assert_false(c.ok);
    for (size_t n = 0; n < 8; n++) { /* short by one: fails, and stays failed */
        c = fvlm_cursor_over(bytes, n);
        assert_int_equal(fvlm_cursor_take_u64(&c), 0);
        assert_false(c.ok);
        assert_null(fvlm_cursor_take(&c, 0));
    }
    c = fvlm_cursor_over(bytes, sizeof bytes);
    assert_null(fvlm_cursor_take(&c, SIZE_MAX));
    assert_false(c.ok);
}

static void stores_and_loads(void **state)
{
    (void)state;
    uint8_t p[8];
    test_rng rng = {3};
    for (int i = 0; i < 1000; i++) {
        uint64_t v = test_u64(&rng);
        fvlm_store_u64(p, v);
        for (unsigned k = 0; k < 8; k++) assert_int_equal(p[k], (uint8_t)(v >> 8 * k));
        assert_true(fvlm_load_u64(p) == v);
        fvlm_store_u32(p, (uint32_t)v);
        assert_true(fvlm_load_u32(p) == (uint32_t)v);
        fvlm_store_u16(p, (uint16_t)v);
        assert_true(fvlm_load_u16(p) == (uint16_t)v);
    }
}

/* A message that does not fit keeps its beginning and its cause; what is lost is the middle of the longest quoted part,
 * between whole characters. */
static void long_messages(void **state)
{
    (void)state;
    fvlm_err err;
    char path[4097], other[4097];
    for (size_t n = 1; n < sizeof path; n += n < 1900 ? 97 : 1) {
        memset(path, 'p', n);
        path[n] = 0;
        errno = ENOENT;
        assert_int_equal(fvlm_fail_errno(&err, "\"%s\"", path), FVLM_IO);
        const char *cause = "\": No such file or directory";
        const size_t length = strlen(err.msg);
        assert_string_equal(err.msg + length - strlen(cause), cause);
        assert_true(n + 2 + strlen(cause) - 1 >= length && err.msg[0] == '"' && err.msg[1] == 'p');
        if (n > sizeof err.msg) assert_true(length >= sizeof err.msg - 8 && strstr(err.msg, "p...p"));
        fvlm_err_prefix(&err, "\"%s\"", path);
        assert_string_equal(err.msg + strlen(err.msg) - strlen(cause), cause);
        assert_true(strlen(err.msg) < sizeof err.msg);
    }
    memset(other, 'o', 4096);
    other[4096] = 0;
    fvlm_fail(&err, FVLM_BAD_INPUT, "\"%s\" is not \"%s\"; say why", path, other);
    assert_true(!strncmp(err.msg, "\"ppp", 4) && strstr(err.msg, "p\" is not \"o") && strstr(err.msg, "o\"; say why"));
    for (size_t i = 0; i < 20; i++) fvlm_err_prefix(&err, "\"%s\"", path);
    assert_non_null(strstr(err.msg, "say why"));
    for (size_t i = 0; i + 4 < sizeof path; i += 4) memcpy(path + i, "\xf0\x9f\x98\x80", 4);
    for (size_t shift = 0; shift < 4; shift++) {
        fvlm_fail(&err, FVLM_BAD_INPUT, "%.*s\"%s\" ends", (int)shift, "xxxx", path);
        for (size_t at = 0, n, all = strlen(err.msg); at < all; at += n) {
            int32_t c;
            n = fvlm_utf8_next((const uint8_t *)err.msg + at, all - at, &c);
            assert_true(c >= 0);
        }
        assert_string_equal(err.msg + strlen(err.msg) - 6, "\" ends");
    }
    char words[3000] = "";
    for (size_t i = 0; i < 300; i++) strcat(words, "\"a\", \"b\" ");
    fvlm_fail(&err, FVLM_BAD_INPUT, "begin %s the end", words);
    assert_true(!strncmp(err.msg, "begin", 5) && strstr(err.msg, "the end"));
}

/* ---- half precision, against arithmetic in f64 from the definition ---- */

typedef struct {
    const char *name;
    int mantissa_bits, bias;
    uint16_t infinity;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
} half_type;

static const half_type halves[] = {{"f16", 10, 15, 0x7c00, fvlm_f16_to_f32, fvlm_f32_to_f16},
                                   {"bf16", 7, 127, 0x7f80, fvlm_bf16_to_f32, fvlm_f32_to_bf16}};

static double defined_value(const half_type *t, uint16_t h)
{
    int exponent = (h & 0x7fff) >> t->mantissa_bits, mantissa = h & ((1 << t->mantissa_bits) - 1);
    double m = mantissa, one = 1 << t->mantissa_bits;
    double v = exponent == 0 ? ldexp(m / one, 1 - t->bias) : ldexp(1 + m / one, exponent - t->bias);
    return h & 0x8000 ? -v : v;
}

static void every_half_pattern(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        const half_type *t = &halves[k];
        for (uint32_t i = 0; i < 65536; i++) {
            uint16_t h = (uint16_t)i, magnitude = h & 0x7fff;
            float f = t->widen(h);
            if (magnitude > t->infinity) {
                assert_true(isnan(f));
                uint16_t back = t->narrow(f);
                assert_true((back & 0x7fff) > t->infinity);
                assert_true((back & 0x8000) == (h & 0x8000));
            } else if (magnitude == t->infinity) {
                assert_true(isinf(f) && (f < 0) == (h >= 0x8000));
                assert_int_equal(t->narrow(f), h);
            } else {
                assert_true((double)f == defined_value(t, h));
                assert_true(!!signbit(f) == (h >= 0x8000));
                assert_int_equal(t->narrow(f), h);
            }
        }
    }
}

static void expect_half(const half_type *t, float f, uint16_t want)
{
    if (t->narrow(f) != want || t->narrow(-f) != (want | 0x8000))
        fail_msg("%s of %a: %04x, expected %04x", t->name, (double)f, t->narrow(f), want);
}

/* Between every two neighbours: just above the lower, around the middle, just below the upper. */
static void every_rounding_boundary(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        const half_type *t = &halves[k];
        for (uint16_t h = 0; h < t->infinity; h++) {
            bool last = h + 1 == t->infinity; /* what would come next if the exponent went on */
            double low = defined_value(t, h), high = last ? ldexp(1, t->bias + 1) : defined_value(t, (uint16_t)(h + 1));
            float middle = (float)((low + high) / 2);
            assert_true((double)middle == (low + high) / 2);
            expect_half(t, (float)low, h);
            expect_half(t, nextafterf((float)low, INFINITY), h);
            expect_half(t, nextafterf(middle, 0), h);
            expect_half(t, middle, h & 1 ? (uint16_t)(h + 1) : h);
            expect_half(t, nextafterf(middle, INFINITY), (uint16_t)(h + 1));
            if (!last) expect_half(t, nextafterf((float)high, 0), (uint16_t)(h + 1));
        }
        expect_half(t, INFINITY, t->infinity);
        expect_half(t, 3.4028235e38f, t->infinity);
    }
}

#ifdef __FLT16_MANT_DIG__
/* The compiler's own conversion, on a million patterns of f32. */
static void as_the_compiler_does(void **state)
{
    (void)state;
    test_rng rng = {9};
    for (int i = 0; i < 1000000; i++) {
        uint32_t u = (uint32_t)test_u64(&rng);
        if (i & 1) u = (u & 0x80ffffff) | (uint32_t)(0x30 + test_below(&rng, 0x18)) << 24; /* in f16's range */
        float f;
        memcpy(&f, &u, 4);
        if (isnan(f)) continue;
        _Float16 h = (_Float16)f;
        uint16_t want;
        memcpy(&want, &h, 2);
        if (fvlm_f32_to_f16(f) != want) fail_msg("f16 of %a: %04x, expected %04x", (double)f, fvlm_f32_to_f16(f), want);
    }
}
#else
static void as_the_compiler_does(void **state)
{
    (void)state;
    skip(); /* no _Float16 here */
}
#endif

static void errors(void **state)
{
    (void)state;
    fvlm_err err = {0};
    assert_int_equal(fvlm_fail(&err, FVLM_LIMIT, "%d is too many", 3), FVLM_LIMIT);
    assert_string_equal(err.msg, "3 is too many");
    assert_int_equal(fvlm_err_prefix(&err, "\"%s\"", "a"), FVLM_LIMIT);
    assert_string_equal(err.msg, "\"a\": 3 is too many");
    assert_int_equal(fvlm_refuse(&err, 17, "bad"), FVLM_BAD_INPUT);
    assert_int_equal(err.offset, 17);
    assert_int_equal(fvlm_fail(NULL, FVLM_IO, "nobody listens"), FVLM_IO);
    assert_int_not_equal(fvlm_err_prefix(NULL, "nobody listens"), FVLM_OK);
    char long_text[sizeof err.msg + 1000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    fvlm_fail(&err, FVLM_LIMIT, "%s", long_text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    fvlm_err_prefix(&err, "%s", long_text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    static const int codes[][2] = {{FVLM_OK, 0},    {FVLM_BAD_INPUT, 1}, {FVLM_UNSUPPORTED, 1},
                                   {FVLM_LIMIT, 1}, {FVLM_MISMATCH, 1},  {FVLM_USAGE, 2},
                                   {FVLM_IO, 3},    {FVLM_CHANGED, 3},   {FVLM_NOMEM, 3}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        assert_int_equal(fvlm_exit_code((fvlm_status)codes[i][0]), codes[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checked_arithmetic),
                                       cmocka_unit_test(memory),
                                       cmocka_unit_test(cursor),
                                       cmocka_unit_test(stores_and_loads),
                                       cmocka_unit_test(long_messages),
                                       cmocka_unit_test(every_half_pattern),
                                       cmocka_unit_test(every_rounding_boundary),
                                       cmocka_unit_test(as_the_compiler_does),
                                       cmocka_unit_test(errors)};
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
