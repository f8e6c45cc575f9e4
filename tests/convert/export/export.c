/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: whichever allocation fails during an export, the result is "out of memory" or a whole export, nothing is left
 * beside it, and no memory leaks (FVLM_FULL=1: every single one, else about a hundred of each export); a model that
 * contradicts itself, a query matrix without an inverse and a tokenizer that other programs do not have are refused by
 * name; a type that holds no floats is refused; and an export says what each tensor is made of. */
#include <unistd.h>

#include "convert/export/export.h"
#include "format/writer.h"
#include "tests/support/check.h"
#include "tests/support/edited_model.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/random_model.h"
#include "tests/support/support.h"

static const char qwen2[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

static char folder[256];
static char *model, *out;
static fvlm_err err;

static fvlm_status export_once(const char *from, const char *to)
{
    fvlm_export *x;
    const fvlm_export_options o = {.to = to, .threads = 1, .force = true};
    fvlm_status st = fvlm_export_plan(&x, from, &o, &err);
    if (!st) st = fvlm_export_write(x, out, &err);
    fvlm_export_free(&x);
    return st;
}

static void remove_output(void)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", out);
    if (access(out, F_OK) == 0 && system(command) != 0) fail_msg("rm");
}

static fvlm_status fail_one(const char *from, const char *to, size_t k, bool all_after)
{
    remove_output();
    const size_t before = test_count_entries(folder);
    memset(&err, 0, sizeof err);
    test_arm(k, all_after);
    const fvlm_status st = export_once(from, to);
    const char *wrong = test_disarm(st, &err);
    if (wrong) fail_msg("fault %zu: %s", k, wrong);
    if (test_count_entries(folder) != before + !st) fail_msg("fault %zu leaves something behind", k);
    return st;
}

static void every_allocation(const char *from, const char *to)
{
    if (!TEST_OWNS_MALLOC) skip();
    const bool full = getenv("FVLM_FULL") != NULL;
    size_t points = 0, went_on = 0;
    must(export_once(from, to), &err); /* what is allocated once for the process */
    must(fail_one(from, to, SIZE_MAX, false), &err);
    const size_t total = count;
    for (int all_after = 0; all_after < 2; all_after++)
        for (size_t k = 1; k <= total; k += k < 30 || full ? 1 : 1 + total / 30, points++)
            went_on += !fail_one(from, to, k, all_after);
    print_message("# %s: %zu failing allocations; without %zu it went on\n", to, points, went_on);
    assert_true(points > 100 && went_on < points / 4);
    remove_output();
}

static void allocations_of_safetensors(void **state)
{
    (void)state;
    every_allocation(model, "safetensors");
}

static void allocations_of_gguf(void **state)
{
    (void)state;
    every_allocation(model, "gguf");
}

/* Floats, every kind of matrix of integers, and a tower alone. */
static void allocations_of_onnx(void **state)
{
    (void)state;
    static const char *const types[] = {"int4-asym-g32", "int8-sym-row"};
    every_allocation(model, "onnx"); /* skips under a sanitizer, so nothing is allocated before it */
    char *other = test_path(folder, "other.fvlm");
    for (size_t i = 0; i < 3; i++) {
        random_model r = random_model_small();
        r.pattern = qwen2;
        if (i < 2) must(fvlm_type_parse(&r.type, types[i], &err), &err);
        if (i == 2) random_model_without_llm(&r, true);
        must(random_model_write(&r, other, &err), &err);
        every_allocation(other, "onnx");
        unlink(other);
    }
    free(other);
}

static void refuse(const char *from, const char *to, fvlm_status st, const char *message)
{
    memset(&err, 0, sizeof err);
    assert_int_equal(export_once(from, to), st);
    if (!strstr(err.msg, message)) fail_msg("\"%s\", expected \"%s\"", err.msg, message);
}

/* Two equal rows in every panel of q. */
static void make_singular(const fvlm_tensor *t, uint8_t *bytes, void *ctx)
{
    (void)ctx;
    for (size_t k = 0; k < t->dims[1]; k++) memcpy(bytes + 64 * k + 4, bytes + 64 * k, 4);
}

