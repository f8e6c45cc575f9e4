/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: tokenizer.model becomes a section with which the executor makes the ids and texts that the package
 * sentencepiece made (tests/oracle/make_pieces.py recorded them); a damaged model is refused, or becomes a section that
 * the executor opens and uses. */
#include "format/base/grow.h"
#include "tests/support/check.h"
#include "tests/support/pieces.h"
#include "tests/support/support.h"

static fvlm_err err;

static fvlm_tokenizer *open_model(const char *name)
{
    size_t n, n_json;
    fvlm_tokenizer *t;
    uint8_t *bytes = test_pieces_read(name, &n);
    char *json = test_pieces_section(bytes, n, &n_json, &err);
    free(bytes);
    if (!json || fvlm_tokenizer_create(&t, json, n_json, NULL, &err)) fail_msg("%s", err.msg);
    free(json);
    return t;
}

/* ---- what the package made ---- */

static void append(void *ctx, const char *s, size_t n)
{
    test_proto *to = ctx;
    for (size_t i = 0; i < n; i++) {
        char hex[3];
        snprintf(hex, sizeof hex, "%02x", (unsigned)(uint8_t)s[i]);
        assert_true(fvlm_grow(&to->bytes, &to->capacity, to->n + 3, 1));
        memcpy(to->bytes + to->n, hex, 3);
        to->n += 2;
    }
}

/* The decoded text of ids in hex, "-" if it is empty. */
static char *decode(const fvlm_tokenizer *t, const uint32_t *ids, size_t n)
{
    test_proto hex = {0};
    test_tokens_decode(t, ids, n, append, &hex);
    if (!hex.n) free(hex.bytes);
    return hex.n ? (char *)hex.bytes : fvlm_strdup("-");
}

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    unsigned byte;
    for (; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) out[n] = (char)byte;
    return n;
}

static void recorded_ids(void **state)
{
    (void)state;
    static char model[16], hex[4096], want_ids[4096], want_text[4096], text[2048];
    fvlm_tokenizer *unigram = open_model("unigram.model"), *bpe = open_model("bpe.model");
    FILE *f = fopen("tests/fixtures/sentencepiece/cases.txt", "r");
    unsigned n_cases = 0;
    assert_non_null(f);
    while (fscanf(f, "%15s %4095s %4095s %4095s", model, hex, want_ids, want_text) == 4) {
        const fvlm_tokenizer *t = strcmp(model, "bpe") ? unigram : bpe;
        const size_t n_text = *hex == '-' ? 0 : from_hex(hex, text);
        uint32_t *ids;
        size_t n;
        char *line = test_tokens_line(t, text, n_text, &ids, &n), *decoded = decode(t, ids, n);
        if (strcmp(line, *want_ids == '-' ? "" : want_ids) != 0 || strcmp(decoded, want_text) != 0)
            fail_msg("%s %s: ids %s, expected %s; text %s, expected %s", model, hex, line, want_ids, decoded,
                     want_text);
        free(line);
        free(decoded);
        free(ids);
        n_cases++;
    }
    fclose(f);
    assert_int_equal(n_cases, 134);
    fvlm_tokenizer_destroy(&unigram);
    fvlm_tokenizer_destroy(&bpe);
}

/* ---- damage ---- */

/* What is accepted becomes a section that the executor opens and uses. */
static bool survives(const uint8_t *bytes, size_t n)
{
    static const char text[] = "Red Shirt said\xff <sep>\xe3\x80\x80 \xef\xac\x81ve caf\xc3\xa9";
    size_t n_json, n_ids;
    uint32_t *ids;
    char *json = test_pieces_section(bytes, n, &n_json, &err);
    if (!json) return false;
    fvlm_tokenizer *t;
    if (fvlm_tokenizer_create(&t, json, n_json, NULL,
                              &err)) { /* two pieces alike: fvlm_vocabulary_check refuses them */
        if (!strstr(err.msg, "have the same text") && !strstr(err.msg, "is not a byte, or one of two"))
            fail_msg("%s", err.msg);
        free(json);
        return false;
    }
    free(json);
    if (fvlm_tokenizer_encode(t, text, sizeof text - 1, &ids, &n_ids, &err)) fail_msg("%s", err.msg);
    free(decode(t, ids, n_ids));
    free(ids);
    fvlm_tokenizer_destroy(&t);
    return true;
}

static void damaged(void **state)
{
    (void)state;
    static const char *const models[] = {"unigram.model", "bpe.model"};
    test_rng r = {0x5e17};
    for (size_t k = 0; k < 2; k++) {
        size_t n, accepted = 0;
        uint8_t *bytes = test_pieces_read(models[k], &n);
        assert_true(survives(bytes, n));
        for (size_t cut = 0; cut < n; cut++)
            if (survives(bytes, cut)) fail_msg("%s: accepted after %zu of %zu bytes", models[k], cut, n);
        for (unsigned i = 0; i < 1500; i++) {
            const size_t at = test_below(&r, n);
            const uint8_t bit = (uint8_t)(1u << test_below(&r, 8));
            bytes[at] ^= bit;
            accepted += survives(bytes, n);
            bytes[at] ^= bit;
        }
        print_message("# %s: %zu of 1500 flipped bits accepted\n", models[k], accepted);
        assert_in_range(accepted, 100, 1400);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_ids), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests_name("vocabulary/pieces", tests, NULL, NULL);
}
