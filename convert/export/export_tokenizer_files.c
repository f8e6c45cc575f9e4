/* SPDX-License-Identifier: Apache-2.0 */
/* export_tokenizer_files.c - the tokenizer section as the files of Hugging Face's tokenizers. */
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "format/base/json.h"

static json_t *vocabulary(const fvlm_tokens *t)
{
    json_t *j = json_object();
    for (size_t i = 0; j && i < json_array_size(t->tokens); i++) {
        const char *text = json_string_value(json_array_get(t->tokens, i));
        if (text) fvlm_json_set(&j, text, json_integer((json_int_t)i));
    }
    return j;
}

static json_t *added_flags(const fvlm_added_token *a, bool in_list)
{
    json_t *j = json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", a->text, "lstrip", 0, "normalized",
                          (int)a->normalized, "rstrip", 0, "single_word", 0, "special", (int)a->special);
    if (in_list) fvlm_json_set(&j, "id", json_integer(a->id));
    return j;
}

static json_t *byte_level(bool prefix_space, bool own_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix_space, "trim_offsets",
                     0, "use_regex", (int)own_regex);
}

/* One or two steps; any regular expression that is not known by a name of its own is a step "Split". */
static json_t *pre_tokenizer(const fvlm_tokens *t)
{
    const fvlm_split_form *form = fvlm_tokens_form(t);
    const bool own_regex = form && form->byte_level;
    json_t *last = byte_level(t->prefix_space, own_regex), *steps = json_array();
    if (own_regex && !form->digits) {
        json_decref(steps);
        return last;
    }
    fvlm_json_append(&steps, form && form->digits
                                 ? json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1)
                                 : json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                             t->pattern, "behavior", "Isolated", "invert", 0));
    fvlm_json_append(&steps, last);
    json_t *j = json_pack("{s:s}", "type", "Sequence");
    fvlm_json_set(&j, "pretokenizers", steps);
    return j;
}

/* Puts the token that begins each text before it, in the form that Llama 3's tokenizer has. */
static json_t *post_processor(const char *bos, uint32_t id)
{
    json_t *offsets = byte_level(false, false);
    if (!bos) return offsets;
    json_t *template = json_pack(
        "{s:s, s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}], "
        "s:{s:{s:s, s:[I], s:[s]}}}",
        "type", "TemplateProcessing", "single", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id", "A",
        "type_id", 0, "pair", "SpecialToken", "id", bos, "type_id", 0, "Sequence", "id", "A", "type_id", 0,
        "SpecialToken", "id", bos, "type_id", 1, "Sequence", "id", "B", "type_id", 1, "special_tokens", bos, "id", bos,
        "ids", (json_int_t)id, "tokens", bos);
    json_t *steps = json_array(), *j = json_pack("{s:s}", "type", "Sequence");
    fvlm_json_append(&steps, offsets);
    fvlm_json_append(&steps, template);
    fvlm_json_set(&j, "processors", steps);
    return j;
}

/* The text of the token that begins each text; NULL: none does. */
static const char *bos_of(const fvlm_export *x, const fvlm_tokens *t)
{
    return x->config->llm.has_bos ? fvlm_tokens_added_text(t, x->config->llm.bos) : NULL;
}

/* Of the tokenizers library. */
static json_t *tokenizer_json(const fvlm_export *x, const fvlm_tokens *t)
{
    fvlm_added_token a;
    json_t *added = json_array();
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++) fvlm_json_append(&added, added_flags(&a, true));
    json_t *model = json_pack("{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback",
                              0, "ignore_merges", (int)t->ignore_merges);
    fvlm_json_set(&model, "vocab", vocabulary(t));
    fvlm_json_set(&model, "merges", json_incref((json_t *)t->merges));
    json_t *j = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    fvlm_json_set(&j, "added_tokens", added);
    fvlm_json_set(&j, "normalizer", t->nfc ? json_pack("{s:s}", "type", "NFC") : json_null());
    fvlm_json_set(&j, "post_processor", post_processor(bos_of(x, t), x->config->llm.bos));
    fvlm_json_set(&j, "decoder", byte_level(false, false));
    fvlm_json_set(&j, "pre_tokenizer", pre_tokenizer(t));
    fvlm_json_set(&j, "model", model);
    return j;
}

/* A class that reads vocab.json and merges.txt, if it splits and normalizes as this tokenizer does, or tokenizer.model.
 */
