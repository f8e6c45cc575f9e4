#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm quant` prints what it plans and did, writes the same bytes on any thread count and CPU level, refuses what
# makes no sense in one exact line, and whenever it is killed the old file or none is there.
. tests/support/tap.sh quant
m=$dir/m.fvlm
"$FVLM" convert "$tiny/fused" -o "$m" -q || give_up "convert for it"


# --- what makes no sense ---
help="; try 'fvlm quant --help'"
refuses "no input" 2 "expected MODEL.fvlm, got 0 arguments$help"
refuses "two inputs" 2 "expected MODEL.fvlm, got 2 arguments$help" "$m" "$m" -o "$dir/o"
refuses "no output" 2 "no output file; give -o FILE, or --dry-run to see the plan" "$m"
refuses "unknown type" 2 "--type: \"int3\" is not int8, int4 or {int8,int4}-{sym,asym}-{g32,g64,g128,row}" \
    "$m" --type int3 -o "$dir/o"
refuses "a float type" 2 "bf16 is not an integer type; fvlm convert writes float types" "$m" --type bf16 -o "$dir/o"
refuses "a rule without a type" 2 "--set: \"llm.*\" is not REGEX=TYPE$help" "$m" --set 'llm.*' -o "$dir/o"
refuses "a rule without a regex" 2 "--set: \"=int8\" is not REGEX=TYPE$help" "$m" --set '=int8' -o "$dir/o"
refuses "a rule of an unknown type" 2 \
    "rule 'llm.*=q4': unknown type \"q4\"; use f32, bf16, f16, int8, int4 or {int8,int4}-{sym,asym}-{g32,g64,g128,row}" \
    "$m" --set 'llm.*=q4' -o "$dir/o"
refuses "a regex that is none" 2 "rule \"llm[\" is not a regular expression: missing terminating ] for character class at position 4" \
    "$m" --set 'llm[=int8' -o "$dir/o"
refuses "a regex that is not UTF-8" 2 \
    "rule \"llm\xff\" is not a regular expression: UTF-8 error: illegal byte (0xfe or 0xff) at position 3" \
    "$m" --set $'llm\xff=int8' -o "$dir/o"
refuses "a rule that matches nothing" 2 \
    "rule \"llm.embed\" matches no tensor (whole names must match; 'fvlm info --tensors' lists them)" \
    "$m" --set 'llm.embed=int8' -o "$dir/o"
refuses "an integer vector" 2 \
    "rule \"llm.norm.*\" matches only vectors and depthwise taps, which cannot be int8-sym-g64; use f32, bf16, f16 or keep" \
    "$m" --set 'llm.norm.*=int8' -o "$dir/o"
refuses "integer taps" 2 \
    "rule \"vision.final.dw.weight\" matches only vectors and depthwise taps, which cannot be int4-asym-g64; use f32, bf16, f16 or keep" \
    "$m" --set 'vision.final.dw.weight=int4' -o "$dir/o"
refuses "unknown kernels" 2 "--cpu: \"sse\" is not scalar, avx2, avx512, neon or dotprod$help" "$m" --cpu sse -o "$dir/o"
refuses "the input itself" 1 "\"$m\" is the input itself; write to another name" "$m" -o "$m" --force
ln "$m" "$dir/alias"
refuses "a hard link of the input" 1 "\"$dir/alias\" is the input itself; write to another name" "$m" -o "$dir/alias" --force
rm "$dir/alias"
refuses "a missing file" 3 "\"$dir/none\": No such file or directory" "$dir/none" -o "$dir/o"
refuses "the input as output" 1 "\"$m\" is the input itself; write to another name" "$m" -o "$m" --force
printf 'no' >"$dir/short"
refuses "no container" 1 "$("$FVLM" verify "$dir/short" 2>&1 | sed 's/^fvlm: //')" "$dir/short" -o "$dir/o"
[ ! -e "$dir/o" ]; ok "no refusal wrote anything" $?

# --- what it prints ---
: >"$dir/plan"; before=$(ls -A "$dir")
"$FVLM" quant "$m" --type int4 --dry-run >"$dir/plan"; ok "--dry-run succeeds" $?
same "--dry-run writes nothing" "$(ls -A "$dir")" "$before"
same "the plan has a row a family" "$(awk 'NR > 1 { sub(/  .*/, ""); sub(/ (int|f16|bf16|f32).*/, ""); print }' "$dir/plan" | sort -u | tr '\n' ',')" \
    "biases and norms,embedding,llm attention,llm ffn,projector,tower SE,tower attention,tower downsample,tower ffn,tower stem,tower taps,whole file, about,"
