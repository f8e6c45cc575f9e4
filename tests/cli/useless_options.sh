#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: an option that would change nothing for the given input is a usage error that names the option and the input,
# in every command alike, before anything is written; the same option is taken where it counts.
. tests/support/tap.sh convert
ck=$tiny/unfused m=$dir/tiny.fvlm tower=$dir/tower.fvlm picture=$tiny/heldout/000.png vision=$dir/vision_encoder.onnx
"$FVLM" convert "$ck" -o "$m" -q && "$BUILD/tests/tools/tower" "$m" "$tower" &&
    "$BUILD/tests/tools/onnx_model" "$tiny/fused" vision "$vision" || give_up "files for useless_options"
cp "$m" "$dir/x.fvlm"
mkdir "$dir/graphs"
ln -s "$vision" "$dir/graphs/vision_encoder.onnx"
no() { refuses 2 "$1; leave the option out" "${@:2}" -o "$dir/new.fvlm"; }

# --- convert ---
no "--quantized: \"$ck\" has no quantized weights" "$ck" --quantized keep
no "--quantized: \"$ck\" has no quantized weights" "$ck" --quantized float
no "--quantized: \"$vision\" has no quantized weights" "$vision" --quantized keep
no "--variant: \"$ck\" has no ONNX files" "$ck" --variant q4
no "--variant: \"$vision\" is one file" "$vision" --variant q4
no "--vision: \"$ck\" has a vision tower of its own" "$ck" --vision "$tiny/fused"
no "--vision: \"$vision\" is ONNX, not safetensors" "$vision" --vision "$tiny/fused"
no "--dialect: \"$vision\" is ONNX, not safetensors" "$vision" --dialect timm
no "--tokenizer: \"$vision\" has no language model" "$vision" --tokenizer tokenizer.json
no "--chat: \"$vision\" has no language model" "$vision" --chat v1
no "--head: \"$vision\" has no language model" "$vision" --head own
no "--tokenizer: the folder has no \"tokenizer.model\"" "$ck" --tokenizer tokenizer.model
[ ! -e "$dir/new.fvlm" ]; ok "nothing was written" $?
"$FVLM" convert "$ck" --dry-run -q --tokenizer vocab.json --dialect apple --head tied; ok "what confirms a choice is taken" $?

# --- run ---
tap_name=run
greedy="without --temperature T the answer is greedy; give both, or neither"
refuses 2 "--top-p: $greedy" "$m" "$picture" "What?" --top-p 0.5
refuses 2 "--seed: $greedy" "$m" "$picture" "What?" --seed 3
"$FVLM" run "$m" "$picture" "What?" -q --max-tokens 2 --temperature 0 --top-p 0.5 --seed 3 >/dev/null; ok "--temperature 0 is greedy on purpose" $?
for o in "--size 256" "--tiles 2x2" "--picture apple"; do
    # shellcheck disable=SC2086
    refuses 2 "${o% *}: \"none\" is no picture; leave the option out" "$m" none "What?" $o
done
refuses 2 "--force replaces a file; give -o FILE, too" "$tower" "$picture" --force
refuses 2 "--max-tokens, --temperature, --top-p, --seed and --tokens-only need a PROMPT" "$tower" "$picture" --temperature 0

# --- verify ---
tap_name=verify
refuses 2 "--variant: \"q5\" is not fp32, fp16, q4, q4f16, int8, uint8, q8, quantized or bnb4; try 'fvlm verify --help'" "$m" --against "$dir/graphs" --variant q5
refuses 2 "--variant: \"$ck\" has no ONNX files; leave the option out" "$m" --against "$ck" --variant q4
refuses 2 "--variant: \"$dir/x.fvlm\" has no ONNX files; leave the option out" "$m" --against "$dir/x.fvlm" --variant q4
refuses 2 "--variant: \"$vision\" is one file; leave the option out" "$tower" --against "$vision" --variant q4
refuses 2 "--vision: \"$ck\" has a vision tower of its own; leave the option out" "$m" --against "$ck" --vision "$tiny/fused"
refuses 2 "--vision: \"$dir/x.fvlm\" is a .fvlm file; leave the option out" "$m" --against "$dir/x.fvlm" --vision "$tiny/fused"
refuses 2 "--vision: \"$vision\" is ONNX, not safetensors; leave the option out" "$tower" --against "$vision" --vision "$tiny/fused"
refuses 2 "--act needs --image FILE or --against-activations FILE" "$m" --act f32
refuses 2 "--act needs --image FILE or --against-activations FILE" "$m" --against "$ck" --act f32
refuses 2 "--cpu needs --image FILE or --against-activations FILE" "$m" --cpu scalar
refuses 2 "--tiles: ONNX graphs are compared without tiles; leave the option out" "$tower" --against "$vision" --image "$picture" --tiles 2x2

# --- the rest ---
tap_name=bench
refuses 2 "--prompt and --text: \"$tower\" has no language model; leave them out" "$tower" --text 4
tap_name=info
refuses 2 "--force replaces a file; give -o FILE, too" "$m" --force
tap_name=export
refuses 2 "--naming is an option of --to safetensors; leave it out" "$m" --to gguf --naming transformers --dry-run
refuses 2 "--shard-size is an option of --to safetensors; leave it out" "$m" --to gguf --shard-size 1GB --dry-run
tap_name=quant
refuses 2 "rule \"zzz\" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)" "$m" --set zzz=int4 --dry-run
