#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: every command's --help goes to stdout, exits 0, fits 24 lines of 100 columns and ends in two examples that work
# as pasted; misuse is one line on stderr that says where help is, and exit code 2.
. tests/support/tap.sh help
for c in convert quant export verify run info bench; do
    text=$("$FVLM" $c --help 2>/dev/null); ok "$c --help exits 0" $?
    lines=$(printf '%s\n' "$text" | wc -l)
    [ "$lines" -le 24 ]; ok "$c --help fits 24 lines ($lines)" $?
    wide=$(printf '%s\n' "$text" | awk 'length > w { w = length } END { print w }')
    [ "$wide" -le 100 ]; ok "$c --help fits 100 columns ($wide)" $?
    [ "$(printf '%s\n' "$text" | tail -2 | grep -c "^  fvlm $c ")" = 2 ]; ok "$c --help ends in two examples" $?
    [ "$(printf '%s\n' "$text" | head -1 | cut -d' ' -f1-3)" = "usage: fvlm $c" ]; ok "$c --help begins with its usage" $?
    # Every option that the examples use exists.
    missing=$(printf '%s\n' "$text" | tail -2 | grep -o -- ' --[a-z-]*' | while read -r o; do
        printf '%s\n' "$text" | grep -q -- "^ .*$o" || echo "$o"; done)
    [ -z "$missing" ]; ok "$c: its examples use its options$missing" $?
    out=$("$FVLM" $c --wibble 2>"$dir/err"); rc=$?
    [ $rc = 2 ] && [ -z "$out" ]; ok "$c --wibble exits 2, nothing on stdout" $?
    [ "$(cat "$dir/err")" = "fvlm: unknown option \"--wibble\"; try 'fvlm $c --help'" ]; ok "$c --wibble in one line" $?
    "$FVLM" $c 2>"$dir/err" >/dev/null; rc=$?
    [ $rc = 2 ]; ok "$c without arguments exits 2" $?
    [ "$(wc -l <"$dir/err")" -le 1 ]; ok "$c without arguments says one line" $?
done

for c in --help --version "info --help"; do
    # shellcheck disable=SC2086
    "$FVLM" $c >/dev/full 2>"$dir/err"
    same "$c >/dev/full" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
done

# Every example works as pasted, in this order, with the names of the examples in an empty folder.
fvlm=$(cd "$(dirname "$FVLM")" && pwd) fixtures=$(cd "$tiny" && pwd)
mkdir "$dir/examples"
cd "$dir/examples" || give_up "a folder for the examples"
ln -s "$fixtures/unfused" FastVLM-0.5B
ln -s "$fixtures/heldout/010.jpg" photo.jpg
mkdir FastVLM-0.5B-ONNX && cp FastVLM-0.5B/*.json FastVLM-0.5B/merges.txt FastVLM-0.5B-ONNX
for part in "vision vision_encoder" "embedding embed_tokens" "decoder decoder_model_merged_q4"; do
    "$fvlm/tests/tools/onnx_model" "$fixtures/fused" "${part% *}" "FastVLM-0.5B-ONNX/${part#* }.onnx" q4
done
for c in convert quant export verify run info bench; do
    while read -r example; do
        PATH=$fvlm:$PATH bash -c "$example" >out 2>err; rc=$?
        made=$(sed -nE "s/.* -o ([^ ]*).*/\1/p" <<<"$example")
        [ $rc = 0 ] && [ -s "${made:-out}" ]; ok "$example" $?
        [ $rc = 0 ] || sed 's/^/# /' err
    done < <("$fvlm/fvlm" $c --help | sed -n '/^examples:/,$s/^  //p')
done
