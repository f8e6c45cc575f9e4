/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a byte order mark is removed once and nothing else is; UTF-16 and UTF-32 are named, with and without a mark.
 */
#include "format/base/encoding.h"

#include "tests/support/check.h"
#include "tests/support/support.h"

static void marks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *left; /* NULL: refused */
    } cases[] = {
        {"", 0, ""},
        {"{", 1, "{"},
        {"{}", 2, "{}"},
        {"\xef\xbb\xbf{}", 5, "{}"},
        {"\xef\xbb\xbf", 3, ""},
        {"\xef\xbb\xbf\xef\xbb\xbf{}", 8, "\xef\xbb\xbf{}"},
        {"\xef\xbb", 2, "\xef\xbb"},
        {"\xe2\x82\xac", 3, "\xe2\x82\xac"},
        {"{}\0\0", 4, "{}"}, /* left to the reader, who sees all 4 bytes */
        {"\xff\xfe{\0}\0", 6, NULL},
        {"\xfe\xff\0{\0}", 6, NULL},
        {"\xff\xfe\0\0{\0\0\0", 8, NULL},
        {"\0\0\xfe\xff\0\0\0{", 8, NULL},
        {"{\0}\0", 4, NULL},
        {"\0{\0}", 4, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fvlm_err err = {0};
        size_t n = cases[i].n;
        char *text = malloc(n + 1); /* exact, so that a read past the end is seen */
        memcpy(text, cases[i].text, n);
        text[n] = 0;
        const fvlm_status st = fvlm_encoding_check(text, &n, "f", &err);
        if (cases[i].left) {
            assert_int_equal(st, FVLM_OK);
            assert_string_equal(text, cases[i].left);
            assert_int_equal(cases[i].n - n, strncmp(cases[i].text, "\xef\xbb\xbf", 3) ? 0 : 3);
            assert_int_equal(text[n], 0);
        } else {
            assert_int_equal(st, FVLM_BAD_INPUT);
            assert_string_equal(err.msg, "\"f\" is UTF-16 or UTF-32 text; save it as UTF-8");
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(marks)};
    return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}
