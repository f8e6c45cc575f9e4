#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What `make oracle` runs: fvlm against PyTorch, timm, transformers, onnxruntime, tokenizers and Pillow.
#   tests/oracle/run.sh BUILD [pytest arguments]     such as -k small
# Without arguments in two processes: most tests use one thread.
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build}
shift || true
venv=build/oracle-venv
tests/oracle/setup.sh "$venv"
export BUILD=$build FVLM=$PWD/$build/fvlm
full="tests/oracle/test_sizes.py tests/oracle/test_parity.py tests/oracle/test_onnx_full.py" # full size: as long as all others
quick=$(ls tests/oracle/test_*.py | grep -v -F "${full// /
}")
oracle() { "$venv/bin/python" -m pytest -v -s -p no:cacheprovider --durations=12 "$@"; }

# shellcheck disable=SC2086
if [ $# != 0 ]; then
    oracle $quick $full "$@"
    exit
fi
ORACLE_WORK=$build/oracle-full oracle $full >"$build/oracle-full.log" 2>&1 &
full_size=$!
failed=0
# shellcheck disable=SC2086
oracle $quick || failed=1
wait $full_size || failed=1
cat "$build/oracle-full.log"
exit $failed
