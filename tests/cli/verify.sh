#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm verify` tells a sound file from a damaged one, compares a model with the checkpoint it came from and says so in
# text and JSON, exits 1 when bounds are exceeded, and refuses what makes no sense in one exact line.
. tests/support/tap.sh verify
m=$dir/m.fvlm
export TMPDIR=$dir/tmp; mkdir "$TMPDIR"
"$FVLM" convert "$tiny/fused" -o "$m" -q || give_up "convert for it"
"$FVLM" quant "$m" --type int8 -o "$dir/int8.fvlm" -q || give_up "quant for it"
picture=$tiny/heldout/000.png


# --- hashes ---
out=$("$FVLM" verify "$m"); rc=$?
[ $rc = 0 ] && [[ $out =~ ^"$m: every byte matches its checksum: "[0-9]+" tensors, "[0-9.]+" MB, "[0-9.]+" s, "[0-9.]+" GB/s"$ ]]
ok "a sound file is said to be sound" $?
[ -z "$("$FVLM" verify "$m" -q 2>&1)" ]; ok "-q prints nothing" $?
"$FVLM" verify "$m" --json | grep -q '"tensors": '; ok "--json has the count" $?
size=$(stat -c %s "$m") missed=0 tried=0
for i in $(seq 0 40); do
    at=$(((i * 7919 * 7919 + i * 104729) % size))
    cp "$m" "$dir/bad.fvlm"
    byte=$(dd if="$m" bs=1 skip=$at count=1 2>/dev/null | od -An -tu1 | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ (1 << (i % 8)))))" | dd of="$dir/bad.fvlm" bs=1 seek=$at conv=notrunc 2>/dev/null
    "$FVLM" verify "$dir/bad.fvlm" >/dev/null 2>&1; [ $? = 1 ] || missed=$((missed + 1))
    tried=$((tried + 1))
done
same "every one of $tried flipped bits is refused with exit 1" $missed 0
head -c $((size - 1)) "$m" >"$dir/bad.fvlm"
"$FVLM" verify "$dir/bad.fvlm" >/dev/null 2>&1; same "a byte too few is refused" $? 1
rm "$dir/bad.fvlm"

# --- against the checkpoint ---
"$FVLM" verify "$m" --against "$tiny/fused" --image "$picture" >"$dir/text"; same "the file beside its source passes" $? 0
same "and is equal at every block" "$(awk '$2 ~ /^[0-9]+$/ && $4 != "0.000e+00"' "$dir/text")" ""
grep -q '^weights of 138 tensors: 138 identical to the source, 0 rounded, 0 quantized$' "$dir/text"; ok "and in every weight" $?
grep -q '^logits ' "$dir/text" && grep -q '^within the bounds for f32: relative L2 up to 2e-05, mean KL up to 1e-06, likeliest token at least 100 %$' "$dir/text"
ok "the verdict names its bounds" $?
"$FVLM" verify "$m" --against "$tiny/unfused" --image "$picture" >"$dir/text"; same "the unfused checkpoint is the same model" $? 0
"$FVLM" verify "$dir/int8.fvlm" --against "$m" --image "$picture" --image "$tiny/heldout/010.jpg" --json >"$dir/json"
same "int8 passes beside a .fvlm file" $? 0
if command -v python3 >/dev/null; then
    python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); a=r["activations"]
w=r["weights"]
assert w["ok"] and w["quantized"] > 40 and w["same"] + w["rounded"] + w["quantized"] == w["tensors"] == 138
assert w["groups"] > 1000 and w["bad"] == 0 and 0.5 < w["share_of_plain_error"] < 1
assert r["ok"] and r["precision"]=="int8" and r["images"]==2 and [x["act"] for x in a]==["f32","int8"]
assert r["positions_needed"]==256 and r["differences"] is None
assert r["grade_limits"]=={"kl_mean":[0.006,0.05,0.45],"top1":[0.99,0.975,0.85],"dp_rms":[0.025,0.07,0.215]}
words=["indistinguishable","close","visibly worse","broken"]
for x in a:
    p=x["predictions"]; n=p["compared"]; k=p["kl_percentiles"]; d=p["dp_percentiles"]
    assert p["ok"] and x["ok"] and n==p["positions"]==sum(y["positions"] for y in r["answers"]) >= 256
    assert list(k)==["50","90","99","99.9","100"] and list(k.values())==sorted(k.values())
    assert list(d)==["0","1","10","50","90","99","100"] and list(d.values())==sorted(d.values())
    for name in ("kl_mean","top1","dp_mean","dp_rms"):
        assert p[name]["low"] <= p[name]["value"] <= p[name]["high"], name
    assert 0 <= p["kl_mean"]["value"] <= k["100"] and 0.5 < p["source_probability"] <= 1 and 0 < p["top5"] <= 1
    assert set(x["grade"])=={"grade","best","worst","kl_mean","top1","dp_rms"} and set(x["grade"].values()) <= set(words)
    g={v:words.index(w) for v,w in x["grade"].items()}
    assert g["grade"]==max(g["kl_mean"],g["top1"],g["dp_rms"]) <= 1 and g["best"] <= g["grade"] <= g["worst"]
    assert x["bounds"]["kl_mean"] is None and x["bounds"]["relative_l2"] > 0
for i,x in enumerate(a): # a position where the likeliest tokens differ is one at least where answers part
    parts=[y["parts"][i] for y in r["answers"] if y["parts"][i]]
    assert len(parts) <= round((1-x["predictions"]["top1"]["value"])*x["predictions"]["positions"])
    assert all(set(q)=={"position","source","model"} for q in parts)
