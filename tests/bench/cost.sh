#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the full-size 0.5B costs on this machine: convert, quantize, time to first token. Prints figures, judges nothing.
#   tests/bench/cost.sh [BUILD] [CHECKPOINT_FOLDER]
# Without a folder a random one is made (Python with numpy). Run it on a quiet machine.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
folder=${2:-build/oracle/0.5b}
fvlm=$build/fvlm
work=build/cost
mkdir -p "$work"
rm -rf "$work"/*
[ -f "$folder/config.json" ] || python3 tests/oracle/make_checkpoint.py 0.5b "$folder"

seconds() { # of a command, everything written to disk before and after
    sync
    local began ended
    began=$(date +%s.%N)
    "$@"
    sync
    ended=$(date +%s.%N)
    awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.2f", b - a }'
}

# Largest anonymous memory of a command, looked at every 10 ms while it runs.
anonymous() {
    "$@" >/dev/null &
    local pid=$! most=0 now
    while now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        [ "$now" -le "$most" ] || most=$now
        sleep 0.01
    done
    wait "$pid"
    awk -v kb="$most" 'BEGIN { printf "%.0f MB", kb * 1024 / 1e6 }'
}

cat "$folder"/*.safetensors >/dev/null # into the page cache, for both alike
copy=$(seconds cp -r "$folder" "$work/copy")
rm -r "$work/copy"
bf16=$(seconds "$fvlm" convert "$folder" -o "$work/bf16.fvlm" --type bf16 -q)
echo "cp + sync            $copy s"
echo "convert to bf16      $bf16 s, $(awk -v a="$bf16" -v b="$copy" 'BEGIN { printf "%.2f", a / b }') x cp + sync (bar 3)"
echo "  anonymous memory   $(anonymous "$fvlm" convert "$folder" -o "$work/again.fvlm" --type bf16 -q) (bar 128)"
rm "$work/again.fvlm"
echo "quant int4           $(seconds "$fvlm" quant "$work/bf16.fvlm" -o "$work/int4.fvlm" --type int4 -q) s (bar 12)"
echo "  anonymous memory   $(anonymous "$fvlm" quant "$work/bf16.fvlm" -o "$work/again.fvlm" --type int4 -q)"
echo "verify, all weights  $(seconds "$fvlm" verify "$work/int4.fvlm" --against "$folder" -q) s, the source converted for it"
"$fvlm" convert "$folder" -o "$work/f32.fvlm" --type f32 -q
"$fvlm" quant "$work/bf16.fvlm" -o "$work/int8.fvlm" --type int8 -q
ls -l "$work"/*.fvlm | awk '{ printf "size                 %.1f MB  %s\n", $5 / 1e6, $9 }'

# Three answers of one token each; the middle time to first token.
ttft() {
    local i
    for i in 1 2 3; do
        "$fvlm" run "$1" tests/fixtures/tiny/heldout/000.png "What is this?" --act "$2" --max-tokens 1 --json
    done | grep -o '"ttft": [0-9.]*' | sort -k2 -n | awk 'NR == 2 { printf "%.2f s", $2 }'
}
echo "TTFT f32, 1024 px    $(ttft "$work/f32.fvlm" f32) (bar 7)"
echo "TTFT int8, 1024 px   $(ttft "$work/int8.fvlm" int8) (bar 3)"
echo "TTFT int4, 1024 px   $(ttft "$work/int4.fvlm" int8)"
rm -r "$work"
