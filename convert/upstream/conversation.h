/* SPDX-License-Identifier: Apache-2.0 */
/* conversation.h - prompt templates by the names of LLaVA's conversation.py. Private to convert/. */
#ifndef FVLM_CONVERT_UPSTREAM_CONVERSATION_H
#define FVLM_CONVERT_UPSTREAM_CONVERSATION_H

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

/* The one with this template; NULL if there is none. */
const fvlm_conversation *fvlm_conversation_of(const char *prompt);

#endif
