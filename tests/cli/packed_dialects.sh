#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: weights that MLX, GPTQ or AWQ has packed and the names of another program together give the weights section of
# the same packed model in Apple's names, codes kept or floats; MLX's settings of single modules are found under the
# module's own name, and refused by shape where they are missed; the tower of a packed folder serves as --vision.
. tests/support/tap.sh convert
make=$BUILD/tests/tools/checkpoint
up=model.layers.0.mlp.up_proj q=model.layers.1.self_attn.q_proj p=model.mm_projector.2
qkv=model.vision_tower.vision_tower.model.network.5.0.token_mixer.qkv
eight="{\"bits\": 8, \"group_size\": 32}"
mkdir "$dir/mlx" "$dir/gptq" "$dir/awq" "$dir/wrong"
"$make" "$dir/mlx" train bf16 pack $up 4 pack $q 8 pack model.embed_tokens 4 pack lm_head 4 pack $p 8 pack $qkv 4 config '{' \
    "{\"quantization\": {\"bits\": 4, \"group_size\": 32, \"$q\": $eight, \"$p\": $eight, \"model.norm\": false}, " >"$dir/made" 2>&1 ||
    give_up "a checkpoint packed by MLX"
for m in gptq awq; do
    "$make" "$dir/$m" fused bf16 columns $up $m columns $q $m columns model.layers.0.self_attn.v_proj $m config '{' \
        "{\"quantization_config\": {\"quant_method\": \"$m\", \"bits\": 4, \"group_size\": 32}, " >"$dir/made" 2>&1 ||
        give_up "a checkpoint packed by $m"
done
# As in dialects.sh.
weights() { [ "${2:-0}" -gt 0 ] && tail -c +16385 "$1" | head -c "$2" || echo "no weights of $1"; }
as() { # FROM DIALECT
    rm -rf "$dir/$2"; mkdir "$dir/$2"
    "$BUILD/tests/tools/dialect" "$dir/$1" "$dir/$2" "$2" || give_up "dialect $2"
    cp "$dir/$1/vocab.json" "$dir/$1/merges.txt" "$dir/$1/added_tokens.json" "$dir/$1/generation_config.json" "$dir/$2"
}

for m in mlx gptq awq; do
    "$FVLM" convert "$dir/$m" -o "$dir/keep.fvlm" --force -q && "$FVLM" convert "$dir/$m" -o "$dir/float.fvlm" --force -q --quantized float ||
        give_up "convert $m"
    for d in transformers llava mlx-vlm apple-mlx; do
        as $m $d
        vision=()
        [ $d = apple-mlx ] && vision=(--vision "$dir/$m")
        for how in keep float; do
            n=$("$FVLM" convert "$dir/$m" --quantized $how --dry-run --json | sed -n 's/^ *"tensor_bytes": \([0-9]*\),$/\1/p')
            "$FVLM" convert "$dir/$d" "${vision[@]}" --quantized $how -o "$dir/out.fvlm" --force >"$dir/said" 2>&1 &&
                cmp -s <(weights "$dir/out.fvlm" "$n") <(weights "$dir/$how.fvlm" "$n")
            ok "$m in the names of $d, $how: the weights of Apple's names" $?
        done
        "$FVLM" verify "$dir/out.fvlm" "$dir/$d" "${vision[@]}" 2>&1 | grep -qE '^weights of ([0-9]+) tensors: \1 identical to the source, 0 rounded, 0 quantized$'
        ok "$m in the names of $d: verify" $?
        grep -qE "^dialect   ${d/llava/transformers}: " "$dir/said" && grep -qE "(packed|found) .*, 4 bits, groups of 32$" "$dir/said"
        ok "$m in the names of $d: both are told" $?
    done
done
same "what the folder of --vision has packed is told with its name" "$(grep '^found' "$dir/said")" \
    "found     3 weights: AWQ, 4 bits, groups of 32
found     \"$dir/awq\": 3 weights: AWQ, 4 bits, groups of 32"

# Settings of modules in Apple's names, weights in mlx-vlm's.
as mlx mlx-vlm
sed -i "s/language_model.$q/$q/" "$dir/mlx-vlm/config.json"
refuses "MLX's settings under other names" 1 "tensor \"language_model.$q.weight\", U32 [32, 8], holds 64 inputs of 4 bits; \"language_model.$q.scales\", BF16 [32, 1], does not fit them in groups of 32; config.json has the wrong bits or group size" \
    "$dir/mlx-vlm" --dry-run
as gptq transformers
sed -i 's/"gptq"/"awq"/' "$dir/transformers/config.json"
refuses "GPTQ that config.json calls AWQ" 1 "tensor \"model.language_model.layers.0.mlp.up_proj.g_idx\": AWQ has no g_idx; is \"quant_method\" gptq?" \
    "$dir/transformers" --dry-run
sed -i '/quantization_config/,/}/d' "$dir/transformers/config.json"
refuses "GPTQ of which config.json does not tell" 1 "tensor \"model.language_model.layers.0.mlp.up_proj.qweight\" is packed by GPTQ or AWQ, but \"config.json\" has no \"quantization_config\" with \"quant_method\" gptq or awq: how it is packed is not known" \
    "$dir/transformers" --dry-run
refuses "a packed language model without a tower" 1 "\"$dir/apple-mlx\" is a language model without a vision tower; give the tower's folder with --vision, such as Apple's own checkpoint of the same size, apple/FastVLM-0.5B on Hugging Face" \
    "$dir/apple-mlx" --dry-run
