/* SPDX-License-Identifier: Apache-2.0 */
/* export_config.c - config.json, in the keys of Apple's checkpoints and of transformers' fast_vlm. */
#include <stdio.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/export/export_tower.h"
#include "convert/upstream/conversation.h"
#include "format/base/json.h"

/* "factor" and its like, with the kind under 'key': transformers before 4.43 wants "type", and of "linear" no other key
 * beside. */
static json_t *rope_scaling(const fvlm_config *c, const char *key)
{
    const bool llama3 = c->llm.rope_scaling == FVLM_ROPE_LLAMA3;
    json_t *j = json_pack("{s:s, s:f}", key, llama3 ? "llama3" : "linear", "factor", c->llm.rope_factor);
    if (!llama3) return j;
    fvlm_json_set(&j, "low_freq_factor", json_real(c->llm.rope_low));
    fvlm_json_set(&j, "high_freq_factor", json_real(c->llm.rope_high));
    const json_int_t original = (json_int_t)c->llm.rope_original;
    fvlm_json_set(&j, "original_max_position_embeddings",
                  (double)original == c->llm.rope_original ? json_integer(original) : json_real(c->llm.rope_original));
    return j;
}

/* Of transformers from version 5 on. */
static json_t *rope_parameters(const fvlm_config *c)
{
    json_t *j = c->llm.rope_scaling ? rope_scaling(c, "rope_type") : json_pack("{s:s}", "rope_type", "default");
    fvlm_json_set(&j, "rope_theta", json_real(c->llm.rope_theta));
    return j;
}

static void add_llama_keys(json_t **j, const fvlm_config *c)
{
    const fvlm_conversation *conversation = fvlm_conversation_of(c->prompt);
    fvlm_json_set(j, "attention_bias", json_boolean(c->llm.bias == FVLM_BIAS_QKVO));
    fvlm_json_set(j, "mlp_bias", json_false());
    fvlm_json_set(j, "head_dim", json_integer(c->llm.head_dim));
    if (c->llm.rope_scaling)
        fvlm_json_set(j, "rope_scaling",
                      rope_scaling(c, c->llm.rope_scaling == FVLM_ROPE_LINEAR ? "type" : "rope_type"));
    if (c->llm.has_bos) fvlm_json_set(j, "bos_token_id", json_integer(c->llm.bos));
    if (conversation) fvlm_json_set(j, "conv_mode", json_string(conversation->name)); /* convert reads it */
}

/* The keys that transformers' language model reads. rope_theta stands where transformers before version 5 looks, and
 * rope_parameters where later ones do. */
static json_t *llm_keys(const fvlm_config *c, const fvlm_tokens *t, uint32_t rows)
{
    uint32_t end;
    json_t *j =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:i, s:f, s:b, s:I, s:f}", "hidden_act", "silu",
                  "hidden_size", (int)c->llm.hidden, "intermediate_size", (int)c->llm.intermediate, "num_hidden_layers",
                  (int)c->llm.layers, "num_attention_heads", (int)c->llm.heads, "num_key_value_heads",
                  (int)c->llm.kv_heads, "max_position_embeddings", (int)c->llm.context, "rms_norm_eps", c->llm.norm_eps,
                  "rope_theta", c->llm.rope_theta, "vocab_size", (int)rows, "attention_dropout", 0.0, "use_cache", 1,
                  "eos_token_id", (json_int_t)c->eos[0], "initializer_range", 0.02);
    fvlm_json_set(&j, "tie_word_embeddings", json_boolean(c->llm.tied));
    if (fvlm_tokens_find_added(t, "<|endoftext|>", &end)) {
        fvlm_json_set(&j, "bos_token_id", json_integer(end));
        fvlm_json_set(&j, "pad_token_id", json_integer(end));
    }
    if (c->llm.family == FVLM_LLAMA)
        add_llama_keys(&j, c);
    else
        fvlm_json_set(&j, "use_sliding_window", json_false());
    return j;
}

/* The type that most of the weights have, for programs that load a model in its own type. */
static const char *main_type(const fvlm_export *x)
{
    static const char *const names[][2] = {{"F32", "float32"}, {"BF16", "bfloat16"}, {"F16", "float16"}};
    uint64_t most = 0;
    const char *found = "float32";
    for (size_t i = 0; i < 3; i++) {
        uint64_t n = 0;
        for (size_t k = 0; k < x->n_tensors; k++)
            if (!strcmp(x->tensors[k].type, names[i][0])) n += x->tensors[k].n_bytes / (i ? 2 : 4);
        if (n > most) {
            most = n;
            found = names[i][1];
        }
    }
    return found;
}

