#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make oracle` runs: fvlm against PyTorch, timm, transformers, onnxruntime, tokenizers and Pillow.
#   tests/oracle/run.sh BUILD [pytest arguments]     such as -k small
# Without arguments in two processes, as most tests use one thread: those of ONNX, which share their exports, and all others.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
shift || true
venv=build/oracle-venv
tests/oracle/setup.sh "$venv"
export BUILD=$build FVLM=$PWD/$build/fvlm
onnx=$(ls tests/oracle/test_onnx*.py | grep -v foreign) # which needs one of them
others=$(ls tests/oracle/test_*.py | grep -v -F "$onnx")
oracle() { "$venv/bin/python" -m pytest -v -s -p no:cacheprovider --durations=40 "$@"; }

# shellcheck disable=SC2086
if [ $# != 0 ]; then
    oracle $others $onnx "$@"
    exit
fi
# shellcheck disable=SC2086
ORACLE_WORK=$build/oracle-onnx oracle $onnx >"$build/oracle-onnx.log" 2>&1 &
second=$!
trap 'kill $second' INT TERM HUP
failed=0
# shellcheck disable=SC2086
oracle $others || failed=1
wait $second || failed=1
cat "$build/oracle-onnx.log"
exit $failed
