#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm bench` prints one line of figures for every combination asked for, and refuses lists it cannot read.
. tests/support/tap.sh bench
m=$dir/tiny.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert for bench"


"$FVLM" bench "$m" --threads 1,2 --size 64,128 --act f32,int8 --runs 1 >"$dir/out" 2>"$dir/err"
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

refuses 2 "bench takes one model; try 'fvlm bench --help'"
refuses 2 "--threads \"1,x\": should be numbers with commas, as 1,2" "$m" --threads 1,x
refuses 2 "--threads \"1,\": should be numbers with commas, as 1,2" "$m" --threads 1,
refuses 2 "--size \"0\": should be numbers with commas, as 1,2" "$m" --size 0
refuses 2 "--runs 0: should be 1 to 101" "$m" --runs 0
refuses 2 "--text 0: should be 1 to 8192" "$m" --text 0
refuses 2 "--threads 99: should be at most 64" "$m" --threads 99
