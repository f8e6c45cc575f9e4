/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: the tokenizer's files become one JSON text, the same from vocab.json + merges.txt + added tokens as from
 * tokenizer.json; what would change ids is refused. Exact messages. */
#include <jansson.h>

#include "convert/vocabulary/vocabulary.h"
#include "format/base/utf8.h"
#include "format/byte_letters.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/support.h"

static char folder[256];
static fvlm_err err;
static char *json;
static size_t n_json;
static uint32_t n_ids, turn_end, bos;
static fvlm_vocabulary_options options;

static fvlm_status read_it(void)
{
    fvlm_source *src;
    free(json);
    json = NULL;
    err = (fvlm_err){0};
    assert_int_equal(fvlm_source_open(&src, folder, NULL), FVLM_OK);
    fvlm_vocabulary_text text;
    fvlm_status st = fvlm_vocabulary_read(&text, src, &options, &err);
    fvlm_source_close(&src);
    json = text.json;
    n_json = text.n_bytes;
    n_ids = text.n_ids;
    turn_end = text.turn_end;
    bos = text.bos;
    assert_true(!st == (json != NULL));
    return st;
}

static void refused(const char *message)
{
    read_it();
    assert_string_equal(err.msg, message);
}

/* "%V" stands for the other letters of GPT-2's alphabet: they are the tokens 7 to 258. */
#define VOCAB "{\"a\":0,\"b\":1,\"\\u0120\":2,\"ab\":3,\"\\\"\":4,\"\\\\\":5,\"Ġa\":6%V}"
#define MERGES "#version: 0.2\na b\nĠ a\n"
#define ADDED "{\"<|endoftext|>\": 259, \"<|im_end|>\": 261, \"<|im_start|>\": 260}"

/* text with every letter that VOCAB does not have for %V (as members) and %W (as elements). The caller frees it. */
static char *expand(const char *text)
{
    char *out = malloc(strlen(text) + 16384);
    size_t n = 0;
    assert_non_null(out);
    for (; *text; text++) {
        if (text[0] != '%' || (text[1] != 'V' && text[1] != 'W')) {
            out[n++] = *text;
            continue;
        }
        int id = 7;
        for (int32_t c = 0; c < 0x144; c++) {
            char letter[5] = "";
            if (fvlm_byte_letters_value(c) < 0 || (c < 256 && strchr("ab\"\\", c)) || c == 0x120) continue;
            fvlm_utf8_put(c, (uint8_t *)letter);
            n += (size_t)(text[1] == 'V' ? sprintf(out + n, ",\"%s\":%d", letter, id++)
                                         : sprintf(out + n, ",\"%s\"", letter));
        }
        text++;
    }
    out[n] = 0;
    return out;
}

static void write_text(const char *name, const char *text)
{
    char *expanded = expand(text);
    test_write_text(folder, name, expanded);
    free(expanded);
}

static const char *const all_files[] = {"vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json",
                                        "tokenizer.json"};

static void write_fresh(void)
{
    for (size_t i = 0; i < 5; i++) test_remove_file(folder, all_files[i]);
    write_text("vocab.json", VOCAB);
    write_text("merges.txt", MERGES);
    write_text("added_tokens.json", ADDED);
}

static const char want_text[] =
    "{\"tokens\":[\"a\",\"b\",\"Ġ\",\"ab\",\"\\\"\",\"\\\\\",\"Ġa\"%W],\"merges\":[\"a b\",\"Ġ a\"],\"added\":["
    "{\"id\":259,\"text\":\"<|endoftext|>\",\"special\":true},{\"id\":260,\"text\":\"<|im_start|>\",\"special\":true},"
    "{\"id\":261,\"text\":\"<|im_end|>\",\"special\":true}],\"pattern\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^"
    "\\\\r\\\\n\\\\p{"
    "L}\\\\p{N}]?"
    "\\\\p{L}+|\\\\p{N}| "
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\",\"normalizer\":\"NFC\"}";

static char *want;

static void from_files(void **state)
{
    (void)state;
    write_fresh();
    if (read_it()) fail_msg("%s", err.msg);
    assert_string_equal(json, want);
    assert_int_equal(n_json, strlen(want));
    assert_int_equal(n_ids, 262);
    json_t *tree = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(tree);
    json_decref(tree);
    /* Windows line ends, no version line, an empty line: the same. */
    write_text("merges.txt", "a b\r\n\r\nĠ a");
    assert_int_equal(read_it(), FVLM_OK);
    assert_string_equal(json, want);
}