assert r["answers"][0]["image"].endswith("000.png") and r["answers"][0]["prompt"]=="Describe the image."
assert all(0 < b["relative_l2"] < 1 and 0 < b["cosine"] <= 1 for x in a for b in x["blocks"])
assert a[0]["blocks"][0]["name"]=="vision.stem" and a[0]["blocks"][-1]["name"]=="logits"' "$dir/json"
    ok "the JSON is JSON and holds both modes" $?
else
    skip "the JSON is JSON and holds both modes" "needs python3"
fi
"$FVLM" verify "$dir/int8.fvlm" --against "$m" --image "$picture" --act int8 | grep -Eq '^int8 with int8 activations, 1 image and [0-9]+ drawn pictures$'
ok "--act int8 runs that mode" $?
"$FVLM" verify "$dir/int8.fvlm" --against "$m" >"$dir/text"; same "without a picture the weights are compared" $? 0
grep -Eq '^no error of [0-9]+ groups exceeds that of plain absmax; the total is 0\.[0-9]+ of it$' "$dir/text" &&
    grep -q '^outputs not compared; give --image FILE to run both on an image$' "$dir/text"
ok "and that is said" $?
"$FVLM" quant "$m" --type int4 --set '.*=keep' --set 'llm\.layer0\.ffn\.(up|gate|down)\.weight=int4-sym-row' -o "$dir/int4.fvlm" -q
"$FVLM" convert "$tiny/fused" --type f32 -o "$dir/f32.fvlm" -q
"$FVLM" verify "$dir/f32.fvlm" --against "$dir/int4.fvlm" --image "$picture" >"$dir/text" 2>"$dir/err"; rc=$?
same "out of bounds is exit 1" "$rc $(cat "$dir/err")" "1 fvlm: \"$dir/f32.fvlm\": out of the bounds for f32"
grep -q '^OUT OF BOUNDS from llm.layer0 on for f32: ' "$dir/text"; ok "the verdict names the first block" $?
grep -q '^[0-9]* tensors not compared: they are quantized in the source too$' "$dir/text"; ok "what was not compared is counted" $?
"$FVLM" convert "$tiny/fused" --type bf16 -o "$dir/bf16.fvlm" -q
"$FVLM" verify "$m" --against "$dir/bf16.fvlm" >"$dir/text" 2>"$dir/err"; rc=$?
same "a weight that its source does not hold is exit 1" "$rc $(cat "$dir/err")" \
    "1 fvlm: \"$m\": weights differ from the source by more than their types allow, first vision.stem.0.weight[0,0,0,0]"
same "no temporary folder is left" "$(ls -A "$TMPDIR")" ""

cp "$m" "$dir/bad.fvlm" # a source is held against its own checksums, too
printf '\377' | dd of="$dir/bad.fvlm" bs=1 seek=1000000 conv=notrunc 2>/dev/null
got=$("$FVLM" verify "$m" --against "$dir/bad.fvlm" 2>&1 >/dev/null); rc=$?
[[ "$rc $got" =~ ^"1 fvlm: \"$dir/bad.fvlm\": tensor \""[a-z0-9._]*"\" is damaged (its hash differs)" ]]; ok "a damaged source is refused" $?
"$FVLM" verify "$dir/int8.fvlm" --against "$m" --json | grep -q '"share_of_plain_error": 0\.'; ok "--json without a picture" $?

# --- what makes no sense ---
help="; try 'fvlm verify --help'"
refuses "no model" 2 "expected MODEL.fvlm [SOURCE], got 0 arguments$help"
refuses "three models" 2 "expected MODEL.fvlm [SOURCE], got 3 arguments$help" "$m" "$m" "$m"
refuses "--act without a picture" 2 "--act needs --image FILE or --against-activations FILE" "$m" --against "$m" --act f32
refuses "a picture without --against" 2 "--image, --picture, --prompt, --tokens, --size, --tiles, --max-kl, --min-agree and --max-error need --against SOURCE" "$m" --image "$picture"
refuses "two things to compare with" 2 "give --against or --against-activations, not both" \
    "$m" --against "$m" --against-activations x --image "$picture"
refuses "--act alone" 2 "--act needs --image FILE or --against-activations FILE" "$m" --act f32
refuses "an unknown mode" 2 "--act: \"f16\" is not f32, int8 or both$help" "$m" --against "$m" --image "$picture" --act f16
refuses "too many tokens" 2 "--tokens: 5000 is out of range, 1 to 4096$help" "$m" --against "$m" --image "$picture" --tokens 5000
refuses "a picture too large" 2 "--size: 8192 is out of range, 64 to 4096$help" "$m" --against "$m" --image "$picture" --size 8192
refuses "a missing model" 3 "\"$dir/none\": No such file or directory" "$dir/none"
refuses "a missing source" 3 "\"$dir/none\": No such file or directory" "$m" --against "$dir/none" --image "$picture"
refuses "a missing recording" 3 "\"$dir/none\": No such file or directory" "$m" --against-activations "$dir/none"
printf 'nothing' >"$dir/short"
refuses "a recording that is none" 1 "\"$dir/short\" is not a safetensors file" "$m" --against-activations "$dir/short"
"$FVLM" verify "$m" >/dev/full 2>"$dir/err"; rc=$?
same "a full standard output is an error" "$rc $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
