/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: checkpoints on Llama are converted with what config.json says of them (biases, rotary scaling, head width,
 * prompt, ends), run as transformers runs them, come back from an export, and are refused by name where they ask for
 * something else. The values are transformers' LlamaForCausalLM's, recorded by tests/oracle/test_llama.py. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "convert/convert.h"
#include "convert/export/export.h"
#include "format/reader.h"
#include "reference/reference.h"
#include "tests/convert/llama_recorded.h"
#include "tests/support/check.h"
#include "tests/support/pieces.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

static char folder[256], out_folder[256];
static const char *tokenizer; /* of convert() */
static fvlm_err err;

/* A Llama in the names of LLaVA, with more heads than its width has room for, an output head of its own, and the
 * biases that 'bias' says. */
static void make_llama(test_checkpoint *c, fvlm_llm_bias bias)
{
    static const char *const parts[] = {"q", "k", "v"};
    char name[96];
    test_checkpoint_make(c, false, FVLM_SOURCE_BF16);
    for (unsigned l = 0; l < 2; l++) {
        const uint64_t hidden = 32;
        for (size_t i = 0; i < 3 && bias == FVLM_BIAS_NONE; i++) {
            snprintf(name, sizeof name, "model.layers.%u.self_attn.%s_proj.bias", l, parts[i]);
            test_tensor_remove(c, name);
        }
        snprintf(name, sizeof name, "model.layers.%u.self_attn.o_proj.bias", l);
        if (bias != FVLM_BIAS_QKVO) continue;
        test_tensor *t = test_tensor_add(c, name, FVLM_SOURCE_BF16, 1, &hidden);
        for (size_t i = 0; i < t->n; i++) t->values[i] = 0.25 * ((double)(i % 7) - 3);
    }
    test_tensor *head = test_tensor_find(c, "lm_head.weight");
    for (size_t i = 0; i < head->n; i++) head->values[i] = -head->values[(i * 31) % head->n];
    test_config_replace(c, "\"llava_qwen2\"", "\"llava_llama\", \"architectures\": [\"LlavaLlamaForCausalLM\"]");
    test_config_replace(c, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    test_config_replace(c, "\"rope_theta\": 1000000.0, ", "");
    test_config_replace(c, "1e-06", "1e-05");
    if (bias == FVLM_BIAS_QKVO)
        test_config_replace(c, "\"hidden_act\"",
                            "\"attention_bias\": true, \"rope_theta\": 500000.0, \"rope_scaling\": {\"rope_type\": "
                            "\"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
                            "\"original_max_position_embeddings\": 32}, \"hidden_act\"");
}

static void write_folder(const test_checkpoint *c, const char *tokenizer_config)
{
    test_checkpoint_write(c, folder);
    test_write_text(folder, "tokenizer_config.json", tokenizer_config);
}

#define GPT2 "{\"tokenizer_class\": \"GPT2Tokenizer\"}"

static fvlm_status convert(const char *conversation)
{
    fvlm_conversion *c = NULL;
    char *path = test_path(out_folder, "m.fvlm");
    const fvlm_convert_options o = {
        .type = "f32", .threads = 1, .force = true, .conversation = conversation, .tokenizer = tokenizer};
    err = (fvlm_err){0};
    fvlm_status st = fvlm_conversion_plan(&c, folder, &o, &err);
    if (!st) st = fvlm_conversion_write(c, path, &err);
    fvlm_conversion_free(&c);
    free(path);
    return st;
}

/* ---- what is computed ---- */

typedef struct {
    float layer[2][32], logits[TEST_IDS];
} seen;

static void see(void *ctx, const char *name, const float *x, size_t rows, size_t cols)
{
    seen *s = ctx;
    const float *last = x + (rows - 1) * cols;
    if (!strncmp(name, "llm.layer", 9)) memcpy(s->layer[name[9] - '0'], last, sizeof s->layer[0]);
    if (!strcmp(name, "logits")) memcpy(s->logits, last, sizeof s->logits);
}

static double distance(const float *x, const float *want, size_t n)
{
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)x[i] - want[i]) * ((double)x[i] - want[i]);
        all += (double)want[i] * want[i];
    }
    return sqrt(d / all);
}

