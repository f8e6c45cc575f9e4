/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: SentencePiece models that are ill-formed or not supported are refused. Exact messages. */
#include <math.h>

#include "tests/support/check.h"
#include "tests/support/pieces.h"

static fvlm_err err;

static void refused_bytes(const uint8_t *bytes, size_t n, const char *message)
{
    size_t n_json;
    char *json = test_pieces_section(bytes, n, &n_json, &err);
    if (json) fail_msg("accepted, expected: %s", message);
    assert_string_equal(err.msg, message);
}

static void refused(const test_pieces_plan *x, test_proto *more, const char *message)
{
    test_proto m = test_pieces_build(x, more);
    refused_bytes(m.bytes, m.n, message);
    free(m.bytes);
    if (more) free(more->bytes);
    if (more) *more = (test_proto){0};
}

static void refused_pieces(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float score;
        unsigned type;
        const char *message;
    } cases[] = {
        {"", 0, 1, "piece 4 has no text"},
        {"b", NAN, 1, "piece 4, \"b\", has the score nan"},
        {"b", INFINITY, 1, "piece 4, \"b\", has the score inf"},
        {"b", 0, 0, "piece 4, \"b\", has the type 0, expected 1 to 6"},
        {"b", 0, 7, "piece 4, \"b\", has the type 7, expected 1 to 6"},
        {"b", 0, 2, "piece 4, \"b\", is a control piece of one character, which is not supported"},
        {"<unk2>", 0, 2, "more than one piece is unknown; one must be"},
        {"<0x41>", 0, 6, "piece 4, \"<0x41>\", is a byte, but byte_fallback is not set"},
        {"b\xff", 0, 1, "byte 60: \"piece\" is not UTF-8"},
    };
    test_proto more = {0};
    test_pieces_plan x = TEST_PIECES_FINE;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_proto_piece(&more, cases[i].text, cases[i].score, cases[i].type);
        refused(&x, &more, cases[i].message);
    }
    char longest[1026];
    memset(longest, 'x', 1025);
    longest[1025] = 0;
    test_proto_piece(&more, longest, 0, 1);
    refused(&x, &more, "piece 4 has 1025 bytes, at most 1024 are allowed");
    x.unknown = false;
    refused(&x, NULL, "no piece is unknown; one must be");
    x = TEST_PIECES_FINE;
    x.bytes = true;
    x.missing_byte = 0x80;
    refused(&x, NULL, "byte_fallback is set, but the byte <0x80> is missing");
    x.missing_byte = 256;
    test_proto_piece(&more, "<0xfg>", 0, 6);
    refused(&x, &more, "piece 260, \"<0xfg>\", is a byte, expected <0x00> to <0xFF>");
    x = TEST_PIECES_FINE;
    x.model_type = 3;
    refused(&x, NULL, "a model of words; only unigram and BPE are supported");
    x.model_type = 4;
    refused(&x, NULL, "a model of characters; only unigram and BPE are supported");
    x.model_type = 9;
    refused(&x, NULL, "model_type is 9, expected 1 to 4");
    x = TEST_PIECES_FINE;
    x.no_trainer = true;
    refused(&x, NULL, "it has no trainer_spec; was it cut short?");
    x = TEST_PIECES_FINE;
    x.no_rules = true;
    refused(&x, NULL, "it has no normalizer_spec; was it cut short?");
}

