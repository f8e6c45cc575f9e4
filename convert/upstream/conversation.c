/* SPDX-License-Identifier: Apache-2.0 */
/* conversation.c - see conversation.h. A template is what LLaVA's get_prompt() returns for one question about one
 * picture, "<image>\n" before the question, and an answer that is still to come. A token that begins each text is not
 * part of it: the tokenizer adds it. */
#include "convert/upstream/conversation.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof array / sizeof array[0])

#define CHATML "<|im_start|> <|im_end|>"
#define IM(system) "<|im_start|>system\n" system "<|im_end|>\n"
#define IM_TURNS "<|im_start|>user\n<image>\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
#define HELPFUL                                                                                                        \
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  "  \
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "   \
    "Please ensure that your responses are socially unbiased and positive in nature.\n\nIf a question does not make "  \
    "any sense, or is not factually coherent, explain why instead of answering something not correct. If you don't "   \
    "know the answer to a question, please don't share false information."
#define VISUAL                                                                                                         \
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "    \
    "provides, and assist the user with a variety of tasks using natural language."
#define CHAT(who)                                                                                                      \
    "A chat between a curious " who " and an artificial intelligence assistant. The assistant gives helpful, "         \
    "detailed, and polite answers to the " who "'s questions."
#define USER " USER: <image>\n{prompt} ASSISTANT:"
#define INST(system) "[INST] <<SYS>>\n" system "\n<</SYS>>\n\n<image>\n{prompt} [/INST]"
#define HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static const fvlm_conversation conversations[] = {
    {"qwen_2", IM("You are a helpful assistant.") IM_TURNS, "<|im_end|>", CHATML},
    {"v1", CHAT("user") USER, "</s>", ""},
    {"llava_v1", CHAT("human") USER, "</s>", ""},
    {"llama_2", INST(HELPFUL), "</s>", ""},
    {"llava_llama_2", INST(VISUAL), "</s>", ""},
    {"llama_3", HEADER("user") "<image>\n{prompt}<|eot_id|>" HEADER("assistant"), "<|eot_id|>",
     "<|start_header_id|> <|end_header_id|> <|eot_id|>"},
    {"chatml", IM_TURNS, "<|im_end|>", CHATML},
    {"chatml_direct",
     "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\n{prompt}<|im_end|>"
     "<|im_start|>assistant\n",
     "<|im_end|>", CHATML},
    {"smollm2", IM("You are a helpful AI assistant named SmolLM, trained by Hugging Face") IM_TURNS, "<|im_end|>",
     CHATML},
    {"plain", "<image>\n{prompt}\n", "</s>", ""},
};

/* Other names in LLaVA's tables, and the values of its "version". */
static const char *const aliases[][2] = {
    {"vicuna_v1", "v1"}, {"llava_plain", "plain"}, {"qwen_1_5", "qwen_2"}, {"llama2", "llama_2"}, {"llama3", "llama_3"},
};

const fvlm_conversation *fvlm_conversation_find(const char *name)
{
    for (size_t i = 0; i < COUNT(aliases); i++)
        if (!strcmp(name, aliases[i][0])) name = aliases[i][1];
    for (size_t i = 0; i < COUNT(conversations); i++)
        if (!strcmp(name, conversations[i].name)) return &conversations[i];
    return NULL;
}

const fvlm_conversation *fvlm_conversation_of(const char *prompt)
{
    for (size_t i = 0; i < COUNT(conversations); i++)
        if (!strcmp(prompt, conversations[i].prompt)) return &conversations[i];
    return NULL;
}