static void computes(const float layer[2][32], const float *logits)
{
    char *path = test_path(out_folder, "m.fvlm");
    fvlm_model *m;
    seen s = {0};
    float rows[LLAMA_N_IDS * 32], out[TEST_IDS];
    const fvlm_model_options o = {.threads = 1, .act = FVLM_ACT_F32, .observer = see, .observer_ctx = &s};
    if (fvlm_model_open(&m, path, &o, &err)) fail_msg("%s", err.msg);
    assert_int_equal(fvlm_model_embed(m, llama_ids, LLAMA_N_IDS, rows, &err), FVLM_OK);
    if (fvlm_model_forward(m, rows, LLAMA_N_IDS, false, out, &err)) fail_msg("%s", err.msg);
    for (int l = 0; l < 2; l++) assert_true(distance(s.layer[l], layer[l], 32) <= 2e-6);
    assert_true(distance(out, logits, TEST_IDS) <= 2e-6);
    fvlm_model_close(&m);
    free(path);
}

/* With LLAMA_KEEP in the environment, that folder keeps the checkpoint for the recording. */
static void as_transformers(void **state)
{
    (void)state;
    const char *keep = getenv("LLAMA_KEEP");
    for (int biased = 0; biased < 2; biased++) {
        test_checkpoint c;
        make_llama(&c, biased ? FVLM_BIAS_QKVO : FVLM_BIAS_NONE);
        if (keep) {
            char path[512];
            snprintf(path, sizeof path, "%s/%s", keep, biased ? "biased" : "plain");
            test_checkpoint_write(&c, path);
        }
        write_folder(&c, GPT2);
        test_checkpoint_free(&c);
        if (convert(NULL)) fail_msg("%s", err.msg);
        if (keep) continue; /* not recorded yet */
        if (biased)
            computes(llama_biased_layers, llama_biased_logits);
        else
            computes(llama_plain_layers, llama_plain_logits);
    }
}

/* ---- what is recorded ---- */

static void says(const char *conversation, const char *prompt)
{
    char *path = test_path(out_folder, "m.fvlm");
    fvlm_reader *r;
    if (convert(conversation)) fail_msg("%s", err.msg);
    assert_int_equal(fvlm_reader_open(&r, path, &err), FVLM_OK);
    const fvlm_config *c = fvlm_reader_config(r);
    assert_int_equal(c->llm.family, FVLM_LLAMA);
    assert_string_equal(c->prompt, prompt);
    fvlm_reader_close(&r);
    free(path);
}

#define V1                                                                                                             \
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "  \
    "and polite answers to the user's questions. USER: <image>\n{prompt} ASSISTANT:"
#define TURNS "<|im_start|>user\n<image>\n{prompt}<|im_end|>\n<|im_start|>assistant\n"

