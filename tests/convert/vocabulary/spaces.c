/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: a tokenizer.json of Llama's form becomes a section with which the executor makes the ids and texts that
 * Hugging Face's tokenizers 0.23 made of the same file (recorded), in which the first of two spellings of a piece has
 * the higher rank, unlike in SentencePiece; what is not expressible is refused by name; what a tokenizer.model beside
 * it does differently is a warning; and a damaged file is refused or becomes a section that opens. */
#include <stdarg.h>

#include "convert/vocabulary/vocabulary.h"
#include "tests/support/check.h"
#include "tests/support/checkpoint.h"
#include "tests/support/pieces.h"
#include "tests/support/support.h"

static char folder[256], text[32768];
static fvlm_err err;

#define S "\xe2\x96\x81"
#define PREPEND "{\"type\": \"Prepend\", \"prepend\": \"" S "\"}"
#define REPLACE "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"" S "\"}"
#define SEQUENCE(steps) "{\"type\": \"Sequence\", \"normalizers\": [" steps "]}"
#define METASPACE(scheme)                                                                                              \
    "{\"type\": \"Metaspace\", \"replacement\": \"" S "\", \"prepend_scheme\": \"" scheme "\", \"split\": false}"
#define UNDO                                                                                                           \
    "{\"type\": \"Replace\", \"pattern\": {\"String\": \"" S                                                           \
    "\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, "                                                         \
    "{\"type\": \"Fuse\"}"
#define STRIP ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}"
#define DECODER(steps) "{\"type\": \"Sequence\", \"decoders\": [" steps "]}"
#define BYTES "\"byte_fallback\": true, \"fuse_unk\": true, \"unk_token\": \"<unk>\""
#define MERGES "\"a b\", \"" S " a\", \"b a\", \"a ba\", \"ab a\", \"" S "a b\", \"" S " ab\""

static const char *const pieces[] = {S, "a", "b", "ab", S "a", "aba", "ba", S "ab"};

/* The parts of a file; those that are NULL are as Llama's. */
typedef struct {
    const char *normalizer, *pre_tokenizer, *decoder, *model, *merges, *image, *bos;
} parts;

static const char *given(const char *x, const char *otherwise)
{
    return x ? x : otherwise;
}

static void add(size_t *n, const char *fmt, ...) FVLM_PRINTF(2, 3);
static void add(size_t *n, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    *n += (size_t)vsnprintf(text + *n, sizeof text - *n, fmt, args);
    va_end(args);
    assert_true(*n < sizeof text);
}

static void write_file(const parts *x)
{
    size_t n = 0;
    add(&n, "{\"added_tokens\": [{\"id\": 1, \"content\": \"<s>\", \"special\": true, \"normalized\": %s}, ",
        given(x->bos, "false"));
    add(&n, "{\"id\": 267, \"content\": \"<img>\"%s}], ", given(x->image, ""));
    add(&n, "\"normalizer\": %s, ", given(x->normalizer, SEQUENCE(PREPEND ", " REPLACE)));
    add(&n, "\"pre_tokenizer\": %s, \"post_processor\": null, ", given(x->pre_tokenizer, "null"));
    add(&n, "\"decoder\": %s, ", given(x->decoder, DECODER(UNDO STRIP)));
    add(&n, "\"model\": {\"type\": \"BPE\", %s, \"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2",
        given(x->model, BYTES));
    for (unsigned b = 0; b < 256; b++) add(&n, ", \"<0x%02X>\": %u", b, 3 + b);
    for (unsigned i = 0; i < 8; i++) add(&n, ", \"%s\": %u", pieces[i], 259 + i);
    add(&n, "}, \"merges\": [%s]}}", given(x->merges, MERGES));
    test_write_text(folder, "tokenizer.json", text);
}

static fvlm_status read_folder(fvlm_vocabulary_text *v)
{
    const fvlm_vocabulary_options o = {.may_add_bos = true, .needed = ""};
    fvlm_source *src;
    err = (fvlm_err){0};
    assert_int_equal(fvlm_source_open(&src, folder, NULL), FVLM_OK);
    const fvlm_status st = fvlm_vocabulary_read(v, src, &o, &err);
    fvlm_source_close(&src);
    return st;
}

