/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the pull parser reads the JSON that jansson reads and refuses what jansson refuses, on random texts, valid
 * and damaged; its decoded strings are jansson's, and so is the tree made of it. (Two readings of one header is how a
 * file says different things to different tools.) */
#include <jansson.h>

#include "format/base/json.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

#define ROOM 4096

typedef struct {
    char text[ROOM];
    size_t n;
    test_rng r;
} maker;

static void put(maker *m, const char *s)
{
    size_t n = strlen(s);
    if (m->n + n < ROOM - 64) {
        memcpy(m->text + m->n, s, n);
        m->n += n;
    }
}

static void space(maker *m)
{
    static const char *const kinds[] = {"", "", "", " ", "\n", "\t\r "};
    put(m, kinds[test_below(&m->r, 6)]);
}

static void string(maker *m)
{
    static const char *const pieces[] = {
        "a", "weight", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9", "\\u20ac",      "\\ud83d\\ude00",
        "é", "€",      "😀",   " ",    "{",    "]",   ",",       ":",       "\\b\\f\\r\\t", "\x7f"};
    put(m, "\"");
    for (uint64_t k = test_below(&m->r, 5); k; k--) put(m, pieces[test_below(&m->r, 20)]);
    put(m, "\"");
}

static void value(maker *m, unsigned depth)
{
    static const char *const scalars[] = {"true", "false", "null", "0",    "-0",      "1",     "-12",
                                          "3.25", "0.5",   "1e2",  "1E-2", "-7.5e+1", "123456"};
    uint64_t kind = test_below(&m->r, depth > 5 ? 4 : 6);
    space(m);
    if (kind < 2) {
        put(m, scalars[test_below(&m->r, 13)]);
    } else if (kind < 4) {
        string(m);
    } else {
        bool object = kind == 4;
        uint64_t n = test_below(&m->r, 4);
        put(m, object ? "{" : "[");
        for (uint64_t i = 0; i < n; i++) {
            if (i) put(m, ",");
            space(m);
            if (object) {
                string(m);
                space(m);
                put(m, ":");
            }
            value(m, depth + 1);
        }
        space(m);
        put(m, object ? "}" : "]");
    }
    space(m);
}

static void damage(maker *m)
{
    static const char bytes[] = "{}[]\",:\\u0123-+.eEtfn \x01\x80\xc3\xe2\xf0\xed\xff";
    size_t at = (size_t)test_below(&m->r, m->n);
    switch (test_below(&m->r, 4)) {
    case 0:
        m->text[at] = bytes[test_below(&m->r, sizeof bytes - 1)];
        break;
    case 1:
        memmove(m->text + at, m->text + at + 1, m->n - at - 1);
        m->n--;
        break;
    case 2:
        memmove(m->text + at + 1, m->text + at, m->n - at);
        m->text[at] = bytes[test_below(&m->r, sizeof bytes - 1)];
        m->n++;
        break;
    case 3:
        m->n = at;
        break;
    }
}

static bool scans(const maker *m)
{
    size_t begin, end;
    char *copy = malloc(m->n ? m->n : 1); /* exactly as long */
    memcpy(copy, m->text, m->n);
    fvlm_err err = {0};
    fvlm_json_pull s = fvlm_json_pull_over(copy, m->n, "t", 0, &err);
    bool ok = fvlm_json_pull_skip(&s, &begin, &end) && fvlm_json_pull_end(&s);
    assert_memory_equal(copy, m->text, m->n); /* skipping leaves the text as it is */
    if (!ok) assert_true(s.st && err.code == s.st && err.offset <= m->n);
    free(copy);
    return ok;
}

/* Numbers so large that jansson gives up on them are damage of their own kind. */
static bool jansson_range(const json_error_t *e)
{
    return json_error_code(e) == json_error_numeric_overflow;
}

static void agrees_with_jansson(void **state)
{
    (void)state;
    maker m = {.r = {424242}};
    size_t n_good = 0, n_bad = 0;
    for (int i = 0; i < 200000; i++) {
        m.n = 0;
        value(&m, 0);
        for (uint64_t k = test_below(&m.r, 3); k && m.n; k--) damage(&m);
        json_error_t e;
        json_t *tree = json_loadb(m.text, m.n, JSON_DECODE_ANY, &e);
        bool ours = scans(&m);
        if (ours != (tree != NULL) && (tree || !jansson_range(&e)))
            fail_msg("%.*s: %s here, jansson: %s", (int)m.n, m.text, ours ? "accepted" : "refused",
                     tree ? "accepted" : e.text);
        ours ? n_good++ : n_bad++;
        json_decref(tree);
    }
    assert_true(n_good > 50000 && n_bad > 50000);
    print_message("# %zu texts accepted, %zu refused, as jansson does\n", n_good, n_bad);
}

static void same_trees(void **state)
{
    (void)state;
    maker m = {.r = {31}};
    size_t n_good = 0, n_bad = 0;
    for (int i = 0; i < 100000; i++) {
        m.n = 0;
        value(&m, 0);
        for (uint64_t k = test_below(&m.r, 3); k && m.n; k--) damage(&m);
        json_t *want = json_loadb(m.text, m.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL), *got;
        fvlm_err err = {0};
        fvlm_status st = fvlm_json_parse(&got, m.text, m.n, FVLM_JSON_SECTION, "t", &err);
        if ((st == FVLM_OK) != (want != NULL) || (want && !json_equal(got, want)))
            fail_msg("%.*s: status %d, %s", (int)m.n, m.text, st, err.msg);
        want ? n_good++ : n_bad++;
        json_decref(want);
        json_decref(got);
    }
    assert_true(n_good > 20000 && n_bad > 20000);
    print_message("# %zu trees as jansson's, %zu texts refused as by jansson\n", n_good, n_bad);
}

static void strings_decode_alike(void **state)
{
    (void)state;
    maker m = {.r = {99}};
    for (int i = 0; i < 50000; i++) {
        fvlm_json_text text;
        m.n = 0;
        space(&m);
        string(&m);
        json_t *want = json_loadb(m.text, m.n, JSON_DECODE_ANY, NULL);
        assert_non_null(want);
        fvlm_json_pull s = fvlm_json_pull_over(m.text, m.n, "t", 0, NULL);
        assert_true(fvlm_json_pull_string(&s, &text) && fvlm_json_pull_end(&s));
        assert_string_equal(text.s, json_string_value(want));
        assert_int_equal(text.n, strlen(text.s));
        json_decref(want);
    }
}

static void whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {" 7 ", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"00", false, 0},
        {"-0", false, 0},
        {"1.0", false, 0},
        {"1e0", false, 0},
        {"", false, 0},
        {"x", false, 0},
        {"9223372036854775808", true, (uint64_t)1 << 63},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        uint64_t v = 0;
        strcpy(text, cases[i].text);
        fvlm_json_pull s = fvlm_json_pull_over(text, strlen(text), "t", 0, NULL);
        assert_int_equal(fvlm_json_pull_u64(&s, &v) && fvlm_json_pull_end(&s), cases[i].ok);
        assert_true(v == cases[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_jansson),
        cmocka_unit_test(same_trees),
        cmocka_unit_test(strings_decode_alike),
        cmocka_unit_test(whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
