#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: verify judges predictions by enough positions, in grades, with the limits beside the figures; a model that
# answers wrongly never passes, good ones do; the user's limits decide where they are given; two files are compared, and
# what does not belong together is refused in words.
. tests/support/tap.sh verify
m=$dir/m.fvlm picture=$tiny/heldout/000.png
"$FVLM" convert "$tiny/fused" -o "$m" -q || give_up "convert for it"
for t in int8 int4 int4-sym-row int4-sym-g128; do "$FVLM" quant "$m" --type $t -o "$dir/$t.fvlm" -q || give_up "quant"; done

# judge MODEL OPTION...: the verdict beside m.fvlm in $rc, $dir/text and $dir/err.
judge() {
    local model=$1; shift
    "$FVLM" verify "$model" --against "$m" --image "$picture" "$@" >"$dir/text" 2>"$dir/err"; rc=$?
}
grades() { sed -n 's/^grade: \([^;]*\).*/\1/p' "$dir/text" | tr '\n' ','; }

# --- the model that answers 41 for 61 ---
questions() { awk -F'\t' '$2 == "number" { print $1 "\t" $4 }' "$tiny/heldout/questions.tsv"; }
wrong=0 tried=0
while IFS=$'\t' read -r file answer; do
    [ $wrong = 0 ] || break
    right=$("$FVLM" run "$m" "$tiny/heldout/$file" "What number is shown?" -q </dev/null)
    got=$("$FVLM" run "$dir/int4-sym-row.fvlm" "$tiny/heldout/$file" "What number is shown?" -q </dev/null)
    tried=$((tried + 1))
    [ "$right" != "$answer" ] || [ "$got" = "$answer" ] || wrong=1
done < <(questions)
same "[verify-grades] int4-sym-row reads a number wrongly that the source reads right ($file: $got for $answer)" $wrong 1
judge "$dir/int4-sym-row.fvlm"
[[ "$rc $(grades)" =~ ^"1 "(visibly worse|broken)","(visibly worse|broken)","$ ]]; ok "[verify-grades] int4-sym-row does not pass" $?
[[ $(cat "$dir/err") =~ ^"fvlm: \"$dir/int4-sym-row.fvlm\" with f32 activations: visibly worse: mean KL divergence "0\.[0-9]+" (close: at most 0.05)"$ ]]
ok "[verify-grades] and the message has the figure and its limit" $?
judge "$dir/int8.fvlm"
same "[verify-grades] int8 passes" "$rc $(grades)" "0 indistinguishable,indistinguishable,"
judge "$dir/int4.fvlm"
[[ "$rc $(grades)" =~ ^"0 "(close|indistinguishable)","(close|indistinguishable)","$ ]]; ok "[verify-grades] int4 passes" $?
n=$(sed -n 's/^next token at \([0-9]*\) positions.*/\1/p' "$dir/text" | head -1)
[ "${n:-0}" -ge 256 ]; ok "[verify-grades] one picture and one prompt give 256 positions, and it says how many ($n)" $?
missing=$(for limit in '<= 0.006' '<= 0.05' '<= 0.45' '>= 99 %' '>= 97.5 %' '>= 85 %' '<= 2.5 %' '<= 7 %' '<= 21.5 %'; do
    grep -qF -- "$limit" "$dir/text" || echo "$limit"; done)
same "[verify-grades] all limits are printed" "$missing" ""
grep -Eq '^KL divergence, nats: mean [-0-9.e]+ \+- [-0-9.e]+, median [^,]+, 90 % [^,]+, 99 % [^,]+, 99\.9 % [^,]+, largest [-0-9.e]+$' "$dir/text" &&
    grep -Eq "^change of the right token's probability, %: mean [^,]+, RMS [^,]+, smallest [^,]+, 1 % " "$dir/text"
