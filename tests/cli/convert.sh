#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm convert` says what it will do (--dry-run), does it, says what it did, as text and as JSON; a script can
# rely on its exit codes, on -q, and on one line a fault. Exact texts.
. tests/support/tap.sh convert
make_checkpoint=$BUILD/tests/tools/checkpoint
ck=$dir/FastVLM
mkdir "$ck"
"$make_checkpoint" "$ck" train bf16 >/dev/null 2>&1 || give_up "no checkpoint to convert"


# --- help ---
"$FVLM" convert --help >"$dir/help" 2>"$dir/err"
ok "--help exits 0" $?
[ ! -s "$dir/err" ] && [ "$(wc -l <"$dir/help")" -le 24 ]; ok "--help goes to stdout, in 24 lines" $?
[ "$(sed -n '/^examples:/,$p' "$dir/help" | grep -c 'fvlm convert')" = 2 ]; ok "--help ends with two examples" $?

# --- the plan ---
"$FVLM" convert "$ck" --dry-run >"$dir/plan" 2>"$dir/err"
ok "--dry-run exits 0" $?
[ ! -s "$dir/err" ]; ok "--dry-run prints nothing to stderr" $?
same "--dry-run prints the table" "$(cat "$dir/plan")" "\
part             type   tensors  fused    parameters      size
tower stem       f32          6      6           880   3.52 kB
tower downsample f32          8      8         10016   40.1 kB
tower position   f32          2      2          1600   6.40 kB
tower mixer      f32          6      6           640   2.56 kB
tower attention  f32          4      4         16640   66.6 kB
tower ffn        f32         16     16         29056    116 kB
tower ffn        bf16         8      -         23040   46.1 kB
tower final      f32          2      2          1280   5.12 kB
tower SE         bf16         4      -          2184   6.42 kB
projector        bf16         4      -          5184   10.4 kB
embedding        bf16         1      -          9920   20.5 kB
llm attention    bf16        14      -          6272   12.5 kB
llm ffn          bf16         6      -          9216   18.4 kB
llm norms        bf16         5      -           160     320 B
total                        86     44        116088    355 kB
dropped   1 tensor: head tied by config.json (20.5 kB)
dropped   31 tensors: BatchNorm counters (248 B)
dropped   1 tensor: CLIP head, which the language model never sees (6.14 kB)
dropped   10 unreachable embedding rows
prompt    qwen_2, Apple's for llava_qwen2"
[ "$(ls "$dir")" = "$(printf 'FastVLM\nerr\nhelp\nplan')" ]; ok "--dry-run writes nothing" $?
"$FVLM" convert "$ck" --type bf16 --dry-run | awk '$2 == "f32" || $3 == "f32" { bad = 1 } END { exit bad }'
ok "--type bf16 leaves no f32 in the plan" $?

# --- the work ---
"$FVLM" convert "$ck" -o "$dir/a.fvlm" >"$dir/out" 2>"$dir/err"
ok "a conversion exits 0" $?
[ ! -s "$dir/err" ]; ok "it prints nothing to stderr when that is no terminal" $?
same "it says what it wrote" "$(sed -E '1s/, in .*//' "$dir/out" | head -1)" \
    "wrote     $dir/a.fvlm: 86 tensors, $(stat -c %s "$dir/a.fvlm" | awk '{ printf "%d kB", ($1 + 500) / 1000 }')"
sed -n 2p "$dir/out" | grep -qE '^fused     22 modules; fused and unfused differ by at most [0-9.]+e-1[3-9] in f64 \(vision\.'
ok "it says what it fused, and how exactly" $?
"$FVLM" verify "$dir/a.fvlm" >/dev/null; ok "verify accepts the file" $?
"$FVLM" convert "$ck" -o "$dir/b.fvlm" -q --threads 1 >"$dir/out" 2>"$dir/err"
ok "-q, --threads" $?
[ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]; ok "-q prints nothing" $?
cmp -s "$dir/a.fvlm" "$dir/b.fvlm"; ok "same bytes with one thread" $?
(cd "$ck" && TZ=Asia/Tokyo LC_ALL=de_DE.UTF-8 "$FVLM" convert . -o ../c.fvlm -q); cmp -s "$dir/a.fvlm" "$dir/c.fvlm"
ok "same bytes from another folder, time zone and locale" $?
"$FVLM" convert "$ck" -o "$dir/d.fvlm" -v | grep -qE '^vision\.stage0\.block0\.mixer\.weight +11 sources: batch norm folded, 4 branches summed, layer scale folded, identity added, stored as f32 \(error [0-9.]+e-[0-9]+\)$'
ok "-v lists each tensor's steps and error" $?
umask 027
"$FVLM" convert "$ck" -o "$dir/e.fvlm" -q && [ "$(stat -c %a "$dir/e.fvlm")" = 640 ]; ok "the file's mode follows umask" $?

# --- JSON ---
"$FVLM" convert "$ck" -o "$dir/f.fvlm" --json >"$dir/json" 2>"$dir/err"
ok "--json exits 0" $?
missing=
for key in type written tensors fused_modules tensor_bytes parts dropped warnings sources xxh3_128 config worst_error \
    worst_module seconds peak_anonymous_bytes file file_bytes embedding_rows_dropped; do
    grep -q "\"$key\":" "$dir/json" || missing="$missing $key"
done
same "--json holds every figure" "$missing" ""
"$FVLM" convert "$ck" --dry-run --json | grep -q '"written": false'; ok "--dry-run --json" $?

# --- the same model in shards, and with a head of its own ---
mkdir "$dir/other"
"$make_checkpoint" "$dir/other" train bf16 set lm_head.weight 7 3 >/dev/null 2>&1
"$FVLM" convert "$dir/other" -o "$dir/g.fvlm" --head tied >"$dir/out" 2>"$dir/err"
same "a head that is not the embedding, left out by --head tied, is a warning" "$(cat "$dir/err")" \
    "fvlm: warning: the checkpoint contradicts itself about its head; the embedding is used, because of --head tied"
"$FVLM" convert "$dir/other" -o "$dir/g.fvlm" --head tied -q --force 2>"$dir/err"; [ ! -s "$dir/err" ]; ok "-q silences warnings" $?
sed -i 's/"tie_word_embeddings": true/"tie_word_embeddings": false/' "$dir/other/config.json"
"$FVLM" convert "$dir/other" --dry-run | grep -qE '^llm head +bf16 +1 +- +9920 '; ok "untied: the head is kept" $?
