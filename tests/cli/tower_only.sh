#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: a file that holds the vision part alone works with every command: info, run (the picture's embedding), bench
# and quant; what needs a language model is refused in one exact line; the embedding has the same bits as that of the
# whole model.
. tests/support/tap.sh tower_only
picture=$tiny/heldout/000.png
m=$dir/tiny.fvlm t=$dir/tower.fvlm p=$dir/projector.fvlm
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert for tower_only"
"$BUILD/tests/tools/tower" "$m" "$t" || give_up "tower"
"$BUILD/tests/tools/tower" "$m" "$p" projector || give_up "tower with projector"

refused() { # NAME EXIT MESSAGE COMMAND...
    local name=$1 want=$2 message=$3
    shift 3
    "$@" >"$dir/out" 2>"$dir/err"
    same "$name: exit code" "$?" "$want"
    same "$name" "$(cat "$dir/err")" "fvlm: $message"
    [ ! -s "$dir/out" ]; ok "$name: prints nothing else" $?
}

# --- info ---
same "info of a tower" "$("$FVLM" info "$t" | grep -E '^(projector|llm|tokenizer|prompt) +[a-z]' | sed 's/  */ /')" \
    "projector none
llm none: pictures are encoded, questions not answered"
same "info of a tower with projector" "$("$FVLM" info "$p" | grep -cE '^projector +512 - 128 - 128$')" 1
"$FVLM" info "$t" --json >"$dir/json" && ! grep -qE '"(llm|eos|prompt|projector)"' "$dir/json"; ok "info --json has no missing part" $?

# --- run ---
"$FVLM" run "$t" "$picture" >"$dir/out" 2>"$dir/err"; ok "run prints the embedding" $?
same "its shape" "$(head -1 "$dir/out")" "$picture: 16 x 512, one row for each of 4 x 4 image tokens"
same "the cost goes to stderr" "$(awk 'NF { print $1 }' "$dir/err" | tr '\n' ' ')" "open image vision memory with "
"$FVLM" run "$p" "$picture" -q -o "$dir/p.npy" 2>"$dir/err"; ok "run -o with projector" $?
[ ! -s "$dir/err" ]; ok "-q tells nothing" $?
"$FVLM" run "$p" "$picture" --force -o "$dir/p.npy" >"$dir/out" 2>"$dir/err"
same "without it the file and its shape are told" "$(head -1 "$dir/err")" "wrote      $dir/p.npy: 16 x 128, f32"
[ ! -s "$dir/out" ]; ok "on stderr alone" $?
"$FVLM" run "$m" "$picture" --embedding -q -o "$dir/m.npy"; ok "run --embedding -o of the whole model" $?
cmp -s "$dir/p.npy" "$dir/m.npy"; ok "both embeddings have the same bits" $?
same ".npy: header and 16 x 128 f32" "$(wc -c <"$dir/p.npy")" $((128 + 16 * 128 * 4))
"$FVLM" run "$t" "$picture" -q --threads 1 --cpu scalar -o "$dir/t1.npy" && "$FVLM" run "$t" "$picture" -q -o "$dir/t.npy" &&
    cmp -s "$dir/t1.npy" "$dir/t.npy"; ok "the same bits on scalar kernels and one thread" $?
# The first row as text is that of the .npy file.
od -A n -t f4 -j 128 -N 32 -w32 "$dir/t.npy" | awk '{ for (i = 1; i <= 8; i++) printf "%.5g ", $i }' >"$dir/row"
same "rows are those of the file" "$("$FVLM" run "$t" "$picture" -q | awk '/^row 0/ { for (i = 3; i <= 10; i++) printf "%.5g ", $i }')" \
    "$(cat "$dir/row")"
"$FVLM" run "$t" "$picture" --json >"$dir/json"; ok "run --json" $?
same "--json has every number" "$(grep -cE '^ {6}-?[0-9]' "$dir/json")" $((16 * 512))
"$FVLM" run "$t" "$picture" --json -o "$dir/j.npy" >"$dir/json" && cmp -s "$dir/j.npy" "$dir/t.npy" &&
    grep -q "\"output\": \"$dir/j.npy\"" "$dir/json" && tr -d ' \n' <"$dir/json" | grep -q '"shape":\[16,512\]' && ! grep -q '"embedding"' "$dir/json"
ok "--json -o names the file instead" $?

refused "a prompt" 1 "\"$t\" has no language model; leave out the prompt to get the image's embedding" \
    "$FVLM" run "$t" "$picture" "What is this?"
