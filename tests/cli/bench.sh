#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm bench` prints one line of figures for every combination asked for, and refuses lists it cannot read.
. tests/support/tap.sh bench
m=$dir/tiny.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert for bench"


"$FVLM" bench "$m" --threads 1,2 --size 64,128 --act both --runs 1 >"$dir/out" 2>"$dir/err"
ok "succeeds" $?
same "a line for every combination" "$(grep -cE '^ +[12]  (f32|int8) +(64|128) ' "$dir/out")" 8
"$FVLM" bench "$m" --size 64 --runs 1 --json >"$dir/json"
ok "--json succeeds" $?
missing=
for key in cpu threads activations size positions seconds vision projector prefill ttft decode_token \
    decode_tokens_per_second peak_macs_per_second vision_of_peak prefill_of_peak activation_bytes; do
    grep -q "\"$key\":" "$dir/json" || missing="$missing $key"
done
same "--json holds every figure" "$missing" ""

refuses 2 "expected MODEL.fvlm, got 0 arguments; try 'fvlm bench --help'"
refuses 2 "--threads: \"1,x\" is not a list of whole numbers such as 1,2; try 'fvlm bench --help'" "$m" --threads 1,x
refuses 2 "--threads: \"1,\" is not a list of whole numbers such as 1,2; try 'fvlm bench --help'" "$m" --threads 1,
refuses 2 "--size: 0 is out of range, 64 to 4096; try 'fvlm bench --help'" "$m" --size 0
refuses 2 "--runs: 0 is out of range, 1 to 101; try 'fvlm bench --help'" "$m" --runs 0
refuses 2 "--text: 0 is out of range, 1 to 8192; try 'fvlm bench --help'" "$m" --text 0
[ -z "$("$FVLM" bench "$m" --size 64 --runs 1 --threads 1 -q 2>&1)" ]; ok "-q prints nothing" $?
"$FVLM" bench "$m" --size 64 --runs 1 --threads 9999 --json | grep -q '"threads": 64,'; ok "too many threads are capped" $?
"$FVLM" bench "$m" --size 64 --runs 1 --threads 1 >/dev/full 2>"$dir/err"
same "a full disk is told by its name" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
