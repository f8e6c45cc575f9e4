/* SPDX-License-Identifier: Apache-2.0 */
/* vocabulary.h - turns the tokenizer files of a checkpoint into the container's JSON (SPEC.md, section 7). */
#ifndef FVLM_CONVERT_VOCABULARY_VOCABULARY_H
#define FVLM_CONVERT_VOCABULARY_VOCABULARY_H

#include "convert/source/source.h"

typedef struct {
    const char *use;       /* "tokenizer.json" or "vocab.json": which to believe where they disagree; NULL: refuse. Or
                              "tokenizer.model" */
    const fvlm_stop *stop; /* may be NULL */
    uint32_t rows;         /* of the embedding; 0: not known */
    bool may_add_bos;      /* accept tokenizers that begin each text with a token, and the classes of Llama's */
    const char *needed;    /* added tokens that the prompt needs, separated by spaces; NULL: those of qwen_2 */
    const char *turn_end;  /* the token that ends a turn of the prompt; NULL: <|im_end|> */
} fvlm_vocabulary_options;

#define FVLM_NO_ID UINT32_MAX

typedef struct {
    char *json; /* malloc'd */
    size_t n_bytes;
    uint32_t n_ids;    /* 1 + the highest id */
    uint32_t turn_end; /* FVLM_NO_ID: there is no such token */
    uint32_t bos;      /* the token that begins each text; FVLM_NO_ID: none does */
} fvlm_vocabulary_text;

/* Reads tokenizer.model, if o->use says so or if there is no vocab.json (and warns if a tokenizer.json differs from
 * it); otherwise vocab.json, merges.txt and added_tokens.json (or tokenizer_config.json's added_tokens_decoder), and
 * tokenizer.json, which supplies what the others lack. Where both are there, they must agree, unless o->use chooses.
 * The token <image> is left out if it is the last and has no row: ports of FastVLM add it to mark where the picture's
 * rows go, Apple's tokenizer has none. On failure out->json is NULL. The same files give the same bytes. */
fvlm_status fvlm_vocabulary_read(fvlm_vocabulary_text *out, fvlm_source *src, const fvlm_vocabulary_options *o,
                                 fvlm_err *err);

#endif
