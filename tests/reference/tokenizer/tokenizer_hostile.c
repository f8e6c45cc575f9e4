/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: no tokenizer section and no text makes us crash or hang: every truncation is refused, chance changes
 * end in a tokenizer or a message, long texts of the worst kinds take n log n, and a pattern that runs away is stopped.
 * What would be quadratic here takes hours. Run under ASan and UBSan too. */
#include "reference/tokenizer/tokenizer.h"
#include "tests/reference/tokenizer/tokenizer_cases.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

enum { N_MUTATIONS = 6000, LONG = 400000 };

/* On an exact block of its own, so that ASan sees a read past its end. */
static fvlm_status create_copy(fvlm_tokenizer **t, const char *json, size_t n)
{
    char *copy = malloc(n ? n : 1);
    fvlm_err err = {0};
    memcpy(copy, json, n);
    const fvlm_status st = fvlm_tokenizer_create(t, copy, n, NULL, &err);
    assert_true(st ? !*t && err.msg[0] && err.code == st : *t != NULL);
    free(copy);
    return st;
}

static void every_truncation(void **state)
{
    (void)state;
    for (size_t n = 0; n < N_SMALL_TOKENIZER; n++) {
        fvlm_tokenizer *t;
        if (!create_copy(&t, small_tokenizer, n)) fail_msg("read from %zu bytes", n);
    }
}

static size_t mutate(test_rng *r, char *b, size_t n)
{
    static const char bits[] = "\"\\{}[],:0u ";
    for (uint64_t k = 1 + test_below(r, 3); k; k--) {
        const size_t at = (size_t)test_below(r, n), len = 1 + (size_t)test_below(r, n - at < 24 ? n - at : 24);
        switch (test_below(r, 5)) {
        case 0:
            memmove(b + at + len, b + at, n - at), n += len;
            break;
        case 1:
            memmove(b + at, b + at + len, n - at - len), n -= len;
            break;
        case 2:
            b[at] = bits[test_below(r, sizeof bits - 1)];
            break;
        default:
            b[at] = (char)(test_below(r, 96) + 32);
            break;
        }
    }
    return n;
}

static void mutations(void **state)
{
    (void)state;
    test_rng r = {31};
    char *json = malloc(N_SMALL_TOKENIZER + 128);
    size_t refused = 0;
    for (int i = 0; i < N_MUTATIONS; i++) {
        fvlm_tokenizer *t;
        memcpy(json, small_tokenizer, N_SMALL_TOKENIZER);
        if (create_copy(&t, json, mutate(&r, json, N_SMALL_TOKENIZER))) {
            refused++;
            continue;
        }
        const token_case *c = &token_cases[test_below(&r, N_TOKEN_CASES)];
        uint32_t *ids;
        size_t n;
        fvlm_err err = {0};
        const fvlm_status st = fvlm_tokenizer_encode(t, c->text, c->n_bytes, &ids, &n, &err);
        assert_true(st == FVLM_OK || (!ids && err.msg[0]));
        for (size_t k = 0; k < n; k++) assert_true(ids[k] < fvlm_tokenizer_size(t));
        free(ids);
        fvlm_tokenizer_destroy(&t);
    }
    free(json);
    print_message("# %zu of %d mutations refused\n", refused, N_MUTATIONS);
    assert_true(refused > N_MUTATIONS / 4 && refused < N_MUTATIONS);
}

/* unit over and over, LONG bytes in all, then tail. */
static void long_text(const fvlm_tokenizer *t, const char *unit, const char *tail)
{
    const size_t n_unit = strlen(unit), n_tail = strlen(tail);
    size_t n_text = LONG / n_unit * n_unit, n, spelled = 0;
    char *text = malloc(n_text + n_tail);
    uint32_t *ids;
    fvlm_err err = {0};
    for (size_t i = 0; i < n_text; i++) text[i] = unit[i % n_unit];
    memcpy(text + n_text, tail, n_tail);
    if (fvlm_tokenizer_encode(t, text, n_text + n_tail, &ids, &n, &err)) fail_msg("%s: %s", unit, err.msg);
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        fvlm_tokenizer_bytes(t, ids[i], &n_bytes);
        spelled += n_bytes;
    }
    assert_int_equal(spelled, n_text + n_tail);
    free(ids);
    free(text);
}

static void long_texts(void **state)
{
    (void)state;
    fvlm_tokenizer *t;
    assert_int_equal(create_copy(&t, small_tokenizer, N_SMALL_TOKENIZER), FVLM_OK);
    long_text(t, "a", "");
    long_text(t, "ab", "");
    long_text(t, " ", "a"); /* \s*[\r\n]+ gives every space back */
    long_text(t, " ", "\n");
    long_text(t, "\n ", "");
    long_text(t, "!", "");
    long_text(t, "7", "");
    long_text(t, "<", "");
    long_text(t, "<|im", "_start|>");
    long_text(t, "\xe4\xb8\xad", "");
    long_text(t, "\xcd\x9c\xcc\x96", ""); /* marks of class 233 and 220: each has to pass all others */
    fvlm_tokenizer_destroy(&t);
}

static void a_pattern_that_runs_away(void **state)
{
    (void)state;
    static const char key[] = "\"pattern\":\"";
    const char *at = strstr(small_tokenizer, key) + sizeof key - 1, *end = strstr(at, "\",\"normalizer\"");
    static const char pattern[] = "(?:a+a*)+(?:a+a*)+(?:a+a*)+[^a]";
    char *json = malloc(N_SMALL_TOKENIZER + sizeof pattern), text[400];
    size_t n = (size_t)(at - small_tokenizer), n_ids;
    memcpy(json, small_tokenizer, n);
    memcpy(json + n, pattern, sizeof pattern - 1);
    n += sizeof pattern - 1;
    memcpy(json + n, end, strlen(end));
    n += strlen(end);
    fvlm_tokenizer *t;
    uint32_t *ids;
    fvlm_err err = {0};
    assert_int_equal(create_copy(&t, json, n), FVLM_OK);
    memset(text, 'a', sizeof text);
    assert_int_equal(fvlm_tokenizer_encode(t, text, sizeof text, &ids, &n_ids, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "the tokenizer's pattern takes too long on this text (at byte 0)");
    assert_null(ids);
    fvlm_tokenizer_destroy(&t);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(mutations),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(a_pattern_that_runs_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
