#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Exact match of the shipped model on its 500 held-out questions: f32, int8 and int4 weights, each with
# f32 and int8 activations.
#   tests/bench/accuracy.sh BUILD [MODEL_FOLDER]     MODEL_FOLDER (default tests/fixtures/tiny) holds unfused/ and heldout/
set -eu
build=$1
tiny=${2:-tests/fixtures/tiny}
if [ ! -f "$tiny/heldout/questions.tsv" ]; then
    echo "accuracy: $tiny/heldout/questions.tsv is not there: see tests/fixtures/tiny" >&2
    exit 1
fi
out=$build/accuracy
mkdir -p "$out"
"$build/fvlm" convert "$tiny/unfused" -o "$out/tiny.fvlm" --type f32 --force -q
"$build/fvlm" quant "$out/tiny.fvlm" --type int8 -o "$out/tiny-int8.fvlm" --force -q
"$build/fvlm" quant "$out/tiny.fvlm" --type int4 -o "$out/tiny-int4.fvlm" --force -q
"$build/tests/bench/accuracy" "$tiny/heldout" "$out/tiny.fvlm" "$out/tiny-int8.fvlm" "$out/tiny-int4.fvlm"
echo "(float weights take f32 activations in either mode)"
