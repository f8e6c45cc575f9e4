#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: one model under the names of every program that saves it gives one and the same weights section, train-time and
# fused; the dialect is recognized by names, printed, recorded and repeated by verify; a forced or mixed one, a foreign
# tower, a wrong --vision are refused in exact words, in the names of the file at hand; nothing is half-written.
. tests/support/tap.sh convert
out=$dir/out.fvlm
whole="transformers llava mlx-vlm"
towers="timm openclip mobileclip apple-tower"
small="vocab.json merges.txt added_tokens.json tokenizer_config.json generation_config.json"

# as FROM DIALECT: the folder $dir/DIALECT; its small files are linked where there is a language model.
as() {
    local to=$dir/$2 f
    rm -rf "$to"; mkdir "$to"
    "$BUILD/tests/tools/dialect" "$1" "$to" "$2" || give_up "dialect $2"
    case " $towers " in *" $2 "*) return ;; esac
    for f in $small; do [ ! -e "$1/$f" ] || cp "$1/$f" "$to/"; done
}

# The first bytes of the weights section, as many as all tensors have: it begins at 16 KiB. Without a number, no two files
# are the same.
weights() { [ "${2:-0}" -gt 0 ] && tail -c +16385 "$1" | head -c "$2" || echo "no weights of $1"; }
bytes_of() { "$FVLM" convert "$@" --dry-run --json | sed -n 's/^ *"tensor_bytes": \([0-9]*\),$/\1/p'; }

for form in unfused fused; do
    "$FVLM" convert "$tiny/$form" -o "$dir/apple.fvlm" --force -q || give_up "convert"
    n_whole=$(bytes_of "$tiny/$form")
    for d in $whole apple-mlx; do
        as "$tiny/$form" "$d"
        vision=()
        [ "$d" = apple-mlx ] && vision=(--vision "$tiny/$form")
        "$FVLM" convert "$dir/$d" -o "$out" --force "${vision[@]}" >"$dir/said" 2>"$dir/err"; ok "$form: $d converts" $?
        cmp -s <(weights "$out" "$n_whole") <(weights "$dir/apple.fvlm" "$n_whole"); ok "$form: $d gives the weights of Apple's names" $?
        "$FVLM" verify "$out" "$dir/apple.fvlm" | grep -qE '^weights of ([0-9]+) tensors: \1 identical to the source, 0 rounded'
        ok "$form: $d: every tensor is that of Apple's names" $?
        image=()
        [ "$form$d" = unfusedtransformers ] && image=(--image "$tiny/heldout/000.png")
        "$FVLM" verify "$out" "$dir/$d" "${vision[@]}" "${image[@]}" >"$dir/verified" 2>&1
        ok "$form: $d: verify converts the folder again${image:+, and the outputs are the same}" $?
        name=${d/llava/transformers}
        grep -q "^dialect   $name: names of " "$dir/said" && "$FVLM" info "$out" --json | grep -q "\"dialect\": \"$name\""
        ok "$form: $d is named, and recorded" $?
    done
    "$BUILD/tests/tools/tower" "$dir/apple.fvlm" "$dir/tower.fvlm" || give_up "tower"
    for d in $towers; do
        as "$tiny/$form" "$d"
        n=$(bytes_of "$dir/$d")
        "$FVLM" convert "$dir/$d" -o "$out" --force >"$dir/said" 2>"$dir/err"; ok "$form: $d converts" $?
        cmp -s <(weights "$out" "$n") <(weights "$dir/tower.fvlm" "$n"); ok "$form: $d gives the weights of Apple's names" $?
        "$FVLM" verify "$out" "$dir/$d" >"$dir/verified" 2>&1; ok "$form: $d: verify" $?
        grep -q "^dialect   $d: names of " "$dir/said"; ok "$form: $d is named" $?
    done
    "$FVLM" run "$out" "$tiny/heldout/000.png" -q -o "$dir/one.npy" --force &&
        "$FVLM" run "$dir/tower.fvlm" "$tiny/heldout/000.png" -q -o "$dir/two.npy" --force && cmp -s "$dir/one.npy" "$dir/two.npy"
    ok "$form: run prints the same embedding" $?
done