"$FVLM" quant "$m" --type int4 -o "$dir/a.fvlm" -q >"$dir/out" 2>&1; ok "int4 succeeds" $?
[ ! -s "$dir/out" ]; ok "-q prints nothing" $?
"$FVLM" quant "$m" --type int4 --json -o "$dir/b.fvlm" >"$dir/json"; ok "--json succeeds" $?
bytes=$(stat -c %s "$dir/b.fvlm")
grep -q "\"bytes_after\": $bytes," "$dir/json"; ok "--json knows the size of the file" $?
grep -q '"error": 0\.0[0-9]*' "$dir/json"; ok "--json has measured errors" $?
"$FVLM" quant "$m" --type int4 --set 'llm\.embed.*=int4' --dry-run -v >"$dir/plan"
grep -qE '^llm.embed.weight +int4-asym-g64' "$dir/plan"
ok "-v lists tensors, and a rule changes one" $?
"$FVLM" quant "$m" --dry-run >/dev/full 2>"$dir/err"; rc=$?
same "a full standard output is an error" "$rc $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"

# --- the file ---
"$FVLM" verify "$dir/a.fvlm" >/dev/null; ok "what it wrote verifies" $?
refuses "an existing file" 1 "$("$FVLM" quant "$m" -o "$dir/a.fvlm" 2>&1 | sed 's/^fvlm: //')" "$m" -o "$dir/a.fvlm"
cmp -s "$dir/a.fvlm" "$dir/b.fvlm"; ok "twice the same bytes" $?
for how in "--threads 1" "--threads 2" "--threads 7" "--threads 9999" "--cpu scalar" "--cpu scalar --threads 1"; do
    # shellcheck disable=SC2086
    "$FVLM" quant "$m" --type int4 -o "$dir/c.fvlm" --force -q $how && cmp -s "$dir/a.fvlm" "$dir/c.fvlm"
    ok "the same bytes with $how" $?
done
refuses "a quantized file" 1 \
    "\"$dir/a.fvlm\": quantized already (\"llm.embed.weight\" is int8-sym-g64); quantize the float file it was made from" \
    "$dir/a.fvlm" -o "$dir/o"

# --- a file in which some matrices are integers: those stay, and two steps give the tensors of one ---
tensors() { "$FVLM" info "$1" --tensors --json | grep -E '"xxh3_128"'; }
"$FVLM" quant "$m" --type int8 --set 'llm.*weight=keep' --set 'projector.*=keep' -o "$dir/part" -q &&
    "$FVLM" quant "$dir/part" --type int4-sym-g32 -o "$dir/two" -q &&
    "$FVLM" quant "$m" --type int8 --set '(llm|projector).*weight=int4-sym-g32' -o "$dir/once" -q
ok "a file with integers is quantized further" $?
two=$(tensors "$dir/two")
[ "$two" ] && [ "$two" = "$(tensors "$dir/once")" ]
ok "which leaves its integers as they are and gives the same tensors as one step" $?
"$FVLM" verify "$dir/two" --against "$m" --image "$tiny/demo.png" 2>"$dir/err" | grep -q '^grade: '
ok "which fvlm verify grades" $?
refuses "a rule for what is integer already" 1 \
    "\"$dir/part\": quantized already (\"vision.stem.2.weight\" is int8-sym-g64); quantize the float file it was made from" \
    "$dir/part" --set 'vision.stem.2.weight=int4' -o "$dir/o"

# --- killed ---
cp "$dir/a.fvlm" "$dir/old.fvlm"; cp "$dir/old.fvlm" "$dir/target.fvlm"
"$FVLM" quant "$m" --type int8 -o "$dir/new.fvlm" -q
before=$(ls "$dir" | wc -l) bad=0 whole=0
for i in $(seq 1 30); do
    "$FVLM" quant "$m" --type int8 -o "$dir/target.fvlm" --force -q --cpu scalar --threads 1 & pid=$!
    sleep "0.$(printf %03d $((i * 15)))"
    kill -KILL $pid 2>/dev/null; wait $pid 2>/dev/null
    if cmp -s "$dir/target.fvlm" "$dir/old.fvlm"; then :
    elif cmp -s "$dir/target.fvlm" "$dir/new.fvlm"; then whole=$((whole + 1))
    else bad=$((bad + 1)); fi
done
[ $bad = 0 ]; ok "SIGKILL at 30 moments leaves the old file or the whole new one ($whole times new)" $?
[ "$(ls -A "$dir" | wc -l)" = "$before" ]; ok "SIGKILL leaves nothing beside it" $?
rm "$dir/target.fvlm"
(ulimit -f 200; "$FVLM" quant "$m" --type int8 -o "$dir/target.fvlm" -q 2>"$dir/err"); rc=$?
[ $rc = 3 ] && [ ! -e "$dir/target.fvlm" ] && grep -q 'File too large' "$dir/err"; ok "no room on the disk is an error, and leaves nothing" $?
