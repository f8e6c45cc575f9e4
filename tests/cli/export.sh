#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: `fvlm export` writes what its report says, the same bytes with any number of threads; converting the result gives
# the model back; what cannot be exported, or must not be replaced, is refused in one exact line and nothing is touched;
# killed at any moment it leaves the old folder or file, the new one, or none.
. tests/support/tap.sh export
picture=$tiny/heldout/000.png
m=$dir/m.fvlm q=$dir/q.fvlm tower=$dir/tower.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q && "$FVLM" quant "$m" --type int4 -o "$q" -q || give_up "models for export"
"$BUILD/tests/tools/tower" "$m" "$tower" projector || give_up "a tower"

# --- what is written ---
"$FVLM" export "$q" --to safetensors -o "$dir/st" --threads 1 >"$dir/out"; ok "safetensors" $?
same "its report" "$(sed -E 's/in [0-9.]+ s, peak memory .*/in T/; s/[0-9]+ rounded.*/R/; s/, [0-9.]+ [kM]?B$//; s/, [0-9.]+ [kM]?B([,;])/\1/' <"$dir/out")" \
    "wrote     $dir/st: 172 tensors, 9 files, in T
F16       19 tensors
F32       116 tensors; R
I64       6 tensors
BF16      31 tensors
note      54 quantized weights dequantized: the values are those that fvlm computes with
note      Apple's code is not in the folder: install apple/ml-fastvlm to load it
note      the CLIP head, which convert drops, is not in the folder"
same "its files" "$(ls "$dir/st" | tr '\n' ' ')" "added_tokens.json config.json generation_config.json merges.txt model.safetensors \
preprocessor_config.json tokenizer.json tokenizer_config.json vocab.json "
"$FVLM" export "$q" --to safetensors -o "$dir/st3/" --threads 3 -q && diff -r "$dir/st" "$dir/st3"; ok "the same bytes with 3 threads" $?
"$FVLM" export "$q" --to gguf -o "$dir/q.gguf" --threads 1 -q && "$FVLM" export "$q" --to gguf -o "$dir/q3.gguf" --threads 3 -q &&
    cmp "$dir/q.gguf" "$dir/q3.gguf"; ok "gguf: the same" $?
"$FVLM" export "$m" --to safetensors -o "$dir/shards" --shard-size 1MB --json >"$dir/json"; ok "in shards" $?
n=$(ls "$dir/shards" | grep -c '^model-0000[0-9]-of-00007.safetensors$')
same "7 of them" "$n" 7
[ "$(wc -c <"$dir/shards/model-00002-of-00007.safetensors")" -lt 1050000 ]; ok "of at most 1 MB and a header" $?
"$FVLM" export "$m" --to gguf -o "$dir/x" --dry-run >"$dir/out" && [ ! -e "$dir/x" ] && grep -q '^plan  *50 tensors' "$dir/out"
ok "--dry-run writes nothing" $?
"$FVLM" export "$m" --to safetensors -o "$dir/json" 2>/dev/null; [ $? = 1 ]; ok "a file is no folder" $?
same "--json, -v" "$("$FVLM" export "$m" --to gguf -o "$dir/v.gguf" --json -v | grep -c '"name": "blk\.')" 48
same "-q" "$("$FVLM" export "$m" --to gguf -o "$dir/v.gguf" --force -q 2>&1)" ""

# --- and back: the names that export writes are those that convert knows ---
for from in st-float shards transformers bf16; do
    case $from in
    st-float) "$FVLM" export "$m" --to safetensors -o "$dir/$from" -q; type=() of=$m ;;
    shards) type=() of=$m ;;
    transformers) "$FVLM" export "$m" --to safetensors --naming transformers -o "$dir/$from" -q; type=() of=$m ;;
    bf16) type=(--type bf16) of=$dir/bf16.fvlm
        "$FVLM" convert "$tiny/unfused" --type bf16 -o "$of" -q && "$FVLM" export "$of" --to safetensors -o "$dir/bf16" -q ;;
    esac
    "$FVLM" convert "$dir/$from" "${type[@]}" -o "$dir/back.fvlm" -q --force; ok "convert takes the export ($from)" $?
    "$FVLM" info "$of" --json --tensors >"$dir/a" && "$FVLM" info "$dir/back.fvlm" --json --tensors >"$dir/b"
    python=$(diff <(grep -A12 '"name"' "$dir/a" | grep -E '"(name|xxh3_128|hash)"') \
        <(grep -A12 '"name"' "$dir/b" | grep -E '"(name|xxh3_128|hash)"') | grep -c '^<')
    [ "$python" -le 4 ]; ok "all tensors but the biases of two attention layers are the same ($from: $python differ)" $?
    same "answers are the same ($from)" \
        "$("$FVLM" run "$dir/back.fvlm" "$picture" "How many shapes are there?" -q)" "$("$FVLM" run "$of" "$picture" "How many shapes are there?" -q)"