static void append(void *ctx, const char *s, size_t n)
{
    strncat(ctx, s, n);
}

static void ids_and_texts(void **state)
{
    (void)state;
    static const char decoder_of_config[] =
        "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"special\": true, \"normalized\": true}, "
        "\"267\": {\"content\": \"<img>\", \"special\": false, \"normalized\": true}}}";
    static const parts forms[] = {
        {0},
        {.normalizer = "null", .pre_tokenizer = METASPACE("first")},
        {.normalizer = "null", .pre_tokenizer = METASPACE("always")},
        {.normalizer = "null", .pre_tokenizer = METASPACE("never"), .decoder = DECODER(UNDO)},
        /* without a normalizer, the same as if they were not: as the second */
        {.normalizer = "null", .pre_tokenizer = METASPACE("first"), .image = ", \"normalized\": true", .bos = "true"},
    };
    static const char *const texts[] = {"ababa", " ab  a", "a<s>ab<img> b", "<img>ab",
                                        "\xc3\xa9"
                                        "a"};
    static const char *const want[4][5][2] = {
        {{"266,264", "ababa"},
         {"259,266,259,263", " ab  a"},
         {"263,1,266,267,259,259,261", "a ab<img>  b"},
         {"267,266", "<img> ab"},
         {"259,198,172,260", "\xc3\xa9"
                             "a"}},
        {{"266,264", "ababa"},
         {"266,259,263", "ab  a"},
         {"263,1,262,267,259,261", "aab<img> b"},
         {"267,262", "<img>ab"},
         {"259,198,172,260", "\xc3\xa9"
                             "a"}},
        {{"266,264", "ababa"},
         {"266,259,263", "ab  a"},
         {"263,1,266,267,259,261", "a ab<img> b"},
         {"267,266", "<img> ab"},
         {"259,198,172,260", "\xc3\xa9"
                             "a"}},
        {{"262,264", "ababa"},
         {"266,259,263", " ab  a"},
         {"260,1,262,267,259,261", "aab<img> b"},
         {"267,262", "<img>ab"},
         {"198,172,260", "\xc3\xa9"
                         "a"}},
    };
    for (size_t f = 0; f < 6; f++) {
        fvlm_vocabulary_text v;
        fvlm_tokenizer *t;
        const size_t like = f < 4 ? f : 1;
        write_file(&forms[f < 5 ? f : 4]);
        if (f == 5) test_write_text(folder, "tokenizer_config.json", decoder_of_config);
        if (read_folder(&v) || fvlm_tokenizer_create(&t, v.json, v.n_bytes, NULL, &err)) fail_msg("%s", err.msg);
        for (size_t i = 0; i < 5; i++) {
            uint32_t *ids;
            size_t n;
            char decoded[64] = "", *line = test_tokens_line(t, texts[i], strlen(texts[i]), &ids, &n);
            test_tokens_decode(t, ids, n, append, decoded);
            assert_string_equal(line, want[like][i][0]);
            assert_string_equal(decoded, want[like][i][1]);
            free(line);
            free(ids);
        }
        fvlm_tokenizer_destroy(&t);
        free(v.json);
    }
    test_remove_file(folder, "tokenizer_config.json");
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        parts x;
        const char *message;
    } cases[] = {
        {{.normalizer = SEQUENCE(PREPEND ", " REPLACE), .pre_tokenizer = METASPACE("first")},
         "a normalizer before Metaspace is not supported"},
        {{.normalizer = "null", .pre_tokenizer = METASPACE("first"), .decoder = "null"},
         "with a tokenizer that replaces spaces, only the decoder of Replace, ByteFallback, Fuse and Strip is "
         "supported"},
        {{.decoder = DECODER(UNDO)}, "the decoder has no Strip, which removes the prefix that is put before a text"},
        {{.normalizer = REPLACE}, "the decoder strips a space that is not put before a text"},
        {{.model = "\"fuse_unk\": true, \"unk_token\": null"}, "the model has no \"unk_token\""},
        {{.model = "\"fuse_unk\": false, \"unk_token\": \"<unk>\""},
         "the model's \"fuse_unk\" is not set, which is not supported without \"byte_fallback\""},
        {{.model = BYTES ", \"ignore_merges\": true"},
         "the model's \"ignore_merges\" is set, which is not supported where spaces are replaced"},
        {{.model = "\"byte_fallback\": true, \"unk_token\": \"<?>\""}, "no piece is unknown; one must be"},
        {{.model = "\"byte_fallback\": true, \"unk_token\": \"<0x41>\""},
         "byte_fallback is set, but the byte <0x41> is missing"},
        {{.model = "\"byte_fallback\": true, \"unk_token\": \"a\""},
         "piece 260, \"a\", is a control piece of one character, which is not supported"},
        {{.image = ", \"normalized\": true"},
         "the added token \"<img>\" is \"normalized\", which is not supported where spaces are replaced"},
        {{.normalizer = "null", .pre_tokenizer = METASPACE("first"), .image = ", \"normalized\": true"},
         "the added token \"<img>\" is \"normalized\", which is not supported where spaces are replaced"},
        {{.image = ", \"lstrip\": true"}, "token \"<img>\" has \"lstrip\" set, which is not supported"},
    };
    static const struct {
        parts x;
        const char *ending;
    } others[] = {
        {{.normalizer = SEQUENCE(PREPEND)}, "only the normalizer NFC, or none, is supported; this one is \"Sequence\""},
        {{.normalizer = "null"}, "or SmolLM2, then ByteLevel, is supported; this one is null"},
        {{.pre_tokenizer = "{\"type\": \"Metaspace\", \"replacement\": \"" S "\", \"prepend_scheme\": \"first\"}"},
         "or SmolLM2, then ByteLevel, is supported; this one is \"Metaspace\""},
        {{.decoder = "{\"type\": \"Metaspace\"}"},
         "only the decoder ByteLevel is supported; this one is \"Metaspace\""},
        {{.merges = "[\"<s>\", \"<0x41>\"]"},
         "merge 0, \"<s> <0x41>\", uses or makes a token that is not in the vocabulary"},
        {{.merges = MERGES ", \"b b\""}, "merge 7, \"b b\", uses or makes a token that is not in the vocabulary"},
    };
    fvlm_vocabulary_text v;
    char want[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_file(&cases[i].x);
        assert_int_not_equal(read_folder(&v), FVLM_OK);
        snprintf(want, sizeof want, "\"tokenizer.json\": %s", cases[i].message);
        assert_string_equal(err.msg, want);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const size_t n = strlen(others[i].ending);
        write_file(&others[i].x);
        assert_int_not_equal(read_folder(&v), FVLM_OK);
        if (strlen(err.msg) < n) fail_msg("%s", err.msg);
        assert_string_equal(err.msg + strlen(err.msg) - n, others[i].ending);
    }
    write_file(&(parts){0});
    test_write_text(folder, "tokenizer_config.json", "{\"add_prefix_space\": false}");
    assert_int_equal(read_folder(&v), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg,
                        "\"tokenizer_config.json\": \"add_prefix_space\" is false, but tokenizer.json has such a "
                        "prefix");
    test_remove_file(folder, "tokenizer_config.json");
    print_message("# %zu files refused\n", sizeof cases / sizeof cases[0] + sizeof others / sizeof others[0] + 1);
}