# --- what is said and recorded ---
same "Apple's own names are not mentioned" "$("$FVLM" convert "$tiny/fused" --dry-run | grep -c '^dialect')" 0
same "but in --json" "$("$FVLM" convert "$tiny/fused" --dry-run --json | grep -c '"dialect": "apple"')" 1
"$FVLM" info "$dir/apple.fvlm" --json | grep -q '"dialect"'; [ $? = 1 ]; ok "nor recorded: the file is as it always was" $?
same "what a bare tower does not say is said" "$("$FVLM" convert "$dir/mobileclip" --dry-run 2>&1 >"$dir/said")" \
    "fvlm: warning: no config.json says for which pictures the tower was trained: 256 pixels are assumed; 'fvlm run --size' takes others
fvlm: warning: run pads pictures with black to a square; timm and OpenCLIP crop or squash them"
echo '{"do_center_crop": true, "crop_size": {"height": 128, "width": 128}, "size": {"shortest_edge": 128}, "image_mean": [0, 0, 0], "image_std": [1, 1, 1], "resample": 3, "rescale_factor": 0.00392156862745098}' \
    >"$dir/transformers/preprocessor_config.json"
same "transformers' crop is said" "$("$FVLM" convert "$dir/transformers" --dry-run 2>&1 >"$dir/said")" \
    "fvlm: warning: transformers crops a picture to its central square; run pads it with black, as Apple's predict.py does"
same "and its side is the model's" "$("$FVLM" convert "$dir/transformers" --dry-run --json | grep -c '"image_size": 128')" 1
"$FVLM" convert "$dir/transformers" -o "$out" --force -q --dialect transformers; ok "a dialect may be forced" $?
same "--dialect is recorded" "$("$FVLM" info "$out" --json | grep -c '"dialect": "transformers"')" 2

# --- refusals ---
n=0
no() { n=$((n + 1)); refuses "$@"; } # [WHAT] EXIT MESSAGE ARGUMENT...
stem=model.vision_tower.vision_tower.model.patch_embed
no 2 "--dialect: \"tim\" is not apple, transformers, mlx-vlm, apple-mlx, timm, openclip, mobileclip or apple-tower" \
    "$tiny/fused" --dry-run --dialect tim
forced() { # DIALECT FOLDER FIRST_MISSING FIRST_LEFT_OVER
    local got rc
    got=$("$FVLM" convert "$2" --dry-run --dialect "$1" 2>&1); rc=$?
    n=$((n + 1))
    [[ $rc = 1 && $got == "fvlm: "*" tensors are missing: \"$3\""*" left over: \"$4\""* ]]
    ok "refuses the wrong --dialect $1 by the names that are missing: ${got:0:120}" $?
}
forced timm "$dir/mobileclip" stem.0.reparam_conv.weight image_encoder.model.conv_exp.reparam_conv.bias
forced transformers "$tiny/fused" model.vision_tower.timm_model.stem.0.reparam_conv.weight model.embed_tokens.weight
forced mlx-vlm "$tiny/fused" vision_tower.vision_model.patch_embed.blocks.0.reparam_conv.weight model.embed_tokens.weight
forced apple "$dir/transformers" $stem.0.reparam_conv.weight model.language_model.embed_tokens.weight
forced apple-tower "$dir/timm" patch_embed.0.reparam_conv.weight final_conv.reparam_conv.bias
forced openclip "$dir/timm" visual.trunk.stem.0.reparam_conv.weight final_conv.reparam_conv.bias
cp "$(dirname "$0")/../../README.md" "$dir/x.onnx"
no 2 "--dialect: \"$dir/x.onnx\" is ONNX, not safetensors; leave the option out" "$dir/x.onnx" --dialect timm --dry-run
no 1 "\"$dir/apple-mlx\" is a language model without a vision tower; give the tower's folder with --vision, such as Apple's own checkpoint of the same size, apple/FastVLM-0.5B on Hugging Face" \
    "$dir/apple-mlx" --dry-run
