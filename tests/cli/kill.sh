#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: at whatever moment a command is killed, its target is the old file or folder, the new one, or absent; SIGKILL
# leaves at most one stray file, INT and TERM leave none. Here for convert of checkpoints packed by MLX, GPTQ or AWQ, in
# another program's names, and with the tower of a second folder; for export; and for the embedding of a picture in tiles.
# KILLS: moments of each signal (2). In /dev/shm unless TMPDIR is set, since waiting for a disk takes minutes.
[ -w /dev/shm ] && export TMPDIR=${TMPDIR:-/dev/shm}
. tests/support/tap.sh kill
kills=${KILLS:-2}
make=$BUILD/tests/tools/checkpoint
up=model.layers.0.mlp.up_proj q=model.layers.1.self_attn.q_proj
mkdir "$dir/mlx" "$dir/gptq" "$dir/awq" "$dir/names" "$dir/llm" "$dir/out"
small() { cp "$dir/mlx/vocab.json" "$dir/mlx/merges.txt" "$dir/mlx/added_tokens.json" "$dir/mlx/generation_config.json" "$1"; }
"$make" "$dir/mlx" train bf16 pack $up 4 pack $q 4 pack model.embed_tokens 4 pack lm_head 4 config '{' \
    '{"quantization": {"bits": 4, "group_size": 32}, ' >"$dir/made" 2>&1 || give_up "a checkpoint packed by MLX"
for m in gptq awq; do
    "$make" "$dir/$m" train bf16 columns $up $m columns $q $m config '{' \
        "{\"quantization_config\": {\"quant_method\": \"$m\", \"bits\": 4, \"group_size\": 32}, " >"$dir/made" 2>&1 ||
        give_up "a checkpoint packed by $m"
done
"$BUILD/tests/tools/dialect" "$dir/gptq" "$dir/names" mlx-vlm && "$BUILD/tests/tools/dialect" "$dir/mlx" "$dir/llm" apple-mlx ||
    give_up "other names"
small "$dir/names"
small "$dir/llm"
"$FVLM" convert "$tiny/fused" -o "$dir/tiny.fvlm" -q || give_up "convert"

# A command writes the target: its last argument. old: with other options, so with other contents.
same_contents() { diff -rq "$1" "$2" >/dev/null 2>&1; }
is_old_or_new() { same_contents "$target" "$dir/old" || same_contents "$target" "$dir/new"; }
# A new folder each time: what a killed run has left may still be in use.
put_old() {
    rm -rf "$out"
    out=$(mktemp -d "$dir/out/XXXXXX") target=$out/target
    [ "$1" = 0 ] || cp -r "$dir/old" "$target"
}

# campaign WHAT COMMAND... -- OTHER_OPTION...: COMMAND writes with -o TARGET --force.
campaign() {
    local what=$1 command=() took began now pid rc i sig torn=0 stray=0 killed=0 number
    shift
    while [ "$1" != -- ]; do command+=("$1"); shift; done
    shift
    rm -rf "$dir/old" "$dir/new"
    "${command[@]}" "$@" -q -o "$dir/old" --force && "${command[@]}" -q -o "$dir/new" --force || give_up "$what"
    same_contents "$dir/old" "$dir/new" && give_up "$what: other contents"
    took=9999999999
    for i in 1 2; do # nanoseconds of the quicker of two runs
        began=$(date +%s%N)
        "${command[@]}" -q -o "$dir/new" --force
        now=$(($(date +%s%N) - began))
        [ $now -ge $took ] || took=$now
    done
    for sig in KILL INT TERM; do
        number=$([ $sig = KILL ] && echo 137 || { [ $sig = INT ] && echo 130 || echo 143; })
        for i in $(seq 1 "$kills"); do
            put_old $((i % 2))
            # bash starts background jobs with INT ignored, and a program that found it ignored leaves it so
            env --default-signal=INT "${command[@]}" -q -o "$target" --force 2>/dev/null &
            pid=$!
            now=$((took * i / (kills + 1)))
            sleep "$(printf '%d.%09d' $((now / 1000000000)) $((now % 1000000000)))"
            kill -$sig $pid 2>/dev/null
            wait $pid 2>/dev/null; rc=$?
            case $rc in 0) ;; "$number") killed=$((killed + 1)) ;; *) torn=$((torn + 1)) ;; esac
            if [ -e "$target" ]; then is_old_or_new || torn=$((torn + 1)); elif [ $((i % 2)) = 1 ]; then torn=$((torn + 1)); fi
            [ "$(ls -A "$out" | grep -vc '^target$')" -le $([ $sig = KILL ] && echo 1 || echo 0) ] || stray=$((stray + 1))
        done
    done
    same "$what: of $((3 * kills)) signals $killed came in time; torn targets, stray files" "$torn $stray" "0 0"
    total=$((total + killed))
}
total=0 out=$dir/out/none target=
for i in $(seq 100); do # of the script's own: with tap.sh's trap, but without its program
    env true &
    kill -TERM $!
    wait $!
done 2>/dev/null
[ -d "$dir/out" ]; ok "children that are killed before they begin leave the script's folder alone" $?
for m in mlx gptq awq; do campaign "convert, packed by $m" "$FVLM" convert "$dir/$m" -- --quantized float; done
campaign "convert, packed by GPTQ, names of mlx-vlm" "$FVLM" convert "$dir/names" -- --quantized float
campaign "convert --vision" "$FVLM" convert "$dir/llm" --vision "$dir/names" -- --quantized float
campaign "export --to safetensors" "$FVLM" export "$dir/tiny.fvlm" --to safetensors -- --type f16
campaign "export --to onnx" "$FVLM" export "$dir/tiny.fvlm" --to onnx -- --type f16
campaign "export --to gguf" "$FVLM" export "$dir/tiny.fvlm" --to gguf -- --type f16
campaign "run --tiles --embedding -o" "$FVLM" run "$dir/tiny.fvlm" "$tiny/demo.png" --embedding --tiles 2x1 -- --size 128
[ $total -ge $kills ]; ok "at least $kills of all came in time" $?
