#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm verify --against` ONNX files runs the graphs beside the model without any code of the executor or the
# importer, names the graph's value beside each block, finds a changed weight, another rotation and another network, and
# grades quantized models; what cannot be compared is refused in one exact line.
. tests/support/tap.sh verify
. tests/support/onnx_parts.sh
picture=$tiny/heldout/000.png

verify() { "$FVLM" verify "$@" --image "$picture" >"$dir/out" 2>"$dir/err"; rc=$?; }
passes() { [ "$rc" = 0 ] && [ ! -s "$dir/err" ]; ok "$1" $?; [ "$rc" = 0 ] || sed 's/^/# /' "$dir/err"; }
fails() { same "$1" "$rc $(cat "$dir/err")" "1 fvlm: $2"; }
says() { grep -qE -- "$2" "$dir/out"; ok "$1" $?; }
# The blocks that have a value of the graph: name, relative L2, value.
blocks() { awk '/^block / { on = 1; next } on && NF == 7 && $4 ~ /e[-+]/ { print $1, $4, $7 }' "$dir/out"; }

# --- the model of the files ---
folder all
part "$f" vision fp32; part "$f" embedding fp32; part "$f" decoder fp32
all=$f m=$dir/m.fvlm
"$FVLM" convert "$all" -o "$m" -q || give_up "convert for verify_onnx"
verify "$m" --against "$all"; passes "a model agrees with the files that it was made from"
says "its weights are compared" '^weights of [0-9]+ tensors: [0-9]+ identical to the source, 0 rounded, 0 quantized$'
says "within the bounds" '^within the bounds for f32: relative L2 up to 2e-05, mean KL up to 1e-06, likeliest token at least 100 %$'
same "each of the 22 blocks has a value" "$(blocks | wc -l)" 22
same "all within 2e-5" "$(blocks | awk '$2 <= 2e-5' | wc -l)" 22
same "no value is that of two blocks" "$(blocks | awk '{ print $3 }' | sort -u | wc -l)" 22
says "inputs and outputs by their names" '^llm.embed .* inputs_embeds$'
says "the logits too" '^logits .* logits$'
blocks >"$dir/blocks"
for threads in 1 3; do
    verify "$m" --against "$all" --threads $threads
    [ -s "$dir/blocks" ] && blocks | cmp -s - "$dir/blocks"; ok "the same figures with $threads threads" $?
done
verify "$m" "$all/vision_encoder.onnx"; passes "the vision encoder alone"
says "ends with the picture's rows" '^embedding \(projector\), 16 rows: relative error [0-9.e-]+; cosine of a row: mean 1\.000000'
same "nothing about tokens" "$(grep -c 'next token' "$dir/out")" 0
says "of which the weights are a part" '^weights not compared: the files and the model do not hold the same parts$'
"$FVLM" verify "$m" --against "$all" --image "$picture" --json >"$dir/json"; ok "--json" $?
same "--json names the values" "$(grep -c '"value": "v[0-9]*"' "$dir/json")" "$(grep -c ' v[0-9]*$' "$dir/blocks")"
grep -q '"ok": true$' "$dir/json" && ! grep -q '"absent": true' "$dir/json"; ok "--json: nothing is absent, all is well" $?
"$FVLM" verify "$m" --against "$all" >"$dir/out" 2>&1; ok "without a picture weights only" $?

verify "$m" "$all/vision_encoder.onnx" --max-kl 1
same "a limit on predictions that are not made" "$rc $(cat "$dir/err")" \
    "2 fvlm: --max-kl and --min-agree: only embeddings are compared here; --max-error limits those"
verify "$m" "$all/vision_encoder.onnx" --max-error 1e-3; passes "--max-error limits the rows"
verify "$m" "$all/vision_encoder.onnx" --max-error 1e-9; [ $rc = 1 ] && grep -q 'exceeds --max-error 1e-09$' "$dir/err"
ok "and is exceeded" $?

# --- a model of the safetensors, whose weights were rounded elsewhere ---
# --dialect is recorded in the model, but is none of the graphs.
"$FVLM" convert "$tiny/unfused" --type f32 --dialect apple -o "$dir/safe.fvlm" -q || give_up "convert of safetensors"
verify "$dir/safe.fvlm" --against "$all"; passes "a model of the unfused checkpoint agrees with the files of the fused one"
says "whose weights are not compared" '^weights not compared: the model was made from other files, and each exporter rounds in its own way$'

