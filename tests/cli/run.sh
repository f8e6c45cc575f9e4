#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm run` answers about a picture with the shipped model, tells what it cost, gives the same answer on any
# CPU level and thread count and for the same seed, and refuses what makes no sense in one exact line.
. tests/support/tap.sh run
m=$dir/tiny.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert for run"
"$FVLM" quant "$m" --type int8 -o "$dir/int8.fvlm" -q || give_up "quant for run"
picture=$tiny/heldout/000.png
question="How many shapes are there?"


# --- answers ---
right=0 asked=0
while IFS=$'\t' read -r file _ ask want; do
    got=$("$FVLM" run "$m" "$tiny/heldout/$file" "$ask" -q </dev/null)
    asked=$((asked + 1))
    [ "$got" = "$want" ] && right=$((right + 1))
done < <(sed -n '2,25p' "$tiny/heldout/questions.tsv")
[ "$asked" = 24 ] && [ "$right" -ge "${TINY_RIGHT:-18}" ]; ok "$right of 24 held-out answers are right" $?

answer=$("$FVLM" run "$m" "$picture" "$question" -q 2>"$dir/err")
[ -n "$answer" ]; ok "-q prints the answer" $?
[ ! -s "$dir/err" ]; ok "-q prints nothing else" $?

"$FVLM" run "$m" "$picture" "$question" >"$dir/out" 2>"$dir/err"
same "the answer alone goes to stdout" "$(cat "$dir/out")" "$answer"
same "the cost goes to stderr" "$(awk 'NF { print $1 }' "$dir/err" | tr '\n' ' ')" \
    "open image vision projector prefill TTFT decode memory with "
grep -q 'f32 activations' "$dir/err"; ok "a float model runs with f32 activations" $?
"$FVLM" run "$dir/int8.fvlm" "$picture" "$question" 2>&1 >/dev/null | grep -q 'int8 activations'
ok "a quantized model runs with int8 activations" $?

# --- JSON ---
"$FVLM" run "$m" "$picture" "$question" --json >"$dir/json" 2>"$dir/err"
ok "--json succeeds" $?
[ ! -s "$dir/err" ]; ok "--json prints nothing to stderr" $?
same "--json holds the answer" "$(sed -nE 's/^  "answer": "(.*)",$/\1/p' "$dir/json")" "$answer"
missing=
for key in model image prompt answer answer_ids ended stopped activations cpu threads size tokens seconds ttft vision projector \
    prefill decode decode_tokens_per_second peak_bytes; do
    grep -q "\"$key\":" "$dir/json" || missing="$missing $key"
done
same "--json holds every figure" "$missing" ""
awk '{ open += gsub(/[{[]/, "") - gsub(/[]}]/, "") } END { exit open != 0 }' "$dir/json"; ok "--json closes what it opens" $?

# --- the same answer ---
ids=$("$FVLM" run "$m" "$picture" "$question" --tokens-only -q)
[[ $ids =~ ^[0-9]+(\ [0-9]+)*$ ]]; ok "--tokens-only prints ids" $?
same "--tokens-only agrees with --json" "$(tr -d ' \n' <"$dir/json" | sed -E 's/.*"answer_ids":\[([0-9,]*)\].*/\1/' | tr , ' ')" "$ids"
for how in "--threads 1" "--threads 2" "--threads 5" "--threads 9999" "--cpu scalar"; do
    # shellcheck disable=SC2086
    same "the same tokens with $how" "$("$FVLM" run "$m" "$picture" "$question" --tokens-only -q $how)" "$ids"
done
draw() { "$FVLM" run "$m" "$picture" "$question" --tokens-only -q --temperature 9 --max-tokens 20 --seed "$1" "${@:2}"; }
same "the same draw for the same seed" "$(draw 7 --threads 1 --cpu scalar)" "$(draw 7)"
[ "$(draw 7)" != "$(draw 8)" ]; ok "another draw for another seed" $?
same "the likeliest token when top-p is tiny" "$(draw 7 --top-p 0.000001)" "$ids"
same "--max-tokens ends the answer" "$("$FVLM" run "$m" "$picture" "Describe the picture." --tokens-only -q --max-tokens 3 | wc -w)" 3
"$FVLM" run "$m" none "hello" -q --max-tokens 4 >"$dir/out"; ok "runs without a picture" $?
"$FVLM" run "$m" "$picture" "$question" -q --size 64 >/dev/null; ok "runs at another size" $?