static void prompts(void **state)
{
    (void)state;
    test_checkpoint c;
    make_llama(&c, FVLM_BIAS_NONE);
    write_folder(&c, GPT2);
    says(NULL, V1);
    says("vicuna_v1", V1);
    says("plain", "<image>\n{prompt}\n");
    says("chatml", TURNS);
    says("chatml_direct",
         "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\n{prompt}<|im_end|>"
         "<|im_start|>assistant\n");
    says("llava_llama_2",
         "[INST] <<SYS>>\nYou are a helpful language and vision assistant. You are able to understand the visual "
         "content that the user provides, and assist the user with a variety of tasks using natural "
         "language.\n<</SYS>>\n\n"
         "<image>\n{prompt} [/INST]");
    write_folder(
        &c, "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": \"{{ '<|im_start|>' }}{{ '<|im_end|>' }}\"}");
    says(NULL, TURNS);
    write_folder(&c,
                 "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": [{\"name\": \"default\", \"template\": "
                 "\"{% if x %}{{ '<|im_start|>system\\\\nYou are a helpful AI assistant named SmolLM, trained by "
                 "Hugging Face<|im_end|>\\\\n' }}{% endif %}\"}]}");
    says(NULL,
         "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n" TURNS);
    test_config_replace(&c, "\"hidden_act\"", "\"conv_mode\": \"llava_v1\", \"hidden_act\"");
    test_checkpoint_write(&c, folder);
    says(NULL, "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
               "detailed, and polite answers to the human's questions. USER: <image>\n{prompt} ASSISTANT:");
    test_checkpoint_free(&c);
}

/* ---- the way back ---- */

static void export_to(const char *to, const char *name)
{
    char *from = test_path(out_folder, "m.fvlm"), *path = test_path(out_folder, name);
    fvlm_export *x;
    const fvlm_export_options o = {.to = to, .threads = 1, .force = true};
    if (fvlm_export_plan(&x, from, &o, &err)) fail_msg("%s", err.msg);
    if (fvlm_export_write(x, path, &err)) fail_msg("%s", err.msg);
    fvlm_export_free(&x);
    free(from);
    free(path);
}

static void same_model(const fvlm_reader *a, const fvlm_reader *b)
{
    json_t *x = fvlm_config_to_json(fvlm_reader_config(a)), *y = fvlm_config_to_json(fvlm_reader_config(b));
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
    assert_int_equal(fvlm_reader_n_tensors(a), fvlm_reader_n_tensors(b));
    for (size_t i = 0; i < fvlm_reader_n_tensors(a); i++) {
        const fvlm_tensor *t = fvlm_reader_tensor(a, i), *u = fvlm_reader_tensor(b, i);
        assert_string_equal(t->name, u->name);
        if (strncmp(t->name, "llm.", 4) != 0) continue; /* tests/cli/export.sh compares the others */
        assert_int_equal(t->n_bytes, u->n_bytes);
        assert_memory_equal(fvlm_reader_bytes(a, t), fvlm_reader_bytes(b, u), (size_t)t->n_bytes);
    }
}

/* Exports m.fvlm in Apple's names, converts that into another file, and compares config, tokenizer and weights. */
static void comes_back(void)
{
    char *file = test_path(out_folder, "m.fvlm"), *back = test_path(out_folder, "back.fvlm");
    char *exported = test_path(out_folder, "export");
    fvlm_conversion *c = NULL;
    const fvlm_convert_options o = {.type = "f32", .threads = 1, .force = true};
    fvlm_reader *a, *b;
    const char *text_a, *text_b;
    size_t n_a, n_b;
    export_to("safetensors", "export");
    if (fvlm_conversion_plan(&c, exported, &o, &err) || fvlm_conversion_write(c, back, &err)) fail_msg("%s", err.msg);
    fvlm_conversion_free(&c);
    must(fvlm_reader_open(&a, file, &err), &err);
    must(fvlm_reader_open(&b, back, &err), &err);
    same_model(a, b);
    must(fvlm_reader_tokenizer(a, &text_a, &n_a, &err), &err);
    must(fvlm_reader_tokenizer(b, &text_b, &n_b, &err), &err);
    assert_string_equal(text_a, text_b);
    fvlm_reader_close(&a);
    fvlm_reader_close(&b);
    free(file);
    free(back);
    free(exported);
}

static void exports_come_back(void **state)
{
    (void)state;
    static const char *const prompts[] = {NULL, "llava_llama_2", "chatml_direct", "plain"};
    test_checkpoint c;
    for (int biased = 0; biased < 2; biased++) {
        make_llama(&c, biased ? FVLM_BIAS_QKVO : FVLM_BIAS_NONE);
        write_folder(&c, GPT2);
        test_checkpoint_free(&c);
        for (size_t i = 0; i < (biased ? 1 : 4); i++) {
            if (convert(prompts[i])) fail_msg("%s", err.msg);
            comes_back();
        }
        export_to("gguf", "export.gguf");
    }
}

/* Replaces the tokenizer by a SentencePiece model. */
static void pieces_come_back(void **state)
{
    (void)state;
    test_checkpoint c;
    size_t n;
    make_llama(&c, FVLM_BIAS_NONE);
    write_folder(&c, "{\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": false}");
    test_checkpoint_free(&c);
    uint8_t *bytes = test_pieces_read("unigram.model", &n);
    char *path = test_path(folder, "tokenizer.model");
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
    free(bytes);
    tokenizer = "tokenizer.model";
    if (convert(NULL)) fail_msg("%s", err.msg);
    tokenizer = NULL;
    comes_back();
    char *file = test_path(out_folder, "m.fvlm"), want[400];
    snprintf(want, sizeof want, "\"%s\": its SentencePiece tokenizer is a unigram model; llama.cpp's for Llama is BPE",
             file);
    fvlm_export *x;
    const fvlm_export_options o = {.to = "gguf"};
    assert_int_equal(fvlm_export_plan(&x, file, &o, &err), FVLM_UNSUPPORTED);
    assert_string_equal(err.msg, want);
    assert_int_equal(unlink(path), 0);
    free(path);
    free(file);
}

/* ---- what is refused ---- */

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *tokenizer, *message;
    } cases[] = {
        {"\"llava_llama\"", "\"llava_phi\"", GPT2,
         "\"config.json\": \"model_type\" is \"llava_phi\"; only \"llava_qwen2\" and \"llava_llama\" are supported"},
        {"LlavaLlamaForCausalLM", "LlavaMistralForCausalLM", GPT2,
         "\"config.json\": \"architectures\" names \"LlavaMistralForCausalLM\"; expected \"LlavaLlamaForCausalLM\" for "
         "this model_type"},
        {"\"hidden_act\"", "\"mlp_bias\": true, \"hidden_act\"", GPT2,
         "\"config.json\": \"mlp_bias\" is true, which is not supported"},
        {"\"hidden_act\"", "\"attention_bias\": \"yes\", \"hidden_act\"", GPT2,
         "\"config.json\": \"attention_bias\" is a string, expected true or false"},
        {"\"hidden_act\"", "\"head_dim\": 15, \"hidden_act\"", GPT2,
         "\"config.json\": \"head_dim\" is 15, expected an even number"},
        {"\"hidden_act\"", "\"head_dim\": 8, \"hidden_act\"", GPT2,
         "tensor \"model.layers.0.self_attn.q_proj.weight\" is BF16 [32, 32], expected [16, 32]"},
        {"\"hidden_act\"", "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}, \"hidden_act\"", GPT2,
         "\"config.json\": \"rope_scaling\": \"type\" is \"dynamic\"; only \"default\", \"linear\" and \"llama3\" are "
         "supported"},
        {"\"hidden_act\"", "\"rope_scaling\": {\"type\": \"linear\"}, \"hidden_act\"", GPT2,
         "\"config.json\": \"rope_scaling\": \"factor\" is missing, expected a number"},
        {"\"hidden_act\"",
         "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2, \"low_freq_factor\": 1}, \"hidden_act\"", GPT2,
         "\"config.json\": \"rope_scaling\": \"low_freq_factor\" is 1, which is not supported"},
        {"\"hidden_act\"",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": "
         "4, \"original_max_position_embeddings\": 64}, \"hidden_act\"",
         GPT2, "\"config.json\": \"rope_scaling\": \"low_freq_factor\" is not below \"high_freq_factor\""},
        {"\"hidden_act\"", "\"conv_mode\": \"vicuna_v0\", \"hidden_act\"", GPT2,
         "\"config.json\": \"conv_mode\" is \"vicuna_v0\", which is not supported; choose with --chat NAME"},
        {"\"eos_token_id\": 309, ", "", GPT2,
         "nothing ends an answer: \"config.json\" and \"generation_config.json\" have no \"eos_token_id\""},
        {"", "", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": \"{{ bos }}<start_of_turn>\"}",
         "\"tokenizer_config.json\": the chat template is not one that fvlm recognizes; choose with --chat "
         "NAME"},
        {"", "", "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": \"[INST] {{ x }} [/INST]\"}",
         "\"tokenizer_config.json\": the chat template is of Llama 2's kind, which LLaVA has in two forms: llama_2 and "
         "llava_llama_2; choose with --chat NAME"},
        {"", "",
         "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": \"Cutting Knowledge Date: December 2023\"}",
         "\"tokenizer_config.json\": the chat template writes today's date, as Llama 3.1's does; choose with "
         "--chat NAME"},
        {"", "",
         "{\"tokenizer_class\": \"GPT2Tokenizer\", \"chat_template\": "
         "\"<|start_header_id|><|end_header_id|><|eot_id|>\"}",
         "the tokenizer has no added token \"<|start_header_id|>\", which the prompt needs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_checkpoint c;
        make_llama(&c, FVLM_BIAS_NONE);
        if (cases[i].from[0]) test_config_replace(&c, cases[i].from, cases[i].to);
        write_folder(&c, cases[i].tokenizer);
        test_checkpoint_free(&c);
        assert_int_not_equal(convert(NULL), FVLM_OK);
        assert_string_equal(err.msg, cases[i].message);
    }
    print_message("# %zu checkpoints refused\n", sizeof cases / sizeof cases[0]);
    test_checkpoint c; /* biases that config.json does not mention are left over, never dropped */
    make_llama(&c, FVLM_BIAS_QKV);
    write_folder(&c, GPT2);
    assert_int_not_equal(convert(NULL), FVLM_OK);
    assert_non_null(strstr(err.msg, "self_attn.k_proj.bias"));
    test_checkpoint_free(&c);
    assert_int_equal(convert("vicuna"), FVLM_USAGE);
    assert_string_equal(
        err.msg,
        "there is no conversation \"vicuna\"; known are qwen_2, v1, llava_v1, llama_2, llava_llama_2, llama_3, "
        "chatml, chatml_direct, smollm2, plain");
}

static int set_up(void **state)
{
    (void)state;
    test_write_text(test_folder(folder), "x", "");
    test_write_text(test_folder(out_folder), "x", "");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_transformers),  cmocka_unit_test(prompts),  cmocka_unit_test(exports_come_back),
        cmocka_unit_test(pieces_come_back), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