# --- rounding in f32 is no wrong weight where another exporter folded BatchNorm ---
weights() { "$FVLM" verify "$@" >"$dir/out" 2>"$dir/err"; rc=$?; }
"$FVLM" info "$m" --dump vision.stage2.block1.ffn.dw.weight -o "$dir/w.npy" -q || give_up "dump"
value=$(od -A n -t f4 -j $(($(od -A n -t u2 -j 8 -N 2 "$dir/w.npy") + 10)) -N 4 "$dir/w.npy")
# scaled FACTOR: the first kernel's first value times it
scaled() { "$BUILD/tests/tools/plant" "$m" "$dir/near.fvlm" vision.stage2.block1.ffn.dw.weight 0 "$(awk "BEGIN { printf \"%.9g\", $value * $1 }")" || give_up "plant"; }
scaled 1.0000002
weights "$dir/near.fvlm" --against "$ck"; passes "weights of ONNX files that differ from safetensors by an ulp"
says "are counted" '^1 value differs by rounding in f32 \(up to 3e-7 of the largest of the tensor\): ONNX exporters fold BatchNorm themselves$'
weights "$dir/near.fvlm" --against "$all"; [ $rc = 1 ]; ok "an ulp is wrong beside the very files" $?
scaled 1.00001
weights "$dir/near.fvlm" --against "$ck"; [ $rc = 1 ]; ok "more than rounding is wrong beside safetensors, too" $?
folder norms; part "$f" vision fp32; part "$f" embedding fp32; part "$f" decoder q4; mv "$f/decoder_model_merged_q4.onnx" "$f/decoder_model_merged.onnx"
"$FVLM" convert "$f" -o "$dir/near.fvlm" --force -q
weights "$dir/near.fvlm" --against "$ck"; passes "a model with 4-bit codes of an exporter's beside safetensors"
says "whose codes are not judged" '^29 tensors not compared: another quantizer chose their values$'

# --- what is wrong is found, and where ---
plant() { "$BUILD/tests/tools/plant" "$m" "$dir/planted.fvlm" "$@" || give_up "plant $1"; }
plant vision.stage2.block1.ffn.fc2.bias 5 0.5
verify "$dir/planted.fvlm" "$all"; [ $rc = 1 ]; ok "a changed bias fails" $?
says "the weight is named" '^WRONG WEIGHTS: 1 values? or groups differ .* first vision.stage2.block1.ffn.fc2.bias'
says "and the block" '^OUT OF BOUNDS from vision.stage2.block1 on for f32'
plant llm.layer2.attn_norm.weight 7 3
verify "$dir/planted.fvlm" "$all"; says "a changed norm in the language model" '^OUT OF BOUNDS from llm.layer2 on for f32'
plant projector.2.bias 3 0.25
verify "$dir/planted.fvlm" "$all/vision_encoder.onnx"
says "the graph's output is its output" '^projector .* image_features +out of bounds$'
folder theta
part "$f" vision fp32; part "$f" embedding fp32; part "$f" decoder fp32 theta=20000
verify "$m" --against "$f"; [ $rc = 1 ]; ok "another rotation fails" $?
says "from the first layer on" '^OUT OF BOUNDS from llm.layer0 on for f32'

# --- quantized ---
"$FVLM" quant "$m" --type int4 -o "$dir/int4.fvlm" -q || give_up "quant for verify_onnx"
verify "$dir/int4.fvlm" --against "$all"; passes "an int4 model beside the fp32 files"
says "is graded" '^grade: (indistinguishable|close)'
says "at 256 positions or more" '^next token at 2[5-9][0-9] positions of [0-9]+ answers'
same "its blocks are the same values" "$(blocks | awk '{ print $1, $3 }' | head -n "$(wc -l <"$dir/blocks")")" \
    "$(awk '{ print $1, $3 }' "$dir/blocks")"
part "$all" decoder q4
"$FVLM" convert "$all" --variant q4 -o "$dir/q4.fvlm" -q || give_up "convert of q4"
verify "$dir/q4.fvlm" --against "$all" --variant q4 --act f32; passes "a model of the q4 files agrees with them"
says "with the same answers" '^greedy answers: ([0-9]+) of \1 the same$'
"$FVLM" convert "$all" --variant q4 --quantized float -o "$dir/float.fvlm" -q || give_up "convert of q4 to floats"
"$FVLM" verify "$dir/float.fvlm" --against "$all" --variant q4 >"$dir/out"
ok "a model of --quantized float has all its weights compared with floats" $?
says "and all are the same" '^weights of ([0-9]+) tensors: \1 identical to the source, 0 rounded, 0 quantized$'
"$FVLM" convert "$all" --variant q4 --type f32 -o "$dir/float.fvlm" -q --force || give_up "convert of q4 to f32"
"$FVLM" verify "$dir/q4.fvlm" --against "$all" >"$dir/out"
ok "beside the fp32 files, whose head is tied, it is the same model" $?
says "whose weights another quantizer chose" '^[0-9]+ tensors not compared: another quantizer chose their values$'
verify "$dir/q4.fvlm" "$m" --act f32; passes "what q4 costs"
says "is graded" '^grade: '
says "and the heads differ" '^they differ in use: llm.tied is false and true'
"$FVLM" verify "$dir/float.fvlm" --against "$all" --variant q4 >"$dir/out"
ok "and one of --type f32" $?
says "too" '^weights of ([0-9]+) tensors: \1 identical to the source, 0 rounded, 0 quantized$'
folder halves
part "$f" vision fp16; part "$f" embedding fp16; part "$f" decoder fp16
"$FVLM" convert "$f" --variant fp16 -o "$dir/fp16.fvlm" -q || give_up "convert of fp16"
verify "$dir/fp16.fvlm" --against "$f" --variant fp16; passes "a model of fp16 files agrees with them"
verify "$m" --against "$f" --variant fp16; passes "a model of fp32 files agrees with fp16 files"
says "which are the coarse side" '^the graphs themselves round activations to f16; the differences are mostly theirs$'

# --- a tower alone ---
folder lone
part "$f" tower fp32
"$FVLM" convert "$f/vision_encoder.onnx" -o "$dir/tower.fvlm" -q; ok "convert makes a file of a lone tower" $?
verify "$dir/tower.fvlm" --against "$f/vision_encoder.onnx"; passes "which agrees with it"
says "up to the tower's end" '^embedding \(vision.final\), 16 rows'
verify "$m" --against "$f/vision_encoder.onnx"; passes "as a whole model does, up to there"
verify "$dir/tower.fvlm" --against "$all"
fails "a tower has no projector" "\"$all/vision_encoder.onnx\" and \"$dir/tower.fvlm\" are not the same model: the width of a picture's row is 128 and 512"

# --- refusals ---
folder sides
part "$f" vision fp32 side=128
verify "$m" --against "$f/vision_encoder.onnx"; passes "files for another size are compared at theirs"
verify "$m" --against "$all/vision_encoder.onnx" --size 128
same "--size of another" "$rc $(cat "$dir/err")" \
    "2 fvlm: \"$all/vision_encoder.onnx\" is made for pictures of 256 x 256 pixels; leave out --size"
folder parts
part "$f" decoder fp32
verify "$m" --against "$f/decoder_model_merged.onnx"
fails "a decoder alone" "\"$f/decoder_model_merged.onnx\" has no vision encoder; verify follows a picture through the model, so give the folder with all parts, or the vision encoder"
part "$f" vision fp32
verify "$m" --against "$f"
fails "a decoder without the embedding" "\"$f\" has a decoder, but no embedding (embed_tokens.onnx); outputs need both, or a vision encoder alone"
rm "$f/decoder_model_merged.onnx"
part "$f" embedding fp32
verify "$m" --against "$f"
fails "an embedding without a decoder" "\"$f\" has an embedding, but no decoder (decoder_model_merged.onnx); outputs need both, or a vision encoder alone"
folder twice
part "$f" vision fp32; mv "$f/vision_encoder.onnx" "$f/a.onnx"; cp "$f/a.onnx" "$f/b.onnx"
verify "$m" --against "$f"
fails "two vision encoders" "\"$f/a.onnx\" and \"$f/b.onnx\" are both a vision encoder; give a folder with one of them"
folder foreign
"$make" "$ck" foreign "$f/foreign.onnx" || give_up "foreign.onnx"
verify "$m" --against "$f/foreign.onnx"
fails "another network" "\"$f/foreign.onnx\" is not a part of a FastVLM: neither a vision encoder (one picture in), nor an embedding (token ids in, rows out), nor a decoder (rows in, \"logits\" out)"
head -c 3000 "$all/vision_encoder.onnx" >"$f/cut.onnx"
verify "$m" --against "$f/cut.onnx"; [ $rc = 1 ] && [ "$(wc -l <"$dir/err")" = 1 ] && grep -q 'cut.onnx' "$dir/err"
ok "a file cut short" $?
verify "$m" --against "$f/none.onnx"
same "a file that is not there" "$rc $(cat "$dir/err")" "3 fvlm: \"$f/none.onnx\": No such file or directory"
verify "$m" --against "$all" --variant bnb4
fails "a variant that is not there" "\"$all\" has no variant bnb4; there is fp32, q4"
verify "$m" --against "$tiny/fused" --variant q4
same "a variant of safetensors" "$rc $(cat "$dir/err")" "2 fvlm: --variant: \"$tiny/fused\" has no ONNX files; leave the option out"
"$FVLM" verify "$m" --variant q4 2>"$dir/err"
same "--variant alone" "$? $(cat "$dir/err")" "2 fvlm: --variant needs --against SOURCE"
