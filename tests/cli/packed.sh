#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a checkpoint with weights that MLX packed converts like any other: codes are kept with the values that unpacking
# gives, --quantized float stores those values, verify compares with the packed folder, and the report says what was found.
. tests/support/tap.sh convert
make=$BUILD/tests/tools/checkpoint
up=model.layers.0.mlp.up_proj q=model.layers.1.self_attn.q_proj
ck=$dir/ck

mkdir "$ck" "$dir/other" "$dir/bad" "$dir/nan"
"$make" "$ck" fused bf16 pack $up 4 pack $q 8 pack model.layers.1.mlp.gate_proj 2 \
    config '{' "{\"quantization\": {\"bits\": 4, \"group_size\": 32, \"$q\": {\"bits\": 8, \"group_size\": 32}, \"model.layers.1.mlp.gate_proj\": {\"bits\": 2, \"group_size\": 32}}, " >"$dir/made" 2>&1 ||
    give_up "a packed checkpoint"
says() { grep -qF -- "$2" "$dir/out"; ok "$1" $?; }
dump() { "$FVLM" info "$1" --dump "$2" -o "$3" --force -q; }

"$FVLM" convert "$ck" -o "$dir/keep.fvlm" -v >"$dir/out" 2>"$dir/err"; ok "converts" $?
same "without a warning" "$(cat "$dir/err")" ""
says "the report names each form" "packed    1 weight: MLX affine, 8 bits, groups of 32"
says "and how many are kept" "quantized 3 weights: codes kept, every value exactly as in the source"
says "and where a tensor comes from" "$up.weight (MLX affine, 4 bits, groups of 32): int4-asym-g32 codes kept"
! grep -q '^rounding' "$dir/out"; ok "exact codes need no other way" $?
mkdir "$dir/f16"
"$make" "$dir/f16" fused bf16 pack $q 8 retype $q.scales F16 retype $q.biases F16 set $q.scales 5 0.0123 \
    config '{' '{"quantization": {"bits": 8, "group_size": 32}, ' >"$dir/made" 2>&1
"$FVLM" convert "$dir/f16" -o "$dir/f16.fvlm" >"$dir/out" 2>&1; ok "converts scales in f16" $?
says "8 bits: the report says what loses less" "rounding  of 8-bit scales and offsets costs more than '--quantized float' and then 'fvlm quant --type int8-asym-g32'"
"$FVLM" convert "$dir/f16" -o "$dir/f16.fvlm" --json -f 2>/dev/null | grep -qF '"requantize": "int8-asym-g32"'; ok "the JSON, too" $?
"$FVLM" info "$dir/f16.fvlm" --tensors --json | grep -q '"rounding": 0.00[1-9]'; ok "and the file has the error" $?
"$FVLM" convert "$ck" -o "$dir/float.fvlm" --quantized float >"$dir/out"; ok "converts to floats" $?
says "which is told, too" "quantized 3 weights: stored as floats; 'fvlm quant' makes them int8 or int4 again"
for tensor in llm.layer0.ffn.up llm.layer1.attn.q llm.layer1.ffn.gate llm.layer0.ffn.down; do
    dump "$dir/keep.fvlm" $tensor.weight "$dir/keep.npy" && dump "$dir/float.fvlm" $tensor.weight "$dir/float.npy"
    cmp -s "$dir/keep.npy" "$dir/float.npy"; ok "$tensor: codes and floats are the same values" $?
done
"$FVLM" convert "$ck" -o "$dir/one.fvlm" --threads 1 -q && cmp -s "$dir/one.fvlm" "$dir/keep.fvlm"; ok "one thread gives the same bytes" $?
for file in keep float; do
    "$FVLM" verify "$dir/$file.fvlm" --against "$ck" >"$dir/out" 2>&1; ok "verify: $file is the packed checkpoint" $?
    grep -qE '^weights of ([0-9]+) tensors: \1 identical to the source, 0 rounded, 0 quantized$' "$dir/out"; ok "in every weight" $?
done
"$make" "$dir/other" fused bf16 pack $up 4 pack $q 8 pack model.layers.1.mlp.gate_proj 2 set $up.scales 5 0.5 >"$dir/made" 2>&1; cp "$ck/config.json" "$dir/other"
for file in keep float; do
    ! "$FVLM" verify "$dir/$file.fvlm" --against "$dir/other" >"$dir/out" 2>&1 && grep -qF "weights differ from the source by more than their types allow, first llm.layer0.ffn.up.weight" "$dir/out"
    ok "verify: one other scale is found, $file" $?
done
"$FVLM" info "$dir/keep.fvlm" --tensors --json | grep -qF "\"$q.weight (MLX affine, 8 bits, groups of 32)\""; ok "the provenance names module and form" $?
"$FVLM" quant "$dir/keep.fvlm" --type int8 -o "$dir/int8.fvlm" -q; ok "'fvlm quant' quantizes the rest" $?

refuses 2 "a type for every tensor, and quantized weights kept as they are: give one of the two" "$ck" --type f16 --quantized keep --dry-run
"$make" "$dir/bad" fused bf16 pack $up 4 config '{' '{"quantization": {"bits": 8, "group_size": 32}, ' >"$dir/made" 2>&1
refuses 1 "tensor \"$up.weight\", U32 [48, 4], holds 16 inputs of 8 bits; \"$up.scales\", BF16 [48, 1], does not fit them in groups of 32; config.json has the wrong bits or group size" "$dir/bad" -o "$dir/x.fvlm"
"$make" "$dir/nan" fused bf16 pack $up 4 set $up.biases 5 nan config '{' '{"quantization": {"bits": 4, "group_size": 32}, ' >"$dir/made" 2>&1
refuses 1 "tensor \"$up.weight\": the offset of row 5, group 0 is not a finite number, or too large; the file is damaged" "$dir/nan" -o "$dir/x.fvlm"
refuses 1 "tensor \"$up.weight\": element [5, 0] is not a finite number; the file is damaged or the training diverged" "$dir/nan" -o "$dir/x.fvlm" --quantized float
[ ! -e "$dir/x.fvlm" ]; ok "nothing was written" $?
