#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: every command, with more threads than this machine has, gives the same bytes as with one. The script that
# `make tsan` runs.
. tests/support/tap.sh threads
for n in 1 5; do
    "$FVLM" convert "$tiny/unfused" -o "$dir/$n.fvlm" -q --threads $n 2>"$dir/err" || give_up "convert: $(head -20 "$dir/err")"
    "$FVLM" quant "$dir/$n.fvlm" --type int4 -o "$dir/int4-$n.fvlm" -q --threads $n 2>"$dir/err" || give_up "quant: $(head -20 "$dir/err")"
    "$FVLM" run "$dir/int4-$n.fvlm" "$tiny/heldout/000.png" "How many shapes are there?" --tokens-only -q --threads $n >"$dir/run-$n" 2>&1
    "$FVLM" verify "$dir/int4-$n.fvlm" --against "$dir/$n.fvlm" --image "$tiny/heldout/000.png" --threads $n 2>&1 |
        grep -vE ' s$| s,' >"$dir/verify-$n"
done
cmp "$dir/1.fvlm" "$dir/5.fvlm"; ok "convert" $?
cmp "$dir/int4-1.fvlm" "$dir/int4-5.fvlm"; ok "quant" $?
[ -s "$dir/run-1" ] && [ -s "$dir/verify-1" ]; ok "run and verify print something" $?
same "run" "$(cat "$dir/run-5")" "$(cat "$dir/run-1")"
same "verify" "$(sed 's/5\.fvlm/1.fvlm/g' "$dir/verify-5")" "$(cat "$dir/verify-1")"
