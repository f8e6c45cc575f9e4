#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target below tests/fuzz, or those named, with libFuzzer under ASan and UBSan, FUZZ_SECONDS (60) each.
# Inputs that reach new code are kept in build/fuzz/work/TARGET/corpus; what crashes is left there as crash-*. Exits 1 if
# anything crashed.
set -eu
seconds=${FUZZ_SECONDS:-60}
cc=${FUZZ_CC:-clang}
command -v "${cc##* }" >/dev/null || { echo "fuzz: needs clang with libFuzzer (Debian: clang, libclang-rt-dev)"; exit 1; }
sanitize="address,undefined -fno-sanitize-recover=all -mllvm -asan-instrumentation-with-call-threshold=100"
make --no-print-directory -j2 build/fuzz/commands.a build/fuzz/libfvlm.a BUILD=build/fuzz CC="$cc" OPT=-O1 SAN="-fsanitize=fuzzer-no-link,$sanitize"
[ $# -gt 0 ] || set -- $(basename -a tests/fuzz/*/)
failed=0
for target in "$@"; do
    work=build/fuzz/work/$target
    mkdir -p "$work/corpus"
    # shellcheck disable=SC2046,SC2086
    $cc -std=c11 -D_GNU_SOURCE -O1 -g -I. -fsanitize=fuzzer,$sanitize -o "$work/fuzzer" "tests/fuzz/$target/harness.c" \
        build/fuzz/commands.a build/fuzz/libfvlm.a $(pkg-config --cflags --libs libzstd libxxhash jansson libpcre2-8 libutf8proc libjpeg libpng) -lm -lpthread
    options=
    [ -f "tests/fuzz/$target/dictionary" ] && options="-dict=tests/fuzz/$target/dictionary"
    # shellcheck disable=SC2086
    if "$work/fuzzer" $options -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/" "$work/corpus" "tests/fuzz/$target/corpus" >"$work/log" 2>&1; then
        echo "ok - fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log") runs"
    else
        echo "not ok - fuzz $target: see $work/log"
        failed=1
    fi
done
rm -rf /dev/shm/fvlm-fuzz-*
exit $failed
