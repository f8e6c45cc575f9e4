/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: no vocabulary makes the tables slow or confuses them. Merges made to share one slot of the former hash do not
 * crowd together; an empty token and tokens outside the byte alphabet change no id of a text; thousands of added tokens
 * are found as by the plainest search; a set stop flag ends reading and encoding. */
#include "reference/tokenizer/added_tokens.h"
#include "reference/tokenizer/token_table.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/reference/tokenizer/tokenizer_cases.h"
#include "tests/support/check.h"
#include "tests/support/support.h"

static char *section; /* the small tokenizer, changed */

/* Replaces every occurrence of from, or the first only. */
static void change(const char *from, const char *to, bool all)
{
    char *found = section ? section : strdup(small_tokenizer);
    section = found;
    for (size_t at = 0; (found = strstr(section + at, from)) != NULL;) {
        const size_t before = (size_t)(found - section), n = strlen(section) + strlen(to) + 1;
        char *next = malloc(n);
        snprintf(next, n, "%.*s%s%s", (int)before, section, to, found + strlen(from));
        free(section);
        section = next;
        at = before + strlen(to);
        if (!all) return;
    }
}

static fvlm_tokenizer *changed(void)
{
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    if (fvlm_tokenizer_create(&t, section, strlen(section), NULL, &err)) fail_msg("%s", err.msg);
    free(section);
    section = NULL;
    return t;
}

/* Every id of tokenizer_cases.h, shifted: ids from 'from' on by 'by'. */
static void ids_are_theirs(const fvlm_tokenizer *t, uint32_t from, uint32_t by)
{
    for (size_t i = 0; i < N_TOKEN_CASES; i++) {
        const token_case *c = &token_cases[i];
        const char *want = c->ids;
        uint32_t *ids;
        size_t n;
        fvlm_err err = {0};
        assert_int_equal(fvlm_tokenizer_encode(t, c->text, c->n_bytes, &ids, &n, &err), FVLM_OK);
        assert_int_equal(n, c->n_ids);
        for (size_t k = 0; k < n; k++) {
            char *end;
            const uint32_t id = (uint32_t)strtoul(want, &end, 10);
            assert_int_equal(ids[k], id >= from ? id + by : id);
            want = end;
        }
        free(ids);
    }
}

static void move_added(unsigned by)
{
    for (unsigned id = 505; id >= 500; id--) {
        char from[16], to[16];
        snprintf(from, sizeof from, "\"id\":%u,", id);
        snprintf(to, sizeof to, "\"id\":%u,", id + by);
        change(from, to, false);
    }
}

static void an_empty_token(void **state)
{
    (void)state;
    move_added(1);
    change("[\"!\"", "[\"\",\"!\"", false); /* id 0 */
    fvlm_tokenizer *t = changed();
    size_t n = 1;
    assert_non_null(fvlm_tokenizer_bytes(t, 0, &n));
    assert_int_equal(n, 0);
    ids_are_theirs(t, 0, 1);
    fvlm_tokenizer_destroy(&t);
    move_added(2); /* the last ids; twice the same, as merging makes neither */
    change("],\"merges\"", ",\"\",\"\"],\"merges\"", false);
    t = changed();
    ids_are_theirs(t, 500, 2);
    fvlm_tokenizer_destroy(&t);
}

/* " " and "\u4e2d" are no letters of the alphabet: merging makes "\u0120" and "\u00e4\u00b8\u0143". */
static void tokens_outside_the_alphabet(void **state)
{
    (void)state;
    move_added(4);
    change("],\"merges\"", ",\" \",\"\n\",\"a b\",\"\xe4\xb8\xad\"],\"merges\"", false);
    change("\n", "\\n", true);
    fvlm_tokenizer *t = changed();
    ids_are_theirs(t, 500, 4);
    size_t n;
    assert_memory_equal(fvlm_tokenizer_bytes(t, 503, &n), "\xe4\xb8\xad", 3);
    assert_int_equal(n, 3);
    fvlm_tokenizer_destroy(&t);
}

static void ids_with_holes(void **state)
{
    (void)state;
    move_added(3);
    change("],\"merges\"", ",null,\"zq\",null],\"merges\"", false);
    fvlm_tokenizer *t = changed();
    size_t n;
    assert_null(fvlm_tokenizer_bytes(t, 500, &n));
    assert_non_null(fvlm_tokenizer_bytes(t, 501, &n));
    ids_are_theirs(t, 500, 3);
    fvlm_tokenizer_destroy(&t);
}

/* ---- merges that share a slot ---- */

enum { N_LETTERS = 256, N_PAIRS = N_LETTERS * N_LETTERS, OLD_MASK = (1 << 18) - 1, WANTED = 12000 };