ok "[verify-grades] percentiles of KL and of the right token's probability" $?
judge "$dir/int4-sym-row.fvlm" --prompt "What number is shown?"
grep -Eq '^greedy answers: [0-9]+ of [0-9]+ the same; the first parts at token [0-9]+ of [0-9]+, ".*" for ".*", ' "$dir/text"
ok "[verify-grades] where the first answer parts" $?
judge "$dir/int4-sym-g128.fvlm"
same "[verify-grades] sibling: int4-sym-g128, as bad, does not pass" "$rc" 1
judge "$dir/int4-sym-row.fvlm" --act int8 --tokens 3
[[ "$rc $(grades)" =~ ^"1 "(visibly worse|broken)","$ ]]
ok "[verify-grades] sibling: nor does int4-sym-row in one mode and with short answers" $?
"$FVLM" convert "$tiny/fused" --type bf16 -o "$dir/bf16.fvlm" -q
"$FVLM" verify "$dir/bf16.fvlm" --against "$tiny/fused" --image "$picture" >"$dir/text" 2>&1; rc=$?
same "[verify-grades] sibling: bf16 stays within the bounds of its type" \
    "$rc $(grades)$(sed -n '/^within the bounds for \(f32\|bf16\)/p' "$dir/text" | wc -l)" "0 indistinguishable,1"

# --- the user's limits ---
judge "$dir/int4-sym-row.fvlm" --max-kl 5
same "[verify-grades] --max-kl lets pass what the grade does not" "$rc" 0
judge "$dir/int8.fvlm" --max-kl 0.0000001
[[ "$rc $(cat "$dir/err")" =~ ^"1 fvlm: \"$dir/int8.fvlm\" with f32 activations: the mean KL divergence of "[0-9.e-]+" exceeds --max-kl 1e-07"$ ]]
ok "[verify-grades] --max-kl fails what the grade lets pass" $?
judge "$dir/int4-sym-row.fvlm" --min-agree 99 --act f32
[[ "$rc $(cat "$dir/err")" =~ ^"1 fvlm: \"$dir/int4-sym-row.fvlm\" with f32 activations: the likeliest token agrees at "[0-9.]+" %, below --min-agree 99"$ ]]
ok "[verify-grades] --min-agree" $?
judge "$dir/int4-sym-row.fvlm" --min-agree 50 --max-kl 5
same "[verify-grades] sibling: both limits held" "$rc" 0
judge "$dir/int4-sym-row.fvlm" --min-agree 50 --max-kl 0.001
same "[verify-grades] sibling: one limit of two missed" "$rc" 1
judge "$m" --max-kl 0 --min-agree 100
same "[verify-grades] sibling: a file beside itself has KL 0 and agreement 100" "$rc" 0
help="; try 'fvlm verify --help'"
refuses "[verify-grades] sibling: --max-kl below 0" 2 "--max-kl: -1 is out of range, 0 to 1000$help" "$m" --against "$m" --image "$picture" --max-kl -1
refuses "[verify-grades] sibling: --min-agree above 100" 2 "--min-agree: 101 is out of range, 0 to 100$help" "$m" --against "$m" --image "$picture" --min-agree 101
for share in 0.99 1 0.5; do
    refuses "[verify-grades] sibling: --min-agree $share, a share, is not taken for a percentage" 2 \
        "--min-agree: $share is in percent; give 99 for 99 %" "$m" --against "$m" --image "$picture" --min-agree $share
done
judge "$m" --min-agree 0 --act f32
same "[verify-grades] sibling: --min-agree 0 allows everything" "$rc" 0
refuses "[verify-grades] sibling: standard input as two pictures" 2 \
    "--image -: standard input can be read only once" "$m" --against "$m" --image - --image -
refuses "[verify-grades] sibling: --image none" 2 \
    "--image none: outputs are compared on a picture; give a file" "$m" --against "$m" --image none
need="--picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error need --image FILE"
refuses "[verify-grades] sibling: --tokens without a picture" 2 "$need" "$m" --against "$m" --tokens 9
refuses "[verify-grades] sibling: --min-agree without a picture" 2 "$need" "$m" --against "$m" --min-agree 9
refuses "[verify-grades] sibling: --max-kl without a source" 2 \
    "--image, --picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error need --against SOURCE" "$m" --max-kl 1

# --- too few positions ---
"$FVLM" verify "$dir/int8.fvlm" --against-activations "$tiny/pytorch.safetensors" >"$dir/text" 2>"$dir/err"; rc=$?
[[ "$rc $(cat "$dir/err")" =~ ^"1 fvlm: \"$dir/int8.fvlm\": not judged: 256 positions are needed, and there is 1"$ ]] && grep -q '^NOT JUDGED: 256 positions are needed, and there is 1$' "$dir/text"
ok "[verify-grades] a quantized model beside one recorded position is not judged, and that is no pass" $?

