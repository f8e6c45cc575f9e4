#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
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
show() {  # the command as a reader would type it, then what it does
    printf '$'
    for word in "$@"; do case $word in *' '*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done
    printf '\n'
    "$@"
}
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

say "3. Every byte has a checksum"
for m in tiny tiny-int8 tiny-int4; do show "$fvlm" verify "$out/$m.fvlm"; done

say "4. Block by block beside PyTorch: outputs that timm and transformers recorded from the same checkpoint"
show "$fvlm" verify "$out/tiny.fvlm" --against-activations "$tiny/pytorch.safetensors"

say "5. What int4 costs, beside the same model fused by PyTorch in f64, over 19 pictures"
pictures=$(printf -- ' --image %s' "$tiny"/heldout/0[01]?.png)
echo "\$ $fvlm verify $out/tiny-int4.fvlm --against $tiny/fused --prompt \"Describe the picture.\" \$(printf -- ' --image %s' $tiny/heldout/0[01]?.png)"
# shellcheck disable=SC2086
"$fvlm" verify "$out/tiny-int4.fvlm" --against "$tiny/fused" --prompt "Describe the picture." $pictures \
    >"$out/verdict" || { cat "$out/verdict"; exit 1; }
grep -v '^vision.stage\|^llm.layer' "$out/verdict"

say "6. Questions about $picture, which the model has not seen in training"
awk -F'\t' -v p="$(basename "$picture")" '$1 == p { print $3 "\t" $4 }' "$tiny/heldout/questions.tsv" |
    while IFS="$(printf '\t')" read -r question answer; do
        printf '\n%s  (expected: %s)\n' "$question" "$answer"
        for m in tiny tiny-int8 tiny-int4; do
            printf '  %-10s %s\n' "$m" "$("$fvlm" run "$out/$m.fvlm" "$picture" "$question" -q </dev/null)"
        done
    done

say "7. What an answer costs"
for m in tiny tiny-int4; do show "$fvlm" run "$out/$m.fvlm" "$tiny/demo.png" "Describe the picture." 2>&1; done

say "Next"
cat <<END
what is inside:                 $fvlm info $out/tiny-int4.fvlm --tensors
a picture of your own:          $fvlm run $out/tiny-int4.fvlm YOUR.jpg "Describe the picture."
what int4 costs in answers:     make accuracy
the same with Apple's model:    $fvlm convert FastVLM-0.5B/ -o fastvlm.fvlm
                                $fvlm quant fastvlm.fvlm --type int4 -o fastvlm-int4.fvlm
                                $fvlm run fastvlm-int4.fvlm photo.jpg "What is this?"
END