static void from_the_decoder(void **state)
{
    (void)state;
    write_fresh();
    test_remove_file(folder, "added_tokens.json");
    write_text("tokenizer_config.json",
               "{\"tokenizer_class\": \"Qwen2Tokenizer\", \"added_tokens_decoder\": {"
               "\"261\": {\"content\": \"<|im_end|>\", \"special\": true}, \"259\": {\"content\": \"<|endoftext|>\", "
               "\"special\": true},"
               "\"260\": {\"content\": \"<|im_start|>\", \"lstrip\": false, \"special\": true}}}");
    if (read_it()) fail_msg("%s", err.msg);
    assert_string_equal(json, want);
    /* Both: they must agree, and the decoder knows which tokens are special. */
    write_text("added_tokens.json", ADDED);
    assert_int_equal(read_it(), FVLM_OK);
    assert_string_equal(json, want);
    test_write_text(
        folder, "tokenizer_config.json",
        "{\"added_tokens_decoder\": {\"261\": {\"content\": \"<|im_end|>\"}, \"259\": {\"content\": \"<|endoftext|>\", "
        "\"special\": false}, \"260\": {\"content\": \"<|im_start|>\"}}}");
    assert_int_equal(read_it(), FVLM_OK);
    assert_non_null(strstr(json, "\"text\":\"<|endoftext|>\",\"special\":false,\"normalized\":true}"));
    /* A token that only the decoder knows, and how it wants to be found. */
    test_write_text(folder, "tokenizer_config.json",
                    "{\"added_tokens_decoder\": {\"261\": {\"content\": \"<|im_end|>\"}, \"259\": {\"content\": "
                    "\"<|endoftext|>\"}, "
                    "\"260\": {\"content\": \"<|im_start|>\"}, "
                    "\"262\": {\"content\": \"né\", \"special\": false, \"normalized\": true}}}");
    assert_int_equal(read_it(), FVLM_OK);
    assert_non_null(strstr(json, "{\"id\":262,\"text\":\"né\",\"special\":false,\"normalized\":true}"));
    assert_int_equal(n_ids, 263);
}

#define TJ_ADDED                                                                                                       \
    "\"added_tokens\": [{\"id\": 259, \"content\": \"<|endoftext|>\", \"special\": true}, {\"id\": 260, \"content\": " \
    "\"<|im_start|>\", \"special\": true}, {\"id\": 261, \"content\": \"<|im_end|>\", \"special\": true}]"
#define TJ_PATTERN                                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "                                  \
    "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|"                                                                         \
    "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define TJ_SPLIT(behavior, use_regex)                                                                                  \
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": "  \
    "\"" TJ_PATTERN "\"}, \"behavior\": \"" behavior                                                                   \
    "\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "                                  \
    "\"trim_offsets\": false, \"use_regex\": " use_regex "}]}"
#define TJ_MODEL(extra, merges)                                                                                        \
    "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": \"\", "     \
    "\"end_of_word_suffix\": \"\", \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false, " extra    \
    "\"vocab\": " VOCAB ", \"merges\": " merges "}"
#define TJ_NFC "\"normalizer\": {\"type\": \"NFC\"}"
#define TJ_REST                                                                                                        \
    "\"version\": \"1.0\", \"truncation\": null, \"post_processor\": {\"type\": \"ByteLevel\"}, \"decoder\": "         \
    "{\"type\": "                                                                                                      \
    "\"ByteLevel\"}, \"x\": [1, {\"y\": [[]]}]"

