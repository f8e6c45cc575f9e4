#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: a file that changes while a command reads it (cut short, cut and grown again with zeros, written over, replaced)
# gives the right answer, or the refusal that the changed file deserves, or one clear line and exit 3. Never a signal,
# never a torn or stray output. Each of COMMANDS, each change, at ROUNDS random moments of its run.
. tests/support/tap.sh changing
rounds=${ROUNDS:-1}
export TMPDIR=$dir/tmp; mkdir "$TMPDIR" "$dir/out" "$dir/ck"
"$FVLM" convert "$tiny/fused" -o "$dir/sound.fvlm" -q || give_up "convert for it"
cp "$tiny/fused/"* "$dir/ck"
cp "$tiny/fused/model.safetensors" "$dir/sound.safetensors"
cp "$tiny/demo.png" "$dir/p.png"
m=$dir/m.fvlm
exec {never}<><(:) # a pipe nobody writes to: 'read -t' on it sleeps without a process

# What each command reads ($victim, restored from $sound), how it is called ($call), and the file it writes ($made).
setup() {
    victim=$m sound=$dir/sound.fvlm made= kinds="cut emptied regrown longer written replaced"
    case $1 in
    run) call=(run "$m" "$dir/p.png" "Describe the picture." -q) ;;
    info) call=(info "$m" --tensors) ;;
    dump) made=$dir/out/x.npy call=(info "$m" --dump llm.embed.weight -o "$made" -q) ;;
    verify) call=(verify "$m" --json) ;;
    against) call=(verify "$m" --against "$dir/sound.fvlm" --image "$dir/p.png") ;;
    source) call=(verify "$dir/sound.fvlm" --against "$m" --image "$dir/p.png") ;;
    bench) kinds="cut regrown" call=(bench "$m" --runs 1 --size 256) ;;
    quant) made=$dir/out/x.fvlm call=(quant "$m" --type int8 -o "$made" -q) ;;
    convert) made=$dir/out/x.fvlm call=(convert "$dir/ck" -o "$made" -q --type f32)
        victim=$dir/ck/model.safetensors sound=$dir/sound.safetensors ;;
    esac
}

size() { stat -c %s "$1"; }
change() {
    case $1 in
    cut) truncate -s $(($(size "$sound") * (RANDOM % 100) / 100)) "$victim" ;;
    emptied) : >"$victim" ;;
    regrown) truncate -s 5000 "$victim"; truncate -s "$(size "$sound")" "$victim" ;;
    longer) echo more >>"$victim" ;;
    written) dd if=/dev/zero of="$victim" bs=4096 count=1 seek=$((RANDOM * 64)) oflag=seek_bytes conv=notrunc status=none ;;
    replaced) cp "$victim" "$victim.new" && mv "$victim.new" "$victim" ;;
    esac
}

# Figures that no two runs share; an answer has none.
steady() { [ "$command" = run ] && cat "$1" && return; sed -E 's/"(seconds|gigabytes_per_second)": [^,}]*/"\1": X/g; s/[0-9.]+ (s|GB\/s|ms|t\/s|%)/X \1/g' "$1"; }

call_it() { "$FVLM" "${call[@]}" >"$dir/stdout" 2>"$dir/stderr"; }

# The end of a round, in $rc, stdout, stderr and $made: is it one of the allowed ones?
judge() {
    case $rc in
    0)  [ ! -s "$dir/stderr" ] || return 1
        case $command in
        bench) [ "$(wc -l <"$dir/stdout")" = "$(wc -l <"$dir/right")" ] ;;
        dump | quant | convert) cmp -s "$made" "$dir/right.made" ;;
        *) [ "$(steady "$dir/stdout")" = "$(cat "$dir/right")" ] ;;
        esac ;;
    3)  threes=$((threes + 1))
        [ "$(wc -l <"$dir/stderr")" = 1 ] && grep -qE '^fvlm: ".*(m\.fvlm|model\.safetensors)" .*; run the command again' "$dir/stderr" || return 1
        case $command in
        run) [[ $(cat "$dir/right") = "$(cat "$dir/stdout")"* ]] ;; # the answer was shown as far as it was right
        bench) ! grep -q ' t/s' "$dir/stdout" ;;
        *) [ ! -s "$dir/stdout" ] ;;
        esac ;;
    1)  refused=$(cat "$dir/stderr") # the changed file itself may be refused, in the very same words
        [ "$(wc -l <"$dir/stderr")" = 1 ] && [ ! -s "$dir/stdout" ] && [ -z "$made" -o ! -e "$made" ] || return 1
        call_it
        [ $? = 1 ] && [ "$refused" = "$(cat "$dir/stderr")" ] && return 0
        [ $how = regrown ] || return 1
        truncate -s 5000 "$victim" # it may have been opened between the two steps
        call_it
        [ $? = 1 ] && [ "$refused" = "$(cat "$dir/stderr")" ] ;;
    *)  return 1 ;;
    esac
}

# Sleeps that many microseconds, without the millisecond that starting a process takes.
nap() { read -r -t "$(printf '0.%06d' "$1")" -u "$never" _; }

in_all=0
for command in ${COMMANDS:-run info dump verify against source bench quant convert}; do
    setup $command
    cp "$sound" "$victim"
    took=900000 # microseconds of an undisturbed run: the quicker of two
    for _ in 1 2; do
        began=$(date +%s%N)
        call_it || { ok "$command fails undisturbed" 1; sed 's/^/# /' "$dir/stderr"; continue 2; }
        now=$((($(date +%s%N) - began) / 1000))
        [ $now -gt $took ] || took=$now
        if [ -n "$made" ]; then mv "$made" "$dir/right.made"; fi
    done
    steady "$dir/stdout" >"$dir/right"
    bad=0 threes=0 ones=0 n=0
    for how in $kinds; do
        for _ in $(seq "$rounds"); do
            n=$((n + 1))
            cp "$sound" "$victim"
            nap 12000 # more than a tick: its time of change is to be another one
            "$FVLM" "${call[@]}" >"$dir/stdout" 2>"$dir/stderr" &
            pid=$!
            nap $((RANDOM * 32768 % took + RANDOM % 1000))
            change $how
            wait $pid; rc=$?
            [ $rc = 1 ] && ones=$((ones + 1))
            if ! judge; then
                bad=$((bad + 1))
                echo "# $command, $how: exit $rc"
                sed 's/^/#   /' "$dir/stderr" | head -3
            fi
            if [ -n "$made" ]; then rm -f "$made"; fi
            left=$(ls -A "$dir/out" "$TMPDIR" | grep -vE '^$|:$')
            if [ -n "$left" ]; then bad=$((bad + 1)); echo "# $command, $how: left $left"; rm -rf "$dir/out/"* "$dir/out/."[!.]* "$TMPDIR/"*; fi
        done
    done
    in_all=$((in_all + threes))
    told="$n changes under $command: $threes ended in exit 3, $ones in the refusal of the changed file"
    same "$told; bad ends" $bad 0
done 2>"$dir/shell" # where bash tells of killed jobs
[ $in_all -gt 0 ]; ok "$in_all changes came in time" $?