no 2 "--vision: \"$tiny/fused\" has a vision tower of its own; leave the option out" "$tiny/fused" --vision "$dir/timm" --dry-run
no 1 "--vision: \"$dir/apple-mlx\" has no vision tower" "$dir/apple-mlx" --vision "$dir/apple-mlx" --dry-run
no 3 "--vision: \"$dir/none\": No such file or directory" "$dir/apple-mlx" --vision "$dir/none" --dry-run
mkdir "$dir/ck"
"$BUILD/tests/tools/checkpoint" "$dir/ck" fused bf16 >/dev/null 2>&1
no 1 "--vision: the tower of \"$dir/ck\" was trained with a language model of width 32; that of \"$dir/apple-mlx\" has 128; give the checkpoint of the same size" \
    "$dir/apple-mlx" --vision "$dir/ck" --dry-run
as "$dir/ck" timm
no 1 "\"config.json\": \"mm_hidden_size\" is 512, but the tower ends in 128 channels" "$dir/apple-mlx" --vision "$dir/timm" --dry-run
"$FVLM" convert "$dir/apple-mlx" --vision "$tiny/fused" -o "$out" --force -q
got=$("$FVLM" verify "$out" "$dir/apple-mlx" 2>&1); rc=$?; n=$((n + 1))
[ $rc = 1 ] && [[ $got == *"fvlm: \"$dir/apple-mlx\" is a language model without a vision tower; give the tower's folder with --vision"* ]]
ok "refuses to verify without the tower's folder: $got" $?

# config FOLDER FROM TO: the first match of a sed pattern in config.json
config() { sed -i "0,/$2/s//$3/" "$dir/$1/config.json"; }
as "$tiny/fused" transformers
config transformers '"gelu"' '"relu"'
no 1 '"config.json": "projector_hidden_act" is "relu"; only "gelu" is supported' "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers 'bias": true' 'bias": false'
no 1 '"config.json": "multimodal_projector_bias" is false; only true is supported' "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers '"full"' '"default"'
no 1 '"config.json": "vision_feature_select_strategy" is "default"; only "full" is supported' "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers 'layer": -1' 'layer": -2'
no 1 '"config.json": "vision_feature_layer" is -2; only -1 is supported' "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers fastvit_mci3 vit_base
no 1 '"config.json": "vision_config": "architecture" is "vit_base"; only FastViTs of timm, such as "fastvit_mci3", are supported' \
    "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers '"text_config"' '"text"'
no 1 '"config.json": "text_config" is missing, expected an object' "$dir/transformers" --dry-run
as "$tiny/fused" transformers; config transformers '"default"' '"yarn"'
no 1 '"config.json": "rope_parameters": "rope_type" is "yarn"; scaled rotary embeddings are not supported, only "default"' \
    "$dir/transformers" --dry-run
as "$tiny/fused" timm; config timm '256' '224'
no 1 '"config.json": "input_size" is not one side; expected a square of at most 4096 pixels' "$dir/timm" --dry-run
as "$tiny/fused" timm; sed -i 's/256/224/' "$dir/timm/config.json"
no 1 "the tower's stride is 64 pixels, and its config asks for pictures of 224 pixels, not a multiple of it" "$dir/timm" --dry-run
as "$tiny/fused" timm; sed -i 's/1.0/0.229/' "$dir/timm/config.json"
no 1 '"config.json": pictures are normalized ("mean", "std"), which is not supported; MobileCLIP'"'"'s and FastVLM'"'"'s towers have mean 0 and std 1' \
    "$dir/timm" --dry-run

# Relatives of FastViTHD that compute something else.
as "$tiny/fused" timm
foreign() { # MESSAGE CHANGE...
    local message=$1
    shift
    rm -rf "$dir/ck"; mkdir "$dir/ck"
    "$BUILD/tests/tools/checkpoint" "$dir/ck" fused bf16 "$@" >/dev/null 2>&1 || give_up "checkpoint"
    as "$dir/ck" timm
    no 1 "$message" "$dir/timm" --dry-run
}
T=model.vision_tower.vision_tower.model
kind="\"$dir/timm\" is a FastViT, but not of FastViTHD's kind (fastvit_mci3, fastvit_mci4): "
foreign "${kind}its attention blocks normalize with BatchNorm; FastViTHD's have LayerNorm (\"stages.2.blocks.0.norm.running_mean\")" \
    add $T.network.5.0.norm.running_mean F32 64
