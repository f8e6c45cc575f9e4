/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: tokenizer.model becomes a section with which the executor makes the ids and texts that the package
 * sentencepiece made (tests/oracle/make_pieces.py recorded them); damaged and unsupported models are refused. Exact
 * messages. */
#include <math.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"
#include "reference/text_stream.h"
#include "reference/tokenizer/tokenizer.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/pieces.h"
#include "tests/support/support.h"

static fvlm_err err;

/* The section of a model; NULL if it is refused. */
static char *section_of(const uint8_t *bytes, size_t n, size_t *n_json)
{
    fvlm_vocabulary v = {0};
    char *json = NULL;
    err = (fvlm_err){0};
    fvlm_status st = fvlm_piece_model_read(&v.pieces, bytes, n, NULL, &err);
    if (!st) st = fvlm_vocabulary_json(&json, n_json, &v, &err);
    assert_true(!st == (json != NULL));
    assert_true(!st || (err.msg[0] && err.code == st));
    fvlm_vocabulary_free(&v);
    return json;
}

static fvlm_tokenizer *open_section(char *json, size_t n_json)
{
    fvlm_tokenizer *t;
    if (!json) fail_msg("%s", err.msg);
    if (fvlm_tokenizer_create(&t, json, n_json, NULL, &err)) fail_msg("%s", err.msg);
    free(json);
    return t;
}

static fvlm_tokenizer *open_model(const char *name)
{
    size_t n, n_json;
    uint8_t *bytes = test_pieces_read(name, &n);
    char *json = section_of(bytes, n, &n_json);
    free(bytes);
    return open_section(json, n_json);
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
    fvlm_text_stream stream = {.emit = append, .ctx = &hex, .each_byte = fvlm_tokenizer_replaces_each_byte(t)};
    fvlm_decoding d = {0};
    for (size_t i = 0; i < n; i++) {
        size_t n_bytes;
        const char *s = fvlm_tokenizer_decode(t, &d, ids[i], &n_bytes);
        if (s) fvlm_text_stream_put(&stream, s, n_bytes);
    }
    fvlm_text_stream_end(&stream);
    if (!hex.n) free(hex.bytes);
    return hex.n ? (char *)hex.bytes : fvlm_strdup("-");
}

