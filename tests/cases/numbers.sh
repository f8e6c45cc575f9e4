#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: a value that is not finite ends run, bench and verify with exit 1 and one line that names the block where it
# began, the same on every instruction set, in both modes and at any number of threads. tests/reference/model_not_finite.c
# plants 75 such values; here are whole commands.
. tests/support/tap.sh numbers
plant=$BUILD/tests/tools/plant checkpoint=$BUILD/tests/tools/checkpoint picture=$tiny/heldout/000.png
"$FVLM" convert "$tiny/fused" -o "$dir/m.fvlm" -q || give_up "convert for it"
for type in int8 int4; do "$FVLM" quant "$dir/m.fvlm" --type $type -o "$dir/$type.fvlm" -q || give_up "quant for it"; done
levels=$("$FVLM" run --help | grep -q -- --cpu && for cpu in scalar avx2 avx512 neon dotprod; do
    "$FVLM" run "$dir/m.fvlm" "$picture" hi --cpu $cpu --max-tokens 1 >/dev/null 2>&1 && echo $cpu
done)
[ "$(wc -w <<<"$levels")" -ge 2 ]; ok "the levels of this machine: ${levels//$'\n'/ }" $?

# same_everywhere WHAT FILE MESSAGE: run, on every level, in both modes, with 1 and 5 threads, and bench and verify all
# exit 1 with this line and nothing else.
same_everywhere() {
    local what=$1 file=$2 want="1 fvlm: \"$2\": $3" got cpu act bad=0
    try() {
        got=$("$FVLM" "$@" 2>&1 >"$dir/out" </dev/null)
        got="$? $got$(head -c 200 "$dir/out")"
        [ "$got" = "$want" ] || { bad=$((bad + 1)); printf '# %s\n# got:  %s\n# want: %s\n' "$*" "$got" "$want"; }
    }
    for cpu in $levels; do
        for act in f32 int8; do
            try run "$file" "$picture" "What is this?" --cpu "$cpu" --act $act --threads 1
            try run "$file" "$picture" "What is this?" --cpu "$cpu" --act $act --threads 5 --temperature 1 --top-p 0.9
        done
    done
    try bench "$file" --runs 1
    try verify "$file" --against "$dir/m.fvlm" --image "$picture"
    ok "$what" "$bad"
}

planted() { "$plant" "$@" || give_up "planting in $3"; }
not_finite() { echo "$1 gives values that are not finite: $2; convert the model again from undamaged weights"; }
overflows() {
    echo "$1 gives values that are not finite: they exceed what f32 can hold; weights or scales of this block, or of one before it, are out of range"
}

# --- the row ---
cat >"$dir/zero.awk" <<'AWK'
{ n = split($0, part, /"[^"]*running_var":/); for (i = 2; i <= n; i++) if (match(part[i], /\[[0-9]+,[0-9]+\]}/)) {
    span = substr(part[i], RSTART + 1, RLENGTH - 3); split(span, at, ","); print at[1], at[2] - at[1] } }
AWK
# zero_variances FOLDER: every running_var of its model.safetensors becomes 0.
zero_variances() {
    local f=$1/model.safetensors n at bytes
    n=$(od -An -tu8 -N8 "$f" | tr -d ' ')
    head -c $((8 + n)) "$f" | tail -c "$n" >"$dir/header"
    while read -r at bytes; do
        dd if=/dev/zero of="$f" bs=1 seek=$((8 + n + at)) count="$bytes" conv=notrunc 2>/dev/null
    done < <(awk -f "$dir/zero.awk" "$dir/header")
}
cp -r "$tiny/unfused" "$dir/variance"; chmod -R u+w "$dir/variance"
zero_variances "$dir/variance"
"$FVLM" convert "$dir/variance" -o "$dir/variance.fvlm" -q; ok "[bn-variance-0] variances of 0 convert: they are finite numbers" $?
same_everywhere "[bn-variance-0] and the block where they overflow is named" "$dir/variance.fvlm" "$(overflows vision.stage3.block0)"

