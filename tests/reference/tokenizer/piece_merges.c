/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a tokenizer section with merges by rank gives the ids of Hugging Face's tokenizers 0.23 (recorded), also
 * where a merge is listed twice; what is not a merge is refused at its byte; and a merge that is listed a million times
 * slows no text down. What would be quadratic here takes minutes. */
#include "reference/tokenizer/tokenizer.h"
#include "tests/support/check.h"
#include "tests/support/pieces.h"

/* malloc'd */
static char *section(const char *model, const char *merges)
{
    char *json = fvlm_asprintf(
        "{\"kind\":\"sentencepiece\",\"model\":\"%s\",\"pieces\":[\"<unk>\",\"a\",\"b\",\"ab\",\"ba\",\"aba\"],"
        "\"scores\":[0,0,0,0,0,0],\"types\":\"unnnnn\",\"unknown\":\"?\",\"charsmap\":null,\"dummy_prefix\":false,"
        "\"remove_whitespace\":false,\"escape_whitespace\":true,\"whitespace_suffix\":false,\"legacy\":true,"
        "\"added\":[],\"merges\":[%s]}",
        model, merges);
    assert_non_null(json);
    return json;
}

static fvlm_tokenizer *open_section(const char *merges)
{
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    char *json = section("bpe", merges);
    must(fvlm_tokenizer_create(&t, json, strlen(json), NULL, &err), &err);
    free(json);
    return t;
}

static void by_rank(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        /* merges, text, ids */
        {"\"a b\",\"b a\",\"ab a\"", "aba", "5"},
        {"\"b a\",\"a b\",\"ab a\"", "aba", "1,4"},
        {"\"b a\",\"a b\",\"a ba\"", "aba", "5"},
        {"\"a b\",\"b a\",\"ab a\",\"a b\"", "aba", "1,4"},
        {"\"a b\",\"ab a\",\"a ba\"", "abaaba", "5,5"},
        {"\"a b\"", "abca", "3,0,1"},
        {"", "aba", "1,2,1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t *ids;
        size_t n;
        fvlm_tokenizer *t = open_section(cases[i][0]);
        char *line = test_tokens_line(t, cases[i][1], strlen(cases[i][1]), &ids, &n);
        assert_string_equal(line, cases[i][2]);
        free(line);
        free(ids);
        fvlm_tokenizer_destroy(&t);
    }
}

/* at: bytes after the bracket of the list. */
static void refuse(const char *model, const char *merges, long at, const char *message)
{
    char *json = section(model, merges), want[200];
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    snprintf(want, sizeof want, "\"tokenizer section\": byte %ld: %s",
             strchr(strstr(json, "\"merges\""), '[') - json + at, message);
    assert_int_equal(fvlm_tokenizer_create(&t, json, strlen(json), NULL, &err), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, want);
    assert_null(t);
    free(json);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "a",   "a ",    " a",    "a  b",    "a b ",
                                      "a c", "a a", "ab ab", "a b a", "<unk> a", "a <unk>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char merges[32];
        snprintf(merges, sizeof merges, "\"a b\",\"%s\"", bad[i]);
        refuse("bpe", merges, 7, "a merge that is not of two pieces into a third");
    }
    refuse("bpe", "7", 1, "expected a string");
    refuse("unigram", "\"a b\"", 0, "\"merges\" of a unigram model");
}

static void one_merge_a_million_times(void **state)
{
    (void)state;
    enum { N = (1 << 20) / UNDER_SANITIZER(4), N_TEXT = 1200000 };
    char *merges = malloc(8 * (size_t)N + 8), *text = malloc(N_TEXT);
    size_t n = 5, n_ids;
    uint32_t *ids;
    fvlm_err err = {0};
    memcpy(merges, "\"b a\"", 5);
    for (size_t i = 0; i < N; i++, n += 7) memcpy(merges + n, ",\"ab a\"", 7);
    merges[n] = 0;
    for (size_t i = 0; i < N_TEXT; i++) text[i] = "aba"[i % 3];
    fvlm_tokenizer *t = open_section(merges);
    must(fvlm_tokenizer_encode(t, text, N_TEXT, &ids, &n_ids, &err), &err);
    assert_int_equal(n_ids, N_TEXT / 3 * 2);
    for (size_t i = 0; i < n_ids; i++) assert_int_equal(ids[i], i % 2 ? 4 : 1);
    free(ids);
    fvlm_tokenizer_destroy(&t);
    free(merges);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_rank),
        cmocka_unit_test(refusals),
        cmocka_unit_test(one_merge_a_million_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