static void from_tokenizer_json(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "{" TJ_REST ", " TJ_ADDED ", " TJ_NFC
        ", " TJ_SPLIT("Isolated", "false") ", " TJ_MODEL("", "[\"a b\", \"Ġ a\"]") "}",
        "{" TJ_MODEL("", "[[\"a\", \"b\"], [\"Ġ\", \"a\"]]") ", " TJ_SPLIT("Isolated", "false") ", " TJ_NFC
                                                                                                ", " TJ_ADDED "}\n",
    };
    for (size_t i = 0; i < 2; i++) {
        write_fresh();
        test_remove_file(folder, "vocab.json");
        write_text("tokenizer.json", forms[i]);
        if (read_it()) fail_msg("%s", err.msg);
        assert_string_equal(json, want);
        assert_int_equal(n_ids, 262);
    }
    write_text("tokenizer.json", "{" TJ_ADDED ", \"normalizer\": null, " TJ_SPLIT("Isolated", "false") ", " TJ_MODEL(
                                     "", "[\"a b\"]") "}");
    assert_int_equal(read_it(), FVLM_OK);
    assert_non_null(strstr(json, "\"normalizer\":null}"));
}

#define BYTE_LEVEL(space, regex) "{\"type\": \"ByteLevel\", \"add_prefix_space\": " space ", \"use_regex\": " regex "}"
#define SEQUENCE(first, second)                                                                                        \
    "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [" first ", " second "]}"
#define DIGITS(each) "{\"type\": \"Digits\", \"individual_digits\": " each "}"
#define BOS_TEMPLATE(id)                                                                                               \
    "\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"" id            \
    "\"}}, {\"Sequence\": {\"id\": \"A\"}}]}"
#define NO_NORMALIZER "\"normalizer\": null"

static void write_tokenizer_json(const char *splitting, const char *more)
{
    char text[16384];
    write_fresh();
    test_remove_file(folder, "vocab.json");
    snprintf(text, sizeof text, "%s%s%s%s", "{" TJ_ADDED ", " NO_NORMALIZER ", ", splitting, more,
             ", " TJ_MODEL("", "[\"a b\"]") "}");
    write_text("tokenizer.json", text);
}

/* What Llama's family may have and Qwen2's has not: other regexes, a token at the beginning, whole words. */
static void other_byte_level(void **state)
{
    (void)state;
    static const struct {
        const char *splitting, *more, *wanted;
        uint32_t bos;
    } cases[] = {
        {"\"pre_tokenizer\": " BYTE_LEVEL("false", "true"), "", "| ?\\\\p{N}+|", FVLM_NO_ID},
        {"\"pre_tokenizer\": " BYTE_LEVEL("true", "true"), "", "\"prefix_space\":true,", FVLM_NO_ID},
        {SEQUENCE(DIGITS("true"), BYTE_LEVEL("false", "true")), "", "\"pattern\":\"\\\\p{N}|'s|", FVLM_NO_ID},
        {TJ_SPLIT("Isolated", "false"), ", " BOS_TEMPLATE("<|im_start|>"), "\"normalizer\":null}", 260},
        {TJ_SPLIT("Isolated", "false"), "", "|\\\\p{N}| ?[^", FVLM_NO_ID},
    };
    options = (fvlm_vocabulary_options){.may_add_bos = true, .needed = "", .turn_end = "<|endoftext|>"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_tokenizer_json(cases[i].splitting, cases[i].more);
        if (read_it()) fail_msg("%zu: %s", i, err.msg);
        if (!strstr(json, cases[i].wanted)) fail_msg("%zu: no %s in %s", i, cases[i].wanted, json);
        assert_int_equal(bos, cases[i].bos);
        assert_int_equal(turn_end, 259);
    }
    static const struct {
        const char *splitting, *more, *message;
    } refusals[] = {
        {SEQUENCE(DIGITS("false"), BYTE_LEVEL("false", "true")), "",
         "only a pre_tokenizer that splits by the regex of"},
        {SEQUENCE(DIGITS("true"), BYTE_LEVEL("true", "true")), "", "only a pre_tokenizer that splits by the regex of"},
        {"\"pre_tokenizer\": {\"type\": \"Metaspace\"}", "", "is supported; this one is \"Metaspace\""},
        {"\"pre_tokenizer\": null", "",
         "only a pre_tokenizer that splits by the regex of Qwen2, Llama 3, GPT-2 or SmolLM2, then ByteLevel, is "
         "supported; this one is null"},
        {TJ_SPLIT("Isolated", "false"), ", " BOS_TEMPLATE("<s>"),
         "\"<s>\" begins each text, but is not an added token"},
        {TJ_SPLIT("Isolated", "false"), ", \"post_processor\": {\"type\": \"BertProcessing\"}",
         "only a post_processor that adds no token, or one at the beginning, is supported; this one is "
         "\"BertProcessing\""},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        write_tokenizer_json(refusals[i].splitting, refusals[i].more);
        assert_int_not_equal(read_it(), FVLM_OK);
        if (!strstr(err.msg, refusals[i].message)) fail_msg("%zu: %s", i, err.msg);
    }
    /* Parts: their class says how they split, or tokenizer.json does. */
    write_fresh();
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    if (read_it()) fail_msg("%s", err.msg);
    assert_non_null(strstr(json, "| ?\\\\p{N}+|"));
    write_text("tokenizer_config.json",
               "{\"tokenizer_class\": \"LlamaTokenizerFast\", \"bos_token\": {\"content\": \"<|im_start|>\"}}");
    refused("vocab.json and merges.txt do not say how LlamaTokenizerFast splits text; add tokenizer.json");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true}");
    refused("\"tokenizer_config.json\": \"add_bos_token\" is set, which is not supported");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"add_prefix_space\": true}");
    refused("\"tokenizer_config.json\": \"add_prefix_space\" is set, which is not supported");
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"BertTokenizer\"}");
    refused(
        "\"tokenizer_config.json\": \"tokenizer_class\" is \"BertTokenizer\"; only GPT2Tokenizer, LlamaTokenizer and "
        "Qwen2Tokenizer are supported");
    test_remove_file(folder, "tokenizer_config.json");
    options = (fvlm_vocabulary_options){.may_add_bos = true, .needed = "<|eot_id|>"};
    write_text("tokenizer_config.json", "{\"tokenizer_class\": \"GPT2Tokenizer\"}");
    refused("the tokenizer has no added token \"<|eot_id|>\", which the prompt needs");
    options = (fvlm_vocabulary_options){0};
}