# --- weights, vectors and scales of files whose checksums are right ---
planted "$dir/m.fvlm" "$dir/a.fvlm" vision.stage2.block1.ffn.fc1.weight 0 nan
same_everywhere "[bn-variance-0] sibling: a weight that is NaN" "$dir/a.fvlm" \
    "$(not_finite vision.stage2.block1 'vision.stage2.block1.ffn.fc1.weight[0,0,0,0] is NaN')"
planted "$dir/int8.fvlm" "$dir/a.fvlm" llm.layer1.ffn.down.weight scale 3 nan
same_everywhere "[bn-variance-0] sibling: a scale that is NaN" "$dir/a.fvlm" \
    "$(not_finite llm.layer1 'llm.layer1.ffn.down.weight[3,0] is NaN')"
planted "$dir/int4.fvlm" "$dir/a.fvlm" vision.stage3.block0.attn.qkv.weight offset 0 -inf
same_everywhere "[bn-variance-0] sibling: an offset that is infinite" "$dir/a.fvlm" \
    "$(not_finite vision.stage3.block0 'vision.stage3.block0.attn.qkv.weight[0,0] is infinite')"
planted "$dir/int8.fvlm" "$dir/a.fvlm" llm.layer0.ffn_norm.weight 5 3e38
same_everywhere "[bn-variance-0] sibling: a finite gain that overflows" "$dir/a.fvlm" "$(overflows llm.layer0)"
planted "$dir/int4.fvlm" "$dir/a.fvlm" vision.final.se.expand.bias 1 -inf
same_everywhere "[bn-variance-0] sibling: a gate that sigmoid would close" "$dir/a.fvlm" \
    "$(not_finite vision.final 'vision.final.se.expand.bias[1] is infinite')"
planted "$dir/m.fvlm" "$dir/a.fvlm" projector.2.bias 0 1e20
same_everywhere "[bn-variance-0] sibling: a sum of squares that overflows" "$dir/a.fvlm" "$(overflows llm.layer0)"
planted "$dir/int8.fvlm" "$dir/a.fvlm" llm.norm.weight 2 inf
same_everywhere "[bn-variance-0] sibling: the final norm" "$dir/a.fvlm" "$(not_finite llm.norm 'llm.norm.weight[2] is infinite')"
rm "$dir/a.fvlm"

# --- whose it is ---
planted "$dir/m.fvlm" "$dir/bad.fvlm" llm.layer1.attn_norm.weight 0 nan
got=$("$FVLM" verify "$dir/int8.fvlm" --against "$dir/bad.fvlm" --image "$picture" 2>&1 >/dev/null); rc=$?
same "[bn-variance-0] sibling: verify says that it is the source's" "$rc $got" \
    "1 fvlm: the source: \"$dir/bad.fvlm\": $(not_finite llm.layer1 'llm.layer1.attn_norm.weight[0] is NaN')"

# --- checkpoints ---
mkdir "$dir/nan"; "$checkpoint" "$dir/nan" fused f32 set model.layers.1.mlp.up_proj.weight 5 nan >/dev/null || give_up "a checkpoint"
"$FVLM" convert "$dir/nan" -o "$dir/nan.fvlm" 2>"$dir/err" >/dev/null; rc=$?
same "[bn-variance-0] sibling: a checkpoint with NaN is refused by name" "$rc $(cat "$dir/err")" \
    "1 fvlm: tensor \"model.layers.1.mlp.up_proj.weight\": element [0, 5] is not a finite number; the file is damaged or the training diverged"
[ ! -e "$dir/nan.fvlm" ]; ok "and nothing is written" $?

# --- no false alarm ---
bad=0
for file in m int8 int4; do
    for act in f32 int8; do "$FVLM" run "$dir/$file.fvlm" "$picture" "What is this?" --act $act -q >/dev/null || bad=$((bad + 1)); done
done
same "sound models answer" $bad 0
for t in 1e-300 1e-5 100; do
    "$FVLM" run "$dir/int8.fvlm" "$picture" "What is this?" --temperature $t --top-p 1e-6 -q >/dev/null 2>"$dir/err"
    same "at temperature $t too" "$? $(cat "$dir/err")" "0 "
done
