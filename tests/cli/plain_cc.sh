#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: no build system is needed: `cc`, all sources, and the libraries' own flags make a program that works.
. tests/support/tap.sh plain_cc
sources="fvlm.c $(find format convert quant reference verify -name '*.c')"
# shellcheck disable=SC2086
${CC:-cc} -I. $(pkg-config --cflags libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib) $sources -o "$dir/fvlm" \
    $(pkg-config --libs libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng libwebp zlib) -lm -lpthread 2>"$dir/err"
ok "builds" $?
same "without a warning" "$(cat "$dir/err")" ""
"$dir/fvlm" convert "$tiny/fused" -o "$dir/m.fvlm" -q && "$FVLM" convert "$tiny/fused" -o "$dir/same.fvlm" -q
cmp -s "$dir/m.fvlm" "$dir/same.fvlm"; ok "converts to the same bytes" $?
