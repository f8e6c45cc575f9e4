#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: what `fvlm convert` cannot do it refuses in one exact line on stderr, with the exit code of its kind, and
# leaves nothing behind. Each case starts from a good checkpoint and breaks one thing.
. tests/support/tap.sh convert
make_checkpoint=$BUILD/tests/tools/checkpoint
ck=$dir/ck tower=model.vision_tower.vision_tower.model
mkdir "$ck" "$dir/out"
n=0 left=

# A fresh checkpoint with changes: fresh [set NAME INDEX VALUE | remove NAME | rename FROM TO]...
fresh() {
    rm -rf "$ck"; mkdir "$ck"
    "$make_checkpoint" "$ck" fused bf16 "$@" >/dev/null 2>&1 || give_up "no checkpoint"
}

# refused EXIT_CODE MESSAGE ARGUMENT...: DIR in the message is the test's folder; nothing is left in the output's.
refused() {
    local code=$1 want=${2//DIR/$dir}
    shift 2
    n=$((n + 1))
    refuses "$code" "$want" "$@"
    left=$left$(ls -A "$dir/out")
}
out=$dir/out/x.fvlm
go() { refused "$1" "$2" "$ck" -o "$out"; }

# --- usage ---
fresh
refused 2 "expected CHECKPOINT, got 0 arguments; try 'fvlm convert --help'"
refused 2 "expected CHECKPOINT, got 2 arguments; try 'fvlm convert --help'" "$ck" "$ck" -o "$out"
refused 2 "no output file; give -o FILE, or --dry-run to see the plan" "$ck"
refused 2 "unknown option \"--typ\", did you mean \"--type\"?; try 'fvlm convert --help'" "$ck" --typ f32 -o "$out"
refused 2 "--type: \"int4\" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result; try 'fvlm convert --help'" "$ck" --type int4 -o "$out"
refused 2 "--type: \"f64\" is not f32, bf16 or f16; for int8 and int4 run 'fvlm quant' on the result; try 'fvlm convert --help'" "$ck" --type f64 --dry-run
refused 2 "unknown option \"--cpu\"; try 'fvlm convert --help'" "$ck" --cpu scalar -o "$out"

# --- the folder ---
refused 3 "\"DIR/none\": No such file or directory" "$dir/none" -o "$out"
refused 1 "\"DIR/ck/model.safetensors\" is a file; give the folder that holds it, with config.json and the tokenizer beside it" \
    "$ck/model.safetensors" -o "$out"
refused 3 "\"DIR/no/x.fvlm\": cannot open its folder: No such file or directory" "$ck" -o "$dir/no/x.fvlm"
refused 1 "\"/dev/full\" is a device, pipe or socket, not a regular file" "$ck" -o /dev/full --force
refused 1 "\"DIR/out\" is a folder; give the name of a file in it" "$ck" -o "$dir/out" --force
refused 1 "\"DIR/ck/model.safetensors\" is a file of the checkpoint itself; write to another name" "$ck" -o "$ck/model.safetensors" --force
refused 1 "\"DIR/out\" is an empty folder; give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face" \
    "$dir/out" -o "$out"
echo '{"weight_map": {}}' >"$ck/model.safetensors.index.json"
go 1 "\"DIR/ck\" has model.safetensors, but model.safetensors.index.json lists no tensors; remove the index if it is a leftover"
rm "$ck/model.safetensors"
go 1 "\"DIR/ck\" has no tensors"
echo '{"weight_map": {"a": "../../etc/passwd"}}' >"$ck/model.safetensors.index.json"
go 1 "\"model.safetensors.index.json\": weight_map[\"a\"] is \"../../etc/passwd\"; a shard must be a plain file name, in the folder of the index"
echo '{"weight_map": {"a": "model-1.safetensors"}}' >"$ck/model.safetensors.index.json"
go 1 "\"model.safetensors.index.json\" names the shard \"model-1.safetensors\", which is not in the folder; download it"

# --- the weights file ---
fresh; size=$(stat -c %s "$ck/model.safetensors")
truncate -s 5 "$ck/model.safetensors"
go 1 "\"model.safetensors\": byte 5: the file ends inside its first 8 bytes, the header's length; download it again"
fresh; truncate -s 1000 "$ck/model.safetensors"
go 1 "\"model.safetensors\": byte 1000: the file ends inside its header of $(od -An -tu8 -N8 "$ck/model.safetensors" | tr -d ' ') bytes; download it again"
fresh; truncate -s $((size - 1)) "$ck/model.safetensors"
got=$("$FVLM" convert "$ck" -o "$out" 2>&1)
[[ $got =~ ^fvlm:\ \"model.safetensors\":\ byte\ [0-9]+:\ tensor\ \"lm_head.weight\":\ data\ ends\ at\ [0-9]+,\ but\ the\ file\ holds\ only\ [0-9]+\ bytes\ of\ data\;\ download\ it\ again$ ]]
ok "refuses a file cut by one byte: $got" $?
fresh; printf x >>"$ck/model.safetensors"
go 1 "\"model.safetensors\": byte $size: 1 bytes after the last tensor belong to no tensor"
fresh; head -c 4000 /dev/zero | tr '\0' 'A' >"$ck/model.safetensors"
go 1 "\"model.safetensors\" is text, not weights: '$(head -c 60 "$ck/model.safetensors")'; download it again"
fresh; head -c 4000 /dev/zero | tr '\0' '\001' >"$ck/model.safetensors"
go 1 "\"model.safetensors\": byte 0: the header says it has 72340172838076673 bytes, at most 100000000 are allowed; is this a safetensors file?"

# --- names, shapes, values ---
fresh remove model.norm.weight
go 1 "1 tensor is missing: \"model.norm.weight\""
fresh rename model.norm.weight model.extra.weight
go 1 "1 tensor is missing: \"model.norm.weight\"; 1 tensor is left over: \"model.extra.weight\""
fresh set model.layers.1.mlp.up_proj.weight 70 nan
go 1 "tensor \"model.layers.1.mlp.up_proj.weight\": element [2, 6] is not a finite number; the file is damaged or the training diverged"
fresh set $tower.network.0.0.convffn.conv.bn.running_var 3 -1
go 1 "tensor \"$tower.network.0.0.convffn.conv.bn.running_var\": element [3] is -1; a variance is 0 or more"
fresh set model.layers.0.self_attn.q_proj.bias 1 1e6
refused 1 "tensor \"llm.layer0.attn.q.bias\": the value in row 1, column 0 is beyond the largest f16, 65504; use bf16 or f32" \
    "$ck" --type f16 -o "$out"

# --- the small files ---
fresh; rm "$ck/config.json"
go 1 "\"config.json\" is missing; give a checkpoint folder as downloaded, or copy it from there"
fresh; sed -i 's/llava_qwen2/llava_mistral/' "$ck/config.json"
go 1 "\"DIR/ck\" is a LLaVA that is not FastVLM (config.json: \"model_type\" is \"llava_mistral\"); give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face"
fresh; sed -i 's/"hidden_size": 32/"hidden_size": 64/' "$ck/config.json"
go 1 "tensor \"model.mm_projector.0.weight\" is BF16 [32, 128], expected [64, 128]"
fresh; sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' "$ck/config.json"
got=$("$FVLM" convert "$ck" -o "$out" 2>&1)
same="fvlm: 12 tensors are left over: \"model.layers.1.input_layernorm.weight\", "
[ "${got:0:${#same}}" = "$same" ] && [ "${got: -11}" = " and 2 more" ]; ok "refuses a left-over layer: $got" $?
fresh; sed -i 's/"vocab_size": 320/"vocab_size": 309/' "$ck/config.json"
go 1 "the tokenizer has ids up to 309, but \"config.json\" says \"vocab_size\" 309; tokenizer and weights do not belong together"
fresh; rm "$ck/vocab.json"
go 1 "the folder has no tokenizer: neither vocab.json and merges.txt nor tokenizer.json nor tokenizer.model; copy them from the checkpoint"
fresh; rm "$ck/merges.txt"
go 1 "\"merges.txt\" is missing beside vocab.json; download it"
fresh; rm "$ck/added_tokens.json"
go 1 "there is neither added_tokens.json nor an added_tokens_decoder in tokenizer_config.json; download them"
fresh; echo '{"<|im_start|>": 308}' >"$ck/added_tokens.json"
go 1 "the tokenizer has no added token \"<|im_end|>\", which the prompt needs"

# --- the output ---
fresh
"$FVLM" convert "$ck" -o "$dir/there.fvlm" -q; before=$(md5sum <"$dir/there.fvlm")
got=$("$FVLM" convert "$ck" -o "$dir/there.fvlm" 2>&1); rc=$?
[ $rc = 1 ] && [ "$before" = "$(md5sum <"$dir/there.fvlm")" ]
ok "refuses an existing file: exit $rc, $got" $?
got=$(ulimit -f 100; "$FVLM" convert "$ck" -o "$out" 2>&1); rc=$? # 100 blocks of 1 kB: a full disk
same "a full disk is exit 3" $rc 3
same "nothing is left of any of them" "$left$(ls -A "$dir/out")" ""
[ "$n" -ge 35 ]; ok "$n refusals with exact messages" $?
