/* SPDX-License-Identifier: Apache-2.0 */
/* Guards: config.json, generation_config.json and preprocessor_config.json are read as transformers reads them, or
 * refused with one line that names the key: no key that changes the result is ignored, no harmless one is in the way.
 * Exact messages. */
#include "tests/support/check.h"
#include "tests/support/recipes.h"
#include "tests/support/support.h"

static char folder[256];
static test_recipes r;
static fvlm_err err;

/* The message about the folder with this config.json, "" if it is read; r is then open until the next call. */
static const char *verdict(const char *config)
{
    test_recipes_close(&r);
    r = (test_recipes){0};
    err = (fvlm_err){0};
    test_write_text(folder, "config.json", config);
    test_recipes_open(&r, folder, &err);
    return err.msg;
}

/* The same for the fresh config.json with 'from' replaced by 'to'. */
static const char *verdict_of(const char *from, const char *to)
{
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_config_replace(&c, from, to);
    verdict(c.config);
    test_checkpoint_free(&c);
    return err.msg;
}

/* The same with keys added; "rope_theta" and 1e6 stay. */
static const char *verdict_with(const char *keys)
{
    char to[1600];
    snprintf(to, sizeof to, "%s, \"hidden_act\"", keys);
    return verdict_of("\"hidden_act\"", to);
}

/* ---- what must be there ---- */

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"{", "[", "\"config.json\": line 1, column 14: expected ',' or ']'"},
        {"\"hidden_size\": 32", "\"hidden_size\": 32, \"hidden_size\": 32",
         "\"config.json\": line 1, column 50: \"hidden_size\" is given twice"},
        {"llava_qwen2", "llava_gemma",
         "\"config.json\": \"model_type\" is \"llava_gemma\"; only \"llava_qwen2\" and \"llava_llama\" are supported"},
        {"\"model_type\": \"llava_qwen2\", ", "",
         "\"config.json\": \"model_type\" is missing, expected \"llava_qwen2\" or \"llava_llama\""},
        {"\"hidden_size\": 32, ", "", "\"config.json\": \"hidden_size\" is missing, expected a whole number"},
        {"\"hidden_size\": 32", "\"hidden_size\": \"32\"",
         "\"config.json\": \"hidden_size\" is a string, expected a whole number"},
        {"\"hidden_size\": 32", "\"hidden_size\": 0", "\"config.json\": \"hidden_size\" is 0, expected 1 to 262144"},
        {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4096",
         "\"config.json\": \"num_hidden_layers\" is 4096, expected 1 to 1024"},
        {"\"num_attention_heads\": 2", "\"num_attention_heads\": 3",
         "\"config.json\": \"hidden_size\" 32 does not divide into 3 heads of an even width"},
        {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3",
         "\"config.json\": 2 attention heads do not divide among 3 key-value heads"},
        {"1e-06", "0", "\"config.json\": \"rms_norm_eps\" is 0, expected 1e-12 to 0.1"},
        {"1e-06", "true", "\"config.json\": \"rms_norm_eps\" is true or false, expected a number"},
        {"\"rope_theta\": 1000000.0, ", "", "\"config.json\": \"rope_theta\" is missing, expected a number"},
        {"\"rope_theta\"", "\"rope_scaling\": {\"type\": \"yarn\"}, \"rope_theta\"",
         "\"config.json\": \"rope_scaling\": \"type\" is \"yarn\"; scaled rotary embeddings are not supported, "
         "only \"default\""},
        {"\"rope_theta\"", "\"mm_use_im_start_end\": true, \"rope_theta\"",
         "\"config.json\": \"mm_use_im_start_end\" is true, which is not supported"},
        {"silu", "gelu", "\"config.json\": \"hidden_act\" is \"gelu\"; only \"silu\" is supported"},
        {"mlp2x_gelu", "linear",
         "\"config.json\": \"mm_projector_type\" is \"linear\"; only \"mlp2x_gelu\" is supported"},
        {"\"image_aspect_ratio\": \"pad\"", "\"image_aspect_ratio\": \"square\"",
         "\"config.json\": \"image_aspect_ratio\" is \"square\"; only \"pad\" and \"anyres\" are supported"},
        {", \"image_aspect_ratio\": \"pad\"", "", /* Apple's code then crops the picture */
         "\"config.json\": \"image_aspect_ratio\" is missing, expected \"pad\""},
        {"mobileclip_l_256", "convnext-large",
         "\"config.json\": \"mm_vision_tower\" is \"convnext-large\"; expected \"mobileclip_l_\" and the picture's "
         "side, at most 4096"},
        {"mobileclip_l_256", "mobileclip_l_",
         "\"config.json\": \"mm_vision_tower\" is \"mobileclip_l_\"; expected \"mobileclip_l_\" and the picture's "
         "side, at most 4096"},
        {"mobileclip_l_256", "mobileclip_l_99999999999",
         "\"config.json\": \"mm_vision_tower\" is \"mobileclip_l_99999999999\"; expected \"mobileclip_l_\" and the "
         "picture's side, at "
         "most 4096"},
        {"mobileclip_l_256", "mobileclip_l_250",
         "\"config.json\": \"mm_vision_tower\" asks for 250 pixels, not a multiple of the tower's stride 16"},
        {"\"mobileclip_l_256\"", "7",
         "\"config.json\": \"mm_vision_tower\" is a whole number, expected a name such as \"mobileclip_l_1024\""},
        {"\"mm_hidden_size\": 128", "\"mm_hidden_size\": 64",
         "tensor \"model.mm_projector.0.weight\" is BF16 [32, 128], expected [32, 64]"},
        {"\"vocab_size\": 320", "\"vocab_size\": 300",
         "the tokenizer has ids up to 309, but \"config.json\" says \"vocab_size\" 300; tokenizer and weights do not "
         "belong together"},
        {"\"eos_token_id\": 309", "\"eos_token_id\": 310",
         "\"config.json\": \"eos_token_id\" 310 is not an id of the tokenizer, which has 310; its files and this one "
         "do "
         "not belong together"},
        {"\"eos_token_id\": 309", "\"eos_token_id\": [1,-2]",
         "\"config.json\": \"eos_token_id\" is -2, expected a token's id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(verdict_of(cases[i].from, cases[i].to), cases[i].message);
    print_message("# %zu configurations refused\n", sizeof cases / sizeof cases[0]);
    test_remove_file(folder, "config.json");
    err = (fvlm_err){0};
    test_recipes_open(&r, folder, &err);
    assert_string_equal(err.msg,
                        "\"config.json\" is missing; give a checkpoint folder as downloaded, or copy it from there");
    assert_string_equal(verdict("[]"), "\"config.json\" is an array, expected an object");
}

