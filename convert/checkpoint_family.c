/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_family.c - the family of a checkpoint's language model, from config.json's "model_type", and what goes
 * with it. A new family is a row of the table, if the executor can compute it. */
#include <stdio.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

static const fvlm_family_traits families[] = {
    {.family = FVLM_QWEN2, .model_types = {"llava_qwen2"}, .conversation = "qwen_2", .why = "Apple's for llava_qwen2"},
    {.family = FVLM_LLAMA,
     .model_types = {"llava_llama", "llava", "llama"},
     .architectures = {"LlavaLlamaForCausalLM", "LlamaForCausalLM"},
     .conversation = "v1",
     .why = "LLaVA's default for llava_llama; the checkpoint states no other",
     .states_bias = true,
     .states_conversation = true,
     .scales_rope = true,
     .may_add_bos = true,
     .free_head_dim = true,
     .default_theta = 10000},
};

#define COUNT(array) (sizeof array / sizeof array[0])

static bool lists(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n && names[i]; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

/* Where config.json names classes, one of them is the family's. */
static void check_architectures(fvlm_json_fields *r, const fvlm_family_traits *f)
{
    const json_t *list = json_object_get(r->object, "architectures");
    const char *first = json_string_value(json_array_get(list, 0));
    bool known = !f->architectures[0] || json_array_size(list) == 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        known |= name && lists(f->architectures, COUNT(f->architectures), name);
    }
    if (!known)
        fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                           "\"architectures\" names \"%.64s\"; expected \"%s\" for this model_type",
                           first ? first : "nothing", f->architectures[0]);
}

const fvlm_family_traits *fvlm_config_read_family(fvlm_json_fields *r)
{
    const json_t *v = json_object_get(r->object, "model_type");
    const char *type = json_string_value(v);
    if (!type) {
        fvlm_config_refuse(r, FVLM_BAD_INPUT, "\"model_type\" is %s, expected \"llava_qwen2\" or \"llava_llama\"",
                           v ? fvlm_json_kind(v) : "missing");
        return &families[0];
    }
    for (size_t i = 0; i < COUNT(families); i++) {
        if (!lists(families[i].model_types, COUNT(families[i].model_types), type)) continue;
        check_architectures(r, &families[i]);
        return &families[i];
    }
    fvlm_config_refuse(r, FVLM_UNSUPPORTED,
                       "\"model_type\" is \"%.64s\"; only \"llava_qwen2\" and \"llava_llama\" are supported", type);
    return &families[0];
}

/* transformers' "attention_bias" is about all of q, k, v and o. */
void fvlm_config_read_bias(fvlm_json_fields *r, const fvlm_family_traits *f, fvlm_config *c)
{
    static const char *const keys[] = {"attention_bias", "mlp_bias"};
    bool set[] = {false, false};
    if (!f->states_bias) return;
    for (size_t i = 0; i < 2; i++) {
        const json_t *v = json_object_get(r->object, keys[i]);
        if (v && !json_is_null(v)) fvlm_json_fields_bool(r, keys[i], &set[i]);
    }
    if (set[1]) fvlm_config_refuse(r, FVLM_UNSUPPORTED, "\"mlp_bias\" is true, which is not supported");
    c->llm.bias = set[0] ? FVLM_BIAS_QKVO : FVLM_BIAS_NONE;
}
