#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: the session in README.md is what the program prints: its commands, as pasted, exit 0 and print every line shown
# there, but for figures that depend on the machine. And every file that a README names exists.
. tests/support/tap.sh readme
mkdir -p "$dir/bin" "$dir/work/build/demo"
cp "$FVLM" "$dir/bin/fvlm"
ln -s "$PWD/tests" "$dir/work/tests"

# The commands, one a line, and the lines they are said to print.
awk '/^## A session/ { on = 1 } /^## What is supported/ { on = 0 } on && /^```/ { inside = !inside; next } on && inside' README.md >"$dir/session"
sed -e ':a; /\\$/N; s/\\\n *//; ta' -n -e '/^\$ /s///p' "$dir/session" >"$dir/commands"
grep -vE '^\$ |^ {6}--|^\.\.\.$|^$' "$dir/session" >"$dir/lines"
failed=0
while IFS= read -r line; do
    (cd "$dir/work" && PATH=$dir/bin:$PATH TMPDIR=/tmp bash -c "$line" </dev/null) >>"$dir/out" 2>&1 || { failed=$((failed + 1)); echo "# $line"; }
done <"$dir/commands"
[ "$(wc -l <"$dir/commands")" -ge 5 ]; ok "there are at least five commands" $?
same "commands that fail" $failed 0

# Times, rates, memory and what this CPU is called differ from machine to machine.
figures() { sed -E 's/[0-9.]+ (ms|s|GB\/s|tokens\/s)/N \1/g; s/(peak memory|peak|\() ?[0-9.]+ [kM]B/\1 N/g; s/^(open|image|vision|projector|prefill|TTFT|decode|memory) +/\1 /; s/activations, .*/activations/' "$1"; }
figures "$dir/out" >"$dir/printed"
figures "$dir/lines" | grep -vxFf "$dir/printed" >"$dir/missing"
same "lines in README.md that were not printed" "$(cat "$dir/missing")" ""

named=$(grep -ohE '`(format|convert|quant|reference|verify|tests)/[A-Za-z0-9_/.-]+\.(c|h|md|sh|py|list)`' README.md CONTRIBUTING.md SECURITY.md format/*.md */README.md | tr -d "\`" | grep -v NAME | sort -u)
absent=$(for f in $named; do [ -e "$f" ] || echo "$f"; done)
same "files that are named but absent" "$absent" ""
for room in format convert quant verify reference; do
    names=$(grep -ohE '`[a-z0-9_/]+\.(c|h)`' $room/README.md | tr -d '`')
    absent=$(for f in $names; do [ -e "$room/$f" ] || [ -e "$f" ] || [ -n "$(find format convert quant reference verify tests -name "$(basename "$f")")" ] || echo "$f"; done)
    same "$room/README.md: files that are named but absent" "$absent" ""
done
