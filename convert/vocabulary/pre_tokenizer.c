/* SPDX-License-Identifier: Apache-2.0 */
/* pre_tokenizer.c - how byte-level BPE splits a text before merging, in tokenizer.json's spelling. Each of the forms
 * below is one regex for the executor. A tokenizer that splits in two steps gets the regex that cuts at the same
 * offsets: where the first step isolates every digit, no later match may contain one, and white space before a digit
 * ends its chunk, so that all of it is one match. */
#include <string.h>

#include "convert/vocabulary/vocabulary_parts.h"

const char fvlm_qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"
    "\\s+(?!\\S)|\\s+";
static const char llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char fvlm_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
static const char gpt2_digits_pattern[] =
    "\\p{N}|'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?![^\\s\\p{N}])|\\s+";

static bool is(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && !strcmp(text, wanted);
}

/* A step {"type": "Split"} whose matches and what lies between them are chunks; its regex, or NULL. */
static const char *regex_of(const json_t *step)
{
    if (!is(step, "type", "Split") || !is(step, "behavior", "Isolated") ||
        json_is_true(json_object_get(step, "invert")))
        return NULL;
    return json_string_value(json_object_get(json_object_get(step, "pattern"), "Regex"));
}

/* The pattern that a first step and ByteLevel, with a regex of its own or without, amount to; NULL: none that is known.
 * first is NULL where ByteLevel is alone. */
static const char *pattern_of(const json_t *first, bool own_regex)
{
    static const char *const known[] = {fvlm_qwen2_pattern, llama3_pattern, fvlm_gpt2_pattern};
    if (!first) return own_regex ? fvlm_gpt2_pattern : NULL;
    if (own_regex)
        return is(first, "type", "Digits") && json_is_true(json_object_get(first, "individual_digits"))
                   ? gpt2_digits_pattern
                   : NULL;
    const char *regex = regex_of(first);
    for (size_t i = 0; regex && i < sizeof known / sizeof *known; i++)
        if (!strcmp(regex, known[i])) return known[i];
    return NULL;
}

bool fvlm_vocabulary_read_pre_tokenizer(fvlm_vocabulary *v, const json_t *p)
{
    const json_t *steps = json_object_get(p, "pretokenizers");
    const bool sequence = is(p, "type", "Sequence");
    const size_t n = sequence ? json_array_size(steps) : 1;
    const json_t *last = sequence ? json_array_get(steps, n ? n - 1 : 0) : p;
    if (n < 1 || n > 2 || !is(last, "type", "ByteLevel")) return false;
    const bool own_regex = !json_is_false(json_object_get(last, "use_regex"));
    v->prefix_space = json_is_true(json_object_get(last, "add_prefix_space"));
    v->pattern = pattern_of(n == 2 ? json_array_get(steps, 0) : NULL, own_regex);
    return v->pattern && !(v->prefix_space && n == 2); /* otherwise every chunk of the first step gets a space */
}