done

# --- refusals ---
usage="; try 'fvlm export --help'"
touch "$dir/file"
mkdir "$dir/mine" "$dir/empty" "$dir/sub"
echo 'do not lose me' >"$dir/mine/notes.txt"
cp "$dir/st/config.json" "$dir/mine/"
cp -r "$dir/st" "$dir/deep" && mkdir "$dir/deep/photos" && cp "$picture" "$dir/deep/photos/"
cp "$m" "$dir/sub/m.fvlm"
before=$(cd "$dir" && find . -type f | grep -v -e refused.out | LC_ALL=C sort | xargs -d '\n' cksum)
refuses 2 "expected MODEL.fvlm, got 0 arguments$usage"
refuses 2 "no format; give --to safetensors|onnx|gguf" "$m"
refuses 2 "--to: \"zip\" is not safetensors, onnx or gguf$usage" "$m" --to zip -o x
refuses 2 "no output file; give -o FILE, or --dry-run to see the plan" "$m" --to gguf
refuses 2 "--naming: \"keras\" is not apple or transformers$usage" "$m" --to safetensors --naming keras -o x
refuses 2 "--naming is an option of --to safetensors; leave it out" "$m" --to gguf --naming apple -o "$dir/x"
refuses 2 "--shard-size is an option of --to safetensors; leave it out" "$m" --to gguf --shard-size 1GB -o "$dir/x"
refuses 2 "--shard-size: \"many\" is not a size such as 500MB or 5GB" "$m" --to safetensors --shard-size many -o "$dir/x"
refuses 2 "--shard-size: 0MB is out of range, 1 to 1000 TB" "$m" --to safetensors --shard-size 0MB -o "$dir/x"
refuses 2 "--type: \"int4\" is not f32, bf16 or f16$usage" "$m" --to safetensors --type int4 -o "$dir/x"
refuses 3 "\"$dir/none.fvlm\": No such file or directory" "$dir/none.fvlm" --to gguf -o "$dir/x"
refuses 1 "\"$dir/tower.fvlm\" has no language model, which is all that a GGUF file holds; use --to safetensors" "$tower" --to gguf -o "$dir/x"
refuses 1 "\"$dir/tower.fvlm\" has no language model; a safetensors folder of Apple's code needs one" "$tower" --to safetensors -o "$dir/x"
refuses 1 "\"$dir/st\" exists and is not empty; --force replaces it" "$m" --to safetensors -o "$dir/st"
refuses 1 "\"$dir/q.gguf\" exists; --force replaces it" "$m" --to gguf -o "$dir/q.gguf"
refuses 1 "\"$dir/file\" exists and is not a folder" "$m" --to safetensors -o "$dir/file"
refuses 1 "\"$dir/st\" is a folder; give the name of a file in it" "$m" --to gguf -o "$dir/st"
refuses 1 "\"$dir/mine\" holds \"notes.txt\", which no export writes; it is not replaced, not even with --force" \
    "$m" --to safetensors -o "$dir/mine" --force
refuses 1 "\"$dir/deep\" holds \"photos/000.png\", which no export writes; it is not replaced, not even with --force" \
    "$m" --to safetensors -o "$dir/deep" --force
refuses "the model's own folder" 1 "\"$dir/sub\" holds \"m.fvlm\", which no export writes; it is not replaced, not even with --force" \
    "$dir/sub/m.fvlm" --to safetensors -o "$dir/sub" --force
refuses "the model itself" 1 "\"$dir/m.fvlm\" is the input itself; write to another name" "$m" --to gguf -o "$m" --force
refuses "the model itself, as a folder" 1 "\"$dir/m.fvlm\" is the input itself; write to another name" "$m" --to safetensors -o "$m" --force
refuses 1 "\".\": give the name of a new folder" "$m" --to safetensors -o .
refuses 3 "\"$dir/none/x\": cannot open its folder: No such file or directory" "$m" --to safetensors -o "$dir/none/x"
refuses 3 "\"$dir/m.fvlm/x\": cannot open its folder: Not a directory" "$m" --to safetensors -o "$m/x"
"$BUILD/tests/tools/plant" "$m" "$dir/nan.fvlm" llm.layer1.ffn.up.weight 5 nan || give_up "a model with NaN"
refuses 1 "tensor \"llm.layer1.ffn.up.weight\": row 5, input 0 is NaN" "$dir/nan.fvlm" --to safetensors -o "$dir/x"
refuses 1 "tensor \"llm.layer1.ffn.up.weight\": row 5, input 0 is NaN" "$dir/nan.fvlm" --to gguf -o "$dir/x"
"$BUILD/tests/tools/plant" "$m" "$dir/big.fvlm" llm.layer1.ffn.up.weight 5 1e6 || give_up "a model with a large weight"
refuses 1 "tensor \"llm.layer1.ffn.up.weight\": row 5 has a value that f16 cannot hold; use --type bf16 or f32" \
    "$dir/big.fvlm" --to gguf --type f16 -o "$dir/x"