static void tokenizer_json_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "\"tokenizer.json\" is empty; download it again"},
        {"{}", "\"tokenizer.json\": byte 0: \"normalizer\" is missing"},
        {"{\"normalizer\": null, \"normalizer\": null", "\"tokenizer.json\": byte 21: \"normalizer\" is given twice"},
        {"{\"normalizer\": {\"type\": \"NFKC\"}",
         "\"tokenizer.json\": byte 15: only the normalizer NFC, or none, is supported; this one is \"NFKC\""},
        {"{" TJ_SPLIT("Removed", "false"),
         "\"tokenizer.json\": byte 18: only a pre_tokenizer that splits by the regex of Qwen2, "
         "Llama 3, GPT-2 or SmolLM2, then ByteLevel, is supported; this one is \"Sequence\""},
        {"{" TJ_SPLIT("Isolated", "true"),
         "\"tokenizer.json\": byte 18: only a pre_tokenizer that splits by the regex of Qwen2, "
         "Llama 3, GPT-2 or SmolLM2, then ByteLevel, is supported; this one is \"Sequence\""},
        {"{\"model\": {\"type\": \"WordPiece\"",
         "\"tokenizer.json\": byte 19: the model's \"type\" is set to \"WordPiece\", which is not supported"},
        {"{\"model\": {\"vocab\": {}, \"vocab\": {}", "\"tokenizer.json\": byte 24: \"vocab\" is given twice"},
        {"{\"model\": {\"vocab\": {}}", "\"tokenizer.json\": byte 10: the model has no \"merges\""},
        {"{\"model\": {\"merges\": []}", "\"tokenizer.json\": byte 10: the model has no \"vocab\""},
        {"{\"model\": {\"merges\": [\"ab\"]",
         "\"tokenizer.json\": byte 22: a merge must be two tokens separated by one space"},
        {"{\"model\": {\"merges\": [\"a b c\"]",
         "\"tokenizer.json\": byte 22: a merge must be two tokens separated by one space"},
        {"{\"model\": {\"merges\": [[\"a\"]]", "\"tokenizer.json\": byte 26: expected ',' between two tokens"},
        {"{\"model\": {\"merges\": [[\"a\",\"b\",\"c\"]]",
         "\"tokenizer.json\": byte 30: expected ']' after two tokens"},
        {"{\"model\": {\"vocab\": {\"a\": -1}",
         "\"tokenizer.json\": byte 26: expected a whole number, 0 or more, in plain digits"},
        {"{\"model\": {\"vocab\": {\"a\": 2097152}",
         "\"tokenizer.json\": byte 21: token \"a\" has the id 2097152, at most 2097151 are allowed"},
        {"{\"model\": {\"vocab\": {\"a\": 0, \"b\": 0}",
         "\"tokenizer.json\": byte 29: tokens \"a\" and \"b\" have the same id 0"},
        {"{\"added_tokens\": [{\"id\": 7}]",
         "\"tokenizer.json\": byte 18: added_tokens[0]: expected \"id\" and \"content\""},
        {"{\"added_tokens\": [{\"id\": 7, \"content\": \"x\", \"single_word\": true}]",
         "\"tokenizer.json\": token \"x\" has \"single_word\" set, which is not supported"},
        {"{\"x\": [1, 2,, 3]", "\"tokenizer.json\": byte 12: expected a value"},
        {"{\"x\": [01]", "\"tokenizer.json\": byte 7: a number may not begin with 0"},
        {"{\"x\": 1.", "\"tokenizer.json\": byte 6: a number may not end with its point"},
        {"{\"x\": 1e+", "\"tokenizer.json\": byte 6: a number without digits in its exponent"},
        {"{\"x\": nul", "\"tokenizer.json\": byte 6: expected a value"},
        {"{\"x\": {\"y\" 1}", "\"tokenizer.json\": byte 11: expected ':'"},
        {"{\"x\": {\"y\": 1,}", "\"tokenizer.json\": byte 14: a comma before '}'; remove it"},
        {"{\"x\": [1 2]", "\"tokenizer.json\": byte 9: expected ',' or ']'"},
        {"{\"x\": [", "\"tokenizer.json\": byte 7: the text ends where a value was expected"},
    };
    write_fresh();
    test_remove_file(folder, "vocab.json");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text("tokenizer.json", cases[i].text);
        refused(cases[i].message);
    }
    char deep[200] = "{\"x\": "; /* 64 levels are allowed, 65 are not, and neither is recursion */
    for (int depth = 64; depth <= 65; depth++) {
        memset(deep + 6, '[', (size_t)depth);
        memset(deep + 6 + depth, ']', (size_t)depth);
        strcpy(deep + 6 + 2 * depth, "}");
        write_text("tokenizer.json", deep);
        refused(depth == 64 ? "\"tokenizer.json\": byte 0: \"normalizer\" is missing"
                            : "\"tokenizer.json\": byte 70: nested deeper than 64");
    }
    print_message("# %zu tokenizer.json refused\n", 1 + sizeof cases / sizeof cases[0]);
}