/* ---- keys that people's files have ---- */

#define CONFIG "\"config.json\": "
#define SCALED "; scaled rotary embeddings are not supported, only \"default\""

static void rope(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *message;
    } cases[] = {
        {"\"rope_scaling\": null", ""},
        {"\"rope_scaling\": {}", ""},
        {"\"rope_scaling\": {\"rope_type\": \"default\"}", ""},
        {"\"rope_scaling\": {\"type\": \"default\", \"factor\": 1.0}", ""},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 1}", ""},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1000000}", ""},
        {"\"rope_parameters\": {\"rope_type\": \"default\", \"type\": null, \"partial_rotary_factor\": 1.0}", ""},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}}", ""},
        {"\"partial_rotary_factor\": 1.0", ""},
        {"\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}",
         CONFIG "\"rope_scaling\": \"type\" is \"linear\"" SCALED},
        {"\"rope_scaling\": {\"factor\": 4.0, \"type\": \"linear\"}",
         CONFIG "\"rope_scaling\": \"type\" is \"linear\"" SCALED},
        {"\"rope_scaling\": {\"type\": \"linear\"}", CONFIG "\"rope_scaling\": \"type\" is \"linear\"" SCALED},
        {"\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 1}",
         CONFIG "\"rope_scaling\": \"type\" is \"dynamic\"" SCALED},
        {"\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}",
         CONFIG "\"rope_scaling\": \"rope_type\" is \"llama3\"" SCALED},
        {"\"rope_scaling\": {\"type\": \"mrope\", \"mrope_section\": [1, 2, 3]}",
         CONFIG "\"rope_scaling\": \"type\" is \"mrope\"" SCALED},
        {"\"rope_scaling\": {\"rope_type\": \"default\", \"mrope_section\": [1, 2, 3]}",
         CONFIG "\"rope_scaling\": \"mrope_section\" is an array, which is not supported"},
        {"\"rope_scaling\": {\"rope_type\": \"default\", \"type\": \"su\"}",
         CONFIG "\"rope_scaling\": \"type\" is \"su\"" SCALED},
        {"\"rope_scaling\": {\"factor\": 2}", CONFIG "\"rope_scaling\": \"factor\" is 2, which is not supported"},
        {"\"rope_scaling\": {\"rope_type\": 7}", CONFIG "\"rope_scaling\": \"rope_type\" is 7" SCALED},
        {"\"rope_scaling\": \"linear\"", CONFIG "\"rope_scaling\" is a string, expected an object"},
        {"\"rope_scaling\": NaN", CONFIG "\"rope_scaling\" is a number, expected an object"},
        {"\"rope_parameters\": {\"rope_type\": \"longrope\", \"rope_theta\": 1e6}",
         CONFIG "\"rope_parameters\": \"rope_type\" is \"longrope\"" SCALED},
        {"\"rope_parameters\": {\"rope_type\": \"whatever-is-next\"}",
         CONFIG "\"rope_parameters\": \"rope_type\" is \"whatever-is-next\"" SCALED},
        {"\"rope_parameters\": {\"partial_rotary_factor\": 0.5}",
         CONFIG "\"rope_parameters\": \"partial_rotary_factor\" is 0.5, which is not supported"},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"yarn\"}}",
         CONFIG "\"rope_parameters\": \"full_attention\": \"rope_type\" is \"yarn\"" SCALED},
        {"\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 10000}}",
         CONFIG "\"rope_theta\" is 1000000, but 10000 in " CONFIG
                "\"rope_parameters\": \"full_attention\"; set both to the value used in training"},
        {"\"rope_parameters\": {\"rope_theta\": 10000.0}",
         CONFIG "\"rope_theta\" is 1000000, but 10000 in " CONFIG
                "\"rope_parameters\"; set both to the value used in training"},
        {"\"rope_scaling\": {\"rope_theta\": 10000.0}",
         CONFIG "\"rope_theta\" is 1000000, but 10000 in " CONFIG "\"rope_scaling\"; set both to the value used in "
                "training"},
        {"\"rope_parameters\": {\"rope_theta\": \"1e6\"}",
         CONFIG "\"rope_parameters\": \"rope_theta\" is a string, expected a number"},
        {"\"partial_rotary_factor\": 0.5", CONFIG "\"partial_rotary_factor\" is 0.5, which is not supported"},
        {"\"rotary_pct\": 0.25", CONFIG "\"rotary_pct\" is 0.25, which is not supported"},
        {"\"rope_local_base_freq\": 10000", CONFIG "\"rope_local_base_freq\" is 10000, which is not supported"},
        {"\"use_mrope\": true", CONFIG "\"use_mrope\" is true, which is not supported"},
        {"\"text_config\": {\"rope_scaling\": {\"type\": \"yarn\"}}",
         CONFIG "\"text_config\": \"rope_scaling\": \"type\" is \"yarn\"" SCALED},
        {"\"text_config\": {\"rope_theta\": 10000}",
         CONFIG "\"rope_theta\" is 1000000, but 10000 in " CONFIG "\"text_config\"; set both to the value used in "
                "training"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(verdict_with(cases[i].keys), cases[i].message);
        if (!err.code) assert_true(r.names.config.llm.rope_theta == 1e6);
    }
    assert_string_equal(verdict_of("\"rope_theta\": 1000000.0", "\"rope_parameters\": {\"rope_theta\": 5e5}"), "");
    assert_true(r.names.config.llm.rope_theta == 5e5);
    assert_string_equal(
        verdict_of("\"rope_theta\": 1000000.0",
                   "\"rope_theta\": null, \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 5e5}}"),
        "");
    assert_true(r.names.config.llm.rope_theta == 5e5);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"1000000.0", "1e-308", CONFIG "\"rope_theta\" is 1e-308, expected 100 to 1e+12"},
        {"1000000.0", "-1e6", CONFIG "\"rope_theta\" is -1e+06, expected 100 to 1e+12"},
        {"1000000.0", "1", CONFIG "\"rope_theta\" is 1, expected 100 to 1e+12"},
        {"1000000.0", "1e39", CONFIG "\"rope_theta\" is 1e+39, expected 100 to 1e+12"},
        {"1000000.0", "1e999", CONFIG "\"rope_theta\" is NaN, infinite or too large"},
        {"1000000.0", "NaN", CONFIG "\"rope_theta\" is NaN, infinite or too large"},
        {"1000000.0", "-Infinity", CONFIG "\"rope_theta\" is NaN, infinite or too large"},
        {"1000000.0", "1000000000000000000000000000000", CONFIG "\"rope_theta\" is 1e+30, expected 100 to 1e+12"},
        {"1000000.0", "10000", ""},
        {"1e-06", "1e50", CONFIG "\"rms_norm_eps\" is 1e+50, expected 1e-12 to 0.1"},
        {"1e-06", "1e-50", CONFIG "\"rms_norm_eps\" is 1e-50, expected 1e-12 to 0.1"},
        {"1e-06", "1", CONFIG "\"rms_norm_eps\" is 1, expected 1e-12 to 0.1"},
        {"1e-06", "-1e-6", CONFIG "\"rms_norm_eps\" is -1e-06, expected 1e-12 to 0.1"},
        {"1e-06", "0.00001", ""},
        {": 2048", ": 1000000000000000019884624838656",
         CONFIG "\"max_position_embeddings\" is 1e+30, which is too large"},
        {": 2048", ": NaN", CONFIG "\"max_position_embeddings\" is NaN, infinite or too large"},
        {": 2048", ": 2048.0", CONFIG "\"max_position_embeddings\" is a number, expected a whole number"},
        {": 48,", ": -0,", CONFIG "\"intermediate_size\" is 0, expected 1 to 262144"},
        {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 0",
         CONFIG "\"num_key_value_heads\" is 0, expected 1 to 1024"},
        {"mobileclip_l_256", "mobileclip_l_4096", ""},
        {"mobileclip_l_256", "mobileclip_l_4112",
         CONFIG "\"mm_vision_tower\" is \"mobileclip_l_4112\"; expected \"mobileclip_l_\" and the picture's side, at "
                "most 4096"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(verdict_of(cases[i].from, cases[i].to), cases[i].message);
    /* A tokenizer without a limit: transformers writes int(1e30). */
    static const char *const none[] = {"1000000000000000019884624838656", "1e30", "Infinity", "null", "2048"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char to[64];
        snprintf(to, sizeof to, ": %s,", none[i]);
        assert_string_equal(verdict_of(": 1024,", to), "");
        assert_int_equal(r.names.config.llm.context, 2048);
    }
    assert_string_equal(verdict_of(": 1024,", ": NaN,"),
                        CONFIG "\"tokenizer_model_max_length\" is NaN, infinite or too large");
    assert_string_equal(verdict_of(": 1024,", ": 0,"),
                        CONFIG "\"tokenizer_model_max_length\" is 0, expected 1 to 1048576");
}

