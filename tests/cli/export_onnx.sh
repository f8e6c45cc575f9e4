#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: `fvlm export --to onnx` writes graphs that fvlm's own reader takes back: every tensor has the bytes that it had,
# or, where bf16 became FLOAT, the same values; every integer type keeps its codes, scales and offsets; what cannot be
# exported is refused in one exact line; killed at any moment it leaves the old folder, the new one, or none.
. tests/support/tap.sh export
picture=$tiny/heldout/000.png
m=$dir/m.fvlm tower=$dir/tower.fvlm
"$FVLM" convert "$tiny/unfused" --type f32 -o "$m" -q && "$BUILD/tests/tools/tower" "$m" "$tower" projector || give_up "models for export"

# Names, types and hashes of all tensors.
tensors() {
    "$FVLM" info "$1" --json --tensors | awk '/"name":/ { name = $2 } /"type":/ { type = $2 } /"xxh3_128":/ && name { print name, type, $2; name = "" }'
}

# --- and back ---
for type in f32 f16 bf16 int4 int8 int4-sym-g32 int8-asym-g128 int4-asym-row int8-sym-row; do
    q=$dir/q.fvlm extra=()
    case $type in
    f32) cp "$m" "$q" ;;
    bf16) "$FVLM" convert "$tiny/unfused" --type bf16 -o "$q" -q --force; extra=(--type bf16) ;;
    f16) "$FVLM" convert "$tiny/unfused" --type f16 -o "$q" -q --force ;;
    *) "$FVLM" quant "$m" --type "$type" -o "$q" -q --force ;;
    esac
    rm -rf "$dir/out"
    "$FVLM" export "$q" --to onnx "${extra[@]}" -o "$dir/out" -q; ok "export of $type" $?
    "$FVLM" convert "$dir/out" -o "$dir/back.fvlm" -q --force; ok "convert takes it back ($type)" $?
    same "its tensors are the same ($type)" "$(diff <(tensors "$q") <(tensors "$dir/back.fvlm"))" ""
    [ $type = int4 ] && cp -r "$dir/out" "$dir/int4" && cp "$q" "$dir/int4.fvlm"
done
[ "$(tensors "$m" | wc -l)" = 138 ]; ok "138 tensors were compared" $?
same "the files of int4" "$(cd "$dir/int4" && find . -type f | LC_ALL=C sort | tr '\n' ' ')" "./added_tokens.json ./config.json \
./generation_config.json ./merges.txt ./onnx/decoder_model_merged_q4.onnx ./onnx/embed_tokens_q4.onnx ./onnx/vision_encoder_q4.onnx \
./preprocessor_config.json ./tokenizer.json ./tokenizer_config.json ./vocab.json "
"$FVLM" export "$dir/int4.fvlm" --to onnx -o "$dir/again" --threads 1 -q && diff -r "$dir/int4" "$dir/again"; ok "the same bytes again" $?
"$FVLM" convert "$dir/int4" -o "$dir/back.fvlm" -q --force
same "the same answer" "$("$FVLM" run "$dir/back.fvlm" "$picture" "How many shapes are there?" -q)" \
    "$("$FVLM" run "$dir/int4.fvlm" "$picture" "How many shapes are there?" -q)"
grep -aq 'fvlm.identity' "$dir/int4/onnx/embed_tokens_q4.onnx"; ok "provenance is in the models" $?
"$FVLM" export "$tower" --to onnx -o "$dir/vision" --json >"$dir/json"; ok "a tower" $?
same "gives one file" "$(cd "$dir/vision" && find . -type f)" ./onnx/vision_encoder.onnx
"$FVLM" convert "$dir/vision/onnx/vision_encoder.onnx" -o "$dir/back.fvlm" -q --force; ok "convert takes the tower back" $?
same "its tensors are the same" "$(diff <(tensors "$tower") <(tensors "$dir/back.fvlm"))" ""
"$FVLM" export "$m" --to onnx -o "$dir/x" --dry-run >"$dir/report" && [ ! -e "$dir/x" ]; ok "--dry-run writes nothing" $?

