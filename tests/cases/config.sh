#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a checkpoint's JSON and text files are read as the tools read them that people have, or refused with one line
# that names the key. What is read gives the plain model: the same config in the file, the same answer.
# (tests/convert/checkpoint.c has many more keys, with exact messages.)
. tests/support/tap.sh config
ck=$dir/ck picture=$tiny/demo.png question="What is on the left?"

# A fresh copy of the small checkpoint; the weights are a link.
fresh() {
    rm -rf "$ck"; mkdir "$ck"
    cp "$tiny"/fused/*.json "$tiny/fused/merges.txt" "$ck"
    ln -s "$PWD/$tiny/fused/model.safetensors" "$ck/model.safetensors"
}

# put FILE KEY JSON: sets a key of the file's outermost object. drop FILE KEY: removes one that is not the last.
put() { drop "$1" "$2"; sed -i "1a\\  \"$2\": $3," "$ck/$1.json"; }
drop() { sed -i "/^  \"$2\": /d" "$ck/$1.json"; }

config_of() { "$FVLM" info "$1" --json | sed -n '/^  "config"/,/^  }/p'; }
answer_of() { "$FVLM" run "$1" "$picture" "$question" -q --tokens-only --max-tokens 8 </dev/null; }

# reads WHAT: the folder is converted to the plain model's config and answer.
reads() {
    local m=$dir/read.fvlm got
    got=$("$FVLM" convert "$ck" -o "$m" -q --force 2>&1 && config_of "$m" && answer_of "$m")
    same "$1" "$got" "$plain_config"$'\n'"$plain_answer"
}

# refused WHAT MESSAGE: exit 1 with that line, and nothing is written.
refused() {
    local got rc
    got=$("$FVLM" convert "$ck" -o "$dir/refused.fvlm" 2>&1); rc=$?
    same "$1" "$rc $got$(ls "$dir"/refused.* 2>/dev/null)" "1 fvlm: $2"
}

fresh
"$FVLM" convert "$ck" -o "$dir/plain.fvlm" -q || give_up "convert"
plain_config=$(config_of "$dir/plain.fvlm") plain_answer=$(answer_of "$dir/plain.fvlm")
end=$(sed -n 's/.*"<|im_end|>": \([0-9]*\).*/\1/p' "$ck/added_tokens.json")
[[ $plain_config == *'"rope_theta": 1000000.0'* && $plain_answer =~ ^[0-9]+$ && $end = 450 ]]
ok "the plain model has theta 1e6, answers in one token and ends at <|im_end|>: $plain_answer" $?

fresh; put config warmup_steps 100; put config loss_scale 2.5
reads "keys about training are ignored"
fresh; put config quantization_config "{}"
reads "an empty quantization_config says nothing"

# --- rotary embeddings ---
scaled="scaled rotary embeddings are not supported, only \"default\""
parameters() { fresh; drop config rope_theta; put config rope_parameters "$1"; }
scaling() { fresh; put config rope_scaling "$1"; }
parameters '{"rope_theta": 1e6, "rope_type": "linear", "factor": 4.0}'
refused "[rope-linear] rope_parameters" "\"config.json\": \"rope_parameters\": \"rope_type\" is \"linear\"; $scaled"
scaling '{"type": "linear", "factor": 4.0}'
refused "[rope-linear] rope_scaling" "\"config.json\": \"rope_scaling\": \"type\" is \"linear\"; $scaled"
scaling '{"factor": 4.0}'
refused "[rope-linear] sibling: a factor without a type" "\"config.json\": \"rope_scaling\": \"factor\" is 4, which is not supported"
fresh; put config partial_rotary_factor 0.5
refused "[rope-linear] sibling: half of each head is rotated" "\"config.json\": \"partial_rotary_factor\" is 0.5, which is not supported"
scaling '{"type": "linear", "factor": 1.0}'
reads "[rope-linear] sibling: a factor of 1 scales nothing"
parameters '{"full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 2.0}}'
refused "[rope-linear] sibling: for one type of layers" \
    "\"config.json\": \"rope_parameters\": \"full_attention\": \"rope_type\" is \"linear\"; $scaled"

parameters '{"rope_theta": 1e6, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}'
refused "[rope-yarn] rope_parameters" "\"config.json\": \"rope_parameters\": \"rope_type\" is \"yarn\"; $scaled"
for type in dynamic longrope llama3 mrope su proportional "next year's"; do
    scaling "{\"rope_type\": \"$type\", \"factor\": 2.0, \"mrope_section\": [16, 24, 24]}"
    refused "[rope-yarn] sibling: $type" "\"config.json\": \"rope_scaling\": \"rope_type\" is \"$type\"; $scaled"
done
scaling '{"rope_type": "default", "mrope_section": [16, 24, 24]}'
refused "[rope-yarn] sibling: default with sections" "\"config.json\": \"rope_scaling\": \"mrope_section\" is an array, which is not supported"
fresh; put config text_config '{"rope_scaling": {"type": "yarn", "factor": 4.0}}'
refused "[rope-yarn] sibling: in text_config" "\"config.json\": \"text_config\": \"rope_scaling\": \"type\" is \"yarn\"; $scaled"

fresh; put config rope_theta 10000.0; put config rope_parameters '{"rope_theta": 1e6, "rope_type": "default"}'
refused "[rope-two-thetas] both values named" "\"config.json\": \"rope_theta\" is 10000, but 1000000 in \"config.json\": \"rope_parameters\"; set both to the value used in training"
fresh; put config rope_parameters '{"rope_theta": 1000000, "rope_type": "default"}'
reads "[rope-two-thetas] sibling: twice the same"
scaling '{"rope_theta": 500000.0}'
refused "[rope-two-thetas] sibling: in rope_scaling" "\"config.json\": \"rope_theta\" is 1000000, but 500000 in \"config.json\": \"rope_scaling\"; set both to the value used in training"
parameters '{"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}'
refused "[rope-two-thetas] sibling: types of layers differ" "\"config.json\": \"rope_parameters\": \"full_attention\": \"rope_theta\" is 1000000, but 10000 in \"config.json\": \"rope_parameters\": \"sliding_attention\"; set both to the value used in training"
fresh; put config text_config '{"rope_theta": 10000.0}'
refused "[rope-two-thetas] sibling: text_config differs" "\"config.json\": \"rope_theta\" is 1000000, but 10000 in \"config.json\": \"text_config\"; set both to the value used in training"
fresh; put config text_config '{"hidden_size": 256}'
refused "[rope-two-thetas] sibling: two widths" "\"config.json\": \"text_config\": \"hidden_size\" is 256, but 128 outside of it; make them agree"

scaling '{"rope_type": "default"}'; reads "[rope-scaling-default] rope_type"
scaling '{"type": "default"}'; reads "[rope-scaling-default] sibling: type"
scaling null; reads "[rope-scaling-default] sibling: null"
scaling '{}'; reads "[rope-scaling-default] sibling: empty"
scaling '{"rope_type": "default", "factor": 1.0, "attention_factor": null}'; reads "[rope-scaling-default] sibling: factor 1"
parameters '{"rope_theta": 1000000.0, "rope_type": "default"}'; reads "[rope-default] as transformers 5 writes it"
parameters '{"rope_theta": 1000000}'; reads "[rope-default] sibling: without a type"
parameters '{"rope_theta": 1e6, "type": "default", "partial_rotary_factor": 1.0}'; reads "[rope-default] sibling: older key, factor 1"
parameters '{"full_attention": {"rope_theta": 1e6, "rope_type": "default"}}'; reads "[rope-default] sibling: by type of layer"

# --- ranges ---
range() { fresh; put config "$2" "$3"; refused "[$1" "\"config.json\": \"$2\" is $4"; }
range "theta-tiny] 1e-308" rope_theta 1e-308 "1e-308, expected 100 to 1e+12"
range "theta-tiny] sibling: 0" rope_theta 0 "0, expected 100 to 1e+12"
range "theta-tiny] sibling: below zero" rope_theta -10000 "-10000, expected 100 to 1e+12"
range "theta-tiny] sibling: over f32" rope_theta 1e39 "1e+39, expected 100 to 1e+12"
range "theta-tiny] sibling: NaN" rope_theta NaN "NaN, infinite or too large"
range "theta-tiny] sibling: over f64" rope_theta 1e999 "NaN, infinite or too large"
parameters '{"rope_theta": 1e-3}'
refused "[theta-tiny] sibling: in rope_parameters" "\"config.json\": \"rope_parameters\": \"rope_theta\" is 0.001, expected 100 to 1e+12"
range "eps-huge] 1e50" rms_norm_eps 1e50 "1e+50, expected 1e-12 to 0.1"
range "eps-huge] sibling: below f32" rms_norm_eps 1e-50 "1e-50, expected 1e-12 to 0.1"
range "eps-huge] sibling: 1" rms_norm_eps 1 "1, expected 1e-12 to 0.1"
range "eps-huge] sibling: Infinity" rms_norm_eps Infinity "NaN, infinite or too large"
range "eps-huge] sibling: a text" rms_norm_eps '"1e-6"' "a string, expected a number"
range "eps-huge] sibling: an impossible width" intermediate_size 1e30 "1e+30, which is too large"

# --- end tokens ---
# ends WHAT IDS [ANSWER]: like reads, with these ids in the file
ends() {
    local m=$dir/ends.fvlm
    "$FVLM" convert "$ck" -o "$m" -q --force || { ok "$1" 1; return; }
    same "$1" "$(config_of "$m" | sed -n '/"eos"/,/]/p' | tr -dc '0-9 ' | xargs): $(answer_of "$m")" "$2: ${3-$plain_answer}"
}
fresh; put generation_config eos_token_id 448
ends "[eos-two-files] generation_config.json has another" "448 450"
fresh; put config eos_token_id 448
ends "[eos-two-files] the template's alone is right" "448 450"
fresh; put config eos_token_id null
ends "[eos-two-files] sibling: null" "450"
fresh; drop config eos_token_id
ends "[eos-two-files] sibling: none" "450"
fresh; put config eos_token_id '[448, 450, 448]'; put generation_config eos_token_id '[450, 449, 7]'
ends "[eos-two-files] sibling: two lists" "450 449 7 448"
fresh; put generation_config eos_token_id "[1, 2, 3, 4, 5, 6, 7, 8, 9, $plain_answer]"
ends "[eos-two-files] sibling: a list of ten, the last of which comes first" "1 2 3 4 5 6 7 8 9 $plain_answer 450" ""
fresh; put generation_config eos_token_id 512
refused "[eos-two-files] sibling: an id without a token" "\"generation_config.json\": \"eos_token_id\" 512 is not an id of the tokenizer, which has 451; its files and this one do not belong together"
for id in -1 450.0 '"450"' true; do
    fresh; put config eos_token_id "$id"
    refused "[eos-two-files] sibling: $id" "\"config.json\": \"eos_token_id\" is ${id%.0}, expected a token's id"
done

# --- numbers that nobody reads ---
big=1000000000000000019884624838656
fresh; for f in tokenizer_config config generation_config; do put $f model_max_length $big; done
reads "[big-integer] in three files"
digits=$(printf '9%.0s' {1..400})
fresh; for f in tokenizer_config config generation_config special_tokens_map; do put $f x "[1e999, -1E+400, -0, $digits, -$big, NaN, Infinity, -Infinity, 1e-999]"; done
reads "[big-integer] sibling: every kind of number"
fresh; put config tokenizer_model_max_length $big
reads "[big-integer] sibling: a tokenizer without a limit"
fresh; echo "{\"metadata\": {\"total_size\": $digits}, \"weight_map\": {}}" >"$ck/preprocessor_config.json"
reads "[big-integer] sibling: in a file of another tool"
fresh; put config hidden_size $big
refused "[big-integer] sibling: in a key that is read" "\"config.json\": \"hidden_size\" is 1e+30, which is too large"
fresh; put config x 01
refused "[big-integer] sibling: no number" "\"config.json\": line 2, column 8: a number may not begin with 0"
fresh; sed -i '$s/}/,}/' "$ck/config.json"
refused "[big-integer] sibling: a comma too many" "\"config.json\": line 44, column 2: a comma before '}'; remove it"

# --- byte order marks ---
mark() { sed -i '1s/^/\xef\xbb\xbf/' "$1"; }
fresh; mark "$ck/config.json"; reads "[bom] config.json"
for f in generation_config.json tokenizer_config.json vocab.json merges.txt added_tokens.json; do
    fresh; mark "$ck/$f"; reads "[bom] sibling: $f"
done
fresh; echo '{"size": 256}' >"$ck/preprocessor_config.json"; mark "$ck/preprocessor_config.json"; reads "[bom] sibling: preprocessor_config.json"
index() { # beside the single file: every tensor of its header is in it
    local header; header=$(tail -c +9 "$ck/model.safetensors" | head -c "$(od -An -tu8 -N8 "$ck/model.safetensors")")
    printf '\xef\xbb\xbf{"metadata": {"total_size": %s},\n"weight_map": {%s}}' "$digits" \
        "$(grep -o '"[^"]*": *{"dtype' <<<"$header" | sed 's/: *{"dtype/: "model.safetensors"/' | paste -sd,)"
}
fresh; index >"$ck/model.safetensors.index.json"; reads "[bom] sibling: model.safetensors.index.json, with a total_size of 400 digits"
wide() { LC_ALL=C sed 's/\([ -~]\)/\1\x00/g;s/$/\x0d\x00\x0a\x00/' "$ck/config.json" | tr -d '\n' >"$ck/wide"; }
fresh; wide; { printf '\xff\xfe'; cat "$ck/wide"; } >"$ck/config.json"
refused "[bom] sibling: UTF-16 is named" "\"config.json\" is UTF-16 or UTF-32 text; save it as UTF-8"
fresh; wide; mv "$ck/wide" "$ck/config.json"
refused "[bom] sibling: UTF-16 without a mark" "\"config.json\" is UTF-16 or UTF-32 text; save it as UTF-8"

# --- keys of the training ---
# A key that sounds like an unsupported one, in a file whose training left its arguments there.
for key in warmup_ratio lr_multiplier initial_lr_multiplier loss_scale gradient_scale lora_scaling logit_scale_init_value; do
    fresh; put config $key 0.03
    reads "[big-integer] sibling: $key of the training changes nothing"
done
for key in mup_scale logits_scaling scale_lorentz use_mup glossary_scale; do
    fresh; put config $key 0.03
    refused "[rope-linear] sibling: $key is not of the training" "\"config.json\": \"$key\" is 0.03, which is not supported"
done

# --- pictures ---
fresh; put config mm_vision_tower '"mobileclip_l_4160"'
side="expected \"mobileclip_l_\" and the picture's side, at most 4096"
refused "[one-limit] convert" "\"config.json\": \"mm_vision_tower\" is \"mobileclip_l_4160\"; $side"
for c in "run $dir/plain.fvlm $picture what" "bench $dir/plain.fvlm" "verify $dir/plain.fvlm --against $dir/plain.fvlm --image $picture"; do
    # shellcheck disable=SC2086
    same "[one-limit] sibling: ${c%% *}" "$("$FVLM" $c --size 4160 2>&1)" "fvlm: --size: 4160 is out of range, 64 to 4096; try 'fvlm ${c%% *} --help'"
done
fresh; put config mm_vision_tower '"mobileclip_l_4096"'
"$FVLM" convert "$ck" -o "$dir/big.fvlm" -q; ok "[one-limit] sibling: 4096 is taken" $?
fresh; put config mm_vision_tower '"mobileclip_l_16384"'
refused "[one-limit] sibling: 16384" "\"config.json\": \"mm_vision_tower\" is \"mobileclip_l_16384\"; expected \"mobileclip_l_\" and the picture's side, at most 4096"
for tower in mobileclip_s_256 mobileclip_l14_256 mobileclip_256 mobileclip_l_384_256; do
    fresh; put config mm_vision_tower "\"$tower\""
    refused "[one-limit] sibling: $tower is another tower" "\"config.json\": \"mm_vision_tower\" is \"$tower\"; $side"
done
fresh; echo '{"image_mean": [0.48145466, 0.4578275, 0.40821073]}' >"$ck/preprocessor_config.json"
refused "pictures prepared in another way are named" "\"preprocessor_config.json\": \"image_mean\" is not 0, which is all that is supported; if the model was trained with Apple's code, remove the file"
