/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a tokenizer section that is not read says what is wrong and at which byte. Each case is the good section
 * with one thing changed. */
#include "reference/tokenizer/tokenizer.h"
#include "tests/reference/tokenizer/tokenizer_cases.h"
#include "tests/support/check.h"

/* from, where it first stands in the good section, becomes to. The message begins with the byte, at
 * bytes after the change, unless that is NO_BYTE. */
enum { NO_BYTE = -1000 };

static void refuses(const char *from, const char *to, fvlm_status code, const char *message, long at)
{
    const char *found = strstr(small_tokenizer, from);
    assert_non_null(found);
    const size_t before = (size_t)(found - small_tokenizer);
    char *json = malloc(N_SMALL_TOKENIZER + strlen(to) + 1), want[400];
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    memcpy(json, small_tokenizer, before);
    strcpy(json + before, to);
    strcat(json + before, found + strlen(from));
    assert_int_equal(fvlm_tokenizer_create(&t, json, strlen(json), NULL, &err), code);
    assert_null(t);
    if (at == NO_BYTE)
        snprintf(want, sizeof want, "%s", message);
    else
        snprintf(want, sizeof want, "\"tokenizer section\": byte %zu: %s", before + (size_t)at, message);
    assert_string_equal(err.msg, want);
    free(json);
}

#define DAMAGED(from, to, message, at) refuses(from, to, FVLM_BAD_INPUT, message, at)

static void json(void **state)
{
    (void)state;
    DAMAGED("{\"tokens\"", "[\"tokens\"", "expected '{', the tokenizer", 0);
    DAMAGED("\"tokens\":", "\"tokens\";", "expected ':'", 8);
    DAMAGED("\"tokens\":", "\"token\":", "unknown member", 0);
    DAMAGED("\"merges\":", "\"tokens\":", "\"tokens\" is given twice", 0);
    DAMAGED("\"normalizer\":\"NFC\"}", "\"normalizer\":\"NFC\"}}", "something follows the end of the JSON value", 19);
    DAMAGED(",\"normalizer\":\"NFC\"", "", "\"normalizer\" is missing", 1);
    DAMAGED("\"!\",", "\"!\"", "expected ',' or ']'", 3);
    DAMAGED("\"!\"", "\"\xff\"", "not UTF-8", 1);
    DAMAGED("\"!\"", "\"\\q\"", "unknown escape in a string", 1);
    DAMAGED("\"!\"", "\"\\u00g0\"", "\\u needs four hexadecimal digits", 3);
    DAMAGED("\"!\"", "\"\\ud800\"", "a high surrogate without a low one after it", 1);
    DAMAGED("\"!\"", "\"\n\"", "a raw control character in a string", 1);
    DAMAGED("\"!\"", "7", "expected a string", 0);
    DAMAGED("\"special\":true", "\"special\":1", "expected true or false", 10);
    DAMAGED("\"special\":true", "\"lstrip\":true", "unknown member of an added token", 0);
    DAMAGED("\"special\":true", "\"text\":\"again\"", "unknown member of an added token", 0);
}

static void vocabulary(void **state)
{
    (void)state;
    refuses("\"!\"", "\"\"", FVLM_UNSUPPORTED,
            "tokenizer without a token for byte 0x21: only byte-level BPE is implemented", NO_BYTE);
    DAMAGED("\"!\",", "\"!\",\"!\",", "damaged tokenizer: ids 0 and 1 have the same text", NO_BYTE);
    refuses("\"!\"", "\"!!!!!\"", FVLM_UNSUPPORTED,
            "tokenizer without a token for byte 0x21: only byte-level BPE is implemented", NO_BYTE);
    DAMAGED("\"merges\":[\"", "\"merges\":[\"ab\",\"", "a merge that is not two tokens", 10);
    DAMAGED("\"merges\":[\"", "\"merges\":[\"q z\",\"", "a merge of tokens that are not in the vocabulary", 10);
    DAMAGED("\"id\":500", "\"id\":0", "damaged tokenizer: added token \"<|endoftext|>\" has id 0, which is \"!\"",
            NO_BYTE);
    refuses("\"id\":500", "\"id\":99999999999", FVLM_LIMIT, "added token id 99999999999: at most 2097151", NO_BYTE);
    DAMAGED("\"id\":500", "\"id\":18446744073709551616", "a number over 2^64 - 1", 5);
    refuses("\"id\":500", "\"id\":2097152", FVLM_LIMIT, "added token id 2097152: at most 2097151", NO_BYTE);
    DAMAGED("\"id\":500,", "", "an added token without id or text", -1);
    DAMAGED("<|im_end|>", "<|im_start|>", "damaged tokenizer: added token \"<|im_start|>\" is given twice", NO_BYTE);
}

static void pattern_and_normalizer(void **state)
{
    (void)state;
    static const char key[] = "\"pattern\":\"";
    DAMAGED(key, "\"pattern\":\"(", "damaged tokenizer: its pattern does not compile: missing closing parenthesis",
            NO_BYTE);
    DAMAGED(key, "\"pattern\":\"|", "damaged tokenizer: its pattern matches nothing at all", NO_BYTE);
    refuses("\"NFC\"", "\"NFKC\"", FVLM_UNSUPPORTED, "tokenizer with normalizer \"NFKC\": only NFC is implemented",
            NO_BYTE);
    char *many = malloc(5200);
    strcpy(many, key);
    memset(many + sizeof key - 1, 'x', 5000);
    many[sizeof key - 1 + 5000] = 0;
    char want[100];
    const char *at = strstr(small_tokenizer, key) + sizeof key - 1;
    size_t n = 0; /* the pattern's own length, its escapes undone */
    for (; at[n] != '"'; n++) at += at[n] == '\\';
    snprintf(want, sizeof want, "tokenizer pattern of %zu bytes: at most 4096", n + 5000);
    refuses(key, many, FVLM_LIMIT, want, NO_BYTE);
    free(many);
}

static void a_text_too_long(void **state)
{
    (void)state;
    fvlm_tokenizer *t;
    uint32_t *ids;
    size_t n;
    fvlm_err err = {0};
    assert_int_equal(fvlm_tokenizer_create(&t, small_tokenizer, N_SMALL_TOKENIZER, NULL, &err), FVLM_OK);
    assert_int_equal(fvlm_tokenizer_encode(t, "", (64u << 20) + 1, &ids, &n, &err), FVLM_LIMIT); /* not looked at */
    assert_string_equal(err.msg, "a text of 67108865 bytes: at most 64 MiB");
    fvlm_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(pattern_and_normalizer),
        cmocka_unit_test(a_text_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