/* "pad", or LLaVA's "anyres" with its sizes. */
static void set_tiles(json_t **j, const fvlm_config *c)
{
    json_t *sizes = c->tiles.n_sizes ? json_array() : json_null();
    for (uint32_t i = 0; i < c->tiles.n_sizes; i++)
        fvlm_json_append(&sizes, json_pack("[i, i]", (int)c->tiles.size[i][0], (int)c->tiles.size[i][1]));
    fvlm_json_set(j, "image_grid_pinpoints", sizes);
    fvlm_json_set(j, "image_aspect_ratio", json_string(c->tiles.n_sizes ? "anyres" : "pad"));
    fvlm_json_set(j, "mm_patch_merge_type", json_string(c->tiles.n_sizes ? fvlm_merge_name(c->tiles.merge) : "flat"));
}

json_t *fvlm_export_config_apple(const fvlm_export *x, const fvlm_tokens *t)
{
    const fvlm_config *c = x->config;
    char tower[48];
    snprintf(tower, sizeof tower, "mobileclip_l_%u", c->vision.image_size);
    json_t *j = llm_keys(c, t, c->llm.vocab);
    const bool llama = c->llm.family == FVLM_LLAMA;
    json_t *mm = json_pack("{s:[s], s:s, s:s, s:i, s:s, s:i, s:s, s:b, s:b, s:b, s:b, s:i, s:s, s:s}", "architectures",
                           llama ? "LlavaLlamaForCausalLM" : "LlavaQwen2ForCausalLM", "model_type",
                           llama ? "llava_llama" : "llava_qwen2", "mm_vision_tower", tower, "mm_hidden_size",
                           (int)c->projector.in, "mm_projector_type", "mlp2x_gelu", "mm_vision_select_layer", -2,
                           "mm_vision_select_feature", "patch", "mm_use_im_start_end", 0, "mm_use_im_patch_token", 0,
                           "use_mm_proj", 1, "unfreeze_mm_vision_tower", 1, "tokenizer_model_max_length",
                           (int)c->llm.context, "tokenizer_padding_side", "right", "torch_dtype", main_type(x));
    set_tiles(&mm, c);
    if (!j || !mm || json_object_update(j, mm)) {
        json_decref(j);
        j = NULL;
    }
    json_decref(mm);
    return j;
}

json_t *fvlm_export_config_transformers(const fvlm_export *x, const fvlm_tokens *t, uint32_t image_id, bool image_row)
{
    const fvlm_config *c = x->config;
    const uint32_t tokens = c->vision.image_size / c->vision.stride;
    json_t *text = llm_keys(c, t, c->llm.vocab + image_row);
    fvlm_json_set(&text, "model_type", json_string(fvlm_family_name(c->llm.family)));
    fvlm_json_set(&text, "rope_parameters", rope_parameters(c));
    json_t *vision = json_pack("{s:s, s:s, s:b, s:s, s:i, s:f}", "model_type", "timm_wrapper", "architecture",
                               "fastvit_mci3", "do_pooling", 1, "global_pool", "avg", "hidden_size",
                               (int)c->vision.out_dim, "initializer_range", 0.02);
    fvlm_json_set(&vision, "model_args", fvlm_export_timm_args(c));
    json_t *j = json_pack("{s:[s], s:s, s:I, s:I, s:i, s:b, s:s, s:i, s:s, s:b, s:s, s:s}", "architectures",
                          "FastVlmForConditionalGeneration", "model_type", "fast_vlm", "image_token_id",
                          (json_int_t)image_id, "image_token_index", (json_int_t)image_id, "image_seq_length",
                          (int)(tokens * tokens), "multimodal_projector_bias", 1, "projector_hidden_act", "gelu",
                          "vision_feature_layer", -1, "vision_feature_select_strategy", "full", "tie_word_embeddings",
                          (int)c->llm.tied, "dtype", main_type(x), "torch_dtype", main_type(x));
    fvlm_json_set(&j, "vision_config", vision);
    fvlm_json_set(&j, "text_config", text);
    return j;
}
