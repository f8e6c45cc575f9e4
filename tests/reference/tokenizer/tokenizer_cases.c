/* SPDX-License-Identifier: Apache-2.0 */
/* Promise: ids are those of Hugging Face `tokenizers` with the same tokenizer (tokenizer_cases.h: sentences in
 * thirty languages, mixtures, ill-formed UTF-8, added tokens), and ids spell the text again. */
#include "reference/tokenizer/tokenizer.h"
#include "tests/reference/tokenizer/tokenizer_cases.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static fvlm_tokenizer *small(void)
{
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    if (fvlm_tokenizer_create(&t, small_tokenizer, N_SMALL_TOKENIZER, NULL, &err)) fail_msg("%s", err.msg);
    return t;
}

static void ids_are_theirs(void **state)
{
    (void)state;
    fvlm_tokenizer *t = small();
    for (size_t i = 0; i < N_TOKEN_CASES; i++) {
        const token_case *c = &token_cases[i];
        const char *want = c->ids;
        uint32_t *ids;
        size_t n;
        fvlm_err err = {0};
        assert_int_equal(fvlm_tokenizer_encode(t, c->text, c->n_bytes, &ids, &n, &err), FVLM_OK);
        for (size_t k = 0; k < n && k < c->n_ids; k++) {
            char *end;
            const unsigned long id = strtoul(want, &end, 10);
            if (ids[k] != id) fail_msg("case %zu: id %zu is %u, not %lu", i, k, ids[k], id);
            want = end;
        }
        assert_int_equal(n, c->n_ids);
        free(ids);
    }
    fvlm_tokenizer_destroy(&t);
}

/* What text becomes when its ids are spelled. */
static void spells(const fvlm_tokenizer *t, const char *text, size_t n_text, const char *want)
{
    char got[256] = "";
    size_t n, n_got = 0;
    uint32_t *ids;
    fvlm_err err = {0};
    assert_int_equal(fvlm_tokenizer_encode(t, text, n_text, &ids, &n, &err), FVLM_OK);
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *s = fvlm_tokenizer_bytes(t, ids[i], &n_bytes);
        assert_non_null(s);
        assert_true(n_got + n_bytes < sizeof got);
        memcpy(got + n_got, s, n_bytes);
        n_got += n_bytes;
    }
    free(ids);
    assert_string_equal(got, want);
    assert_int_equal(n_got, strlen(want));
}

#define SPELLS(text, want) spells(t, text, sizeof text - 1, want)

static void text_comes_back(void **state)
{
    (void)state;
    fvlm_tokenizer *t = small();
    SPELLS("", "");
    SPELLS("What is this?\r\n\t  It's a cat.", "What is this?\r\n\t  It's a cat.");
    SPELLS("e\xcc\x81", "\xc3\xa9");                                /* NFC */
    SPELLS("a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81");            /* marks put in order, then composed */
    SPELLS("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"); /* Hangul */
    SPELLS("<|im_start|>user\n", "<|im_start|>user\n");
    fvlm_tokenizer_destroy(&t);
}

/* As Python's bytes.decode("utf-8", "replace"): one U+FFFD for each maximal subpart. */
static void ill_formed_is_replaced(void **state)
{
    (void)state;
    fvlm_tokenizer *t = small();
#define R "\xef\xbf\xbd"
    SPELLS("a\x80"
           "b",
           "a" R "b");
    SPELLS("\xff\xfe", R R);
    SPELLS("\xc0\xaf", R R);             /* overlong */
    SPELLS("\xe0\x80\xaf", R R R);       /* overlong */
    SPELLS("\xed\xa0\x80", R R R);       /* a surrogate */
    SPELLS("\xf4\x90\x80\x80", R R R R); /* beyond U+10FFFF */
    SPELLS("\xf0\x9f\x98", R);           /* cut short: one subpart */
    SPELLS("\xf0\x9f\x98"
           "a",
           R "a");
    SPELLS("\xe4\xb8\xe4\xb8\xad", R "\xe4\xb8\xad");
#undef R
    fvlm_tokenizer_destroy(&t);
}

static void ids_are_described(void **state)
{
    (void)state;
    fvlm_tokenizer *t = small();
    const size_t size = fvlm_tokenizer_size(t);
    size_t n, n_special = 0;
    for (uint32_t id = 0; id < size; id++) {
        assert_non_null(fvlm_tokenizer_bytes(t, id, &n));
        assert_true(n > 0);
        n_special += fvlm_tokenizer_is_special(t, id);
    }
    assert_int_equal(n_special, 3); /* <|endoftext|> <|im_start|> <|im_end|> */
    assert_null(fvlm_tokenizer_bytes(t, (uint32_t)size, &n));
    assert_null(fvlm_tokenizer_bytes(t, UINT32_MAX, &n));
    assert_false(fvlm_tokenizer_is_special(t, UINT32_MAX));
    fvlm_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_theirs),
        cmocka_unit_test(text_comes_back),
        cmocka_unit_test(ill_formed_is_replaced),
        cmocka_unit_test(ids_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
