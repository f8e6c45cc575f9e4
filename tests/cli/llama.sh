#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a checkpoint on Llama whose only tokenizer is tokenizer.model is converted, described, quantized and run; and the
# prompt that convert chose, and why, is shown by convert and info, with a warning where the checkpoint states another. The
# prompt's ids and the decoded texts are the package sentencepiece's.
. tests/support/tap.sh llama
biases=()
for l in 0 1; do for m in q k v; do biases+=(remove "model.layers.$l.self_attn.${m}_proj.bias"); done; done
mkdir "$dir/v"
"$BUILD/tests/tools/checkpoint" "$dir/v" fused bf16 "${biases[@]}" config '"llava_qwen2"' '"llava_llama", "architectures": ["LlavaLlamaForCausalLM"]' \
     config 1e-06 1e-05 config 309 2 >"$dir/made" || give_up "a checkpoint on Llama"
rm -f "$dir"/v/{vocab.json,merges.txt,added_tokens.json,special_tokens_map.json,tokenizer_config.json,tokenizer.json,generation_config.json}
cp tests/fixtures/sentencepiece/unigram.model "$dir/v/tokenizer.model"

default="v1, LLaVA's default for llava_llama; the checkpoint states no other"
"$FVLM" convert "$dir/v" -o "$dir/v.fvlm" >"$dir/said" 2>"$dir/err"
same "convert says which prompt it chose" "$? $(grep prompt "$dir/said")$(cat "$dir/err")" "0 prompt    $default"
"$FVLM" info "$dir/v.fvlm" >"$dir/info"
same "info shows the tokenizer's kind" "$(grep '^tokenizer' "$dir/info")" "tokenizer   SentencePiece, 220 pieces, 3 added tokens (5.68 kB of JSON)"
same "info shows the prompt and why" "$(grep -A 1 '^prompt' "$dir/info" | tail -1)" "            $default"
"$FVLM" info "$dir/v.fvlm" --json | tr -d '\n ' >"$dir/json"
grep -q '"conversation":{"name":"v1","why":"LLaVA' "$dir/json" && grep -q '"kind":"sentencepiece"' "$dir/json"; ok "info --json shows both" $?

# Ids and text, without Python: the text is what the package makes of these ids, which the f32 executor draws on every CPU.
answer() { "$FVLM" run "$1" tests/fixtures/tiny/demo.png "What are these?" --temperature 2 --seed 5 --max-tokens 24 --json "${@:2}" | tr -d '\n'; }
answer "$dir/v.fvlm" --act f32 >"$dir/answer"
got() { sed -E 's/.*"answer": "([^"]*)".*"answer_ids": \[ *([^]]*)\].*"prompt": ([0-9]+),.*/\3; \2; \1/; s/, +/ /g; s/ +;/;/' "$dir/answer"; }
same "run: the prompt's length, the ids, their text" "$(got)" \
    "126; 83 163 54 23 45 82 216 114 100 138 105 32 190 104 209 206 183 97 38 100 27 217 41 194; this she-m f withC by ha whentherre principal up sleep PorcupineR moer haingY in long"
"$FVLM" quant "$dir/v.fvlm" --type int4 -o "$dir/q.fvlm" -q && "$FVLM" verify "$dir/q.fvlm" -q && answer "$dir/q.fvlm" >"$dir/answer"
same "int4 is made, intact and answers as many tokens" "$? $(got | grep -oE '[0-9]+' | wc -l)" "0 25"
same "the prompt's origin outlives quant" "$("$FVLM" info "$dir/q.fvlm" | grep -A 1 '^prompt' | tail -1)" "            $default"

# What the checkpoint states, or what the user chose in spite of it.
plan() { "$FVLM" convert "$1" --dry-run "${@:2}" 2>&1 | grep -E '^(prompt|fvlm)' | sed "s,$dir/,,"; }
template() { echo "{\"chat_template\": \"$1\"}" >"$dir/v/tokenizer_config.json"; }
same "chosen" "$(plan "$dir/v" --chat plain)" "prompt    plain, chosen with --chat"
template "A chat between a curious user and an artificial USER: ASSISTANT:"
same "recognized in the chat template" "$(plan "$dir/v")" "prompt    v1, recognized in the chat template of tokenizer_config.json"
same "--chat against the chat template" "$(plan "$dir/v" --chat llava_v1)" \
    "fvlm: warning: the prompt is llava_v1, chosen with --chat, but the checkpoint states v1: recognized in the chat template of tokenizer_config.json; leave out --chat if that is right
prompt    llava_v1, chosen with --chat"
same "the same as the template" "$(plan "$dir/v" --chat vicuna_v1)" "prompt    v1, chosen with --chat"
template "{{ bos }}<start_of_turn>"
same "--chat where the template is unknown" "$(plan "$dir/v" --chat v1)" "prompt    v1, chosen with --chat"
sed -i 's/"hidden_act"/"conv_mode": "vicuna_v1", "hidden_act"/' "$dir/v/config.json"
same "config.json names it" "$(plan "$dir/v")" "prompt    v1, \"conv_mode\" of config.json is \"vicuna_v1\""
same "--chat against config.json" "$(plan "$dir/v" --chat plain)" \
    "fvlm: warning: the prompt is plain, chosen with --chat, but the checkpoint states v1: \"conv_mode\" of config.json is \"vicuna_v1\"; leave out --chat if that is right
prompt    plain, chosen with --chat"
same "--json" "$("$FVLM" convert "$dir/v" --dry-run --json | tr -d '\n' | grep -oE '"conversation": \{[^}]*\}' | tr -s ' ')" \
    '"conversation": { "name": "v1", "why": "\"conv_mode\" of config.json is \"vicuna_v1\"" }'

# tokenizer.json beside tokenizer.model.
cp "$tiny/unfused/vocab.json" "$dir/v/tokenizer.json"
same "a tokenizer.json that is none" "$(plan "$dir/v" | head -1)" \
    "fvlm: warning: tokenizer.model is used, as in LLaVA, and not tokenizer.json: \"tokenizer.json\": byte 0: \"normalizer\" is missing; --tokenizer tokenizer.json uses that instead"
same "chosen, it is not compared" "$(plan "$dir/v" --tokenizer tokenizer.model)" "prompt    v1, \"conv_mode\" of config.json is \"vicuna_v1\""
rm "$dir/v/tokenizer.json"

# A v1 checkpoint on Qwen2 would be given Apple's prompt.
cp -r "$tiny/unfused" "$dir/qwen"
same "Apple's" "$(plan "$dir/qwen")" "prompt    qwen_2, Apple's for llava_qwen2"
sed -i 's/"hidden_size"/"version": "v1", "hidden_size"/' "$dir/qwen/config.json"
same "Qwen2 that states v1" "$(plan "$dir/qwen")" \
    "fvlm: warning: the prompt is qwen_2, Apple's for llava_qwen2, but the checkpoint states v1: \"version\" of config.json is \"v1\"; if that is right, choose it with --chat
prompt    qwen_2, Apple's for llava_qwen2"
"$FVLM" convert "$dir/qwen" --chat v1 -o "$dir/qwen.fvlm" -q
same "info of a chosen prompt" "$? $("$FVLM" info "$dir/qwen.fvlm" | grep -A 1 '^prompt' | tail -1)" "0             v1, chosen with --chat"
