/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.h - prompt templates by the names of LLaVA's conversation.py. Private to convert/. */
#ifndef FVLM_CONVERT_CONVERSATIONS_H
#define FVLM_CONVERT_CONVERSATIONS_H

#include "convert/checkpoint.h"

/* Their names, for messages. */
#define FVLM_CONVERSATION_NAMES                                                                                        \
    "qwen_2, v1, llava_v1, llama_2, llava_llama_2, llama_3, chatml, chatml_direct, smollm2, plain"

typedef struct {
    const char *name;
    const char *prompt;   /* with "<image>" and "{prompt}" */
    const char *turn_end; /* the token that ends an answer, if the tokenizer has it */
    const char *needed;   /* added tokens without which the prompt is other text; separated by spaces */
} fvlm_conversation;

/* Also by LLaVA's other names for the same: vicuna_v1 is v1. NULL if there is none. */
const fvlm_conversation *fvlm_conversation_find(const char *name);

typedef struct {
    const fvlm_conversation *conversation; /* NULL: none */
    char why[FVLM_CONVERSATION_WHY_BYTES]; /* how it was chosen, for people */
} fvlm_conversation_choice;

/* The template that a checkpoint states: config.json's "conversation", "conv_mode", "conv_template" or "version", or
 * else the chat_template of the tokenizer (tokenizer_config.json or chat_template.jinja), recognized by what it writes.
 * Refuses one that is not known. */
fvlm_status fvlm_conversation_stated(fvlm_conversation_choice *out, fvlm_source *src, const struct json_t *config,
                                     fvlm_err *err);

/* The same where another template is used anyway: none where the above refuses, and
 * nothing is added to the list of files. */
fvlm_status fvlm_conversation_peek(fvlm_conversation_choice *out, const fvlm_source *src, const struct json_t *config,
                                   fvlm_err *err);

#endif
