/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.h - which prompt template a checkpoint states. Private to convert/. */
#ifndef FVLM_CONVERT_CONVERSATIONS_H
#define FVLM_CONVERT_CONVERSATIONS_H

#include "convert/checkpoint.h"
#include "convert/upstream/conversation.h"

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
