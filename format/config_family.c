/* SPDX-License-Identifier: Apache-2.0 */
/* config_family.c - the keys of config.llm that Qwen2 lacks: family, bias, rope_scaling and bos. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "format/base/json_fields.h"
#include "format/config_internal.h"

#define COUNT(array) (sizeof array / sizeof array[0])

static const char *const families[] = {[FVLM_QWEN2] = "qwen2", [FVLM_LLAMA] = "llama"};
static const char *const biases[] = {[FVLM_BIAS_QKV] = "qkv", [FVLM_BIAS_NONE] = "none", [FVLM_BIAS_QKVO] = "qkvo"};
static const char *const scalings[] = {
    [FVLM_ROPE_PLAIN] = "default", [FVLM_ROPE_LINEAR] = "linear", [FVLM_ROPE_LLAMA3] = "llama3"};

const char *fvlm_family_name(uint32_t family)
{
    return family < COUNT(families) ? families[family] : "unknown";
}

void fvlm_config_family_to_json(json_t **llm, const fvlm_config *c)
{
    if (c->llm.family == FVLM_QWEN2) return;
    fvlm_json_set(llm, "family", json_string(fvlm_family_name(c->llm.family)));
    fvlm_json_set(llm, "bias", json_string(biases[c->llm.bias]));
    if (c->llm.has_bos) fvlm_json_set(llm, "bos", json_integer((json_int_t)c->llm.bos));
    if (c->llm.rope_scaling == FVLM_ROPE_PLAIN) return;
    json_t *scaling = json_object();
    fvlm_json_set(&scaling, "type", json_string(scalings[c->llm.rope_scaling]));
    fvlm_json_set(&scaling, "factor", json_real(c->llm.rope_factor));
    if (c->llm.rope_scaling == FVLM_ROPE_LLAMA3) {
        fvlm_json_set(&scaling, "low_freq_factor", json_real(c->llm.rope_low));
        fvlm_json_set(&scaling, "high_freq_factor", json_real(c->llm.rope_high));
        fvlm_json_set(&scaling, "original_context", json_real(c->llm.rope_original));
    }
    fvlm_json_set(llm, "rope_scaling", scaling);
}

/* The index of a text among n names; refuses any other. */
static void read_name(fvlm_json_fields *s, const char *key, const char *const *names, uint32_t n, uint32_t *out)
{
    const json_t *v = fvlm_json_fields_child(s, key, JSON_STRING);
    if (s->st) return;
    for (*out = 0; *out < n; ++*out)
        if (!strcmp(json_string_value(v), names[*out])) return;
    *out = 0;
    s->st = fvlm_fail(s->err, FVLM_UNSUPPORTED, "%s.%s \"%.40s\" is not supported", s->name, key, json_string_value(v));
}

static fvlm_status read_scaling(fvlm_config *out, const json_t *scaling, fvlm_err *err)
{
    fvlm_json_fields s = {.object = scaling, .name = "config.llm.rope_scaling", .err = err};
    read_name(&s, "type", scalings, COUNT(scalings), &out->llm.rope_scaling);
    if (!s.st && out->llm.rope_scaling == FVLM_ROPE_PLAIN)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.rope_scaling.type is \"default\"; leave the object out");
    fvlm_json_fields_real(&s, "factor", 1, FVLM_MAX_CONTEXT, &out->llm.rope_factor);
    if (out->llm.rope_scaling != FVLM_ROPE_LLAMA3) return s.st;
    fvlm_json_fields_real(&s, "low_freq_factor", FVLM_MIN_ROPE_BAND, FVLM_MAX_CONTEXT, &out->llm.rope_low);
    fvlm_json_fields_real(&s, "high_freq_factor", FVLM_MIN_ROPE_BAND, FVLM_MAX_CONTEXT, &out->llm.rope_high);
    fvlm_json_fields_real(&s, "original_context", 1, FVLM_MAX_CONTEXT, &out->llm.rope_original);
    if (!s.st && !(out->llm.rope_low < out->llm.rope_high))
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.rope_scaling.low_freq_factor is not below high_freq_factor");
    return s.st;
}

fvlm_status fvlm_config_family_from_json(fvlm_config *out, const json_t *llm, fvlm_err *err)
{
    static const char *const of_family[] = {"bias", "bos", "rope_scaling"};
    fvlm_json_fields s = {.object = llm, .name = "config.llm", .err = err};
    if (!json_object_get(llm, "family")) {
        for (size_t i = 0; i < COUNT(of_family); i++)
            if (json_object_get(llm, of_family[i]))
                return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.family is missing, but config.llm.%s is given",
                                 of_family[i]);
        return FVLM_OK;
    }
    read_name(&s, "family", families, COUNT(families), &out->llm.family);
    if (!s.st && out->llm.family == FVLM_QWEN2)
        return fvlm_fail(err, FVLM_BAD_INPUT, "config.llm.family is \"qwen2\"; leave the key out");
    read_name(&s, "bias", biases, COUNT(biases), &out->llm.bias);
    out->llm.has_bos = json_object_get(llm, "bos");
    if (out->llm.has_bos) fvlm_json_fields_u32(&s, "bos", 0, out->llm.vocab ? out->llm.vocab - 1 : 0, &out->llm.bos);
    const bool scaled = json_object_get(llm, "rope_scaling");
    const json_t *scaling = scaled ? fvlm_json_fields_child(&s, "rope_scaling", JSON_OBJECT) : NULL;
    return s.st || !scaled ? s.st : read_scaling(out, scaling, err);
}
