/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.c - see conversations.h. */
#include "convert/conversations.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/checkpoint_internal.h"

#define COUNT(array) (sizeof array / sizeof array[0])
#define MAX_TEMPLATE_BYTES (1u << 20)
#define MAX_TOKENIZER_BYTES (64u << 20)
#define CHOOSE "; choose with --chat NAME"

/* ---- what the checkpoint states ---- */

static fvlm_status by_config(fvlm_conversation_choice *out, const json_t *config, fvlm_err *err)
{
    static const char *const keys[] = {"conversation", "conv_mode", "conv_template", "version"};
    for (size_t i = 0; i < COUNT(keys) && !out->conversation; i++) {
        const char *name = json_string_value(json_object_get(config, keys[i]));
        if (!name) continue;
        out->conversation = fvlm_conversation_find(name);
        if (out->conversation)
            snprintf(out->why, sizeof out->why, "\"%s\" of config.json is \"%.64s\"", keys[i], name);
        else if (i < COUNT(keys) - 1) /* "version" may be the version of something else */
            return fvlm_fail(err, FVLM_UNSUPPORTED,
                             "\"config.json\": \"%s\" is \"%.64s\", which is not supported" CHOOSE, keys[i], name);
    }
    return FVLM_OK;
}

/* Templates are programs in Jinja. One is recognized by fragments that it writes, in their order; the first row that
 * matches counts. A row without a conversation is refused. */
static const struct {
    const char *fragments[3], *name, *why;
} fingerprints[] = {
    {{"<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>", NULL},
     "smollm2",
     NULL},
    {{"<|im_start|>system\nYou are a helpful assistant", NULL}, "qwen_2", NULL},
    {{"<|im_start|>system\n", NULL}, NULL, "has a system prompt of its own"},
    {{"<|im_start|>", "<|im_end|>", NULL}, "chatml", NULL},
    {{"Cutting Knowledge Date", NULL}, NULL, "writes today's date, as Llama 3.1's does"},
    {{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, "llama_3", NULL},
    {{"[INST]", NULL}, NULL, "is of Llama 2's kind, which LLaVA has in two forms: llama_2 and llava_llama_2"},
    {{"A chat between a curious user and an artificial", "USER: ", "ASSISTANT:"}, "v1", NULL},
    {{"A chat between a curious human and an artificial", "USER: ", "ASSISTANT:"}, "llava_v1", NULL},
};

static bool has_fragments(const char *text, const char *const fragments[3])
{
    for (size_t i = 0; i < 3 && fragments[i]; i++) {
        text = strstr(text, fragments[i]);
        if (!text) return false;
        text += strlen(fragments[i]);
    }
    return true;
}

/* Line breaks as such, which a string in Jinja may write as \n. In place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        const bool newline = from[0] == '\\' && from[1] == 'n';
        *to++ = newline ? '\n' : *from;
        from += newline;
    }
    *to = 0;
}

static fvlm_status by_template(fvlm_conversation_choice *out, const char *file, const char *template, fvlm_err *err)
{
    char *text = fvlm_strdup(template);
    if (!text) return fvlm_fail_nomem(err);
    unescape(text);
    size_t i = 0;
    while (i < COUNT(fingerprints) && !has_fragments(text, fingerprints[i].fragments)) i++;
    free(text);
    const bool known = i < COUNT(fingerprints);
    if (known && fingerprints[i].name) {
        out->conversation = fvlm_conversation_find(fingerprints[i].name);
        snprintf(out->why, sizeof out->why, "recognized in the chat template of %s", file);
        return FVLM_OK;
    }
    return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": the chat template %s" CHOOSE, file,
                     known ? fingerprints[i].why : "is not one that fvlm recognizes");
}

/* "chat_template" is a text, or a list of {"name", "template"}, of which "default" counts. */
static const char *template_of(const json_t *tokenizer_config)
{
    const json_t *v = json_object_get(tokenizer_config, "chat_template");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && !strcmp(name, "default")) return json_string_value(json_object_get(one, "template"));
    }
    return json_string_value(v);
}

static const char tokenizer_name[] = "tokenizer_config.json", template_name[] = "chat_template.jinja";

fvlm_status fvlm_conversation_stated(fvlm_conversation_choice *out, fvlm_source *src, const json_t *config,
                                     fvlm_err *err)
{
    json_t *tokenizer = NULL;
    char *text = NULL;
    size_t n;
    *out = (fvlm_conversation_choice){0};
    fvlm_status st = by_config(out, config, err);
    if (st || out->conversation) return st;
    st = fvlm_source_text(src, template_name, MAX_TEMPLATE_BYTES, &text, &n, err);
    if (!st && text)
        st = by_template(out, template_name, text, err);
    else if (!st) {
        st = fvlm_source_json(&tokenizer, src, tokenizer_name, MAX_TOKENIZER_BYTES, err);
        const char *template = st ? NULL : template_of(tokenizer);
        if (template) st = by_template(out, tokenizer_name, template, err);
    }
    json_decref(tokenizer);
    free(text);
    return st;
}

fvlm_status fvlm_conversation_peek(fvlm_conversation_choice *out, const fvlm_source *src, const json_t *config,
                                   fvlm_err *err)
{
    json_t *tokenizer = NULL;
    char *text;
    size_t n;
    *out = (fvlm_conversation_choice){0};
    if (by_config(out, config, NULL) || out->conversation) return FVLM_OK;
    fvlm_status st = fvlm_source_peek_text(&text, &n, src, template_name, MAX_TEMPLATE_BYTES, err);
    if (!st && !text) st = fvlm_source_peek_json(&tokenizer, src, tokenizer_name, MAX_TOKENIZER_BYTES, err);
    const char *template = text ? text : template_of(tokenizer), *file = text ? template_name : tokenizer_name;
    if (!st && template && by_template(out, file, template, NULL) == FVLM_NOMEM) st = fvlm_fail_nomem(err);
    json_decref(tokenizer);
    free(text);
    return st;
}
