#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: no build system is needed: `cc`, all sources, what protoc-c makes of two schemas, and the libraries' own
# flags make a program that works.
. tests/support/tap.sh plain_cc
sources="fvlm.c $(find format convert quant reference verify -name '*.c') $dir/onnx.pb-c.c $dir/sentencepiece.pb-c.c"
cp "$BUILD/generated/onnx.proto" "$dir/onnx.proto"
protoc-c --proto_path="$dir" --c_out="$dir" onnx.proto
protoc-c --proto_path=convert/vocabulary --c_out="$dir" sentencepiece.proto
# shellcheck disable=SC2086
${CC:-cc} -I. -I"$dir" $(pkg-config --cflags libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib libprotobuf-c) $sources -o "$dir/fvlm" \
    $(pkg-config --libs libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib libprotobuf-c) -lm -lpthread 2>"$dir/err"
ok "builds" $?
same "without a warning" "$(cat "$dir/err")" ""
"$dir/fvlm" convert "$tiny/fused" -o "$dir/m.fvlm" -q && "$FVLM" convert "$tiny/fused" -o "$dir/same.fvlm" -q
cmp -s "$dir/m.fvlm" "$dir/same.fvlm"; ok "converts to the same bytes" $?
