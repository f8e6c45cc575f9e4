#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast `fvlm convert` reads ONNX, beside cp: the checkpoint as f32 ONNX files with external data, all in the page cache.
# Both write to the disk and wait for it. Needs the space of ten bytes a parameter in $TMPDIR.
#   tests/bench/onnx_convert.sh CHECKPOINT_FOLDER [RUNS (3)]     after `make programs`
set -eu
ck=$1 runs=${2:-3} build=${BUILD:-build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/onnx"
cp "$ck"/*.json "$ck"/*.txt "$dir/onnx"
rm -f "$dir/onnx/model.safetensors.index.json"
for part in "vision vision_encoder" "embedding embed_tokens" "decoder decoder_model_merged"; do
    "$build/tests/tools/onnx_model" "$ck" ${part% *} "$dir/onnx/${part#* }.onnx" fp32 external
done
cat "$dir"/onnx/*.onnx* >/dev/null
bytes=$(cat "$dir"/onnx/*.onnx* | wc -c)
seconds() { local from=$EPOCHREALTIME; "$@" >&2; awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'; }
copy() { cat "$dir"/onnx/*.onnx* >"$dir/copy" && sync "$dir/copy" && rm "$dir/copy"; }
convert() { "$build/fvlm" convert "$dir/onnx" -o "$dir/m.fvlm" --force --json >"$dir/report"; }
for ((i = 0; i < runs; i++)); do
    c=$(seconds copy) f=$(seconds convert)
    memory=$(sed -n 's/.*"peak_anonymous_bytes": \([0-9]*\).*/\1/p' "$dir/report")
    awk -v n="$bytes" -v c="$c" -v f="$f" -v m="$memory" 'BEGIN {
        printf "%.2f GB: copied in %.2f s, converted in %.2f s: %.2f of the speed; peak anonymous memory %.0f MB\n", n / 1e9,
            c, f, c / f, m / 1e6 }'
done
