#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guards: the operations give the same bits on ARM as on x86, and lose as little of what is not finite. Cross-builds two
# tests (ops_bits.c and ops_not_finite.c, which compare NEON and dotprod with scalar on the ARM side), runs them under
# qemu and compares the hash of all their results with this machine's own.
. tests/support/tap.sh arm64
BUILD=${BUILD:-build}
cc=aarch64-linux-gnu-gcc
lacks() { skip "same bits on ARM" "$1"; exit 0; }
command -v $cc >/dev/null || lacks "needs $cc (package gcc-aarch64-linux-gnu)"
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) || lacks "needs qemu-aarch64 (package qemu-user)"
[ -x "$BUILD/tests/reference/ops/ops_bits" ] || lacks "needs $BUILD/tests/reference/ops/ops_bits (make test)"

out=$BUILD/arm64-bits
mkdir -p "$out"
for test in ops_bits ops_not_finite; do
    # Static: qemu would otherwise mix the cross libc with one installed for arm64, and hang in pthread_create.
    if ! $cc -static -std=c11 -D_GNU_SOURCE -O2 -ffp-contract=off -fno-math-errno -fno-trapping-math -I. \
        -o "$out/$test" format/base/base.c format/base/cpu.c format/types.c format/base/pool.c reference/ops/exec.c format/decode.c \
        reference/ops/ops_*.c reference/ops/kernels/*.c tests/support/guarded.c tests/support/ops_cases.c \
        tests/reference/ops/$test.c -lm -lpthread 2>"$out/build.log"; then
        sed 's/^/# /' "$out/build.log" | head -20
        give_up "cross-building $test"
    fi
    timeout 200 $qemu "$out/$test" quick >"$out/arm.tap" 2>&1
    arm_rc=$?
    "$BUILD/tests/reference/ops/$test" quick >"$out/x86.tap" 2>&1
    arm=$(grep '^hash' "$out/arm.tap") x86=$(grep '^hash' "$out/x86.tap")
    grep '^#' "$out/arm.tap" | head -20
    ok "$test exits $arm_rc: $(grep '^ok' "$out/arm.tap" | tail -1)" $arm_rc
    [ "$(grep -c '^ok .*on dotprod' "$out/arm.tap")" -ge 10 ]; ok "it ran with NEON and the dot product" $?
    [ -n "$arm" ] && [ "$arm" = "$x86" ]; ok "all results there (${arm:-none}) and here (${x86:-none}) are the same" $?
done