/* Writes the model again with other metadata or another tokenizer. */
static void rewrite(const char *bad, const char *llm_key, const char *tokenizer)
{
    fvlm_reader *r;
    fvlm_writer *w;
    const char *text;
    size_t n;
    uint64_t reserved;
    must(fvlm_reader_open(&r, model, &err), &err);
    must(fvlm_reader_tokenizer(r, &text, &n, &err), &err);
    json_t *meta = json_deep_copy(fvlm_reader_meta(r));
    if (llm_key)
        json_object_set_new(json_object_get(json_object_get(meta, "config"), "llm"), llm_key, json_string("other"));
    must(fvlm_writer_create(&w, bad, true, &err), &err);
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(r, i);
        size_t id;
        must(fvlm_writer_declare(w, t->name, t->type, t->layout, t->rank, t->dims, &id, &err), &err);
        assert_int_equal(id, i);
    }
    must(fvlm_writer_begin(w, &reserved, &err), &err);
    for (size_t i = 0; i < fvlm_reader_n_tensors(r); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor_in_file(r, i);
        must(fvlm_writer_append(w, i, fvlm_reader_bytes(r, t), (size_t)t->n_bytes, &err), &err);
    }
    if (tokenizer) text = tokenizer, n = strlen(tokenizer);
    must(fvlm_writer_publish(&w, meta, text, n, &err), &err);
    json_decref(meta);
    fvlm_reader_close(&r);
}

static void refuse_rewritten(const char *bad, const char *llm_key, const char *tokenizer, const char *message)
{
    rewrite(bad, llm_key, tokenizer);
    refuse(bad, "gguf", FVLM_UNSUPPORTED, message);
}

/* A tokenizer of two pieces. */
#define PIECES(types, more)                                                                                            \
    "{\"kind\":\"sentencepiece\",\"model\":\"bpe\",\"pieces\":[\"<unk>\",\"a\"],\"scores\":[0,0],\"types\":\"" types   \
    "\","                                                                                                              \
    "\"unknown\":\"\",\"charsmap\":null,\"dummy_prefix\":false,\"remove_whitespace\":false,"                           \
    "\"escape_whitespace\":true,\"whitespace_suffix\":false,\"legacy\":false" more ",\"added\":[]}"

/* Of a tokenizer.json: scores of 0 would merge in another order. Refused before anything is written. */
static void refuse_ranks(const char *bad)
{
    static const char message[] = "its tokenizer is from a tokenizer.json and merges by rank, which is not exported; "
                                  "convert with --tokenizer tokenizer.model if there is one";
    static const char *const targets[] = {"gguf", "safetensors", "onnx"};
    fvlm_export *x;
    for (size_t i = 0; i < 6; i++) {
        rewrite(bad, NULL, i % 2 ? PIECES("un", ",\"merges\":[]") : PIECES("un", ",\"prefix_once\":true"));
        memset(&err, 0, sizeof err);
        assert_int_equal(fvlm_export_plan(&x, bad, &(fvlm_export_options){.to = targets[i / 2]}, &err),
                         FVLM_UNSUPPORTED);
        if (!strstr(err.msg, message)) fail_msg("\"%s\", expected \"%s\"", err.msg, message);
    }
}

/* What LlamaTokenizer must be told to put no space before a text. */
static void pieces(void **state)
{
    (void)state;
    size_t n;
    char *file = test_path(folder, "pieces.fvlm"), *config = test_path(out, "tokenizer_config.json");
    rewrite(file, NULL, PIECES("nn", ""));
    refuse(file, "gguf", FVLM_BAD_INPUT, "its tokenizer section is not what format/SPEC.md says");
    rewrite(file, NULL, PIECES("uu", ""));
    refuse(file, "safetensors", FVLM_BAD_INPUT, "its tokenizer section is not what format/SPEC.md says");
    rewrite(file, NULL, PIECES("un", ""));
    must(export_once(file, "safetensors"), &err);
    char *text = (char *)test_read_file(config, &n);
    assert_non_null(text);
    text[n - 1] = 0;
    assert_non_null(strstr(text, "\"legacy\": false"));
    assert_non_null(strstr(text, "\"add_prefix_space\": false"));
    free(text);
    free(config);
    unlink(file);
    free(file);
    remove_output();
}

