# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced after tap.sh by tests that write the small model as ONNX files.
# shellcheck disable=SC2154
make=$BUILD/tests/tools/onnx_model ck=$tiny/fused

# part FOLDER PART VARIANT [CHANGE]...: writes FOLDER/NAME[_VARIANT].onnx
part() {
    local folder=$1 what=$2 variant=$3 name
    shift 3
    case $what in vision | tower) name=vision_encoder ;; embedding) name=embed_tokens ;; decoder) name=decoder_model_merged ;; esac
    [ "$variant" = fp32 ] || name=${name}_$variant
    "$make" "$ck" "$what" "$folder/$name.onnx" "$variant" "$@" || give_up "$name.onnx"
}

# folder NAME: $f, an empty one with config.json and the tokenizer
folder() { f=$dir/$1; rm -rf "$f"; mkdir -p "$f"; cp "$ck"/*.json "$ck"/merges.txt "$f"; }