# --- refusals ---
mkdir "$dir/mine" && echo 'do not lose me' >"$dir/mine/notes.txt" && touch "$dir/file"
refuses 2 "no output file; give -o FILE, or --dry-run to see the plan" "$m" --to onnx
refuses 2 "--naming is an option of --to safetensors; leave it out" "$m" --to onnx --naming apple -o "$dir/x"
refuses 2 "--shard-size is an option of --to safetensors; leave it out" "$m" --to onnx --shard-size 1GB -o "$dir/x"
refuses 3 "\"$dir/none.fvlm\": No such file or directory" "$dir/none.fvlm" --to onnx -o "$dir/x"
refuses 1 "\"$dir/int4\" exists and is not empty; --force replaces it" "$m" --to onnx -o "$dir/int4"
refuses 1 "\"$dir/file\" exists and is not a folder" "$m" --to onnx -o "$dir/file"
refuses 1 "\"$dir/mine\" holds \"notes.txt\", which no export writes; it is not replaced, not even with --force" \
    "$m" --to onnx -o "$dir/mine" --force
refuses 3 "\"$dir/none/x\": cannot open its folder: No such file or directory" "$m" --to onnx -o "$dir/none/x"
refuses "the model itself" 1 "\"$dir/m.fvlm\" is the input itself; write to another name" "$m" --to onnx -o "$m" --force
for value in nan inf; do
    "$BUILD/tests/tools/plant" "$m" "$dir/bad.fvlm" llm.layer1.ffn.up.weight 5 $value || give_up "a model with $value"
    refuses "$value" 1 "tensor \"llm.layer1.ffn.up.weight\" has a value that is not finite, or too large for 32-bit floats" \
        "$dir/bad.fvlm" --to onnx -o "$dir/x"
done
"$BUILD/tests/tools/plant" "$m" "$dir/bad.fvlm" vision.stage1.block0.ffn.fc1.weight 5 1e6 || give_up "a large weight"
refuses "f16" 1 "tensor \"vision.stage1.block0.ffn.fc1.weight\" has a value that is not finite, or too large for 16-bit floats; try --type f32" \
    "$dir/bad.fvlm" --to onnx --type f16 -o "$dir/x"
got=$(ulimit -f 500; "$FVLM" export "$m" --to onnx -o "$dir/x" 2>&1)
same "no space: a limit of the file's size" "${got//"$dir/"/}" 'fvlm: "x/onnx/vision_encoder.onnx": cannot reserve its space: File too large'
[ ! -e "$dir/x" ] && [ -s "$dir/mine/notes.txt" ]; ok "after all of them nothing new is there" $?

# --- kill ---
mkdir "$dir/kill"
target=$dir/kill/onnx
began=$(date +%s%N)
"$FVLM" export "$m" --to onnx -o "$dir/new" -q
took=$(($(date +%s%N) - began))
torn=0 killed=0
for i in $(seq 1 16); do
    rm -rf "$target" && cp -r "$dir/int4" "$target"
    "$FVLM" export "$m" --to onnx -o "$target" --force -q 2>/dev/null &
    pid=$!
    sleep "$(printf '%d.%09d' $((took * i / 16 / 1000000000)) $((took * i / 16 % 1000000000)))"
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null; [ $? = 137 ] && killed=$((killed + 1))
    diff -rq "$target" "$dir/int4" >/dev/null 2>&1 || diff -rq "$target" "$dir/new" >/dev/null 2>&1 || torn=$((torn + 1))
done
same "16 SIGKILLs, $killed in time: torn folders" $torn 0
for _ in 1 2 3 4 5; do # a killed run's child may still wait for the disk, and holds its folder until then
    "$FVLM" export "$m" --to onnx -o "$target" --force -q
    [ "$(ls -A "$dir/kill")" = onnx ] && break
    sleep 1
done
same "the next run removes what they left" "$(ls -A "$dir/kill")" onnx