# --- two files ---
"$FVLM" verify "$dir/int4-sym-row.fvlm" "$m" --image "$picture" >"$dir/pair" 2>&1; rc=$?
judge "$dir/int4-sym-row.fvlm"
same "[verify-grades] two files are compared as with --against" "$rc $(sed '/^fvlm/d' "$dir/pair")" "1 $(cat "$dir/text")"
"$FVLM" verify "$m" "$dir/int8.fvlm" --image "$picture" >"$dir/text" 2>&1; rc=$?
[ $rc = 1 ] && grep -qF "$dir/int8.fvlm is quantized and $m is not: name the model first, then what it was made from" "$dir/text"
ok "[verify-grades] sibling: in the wrong order they are told apart" $?
refuses "[verify-grades] sibling: a file with itself" 2 "\"$m\" and \"$m\" are one file; name the model, then its source" "$m" "$m"
ln "$m" "$dir/link.fvlm"
refuses "[verify-grades] sibling: a file with its hard link" 2 \
    "\"$m\" and \"$dir/link.fvlm\" are one file; name the model, then its source" "$m" "$dir/link.fvlm"
refuses "[verify-grades] sibling: folder and model swapped" 1 \
    "\"$tiny/fused\" is a checkpoint folder; convert it first: 'fvlm convert'" \
    "$tiny/fused" "$m"
refuses "[verify-grades] sibling: two sources" 2 "name the source once: \"$dir/int8.fvlm\" or \"$m\"" "$m" "$dir/int8.fvlm" --against "$m"
cp -r "$tiny/fused" "$dir/other"; chmod -R u+w "$dir/other"
sed -i 's/"rope_theta": [0-9.]*/"rope_theta": 10000.0/' "$dir/other/config.json"
"$FVLM" convert "$dir/other" -o "$dir/other.fvlm" -q
refuses "[verify-grades] sibling: another rope_theta" 1 \
    "\"$dir/other.fvlm\" and \"$m\" are not the same model: llm.rope_theta is 10000.0 and 1000000.0" "$dir/other.fvlm" "$m"
refuses "[verify-grades] sibling: a source folder is called by its name" 1 \
    "\"$m\" and \"$dir/other\" are not the same model: llm.rope_theta is 1000000.0 and 10000.0" "$m" --against "$dir/other" -q
printf 'GGUF\3\0\0\0........' >"$dir/x.gguf"; printf 'version https://git-lfs.github.com/spec/v1\n' >"$dir/pointer.fvlm"
for how in "" --against; do
    refuses "[foreign-kinds] sibling: verify $how model.safetensors" 1 \
        "\"$tiny/fused/model.safetensors\" is a safetensors file; give the checkpoint folder that holds it" "$m" $how "$tiny/fused/model.safetensors"
    refuses "[foreign-kinds] sibling: verify $how x.gguf" 1 \
        "\"$dir/x.gguf\" is a GGUF file; give the checkpoint folder of the model, or a .fvlm file" "$m" $how "$dir/x.gguf"
    refuses "[lfs-pointer] sibling: verify $how pointer" 1 \
        "\"$dir/pointer.fvlm\" is a Git LFS pointer, not the file itself; run 'git lfs pull' in its folder" "$m" $how "$dir/pointer.fvlm"
done
cp "$tiny/fused/config.json" "$dir/other/config.json"
sed -i 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 1024/' "$dir/other/config.json"
"$FVLM" convert "$dir/other" -o "$dir/other.fvlm" -q --force
"$FVLM" verify "$dir/other.fvlm" "$m" >"$dir/text" 2>&1; rc=$?
same "[verify-grades] sibling: another context is said and compared" "$rc $(grep differ "$dir/text")" "0 they differ in use: llm.context is 1024 and 2048"
mkdir "$dir/wide"; "$BUILD/tests/tools/checkpoint" "$dir/wide" fused bf16 >/dev/null || give_up "a checkpoint of another architecture"
"$FVLM" convert "$dir/wide" -o "$dir/wide.fvlm" -q
got=$("$FVLM" verify "$dir/wide.fvlm" "$m" 2>&1 >/dev/null); rc=$?
[[ "$rc $got" =~ ^"1 fvlm: \"$dir/wide.fvlm\" and \"$m\" are not the same model: "[a-z_.0-9]+" is " ]]
ok "[verify-grades] sibling: another architecture is named with the first field that differs" $?
[ $rc = 1 ] || echo "# $got"