static void refuse_meta(const char *bad)
{
    refuse_rewritten(bad, "gate", NULL,
                     "only Qwen2 and Llama are exported, and config.llm.gate says that this is another");
    refuse_rewritten(bad, NULL, "{\"kind\":\"wordpiece\"}",
                     "its tokenizer is of the kind \"wordpiece\"; only byte-level BPE and SentencePiece are exported");
    refuse_rewritten(bad, NULL, "", "has no tokenizer");
    refuse_ranks(bad);
}

static void refusals(void **state)
{
    (void)state;
    char *bad = test_path(folder, "bad.fvlm");
    const struct {
        random_model m;
        const char *to, *message;
    } cases[] = {
        {{.leave_out = "llm.norm.weight"}, "gguf", "tensor \"llm.norm.weight\" is missing"},
        {{.extra = "llm.extra"}, "gguf", "tensors, but its config demands"},
        {{.reshape = "projector.0.weight"}, "safetensors", "tensor \"projector.0.weight\" has shape ["},
        {{.pattern = NULL},
         "gguf",
         "llama.cpp has no name for the regular expression that splits this tokenizer's text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        random_model r = random_model_small();
        r.leave_out = cases[i].m.leave_out;
        r.extra = cases[i].m.extra;
        r.reshape = cases[i].m.reshape;
        must(random_model_write(&r, bad, &err), &err);
        refuse(bad, cases[i].to, i == 3 ? FVLM_UNSUPPORTED : FVLM_BAD_INPUT, cases[i].message);
        unlink(bad);
    }
    refuse_meta(bad);
    must(test_edit_model(model, bad, "vision.stage3.block0.attn.qkv.weight", make_singular, NULL, &err), &err);
    refuse(bad, "safetensors", FVLM_UNSUPPORTED,
           "tensor \"vision.stage3.block0.attn.qkv.bias\": upstream's attention has no bias, and the query matrix is "
           "too near "
           "singular to write it as the shift of the LayerNorm");
    refuse(model, "zip", FVLM_USAGE, "--to: \"zip\" is not one of safetensors|onnx|gguf");
    free(bad);
}

static void types(void **state)
{
    (void)state;
    static const char *const targets[] = {"safetensors", "gguf", "onnx"};
    for (size_t i = 0; i < 3; i++) {
        fvlm_export *x;
        const fvlm_export_options o = {.to = targets[i], .type = "int4"};
        assert_int_equal(fvlm_export_plan(&x, model, &o, &err), FVLM_USAGE);
        assert_null(x);
        assert_string_equal(err.msg, "--type: \"int4\" is not one of f32|bf16|f16");
    }
}

static void report(void **state)
{
    (void)state;
    fvlm_export *x;
    fvlm_export_report r;
    const fvlm_export_options o = {.to = "safetensors", .naming = "apple", .type = "bf16"};
    must(fvlm_export_plan(&x, model, &o, &err), &err);
    fvlm_export_describe(x, &r);
    assert_false(r.written);
    size_t made_up = 0, as_asked = 0;
    for (size_t i = 0; i < r.n_tensors; i++) {
        made_up += r.tensors[i].from == NULL;
        as_asked += r.tensors[i].cause && !strcmp(r.tensors[i].cause, "as --type says");
    }
    assert_true(made_up > 20 && as_asked > 100);
    fvlm_export_free(&x);
}

static int setup(void **state)
{
    *state = (void *)(uintptr_t)test_folder(folder);
    model = test_path(folder, "m.fvlm");
    out = test_path(folder, "out");
    random_model r = random_model_small();
    r.pattern = qwen2;
    must(random_model_write(&r, model, &err), &err);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(model);
    free(out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_of_safetensors),
        cmocka_unit_test(allocations_of_gguf),
        cmocka_unit_test(allocations_of_onnx),
        cmocka_unit_test(refusals),
        cmocka_unit_test(pieces),
        cmocka_unit_test(types),
        cmocka_unit_test(report),
    };
    return cmocka_run_group_tests_name("export", tests, setup, teardown);
}
