/* SPDX-License-Identifier: Apache-2.0 */
/* export_chat.c - the model's prompt as a chat template in Jinja, for contents of text or of parts ("image", "text").
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_folder.h"
#include "convert/upstream/conversation.h"

/* What stands around each turn. The prompt's text before its question is the system's turn. */
typedef struct {
    const char *system, *system_end, *user, *user_end, *assistant;
    const char *lead, *assistant_end; /* lead: between "assistant" and an answer that is given */
} style;

#define IM(role) "<|im_start|>" role "\n"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define END "<|eot_id|>"

static const style styles[] = {
    {IM("system"), "<|im_end|>\n", IM("user"), "<|im_end|>\n", IM("assistant"), "", "<|im_end|>\n"},
    {IM("system"), "<|im_end|>", IM("user"), "<|im_end|>", IM("assistant"), "", "<|im_end|>"},
    {"", " ", "USER: ", " ", "ASSISTANT:", " ", "</s>"},
    {HEADER("system"), END, HEADER("user"), END, HEADER("assistant"), "", END},
};

/* The bytes of the system's turn if the prompt has this style; SIZE_MAX if not. */
static size_t system_bytes(const style *s, const char *prompt)
{
    char turn[256];
    const size_t n = strlen(prompt);
    const size_t k = (size_t)snprintf(turn, sizeof turn, "%s<image>\n{prompt}%s%s", s->user, s->user_end, s->assistant);
    return n >= k && !strcmp(prompt + n - k, turn) ? n - k : SIZE_MAX;
}

/* An expression that writes a text. */
static void put(FILE *to, const char *text, size_t n)
{
    fputs("{{ '", to);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            fputs("\\n", to);
            continue;
        }
        if (text[i] == '\'' || text[i] == '\\') fputc('\\', to);
        fputc(text[i], to);
    }
    fputs("' }}", to);
}

/* One of three texts, by the role of the message. */
static void put_by_role(FILE *to, const char *system, const char *assistant, const char *lead, const char *user)
{
    fputs("{% if message['role'] == 'system' %}", to);
    put(to, system, strlen(system));
    fputs("{% elif message['role'] == 'assistant' %}", to);
    put(to, assistant, strlen(assistant));
    if (*lead) put(to, lead, strlen(lead));
    fputs("{% else %}", to);
    put(to, user, strlen(user));
    fputs("{% endif %}", to);
}

static void put_template(FILE *to, const style *s, const char *prompt, size_t n_system)
{
    fputs("{% for message in messages %}", to);
    if (n_system) {
        fputs("{% if loop.first and message['role'] != 'system' %}", to);
        put(to, prompt, n_system);
        fputs("{% endif %}", to);
    }
    put_by_role(to, s->system, s->assistant, s->lead, s->user);
    fputs("{% if message['content'] is string %}{{ message['content'] }}{% else %}"
          "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>\\n' }}{% endif %}"
          "{% endfor %}"
          "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
          "{% endfor %}{% endif %}",
          to);
    put_by_role(to, s->system_end, s->assistant_end, "", s->user_end);
    fputs("{% endfor %}{% if add_generation_prompt %}", to);
    put(to, s->assistant, strlen(s->assistant));
    fputs("{% endif %}", to);
}

fvlm_status fvlm_export_chat_template(char **out, const fvlm_config *c, fvlm_err *err)
{
    size_t n, i = 0;
    *out = NULL;
    while (i < sizeof styles / sizeof styles[0] && system_bytes(&styles[i], c->prompt) == SIZE_MAX) i++;
    if (i == sizeof styles / sizeof styles[0]) return FVLM_OK;
    FILE *to = open_memstream(out, &n);
    if (to) put_template(to, &styles[i], c->prompt, system_bytes(&styles[i], c->prompt));
    return fvlm_export_close_text(to, out, err);
}

fvlm_status fvlm_export_note_chat(fvlm_export *x, fvlm_err *err)
{
    char *text;
    const fvlm_conversation *conversation = fvlm_conversation_of(x->config->prompt);
    const bool recorded = x->config->llm.family == FVLM_LLAMA && conversation; /* in config.json */
    fvlm_status st = fvlm_export_chat_template(&text, x->config, err);
    if (!st && !text) st = fvlm_export_note(x, err, "there is no chat template: none is known for the model's prompt");
    free(text);
    const bool default_of_family = conversation && !strcmp(conversation->name, "qwen_2");
    if (st || recorded || default_of_family) return st;
    return conversation
               ? fvlm_export_note(x, err, "config.json does not name the model's prompt: convert needs --chat %s",
                                  conversation->name)
               : fvlm_export_note(x, err, "the model's prompt is not in the folder: convert has no name for it");
}
