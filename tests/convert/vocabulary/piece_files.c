/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a folder with tokenizer.model gets the added tokens, and the token that begins each text, as transformers'
 * LlamaTokenizer has them; what contradicts it or is not supported is refused. Exact messages. */
#include "convert/vocabulary/vocabulary.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/pieces.h"
#include "tests/support/support.h"

static fvlm_err err;
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

/* Its normalizer_spec ends in an empty charsmap, whose place add_dummy_prefix takes. */
static void write_model_without_prefix(void)
{
    size_t n;
    uint8_t *bytes = test_pieces_read("bpe.model", &n);
    char *path = test_path(folder, "tokenizer.model");
    assert_memory_equal(bytes + n - 4, "\x12\0\x20\0", 4);
    bytes[n - 4] = 3 << 3;
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
    fvlm_tokenizer *t;
    if (fvlm_tokenizer_create(&t, v.json, v.n_bytes, NULL, &err)) fail_msg("%s", err.msg);
    free(v.json);
    char *line = test_tokens_line(t, text, strlen(text), &ids, &n);
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
    check_ids("{\"legacy\": false, \"add_prefix_space\": false}", "b a</s>a", "422,262,2,405");
    check_ids("{\"added_tokens_decoder\": {\"460\": {\"content\": \"[PAD]\", \"special\": true}}}", text,
              "266,385,1,401,266,2,262,460,271");
    test_remove_file(folder, "added_tokens.json");
    test_remove_file(folder, "tokenizer_config.json");
    check_ids(NULL, "<s>a</s><unk>", "1,262,2,0");
    /* transformers puts the prefix there itself if it is not "legacy", whatever the model says */
    write_model_without_prefix();
    check_ids("{\"legacy\": true}", "b a</s>a", "422,262,2,405");
    check_ids("{\"legacy\": false}", "a</s>a", "262,2,405");
    check_ids("{\"legacy\": false, \"add_prefix_space\": false}", "a</s>a", "405,2,405");
    test_remove_file(folder, "tokenizer_config.json");
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
         "\"tokenizer_config.json\": \"add_prefix_space\" is false, which is not supported unless \"legacy\" is "
         "false"},
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
    m = test_pieces_build(&TEST_PIECES_FINE, &more);
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
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(bos),
        cmocka_unit_test(refused_files),
    };
    return cmocka_run_group_tests_name("vocabulary/piece_files", tests, NULL, NULL);
}