static void put_letter(char **to, unsigned i) /* the i-th of GPT-2's alphabet, in the order of code points */
{
    static const unsigned first[] = {0x21, 0xa1, 0xae, 0x100}, n[] = {94, 12, 82, 68};
    unsigned k = 0;
    while (i >= n[k]) i -= n[k++];
    const unsigned c = first[k] + i;
    if (c == '"' || c == '\\') *(*to)++ = '\\';
    if (c >= 0x80) *(*to)++ = (char)(0xc0 | c >> 6);
    *(*to)++ = (char)(c < 0x80 ? c : 0x80 | (c & 0x3f));
}

static void put_pair(char **to, unsigned id)
{
    put_letter(to, (id - N_LETTERS) / N_LETTERS);
    put_letter(to, (id - N_LETTERS) % N_LETTERS);
}

/* Tokens: the letters, their pairs, then what the merges make. The merges join two pairs each, chosen so that all had
 * slot 0 in a table of 2^18 with the hash of fvlm 0.1.0. */
static char *colliding_section(void)
{
    char *text = malloc(4 << 20), *merges = malloc(1 << 20), *to = text, *m = merges;
    size_t n = 0;
    to += sprintf(to, "{\"tokens\":[");
    for (unsigned i = 0; i < N_LETTERS + N_PAIRS; i++) {
        *to++ = '"';
        if (i < N_LETTERS)
            put_letter(&to, i);
        else
            put_pair(&to, i);
        *to++ = '"', *to++ = ',';
    }
    for (uint32_t left = N_LETTERS; n < WANTED; left++)
        for (uint32_t right = N_LETTERS; n < WANTED && right < N_LETTERS + N_PAIRS; right++) {
            const uint64_t key = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
            if ((key >> 20) & OLD_MASK) continue;
            *to++ = '"', *m++ = '"';
            put_pair(&to, left), put_pair(&m, left);
            *m++ = ' ';
            put_pair(&to, right), put_pair(&m, right);
            *to++ = '"', *to++ = ',', *m++ = '"', *m++ = ',';
            n++;
        }
    to[-1] = ']', m[-1] = ']', *m = 0;
    sprintf(to, ",\"merges\":[%s}", merges);
    free(merges);
    return text;
}

static void merges_do_not_crowd(void **state)
{
    (void)state;
    char *text = colliding_section();
    fvlm_err err = {0};
    fvlm_token_table v = {0};
    fvlm_json_pull p = fvlm_json_pull_over(text, strlen(text), "x", 0, &err);
    p.pos = strlen("{\"tokens\":");
    assert_true(fvlm_token_table_read_tokens(&v, &p));
    p.pos += strlen(",\"merges\":");
    if (!fvlm_token_table_read_merges(&v, &p)) fail_msg("%s", err.msg);
    assert_int_equal(v.merge_mask, OLD_MASK);
    size_t run = 0, longest = 0, n = 0;
    for (size_t i = 0; i <= v.merge_mask; i++) {
        run = v.merges[i].result == FVLM_NO_TOKEN ? 0 : run + 1;
        n += run > 0;
        longest = run > longest ? run : longest;
    }
    assert_int_equal(n, WANTED);
    print_message("# %zu merges, at most %zu in a row\n", n, longest);
    assert_true(longest < 100); /* about 5 by chance */
    for (size_t i = 0; i <= v.merge_mask; i++)
        if (v.merges[i].result != FVLM_NO_TOKEN)
            assert_ptr_equal(fvlm_token_table_merge(&v, v.merges[i].left, v.merges[i].right), &v.merges[i]);
    fvlm_token_table_free(&v);
    free(text);
}

/* ---- added tokens ---- */

/* Random texts over two letters, so that tokens overlap, begin alike and hold one another. */
static size_t random_text(test_rng *r, char *to, size_t most)
{
    const size_t n = 1 + (size_t)test_below(r, most);
    for (size_t i = 0; i < n; i++) to[i] = (char)('a' + test_below(r, 2));
    return n;
}