static void refused_wire(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *message;
    } cases[] = {
        {"", 0, "it has no pieces"},
        {"\x0a", 1, "byte 1: a number is cut off"},
        {"\x0a\x05", 2, "byte 0: a length beyond the end of what encloses it"},
        {"\x08\x01", 2, "byte 0: \"pieces\" of Model has wire type 0, expected 2"},
        {"\x32\x00", 2, "byte 0: Model has a field 6, which sentencepiece_model.proto does not have"},
        {"\x0a\x02\x20\x01", 4, "byte 2: Piece has a field 4, which sentencepiece_model.proto does not have"},
        {"\x0a\x04\x0a\x02\x61", 5, "byte 0: a length beyond the end of what encloses it"},
        {"\x0a\x03\x0a\x02\x61", 5, "byte 2: a length beyond the end of what encloses it"},
        {"\x0a\x06\x0a\x01\x61\x0a\x01\x62", 8, "byte 5: \"piece\" of Piece is given twice"},
        {"\x0a\x04\x0a\x02\x61\x00", 6, "byte 4: \"piece\" holds the character NUL"},
        {"\x12\x00\x12\x00", 4, "byte 2: \"trainer_spec\" of Model is given twice"},
        {"\x0b\x0c", 2, "byte 0: a group, which no schema of ours has"},
        {"\x12\x06\x18\x80\x80\x80\x80\x08", 8, "byte 2: \"model_type\" is 2147483648, which is too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused_bytes((const uint8_t *)cases[i].bytes, cases[i].n, cases[i].message);
    test_proto more = {0}, rules = {0};
    test_proto_bytes(&rules, 2, "\1\2\3\4\5", 5);
    test_proto_message(&more, 5, &rules);
    refused(&TEST_PIECES_FINE, &more, "it has rules for denormalization, which are not supported");
}

/* Units of a double array: label, whether a rule ends there, offset to the children. */
#define UNIT(label, leaf, offset) ((uint32_t)(offset) << 10 | (uint32_t)(leaf) << 8 | (label))

static void refused_charsmap(void **state)
{
    (void)state;
    static const struct {
        uint32_t units[256];
        size_t n;
        const char *targets;
        size_t n_targets;
        const char *message;
    } cases[] = {
        {.units = {UNIT(0, 0, 1)},
         .n = 1,
         .targets = "x",
         .n_targets = 1,
         .message = "the charsmap's texts do not end with a zero byte"},
        {.units = {UNIT(0, 0, 1)},
         .n = 1,
         .targets = "\xff",
         .n_targets = 2,
         .message = "the charsmap's texts are not UTF-8"},
        {.units = {UNIT(0, 0, 128), [128 ^ 'a'] = UNIT('a', 1, 1 << 20)},
         .n = 256,
         .targets = "x",
         .n_targets = 2,
         .message = "the charsmap leads to unit 1048801 of 256"},
        {.units = {UNIT(0, 0, 128), [128 ^ 'a'] = UNIT('a', 1, 'a' ^ 128 ^ 2), [2] = 0x80000002},
         .n = 256,
         .targets = "x",
         .n_targets = 2,
         .message = "the charsmap has a rule whose text begins at byte 2 of 2"},
        {.units = {UNIT(0, 0, 1), [1 ^ 0xe2] = UNIT(0xe2, 1, 0xe3 ^ 2), [2] = 0x80000000},
         .n = 256,
         .targets = "x",
         .n_targets = 2,
         .message = "the charsmap has a rule for bytes that are not UTF-8"},
        {.units = {UNIT(0, 0, 128), [128 ^ 'a'] = UNIT('a', 1, 'a' ^ 128 ^ 2), [2] = 0x80000001},
         .n = 256,
         .targets = "\xc3\xa9",
         .n_targets = 3,
         .message = "the charsmap has a rule whose text begins inside a character"},
        {.units = {UNIT(0, 0, 128), [128 ^ 'a'] = UNIT('a', 0, 'a')},
         .n = 256,
         .targets = "x",
         .n_targets = 2,
         .message = "the charsmap has a rule of over 63 bytes, or goes in a circle"},
    };
    test_pieces_plan x = TEST_PIECES_FINE;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bytes[4 + 4 * 256 + 8] = "";
        fvlm_store_u32((uint8_t *)bytes, (uint32_t)(4 * cases[i].n));
        for (size_t k = 0; k < cases[i].n; k++) fvlm_store_u32((uint8_t *)bytes + 4 + 4 * k, cases[i].units[k]);
        memcpy(bytes + 4 + 4 * cases[i].n, cases[i].targets, cases[i].n_targets);
        x.charsmap = bytes;
        x.n_charsmap = 4 + 4 * cases[i].n + cases[i].n_targets;
        refused(&x, NULL, cases[i].message);
    }
    x.charsmap = "\4\0\0";
    x.n_charsmap = 3;
    refused(&x, NULL, "the charsmap has 3 bytes, but its trie needs 4");
    x.charsmap = "\x08\0\0\0abcd";
    x.n_charsmap = 8;
    refused(&x, NULL, "the charsmap has 8 bytes, but its trie needs 12");
    x.charsmap = "\3\0\0\0abcd";
    refused(&x, NULL, "the charsmap's trie has 3 bytes, expected units of 4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_pieces),
        cmocka_unit_test(refused_wire),
        cmocka_unit_test(refused_charsmap),
    };
    return cmocka_run_group_tests_name("vocabulary/piece_refusals", tests, NULL, NULL);
}