# --- refusals: the exact line, nothing on stdout, the exit code ---
printf 'not a picture' >"$dir/text.png"
printf 'not a model, but long enough to be looked at' >"$dir/text.fvlm"
refuses 2 "expected MODEL.fvlm IMAGE [PROMPT], got 0 arguments; try 'fvlm run --help'"
refuses 2 "no PROMPT; give one, or --embedding for the image's embedding" "$m" "$picture"
refuses 2 "expected MODEL.fvlm IMAGE [PROMPT], got 4 arguments; a prompt of several words goes in quotes; try 'fvlm run --help'" "$m" "$picture" what now
refuses 2 "the prompt is empty" "$m" "$picture" ""
refuses 2 "the prompt is empty" "$m" "$picture" "   "
refuses 2 "the prompt may not contain <image>: the model fixes where the image goes" "$m" "$picture" "<image> what?"
refuses 3 "\"nowhere.png\": No such file or directory" "$m" "$dir/nowhere.png" what
refuses 2 "image side 100: should be a multiple of 64" "$m" "$picture" what --size 100
refuses 2 "--size: 6400 is out of range, 64 to 4096; try 'fvlm run --help'" "$m" "$picture" what --size 6400
refuses 2 "--act: \"f64\" is not f32 or int8; try 'fvlm run --help'" "$m" "$picture" what --act f64
refuses 2 "--max-tokens: 0 is out of range, 1 to 1000000; try 'fvlm run --help'" "$m" "$picture" what --max-tokens 0
refuses 2 "--temperature: -1 is out of range, 0 to 100; try 'fvlm run --help'" "$m" "$picture" what --temperature -1
refuses 2 "--top-p: 0 is out of range, 1e-06 to 1; try 'fvlm run --help'" "$m" "$picture" what --top-p 0
refuses 2 "--top-p: 1.5 is out of range, 1e-06 to 1; try 'fvlm run --help'" "$m" "$picture" what --top-p 1.5
refuses 2 "--json includes the token ids; leave out --tokens-only" "$m" "$picture" what --json --tokens-only
refuses 2 "unknown option \"--temprature\", did you mean \"--temperature\"?; try 'fvlm run --help'" "$m" "$picture" what --temprature 1
# A byte in the middle of the largest tensor; every other check passes, so only its checksum can tell.
cp "$m" "$dir/damaged.fvlm"
middle=$(($(wc -c <"$m") / 2))
byte=$(od -An -tu1 -j "$middle" -N1 "$m")
printf "\\x$(printf %x $((byte ^ 16)))" | dd of="$dir/damaged.fvlm" bs=1 seek="$middle" conv=notrunc status=none
"$FVLM" run "$dir/damaged.fvlm" "$picture" "$question" >"$dir/out" 2>"$dir/err"
same "refuses a damaged model" "$? $(sed -E "s|$dir/||; s/tensor \"[a-z0-9._]+\"/tensor X/; s/[0-9]+ to [0-9]+/N to N/" "$dir/err")" \
    "1 fvlm: \"damaged.fvlm\": tensor X is damaged (its hash differs): bytes N to N"
"$FVLM" run "$dir/damaged.fvlm" "$picture" "$question" -q --no-check >/dev/null; ok "--no-check trusts the file" $?

long=$(head -c 12000 /dev/zero | tr '\0' '7')
"$FVLM" run "$m" "$picture" "$long" >"$dir/out" 2>"$dir/err"
same "refuses a prompt longer than the context" "$? $(sed -E 's/[0-9]+/N/g' "$dir/err")" \
    "1 fvlm: the text takes N positions, the context holds N"

"$FVLM" run "$m" "$picture" "$question" >/dev/full 2>"$dir/err"
same "a full disk is told before any figures" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
"$FVLM" run "$m" "$picture" "$question" --tokens-only >"$dir/both" 2>&1
[[ $(head -1 "$dir/both") =~ ^[0-9\ ]+$ ]]; ok "the answer comes before the figures" $?
"$FVLM" run "$m" "$picture" "$question" -q >/dev/full 2>"$dir/err"
same "a full disk is an error" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
