#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target below tests/fuzz with libFuzzer under ASan and UBSan, FUZZ_SECONDS (60) each. Inputs that reach
# new code are kept in build/fuzz/TARGET; what crashes is left there as crash-*. Exits 1 if anything crashed.
set -eu
seconds=${FUZZ_SECONDS:-60}
cc=${FUZZ_CC:-clang}
command -v "$cc" >/dev/null || { echo "fuzz: needs clang with libFuzzer (Debian: clang, libclang-rt-dev)"; exit 1; }
libraries=$(pkg-config --cflags --libs libzstd libxxhash jansson)
sources=$(find format convert -name '*.c' | grep -v /cmd_)
failed=0
for harness in tests/fuzz/*/harness.c; do
    target=$(basename "$(dirname "$harness")")
    work=build/fuzz/$target
    mkdir -p "$work/corpus"
    # shellcheck disable=SC2086
    "$cc" -std=c11 -D_GNU_SOURCE -O1 -g -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -o "$work/fuzzer" "$harness" $sources $libraries -lm -lpthread
    options=
    [ -f "tests/fuzz/$target/dictionary" ] && options="-dict=tests/fuzz/$target/dictionary"
    # shellcheck disable=SC2086
    if "$work/fuzzer" $options -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" "tests/fuzz/$target/corpus" >"$work/log" 2>&1; then
        echo "ok - fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") runs"
    else
        echo "not ok - fuzz $target: see $work/log"
        failed=1
    fi
done
exit $failed
