/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: fvlm_utf8_next accepts exactly the sequences that encode a code point, reads no byte beyond
 * n, and skips what Python's errors="replace" skips; fvlm_utf8_put writes what it reads. */
#include "format/base/utf8.h"
#include "tests/support/check.h"

/* The definition, read from the other side: the encoding of every code point, in a table by first three bytes. */
static size_t plain_put(int32_t c, uint8_t *out)
{
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 + c / 64), out[1] = (uint8_t)(0x80 + c % 64), 2;
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 + c / 4096), out[1] = (uint8_t)(0x80 + c / 64 % 64), out[2] = (uint8_t)(0x80 + c % 64);
        return 3;
    }
    out[0] = (uint8_t)(0xf0 + c / 262144), out[1] = (uint8_t)(0x80 + c / 4096 % 64);
    out[2] = (uint8_t)(0x80 + c / 64 % 64), out[3] = (uint8_t)(0x80 + c % 64);
    return 4;
}

static void every_code_point(void **state)
{
    (void)state;
    for (int32_t c = 0; c <= 0x10ffff; c++) {
        uint8_t want[4] = {0}, got[4] = {0};
        const size_t n = plain_put(c, want);
        int32_t read = -2;
        if (c >= 0xd800 && c < 0xe000) { /* a surrogate is no character: its lead alone is skipped */
            assert_int_equal(fvlm_utf8_next(want, n, &read), 1);
            assert_int_equal(read, -1);
            continue;
        }
        assert_int_equal(fvlm_utf8_put(c, got), n);
        assert_memory_equal(got, want, 4);
        assert_int_equal(fvlm_utf8_next(want, n, &read), n);
        assert_int_equal(read, c);
        for (size_t cut = 1; cut < n; cut++) { /* a cut one is skipped whole, and not a byte further */
            uint8_t *exact = malloc(cut);
            assert_non_null(exact);
            memcpy(exact, want, cut);
            assert_int_equal(fvlm_utf8_next(exact, cut, &read), cut);
            assert_int_equal(read, -1);
            free(exact);
        }
    }
}

/* All four-byte strings over the bytes at which a rule begins or ends: accepted only if they are some code point's
 * encoding, and then by that code point. */
static void every_boundary(void **state)
{
    (void)state;
    static const uint8_t edge[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
                                   0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    enum { N = sizeof edge };
    size_t accepted = 0;
    for (size_t i = 0; i < N * N * N * N; i++) {
        const uint8_t s[4] = {edge[i % N], edge[i / N % N], edge[i / N / N % N], edge[i / N / N / N]};
        int32_t c;
        const size_t n = fvlm_utf8_next(s, 4, &c);
        assert_in_range(n, 1, 4);
        if (c < 0) continue;
        uint8_t again[4];
        assert_true(c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000));
        assert_int_equal(plain_put(c, again), n);
        assert_memory_equal(again, s, n);
        accepted++;
    }
    assert_true(accepted > 20000);
}

/* As CPython: len(bytes.decode(errors="replace")) of each. */
static void maximal_subparts(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t marks;
    } cases[] = {{"\xc0\xaf", 2},         {"\xe0\x80\xaf", 3},     {"\xf0\x80\x80\xaf", 4}, {"\xed\xa0\x80", 3},
                 {"\xf4\x90\x80\x80", 4}, {"\xe1\x80\xe2\xf0", 3}, {"\xf1\x80\x80\xf1", 2}, {"\x80\xbf", 2},
                 {"\xe2\x82", 1},         {"\xf0\x9f\x98", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].bytes);
        size_t marks = 0;
        for (size_t at = 0; at < n; marks++) {
            int32_t c;
            at += fvlm_utf8_next((const uint8_t *)cases[i].bytes + at, n - at, &c);
            assert_int_equal(c, -1);
        }
        assert_int_equal(marks, cases[i].marks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_code_point), cmocka_unit_test(every_boundary),
                                       cmocka_unit_test(maximal_subparts)};
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