static void file_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text; /* NULL: the file is removed */
        const char *message;
    } cases[] = {
        {"vocab.json", NULL,
         "the folder has no tokenizer: neither vocab.json and merges.txt nor tokenizer.json nor tokenizer.model; copy "
         "them from the checkpoint"},
        {"merges.txt", NULL, "\"merges.txt\" is missing beside vocab.json; download it"},
        {"added_tokens.json", NULL,
         "there is neither added_tokens.json nor an added_tokens_decoder in tokenizer_config.json; download them"},
        {"vocab.json", "{}", "the tokenizer has no tokens"},
        {"vocab.json", "{\"a\":0,\"b\":2,\"ab\":3,\"Ġ\":4,\"Ġa\":5}",
         "the vocabulary has no token for the byte 0x00; only byte-level BPE is supported"},
        {"vocab.json", "{\"a\":0,\"a\":1}", "the token \"a\" is in the vocabulary twice"},
        {"vocab.json", "{\"a\":0,\"\\u0061\":1}", "the token \"a\" is in the vocabulary twice"},
        {"vocab.json", "{\"a\":0} x", "\"vocab.json\": byte 8: something follows the end of the JSON value"},
        {"vocab.json", "{\"a\":0,\"b\":0}", "\"vocab.json\": byte 7: tokens \"a\" and \"b\" have the same id 0"},
        {"merges.txt", "#version\na  b\n", "\"merges.txt\": line 2: expected two tokens separated by one space"},
        {"merges.txt", "a b\nab\n", "\"merges.txt\": line 2: expected two tokens separated by one space"},
        {"merges.txt", "a b\n\n ab\n", "\"merges.txt\": line 3: expected two tokens separated by one space"},
        {"merges.txt", "a x\n", "merge 0, \"a x\", uses or makes a token that is not in the vocabulary"},
        {"merges.txt", "a b\nb a\n", "merge 1, \"b a\", uses or makes a token that is not in the vocabulary"},
        {"added_tokens.json", "{\"<|im_start|>\": 260}",
         "the tokenizer has no added token \"<|im_end|>\", which the prompt needs"},
        {"added_tokens.json", "{}", "the tokenizer has no added token \"<|im_start|>\", which the prompt needs"},
        {"added_tokens.json", "{\"<|im_start|>\": 260, \"<|im_end|>\": 260}",
         "the added tokens \"<|im_end|>\" and \"<|im_start|>\" have the same id 260"},
        {"added_tokens.json", "{\"<|im_start|>\": 260, \"<|im_end|>\": 0}",
         "the id 0 is the token \"a\" and the added token \"<|im_end|>\""},
        {"added_tokens.json", "{\"<|im_start|>\": 260, \"<|im_end|>\": 261, \"\": 259}",
         "the added token 259 has no text"},
        {"added_tokens.json", "{\"<|im_start|>\": \"260\"}",
         "\"added_tokens.json\": \"<|im_start|>\" is a string, expected an id"},
        {"added_tokens.json", "{\"<|im_start|>\": -8}",
         "\"added_tokens.json\": token \"<|im_start|>\" has the id -8, expected 0 to 2097151"},
        {"added_tokens.json", "[]", "\"added_tokens.json\" is an array, expected an object"},
        {"tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizer\"}",
         "\"tokenizer_config.json\": \"tokenizer_class\" is \"LlamaTokenizer\"; only Qwen2Tokenizer is supported"},
        {"tokenizer_config.json", "{\"add_prefix_space\": true}",
         "\"tokenizer_config.json\": \"add_prefix_space\" is set, which is not supported"},
        {"tokenizer_config.json",
         "{\"added_tokens_decoder\": {\"259\": {\"content\": \"<|endoftext|>\"}, \"260\": {\"content\": "
         "\"<|im_start|>\"}}}",
         "\"added_tokens.json\" and \"tokenizer_config.json\" disagree: the id 261 is \"<|im_end|>\" in one and "
         "missing "
         "in the other; transformers reads the second: if that is the right one, remove the first"},
        {"tokenizer_config.json",
         "{\"added_tokens_decoder\": {\"259\": {\"content\": \"<|im_end|>\"}, \"260\": {\"content\": "
         "\"<|im_start|>\"}, "
         "\"261\": {\"content\": "
         "\"<|endoftext|>\"}}}",
         "\"added_tokens.json\" and \"tokenizer_config.json\" disagree: the id 259 is \"<|endoftext|>\" in one and "
         "\"<|im_end|>\" in the "
         "other; transformers reads the second: if that is the right one, remove the first"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_fresh();
        if (cases[i].text)
            write_text(cases[i].name, cases[i].text);
        else
            test_remove_file(folder, cases[i].name);
        refused(cases[i].message);
    }
    write_fresh();
    test_remove_file(folder, "added_tokens.json");
    write_text("tokenizer_config.json", "{\"added_tokens_decoder\": {\"seven\": {\"content\": \"x\"}}}");
    refused(
        "\"tokenizer_config.json\": added_tokens_decoder[\"seven\"]: expected an id and an object with \"content\"");
    write_fresh();
    char *path = test_path(folder, "merges.txt");
    assert_true(test_write_file(path, "a b\n\0c d\n", 9));
    refused("\"merges.txt\": byte 4: NUL in a text file");
    free(path);
    print_message("# %zu tokenizer files refused\n", 2 + sizeof cases / sizeof cases[0]);
}

static int set_up(void **state)
{
    (void)state;
    test_write_text(test_folder(folder), "x", "");
    want = expand(want_text);
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_F32);
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(json);
    free(want);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_files),
        cmocka_unit_test(from_the_decoder),
        cmocka_unit_test(from_tokenizer_json),
        cmocka_unit_test(other_byte_level),
        cmocka_unit_test(tokenizer_json_refusals),
        cmocka_unit_test(file_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
