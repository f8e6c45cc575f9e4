#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: whatever moment a conversion is killed at, the target is the old file, the new one or absent, and INT and
# TERM leave nothing else and die by their signal. SIGKILL at 60 moments, INT and TERM at 20 each.
. tests/support/tap.sh kill
make_checkpoint=$BUILD/tests/tools/checkpoint
mkdir "$dir/ck" "$dir/out"
"$make_checkpoint" "$dir/ck" train f32 >/dev/null 2>&1 || give_up "no checkpoint"
target=$dir/out/m.fvlm
"$FVLM" convert "$dir/ck" -o "$dir/old.fvlm" -q --type f32
"$FVLM" convert "$dir/ck" -o "$dir/new.fvlm" -q --type bf16
took=9999999999 # nanoseconds of an undisturbed run: the quickest of three
for _ in 1 2 3; do
    began=$(date +%s%N)
    "$FVLM" convert "$dir/ck" -o "$dir/time.fvlm" --force -q --type bf16
    now=$(($(date +%s%N) - began))
    [ $now -ge $took ] || took=$now
done

# shot SIGNAL MOMENT: sends the signal that many nanoseconds after the start; sets rc.
shot() {
    "$FVLM" convert "$dir/ck" -o "$target" --force -q --type bf16 2>/dev/null &
    local pid=$!
    sleep "$(printf '%d.%09d' $(($2 / 1000000000)) $(($2 % 1000000000)))"
    kill -"$1" $pid 2>/dev/null
    wait $pid 2>/dev/null
    rc=$?
}
whole() { cmp -s "$target" "$dir/old.fvlm" || cmp -s "$target" "$dir/new.fvlm"; }

torn=0 stray=0 killed=0
for i in $(seq 1 60); do
    rm -f "$dir/out/"* "$dir/out/."[!.]* 2>/dev/null
    if [ $((i % 2)) = 0 ]; then cp "$dir/old.fvlm" "$target"; fi
    shot KILL $((took * i / 55))
    [ $rc = 137 ] && killed=$((killed + 1))
    if [ -e "$target" ]; then whole || torn=$((torn + 1)); elif [ $((i % 2)) = 0 ]; then torn=$((torn + 1)); fi
    [ "$(ls -A "$dir/out" | grep -vc '^m\.fvlm$')" -le 1 ] || stray=$((stray + 1))
done
same "60 SIGKILLs, $killed in time: torn targets" $torn 0
same "more than one stray file" $stray 0
[ $killed -ge 10 ]; ok "at least 10 of the 60 came in time" $?

for sig in INT TERM; do
    bad=0 caught=0
    number=$([ $sig = INT ] && echo 130 || echo 143)
    for i in $(seq 1 20); do
        rm -f "$dir/out/"*
        cp "$dir/old.fvlm" "$target"
        # bash starts background jobs with INT ignored, and a program that found it ignored leaves it so
        env --default-signal=$sig "$FVLM" convert "$dir/ck" -o "$target" --force -q --type bf16 2>/dev/null &
        pid=$!
        sleep "$(printf '%d.%09d' $((took * i / 22 / 1000000000)) $((took * i / 22 % 1000000000)))"
        kill -$sig $pid 2>/dev/null
        wait $pid 2>/dev/null; rc=$?
        if [ $rc = $number ]; then caught=$((caught + 1)); elif [ $rc != 0 ]; then bad=$((bad + 1)); fi
        whole || bad=$((bad + 1))
        [ "$(ls -A "$dir/out")" = m.fvlm ] || bad=$((bad + 1))
    done
    same "20 SIG$sig, $caught in time: ends that leave anything but the old or new target" $bad 0
done