cp "$m" "$dir/flip.fvlm" && printf '\1' | dd of="$dir/flip.fvlm" bs=1 seek=1000000 conv=notrunc status=none
"$FVLM" export "$dir/flip.fvlm" --to safetensors -o "$dir/x" 2>"$dir/err"; [ $? = 1 ] && grep -q 'checksum\|hash\|differ\|damaged' "$dir/err"
ok "a flipped bit" $?
got=$(ulimit -f 500; "$FVLM" export "$m" --to safetensors -o "$dir/x" 2>&1)
same "no space: a limit of the file's size" "${got//"$dir/"/}" 'fvlm: "x/model.safetensors": cannot reserve its space: File too large'
rm -f "$dir/nan.fvlm" "$dir/big.fvlm" "$dir/flip.fvlm" "$dir/err"
after=$(cd "$dir" && find . -type f | grep -v -e refused.out | LC_ALL=C sort | xargs -d '\n' cksum)
same "after all of them every file is what it was" "$after" "$before"
[ ! -e "$dir/x" ]; ok "and nothing new is there" $?
"$FVLM" export "$m" --to safetensors -o "$dir/empty" -q && [ -s "$dir/empty/config.json" ]; ok "an empty folder is used" $?
"$FVLM" export "$m" --to safetensors -o "$dir/st" --force -q && diff -r "$dir/st" "$dir/st-float"; ok "--force replaces an export" $?

# --- kill ---
mkdir "$dir/kill"
target=$dir/kill/st
took=9999999999
for _ in 1 2 3; do
    began=$(date +%s%N)
    "$FVLM" export "$m" --to safetensors -o "$dir/time" --force -q
    now=$(($(date +%s%N) - began))
    [ $now -ge $took ] || took=$now
done
whole() { diff -rq "$target" "$dir/st-float" >/dev/null 2>&1 || diff -rq "$target" "$dir/st3" >/dev/null 2>&1; }
nap() { sleep "$(printf '%d.%09d' $(($1 / 1000000000)) $(($1 % 1000000000)))"; }
torn=0 killed=0
for i in $(seq 1 40); do
    if [ $((i % 2)) = 0 ]; then rm -rf "$target"; cp -r "$dir/st3" "$target"; else rm -rf "$target"; fi
    "$FVLM" export "$m" --to safetensors -o "$target" --force -q 2>/dev/null &
    pid=$!
    nap $((took * i / 38))
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null; [ $? = 137 ] && killed=$((killed + 1))
    if [ -e "$target" ]; then whole || torn=$((torn + 1)); elif [ $((i % 2)) = 0 ]; then torn=$((torn + 1)); fi
done
same "40 SIGKILLs, $killed in time: torn folders" $torn 0
[ $killed -ge 8 ]; ok "at least 8 of the 40 came in time" $?
"$FVLM" export "$m" --to safetensors -o "$target" --force -q
same "the next run removes what they left" "$(ls -A "$dir/kill")" st
for sig in INT TERM; do
    bad=0 caught=0 number=$([ $sig = INT ] && echo 130 || echo 143)
    for i in $(seq 1 12); do
        rm -rf "$target" && cp -r "$dir/st3" "$target"
        env --default-signal=$sig "$FVLM" export "$m" --to safetensors -o "$target" --force -q 2>/dev/null &
        pid=$!
        nap $((took * i / 13))
        kill -$sig $pid 2>/dev/null
        wait $pid 2>/dev/null; rc=$?
        if [ $rc = $number ]; then caught=$((caught + 1)); elif [ $rc != 0 ]; then bad=$((bad + 1)); fi
        whole || bad=$((bad + 1))
        [ "$(ls -A "$dir/kill")" = st ] || bad=$((bad + 1))
    done
    same "12 SIG$sig, $caught in time: ends that leave anything but the old or new folder" $bad 0
done