static void added_tokens_as_by_plain_search(void **state)
{
    (void)state;
    enum { ROUNDS = 40, TOKENS = 60, MOST = 9, TEXT = 400 };
    test_rng r = {7};
    for (int round = 0; round < ROUNDS; round++) {
        char texts[TOKENS][MOST], text[TEXT];
        size_t lengths[TOKENS], n = 0;
        uint32_t found[TEXT];
        fvlm_added_tokens a = {0};
        fvlm_err err = {0};
        while (n < TOKENS) {
            lengths[n] = random_text(&r, texts[n], MOST);
            const fvlm_status st = fvlm_added_tokens_add(&a, texts[n], lengths[n], (uint32_t)n, &err);
            bool known = false;
            for (size_t i = 0; i < n; i++) known |= lengths[i] == lengths[n] && !memcmp(texts[i], texts[n], lengths[n]);
            assert_int_equal(st, known ? FVLM_BAD_INPUT : FVLM_OK);
            n += !known;
        }
        assert_int_equal(fvlm_added_tokens_link(&a, &err), FVLM_OK);
        const size_t n_text = random_text(&r, text, TEXT);
        fvlm_added_tokens_find(&a, text, n_text, found);
        for (size_t at = 0; at < n_text; at++) {
            uint32_t want = 0;
            for (size_t i = 0; i < n; i++)
                if (lengths[i] <= n_text - at && !memcmp(text + at, texts[i], lengths[i]) &&
                    (!want || lengths[i] > lengths[want - 1]))
                    want = (uint32_t)i + 1;
            assert_int_equal(found[at], want);
        }
        fvlm_added_tokens_free(&a);
    }
}

/* 1,000 tokens "aa...ab" of up to 1,000 bytes and a text of 1 MB of "a", in which each could begin at every byte. A
 * search from each byte would compare 10^9 of them, and from each token's beginning 10^12. */
static void added_tokens_that_never_end(void **state)
{
    (void)state;
    enum { TOKENS = 1000, TEXT = 1 << 20 };
    fvlm_added_tokens a = {0};
    fvlm_err err = {0};
    char token[TOKENS + 1], *text = malloc(TEXT);
    uint32_t *found = malloc(TEXT * sizeof *found);
    memset(token, 'a', TOKENS);
    for (size_t n = 1; n <= TOKENS; n++) {
        token[n] = 'b';
        assert_int_equal(fvlm_added_tokens_add(&a, token, n + 1, (uint32_t)n, &err), FVLM_OK);
        token[n] = 'a';
    }
    assert_int_equal(fvlm_added_tokens_link(&a, &err), FVLM_OK);
    memset(text, 'a', TEXT);
    fvlm_added_tokens_find(&a, text, TEXT, found);
    for (size_t i = 0; i < TEXT; i++) assert_int_equal(found[i], 0);
    text[TEXT - 1] = 'b';
    fvlm_added_tokens_find(&a, text, TEXT, found);
    for (size_t i = 0; i < TEXT - 1; i++) {
        const size_t n = TEXT - 1 - i; /* so many "a" from here on */
        assert_int_equal(found[i], n <= TOKENS ? n : 0);
    }
    fvlm_added_tokens_free(&a);
    free(found);
    free(text);
}

static void too_much_added_text(void **state)
{
    (void)state;
    fvlm_added_tokens a = {0};
    fvlm_err err = {0};
    char *text = calloc(1, (1 << 20) + 2);
    memset(text, 'x', 1 << 20);
    assert_int_equal(fvlm_added_tokens_add(&a, text, 1 << 20, 0, &err), FVLM_OK);
    assert_int_equal(fvlm_added_tokens_add(&a, "y", 1, 1, &err), FVLM_LIMIT);
    assert_string_equal(err.msg, "the added tokens have more than 1048576 bytes of text");
    fvlm_added_tokens_free(&a);
    assert_int_equal(fvlm_added_tokens_add(&a, text, (1 << 20) + 1, 0, &err), FVLM_LIMIT);
    fvlm_added_tokens_free(&a);
    free(text);
}

/* ---- stop ---- */

static void a_set_flag_stops(void **state)
{
    (void)state;
    fvlm_stop stop;
    fvlm_tokenizer *t;
    fvlm_err err = {0};
    uint32_t *ids;
    size_t n;
    atomic_init(&stop, true);
    assert_int_equal(fvlm_tokenizer_create(&t, small_tokenizer, N_SMALL_TOKENIZER, &stop, &err), FVLM_INTERRUPTED);
    assert_null(t);
    atomic_store(&stop, false);
    assert_int_equal(fvlm_tokenizer_create(&t, small_tokenizer, N_SMALL_TOKENIZER, &stop, &err), FVLM_OK);
    assert_int_equal(fvlm_tokenizer_encode(t, "some text", 9, &ids, &n, &err), FVLM_OK);
    free(ids);
    atomic_store(&stop, true);
    assert_int_equal(fvlm_tokenizer_encode(t, "some text", 9, &ids, &n, &err), FVLM_INTERRUPTED);
    assert_null(ids);
    fvlm_tokenizer_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_token),
        cmocka_unit_test(tokens_outside_the_alphabet),
        cmocka_unit_test(ids_with_holes),
        cmocka_unit_test(merges_do_not_crowd),
        cmocka_unit_test(added_tokens_as_by_plain_search),
        cmocka_unit_test(added_tokens_that_never_end),
        cmocka_unit_test(too_much_added_text),
        cmocka_unit_test(a_set_flag_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