foreign "${kind}its downsamples squeeze and excite; FastViTHD's do not (\"stages.1.downsample.proj.0.se.fc1.bias\")" \
    add $T.network.1.proj.0.se.reduce.bias F32 4
foreign '1 tensor is missing: "final_conv.se.fc2.bias"' remove $T.conv_exp.se.expand.bias
foreign '1 tensor is left over: "stages.2.blocks.0.mlp.extra.weight"' add $T.network.5.0.convffn.extra.weight F32 4 remove $T.head.proj
foreign '2 tensors are missing: "stages.1.downsample.proj.0.reparam_conv.weight", "stages.1.downsample.proj.0.reparam_conv.bias"; 2 tensors are left over: "stages.1.downsample.proj.0.other.bias", "stages.1.downsample.proj.0.other.weight"' \
    rename $T.network.1.proj.0.lkb_reparam. $T.network.1.proj.0.other.
mkdir "$dir/b"; "$BUILD/tests/tools/checkpoint" "$dir/b" fused bf16 rename $T.patch_embed. image_encoder.model.patch_emb. \
    rename $T. image_encoder.model. rename model. text_encoder. rename lm_head. text_encoder.head. >/dev/null 2>&1
no 1 "\"$dir/b\" is a CLIP whose picture encoder is not a FastViT (tensor \"image_encoder.model.conv_exp.reparam_conv.bias\"); give Apple's own checkpoint folder, such as apple/FastVLM-0.5B on Hugging Face" \
    "$dir/b" --dry-run
# Two names of one weight.
rm -rf "$dir/ck"; mkdir "$dir/ck"
"$BUILD/tests/tools/checkpoint" "$dir/ck" fused bf16 add language_model.lm_head.weight BF16 32 rename $T. vision_tower.vision_model. \
    rename vision_tower.vision_model.patch_embed. vision_tower.vision_model.patch_embed.blocks. >/dev/null 2>&1
no 1 'tensors "lm_head.weight" and "language_model.lm_head.weight" are the same weight under two names; remove one of them' "$dir/ck" --dry-run
[ $n -ge 30 ]; ok "$n refusals with exact messages" $?

# --- damage and interruption ---
as "$tiny/unfused" mlx-vlm
size=$(stat -c %s "$dir/mlx-vlm/model.safetensors")
cp "$dir/mlx-vlm/model.safetensors" "$dir/good"
bad=0
for i in $(seq 1 25); do
    head -c $((size * i / 26)) "$dir/good" >"$dir/mlx-vlm/model.safetensors"
    "$FVLM" convert "$dir/mlx-vlm" -o "$dir/cut.fvlm" -q >/dev/null 2>"$dir/err"
    [ $? = 1 ] && [ "$(wc -l <"$dir/err")" = 1 ] && [ ! -e "$dir/cut.fvlm" ] || bad=$((bad + 1))
done
same "25 truncations of MLX weights: accepted, or anything but one line" $bad 0
cp "$dir/good" "$dir/mlx-vlm/model.safetensors"
as "$tiny/unfused" apple-mlx
mkdir "$dir/kill"
bad=0
"$FVLM" convert "$dir/apple-mlx" --vision "$dir/mlx-vlm" -o "$dir/whole.fvlm" -q || give_up "convert with --vision"
for i in $(seq 1 12); do
    "$FVLM" convert "$dir/apple-mlx" --vision "$dir/mlx-vlm" -o "$dir/kill/m.fvlm" --force -q 2>/dev/null &
    pid=$!
    sleep 0.00$i
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ ! -e "$dir/kill/m.fvlm" ] || cmp -s "$dir/kill/m.fvlm" "$dir/whole.fvlm" || bad=$((bad + 1))
    [ "$(find "$dir/kill" -type f | grep -vc '/m\.fvlm$')" -le 1 ] || bad=$((bad + 1))
    rm -f "$dir/kill/"* "$dir/kill/."[!.]*
done
same "12 SIGKILLs with a tower of another folder: torn files, or more than one stray" $bad 0
refuses "the tower's own weights as output" 1 "\"$dir/mlx-vlm/model.safetensors\" is a file of the checkpoint itself; write to another name" \
    "$dir/apple-mlx" --vision "$dir/mlx-vlm" -o "$dir/mlx-vlm/model.safetensors" --force