static const char *class_name(const fvlm_export *x, const fvlm_tokens *t)
{
    if (fvlm_tokens_are_pieces(t)) return "LlamaTokenizer";
    const fvlm_split_form *form = fvlm_tokens_form(t);
    const bool plain = t->nfc && !t->prefix_space && !t->ignore_merges && !t->drops_bytes && !x->config->llm.has_bos;
    return form && form->class_name && plain ? form->class_name : "PreTrainedTokenizerFast";
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* What LlamaTokenizer reads besides. It finds the three tokens by these names. */
static void add_piece_keys(json_t **j, const fvlm_export *x, const fvlm_tokens *t)
{
    const uint32_t unknown = (uint32_t)(strchr(t->pieces.types, 'u') - t->pieces.types);
    fvlm_json_set(j, "unk_token", text_or_null(fvlm_tokens_added_text(t, unknown)));
    fvlm_json_set(j, "eos_token", text_or_null(fvlm_tokens_added_text(t, x->config->eos[0])));
    fvlm_json_set(j, "add_bos_token", json_boolean(x->config->llm.has_bos));
    fvlm_json_set(j, "add_eos_token", json_false());
    fvlm_json_set(j, "legacy", json_boolean(t->pieces.legacy));
    fvlm_json_set(j, "sp_model_kwargs", json_object());
    /* what it puts there itself then, whatever tokenizer.model says; see piece_files.c */
    if (!t->pieces.legacy && !t->pieces.dummy_prefix) fvlm_json_set(j, "add_prefix_space", json_false());
}

static json_t *tokenizer_config(const fvlm_export *x, const fvlm_tokens *t, const char *chat)
{
    char id[16];
    fvlm_added_token a;
    const char *end = NULL, *pad = NULL, *bos = bos_of(x, t);
    json_t *decoder = json_object();
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++) {
        snprintf(id, sizeof id, "%u", a.id);
        fvlm_json_set(&decoder, id, added_flags(&a, false));
        if (a.id == x->config->eos[0]) end = a.text;
        if (!strcmp(a.text, "<|endoftext|>")) pad = a.text;
    }
    json_t *j = json_pack("{s:s, s:n, s:n, s:b, s:i, s:s, s:b}", "tokenizer_class", class_name(x, t), "bos_token",
                          "unk_token", "clean_up_tokenization_spaces", 0, "model_max_length",
                          (int)x->config->llm.context, "padding_side", "right", "split_special_tokens", 0);
    fvlm_json_set(&j, "added_tokens_decoder", decoder);
    if (bos) fvlm_json_set(&j, "bos_token", json_string(bos));
    if (end) fvlm_json_set(&j, "eos_token", json_string(end));
    if (pad) fvlm_json_set(&j, "pad_token", json_string(pad));
    if (fvlm_tokens_are_pieces(t)) {
        add_piece_keys(&j, x, t);
    } else {
        fvlm_json_set(&j, "add_prefix_space", json_false());
        fvlm_json_set(&j, "errors", json_string("replace"));
    }
    if (chat) fvlm_json_set(&j, "chat_template", json_string(chat));
    return j;
}

static json_t *added_tokens(const fvlm_tokens *t)
{
    fvlm_added_token a;
    json_t *j = json_object();
    for (size_t i = 0; fvlm_tokens_added_at(t, i, &a); i++) fvlm_json_set(&j, a.text, json_integer(a.id));
    return j;
}

static fvlm_status write_merges(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    if (to) fputs("#version: 0.2\n", to);
    for (size_t i = 0; to && i < json_array_size(t->merges); i++)
        fprintf(to, "%s\n", json_string_value(json_array_get(t->merges, i)));
    fvlm_status st = fvlm_export_close_text(to, &text, err);
    if (!st) st = fvlm_export_write_text(x, "merges.txt", text, n, err);
    free(text);
    return st;
}

static fvlm_status write_bpe(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    const bool in_files = strcmp(class_name(x, t), "PreTrainedTokenizerFast") != 0;
    fvlm_status st = in_files ? fvlm_export_write_json(x, "vocab.json", vocabulary(t), err) : FVLM_OK;
    if (!st && in_files) st = write_merges(x, t, err);
    if (!st && in_files) st = fvlm_export_write_json(x, "added_tokens.json", added_tokens(t), err);
    return st ? st : fvlm_export_write_json(x, "tokenizer.json", tokenizer_json(x, t), err);
}

fvlm_status fvlm_export_write_tokenizer(fvlm_export *x, const fvlm_tokens *t, fvlm_err *err)
{
    char *chat;
    fvlm_status st = fvlm_export_chat_template(&chat, x->config, err);
    if (!st) st = fvlm_export_write_json(x, "tokenizer_config.json", tokenizer_config(x, t, chat), err);
    free(chat);
    if (st) return st;
    return fvlm_tokens_are_pieces(t) ? fvlm_export_write_pieces(x, t, err) : write_bpe(x, t, err);
}