/* A tokenizer.model with the same pieces. Its specs have what the numbers say: field, value. */
static void write_model(uint32_t of_trainer, uint32_t of_rules, uint64_t value)
{
    static const float scores[] = {-9, -9, -9, -1, -2, -4, -3, -5};
    test_proto m = {0}, trainer = {0}, rules = {0};
    char name[8];
    test_proto_piece(&m, "<unk>", 0, 2);
    test_proto_piece(&m, "<s>", 0, 3);
    test_proto_piece(&m, "</s>", 0, 3);
    for (unsigned b = 0; b < 256; b++) {
        snprintf(name, sizeof name, "<0x%02X>", b);
        test_proto_piece(&m, name, 0, 6);
    }
    for (unsigned i = 0; i < 8; i++) test_proto_piece(&m, pieces[i], scores[i], 1);
    test_proto_number(&trainer, 3, 2);
    test_proto_number(&trainer, 35, 1);
    if (of_trainer) test_proto_number(&trainer, of_trainer, value);
    if (of_rules != 4) test_proto_number(&rules, 4, 0);
    if (of_rules) test_proto_number(&rules, of_rules, value);
    test_proto_message(&m, 2, &trainer);
    test_proto_message(&m, 3, &rules);
    char *path = test_path(folder, "tokenizer.model");
    assert_true(test_write_file(path, m.bytes, m.n));
    free(path);
    free(m.bytes);
}

