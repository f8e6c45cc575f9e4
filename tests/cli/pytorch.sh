#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: what fvlm makes of the small checkpoint is what PyTorch computes from it. tests/fixtures/tiny/pytorch.safetensors
# holds every block's output and the greedy answer, recorded by tests/oracle/dump_activations.py (README.md there);
# tests/oracle/test_dump.py records them again. A planted difference in either file must be found.
. tests/support/tap.sh pytorch
dump=$tiny/pytorch.safetensors m=$dir/tiny.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert"

header=$(od -An -tu8 -N8 "$dump" | tr -d ' ')
# begin NAME: where the tensor begins in the file
begin() { echo $((8 + header + $(head -c $((8 + header)) "$dump" | grep -ao "\"$1\":{[^}]*\"data_offsets\":\[[0-9]*" | sed 's/.*\[//'))); }

same "it was recorded from this checkpoint" "$(head -c $((8 + header)) "$dump" | grep -ao 'model.safetensors [0-9a-f]\{64\}')" \
    "model.safetensors $(sha256sum <"$tiny/unfused/model.safetensors" | cut -d' ' -f1)"

"$FVLM" verify "$m" --against-activations "$dump" >"$dir/out"
ok "every block, the logits and the answer are PyTorch's, within the bounds for f32" $?
same "blocks that were compared" "$(grep -cE '^(vision|projector|llm|logits)[a-z0-9.]* +[0-9]+ +[0-9]+ ' "$dir/out")" 22

# The answer from the picture and the prompt's text, too: nothing of the recording enters here.
same "run answers what PyTorch answers" "$("$FVLM" run "$m" "$tiny/demo.png" "Describe the picture." --size 128 --tokens-only -q)" \
    "$(od -An -td8 -w8 -j "$(begin greedy)" -N136 "$dump" | tr -d ' ' | paste -sd' ')"

# plant NAME: one value of the recording times 16, or a 16th of it
plant() {
    cp "$dump" "$dir/planted"
    at=$(($(begin "$1") + 4 * 20))
    byte=$(od -An -tu1 -j $((at + 3)) -N1 "$dump" | tr -d ' ')
    printf '%b' "\\0$(printf %o $((byte ^ 2)))" | dd of="$dir/planted" bs=1 seek=$((at + 3)) conv=notrunc status=none
}
for block in vision.stem vision.stage2.block1 projector llm.layer3 logits; do
    plant "$block"
    "$FVLM" verify "$m" --against-activations "$dir/planted" >"$dir/out" 2>&1
    same "one value of $block that differs is found" $? 1
done
"$FVLM" verify "$m" --against-activations "$dir/planted" --json 2>"$dir/err" | grep -q '"ok": false'
ok "--json reports it" $?
