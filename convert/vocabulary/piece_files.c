/* SPDX-License-Identifier: Apache-2.0 */
/* piece_files.c - reads tokenizer.model and what the files beside it add, as transformers' LlamaTokenizer does (4.x,
 * not "Fast"), which is what LLaVA and Apple's predict.py use. */
#include <stdlib.h>
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"
#include "format/base/grow.h"

static const char name[] = "tokenizer.model", config_name[] = "tokenizer_config.json";

static fvlm_status read_model(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    char *bytes;
    size_t n_bytes;
    fvlm_status st = fvlm_source_text(src, name, FVLM_MAX_VOCABULARY_BYTES, &bytes, &n_bytes, err);
    if (!st && !bytes) st = fvlm_fail(err, FVLM_CHANGED, "\"%s\" was removed while it was being read", name);
    if (st) return st;
    v->texts[v->n_texts++] = bytes;
    st = fvlm_piece_model_read(&v->pieces, (const uint8_t *)bytes, n_bytes, v->stop, err);
    if (st == FVLM_NOMEM || st == FVLM_INTERRUPTED) return st;
    if (st) return fvlm_err_prefix(err, "\"%s\"", name);
    const size_t n = fvlm_piece_model_n(v->pieces);
    if (!fvlm_grow(&v->tokens, &v->tokens_capacity, n, sizeof *v->tokens)) return fvlm_fail_nomem(err);
    while (v->n_tokens < n) {
        v->tokens[v->n_tokens] = fvlm_piece_model_text(v->pieces, v->n_tokens);
        v->n_tokens++;
    }
    return FVLM_OK;
}

static fvlm_status check_config(fvlm_vocabulary *v, fvlm_err *err)
{
    const char *class = json_string_value(json_object_get(v->config, "tokenizer_class"));
    const json_t *legacy = json_object_get(v->config, "legacy");
    if (class && strcmp(class, "LlamaTokenizer") != 0 && strcmp(class, "LlamaTokenizerFast") != 0)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "\"%s\": \"tokenizer_class\" is \"%.64s\"; only LlamaTokenizer is supported with %s",
                         config_name, class, name);
    if (json_object_size(json_object_get(v->config, "sp_model_kwargs")))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"sp_model_kwargs\" is not empty, which is not supported",
                         config_name);
    if (legacy && !json_is_boolean(legacy) && !json_is_null(legacy))
        return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"legacy\" is neither true nor false", config_name);
    v->pieces->legacy = !json_is_false(legacy);
    /* If it is "legacy", transformers' slow class encodes with the prefix that the model says, whatever
     * "add_prefix_space" is; else with its own, whatever the model says. */
    const bool prefix = !json_is_false(json_object_get(v->config, "add_prefix_space"));
    FvlmSentencepiece__NormalizerSpec *rules = v->pieces->message->normalizer_spec;
    if (!v->pieces->legacy) rules->add_dummy_prefix = prefix;
    if (!prefix && (v->pieces->legacy || rules->remove_extra_whitespaces))
        return fvlm_fail(err, FVLM_UNSUPPORTED, "\"%s\": \"add_prefix_space\" is false, which is not supported%s",
                         config_name, v->pieces->legacy ? " unless \"legacy\" is false" : " by this tokenizer.model");
    return FVLM_OK;
}

/* The id of a piece; n_tokens if there is none. */
static size_t find_piece(const fvlm_vocabulary *v, const char *text)
{
    size_t id = 0;
    while (id < v->n_tokens && strcmp(v->tokens[id], text) != 0) id++;
    return id;
}

/* LlamaTokenizer adds these three, under the names that the config gives them. */
static fvlm_status add_default(fvlm_vocabulary *v, const char *key, const char *otherwise, fvlm_err *err)
{
    const json_t *value = json_object_get(v->config, key);
    const char *text = fvlm_vocabulary_token_text(value);
    if (!value) text = otherwise;
    if (!text) return FVLM_OK;
    for (size_t i = 0; i < v->n_added; i++)
        if (!strcmp(v->added[i].text, text)) return FVLM_OK;
    const size_t id = find_piece(v, text);
    if (id == v->n_tokens && !value) return FVLM_OK;
    if (id == v->n_tokens)
        return fvlm_fail(err, FVLM_BAD_INPUT,
                         "\"%s\": \"%s\" is \"%.64s\", which is neither a piece nor an added token", config_name, key,
                         text);
    const char *file = v->added_file;
    const fvlm_status st =
        fvlm_vocabulary_add_added(v, name, (int64_t)id, text, (fvlm_vocabulary_flags){.special = true}, err);
    if (file) v->added_file = file;
    return st;
}

/* What begins each text: bos_token, unless add_bos_token is false. */
static fvlm_status choose_bos(fvlm_vocabulary *v, fvlm_err *err)
{
    const json_t *value = json_object_get(v->config, "bos_token");
    const char *text = fvlm_vocabulary_token_text(value);
    if (!value) text = "<s>";
    if (json_is_false(json_object_get(v->config, "add_bos_token"))) return FVLM_OK;
    if (!text) return fvlm_fail(err, FVLM_BAD_INPUT, "\"%s\": \"bos_token\" names no token", config_name);
    if (!v->may_add_bos)
        return fvlm_fail(err, FVLM_UNSUPPORTED,
                         "the tokenizer begins each text with \"%.64s\"; a model of this family does not", text);
    v->bos = fvlm_strdup(text);
    return v->bos ? FVLM_OK : fvlm_fail_nomem(err);
}

/* reference/tokenizer finds them as it finds added tokens. */
static fvlm_status check_user(const fvlm_vocabulary *v, fvlm_err *err)
{
    size_t n_bytes = 0;
    for (size_t id = 0; id < v->n_tokens; id++)
        n_bytes += v->pieces->message->pieces[id]->type == FVLM_SENTENCEPIECE_USER ? strlen(v->tokens[id]) : 0;
    if (n_bytes <= FVLM_MAX_ADDED_BYTES) return FVLM_OK;
    return fvlm_fail(err, FVLM_LIMIT, "\"%s\": the user-defined pieces have %zu bytes of text, at most %u are allowed",
                     name, n_bytes, FVLM_MAX_ADDED_BYTES);
}

fvlm_status fvlm_vocabulary_from_pieces(fvlm_vocabulary *v, fvlm_source *src, fvlm_err *err)
{
    static const fvlm_vocabulary none;
    fvlm_status st = read_model(v, src, err);
    if (!st) st = check_user(v, err);
    if (!st) st = fvlm_vocabulary_read_config(v, src, err);
    if (!st) st = check_config(v, err);
    if (!st) st = fvlm_vocabulary_read_added(v, src, &none, err);
    if (!st) st = add_default(v, "unk_token", "<unk>", err);
    if (!st) st = add_default(v, "bos_token", "<s>", err);
    if (!st) st = add_default(v, "eos_token", "</s>", err);
    if (!st) st = choose_bos(v, err);
    if (!st) /* LlamaTokenizer finds all of them before it normalizes, whatever the files say */
        fvlm_vocabulary_clear_normalized(v);
    return st;
}
