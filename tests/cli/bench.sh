#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm bench` prints one line of figures for every combination asked for, and refuses lists it cannot read.
set -u
tiny=${TINY:-tests/fixtures/tiny}
if [ ! -f "$tiny/unfused/model.safetensors" ]; then
    echo "ok - bench # SKIP the small model is not in $tiny"
    exit 0
fi
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
m=$dir/tiny.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || { echo "not ok - convert for bench"; exit 1; }

ok() { if [ "$2" = 0 ]; then echo "ok - bench: $1"; else echo "not ok - bench: $1"; fi; }
same() { [ "$2" = "$3" ]; ok "$1" $?; [ "$2" = "$3" ] || printf '# got:  %s\n# want: %s\n' "$2" "$3"; }

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

refuses() { # exit code, message, arguments
    local code=$1 want=$2
    shift 2
    "$FVLM" bench "$@" >"$dir/out" 2>"$dir/err"
    local rc=$?
    same "refuses: $want" "$rc: $(cat "$dir/err" "$dir/out")" "$code: fvlm: $want"
}
refuses 2 "bench takes one model; try 'fvlm bench --help'"
refuses 2 "--threads \"1,x\": should be numbers with commas, as 1,2" "$m" --threads 1,x
refuses 2 "--threads \"1,\": should be numbers with commas, as 1,2" "$m" --threads 1,
refuses 2 "--size \"0\": should be numbers with commas, as 1,2" "$m" --size 0
refuses 2 "--runs 0: should be 1 to 101" "$m" --runs 0
refuses 2 "--text 0: should be 1 to 8192" "$m" --text 0
refuses 2 "--threads 99: should be at most 64" "$m" --threads 99
