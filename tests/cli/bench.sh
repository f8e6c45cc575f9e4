#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: `fvlm bench` prints figures for every combination asked for; time to first token is that of `fvlm run`, from the
# picture's bytes on; percentiles appear when there are runs enough; what cannot be run is refused before anything is timed.
. tests/support/tap.sh bench
m=$dir/tiny.fvlm picture=$tiny/demo.png
"$FVLM" convert "$tiny/unfused" -o "$m" -q || give_up "convert for bench"

# figures OBJECT FILE: "name value" of every number in that object of a JSON report
figures() { sed -n "/\"$1\": {/,/}/s/^ *\"\([a-z_]*\)\": \([0-9.e+-]*\),*$/\1 \2/p" "$2"; }
# holds PROGRAM FIGURES: an awk condition over x["name"]
holds() { awk "{ x[\$1] = \$2 } END { exit !($1) }" <<<"$2"; }

"$FVLM" bench "$m" --threads 1,2 --size 64,128 --act both --runs 1 >"$dir/out" 2>"$dir/err"
ok "succeeds" $?
same "a heading for every combination" "$(grep -cE '^(f32|int8) activations, [12] threads?, (64 x 64|128 x 128) pixels, ' "$dir/out")" 8
same "times for every combination" "$(grep -cE '^(vision|projector|prefill|decode) +[0-9.]+ ms +[0-9.]+ ms' "$dir/out")" 32
same "one run is told as one" "$(grep -c '; 1 run after one to warm up$' "$dir/out")" 1
same "random pixels give no time to first token" "$(grep -cE '^(TTFT|image)' "$dir/out")" 0

"$FVLM" bench "$m" --size 64 --runs 100 --threads 1 --image "$picture" --json >"$dir/json"
ok "--image --json succeeds" $?
missing=
for key in cpu threads activations size image_tokens positions runs image prompt seconds seconds_min seconds_p90 seconds_p99 \
    decode_tokens_per_second decode_bytes_per_second peak_macs_per_second vision_of_peak prefill_of_peak activation_bytes; do
    grep -q "^    \"$key\":" "$dir/json" || missing="$missing $key"
done
same "--json has every key" "$missing" ""
for quantile in seconds seconds_min seconds_p90 seconds_p99; do
    same "$quantile has every part" "$(figures $quantile "$dir/json" | cut -d' ' -f1 | paste -sd' ')" \
        "image vision projector prefill ttft decode_token"
done
for part in image vision projector prefill ttft decode_token; do
    values=$(for q in seconds_min seconds seconds_p90 seconds_p99; do figures $q "$dir/json" | sed -n "s/^$part /$q /p"; done)
    holds 'x["seconds_min"] > 0 && x["seconds_min"] <= x["seconds"] && x["seconds"] <= x["seconds_p90"] && x["seconds_p90"] <= x["seconds_p99"]' "$values"
    ok "percentiles of $part are in order" $?
done
# Each run's time is at least the sum of its parts, so the least one is at least the sum of the parts' least.
parts='x["ttft"] >= x["image"] + x["vision"] + x["projector"] + x["prefill"] && x["image"] > 0'
holds "$parts" "$(figures seconds_min "$dir/json")"
ok "time to first token covers decoding, vision, projector and prefill" $?
"$FVLM" run "$m" "$picture" "Describe the picture." --size 64 --threads 1 --json >"$dir/run"
holds "$parts" "$(figures seconds "$dir/run")"
ok "so does that of run" $?
same "bench and run time the same positions" "$(sed -n 's/^ *"positions": \([0-9]*\),/\1/p' "$dir/json")" \
    "$(figures tokens "$dir/run" | awk '/^(prompt|image)/ { n += $2 } END { print n }')"

"$FVLM" bench "$m" --size 64 --runs 9 --threads 1 --image "$picture" >"$dir/nine"
"$FVLM" bench "$m" --size 64 --runs 10 --threads 1 --image "$picture" >"$dir/ten"
same "columns with 9 and with 10 runs" "$(grep -hE '^ +min' "$dir/nine" "$dir/ten" | tr -s ' ')" " min median
 min median 90 %"

refuses 2 "expected MODEL.fvlm, got 0 arguments; try 'fvlm bench --help'"
refuses 2 "--threads: \"1,x\" is not a list of whole numbers such as 1,2; try 'fvlm bench --help'" "$m" --threads 1,x
refuses 2 "--threads: \"1,\" is not a list of whole numbers such as 1,2; try 'fvlm bench --help'" "$m" --threads 1,
refuses 2 "--size: 0 is out of range, 64 to 4096; try 'fvlm bench --help'" "$m" --size 0
refuses 2 "--runs: 0 is out of range, 1 to 1000; try 'fvlm bench --help'" "$m" --runs 0
refuses 2 "--text: 0 is out of range, 1 to 8192; try 'fvlm bench --help'" "$m" --text 0
refuses 2 "--prompt needs --image FILE; without a picture, --text N sets the prompt's length" "$m" --prompt x
refuses 2 "with --image the prompt has the length of --prompt; leave out --text" "$m" --image "$picture" --text 3
refuses 2 "--image -: every run reads the picture again; give a file" "$m" --image -
refuses 2 "image side 100: should be a multiple of 64" "$m" --size 64,100
refuses 1 "at 4096 pixels a side, image and prompt take 4120 positions and the answer 16; the context holds 2048" "$m" --size 64,4096
refuses 3 "\"$dir/none.png\": No such file or directory" "$m" --size 64 --image "$dir/none.png"
[ -z "$("$FVLM" bench "$m" --size 64 --runs 1 --threads 1 -q 2>&1)" ]; ok "-q prints nothing" $?
"$FVLM" bench "$m" --size 64 --runs 1 --threads 9999 --json | grep -q "\"threads\": $(nproc),"; ok "too many threads are capped" $?
"$FVLM" bench "$m" --size 64 --runs 1 --threads 1 >/dev/full 2>"$dir/err"
same "a full disk is told by its name" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"
