#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: an ONNX folder gives the tensors of the checkpoint that it was made of; which files of a folder are taken; codes of
# quantized weights are kept with the values that dequantizing gives; a vision encoder alone; what is refused, in which words.
. tests/support/tap.sh convert
. tests/support/onnx_parts.sh
fvlm=$(realpath "$FVLM")

hashes() { "$FVLM" info "$1" --tensors --json | awk '/"tensors": \[/ { on = 1 } on && /"(name|type|xxh3_128)"/'; }
converts() {
    local what=$1; shift
    "$FVLM" convert "$@" >"$dir/out" 2>"$dir/err"
    ok "$what" $?
    [ -s "$dir/err" ] && sed 's/^/# /' "$dir/err"
}
says() { grep -qF -- "$2" "$dir/out" || grep -qF -- "$2" "$dir/err"; ok "$1" $?; }

# --- the same tensors ---
folder all
part "$f" vision fp32; part "$f" embedding fp32; part "$f" decoder fp32
"$FVLM" convert "$ck" --type f32 -o "$dir/want.fvlm" -q || give_up "convert for it"
converts "a folder of fp32 files" "$f" -o "$dir/m.fvlm"
same "all tensors are those of the checkpoint, bit for bit" "$(hashes "$dir/m.fvlm")" "$(hashes "$dir/want.fvlm")"
says "the report names file, exporter and operator set" "onnx      vision_encoder.onnx: vision encoder, by onnx_build, opset 17, 116 weights by structure from 222 nodes"
"$FVLM" info "$dir/m.fvlm" --json | grep -q '"decoder_model_merged.onnx"'; ok "the provenance has the files" $?
"$FVLM" info "$dir/m.fvlm" --tensors --json | grep -q 'decoder_model_merged.onnx: onnx::MatMul_[0-9]* (node n_v'
ok "and the names of initializers and nodes" $?
"$FVLM" run "$dir/m.fvlm" "$tiny/demo.png" 'What color is the circle?' -q >"$dir/a" &&
    "$FVLM" run "$dir/want.fvlm" "$tiny/demo.png" 'What color is the circle?' -q >"$dir/b"
same "the same answer" "$(cat "$dir/a")" "$(cat "$dir/b")"
for threads in 1 3; do
    "$FVLM" convert "$f" -o "$dir/t.fvlm" --threads $threads --force -q && cmp -s "$dir/m.fvlm" "$dir/t.fvlm"
    ok "the same bytes with $threads threads" $?
done
(cd "$f" && "$fvlm" convert . -o "$dir/t.fvlm" --force -q) && cmp -s "$dir/m.fvlm" "$dir/t.fvlm"
ok "the same bytes from inside the folder" $?

folder outside
for p in vision embedding decoder; do part "$f" $p fp32 external; done
converts "weights in files beside" "$f" -o "$dir/t.fvlm" --force
same "are the same" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
"$FVLM" info "$dir/t.fvlm" --json | grep -q '"decoder_model_merged.onnx_data"'; ok "and in the provenance" $?

# --- the community's layout ---
folder tree; mkdir "$f/onnx"; cp "$dir/all"/*.onnx "$f/onnx"
converts "files in onnx/" "$f" -o "$dir/t.fvlm" --force
same "give the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
"$FVLM" info "$dir/t.fvlm" --json | grep -q '"onnx/decoder_model_merged.onnx"'; ok "with their folder in the provenance" $?
converts "the folder onnx/ itself" "$f/onnx" -o "$dir/s.fvlm" --force
cmp -s "$dir/t.fvlm" "$dir/s.fvlm"; ok "gives the same file" $?
(cd "$f/onnx" && "$fvlm" convert . -o "$dir/s.fvlm" --force -q) && cmp -s "$dir/t.fvlm" "$dir/s.fvlm"
ok "from inside, too" $?
hub=$dir/hub/models--x--FastVLM-ONNX snapshot=$dir/hub/models--x--FastVLM-ONNX/snapshots/abc
mkdir -p "$hub/blobs" "$hub/refs" "$snapshot/onnx"; printf abc >"$hub/refs/main"
for x in "$dir/outside"/*; do
    digest=$(sha256sum "$x") name=${x##*/}; digest=${digest%% *}
    cp "$x" "$hub/blobs/$digest"
    case $name in *.onnx*) ln -s "../../../blobs/$digest" "$snapshot/onnx/$name" ;; *) ln -s "../../blobs/$digest" "$snapshot/$name" ;; esac