refused "a whole model without a prompt" 2 \
    "no PROMPT; give one, or --embedding for the image's embedding" "$FVLM" run "$m" "$picture"
refused "--embedding with a prompt" 2 "--embedding asks no question; leave out PROMPT" \
    "$FVLM" run "$m" "$picture" "What?" --embedding
refused "-o with a prompt" 2 "--output and --force are for an embedding; leave out PROMPT" \
    "$FVLM" run "$m" "$picture" "What?" -o "$dir/x.npy"
refused "options of an answer" 2 \
    "--max-tokens, --temperature, --top-p, --seed and --tokens-only need a PROMPT" \
    "$FVLM" run "$t" "$picture" --seed 3
refused "no image" 2 "without a PROMPT there must be an image; \"none\" has no embedding" \
    "$FVLM" run "$t" none
refused "an output that exists" 1 "\"$dir/t.npy\" exists; --force replaces it" \
    "$FVLM" run "$t" "$picture" -q -o "$dir/t.npy"
refused "the model as output" 1 "\"$t\" is the input itself; write to another name" \
    "$FVLM" run "$t" "$picture" -q -o "$t" --force
refused "a side that does not fit" 2 "image side 100: should be a multiple of 64" \
    "$FVLM" run "$t" "$picture" --size 100

# --- bench ---
"$FVLM" bench "$t" --runs 1 >"$dir/out"; ok "bench of a tower" $?
same "bench: only the tower" "$(grep -E ' ms ' "$dir/out" | awk '{ print $1 }')" "vision"
same "bench with a picture and a projector" \
    "$("$FVLM" bench "$p" --runs 1 --image "$picture" | grep -E ' ms' | awk '{ print $1 }' | tr '\n' ' ')" "image vision projector "
"$FVLM" bench "$p" --runs 1 --json >"$dir/json" && ! grep -qE 'prefill|decode|ttft' "$dir/json"; ok "bench --json has no missing part" $?
refused "bench --text" 2 "--prompt and --text: \"$t\" has no language model; leave them out" "$FVLM" bench "$t" --text 4

# --- quant ---
"$FVLM" quant "$p" --type int4 --set 'vision.final.*=f32' -o "$dir/int4.fvlm" -q; ok "quant of a tower with projector" $?
"$FVLM" verify "$dir/int4.fvlm" -q; ok "the result verifies" $?
same "downsampling and projector stay at 8 bits" \
    "$("$FVLM" info "$dir/int4.fvlm" --tensors | awk '/downsample.pw.weight|projector.0.weight/ { print $2 }' | sort -u)" int8-sym-g64
"$FVLM" run "$dir/int4.fvlm" "$picture" -q -o "$dir/int4.npy"; ok "and runs" $?

# --- verify ---
"$FVLM" verify "$dir/int4.fvlm" "$p" --image "$picture" >"$dir/out" 2>"$dir/err"; ok "verify grades the embedding" $?
grep -qE '^embedding \(projector\), 256 rows: relative error 0\.[0-9]+; cosine of a row: mean 0\.9' "$dir/out"; ok "its figures" $?
grep -qE '^grade: indistinguishable \(relative error up to 0.08: indistinguishable, 0.2: close, 0.6: visibly worse\)' "$dir/out"
ok "its grade and the limits" $?
! grep -qE 'differ in use|KL|token' "$dir/out"; ok "nothing about tokens" $?
"$FVLM" verify "$dir/int4.fvlm" "$p" --image "$picture" --json >"$dir/json"; ok "verify --json" $?
same "--json: an embedding and no predictions" "$(grep -oE '"(embedding|predictions|cosine_lowest)"' "$dir/json" | sort | uniq -c | tr -d '\n')" \
    '      2 "cosine_lowest"      2 "embedding"'
refused "verify with a model of another kind" 1 "\"$t\" and \"$m\" are not the same model: llm is in only one of them" \
    "$FVLM" verify "$t" "$m" -q
refused "--max-kl" 2 "--prompt, --tokens, --max-kl and --min-agree: \"$t\" has no language model; its embeddings are judged (--max-error)" \
    "$FVLM" verify "$t" "$p" --image "$picture" --max-kl 1
refused "--max-error of a whole model" 2 "--max-error: predictions are compared here; --max-kl and --min-agree limit those" \
    "$FVLM" verify "$m" "$tiny/unfused" --image "$picture" --max-error 1 -q
