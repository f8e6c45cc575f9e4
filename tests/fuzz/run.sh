#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target below tests/fuzz, or those named, with libFuzzer under ASan and UBSan, FUZZ_SECONDS (60) each,
# JOBS (2) at a time. Inputs that reach new code are kept in build/fuzz/work/TARGET/corpus; what crashes is left there as
# crash-*. Prints a line for LOG.md for each; exits 1 if anything crashed.
#   tests/fuzz/run.sh [TARGET...]
#   tests/fuzz/run.sh --coverage [TARGET...]    no fuzzing: which lines the inputs kept so far reach, by file
set -eu
seconds=${FUZZ_SECONDS:-60}
cc=${FUZZ_CC:-clang}
command -v "${cc##* }" >/dev/null || { echo "fuzz: needs clang with libFuzzer (Debian: clang, libclang-rt-dev)"; exit 1; }
coverage=
[ "${1:-}" != --coverage ] || { coverage=1; shift; }
[ $# -gt 0 ] || set -- $(ls -d tests/fuzz/*/ | xargs -n1 basename)
libraries=$(sed -n 's/^PKG *:= //p' Makefile)
if [ $coverage ]; then
    build=build/fuzz-coverage
    sanitize="-fprofile-instr-generate -fcoverage-mapping"
    link=-fsanitize=fuzzer
else
    build=build/fuzz
    sanitize="-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -mllvm -asan-instrumentation-with-call-threshold=100"
    link=-fsanitize=fuzzer
fi
make --no-print-directory -j2 $build/tests/support.a $build/commands.a $build/libfvlm.a BUILD=$build CC="$cc" OPT=-O1 \
    SAN="-fsanitize=fuzzer-no-link $sanitize"
for target in "$@"; do
    mkdir -p "$build/work/$target/corpus"
    # shellcheck disable=SC2046,SC2086
    $cc -std=c11 -D_GNU_SOURCE -O1 -g -I. "-I$build/generated" $link $sanitize -o "$build/work/$target/fuzzer" "tests/fuzz/$target/harness.c" \
        $build/tests/support.a $build/commands.a $build/libfvlm.a $(pkg-config --cflags --libs $libraries) -lcmocka -lm -lpthread
done

# One target; prints its line.
fuzz() {
    work=build/fuzz/work/$1
    options=
    [ -f "tests/fuzz/$1/dictionary" ] && options="-dict=tests/fuzz/$1/dictionary"
    # shellcheck disable=SC2086
    "$work/fuzzer" $options -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" "tests/fuzz/$1/corpus" >"$work/log" 2>&1
    rc=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    edges=$(grep -o ' cov: [0-9]* ft: [0-9]*' "$work/log" | tail -1 | awk '{ print $2 " (" $4 " features)" }')
    found=none
    [ $rc = 0 ] || found="$(grep -hoE 'ERROR: .*|runtime error: .*|deadly signal' "$work/log" | head -1), see $work/log"
    echo "| $(date -u +%F) | $(git rev-parse --short HEAD) | $1 | $2 | ${runs:-?} | ${edges:-?} | $found |"
    return $rc
}

# Which lines of the library one target's inputs reach: files with any, most lines first.
cover() {
    work=build/fuzz-coverage/work/$1
    LLVM_PROFILE_FILE=$work/profraw "$work/fuzzer" -runs=0 "build/fuzz/work/$1/corpus" "tests/fuzz/$1/corpus" >"$work/log" 2>&1
    llvm-profdata merge -sparse "$work/profraw" -o "$work/profile"
    echo "$1"
    llvm-cov report "$work/fuzzer" -instr-profile="$work/profile" -show-region-summary=0 -show-branch-summary=0 2>/dev/null |
        awk -v here="${PWD#/}/" '/\.[ch] / { sub(here, "", $1) } /\.[ch] / && $1 !~ /^tests/ && $5 > $6 { printf "    %-45s %5d of %5d lines\n", $1, $5 - $6, $5 }' |
        sort -k2,2nr
}
export -f fuzz cover
if [ $coverage ]; then
    for target in "$@"; do mkdir -p "build/fuzz/work/$target/corpus"; cover "$target"; done
    exit
fi
failed=0
printf '%s\n' "$@" | xargs -P"${JOBS:-2}" -I{} bash -c 'fuzz "$1" "$2"' _ {} "$seconds" || failed=1
for folder in /dev/shm/fvlm-fuzz-*; do # of fuzzers that have ended, not of those that run elsewhere
    [ -d "/proc/${folder##*-}" ] || rm -rf "$folder"
done
exit $failed