done
converts "a repository in Hugging Face's cache, whose files are links" "$hub" -o "$dir/s.fvlm" --force
same "gives the same tensors" "$(hashes "$dir/s.fvlm")" "$(hashes "$dir/want.fvlm")"
says "and says where they are" "source    $snapshot"
cp "$ck/model.safetensors" "$f"
converts "safetensors beside onnx/ come first" "$f" --dry-run
says "and are bf16" "bf16"
converts "unless --variant asks for ONNX" "$f" --variant fp32 --dry-run
says "which takes its files" "onnx      onnx/vision_encoder.onnx"

# --- variants ---
folder many
cp "$dir/all"/*.onnx "$f"; part "$f" vision fp16; part "$f" embedding fp16; part "$f" decoder q4 round; part "$f" decoder q4f16
part "$f" decoder int8
cp "$f/decoder_model_merged_int8.onnx" "$f/decoder_model_merged_quantized.onnx"
converts "without --variant" "$f" -o "$dir/t.fvlm" --force
same "fp32 is taken" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
converts "--variant q4" "$f" --variant q4 -o "$dir/q4.fvlm"
says "takes fp32 where there is no q4, and says so" "onnx      vision_encoder.onnx: vision encoder in fp32, since there is no q4, by"
says "and q4 where there is" "onnx      decoder_model_merged_q4.onnx: decoder, by"
says "codes whose scales bf16 can hold are kept exactly" "quantized 29 weights: codes kept, every value exactly as in the source"
says "the graph's own head is used" "the head differs from the embedding; the graph's own is used, although config.json says tie_word_embeddings"
converts "--variant q4f16" "$f" --variant q4f16 --dry-run
says "takes fp16 for the other parts" "onnx      embed_tokens_fp16.onnx: token embedding in fp16, since there is no q4f16, by"
converts "--variant fp16" "$f" --variant fp16 --dry-run
says "takes fp32 for the decoder" "onnx      decoder_model_merged.onnx: decoder in fp32, since there is no fp16, by"
converts "--variant q8" "$f" --variant q8 --dry-run
says "is the suffix quantized" "onnx      decoder_model_merged_quantized.onnx: decoder, by"
"$FVLM" convert "$f" --variant q4 --dry-run --json 2>/dev/null | grep -q '"codes_kept": 29'; ok "the JSON counts kept codes" $?
rm "$f"/decoder_model_merged.onnx "$f"/decoder_model_merged_{q4f16,int8,quantized}.onnx "$f"/embed_tokens.onnx
converts "parts of which there is one variant" "$f" -o "$dir/t.fvlm" --force
says "are taken in that" "onnx      decoder_model_merged_q4.onnx: decoder, by"

# --- quantized weights ---
folder quantized; cp "$dir/all"/{vision,embed}*.onnx "$f"
dump() { "$FVLM" info "$1" --dump "$2" -o "$3" --force -q; }
for variant in q4 q8 q4a q4b256 int8 uint8 nf4; do
    rm -f "$f"/decoder*; "$make" "$ck" decoder "$f/decoder_model_merged.onnx" $variant round
    "$FVLM" convert "$f" -o "$dir/keep.fvlm" --force >"$dir/out" 2>"$dir/err" && "$FVLM" convert "$f" -o "$dir/float.fvlm" --quantized float --force -q
    ok "$variant: converts, with codes and as floats" $?
    same=0
    for tensor in llm.layer0.attn.q llm.layer1.attn.k llm.layer2.ffn.gate llm.layer3.ffn.down llm.head; do
        dump "$dir/keep.fvlm" $tensor.weight "$dir/keep.npy" && dump "$dir/float.fvlm" $tensor.weight "$dir/float.npy" || same=9
        cmp -s "$dir/keep.npy" "$dir/float.npy" || same=$((same + 1))
    done
    case $variant in q4 | q8 | q4b256 | nf4) want=0 ;; *) want=5 ;; esac
    same "$variant: $want of 5 matrices have other values than dequantizing gives" "$same" "$want"
    "$FVLM" info "$dir/float.fvlm" >"$dir/info" && ! grep -q 'int[48]' "$dir/info"; ok "$variant: --quantized float leaves no integers" $?
    "$FVLM" info "$dir/keep.fvlm" --json >"$dir/info" 2>&1; ok "$variant: info reads it" $?
    case $variant in
    q4) type='int4-sym-g32' ;; q4a) type='int4-asym-g32' ;; q8) type='int8-sym-g32' ;; q4b256) type='int4-sym-row' ;;
    int8) type='int8-sym-row' ;; uint8) type='int8-asym-row' ;; nf4) type='f32' ;;
    esac
    grep -A6 '"part": "llm"' "$dir/info" | grep -q "\"$type\""; ok "$variant: becomes $type" $?
    "$FVLM" run "$dir/keep.fvlm" "$tiny/demo.png" 'What color is the circle?' -q >/dev/null 2>&1; ok "$variant: runs" $?
done
says "NF4 becomes floats, and what to do then" "quantized 29 weights: stored as floats; 'fvlm quant' makes them int8 or int4 again"
rm "$f"/decoder*; part "$f" decoder uint8; mv "$f/decoder_model_merged_uint8.onnx" "$f/decoder_model_merged.onnx"
converts "scales that bf16 cannot hold" "$f" -o "$dir/keep.fvlm" --force -v
says "the error of all is shown" "quantized 29 weights: codes kept; scales of 29 rounded to bf16: relative error "
says "and that of each tensor" "int8-asym-row codes kept (scales rounded to bf16, error "
converts "--type makes floats of everything" "$f" --type bf16 -o "$dir/t.fvlm" --force
"$FVLM" info "$dir/t.fvlm" >"$dir/info" && ! grep -q 'int8' "$dir/info"; ok "which has no integers" $?
"$FVLM" quant "$dir/keep.fvlm" --type int4 -o "$dir/t.fvlm" --force -q
ok "'fvlm quant' quantizes the float matrices of a file with kept codes" $?
"$FVLM" quant "$dir/keep.fvlm" --set 'llm\.layer0\.ffn\.up\.weight=int8' -o "$dir/t2.fvlm" 2>"$dir/err"; rc=$?
[ $rc = 1 ] && grep -q "quantized already (.*); quantize what 'fvlm convert --quantized float' makes of the source" "$dir/err"
ok "and says what to quantize for other types" $?

# --- a vision encoder alone ---
converts "one file of the vision encoder" "$dir/all/vision_encoder.onnx" -o "$dir/v.fvlm"
"$FVLM" info "$dir/v.fvlm" | grep -q '^llm  *none'; ok "has no language model" $?
same "and the tensors of the whole model's" "$(hashes "$dir/v.fvlm" | grep -c xxh3)" 88
folder small; cp "$dir/all/vision_encoder.onnx" "$f"; sed -i 's/mobileclip_l_256/mobileclip_l_512/' "$f/config.json"
refuses 1 "\"vision_encoder.onnx\" has pictures of side 256, but \"config.json\" says \"mm_vision_tower\" 512; they do not belong together" "$f" -o "$dir/no"
mkdir "$dir/alone"; "$make" "$ck" tower "$dir/alone/fastvithd.onnx"
converts "a folder of one file under another name, without config.json" "$dir/alone" -o "$dir/v.fvlm" --force
"$FVLM" info "$dir/v.fvlm" | grep -q '^projector  *none'; ok "and without a projector" $?


# --- what is rounded on the way ---
folder rounds; part "$f" vision fp32 narrow; mv "$f/vision_encoder.onnx" "$f/v.onnx"
converts "activations that are cast to 16 bits and back" "$f/v.onnx" -o "$dir/v.fvlm" --force
says "are warned of" "fvlm: warning: \"v.onnx\" casts activations to 16 bits 2 times, first at node \"n_v6\" (Cast); fvlm computes them in f32"
part "$f" vision fp16
converts "a file of halves" "$f/vision_encoder_fp16.onnx" -o "$dir/v.fvlm" --force
! grep -q warning "$dir/err"; ok "is not" $?
part "$f" vision fp32 step=0.0039
converts "pixels in bytes" "$f/vision_encoder.onnx" -o "$dir/v.fvlm" --force
says "stay floats" "activations stay floats (the graph rounds them 1 times)"
part "$f" vision fp32 step=0.002
refuses 1 "\"$f/vision_encoder.onnx\": node \"n_v0\" (QuantizeLinear): it holds pixels from 0 to 0.51 in steps of 0.002, and FastVLM's are from 0 to 1; calibrate the graph with such pictures" "$f/vision_encoder.onnx" -o "$dir/no"
part "$f" vision fp32 step=1
refuses 1 "\"$f/vision_encoder.onnx\": node \"n_v0\" (QuantizeLinear): it holds pixels from 0 to 255 in steps of 1, and FastVLM's are from 0 to 1; calibrate the graph with such pictures" "$f/vision_encoder.onnx" -o "$dir/no"

# --- other names ---
folder named
cp "$dir/all/vision_encoder.onnx" "$f/eyes.onnx"; cp "$dir/all/embed_tokens.onnx" "$f/words.onnx"
cp "$dir/all/decoder_model_merged.onnx" "$f/brain.onnx"
converts "files under names of the user's" "$f" -o "$dir/t.fvlm" --force
same "give the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
mv "$f/brain.onnx" "$f/model.onnx"; mv "$f/eyes.onnx" "$f/vision_encoder.onnx"; mv "$f/words.onnx" "$f/embed_tokens.onnx"
cp "$f/model.onnx" "$f/spare.onnx"; echo '{}' >"$f/genai_config.json"
converts "onnxruntime-genai's model.onnx is the decoder" "$f" -o "$dir/t.fvlm" --force
same "with the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
says "a file that is not taken is named" "fvlm: warning: 1 .onnx file is not used: \"spare.onnx\""

# --- refusals: files ---
r() { refuses "$@" -o "$dir/no"; }
r 1 "\"$dir/all/decoder_model_merged.onnx\" is a decoder alone; give the folder that holds the vision encoder, too" "$dir/all/decoder_model_merged.onnx"
r 1 "\"$dir/all/embed_tokens.onnx\" is a token embedding alone; give the folder that holds the vision encoder, too" "$dir/all/embed_tokens.onnx"
r 2 "--variant: \"$dir/all/vision_encoder.onnx\" is one file; leave the option out" "$dir/all/vision_encoder.onnx" --variant q4
r 3 "\"$dir/all/x.onnx\": No such file or directory" "$dir/all/x.onnx"
r 2 "--variant: \"$ck\" has no ONNX files; leave the option out" "$ck" --variant q4
r 1 "\"$dir/all\" has no variant bnb4; there is fp32" "$dir/all" --variant bnb4
r 2 "--variant: \"q5\" is not fp32, fp16, q4, q4f16, int8, uint8, q8, quantized or bnb4; try 'fvlm convert --help'" "$dir/all" --variant q5
folder few; cp "$dir/all"/{embed,decoder}*.onnx "$f"
r 1 "\"$f\" has a decoder (\"decoder_model_merged.onnx\"), but no vision encoder, such as vision_encoder.onnx" "$f"
rm "$f"/decoder*
r 1 "\"$f\" has a token embedding (\"embed_tokens.onnx\"), but no vision encoder, such as vision_encoder.onnx" "$f"
cp "$dir/all"/vision*.onnx "$f"
r 1 "\"$f\" has a token embedding (\"embed_tokens.onnx\"), but no decoder, such as decoder_model_merged.onnx; without both, the vision encoder is converted alone" "$f"
rm "$f"/embed*; cp "$dir/all"/decoder*.onnx "$f"; sed -i 's/"tie_word_embeddings": true/"tie_word_embeddings": false/' "$f/config.json"
r 1 "\"$f\" has no token embedding: embed_tokens.onnx is missing, and \"decoder_model_merged.onnx\" takes embeddings" "$f"
sed -i 's/"tie_word_embeddings": false/"tie_word_embeddings": true/' "$f/config.json"
converts "a tied head stands for the embedding that is missing" "$f" -o "$dir/t.fvlm" --force
says "and the user is told" "fvlm: warning: embed_tokens.onnx is missing; the head is taken for the embedding, since config.json ties them. If only the head is quantized, that is not the embedding itself; 'fvlm verify --image' needs the file"
same "with the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
folder several; cp "$dir/all"/{vision,embed}*.onnx "$f"; for v in q4 q4f16; do cp "$dir/all/decoder_model_merged.onnx" "$f/decoder_model_merged_$v.onnx"; done
r 1 "\"$f\" has several variants of decoder_model_merged (q4, q4f16); choose one with --variant" "$f"
r 1 "\"$f\" has no variant int8; there is fp32, q4, q4f16" "$f" --variant int8
folder both; mkdir "$f/onnx"; cp "$dir/all"/*.onnx "$f/onnx"; cp "$dir/all"/*.onnx "$f"
converts "graphs in a folder and in its onnx/" "$f" --dry-run
says "are taken from there" "onnx      onnx/vision_encoder.onnx: vision encoder"
says "and the others are named" "fvlm: warning: 3 .onnx files are not used: \"decoder_model_merged.onnx\" and more"
r 1 "\"-\" is not a file name; fvlm does not read from a pipe" -
cp "$dir/all/vision_encoder.onnx" "$dir/no_suffix"
r 1 "\"$dir/no_suffix\" begins like an ONNX model, but its name does not end in .onnx; rename it" "$dir/no_suffix"
folder double; cp "$dir/all/vision_encoder.onnx" "$f/a.onnx"; cp "$dir/all/vision_encoder.onnx" "$f/b.onnx"
r 1 "\"$f\" has two files that are a vision encoder: \"a.onnx\" and \"b.onnx\"; give a folder with the parts of one model" "$f"
r 1 "\"$f\" has no file whose name ends in \"_q4.onnx\"" "$f" --variant q4
folder crowd; for i in $(seq 17); do : >"$f/$i.onnx"; done
r 1 "\"$f\" has over 16 .onnx files, and none has a name that fvlm knows, such as vision_encoder.onnx; give a folder with the parts of one model" "$f"
folder data; : >"$f/decoder_model_merged.onnx_data"
r 1 "\"$f\" is the data of an ONNX export without its .onnx file (\"decoder_model_merged.onnx_data\"); download that, too" "$f"
r 1 "\"$f/decoder_model_merged.onnx_data\" is the data of an ONNX file; give the .onnx file beside it, or their folder" "$f/decoder_model_merged.onnx_data"
refuses 1 "\"$dir/all/decoder_model_merged.onnx\" is a file of the checkpoint itself; write to another name" "$dir/all" --force -o "$dir/all/decoder_model_merged.onnx"
folder foreign; "$make" "$ck" foreign "$f/model.onnx"
r 1 "\"$f/model.onnx\" is not a part of a FastVLM: it takes \"audio\" FLOAT [batch, 80, 3000, 2, 2], \"lengths\" INT64 [batch]; expected a picture [batch, 3, height, width], token ids [batch, tokens], or their embeddings" "$f/model.onnx"
r 1 "\"$f/model.onnx\" is not a part of a FastVLM: it takes \"audio\" FLOAT [batch, 80, 3000, 2, 2], \"lengths\" INT64 [batch]; expected a picture [batch, 3, height, width], token ids [batch, tokens], or their embeddings" "$f"
mv "$f/model.onnx" "$f/a.onnx"; cp "$f/a.onnx" "$f/b.onnx"
"$FVLM" convert "$f" -o "$dir/no" 2>&1 | grep -qF "foreign\": none of its 2 .onnx files is a part of a FastVLM"; ok "refuses a folder of other networks" $?
cp "$dir/all"/vision_encoder.onnx "$f/c.onnx"
converts "files of other networks beside the vision encoder are left out" "$f" -o "$dir/v.fvlm" --force
says "and named" "fvlm: warning: \"a.onnx\" is not used: it is not a part of a FastVLM"

# --- refusals: options ---
r 2 "a type for every tensor, and quantized weights kept as they are: give one of the two" "$dir/all" --type f16 --quantized keep
r 2 "--quantized: \"drop\" is not keep or float; try 'fvlm convert --help'" "$dir/all" --quantized drop

# --- refusals: config.json against the graphs ---
folder wrong; cp "$dir/all"/*.onnx "$f"
# edit FROM TO MESSAGE
edit() {
    cp "$ck/config.json" "$f"; sed -i "s/$1/$2/" "$f/config.json"
    cmp -s "$ck/config.json" "$f/config.json" && ok "edits $1" 1
    r 1 "$3" "$f"
}
against() { echo "\"$1\" has $2, but \"config.json\" says $3; they do not belong together"; }
v=vision_encoder.onnx d=decoder_model_merged.onnx
edit mobileclip_l_256 mobileclip_l_512 "$(against $v 'pictures of side 256' '"mm_vision_tower" 512')"
edit '"mm_hidden_size": 512' '"mm_hidden_size": 3072' "$(against $v 'a tower of width 512' '"mm_hidden_size" 3072')"
edit '"hidden_size": 128' '"hidden_size": 256' "$(against $v 'image tokens of width 128' '"hidden_size" 256')"
edit '"num_hidden_layers": 4' '"num_hidden_layers": 5' "$(against $d 'layers: 4' '"num_hidden_layers" 5')"
edit '"num_attention_heads": 4' '"num_attention_heads": 8' "$(against $d 'attention heads: 4' '"num_attention_heads" 8')"
edit '"num_key_value_heads": 2' '"num_key_value_heads": 4' "$(against $d 'key-value heads: 2' '"num_key_value_heads" 4')"
edit '"intermediate_size": 384' '"intermediate_size": 512' "$(against $d 'an inner width of 384' '"intermediate_size" 512')"
edit '"rope_theta": 1000000.0' '"rope_theta": 10000.0' "$(against $d 'a rotary base of 1000000' '"rope_theta" 10000')"
edit '"rms_norm_eps": 1e-06' '"rms_norm_eps": 1e-05' "$(against $d 'an epsilon of 1e-06' '"rms_norm_eps" 1e-05')"
edit '"model_type": "llava_qwen2"' '"model_type": "llava"' "\"config.json\": \"architectures\" names \"LlavaQwen2ForCausalLM\"; expected \"LlavaLlamaForCausalLM\" for this model_type"
edit '"vocab_size": 512' '"vocab_size": 400' "the tokenizer has ids up to 450, but \"config.json\" says \"vocab_size\" 400; tokenizer and weights do not belong together"
cp "$ck/config.json" "$f"
part "$f" decoder fp32 theta=10000
r 1 "$(against $d 'a rotary base of 10000' '"rope_theta" 1000000')" "$f"
part "$f" decoder fp32 eps=1e-3
r 1 "$(against $d 'an epsilon of 0.001' '"rms_norm_eps" 1e-06')" "$f"
cp "$dir/all"/*.onnx "$f"; part "$f" embedding fp32 rows=400; part "$f" decoder fp32 rows=400
r 1 "the tokenizer has ids up to 450, but the embedding has 400 rows; tokenizer and weights do not belong together" "$f"
part "$f" decoder fp32 rows=460; part "$f" embedding fp32 rows=455
converts "an embedding and a head with different numbers of rows that no token needs" "$f" -o "$dir/t.fvlm" --force
same "give the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
# token TEXT: gives the tokenizer one more, without a row
token() {
    rm -f "$f/added_tokens.json"
    sed "s/\"added_tokens_decoder\": {/&\"451\": {\"content\": \"$1\", \"lstrip\": false, \"normalized\": false, \"rstrip\": false, \"single_word\": false, \"special\": true},/" \
        "$ck/tokenizer_config.json" >"$f/tokenizer_config.json"
}
cp "$dir/all"/*.onnx "$f"; token '<image>'
converts "a token <image> without a row, as in ports of FastVLM" "$f" -o "$dir/t.fvlm" --force
same "gives the same tensors" "$(hashes "$dir/t.fvlm")" "$(hashes "$dir/want.fvlm")"
"$FVLM" run "$dir/t.fvlm" "$tiny/demo.png" 'What color is the circle?' -q >"$dir/b"; same "and the same answer" "$(cat "$dir/a")" "$(cat "$dir/b")"
token '<video>'
r 1 "the tokenizer has ids up to 451, but the embedding has 451 rows; tokenizer and weights do not belong together" "$f"
cp "$ck"/*.json "$f"
cp "$dir/all"/*.onnx "$f"; "$make" "$ck" vision "$f/vision_encoder.onnx" side=512
r 1 "$(against $v 'pictures of side 512' '"mm_vision_tower" 256')" "$f"
cp "$dir/all"/*.onnx "$f"; rm "$f/config.json"
r 1 "\"config.json\" is missing; give a checkpoint folder as downloaded, or copy it from there" "$f"
cp "$ck/config.json" "$f"; rm "$f/vocab.json" "$f"/tokenizer.json 2>/dev/null
"$FVLM" convert "$f" -o "$dir/no" 2>&1 >/dev/null | grep -q 'vocab.json'; ok "refuses a folder without a tokenizer, by name" $?

# --- refusals: damage ---
folder bad; cp "$dir/all"/*.onnx "$f"
head -c 1000 "$dir/all/decoder_model_merged.onnx" >"$f/decoder_model_merged.onnx"
"$FVLM" convert "$f" -o "$dir/no" >"$dir/out" 2>"$dir/err"; same "refuses a file that is cut short" "$? $(wc -l <"$dir/err")" "1 1"
says "by its name" "bad/decoder_model_merged.onnx\""
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >"$f/decoder_model_merged.onnx"
"$FVLM" convert "$f" -o "$dir/no" >"$dir/out" 2>"$dir/err"; same "refuses a Git LFS pointer" "$? $(wc -l <"$dir/err")" "1 1"
says "by its name" "bad/decoder_model_merged.onnx\""
: >"$f/decoder_model_merged.onnx"
"$FVLM" convert "$f" -o "$dir/no" >"$dir/out" 2>"$dir/err"; same "refuses an empty file" "$? $(wc -l <"$dir/err")" "1 1"
[ ! -e "$dir/no" ]; ok "no refusal leaves a file" $?
