#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Promise: `fvlm info` tells in aligned text or JSON what is in a file, dumps any tensor without ever replacing a file
# unasked, shows text from a file without its control characters, and refuses what it cannot read in one exact line.
. tests/support/tap.sh info
m=$dir/sample.fvlm
"$BUILD/tests/format/container" "$m" || give_up "cannot make its sample"


# --- what it tells ---
"$FVLM" info "$m" >"$dir/text" 2>"$dir/err"; ok "succeeds" $?
[ ! -s "$dir/err" ]; ok "nothing on stderr" $?
same "the first line" "$(head -1 "$dir/text")" "$m: 98.4 kB, 24.2 k parameters in 25 tensors"
same "the prompt on one line" "$(grep '^prompt' "$dir/text")" 'prompt      user\n<image>\n{prompt}\nassistant\n'
same "a row a type, a head and a total" "$(grep -c ' %$' "$dir/text")" 20
same "aligned" "$(grep ' %$\|^part' "$dir/text" | awk '{ print length }' | sort -u | wc -l)" 1
same "the total" "$(grep '^total' "$dir/text" | tr -s ' ')" "total 25 24.2 k 15.93 48.2 kB 100.0 %"
grep -q '^identity    [0-9a-f]\{32\} ' "$dir/text"; ok "the identity" $?
identity=$(od -An -tx1 -j4080 -N16 "$m" | tr -d ' \n')
grep -q "^identity    $identity " "$dir/text"; ok "the identity is the header's hash" $?
"$FVLM" info "$m" --tensors >"$dir/tensors"; ok "--tensors succeeds" $?
same "--tensors lists all" "$(sed -n '/^made by/,$p' "$dir/tensors" | grep -c '^\(panels\|rows\|taps\)\.')" 25
same "a tensor's line" "$(grep '^panels.int4-asym-g64.16' "$dir/tensors" | tr -s ' ')" \
    "panels.int4-asym-g64.16 int4-asym-g64 panels 18x70 1.41 kB"
"$FVLM" info "$m" --json >"$dir/json"; ok "--json succeeds" $?
same "JSON: tensors only when asked for" "$(grep -c '"layout"' "$dir/json")" 0
grep -q "\"identity\": \"$identity\"" "$dir/json"; ok "JSON: the identity" $?
same "JSON: every tensor" "$("$FVLM" info "$m" --json --tensors | grep -c '"layout"')" 25
"$FVLM" info "$m" >/dev/full 2>"$dir/err"
same "/dev/full" "$? $(cat "$dir/err")" "3 fvlm: standard output: No space left on device"

# --- dump ---
"$FVLM" info "$m" --dump taps.f16.7 -o "$dir/t.npy" 2>"$dir/err"; ok "--dump succeeds" $?
same "it tells what it wrote" "$(cat "$dir/err")" "wrote      $dir/t.npy: 20 x 1 x 3 x 3, f32"
same "a .npy of the right size" "$(stat -c %s "$dir/t.npy")" $((128 + 4 * 180))
same "its header" "$(head -c 128 "$dir/t.npy" | tail -c +11 | tr -s ' ' | tr -d '\0')" \
    "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 1, 3, 3,), } "
refuses "an existing file" 1 "\"$dir/t.npy\" exists; --force replaces it" "$m" --dump taps.f16.7 -o "$dir/t.npy"
"$FVLM" info "$m" --dump rows.f32.0 -o "$dir/t.npy" --force -q 2>"$dir/err"; ok "--force replaces it" $?
[ ! -s "$dir/err" ]; ok "-q tells nothing" $?
same "replaced" "$(stat -c %s "$dir/t.npy")" $((128 + 4 * 37))
refuses "the input itself" 1 "\"$m\" is the input itself; write to another name" "$m" --dump rows.f32.0 -o "$m" --force
refuses "a device" 1 "\"/dev/full\" is a device, pipe or socket, not a regular file" "$m" --dump rows.f32.0 -o /dev/full --force
refuses "no such tensor" 1 "\"$m\" has no tensor \"rows\"; 'fvlm info --tensors' lists them" "$m" --dump rows -o "$dir/x"
refuses "no output" 2 "--dump TENSOR and --output FILE must be given together" "$m" --dump rows.f32.0
refuses "no dump" 2 "--dump TENSOR and --output FILE must be given together" "$m" -o "$dir/x"
[ ! -e "$dir/x" ]; ok "no refusal wrote anything" $?

# --- what it cannot read ---
refuses "no file" 2 "expected MODEL.fvlm, got 0 arguments; try 'fvlm info --help'"
refuses "two files" 2 "expected MODEL.fvlm, got 2 arguments; try 'fvlm info --help'" "$m" "$m"
refuses "an option nearly right" 2 "unknown option \"--tensor\", did you mean \"--tensors\"?; try 'fvlm info --help'" "$m" --tensor
refuses "a missing file" 3 "\"$dir/none\": No such file or directory" "$dir/none"
refuses "a folder" 1 "\"$dir\" is a folder; give the .fvlm file in it" "$dir"
mkfifo "$dir/fifo"
refuses "a pipe" 1 "\"$dir/fifo\" is not a regular file" "$dir/fifo"
printf 'short' >"$dir/short"
refuses "too short" 1 "\"$dir/short\": not a .fvlm file (only 5 bytes)" "$dir/short"
head -c 8192 /dev/zero >"$dir/zeros"
refuses "another format" 1 "\"$dir/zeros\": not a .fvlm file (make one with 'fvlm convert')" "$dir/zeros"
head -c 50000 "$m" >"$dir/cut"
refuses "cut short" 1 "\"$dir/cut\": cut short: it has 50000 bytes, its header says 98385" "$dir/cut"
{ cat "$m"; printf x; } >"$dir/long"
refuses "too long" 1 "\"$dir/long\": too long: it has 98386 bytes, its header says 98385" "$dir/long"
# flip NAME OFFSET MESSAGE: one byte changed
flip() {
    cp "$m" "$dir/flipped"
    byte=$(od -An -tu1 -j"$2" -N1 "$m" | tr -d ' ')
    printf "\\x$(printf %02x $((byte ^ 64)))" | dd of="$dir/flipped" bs=1 seek="$2" conv=notrunc 2>/dev/null
    refuses "$1" 1 "\"$dir/flipped\": $3" "$dir/flipped"
}
flip "a damaged header" 100 "the header is damaged (its hash differs)"
flip "a damaged index" 16400 "the index at byte 16384 is damaged (its hash differs)"
flip "a damaged tokenizer" 98384 "the tokenizer at byte 98304 is damaged (its hash differs)"