static void keys_that_change_the_result(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *message;
    } cases[] = {
        {"\"use_sliding_window\": true, \"sliding_window\": 1024", CONFIG
         "\"use_sliding_window\" is set with \"sliding_window\" 1024, below \"max_position_embeddings\"; sliding "
         "windows are not supported"},
        {"\"use_sliding_window\": true, \"sliding_window\": 64, \"max_window_layers\": 1",
         CONFIG "\"use_sliding_window\" is set with \"sliding_window\" 64, below \"max_position_embeddings\"; sliding "
                "windows are not supported"},
        {"\"text_config\": {\"use_sliding_window\": true, \"sliding_window\": 64}",
         CONFIG "\"text_config\": \"use_sliding_window\" is set with \"sliding_window\" 64, below "
                "\"max_position_embeddings\"; sliding windows are not supported"},
        {"\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
         CONFIG "\"layer_types\"[1] is \"sliding_attention\"; only \"full_attention\" is supported"},
        {"\"layer_types\": \"sliding_attention\"", CONFIG "\"layer_types\" is a string, expected an array"},
        {"\"head_dim\": 32", CONFIG "\"head_dim\" is 32, but \"hidden_size\" / \"num_attention_heads\" is 16"},
        {"\"hidden_act\": \"gelu\"", CONFIG "line 1, column 309: \"hidden_act\" is given twice"},
        {"\"attn_logit_softcapping\": 50.0", CONFIG "\"attn_logit_softcapping\" is 50, which is not supported"},
        {"\"final_logit_softcapping\": 30.0", CONFIG "\"final_logit_softcapping\" is 30, which is not supported"},
        {"\"embedding_multiplier\": 12", CONFIG "\"embedding_multiplier\" is 12, which is not supported"},
        {"\"attention_multiplier\": 1", CONFIG "\"attention_multiplier\" is 1, which is not supported"},
        {"\"logits_scaling\": 8.0", CONFIG "\"logits_scaling\" is 8, which is not supported"},
        {"\"logit_scale\": 0.0625", CONFIG "\"logit_scale\" is 0.0625, which is not supported"},
        {"\"scale_emb\": 12", CONFIG "\"scale_emb\" is 12, which is not supported"},
        {"\"query_pre_attn_scalar\": 256", CONFIG "\"query_pre_attn_scalar\" is 256, which is not supported"},
        {"\"use_qk_norm\": true", CONFIG "\"use_qk_norm\" is true, which is not supported"},
        {"\"num_experts\": 60", CONFIG "\"num_experts\" is 60, which is not supported"},
        {"\"use_logn_attn\": true", CONFIG "\"use_logn_attn\" is true, which is not supported"},
        {"\"add_cross_attention\": true", CONFIG "\"add_cross_attention\" is true, which is not supported"},
        {"\"pruned_heads\": {\"0\": [1]}", CONFIG "\"pruned_heads\" is an object, which is not supported"},
        {"\"image_grid_pinpoints\": [[336, 672]]",
         CONFIG "\"image_grid_pinpoints\" is an array, but \"image_aspect_ratio\" is not \"anyres\""},
        {"\"mm_use_im_patch_token\": true", CONFIG "\"mm_use_im_patch_token\" is true, which is not supported"},
        {"\"mm_resampler_type\": \"qformer\"", CONFIG "\"mm_resampler_type\" is \"qformer\", which is not supported"},
        {"\"mm_patch_merge_type\": \"spatial_unpad\"",
         CONFIG "\"mm_patch_merge_type\" is \"spatial_unpad\"; only \"flat\" is supported"},
        {"\"text_config\": {\"quantization_config\": {\"bits\": 4}}",
         CONFIG "\"text_config\": \"quantization_config\" is an object, which is not supported"},
        {"\"text_config\": {\"hidden_size\": 64}",
         CONFIG "\"text_config\": \"hidden_size\" is 64, but 32 outside of it; make them agree"},
        {"\"llm_config\": {\"attn_logit_softcapping\": 50.0}",
         CONFIG "\"llm_config\": \"attn_logit_softcapping\" is 50, which is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(verdict_with(cases[i].keys), cases[i].message);
    assert_string_equal(verdict_of("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": \"true\""),
                        CONFIG "\"tie_word_embeddings\" is a string, expected true or false");
}

/* As transformers 4.39 to 5 and forks of LLaVA write them. */
static void harmless_keys(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\"use_sliding_window\": true, \"sliding_window\": 2048",
        "\"use_sliding_window\": true, \"sliding_window\": null",
        "\"use_sliding_window\": true, \"sliding_window\": 64, \"max_window_layers\": 2", /* there are two layers */
        "\"use_sliding_window\": true, \"sliding_window\": 64, \"layer_types\": [\"full_attention\", "
        "\"full_attention\"]",
        "\"use_sliding_window\": false, \"sliding_window\": 64, \"max_window_layers\": 1",
        "\"layer_types\": [\"full_attention\", \"full_attention\"]",
        "\"head_dim\": 16",
        "\"head_dim\": null",
        "\"dtype\": \"bfloat16\", \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"5.1.0\"",
        "\"attn_logit_softcapping\": null, \"embedding_multiplier\": 1.0, \"logit_scale\": 1, \"num_experts\": 0",
        "\"quantization_config\": null",
        "\"is_encoder_decoder\": false, \"add_cross_attention\": false, \"pruned_heads\": {}, \"temperature\": 1.0",
        "\"mm_vision_select_layer\": -2, \"mm_vision_select_feature\": \"patch\", \"mm_projector_lr\": null",
        "\"tune_mm_mlp_adapter\": true, \"mm_tunable_parts\": \"mm_vision_tower\", \"mm_resampler_type\": null",
        "\"vision_config\": {}, \"text_config\": {\"hidden_size\": 32, \"rope_theta\": 1e6, \"eos_token_id\": 5}",
        "\"a\": 1000000000000000019884624838656, \"b\": [1e999, -1e999, -0, 1E400], \"c\": NaN, \"d\": -Infinity",
        "\"model_max_length\": 99999999999999999999999999999999999999999999999999999999999999999999999999999",
        "\"_name_or_path\": \"rope_scaling\", \"unsloth_version\": \"2025.1\"",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_string_equal(verdict_with(cases[i]), "");
    assert_string_equal(verdict_of("\"num_key_value_heads\": 1, ", ""),
                        "tensor \"model.layers.0.self_attn.k_proj.weight\" is BF16 [16, 32], expected [32, 32]");
    assert_string_equal(verdict_of("\"num_key_value_heads\": 1", "\"num_key_value_heads\": null"),
                        "tensor \"model.layers.0.self_attn.k_proj.weight\" is BF16 [16, 32], expected [32, 32]");
}

/* ---- how an answer ends ---- */

/* 309 is <|im_end|>. */
static void end_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *config, *generation, *ids;
    } cases[] = {
        {"309", NULL, "309"},
        {"309", "{}", "309"},
        {"309", "{\"eos_token_id\": null}", "309"},
        {"309", "{\"eos_token_id\": 307}", "307 309"},
        {"309", "{\"eos_token_id\": [309, 307]}", "309 307"},
        {"[307, 5]", "{\"eos_token_id\": [5, 7, 5]}", "5 7 307 309"},
        {"[1, 2, 3, 4, 5, 6, 1]", NULL, "1 2 3 4 5 6 309"},
        {"307", NULL, "307 309"},
        {"null", NULL, "309"},
        {"[]", "{\"eos_token_id\": []}", "309"},
        {"0", NULL, "0 309"},
    };
    static const struct {
        const char *ids, *message;
    } bad[] = {
        {"-1", "\"eos_token_id\" is -1, expected a token's id"},
        {"\"309\"", "\"eos_token_id\" is \"309\", expected a token's id"},
        {"309.0", "\"eos_token_id\" is 309, expected a token's id"},
        {"[309, null]", "\"eos_token_id\" is null, expected a token's id"},
        {"[[309]]", "\"eos_token_id\" is an array, expected a token's id"},
        {"true", "\"eos_token_id\" is true, expected a token's id"},
        {"NaN", "\"eos_token_id\" is NaN, infinite or too large, expected a token's id"},
        {"[307, 4294967605]", "\"eos_token_id\" 4294967605 is not an id of the tokenizer, which has 310; its files and "
                              "this one do not belong together"},
        {"1000000000000000019884624838656", "\"eos_token_id\" is 1e+30, expected a token's id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char to[64], ids[64] = "";
        snprintf(to, sizeof to, "\"eos_token_id\": %s,", cases[i].config);
        if (cases[i].generation) test_write_text(folder, "generation_config.json", cases[i].generation);
        assert_string_equal(verdict_of("\"eos_token_id\": 309,", to), "");
        for (uint32_t k = 0; k < r.names.config.n_eos; k++)
            snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%s%u", k ? " " : "", r.names.config.eos[k]);
        assert_string_equal(ids, cases[i].ids);
        if (cases[i].generation) test_remove_file(folder, "generation_config.json");
    }
    assert_string_equal(verdict_of("\"eos_token_id\": 309, ", ""), "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128], want[256];
        snprintf(text, sizeof text, "{\"eos_token_id\": %s}", bad[i].ids);
        snprintf(want, sizeof want, "\"generation_config.json\": %s", bad[i].message);
        test_write_text(folder, "generation_config.json", text);
        assert_string_equal(verdict_of(" ", " "), want);
        test_remove_file(folder, "generation_config.json");
    }
}

