#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How long each command lives after INT, TERM or HUP at a random moment, with a full-size model, pictures of 48 megapixels
# and a tokenizer of a million merges. Prints median, 90th and 99th percentile and maximum in ms, how many took more than
# 200 ms, and how many runs left anything half-written (which must be none: the exit code says so).
#   tests/bench/signals.sh CHECKPOINT_FOLDER [MOMENTS (200)] [COMMAND...]
# FVLM, PYTHON (with Pillow) and SCRATCH (a folder for some 6 GB, kept) may be set.
set -u
checkpoint=$1 moments=${2:-200}
shift $(($# < 2 ? $# : 2))
fvlm=${FVLM:-build/fvlm} python=${PYTHON:-build/oracle-venv/bin/python}
[ -x "$python" ] || python=python3
scratch=${SCRATCH:-$(mktemp -d)}
[ -n "${SCRATCH:-}" ] || trap 'case $BASHPID in "$$") rm -rf "$scratch" ;; esac' EXIT # see tests/support/tap.sh
out=$scratch/out
mkdir -p "$out" "$scratch/merges"

# ---- inputs ----

[ -e "$scratch/m.fvlm" ] || "$fvlm" convert "$checkpoint" -o "$scratch/m.fvlm" -q || exit 1
[ -e "$scratch/int4.fvlm" ] || "$fvlm" quant "$scratch/m.fvlm" --type int4 -o "$scratch/int4.fvlm" -q || exit 1
[ -e "$scratch/photo.png" ] || "$python" - "$scratch" <<'END' || exit 1
import sys
from PIL import Image
noise = Image.effect_noise((8000, 6000), 90)
picture = Image.merge("RGB", [noise, noise.rotate(180), noise.transpose(0)])
picture.save(sys.argv[1] + "/photo.jpg", quality=95, progressive=True)
picture.save(sys.argv[1] + "/photo.png", compress_level=1)
END
# Every text of 1 to 16 letters a and b is a token; each way to divide one in two is a merge.
[ -e "$scratch/merges/config.json" ] || "$python" - "$scratch/merges" "$checkpoint" <<'END' || exit 1
import itertools, json, os, sys
here, checkpoint = sys.argv[1:]
vocab = json.load(open(checkpoint + "/vocab.json"))
bytes_ = [t for t in vocab if len(t) == 1]
words = [t for t in bytes_ if t not in "ab"]
merges = []
for n in range(1, 17):
    for letters in itertools.product("ab", repeat=n):
        text = "".join(letters)
        words.append(text)
        merges += [text[:i] + " " + text[i:] for i in range(1, n)]
json.dump({t: i for i, t in enumerate(words)}, open(here + "/vocab.json", "w"))
open(here + "/merges.txt", "w").write("#version: 0.2\n" + "\n".join(merges) + "\n")
for name in os.listdir(checkpoint):
    if name not in ("vocab.json", "merges.txt", "tokenizer.json", "config.json"):
        os.symlink(os.path.abspath(checkpoint + "/" + name), here + "/" + name)
os.symlink(os.path.abspath(checkpoint + "/config.json"), here + "/config.json")
print(len(words), "tokens,", len(merges), "merges")
END
[ -e "$scratch/merges.fvlm" ] || "$fvlm" convert "$scratch/merges" -o "$scratch/merges.fvlm" -q || exit 1

# ---- shots ----

late=0 torn=0
# once COMMAND...: a run that nothing disturbs; sets took, in microseconds.
once() {
    local began=${EPOCHREALTIME/./}
    "$fvlm" "$@" >/dev/null 2>&1
    took=$((${EPOCHREALTIME/./} - began))
    rm -f "$out"/* "$out"/.[!.]*
}

# shoot NAME COMMAND...: the distribution for one command.
shoot() {
    local name=$1 times=() bad=0 over=0 signal wait_us began pid rc finished=0
    shift
    once "$@"; once "$@"
    for ((i = 0; i < moments; i++)); do
        case $((i % 3)) in 0) signal=INT ;; 1) signal=TERM ;; 2) signal=HUP ;; esac
        wait_us=$(((RANDOM * 32768 + RANDOM) * took / 1073741824))
        TMPDIR=$out env --default-signal=$signal "$fvlm" "$@" >"$scratch/stdout" 2>"$scratch/stderr" &
        pid=$!
        sleep "$(printf '%d.%06d' $((wait_us / 1000000)) $((wait_us % 1000000)))"
        began=${EPOCHREALTIME/./}
        kill -$signal $pid 2>/dev/null
        wait $pid 2>/dev/null; rc=$?
        if [ $rc -ge 128 ]; then times+=($((${EPOCHREALTIME/./} - began))); else finished=$((finished + 1)); fi
        [ ${#times[@]} = 0 ] || [ $rc -lt 128 ] || [ "${times[-1]}" -le 200000 ] || over=$((over + 1))
        # What is there must be whole; hidden names and folders are leftovers.
        [ -z "$(find "$out" -mindepth 1 \( -name '.*' -o -type d \))" ] || bad=$((bad + 1))
        for f in "$out"/*.fvlm; do [ ! -e "$f" ] || "$fvlm" verify "$f" -q 2>/dev/null || bad=$((bad + 1)); done
        rm -rf "${out:?}"/* "$out"/.[!.]*
        # A child outlives the command while the kernel frees its deleted file: not part of the next shot's time.
        while pgrep -f "^$fvlm " >/dev/null; do sleep 0.01; done
    done
    late=$((late + over)) torn=$((torn + bad))
    printf '%s\n' "${times[@]}" | sort -n | awk -v name="$name" -v over=$over -v bad=$bad -v finished=$finished -v took=$took '
        { t[NR] = $1 / 1000 }
        function at(p) { return NR ? t[int(p * (NR - 1) + 1.5)] : 0 }
        END { printf "%-16s %7.1f s %5d %8.1f %8.1f %8.1f %8.1f %6d %9d %8d\n", name, took / 1e6, NR, at(0.5), at(0.9), at(0.99), at(1), over, finished, bad }'
}

commands=("$@")
wanted() { [ ${#commands[@]} = 0 ] || [[ " ${commands[*]} " == *" $1 "* ]]; }
printf '%-16s %9s %5s %8s %8s %8s %8s %6s %9s %8s\n' command takes shots median p90 p99 max ">200" finished leftover
m=$scratch/m.fvlm int4=$scratch/int4.fvlm
wanted convert && shoot convert convert "$checkpoint" -o "$out/c.fvlm" -q
wanted merges && shoot convert-merges convert "$scratch/merges" -o "$out/c.fvlm" -q
wanted quant && shoot quant quant "$m" --type int4 -o "$out/q.fvlm" -q
wanted verify && shoot verify verify "$int4" -q
wanted against && shoot verify-against verify "$m" --against "$checkpoint" -q # of weights
# With a picture: by 256 positions of pictures, minutes a shot, so only by name.
[[ " ${commands[*]} " != *" pictures "* ]] ||
    shoot verify-pictures verify "$int4" --against "$checkpoint" --image "$scratch/photo.jpg" --tokens 4 --act int8 -q
wanted run && shoot run-jpeg run "$int4" "$scratch/photo.jpg" "What is this?" --max-tokens 16 -q
wanted png && shoot run-png run "$int4" "$scratch/photo.png" "What is this?" --max-tokens 16 -q
wanted text && shoot run-merges run "$scratch/merges.fvlm" none "$(printf 'ab%.0s' {1..40})" --max-tokens 8 --no-check -q
wanted bench && shoot bench bench "$int4" --runs 1 -q
wanted info && shoot info info "$scratch/merges.fvlm" -q
wanted dump && shoot info-dump info "$m" --dump llm.embed.weight -o "$out/e.npy"
echo "$late of all took more than 200 ms, $torn left something behind"
[ $torn = 0 ]