/* What the two do differently to a text around the merges is a warning as well. */
static void beside_model(void **state)
{
    (void)state;
    static const struct {
        uint32_t of_trainer, of_rules;
        uint64_t value;
        const char *difference;
    } cases[] = {
        {0, 0, 0, NULL},
        {0, 3, 0, "only the first puts a space before a text"},
        {0, 4, 1, "only the second removes extra spaces"},
        {0, 5, 0, "only the first writes spaces as U+2581"},
        {24, 0, 1, "only the second puts a space after a text"},
    };
    write_file(&(parts){.image = ", \"special\": true"});
    test_write_text(folder, "tokenizer_config.json",
                    "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<s>\", \"special\": true}, "
                    "\"267\": {\"content\": \"<img>\", \"special\": true}}, \"unk_token\": null, \"eos_token\": null}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const fvlm_vocabulary_options o = {.may_add_bos = true, .needed = ""};
        char want[256];
        fvlm_vocabulary_text v;
        fvlm_source *src;
        write_model(cases[i].of_trainer, cases[i].of_rules, cases[i].value);
        must(fvlm_source_open(&src, folder, &err), &err);
        must(fvlm_vocabulary_read(&v, src, &o, &err), &err);
        free(v.json);
        snprintf(want, sizeof want,
                 "tokenizer.model is used, as in LLaVA, and not tokenizer.json: \"tokenizer.json\" and "
                 "\"tokenizer.model\" disagree: %s; --tokenizer tokenizer.json uses that instead",
                 cases[i].difference);
        assert_int_equal(fvlm_source_n_warnings(src), cases[i].difference != NULL);
        if (cases[i].difference) assert_string_equal(fvlm_source_warning_at(src, 0), want);
        fvlm_source_close(&src);
    }
    test_remove_file(folder, "tokenizer.model");
    test_remove_file(folder, "tokenizer_config.json");
}

static void damaged(void **state)
{
    (void)state;
    test_rng r = {0x11a};
    size_t accepted = 0;
    write_file(&(parts){0});
    char *whole = fvlm_strdup(text);
    const size_t n = strlen(whole);
    for (size_t i = 0; i < 300; i++) {
        const size_t at = test_below(&r, n);
        const uint8_t bit = (uint8_t)(1u << test_below(&r, 7));
        fvlm_vocabulary_text v;
        fvlm_tokenizer *t;
        memcpy(text, whole, n + 1);
        if (i % 3)
            text[at] = (char)((uint8_t)text[at] ^ bit);
        else
            text[at] = 0;
        char *path = test_path(folder, "tokenizer.json");
        assert_true(test_write_file(path, text, i % 3 ? n : at));
        free(path);
        if (read_folder(&v)) {
            assert_true(err.msg[0]);
            continue;
        }
        if (fvlm_tokenizer_create(&t, v.json, v.n_bytes, NULL, &err)) fail_msg("%s", err.msg);
        fvlm_tokenizer_destroy(&t);
        free(v.json);
        accepted++;
    }
    free(whole);
    print_message("# %zu of 300 damaged files accepted\n", accepted);
    assert_in_range(accepted, 1, 150);
}

static int set_up(void **state)
{
    (void)state;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_write_text(test_folder(folder), "x", "");
    test_checkpoint_write(&c, folder);
    test_checkpoint_free(&c);
    static const char *const files[] = {"vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json",
                                        "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *path = test_path(folder, files[i]);
        remove(path);
        free(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_and_texts), cmocka_unit_test(refusals),
                                       cmocka_unit_test(beside_model), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests_name("vocabulary/spaces", tests, set_up, NULL);
}