/* ---- pictures ---- */

static void preprocessor(void **state)
{
    (void)state;
#define TAIL ", which is all that is supported; if the model was trained with Apple's code, remove the file"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{}", NULL},
        {"{\"image_mean\": [0.0, 0.0, 0.0], \"image_std\": [1.0, 1.0, 1.0], \"resample\": 3, \"size\": "
         "{\"shortest_edge\": "
         "256}, \"crop_size\": {\"height\": 256, \"width\": 256}, \"rescale_factor\": 0.00392156862745098, "
         "\"do_normalize\": true, \"do_rescale\": true, \"do_center_crop\": true, \"x\": 1e999}",
         NULL},
        {"{\"do_normalize\": false, \"image_mean\": [0.5, 0.5, 0.5], \"do_center_crop\": false, \"crop_size\": 224}",
         NULL},
        {"{\"size\": 256, \"crop_size\": null}", NULL},
        {"{\"image_mean\": [0.48145466, 0.4578275, 0.40821073]}", "\"image_mean\" is not 0" TAIL},
        {"{\"image_std\": [0.26862954, 0.26130258, 0.27577711]}", "\"image_std\" is not 1" TAIL},
        {"{\"image_std\": 0.5}", "\"image_std\" is not 1" TAIL},
        {"{\"resample\": 2}", "\"resample\" is not 3 (bicubic)" TAIL},
        {"{\"size\": {\"shortest_edge\": 512}}", "\"size\" is not the tower's 256" TAIL},
        {"{\"crop_size\": {\"height\": 256, \"width\": 224}}", "\"crop_size\" is not the tower's 256" TAIL},
        {"{\"rescale_factor\": 1.0}", "\"rescale_factor\" is not 1/255" TAIL},
        {"{\"rescale_factor\": \"x\"}", "\"rescale_factor\" is not 1/255" TAIL},
        {"{\"do_rescale\": false}", "\"do_rescale\" is not true" TAIL},
        {"{\"do_resize\": false}", "\"do_resize\" is not true" TAIL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        static const char *const files[] = {"preprocessor_config.json", "processor_config.json"};
        for (unsigned k = 0; k < 2; k++) {
            char text[512], want[256] = "";
            snprintf(text, sizeof text, k ? "{\"image_processor\": %s}" : "%s", cases[i].text);
            if (cases[i].message) snprintf(want, sizeof want, "\"%s\": %s", files[k], cases[i].message);
            test_write_text(folder, files[k], text);
            assert_string_equal(verdict_of(" ", " "), want);
            test_remove_file(folder, files[k]);
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    test_checkpoint c;
    test_checkpoint_make(&c, false, FVLM_SOURCE_BF16);
    test_checkpoint_write(&c, test_folder(folder));
    test_checkpoint_free(&c);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    test_recipes_close(&r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),      cmocka_unit_test(rope),
        cmocka_unit_test(numbers),       cmocka_unit_test(keys_that_change_the_result),
        cmocka_unit_test(harmless_keys), cmocka_unit_test(end_tokens),
        cmocka_unit_test(preprocessor),
    };
    return cmocka_run_group_tests(tests, set_up, clean_up);
}