static char *encode(const fvlm_tokenizer *t, const char *text, size_t n_text, uint32_t **ids, size_t *n)
{
    char *line = fvlm_strdup("");
    if (fvlm_tokenizer_encode(t, text, n_text, ids, n, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < *n; i++) {
        char *longer = fvlm_asprintf("%s%s%u", line, i ? "," : "", (*ids)[i]);
        free(line);
        line = longer;
    }
    return line;
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
        char *line = encode(t, text, n_text, &ids, &n), *decoded = decode(t, ids, n);
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

/* ---- refusals ---- */

/* A model that is well formed but for what the test adds; charsmap may be NULL. */
typedef struct {
    unsigned model_type;
    bool bytes, unknown, no_trainer, no_rules;
    const char *charsmap;
    size_t n_charsmap;
    unsigned missing_byte; /* 256: none */
} plan;

static test_proto build(const plan *x, const test_proto *more)
{
    test_proto m = {0}, trainer = {0}, rules = {0};
    char text[8];
    if (x->unknown) test_proto_piece(&m, "<unk>", 0, 2);
    test_proto_piece(&m, "<s>", 0, 3);
    test_proto_piece(&m, "\xe2\x96\x81", -1, 1);
    test_proto_piece(&m, "a", -2, 1);
    for (unsigned b = 0; b < 256 && x->bytes; b++) {
        snprintf(text, sizeof text, "<0x%02X>", b);
        if (b != x->missing_byte) test_proto_piece(&m, text, 0, 6);
    }
    if (more) {
        m.bytes = realloc(m.bytes, m.n + more->n + 1);
        memcpy(m.bytes + m.n, more->bytes, more->n);
        m.n = m.capacity = m.n + more->n;
    }
    test_proto_number(&trainer, 3, x->model_type);
    if (x->bytes) test_proto_number(&trainer, 35, 1);
    test_proto_bytes(&rules, 1, "test", 4);
    if (x->charsmap) test_proto_bytes(&rules, 2, x->charsmap, x->n_charsmap);
    if (x->no_trainer)
        free(trainer.bytes);
    else
        test_proto_message(&m, 2, &trainer);
    if (x->no_rules)
        free(rules.bytes);
    else
        test_proto_message(&m, 3, &rules);
    return m;
}

static const plan fine = {.model_type = 2, .unknown = true, .missing_byte = 256};

static void refused_bytes(const uint8_t *bytes, size_t n, const char *message)
{
    size_t n_json;
    char *json = section_of(bytes, n, &n_json);
    if (json) fail_msg("accepted, expected: %s", message);
    assert_string_equal(err.msg, message);
}

static void refused(const plan *x, test_proto *more, const char *message)
{
    test_proto m = build(x, more);
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
    plan x = fine;
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
    x = fine;
    x.bytes = true;
    x.missing_byte = 0x80;
    refused(&x, NULL, "byte_fallback is set, but the byte <0x80> is missing");
    x.missing_byte = 256;
    test_proto_piece(&more, "<0xfg>", 0, 6);
    refused(&x, &more, "piece 260, \"<0xfg>\", is a byte, expected <0x00> to <0xFF>");
    x = fine;
    x.model_type = 3;
    refused(&x, NULL, "a model of words; only unigram and BPE are supported");
    x.model_type = 4;
    refused(&x, NULL, "a model of characters; only unigram and BPE are supported");
    x.model_type = 9;
    refused(&x, NULL, "model_type is 9, expected 1 to 4");
    x = fine;
    x.no_trainer = true;
    refused(&x, NULL, "it has no trainer_spec; was it cut short?");
    x = fine;
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
    refused(&fine, &more, "it has rules for denormalization, which are not supported");
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
    plan x = fine;
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

/* ---- damage ---- */

/* What is accepted becomes a section that the executor opens and uses. */
static bool survives(const uint8_t *bytes, size_t n)
{
    static const char text[] = "Red Shirt said\xff <sep>\xe3\x80\x80 \xef\xac\x81ve caf\xc3\xa9";
    size_t n_json, n_ids;
    uint32_t *ids;
    char *json = section_of(bytes, n, &n_json);
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

/* ---- the folder ---- */

static char folder[256];
static fvlm_vocabulary_options options;

static fvlm_status read_folder(fvlm_vocabulary_text *out)
{
    fvlm_source *src;
    err = (fvlm_err){0};
    assert_int_equal(fvlm_source_open(&src, folder, NULL), FVLM_OK);
    const fvlm_status st = fvlm_vocabulary_read(out, src, &options, &err);
    fvlm_source_close(&src);
    return st;
}

static void write_model(const char *name)
{
    size_t n;
    uint8_t *bytes = test_pieces_read(name, &n);
    char *path = test_path(folder, "tokenizer.model");
    assert_true(test_write_file(path, bytes, n));
    free(path);
    free(bytes);
}

static void check_ids(const char *config, const char *text, const char *want)
{
    fvlm_vocabulary_text v;
    uint32_t *ids;
    size_t n;
    if (config) test_write_text(folder, "tokenizer_config.json", config);
    if (read_folder(&v)) fail_msg("%s", err.msg);
    fvlm_tokenizer *t = open_section(v.json, v.n_bytes);
    char *line = encode(t, text, strlen(text), &ids, &n);
    assert_string_equal(line, want);
    assert_int_equal(fvlm_tokenizer_size(t), v.n_ids);
    free(line);
    free(ids);
    fvlm_tokenizer_destroy(&t);
}

/* Ids that the package makes of each text between the added tokens: with its prefix, and without where legacy is false.
 */
static void added_tokens(void **state)
{
    (void)state;
    static const char text[] = "the school<s> the</s>a[PAD]b";
    write_model("bpe.model");
    test_write_text(folder, "added_tokens.json", "{\"[PAD]\": 460}");
    check_ids(NULL, text, "266,385,1,401,266,2,262,460,271");
    check_ids("{\"legacy\": true, \"tokenizer_class\": \"LlamaTokenizer\"}", text, "266,385,1,401,266,2,262,460,271");
    check_ids("{\"legacy\": null, \"pad_token\": \"[PAD]\"}", text, "266,385,1,401,266,2,262,460,271");
    check_ids("{\"legacy\": false, \"pad_token\": \"[PAD]\"}", text, "266,385,1,266,2,405,460,422");
    check_ids("{\"legacy\": false, \"pad_token\": \"[PAD]\"}", "[PAD]b", "460,422");
    check_ids("{\"legacy\": false, \"bos_token\": \"<s>\"}", "[PAD]b",
              "401,460,422"); /* not special: the prefix alone */
    check_ids("{\"added_tokens_decoder\": {\"460\": {\"content\": \"[PAD]\", \"special\": true}}}", text,
              "266,385,1,401,266,2,262,460,271");
    test_remove_file(folder, "added_tokens.json");
    test_remove_file(folder, "tokenizer_config.json");
    check_ids(NULL, "<s>a</s><unk>", "1,262,2,0");
}

static void bos(void **state)
{
    (void)state;
    fvlm_vocabulary_text v;
    write_model("bpe.model");
    assert_int_equal(read_folder(&v), FVLM_OK);
    assert_int_equal(v.bos, 1);
    free(v.json);
    test_write_text(folder, "tokenizer_config.json", "{\"add_bos_token\": false}");
    assert_int_equal(read_folder(&v), FVLM_OK);
    assert_int_equal(v.bos, FVLM_NO_ID);
    assert_int_equal(v.n_ids, 460);
    free(v.json);
    test_remove_file(folder, "tokenizer_config.json");
}

static void refused_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *message;
    } cases[] = {
        {"tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}",
         "\"tokenizer_config.json\": \"tokenizer_class\" is \"GPT2Tokenizer\"; only LlamaTokenizer is supported with "
         "tokenizer.model"},
        {"tokenizer_config.json", "{\"add_prefix_space\": false}",
         "\"tokenizer_config.json\": \"add_prefix_space\" is false, which is not supported"},
        {"tokenizer_config.json", "{\"sp_model_kwargs\": {\"enable_sampling\": true}}",
         "\"tokenizer_config.json\": \"sp_model_kwargs\" is not empty, which is not supported"},
        {"tokenizer_config.json", "{\"legacy\": \"no\"}",
         "\"tokenizer_config.json\": \"legacy\" is neither true nor false"},
        {"tokenizer_config.json", "{\"bos_token\": \"<bos>\"}",
         "\"tokenizer_config.json\": \"bos_token\" is \"<bos>\", which is neither a piece nor an added token"},
        {"tokenizer_config.json", "{\"bos_token\": null}", "\"tokenizer_config.json\": \"bos_token\" names no token"},
        {"added_tokens.json", "{\"x\": 5}", "the id 5 is the token \"<0x01>\" and the added token \"x\""},
        {"added_tokens.json", "{\"the\": 500}", NULL},
        {"tokenizer.model", "\n", "\"tokenizer.model\": byte 1: a number is cut off"},
    };
    fvlm_vocabulary_text v;
    write_model("bpe.model");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_write_text(folder, cases[i].name, cases[i].text);
        const fvlm_status st = read_folder(&v);
        if (cases[i].message) assert_string_equal(err.msg, cases[i].message);
        assert_true(!st == !cases[i].message);
        free(v.json);
        test_remove_file(folder, cases[i].name);
    }
    write_model("bpe.model");
    options.may_add_bos = false;
    assert_int_equal(read_folder(&v), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, "the tokenizer begins each text with \"<s>\"; a model of this family does not");
    options.may_add_bos = true;
    options.needed = "<s> <|im_end|>";
    assert_int_equal(read_folder(&v), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "the tokenizer has no added token \"<|im_end|>\", which the prompt needs");
    options.needed = "";
    /* Two pieces alike. */
    test_proto more = {0}, m;
    test_proto_piece(&more, "a", -3, 1);
    m = build(&fine, &more);
    char *path = test_path(folder, "tokenizer.model");
    assert_true(test_write_file(path, m.bytes, m.n));
    assert_int_equal(read_folder(&v), FVLM_BAD_INPUT);
    assert_string_equal(err.msg, "the token \"a\" is in the vocabulary twice");
    free(more.bytes);
    free(m.bytes);
    free(path);
}

int main(void)
{
    static const char weights[] =
        "\x36\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\0\0\0\0";
    test_folder(folder);
    char *path = test_path(folder, "model.safetensors");
    test_write_file(path, weights, sizeof weights - 1);
    free(path);
    options = (fvlm_vocabulary_options){.may_add_bos = true, .needed = ""};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_ids), cmocka_unit_test(refused_pieces),
        cmocka_unit_test(refused_wire), cmocka_unit_test(refused_charsmap),
        cmocka_unit_test(damaged),      cmocka_unit_test(added_tokens),
        cmocka_unit_test(bos),          cmocka_unit_test(refused_files),
    };
    return cmocka_run_group_tests_name("vocabulary/pieces", tests, NULL, NULL);
}
