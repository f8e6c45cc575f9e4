#!/bin/sh
# The whole way on the small model that ships: convert, quantize, verify, answer, measure.
#   tests/demo.sh build/fvlm [MODEL_FOLDER]
set -eu
fvlm=$1
tiny=${2:-tests/fixtures/tiny}
out=$(dirname "$fvlm")/demo
[ -f "$tiny/unfused/config.json" ] || { echo "demo: the small model is not in $tiny" >&2; exit 1; }
rm -rf "$out"
mkdir -p "$out"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }  # the command as a reader would type it, then what it does
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }
size() { wc -c <"$1" | awk '{ printf "%.2f MB", $1 / 1e6 }'; }

say "1. A checkpoint as it leaves training, branches and BatchNorm unfused, becomes one file"
show "$fvlm" convert "$tiny/unfused" -o "$out/tiny.fvlm" -q

say "2. int8 and int4"
show "$fvlm" quant "$out/tiny.fvlm" --type int8 -o "$out/tiny-int8.fvlm" -q
show "$fvlm" quant "$out/tiny.fvlm" --type int4 -o "$out/tiny-int4.fvlm" -q
printf '\n%-22s %10s\n' "checkpoint" "$(size "$tiny/unfused/model.safetensors")"
for m in tiny tiny-int8 tiny-int4; do printf '%-22s %10s\n' "$m.fvlm" "$(size "$out/$m.fvlm")"; done

# The first picture, and one question about it.
line=$(sed -n 2p "$tiny/heldout/questions.tsv")
picture=$tiny/heldout/$(printf '%s' "$line" | cut -f1)

say "3. Every byte has a checksum; every block is held against the source"
for m in tiny tiny-int8 tiny-int4; do show "$fvlm" verify "$out/$m.fvlm"; done
show "$fvlm" verify "$out/tiny.fvlm" --against "$tiny/unfused" --image "$picture"

say "4. Questions about $picture, which the model has not seen in training"
awk -F'\t' -v p="$(basename "$picture")" '$1 == p { print $3 "\t" $4 }' "$tiny/heldout/questions.tsv" |
    while IFS="$(printf '\t')" read -r question answer; do
        printf '\n%s  (expected: %s)\n' "$question" "$answer"
        for m in tiny tiny-int8 tiny-int4; do
            printf '  %-10s %s\n' "${m#tiny}" "$("$fvlm" run "$out/$m.fvlm" "$picture" "$question" -q </dev/null)"
        done | sed 's/^  -/  /; s/^            /  f32       /'
    done

say "5. What an answer costs"
question=$(printf '%s' "$line" | cut -f3)
for m in tiny tiny-int4; do show "$fvlm" run "$out/$m.fvlm" "$picture" "$question"; done

say "Next"
cat <<END
  $fvlm info $out/tiny-int4.fvlm --tensors               what is inside
  $fvlm run $out/tiny-int4.fvlm YOUR.jpg "What is at the top left?"
  $fvlm convert FastVLM-0.5B/ -o fastvlm.fvlm             the same with Apple's model, then
  $fvlm quant fastvlm.fvlm --type int4 -o fastvlm-int4.fvlm
  make accuracy                                          how much int8 and int4 cost in answers
END
